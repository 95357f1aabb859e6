"""Accounts: made, bound, found, changed, given another key, closed; and what the CA says of them."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from conftest import BINARY
from real import driver
from real.certauto import Certauto
from real.lab import Lab
from real.pki import new_key
from real.webroot import Webroot
from sim.ca import CA, Answer, Fault, problem

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "account_driver.c")
MAC = "Q0FOQVJZLW1hYy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcw"  # base64url of CANARY-mac-key-...
KEYS = ["ecdsa-p256", "ecdsa-p384", "rsa-2048"]


@pytest.fixture(scope="module", name="program")
def _program(tmp_path_factory):
    """Words on one account, in one process."""
    folder = str(tmp_path_factory.mktemp("driver"))
    return driver.build(folder, BINARY, SOURCE, ["-lmbedcrypto"])


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    with CA(str(tmp_path), tls, validate=False) as up:
        yield up


@pytest.fixture(name="client")
def _client(ca, program, tmp_path):
    return Words(program, ca.directory, ca.ca_file, str(tmp_path / "state"))


class Words(driver.Driver):
    """The program: do() returns what each of its words came to."""

    def do(self, *words, state=True):
        """[["fetch", "ok", ...], ...]"""
        run = self.run(*words, state=state)
        assert run.status == 0 and run.err == "", str(run)
        return [line.split(" ", 2) for line in run.out.splitlines()]

    def last(self, *words, state=True):
        """All of the last word's line."""
        return " ".join(self.do(*words, state=state)[-1])

    def folder(self):
        """Where the account is kept."""
        (found,) = glob.glob(os.path.join(self.state, "accounts", "*"))
        return found

    def has(self, name):
        """Whether that file of the account is there."""
        return os.path.exists(os.path.join(self.folder(), name))

    def read(self, name):
        """A file of the account."""
        with open(os.path.join(self.folder(), name), encoding="ascii") as file:
            return file.read()


def only(ca):
    """The one account."""
    (account,) = ca.accounts.values()
    return account


def asked(ca):
    """All requests that were counted."""
    return sum(ca.counts[request] for request in {one.endpoint for one in ca.log})


# ---- external account binding


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_binding__is_taken_by_the_ca_under_each_mac(ca, client, alg):
    ca.eab = {"kid-1": MAC}
    assert client.last(f"alg={alg}", f"eab=kid-1:{MAC}", "register").startswith("register ok")
    assert only(ca).binding_kid == "kid-1"
    assert ca.counts["newAccount"] == 1


def test_binding__padding_and_a_line_end_are_tolerated(ca, client):
    ca.eab = {"kid-1": MAC}
    assert client.last(f"eab=kid-1:{MAC}==\n", "register").startswith("register ok")


@pytest.mark.parametrize("key", ["", "=", "not base64!", "a", "AAA\nAA", "CANARY+slash/", "===="])
def test_binding__a_bad_key_is_refused_and_not_shown(ca, client, key):
    said = client.last(f"eab=kid-1:{key}")
    assert said.startswith("eab CERTAUTO_EINVAL: the MAC key"), said
    assert key.strip() in ("", "=", "a", "====") or key not in said
    assert ca.counts["directory"] == 0


@pytest.mark.parametrize("kid", ["", "with space", "k" * 1025, "caf\xe9"])
def test_binding__a_bad_kid_is_refused(client, kid):
    assert client.last(f"eab={kid}:{MAC}").startswith("eab CERTAUTO_EINVAL: the kid")


def test_binding__an_unknown_mac_is_refused(client):
    assert client.last("alg=none").startswith("alg CERTAUTO_EINVAL: ")
    assert client.last("alg=ES256").startswith("alg CERTAUTO_EINVAL: ")


def test_binding__that_it_is_needed_is_said_before_anything_is_made(ca, client):
    ca.eab = {"kid-1": MAC}
    said = client.last("register")
    assert said.startswith("register CERTAUTO_EINVAL: "), said
    assert "--eab-kid" in said and '"eab"' in said
    assert ca.counts["newAccount"] == 0


