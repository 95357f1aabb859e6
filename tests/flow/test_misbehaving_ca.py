"""A CA that breaks the protocol, or has a bad day: what is told, and how often it is asked."""

import json
import os
import re
import time

import pytest

from real.certauto import Certauto
from real.pki import TestCA
from sim.acme import Answer, AcmeSim, problem

NAME = "www.example.org"


@pytest.fixture(scope="module", name="ca")
def _ca(tmp_path_factory):
    return TestCA(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(name="sim")
def _sim(tmp_path, ca):
    with AcmeSim(str(tmp_path), ca) as sim:
        yield sim


@pytest.fixture(name="issue")
def _issue(tmp_path, ca, sim, binary):
    """Run `issue` for one name; returns the exit status and the error, as --json tells it."""
    os.mkdir(tmp_path / "webroot")
    os.mkdir(tmp_path / "out")

    def run():
        done = Certauto(binary).run(
            "--json", "issue", "--server", sim.directory, "--ca-file", ca.file,
            "--state", str(tmp_path / "state"), "--domain", NAME, "--challenge", "http-01",
            "--target", f"files,directory={tmp_path}/out,webroot={tmp_path}/webroot,"
            "probe=no,challenge_check=no",
        )  # fmt: skip
        document = json.loads(done.out)
        error = document.get("error") or document["results"][0]["error"]
        # Whatever went wrong, nothing of the challenge is left over.
        left = list((tmp_path / "webroot").rglob("*-*"))
        assert not [path for path in left if path.is_file()], done
        return done.status, error

    return run


def expect(outcome, code, *words, status=1):
    """The run failed with this code, and said these words."""
    assert outcome[0] == status, outcome
    error = outcome[1]
    assert error["code"] == "CERTAUTO_" + code, error
    for word in words:
        assert word in error["message"] + (error["advice"] or ""), (word, error)


def test_sim__lets_a_certificate_through(sim, issue):
    assert issue() == (0, None)
    asked = [name for name, _payload in sim.seen]
    assert asked == [
        "directory", "nonce", "account", "new-order", "authz", "challenge", "authz", "finalize",
        "order", "certificate",
    ]  # fmt: skip
    payloads = dict(sim.seen)
    assert payloads["challenge"] == b"{}"
    assert payloads["authz"] == payloads["order"] == payloads["certificate"] == b""


@pytest.mark.parametrize("endpoint", ["nonce", "account", "new-order"])
def test_directory__may_not_lead_elsewhere(sim, issue, endpoint):
    key = {"nonce": "newNonce", "account": "newAccount", "new-order": "newOrder"}[endpoint]
    sim.script["directory"] = [lambda a: Answer({**a.body, key: "https://evil.example/x"})]
    expect(issue(), "EPROTO", "evil.example", "directory")
    assert len(sim.seen) == 1


@pytest.mark.parametrize(
    "name, member, value",
    [
        ("new-order", "finalize", "https://evil.example/f"),
        ("new-order", "authorizations", ["https://evil.example/z"]),
        ("new-order", "authorizations", ["http://127.0.0.1/z"]),
        ("authz", "challenges", "url"),
        ("order", "certificate", "https://evil.example/c"),
    ],
)
def test_documents__may_not_lead_elsewhere(sim, issue, name, member, value):
    if value == "url":
        challenge = {
            "type": "http-01",
            "token": "x" * 43,
            "url": "https://evil.example/ch",
            "status": "pending",
        }
        value = [challenge]
    sim.script[name] = [lambda a: Answer({**a.body, member: value}, a.status, a.headers)]
    expect(issue(), "EPROTO")


def test_account__location_may_not_lead_elsewhere(sim, issue):
    sim.script["account"] = [Answer({}, 201, {"Location": "https://evil.example/acct"})]
    expect(issue(), "EPROTO", "evil.example")


@pytest.mark.parametrize("name", ["account", "new-order"])
def test_location__must_be_there(sim, issue, name):
    sim.script[name] = [lambda a: Answer(a.body, 201)]
    expect(issue(), "EPROTO", "Location")


@pytest.mark.parametrize("name", ["directory", "new-order", "authz", "order", "certificate"])
def test_html_with_status_200_is_no_answer(sim, issue, name):
    location = {"Location": sim.url("order")}
    sim.script[name] = [Answer("<html>captive portal</html>", headers=location, type="text/html")]
    expect(issue(), "EPROTO", "text/html")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"status":"pending","status":"valid"}', "[" * 300000],
    ids=["empty", "cut", "array", "twice", "endless"],
)
def test_json__broken_is_no_answer(sim, issue, text):
    sim.script["authz"] = [Answer(text)]
    expect(issue(), "EPROTO")


