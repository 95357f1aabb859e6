"""The simulated CA refuses what RFC 8555 tells a server to refuse; the same request as it should be
is taken.
"""

import base64
import functools
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sim.acme_client import (  # noqa: F401
    Client,
    Key,
    b64,
    b64_json,
    dns,
    make_csr,
    ca_fixture,
    client_fixture,
    pair_fixture,
    tls_fixture,
)


# ---- what must be refused ----


def bend_signature(client, url, make):
    """A POST with the signature that make(key, data) gives."""
    header = b64_json(client.header(url))
    signature = make(client.key, f"{header}.".encode())
    return client.send(url, {"protected": header, "payload": "", "signature": b64(signature)})


def bent(**members):
    """A POST-as-GET of the account with other members in protected."""

    def send(client):
        header = {**client.header(client.kid), **members}
        header = {name: value for name, value in header.items() if value is not None}
        return client.send(client.kid, client.jws(header, None))

    return send


def padded(part):
    """One part of the JWS with padding."""

    def send(client):
        jws = client.jws(client.header(client.kid), {"contact": []})
        jws[part] += "=" * (-len(jws[part]) % 4 or 4)
        return client.send(client.kid, jws)

    return send


def other_alphabet(client):
    jws = client.jws(client.header(client.kid), {"contact": ["mailto:~~~~~~@example.org??>>"]})
    jws["signature"] = "+/" + jws["signature"][2:]
    return client.send(client.kid, jws)


def stray_bits(client):
    jws = client.jws(client.header(client.kid), None)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    jws["signature"] = jws["signature"][:-1] + alphabet[alphabet.index(jws["signature"][-1]) + 1]
    return client.send(client.kid, jws)


def used_nonce(client):
    nonce = client.nonce()
    assert client.post(client.kid, nonce=nonce).status == 200
    return client.post(client.kid, nonce=nonce)


def both_signers(client):
    return client.post(client.kid, jwk=client.key.jwk)


def jwk_for_kid(client):
    return client.post(client.kid, kid=None, jwk=client.key.jwk)


def kid_for_jwk(client):
    return client.post(client.urls["newAccount"], {"termsOfServiceAgreed": True})


def neither_signer(client):
    return client.post(client.kid, kid=None)


def wrong_signature(client):
    def flip(key, data):
        signature = key.sign(data)
        return signature[:-1] + bytes([signature[-1] ^ 1])

    return bend_signature(client, client.kid, flip)


def der_signature(client):
    return bend_signature(client, client.kid, lambda key, data: key.der_signature(data))


def short_signature(client):
    return bend_signature(client, client.kid, lambda key, data: key.sign(data)[:-1])


def mac_signature(client):
    header = b64_json(client.header(client.kid, alg="HS256"))
    mac = hmac.new(b"key", f"{header}.".encode(), "sha256").digest()
    return client.send(client.kid, {"protected": header, "payload": "", "signature": b64(mac)})


def no_signature(client):
    header = b64_json(client.header(client.kid, alg="none"))
    return client.send(client.kid, {"protected": header, "payload": "", "signature": ""})


def unprotected_header(client):
    jws = client.jws(client.header(client.kid), None)
    return client.send(client.kid, {**jws, "header": {"x": 1}})


def general_form(client):
    jws = client.jws(client.header(client.kid), None)
    signatures = [{"protected": jws["protected"], "signature": jws["signature"]}]
    return client.send(client.kid, {"payload": jws["payload"], "signatures": signatures})


def compact_form(client):
    jws = client.jws(client.header(client.kid), None)
    body = f"{jws['protected']}.{jws['payload']}.{jws['signature']}"
    return client.raw("POST", client.kid, body, {"Content-Type": "application/jose+json"})


def twin_member(client):
    jws = json.dumps(client.jws(client.header(client.kid), None))
    body = jws[:-1] + ',"payload":""}'
    return client.raw("POST", client.kid, body, {"Content-Type": "application/jose+json"})


def content_type(value):
    """A POST with another media type."""

    def send(client):
        jws = client.jws(client.header(client.kid), None)
        return client.send(client.kid, jws, **{"Content-Type": value})

    return send


def no_user_agent(client):
    jws = client.jws(client.header(client.kid), None)
    return client.send(client.kid, jws, **{"User-Agent": None})


def plain_get(client):
    return client.get(client.kid)


def post_to_renewal_info(client):
    url = client.urls["renewalInfo"] + "/a.b"
    return client.post(url)


