"""Who is asking, and what they may do: logins, cookies, roles."""

import base64
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from .avi_types import AviError, uuid_of

CSRF_FAILED = "CSRF token missing or incorrect."
REFERER_FAILED = "Referer checking failed - no Referer."
SAFE = ("GET", "HEAD", "OPTIONS")
ORDER = ("NO_ACCESS", "READ_ACCESS", "WRITE_ACCESS")


class Refused(Exception):
    """A refusal that is no JSON, whatever its Content-Type says."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


@dataclass
class Session:
    """One login."""

    user: str  # the uuid of the account
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    used: float = 0.0
    cookies: bool = True  # False: name and password are in each request


def cookies_of(headers):
    """The cookies of a request."""
    pairs = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
    return {name: value.strip('"') for name, _, value in pairs if name}


def _same(one, other):
    return hmac.compare_digest(str(one).encode(), str(other).encode())


class Sessions:
    """The sessions of a controller."""

    def __init__(self, avi):
        self.avi, self.open, self.expired, self._failures = avi, {}, set(), {}

    def _now(self):
        return time.monotonic() + self.avi.clock_shift

    def login(self, headers, body):
        """POST /login."""
        if "sessionid" in cookies_of(headers):
            # Cookies of before make it a request of a session, and that needs its token.
            self.check_csrf(headers)
        fields = self._fields(headers, body)
        unknown = set(fields) - {"username", "password", "token"}
        if unknown or not isinstance(fields.get("username"), str):
            raise AviError(400, "username and password are expected")
        user = self.avi.store.user(fields["username"])
        if "token" in fields and "password" not in fields:
            good = user and self.avi.tokens.get(fields["token"]) == user.uuid
        else:
            good = user and self._password(user, fields.get("password", ""))
        if not good:
            raise AviError(401, "Invalid credentials")
        session = Session(user.uuid, used=self._now())
        self.open[session.token] = session
        return session

    @staticmethod
    def _fields(headers, body):
        kind = headers.get("content-type", "").partition(";")[0]
        try:
            if kind == "application/x-www-form-urlencoded":
                return dict(parse_qsl(body.decode(), keep_blank_values=True))
            fields = json.loads(body.decode()) if kind == "application/json" else None
        except (ValueError, UnicodeDecodeError):
            fields = None
        if not isinstance(fields, dict):
            raise AviError(400, "neither a form nor JSON")
        return fields

    def _password(self, user, given):
        failures = self._failures.get(user.uuid, 0)
        if self.avi.lock_after and failures >= self.avi.lock_after:
            raise AviError(401, "User account is locked")
        good = _same(user.data.get("password"), given)
        self._failures[user.uuid] = 0 if good else failures + 1
        return good

    def kill(self, token):
        """As the controller does with one that was idle for too long."""
        if self.open.pop(token, None):
            self.expired.add(token)

    def kill_all(self):
        """None is left."""
        for token in list(self.open):
            self.kill(token)

    def check_csrf(self, headers):
        """The token must be in the header and in the cookie."""
        cookies = cookies_of(headers)
        session = self.open.get(cookies.get("avi-sessionid") or cookies.get("sessionid"))
        given = headers.get("x-csrftoken", "")
        if not session or not _same(given, session.csrf) or not _same(
            cookies.get("csrftoken", ""), session.csrf
        ):  # fmt: skip
            raise Refused(401, CSRF_FAILED)

    def of(self, method, headers):
        """The session of a request."""
        if "authorization" in headers:
            return self._basic(headers["authorization"])
        cookies = cookies_of(headers)
        token = cookies.get("avi-sessionid") or cookies.get("sessionid")
        session = self.open.get(token)
        if session and self._now() - session.used > self.avi.idle_minutes * 60:
            self.kill(token)
            session = None
        if not session:
            if token in self.expired:
                raise AviError(self.avi.expired_status, "Session has expired")
            raise AviError(401, "Authentication credentials were not provided.")
        if method not in SAFE:
            self.check_csrf(headers)
            self._check_referer(headers)
        session.used = self._now()
        return session

    def _check_referer(self, headers):
        # As Django does it, over HTTPS only: the host that is asked, with its port.
        referer = urlsplit(headers.get("referer", ""))
        if self.avi.https and (referer.scheme, referer.netloc) != ("https", headers.get("host")):
            raise Refused(403, REFERER_FAILED)

    def _basic(self, value):
        config = self.avi.store.single("systemconfiguration").data
        if not config.get("portal_configuration", {}).get("allow_basic_authentication"):
            raise AviError(401, "Basic authentication is not allowed")
        try:
            scheme, _, text = value.partition(" ")
            name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            raise AviError(401, "Invalid credentials") from None
        user = self.avi.store.user(name) if scheme.lower() == "basic" else None
        if not user or not self._password(user, password):
            raise AviError(401, "Invalid credentials")
        return Session(user.uuid, cookies=False)

    def cookies(self, session):
        """Set-Cookie, with each answer: the end of the session slides."""
        if not session.cookies or session.token not in self.open:
            return []
        if self.avi.rotate_csrf:
            session.csrf = secrets.token_urlsafe(24)
        secure = "; Secure" if self.avi.https else ""
        end = f"; Path=/; Max-Age=86400; HttpOnly{secure}"
        return [
            f"csrftoken={session.csrf}; Max-Age=31449600; Path=/{secure}",
            f"avi-sessionid={session.token}{end}",
            f"sessionid={session.token}{end}",
        ]


# ---- what an account may do ----


def _entries(user, tenant):
    """Those of its accesses that count in a tenant."""
    for one in user.data.get("access", []):
        if one.get("all_tenants") or uuid_of(one.get("tenant_ref")) == tenant:
            yield one


def tenants_of(store, user):
    """The tenants an account may enter."""
    every = store.all("tenant")
    if user.data.get("is_superuser"):
        return every
    return [one for one in every if any(_entries(user, one.uuid))]


def right(store, user, tenant, permission):
    """What an account may do in a tenant with objects of that permission."""
    if user.data.get("is_superuser"):
        return "WRITE_ACCESS"
    best = "NO_ACCESS"
    for entry in _entries(user, tenant):
        role = store.get("role", uuid_of(entry.get("role_ref")))
        for one in role.data.get("privileges", []) if role else []:
            if one["resource"] == permission:
                best = max(best, one["type"], key=ORDER.index)
    return best


def check_right(store, user, tenant, permission, write):
    """403 unless the account may read, or write."""
    found = right(store, user, tenant, permission)
    if ORDER.index(found) < (2 if write else 1):
        name = user.data["username"]
        what = "write" if write else "read"
        raise AviError(403, f"User {name} does not have {what} permission for {permission}")