def test_token__is_never_a_path(sim, issue, tmp_path):
    for token in ("../../../../../../tmp/certauto-was-here", "a" * 21, "a" * 256, "a b" * 10, None):
        sim.script["authz"] = [
            lambda a, token=token: Answer(
                {**a.body, "challenges": [{**a.body["challenges"][0], "token": token}]}
            )
        ]
        expect(issue(), "EPROTO", "token")
    assert not os.listdir(tmp_path / "webroot")


def test_authz__of_a_name_that_was_not_ordered(sim, issue):
    sim.script["authz"] = [lambda a: Answer({**a.body, "identifier": {"value": "other.example"}})]
    expect(issue(), "EPROTO", "other.example")


def test_order__for_other_names(sim, issue):
    identifiers = [{"type": "dns", "value": "other.example"}]
    sim.script["new-order"] = [
        lambda a: Answer({**a.body, "identifiers": identifiers}, 201, a.headers)
    ]
    expect(issue(), "EPROTO", "other names")


def test_order__with_more_authorizations_than_names(sim, issue):
    sim.script["new-order"] = [
        lambda a: Answer({**a.body, "authorizations": [sim.url("authz")] * 2}, 201, a.headers)
    ]
    expect(issue(), "EPROTO", "2 authorizations")


def test_challenge__not_offered_says_what_is(sim, issue):
    challenges = [{"type": "dns-01", "url": "x", "token": "y"}, {"type": "odd-99"}]
    sim.script["authz"] = [lambda a: Answer({**a.body, "challenges": challenges})]
    expect(issue(), "ECHALLENGE", "http-01", "dns-01, odd-99")


def test_challenge__invalid_tells_the_ca_s_words(sim, issue):
    def invalid(answer):
        failed = {**answer.body["challenges"][0], "status": "invalid"}
        failed["error"] = problem("connection", "Timeout during connect\x1b[2J").body
        return Answer({**answer.body, "status": "invalid", "challenges": [failed]})

    sim.script["authz"] = [None, invalid]
    outcome = issue()
    expect(outcome, "ECHALLENGE", NAME, "Timeout during connect\\x1b[2J")
    assert outcome[1]["subproblems"][0]["name"] == NAME
    assert outcome[1]["type"] == "urn:ietf:params:acme:error:connection"


def test_challenge__valid_at_once_needs_no_poll(sim, issue):
    sim.script["challenge"] = [lambda a: Answer({**a.body, "status": "valid"})]
    assert issue() == (0, None)
    assert sim.count("authz") == 1


def test_finalize__valid_at_once_needs_no_poll(sim, issue):
    sim.script["finalize"] = [
        lambda a: Answer({**a.body, "status": "valid", "certificate": sim.url("certificate")})
    ]
    assert issue() == (0, None)
    assert sim.count("order") == 0


def test_authz__reused_is_not_answered_again(sim, issue):
    def valid(answer):
        sim.answered = True
        return Answer({**answer.body, "status": "valid"})

    sim.script["authz"] = [valid]
    assert issue() == (0, None)
    assert sim.count("challenge") == 0


def test_order__ready_at_once_needs_no_authorization(sim, issue):
    def ready(answer):
        sim.answered = True
        return Answer({**answer.body, "status": "ready"}, 201, answer.headers)

    sim.script["new-order"] = [ready]
    assert issue() == (0, None)
    assert sim.count("authz") == 0


def test_nonce__refused_is_tried_again_with_another(sim, issue):
    bad = problem("badNonce", "JWS has an invalid anti-replay nonce")
    sim.script["new-order"] = [bad] * 5 + [None]
    assert issue() == (0, None)
    assert sim.count("new-order") == 6
    assert sim.count("nonce") == 1  # each refusal brings the next one


def test_nonce__refused_for_ever_ends(sim, issue):
    sim.script["new-order"] = [problem("badNonce")]
    expect(issue(), "EPROTO", "badNonce")
    assert sim.count("new-order") == 101


def test_nonce__of_other_letters_is_never_used(sim, issue):
    sim.script["nonce"] = [Answer(headers={"Replay-Nonce": 'a"b'})]
    expect(issue(), "EPROTO", "nonce")
    assert sim.count("nonce") == 1


def test_rate_limit__is_told_with_its_time_and_not_tried_again(sim, issue):
    before = time.time()
    sim.script["new-order"] = [
        problem("rateLimited", "too many certificates", 429, Retry_After=3600)
    ]
    outcome = issue()
    expect(outcome, "ERETRY_LATER", "too many certificates", status=75)
    assert before + 3599 <= outcome[1]["retry_at"] <= time.time() + 3601
    assert outcome[1]["type"] == "urn:ietf:params:acme:error:rateLimited"
    assert sim.count("new-order") == 1


@pytest.mark.parametrize(
    "after, least, most",
    [("0", 1, 3), ("-5", 1, 61), ("99999999", 604799, 604801), ("soon", 59, 61)],
)
def test_rate_limit__wild_times_are_clamped(sim, issue, after, least, most):
    before = time.time()
    sim.script["new-order"] = [problem("rateLimited", "wait", 429, Retry_After=after)]
    outcome = issue()
    expect(outcome, "ERETRY_LATER", status=75)
    assert before + least - 1 <= outcome[1]["retry_at"] <= time.time() + most


