"""Managers and the VIP: listeners that come and go, each with the certificate applied to it.

When a certificate is applied, the HTTP service restarts: connections end, the port refuses new ones
for restart_refused seconds, then so many requests as restart_unavailable says get a page of the
proxy with 503. A port is never given back meanwhile, so nobody else can have it.
"""

import contextlib
import email.utils
import socket
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field

from .ca_http import Server

UP, RESTARTING, DOWN = "up", "restarting", "down"
PATIENCE_S = 10
NET = "127.98.0."
VIP_IP, NODE_IPS = NET + "10", [NET + "11", NET + "12", NET + "13"]


class TlsServer(Server):
    """A server that looks up for each connection what to present.

    choose(name): an SSLContext for what the client asks for by SNI, or None.
    """

    def __init__(self, choose, respond, address):
        super().__init__(None, None, respond, address)
        self._choose = choose
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.options |= ssl.OP_NO_TICKET
        self._context.num_tickets = 0  # of one that presented another certificate
        self._context.sni_callback = self._present

    def _present(self, sock, name, _context):
        chosen = self._choose(name)
        if not chosen:
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
        sock.context = chosen
        return None


def reserved(ip, port=0):
    """A socket that keeps a port for us and refuses whoever connects."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((ip, port))
    except OSError:
        sock.close()
        raise
    return sock


class Listener(TlsServer):
    """Where a manager, or the VIP, is reached. unavailable: requests still answered with 503."""

    def __init__(self, nsx, name, keeper, choose):
        self.nsx, self.name, self._keeper = nsx, name, keeper
        self.ip, _ = self.address = keeper.getsockname()
        self._here = threading.local()
        self.state, self.round, self.unavailable, self.silent = UP, 0, 0, False
        super().__init__(choose, self._ask, self.address)

    def _ask(self, method, target, headers, body):
        return self.nsx.api.respond(self, method, target, headers, body)

    def date(self):
        return email.utils.formatdate(time.time() + self.nsx.clock_offset, usegmt=True)

    def _serve(self, sock):
        self._here.sock = sock
        while self.silent and not self.closing.wait(0.02):
            pass  # somebody is there, and says nothing
        super()._serve(sock)

    @property
    def is_asker(self):
        """Does the current thread serve a connection of this listener?"""
        return getattr(self._here, "sock", None) is not None

    def drop(self):
        """End all connections but that of the current thread, which has an answer to send."""
        own = getattr(self._here, "sock", None)
        with self._lock:
            for sock in self._open - {own}:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self, state):
        """Refuse new connections, and drop those that are open."""
        self.round += 1
        if self.state == UP:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._acceptor.join()
            self._listener.close()
        self.state = state
        self.drop()

    def open(self, unavailable=0):
        """Be there again."""
        if self.state == UP:
            return
        self.unavailable = unavailable
        self._listener = socket.create_server(self.address, backlog=256)
        self._acceptor = threading.Thread(target=self._accept, name="nsx " + self.name)
        self.state = UP
        self._acceptor.start()

    def stop(self):
        self.open()  # the end is the same for all
        super().stop()
        self._keeper.close()


@dataclass
class Manager:
    """One node of the cluster."""

    name: str
    fqdn: str
    ip: str
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_down: bool = False
    sessions: dict = field(default_factory=dict)
    listener: Listener = None
    active: int = 0  # requests that are being answered
    times: list = field(default_factory=list)  # of the last requests

    @property
    def state(self):
        """UP, RESTARTING or DOWN."""
        return DOWN if self.is_down else self.listener.state


def reserve(count):
    """Sockets that keep the same port on the VIP's address and on those of so many nodes."""
    while True:
        found = []
        try:
            found.append(reserved(VIP_IP))
            port = found[0].getsockname()[1]
            found += [reserved(ip, port) for ip in NODE_IPS[:count]]
            return found
        except OSError:  # somebody else has that port there
            for one in found:
                one.close()


