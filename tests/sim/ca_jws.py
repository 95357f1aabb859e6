"""JSON Web Signatures as RFC 8555 section 6.2 allows them, and nothing else."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from .ca_http import Refused

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*\Z")
_PADDING = {0: "", 2: "==", 3: "="}
# What the last character may be, by the length modulo 4: the bits it has too much are zero.
_LAST = {
    0: frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    2: frozenset("AQgw"),
    3: frozenset("AEIMQUYcgkosw048"),
}

# crv: (alg, curve, width of a coordinate, hash)
CURVES = {
    "P-256": ("ES256", ec.SECP256R1(), 32, hashes.SHA256()),
    "P-384": ("ES384", ec.SECP384R1(), 48, hashes.SHA384()),
    "P-521": ("ES512", ec.SECP521R1(), 66, hashes.SHA512()),
}
ALGORITHMS = ["ES256", "ES384", "ES512", "RS256"]
MACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def encode(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text, what="value"):
    """Bytes of base64url; padding, another alphabet and stray bits are refused."""
    odd = len(text) % 4 if isinstance(text, str) and _ALPHABET.match(text) else 1
    if odd == 1:
        raise Refused("malformed", f"{what} is not base64url without padding")
    if text and text[-1] not in _LAST[odd]:
        raise Refused("malformed", f"{what} has stray bits at the end of its base64url")
    return base64.urlsafe_b64decode(text + _PADDING[odd])


def public_bytes(key):
    """The SubjectPublicKeyInfo, to compare keys by."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _no_twins(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def parse_json(data, what="payload"):
    """A JSON object without double members."""
    try:
        found = json.loads(data, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"{what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused("malformed", f"{what} is not an object")
    return found


class PublicKey:
    """A key a client signs with, from its JWK."""

    def __init__(self, jwk):
        if not isinstance(jwk, dict):
            raise Refused("malformed", "jwk is not an object")
        if "d" in jwk:
            raise Refused("badPublicKey", "jwk has the private key in it")
        make = {"EC": self._elliptic, "RSA": self._rsa}.get(jwk.get("kty"))
        if not make:
            raise Refused("badPublicKey", f"kty {jwk.get('kty')} is not for us")
        try:
            make(jwk)
        except ValueError as error:
            raise Refused("badPublicKey", f"jwk: {error}") from None
        members = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
        self.jwk = {member: jwk[member] for member in members}
        text = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True)
        self.der = public_bytes(self.key)
        self.thumbprint = encode(hashlib.sha256(text.encode()).digest())

    def _elliptic(self, jwk):
        if jwk.get("crv") not in CURVES:
            raise Refused("badPublicKey", f"curve {jwk.get('crv')} is not for us")
        self.alg, curve, self.width, digest = CURVES[jwk["crv"]]
        x, y = decode(jwk.get("x"), "x"), decode(jwk.get("y"), "y")
        if len(x) != self.width or len(y) != self.width:
            raise Refused("malformed", f"x and y must have {self.width} bytes")
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve
        )
        self.key, self._algorithm = numbers.public_key(), ec.ECDSA(digest)

    def _rsa(self, jwk):
        n, e = decode(jwk.get("n"), "n"), decode(jwk.get("e"), "e")
        if not n or not e or n[0] == 0 or e[0] == 0:
            raise Refused("malformed", "n and e must not begin with a zero byte")
        self.alg, self.width = "RS256", len(n)
        numbers = rsa.RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big"))
        if not 2048 <= numbers.n.bit_length() <= 8192:
            raise Refused("badPublicKey", f"RSA key of {numbers.n.bit_length()} bits")
        self.key = numbers.public_key()

    def verify(self, alg, signature, data):
        """Refuse unless the signature is good and has the one form RFC 7518 allows."""
        if alg != self.alg:
            raise Refused(
                "badSignatureAlgorithm", f"{alg} with this key", more={"algorithms": [self.alg]}
            )
        try:
            if alg == "RS256":
                if len(signature) != self.width:
                    raise Refused("malformed", f"the signature must have {self.width} bytes")
                self.key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
                return
            if len(signature) != 2 * self.width:
                raise Refused("malformed", f"the signature must have {2 * self.width} bytes")
            r = int.from_bytes(signature[: self.width], "big")
            s = int.from_bytes(signature[self.width :], "big")
            self.key.verify(encode_dss_signature(r, s), data, self._algorithm)
        except InvalidSignature:
            raise Refused("malformed", "the signature is wrong") from None


@dataclass
class Jws:
    """A flattened JWS, decoded but not yet believed."""

    protected: dict
    payload: bytes
    signature: bytes
    signed: bytes  # what the signature is about

    @property
    def alg(self):
        """The algorithm it claims."""
        return self.protected.get("alg")


def parse(document, what="body"):
    """A Jws from bytes, or from an object where one is nested in another."""
    found = document if isinstance(document, dict) else parse_json(document, what)
    if "header" in found:
        raise Refused("malformed", "a header that is not protected")
    if "signatures" in found:
        raise Refused("malformed", "more than one signature")
    if sorted(found) != ["payload", "protected", "signature"]:
        raise Refused("malformed", f"{what} must have protected, payload and signature only")
    for name, value in found.items():
        if not isinstance(value, str):
            raise Refused("malformed", f"{name} is not a string")
    protected = parse_json(decode(found["protected"], "protected"), "protected")
    return Jws(
        protected,
        decode(found["payload"], "payload"),
        decode(found["signature"], "signature"),
        f"{found['protected']}.{found['payload']}".encode(),
    )


def check_header(jws, url, members):
    """The protected header has these members and no others, and is meant for this URL."""
    protected = jws.protected
    if "jwk" in protected and "kid" in protected:
        raise Refused("malformed", "both jwk and kid")
    for name in members:
        if name not in protected:
            raise Refused("badNonce" if name == "nonce" else "malformed", f"no {name} in protected")
    for name in protected:
        if name not in members:
            raise Refused("malformed", f"{name} does not belong in protected here")
    if protected["url"] != url:
        raise Refused("unauthorized", f"url is {protected['url']!r}, asked was {url!r}", 401)


def check_algorithm(jws):
    """Only signatures: neither none nor a MAC."""
    if jws.alg not in ALGORITHMS:
        raise Refused(
            "badSignatureAlgorithm", f"alg {jws.alg!r}", more={"algorithms": ALGORITHMS}
        )


def check_mac(jws, key):
    """The HMAC of an external account binding."""
    if jws.alg not in MACS:
        raise Refused("badSignatureAlgorithm", f"alg {jws.alg!r}", more={"algorithms": [*MACS]})
    mac = hmac.new(key, jws.signed, MACS[jws.alg]).digest()
    if not hmac.compare_digest(mac, jws.signature):
        raise Refused("unauthorized", "the MAC of the external account binding is wrong", 403)
