"""The data plane of the simulated Avi controller: what clients of its virtual services see.

Each VIP is a loopback address of its own; its ports are the kernel's choice, the same on every
address, so that what a CA calls port 80 is one number. Each connection looks at the configuration
anew: what no virtual service that is enabled has a service for is refused by a reset.
"""

import os
import re
import socket
import ssl
import struct
import threading
import time
import traceback
from urllib.parse import urlsplit

from . import avi_certs
from .avi_rules import CERTS, CHILD, EVH, PARENT
from .avi_types import uuid_of
from .ca_http import Answer, Fault, Server
from .nitro_certs import dns_names

PATIENCE_S = 10
USUAL_PORTS = (80, 443)
BACKEND = Answer("backend\n", 200, type="text/plain")
CLOSED = Answer(fault=Fault("lost-reply"))

# What a criterion says of one value; the word NOT in it turns the whole match round.
TESTS = {
    "BEGINS_WITH": str.startswith, "ENDS_WITH": str.endswith,
    "CONTAINS": lambda own, wanted: wanted in own, "EQUALS": lambda own, wanted: own == wanted,
    "REGEX_MATCH": lambda own, wanted: bool(re.search(wanted, own)), "EXISTS": lambda own, _: True,
}  # fmt: skip
OPPOSITES = {
    "DOES_NOT_BEGIN_WITH": "BEGINS_WITH", "DOES_NOT_CONTAIN": "CONTAINS",
    "DOES_NOT_END_WITH": "ENDS_WITH", "DOES_NOT_EQUAL": "EQUALS",
    "REGEX_DOES_NOT_MATCH": "REGEX_MATCH", "DOES_NOT_EXIST": "EXISTS",
}  # fmt: skip


def compare(match, own, values):
    """Does a text fit a match of paths or of headers?"""
    criteria = match["match_criteria"].removeprefix("HDR_")
    wanted = OPPOSITES.get(criteria, criteria)
    if match["match_case"] == "INSENSITIVE":
        own, values = own.lower(), [one.lower() for one in values]
    return any(TESTS[wanted](own, one) for one in values) == (wanted == criteria)


class HttpRequest:
    """A request as rules see it. port: what the service says, not the kernel."""

    def __init__(self, method, target, headers, port, tls):
        self.method, self.target, self.port, self.tls = method, target, port, tls
        self.host = re.sub(r":\d+$", "", headers.get("host", "")).lower()
        self.path = urlsplit(target).path

    def fits(self, match):
        """Do all parts of a match fit?"""
        return all(self._part(name, one) for name, one in (match or {}).items())

    def _part(self, name, one):
        if name == "path":
            return compare(one, self.path, one["match_str"])
        if name == "host_hdr":
            return compare(one, self.host, one["value"])
        listed, own = {
            "vs_port": (one.get("ports"), self.port),
            "protocol": ([one.get("protocols")], "HTTPS" if self.tls else "HTTP"),
            "method": (one.get("methods"), f"HTTP_METHOD_{self.method}"),
        }[name]
        return (own in listed) == (one["match_criteria"] == "IS_IN")


def _redirect(request, protocol, port, status=302, keep_query=True):
    default = {"HTTP": 80, "HTTPS": 443}[protocol]
    place = request.host + (f":{port}" if port and port != default else "")
    path = request.target if keep_query else request.path
    return Answer(b"", status, {"Location": f"{protocol.lower()}://{place}{path}"})


def _action(action, request):
    """The answer of a security rule; None goes on with the next policy."""
    what = action.get("action", "").removeprefix("HTTP_SECURITY_ACTION_")
    if what == "SEND_RESPONSE":
        file = action.get("file", {})
        status = int(action["status_code"].rpartition("_")[2])
        return Answer(
            file.get("file_content", ""), status, type=file.get("content_type", "text/plain")
        )
    if what == "REDIRECT_TO_HTTPS":
        return _redirect(request, "HTTPS", action.get("https_port"))
    return CLOSED if what == "CLOSE_CONN" else None


def _rules(objects, vs, part):
    """The rules of a virtual service, in the order they are looked at."""
    for bound in sorted(vs.data.get("http_policies", []), key=lambda one: one["index"]):
        policy = objects[uuid_of(bound["http_policy_set_ref"])]
        rules = policy.data.get(part, {}).get("rules", [])
        yield from sorted((one for one in rules if one["enable"]), key=lambda one: one["index"])