@pytest.mark.parametrize("kid, mac", [("old", MAC), ("foreign", MAC), ("kid-1", MAC[::-1])])
def test_binding__the_refusal_is_told_in_the_words_of_the_ca(ca, client, kid, mac):
    ca.eab, ca.eab_expired = {"kid-1": MAC, "old": MAC}, ("old",)
    said = client.last(f"eab={kid}:{mac}", "register")
    assert re.match(r"register CERTAUTO_(EAUTH|EREFUSED): ", said), said
    assert "--eab-kid" in said and mac not in said
    assert {"old": "has expired", "foreign": "is unknown", "kid-1": ""}[kid] in said
    assert ca.counts["accounts made"] == 0


def test_binding__is_not_sent_for_an_account_that_is_there(ca, client):
    assert client.last("register").startswith("register ok")
    ca.eab = {"kid-1": MAC}
    os.unlink(os.path.join(client.folder(), "account.json"))
    assert client.last(f"eab=kid-1:{MAC}", "register").startswith("register ok")
    assert ca.counts["accounts made"] == 1
    assert not any(b"externalAccountBinding" in request.payload for request in ca.log)


# ---- found, read, changed


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", ["key", "signer"])
def test_account__each_kind_of_key_works_in_each_verb(ca, client, key, form):
    given = f"key={'signer:' if form == 'signer' else ''}{key}"
    lines = client.do(
        given, "register", "contact=mailto:a@example.org", "update", "fetch", "issue=a.example.org",
        f"rotate=signer:{key}", "fetch", "orders", "rotate=ecdsa-p256", "issue=b.example.org",
        "deactivate", state=None,
    )  # fmt: skip
    assert [line[1] for line in lines] == ["ok"] * len(lines), lines
    assert only(ca).status == "deactivated" and ca.counts["keys changed"] == 2
    assert ca.counts["certificates issued"] == 2


@pytest.mark.parametrize("key", KEYS)
def test_account__the_key_that_is_made_is_of_the_type_asked_for(ca, client, key):
    assert client.last(f"keytype={key}", "register", "fetch").startswith("fetch ok")
    kty = only(ca).key.jwk["kty"]
    assert kty == ("RSA" if key.startswith("rsa") else "EC")
    assert client.last("keytype=rsa-1024").startswith("keytype CERTAUTO_EINVAL: ")


def test_fetch__finds_the_account_by_its_key(ca, client):
    client.do("contact=mailto:ops@example.org", "register")
    os.unlink(os.path.join(client.folder(), "account.json"))
    assert client.last("fetch") == f"fetch ok {only(ca).url} valid mailto:ops@example.org"
    assert ca.counts["accounts made"] == 1
    assert json.loads(client.read("account.json"))["url"] == only(ca).url


def test_fetch__does_not_make_an_account(ca, client):
    for words in (["fetch"], ["key=ecdsa-p256", "fetch"], ["update"], ["rotate"], ["deactivate"]):
        said = client.last(*words)
        assert "CERTAUTO_EAUTH: there is no account" in said and "register" in said, said
    assert ca.counts["accounts made"] == 0
    assert not os.path.exists(os.path.join(client.state, "accounts"))


def test_fetch__shows_the_profiles_of_the_ca(ca, client):
    ca.profiles = {"classic": {"description": "x"}, "short.lived": {"description": "y"}}
    assert client.last("register", "fetch").endswith(" profile:classic profile:short.lived")


def test_update__without_contacts_clears_them(ca, client):
    client.do("contact=mailto:a@example.org", "contact=mailto:b@example.org", "register")
    assert only(ca).contact == ["mailto:a@example.org", "mailto:b@example.org"]
    assert client.last("contact=mailto:c@example.org", "update") == "update ok"
    assert only(ca).contact == ["mailto:c@example.org"]
    assert client.last("update", "fetch") == f"fetch ok {only(ca).url} valid"
    assert only(ca).contact == []


