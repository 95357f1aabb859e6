"""The APIs of the simulated FlexibleEngine over HTTP: what is asked, and how the answer is put."""

import ast
import email.utils
import json
import re
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from .ca_http import Answer
from .fe_errors import FeError, request_id
from .fe_elb import ROUTES as ELB_ROUTES
from .fe_zones import ROUTES as DNS_ROUTES

SECRETS = ("password", "passcode", "private_key", "secret", "token")
IAM_ROUTES = (
    # method, path, kind, action, query parameters, handler
    ("POST", "/v3/auth/tokens", "token", None, ("nocatalog",), "iam.issue"),
    ("GET", "/v3/auth/tokens", "token", "iam:tokens:get", ("nocatalog",), "iam.examine"),
    ("GET", "/v3/auth/projects", "project", None, (), "iam.list_projects"),
    ("GET", "/v3/projects", "project", None, (
        "name", "domain_id", "enabled", "page", "per_page",
    ), "iam.list_projects"),
    ("GET", "/v3/auth/catalog", "catalog", None, (), "iam.list_catalog"),
)  # fmt: skip


@dataclass
class Route:
    """One call of a service."""

    service: str
    method: str
    path: object  # a regular expression
    kind: str
    action: str
    params: tuple
    handler: str


def _routes():
    for service, table in (("iam", IAM_ROUTES), ("dns", DNS_ROUTES), ("elb", ELB_ROUTES)):
        for method, path, kind, action, params, handler in table:
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")
            yield Route(service, method, pattern, kind, action, params, handler)


ROUTES = tuple(_routes())


@dataclass
class Request:
    """One entry of the log. Secrets are not kept."""

    service: str  # iam, dns, elb
    method: str
    target: str
    api: str = None  # of the load balancers: v3, v2.0
    kind: str = None  # token, project, zone, recordset, certificate, listener, ...
    uuid: str = None
    zone: str = None  # the id of one
    name: str = None  # of what it is about
    action: str = None  # as rights call it
    query: dict = field(default_factory=dict)
    body: object = None
    user: str = None
    project: str = None
    auth: str = None  # "token 1", "signature"
    status: int = None
    code: str = None
    error: str = None
    node: str = None

    @property
    def writes(self):
        """Would it change something?"""
        return self.method != "GET" and self.kind != "token"

    def __str__(self):
        end = f"{self.status} {self.code or ''}".rstrip()
        return f"{self.service} {self.method} {self.target} -> {end}"


@dataclass
class Call:
    """A request that may be acted on."""

    fe: object
    request: Request
    headers: dict
    given: dict
    query: list
    parts: dict
    caller: object = None

    def one(self, name, default=None):
        """A query parameter."""
        return dict(self.query).get(name, default)

    def every(self, name):
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]


def hidden(value):
    """Without secrets, for the log."""
    if isinstance(value, list):
        return [hidden(one) for one in value]
    if isinstance(value, dict):
        return {
            name: "..." if name in SECRETS and not isinstance(one, dict) else hidden(one)
            for name, one in value.items()
        }
    return value


