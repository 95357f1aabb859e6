"""The name servers of the simulated FlexibleEngine, on UDP and TCP.

Each has a loopback address of its own, all have the same port. They answer with authority for the
public zones, from what is in effect; each may be late (lag_s) or in trouble (mode, one of MODES).
"""

import selectors
import socket
import struct
import threading
import time
import traceback
from dataclasses import dataclass

from .fe_ask import NAMES, TYPES, decode_name, encode_name
from .fe_zones import dotted, txt_strings

UDP_MAX = 1232
CHAIN_MAX = 8
PATIENCE_S = 10
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
MODES = ("silent", "servfail", "refused", "truncate", "wrong-id", "no-tcp", "not-authoritative")


def _data(type_, value):
    """A value as it is sent."""
    if type_ == "TXT":
        return b"".join(bytes([len(one)]) + one for one in txt_strings(value))
    if type_ in ("NS", "CNAME"):
        return encode_name(value)
    if type_ in ("A", "AAAA"):
        return socket.inet_pton(socket.AF_INET if type_ == "A" else socket.AF_INET6, value)
    if type_ == "MX":
        number, _, host = value.partition(" ")
        return struct.pack("!H", int(number)) + encode_name(host)
    if type_ == "SOA":
        server, mail, *numbers = value.replace("(", "").replace(")", "").split()
        return encode_name(server) + encode_name(mail) + struct.pack("!IIIII", *map(int, numbers))
    flags, tag, text = value.split(" ", 2)  # CAA
    return bytes([int(flags), len(tag)]) + tag.encode() + text.strip('"').encode()


def _record(owner, type_, ttl, value):
    data = _data(type_, value)
    return owner + struct.pack("!HHIH", TYPES[type_], 1, ttl, len(data)) + data


@dataclass
class Query:
    """What is asked, as the log has it."""

    server: int
    transport: str
    name: str
    type: str
    rcode: int = None


class Lookup:
    """What a server has for a name: the records of three sections, and a code."""

    def __init__(self, view, name, type_):
        self.view, self.type = view, type_
        self.rcode, self.authoritative = NOERROR, True
        self.answers, self.authority, self.additional = [], [], []
        # The owner of the first answers is a pointer to the question, so its case is kept.
        self._follow(dotted(name), b"\xc0\x0c", CHAIN_MAX)

    def _follow(self, name, owner, left):
        if name in self.view.hosts:
            if self.type == "A":
                self.answers.append(_record(owner, "A", 300, self.view.hosts[name]))
            return
        zone = self.view.zone_for(name)
        if not zone:
            if self.answers:  # the end of a chain is for others to know
                return
            if self.view.default_a and self.type in ("A", "AAAA", "CAA"):
                if self.type == "A":
                    self.answers.append(_record(owner, "A", 0, self.view.default_a))
                return
            self.rcode, self.authoritative = REFUSED, False
            return
        cut = self.view.cut(zone, name)
        if cut:
            self._refer(*cut)
            return
        sets, exists = self.view.sets(zone, name)
        alias = sets.get("CNAME")
        found = sets.get(self.type)
        if found:
            ttl, values = found
            self.answers += [_record(owner, self.type, ttl, one) for one in values]
        elif alias and left:
            ttl, values = alias
            self.answers.append(_record(owner, "CNAME", ttl, values[0]))
            self._follow(dotted(values[0]), encode_name(dotted(values[0])), left - 1)
        else:
            self.rcode = NOERROR if exists else NXDOMAIN
            ttl, values = self.view.sets(zone, zone.name)[0]["SOA"]
            self.authority.append(_record(encode_name(zone.name), "SOA", ttl, values[0]))

    def _refer(self, name, ttl, servers):
        """The name belongs to a zone that is somewhere else."""
        if not self.answers:
            self.authoritative = False
        self.authority += [_record(encode_name(name), "NS", ttl, one) for one in servers]
        self.additional += [
            _record(encode_name(one), "A", 300, self.view.hosts[dotted(one)])
            for one in servers if dotted(one) in self.view.hosts
        ]  # fmt: skip


