"""Orders of the simulated CA: from newOrder to the certificate and its end.

RFC 8555 sections 7.4 to 7.6, RFC 8738 (IP addresses), RFC 9773 (ARI), the draft on profiles.
"""

import ipaddress
import re

from . import ca_pki
from .ca_http import Answer, Refused
from .ca_jws import decode
from .ca_state import error, rfc3339

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
CHAIN = "application/pem-certificate-chain"


def _dns(value):
    """Why this is no name for an order; None if it is one."""
    base = value[2:] if value.startswith("*.") else value
    if len(base) > 253 or "." not in base:
        return "not a fully qualified name"
    if not all(_LABEL.match(label) for label in base.split(".")):
        return "a bad label"
    if base.rsplit(".", 1)[1].isdigit():
        return "an address, not a name"
    return None


def _ip(value):
    try:
        good = str(ipaddress.ip_address(value)) == value
    except ValueError:
        good = False
    return None if good else "not an address in its canonical form"


def _identifiers(ca, document, n_max):
    """The names of an order, as (type, value)."""
    found = document.get("identifiers")
    if not isinstance(found, list) or not found:
        raise Refused("malformed", "identifiers is not a list of at least one")
    if len(found) > n_max:
        raise Refused("malformed", f"{len(found)} identifiers, at most {n_max} are taken")
    names = []
    for one in found:
        if not isinstance(one, dict) or not isinstance(one.get("value"), str):
            raise Refused("malformed", "an identifier without a value")
        kind, value = one.get("type"), one["value"]
        if kind not in ("dns", "ip") or (kind == "ip" and not ca.ip):
            raise Refused("unsupportedIdentifier", f"identifiers of type {kind!r} are not for us")
        why = _dns(value) if kind == "dns" else _ip(value)
        if why:
            raise Refused("malformed", f"{value!r}: {why}")
        names.append((kind, value))
    _check_together(ca, names)
    return names


def _check_together(ca, names):
    """No name twice, none covered by a wildcard beside it, none that the policy forbids."""
    values = [value for _, value in names]
    if len(set(values)) != len(values):
        raise Refused("malformed", "an identifier twice")
    for value in values:
        parent = "*." + value.partition(".")[2]
        if parent in values and not value.startswith("*."):
            raise Refused("malformed", f"{value} is covered by {parent}")
        if value.startswith("*.") and not ca.wildcards:
            raise Refused("rejectedIdentifier", f"{value}: no wildcards here", 403)
    _check_policy(ca, names)


def _check_policy(ca, names):
    blocked = [
        (kind, value)
        for kind, value in names
        if any(value == one or value.endswith("." + one) for one in ca.blocklist)
    ]
    if blocked:
        subproblems = [
            error(
                "rejectedIdentifier",
                f"{value} is on the list of forbidden names",
                identifier={"type": kind, "value": value},
            )
            for kind, value in blocked
        ]
        raise Refused(
            "rejectedIdentifier", "names that are forbidden", 403, {"subproblems": subproblems}
        )


def _profile(ca, document):
    name = document.get("profile")
    if name is None:
        return None
    if name not in ca.profiles:
        raise Refused("invalidProfile", f"no profile {name!r}")
    return name


def _predecessor(ca, request, document, names):
    """The certificate an order replaces (RFC 9773 section 5)."""
    wanted = document.get("replaces")
    if wanted is None:
        return None
    if not ca.ari:
        raise Refused("malformed", "unknown member replaces")
    key_id, _, serial = wanted.partition(".") if isinstance(wanted, str) else ("", "", "")
    if not key_id or not serial or decode(key_id) not in ca.key_ids():
        raise Refused("malformed", "replaces: no certificate of ours", ca.foreign_status)
    cert = ca.certificate_with_id(wanted)
    if not cert:
        raise Refused("malformed", "replaces: no such certificate", 404)
    if cert.account is not request.account:
        raise Refused("unauthorized", "replaces: a certificate of another account", 403)
    if not set(names) & set(cert.names):
        raise Refused("malformed", "replaces: a certificate with none of these names")
    if cert.replaced_by and ca.advance(cert.replaced_by).status != "invalid":
        raise Refused("alreadyReplaced", f"replaced by {cert.replaced_by.url}", 409)
    return cert


