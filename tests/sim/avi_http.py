"""The API of the simulated Avi controller over HTTP: what is asked, and how the answer is put."""

import json
import traceback
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote

from . import avi_certs, avi_rules
from .avi_session import SAFE, Refused, check_right, right, tenants_of
from .avi_store import Listing, Obj, new_uuid
from .avi_types import (
    TYPES, AviError, Reader, is_newer, references, shown, underscored, uuid_of, version_of,
)  # fmt: skip
from .ca_http import Answer

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SECRETS = ("password", "token", "key", "key_passphrase", "value")
COMMON = {
    "vary": "Accept, Cookie", "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-frame-options": "SAMEORIGIN",
}  # fmt: skip
PLAIN_PATHS = ("/login", "/logout")


@dataclass
class Request:
    """One entry of the log. Secrets are not kept."""

    method: str
    target: str
    kind: str = None  # the type of the object, or login, logout
    uuid: str = None
    name: str = None  # of the object
    action: str = None  # what a POST to an object asks for
    query: dict = field(default_factory=dict)
    body: object = None
    user: str = None
    tenant: str = None
    version: str = None
    session: str = None
    status: int = None
    error: str = None
    node: str = None

    @property
    def writes(self):
        """Would it change something?"""
        return self.method in METHODS[1:] and self.kind not in ("login", "logout")

    def __str__(self):
        return f"{self.method} {self.target} -> {self.status} {self.error or ''}".rstrip()


def hidden(value):
    """Without secrets, for the log."""
    if isinstance(value, list):
        return [hidden(one) for one in value]
    if isinstance(value, dict):
        return {name: "..." if name in SECRETS else hidden(one) for name, one in value.items()}
    return value


def _document(headers, body):
    if not headers.get("content-type", "").startswith("application/json"):
        raise AviError(415, "Unsupported media type in request")
    try:
        given = json.loads(body.decode())
    except (UnicodeDecodeError, ValueError):
        raise AviError(400, "JSON parse error") from None
    if not isinstance(given, dict):
        raise AviError(400, "JSON parse error: an object is expected")
    return given


