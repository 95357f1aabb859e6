"""SDK-HMAC-SHA256: requests signed with an access key and its secret, in place of a token."""

import hashlib
import hmac
import re
from urllib.parse import quote, unquote, unquote_plus

ALGORITHM = "SDK-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()
TERMINATOR = "sdk_request"
_AUTHORIZATION = re.compile(
    ALGORITHM + r" (?:Access=(?P<access>[^,/ ]+)|Credential=(?P<old>[^,/ ]+)/(?P<scope>[^, ]+)), ?"
    r"SignedHeaders=(?P<names>[^, ]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)


def _encoded(text):
    return quote(text, safe="-_.~")


def canonical_path(path):
    """Each part encoded anew; it always ends with a slash, whatever was asked for."""
    path = "/".join(map(_encoded, unquote(path).split("/")))
    return path if path.endswith("/") else path + "/"


def canonical_query(query):
    """Sorted by name, and where a name comes more than once, by value."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    pairs = sorted((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)


def canonical_request(method, target, headers, names, body_hash):
    """headers: with names in lower case; names: those that are signed, in order."""
    path, _, query = target.partition("?")
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    return "\n".join([
        method, canonical_path(path), canonical_query(query), lines, ";".join(names), body_hash,
    ])  # fmt: skip


def body_hash_of(headers, body):
    """That of the body, unless the client said what to take."""
    return headers.get("x-sdk-content-sha256") or hashlib.sha256(body).hexdigest()


def string_to_sign(date, canonical, scope=None):
    """What is signed; the older form has a scope in it."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join([ALGORITHM, date, *([scope] if scope else []), digest])


def signature(secret, text, scope=None):
    """Hex. Nowadays the secret is the key as it is; the older form derives one from its scope."""
    key = secret.encode()
    if scope:
        key = b"SDK" + key
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def sign(method, target, headers, body, access, secret, names=None, scope=None):
    """The value of Authorization. headers must have Host and X-Sdk-Date; names: what to sign."""
    headers = {name.lower(): value for name, value in headers.items()}
    names = sorted(names or (name for name in headers if "_" not in name))
    canonical = canonical_request(method, target, headers, names, body_hash_of(headers, body))
    text = string_to_sign(headers["x-sdk-date"], canonical, scope)
    who = f"Credential={access}/{scope}" if scope else f"Access={access}"
    signed = signature(secret, text, scope)
    return f"{ALGORITHM} {who}, SignedHeaders={';'.join(names)}, Signature={signed}"


class Signed:
    """The header Authorization, taken apart; ValueError when it is none of ours."""

    def __init__(self, text):
        found = _AUTHORIZATION.match(text)
        if not found:
            raise ValueError("the header Authorization cannot be read")
        self.access, self.scope = found["access"] or found["old"], found["scope"]
        self.names, self.signature = found["names"].split(";"), found["signature"]
        if self.names != sorted(set(self.names)) or found["names"] != found["names"].lower():
            raise ValueError("SignedHeaders is not sorted or not in lower case")
        for name in ("host", "x-sdk-date"):
            if name not in self.names:
                raise ValueError(f"{name} is not signed")

    def canonical(self, method, target, headers, body):
        """As the server sees it."""
        for name in self.names:
            if name not in headers:
                raise ValueError(f"the signed header {name} is missing")
        return canonical_request(
            method, target, headers, self.names, body_hash_of(headers, body)
        )

    def fits(self, secret, canonical, date):
        """Was it signed with that secret?"""
        text = string_to_sign(date, canonical, self.scope)
        return hmac.compare_digest(signature(secret, text, self.scope), self.signature)
