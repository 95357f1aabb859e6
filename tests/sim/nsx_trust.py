"""Trust management of the simulated NSX Manager: the certificate store, applying, requests."""

import copy
import time
import uuid
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization

from . import nsx_certs
from .ca_http import Answer
from .nitro_certs import issued, period
from .nsx_certs import NO_MATCH, Record
from .nsx_types import (
    BUSY, CSR, CSR_EXTENDED, CSR_IMPORT, EXISTS, GONE, IN_USE, KEY_MISMATCH, PAGING,
    REQUIRED, TRUST_OBJECT, NsxError, call, refused, required,
)  # fmt: skip

CRUD = ("trust_certificates", "crud")
READ = ("trust_certificates", "read")
# service type: (name, is it one for the whole cluster, what the certificate must be for)
PROFILES = {
    "API": ("Manager API", False, ("SERVER",)),
    "MGMT_CLUSTER": ("Manager cluster", True, ("SERVER",)),
    "MGMT_PLANE": ("Management plane", False, ("SERVER", "CLIENT")),
    "CCP": ("Central control plane", False, ("SERVER", "CLIENT")),
    "APH": ("Appliance proxy hub", False, ("SERVER", "CLIENT")),
    "GLOBAL_MANAGER": ("Global manager", True, ("CLIENT",)),
    "LOCAL_MANAGER": ("Local manager", True, ("CLIENT",)),
    "CLIENT_AUTH": ("Client authentication", True, ("CLIENT",)),
    "SYSLOG_SERVER": ("Syslog server", False, ("SERVER",)),
}  # fmt: skip
PRESENTED = ("API", "MGMT_CLUSTER")
CDP_UNREADY = "CRL_NOT_READY"


@dataclass
class Csr:
    """A request for a certificate whose key never leaves the manager."""

    key: object
    request: object
    subject: object
    given: dict
    names: list
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: int = field(default_factory=lambda: int(time.time() * 1000))

    @property
    def pem(self):
        """As it is sent."""
        return self.request.public_bytes(serialization.Encoding.PEM).decode()


def page_of(nsx, query, items):
    """A page of a list, as it is told."""
    size = query.get("page_size", "1000")
    if not size.isdigit() or not 1 <= int(size) <= 1000:
        raise refused("page_size must be a number from 1 to 1000.")
    size = min(int(size), nsx.page_max)
    cursor = query.get("cursor", "")
    if cursor and cursor not in nsx.cursors:
        raise refused("The cursor is not valid.")
    start = nsx.cursors.get(cursor, 0)
    items = sorted(
        items, key=lambda one: str(one.get(query.get("sort_by", "_create_time"), "")),
        reverse=query.get("sort_ascending") == "false",
    )  # fmt: skip
    found = {"results": items[start : start + size], "sort_by": "displayName",
             "sort_ascending": True}  # fmt: skip
    if not cursor:
        found["result_count"] = len(items)
    if start + size < len(items):
        found["cursor"] = f"{uuid.uuid4().hex}{start + size}"
        nsx.cursors[found["cursor"]] = start + size
    elif nsx.last_cursor:
        found["cursor"] = nsx.last_cursor
    wanted = query.get("included_fields")
    if wanted:
        kept = {*wanted.split(","), "id"}
        found["results"] = [
            {name: value for name, value in one.items() if name in kept}
            for one in found["results"]
        ]
    return found


