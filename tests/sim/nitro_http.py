"""NITRO over HTTP: what a request asks for, and how the answer is put.

One node of the simulated device; what it does is in the verbs (nitro_config.VERBS).
"""

import json
import re
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from .ca_http import Answer, Server
from .nitro_commands import line_of
from .nitro_config import VERBS, Call, take
from .nitro_errors import NitroError
from .nitro_session import COOKIE, Sessions

# Single objects, not lists.
SINGLE = ("nsversion", "nsfeature", "nslicense", "nsconfig", "stat hanode")
QUERY = ("args", "filter", "attrs", "action", "count", "warning", "idempotent", "view")
DONE = {"errorcode": 0, "message": "Done", "severity": "NONE"}
TYPE = re.compile(r"application/(vnd\.com\.citrix\.netscaler\.(?P<kind>\w+)\+)?json(;.*)?$")
ONERROR = ("exit", "continue", "rollback")


@dataclass
class Request:
    """One entry of the log. Secrets are not kept. line: the command it stands for."""

    node: str
    method: str
    target: str
    kind: str = None
    name: str = None
    action: str = None
    query: dict = field(default_factory=dict)
    args: object = None
    user: str = None
    session: str = None
    line: str = None
    status: int = None
    code: int = 0
    writes: bool = False

    def __str__(self):
        return f"{self.method} {self.target} -> {self.status} {self.code or ''}".rstrip()


def _twice(text):
    """A name of the URL: clients encode it once or twice."""
    once = unquote(text, errors="strict")
    return unquote(once, errors="strict") if re.search(r"%[0-9A-Fa-f]{2}", once) else once


def pairs_of(text):
    """What args= and filter= hold: k:v,k:v."""
    found = {}
    for part in text.split(",") if text else []:
        name, colon, value = part.partition(":")
        if not name or not colon:
            raise NitroError(278, part)
        found[name] = _twice(value)
    return found


def parse_target(request):
    """Path and query; what is no path of NITRO gives None."""
    path, _, query = request.target.partition("?")
    parts = path.split("/")
    if parts[:3] != ["", "nitro", "v1"] or len(parts) not in (5, 6):
        return None
    if parts[3] not in ("config", "stat"):
        return None
    try:
        request.kind = ("stat " if parts[3] == "stat" else "") + parts[4]
        request.name = _twice(parts[5]) if len(parts) == 6 and parts[5] else None
        request.query = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise NitroError(1238, "query") from None
    request.action = request.query.get("action")
    for name in request.query:
        if name not in QUERY:
            raise NitroError(278, name)
    return request


