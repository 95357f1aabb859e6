"""Who is asking, and what they may do: accounts, projects, tokens, access keys."""

import calendar
import fnmatch
import hmac
import secrets
import time
from dataclasses import dataclass, field

from .ca_http import Answer
from .fe_errors import FeError
from .fe_sign import UNSIGNED, Signed, body_hash_of

SKEW_S = 15 * 60
BAD_LOGIN = "IAM.0062"
WRONG = "Incorrect IAM authentication information: "


@dataclass
class Domain:
    """An account, as the provider calls it: what users and projects belong to."""

    name: str
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class Project:
    """What resources belong to."""

    name: str
    domain: Domain
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class User:
    """rights: patterns of actions, None: all. passcode: what a second factor shows now."""

    name: str
    password: str
    domain: Domain
    rights: tuple = None
    passcode: str = None
    enabled: bool = True
    failures: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class Key:
    """An access key; a temporary one has a token."""

    access: str
    secret: str
    user: User
    token: str = None
    until: float = None
    failures: int = 0


@dataclass
class Token:
    """One that was given out. number tells them apart in the log."""

    value: str
    number: int
    user: User
    project: Project
    issued: float
    until: float


@dataclass
class Caller:
    """Who makes a request, for which project; a token without one has None."""

    user: User
    project: Project
    label: str


def _same(one, other):
    return hmac.compare_digest(str(one).encode(), str(other).encode())


def _text(document, *path):
    """A string deep in a document; None when there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, str) else None


def stamp(seconds):
    """A time as IAM tells it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".000000Z"