class Api:
    """What the cloud does with a request."""

    def __init__(self, fe):
        self.fe = fe

    # ---- from the wire, and back ----

    def respond(self, service, method, target, headers, body):
        """The answer to a request, whatever comes of it."""
        label = headers.get("host", "").partition(".")[0]
        place = label if label in ("iam", "dns", "elb", "vpc") else service
        request = Request("elb" if place == "vpc" else place, method, target)
        try:
            with self.fe.lock:
                answer = self._faulty(request, place, headers, body)
        except Exception:  # pylint: disable=broad-except
            self.fe.failures.append(f"{method} {target}\n{traceback.format_exc()}")
            answer = Answer("the simulator itself failed", 500, type="text/plain")
        request.status = answer.status
        delay = getattr(answer, "delay", 0)
        if delay:
            self.fe.closing.wait(delay)
        return answer

    def _faulty(self, request, place, headers, body):
        """The regular answer, unless a fault was planned for this request."""
        route, parts = self._parse(request, place, body)
        self.fe.log.append(request)
        fault = self.fe.faults.for_request(request)
        if fault and fault.instead:
            request.error = fault.words
            return self._complete(fault.answer(self._form(request), request))
        try:
            answer = self._regular(request, route, parts, headers, body)
        except FeError as error:
            request.code, request.error = error.code, error.text
            answer = Answer(error.document(self._form(request)), error.status)
        answer = self._complete(answer)
        return fault.bent(answer) if fault else answer

    def _form(self, request):
        """How refusals look there."""
        if request.service == "iam":
            return self.fe.iam_errors
        return "neutron" if request.api == "v2.0" else None

    def _complete(self, answer):
        """The headers that each answer has."""
        more = {"X-Request-Id": request_id()}
        if self.fe.clock_shift:
            more["Date"] = email.utils.formatdate(self.fe.now(), usegmt=True)
        answer.headers = {**more, **answer.headers}
        if self.fe.lower_case_headers:
            answer.headers = {
                name if name == "Date" else name.lower(): value
                for name, value in answer.headers.items()
            }  # fmt: skip
        return answer

    def _parse(self, request, place, body):
        """(the call that is meant or None, the variable parts of its path)."""
        path, _, query = request.target.partition("?")
        request.query = dict(parse_qsl(query, keep_blank_values=True))
        for route in ROUTES:
            found = route.path.match(path)
            if route.service != request.service or not found:
                continue
            parts = {name: unquote(text) for name, text in found.groupdict().items()}
            request.kind, request.uuid = route.kind, parts.get("id")
            request.zone, request.api = parts.get("zone"), _api_of(path)
            if route.method == request.method and self._is_there(place, request.api):
                request.action = route.action
                request.name = self.fe.name_of(request.kind, request.uuid)
                self._note(request, body)
                return route, parts
        return None, {}

    def _is_there(self, place, api):
        """v2.0 and v3 may be missing, and v2.0 may be somewhere else."""
        if api is None:
            return True
        if place == "vpc" and api != "v2.0":
            return False
        if place == "elb" and api == "v2.0" and self.fe.v2_place == "vpc":
            return False
        return api in self.fe.elb_apis

    @staticmethod
    def _note(request, body):
        """For the log: what of the body is not secret."""
        try:
            request.body = hidden(json.loads(body.decode())) if body else None
        except ValueError:
            return  # no JSON: not for the log
        inner = request.body if isinstance(request.body, dict) else {}
        inner = inner.get(request.kind) if isinstance(inner.get(request.kind), dict) else inner
        if not request.name and isinstance(inner.get("name"), str):
            request.name = inner["name"]

    # ---- what is asked for, by whom ----

    def _regular(self, request, route, parts, headers, body):
        if len(body) > self.fe.body_max:
            raise FeError("IAM.1101" if request.service == "iam" else "APIGW.0401", status=413)
        if not route:
            raise FeError("APIGW.0101")
        query = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
        call = Call(self.fe, request, headers, None, query, parts)
        if route.handler != "iam.issue":
            call.caller = self._caller(request, route, headers, body, parts)
        self._check_query(route, query)
        if request.method in ("POST", "PUT"):
            call.given = self._document(request, headers, body)
        owner, _, name = route.handler.partition(".")
        return getattr(getattr(self.fe, owner), name)(call)

    def _caller(self, request, route, headers, body, parts):
        caller = self.fe.iam.caller(request, headers, body)
        request.project = caller.project.name if caller.project else None
        if route.action:
            self.fe.iam.check(request, caller, route.action)
        if request.service == "iam":
            return caller
        if not caller.project:
            raise FeError("APIGW.0302", "The token is for no project.")
        if parts.get("project", caller.project.id) != caller.project.id:
            words = "The project in the path is not that of the token."
            raise FeError("APIGW.0302", words, self.fe.other_project_status)
        return caller

    def _check_query(self, route, query):
        for name, _ in query:
            lenient = self.fe.lenient and name == "Content-Type"
            if name in route.params or lenient or self.fe.unknown_params == "ignore":
                continue
            code = {"iam": "IAM.0011", "dns": "DNS.0002"}.get(route.service, "ELB.8902")
            raise FeError(code, f"Unknown query parameter: {name}")

    def _document(self, request, headers, body):
        """The body, which must be an object."""
        code = {"iam": "IAM.0011", "dns": "DNS.0002"}.get(request.service, "ELB.8902")
        is_json = headers.get("content-type", "").lower().startswith("application/json")
        if not is_json and not self.fe.lenient:
            raise FeError("APIGW.0401")
        try:
            text = body.decode()
            try:
                given = json.loads(text)
            except ValueError:
                if not self.fe.lenient:
                    raise
                given = ast.literal_eval(text)  # quotes as in Python: some scripts send that
        except (ValueError, SyntaxError):
            raise FeError(code, "The request body is not JSON.") from None
        if not isinstance(given, dict):
            raise FeError(code, "The request body is not an object.")
        return given


def _api_of(path):
    """v3 or v2.0 for the load balancers."""
    if path.startswith("/v2.0/"):
        return "v2.0"
    return "v3" if "/elb/" in path else None
