"""A CA that breaks the protocol, or has a bad day: what is told, and how often it is asked.

test_storm.py meets every misbehaviour the simulated CA knows; here are the turns of a conversation
that take more than one of them, and the exact words.
"""

import json
import os
import re
import time

import pytest

from real.certauto import Certauto
from real.pki import TestCA
from sim.ca import CA, Answer, problem

NAME = "www.example.org"


@pytest.fixture(scope="module", name="tls")
def _tls(tmp_path_factory):
    """The CA of the server, and a certificate from it."""
    folder = tmp_path_factory.mktemp("tls")
    tls = TestCA(str(folder))
    return tls, tls.issue(str(folder / "server"))


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    # It validates nothing: what is up is looked at by other tests.
    with CA(str(tmp_path), tls[0], *tls[1], validate=False, order_async=True) as ca:
        yield ca


@pytest.fixture(name="issue")
def _issue(tmp_path, ca, binary):
    """Run `issue` for one name; returns the exit status and the error, as --json tells it."""
    for folder in ("webroot", "out"):
        os.mkdir(tmp_path / folder)

    def run():
        done = Certauto(binary).run(
            "--json", "issue", "--server", ca.directory, "--ca-file", ca.ca_file, "--agree-tos",
            "--state", str(tmp_path / "state"), "--domain", NAME, "--challenge", "http-01",
            "--target", f"files,directory={tmp_path}/out,webroot={tmp_path}/webroot,"
            "probe=no,challenge_check=no",
        )  # fmt: skip
        document = json.loads(done.out)
        error = document.get("error") or document["results"][0]["error"]
        # Whatever went wrong, nothing of the challenge is left over.
        assert not [path for path in (tmp_path / "webroot").rglob("*") if path.is_file()], done
        return done.status, error

    return run


def expect(outcome, code, *words, status=1):
    """The run failed with this code, and said these words."""
    assert outcome[0] == status, outcome
    error = outcome[1]
    assert error["code"] == "CERTAUTO_" + code, error
    for word in words:
        assert word in error["message"] + (error["advice"] or ""), (word, error)


def with_challenge(answer, **members):
    """An authorization whose only challenge is http-01, with other members."""
    challenge = next(one for one in answer.body["challenges"] if one["type"] == "http-01")
    return Answer({**answer.body, "challenges": [{**challenge, **members}]}, answer.status)


def test_sim__lets_a_certificate_through(ca, issue):
    assert issue() == (0, None)
    assert [one.endpoint for one in ca.log] == [
        "directory", "newNonce", "newAccount", "newOrder", "authz", "challenge", "authz",
        "finalize", "order", "order", "certificate", "renewalInfo",
    ]  # fmt: skip
    payloads = {one.endpoint: one.payload for one in ca.log}
    assert payloads["challenge"] == b"{}"
    assert payloads["authz"] == payloads["order"] == payloads["certificate"] == b""


@pytest.mark.parametrize("member", ["newNonce", "newAccount", "newOrder"])
def test_directory__may_not_lead_elsewhere(ca, issue, member):
    ca.script["directory"] = [lambda a: Answer({**a.body, member: "https://evil.example/x"})]
    expect(issue(), "EPROTO", "evil.example", "directory")
    assert len(ca.log) == 1


@pytest.mark.parametrize(
    "endpoint, member, value",
    [
        ("newOrder", "finalize", "https://evil.example/f"),
        ("newOrder", "authorizations", ["https://evil.example/z"]),
        ("newOrder", "authorizations", ["http://127.0.0.1/z"]),
        ("order", "certificate", "https://evil.example/c"),
    ],
)
def test_documents__may_not_lead_elsewhere(ca, issue, endpoint, member, value):
    ca.script[endpoint] = [
        lambda a: Answer({**a.body, "status": "valid", member: value}, a.status, a.headers)
        if member == "certificate"
        else Answer({**a.body, member: value}, a.status, a.headers)
    ]
    expect(issue(), "EPROTO", "refused")