class Trust:
    """The certificates of a cluster, and where they are applied. Part of Nsx."""

    nodes, records, csrs, services = (), None, None, None
    security = None

    # ---- the store ----

    def record(self, ident):
        """An entry of the store, or 404."""
        if not ident:
            raise NsxError(400, REQUIRED, "certificate_id is required.")
        if ident not in self.records:
            raise NsxError(
                404, GONE, f"The requested object : TrustObject/{ident} could not be found. "
                "Object identifiers are case sensitive.",
            )  # fmt: skip
        return self.records[ident]

    def used_by(self, record):
        """[{"node_id", "service_types"}]"""
        found = {}
        for (service, node), ident in self.services.items():
            if ident == record.id:
                owners = [node] if node else [self.cluster_id]
                if not node and self.cluster_used_by == "nodes":
                    owners = [one.uuid for one in self.nodes]
                for one in owners:
                    found.setdefault(one, []).append(service)
        return [{"node_id": node, "service_types": types} for node, types in found.items()]

    def told(self, record, details=False):
        """An entry as a client sees it."""
        found = {
            "id": record.id, "resource_type": record.kind, "display_name": record.name,
            "pem_encoded": record.text, "has_private_key": record.key is not None,
            "used_by": self.used_by(record), "_create_time": record.created,
            "_create_user": record.user, "_last_modified_time": record.created,
            "_last_modified_user": record.user, "_system_owned": record.system,
            "_protection": "NOT_PROTECTED", "_revision": 0,
        }  # fmt: skip
        if details:
            chain = nsx_certs.BLOCK.findall(record.text)
            found["details"] = [
                nsx_certs.described(nsx_certs.parse(one), self.dates) for one in chain
            ]
        if record.description is not None:
            found["description"] = record.description
        tags = [*(record.tags or []), *record.path_tags]
        if tags or self.no_tags != "absent":
            found["tags"] = copy.deepcopy(tags) or {"null": None, "empty": []}[self.no_tags]
        return found

    def read_pem(self, given, needs_key=False):
        """(chain, key or None) of what was sent, checked."""
        required(given, "pem_encoded")
        chain, key = nsx_certs.chain_of(given["pem_encoded"]), given.get("private_key")
        if key:
            key = nsx_certs.load_key(key, given.get("passphrase"))
            nsx_certs.check_pair(chain[0], key)
            self._check_leaf(chain[0], given)
        elif needs_key:
            raise NsxError(400, REQUIRED, "private_key is required.")
        return chain, key

    def _check_leaf(self, leaf, given):
        wanted = self.needs_constraints
        if wanted == "always" or (wanted == "self-signed" and nsx_certs.is_self_signed(leaf)):
            if not nsx_certs.has_basic_constraints(leaf):
                raise refused(NO_MATCH, KEY_MISMATCH)  # so it says, misleading as it is
        if nsx_certs.is_ca(leaf) and given.get("purpose") != "signing-ca":
            raise refused("A CA certificate cannot be imported as one of a server.")

    def add(self, chain, key, given, user="admin", text=None):
        """Put a certificate into the store; returns what the answer tells, as entries."""
        if self.chain_check == "import" and key and not self.complete(chain):
            raise refused("The certificate chain is incomplete: the root is missing.")
        ident = given.get("id") or str(uuid.uuid4())
        digest = nsx_certs.fingerprint(chain[0])
        is_there = key and any(one.fingerprint == digest for one in self.records.values())
        if ident in self.records or (is_there and self.same_twice == "refuse"):
            raise refused("The certificate is there already.", EXISTS)
        name = given.get("display_name") or ident
        if self.unique_names and any(one.name == name for one in self.records.values()):
            raise refused(f"An object with the display name {name} is there already.", EXISTS)
        record = Record(
            ident, name, chain, key, text or given["pem_encoded"], given.get("description"),
            given.get("tags"), user,
        )  # fmt: skip
        record.crl_left = self.crl_polls if any(map(nsx_certs.has_crl, chain[:-1] or chain)) else 0
        return self._split(record, given, user)

    def _split(self, record, given, user):
        """An answer with one entry for all, or with one for each certificate of the chain."""
        found = [record]
        if self.import_reply != "one" and len(record.chain) > 1:
            record.text = nsx_certs.pem(record.leaf)
            found += [self._authority(one, given, user) for one in record.chain[1:]]
        for one in found:
            self.records[one.id] = one
        return found[::-1] if self.import_reply == "leaf-last" else found

    def _authority(self, cert, given, user):
        digest = nsx_certs.fingerprint(cert)
        for one in self.records.values():
            if one.fingerprint == digest and self.same_authority == "reuse":
                return one
        return Record(
            str(uuid.uuid4()), given.get("display_name") or "", [cert], None, nsx_certs.pem(cert),
            tags=given.get("tags"), user=user,
        )  # fmt: skip

    def complete(self, chain):
        """The chain with those above it that the store knows; None: it does not end in a root."""
        chain = list(chain)
        while not nsx_certs.is_self_signed(chain[-1]):
            above = next((one.leaf for one in self.records.values()
                          if issued(one.leaf, chain[-1])), None)  # fmt: skip
            if not above:
                return None
            chain.append(above)
        return chain

    # ---- is it good for a service ----

    def faults_of(self, record, usage="SERVER"):
        """What validation has to say against a certificate."""
        begin, end = period(record.leaf)
        if not begin <= self.now() <= end:
            yield "The certificate is not valid at this time."
        chain = self.complete(record.chain)
        if not chain and self.chain_check != "never":
            yield "The certificate chain is incomplete: the root is missing."
        if self.security["ca_signed_only"] and nsx_certs.is_self_signed(record.leaf):
            yield "Only certificates that are signed by a CA are allowed."
        if self.security["eku_checking_enabled"] and not nsx_certs.allows(record.leaf, usage):
            yield f"The extended key usage does not allow {usage}."

    def validation(self, record, usage):
        """(status, words) of a validation."""
        if self.validations:
            status = self.validations.pop(0)
            return status, f"{status}: planned"
        for fault in self.faults_of(record, usage):
            return "REJECTED", fault
        if self.security["crl_checking_enabled"] and record.crl_left:
            record.crl_left -= record.crl_left > 0
            return CDP_UNREADY, "The CRL of the certificate has not been fetched yet."
        return "OK", None

    def check_fit(self, record, service, node):
        """400 unless a certificate may be applied to a service."""
        if not record.key:
            raise refused("The certificate has no private key.")
        for usage in PROFILES[service][2]:
            for fault in self.faults_of(record, usage):
                raise refused(fault)
        if self.security["crl_checking_enabled"] and record.crl_left:
            raise refused("The CRL of the certificate has not been fetched yet.")
        if service in PRESENTED and not self._is_named(record, node):
            raise refused(
                "Neither common name nor subject alternative names of the certificate match "
                "the address or the FQDN of the node or cluster."
            )

    def _is_named(self, record, node):
        if self.name_check == "never":
            return True
        if self.name_check == "signed" and nsx_certs.is_self_signed(record.leaf):
            return True
        names = [node.ip, node.fqdn] if node else [self.vip_ip, self.vip_fqdn]
        return any(nsx_certs.covers(record.leaf, one) for one in names)

    # ---- applying ----

    def reachable(self, node):
        """The node, or the refusal when it does not answer the others."""
        if node.state != "up":
            raise refused(f"The node {node.uuid} cannot be reached.", BUSY, self.node_down_status)
        return node

    def apply(self, record, service, node=None, checked=True):
        """Have a manager, or with no node the whole cluster, present a certificate."""
        if node is None and service == "MGMT_CLUSTER" and not self.vip_ip:
            raise refused("The virtual IP of the cluster is not configured.")
        if self.busy and self.apply_busy == "refuse":
            raise refused("Another certificate is being replaced.", BUSY, self.busy_status)
        if node:
            self.reachable(node)
        if checked:
            self.check_fit(record, service, node)
        self.services[service, node.uuid if node else None] = record.id
        if service == "API":
            self.restart(*self.restarts_with(node))
        elif service == "MGMT_CLUSTER":
            self.restart(*self._restarts_of_cluster())

    def _restarts_of_cluster(self):
        if self.cluster_restarts == "vip":
            return [self.vip]
        nodes = [self.owner] if self.cluster_restarts == "owner" else self.nodes
        return [self.vip, *(one.listener for one in nodes)]