def evaluate(avi, objects, vs, request):
    """The answer of a virtual service, or None when none of its policies has one."""
    profile = objects[uuid_of(vs.data["application_profile_ref"])]
    if profile.data["type"] != "APPLICATION_PROFILE_TYPE_HTTP":
        return None
    to_https = not request.tls and profile.data.get("http_profile", {}).get("http_to_https")
    if to_https and avi.profile_redirect_first:
        return _redirect(request, "HTTPS", None)
    for rule in _rules(objects, vs, "http_security_policy"):
        if request.fits(rule.get("match")):
            answer = _action(rule.get("action", {}), request)
            if answer:
                return answer
            break  # ALLOW
    if to_https:
        return _redirect(request, "HTTPS", None)
    for rule in _rules(objects, vs, "http_request_policy"):
        action = rule.get("redirect_action")
        if action and request.fits(rule.get("match")):
            status = int(action["status_code"].rpartition("_")[2])
            return _redirect(
                request, action["protocol"], action.get("port"), status, action["keep_query"]
            )
    return None


def _covers(pattern, name):
    return pattern == name or (
        pattern.startswith("*.") and name.partition(".")[2] == pattern[2:]
    )


def _children(objects, parent):
    return [
        one for one in objects.values()
        if one.type == "virtualservice" and one.data["type"] == CHILD and one.data["enabled"]
        and uuid_of(one.data["vh_parent_vs_ref"]) == parent.uuid
    ]  # fmt: skip


def sni_child(objects, parent, name):
    """The child that a client asks for by SNI, or the parent."""
    if parent.data["type"] == PARENT and parent.data["vh_type"] != EVH and name:
        for child in _children(objects, parent):
            if any(_covers(one.lower(), name.lower()) for one in child.data["vh_domain_name"]):
                return child
    return parent


def evh_child(objects, parent, request):
    """The child that a request is for by its host and path, or None."""
    for child in _children(objects, parent):
        for one in child.data["vh_matches"]:
            rules = one.get("rules") or [{}]
            if _covers(one["host"].lower(), request.host) and any(
                request.fits(rule.get("matches")) for rule in rules
            ):
                return child
    return None


class Endpoint(Server):
    """One port of one VIP."""

    def __init__(self, plane, vip, port, address):
        self.plane, self.vip, self.service_port = plane, vip, port
        self._seen = threading.local()
        super().__init__(None, None, self._answer, address)

    def _serve(self, sock):
        client = None
        try:
            client = self._welcome(sock)
        except (OSError, ValueError):
            pass  # the client went away, or no certificate fits
        except Exception:  # pylint: disable=broad-except
            self.failures.append(traceback.format_exc())
        if client:
            super()._serve(client)
        else:
            self._drop(sock)

    def _welcome(self, sock):
        """The connection as it is to be served: as it is, or with TLS; None: it is not."""
        sock.settimeout(PATIENCE_S)
        vs, service = self.plane.service(self.vip, self.service_port)
        if not vs:
            # Nobody listens there: as near to a refused connection as one gets.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return None
        self._seen.tls, self._seen.sni = service["enable_ssl"], None
        if not service["enable_ssl"]:
            return sock
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        client = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._lock:  # wrapping has taken the place of the other one
            self._open.discard(sock)
            self._open.add(client)
        try:
            client.do_handshake()
        except OSError:
            client.close()
            raise
        return client

    def _choose(self, sock, name, _context):
        self._seen.sni = name
        context = self.plane.context(self.vip, self.service_port, name)
        if not context:
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
        sock.context = context
        return None

    def _drop(self, sock):
        with self._lock:
            self._open = {one for one in self._open if one is not sock and one.fileno() >= 0}
            self._threads.discard(threading.current_thread())
        sock.close()

    def _answer(self, method, target, headers, _body):
        request = HttpRequest(method, target, headers, self.service_port, self._seen.tls)
        answer = self.plane.answer(self.vip, request, self._seen.sni)
        return answer or Answer(b"", 503, {"Connection": "close"})