def test_challenge__may_not_lead_elsewhere(ca, issue):
    ca.script["authz"] = [lambda a: with_challenge(a, url="https://evil.example/ch")]
    expect(issue(), "EPROTO", "evil.example")
    assert ca.counts["challenge"] == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"status":"pending","status":"valid"}', "[" * 300000],
    ids=["empty", "cut", "array", "twice", "endless"],
)  # fmt: skip
def test_json__broken_is_no_answer(ca, issue, text):
    ca.script["authz"] = [Answer(text)]
    expect(issue(), "EPROTO")


def test_token__is_never_a_path(ca, issue, tmp_path):
    for token in ("../../../../../../tmp/certauto-was-here", "a" * 21, "a" * 256, "a b" * 10, None):
        ca.script["authz"] = [lambda a, token=token: with_challenge(a, token=token)]
        expect(issue(), "EPROTO", "token")
    assert not os.listdir(tmp_path / "webroot")


def test_challenge__invalid_tells_the_ca_s_words(ca, issue):
    def invalid(answer):
        failed = problem("connection", "Timeout during connect\x1b[2J").body
        answer = with_challenge(answer, status="invalid", error=failed)
        return Answer({**answer.body, "status": "invalid"})

    ca.script["authz"] = [None, invalid]
    outcome = issue()
    expect(outcome, "ECHALLENGE", NAME, "Timeout during connect\\x1b[2J")
    assert outcome[1]["subproblems"][0]["name"] == NAME
    assert outcome[1]["type"] == "urn:ietf:params:acme:error:connection"


def test_challenge__valid_at_once_needs_no_poll(ca, issue):
    ca.script["challenge"] = [lambda a: Answer({**a.body, "status": "valid"})]
    assert issue() == (0, None)
    assert ca.counts["authz"] == 1


def test_finalize__valid_at_once_needs_no_poll(ca, issue):
    ca.order_async = False
    assert issue() == (0, None)
    assert ca.counts["order"] == 0


def test_authz__reused_is_not_answered_again(ca, issue):
    ca.misbehave("authz-valid-already")
    ca.on("newOrder", lambda _, a: Answer({**a.body, "status": "pending"}, 201, a.headers))
    assert issue() == (0, None)
    assert ca.counts["authz"] >= 1 and ca.counts["challenge"] == 0


def test_order__ready_at_once_needs_no_authorization(ca, issue):
    ca.misbehave("authz-valid-already")
    assert issue() == (0, None)
    assert ca.counts["authz"] == 0


def test_nonce__refused_is_tried_again_with_another(ca, issue):
    bad = problem("badNonce", "JWS has an invalid anti-replay nonce")
    ca.script["newOrder"] = [bad] * 5 + [None]
    assert issue() == (0, None)
    assert ca.counts["newOrder"] == 6
    assert ca.counts["newNonce"] == 1  # each refusal brings the next one


def test_nonce__refused_for_ever_ends(ca, issue):
    ca.script["newOrder"] = [problem("badNonce")]
    expect(issue(), "EPROTO", "badNonce")
    assert ca.counts["newOrder"] == 101


def test_nonce__of_other_letters_is_never_used(ca, issue):
    ca.script["newNonce"] = [Answer(headers={"Replay-Nonce": 'a"b'})]
    expect(issue(), "EPROTO", "nonce")
    assert ca.counts["newNonce"] == 1


def test_rate_limit__is_told_with_its_time_and_not_tried_again(ca, issue):
    before = time.time()
    ca.script["newOrder"] = [problem("rateLimited", "too many certificates", 429, Retry_After=3600)]
    outcome = issue()
    expect(outcome, "ERETRY_LATER", "too many certificates", status=75)
    assert before + 3599 <= outcome[1]["retry_at"] <= time.time() + 3601
    assert outcome[1]["type"] == "urn:ietf:params:acme:error:rateLimited"
    assert ca.counts["newOrder"] == 1