def list_told(nsx, records, status):
    """A CertificateList."""
    results = [nsx.told(one, True) for one in records]
    return Answer({"result_count": len(results), "results": results}, status)


# ---- calls: certificates ----


@call("POST certificates?import", *CRUD, body=TRUST_OBJECT)
def _import(nsx, request, given):
    if given.get("resource_type", "TrustObjectData") != "TrustObjectData":
        raise refused("resource_type must be TrustObjectData.")
    chain, key = nsx.read_pem(given)
    return list_told(nsx, nsx.add(chain, key, given, request.user), nsx.import_status)


@call("POST certificates?import_trusted_ca", *CRUD, body=TRUST_OBJECT)
def _import_ca(nsx, request, given):
    chain, _ = nsx.read_pem({**given, "private_key": None})
    if given.get("private_key") or not all(map(nsx_certs.is_ca, chain)):
        raise refused("That is not the certificate of a CA.")
    return list_told(nsx, nsx.add(chain, None, given, request.user), nsx.import_status)


@call("GET certificates", *READ, params=(*PAGING, "details", "node_id", "type"))
def _list(nsx, request, _given):
    query, found = request.query, list(nsx.records.values())
    if query.get("type") == "cluster_api_certificate":
        found = [one for one in found if one.id == nsx.services["MGMT_CLUSTER", None]]
    told = [nsx.told(one, query.get("details") == "true") for one in found]
    if "node_id" in query:
        told = [
            one for one in told
            if any(used["node_id"] == query["node_id"] for used in one["used_by"])
        ]  # fmt: skip
    return Answer(page_of(nsx, query, told))