STRICT = {
    "content type with parameters": (content_type("application/jose+json; charset=utf-8"), 415),
    "content type json": (content_type("application/json"), 415),
    "no content type": (content_type(None), 415),
    "padded protected": (padded("protected"), 400),
    "padded payload": (padded("payload"), 400),
    "padded signature": (padded("signature"), 400),
    "another alphabet": (other_alphabet, 400),
    "stray bits": (stray_bits, 400),
    "both jwk and kid": (both_signers, 400),
    "neither jwk nor kid": (neither_signer, 400),
    "jwk where kid belongs": (jwk_for_kid, 400),
    "kid where jwk belongs": (kid_for_jwk, 400),
    "nonce in another alphabet": (bent(nonce="a+b/"), 400),
    "nonce that is a number": (bent(nonce=1), 400),
    "crit": (bent(crit=["b64"], b64=False), 400),
    "unknown protected member": (bent(typ="JWT"), 400),
    "wrong signature": (wrong_signature, 400),
    "DER signature": (der_signature, 400),
    "signature one byte short": (short_signature, 400),
    "unprotected header": (unprotected_header, 400),
    "general form": (general_form, 400),
    "compact form": (compact_form, 400),
    "member twice": (twin_member, 400),
    "no User-Agent": (no_user_agent, 400),
    "GET": (plain_get, 405),
    "POST to renewalInfo": (post_to_renewal_info, 405),
}


@pytest.mark.parametrize("what", STRICT)
def test_strict__is_malformed(ca, client, what):
    send, status = STRICT[what]
    assert send(client).error == (status, "malformed")
    assert client.post(client.kid).status == 200, "the same request as it should be"


@pytest.mark.parametrize(
    "send, expected",
    [
        (bent(url="https://127.0.0.1/account/1"), (401, "unauthorized")),
        (bent(url=None), (400, "malformed")),
        (bent(nonce=None), (400, "badNonce")),
        (bent(nonce="bmV2ZXItc2Vlbg"), (400, "badNonce")),
        (used_nonce, (400, "badNonce")),
        (mac_signature, (400, "badSignatureAlgorithm")),
        (no_signature, (400, "badSignatureAlgorithm")),
        (bent(alg="ES384"), (400, "badSignatureAlgorithm")),
        (bent(alg="RS256"), (400, "badSignatureAlgorithm")),
        (bent(kid="https://127.0.0.1/account/7"), (400, "accountDoesNotExist")),
        (bent(kid=7), (400, "accountDoesNotExist")),
    ],
    ids=[
        "wrong-url", "no-url", "no-nonce", "unknown-nonce", "used-nonce", "hmac", "none",
        "other-alg", "other-kind", "unknown-account", "kid-a-number",
    ],
)  # fmt: skip
def test_strict__is_refused(ca, client, send, expected):
    reply = send(client)
    assert reply.error == expected
    if expected[1] == "badNonce":
        assert reply.headers["Replay-Nonce"] and ca.counts["badNonce"] == 1
    if expected[1] == "badSignatureAlgorithm":
        assert "ES256" in reply.json["algorithms"]
    assert client.post(client.kid).status == 200, "the same request as it should be"


def short_coordinate(jwk):
    return {**jwk, "x": b64(b"\x01" * 31)}


def long_coordinate(jwk):
    x = base64.urlsafe_b64decode(jwk["x"] + "=")
    return {**jwk, "x": b64(b"\0" + x)}


@pytest.mark.parametrize(
    "change, kind",
    [
        (short_coordinate, "malformed"),
        (long_coordinate, "malformed"),
        (lambda jwk: {**jwk, "y": jwk["x"]}, "badPublicKey"),
        (lambda jwk: {**jwk, "crv": "secp256k1"}, "badPublicKey"),
        (lambda jwk: {**jwk, "kty": "oct"}, "badPublicKey"),
        (lambda jwk: {**jwk, "d": jwk["x"]}, "badPublicKey"),
        (lambda jwk: "a string", "malformed"),
        (lambda jwk: {"kty": "EC"}, "badPublicKey"),
    ],
)
def test_strict__elliptic_keys(ca, change, kind):
    client = Client(ca)
    reply = client.post(
        client.urls["newAccount"], {"termsOfServiceAgreed": True}, jwk=change(client.key.jwk)
    )
    assert reply.error == (400, kind)


@functools.cache
def rsa_key(bits):
    """Such keys take a while to make."""
    return Key("RS256", bits)


def leading_zero(member):
    def change(jwk):
        text = jwk[member]
        return {**jwk, member: b64(b"\0" + base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))}

    return change


@pytest.mark.parametrize(
    "bits, change, kind",
    [
        (2048, leading_zero("n"), "malformed"),
        (2048, leading_zero("e"), "malformed"),
        (1024, dict, "badPublicKey"),
    ],
)
def test_strict__rsa_keys(ca, bits, change, kind):
    client = Client(ca, rsa_key(bits))
    reply = client.post(
        client.urls["newAccount"], {"termsOfServiceAgreed": True}, jwk=change(client.key.jwk)
    )
    assert reply.error == (400, kind)


