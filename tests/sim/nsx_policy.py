"""The policy API of the simulated NSX Manager: certificates, virtual servers, global settings."""

import copy
import re
import time
import uuid
from dataclasses import dataclass, field

from . import nsx_certs
from .ca_http import Answer
from .nsx_certs import Record
from .nsx_trust import page_of
from .nsx_types import (
    ANY, DANGLING, EXISTS, GONE, IN_USE, PAGING, POLICY_CERTIFICATE, PROTECTED, SECURITY, STALE,
    VIRTUAL_SERVER, NsxError, call, refused, required,
)  # fmt: skip

ID = re.compile(r"[A-Za-z0-9._~@:+-]{1,255}")
CERTIFICATE_PATH = re.compile(r"(/orgs/[^/]+/projects/[^/]+)?/infra/certificates/[^/]+")
TYPES = {"policy-certificates": "TlsCertificate", "lb-virtual-servers": "LBVirtualServer"}
PARTS = {"policy-certificates": "certificates", "lb-virtual-servers": "lb-virtual-servers"}
BINDING = "client_ssl_profile_binding"
DEFAULT_PATH, SNI_PATHS = "default_certificate_path", "sni_certificate_paths"
TOLD = (
    "id", "resource_type", "path", "relative_path", "parent_path", "unique_id", "realization_id",
    "owner_id", "marked_for_delete", "overridden", "remote_path",
)  # fmt: skip


@dataclass
class PolicyObject:
    """One object. data: as it was sent, without what the manager alone says."""

    path: str
    kind: str
    data: dict
    revision: int = 0
    protected: bool = False
    user: str = "admin"
    created: int = field(default_factory=lambda: int(time.time() * 1000))
    modified: int = 0
    unique: str = field(default_factory=lambda: str(uuid.uuid4()))
    realized_at: float = 0.0

    @property
    def id(self):
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def told(self):
        """As a client sees it."""
        return {
            **copy.deepcopy(self.data), "resource_type": TYPES[self.kind], "id": self.id,
            "display_name": self.data.get("display_name", self.id), "path": self.path,
            "relative_path": self.id, "parent_path": self.path.rsplit("/", 2)[0],
            "unique_id": self.unique, "realization_id": self.unique, "owner_id": "nsx",
            "marked_for_delete": False, "overridden": False, "_create_time": self.created,
            "_create_user": self.user, "_last_modified_time": self.modified or self.created,
            "_last_modified_user": self.user, "_system_owned": False,
            "_protection": "REQUIRE_OVERRIDE" if self.protected else "NOT_PROTECTED",
            "_revision": self.revision,
        }  # fmt: skip


def own_part(given):
    """Of a document what a client may say."""
    return {name: one for name, one in given.items() if name not in TOLD and name[0] != "_"}


