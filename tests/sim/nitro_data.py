"""The data plane of the simulated NetScaler: what clients of its virtual servers see.

Each vserver listens on loopback. A plain one evaluates the responder policies that are bound to it;
an SSL one serves the certificates that are bound to it, with the chain their links make. Both look
at the configuration of the node that is primary now, anew for each connection.
"""

import functools
import os
import socket
import ssl
import struct
import threading
import traceback

from . import nitro_certs as certs
from . import nitro_rules

HEAD_LIMIT = 32 * 1024
PATIENCE_S = 10


@functools.lru_cache(maxsize=4096)
def _expression(source, wanted):
    return nitro_rules.parse(source, wanted)


def policies(nitro, name, type_, partition):
    """The bound policies in the order they are evaluated: (policy, action or None)."""
    config = nitro.primary.config
    table = functools.partial(config.table, partition=partition)
    banks = table("responderglobal_responderpolicy_binding").values()
    own = [one for one in table(type_ + "_responderpolicy_binding").values() if one["name"] == name]
    ordered = []
    for bank in (
        [one for one in banks if one["type"] == "REQ_OVERRIDE"],
        own,
        [one for one in banks if one["type"] == "REQ_DEFAULT"],
    ):
        ordered += sorted(bank, key=lambda one: int(one["priority"]))
    names = [one.get("policyname") or one["policy"] for one in ordered]
    found = [table("responderpolicy")[name] for name in names]
    return [(policy, table("responderaction").get(policy["action"])) for policy in found]


def respond(nitro, vserver, request):
    """The bytes for a request; None closes the connection without any."""
    if "RESPONDER" in nitro.features:
        for policy, action in policies(nitro, vserver.name, vserver.type, vserver.partition):
            if not nitro_rules.matches(_expression(policy["rule"], "bool"), request):
                continue
            nitro.hits["responderpolicy", policy["name"]] += 1
            if action is None:
                if policy["action"].upper() == "NOOP":
                    continue
                return None  # RESET, DROP
            nitro.hits["responderaction", action["name"]] += 1
            if action["type"] == "noop":
                continue
            try:
                text = _expression(action["target"], "text").value(request).value
            except nitro_rules.Undefined:
                continue
            if action["type"] == "redirect":
                return f"HTTP/1.1 302 Object Moved\r\nLocation: {text}\r\n\r\n".encode("latin-1")
            return text.encode("latin-1", "replace")
    return vserver.backend(request) if callable(vserver.backend) else vserver.backend


class VServer:
    """A virtual server with its listener."""

    def __init__(self, plane, name, type_, servicetype, partition, backend):
        self.plane, self.name, self.type, self.servicetype = plane, name, type_, servicetype
        self.partition, self.backend, self.up = partition, backend, True
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.host, self.port = self._listener.getsockname()
        self._acceptor = threading.Thread(target=self._accept, name="vserver " + name, daemon=True)
        self._acceptor.start()

    @property
    def address(self):
        """host:port"""
        return f"{self.host}:{self.port}"

    @property
    def is_tls(self):
        """Does it speak TLS?"""
        return self.servicetype in ("SSL", "SSL_TCP")

    def stop(self):
        """No more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(10)
        self._listener.close()

    def _accept(self):
        while not self.plane.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self.plane.enter(thread, sock)
            thread.start()

    def _serve(self, sock):
        client = sock
        try:
            sock.settimeout(PATIENCE_S)
            if not self.plane.nitro.serves(self):
                # A vserver that is down does not even take the connection.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if self.is_tls:
                client = self.plane.context(self).wrap_socket(sock, server_side=True)
            self._answer(client)
        except (OSError, ValueError):
            pass  # the client went away, or no certificate fits
        except Exception:  # pylint: disable=broad-except
            self.plane.nitro.failures.append(traceback.format_exc())
        finally:
            self.plane.leave(sock)
            client.close()
            sock.close()

    def _answer(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece or len(head) > HEAD_LIMIT:
                return
            head += piece
        lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, target, _version = lines[0].split(" ")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        with self.plane.nitro.lock:
            request = nitro_rules.HttpRequest(method, target, headers)
            answer = respond(self.plane.nitro, self, request)
        if answer:
            client.sendall(answer)


class DataPlane:
    """All vservers of a device, and the certificates they serve."""

    def __init__(self, nitro, folder):
        self.nitro, self._folder = nitro, folder
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._threads = {}
        self._files = {}

    def enter(self, thread, sock):
        """A connection has begun."""
        with self._lock:
            self._threads[thread] = sock

    def leave(self, _sock):
        """A connection has ended."""
        with self._lock:
            self._threads.pop(threading.current_thread(), None)

    def stop(self, vservers):
        """End all connections and threads."""
        self.closing.set()
        for vserver in vservers:
            vserver.stop()
        with self._lock:
            open_now = dict(self._threads)
        for thread, sock in open_now.items():
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join(10)

    # ---- certificates ----

    def context(self, vserver):
        """What a client of an SSL vserver is to see now."""
        with self.nitro.lock:
            default, sni = self.served(vserver)
            base = self._context(default)
            if sni:
                base.sni_callback = functools.partial(self._choose, sni)
            return base

    def served(self, vserver):
        """([(chain, key)] by default, {name: [(chain, key)]} for SNI), all in PEM."""
        tables = functools.partial(self.nitro.primary.config.table, partition=vserver.partition)
        pairs, default, sni = tables("sslcertkey"), [], {}
        by_name = tables("sslvserver")[vserver.name]["snienable"] == "ENABLED"
        for one in tables("sslvserver_sslcertkey_binding").values():
            if one["vservername"] != vserver.name or one["ca"]:
                continue
            pair = pairs[one["certkeyname"]]
            item = (_chain(pairs, pair), pair["_key"])
            if not one["snicert"]:
                default.append(item)
            elif by_name:
                cert = certs.certificate(pair["_cert"])
                for name in {certs.common_name(cert), *certs.dns_names(cert)}:
                    sni.setdefault(name.lower(), []).append(item)
        return default, sni

    def _choose(self, sni, sock, name, _context):
        """The context for the name a client asks for; without one the default stays."""
        name = (name or "").lower()
        items = sni.get(name) or sni.get("*." + name.partition(".")[2])
        if items:
            sock.context = self._context(items)

    def _context(self, items):
        """A new context; one certificate of each key type, each with a chain of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_TICKET
        for chain, key in items:
            context.load_cert_chain(self._file(chain), self._file(key))
        return context

    def _file(self, content):
        """A file with that in it; OpenSSL takes nothing else."""
        with self._lock:
            if content not in self._files:
                path = os.path.join(self._folder, f"{len(self._files)}.pem")
                with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
                    file.write(content)
                self._files[content] = path
            return self._files[content]


def _chain(pairs, pair):
    """A certificate and those it is linked to, as they are sent."""
    chain = pair["_cert"]
    while above := pair.get("linkcertkeyname"):
        pair = pairs[above]
        chain += pair["_cert"]
    return chain