class Iam:
    """The accounts of a cloud."""

    def __init__(self, fe):
        self.fe = fe
        self.domains, self.projects, self.users = [], [], []
        self.keys, self.tokens = {}, {}
        self._count = 0

    # ---- what a test sets up ----

    def domain(self, name):
        """An account, made when it is not there."""
        found = next((one for one in self.domains if one.name == name), None)
        if not found:
            found = Domain(name)
            self.domains.append(found)
        return found

    def project(self, name, domain):
        """A new project."""
        self.projects.append(Project(name, self.domain(domain)))
        return self.projects[-1]

    def user(self, name, password, domain, rights=None, passcode=None):
        """A new user."""
        rights = None if rights is None else tuple(rights)
        self.users.append(User(name, password, self.domain(domain), rights, passcode))
        return self.users[-1]

    def named(self, name):
        """A user."""
        return next(one for one in self.users if one.name == name)

    def key(self, user, temporary_s=None):
        """A new access key for a user."""
        access, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
        key = Key(access, secret, self.named(user))
        if temporary_s is not None:
            key.token, key.until = secrets.token_urlsafe(200), self.fe.now() + temporary_s
        self.keys[access] = key
        return key

    def expire(self):
        """All tokens are over."""
        for one in self.tokens.values():
            one.until = 0

    def set_password(self, name, password):
        """Tokens do not outlive the password."""
        user = self.named(name)
        user.password = password
        for one in self.tokens.values():
            if one.user is user:
                one.until = 0

    # ---- POST /v3/auth/tokens ----

    def issue(self, call):
        """A token for a password."""
        auth = call.given.get("auth")
        if not isinstance(auth, dict) or set(call.given) != {"auth"}:
            raise FeError("IAM.0011")
        user = self._login(call, auth.get("identity"))
        project = self._scope(user, auth.get("scope"))
        self._count += 1
        value = "MII" + secrets.token_urlsafe(self.fe.token_length)[: self.fe.token_length - 3]
        now = self.fe.now()
        token = Token(value, self._count, user, project, now, now + self.fe.token_life_s)
        self.tokens[value] = token
        call.request.user, call.request.auth = user.name, f"token {token.number}"
        shown = self.shown(token, "nocatalog" not in dict(call.query))
        return Answer(shown, 201, {"X-Subject-Token": value})

    def _login(self, call, identity):
        methods = identity.get("methods") if isinstance(identity, dict) else None
        given = identity.get("password", {}) if isinstance(identity, dict) else {}
        given = given.get("user") if isinstance(given, dict) else None
        if methods not in (["password"], ["password", "totp"], ["totp", "password"]):
            raise FeError("IAM.0011", "The authentication method is not supported.")
        if not isinstance(given, dict) or not _text(given, "password"):
            raise FeError("IAM.0011")
        name, id_ = _text(given, "name"), _text(given, "id")
        domain = _text(given, "domain", "name") or _text(given, "domain", "id")
        if not id_ and not (name and domain):
            raise FeError("IAM.0011", "Expecting to find domain in user.")
        call.request.name = call.request.user = name or id_
        found = [
            one for one in self.users
            if one.id == id_ or (one.name == name and domain in (one.domain.name, one.domain.id))
        ]  # fmt: skip
        if not found:
            raise FeError(BAD_LOGIN)
        self._check_password(found[0], given["password"])
        self._check_passcode(found[0], methods, identity)
        return found[0]

    def _check_password(self, user, password):
        if user.failures >= self.fe.lock_after:
            raise FeError("IAM.0061")
        if not _same(user.password, password):
            user.failures += 1
            raise FeError(BAD_LOGIN)
        if not user.enabled:
            raise FeError("IAM.0001", "The user is disabled.")
        user.failures = 0

    @staticmethod
    def _check_passcode(user, methods, identity):
        if not user.passcode:
            return
        if "totp" not in methods:
            raise FeError("IAM.0001", "Login protection is on: the method totp is required.")
        given = identity.get("totp")
        passcode, id_ = _text(given, "user", "passcode"), _text(given, "user", "id")
        if id_ != user.id or not _same(user.passcode, passcode):
            raise FeError("IAM.0001", "The passcode is wrong.")

    def _scope(self, user, scope):
        """The project that is meant; None: a whole account, or nothing."""
        if scope is None or (isinstance(scope, dict) and list(scope) == ["domain"]):
            domain = _text(scope, "domain", "name") or _text(scope, "domain", "id")
            if scope and domain not in (user.domain.name, user.domain.id):
                raise FeError("IAM.1109", "Could not find the domain.", self.fe.no_project_status)
            return None
        if not isinstance(scope, dict) or list(scope) != ["project"]:
            raise FeError("IAM.0011")
        id_, name = _text(scope, "project", "id"), _text(scope, "project", "name")
        for one in self.projects:
            if one.domain is user.domain and (one.id == id_ or (not id_ and one.name == name)):
                return one
        words = f"Could not find project: {id_ or name}."
        raise FeError("IAM.1109", words, self.fe.no_project_status)

    def shown(self, token, with_catalog=True):
        """A token as it is described."""
        user, project = token.user, token.project
        domain = {"id": user.domain.id, "name": user.domain.name}
        shown = {
            "expires_at": stamp(token.until), "issued_at": stamp(token.issued),
            "methods": ["password"], "roles": [{"id": "0", "name": "op_gated"}],
            "user": {
                "id": user.id, "name": user.name, "domain": domain, "password_expires_at": "",
            },
        }  # fmt: skip
        if project:
            shown["project"] = {"id": project.id, "name": project.name, "domain": domain}
        if with_catalog and self.fe.tells_catalog:
            shown["catalog"] = self.catalog(project)
        return {"token": shown}

    def catalog(self, project):
        """Where the services are."""
        id_, fe = project.id if project else "", self.fe
        places = (
            ("identity", "iam", fe.iam_url + "/v3"), ("dns", "dns", fe.dns_url),
            ("elb", "elb", f"{fe.elb_url}/v1.0/{id_}"),
            ("elbv3", "elbv3", f"{fe.elb_url}/v3/{id_}"),
            ("network", "neutron", fe.vpc_url),
        )  # fmt: skip
        return [
            {
                "id": f"{number:032x}", "type": type_, "name": name,
                "endpoints": [{
                    "id": f"{number + 100:032x}", "interface": "public", "region": fe.region,
                    "region_id": fe.region, "url": url,
                }],
            }
            for number, (type_, name, url) in enumerate(places)
        ]  # fmt: skip

    # ---- the other calls ----

    def examine(self, call):
        """GET /v3/auth/tokens: what about a token?"""
        found = self.tokens.get(call.headers.get("x-subject-token", ""))
        if not found or found.until <= self.fe.now():
            raise FeError("IAM.0067", status=404)
        return Answer(self.shown(found), 200, {"X-Subject-Token": found.value})

    def list_projects(self, call):
        """GET /v3/projects, or /v3/auth/projects."""
        name = dict(call.query).get("name")
        found = [
            {"id": one.id, "name": one.name, "domain_id": one.domain.id, "enabled": True}
            for one in self.projects
            if one.domain is call.caller.user.domain and name in (None, one.name)
        ]  # fmt: skip
        return Answer({"projects": found, "links": {"self": f"{self.fe.iam_url}/v3/projects"}})

    def list_catalog(self, call):
        """GET /v3/auth/catalog."""
        return Answer({"catalog": self.catalog(call.caller.project)})

    # ---- each request ----

    def caller(self, request, headers, body):
        """Who makes it: by token or by signature."""
        if "authorization" in headers and "x-auth-token" not in headers:
            return self._signer(request, headers, body)
        value = headers.get("x-auth-token")
        if not value:
            raise self._refusal(request, "x-auth-token not found", missing=True)
        token = self.tokens.get(value)
        if not token:
            raise self._refusal(request, "decrypt token fail")
        request.user, request.auth = token.user.name, f"token {token.number}"
        if token.until <= self.fe.now():
            words = f"token expires, expires_at: {stamp(token.until)}"
            raise self._refusal(request, words, "IAM.0066")
        return Caller(token.user, token.project, request.auth)

    def _refusal(self, request, words, code="IAM.0067", missing=False):
        """What a bad token gets, from the gateway or from the service behind it."""
        if request.service == "iam":
            return FeError("IAM.0001" if missing else code)
        if self.fe.auth_errors == "gateway":
            return FeError("APIGW.0301", WRONG + words)
        if request.service == "dns":
            return FeError("DNS.0005")
        return FeError("ELB.1102" if missing else "ELB.1103")

    def _signer(self, request, headers, body):
        try:
            signed = Signed(headers["authorization"])
        except ValueError as error:
            raise FeError("APIGW.0301", f"{WRONG}verify aksk signature fail, {error}") from None
        key = self.keys.get(signed.access)
        if not key:
            words = f"{WRONG}Get secretKey failed,ak:{signed.access},err:ak not exist"
            raise FeError("APIGW.0301", words)
        request.user, request.auth = key.user.name, "signature"
        if key.failures >= self.fe.sign_lock_after:
            raise FeError("APIGW.0301", WRONG + "AK access failed to reach the limit, forbidden")
        try:
            self._check_signature(request, signed, key, headers, body)
        except ValueError as error:
            key.failures += 1
            words = f"{WRONG}verify aksk signature fail, {error}"
            raise FeError("APIGW.0301", words) from None
        key.failures = 0
        return Caller(key.user, self._project_of(request, key, headers), "signature")

    def _check_signature(self, request, signed, key, headers, body):
        """ValueError unless all is well."""
        if signed.scope and not self.fe.old_signatures:
            raise ValueError("Credential is not supported")
        date = headers.get("x-sdk-date", "")
        when = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        if abs(when - self.fe.now()) > SKEW_S:
            raise ValueError(f"signature expired: x-sdk-date {date}, now {self.fe.sdk_date()}")
        told = headers.get("x-sdk-content-sha256")
        if told not in (None, UNSIGNED) and told != body_hash_of({}, body):
            raise ValueError("x-sdk-content-sha256 is not that of the body")
        if key.token and not _same(key.token, headers.get("x-security-token", "")):
            raise ValueError("x-security-token is wrong or missing")
        if key.until is not None and key.until <= self.fe.now():
            raise ValueError("the temporary access key has expired")
        canonical = signed.canonical(request.method, request.target, headers, body)
        if not signed.fits(key.secret, canonical, date):
            raise ValueError("canonicalRequest:" + canonical.replace("\n", "|"))

    def _project_of(self, request, key, headers):
        id_ = headers.get("x-project-id")
        if id_ is None and self.fe.sign_project == "default":
            return next((one for one in self.projects if one.domain is key.user.domain), None)
        if id_ is None:
            if request.service == "iam":
                return None
            raise FeError("APIGW.0301", WRONG + "x-project-id not found")
        for one in self.projects:
            if one.id == id_ and one.domain is key.user.domain:
                return one
        raise FeError("APIGW.0302", f"The project {id_} is not one of the user's", 403)

    def check(self, request, caller, action):
        """May they?"""
        rights = caller.user.rights
        if rights is None or any(fnmatch.fnmatchcase(action, one) for one in rights):
            return
        words = f"Policy doesn't allow {action} to be performed."
        code = {"dns": "DNS.0030", "iam": "IAM.0003"}.get(request.service, "ELB.9802")
        raise FeError(code, words)
