"""What the simulated Avi controller demands of objects beyond the shape of their fields."""

import copy
import re
from dataclasses import dataclass, field

from . import avi_certs
from .avi_types import TYPES, AviError, uuid_of

SNI, EVH = "VS_TYPE_VH_SNI", "VS_TYPE_VH_ENHANCED"
PARENT, CHILD = "VS_TYPE_VH_PARENT", "VS_TYPE_VH_CHILD"
L4_POLICY = "Layer-4 virtual service should not refer to any HTTP policyset"
PROFILE_NAME = re.compile(r"[A-Za-z0-9_.-]+")
CERTS = "ssl_key_and_certificate_refs"


@dataclass
class Call:
    """One write on its way: data is what is to be stored."""

    avi: object
    user: object
    tenant: str
    version: str
    type: str
    given: dict
    data: dict
    old: object = None
    kept: dict = field(default_factory=dict)
    brings: list = field(default_factory=list)  # certificates that came with another one

    def other(self, ref):
        """What is referred to."""
        return self.avi.store.objects[uuid_of(ref)]

    def default_ref(self, name, other, fallback):
        """A reference that is filled in when the client gave none."""
        if not self.data.get(name):
            found = self.avi.store.named(other, fallback, self.tenant)
            self.data[name] = found.ref


# ---- virtual services ----


def _is_l4(call):
    return call.other(call.data["application_profile_ref"]).data["type"] in (
        "APPLICATION_PROFILE_TYPE_L4", "APPLICATION_PROFILE_TYPE_SSL",
    )  # fmt: skip


def _services(data):
    taken = set()
    for service in data.get("services", []):
        service.setdefault("port_range_end", service["port"])
        if not 1 <= service["port"] <= service["port_range_end"] <= 65535:
            raise AviError(400, f"services: invalid port {service['port']}")
        ports = set(range(service["port"], service["port_range_end"] + 1))
        if taken & ports:
            raise AviError(400, f"Duplicate service port {min(taken & ports)}")
        taken |= ports
    return taken


def _policies(call, data):
    policies = data.get("http_policies", [])
    if policies and _is_l4(call):
        raise AviError(400, L4_POLICY)
    for name in ("index", "http_policy_set_ref"):
        values = [one[name] for one in policies]
        if len(values) != len(set(values)):
            raise AviError(400, f"http_policies: duplicate {name}")


def _certificates(call, data):
    objects = [call.other(ref) for ref in data.get(CERTS, [])]
    for one in objects:
        if one.data["type"] != "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE":
            raise AviError(400, f"{one} is not of the type for virtual services")
    if len({one.uuid for one in objects}) != len(objects):
        raise AviError(400, f"{CERTS}: duplicate reference")
    has_tls = objects or data.get("ssl_profile_ref")
    if data["type"] == CHILD and data["vh_type"] == EVH and has_tls:
        raise AviError(400, "An enhanced virtual hosting child cannot have SSL settings")
    if data["type"] == PARENT and data["vh_type"] == EVH:
        return
    kinds = [avi_certs.algorithm(one) for one in objects]
    kinds = [kind for kind in kinds if kind]
    if len(objects) > 2 or len(kinds) != len(set(kinds)):
        raise AviError(400, "At most one RSA and one EC certificate may be configured")


def _parent(call, data):
    """A child has one, and names of its own."""
    ref = data.get("vh_parent_vs_ref")
    if not ref:
        raise AviError(400, "vh_parent_vs_ref: this field is required for a child")
    parent = call.other(ref)
    data["vh_type"] = parent.data.get("vh_type", SNI)
    if parent.data["type"] != PARENT:
        raise AviError(400, f"{parent} is not a parent")
    hosts = set(data.get("vh_domain_name", []))
    wanted = "vh_domain_name"
    if data["vh_type"] == EVH:
        hosts, wanted = {one["host"] for one in data.get("vh_matches", [])}, "vh_matches"
    if not hosts:
        raise AviError(400, f"{wanted}: this field is required for a child")
    for other in call.avi.store.all("virtualservice"):
        if other.data.get("vh_parent_vs_ref") == ref and other is not call.old and (
            wanted == "vh_domain_name" and hosts & set(other.data.get(wanted, []))
        ):  # fmt: skip
            raise AviError(400, f"{other} has the same {wanted}")
    if data.get("services") or data.get("vsvip_ref"):
        raise AviError(400, "A child has neither services nor a VIP")