@call("GET certificates/*", *READ, params=("details",))
def _get(nsx, request, _given):
    return Answer(nsx.told(nsx.record(request.id), request.query.get("details") == "true"))


@call("GET certificates/*?validate", *READ, params=("usage",))
def _validate(nsx, request, _given):
    usage = request.query.get("usage", "SERVER")
    if usage not in ("SERVER", "CLIENT"):
        raise refused("usage must be SERVER or CLIENT.")
    status, words = nsx.validation(nsx.record(request.id), usage)
    return Answer({"status": status, **({"error_message": words} if words else {})})


@call("DELETE certificates/*", *CRUD)
def _delete(nsx, request, _given):
    record = nsx.record(request.id)
    uses = nsx.used_by(record)
    if uses or record.path:
        names = record.path or ", ".join(one for use in uses for one in use["service_types"])
        raise refused(f"The certificate is in use: {names}.", IN_USE, nsx.in_use_status)
    del nsx.records[record.id]
    return Answer(b"")


@call(
    "POST certificates/*?apply_certificate", "=apply_feature", "crud", since="=apply_since",
    params=("service_type", "node_id"),
)  # fmt: skip
def _apply(nsx, request, _given):
    record, service = nsx.record(request.id), request.query.get("service_type")
    if service not in PROFILES:
        raise refused(f"The service type {service} is not valid.")
    ident = request.query.get("node_id")
    if PROFILES[service][1]:
        if ident is not None:
            raise refused(f"node_id must not be given for {service}.")
        nsx.apply(record, service)
        return Answer(b"")
    if ident is None:
        raise refused(f"node_id is required for {service}.")
    node = nsx.node(ident)
    if not node or node.uuid != ident:
        raise refused(f"The node {ident} could not be found.", GONE, 404)
    nsx.apply(record, service, node)
    return Answer(b"")


@call("GET certificate-profiles", *READ, since="=apply_since", params=PAGING)
def _profiles(nsx, request, _given):
    told = [
        {
            "profile_name": name, "service_type": service, "cluster_certificate": is_cluster,
            "node_type": ["MANAGER"], "unique_use": False,
            "extended_key_usage": [f"{one}_AUTH" for one in usages],
        }
        for service, (name, is_cluster, usages) in PROFILES.items()
    ]  # fmt: skip
    return Answer(page_of(nsx, {"sort_by": "profile_name", **request.query}, told))


