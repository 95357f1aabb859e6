"""Calls about the cluster of the simulated NSX Manager: managers, VIP, the legacy apply calls."""

import ipaddress

from .ca_http import Answer
from .nsx_certs import fingerprint, pem
from .nsx_types import REFUSED, NsxError, call, refused

UNSET = "0.0.0.0"


@call("GET version")
def _version(nsx, _request, _given):
    parts = (nsx.version.split(".") + ["0"] * 5)[:5]
    version = ".".join([*parts, "21332672"])
    return Answer({"node_version": version, "product_version": version})


@call("GET health", open="=health_open")
def _health(nsx, request, _given):
    if request.manager.is_down:
        raise NsxError(503, REFUSED, "The node is not healthy.")
    return Answer({"healthy": True, "components_health": "MANAGER:UP, POLICY:UP, SEARCH:UP"})


@call("GET cluster", "cluster_management")
def _cluster(nsx, _request, _given):
    return Answer({"cluster_id": nsx.cluster_id, "nodes": [_member(nsx, one) for one in nsx.nodes]})


def _member(nsx, node):
    leaf = nsx.applied("API", node).leaf
    address = {
        "ip_address": node.ip, "port": nsx.port, "certificate": pem(leaf),
        "certificate_sha256_thumbprint": fingerprint(leaf),
    }  # fmt: skip
    entity = {"entity_type": "HTTPS", "entity_uuid": node.uuid, **address}
    found = {
        "node_uuid": node.uuid, "display_name": node.name, "fqdn": node.fqdn, "status": "JOINED",
        "api_listen_addr": address, "entities": [entity],
    }  # fmt: skip
    if nsx.tells_fqdn:
        return found
    del found["fqdn"]
    return found


@call("GET cluster-status", "cluster_management")
def _status(nsx, _request, _given):
    online = [one for one in nsx.nodes if not one.is_down]
    offline = [one for one in nsx.nodes if one.is_down]
    word = "STABLE" if not offline else "DEGRADED" if 2 * len(online) > len(nsx.nodes) else "DOWN"
    told = [[{"uuid": one.uuid, "mgmt_cluster_listen_ip_address": one.ip} for one in part]
            for part in (online, offline)]  # fmt: skip
    mgmt = {"status": word, "online_nodes": told[0], "offline_nodes": told[1]}
    return Answer({
        "cluster_id": nsx.cluster_id, "mgmt_cluster_status": mgmt,
        "control_cluster_status": {"status": word},
        "detailed_cluster_status": {"overall_status": word},
    })  # fmt: skip


# ---- the VIP ----


@call("GET api-virtual-ip", "cluster_management")
def _get_vip(nsx, _request, _given):
    return Answer(_vip(nsx))


def _vip(nsx):
    return {"ip_address": nsx.vip_ip or UNSET, "ip6_address": nsx.vip_ip6 or "::"}


@call(
    "POST api-virtual-ip?set_virtual_ip", "cluster_management", "crud",
    params=("ip_address", "ip6_address", "force"),
)  # fmt: skip
def _set_vip(nsx, request, _given):
    try:
        ip = ipaddress.IPv4Address(request.query.get("ip_address", ""))
    except ValueError:
        raise refused("The IP address is not valid.") from None
    if not nsx.one_subnet and request.query.get("force") != "true":
        raise refused("The nodes of the cluster are not in one subnet.", status=409)
    nsx.set_vip(None if str(ip) == UNSET else str(ip))
    nsx.vip_ip6 = request.query.get("ip6_address", nsx.vip_ip6)
    return Answer(_vip(nsx))


@call("POST api-virtual-ip?clear_virtual_ip", "cluster_management", "crud")
def _clear_vip(nsx, _request, _given):
    nsx.set_vip(None)
    return Answer(_vip(nsx))


# ---- the HTTP service of a manager ----


def _peer(nsx, request):
    node = nsx.node(request.peer) if request.peer else request.manager
    if not node or request.peer not in (None, node.uuid):
        raise NsxError(404, 600, f"The node {request.peer} could not be found.")
    return nsx.reachable(node)


@call("GET http-service", "system_administration")
def _http_service(nsx, request, _given):
    leaf = nsx.applied("API", _peer(nsx, request)).leaf
    return Answer({"service_name": "http", "service_properties": {
        "enabled": True, "session_timeout": nsx.idle_seconds, "connection_timeout": 30,
        "basic_authentication_enabled": nsx.basic_authentication,
        "cookie_based_authentication_enabled": nsx.cookie_authentication,
        "client_api_rate_limit": nsx.rate_limit or 0,
        "client_api_concurrency_limit": nsx.concurrency_limit,
        "global_api_concurrency_limit": 199, "redirect_host": "",
        "certificate": {"pem_encoded": pem(leaf)},
    }})  # fmt: skip


@call(
    "POST http-service?apply_certificate", "system_administration", "crud",
    params=("certificate_id",), until="=legacy_until",
)  # fmt: skip
def _apply_node(nsx, request, _given):
    record = nsx.record(request.query.get("certificate_id"))
    nsx.apply(record, "API", _peer(nsx, request))
    if nsx.legacy_status == 202:
        return Answer(b"", 202)
    return Answer({"certificate_id": record.id}, nsx.legacy_status)


@call("GET api-certificate", "system_administration", until="=legacy_until")
def _get_cluster_certificate(nsx, _request, _given):
    return Answer({"certificate_id": nsx.applied("MGMT_CLUSTER").id})


@call(
    "POST api-certificate?set_cluster_certificate", "system_administration", "crud",
    params=("certificate_id",), until="=legacy_until",
)  # fmt: skip
def _set_cluster_certificate(nsx, request, _given):
    record = nsx.record(request.query.get("certificate_id"))
    nsx.apply(record, "MGMT_CLUSTER")
    return Answer({"certificate_id": record.id})


@call(
    "POST api-certificate?clear_cluster_certificate", "system_administration", "crud",
    params=("certificate_id",), until="=legacy_until",
)  # fmt: skip
def _clear_cluster_certificate(nsx, _request, _given):
    record = nsx.record(nsx.default_ids["MGMT_CLUSTER", None])
    nsx.apply(record, "MGMT_CLUSTER", checked=False)
    return Answer({"certificate_id": record.id})


@call("GET certificate-bundle", since="9.0", open=True)
def _bundle(_nsx, _request, _given):
    return Answer({})  # as if none had ever been changed: a client must do without
