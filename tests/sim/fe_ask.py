"""Questions to a name server, as a resolver asks them: for tests, and for a CA that validates."""

import secrets
import socket
import struct
from dataclasses import dataclass, field

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41, "CAA": 257,
    "ANY": 255,
}  # fmt: skip
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
TIMEOUT = 5


def encode_name(name):
    """A name as it is sent, without compression; its case stays."""
    labels = [one.encode() for one in name.rstrip(".").split(".") if one]
    return b"".join(bytes([len(one)]) + one for one in labels) + b"\0"


def decode_name(packet, at):
    """(the name as it is written, where it ends)."""
    labels, end, jumps = [], None, 0
    while packet[at]:
        if packet[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            jumps += 1
            if jumps > 20:
                raise ValueError("a name that leads to itself")
        else:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
            at += 1 + packet[at]
    return ".".join(labels) + ".", end or at + 1


@dataclass
class Record:
    """One record of an answer; value: decoded where the type is known."""

    name: str
    type: str
    ttl: int
    value: object


@dataclass
class Reply:
    """What came back."""

    rcode: str
    authoritative: bool
    truncated: bool
    name: str  # as the question has it in the reply
    answers: list = field(default_factory=list)
    authority: list = field(default_factory=list)
    additional: list = field(default_factory=list)
    size: int = 0

    def values(self, type_="TXT"):
        """The values of a type in the answer."""
        return [one.value for one in self.answers if one.type == type_]


def _value(packet, at, length, type_):
    data = packet[at : at + length]
    if type_ == "TXT":
        text, offset = b"", 0
        while offset < length:
            text += data[offset + 1 : offset + 1 + data[offset]]
            offset += 1 + data[offset]
        return text.decode()
    if type_ in ("NS", "CNAME"):
        return decode_name(packet, at)[0]
    if type_ == "SOA":
        return decode_name(packet, at)[0], struct.unpack("!IIIII", data[-20:])
    return socket.inet_ntoa(data) if type_ == "A" else data


def parse(packet):
    """A reply, taken apart."""
    _, flags, questions, *counts = struct.unpack_from("!HHHHHH", packet)
    at, name = 12, ""
    for _ in range(questions):
        name, at = decode_name(packet, at)
        at += 4
    rcode = RCODES.get(flags & 15, str(flags & 15))
    reply = Reply(rcode, bool(flags & 0x400), bool(flags & 0x200), name, size=len(packet))
    for section, count in zip((reply.answers, reply.authority, reply.additional), counts):
        for _ in range(count):
            owner, at = decode_name(packet, at)
            number, _, ttl, length = struct.unpack_from("!HHIH", packet, at)
            type_ = NAMES.get(number, str(number))
            section.append(Record(owner, type_, ttl, _value(packet, at + 10, length, type_)))
            at += 10 + length
    return reply


def question(name, type_="TXT", udp_size=None, recursion=True):
    """A query; udp_size: of EDNS, None for none of it."""
    flags = 0x0100 if recursion else 0
    head = secrets.token_bytes(2) + struct.pack("!HHHHH", flags, 1, 0, 0, int(bool(udp_size)))
    packet = head + encode_name(name) + struct.pack("!HH", TYPES[type_], 1)
    if udp_size:
        packet += b"\0" + struct.pack("!HHIH", TYPES["OPT"], udp_size, 0, 0)
    return packet


def send_udp(address, packet, timeout=TIMEOUT):
    """The reply to a packet as it comes; OSError when none does."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((host, int(port)))
        sock.send(packet)
        return sock.recv(65536)


def send_tcp(address, *packets):
    """The replies to packets on one connection."""
    host, _, port = address.rpartition(":")
    replies = []
    with socket.create_connection((host, int(port)), TIMEOUT) as sock, sock.makefile("rb") as file:
        for packet in packets:
            sock.sendall(struct.pack("!H", len(packet)) + packet)
            replies.append(file.read(struct.unpack("!H", file.read(2))[0]))
    return replies


def ask(address, name, type_="TXT", udp_size=1232, tcp=False, timeout=TIMEOUT):
    """One question to "host:port", over TCP when it is asked for or when UDP is too small."""
    packet = question(name, type_, udp_size)
    reply = parse(send_tcp(address, packet)[0] if tcp else send_udp(address, packet, timeout))
    if reply.truncated and not tcp:
        return ask(address, name, type_, udp_size, True)
    return reply
