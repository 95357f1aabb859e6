"""An ACME client for the tests of the simulated CA: it can do all that a client must not.

What post() sends can be bent in any place. The fixtures are for tests/flow/test_sim_*.py.
"""

import base64
import hashlib
import http.client
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from real.pki import TestCA

from . import ca_pki
from .ca import CA

CURVES = {"ES256": (ec.SECP256R1, 32), "ES384": (ec.SECP384R1, 48), "ES512": (ec.SECP521R1, 66)}
HASHES = {"ES256": hashes.SHA256, "ES384": hashes.SHA384, "ES512": hashes.SHA512}


def b64(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_json(document):
    """An object as it stands in a JWS."""
    return b64(json.dumps(document).encode())


def number(value, width=None):
    """A number in base64url; minimal without a width."""
    return b64(value.to_bytes(width or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A key to sign with."""

    def __init__(self, alg="ES256", bits=2048):
        self.alg = alg
        if alg == "RS256":
            self.private = rsa.generate_private_key(65537, bits)
            public = self.private.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
        else:
            curve, self.width = CURVES[alg]
            self.private = ec.generate_private_key(curve())
            public = self.private.public_key().public_numbers()
            x, y = number(public.x, self.width), number(public.y, self.width)
            self.jwk = {"kty": "EC", "crv": f"P-{curve().key_size}", "x": x, "y": y}

    def der_signature(self, data):
        """An ECDSA signature as libraries give it."""
        return self.private.sign(data, ec.ECDSA(HASHES[self.alg]()))

    def sign(self, data):
        """A signature as a JWS wants it."""
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.der_signature(data))
        return r.to_bytes(self.width, "big") + s.to_bytes(self.width, "big")

    @property
    def thumbprint(self):
        """RFC 7638."""
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return b64(hashlib.sha256(text.encode()).digest())


class Reply:
    """An answer: status, headers, and the body in the forms tests want it."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self):
        """(status, last part of the problem type); (status, None) for no problem."""
        kind = None
        if self.headers["Content-Type"] == "application/problem+json":
            kind = self.json["type"].rpartition(":")[2]
        return self.status, kind

    @property
    def location(self):
        """The header."""
        return self.headers["Location"]


class Client:
    """A client with one key; what post() sends can be bent in any place."""

    def __init__(self, ca, key=None):
        self.ca, self.key, self.kid = ca, key or Key(), None
        parts = urllib.parse.urlsplit(ca.directory)
        context = ssl.create_default_context(cafile=ca.ca_file)
        self.link = http.client.HTTPSConnection(
            parts.hostname, parts.port, context=context, timeout=20
        )
        self.nonces = []
        self.urls = self.get(ca.directory).json

    def close(self):
        """End the connection."""
        self.link.close()

    def raw(self, method, url, body=None, headers=None):
        """A request as it is."""
        path = url.split("/", 3)[3]
        headers = {"User-Agent": "test/1", **(headers or {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        self.link.request(method, "/" + path, body, headers)
        reply = Reply(self.link.getresponse())
        if reply.headers["Replay-Nonce"]:
            self.nonces.append(reply.headers["Replay-Nonce"])
        return reply

    def get(self, url, **headers):
        """An unsigned request."""
        return self.raw("GET", url, headers=headers)

    def nonce(self):
        """A fresh one."""
        if not self.nonces:
            self.raw("HEAD", self.urls["newNonce"])
        return self.nonces.pop()

    def header(self, url, **bent):
        """A protected header; None leaves a member out."""
        signer = {"kid": self.kid} if self.kid else {"jwk": self.key.jwk}
        found = {"alg": self.key.alg, "nonce": self.nonce(), "url": url, **signer, **bent}
        return {name: value for name, value in found.items() if value is not None}

    def jws(self, header, payload, key=None):
        """A flattened JWS."""
        head = b64_json(header)
        text = "" if payload is None else b64_json(payload)
        signature = (key or self.key).sign(f"{head}.{text}".encode())
        return {"protected": head, "payload": text, "signature": b64(signature)}

    def send(self, url, jws, **headers):
        """POST a JWS."""
        headers = {"Content-Type": "application/jose+json", **headers}
        return self.raw("POST", url, json.dumps(jws).encode(), headers)

    def post(self, url, payload=None, **bent):
        """A signed request; None as payload is POST-as-GET."""
        return self.send(url, self.jws(self.header(url, **bent), payload))

    def register(self, **payload):
        """Make an account."""
        reply = self.post(self.urls["newAccount"], {"termsOfServiceAgreed": True, **payload})
        if reply.status in (200, 201):
            self.kid = reply.location
        return reply

    def order(self, *names, **more):
        """newOrder; a name with a colon or of digits is an address."""
        identifiers = [
            {"type": "ip" if re.match(r"[\d.]+$|.*:", name) else "dns", "value": name}
            for name in names
        ]
        return self.post(self.urls["newOrder"], {"identifiers": identifiers, **more})

    def challenge(self, authz_url, kind="http-01"):
        """The challenge of one type."""
        challenges = self.post(authz_url).json["challenges"]
        return next(one for one in challenges if one["type"] == kind)

    def prove(self, order, kind="http-01"):
        """Answer a challenge of each authorization; returns how the authorizations end."""
        states = []
        for url in order.json["authorizations"]:
            if self.post(url).json["status"] == "pending":
                self.post(self.challenge(url, kind)["url"], {})
            end = time.monotonic() + 10
            while (state := self.post(url).json["status"]) == "pending":
                assert time.monotonic() < end
            states.append(state)
        return states

    def ready(self, *names, **more):
        """An order with all authorizations valid."""
        order = self.order(*names, **more)
        assert order.status == 201, order.body
        kind = "dns-01" if any("*" in name for name in names) else "http-01"
        assert set(self.prove(order, kind)) == {"valid"}
        return order

    def finalize(self, order, csr):
        """Send a request; returns the reply."""
        return self.post(order.json["finalize"], {"csr": b64(csr)})

    def issue(self, *names, **more):
        """(order, ca_state.Certificate, key) of a new certificate."""
        key, order = ca_pki.new_key(), self.ready(*names, **more)
        reply = self.finalize(order, make_csr(names, key=key))
        assert reply.json["status"] == "valid", reply.body
        return order, self.ca.certificates[reply.json["certificate"]], key


def make_csr(names, key=None, subject="", digest=hashes.SHA256, san=True):
    """A certificate request in DER."""
    entries = [ca_pki.general_name("ip" if name[0].isdigit() else "dns", name) for name in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(ca_pki.common_name(subject))
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(entries), False)
    signed = builder.sign(key or ca_pki.new_key(), digest())
    return signed.public_bytes(serialization.Encoding.DER)


def links(reply, rel):
    """Targets of the Link headers with a relation, resolved."""
    found = re.findall(r'<([^>]*)>((?:;\s*\w+=(?:"[^"]*"|[^,;]+))*)', ",".join(
        reply.headers.get_all("Link", [])))  # fmt: skip
    return [target for target, more in found if f'rel="{rel}"' in more]


def dns(value):
    """An identifier."""
    return {"type": "dns", "value": value}


def revocation(cert, **more):
    """The payload."""
    return {"certificate": b64(cert.leaf), **more}


def rollover(client, key, **change):
    """keyChange; change bends the inner JWS."""
    url = client.urls["keyChange"]
    header = {"alg": key.alg, "jwk": key.jwk, "url": url, **change.get("header", {})}
    payload = {"account": client.kid, "oldKey": client.key.jwk, **change.get("payload", {})}
    return client.post(url, client.jws(header, payload, change.get("signer", key)))


class Web:
    """Answers GET with what `pages` has: (status, headers, body)."""

    def __init__(self):
        self.pages, self.asked = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            """One request."""

            def do_GET(inner):  # pylint: disable=no-self-argument,invalid-name
                self.asked.append((inner.headers["Host"], inner.path))
                status, headers, body = self.pages.get(inner.path, (404, {}, b""))
                inner.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    inner.send_header(name, value)
                inner.end_headers()
                inner.wfile.write(body)

            def log_message(inner, *args):  # pylint: disable=no-self-argument
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module", name="tls")
def tls_fixture(tmp_path_factory):
    """The CA for the TLS side of the servers."""
    return TestCA(str(tmp_path_factory.mktemp("tls")))


@pytest.fixture(scope="module", name="pair")
def pair_fixture(tls, tmp_path_factory):
    """(certificate, key) for the simulated CA."""
    return tls.issue(str(tmp_path_factory.mktemp("pair") / "server"))


@pytest.fixture(name="ca")
def ca_fixture(tmp_path, tls, pair):
    """A CA that believes each answer to a challenge."""
    with CA(str(tmp_path), tls, *pair, validate=False) as ca:
        yield ca


@pytest.fixture(name="client")
def client_fixture(ca):
    """A client with an account."""
    client = Client(ca)
    assert client.register().status == 201
    yield client
    client.close()


@pytest.fixture(name="web")
def web_fixture():
    """A web server for challenges."""
    with Web() as web:
        yield web