def strings_of(value):
    """All text in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings_of(one)


def certificate_paths(binding):
    """What a binding serves: by SNI, and at the end the default."""
    if not binding:
        return []
    return [*(binding.get(SNI_PATHS) or []), binding[DEFAULT_PATH]]


class Policy:
    """Policy objects by their paths. Part of Nsx."""

    policy, records, security, security_revision = None, None, None, 0

    def policy_object(self, path):
        """An object, or 404."""
        found = self.policy.get(path)
        if not found:
            raise NsxError(404, GONE, f"The path={path} is invalid.", "policy")
        return found

    def references(self, path):
        """The paths of the objects that refer to one."""
        return [one.path for one in self.policy.values() if path in strings_of(one.data)]

    def policy_record(self, path):
        """The entry of the certificate store for a policy certificate, or None."""
        return next((one for one in self.records.values() if one.path == path), None)

    def put_certificate(self, path, given, user):
        """A new policy certificate; its chain is not split."""
        chain, key = self.read_pem(given)
        self.policy[path] = PolicyObject(path, "policy-certificates", own_part({
            name: one for name, one in given.items() if name not in ("private_key", "passphrase")
        }), user=user)  # fmt: skip
        record = Record(
            str(uuid.uuid4()), given.get("display_name") or path.rpartition("/")[2], chain, key,
            given["pem_encoded"], given.get("description"), given.get("tags"), user, path=path,
        )  # fmt: skip
        record.path_tags = [{"scope": "policyPath", "tag": path}]
        self.records[record.id] = record

    def put_virtual_server(self, path, given, user, revision=ANY):
        """A virtual server, new or in place of the one that is there and has that revision."""
        old = self.policy.get(path)
        if old and revision not in (ANY, old.revision):
            raise NsxError(
                412, STALE, f"The object {path} was changed since it was read: revision "
                f"{revision} is not {old.revision}.", "policy",
            )  # fmt: skip
        data = own_part(given)
        self._check_virtual_server(data)
        if self.lose_sni and data.get(BINDING):
            data[BINDING].pop(SNI_PATHS, None)
        self.before_change()
        new = PolicyObject(path, "lb-virtual-servers", data, user=user)
        if old:
            new = PolicyObject(
                path, old.kind, data, old.revision + 1, old.protected, old.user, old.created,
                int(time.time() * 1000), old.unique,
            )  # fmt: skip
        new.realized_at = time.monotonic() + self.realize_delay
        self.policy[path] = new
        return new

    def _check_virtual_server(self, data):
        required(data, "ip_address", "ports", "application_profile_path")
        binding = data.get(BINDING)
        if binding:
            required(binding, DEFAULT_PATH)
            if binding.get("client_auth", "IGNORE") not in ("IGNORE", "REQUIRED"):
                raise refused("client_auth must be IGNORE or REQUIRED.")
        for text in strings_of(data):
            if CERTIFICATE_PATH.fullmatch(text) and text not in self.policy:
                raise refused(f"The path={text} is invalid: there is no such object.", DANGLING)
        for path in certificate_paths(binding):
            record = self.policy_record(path)
            if not record or not record.key:
                raise refused(f"The certificate {path} has no private key.")


# ---- calls ----


def _path(nsx, request):
    if not ID.fullmatch(request.id):
        raise refused(f"The id {request.id[:50]} is not valid.")
    path = f"{request.scope}/{PARTS[request.kind]}/{request.id}"
    found = nsx.policy.get(path)
    if found and request.method != "GET" and found.protected:
        if request.headers.get("x-allow-overwrite", "").lower() != "true":
            raise NsxError(
                403, PROTECTED, f"Principal '{request.user}' attempts to delete or modify an "
                f"object of type {TYPES[found.kind]} it doesn't own. (allowOverwrite=null)",
            )  # fmt: skip
    return path


def _same_id(request, given):
    if given.get("id", request.id) != request.id:
        raise refused("The id of the object is not that of the path.")


def _list(nsx, request):
    prefix = f"{request.scope}/{PARTS[request.kind]}/"
    found = [one.told for path, one in nsx.policy.items() if path.startswith(prefix)]
    return page_of(nsx, request.query, found)


def _told_certificate(nsx, told, details):
    if details:
        chain = nsx.policy_record(told["path"]).chain
        told["details"] = [nsx_certs.described(one, nsx.dates) for one in chain]
    return told


@call("GET policy-certificates", "policy_certificate", params=(*PAGING, "details"))
def _certificates(nsx, request, _given):
    found, details = _list(nsx, request), request.query.get("details") == "true"
    found["results"] = [_told_certificate(nsx, one, details) for one in found["results"]]
    return Answer(found)


@call("GET policy-certificates/*", "policy_certificate", params=("details",))
def _certificate(nsx, request, _given):
    told = nsx.policy_object(_path(nsx, request)).told
    return Answer(_told_certificate(nsx, told, request.query.get("details") == "true"))


def _write_certificate(nsx, request, given):
    """PUT or PATCH; what is there already stays as it is."""
    path = _path(nsx, request)
    _same_id(request, given)
    if path not in nsx.policy:
        nsx.put_certificate(path, given, request.user)
    elif nsx.put_existing == "refuse":
        raise refused(f"The object path=[{path}] is there already.", EXISTS)
    return nsx.policy[path].told


@call("PUT policy-certificates/*", "policy_certificate", "crud", body=POLICY_CERTIFICATE)
def _put_certificate(nsx, request, given):
    return Answer(_write_certificate(nsx, request, given))


@call("PATCH policy-certificates/*", "policy_certificate", "crud", body=POLICY_CERTIFICATE)
def _patch_certificate(nsx, request, given):
    _write_certificate(nsx, request, given)
    return Answer(b"")


@call("DELETE policy-certificates/*", "policy_certificate", "crud")
def _delete_certificate(nsx, request, _given):
    path = nsx.policy_object(_path(nsx, request)).path
    record, referrers = nsx.policy_record(path), nsx.references(path)
    if referrers or nsx.used_by(record):
        raise NsxError(
            nsx.in_use_status, 500030 if nsx.in_use_status == 400 else IN_USE,
            f"The object path=[{path}] cannot be deleted as either it has children or it is being "
            f"referenced by other objects path=[{','.join(referrers)}].", "policy",
        )  # fmt: skip
    del nsx.policy[path], nsx.records[record.id]
    return Answer(b"")


@call("GET lb-virtual-servers", "policy_lb", params=PAGING)
def _virtual_servers(nsx, request, _given):
    return Answer(_list(nsx, request))


@call("GET lb-virtual-servers/*", "policy_lb")
def _virtual_server(nsx, request, _given):
    return Answer(nsx.policy_object(_path(nsx, request)).told)


@call("PUT lb-virtual-servers/*", "policy_lb", "crud", body=VIRTUAL_SERVER)
def _put_virtual_server(nsx, request, given):
    _same_id(request, given)
    path = _path(nsx, request)
    return Answer(
        nsx.put_virtual_server(path, given, request.user, given.get("_revision")).told
    )


@call("PATCH lb-virtual-servers/*", "policy_lb", "crud", body=VIRTUAL_SERVER)
def _patch_virtual_server(nsx, request, given):
    _same_id(request, given)
    path = _path(nsx, request)
    old = nsx.policy.get(path)
    if old and nsx.patch == "merge":
        given = {**old.data, **given}
    nsx.put_virtual_server(path, given, request.user)
    return Answer(b"")


@call("DELETE lb-virtual-servers/*", "policy_lb", "crud")
def _delete_virtual_server(nsx, request, _given):
    nsx.before_change()
    del nsx.policy[nsx.policy_object(_path(nsx, request)).path]
    return Answer(b"")


@call("GET realized-state", "policy_lb", params=("intent_path",))
def _realized(nsx, request, _given):
    found = nsx.policy_object(request.query.get("intent_path"))
    is_done = found.realized_at <= time.monotonic()
    return Answer({
        "intent_path": found.path, "publish_status": "REALIZED" if is_done else "UNREALIZED",
        "consolidated_status": {"consolidated_status": "SUCCESS" if is_done else "IN_PROGRESS"},
    })  # fmt: skip


# ---- global settings ----


def _security(nsx):
    return Answer({
        **nsx.security, "resource_type": "SecurityGlobalConfig", "id": "SecurityGlobalConfig",
        "_revision": nsx.security_revision,
    })  # fmt: skip


def _put_security(nsx, given):
    if given.get("_revision") != nsx.security_revision:
        raise NsxError(412, STALE, "The settings were changed since they were read.", "policy")
    nsx.security.update(own_part(given))
    nsx.security_revision += 1
    return _security(nsx)


@call("GET security-global-config", "=security_feature", since="=security_since")
def _get_policy_security(nsx, _request, _given):
    return _security(nsx)


@call(
    "PUT security-global-config", "=security_feature", "crud", body=SECURITY,
    since="=security_since",
)  # fmt: skip
def _put_policy_security(nsx, _request, given):
    return _put_security(nsx, given)


@call("GET security-config", "=security_feature", until="=security_until")
def _get_mp_security(nsx, _request, _given):
    return _security(nsx)


@call(
    "PUT security-config", "=security_feature", "crud", body=SECURITY, until="=security_until"
)
def _put_mp_security(nsx, _request, given):
    return _put_security(nsx, given)