class View:
    """What a server sees: all that was in effect at a time."""

    def __init__(self, fe, moment):
        zones = fe.zones
        self.zone_for, self.hosts, self.default_a = zones.zone_for, fe.named.hosts, fe.default_a
        self._there = {}
        for one in (*zones.sets.values(), *zones.gone):
            served = one.served(moment)
            if served:
                self._there.setdefault((one.zone.id, one.name), {})[one.type] = served

    def cut(self, zone, name):
        """(name, ttl, servers) where a part of the zone is given away above a name."""
        labels = name[: -len(zone.name)].split(".")[:-1]
        for at in range(len(labels) - 1, -1, -1):
            above = ".".join(labels[at:]) + "." + zone.name
            found = self._there.get((zone.id, above), {}).get("NS")
            if found:
                return above, *found
        return None

    def sets(self, zone, name):
        """({type: (ttl, values)} at a name, is there such a name?)."""
        found = self._there.get((zone.id, name))
        if found or self._has_below(zone, name):
            return found or {}, True
        while name != zone.name:
            name = name.partition(".")[2]
            if (zone.id, name) in self._there or self._has_below(zone, name):
                break
        found = self._there.get((zone.id, "*." + name))
        return found or {}, bool(found)

    def _has_below(self, zone, name):
        return any(id_ == zone.id and one.endswith("." + name) for id_, one in self._there)


class Server:
    """One of them."""

    def __init__(self, number, host, udp, tcp):
        self.number, self.host, self.udp, self.tcp = number, host, udp, tcp
        self.lag_s, self._mode = 0.0, None

    @property
    def mode(self):
        """Its trouble, if any."""
        return self._mode

    @mode.setter
    def mode(self, mode):
        if mode not in (None, *MODES):
            raise ValueError(f"no such mode: {mode}")
        self._mode = mode

    @property
    def address(self):
        """host:port"""
        return f"{self.host}:{self.tcp.getsockname()[1]}"


