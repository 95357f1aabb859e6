"""Certificates of the simulated load balancers: what is taken, and what is told of them."""

import re
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .fe_errors import FeError
from .nitro_certs import common_name, issued, key_type, period

CERT_MAX, KEY_MAX, CHAIN_MAX = 65536, 8192, 11
DOMAINS_MAX, DOMAIN_MAX = 100, 10000
CURVES = ("secp256r1", "secp384r1", "secp521r1")
BLOCK = re.compile(
    r"-----BEGIN (?P<kind>[A-Z ]+)-----\n(?P<rows>(?:[A-Za-z0-9+/=]+\n)+)-----END (?P=kind)-----\n?"
)
KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(\*\.)?({_LABEL}\.)+[a-z0-9-]{{2,63}}$", re.IGNORECASE)
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def _blocks(text, what):
    """[(kind, PEM)]; the form is looked at closely."""
    found, at = [], 0
    text = text.replace("\r\n", "\n")
    for one in BLOCK.finditer(text):
        rows = one["rows"].splitlines()
        if one.start() != at:
            break
        if any(len(row) != 64 for row in rows[:-1]) or len(rows[-1]) > 64:
            raise FeError("ELB.5013", f"{what}: a row is not 64 characters long.")
        found.append((one["kind"], one[0]))
        at = one.end()
    if not found or at != len(text):
        words = "there is a blank line" if "\n\n" in text else "it is not in PEM"
        raise FeError("ELB.5013", f"{what}: {words}.")
    return found


def chain_of(fe, text):
    """The certificates in a text, the leaf first."""
    if not isinstance(text, str) or not text or len(text) > CERT_MAX:
        raise FeError("ELB.8902", "certificate: its length is not valid.")
    found = _blocks(text, "certificate")
    if any(kind != "CERTIFICATE" for kind, _ in found) or len(found) > CHAIN_MAX:
        raise FeError("ELB.5013", f"certificate: at most {CHAIN_MAX} of them, and nothing else.")
    try:
        chain = [x509.load_pem_x509_certificate(pem.encode()) for _, pem in found]
    except ValueError:
        raise FeError("ELB.5013", "certificate: it cannot be decoded.") from None
    if fe.chain_order == "check" and not all(map(issued, chain[1:], chain)):
        raise FeError("ELB.5013", "certificate: the chain is not in order.")
    return chain


def check_key(text):
    """The private key in a text."""
    if not isinstance(text, str) or not text or len(text) > KEY_MAX:
        raise FeError("ELB.8902", "private_key: its length is not valid.")
    found = _blocks(text, "private_key")
    if len(found) != 1 or found[0][0] not in KEYS:
        raise FeError("ELB.5013", "private_key: one key without a passphrase, and nothing else.")
    try:
        key = serialization.load_pem_private_key(found[0][1].encode(), None)
    except (ValueError, TypeError):
        raise FeError("ELB.5013", "private_key: it cannot be decoded.") from None
    good = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 1024
    good = good or (isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES)
    if not good:
        raise FeError("ELB.5013", "private_key: that kind of key is not supported.")
    return key


def _public(key):
    return key.public_bytes(DER, SPKI)


def check_pair(fe, certificate, private_key):
    """The chain of a server's certificate that goes with a key."""
    chain, key = chain_of(fe, certificate), check_key(private_key)
    if _public(chain[0].public_key()) != _public(key.public_key()):
        raise FeError("ELB.5013", "The private key does not match the certificate.")
    return chain


def domains_of(text):
    """The names in the field domain."""
    return [one.strip().lower() for one in (text or "").split(",") if one.strip()]


def check_domain(fe, text):
    """The field domain."""
    names = domains_of(text)
    if len(text) > DOMAIN_MAX or len(names) > DOMAINS_MAX:
        raise FeError("ELB.8902", "domain: too long.")
    if text and not all(DOMAIN.match(one) for one in text.split(",")):
        raise FeError("ELB.8902", f"domain: {text[:100]} is not valid.")
    if len(names) > 1 and not fe.multi_domain:
        raise FeError("ELB.8909")


def _form(blank):
    return "%Y-%m-%d %H:%M:%S" if blank else "%Y-%m-%dT%H:%M:%SZ"


def expiry(chain, blank=False):
    """When the leaf ends, as v3 tells it, or with a blank as v2.0 does."""
    return f"{period(chain[0])[1]:{_form(blank)}}"


def kind_of(chain):
    """RSA or EC: one of each may be there for a name."""
    return key_type(chain[0])


def subject(chain):
    """The common name of the leaf."""
    return common_name(chain[0])


def stamp(seconds, blank=False):
    """A time, in the two forms."""
    return time.strftime(_form(blank), time.gmtime(seconds))
