"""The data plane of the simulated NSX Manager: what clients of its LB virtual servers see.

Each virtual server is a loopback address of its own with one TLS port, the kernel's choice. Which
certificate a client gets is looked up for each connection: that of an SNI path whose certificate is
for the name, else the default one. What has no TLS binding refuses the handshake.
"""

import os
import ssl
import threading
import time

from . import nsx_certs
from .ca_http import Answer
from .nsx_nodes import TlsServer
from .nsx_policy import BINDING, certificate_paths

BACKEND = Answer("backend\n", 200, type="text/plain")


class DataPlane:
    """All virtual servers that listen, and the TLS contexts of whatever is presented."""

    def __init__(self, nsx, folder):
        self.nsx, self._folder, self._lock = nsx, folder, threading.Lock()
        self._servers, self._contexts, self._effect, self._due = {}, {}, {}, 0.0
        self.requests = []  # (path of the virtual server, method, host, target)

    def stop(self):
        """End all connections and threads; returns what went wrong in them."""
        for one in self._servers.values():
            one.stop()
        return [failure for one in self._servers.values() for failure in one.failures]

    # ---- virtual servers ----

    def open(self, path):
        """Listen for a virtual server; returns (host, port)."""
        with self._lock:
            if path not in self._servers:
                number = len(self._servers)
                host = f"127.97.{number // 250}.{number % 250 + 1}"

                def choose(name):
                    return self._chosen(path, name)

                def answer(method, target, headers, _body):
                    self.requests.append((path, method, headers.get("host"), target))
                    return BACKEND

                self._servers[path] = TlsServer(choose, answer, (host, 0))
                self._servers[path].start()
                self._servers[path].ip = host
            found = self._servers[path]
            return found.ip, found.port

    def changing(self, delay):
        """The policy is about to be changed: until that is in effect, what is there now counts."""
        if delay and time.monotonic() >= self._due:
            self._effect = dict(self.nsx.policy)
        self._due = time.monotonic() + delay

    def _chosen(self, path, name):
        with self.nsx.lock:
            late = time.monotonic() < self._due
            found = (self._effect if late else self.nsx.policy).get(path)
            binding = found.data.get(BINDING) if found else None
            if not binding or not found.data.get("enabled", True):
                return None
            records = [self.nsx.policy_record(one) for one in certificate_paths(binding)]
            records = [one for one in records if one]
            for one in records[:-1]:
                if name and nsx_certs.covers(one.leaf, name):
                    return self.context(one)
            return self.context(records[-1]) if records else None

    # ---- certificates ----

    def context(self, record):
        """What a client is to see."""
        chain = tuple(self.nsx.complete(record.chain) or record.chain)
        with self._lock:
            if (record.id, chain) not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.options |= ssl.OP_NO_TICKET
                base = os.path.join(self._folder, f"{len(self._contexts)}")
                with open(base, "w", opener=_private, encoding="ascii") as file:
                    file.write("".join(map(nsx_certs.pem, chain)) + record.key)
                context.load_cert_chain(base)
                os.unlink(base)
                self._contexts[record.id, chain] = context
            return self._contexts[record.id, chain]


def _private(path, flags):
    return os.open(path, flags, 0o600)
