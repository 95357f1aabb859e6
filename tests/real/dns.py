"""A small DNS server that answers from a folder: what a dns target writes is what a CA reads.

Every name is 127.0.0.1. The TXT records of an owner are the lines of the file of that name; all
else (AAAA, CAA, SOA ...) exists and is empty. UDP and TCP on one loopback port.
"""

import collections
import os
import socket
import socketserver
import struct
import threading

from . import ports

A, TXT = 1, 16
IN = 1


def _question(packet):
    """(owner, type, bytes of the question) of a query."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack_from("!H", packet, at + 1)[0], packet[12 : at + 5]


def _txt(text):
    """One TXT record's data: strings of at most 255 bytes."""
    data = text.encode()
    pieces = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


class ZoneDns:
    """The server; most_values tells how many TXT values an owner was ever seen with at once."""

    def __init__(self, folder):
        self.folder = folder
        self.port = ports.free_port()
        self.most_values = collections.Counter()
        self._servers = []

    def values(self, owner):
        """The TXT values at an owner; what the simulated CA takes as resolver."""
        try:
            with open(os.path.join(self.folder, owner.rstrip(".")), encoding="utf-8") as file:
                found = file.read().splitlines()
        except FileNotFoundError:
            found = []
        self.most_values[owner] = max(self.most_values[owner], len(found))
        return found

    def put(self, owner, *values):
        """Let an owner have these values, and no others."""
        with open(os.path.join(self.folder, owner), "w", encoding="utf-8") as file:
            file.writelines(value + "\n" for value in values)

    def owners(self):
        """All owners that have values."""
        return sorted(os.listdir(self.folder))

    def _answer(self, packet):
        owner, kind, question = _question(packet)
        data = []
        if kind == A:
            data = [socket.inet_aton("127.0.0.1")]
        elif kind == TXT:
            data = [_txt(value) for value in self.values(owner)]
        flags = 0x8580 | (struct.unpack_from("!H", packet, 2)[0] & 0x0100)
        reply = packet[:2] + struct.pack("!HHHHH", flags, 1, len(data), 0, 0) + question
        for record in data:
            # The owner is that of the question: a pointer to it.
            reply += struct.pack("!HHHIH", 0xC00C, kind, IN, 0, len(record)) + record
        return reply

    def __enter__(self):
        answer = self._answer

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self):
                packet, sender = self.request
                sender.sendto(answer(packet), self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self):
                while len(head := self.rfile.read(2)) == 2:
                    reply = answer(self.rfile.read(struct.unpack("!H", head)[0]))
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        class Tcp(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        for server in (
            socketserver.UDPServer(("127.0.0.1", self.port), Datagram),
            Tcp(("127.0.0.1", self.port), Stream),
        ):
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exception):
        for server in self._servers:
            server.shutdown()
            server.server_close()
