"""Revocation, by the account and by the certificate's key: at Pebble, and at the simulated CA."""

import json
import os
import ssl
import urllib.request
from dataclasses import dataclass

import pytest
from conftest import BINARY
from real import driver
from real.lab import Lab
from real.pki import TestCA, new_key, openssl
from real.webroot import Webroot
from sim.ca import CA, Answer

REASONS = [0, 1, 3, 4, 5]
NOT_REASONS = [-1, 2, 6, 7, 8, 9, 10, 11]


@dataclass
class Issued:
    """A certificate: its serial in hex, and the files it and its key are in."""

    serial: str
    chain: str
    key: str

    def der(self):
        """The leaf."""
        return openssl("x509", "-in", self.chain, "-outform", "DER")


def failed(run, code, *words):
    """Assert that a run of the driver failed with that code, and that the reason has these words."""
    assert run.status == 1 and run.err.startswith(f"CERTAUTO_{code}: "), str(run)
    for word in words:
        assert word in run.err, str(run)


def done(run):
    """Assert that a run of the driver went well, without a warning; returns its output."""
    assert run.status == 0 and run.err == "", str(run)
    return run.out


def issue(actor, webroot, key_type="ecdsa-p256", name="www.example.org"):
    """A new certificate; the files are moved away from where the next one leaves its own."""
    serial = done(actor.run("issue", webroot, key_type, name)).strip()
    files = []
    for old in ("chain.pem", "key.pem"):
        files.append(os.path.join(webroot, f"{serial}.{old}"))
        os.rename(os.path.join(webroot, old), files[-1])
    os.chmod(files[1], 0o600)
    return Issued(serial, *files)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The driver of the public API."""
    return driver.build(str(tmp_path_factory.mktemp("driver")), BINARY)


# ---- Pebble


@pytest.fixture(scope="module", name="lab")
def _lab():
    """A CA that refuses half of the nonces."""
    with Lab(front=lambda lab: Webroot(lab.new_folder("webroot"))) as up:
        yield up


@pytest.fixture(scope="module", name="actor")
def _actor(lab, program):
    state = os.path.join(lab.folder, "state")
    return driver.Driver(program, lab.pebble.directory, lab.pebble.ca_file, state)


@pytest.fixture(name="issued")
def _issued(lab, actor, name):
    return issue(actor, lab.front.folder, name=name)


def status(lab, serial):
    """What Pebble says of a certificate: ("Revoked", reason) or ("Valid", None)."""
    tls = ssl.create_default_context(cafile=lab.pebble.ca_file)
    url = f"https://127.0.0.1:{lab.pebble.management}/cert-status-by-serial/{serial}"
    with urllib.request.urlopen(url, context=tls, timeout=5) as answer:
        told = json.load(answer)
    return told["Status"], told.get("Reason")


@pytest.mark.parametrize("reason", REASONS)
def test_revoke__by_the_account_with_each_reason(lab, actor, issued, reason):
    assert status(lab, issued.serial)[0] == "Valid"
    done(actor.run("revoke", issued.chain, reason))
    # Pebble leaves out a zero.
    assert status(lab, issued.serial) in [("Revoked", reason), ("Revoked", reason or None)]


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_revoke__by_the_certificates_key_needs_no_account(lab, actor, name, key_type):
    one = issue(actor, lab.front.folder, key_type, name)
    before = len(lab.pebble.requests())
    done(actor.run("revoke", one.chain, 1, one.key, state=None))
    assert status(lab, one.serial) == ("Revoked", 1)
    assert not [path for _, path in lab.pebble.requests()[before:] if "sign-me-up" in path]


def test_revoke__a_second_time_is_done_too(lab, actor, issued):
    done(actor.run("revoke", issued.chain, 4))
    done(actor.run("revoke", issued.chain, 4))
    done(actor.run("revoke", issued.chain, 1, issued.key, state=None))
    assert status(lab, issued.serial) == ("Revoked", 4)


@pytest.mark.parametrize("reason", NOT_REASONS)
def test_revoke__what_is_no_reason_is_not_sent(lab, actor, issued, reason):
    before = len(lab.pebble.requests())
    failed(actor.run("revoke", issued.chain, reason), "EINVAL", f"{reason} is not a reason")
    failed(actor.run("revoke", issued.chain, reason, issued.key), "EINVAL", "is not a reason")
    assert len(lab.pebble.requests()) == before
    assert status(lab, issued.serial)[0] == "Valid"


def test_revoke__a_key_that_is_not_the_certificates_is_not_used(lab, actor, issued, tmp_path):
    before = len(lab.pebble.requests())
    other = new_key(str(tmp_path / "other.pem"))
    failed(actor.run("revoke", issued.chain, 1, other), "EINVAL", issued.serial)
    assert len(lab.pebble.requests()) == before
    assert status(lab, issued.serial)[0] == "Valid"


def test_revoke__no_account_is_made_for_it(lab, actor, issued, tmp_path):
    before = len(lab.pebble.requests())
    state = str(tmp_path / "state")
    failed(actor.run("revoke", issued.chain, 0, state=state), "EAUTH", "no account", "advice:")
    failed(actor.run("revoke", issued.chain, 0, state=None), "EAUTH", "no account")
    sent = [path for _, path in lab.pebble.requests()[before:]]
    assert set(sent) == {"/dir"}
    assert status(lab, issued.serial)[0] == "Valid"


def test_revoke__the_account_of_somebody_else_may_not(lab, actor, issued, tmp_path):
    state = str(tmp_path / "state")
    done(actor.run("register", state=state))
    run = actor.run("revoke", issued.chain, 0, state=state)
    failed(run, "EAUTH", "unauthorized")
    assert status(lab, issued.serial)[0] == "Valid"


# ---- the simulated CA


@pytest.fixture(name="ca")
def _ca(tmp_path):
    os.mkdir(tmp_path / "webroot")
    with CA(str(tmp_path), TestCA(str(tmp_path)), validate=False) as up:
        yield up


@pytest.fixture(name="client")
def _client(ca, program, tmp_path):
    return driver.Driver(program, ca.directory, ca.ca_file, str(tmp_path / "state"))


@pytest.fixture(name="held")
def _held(client, tmp_path):
    return issue(client, str(tmp_path / "webroot"))


def only(ca):
    """The one certificate."""
    (cert,) = ca.certificates.values()
    return cert


@pytest.mark.parametrize("fault", ["revoke-reply-lost", "revoke-reply-lost-twice"])
@pytest.mark.parametrize("by_key", [False, True])
def test_revoke__a_lost_answer_does_no_harm(ca, client, held, fault, by_key):
    ca.misbehave(fault)
    done(client.run("revoke", held.chain, 1, *[held.key] * by_key))
    assert only(ca).revoked and only(ca).reason == 1
    assert ca.counts["revoked"] == 1 and ca.counts["accounts made"] == 1


def test_revoke__the_payload_is_the_leaf_and_the_reason(ca, client, held):
    done(client.run("revoke", held.chain, 3))
    done(client.run("revoke", held.chain, 3, held.key, state=None))
    first, second = [one for one in ca.log if one.endpoint == "revokeCert"]
    for one in (first, second):
        sent = json.loads(one.payload)
        assert sorted(sent) == ["certificate", "reason"] and sent["reason"] == 3
        assert "=" not in sent["certificate"]
    assert first.protected["kid"] == only(ca).account.url and "jwk" not in first.protected
    assert "jwk" in second.protected and "kid" not in second.protected


def test_revoke__a_reason_the_ca_does_not_take_is_told(ca, client, held):
    ca.reasons = (0, 1)
    run = client.run("revoke", held.chain, 4)
    failed(run, "EREFUSED", "only 0, 1 are taken", "advice: give a reason", "badRevocationReason")
    assert "status 400" in run.err
    assert not only(ca).revoked


def test_revoke__a_ca_that_cannot_is_told(ca, client, held):
    def without(_request, answer):
        body = {name: url for name, url in answer.body.items() if name != "revokeCert"}
        return Answer(body)

    ca.on("directory", without)
    failed(client.run("revoke", held.chain, 0), "EUNSUPPORTED", ca.directory)
    failed(client.run("revoke", held.chain, 0, held.key, state=None), "EUNSUPPORTED")
    assert ca.counts["revokeCert"] == 0


@pytest.mark.parametrize("fault", ["revoke-503-later", "revoke-429-later"])
def test_revoke__a_limit_is_told_with_its_time(ca, client, held, fault):
    ca.misbehave(fault)
    failed(client.run("revoke", held.chain, 0), "ERETRY_LATER", "retry at: ")
    assert ca.counts["revokeCert"] == 1


@pytest.mark.parametrize("fault", ["directory-revoke-host", "directory-revoke-http"])
def test_revoke__a_url_that_leads_elsewhere_is_not_asked(ca, client, held, fault):
    ca.misbehave(fault)
    failed(client.run("revoke", held.chain, 0), "EPROTO", "is refused")
    assert ca.counts["revokeCert"] == 0


def test_revoke__an_account_the_ca_has_lost_is_not_made_again(ca, client, held):
    url = only(ca).account.url
    ca.forget_accounts()
    failed(client.run("revoke", held.chain, 0), "EAUTH", url, "advice:")
    assert ca.counts["accounts made"] == 1


def test_revoke__a_key_without_its_url_finds_its_account(ca, client, held):
    for folder, _, files in os.walk(client.state):
        if "account.json" in files:
            os.unlink(os.path.join(folder, "account.json"))
    done(client.run("revoke", held.chain, 0))
    assert only(ca).revoked and ca.counts["accounts made"] == 1