def parse_body(request, headers, body):
    """What is under the type's name: an object, or a list of them."""
    kind = headers.get("content-type", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        fields = dict(parse_qsl(body.decode("latin-1")))
        body = fields.get("object", "").encode()
    else:
        found = TYPE.match(kind)
        if not found or found["kind"] not in (None, request.kind):
            raise NitroError(1238, f"Content-Type, {kind}")
    try:
        document = json.loads(body.decode())
    except (UnicodeDecodeError, ValueError):
        raise NitroError(1233) from None
    if not isinstance(document, dict):
        raise NitroError(1234)
    document.pop("params", None)  # of the vendor's own clients
    if list(document) != [request.kind]:
        raise NitroError(1232, next((n for n in document if n != request.kind), request.kind))
    content = document[request.kind]
    items = content if isinstance(content, list) else [content]
    if not items or not all(isinstance(item, dict) for item in items):
        raise NitroError(1234, request.kind)
    return content


def _hidden(content):
    """Without secrets, for the log."""
    secret = ("password", "passplain", "filecontent", "pempassphrase")
    if isinstance(content, list):
        return [_hidden(item) for item in content]
    return {name: "..." if name in secret else value for name, value in content.items()}


class Node:
    """One appliance: its own files, its own running and saved configuration, its own sessions."""

    def __init__(self, nitro, name, address, port):
        self.nitro, self.name, self.state, self.alive = nitro, name, "Primary", True
        self.running, self.saved = nitro.empty_config(), nitro.empty_config()
        self.stale = False
        self.files, self.file_times = {}, {}
        self.sessions = Sessions(nitro)
        cert = nitro.https or (None, None)
        self.server = Server(*cert, self.respond, (address, port))
        self.address, self.port = address, self.server.port

    @property
    def url(self):
        """Where it is managed."""
        return f"{'https' if self.nitro.https else 'http'}://{self.address}:{self.port}"

    @property
    def config(self):
        """What runs. The secondary's follows the primary's when somebody looks."""
        if self.stale:
            self.nitro.synchronize(self)
        return self.running

    def check_space(self, size):
        """Is there room on the disk?"""
        free = self.nitro.disk_free
        if free is not None and size > free - sum(map(len, self.files.values())):
            raise NitroError(284)

    # ---- requests ----

    def respond(self, method, target, headers, body):
        """The answer to a request, whatever comes of it."""
        request = Request(self.name, method, target)
        try:
            with self.nitro.lock:
                answer = self._faulty(request, headers, body)
        except Exception:  # pylint: disable=broad-except
            self.nitro.failures.append(f"{method} {target}\n{traceback.format_exc()}")
            answer = Answer("the simulator itself failed", 500, type="text/plain")
        request.status = answer.status
        delay = getattr(answer, "delay", 0)
        if delay:
            self.server.closing.wait(delay)
        return answer

    def _faulty(self, request, headers, body):
        """The regular answer, unless a fault was planned for this request."""
        try:
            known = parse_target(request)
        except NitroError as error:
            return self._refusal(request, error)
        self.nitro.log.append(request)
        if not known:
            return Answer("<html>Not Found</html>", 404, type="text/html")
        fault = self.nitro.faults.for_request(request)
        if fault and fault.instead:
            return fault.answer(self, request)
        answer = self._answer(request, headers, body)
        return fault.bent(answer) if fault else answer

    def _answer(self, request, headers, body):
        try:
            return self._regular(request, headers, body)
        except NitroError as error:
            return self._refusal(request, error)

    @staticmethod
    def _refusal(request, error):
        request.code = error.code
        return Answer(error.document, error.status)

    def _regular(self, request, headers, body):
        if request.method not in ("GET", "POST", "PUT", "DELETE"):
            raise NitroError(1237, request.method)
        content = None
        if request.method in ("POST", "PUT"):
            content = parse_body(request, headers, body)
            request.args = _hidden(content)
        elif body:
            raise NitroError(1238, "a body with " + request.method)
        if request.kind == "login" and request.method == "POST":
            return self._login(request, headers, content)
        session = self.sessions.of(headers)
        request.user, request.session = session.user.name, session.token[-8:]
        if request.kind == "logout" and request.method == "POST":
            self.sessions.open.pop(session.token, None)
            return Answer(dict(DONE), 201)
        return self._command(request, session, headers, content)

    def _login(self, request, headers, content):
        if not isinstance(content, dict):
            raise NitroError(1234, "login")
        session = self.sessions.login(headers, content)
        request.user, request.session = session.user.name, session.token[-8:]
        cookie = f"{COOKIE}={session.token};Path=/nitro/v1;HttpOnly"
        if self.nitro.https:
            cookie += ";Secure"
        return Answer({**DONE, "sessionid": session.token}, 201, {"Set-Cookie": cookie})

    def _verb(self, request):
        """What the request asks for, or why there is no such thing."""
        for (method, kind, action), found in VERBS.items():
            same = (action or "").lower() == (request.action or "").lower()
            if (method, kind) == (request.method, request.kind) and same:
                return found
        if not any(kind == request.kind for _, kind, _ in VERBS):
            raise NitroError(1232, request.kind)
        raise NitroError(1240, request.action or request.method)

    def _command(self, request, session, headers, content):
        found = self._verb(request)
        request.writes = found.writes
        if request.method == "GET":
            return self._read(request, session, found)
        if isinstance(content, list):
            return self._bulk(request, session, found, headers, content)
        return self._answer_to_write(request, self._write(request, session, found, content or {}))

    def _call(self, request, session, found, args):
        """The call, when the user may make it."""
        given = pairs_of(request.query.get("args", ""))
        if request.method in ("POST", "PUT"):
            args = take(found, request.kind, args, self.nitro.limits)
        line = line_of(found, {**args, **given}, request.name)
        request.line = line
        self.nitro.accounts.check(session.user, line)
        return Call(self.nitro, self, session, found, request.kind, args, request.name, given)

    def _read(self, request, session, found):
        call = self._call(request, session, found, {})
        result = found.function(call)
        key = request.kind.rpartition(" ")[2]
        if request.kind in SINGLE:
            return Answer({**DONE, key: result})
        wanted = pairs_of(request.query.get("filter", ""))
        rows = [row for row in result if _selected(row, wanted)]
        if request.query.get("count") == "yes":
            return Answer({**DONE, key: [{"__count": len(rows)}]})
        attrs = request.query.get("attrs")
        if attrs:
            names = attrs.split(",")
            rows = [{name: row[name] for name in names if name in row} for row in rows]
        return Answer({**DONE, key: rows} if rows else dict(DONE))

    def _write(self, request, session, found, args):
        """Do it; returns the call."""
        if request.method == "DELETE" and request.name is None and not request.query.get("args"):
            raise NitroError(1095, "name")
        call = self._call(request, session, found, args)
        self.nitro.check_writable(self, found, call)
        try:
            found.function(call)
        except NitroError as error:
            if error.code != 273 or not self._is_same(request, call):
                raise
        if found.writes:
            self.nitro.changed(self)
        return call

    @staticmethod
    def _is_same(request, call):
        """idempotent=yes: what is there already is as it is wanted."""
        if request.query.get("idempotent") != "yes" or request.method != "POST":
            return False
        there = call.table().get(call.args.get(call.verb.positional[0]))
        return bool(there) and all(str(there.get(n)) == str(v) for n, v in call.args.items())

    @staticmethod
    def _answer_to_write(request, call):
        status = call.verb.status
        if request.query.get("warning") != "yes" or not call.warnings:
            return Answer(dict(DONE), status)
        warning = call.warnings[0]
        request.code = warning.code
        document = {**warning.document, "severity": "WARNING"}
        return Answer(document, 209 if request.method == "POST" else 200)

    def _bulk(self, request, session, found, headers, content):
        """Many at once; what happens after the first refusal is the client's choice."""
        how = headers.get("x-nitro-onerror", "exit").lower()
        if how not in ONERROR:
            raise NitroError(278, f"X-NITRO-ONERROR, {how}")
        if how == "rollback" and request.kind == "systemfile":
            raise NitroError(1242, request.kind)
        before, replies, failed = self.config.copy(), [], False
        for item in content:
            try:
                self._write(request, session, found, item)
                replies.append(dict(DONE))
            except NitroError as error:
                failed = True
                replies.append(error.document)
                if how != "continue":
                    break
        if failed and how == "rollback":
            self.running = before
        if not failed:
            return Answer({**DONE, "response": replies}, found.status)
        request.code = 1243
        return Answer({**NitroError(1243).document, "response": replies}, 207)


def _selected(row, wanted):
    """Does a row fit a filter? A value between slashes is a regular expression."""
    for name, value in wanted.items():
        own = row.get(name)
        own = "" if own is None else str(own)
        if len(value) > 1 and value[0] == value[-1] == "/":
            if not re.search(value[1:-1], own):
                return False
        elif own.lower() != value.lower():
            return False
    return True