def test_terms__a_change_is_told_with_where_to_go_and_can_be_agreed_to(ca, client):
    client.do("register")
    ca.change_terms()
    said = client.last("issue=a.example.org")
    assert said.startswith("issue CERTAUTO_EPERM: "), said
    assert "https://ca.example.net/terms/2" in said and "account update --agree-tos" in said
    assert ca.base + "/agree" in said
    assert client.last("disagree", "update", "issue=a.example.org").startswith("issue CERTAUTO_EPERM")
    assert client.last("update", "issue=a.example.org") == "issue ok"


# ---- the list of orders


@pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
def test_orders__all_pages_are_read(ca, client, count):
    client.do("register", *[f"issue=n{n}.example.org" for n in range(count)])
    assert client.last("orders").split()[2:] == list(ca.orders)
    assert ca.counts["orders"] == max(1, -(-count // ca.orders_per_page))


def circle(pages):
    """Pages that lead from the last to the given one."""

    def answer(request, _answer):
        page = int(request.query[7:] or 0) if request.query.startswith("cursor=") else 0
        link = f"{request.url.split('?')[0]}?cursor={page + 1 if page + 1 < pages[0] else pages[1]}"
        return Answer({"orders": []}, headers={"Link": [f'<{link}>;rel="next"']})

    return answer


@pytest.mark.parametrize("pages", [(1, 0), (2, 0), (7, 3), (40, 39), (100, 10)])
def test_orders__a_circle_is_noticed(ca, client, pages):
    ca.on("orders", circle(pages))
    said = client.last("register", "orders")
    assert said.startswith("orders CERTAUTO_EPROTO: ") and "leads back to" in said, said
    assert ca.counts["orders"] <= 4 * pages[0] + 2


def test_orders__an_endless_list_ends(ca, client):
    ca.on("orders", circle((10**9, 0)))
    said = client.last("register", "orders")
    assert said.startswith("orders CERTAUTO_EPROTO: ") and "1000 pages" in said, said
    assert ca.counts["orders"] == 1000


def test_orders__a_page_elsewhere_is_not_read(ca, client):
    link = {"Link": ['<https://evil.example/orders>;rel="next"']}
    ca.on("orders", lambda *_: Answer({"orders": []}, headers=link))
    assert client.last("register", "orders").startswith("orders CERTAUTO_EPROTO: ")
    assert ca.counts["orders"] == 1


def test_orders__a_ca_without_the_list_is_told(ca, client):
    def without(_request, answer):
        answer.body.pop("orders", None)
        return answer

    ca.on("account", without)
    assert client.last("register", "orders").startswith("orders CERTAUTO_EUNSUPPORTED: ")


# ---- deactivated


def test_deactivate__leaves_a_trace_so_that_no_new_account_is_made(ca, client):
    assert client.last("register", "deactivate") == "deactivate ok"
    assert only(ca).status == "deactivated"
    assert json.loads(client.read("account.json"))["status"] == "deactivated"
    before = asked(ca)
    for word in ("register", "fetch", "update", "rotate", "orders", "issue=a.example.org"):
        said = client.last(word)
        assert "CERTAUTO_EAUTH: " in said and "deactivated" in said and "move" in said, said
    assert asked(ca) - before <= 6  # the directory, each time
    assert ca.counts["accounts made"] == 1
    assert client.last("deactivate") == "deactivate ok"
    shutil.rmtree(client.folder())
    assert client.last("register").startswith("register ok")
    assert ca.counts["accounts made"] == 2


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("words", [["register", "deactivate"], ["deactivate"]])
def test_deactivate__a_lost_answer_does_not_matter(ca, client, words, times):
    client.do("register")
    lost = [times]

    def lose(request, answer):
        if b"deactivated" in request.payload and lost[0] > 0:
            lost[0] -= 1
            answer.fault = Fault("lost-reply")
            return answer
        return None

    ca.on("account", lose)
    assert client.last(*words) == "deactivate ok"
    assert ca.counts["accounts deactivated"] == 1
    assert json.loads(client.read("account.json"))["status"] == "deactivated"


@pytest.mark.parametrize("word", ["fetch", "update", "rotate", "issue=a.example.org", "orders"])
@pytest.mark.parametrize("status", ["deactivated", "revoked"])
def test_account__that_the_ca_has_closed_it_is_told(ca, client, word, status):
    client.do("register")
    only(ca).status = status
    said = client.last(word)
    assert "CERTAUTO_EAUTH: " in said and "was deactivated or revoked" in said, said
    assert status in said
    assert ca.counts["accounts made"] == 1


# ---- the key of the account


def test_rotate__the_new_key_is_used_from_then_on(ca, client):
    client.do("register")
    old, first = client.read("key.pem"), only(ca).key.jwk
    assert client.last("rotate", "issue=a.example.org", "orders").startswith("orders ok")
    assert only(ca).key.jwk != first and client.read("key.pem") != old
    assert not client.has("next.pem")
    assert client.last("issue=b.example.org") == "issue ok"
    assert (ca.counts["keys changed"], ca.counts["accounts made"]) == (1, 1)


@pytest.mark.parametrize("key", KEYS)
def test_rotate__a_given_key_is_kept_in_the_store(ca, client, key):
    client.do("register")
    assert client.last(f"rotate={key}", "fetch").startswith("fetch ok")
    assert client.last("fetch").startswith("fetch ok")
    assert ca.counts["keys changed"] == 1


def test_rotate__what_cannot_be_is_refused_before_anything_is_sent(ca, client):
    client.do("register")
    said = client.last("rotate=signer:ecdsa-p256")
    assert said.startswith("rotate CERTAUTO_EUNSUPPORTED: "), said
    said = client.last("key=ecdsa-p256", "register", "rotate", state=None)
    assert said.startswith("rotate CERTAUTO_EINVAL: ") and "must be given" in said, said
    said = client.last("key=ecdsa-p256", "register", "rotate=same", state=None)
    assert said.startswith("rotate CERTAUTO_EINVAL: ") and "already" in said, said
    assert ca.counts["keyChange"] == 0 and not client.has("next.pem")
    assert client.last("fetch").startswith("fetch ok")


def test_rotate__a_ca_without_it_is_told(ca, client):
    def without(_request, answer):
        answer.body.pop("keyChange", None)
        return answer

    ca.on("directory", without)
    assert client.last("register", "rotate").startswith("rotate CERTAUTO_EUNSUPPORTED: ")
    assert not client.has("next.pem")


@pytest.mark.parametrize("body", [True, False])
def test_rotate__a_key_with_an_account_is_refused(ca, client, body):
    def conflict(*_):
        headers = {"Location": ca.base + "/account/99"}
        if body:
            return problem("malformed", "the new key has an account", 409, **headers)
        return Answer(b"", 409, headers, type="text/plain")

    client.do("register")
    old = client.read("key.pem")
    ca.on("keyChange", conflict, before=True)
    said = client.last("rotate")
    assert said.startswith("rotate CERTAUTO_EREFUSED: ") and "account of its own" in said, said
    assert client.read("key.pem") == old and not client.has("next.pem")
    ca.behave()
    assert client.last("rotate", "fetch").startswith("fetch ok")


def test_rotate__the_words_of_a_refusal_are_told_and_the_old_key_stays(ca, client):
    client.do("register")
    old = client.read("key.pem")
    refusal = problem("badPublicKey", "not on a Tuesday", 400)
    ca.on("keyChange", lambda *_: refusal, before=True)
    said = client.last("rotate", "fetch")
    assert said.startswith("fetch ok")
    said = client.last("rotate")
    assert said.startswith("rotate CERTAUTO_EREFUSED: ") and "not on a Tuesday" in said, said
    assert client.read("key.pem") == old and not client.has("next.pem")


@pytest.mark.parametrize("kind", ["lost-reply", "lost-request"])
@pytest.mark.parametrize("times", [1, 2, 99])
@pytest.mark.parametrize("store", [True, None])
def test_rotate__a_lost_answer_is_asked_for(ca, client, kind, times, store):
    """99: the job ends without knowing, and the next one asks."""
    left = [times]

    def lose(_request, answer):
        if left[0] == 0 or (answer and answer.status >= 400 and times < 99):
            return None
        left[0] -= 1
        if answer:
            answer.fault = Fault(kind)
        return answer or Answer(fault=Fault(kind))

    ca.on("keyChange", lose, before=kind == "lost-request")
    begin = ["register"] if store else ["key=ecdsa-p256", "register"]
    rotated = "rotate" if store else "rotate=ecdsa-p256"
    lines = client.do(*begin, rotated, "fetch", "issue=a.example.org", state=store)
    assert [line[1] for line in lines[-2:]] == ["ok", "ok"], lines
    if times < 99:
        assert lines[-3][:2] == ["rotate", "ok"]
    changed = 0 if (kind, times) == ("lost-request", 99) else 1
    assert (ca.counts["keys changed"], ca.counts["accounts made"]) == (changed, 1)
    if store:
        assert not client.has("next.pem")
        assert client.last("fetch").startswith("fetch ok")
    refused = [one for one in ca.log if one.status and one.status >= 400]
    assert {one.endpoint for one in refused} <= {"keyChange", "newAccount"}, refused


def put(client, **files):
    """Files of the account: key, next."""
    for name, text in files.items():
        path = os.path.join(client.folder(), name + ".pem")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o600)


def refusals(ca, since=0):
    """The endpoints that have said no, refused nonces left out."""
    return [one.endpoint for one in ca.log[since:] if (one.status or 0) >= 400]


WORDS = ["register", "fetch", "update", "orders", "rotate", "issue=a.example.org", "deactivate"]


@pytest.mark.parametrize("word", WORDS)
def test_rotate__after_a_kill_the_next_key_is_taken_if_it_counts(ca, client, word):
    client.do("register")
    old = client.read("key.pem")
    client.do("rotate")
    new = client.read("key.pem")
    put(client, key=old, next=new)
    since = len(ca.log)
    assert client.last(word).startswith(word.split("=")[0] + " ok")
    assert refusals(ca, since) == []
    assert not client.has("next.pem")
    if word != "rotate":
        assert client.read("key.pem") == new
    assert ca.counts["accounts made"] == 1


@pytest.mark.parametrize("word", WORDS)
def test_rotate__after_a_kill_the_next_key_goes_if_the_ca_never_heard_of_it(
    ca, client, word, tmp_path
):
    client.do("register")
    old = client.read("key.pem")
    with open(new_key(str(tmp_path / "unheard.pem")), encoding="ascii") as file:
        put(client, next=file.read())
    since = len(ca.log)
    assert client.last(word).startswith(word.split("=")[0] + " ok")
    assert refusals(ca, since) == ["newAccount"]
    assert not client.has("next.pem")
    if word != "rotate":
        assert client.read("key.pem") == old
    assert ca.counts["accounts made"] == 1


@pytest.mark.parametrize("acted", [True, False])
@pytest.mark.parametrize("endpoint", ["directory", "newNonce", "keyChange", "account"])
def test_rotate__killed_while_the_ca_is_at_it(ca, client, endpoint, acted):
    """Whatever moment it dies in, the next run has one account and its key."""
    client.do("register")
    argv = [client.program, client.server, client.ca_file, client.state, "rotate", "fetch"]
    running = []

    def kill(_request, answer):
        if running:
            running.pop().kill()
        return answer

    with ca.lock:  # nothing is answered before there is somebody to kill
        ca.on(endpoint, kill, before=not acted)
        running.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
        process = running[0]
    assert process.wait(timeout=60) == -signal.SIGKILL
    ca.behave()
    since = len(ca.log)
    assert client.last("fetch", "issue=a.example.org") == "issue ok"
    assert set(refusals(ca, since)) <= {"newAccount"} and not client.has("next.pem")
    assert ca.counts["accounts made"] == 1


def test_rotate__a_next_key_of_another_account_goes(ca, client, program, tmp_path):
    client.do("register")
    old = client.read("key.pem")
    other = Words(program, ca.directory, ca.ca_file, str(tmp_path / "other"))
    other.do("register")
    put(client, next=other.read("key.pem"))
    url = list(ca.accounts)[0]
    assert client.last("fetch") == f"fetch ok {url} valid"
    assert client.read("key.pem") == old and not client.has("next.pem")


def test_rotate__a_next_key_is_taken_without_account_json(ca, client):
    client.do("register")
    old = client.read("key.pem")
    client.do("rotate")
    new = client.read("key.pem")
    put(client, key=old, next=new)
    os.unlink(os.path.join(client.folder(), "account.json"))
    assert client.last("register", "issue=a.example.org") == "issue ok"
    assert client.read("key.pem") == new and ca.counts["accounts made"] == 1


def test_rotate__while_it_is_not_known_nothing_is_signed(ca, client):
    client.do("register")
    ca.script["keyChange"] = [Answer(fault=Fault("lost-request"))]
    ca.script["newAccount"] = [Answer(b"", 500, type="text/plain")]
    lines = client.do("rotate", "fetch", "issue=a.example.org")
    assert all(line[1].startswith("CERTAUTO_") for line in lines), lines
    assert ca.counts["account"] == ca.counts["newOrder"] == 0 and client.has("next.pem")
    ca.behave()
    assert client.last("issue=a.example.org") == "issue ok"
    assert not client.has("next.pem")


def test_rotate__running_orders_go_on_under_the_new_key(ca, client):
    assert client.last("register", "storm=40") == "storm ok"
    assert refusals(ca) == []
    assert ca.counts["keys changed"] == 1 and ca.counts["certificates issued"] == 40


def test_rotate__a_process_that_runs_takes_the_key_another_has_changed(ca, client, tmp_path):
    argv = [client.program, client.server, client.ca_file, client.state]
    there = tmp_path / "there"
    words = ["register", "issue=a.example.org", f"await={there}", "issue=b.example.org", "fetch"]
    with subprocess.Popen(argv + words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline().startswith("register ok")
        assert running.stdout.readline().startswith("issue ok")
        assert client.last("rotate") == "rotate ok"
        there.touch()
        out = running.communicate(timeout=60)[0]
    assert re.findall(r"^\w+ \w+", out, re.M) == ["await ok", "issue ok", "fetch ok"], out
    assert ca.counts["accounts made"] == 1


def test_rotate__two_processes_take_turns(ca, client):
    client.do("register")
    argv = [client.program, client.server, client.ca_file, client.state, "rotate", "fetch"]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in running:
        assert re.findall(r" ok", process.communicate(timeout=60)[0]) == [" ok", " ok"]
    assert ca.counts["keys changed"] == 4
    assert client.last("fetch").startswith("fetch ok") and not client.has("next.pem")


@pytest.mark.parametrize("word", ["fetch", "update", "orders", "rotate", "issue=a.example.org"])
def test_backup__a_key_that_was_replaced_since_is_told_and_no_account_made(ca, client, word):
    client.do("register")
    old = client.read("key.pem")
    client.do("rotate")
    put(client, key=old)
    said = client.last(word)
    assert "CERTAUTO_EAUTH: " in said and "does not know the key of the account" in said, said
    assert "backup" in said and "key.pem" in said
    assert ca.counts["accounts made"] == 1 and not client.has("next.pem")
    assert client.last("register").startswith("register ok")  # it has an account: nothing to do
    assert ca.counts["accounts made"] == 1


def test_backup__an_account_the_ca_has_lost_is_told_and_none_made(ca, client):
    client.do("register")
    ca.forget_accounts()
    said = client.last("issue=a.example.org")
    assert "CERTAUTO_EAUTH: " in said and "does not know the key" in said, said
    assert ca.counts["accounts made"] == 1


# ---- limits of the whole account or server


def later(seconds, status=429, body=True):
    """An answer that says so."""
    if body:
        return problem("rateLimited", "too many of you", status, Retry_After=seconds)
    return Answer(b"busy", status, {"Retry-After": str(seconds)}, type="text/plain")


def retry_at(line):
    """The time told."""
    return int(line.rsplit(" | ", 1)[1])


@pytest.mark.parametrize(
    "endpoint, answer",
    [
        ("newAccount", later(3600)),
        ("newAccount", later(3600, 503)),
        ("newAccount", later(3600, 503, body=False)),
        ("newNonce", later(3600, body=False)),
        ("newNonce", later(3600, 503, body=False)),
        ("directory", later(3600)),
        ("directory", later(3600, 503, body=False)),
    ],
)
def test_limits__a_second_process_asks_nothing(ca, client, endpoint, answer):
    ca.on(endpoint, lambda *_: answer, before=True)
    first = client.last("register")
    assert first.startswith("register CERTAUTO_ERETRY_LATER: "), first
    assert abs(retry_at(first) - time.time() - 3600) < 30
    before = asked(ca)
    again = client.last("register")
    assert again.startswith("register CERTAUTO_ERETRY_LATER: ") and "is not asked before" in again
    assert f"HTTP {answer.status}" in again and retry_at(again) == retry_at(first)
    assert ("too many of you" in again) == (answer.type != "text/plain")
    assert asked(ca) == before


def test_limits__a_server_that_is_busy_for_all_is_left_alone(ca, client):
    client.do("register")
    ca.on("newOrder", lambda *_: later(3600, 503, body=False), before=True)
    assert client.last("issue=a.example.org").startswith("issue CERTAUTO_ERETRY_LATER: ")
    before = asked(ca)
    for word in ("fetch", "issue=b.example.org", "rotate"):
        assert " CERTAUTO_ERETRY_LATER: " in client.last(word)
    assert asked(ca) == before and ca.counts["newOrder"] == 1


def test_limits__what_is_said_of_an_order_is_not_said_of_the_account(ca, client):
    client.do("register")
    ca.on("newOrder", lambda *_: later(3600), before=True)
    assert client.last("issue=a.example.org").startswith("issue CERTAUTO_ERETRY_LATER: ")
    assert not client.has("limits.json")
    assert client.last("fetch").startswith("fetch ok")


def test_limits__on_new_accounts_do_not_touch_one_that_is_there(ca, client):
    client.do("register")
    put_limits(client, newAccount={"until": int(time.time()) + 3600, "reason": "too many"})
    assert client.last("issue=a.example.org") == "issue ok"
    assert client.has("limits.json")


def put_limits(client, **limits):
    """A file as the library writes it."""
    path = os.path.join(client.folder(), "limits.json")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"version": 1, **limits}, file)
    os.chmod(path, 0o600)