class Nodes:
    """What managers and VIP are to each other. Part of Nsx."""

    nodes, vip, owner, lock, closing = (), None, None, None, None
    restart_refused = restart_unavailable = None
    restart_keeps_sessions = restart_moves_vip = False

    def _make_nodes(self, count):
        keepers = reserve(count)
        self._threads, self._left = [], []
        self.nodes = []
        for number, keeper in enumerate(keepers[1:], 1):
            node = Manager(f"nsx{number}", f"nsx{number}.example.org", NODE_IPS[number - 1])
            node.listener = self._listener(node.name, keeper, ("API", node.uuid))
            self.nodes.append(node)
        self.owner = self.nodes[0]
        self.vip = self._listener("vip", keepers[0], ("MGMT_CLUSTER", None))

    def _listener(self, name, keeper, service):
        return Listener(self, name, keeper, lambda _name: self.presented(service))

    def presented(self, service):
        """The TLS context for a service; told by the simulator."""
        raise NotImplementedError

    @property
    def port(self):
        """The same on all addresses."""
        return self.vip.port

    @property
    def listeners(self):
        """All of them, the VIP's first."""
        return [self.vip, *(one.listener for one in self.nodes)]

    def node(self, which):
        """A manager by its number from 1, its name or its uuid; None: there is none."""
        if isinstance(which, Manager):
            return which
        for number, one in enumerate(self.nodes, 1):
            if which in (number, one.name, one.uuid):
                return one
        return None

    def manager_of(self, listener):
        """Who answers there."""
        return self.owner if listener is self.vip else self.node(listener.name)

    def _stop_nodes(self):
        """End all; returns what went wrong."""
        self.closing.set()
        self.settle()
        listeners = self.listeners + self._left
        for one in listeners:
            one.stop()
        return [failure for one in listeners for failure in one.failures]

    # ---- restarts ----

    @property
    def busy(self):
        """Is a service restarting?"""
        return any(one.state == RESTARTING for one in self.listeners)

    def restart(self, *listeners):
        """Their HTTP services go away and come back."""
        thread = threading.current_thread()
        askers = [thread for one in listeners if one.is_asker]
        rounds = []
        for one in listeners:
            if one.state == DOWN:
                continue
            one.close(RESTARTING)
            if one is not self.vip and not self.restart_keeps_sessions:
                self.manager_of(one).sessions.clear()
            rounds.append((one, one.round))
        thread = threading.Thread(target=self._come_back, args=(askers, rounds), name="nsx restart")
        self._threads.append(thread)
        thread.start()

    def _come_back(self, askers, rounds):
        for thread in askers:
            thread.join(1)  # the answer to who asked for it goes out before
        self.closing.wait(self.restart_refused)
        with self.lock:
            for listener, number in rounds:
                if listener.round == number and not self.closing.is_set():
                    listener.open(self.restart_unavailable)

    def restarts_with(self, node):
        """The listeners that go away when a manager's HTTP service restarts."""
        if node is not self.owner or self.vip.state == DOWN:
            return [node.listener]
        if self.restart_moves_vip and self._others(node):
            self.move_vip()
            return [node.listener]
        return [node.listener, self.vip]

    def settle(self):
        """Wait until no restart is under way."""
        with self.lock:  # one that is about to start counts
            threads = list(self._threads)
        for thread in threads:
            thread.join(PATIENCE_S)

    def is_to_answer(self, where):
        """Is a manager (its number) or "vip" there, or will it be again by itself?"""
        listener = self.vip if where == "vip" else self.node(where).listener
        return listener.state != DOWN and not listener.silent

    def restart_node(self, which):
        """By hand."""
        with self.lock:
            self.restart(*self.restarts_with(self.node(which)))

    # ---- the VIP ----

    def _others(self, node):
        return [one for one in self.nodes if one is not node and one.state == UP]

    def move_vip(self, which=None):
        """Another manager owns the VIP from now on."""
        with self.lock:
            others = self._others(self.owner)
            self.owner = self.node(which) if which else others[0]
            self.vip.drop()

    def set_vip(self, ip):
        """The address of the VIP; None: there is none. Only one of 127/8 can be served."""
        with self.lock:
            self.vip.close(DOWN)
            self.vip_ip = ip
            if ip and ip != self.vip.ip:
                keeper = reserved(ip, self.port)
                self._left.append(self.vip)  # whoever asks for this may do so through it
                self.vip = self._listener("vip", keeper, ("MGMT_CLUSTER", None))
                self.vip.start()
            elif ip:
                self.vip.open()

    # ---- nodes that are away ----

    def stop_node(self, which, silent=False):
        """A manager goes dark, and the VIP to another one. silent: connections open, in vain."""
        with self.lock:
            node = self.node(which)
            node.is_down = True
            node.sessions.clear()
            if silent:
                node.listener.silent = True
                node.listener.drop()
            else:
                node.listener.close(DOWN)
            if node is self.owner and self.vip.state != DOWN:
                if self._others(node):
                    self.move_vip()
                    self.vip.open()
                else:
                    self.vip.close(DOWN)

    def start_node(self, which):
        """It is there again."""
        with self.lock:
            node = self.node(which)
            node.is_down = node.listener.silent = False
            node.listener.open()
            if self.vip_ip and self.vip.state == DOWN:
                self.owner = node
                self.vip.open()

    def stop_all(self):
        """Nobody is there from now on."""
        with self.lock:
            for node in self.nodes:
                if not node.is_down:
                    self.stop_node(node)