def test_busy__503_with_a_time_is_obeyed(sim, issue):
    sim.script["new-order"] = [Answer("busy", 503, {"Retry-After": "120"}, "text/plain")]
    expect(issue(), "ERETRY_LATER", "503", status=75)
    assert sim.count("new-order") == 1


def test_busy__500_is_tried_again(sim, issue):
    sim.script["authz"] = [problem("serverInternal", "oops", 500), None]
    assert issue() == (0, None)
    assert sim.count("authz") == 3


def test_poll__retry_after_is_obeyed(sim, issue):
    pending = {"status": "pending"}

    def wait(answer):
        return Answer({**answer.body, **pending}, headers={"Retry-After": "1"})

    sim.script["authz"] = [None, wait, None]
    before = time.monotonic()
    assert issue() == (0, None)
    assert time.monotonic() - before >= 1
    assert sim.count("authz") == 3


def test_finalize__refused_once_is_looked_at_again(sim, issue):
    sim.script["finalize"] = [problem("orderNotReady", "a moment", 403), None]
    assert issue() == (0, None)
    assert sim.count("finalize") == 2


def test_finalize__refused_for_good_tells_the_ca_s_words(sim, issue):
    sim.script["finalize"] = [problem("badCSR", "weak key")]
    expect(issue(), "EREFUSED", "weak key", "badCSR")
    assert sim.count("finalize") == 2


def test_finalize__order_invalid_tells_why(sim, issue):
    error = problem("caa", "CAA forbids").body
    sim.script["finalize"] = [lambda a: Answer({**a.body, "status": "invalid", "error": error})]
    expect(issue(), "ECHALLENGE", "CAA forbids")


def test_order__invalid_is_not_met_again(sim, issue):
    error = problem("caa", "CAA forbids").body
    sim.script["finalize"] = [
        lambda a: Answer({**a.body, "status": "invalid", "error": error}),
        None,
    ]
    expect(issue(), "ECHALLENGE")
    assert issue() == (0, None)
    assert sim.count("new-order") == 2


def test_order__of_an_earlier_run_goes_on(sim, issue):
    sim.script["certificate"] = [problem("serverInternal", "down", 500)]
    assert issue()[0] == 1
    sim.script["certificate"] = [None]
    assert issue() == (0, None)
    assert sim.count("new-order") == 1
    assert sim.count("finalize") == 1


def test_order__of_an_earlier_run_that_is_gone_is_made_anew(sim, issue):
    sim.script["certificate"] = [problem("serverInternal", "down", 500)]
    assert issue()[0] == 1
    sim.script["certificate"] = [None]
    sim.script["order"] = [problem("malformed", "no such order", 404), None]
    assert issue() == (0, None)
    assert sim.count("new-order") == 2


def test_order__unknown_state_is_not_guessed(sim, issue):
    sim.script["order"] = [lambda a: Answer({**a.body, "status": "cooking"})]
    expect(issue(), "EPROTO", "cooking")


def test_account__gone_is_told_and_no_second_one_is_made(sim, issue):
    sim.script["new-order"] = [problem("rejectedIdentifier", "not this one")]
    expect(issue(), "EREFUSED", "not this one")
    sim.script["new-order"] = [problem("accountDoesNotExist", "who are you")]
    expect(issue(), "EAUTH", "who are you")
    assert sim.count("account") == 1


def test_account__deactivated_is_told(sim, issue):
    sim.script["account"] = [lambda a: Answer({"status": "deactivated"}, 200, a.headers)]
    expect(issue(), "EAUTH", "deactivated")


def test_certificate__of_another_key_is_not_accepted(sim, issue, ca, tmp_path):
    cert, _key = ca.issue(str(tmp_path / "other"), f"DNS:{NAME}")
    with open(cert, encoding="ascii") as file:
        other = file.read()
    sim.script["certificate"] = [Answer(other, type="application/pem-certificate-chain")]
    expect(issue(), "ECERT", "key")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-40],
        lambda text: text + "hello\n",
        lambda text: "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n" + text,
        lambda text: re.sub("CERTIFICATE", "X509 CRL", text),
        lambda text: text * 12,
    ],
    ids=["empty", "cut", "more", "key", "crl", "dozen"],
)
def test_certificate__of_another_shape_is_not_accepted(sim, issue, change):
    sim.script["certificate"] = [lambda a: Answer(change(a.body), type=a.type)]
    expect(issue(), "ECERT")


def test_connection__closed_after_each_answer(sim, issue):
    sim.hang_up = {"directory", "nonce", "account", "new-order", "authz", "challenge", "finalize"}
    assert issue() == (0, None)
