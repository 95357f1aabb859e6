"""The load balancers of the simulated FlexibleEngine: v3, and v2.0 for the shared ones.

An object is never changed in place: a write puts a new one under the same id, so what the data
plane looks at stays as it was.
"""

import dataclasses
import secrets
import time
import uuid as uuids
from dataclasses import dataclass, field

from . import fe_certs
from .ca_http import Answer
from .fe_certs import stamp
from .fe_errors import FeError, request_id

DEFAULT, SNI, CLIENT_CA = (
    "default_tls_container_ref", "sni_container_refs", "client_ca_tls_container_ref",
)  # fmt: skip
TLS = ("HTTPS", "TERMINATED_HTTPS", "TLS")
SNI_MAX = 30
CERT_FIELDS = (
    "name", "description", "type", "domain", "certificate", "private_key", "admin_state_up",
    "enterprise_project_id",
)  # fmt: skip
# What a client may change of a listener, and what it must be.
LISTENER_FIELDS = {
    "name": str, "description": str, "admin_state_up": bool, "default_pool_id": str,
    DEFAULT: str, SNI: list, CLIENT_CA: str, "http2_enable": bool, "tls_ciphers_policy": str,
    "insert_headers": dict,
}  # fmt: skip
V3_FIELDS = {
    **LISTENER_FIELDS, "sni_match_algo": str, "security_policy_id": str, "member_timeout": int,
    "client_timeout": int, "keepalive_timeout": int, "ipgroup": dict,
    "enhance_l7policy_enable": bool, "transparent_client_ip_enable": bool,
}  # fmt: skip
PAGE = ("limit", "marker", "page_reverse")
CERT_QUERY = (*PAGE, "id", "name", "description", "admin_state_up", "domain", "type")
LISTENER_QUERY = (
    *PAGE, "id", "name", "description", "protocol", "protocol_port", "admin_state_up", DEFAULT, SNI,
    CLIENT_CA, "loadbalancer_id", "tls_ciphers_policy",
)  # fmt: skip
BALANCER_QUERY = (
    *PAGE, "id", "name", "description", "provisioning_status", "vip_address", "guaranteed",
)  # fmt: skip


def _routes():
    """The same calls twice: v3 knows the project from the path."""
    rights = {"certificate": "elb:certificates:", "listener": "elb:listeners:",
              "loadbalancer": "elb:loadbalancers:"}  # fmt: skip
    queries = {"certificate": CERT_QUERY, "listener": LISTENER_QUERY,
               "loadbalancer": BALANCER_QUERY}  # fmt: skip
    for base in ("/v3/{project}/elb", "/v2.0/lbaas"):
        for kind, right in rights.items():
            many, one = f"{base}/{kind}s", f"{base}/{kind}s/{{id}}"
            yield "GET", many, kind, right + "list", queries[kind], "elb.list"
            yield "GET", one, kind, right + "get", (), "elb.show"
            if kind != "loadbalancer":
                yield "PUT", one, kind, right + "put", (), f"elb.change_{kind}"
        many, one = f"{base}/certificates", f"{base}/certificates/{{id}}"
        right = rights["certificate"]
        yield "POST", many, "certificate", right + "create", (), "elb.create_certificate"
        yield "DELETE", one, "certificate", right + "delete", (), "elb.delete_certificate"
    path, right = "/v3/{project}/elb/quotas", "elb:quotas:list"
    yield "GET", path, "quota", right, (), "elb.quotas"
    yield "GET", path + "/details", "quota", right, ("quota_key",), "elb.quota_details"


ROUTES = tuple(_routes())


@dataclass(frozen=True)
class Obj:
    """One object. data: as it is told, without what depends on the dialect."""

    type: str
    id: str
    project: object
    data: dict
    created: float = 0.0
    updated: float = 0.0
    kept: dict = field(default_factory=dict)

    @property
    def name(self):
        """Not unique."""
        return self.data["name"]


def uses(listener, cert_id):
    """Does a listener refer to a certificate?"""
    data = listener.data
    return cert_id in (data.get(DEFAULT), data.get(CLIENT_CA), *data.get(SNI, []))