class Named:
    """All name servers of a cloud."""

    def __init__(self, fe, count):
        self.fe, self.queries, self.failures = fe, [], []
        self.names = [f"ns{number}.fe-dns.example." for number in range(1, count + 1)]
        self.servers, self.hosts = self._open(count), {}
        self.hosts.update(zip(self.names, (one.host for one in self.servers)))
        self._closing = False
        self._wake, self._waker = socket.socketpair()
        self._connections = {}
        self._thread = threading.Thread(target=self._run, name="fe-named")

    @staticmethod
    def _open(count):
        """Sockets on addresses of their own with the same port."""
        for attempt in range(200):
            servers, port = [], 0
            try:
                for number in range(count):
                    host = f"127.98.{attempt}.{number + 1}"
                    tcp = socket.create_server((host, port), backlog=64)
                    port = tcp.getsockname()[1]
                    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    servers.append(Server(number, host, udp, tcp))
                    udp.bind((host, port))
                return servers
            except OSError:  # somebody has that port there
                for one in servers:
                    one.tcp.close()
                    one.udp.close()
        raise OSError("no port for the name servers")

    @property
    def address(self):
        """host:port of the first one."""
        return self.servers[0].address

    @property
    def port(self):
        """That of all."""
        return self.servers[0].tcp.getsockname()[1]

    def start(self):
        """Begin to answer."""
        self._thread.start()

    def stop(self):
        """End all; returns what went wrong."""
        self._closing = True
        self._waker.send(b"x")
        self._thread.join(10)
        for thread, sock in list(self._connections.items()):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join(10)
        for one in self.servers:
            one.udp.close()
            one.tcp.close()
        self._wake.close()
        self._waker.close()
        return self.failures

    def _run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            for one in self.servers:
                selector.register(one.udp, selectors.EVENT_READ, (one, self._datagram))
                selector.register(one.tcp, selectors.EVENT_READ, (one, self._connection))
            while not self._closing:
                for key, _ in selector.select():
                    if key.data:
                        server, handle = key.data
                        self._guarded(handle, server)

    def _guarded(self, handle, *args):
        try:
            handle(*args)
        except OSError:
            pass  # the client went away
        except Exception:  # pylint: disable=broad-except
            self.failures.append(traceback.format_exc())

    def _datagram(self, server):
        packet, client = server.udp.recvfrom(4096)
        reply = self.answer(server, packet, "udp")
        if reply:
            server.udp.sendto(reply, client)

    def _connection(self, server):
        sock, _ = server.tcp.accept()
        sock.settimeout(PATIENCE_S)
        thread = threading.Thread(target=self._converse, args=(server, sock), daemon=True)
        self._connections[thread] = sock
        thread.start()

    def _converse(self, server, sock):
        with sock:
            self._guarded(self._stream, server, sock)
        self._connections.pop(threading.current_thread(), None)

    def _stream(self, server, sock):
        if server.mode == "no-tcp":
            return
        with sock.makefile("rb") as file:
            while len(head := file.read(2)) == 2:
                packet = file.read(struct.unpack("!H", head)[0])
                reply = self.answer(server, packet, "tcp")
                if not reply:
                    return
                sock.sendall(struct.pack("!H", len(reply)) + reply)

    # ---- questions ----

    def answer(self, server, packet, transport):
        """The reply to a packet; None: there is none."""
        if len(packet) < 12 or packet[2] & 0x80:
            return None
        flags, questions = struct.unpack_from("!HH", packet, 2)
        head = packet[:2]
        try:
            name, end = decode_name(packet, 12)
            number, class_ = struct.unpack_from("!HH", packet, end)
        except (IndexError, struct.error, ValueError):
            return head + struct.pack("!HHHHH", 0x8000 | FORMERR, 0, 0, 0, 0)
        asked, edns = packet[12 : end + 4], _edns(packet, end + 4)
        query = Query(server.number, transport, name, NAMES.get(number, str(number)))
        self.queries.append(query)
        if server.mode == "silent":
            return None
        back = 0x8000 | (flags & 0x7900)  # opcode and RD come back
        query.rcode = self._refusal(server, flags, questions, class_, number)
        if query.rcode:
            return _reply(head, back | query.rcode, asked, [[], [], []], edns, 65535)
        with self.fe.lock:
            self.fe.zones.settle()
            view = View(self.fe, time.monotonic() - server.lag_s)
            found = Lookup(view, name, query.type)
        query.rcode = found.rcode
        back |= found.rcode
        if found.authoritative and server.mode != "not-authoritative":
            back |= 0x0400
        room = 65535 if transport == "tcp" else min(max(edns or 512, 512), UDP_MAX)
        if server.mode == "truncate" and transport == "udp":
            room = 0
        if server.mode == "wrong-id":
            head = bytes([head[0] ^ 0xFF, head[1]])
        sections = [found.answers, found.authority, found.additional]
        return _reply(head, back, asked, sections, edns, room)

    @staticmethod
    def _refusal(server, flags, questions, class_, number):
        if flags & 0x7800:
            return NOTIMP
        if questions != 1:
            return FORMERR
        if server.mode in ("servfail", "refused"):
            return SERVFAIL if server.mode == "servfail" else REFUSED
        return REFUSED if class_ != 1 or number == TYPES["ANY"] else NOERROR


def _edns(packet, at):
    """The size of datagrams that the client takes; None: it does not speak of it."""
    extra = struct.unpack_from("!H", packet, 10)[0]
    if extra and len(packet) >= at + 11 and packet[at] == 0:
        number, size = struct.unpack_from("!HH", packet, at + 1)
        if number == TYPES["OPT"]:
            return size
    return None


def _reply(head, flags, asked, sections, edns, room):
    """The packet; what does not fit is left out, and that is said."""
    opt = b"\0" + struct.pack("!HHIH", TYPES["OPT"], UDP_MAX, 0, 0) if edns is not None else b""

    def put(flags, sections):
        """All of it in one packet."""
        counts = [len(one) for one in sections]
        counts[2] += bool(opt)
        records = b"".join(b"".join(one) for one in sections)
        return head + struct.pack("!HHHHH", flags, 1, *counts) + asked + records + opt

    packet = put(flags, sections)
    return packet if len(packet) <= room else put(flags | 0x0200, [[], [], []])
