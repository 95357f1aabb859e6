"""The API of the simulated NSX Manager over HTTP: what is asked, and how the answer is put."""

import base64
import json
import re
import time
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from . import nsx_cluster, nsx_policy, nsx_trust
from .ca_http import Answer, Fault
from .nsx_nodes import UP
from .nsx_types import (
    CALLS, CONCURRENCY, NO_JSON, RATE, REQUIRED, UNKNOWN_CALL, NsxError, check, version_of,
)  # fmt: skip

DECLARED = (nsx_cluster, nsx_policy, nsx_trust)  # what fills CALLS
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SECRETS = ("private_key", "passphrase", "password")
MP, TRUST = "/api/v1", "/api/v1/trust-management"
SCOPE = r"/policy/api/v1(?P<scope>(?:/orgs/[^/]+/projects/[^/]+)?/infra)"
# Kind of a path, and its parts: id is an object, part something of it.
PATHS = [(kind, re.compile(text)) for kind, text in (
    ("session", "/api/session/(?P<id>create|destroy)"),
    ("version", f"{MP}/node/version"),
    ("http-service", f"{MP}(?:/cluster/(?P<peer>[^/]+))?/node/services/http"),
    ("cluster", f"{MP}/cluster"),
    ("cluster-status", f"{MP}/cluster/status"),
    ("api-virtual-ip", f"{MP}/cluster/api-virtual-ip"),
    ("api-certificate", f"{MP}/cluster/api-certificate"),
    ("health", f"{MP}/reverse-proxy/node/health"),
    ("certificate-bundle", f"{MP}/certificate-management/certificate-bundle"),
    ("certificates", f"{TRUST}/certificates(?:/(?P<id>[^/]+))?"),
    ("certificate-profiles", f"{TRUST}/certificate-profiles"),
    ("csrs", f"{TRUST}/csrs(?:/(?P<id>[^/]+)(?:/(?P<part>pem-file))?)?"),
    ("csrs-extended", f"{TRUST}/csrs-extended"),
    ("security-config", f"{MP}/global-configs/SecurityGlobalConfig"),
    ("security-global-config", "/policy/api/v1/infra/security-global-config"),
    ("policy-certificates", f"{SCOPE}/certificates(?:/(?P<id>[^/]+))?"),
    ("lb-virtual-servers", f"{SCOPE}/lb-virtual-servers(?:/(?P<id>[^/]+))?"),
    ("realized-state", f"{SCOPE}/realized-state/status"),
)]  # fmt: skip
COMMON = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-frame-options": "SAMEORIGIN", "x-nsx-requestid": "0", "server": "NSX",
}  # fmt: skip
PROXY = "<html><head><title>503 Service Unavailable</title></head><body>proxy</body></html>"


@dataclass
class Request:
    """One entry of the log. Secrets are not kept."""

    method: str
    target: str
    via: str  # the name of a manager, or "vip"
    node: str  # who answers
    kind: str = None
    id: str = None
    part: str = None
    scope: str = None  # of a policy path
    peer: str = None  # the manager a call is passed on to
    action: str = None
    name: str = None  # of the object
    query: dict = field(default_factory=dict)
    body: object = None
    user: str = None
    login: str = None  # Basic, Remote or session
    status: int = None
    error: str = None
    headers: dict = field(default_factory=dict, repr=False)  # but those with secrets
    manager: object = field(default=None, repr=False)

    @property
    def writes(self):
        """Would it change something?"""
        return self.method in METHODS[1:] and self.kind != "session"

    @property
    def key(self):
        """As CALLS has it."""
        text = f"{self.method} {self.kind}" + ("/*" if self.id else "")
        text += f"/{self.part}" if self.part else ""
        return text + (f"?{self.action}" if self.action else "")

    def __str__(self):
        text = f"{self.via}: {self.method} {self.target} -> {self.status} {self.error or ''}"
        return text.rstrip()


def hidden(value):
    """Without secrets, for the log."""
    if isinstance(value, list):
        return [hidden(one) for one in value]
    if isinstance(value, dict):
        return {name: "..." if name in SECRETS else hidden(one) for name, one in value.items()}
    return value


