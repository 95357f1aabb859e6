"""Renewal information (RFC 9773) through the public API: what is asked, and what is made of it."""

import base64
import datetime
import os
import re
import ssl
import time
import urllib.request
from email.utils import formatdate

import pytest
from conftest import BINARY
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from real import driver
from real.lab import Lab
from real.pki import new_key, openssl
from real.webroot import Webroot
from sim.ca import CA, Answer

HOUR, DAY = 3600, 86400
WINDOW = {"suggestedWindow": {"start": "2030-01-01T00:00:00Z", "end": "2030-01-02T00:00:00Z"}}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The driver of the public API."""
    return driver.build(str(tmp_path_factory.mktemp("driver")), BINARY)


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    with CA(str(tmp_path), tls, validate=False) as up:
        yield up


@pytest.fixture(name="client")
def _client(ca, program, tmp_path):
    return driver.Driver(program, ca.directory, ca.ca_file, str(tmp_path / "state"))


@pytest.fixture(name="chain")
def _chain(client, tmp_path):
    """A certificate of the CA."""
    os.mkdir(tmp_path / "webroot")
    run = client.run("issue", tmp_path / "webroot", "ecdsa-p256", "www.example.org")
    assert run.status == 0, str(run)
    return str(tmp_path / "webroot" / "chain.pem")


def only(ca):
    """The one certificate."""
    (cert,) = ca.certificates.values()
    return cert


def asked(ca):
    """The requests for renewal information."""
    return [request for request in ca.log if request.endpoint == "renewalInfo"]


def ask(client, chain, times=1):
    """Ask so often; returns (start, end, seconds until the next time, explanation) of each, and
    the warnings."""
    run = client.run("renewal", chain, times)
    assert run.status == 0, str(run)
    lines = [line.split(" ", 3) for line in run.out.splitlines()]
    now = time.time()
    told = [(int(start), int(end), int(at) - now, url) for start, end, at, url in lines]
    return told, run.err


def cert_id(chain):
    """The name RFC 9773 gives to the leaf, computed by openssl from its extension and serial."""
    text = openssl("x509", "-in", chain, "-noout", "-text").decode()
    key_id = re.search(r"Authority Key Identifier:\s+(?:keyid:)?([0-9A-F:]+)", text).group(1)
    der = openssl("x509", "-in", chain, "-outform", "DER")
    serial = openssl("asn1parse", "-inform", "DER", "-strparse", "4", data=der).decode()
    number = re.findall(r"INTEGER\s+:([0-9A-F]+)", serial)[-1]
    raw = bytes.fromhex(number.zfill(len(number) + len(number) % 2))
    raw = (b"\0" if raw[0] & 0x80 else b"") + raw
    parts = (bytes.fromhex(key_id.replace(":", "")), raw)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


# ---- what is asked


def test_renewal__is_asked_by_the_name_of_the_certificate_and_unsigned(ca, client, chain):
    ca.set_window(only(ca), 1893456000, 1893542400)
    told, warnings = ask(client, chain)
    assert [one[:2] for one in told] == [(1893456000, 1893542400)] and warnings == ""
    (request,) = asked(ca)
    assert request.method == "GET" and request.body == b""
    assert request.url.rsplit("/", 1)[1] == cert_id(chain) == only(ca).id


def test_renewal__needs_no_account(ca, client, chain, program):
    stranger = driver.Driver(program, ca.directory, ca.ca_file)
    before = ca.counts["newAccount"], ca.counts["newNonce"]
    assert len(ask(stranger, chain)[0]) == 1
    assert (ca.counts["newAccount"], ca.counts["newNonce"]) == before


@pytest.mark.parametrize("ending", ["", "/"])
def test_renewal__the_slash_is_not_doubled(ca, client, chain, ending):
    def tail(_request, answer):
        return Answer({**answer.body, "renewalInfo": answer.body["renewalInfo"] + ending})

    ca.on("directory", tail)
    ask(client, chain)
    (request,) = asked(ca)
    assert "//" not in request.url.split("://", 1)[-1]


def test_renewal__a_ca_without_it_is_not_asked(ca, client, chain):
    ca.ari = False
    run = client.run("renewal", chain)
    assert run.status == 1 and run.err.startswith("CERTAUTO_EUNSUPPORTED: "), str(run)
    assert asked(ca) == []


def test_renewal__a_certificate_that_cannot_be_named_is_not_asked_about(ca, client, tmp_path):
    own = str(tmp_path / "own.pem")
    openssl(
        *["req", "-x509", "-new", "-key", new_key(str(tmp_path / "own.key"))],
        *["-subj", "/CN=own.example.org", "-addext", "authorityKeyIdentifier=none", "-out", own],
    )
    run = client.run("renewal", own)
    assert run.status == 1 and run.err.startswith("CERTAUTO_EUNSUPPORTED: "), str(run)
    assert ca.counts["directory"] == 0


def test_renewal__an_expired_certificate_is_not_asked_about(ca, client, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old.example.org")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    then = datetime.datetime(2020, 1, 1)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(then)
        .not_valid_after(then + datetime.timedelta(days=90))
        .add_extension(issuer, critical=False)
        .sign(key, hashes.SHA256())
    )
    old = tmp_path / "old.pem"
    old.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    run = client.run("renewal", old)
    assert run.status == 1 and "has expired" in run.err, str(run)
    assert ca.counts["directory"] == 0


# ---- what is made of it


@pytest.mark.parametrize(
    "retry_after, seconds",
    [
        (None, 6 * HOUR),
        ("7200", 2 * HOUR),
        ("0", 60),
        ("-5", 6 * HOUR),
        ("soon", 6 * HOUR),
        ("99999999999999999999", DAY),
        (lambda: formatdate(time.time() + 2 * HOUR, usegmt=True), 2 * HOUR),
        (lambda: formatdate(time.time() - 2 * HOUR, usegmt=True), 60),
        (lambda: formatdate(time.time() + 400 * DAY, usegmt=True), DAY),
    ],
)
def test_renewal__retry_after_is_clamped(ca, client, chain, retry_after, seconds):
    value = retry_after() if callable(retry_after) else retry_after
    headers = {} if value is None else {"Retry-After": value}
    ca.on("renewalInfo", lambda *_: Answer(WINDOW, 200, headers))
    (((_, _, wait, _),), _) = ask(client, chain)
    assert seconds - 10 <= wait <= seconds + 10


def test_renewal__times_may_have_fractions_and_offsets(ca, client, chain):
    ca.set_window(only(ca), "2030-01-01T01:30:00.123456789+01:30", "2030-01-01T23:59:59.9-00:00")
    (((start, end, _, _),), _) = ask(client, chain)
    assert (start, end) == (1893456000, 1893542399)


def test_renewal__an_explanation_is_told_once_for_each_change(ca, client, chain):
    pages = ["https://ca.example/a", "https://ca.example/a", "https://ca.example/b#x"]
    seen = []

    def answer(*_):
        seen.append(pages[min(len(seen), len(pages) - 1)])
        return Answer({**WINDOW, "explanationURL": seen[-1]})

    ca.on("renewalInfo", answer)
    told, warnings = ask(client, chain, times=4)
    assert [one[3] for one in told] == [*pages, pages[-1]]
    assert warnings.count("warning: ") == 2
    assert warnings.count("see https://ca.example/a\n") == 1
    assert warnings.count("see https://ca.example/b#x\n") == 1
    assert "between 2030-01-01T00:00:00Z and 2030-01-02T00:00:00Z" in warnings


@pytest.mark.parametrize("page", ["http://ca.example/", "javascript:alert(1)", "https://a@b.c/", 7])
def test_renewal__what_is_no_web_page_is_not_shown(ca, client, chain, page):
    ca.on("renewalInfo", lambda *_: Answer({**WINDOW, "explanationURL": page}))
    (((_, _, _, url),), warnings) = ask(client, chain)
    assert url == "-" and warnings == ""


# ---- hostile and broken CAs


@pytest.mark.parametrize(
    "fault, code, requests",
    [
        ("renewal-info-html", "EPROTO", 1),
        ("renewal-info-reversed", "EPROTO", 1),
        ("renewal-info-nonsense", "EPROTO", 1),
        ("renewal-info-empty", "EPROTO", 1),
        ("renewal-info-404", None, 1),
        ("renewal-info-503-later", "ERETRY_LATER", 1),
        ("renewal-info-429-later", "ERETRY_LATER", 1),
        ("directory-renewal-info-host", "EPROTO", 0),
        ("directory-renewal-info-http", "EPROTO", 0),
    ],
)
def test_renewal__no_answer_is_an_error(ca, client, chain, fault, code, requests):
    ca.drop_connections()
    ca.misbehave(fault)
    run = client.run("renewal", chain)
    assert run.status == 1 and run.out == "", str(run)
    assert code is None or run.err.startswith(f"CERTAUTO_{code}: "), str(run)
    assert len(asked(ca)) == requests


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b'{"suggestedWindow":{"start":"2030' + b" " * 300000),
        Answer(b"[" * 100000),
        Answer('{"a":{"b":{"c":' * 10 + "1" + "}" * 30),
        Answer(b"\xff\xfe"),
        Answer(WINDOW, type="text/plain"),
        Answer(WINDOW, type="application/jose+json"),
        Answer(b""),
    ],
    ids=["huge", "deep", "nested", "bytes", "text", "jose", "empty"],
)
def test_renewal__a_hostile_body_is_an_error(ca, client, chain, answer):
    ca.on("renewalInfo", lambda *_: answer)
    run = client.run("renewal", chain)
    assert run.status == 1 and run.err.startswith("CERTAUTO_EPROTO: "), str(run)
    assert len(asked(ca)) == 1
    assert len(run.err) < 4096 and run.err.isascii()


def test_renewal__a_server_error_is_tried_again_a_few_times(ca, client, chain):
    ca.on("renewalInfo", lambda *_: Answer({}, 500))
    run = client.run("renewal", chain)
    assert run.status == 1 and "HTTP 500" in run.err, str(run)
    assert 2 <= len(asked(ca)) <= 4


def test_renewal__its_limits_do_not_keep_anybody_from_issuing(ca, client, chain):
    busy = Answer(b"busy", 503, {"Retry-After": "600000"}, "text/plain")
    ca.on("renewalInfo", lambda *_: busy)
    assert "ERETRY_LATER" in client.run("renewal", chain).err
    run = client.run("issue", os.path.dirname(chain), "ecdsa-p256", "next.example.org")
    assert run.status == 0, str(run)


def test_renewal__a_window_in_the_past_and_a_huge_retry_after_are_taken(ca, client, chain):
    ca.misbehave("renewal-info-past")
    (((start, end, wait, _),), _) = ask(client, chain)
    assert start < end < time.time() and 50 <= wait <= 60
    ca.behave()
    ca.misbehave("renewal-info-retry-huge")
    (((_, _, wait, _),), _) = ask(client, chain)
    assert DAY - 10 <= wait <= DAY


# ---- Pebble


def test_renewal__of_pebble(program, name):
    with Lab(front=lambda lab: Webroot(lab.new_folder("webroot"))) as lab:
        tls = ssl.create_default_context(cafile=lab.pebble.ca_file)
        with urllib.request.urlopen(lab.pebble.directory, context=tls, timeout=5) as answer:
            if b'"renewalInfo"' not in answer.read():
                pytest.skip("skipped: this Pebble has no renewalInfo in its directory")
        state = os.path.join(lab.folder, "state")
        client = driver.Driver(program, lab.pebble.directory, lab.pebble.ca_file, state)
        run = client.run("issue", lab.front.folder, "ecdsa-p256", name)
        assert run.status == 0, str(run)
        chain = os.path.join(lab.front.folder, "chain.pem")
        (((start, end, wait, _),), _) = ask(client, chain)
        assert time.time() < start < end
        assert 50 <= wait <= DAY
        # What is revoked is to be renewed now.
        assert client.run("revoke", chain, 4).status == 0
        (((start, end, _, _),), _) = ask(client, chain)
        assert start < end <= time.time()