# ---- calls: requests ----


def _told_csr(csr):
    return {
        "resource_type": "csr", **csr.given, "id": csr.id, "pem_encoded": csr.pem,
        "_create_time": csr.created, "_create_user": "admin", "_revision": 0,
    }  # fmt: skip


def _csr(nsx, ident):
    if ident not in nsx.csrs:
        raise NsxError(404, GONE, f"The requested object : Csr/{ident} could not be found.")
    return nsx.csrs[ident]


@call("POST csrs", "trust_csrs", "crud", body=CSR)
def _new_csr(nsx, _request, given):
    required(given, "subject", "key_size", "algorithm")
    if given["algorithm"] != "RSA" or given["key_size"] not in ("2048", "3072", "4096"):
        raise refused("algorithm must be RSA, and key_size 2048, 3072 or 4096.")
    attributes = given["subject"].get("attributes") or []
    if not any(one.get("key") == "CN" for one in attributes):
        raise NsxError(400, REQUIRED, "The common name of the subject is required.")
    names = (given.get("extensions") or {}).get("subject_alt_names") or {}
    names = [*names.get("dns_names", []), *names.get("ip_addresses", [])]
    key, subject = nsx.new_key(int(given["key_size"])), nsx_certs.subject_of(attributes)
    csr = Csr(key, nsx_certs.request(key, subject, names), subject, given, names)
    nsx.csrs[csr.id] = csr
    return Answer(_told_csr(csr), nsx.csr_status)


@call("POST csrs-extended", "trust_csrs", "crud", since="3.1.2", body=CSR_EXTENDED)
def _new_csr_extended(nsx, request, given):
    return _new_csr(nsx, request, given)


@call("GET csrs", "trust_csrs", params=PAGING)
def _list_csrs(nsx, request, _given):
    return Answer(page_of(nsx, request.query, [_told_csr(one) for one in nsx.csrs.values()]))


@call("GET csrs/*", "trust_csrs")
def _get_csr(nsx, request, _given):
    return Answer(_told_csr(_csr(nsx, request.id)))


@call("GET csrs/*/pem-file", "trust_csrs")
def _get_csr_file(nsx, request, _given):
    return Answer(_csr(nsx, request.id).pem, type="text/plain")


@call("DELETE csrs/*", "trust_csrs", "crud")
def _delete_csr(nsx, request, _given):
    del nsx.csrs[_csr(nsx, request.id).id]
    return Answer(b"")


@call("POST csrs/*?import", "trust_csrs", "crud", body=CSR_IMPORT)
def _import_for_csr(nsx, request, given):
    csr = _csr(nsx, request.id)
    key = nsx_certs.plain_pem(csr.key).decode()
    chain, _ = nsx.read_pem({**given, "private_key": key})
    given = {"display_name": csr.given.get("display_name"), **given}
    return list_told(nsx, nsx.add(chain, key, given, request.user), nsx.import_status)


@call("POST csrs/*?self_sign", "trust_csrs", "crud", params=("days_valid",))
def _self_sign(nsx, request, _given):
    csr, days = _csr(nsx, request.id), request.query.get("days_valid", "825")
    if not days.isdigit() or not 1 <= int(days) <= 10000:
        raise refused("days_valid must be a number from 1 to 10000.")
    cert = nsx_certs.certificate(
        csr.subject, csr.key.public_key(), csr.key, csr.names, days=int(days)
    )
    key = nsx_certs.plain_pem(csr.key).decode()
    given = {"display_name": csr.given.get("display_name"), "tags": csr.given.get("tags")}
    (record,) = nsx.add([cert], key, given, request.user, nsx_certs.pem(cert))
    return Answer(nsx.told(record, True), nsx.import_status)