class Api:
    """What a manager does with a request."""

    def __init__(self, nsx):
        self.nsx = nsx

    # ---- from the wire, and back ----

    def respond(self, listener, method, target, headers, body):
        """The answer to a request, whatever comes of it."""
        manager = self.nsx.manager_of(listener)
        request = Request(method, target, listener.name, manager.name, manager=manager)
        try:
            with self.nsx.lock:
                manager.active += 1
            answer = self._answer(request, listener, headers, body)
        except Exception:  # pylint: disable=broad-except
            self.nsx.failures.append(f"{method} {target}\n{traceback.format_exc()}")
            answer = Answer("the simulator itself failed", 500, type="text/plain")
        finally:
            with self.nsx.lock:
                manager.active -= 1
        request.status = answer.status
        answer.headers = {**COMMON, **answer.headers}
        left = listener.state != UP or self.nsx.manager_of(listener) is not manager
        if left and not answer.fault:
            answer.fault = Fault("close")  # the service goes away with this answer
        return answer

    def _answer(self, request, listener, headers, body):
        with self.nsx.lock:
            known = self._parse(request, headers, body)
            self.nsx.log.append(request)
            fault = self.nsx.faults.for_request(request) if known else None
            crowded = request.manager.active > self.nsx.concurrency_limit
        if fault and fault.delay:
            self.nsx.closing.wait(fault.delay)
        with self.nsx.lock:
            if fault and fault.instead:
                request.error = fault.words or fault.wire
                return fault.answer(self.nsx, request)
            if listener.unavailable > 0:
                listener.unavailable -= 1
                return Answer(PROXY, 503, type="text/html")
            answer = self._guarded(request, lambda: self._regular(request, headers, body, crowded))
            return fault.bent(answer) if fault else answer

    def _guarded(self, request, work):
        try:
            return work()
        except NsxError as error:
            request.error = error.text
            status = error.status if error.status != 404 else self.nsx.not_found_status
            return Answer(error.document(self.nsx.code_form), status)

    def _parse(self, request, headers, body):
        """What it is about, as far as it can be said without asking who; is it a path of ours?"""
        path, _, query = request.target.partition("?")
        request.query = dict(parse_qsl(query, keep_blank_values=True))
        request.action = request.query.get("action")
        secret = ("authorization", "cookie", "x-xsrf-token")
        request.headers = {name: one for name, one in headers.items() if name not in secret}
        request.user = _claimed(headers)
        try:
            request.body = hidden(json.loads(body.decode())) if body else None
        except (ValueError, UnicodeDecodeError):
            pass  # a form, or no JSON: not for the log
        for kind, pattern in PATHS:
            found = pattern.fullmatch(path)
            if found:
                parts = {name: unquote(one) for name, one in found.groupdict().items() if one}
                request.kind, request.id = kind, parts.get("id")
                request.part, request.scope = parts.get("part"), parts.get("scope")
                request.peer = parts.get("peer")
                request.name = self.nsx.name_of(request)
                return True
        return False

    # ---- who asks for what ----

    def _regular(self, request, headers, body, crowded):
        self._check_load(request, crowded)
        if request.kind == "session":
            return self._session(request, headers, body)
        found = CALLS.get(request.key)
        is_open = found and self._said(found.open)
        if not is_open:
            account, session = self.nsx.accounts.of(request.manager, headers)
            request.user = account.name
            request.login = "session" if session else headers["authorization"].partition(" ")[0]
        if not found:
            raise self._unknown(request)
        self._check_version(found)
        if not is_open:
            self.nsx.accounts.check(account, self._said(found.feature), found.level)
        self._check_params(request, found)
        given = self._document(headers, body, found) if found.body else {}
        return found.function(self.nsx, request, given)

    def _check_load(self, request, crowded):
        now, times = time.monotonic(), request.manager.times
        times[:] = [one for one in times if now - one < 1.0] + [now]
        if self.nsx.rate_limit and len(times) > self.nsx.rate_limit:
            raise NsxError(429, RATE, "Client exceeded request rate.", "http")
        if crowded:
            raise NsxError(503, CONCURRENCY, "Client exceeded request concurrency.", "http")

    def _said(self, text):
        """What an option says that is named there."""
        return getattr(self.nsx, text[1:]) if isinstance(text, str) and text[:1] == "=" else text

    def _unknown(self, request):
        if request.kind is None:
            return NsxError(404, UNKNOWN_CALL, f"The path {request.target} is not known.")
        if request.action:
            return NsxError(
                self.nsx.no_action_status, UNKNOWN_CALL, f"No action {request.action} there."
            )
        return NsxError(405, UNKNOWN_CALL, f"Method {request.method} is not allowed.")

    def _check_version(self, found):
        own = version_of(self.nsx.version)
        since, until = self._said(found.since), self._said(found.until)
        if (since and own < version_of(since)) or (until and own >= version_of(until)):
            raise NsxError(
                self.nsx.no_call_status, UNKNOWN_CALL, f"Not in version {self.nsx.version}."
            )

    def _check_params(self, request, found):
        for name in set(request.query) - {*found.params, "action"}:
            if self.nsx.unknown_params == "refuse":
                raise NsxError(400, REQUIRED, f"Unknown query parameter {name}.")

    def _document(self, headers, body, found):
        if headers.get("content-type", "").partition(";")[0] != "application/json":
            raise NsxError(self.nsx.media_status, 415, "Content-Type application/json is expected.")
        try:
            given = json.loads(body.decode())
        except (UnicodeDecodeError, ValueError):
            raise NsxError(400, NO_JSON, "Json de-serialization error: no JSON.") from None
        if not isinstance(given, dict):
            raise NsxError(400, NO_JSON, "Json de-serialization error: an object is expected.")
        check(found.body, given, unknown=self.nsx.unknown_members)
        return {name: one for name, one in given.items() if one is not None}

    def _session(self, request, headers, body):
        if request.method != "POST":
            raise NsxError(405, UNKNOWN_CALL, f"Method {request.method} is not allowed.")
        if request.id == "destroy":
            _, session = self.nsx.accounts.of(request.manager, headers)
            if session:
                del request.manager.sessions[session.token]
            return Answer(b"")
        session = self.nsx.accounts.login(request.manager, headers, body)
        request.user, request.login = session.account.name, "session"
        cookie = f"JSESSIONID={session.token}; Path=/; Secure; HttpOnly; SameSite=Lax"
        return Answer(b"", headers={"Set-Cookie": cookie, "X-XSRF-TOKEN": session.xsrf})


def _claimed(headers):
    """Who says they ask, for the log."""
    try:
        text = headers.get("authorization", "").partition(" ")[2]
        return base64.b64decode(text).decode().partition(":")[0] or None
    except ValueError:
        return None
