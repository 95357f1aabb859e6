"""Certificates and chains a client must not take, and a few odd ones it may.

LEAVES: change(ca, leaf) before it is signed. CHAINS: change(ca, ders, cert) to what is downloaded.
Each row: description, change, options of the CA.
"""

import base64
import os

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import ca_pki
from .ca_http import Answer
from .ca_pki import DAY


def _pems(ders):
    return b"".join(ca_pki.pem(der) for der in ders)


def _flipped(der):
    """The same with a broken signature: its last byte."""
    return der[:-1] + bytes([der[-1] ^ 1])


def _raw_pem(der, label=b"CERTIFICATE", head=b""):
    """PEM of bytes that need not be a certificate."""
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"-----BEGIN %s-----\n%s%s\n-----END %s-----\n" % (label, head, lines, label)


def _set(**members):
    """Members of the leaf: a function is given the CA and the leaf."""

    def change(ca, leaf):
        for name, value in members.items():
            setattr(leaf, name, value(ca, leaf) if callable(value) else value)

    return change


def _unknown_extension():
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")
    return [(x509.UnrecognizedExtension(oid, b"\x05\x00"), True)]


def _parent(name):
    return "*." + name.split(".", 1)[1]


LEAVES = {
    "certificate-for-other-key": (
        "for a key nobody asked with",
        _set(key=lambda ca, leaf: ca_pki.new_key().public_key()), {},
    ),
    "certificate-for-other-names": (
        "for a name nobody asked for", _set(names=[("dns", "other.example")]), {},
    ),
    "certificate-name-missing": (
        "the first name is missing",
        _set(names=lambda ca, leaf: leaf.names[1:] or [("dns", "missing.example")]), {},
    ),
    "certificate-name-added": (
        "one name more", _set(names=lambda ca, leaf: [*leaf.names, ("dns", "more.example")]), {},
    ),
    "certificate-name-wider": (
        "a wildcard that covers the name, in its place",
        _set(names=lambda ca, leaf: [("dns", _parent(value)) for _, value in leaf.names]), {},
    ),
    "certificate-common-name-only": (
        "no subjectAltName",
        _set(subject=lambda ca, leaf: leaf.names[0][1], names=lambda ca, leaf: []), {},
    ),
    "certificate-expired": (
        "expired yesterday",
        _set(not_before=lambda ca, leaf: ca.now() - 91 * DAY,
             not_after=lambda ca, leaf: ca.now() - DAY), {},
    ),
    "certificate-not-yet-valid": (
        "valid from the day after tomorrow",
        _set(not_before=lambda ca, leaf: ca.now() + 2 * DAY), {},
    ),
    "certificate-life-too-long": (
        "valid for ten years", _set(not_after=lambda ca, leaf: ca.now() + 3650 * DAY), {},
    ),
    "certificate-is-ca": ("CA:TRUE", _set(is_ca=True), {}),
    "certificate-without-server-auth": (
        "for TLS clients only", _set(usages=[ExtendedKeyUsageOID.CLIENT_AUTH]), {},
    ),
    "certificate-signed-with-sha1": ("signed with SHA-1", _set(digest="sha1"), {}),
    "certificate-critical-unknown": (
        "a critical extension nobody knows",
        _set(extensions=lambda ca, leaf: _unknown_extension()), {},
    ),
}  # fmt: skip


def _append(text):
    return lambda ca, ders, cert: _pems(ders) + text


def _body(body, kind="application/pem-certificate-chain"):
    return lambda ca, ders, cert: Answer(body, 200, {}, kind)


def _typed(kind):
    return lambda ca, ders, cert: Answer(_pems(ders), 200, {}, kind)


def _with_key(_ca, ders, _cert):
    key = ca_pki.new_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _pems(ders) + key


def _from_elsewhere(ca, ders, _cert):
    """The intermediate of a CA with the same names but another key."""
    return _pems([ders[0], *ca_pki.Authority("ec", [1], ca.now()).chains[0]])


def _signed_elsewhere(ca, ders, cert):
    """The leaf signed by a key that the intermediate does not have."""
    leaf = ca_pki.Leaf(
        cert.names,
        serialization.load_der_public_key(cert.key),
        cert.not_before,
        cert.not_after,
        cert.serial,
    )
    return _pems([ca_pki.Authority("ec", [1], ca.now()).sign(leaf), *ders[1:]])


def _other_alternate(ca, ders, cert):
    """The default chain as it should be, the others for a stranger."""
    if ders[1:] == cert.authority.chains[0]:
        return _pems(ders)
    return _pems([_stranger(ca, cert), *ders[1:]])