class DataPlane:
    """All endpoints, and the certificates they serve."""

    def __init__(self, avi, folder):
        self.avi, self._folder = avi, folder
        self._lock = threading.RLock()
        self._endpoints, self._addresses, self._numbers = {}, {}, {}
        self._contexts, self._files, self._count = {}, {}, 0
        self._pending, self._effect, self._last = [], {}, {}
        self.requests = []  # (name of the virtual service or None, method, host, path, status)

    def stop(self):
        """End all connections and threads; returns what went wrong in them."""
        for one in self._endpoints.values():
            one.stop()
        return [failure for one in self._endpoints.values() for failure in one.failures]

    # ---- addresses ----

    def open(self, vip, ports=USUAL_PORTS, host=None):
        """Listen for a VIP."""
        with self._lock:
            if host:
                self._addresses[vip] = host
            while not all(self._listen(vip, port) for port in ports):
                self._addresses.pop(vip)  # somebody has a port there: go to the next address

    def _listen(self, vip, port):
        if (vip, port) in self._endpoints:
            return True
        if vip not in self._addresses:
            self._count += 1
            self._addresses[vip] = f"127.99.{self._count // 250}.{self._count % 250 + 1}"
        host = self._addresses[vip]
        try:
            endpoint = Endpoint(self, vip, port, (host, self._numbers.get(port, 0)))
        except OSError:
            return False
        self._numbers[port] = endpoint.port
        self._endpoints[vip, port] = endpoint
        endpoint.start()
        return True

    def address(self, vip, port):
        """(host, port) of a port of a VIP."""
        self.open(vip, (port,))
        return self._addresses[vip], self._numbers[port]

    def number(self, port):
        """What the kernel made of a port, the same on all VIPs."""
        return self._numbers.get(port)

    # ---- what is configured, as the service engines know it ----

    def pushed(self):
        """The configuration was changed. It takes its time to get here."""
        with self._lock:
            if self.avi.push_delay:
                self._settle()
                if not self._pending:
                    self._effect = self._last
                due = time.monotonic() + self.avi.push_delay
                self._pending.append((due, dict(self.avi.store.objects)))
            self._last = dict(self.avi.store.objects)

    def _settle(self):
        while self._pending and self._pending[0][0] <= time.monotonic():
            self._effect = self._pending.pop(0)[1]

    def config(self):
        """The objects that are in effect now."""
        with self._lock:
            self._settle()
            return self._effect if self._pending else self.avi.store.objects

    def service(self, vip, port):
        """(virtual service, its service) that takes connections there now."""
        with self.avi.lock:
            for one in list(self.config().values()):
                if one.type != "virtualservice" or uuid_of(one.data.get("vsvip_ref")) != vip:
                    continue
                if not one.data["enabled"]:
                    continue
                for service in one.data["services"]:
                    if service["port"] <= port <= service["port_range_end"]:
                        return one, service
            return None, None

    def answer(self, vip, request, sni):
        """What a client gets; None: the virtual service has gone meanwhile."""
        with self.avi.lock:
            objects = self.config()
            vs, _ = self.service(vip, request.port)
            if not vs:
                return None
            answer, served = None, sni_child(objects, vs, sni)
            if vs.data.get("vh_type") == EVH:
                served = evh_child(objects, vs, request) or vs
                if self.avi.evh_parent_policies == "all" and served is not vs:
                    answer = evaluate(self.avi, objects, vs, request)
            answer = answer or evaluate(self.avi, objects, served, request) or BACKEND
            entry = (served.name, request.method, request.host, request.path, answer.status)
            self.requests.append(entry)
            return answer

    # ---- certificates ----

    def served(self, vip, port, name):
        """[(chain, key)] in PEM that a client gets which asks for a name."""
        objects = self.config()
        vs, _ = self.service(vip, port)
        if not vs:
            return []
        vs = sni_child(objects, vs, name)
        found = [objects[uuid_of(ref)] for ref in vs.data.get(CERTS, [])]
        found = [one for one in found if one.data["certificate"].get("certificate")]
        if vs.data.get("vh_type") == EVH:
            found = _for_name(found, name) or found
        first = {}
        for one in found:
            first.setdefault(avi_certs.algorithm(one), one)
        return [avi_certs.chain_of(objects, one) for one in first.values()]

    def context(self, vip, port, name):
        """What a client of a TLS port is to see now; None: nothing."""
        with self.avi.lock:
            items = tuple(self.served(vip, port, name))
        if not items:
            return None
        with self._lock:
            if items not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.options |= ssl.OP_NO_TICKET
                for chain, key in items:
                    context.load_cert_chain(self.file(chain), self.file(key))
                self._contexts[items] = context
            return self._contexts[items]

    def file(self, content):
        """A file with that in it; OpenSSL takes nothing else."""
        with self._lock:
            if content not in self._files:
                path = os.path.join(self._folder, f"{len(self._files)}.pem")
                with open(path, "w", opener=_private, encoding="ascii") as file:
                    file.write(content)
                self._files[content] = path
            return self._files[content]


def _private(path, flags):
    return os.open(path, flags, 0o600)


def _for_name(found, name):
    """Those of many certificates that are for a name."""
    if not name:
        return []
    return [
        one for one in found
        if any(
            _covers(each.lower(), name.lower())
            for each in dns_names(avi_certs.parse(one.data["certificate"]["certificate"]))
        )
    ]  # fmt: skip
