"""Who is asking the simulated NSX Manager, and what they may do: passwords, sessions, rights."""

import base64
import hmac
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from .avi_session import cookies_of
from .nsx_types import NO_RIGHT, NsxError

LEVELS = ("none", "read", "execute", "crud")
WRONG = "The credentials were incorrect or the account specified has been locked."


@dataclass
class Account:
    """rights: {feature: level}; None: all. remote: known by a directory, not by the managers."""

    name: str
    password: str
    rights: dict = None
    remote: bool = False
    failures: int = 0
    locked_until: float = 0.0

    def may(self, feature, level):
        """Is that allowed?"""
        own = "crud" if self.rights is None else self.rights.get(feature, "none")
        return feature is None or LEVELS.index(own) >= LEVELS.index(level)


@dataclass
class Session:
    """One login on one manager."""

    account: Account
    used: float
    token: str = field(default_factory=lambda: secrets.token_hex(16).upper())
    xsrf: str = field(default_factory=lambda: secrets.token_hex(16))


def _same(one, other):
    return hmac.compare_digest(str(one).encode(), str(other).encode())


def wrong_credentials(status=403):
    """What is said whatever is wrong with them."""
    return NsxError(status, 403, WRONG)


class Accounts:
    """The accounts of a cluster. Sessions are kept by each manager."""

    def __init__(self, nsx):
        self.nsx, self.accounts = nsx, {}

    def _now(self):
        return time.monotonic() + self.nsx.clock_shift

    def _checked(self, name, password, remote=None):
        account = self.accounts.get(name)
        if not account:
            raise wrong_credentials()
        if account.locked_until > self._now():
            raise wrong_credentials()
        if account.locked_until:
            account.failures, account.locked_until = 0, 0.0
        if not _same(account.password, password):
            account.failures += 1
            if self.nsx.lock_after and account.failures >= self.nsx.lock_after:
                account.locked_until = self._now() + self.nsx.lock_seconds
            raise wrong_credentials()
        if remote is not None and remote != account.remote:
            raise wrong_credentials()
        account.failures = 0
        return account

    # ---- each request ----

    def of(self, manager, headers):
        """(the account, the session or None) of a request."""
        if "authorization" in headers:
            return self._basic(headers["authorization"]), None
        token = cookies_of(headers).get("JSESSIONID")
        if not token:
            raise wrong_credentials(self.nsx.no_login_status)
        session = manager.sessions.get(token)
        if session and self._now() - session.used > self.nsx.idle_seconds:
            session = manager.sessions.pop(token) and None
        if not session:
            raise wrong_credentials(self.nsx.session_gone_status)
        if not _same(headers.get("x-xsrf-token", ""), session.xsrf):
            raise NsxError(403, 403, "The X-XSRF-TOKEN header is missing or wrong.")
        session.used = self._now()
        return session.account, session

    def _basic(self, value):
        scheme, _, text = value.partition(" ")
        remote = {"basic": False, "remote": True}.get(scheme.lower())
        if remote is None or not (self.nsx.basic_authentication or remote):
            raise wrong_credentials(self.nsx.no_login_status)
        try:
            name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            raise wrong_credentials() from None
        return self._checked(name, password, remote)

    # ---- sessions ----

    def login(self, manager, headers, body):
        """POST /api/session/create; returns the session."""
        kind = headers.get("content-type", "").partition(";")[0]
        if not self.nsx.cookie_authentication:
            raise wrong_credentials(self.nsx.no_login_status)
        if kind != "application/x-www-form-urlencoded":
            raise NsxError(self.nsx.media_status, 415, "A form is expected.")
        try:
            fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
        except ValueError:
            fields = {}
        if set(fields) != {"j_username", "j_password"}:
            raise wrong_credentials()
        session = Session(self._checked(fields["j_username"], fields["j_password"]), self._now())
        manager.sessions[session.token] = session
        return session

    def check(self, account, feature, level):
        """403 unless the account may do that."""
        if not account.may(feature, level):
            raise NsxError(
                403, NO_RIGHT,
                "User is not authorized to perform this operation on the application. Please "
                f"contact the system administrator to get access. ({feature}: {level})",
            )  # fmt: skip