def _encrypted(_ca, ders, _cert):
    head = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,%s\n\n" % os.urandom(16).hex().encode()
    return _raw_pem(ders[0], head=head) + _pems(ders[1:])


def _cut(_ca, ders, _cert):
    return _pems(ders)[:-200]


CHAINS = {
    "certificate-signature-broken": (
        "the signature of the leaf is broken",
        lambda ca, ders, cert: _raw_pem(_flipped(ders[0])) + _pems(ders[1:]), {},
    ),
    "chain-signature-broken": (
        "the signature of the first intermediate is broken",
        lambda ca, ders, cert: _pems(ders[:1]) + _raw_pem(_flipped(ders[1])) + _pems(ders[2:]),
        {"chain_length": 2},
    ),
    "chain-order-wrong": (
        "the intermediates in the wrong order",
        lambda ca, ders, cert: _pems([ders[0], *reversed(ders[1:])]), {"chain_length": 2},
    ),
    "chain-leaf-last": ("the leaf at the end", lambda ca, ders, cert: _pems(ders[::-1]), {}),
    "chain-intermediate-missing": (
        "the issuer of the leaf is left out",
        lambda ca, ders, cert: _pems([ders[0], *ders[2:]]), {"chain_length": 2},
    ),
    "chain-leaf-missing": ("intermediates only", lambda ca, ders, cert: _pems(ders[1:]), {}),
    "chain-leaf-twice": ("the leaf twice", lambda ca, ders, cert: _pems([ders[0], *ders]), {}),
    "chain-foreign": ("an intermediate with another key", _from_elsewhere, {}),
    "certificate-signed-elsewhere": ("a leaf the chain did not sign", _signed_elsewhere, {}),
    "chain-of-50": ("leaf and 49 intermediates, all good", lambda ca, ders, cert: _pems(ders),
                    {"chain_length": 49}),
    "chain-giant": (
        "8 MiB of intermediates", lambda ca, ders, cert: _pems(ders) + _pems(ders[1:]) * 12000, {},
    ),
    "certificate-body-empty": ("200, no body", _body(b""), {}),
    "certificate-html": ("a page", _body(b"<html>sorry</html>", "text/html"), {}),
    "certificate-html-as-pem": ("a page that claims to be a chain", _body(b"<html>no</html>"), {}),
    "certificate-json": (
        "a document as JSON", lambda ca, ders, cert: Answer(
            {"certificate": _pems(ders).decode()}, 200, {}, "application/json"), {},
    ),
    "certificate-der": (
        "DER instead of PEM",
        lambda ca, ders, cert: Answer(ders[0], 200, {}, "application/pkix-cert"), {},
    ),
    "certificate-der-as-pem": ("DER that claims to be PEM", lambda ca, ders, cert: ders[0], {}),
    "certificate-type-html": ("a good chain as text/html", _typed("text/html"), {}),
    "certificate-with-private-key": ("a private key behind the chain", _with_key, {}),
    "certificate-with-crl": (
        "a CRL behind the chain", _append(_raw_pem(b"\x30\x03\x02\x01\x01", b"X509 CRL")), {},
    ),
    "certificate-trailing-garbage": (
        "bytes behind the chain", _append(b"\x00\x01garbage\xff"), {},
    ),
    "certificate-encrypted-pem": ("PEM that claims to be encrypted", _encrypted, {}),
    "certificate-pem-cut": ("the last PEM block has no end", _cut, {}),
    "certificate-base64-broken": (
        "characters that are no base64",
        lambda ca, ders, cert: _pems(ders).replace(b"M", b"*", 3), {},
    ),
    "certificate-nul": (
        "a NUL inside of the leaf",
        lambda ca, ders, cert: _pems(ders)[:200] + b"\0" + _pems(ders)[200:], {},
    ),
    "certificate-not-asn1": (
        "PEM of bytes that are no certificate",
        lambda ca, ders, cert: _raw_pem(b"\x30\x82\xff\xffno") + _pems(ders[1:]), {},
    ),
    "alternate-for-other-key": ("an alternate with another leaf", _other_alternate,
                                {"alternates": 1}),
    "certificate-of-somebody-else": (
        "a good chain for another key and name",
        lambda ca, ders, cert: _pems([_stranger(ca, cert), *ders[1:]]), {},
    ),
}  # fmt: skip


def _stranger(ca, cert):
    leaf = ca_pki.Leaf(
        [("dns", "stranger.example")],
        ca_pki.new_key().public_key(),
        ca.now() - 3600,
        ca.now() + 90 * DAY,
        cert.serial + 1,
    )
    return cert.authority.sign(leaf)