@pytest.mark.parametrize("after", [-10, 8 * 86400])
def test_limits__one_that_has_passed_or_cannot_be_goes(client, after):
    """Nobody is told to wait for more than 7 days: then a clock was wrong."""
    client.do("register")
    put_limits(client, server={"until": int(time.time()) + after, "reason": "x"})
    assert client.last("fetch").startswith("fetch ok")
    assert not client.has("limits.json")


def test_limits__one_that_stands_is_honoured_by_all_jobs(ca, client):
    client.do("register")
    until = int(time.time()) + 1000
    put_limits(client, server={"until": until, "reason": "the words of the CA"})
    before = asked(ca)
    for word in WORDS[1:]:
        said = client.last(word)
        assert " CERTAUTO_ERETRY_LATER: " in said and "the words of the CA" in said, said
        assert retry_at(said) == until
    assert asked(ca) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"server":{"until":"soon"}}', "\0\0\0"])
def test_limits__a_damaged_file_is_passed_over(client, text):
    client.do("register")
    put_limits(client)
    with open(os.path.join(client.folder(), "limits.json"), "w", encoding="ascii") as file:
        file.write(text)
    assert client.last("fetch").startswith("fetch ok")


@pytest.mark.parametrize("said, least, most", [("0", 0, 5), ("-5", 0, 70), ("99999999999", 6, 7)])
def test_limits__the_time_told_is_kept_within_a_second_and_seven_days(ca, client, said, least, most):
    ca.on("newAccount", lambda *_: later(said), before=True)
    wait = retry_at(client.last("register")) - time.time()
    if most == 7:
        least, most = 6.9 * 86400, 7 * 86400 + 5
    assert least - 5 <= wait <= most