def virtual_service(call):
    """virtualservice"""
    data = call.data
    call.default_ref("application_profile_ref", "applicationprofile", "System-HTTP")
    call.default_ref("cloud_ref", "cloud", "Default-Cloud")
    if call.old and call.old.data["type"] != data["type"]:
        raise AviError(400, "type: cannot be changed")
    if data["type"] == CHILD:
        _parent(call, data)
    else:
        if data["type"] == PARENT:
            data.setdefault("vh_type", SNI)
        for name in ("vsvip_ref", "services"):
            if not data.get(name):
                raise AviError(400, f"{name}: this field is required")
    ports = _services(data)
    _policies(call, data)
    _certificates(call, data)
    if any(one["enable_ssl"] for one in data.get("services", [])):
        if not data.get(CERTS):
            raise AviError(400, f"{CERTS}: needed by a service with SSL")
        call.default_ref("ssl_profile_ref", "sslprofile", "System-Standard")
    for other in call.avi.store.all("virtualservice"):
        if other is call.old or not other.data.get("vsvip_ref"):
            continue
        if other.data["vsvip_ref"] == data.get("vsvip_ref"):
            taken = _services({"services": [dict(one) for one in other.data["services"]]})
            if ports & taken:
                raise AviError(400, f"Port {min(ports & taken)} is in use by {other}")


def vs_vip(call):
    """vsvip"""
    call.default_ref("cloud_ref", "cloud", "Default-Cloud")
    ids = [one["vip_id"] for one in call.data.get("vip", [])]
    if not ids or len(ids) != len(set(ids)):
        raise AviError(400, "vip: one at least, each with a vip_id of its own")


# ---- policies and the rest ----


def policy_set(call):
    """httppolicyset"""
    for part in ("http_security_policy", "http_request_policy"):
        rules = call.data.get(part, {}).get("rules", [])
        for name in ("index", "name"):
            values = [one[name] for one in rules]
            if len(values) != len(set(values)):
                raise AviError(400, f"{part}: duplicate rule {name}")
        for rule in rules:
            _rule(rule)


def _rule(rule):
    action = rule.get("action", {})
    if action.get("action") == "HTTP_SECURITY_ACTION_SEND_RESPONSE" and not action.get(
        "status_code"
    ):
        raise AviError(400, "action: a response needs a status_code")
    if action.get("file"):
        action["file"]["file_length"] = len(action["file"]["file_content"])
    for criteria in ("path", "host_hdr"):
        match = rule.get("match", {}).get(criteria)
        if match and not match.get("match_str" if criteria == "path" else "value"):
            raise AviError(400, f"match.{criteria}: nothing to compare with")
        if match and "REGEX" in match["match_criteria"]:
            for one in match["match_str"]:
                _compiles(one)


def _compiles(pattern):
    try:
        re.compile(pattern)
    except re.error as error:
        raise AviError(400, f"match.path: {error}") from None


def certificate(call):
    """sslkeyandcertificate"""
    avi_certs.check(call)
    profile = call.data.get("certificate_management_profile_ref")
    known = {
        one["name"]: one
        for one in (call.other(profile).data.get("script_params", []) if profile else [])
        if one["is_dynamic"]
    }
    for one in call.data.get("dynamic_params", []):
        if one["name"] not in known:
            raise AviError(400, f"dynamic_params: {one['name']} is not dynamic in the profile")
        one["is_dynamic"], one["is_sensitive"] = True, known[one["name"]]["is_sensitive"]
    _keep_sensitive(call, "dynamic_params")


