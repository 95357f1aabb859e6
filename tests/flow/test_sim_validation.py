"""The simulated CA validates: it really goes and asks."""

import datetime
import hashlib
import os
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from real import ports
from sim import ca_pki, ca_validate
from sim.acme_client import (  # noqa: F401
    b64,
    dns,
    ca_fixture,
    client_fixture,
    pair_fixture,
    tls_fixture,
    web_fixture,
)


def tried(client, order, kind):
    """Answer the one challenge; returns (status of the authorization, type of the error)."""
    state = client.prove(order, kind)[0]
    shown = client.post(order.json["authorizations"][0]).json
    assert len(shown["challenges"]) == 1 and shown["challenges"][0]["type"] == kind
    error = shown["challenges"][0].get("error")
    return state, error and error["type"].rpartition(":")[2]


def page(challenge):
    """Where http-01 looks."""
    return "/.well-known/acme-challenge/" + challenge["token"]


def test_http01__is_fetched(ca, client, web):
    ca.validate, ca.http_address = True, web.address
    order = client.order("www.example.org")
    challenge = client.challenge(order.json["authorizations"][0])
    proof = f"{challenge['token']}.{client.key.thumbprint}".encode()
    web.pages[page(challenge)] = (302, {"Location": "/moved"}, b"")
    web.pages["/moved"] = (200, {}, proof)
    assert tried(client, order, "http-01") == ("valid", None)
    assert web.asked == [("www.example.org", page(challenge)), ("www.example.org", "/moved")]
    assert client.post(order.location).json["status"] == "ready"


@pytest.mark.parametrize(
    "status, tail, kind",
    [(200, b"\n", "incorrectResponse"), (404, b"", "unauthorized"), (500, b"", "unauthorized")],
)
def test_http01__wrong_answers(ca, client, web, status, tail, kind):
    ca.validate, ca.http_address = True, {"www.example.org": web.address}
    order = client.order("www.example.org")
    challenge = client.challenge(order.json["authorizations"][0])
    proof = f"{challenge['token']}.{client.key.thumbprint}".encode()
    web.pages[page(challenge)] = (status, {}, proof + tail)
    assert tried(client, order, "http-01") == ("invalid", kind)
    shown = client.post(order.location).json
    assert shown["status"] == "invalid" and shown["error"]["type"].endswith(kind)
    assert ca.counts["validations failed"] == 1


def test_http01__nobody_there_and_an_endless_redirect(ca, client, web):
    ca.validate, ca.http_address = True, f"127.0.0.1:{ports.free_port()}"
    assert tried(client, client.order("a.example.org"), "http-01") == ("invalid", "connection")
    ca.http_address = web.address
    order = client.order("b.example.org")
    here = page(client.challenge(order.json["authorizations"][0]))
    web.pages[here] = (302, {"Location": here}, b"")
    assert tried(client, order, "http-01") == ("invalid", "unauthorized")
    assert len(web.asked) == 11


def test_invalid_order__has_a_subproblem_for_each_name(ca, client):
    ca.validate = lambda challenge: challenge.authz.value == "good.example.org"
    order = client.order("good.example.org", "b1.example.org", "b2.example.org")
    assert client.prove(order) == ["valid", "invalid", "invalid"]
    error = client.post(order.location).json["error"]
    names = [one["identifier"]["value"] for one in error["subproblems"]]
    assert names == ["b1.example.org", "b2.example.org"]


def digest_of(client, challenge):
    """The value of a TXT record."""
    text = f"{challenge['token']}.{client.key.thumbprint}"
    return b64(hashlib.sha256(text.encode()).digest())


def test_dns01__is_looked_up_for_name_and_wildcard(ca, client):
    zone = {}
    ca.validate, ca.resolver = True, lambda owner: zone.get(owner, [])
    order = client.order("*.example.org", "example.org")
    wild, plain = [client.post(url).json for url in order.json["authorizations"]]
    assert wild["wildcard"] is True and "wildcard" not in plain
    assert wild["identifier"] == plain["identifier"] == dns("example.org")
    assert {one["type"] for one in wild["challenges"]} == set(ca_validate.DNS_BASED)
    owner = "_acme-challenge.example.org"
    for url in order.json["authorizations"]:
        zone.setdefault(owner, []).append(digest_of(client, client.challenge(url, "dns-01")))
    assert client.prove(order, "dns-01") == ["valid", "valid"]
    zone.clear()
    assert tried(client, client.order("example.org"), "dns-01") == ("invalid", "unauthorized")
    ca.resolver = None
    assert tried(client, client.order("example.org"), "dns-01") == ("invalid", "dns")