def test_limits__the_command_ends_with_75(ca, client, tmp_path):
    ca.on("newAccount", lambda *_: later(3600), before=True)
    for _ in range(2):
        run = command(ca, tmp_path, "register", "--agree-tos")
        assert run.status == 75 and "too many of you" in run.err, str(run)
    assert ca.counts["newAccount"] == 1


# ---- the command, secrets, Pebble


def command(ca, folder, verb, *args):
    """certauto account VERB without a configuration."""
    options = ["--server", ca.directory, "--ca-file", ca.ca_file, "--state", folder / "state"]
    return Certauto(BINARY).run("account", verb, *options, *args)


@pytest.mark.parametrize("expired", [(), ("kid-1",)])
def test_command__a_mac_key_is_never_shown(ca, tmp_path, expired):
    ca.eab, ca.eab_expired = {"kid-1": MAC}, expired
    (tmp_path / "mac").write_text(MAC + "\n", encoding="ascii")
    (tmp_path / "mac").chmod(0o600)
    bound = ["--eab-kid", "kid-1", "--eab-hmac", f"file:{tmp_path / 'mac'}", "--agree-tos"]
    run = command(ca, tmp_path, "register", *bound, "-v")
    assert (run.status == 0) == (not expired), str(run)
    kept = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    for text in (run.out.encode(), run.err.encode(), *kept):
        assert MAC.encode() not in text and b"CANARY" not in text