def management_profile(call):
    """certificatemanagementprofile"""
    if not PROFILE_NAME.fullmatch(call.data["name"]):
        raise AviError(400, "name: only alphanumeric, underscore, period or hyphen")
    names = [one["name"] for one in call.data.get("script_params", [])]
    if len(names) != len(set(names)):
        raise AviError(400, "script_params: duplicate name")
    for one in call.data.get("script_params", []):
        if one["is_dynamic"] and one.get("value"):
            raise AviError(400, f"script_params: {one['name']} is dynamic and has a value")
    _keep_sensitive(call, "script_params")


def _keep_sensitive(call, part):
    """A value that is told as stars comes back so from those who write whole objects."""
    before = {one["name"]: one for one in (call.old.data.get(part, []) if call.old else [])}
    for one in call.data.get(part, []):
        if one["is_sensitive"] and one.get("value") in (None, call.avi.mask):
            old = before.get(one["name"], {})
            if old.get("is_sensitive") and "value" in old:
                one["value"] = old["value"]


def script(call):
    """alertscriptconfig"""
    timeout = call.data.get("timeout")
    if timeout is not None and timeout < 1:
        raise AviError(400, "timeout: must be positive")


def system(call):
    """systemconfiguration"""
    refs = call.data.get("portal_configuration", {}).get("sslkeyandcertificate_refs", [])
    objects = [call.other(ref) for ref in refs]
    kinds = [avi_certs.algorithm(one) for one in objects]
    if len(objects) > 2 or len(kinds) != len(set(kinds)):
        raise AviError(400, "At most one RSA and one EC certificate may be configured")
    if any(one.data["type"] != "SSL_CERTIFICATE_TYPE_SYSTEM" for one in objects):
        raise AviError(400, "sslkeyandcertificate_refs: not of the type for the portal")


def account(call):
    """user"""
    other = call.avi.store.user(call.data["username"])
    if other and other is not call.old:
        raise AviError(409, "User with this Username already exists.")
    if "password" not in call.data:
        if not call.old:
            raise AviError(400, "password: this field is required")
        call.data["password"] = call.old.data["password"]


CHECKS = {
    "virtualservice": virtual_service, "vsvip": vs_vip, "httppolicyset": policy_set,
    "sslkeyandcertificate": certificate, "certificatemanagementprofile": management_profile,
    "alertscriptconfig": script, "systemconfiguration": system, "user": account,
}  # fmt: skip


# ---- PATCH ----


def patched(reader, type_, old, given):
    """The object after a PATCH. It goes one level deep: a value is added, replaced or deleted."""
    unknown = set(given) - {"add", "replace", "delete"}
    if unknown or not given:
        raise AviError(400, f"Invalid PATCH operation: {', '.join(sorted(unknown)) or 'none'}")
    fields, data = TYPES[type_].fields, copy.deepcopy(old)
    for how, values in given.items():
        if not isinstance(values, dict) or not values:
            raise AviError(400, f"{how}: an object is expected")
        for name, value in values.items():
            one = fields.get(name)
            if one is None or one.told:
                raise AviError(400, f"Unknown field in request: {name}")
            if how == "delete":
                _delete(reader, data, name, one, value)
                continue
            value = reader.value(one, value, name)
            data[name] = data.get(name, []) + value if how == "add" and one.many else value
    return data


def _delete(reader, data, name, one, value):
    """Entries of a list that are wholly the same; anything else becomes what it is by default."""
    if one.many:
        gone = reader.value(one, value, name)
        if name == "services":
            _services({"services": gone})
        left = [item for item in data.get(name, []) if item not in gone]
        if reader.refuses_unmatched and len(left) != len(data.get(name, [])) - len(gone):
            raise AviError(400, f"{name}: no such entry")
        data[name] = left
    else:
        data.pop(name, None)
        if one.required:
            raise AviError(400, f"{name}: this field is required")
        if one.default is not None:
            data[name] = one.default
    if one.many and not data.get(name):
        data.pop(name, None)