def _dates(ca, document):
    for member in ("notBefore", "notAfter"):
        value = document.get(member)
        if value is not None and not ca.allow_dates:
            raise Refused("malformed", f"{member} cannot be chosen")
        if value is not None and not (isinstance(value, str) and _DATE.match(value)):
            raise Refused("malformed", f"{member} is no date")


def create(ca, request):
    """newOrder."""
    document = request.document()
    _dates(ca, document)
    names = _identifiers(ca, document, ca.max_names)
    profile = _profile(ca, document)
    cert = _predecessor(ca, request, document, names)
    order = ca.order_reuse and ca.open_order(request.account, names, profile)
    if not order:
        order = ca.add_order(request.account, names, profile)
        order.replaces = cert and cert.id
        order.not_before, order.not_after = document.get("notBefore"), document.get("notAfter")
    if cert:
        cert.replaced_by = order
    return Answer(ca.advance(order).document(), 201, {"Location": order.url})


def authorize(ca, request):
    """newAuthz: an authorization before there is an order (7.4.1)."""
    if not ca.new_authz:
        raise Refused("malformed", "no such resource", 404)
    names = _identifiers(ca, {"identifiers": [request.document().get("identifier")]}, 1)
    if names[0][1].startswith("*."):
        raise Refused("malformed", "no wildcard without an order")
    authz = ca.authz_for(request.account, *names[0])
    return Answer(authz.document(), 201, {"Location": authz.url})


def _own(found, request):
    """The object of a URL, which must belong to the account that asks."""
    if not found:
        raise Refused("malformed", "no such resource", 404)
    if found.account is not request.account:
        raise Refused("unauthorized", "this belongs to somebody else", 403)
    return found


def read(ca, request):
    """The order itself."""
    order = _own(ca.orders.get(request.url), request)
    request.must_be_empty()
    ca.advance(order, poll=True)
    headers = ca.retry_header() if order.status in ("pending", "processing") else {}
    return Answer(order.document(), 200, headers)


def authz(ca, request):
    """An authorization: read, or given up by its owner (7.5.2)."""
    found = _own(ca.authzs.get(request.url), request)
    if request.payload:
        if request.document() != {"status": "deactivated"}:
            raise Refused("malformed", "an authorization can only be deactivated")
        if found.status not in ("pending", "valid"):
            raise Refused("malformed", f"the authorization is {found.status}")
        found.status = "deactivated"
        ca.counts["authz deactivated"] += 1
        return Answer(found.document())
    ca.wait_for_validation(found)
    ca.advance_authz(found, poll=True)
    headers = ca.retry_header() if found.status == "pending" else {}
    return Answer(found.document(), 200, headers)


def challenge(ca, request):
    """A challenge: read, or answered with {} (7.5.1)."""
    found = ca.challenges.get(request.url)
    _own(found and found.authz, request)
    headers = {"Link": [f'<{found.authz.url}>;rel="up"']}
    if request.payload:
        if request.document():
            raise Refused("malformed", "a challenge is answered with {}")
        if found.authz.status not in ("pending", "valid") or found.status == "invalid":
            raise Refused("malformed", f"the authorization is {found.authz.status}")
        if found.authz.status == "pending" and found.status == "pending":
            ca.begin_validation(found)
    else:
        ca.wait_for_validation(found.authz)
        ca.advance_authz(found.authz, poll=True)
    if found.status == "processing":
        headers.update(ca.retry_header())
    return Answer(found.document(), 200, headers)