@pytest.fixture(scope="module", name="hard_lab")
def _hard_lab(tmp_path_factory):
    """A Pebble that refuses nine of ten nonces, and who has no external account."""
    folder = str(tmp_path_factory.mktemp("webroot"))
    pebble = {"nonce_reject": 90, "eab": {"kid-1": MAC}}
    with Lab(front=lambda lab: Webroot(folder), pebble=pebble) as up:
        yield up


def test_pebble__takes_every_verb(hard_lab, program, tmp_path):
    pebble = hard_lab.pebble
    client = Words(program, pebble.directory, pebble.ca_file, str(tmp_path / "state"))
    assert client.last("register").startswith("register CERTAUTO_EINVAL: ")
    assert " CERTAUTO_E" in client.last(f"eab=kid-2:{MAC}", "register")
    lines = client.do(
        f"eab=kid-1:{MAC}", "contact=mailto:a@example.org", "register", "fetch", "update", "rotate",
        "fetch", *[f"issue=n{n}.example.org" for n in range(7)], "orders", "deactivate",
    )  # fmt: skip
    by_word = {line[0]: line for line in lines}
    for word in ("register", "fetch", "update", "rotate", "orders", "deactivate"):
        assert by_word[word][1] == "ok", lines
    assert by_word["fetch"][2].endswith(" valid mailto:a@example.org")
    # No target answers for them, so they fail; what the list shows of such ones is Pebble's own.
    assert by_word["issue"][1].startswith("CERTAUTO_"), lines
    assert len(by_word["orders"][2].split() if len(by_word["orders"]) > 2 else []) in (0, 7)
    said = client.last("issue=x.example.org")
    assert "CERTAUTO_EAUTH: " in said and "deactivated" in said


@pytest.mark.parametrize("word", ["fetch", "orders", "rotate", "issue=x.example.org"])
def test_pebble__a_replaced_key_is_told(hard_lab, program, tmp_path, word):
    pebble = hard_lab.pebble
    client = Words(program, pebble.directory, pebble.ca_file, str(tmp_path / "state"))
    assert client.last(f"eab=kid-1:{MAC}", "register").startswith("register ok")
    old = client.read("key.pem")
    assert client.last("rotate") == "rotate ok"
    put(client, key=old)
    said = client.last(word)
    assert "CERTAUTO_EAUTH: " in said and "does not know the key of the account" in said, said
