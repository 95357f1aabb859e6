"""How the simulated CA looks whether a challenge is met: it really goes and asks.

Each check returns None, or the error that the challenge gets.
"""

import base64
import hashlib
import http.client
import ipaddress
import socket
import ssl
import urllib.parse

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from .ca_jws import encode
from .ca_pki import check_signature, general_name
from .ca_state import error

TIMEOUT = 5
REDIRECTS = 10
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


def key_authorization(challenge):
    """What proves that the owner of the account answers (RFC 8555 section 8.1)."""
    return f"{challenge.token}.{challenge.authz.account.key.thumbprint}"


def _digest(challenge):
    return hashlib.sha256(key_authorization(challenge).encode()).digest()


def _place(address, name, port):
    """(host, port) to connect to: "host:port", a map from names to these, or a function."""
    if callable(address):
        address = address(name)
    elif isinstance(address, dict):
        address = address.get(name)
    if not address:
        return "127.0.0.1", port
    host, _, number = address.rpartition(":")
    return host.strip("[]"), int(number)


def _fetch(ca, url):
    """(status, Location, body) of a GET, at the address the name is said to have."""
    parts = urllib.parse.urlsplit(url)
    secure = parts.scheme == "https"
    address = ca.alpn_address if secure else ca.http_address
    host, port = _place(address, parts.hostname, ca.tls_port if secure else ca.http_port)
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    else:
        link = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        path = parts.path + ("?" + parts.query if parts.query else "")
        link.putrequest("GET", path, skip_host=True)
        link.putheader("Host", parts.netloc)
        link.putheader("User-Agent", "certauto sim")
        link.endheaders()
        reply = link.getresponse()
        return reply.status, reply.getheader("Location"), reply.read(65536)
    finally:
        link.close()


def _http(ca, challenge):
    name = challenge.authz.value
    host = f"[{name}]" if ":" in name else name
    url = f"http://{host}/.well-known/acme-challenge/{challenge.token}"
    for _ in range(REDIRECTS + 1):
        try:
            status, location, body = _fetch(ca, url)
        except (OSError, http.client.HTTPException) as why:
            return error("connection", f"{url}: {why}")
        if status not in (301, 302, 303, 307, 308) or not location:
            break
        url = urllib.parse.urljoin(url, location)
    if status != 200:
        return error("unauthorized", f"{url}: status {status}")
    if body != key_authorization(challenge).encode():
        return error("incorrectResponse", f"{url}: {body[:100]!r}")
    return None


def _texts(ca, owner):
    """The TXT values at a name, or an error."""
    if not ca.resolver:
        return None, error("dns", f"no resolver to ask for {owner}")
    try:
        return list(ca.resolver(owner)), None
    except OSError as why:
        return None, error("dns", f"{owner}: {why}")


def _dns_at(ca, challenge, owner):
    texts, failure = _texts(ca, owner)
    if failure:
        return failure
    if encode(_digest(challenge)) not in texts:
        return error("unauthorized", f"{owner}: {len(texts)} TXT values, none is right")
    return None


def _dns(ca, challenge):
    return _dns_at(ca, challenge, "_acme-challenge." + challenge.authz.value)


def account_label(url):
    """The label by which accounts differ in dns-account-01."""
    digest = hashlib.sha256(url.encode()).digest()[:10]
    return "_" + base64.b32encode(digest).decode().lower()


def _dns_account(ca, challenge):
    label = account_label(challenge.authz.account.url)
    return _dns_at(ca, challenge, f"{label}._acme-challenge.{challenge.authz.value}")


def _dns_persist(ca, challenge):
    authz = challenge.authz
    owner = "_validation-persist." + authz.value
    texts, failure = _texts(ca, owner)
    if failure:
        return failure
    for text in texts:
        issuer, *members = [part.strip() for part in text.split(";")]
        given = dict(member.partition("=")[::2] for member in members if member)
        if issuer not in ca.issuer_domains or given.get("accounturi") != authz.account.url:
            continue
        if authz.wildcard and given.get("policy", "").lower() != "wildcard":
            continue
        until = given.get("persistUntil")
        if until is not None and not (until.isdigit() and int(until) > ca.now()):
            continue
        return None
    return error("unauthorized", f"{owner}: {len(texts)} TXT values, none allows this account")


def server_name(value, kind):
    """What is asked for in the TLS handshake: an address has a name of its own (RFC 8738)."""
    return ipaddress.ip_address(value).reverse_pointer if kind == "ip" else value


def _self_signed(cert):
    try:
        check_signature(cert, cert.public_key())
    except InvalidSignature:
        return False
    return cert.issuer == cert.subject


def _check_challenge_certificate(challenge, found):
    """What is wrong with a certificate for tls-alpn-01 (RFC 8737 section 3); None if it is good."""
    cert = x509.load_der_x509_certificate(found)
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if list(names) != [general_name(challenge.authz.kind, challenge.authz.value)]:
        return "subjectAltName is not the one name"
    proof = cert.extensions.get_extension_for_oid(ACME_IDENTIFIER)
    if not proof.critical:
        return "acmeIdentifier is not critical"
    if proof.value.value != b"\x04\x20" + _digest(challenge):
        return "acmeIdentifier is for another key authorization"
    if not _self_signed(cert):
        return "it is not signed by itself"
    return None


def _alpn(ca, challenge):
    value, kind = challenge.authz.value, challenge.authz.kind
    host, port = _place(ca.alpn_address, value, ca.tls_port)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    try:
        with socket.create_connection((host, port), TIMEOUT) as raw:
            with context.wrap_socket(raw, server_hostname=server_name(value, kind)) as link:
                chosen, found = link.selected_alpn_protocol(), link.getpeercert(True)
    except (OSError, ValueError) as why:
        return error("tls", f"{host}:{port}: {why}")
    if chosen != "acme-tls/1":
        return error("unauthorized", f"{value}: acme-tls/1 was not chosen")
    try:
        why = _check_challenge_certificate(challenge, found)
    except (ValueError, x509.ExtensionNotFound) as bad:
        why = str(bad)
    return error("incorrectResponse", f"{value}: the certificate: {why}") if why else None


CHECKS = {
    "http-01": _http,
    "dns-01": _dns,
    "dns-account-01": _dns_account,
    "dns-persist-01": _dns_persist,
    "tls-alpn-01": _alpn,
}
DNS_BASED = ("dns-01", "dns-account-01", "dns-persist-01")


def offers(ca, kind, wildcard):
    """The challenge types for an identifier."""
    if wildcard:
        return [one for one in ca.offered if one in DNS_BASED]
    if kind == "ip":
        return [one for one in ca.offered if one not in DNS_BASED]
    return list(ca.offered)


def check(ca, challenge):
    """None if the challenge is met, else the error."""
    if callable(ca.validate):
        outcome = ca.validate(challenge)
        if isinstance(outcome, dict):
            return outcome
        return None if outcome else error("unauthorized", "the answer is wrong")
    if not ca.validate:
        return None
    return CHECKS[challenge.type](ca, challenge)