class Elb:
    """All load balancers of a cloud, and the APIs for them."""

    def __init__(self, fe):
        self.fe, self.objects, self.busy = fe, {}, {}

    # ---- objects ----

    def all(self, type_, project=None):
        """Those of a type, the oldest first."""
        return [
            one for one in list(self.objects.values())
            if one.type == type_ and project in (None, one.project)
        ]  # fmt: skip

    def put(self, obj, **data):
        """Store it, with changes."""
        obj = dataclasses.replace(obj, data={**obj.data, **data}, updated=self.fe.now())
        self.objects[obj.id] = obj
        self.fe.plane.pushed()
        return obj

    def remove(self, obj):
        """It is gone."""
        del self.objects[obj.id]
        self.fe.plane.pushed()

    def add_balancer(self, name, project, dedicated=True):
        """A load balancer."""
        data = {
            "name": name, "description": "", "admin_state_up": True, "provider": "vlb",
            "operating_status": "ONLINE", "guaranteed": dedicated, "vip_port_id": "",
        }  # fmt: skip
        return self.put(Obj("loadbalancer", str(uuids.uuid4()), project, data, self.fe.now()))

    def add_listener(self, name, balancer, protocol, port, refs, **more):
        """A listener. refs: ids of certificates, the default one first."""
        data = {
            "name": name, "description": "", "protocol": protocol, "protocol_port": port,
            "admin_state_up": True, "loadbalancers": [{"id": balancer.id}], "default_pool_id": None,
            DEFAULT: refs[0] if refs else None, SNI: list(refs[1:]), CLIENT_CA: None,
            "http2_enable": False, "tls_ciphers_policy": "tls-1-2" if protocol in TLS else None,
            "insert_headers": {}, "sni_match_algo": "longest_suffix", **more,
        }  # fmt: skip
        obj = Obj("listener", str(uuids.uuid4()), balancer.project, data, self.fe.now())
        return self.put(obj)

    def add_certificate(self, project, given):
        """A certificate, checked as if a client had sent it."""
        return self._new_certificate(project, {"type": "server", **given})

    def status(self, balancer):
        """provisioning_status: it may be busy for a while."""
        busy = time.monotonic() < self.busy.get(balancer.id, 0)
        return "PENDING_UPDATE" if busy else "ACTIVE"

    def users(self, cert):
        """The listeners that refer to a certificate."""
        return [one for one in self.all("listener") if uses(one, cert.id)]

    def balancer_of(self, listener):
        """What a listener belongs to."""
        return self.objects[listener.data["loadbalancers"][0]["id"]]

    # ---- how objects are told ----

    def told(self, obj, old):
        """old: as v2.0 has it."""
        told = {"id": obj.id, **obj.data, "project_id": obj.project.id}
        told.update(getattr(self, "_told_" + obj.type)(obj, old))
        if obj.type == "certificate" and old:
            told["create_time"], told["update_time"] = (
                stamp(obj.created, True), stamp(obj.updated, True),
            )  # fmt: skip
        else:
            told["created_at"], told["updated_at"] = stamp(obj.created), stamp(obj.updated)
        if old:
            told["tenant_id"] = obj.project.id
        return told

    def _told_certificate(self, obj, old):
        told = {"expire_time": fe_certs.expiry(obj.kept["chain"], old)}
        if not old:
            told["common_name"] = fe_certs.subject(obj.kept["chain"])
        if not self.fe.echo_key:
            told["private_key"] = ""
        return told

    def _told_listener(self, _obj, old):
        more = {} if old else {"tags": [], "enhance_l7policy_enable": False}
        return {"connection_limit": -1, **more}

    def _told_loadbalancer(self, obj, _old):
        listeners = [one for one in self.all("listener") if self.balancer_of(one) is obj]
        return {
            "provisioning_status": self.status(obj),
            "listeners": [{"id": one.id} for one in listeners],
            "vip_address": self.fe.plane.host(obj.id),
        }

    def _answer(self, call, obj, status=200):
        """One object: wrapped, but not a certificate in v2.0."""
        call.request.uuid, call.request.name = obj.id, obj.name
        old = call.request.api == "v2.0"
        told = self.told(obj, old)
        if old and obj.type == "certificate":
            status = {
                "POST": self.fe.v2_create_status, "PUT": self.fe.v2_change_status,
            }.get(call.request.method, status)  # fmt: skip
            return Answer(told, status)
        if old:
            return Answer({obj.type: told}, status)
        return Answer({obj.type: told, "request_id": request_id()}, status)

    # ---- reading ----

    def _visible(self, call):
        """v2.0 does not know dedicated load balancers."""
        found = self.all(call.request.kind, call.caller.project)
        if call.request.api == "v3" or call.request.kind == "certificate":
            return found
        shared = {
            one.id for one in self.all("loadbalancer") if not one.data["guaranteed"]
        }  # fmt: skip
        return [
            one for one in found
            if one.id in shared or {lb["id"] for lb in one.data.get("loadbalancers", [])} & shared
        ]  # fmt: skip

    def _find(self, call):
        for one in self._visible(call):
            if one.id == call.parts["id"]:
                return one
        words = f"{call.request.kind} {call.parts['id']} could not be found"
        raise FeError("ELB.8904", words)

    def list(self, call):
        """GET of many."""
        found = [one for one in self._visible(call) if self._wanted(call, one)]
        page, more = self._page(call, found)
        old, key = call.request.api == "v2.0", call.request.kind + "s"
        document = {key: [self.told(one, old) for one in page]}
        if old:
            document.update({"instance_num": len(page)} if key == "certificates" else {})
            return Answer(document)
        info = {"current_count": len(page)}
        if page:
            info["previous_marker"] = page[0].id
            if more or self.fe.next_marker == "always":
                info["next_marker"] = page[-1].id
        return Answer({**document, "page_info": info, "request_id": request_id()})

    def _wanted(self, call, obj):
        """Do all filters fit? One that comes twice fits with either value."""
        told = {**self.told(obj, call.request.api == "v2.0")}
        told["loadbalancer_id"] = [lb["id"] for lb in obj.data.get("loadbalancers", [])]
        for name in {name for name, _ in call.query if name not in PAGE}:
            own = told.get(name)
            if name == "domain":
                own = fe_certs.domains_of(own)
            own = own if isinstance(own, list) else [own]
            texts = {str(one).lower() if isinstance(one, bool) else str(one) for one in own}
            if not texts & set(call.every(name)):
                return False
        return True

    def _page(self, call, found):
        """(the page, is there more?)."""
        limit, marker = call.one("limit", "2000"), call.one("marker")
        if not limit.isdecimal() or int(limit) > 2000:
            raise FeError("ELB.8902", f"limit: {limit} is not valid.")
        size = min(int(limit), self.fe.page_max)
        if call.one("page_reverse", "false").lower() == "true":
            found = found[::-1]
        begin = 0
        if marker:
            places = [at for at, one in enumerate(found) if one.id == marker]
            if not places:
                raise FeError("ELB.8902", f"marker: {marker} could not be found.")
            begin = places[0] + 1
        return found[begin : begin + size], begin + size < len(found)

    def show(self, call):
        """GET of one."""
        return self._answer(call, self._find(call))

    def quotas(self, call):
        """GET .../quotas."""
        quota = {
            "project_id": call.caller.project.id, "loadbalancer": 50, "listener": 100,
            "certificate": self.fe.certs_max, "pool": -1, "member": -1,
        }  # fmt: skip
        return Answer({"quota": quota, "request_id": request_id()})

    def quota_details(self, call):
        """GET .../quotas/details: with what is used."""
        used = len(self.all("certificate", call.caller.project))
        quotas = [{
            "quota_key": "certificate", "quota_limit": self.fe.certs_max, "used": used,
            "unit": "count",
        }]  # fmt: skip
        return Answer({"quotas": quotas, "request_id": request_id()})

    # ---- certificates ----

    @staticmethod
    def _given(call, fields):
        """What is sent: in v2.0 a certificate has no wrapper around it."""
        kind, given = call.request.kind, call.given
        if kind == "listener" or call.request.api == "v3":
            if list(given) != [kind] or not isinstance(given[kind], dict):
                raise FeError("ELB.8902", f"The body must be one object {kind}.")
            given = given[kind]
        for name in given:
            if name not in fields:
                raise FeError("ELB.8902", f"Unrecognized attribute '{name}'")
        return given

    def create_certificate(self, call):
        """POST."""
        given = self._given(call, CERT_FIELDS)
        project = call.caller.project
        if 0 <= self.fe.certs_max <= len(self.all("certificate", project)):
            raise FeError(self.fe.quota_code)
        return self._answer(call, self._new_certificate(project, given), 201)

    def _new_certificate(self, project, given):
        data = {
            "name": "", "description": "", "type": "server", "domain": "", "certificate": "",
            "private_key": "", "admin_state_up": True, **given,
        }  # fmt: skip
        data.pop("enterprise_project_id", None)
        if data["type"] not in ("server", "client"):
            raise FeError("ELB.8902", "type: server or client.")
        obj = Obj("certificate", secrets.token_hex(16), project, data, self.fe.now())
        return self.put(self._checked(obj))

    def _checked(self, obj):
        """With what is read out of it."""
        data = obj.data
        for name, longest in (("name", 255), ("description", 255), ("domain", 10000)):
            if not isinstance(data[name], str) or len(data[name]) > longest:
                raise FeError("ELB.8902", f"{name}: it is not valid.")
        fe_certs.check_domain(self.fe, data["domain"])
        if data["type"] == "server":
            chain = fe_certs.check_pair(self.fe, data["certificate"], data["private_key"])
        else:
            chain = fe_certs.chain_of(self.fe, data["certificate"])
        return dataclasses.replace(obj, kept={"chain": chain})

    def change_certificate(self, call):
        """PUT: what uses it sees the change."""
        obj, given = self._find(call), dict(self._given(call, CERT_FIELDS))
        if given.get("type", obj.data["type"]) != obj.data["type"]:
            raise FeError("ELB.8902", "type: cannot be changed.")
        given.pop("enterprise_project_id", None)
        if not self.fe.put_half_pair and ("certificate" in given) != ("private_key" in given):
            raise FeError("ELB.8902", "certificate and private_key are changed together.")
        users = self.users(obj)
        if not given.get("domain", "-") and any(obj.id in one.data[SNI] for one in users):
            raise FeError("ELB.8902", "domain: it is used for SNI.")
        changed = self._checked(dataclasses.replace(obj, data={**obj.data, **given}))
        for one in users:
            self._check_steady(one)
        changed = self.put(changed)
        self._touch(users)
        return self._answer(call, changed)

    def delete_certificate(self, call):
        """DELETE: not what is in use."""
        obj = self._find(call)
        users = [one.id for one in self.users(obj)]
        if users and call.request.api == "v2.0":
            raise FeError("ELB.8907", f"Certificate {obj.id} is in use.", listener_ids=users)
        if users:
            words = f"Certificate {obj.id} is in use by listener {', '.join(users)}."
            raise FeError("ELB.8907", words)
        self.remove(obj)
        return Answer(b"", 204)

    # ---- listeners ----

    def _check_steady(self, listener):
        balancer = self.balancer_of(listener)
        if self.status(balancer) != "ACTIVE":
            words = f"Load Balancer {balancer.id} already has status PENDING_UPDATE."
            raise FeError("ELB.8907", words, self.fe.busy_status)

    def _touch(self, listeners):
        """The load balancers have work to do."""
        for one in listeners:
            self.busy[self.balancer_of(one).id] = time.monotonic() + self.fe.busy_s

    def change_listener(self, call):
        """PUT: lists are replaced as a whole."""
        obj = self._find(call)
        fields = V3_FIELDS if call.request.api == "v3" else LISTENER_FIELDS
        given = self._given(call, fields)
        for name, value in given.items():
            if value is not None and not isinstance(value, fields[name]):
                raise FeError("ELB.8902", f"{name}: it is not valid.")
        data = {**obj.data, **given}
        data[SNI] = list(dict.fromkeys(data[SNI] or []))
        if data["sni_match_algo"] not in ("wildcard", "longest_suffix"):
            raise FeError("ELB.8902", "sni_match_algo: wildcard or longest_suffix.")
        self._check_steady(obj)
        self._check_refs(obj, data)
        obj = self.put(obj, **data)
        self._touch([obj])
        return self._answer(call, obj)

    def _check_refs(self, obj, data):
        """The certificates of a listener."""
        refs = [one for one in (data[DEFAULT], data[CLIENT_CA], *data[SNI]) if one]
        if obj.data["protocol"] not in TLS:
            if refs:
                words = f"A listener of protocol {obj.data['protocol']} has no certificates."
                raise FeError("ELB.8902", words)
            return
        if not data[DEFAULT]:
            raise FeError("ELB.9899")
        certs = {}
        for ref in refs:
            cert = self.objects.get(ref)
            if not cert or cert.type != "certificate" or cert.project is not obj.project:
                words = f"certificate {ref} could not be found"
                raise FeError("ELB.5040", words, self.fe.no_cert_status)
            wanted = "client" if ref == data[CLIENT_CA] else "server"
            if cert.data["type"] != wanted:
                raise FeError("ELB.8902", f"certificate {ref} is not of type {wanted}")
            certs[ref] = cert
        self._check_sni([certs[ref] for ref in data[SNI]])

    @staticmethod
    def _check_sni(certs):
        if len(certs) > SNI_MAX:
            raise FeError("ELB.8902", f"{SNI}: at most {SNI_MAX}.")
        seen = set()
        for cert in certs:
            names = fe_certs.domains_of(cert.data["domain"])
            if not names:
                raise FeError("ELB.8902", f"{SNI}: certificate {cert.id} has no domain.")
            for name in names:
                if (name, fe_certs.kind_of(cert.kept["chain"])) in seen:
                    raise FeError("ELB.8902", f"{SNI}: the domain {name} is there twice.")
                seen.add((name, fe_certs.kind_of(cert.kept["chain"])))
