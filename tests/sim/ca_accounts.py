"""Accounts of the simulated CA: RFC 8555 section 7.3 and its parts."""

import re

from . import ca_jws
from .ca_http import Answer, Refused

_MAILBOX = re.compile(r"[^@\s,?]+@[^@\s,?]+\.[^@\s,?.]+\Z")


def _contacts(found):
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Refused("malformed", "contact is not a list of strings")
    for contact in found:
        if not contact.startswith("mailto:"):
            raise Refused("unsupportedContact", f"{contact}: only mailto: is taken")
        if not _MAILBOX.match(contact[7:]):
            raise Refused("invalidContact", f"{contact}: one plain address, please")
    return found


def _agree(ca, wanted):
    """The terms that are agreed to with this member of the payload."""
    if ca.terms and wanted is not True:
        raise Refused(
            "userActionRequired", "the terms must be agreed to", 403, Link=ca.terms_link()
        )
    return ca.terms


def _binding(ca, request, document):
    """(JWS, kid) of the external account binding; (None, None) where none is asked for."""
    found = document.get("externalAccountBinding")
    if not ca.eab:
        return None, None
    if found is None:
        raise Refused("externalAccountRequired", "this CA wants an external account", 403)
    if not isinstance(found, dict):
        raise Refused("malformed", "externalAccountBinding is not an object")
    jws = ca_jws.parse(found, "externalAccountBinding")
    ca_jws.check_header(jws, request.url, ("alg", "kid", "url"))
    kid = jws.protected["kid"]
    if kid not in ca.eab:
        raise Refused("unauthorized", f"key identifier {kid!r} is unknown", 403)
    if kid in ca.eab_expired:
        raise Refused("unauthorized", f"key identifier {kid!r} has expired", 403)
    ca_jws.check_mac(jws, ca_jws.decode(ca.eab[kid]))
    if ca_jws.PublicKey(ca_jws.parse_json(jws.payload)).jwk != request.key.jwk:
        raise Refused("malformed", "the external account binding is about another key")
    return found, kid


def create(ca, request):
    """newAccount: a new one, or the one the key already has."""
    document = request.document()
    account = ca.account_with(request.key)
    if account:
        if account.status != "valid":
            raise Refused("unauthorized", f"the account is {account.status}", 401)
        return Answer(account.document(), 200, {"Location": account.url})
    if document.get("onlyReturnExisting") is True:
        raise Refused("accountDoesNotExist", "no account has this key")
    contact = _contacts(document.get("contact", []))
    terms = _agree(ca, document.get("termsOfServiceAgreed"))
    binding, kid = _binding(ca, request, document)
    account = ca.add_account(
        request.key, contact=contact, terms=terms, binding=binding, binding_kid=kid
    )
    return Answer(account.document(), 201, {"Location": account.url})


def update(ca, request):
    """The account itself: read, changed, deactivated."""
    account = request.account
    if request.url != account.url:
        raise Refused("unauthorized", "this is the account of somebody else", 403)
    if request.payload:
        document = request.document()
        if "contact" in document:
            account.contact = _contacts(document["contact"])
        if document.get("termsOfServiceAgreed") is True:
            account.terms = ca.terms
        if document.get("status") == "deactivated":
            account.status = "deactivated"
            ca.counts["accounts deactivated"] += 1
        elif document.get("status", account.status) != account.status:
            raise Refused("malformed", f"status {document['status']!r} cannot be asked for")
    return Answer(account.document())


def orders(ca, request):
    """The list of orders, a page at a time; those that are invalid are left out (7.1.2.1)."""
    account = request.account
    if request.path != account.url.replace("/account/", "/orders/")[len(ca.base) :]:
        raise Refused("unauthorized", "these are the orders of somebody else", 403)
    request.must_be_empty()
    start = int(request.query[7:]) if re.match(r"cursor=\d+\Z", request.query) else 0
    for order in account.orders:
        ca.advance(order)
    shown = [order.url for order in account.orders if order.status != "invalid"]
    end = start + ca.orders_per_page
    headers = {}
    if end < len(shown):
        headers["Link"] = [f'<{ca.base}{request.path}?cursor={end}>;rel="next"']
    return Answer({"orders": shown[start:end]}, 200, headers)


def change_key(ca, request):
    """keyChange (7.3.5): the payload is a JWS by the new key."""
    account = request.account
    inner = ca_jws.parse(request.payload, "payload")
    ca_jws.check_header(inner, request.url, ("alg", "jwk", "url"))
    ca_jws.check_algorithm(inner)
    key = ca_jws.PublicKey(inner.protected["jwk"])
    key.verify(inner.alg, inner.signature, inner.signed)
    document = ca_jws.parse_json(inner.payload, "inner payload")
    if document.get("account") != account.url:
        raise Refused("malformed", "account is not the one that signed")
    if ca_jws.PublicKey(document.get("oldKey")).jwk != account.key.jwk:
        raise Refused("malformed", "oldKey is not the key of the account")
    other = ca.account_with(key)
    if other:
        raise Refused("malformed", "the new key has an account", 409, Location=other.url)
    ca.change_key(account, key)
    return Answer(account.document())