def finalize(ca, request):
    """The certificate request for an order that is ready."""
    order = _own(ca.orders.get(request.url.replace("/finalize/", "/order/")), request)
    document = request.document()
    ca.advance(order)
    order.finalizes += 1
    if order.status != "ready":
        raise Refused("orderNotReady", f"the order is {order.status}", 403)
    wanted, key, key_der = ca_pki.load_request(decode(document.get("csr"), "csr"))
    names = ca_pki.requested_names(wanted, ca.common_name_counts)
    if names != set(order.names):
        raise Refused("badCSR", f"names differ from those of the order: {sorted(names)}")
    if any(key_der == one.key.der for one in ca.accounts.values()):
        raise Refused("badCSR", "the key of an account cannot have a certificate")
    order.key, order.key_der, order.status = key, key_der, "processing"
    order.polls = max(1, ca.processing) if ca.order_async else 0
    ca.advance(order)
    headers = ca.retry_header() if order.status == "processing" else {}
    return Answer(order.document(), 200, {"Location": order.url, **headers})


def certificate(ca, request):
    """A chain: the default one, or an alternate."""
    url, _, number = request.url.partition("/alternate/")
    cert = _own(ca.certificates.get(url), request)
    request.must_be_empty()
    accepted = request.headers.get("accept", "*/*")
    if CHAIN not in accepted and "*/*" not in accepted:
        raise Refused("malformed", f"only {CHAIN} is made here", 406)
    number = int(number) if number.isdigit() else 0
    if number >= len(cert.authority.chains):
        raise Refused("malformed", "no such chain", 404)
    cert.downloads += 1
    links = alternate_links(ca, cert, number)
    return Answer(ca.chain(cert, number), 200, {"Link": links} if links else {}, CHAIN)


def alternate_links(ca, cert, shown):
    """Header lines for the other chains: absolute and relative, one and several to a line."""
    links = []
    for number in range(len(cert.authority.chains)):
        url = f"{cert.url}/alternate/{number}" if number else cert.url
        if number % 2 == 0:
            url = url[len(ca.base) :]
        if number != shown:
            links.append(f'<{url}>;title="chain, number {number}";rel="alternate"')
    first = [f'<{ca.directory}>;rel="index"', *links[:2]]
    return [", ".join(first), *links[2:]] if links else []


def _may_revoke(ca, request, cert):
    """Signed by the key of the certificate, its account, or one that could get it (7.6)."""
    if request.key:
        if request.key.der != cert.key:
            raise Refused("unauthorized", "neither an account nor the certificate's key", 403)
    elif request.account is not cert.account:
        held = {
            (one.kind, one.name)
            for one in ca.authzs.values()
            if one.account is request.account and ca.advance_authz(one).status == "valid"
        }
        if not set(cert.names) <= held:
            raise Refused("unauthorized", "not all names are authorized for this account", 403)


def revoke(ca, request):
    """revokeCert."""
    document = request.document()
    leaf = decode(document.get("certificate"), "certificate")
    cert = next((one for one in ca.certificates.values() if one.leaf == leaf), None)
    if not cert:
        raise Refused("malformed", "not a certificate of ours", 404)
    _may_revoke(ca, request, cert)
    reason = document.get("reason", 0)
    if reason not in ca.reasons or isinstance(reason, bool):
        allowed = ", ".join(str(one) for one in ca.reasons)
        raise Refused("badRevocationReason", f"reason {reason!r}: only {allowed} are taken")
    if cert.revoked:
        raise Refused("alreadyRevoked", "it is revoked already")
    cert.revoked, cert.reason = True, reason
    ca.counts["revoked"] += 1
    return Answer()


def renewal_info(ca, request):
    """When to renew (RFC 9773 section 4)."""
    cert = ca.certificate_with_id(request.path.rsplit("/", 1)[1])
    if not ca.ari or not cert:
        raise Refused("malformed", "no such certificate", 404)
    start, end = cert.renewal_window()
    shown = {"suggestedWindow": {"start": rfc3339(start), "end": rfc3339(end)}}
    if cert.explanation:
        shown["explanationURL"] = cert.explanation
    retry = ca.ari_retry_after if cert.retry_after is None else cert.retry_after
    return Answer(shown, 200, {} if retry is None else {"Retry-After": str(retry)})