def test_strict__post_as_get_has_no_payload(client):
    order, cert, _ = client.issue("www.example.org")
    orders = client.post(client.kid).json["orders"]
    for url in (order.location, cert.url, orders):
        assert client.post(url, {}).error == (400, "malformed"), url
    authz = order.json["authorizations"][0]
    assert client.post(authz, {}).error == (400, "malformed")
    assert client.post(client.challenge(authz)["url"], {"x": 1}).error == (400, "malformed")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"identifiers": []},
        {"identifiers": "www.example.org"},
        {"identifiers": [{"type": "dns"}]},
        {"identifiers": [dns("WWW.example.org")]},
        {"identifiers": [dns("www.example.org.")]},
        {"identifiers": [dns("b\u00fccher.example.org")]},
        {"identifiers": [dns("www")]},
        {"identifiers": [dns("a..example.org")]},
        {"identifiers": [dns("-a.example.org")]},
        {"identifiers": [dns("a" * 64 + ".example.org")]},
        {"identifiers": [dns("a." * 125 + "example.org")]},
        {"identifiers": [dns("www.*.example.org")]},
        {"identifiers": [dns("127.0.0.1")]},
        {"identifiers": [dns("a.example.org"), dns("a.example.org")]},
        {"identifiers": [dns("*.example.org"), dns("a.example.org")]},
        {"identifiers": [dns(f"n{n}.example.org") for n in range(101)]},
        {"identifiers": [{"type": "ip", "value": "127.0.0.01"}]},
        {"identifiers": [{"type": "ip", "value": "2001:DB8::1"}]},
        {"identifiers": [dns("a.example.org")], "notBefore": "2030-01-01T00:00:00Z"},
        {"identifiers": [dns("a.example.org")], "notAfter": "2030-01-01T00:00:00Z"},
    ],
)
def test_strict__order_is_malformed(ca, client, payload):
    assert client.post(client.urls["newOrder"], payload).error == (400, "malformed")
    assert ca.counts["orders made"] == 0


def test_strict__order_of_unknown_kind_and_profile(ca, client):
    reply = client.post(
        client.urls["newOrder"], {"identifiers": [{"type": "email", "value": "a@example.org"}]}
    )
    assert reply.error == (400, "unsupportedIdentifier")
    assert client.order("a.example.org", profile="fast").error == (400, "invalidProfile")
    ca.ip = False
    assert client.order("127.0.0.1").error == (400, "unsupportedIdentifier")
    ca.wildcards = False
    assert client.order("*.example.org").error == (403, "rejectedIdentifier")


def broken_csr(names):
    der = make_csr(names)
    return der[:-1] + bytes([der[-1] ^ 1])


@pytest.mark.parametrize(
    "make",
    [
        lambda names: make_csr(["other.example.org"]),
        lambda names: make_csr([*names, "other.example.org"]),
        lambda names: make_csr(names, subject="other.example.org"),
        lambda names: make_csr(names, subject=names[0], san=False),
        lambda names: make_csr(names, key=rsa.generate_private_key(65537, 1024)),
        lambda names: make_csr(names, key=ec.generate_private_key(ec.SECP224R1())),
        broken_csr,
        lambda names: b"no request",
    ],
    ids=["other", "more", "subject", "no-san", "small-rsa", "curve", "signature", "nonsense"],
)
def test_strict__bad_csr_leaves_the_order_ready(ca, client, make):
    names = ["www.example.org"]
    order = client.ready(*names)
    assert client.finalize(order, make(names)).error == (400, "badCSR")
    assert client.post(order.location).json["status"] == "ready"
    assert client.finalize(order, make_csr(names)).json["status"] == "valid"


def test_strict__account_key_gets_no_certificate(client):
    order = client.ready("www.example.org")
    reply = client.finalize(order, make_csr(["www.example.org"], key=client.key.private))
    assert reply.error == (400, "badCSR")


def test_strict__order_must_be_ready_to_be_finalized(client):
    order = client.order("www.example.org")
    csr = make_csr(["www.example.org"])
    assert client.finalize(order, csr).error == (403, "orderNotReady")
    client.prove(order)
    assert client.finalize(order, csr).status == 200
    assert client.finalize(order, csr).error == (403, "orderNotReady")
    other = client.ready("www.example.org")
    assert client.post(other.json["finalize"], {"csr": "a="}).error == (400, "malformed")
    assert client.post(other.json["finalize"], {}).error == (400, "malformed")
