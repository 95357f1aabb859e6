"""Who is asking: sessions by cookie, or name and password in each request."""

import secrets
import time
from dataclasses import dataclass, field

from .nitro_config import number
from .nitro_errors import NitroError

COOKIE = "NITRO_AUTH_TOKEN"
DEFAULT_TIMEOUT = 1800


@dataclass
class Session:
    """One login; of a request without a session it lasts as long as the request."""

    user: object
    partition: str = "default"
    timeout: int = DEFAULT_TIMEOUT
    used: float = field(default_factory=time.monotonic)
    token: str = ""


def _tokens(headers):
    """What a cookie header says, or the header that the vendor's own Go client puts it in."""
    for name in ("cookie", "set-cookie"):
        for part in headers.get(name, "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == COOKIE:
                yield value.strip('"')


class Sessions:
    """The sessions of one node."""

    def __init__(self, nitro):
        self.nitro, self.open, self.expired = nitro, {}, set()

    def check_password(self, name, password):
        """The user, or the device's refusal."""
        user = self.nitro.accounts.users.get(name)
        if not user:
            raise NitroError(354)
        if user.locked:
            raise NitroError(355, words="User account is locked")
        if not secrets.compare_digest(user.password.encode(), str(password).encode()):
            user.failures += 1
            user.locked = bool(self.nitro.lock_after) and user.failures >= self.nitro.lock_after
            raise NitroError(354)
        user.failures = 0
        return user

    def login(self, headers, args):
        """A new session."""
        if "x-nitro-user" in headers or any(_tokens(headers)):
            raise NitroError(1238, "login with credentials in a header")
        for name in args:
            if name not in ("username", "password", "timeout"):
                raise NitroError(278, name)
        for name in ("username", "password"):
            if not args.get(name):
                raise NitroError(1095, name)
        user = self.check_password(args["username"], args["password"])
        timeout = number(args, "timeout", 0, 2**31, user.timeout or DEFAULT_TIMEOUT)
        if "timeout" in args and not 300 <= timeout <= 86400:
            raise NitroError(1219, str(timeout))
        self._sweep()
        if len(self.open) >= self.nitro.session_limit:
            raise NitroError(445)
        token = "##" + secrets.token_hex(32).upper()
        self.open[token] = Session(user, timeout=timeout, token=token)
        return self.open[token]

    def _sweep(self):
        now = time.monotonic() + self.nitro.clock_shift
        for token, session in list(self.open.items()):
            if now - session.used > session.timeout:
                self.kill(token)

    def kill(self, token):
        """As the device does with one that was idle for too long."""
        self.open.pop(token, None)
        self.expired.add(token)

    def of(self, headers):
        """The session of a request."""
        self._sweep()
        tokens = list(_tokens(headers))
        name = headers.get("x-nitro-user")
        if name is not None:
            if tokens:
                raise NitroError(1238, "a session and credentials in headers")
            if not self.nitro.basic_auth:
                raise NitroError(1244)
            return Session(self.check_password(name, headers.get("x-nitro-pass", "")))
        if not tokens:
            raise NitroError(352)
        session = self.open.get(tokens[0])
        if not session:
            raise NitroError(444 if tokens[0] in self.expired else 1027)
        session.used = time.monotonic() + self.nitro.clock_shift
        return session