@pytest.mark.parametrize(
    "after, least, most",
    [("0", 1, 3), ("-5", 1, 61), ("99999999", 604799, 604801), ("soon", 59, 61)],
)
def test_rate_limit__wild_times_are_clamped(ca, issue, after, least, most):
    before = time.time()
    ca.script["newOrder"] = [problem("rateLimited", "wait", 429, Retry_After=after)]
    outcome = issue()
    expect(outcome, "ERETRY_LATER", status=75)
    assert before + least - 1 <= outcome[1]["retry_at"] <= time.time() + most


def test_busy__500_is_tried_again(ca, issue):
    ca.script["authz"] = [problem("serverInternal", "oops", 500), None]
    assert issue() == (0, None)
    assert ca.counts["authz"] == 3


def test_poll__retry_after_is_obeyed(ca, issue):
    def wait(answer):
        return Answer({**answer.body, "status": "pending"}, headers={"Retry-After": "1"})

    ca.script["authz"] = [None, wait, None]
    before = time.monotonic()
    assert issue() == (0, None)
    assert time.monotonic() - before >= 1
    assert ca.counts["authz"] == 3


def test_finalize__refused_once_is_looked_at_again(ca, issue):
    ca.script["finalize"] = [problem("orderNotReady", "a moment", 403), None]
    assert issue() == (0, None)
    assert ca.counts["finalize"] == 2


def test_finalize__refused_for_good_tells_the_ca_s_words(ca, issue):
    ca.script["finalize"] = [problem("badCSR", "weak key")]
    expect(issue(), "EREFUSED", "weak key", "badCSR")
    assert ca.counts["finalize"] == 2


def test_order__invalid_is_not_met_again(ca, issue):
    error = problem("caa", "CAA forbids").body
    ca.script["finalize"] = [
        lambda a: Answer({**a.body, "status": "invalid", "error": error}),
        None,
    ]
    expect(issue(), "ECHALLENGE", "CAA forbids")
    assert issue() == (0, None)
    assert ca.counts["newOrder"] == 2


def test_order__of_an_earlier_run_goes_on(ca, issue):
    ca.script["certificate"] = [problem("serverInternal", "down", 500)]
    assert issue()[0] == 1
    ca.behave()
    assert issue() == (0, None)
    assert ca.counts["newOrder"] == 1
    assert ca.counts["finalize"] == 1


def test_order__of_an_earlier_run_that_is_gone_is_made_anew(ca, issue):
    ca.script["certificate"] = [problem("serverInternal", "down", 500)]
    assert issue()[0] == 1
    ca.behave()
    ca.script["order"] = [problem("malformed", "no such order", 404), None]
    assert issue() == (0, None)
    assert ca.counts["newOrder"] == 2


def test_order__unknown_state_is_not_guessed(ca, issue):
    ca.script["order"] = [lambda a: Answer({**a.body, "status": "cooking"})]
    expect(issue(), "EPROTO", "cooking")


def test_account__gone_is_told_and_no_second_one_is_made(ca, issue):
    ca.script["newOrder"] = [problem("rejectedIdentifier", "not this one")]
    expect(issue(), "EREFUSED", "not this one")
    ca.script["newOrder"] = [problem("accountDoesNotExist", "who are you")]
    expect(issue(), "EAUTH", "who are you")
    assert ca.counts["accounts made"] == 1


def test_account__deactivated_is_told(ca, issue):
    ca.script["newAccount"] = [lambda a: Answer({"status": "deactivated"}, 200, a.headers)]
    expect(issue(), "EAUTH", "deactivated")


def test_certificate__of_another_key_is_not_accepted(ca, issue, tls, tmp_path):
    cert, _key = tls[0].issue(str(tmp_path / "other"), f"DNS:{NAME}")
    with open(cert, encoding="ascii") as file:
        other = file.read()
    ca.script["certificate"] = [Answer(other, type="application/pem-certificate-chain")]
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
def test_certificate__of_another_shape_is_not_accepted(ca, issue, change):
    ca.script["certificate"] = [lambda a: Answer(change(a.encoded().decode()), type=a.type)]
    expect(issue(), "ECERT")