class Api:
    """What the controller does with a request."""

    def __init__(self, avi):
        self.avi, self.store = avi, avi.store

    # ---- from the wire, and back ----

    def respond(self, method, target, headers, body):
        """The answer to a request, whatever comes of it."""
        request = Request(method, target)
        try:
            with self.avi.lock:
                fault, answer = self._begin(request, headers, body)
            while callable(answer):  # a script runs, and calls us while it does
                answer = self._guarded(request, answer)
            with self.avi.lock:
                self._complete(request, headers, answer)
                answer = fault.bent(answer) if fault and not fault.instead else answer
        except Exception:  # pylint: disable=broad-except
            self.avi.failures.append(f"{method} {target}\n{traceback.format_exc()}")
            answer = Answer("the simulator itself failed", 500, type="text/plain")
        request.status = answer.status
        delay = getattr(answer, "delay", 0)
        if delay:
            self.avi.server.closing.wait(delay)
        return answer

    def _begin(self, request, headers, body):
        """(the fault that strikes, the answer or a function that has it)."""
        known = self._parse(request, body)
        self.avi.log.append(request)
        if not known:
            return None, Answer("<html>Not Found</html>", 404, type="text/html")
        fault = self.avi.faults.for_request(request)
        if fault and fault.instead:
            request.error = fault.words
            return fault, fault.answer(None, request)
        if self.avi.unavailable > 0:
            self.avi.unavailable -= 1
            return fault, Answer("<html>Service Unavailable</html>", 503, type="text/html")
        return fault, self._guarded(request, lambda: self._regular(request, headers, body))

    @staticmethod
    def _guarded(request, work):
        try:
            return work()
        except AviError as error:
            request.error = error.text
            return Answer(error.document, error.status)
        except Refused as error:
            request.error = error.text
            return Answer(error.text, error.status)  # text that claims to be JSON

    def _complete(self, request, headers, answer):
        """The headers that each answer has."""
        more = {**COMMON, "AVI_API_VERSION": underscored(request.version or self.avi.version)}
        session = self.avi.sessions.open.get(request.session)
        if session and request.kind != "logout" and "authorization" not in headers:
            more["Set-Cookie"] = self.avi.sessions.cookies(session)
        answer.headers = {**more, **answer.headers}

    def _parse(self, request, body):
        """Is it a path of ours? What it is about, as far as it can be said without asking who."""
        path, _, query = request.target.partition("?")
        request.query = dict(parse_qsl(query, keep_blank_values=True))
        try:
            request.body = hidden(json.loads(body.decode())) if body else None
        except (ValueError, UnicodeDecodeError):
            pass  # a form, or no JSON: not for the log
        if path in PLAIN_PATHS:
            request.kind = path[1:]
            return True
        parts = path.rstrip("/").split("/")
        if parts[:2] != ["", "api"] or not 3 <= len(parts) <= 5:
            return False
        request.kind, request.uuid, request.action = (parts[2:] + [None, None])[:3]
        request.uuid = unquote(request.uuid) if request.uuid else None
        found = self.store.objects.get(request.uuid)
        request.name = found.name if found else request.query.get("name")
        if not found and isinstance(request.body, dict):
            request.name = request.name or request.body.get("name")
        return request.kind in TYPES or request.kind == "initial-data"

    # ---- who, in which tenant, in which version ----

    def _regular(self, request, headers, body):
        if len(body) > self.avi.body_max:
            raise AviError(413, "Request body is too large")
        if request.kind == "login":
            return self._login(request, headers, body)
        if request.kind == "initial-data":
            return Answer({"version": self._version_document(), "welcome_workflow_complete": True})
        session = self.avi.sessions.of(request.method, headers)
        request.session = session.token
        user = self.store.get("user", session.user)
        if not user:
            raise AviError(401, "Invalid credentials")
        request.user = user.data["username"]
        if request.kind == "logout":
            return self._logout(request, session)
        if request.method not in METHODS:
            # Names of methods are case-sensitive: "patch" is none.
            status = 400 if request.method.upper() in METHODS else 405
            raise AviError(status, f"Method {request.method} not allowed")
        request.version = self._version(headers)
        tenant = self._tenant(user, headers)
        request.tenant = tenant if tenant == "*" else self.store.get("tenant", tenant).name
        given = _document(headers, body) if request.method in ("POST", "PUT", "PATCH") else {}
        return self.act(request, user, tenant, given)

    def _version(self, headers):
        given = headers.get("x-avi-version")
        if given is None:
            return self.avi.min_version
        version = version_of(given)
        if not version:
            raise AviError(400, f"Invalid version {given[:40]}")
        if version > version_of(self.avi.version):
            raise AviError(
                400, f"Invalid version {given}: greater than controller version {self.avi.version}"
            )
        if version < version_of(self.avi.min_version):
            raise AviError(
                400, f"Invalid version {given}: minimum supported is {self.avi.min_version}"
            )
        return given

    def _tenant(self, user, headers):
        """The uuid of the tenant that is meant, or "*"."""
        name, uuid = headers.get("x-avi-tenant"), headers.get("x-avi-tenant-uuid")
        if name is not None and uuid is not None:
            raise AviError(400, "X-Avi-Tenant and X-Avi-Tenant-UUID exclude each other")
        if name == "*" or uuid == "*":
            return "*"
        if name is None and uuid is None:
            found = self.store.get("tenant", uuid_of(user.data.get("default_tenant_ref")))
            found = found or self.store.tenant("admin")
        else:
            found = self.store.tenant(name) if uuid is None else self.store.get("tenant", uuid)
        if not found:
            raise AviError(self.avi.unknown_tenant_status, f"Tenant {name or uuid} not found")
        if found not in tenants_of(self.store, user):
            raise AviError(403, f"User {user.data['username']} has no access to {found.name}")
        return found.uuid

    def _version_document(self):
        return {
            "Version": self.avi.version, "min_version": self.avi.min_version, "build": 9000,
            "Product": "controller", "ProductName": "Avi Cloud Controller",
            "Tag": f"{self.avi.version}-9000", "Date": "2025-01-01T00:00:00+00:00",
        }  # fmt: skip

    def _login(self, request, headers, body):
        if request.method != "POST":
            raise AviError(405, f"Method {request.method} not allowed")
        session = self.avi.sessions.login(headers, body)
        user = self.store.get("user", session.user)
        request.session, request.user = session.token, user.data["username"]
        tenants = [
            {"url": self.avi.url + one.ref, "uuid": one.uuid, "name": one.name, "local": True}
            for one in tenants_of(self.store, user)
        ]
        return Answer({
            "user_initialized": True, "version": self._version_document(), "tenants": tenants,
            "user": {
                "name": user.name, "username": user.data["username"], "uuid": user.uuid,
                "is_superuser": user.data["is_superuser"], "local": True,
                "default_tenant_ref": self.avi.url + user.data["default_tenant_ref"],
            },
            "system_config": {}, "controller": {"api_idle_timeout": self.avi.idle_minutes},
            "session_cookie_name": "avi-sessionid",
        })  # fmt: skip

    def _logout(self, request, session):
        if request.method != "POST":
            raise AviError(405, f"Method {request.method} not allowed")
        self.avi.sessions.open.pop(session.token, None)
        return Answer(b"", self.avi.logout_status)

    # ---- objects ----

    def act(self, request, user, tenant, given):
        """Do it, or say what is to be done without the lock."""
        kind, method = TYPES[request.kind], request.method
        if tenant == "*" and method != "GET":
            raise AviError(400, "A write needs one tenant")
        self._check(user, tenant, kind.permission, method not in SAFE)
        if kind.single:
            if method not in ("GET", "PUT", "PATCH") or request.uuid:
                raise AviError(405, f"Method {method} not allowed")
            obj = self.store.single(request.kind)
        elif request.uuid is None:
            return self._collection(request, user, tenant, given)
        else:
            obj = self.store.get(request.kind, request.uuid)
            if not obj or obj not in self.store.visible(request.kind, tenant):
                raise AviError(404, f"object not found! ({request.kind}: {request.uuid})")
        if request.action:
            return self._action(request, obj)
        if method == "GET":
            return Answer(self.told(obj, request))
        if kind.scoped and obj.tenant != tenant:
            raise AviError(403, f"{obj} belongs to another tenant")
        if method == "DELETE":
            return self._delete(obj)
        if method == "POST":
            raise AviError(405, "Method POST not allowed")
        return Answer(self.told(self._write(request, user, tenant, given, obj), request))

    def _check(self, user, tenant, permission, write):
        tenants = [one.uuid for one in tenants_of(self.store, user)] if tenant == "*" else [tenant]
        for one in tenants:
            if right(self.store, user, one, permission) != "NO_ACCESS":
                tenant = one
        check_right(self.store, user, tenant, permission, write)

    def _collection(self, request, user, tenant, given):
        if request.method == "GET":
            return self._list(request, user, tenant)
        if request.method != "POST":
            raise AviError(405, f"Method {request.method} not allowed")
        obj = self._write(request, user, self._home(request, user, tenant, given), given)
        if obj.data.get("status") != avi_certs.PENDING or not obj.data.get(
            "certificate_management_profile_ref"
        ):
            return self._created(obj, request)
        if self.avi.script_mode == "background":
            self.avi.in_background(lambda: self.avi.obtain(obj, creating=True))
            return self._created(obj, request)
        return lambda: self._created(self.avi.obtain(obj, creating=True), request)

    def _home(self, request, user, tenant, given):
        """The tenant a new object goes to: that of the header, unless the body names another."""
        if not TYPES[request.kind].scoped or "tenant_ref" not in given:
            return tenant
        reader = Reader(self.avi, request.version, self._finder(tenant))
        other = uuid_of(reader.reference("tenant", given["tenant_ref"], "tenant_ref"))
        check_right(self.store, user, other, TYPES[request.kind].permission, True)
        return other

    def _created(self, obj, request):
        url = f"{self.avi.url}{obj.ref}#{obj.name}"
        return Answer(self.told(obj, request), 201, {"Location": url})

    def _list(self, request, user, tenant):
        listing = Listing(self.store, self.avi, request.kind, tenant, request.query)
        found = listing.found
        if tenant == "*" and TYPES[request.kind].scoped:
            mine = {one.uuid for one in tenants_of(self.store, user)}
            listing.found = found = [one for one in found if one.tenant in mine]
        page, following = listing.page(f"{self.avi.url}/api/{request.kind}")
        document = {"count": len(found), "results": [self.told(one, request) for one in page]}
        if following:
            document["next"] = following
        return Answer(document)

    def _finder(self, tenant):
        def find(type_, uuid, name):
            return self.store.reference(type_, uuid, name, tenant)

        return find

    def _write(self, request, user, tenant, given, old=None):
        """POST without old, PUT or PATCH with it; returns the object."""
        kind, fields = request.kind, TYPES[request.kind].fields
        reader = Reader(self.avi, request.version, self._finder(tenant))
        reader.refuses_unmatched = self.avi.delete_unmatched == "refuse"
        if request.method == "PATCH":
            data = avi_rules.patched(reader, kind, old.data, given)
        else:
            self._check_same(given, old)
            data = reader.whole(fields, given)
            if old:  # what a client of an older version cannot know stays
                hidden_ones = {n for n, one in fields.items() if is_newer(one, request.version)}
                data.update({n: v for n, v in old.data.items() if n in hidden_ones})
        known = set(references(old.data)) if old else set()
        if self.avi.refs_need_read:
            for type_, uuid in reader.refs:
                if f"/api/{type_}/{uuid}" not in known:
                    check_right(self.store, user, tenant, TYPES[type_].permission, False)
        call = avi_rules.Call(
            self.avi, user, tenant, request.version, kind, given, data, old,
            dict(old.kept) if old else {},
        )  # fmt: skip
        self._check_name(call)
        if kind in avi_rules.CHECKS:
            avi_rules.CHECKS[kind](call)
        obj = Obj(kind, old.uuid if old else new_uuid(kind), tenant, call.data, kept=call.kept)
        obj = self.store.put(obj)
        request.name = obj.name
        return self._stored(obj, call)

    def _stored(self, obj, call):
        """What follows from a write."""
        if obj.type == "sslkeyandcertificate":
            avi_certs.add_authorities(self.avi, call.brings, call.tenant)
            avi_certs.link(self.avi, call.tenant)
        self.avi.changed(obj, call.old)
        return self.store.objects[obj.uuid]

    def _check_same(self, given, old):
        """A whole object must be the one it replaces, as it is now."""
        if not old:
            return
        if given.get("uuid", old.uuid) != old.uuid:
            raise AviError(400, "uuid: cannot be changed")
        modified = given.get("_last_modified")
        if modified is None and self.avi.put_needs_last_modified:
            raise AviError(self.avi.stale_status, "_last_modified is required")
        if modified is not None and modified != old.modified:
            raise AviError(
                self.avi.stale_status,
                f"Concurrent Update Error: {old} was changed since it was read",
            )

    def _check_name(self, call):
        name = call.data.get("name")
        if name is None:
            return
        if not name.strip():
            raise AviError(400, "name: this field may not be blank")
        for other in self.store.all(call.type):
            if other.name == name and other.tenant == call.tenant and other is not call.old:
                label = TYPES[call.type].label
                raise AviError(409, f"{label} with this Name and Tenant ref already exists.")

    def _delete(self, obj):
        referrers = self.store.referrers(obj)
        if referrers:
            names = [str(one) for one in referrers]
            raise AviError(self.avi.in_use_status, f"Cannot delete, object is referred by: {names}")
        if obj.kept.get("shared"):
            raise AviError(403, f"{obj} is a system default object")
        self.store.remove(obj)
        self.avi.changed(None, obj)
        return Answer(b"", 204)

    def _action(self, request, obj):
        if (request.kind, request.action) != ("sslkeyandcertificate", "renew"):
            raise AviError(404, f"no such action: {request.action}")
        if request.method != "POST":
            raise AviError(405, f"Method {request.method} not allowed")
        if not obj.data.get("certificate_management_profile_ref"):
            raise AviError(400, f"{obj} has no certificate management profile")

        def renew():
            return Answer(self.told(self.avi.obtain(obj), request))

        if self.avi.script_mode == "wait":
            return renew
        obj = self.store.put(replace(obj, data={**obj.data, "status": avi_certs.PENDING}))
        self.avi.in_background(lambda: self.avi.obtain(obj))
        return Answer(self.told(obj, request))

    # ---- how objects are told ----

    def told(self, obj, request):
        """An object as a client sees it."""
        query = request.query
        named = request.method != "GET" or query.get("include_name") in ("", "true", "True")

        def reference(ref):
            other = self.store.objects.get(uuid_of(ref))
            return f"{self.avi.url}{ref}" + (f"#{other.name}" if named and other else "")

        kind = TYPES[obj.type]
        document = shown(kind.fields, obj.data, request.version, reference)
        self._mask(document)
        if obj.type == "sslkeyandcertificate":
            document["certificate"] = dict(document["certificate"])
            avi_certs.add_validity(self.avi, document["certificate"])
        if query.get("skip_default", "").lower() == "true":
            default = {n: one.default for n, one in kind.fields.items()}
            document = {n: v for n, v in document.items() if v != default.get(n)}
        if "fields" in query:
            wanted = {*query["fields"].split(","), "name"}
            document = {n: v for n, v in document.items() if n in wanted}
        head = {"url": f"{self.avi.url}{obj.ref}" + (f"#{obj.name}" if named else "")}
        if kind.scoped:
            head["tenant_ref"] = reference(f"/api/tenant/{obj.tenant}")
        return {**head, "uuid": obj.uuid, "_last_modified": obj.modified, **document}

    def _mask(self, document):
        for part in ("script_params", "dynamic_params"):
            for one in document.get(part, []):
                if one["is_sensitive"] and "value" in one:
                    one["value"] = self.avi.mask