def test_dns_account01__has_the_label_of_the_account(ca, client):
    zone = {}
    ca.validate, ca.resolver = True, lambda owner: zone.get(owner, [])
    # The example of the draft (dns-account-label, section 3.1).
    example = ca_validate.account_label("https://example.com/acme/acct/ExampleAccount")
    assert example == "_ujmmovf2vn55tgye"
    order = client.order("www.example.org")
    value = digest_of(client, client.challenge(order.json["authorizations"][0], "dns-account-01"))
    zone[f"{ca_validate.account_label(client.kid)}._acme-challenge.www.example.org"] = [value]
    assert tried(client, order, "dns-account-01") == ("valid", None)


@pytest.mark.parametrize(
    "name, text, good",
    [
        ("example.org", "ca.example.net; accounturi={}", True),
        ("example.org", "ca.example.net;accounturi={};policy=wildcard", True),
        ("*.example.org", "ca.example.net; accounturi={}; policy=wildcard", True),
        ("*.example.org", "ca.example.net; accounturi={}", False),
        ("example.org", "other.example.net; accounturi={}", False),
        ("example.org", "ca.example.net; accounturi={}9", False),
        ("example.org", "ca.example.net", False),
        ("example.org", "ca.example.net; accounturi={}; persistUntil=4000000000", True),
        ("example.org", "ca.example.net; accounturi={}; persistUntil=1000000000", False),
    ],
)
def test_dns_persist01__is_looked_up(ca, client, name, text, good):
    zone = {"_validation-persist.example.org": ["x", text.format(client.kid)]}
    ca.validate, ca.resolver = True, lambda owner: zone.get(owner, [])
    order = client.order(name)
    challenge = client.challenge(order.json["authorizations"][0], "dns-persist-01")
    assert "token" not in challenge and challenge["accounturi"] == client.kid
    assert challenge["issuer-domain-names"] == ["ca.example.net"]
    expected = ("valid", None) if good else ("invalid", "unauthorized")
    assert tried(client, order, "dns-persist-01") == expected


class Alpn:
    """Serves one certificate over TLS with acme-tls/1, until the end of the with block."""

    def __init__(self, folder, cert, key, protocols=("acme-tls/1",)):
        path = os.path.join(folder, "alpn.pem")
        with open(path, "wb") as file:
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                + cert.public_bytes(serialization.Encoding.PEM)
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(list(protocols))
        context.sni_callback = lambda sock, name, _: self.names.append(name)
        self.names, self._context = [], context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def _serve(self):
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(raw, server_side=True) as link:
                    link.recv(1)
            except OSError:
                pass

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def alpn_certificate(client, challenge, name, *, critical=True, content=None, signer=None):
    """(certificate, key) for tls-alpn-01."""
    key = ca_pki.new_key()
    text = f"{challenge['token']}.{client.key.thumbprint}".encode()
    content = content or b"\x04\x20" + hashlib.sha256(text).digest()
    proof = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), content)
    now = ca_pki.moment(time.time())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "challenge")])
    kind = "ip" if name[0].isdigit() else "dns"
    names = x509.SubjectAlternativeName([ca_pki.general_name(kind, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now)
    builder = builder.not_valid_after(now + datetime.timedelta(1)).add_extension(names, False)
    return builder.add_extension(proof, critical).sign(signer or key, hashes.SHA256()), key


@pytest.mark.parametrize(
    "name, sni", [("www.example.org", "www.example.org"), ("192.0.2.7", "7.2.0.192.in-addr.arpa")]
)
def test_tls_alpn01__is_asked_for_by_name(ca, client, tmp_path, name, sni):
    order = client.order(name)
    challenge = client.challenge(order.json["authorizations"][0], "tls-alpn-01")
    with Alpn(str(tmp_path), *alpn_certificate(client, challenge, name)) as server:
        ca.validate, ca.alpn_address = True, server.address
        assert tried(client, order, "tls-alpn-01") == ("valid", None)
        assert server.names == [sni]


@pytest.mark.parametrize(
    "change, protocols, kind",
    [
        ({"critical": False}, ["acme-tls/1"], "incorrectResponse"),
        ({"content": b"\x04\x20" + bytes(32)}, ["acme-tls/1"], "incorrectResponse"),
        ({"content": b"\x04\x00"}, ["acme-tls/1"], "incorrectResponse"),
        ({"signer": ca_pki.new_key()}, ["acme-tls/1"], "incorrectResponse"),
        ({"name": "other.example.org"}, ["acme-tls/1"], "incorrectResponse"),
        ({}, ["http/1.1"], "unauthorized"),
    ],
)
def test_tls_alpn01__wrong_answers(ca, client, tmp_path, change, protocols, kind):
    order = client.order("www.example.org")
    challenge = client.challenge(order.json["authorizations"][0], "tls-alpn-01")
    shown = alpn_certificate(client, challenge, **{"name": "www.example.org", **change})
    with Alpn(str(tmp_path), *shown, protocols) as server:
        ca.validate, ca.alpn_address = True, server.address
        # OpenSSL 3 as a server ends the handshake where no protocol is shared; older ones go on.
        assert tried(client, order, "tls-alpn-01") in (("invalid", kind), ("invalid", "tls"))
