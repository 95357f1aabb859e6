"""Orders through the public API: profiles, chains, `replaces`, limits, names, and many at a time.

The program that orders is order.c, built here.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
import urllib.request

import pytest
from conftest import BINARY, TESTS, FlowLab
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID, NameOID

from real.pki import TestCA
from sim.ca import CA, Answer, Fault, problem

NAME = "www.example.org"
OTHER = "mail.example.org"
URN = "urn:ietf:params:acme:error:"
VALID, INVALID = 1, 2


@pytest.fixture(scope="module", name="program")
def _program(tmp_path_factory):
    """order.c, with the library beside the command under test."""
    folder = os.path.dirname(os.path.abspath(BINARY))
    library = os.path.join(folder, "libcertauto.so")
    if not os.path.exists(library):
        pytest.skip(f"skipped: {library} is not built")
    out = str(tmp_path_factory.mktemp("program") / "order")
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True)
    sanitizers = ["-fsanitize=address,undefined"] if "__asan_" in symbols.stdout else []
    subprocess.run(
        ["cc", "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", *sanitizers,
         "-I", os.path.join(os.path.dirname(TESTS), "include"),
         os.path.join(TESTS, "flow", "order.c"), library, "-Wl,-rpath," + folder, "-o", out],
        check=True,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module", name="tls")
def _tls(tmp_path_factory):
    return TestCA(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    with CA(str(tmp_path), tls, validate=False) as ca:
        yield ca


class Orderer:
    """The program in a folder of its own; each call is a process."""

    def __init__(self, program, folder, server, ca_file):
        self.program, self.folder = program, folder
        self.env = {}
        for name in ("webroot", "out"):
            os.mkdir(folder / name)
        self.fixed = {
            "server": server, "ca": ca_file, "state": folder / "state", "names": NAME,
            "csr": folder / "request.pem", "set.directory": folder / "out",
            "set.webroot": folder / "webroot", "set.challenge_check": "no",
        }  # fmt: skip

    def argv(self, options):
        """The command line."""
        words = {**self.fixed, **options}
        return [self.program, *[f"{key}={value}" for key, value in words.items() if value != ""]]

    def __call__(self, **options):
        """(result, warnings); with n: the results of all."""
        done = subprocess.run(
            self.argv(options), capture_output=True, text=True, timeout=100, check=False,
            env={**os.environ, **self.env},
        )  # fmt: skip
        assert done.returncode in (0, 1) and not done.stderr, done
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        warnings = [line["warning"] for line in lines if "warning" in line]
        results = [line for line in lines if "warning" not in line]
        left = [path for path in (self.folder / "webroot").rglob("*") if path.is_file()]
        assert not left, "tokens were left"
        return (results if "n" in options else results[0]), warnings

    def journals(self):
        """Records of orders that were not finished."""
        return list((self.folder / "state" / "jobs").glob("order-*"))


@pytest.fixture(name="order")
def _order(program, tmp_path, ca):
    folder = tmp_path / "client"
    os.mkdir(folder)
    return Orderer(program, folder, ca.directory, ca.ca_file)


def certificates(pem):
    """All in a bundle; Debian 12 has no function for that."""
    end = b"-----END CERTIFICATE-----"
    blocks = [block + end for block in pem.split(end) if block.strip()]
    return [x509.load_pem_x509_certificate(block) for block in blocks]


def chain_of(result):
    """The certificates a result has."""
    return certificates(result["chain"].encode())


def expect(outcome, code, *words):
    """The run ended so, and said these words."""
    result = outcome[0]
    assert result["code"] == "CERTAUTO_" + code, outcome
    for word in words:
        assert word in (result["message"] or "") + (result["advice"] or ""), (word, outcome)
    return result


def sent(ca, endpoint):
    """The payloads an endpoint got."""
    return [json.loads(r.payload or b"{}") for r in ca.log if r.endpoint == endpoint]


# ---- one order ----


def test_order__names_are_valid_and_nothing_is_left(ca, order):
    result = expect(order(names=f"{NAME},{OTHER}"), "OK")
    assert {name: entry["status"] for name, entry in result["names"].items()} == {
        NAME: VALID, OTHER: VALID,
    }  # fmt: skip
    assert result["url"] in ca.orders
    assert len(chain_of(result)) == 2
    assert order.journals() == []
    assert ca.counts["authz deactivated"] == 0
    assert sorted(sent(ca, "newOrder")[0]) == ["identifiers"]


@pytest.mark.parametrize(
    "names, word",
    [
        ("*.example.org,www.example.org", "covered by *.example.org"),
        (",".join(f"n{i}.example.org" for i in range(101)), "101 names"),
    ],
    ids=["covered", "101"],
)
def test_order__names_no_ca_takes_are_not_sent(ca, order, names, word):
    expect(order(names=names), "EINVAL", word)
    assert not ca.log


def test_order__100_names_are_no_problem(ca, order):
    names = [f"n{i}.example.org" for i in range(100)]
    result = expect(order(names=",".join(names)), "OK")
    assert sorted(result["names"]) == sorted(names)
    assert {entry["status"] for entry in result["names"].values()} == {VALID}


def test_order__dates_are_sent(ca, order):
    ca.allow_dates = True
    expect(order(not_before=1900000000, not_after=1900086400), "OK")
    document = sent(ca, "newOrder")[0]
    assert document["notBefore"] == "2030-03-17T17:46:40Z"
    assert document["notAfter"] == "2030-03-18T17:46:40Z"


def test_order__dates_that_are_none_are_not_sent(ca, order):
    expect(order(not_before=1900086400, not_after=1900000000), "EINVAL")
    assert not ca.log


# ---- profiles ----

PROFILES = {"classic": {"description": "d"}, "short": {"description": "d", "days": 6}}


def test_profile__is_sent_and_taken(ca, order):
    ca.profiles = PROFILES
    result = expect(order(profile="short", required=1), "OK")
    assert sent(ca, "newOrder")[0]["profile"] == "short"
    leaf = chain_of(result)[0]
    assert (leaf.not_valid_after - leaf.not_valid_before).days == 6


@pytest.mark.parametrize("profiles, word", [(PROFILES, "classic, short"), ({}, "no profiles")])
def test_profile__required_and_not_offered_is_refused_before_anything_is_sent(
    ca, order, profiles, word
):
    ca.profiles = profiles
    expect(order(profile="server", required=1), "EREFUSED", '"server"', word)
    assert [r.endpoint for r in ca.log] == ["directory"]


@pytest.mark.parametrize("profiles", [PROFILES, {}], ids=["others", "none"])
def test_profile__preferred_and_not_offered_is_told_and_left_out(ca, order, profiles):
    ca.profiles = profiles
    outcome = order(profile="server")
    expect(outcome, "OK")
    assert any('without the profile "server"' in text for text in outcome[1])
    assert "profile" not in sent(ca, "newOrder")[0]


def test_profile__refused_all_the_same(ca, order):
    ca.profiles = PROFILES
    ca.script["newOrder"] = [problem("invalidProfile", "not any more"), None]
    outcome = order(profile="short")
    expect(outcome, "OK")
    assert any("not any more" in text for text in outcome[1])
    assert [document.get("profile") for document in sent(ca, "newOrder")] == ["short", None]


def test_profile__refused_and_required_is_an_error(ca, order):
    ca.profiles = PROFILES
    ca.script["newOrder"] = [problem("invalidProfile", "not any more")]
    result = expect(order(profile="short", required=1), "EREFUSED", "not any more", "classic")
    assert result["problem"] == URN + "invalidProfile"
    assert ca.counts["newOrder"] == 1


def test_profile__another_one_is_another_order(ca, order):
    ca.profiles = PROFILES
    ca.script["certificate"] = [problem("serverInternal", "down", 500)]
    expect(order(profile="short"), "EREFUSED")
    ca.script.clear()
    expect(order(profile="classic"), "OK")
    assert ca.counts["orders made"] == 2
    assert sent(ca, "newOrder")[1]["profile"] == "classic"


def test_profile__the_order_that_had_another_one_leaves_nothing(ca, order):
    ca.profiles = PROFILES
    ca.script["authz"] = [problem("serverInternal", "down", 500)]
    expect(order(profile="short"), "EREFUSED")
    ca.script.clear()
    expect(order(profile="classic"), "OK")
    assert ca.counts["orders made"] == 2 and ca.counts["authz deactivated"] == 1


# ---- replaces ----


@pytest.fixture(name="old")
def _old(order):
    """A file with a certificate the CA has issued to us."""
    path = order.folder / "old.pem"
    path.write_text(expect(order(csr=order.folder / "old-request.pem"), "OK")["chain"])
    return path


def test_replaces__is_told(ca, order, old):
    expect(order(replaces=old), "OK")
    assert sent(ca, "newOrder")[1]["replaces"] == next(iter(ca.certificates.values())).id


def test_replaces__is_for_cas_with_renewal_information(ca, order, old):
    ca.ari = False
    expect(order(replaces=old), "OK")
    assert "replaces" not in sent(ca, "newOrder")[1]


def test_replaces__that_a_ca_falls_over_is_left_out_the_second_time(ca, order, old):
    ca.on(
        "newOrder",
        lambda r, _a: problem("serverInternal", "no order for it", 500)
        if b'"replaces"' in r.payload else None,
        before=True,
    )  # fmt: skip
    outcome = order(replaces=old)
    expect(outcome, "OK")
    assert "no order for it" in outcome[1][0]
    asked = [("replaces" in document) for document in sent(ca, "newOrder")[1:]]
    assert asked == [True, True, False]


def test_replaces__is_told_again_to_a_ca_that_had_trouble(ca, order, old):
    ca.script["newOrder"] = [problem("serverInternal", "trouble", 500), None]
    expect(order(replaces=old), "OK")
    assert [("replaces" in document) for document in sent(ca, "newOrder")[1:]] == [True, True]



@pytest.mark.parametrize(
    "answer",
    [
        problem("alreadyReplaced", "by another", 409),
        problem("unauthorized", "not yours", 403),
        problem("malformed", "never seen", 404),
        problem("malformed", "what is this", 400),
        Answer("no", 403, type="text/plain"),
    ],
    ids=["409", "403", "404", "400", "403-text"],
)
def test_replaces__refused_is_ordered_without(ca, order, old, answer):
    before = ca.counts["newOrder"]
    ca.on(
        "newOrder",
        lambda r, _a: answer if b'"replaces"' in r.payload else None,
        before=True,
    )
    outcome = order(replaces=old)
    expect(outcome, "OK")
    assert any("as a new one" in text for text in outcome[1]), outcome
    documents = sent(ca, "newOrder")[before:]
    assert "replaces" in documents[0] and "replaces" not in documents[-1]
    assert len([d for d in documents if "replaces" not in d]) == 1
    assert ca.counts["certificates issued"] == 2


def test_replaces__refused_is_remembered_by_the_next_run(ca, order, old):
    ca.script["newOrder"] = [
        problem("alreadyReplaced", "by another", 409),
        problem("serverInternal", "down", 500),
    ]
    expect(order(replaces=old), "EREFUSED")
    ca.script.clear()
    n = len(sent(ca, "newOrder"))
    expect(order(replaces=old), "OK")
    assert ["replaces" in document for document in sent(ca, "newOrder")[n:]] == [False]


def test_replaces__is_no_excuse_for_another_refusal(ca, order, old):
    before = ca.counts["newOrder"]
    ca.blocklist = (NAME,)
    expect(order(replaces=old), "EREFUSED", "forbidden")
    assert ca.counts["newOrder"] == before + 1


# ---- chains ----


def common_name(name):
    """The CN of a name."""
    return name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def chains(ca):
    """The chains of the certificate issued last."""
    cert = list(ca.certificates.values())[-1]
    return [
        certificates(ca.chain(cert, i))
        for i in range(len(cert.authority.chains))
    ]


def top_issuer(chain):
    """What a preferred chain is named by."""
    return common_name(chain[-1].issuer)


def wishes(chain):
    """The ways to ask for a chain that has something of its own."""
    top = chain[-1]
    digest = top.fingerprint(hashes.SHA256()).hex()
    key = top.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    return {
        "issuer": top_issuer(chain),
        "sha256": "sha256:" + digest,
        "colons": "sha256:" + ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper(),
        "keyid": "keyid:" + key.value.key_identifier.hex(),
    }


@pytest.mark.parametrize("way", ["issuer", "sha256", "colons", "keyid"])
def test_chain__the_preferred_one_is_taken(ca, order, way):
    ca.alternates = 3
    expect(order(csr=order.folder / "first.pem"), "OK")
    assert ca.counts["certificate"] == 1  # nobody looks at the others without a wish
    wanted = chains(ca)[2]
    result = expect(order(chain=wishes(wanted)[way]), "OK")
    assert top_issuer(chain_of(result)) == top_issuer(wanted)
    assert len({top_issuer(chain) for chain in chains(ca)}) == 4
    assert ca.counts["certificate"] == 1 + 3  # the third is the one: the fourth is not asked for


def test_chain__the_first_one_may_be_it(ca, order):
    ca.alternates = 3
    expect(order(csr=order.folder / "first.pem"), "OK")
    expect(order(chain=top_issuer(chains(ca)[0])), "OK")
    assert ca.counts["certificate"] == 2


def test_chain__none_fits_is_told(ca, order):
    ca.alternates = 3
    outcome = order(chain="Nobody's Root")
    result = expect(outcome, "OK")
    assert top_issuer(chain_of(result)) == top_issuer(chains(ca)[0])
    assert any("Nobody's Root" in text for text in outcome[1])
    assert ca.counts["certificate"] == 4


def test_chain__shortest(ca, order):
    ca.chain_length, ca.alternate_lengths = 3, [2, 1, 2]
    outcome = order(chain="shortest")
    assert len(chain_of(expect(outcome, "OK"))) == 2
    assert outcome[1] == []


def test_chain__no_more_than_five_are_fetched(ca, order):
    ca.alternates = 12
    outcome = order(chain="Nobody's Root")
    expect(outcome, "OK")
    assert ca.counts["certificate"] == 6


@pytest.mark.parametrize(
    "wish", ["sha256:12", "sha256:" + "g" * 64, "keyid:", "keyid:abc", "x" * 257]
)
def test_chain__a_wish_that_is_none_is_not_sent(ca, order, wish):
    expect(order(chain=wish), "EINVAL")
    assert not ca.log


@pytest.mark.parametrize(
    "answer",
    [
        Answer("-----BEGIN NONSENSE-----", type="application/pem-certificate-chain"),
        Answer("<html>", type="text/html"),
        problem("malformed", "no such chain", 404),
        problem("rateLimited", "slowly", 429, Retry_After=60),
        Answer(fault=Fault("lost-request")),
    ],
    ids=["pem", "html", "404", "429", "lost"],
)
def test_chain__one_that_fails_is_passed_over(ca, order, answer):
    ca.alternates = 3
    expect(order(csr=order.folder / "first.pem"), "OK")
    wanted = top_issuer(chains(ca)[2])
    ca.on(
        "certificate", lambda r, a: answer if r.path.endswith("/alternate/1") else a, before=False
    )
    outcome = order(chain=wanted)
    result = expect(outcome, "OK")
    assert top_issuer(chain_of(result)) == wanted or "429" in str(outcome[1])
    assert any("passed over" in text for text in outcome[1])


def test_chain__others_that_cannot_be_asked_for_take_nothing_away(ca, order):
    """The first of them tells us to ask nothing any more."""
    ca.alternates = 3
    busy = Answer("busy", 503, {"Retry-After": "60"}, "text/plain")
    ca.on("certificate", lambda r, a: busy if "/alternate/" in r.path else a)
    outcome = order(chain="Nobody's Root")
    result = expect(outcome, "OK")
    assert top_issuer(chain_of(result)) == top_issuer(chains(ca)[0])
    assert sum("passed over" in text for text in outcome[1]) == 3
    assert ca.counts["certificate"] == 2


def test_chain__must_be_pem(ca, order):
    def bare(_request, answer):
        der = ssl.PEM_cert_to_DER_cert(answer.body.decode().split("-----END")[0] + ssl.PEM_FOOTER)
        return Answer(der, 200, answer.headers, answer.type)

    ca.on("certificate", bare)
    expect(order(), "ECERT", "PEM")


def test_chain__of_another_certificate_is_never_taken(ca, order):
    ca.alternates = 1
    expect(order(csr=order.folder / "first.pem"), "OK")
    first = next(iter(ca.certificates.values()))
    foreign = Answer(ca.chain(first, 1), type="application/pem-certificate-chain")
    ca.on("certificate", lambda r, a: foreign if r.path.endswith("/alternate/1") else a)
    outcome = order(chain=top_issuer(chains(ca)[1]))
    result = expect(outcome, "OK")
    assert chain_of(result)[0].serial_number == list(ca.certificates.values())[-1].serial
    assert any("key" in text for text in outcome[1])


def test_chain__links_may_not_lead_elsewhere(ca, order):
    links = '<https://evil.example/c>;rel="alternate", <http://127.0.0.1/c>;rel="alternate"'
    ca.on("certificate", lambda r, a: Answer(a.body, 200, {"Link": links}, a.type))
    outcome = order(chain="Nobody's Root")
    expect(outcome, "OK")
    assert any("evil.example" in text for text in outcome[1])
    assert ca.counts["certificate"] == 1


# ---- names that fail ----


def test_names__subproblems_of_a_refused_order(ca, order):
    ca.blocklist = (OTHER,)
    result = expect(order(names=f"{NAME},{OTHER}"), "EREFUSED", "forbidden")
    assert result["names"][NAME]["status"] == 0
    failed = result["names"][OTHER]
    assert failed["status"] == INVALID
    assert failed["code"] == "CERTAUTO_EREFUSED"
    assert failed["problem"] == URN + "rejectedIdentifier"
    assert OTHER in failed["message"] and "forbidden" in failed["message"]


def test_names__the_only_one_needs_no_subproblem(ca, order):
    ca.script["newOrder"] = [problem("rejectedIdentifier", "not this one")]
    result = expect(order(), "EREFUSED")
    assert result["names"][NAME]["status"] == INVALID
    assert "not this one" in result["names"][NAME]["message"]


@pytest.mark.parametrize("kind", ["serverInternal", "badPublicKey", "invalidProfile"])
def test_names__the_only_one_is_not_to_blame_for_everything(ca, order, kind):
    ca.script["newOrder"] = [problem(kind, "not your fault", 500)]
    result = expect(order(), "EREFUSED", "not your fault")
    assert result["names"][NAME]["status"] == 0


def test_names__subproblems_of_a_refused_request(ca, order):
    subproblems = [
        {"type": URN + "caa", "detail": "not by us", "identifier": {"type": "dns", "value": NAME}}
    ]
    ca.script["finalize"] = [problem("badCSR", "see below", 400, {"subproblems": subproblems})]
    result = expect(order(names=f"{NAME},{OTHER}"), "EREFUSED", "badCSR")
    assert result["names"][NAME]["status"] == INVALID
    assert result["names"][NAME]["code"] == "CERTAUTO_ECHALLENGE"
    assert "not by us" in result["names"][NAME]["message"]
    assert result["names"][OTHER]["status"] == VALID


def test_names__that_failed_validation_are_told_apart(ca, order):
    failure = {"type": URN + "dns", "detail": "no such name"}
    ca.validate = lambda challenge: failure if challenge.authz.name == OTHER else True
    result = expect(order(names=f"{NAME},{OTHER}"), "ECHALLENGE", "no such name")
    assert result["names"][NAME]["status"] == VALID
    assert result["names"][OTHER]["status"] == INVALID
    assert result["names"][OTHER]["problem"] == URN + "dns"


@pytest.mark.parametrize("when", ["newOrder", "finalize", "order"])
def test_names__tell_why_an_order_is_invalid_that_does_not(ca, order, when):
    def invalid(_request, answer):
        if not isinstance(answer.body, dict) or "identifiers" not in answer.body:
            return None
        for authz in ca.authzs.values():
            if authz.name == OTHER:
                authz.status = "invalid"
                authz.challenges[0].status = "invalid"
                authz.challenges[0].error = {"type": URN + "caa", "detail": "forbidden by CAA"}
        status = {"status": "invalid", "certificate": None}
        return Answer({**answer.body, **status}, answer.status, answer.headers)

    if when == "order":
        ca.order_async, ca.processing = True, 1
    ca.on(when, invalid)
    result = expect(order(names=f"{NAME},{OTHER}"), "ECHALLENGE", OTHER, "forbidden by CAA")
    assert result["problem"] == URN + "caa"
    assert result["names"][OTHER]["status"] == INVALID
    assert "forbidden" in result["names"][OTHER]["message"]
    assert result["names"][NAME]["status"] != INVALID
    assert ca.counts["authz deactivated"] == (1 if when == "newOrder" else 0)
    assert order.journals() == []


def test_names__tell_nothing(ca, order):
    ca.on("finalize", lambda r, a: Answer({**a.body, "status": "invalid"}, 200, a.headers))
    expect(order(), "EREFUSED", "has made the order", "no reason given")
    assert order.journals() == []


# ---- spare authorizations ----


def half_failed(ca):
    """One name is looked at in vain; for another the CA offers nothing we can do."""
    ca.validate = lambda challenge: {"type": URN + "dns", "detail": "no such name"}

    def nothing_for(request, answer):
        if OTHER in str(answer.body) and "challenges" in answer.body:
            odd = [{**one, "type": "odd-99"} for one in answer.body["challenges"]]
            return Answer({**answer.body, "challenges": odd}, answer.status, answer.headers)
        return answer

    ca.on("authz", nothing_for)


def test_spare__are_deactivated_when_the_order_failed(ca, order):
    half_failed(ca)
    result = expect(order(names=f"{NAME},{OTHER}"), "ECHALLENGE")
    assert result["names"][OTHER]["status"] == INVALID
    assert ca.counts["authz deactivated"] == 1
    status = {authz.name: authz.status for authz in ca.authzs.values()}
    assert status == {NAME: "invalid", OTHER: "deactivated"}
    assert order.journals() == []


def test_spare__what_goes_wrong_is_nobody_s_concern(ca, order):
    half_failed(ca)
    refusal = problem("serverInternal", "no", 500)
    ca.on("authz", lambda r, a: refusal if b"deactivated" in r.payload else a)
    before = time.monotonic()
    result = expect(order(names=f"{NAME},{OTHER}"), "ECHALLENGE")
    assert "deactivated" not in result["message"]
    assert time.monotonic() - before < 15


def test_spare__an_order_that_goes_on_keeps_them(ca, order):
    ca.validate = lambda challenge: True
    ca.script["authz"] = [problem("rateLimited", "slowly", 429, Retry_After=1)]
    expect(order(names=f"{NAME},{OTHER}"), "ERETRY_LATER")
    assert ca.counts["authz deactivated"] == 0
    assert order.journals()


def test_spare__of_an_order_found_invalid_are_deactivated_first(ca, order):
    ca.script["authz"] = [problem("serverInternal", "down", 500)]
    expect(order(names=f"{NAME},{OTHER}"), "EREFUSED")
    ca.script.clear()
    next(iter(ca.orders.values())).status = "invalid"
    expect(order(names=f"{NAME},{OTHER}"), "OK")
    assert ca.counts["authz deactivated"] == 2
    assert ca.counts["orders made"] == 2


def test_spare__of_a_killed_run_are_left_to_the_next(ca, order):
    half_failed(ca)
    held, killed = threading.Event(), threading.Event()

    def hold(request, _answer):
        if b"deactivated" not in request.payload:
            return None
        held.set()
        killed.wait(20)
        return Answer(fault=Fault("lost-request"))

    ca.on("authz", hold, before=True)
    names = f"{NAME},{OTHER}"
    with subprocess.Popen(order.argv({"names": names}), stdout=subprocess.DEVNULL) as process:
        assert held.wait(20)
        process.kill()
    killed.set()
    assert ca.counts["authz deactivated"] == 0
    ca.behave()
    ca.validate = False
    expect(order(names=names), "OK")
    assert ca.counts["authz deactivated"] == 1
    assert ca.counts["orders made"] == 2
    assert order.journals() == []


# ---- limits ----


@pytest.mark.parametrize("endpoint", ["newOrder", "finalize", "authz"])
def test_limit__is_honoured_by_the_next_process(ca, order, endpoint):
    ca.script[endpoint] = [problem("rateLimited", "too many of these", 429, Retry_After=3600)]
    before = time.time()
    first = expect(order(), "ERETRY_LATER", "too many of these")
    assert before + 3599 <= first["retry_at"] <= time.time() + 3601
    asked = len(ca.log)
    second = expect(order(), "ERETRY_LATER", "too many of these", "not asked again")
    assert second["retry_at"] == first["retry_at"]
    assert second["problem"] == URN + "rateLimited"
    assert len(ca.log) == asked


def test_limit__ends_with_its_time(ca, order, clock):
    ca.script["newOrder"] = [problem("rateLimited", "wait", 429, Retry_After=120), None]
    expect(order(), "ERETRY_LATER")
    order.env = clock(60)
    expect(order(), "ERETRY_LATER")
    assert ca.counts["newOrder"] == 1
    order.env = clock(122)
    expect(order(), "OK")
    assert order.journals() == []


# ---- resuming ----


def test_finalize__a_refused_request_leaves_the_order_as_it_is(ca, order):
    ca.script["finalize"] = [problem("badCSR", "weak key")]
    expect(order(), "EREFUSED", "weak key")
    ca.script.clear()
    expect(order(), "OK")
    assert ca.counts["orders made"] == 1


def test_finalize__not_ready_is_looked_at_again(ca, order):
    ca.script["finalize"] = [problem("orderNotReady", "a moment", 403), None]
    expect(order(), "OK")
    assert ca.counts["finalize"] == 2 and ca.counts["orders made"] == 1


def test_order__each_look_may_be_refused_for_its_nonce(ca, order):
    """The limit on such refusals is one for each request, not for all the looks together."""
    refusals = [problem("badNonce", "used")] * 15
    ca.order_async, ca.processing = True, 8
    ca.script["order"] = [*refusals, None] * 12
    expect(order(), "OK")
    assert ca.counts["order"] > 100


@pytest.mark.parametrize("endpoint", ["newOrder", "order", "finalize", "challenge"])
def test_order__an_answer_too_large_is_told_as_that(ca, order, endpoint):
    ca.order_async = True
    ca.on(endpoint, lambda r, a: Answer({**a.body, "x": "y" * 300000}, a.status, a.headers))
    result = expect(order(), "EPROTO", "longer than 262144 bytes")
    assert "JSON" not in result["message"]


def test_order__of_another_account_is_made_anew(ca, order):
    ca.script["authz"] = [problem("serverInternal", "down", 500)]
    expect(order(), "EREFUSED")
    ca.script.clear()
    shutil.rmtree(order.folder / "state" / "accounts")  # as the advice for a lost account is
    expect(order(), "OK")
    assert ca.counts["accounts made"] == ca.counts["orders made"] == 2
    assert order.journals() == []


# ---- many at a time ----


def test_many__by_poll_alone(ca, order):
    results, _warnings = order(n=60, csr="")
    assert [result["code"] for result in results] == ["CERTAUTO_OK"] * 60
    assert len({result["url"] for result in results}) == 60
    assert ca.counts["accounts made"] == 1
    assert ca.counts["certificates issued"] == ca.counts["orders made"] == 60
    assert ca.connections_max <= 8
    assert order.journals() == []


def test_many__cancelled_in_the_middle(ca, order):
    results, _warnings = order(n=60, csr="", cancel=2, after=5)
    codes = [result["code"] for result in results]
    assert codes[1::2] == ["CERTAUTO_OK"] * 30
    assert set(codes[::2]) <= {"CERTAUTO_OK", "CERTAUTO_ECANCELED"}
    assert codes.count("CERTAUTO_ECANCELED") >= 10
    assert ca.counts["orders made"] < 60  # in line they had cost nothing


def test_many__no_more_than_16_are_open(ca, order):
    most = 0

    def look(_request, _answer):
        nonlocal most
        unfinished = [o for o in ca.orders.values() if o.status in ("pending", "ready")]
        most = max(most, len(unfinished))

    ca.on("*", look)
    results, _warnings = order(n=60, csr="")
    assert {result["code"] for result in results} == {"CERTAUTO_OK"}
    assert 1 < most <= 16


# ---- Pebble ----


@pytest.fixture(scope="module", name="pebble_lab")
def _pebble_lab():
    with FlowLab(nonce_reject=50, authz_reuse=0, alternate_roots=3, chain_length=3) as lab:
        yield lab


@pytest.mark.parametrize("number", range(4))
def test_pebble__each_of_its_chains_can_be_had(pebble_lab, program, tmp_path, name, number):
    pebble = pebble_lab.pebble
    context = ssl.create_default_context(cafile=pebble.ca_file)
    url = f"https://127.0.0.1:{pebble.management}/roots/{number}"
    with urllib.request.urlopen(url, context=context, timeout=5) as answer:
        wanted = common_name(x509.load_pem_x509_certificate(answer.read()).subject)
    order = Orderer(program, tmp_path, pebble.directory, pebble.ca_file)
    target = pebble_lab.haproxy_target(name + ".pem")
    order.fixed = {
        key: value for key, value in order.fixed.items() if not key.startswith("set.")
    } | {"set." + key: value for key, value in target.items() if key != "type"}
    outcome = order(names=name, type=target["type"], chain=wanted)
    chain = chain_of(expect(outcome, "OK"))
    assert len(chain) == 4
    assert top_issuer(chain) == wanted
    assert outcome[1] == []


# ---- taken up by the next process ----


def kill_at(ca, order, endpoint, before):
    """A run that is killed when the CA is asked that, before it has acted or after."""
    held, killed = threading.Event(), threading.Event()

    def hold(_request, _answer):
        held.set()
        killed.wait(20)
        return Answer(fault=Fault("lost-request" if before else "lost-reply"))

    ca.on(endpoint, hold, before=before)
    with subprocess.Popen(order.argv({}), stdout=subprocess.DEVNULL) as process:
        assert held.wait(20)
        process.kill()
    killed.set()
    ca.behave()


def test_taken_up__the_order_serves_another_request(ca, order):
    kill_at(ca, order, "challenge", before=True)
    os.unlink(order.folder / "request.pem")
    result = expect(order(), "OK")
    assert ca.counts["orders made"] == 1
    assert order.journals() == []
    (leaf, *_) = chain_of(result)
    request = x509.load_pem_x509_csr((order.folder / "request.pem").read_bytes())
    assert leaf.public_key().public_numbers() == request.public_key().public_numbers()


def test_taken_up__what_was_finalized_with_another_request_is_not(ca, order):
    kill_at(ca, order, "finalize", before=False)
    os.unlink(order.folder / "request.pem")
    expect(order(), "OK")
    assert ca.counts["orders made"] == 2
    assert order.journals() == []


def test_taken_up__what_was_finalized_with_this_request_is(ca, order):
    kill_at(ca, order, "finalize", before=False)
    expect(order(), "OK")
    assert ca.counts["orders made"] == 1


def test_record__of_two_at_once_each_gets_its_certificate(ca, order):
    first, stopped = [], threading.Event()

    def stop(_request, _answer):
        if not stopped.is_set():
            first[0].send_signal(signal.SIGSTOP)
            stopped.set()

    ca.on("challenge", stop)
    with ca.lock:
        first.append(subprocess.Popen(order.argv({}), stdout=subprocess.PIPE, text=True))
    with first[0]:
        assert stopped.wait(20)
        second = subprocess.run(order.argv({}), capture_output=True, timeout=30, check=True)
        first[0].send_signal(signal.SIGCONT)
        for told in (second.stdout, first[0].communicate(timeout=30)[0]):
            assert json.loads(told.splitlines()[-1])["code"] == "CERTAUTO_OK"
    assert order.journals() == []
