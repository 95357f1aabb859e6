"""HTTPS as the simulated CA speaks it: a thread for each connection, an answer in one write.

http.server spends more on a request than a whole CA does, so requests are parsed here. What may go
wrong on the wire goes wrong here too: see Fault.
"""

import email.utils
import json
import select
import socket
import ssl
import struct
import threading
import time
import traceback
from dataclasses import dataclass, field

PROBLEM = "application/problem+json"
ERROR = "urn:ietf:params:acme:error:"
HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 4 << 20

REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 207: "Multi Status",
    209: "X-NITRO-WARNING", 301: "Moved Permanently", 302: "Found",
    307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict",
    410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
    415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    599: "Netscaler specific error",
}  # fmt: skip

FAULTS = {
    "lost-request": "the connection is closed before the request is acted on",
    "lost-reply": "the request is acted on, then the connection is closed without a byte",
    "reset": "the request is acted on, then the connection is reset (RST)",
    "reset-body": "half of the body is sent, then the connection is reset (RST)",
    "stall": "the request is acted on, no byte comes until the client gives up",
    "stall-body": "head and half of the body come, then nothing until the client gives up",
    "dribble": "in very small pieces, the first 500 bytes one at a time",
    "truncate": "half of the body is sent, then the connection is closed",
    "long-length": "Content-Length promises more than is sent, the connection stays open",
    "short-length": "Content-Length is less than is sent",
    "bad-length": "Content-Length is no number",
    "bad-chunk": "a chunked body with a chunk size that is no number",
    "garbage": "what comes is not HTTP",
    "close": "a whole answer, then the connection is closed without saying so",
}


@dataclass
class Fault:
    """Something that goes wrong with an answer on its way: kind is one of FAULTS.

    seconds bounds the faults that take time.
    """

    kind: str
    seconds: float = 30.0

    def __post_init__(self):
        if self.kind not in FAULTS:
            raise ValueError(f"no such fault: {self.kind}")


@dataclass
class Answer:
    """What goes back. A dict or a list is sent as JSON, text as UTF-8.

    headers: a value may be text, bytes, a list of these (one header each), or None (not sent, not
    even where the server would add it).
    """

    body: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    type: str = "application/json"
    fault: Fault = None

    def encoded(self):
        """The body as bytes."""
        if isinstance(self.body, (dict, list)):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


def problem(kind, detail="no", status=400, more=None, **headers):
    """A problem document; an argument Retry_After becomes the header Retry-After."""
    return Answer(
        {"type": ERROR + kind, "detail": detail, "status": status, **(more or {})},
        status,
        {name.replace("_", "-"): str(value) for name, value in headers.items()},
        PROBLEM,
    )


class Refused(Exception):
    """A request the CA does not act on; the arguments are those of problem()."""

    def __init__(self, kind, detail="no", status=400, more=None, **headers):
        super().__init__(detail)
        self.kind, self.answer = kind, problem(kind, detail, status, more, **headers)


class _Gone(Exception):
    """The client, or the server itself, ended the connection."""


class _Connection:
    """One client: reads requests and writes answers until one side has enough."""

    def __init__(self, server, sock):
        self.server, self.sock, self.data = server, sock, bytearray()

    def _more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise _Gone
        self.data += piece

    def _take(self, length):
        while len(self.data) < length:
            self._more()
        piece = bytes(self.data[:length])
        del self.data[:length]
        return piece

    def read(self):
        """The next request; what is none ends the connection."""
        try:
            return self._read()
        except ValueError:
            raise _Gone from None

    def _read(self):
        """(method, target, headers, body); header names in lower case."""
        while (end := self.data.find(b"\r\n\r\n")) < 0:
            if len(self.data) > HEAD_LIMIT:
                raise _Gone
            self._more()
        lines = self._take(end + 4)[:-4].decode("latin-1").split("\r\n")
        method, target, _version = lines[0].split(" ")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if "transfer-encoding" in headers:
            raise _Gone
        length = int(headers.get("content-length") or 0)
        if length > BODY_LIMIT:
            raise _Gone
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return method, target, headers, self._take(length) if length else b""

    def write(self, answer, method):
        """Send an answer; returns whether the connection may be used again."""
        body = b"" if method == "HEAD" or answer.status == 204 else answer.encoded()
        if answer.fault:
            return self._fail(answer, body)
        if self.server.chunked and body:
            head = self.head(answer, {"Transfer-Encoding": "chunked"})
            half = len(body) // 2 or 1
            pieces = [body[:half], body[half:], b""] if body[half:] else [body, b""]
            framed = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
            self.sock.sendall(head + framed)
        else:
            length = {} if answer.status == 204 else {"Content-Length": str(len(body))}
            self.sock.sendall(self.head(answer, length) + body)
        return answer.headers.get("Connection") != "close"

    def head(self, answer, framing):
        """Status line and headers."""
        reason = REASONS.get(answer.status, "Other")
        head = [f"HTTP/1.1 {answer.status} {reason}\r\n".encode()]
        if answer.body not in (b"", "") or answer.type != "application/json":
            framing = {"Content-Type": answer.type, **framing}
        for name, value in {"Date": self.server.date(), **framing, **answer.headers}.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    text = one if isinstance(one, bytes) else one.encode("utf-8", "surrogateescape")
                    head.append(name.encode() + b": " + text + b"\r\n")
        return b"".join(head) + b"\r\n"

    def _reset(self):
        # With no time to linger, close() sends RST instead of FIN.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _wait_for_client(self, seconds):
        """Until the client closes or the server ends, at most so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.sock, self.server.wake], [], [], left)
            if not ready or self.server.wake in ready or not self.sock.recv(65536):
                return

    def _dribble(self, data, seconds):
        # Each piece is a TLS record of its own; the pause keeps them from being read together.
        sizes = [1] * 500 + [100] * (len(data) // 100)
        pause = min(0.0005, seconds / len(sizes))
        offset = 0
        for size in sizes:
            self.sock.sendall(data[offset : offset + size])
            offset += size
            if offset >= len(data) or self.server.closing.wait(pause):
                break
        return offset >= len(data)

    def _fail(self, answer, body):  # each fault is a line or two
        kind, seconds = answer.fault.kind, answer.fault.seconds
        whole = self.head(answer, {"Content-Length": str(len(body))}) + body
        half = len(whole) - (len(body) + 1) // 2
        if kind == "close":
            self.sock.sendall(whole)
        elif kind == "dribble":
            return self._dribble(whole, seconds)
        elif kind in ("reset", "reset-body"):
            if kind == "reset-body":
                self.sock.sendall(whole[:half])
            self._reset()
        elif kind in ("stall", "stall-body"):
            if kind == "stall-body":
                self.sock.sendall(whole[:half])
            self._wait_for_client(seconds)
        elif kind == "truncate":
            self.sock.sendall(whole[:half])
        elif kind == "long-length":
            self.sock.sendall(self.head(answer, {"Content-Length": str(len(body) + 100)}) + body)
            self._wait_for_client(seconds)
        elif kind == "short-length":
            length = {"Content-Length": str(max(len(body) - 10, 0))}
            self.sock.sendall(self.head(answer, length) + body)
        elif kind == "bad-length":
            self.sock.sendall(self.head(answer, {"Content-Length": "twelve"}) + body)
        elif kind == "bad-chunk":
            head = self.head(answer, {"Transfer-Encoding": "chunked"})
            self.sock.sendall(head + b"zz\r\n" + body + b"\r\n0\r\n\r\n")
        elif kind == "garbage":
            self.sock.sendall(b"\x00\x01\x02 this is not HTTP\r\n\r\n" + body)
        return False  # "lost-request" and "lost-reply": nothing at all is sent

    def serve(self, respond):
        """Answer until the end."""
        while True:
            method, target, headers, body = self.read()
            started = time.thread_time()
            answer = respond(method, target, headers, body)
            self.server.spent(time.thread_time() - started)
            if self.server.delay_ms and self.server.closing.wait(self.server.delay_ms / 1000):
                return
            if not self.write(answer, method) or headers.get("connection") == "close":
                return


class Server:
    """Listens on loopback and gives each request to respond(method, target, headers, body).

    Without a certificate it speaks plain HTTP.
    """

    def __init__(self, cert, key, respond, address=("127.0.0.1", 0)):
        self._context = None
        if cert:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(cert, key)
            self._context.set_alpn_protocols(["http/1.1"])
        self._respond = respond
        self._listener = socket.create_server(address, backlog=256)
        self.port = self._listener.getsockname()[1]
        self.closing = threading.Event()
        self.wake, self._waker = socket.socketpair()
        self.chunked, self.delay_ms = False, 0
        self.busy_s, self.connections, self.connections_max, self.handshakes = 0.0, 0, 0, 0
        self._lock = threading.Lock()
        self._threads, self._open = set(), set()
        self._date = (0, "")
        self.failures = []  # what went wrong in the simulator itself
        self._acceptor = threading.Thread(target=self._accept, name="acme-accept")

    def start(self):
        """Begin to answer."""
        self._acceptor.start()

    def stop(self):
        """End all connections and threads."""
        self.closing.set()
        self._waker.send(b"x")
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        with self._lock:
            for sock in self._open:
                _shut(sock)
            threads = list(self._threads)
        for thread in threads:
            thread.join(10)
        for sock in (self._listener, self.wake, self._waker):
            sock.close()

    def drop_connections(self):
        """End all connections that are open now; the server goes on."""
        with self._lock:
            for sock in self._open:
                _shut(sock)

    def date(self):
        """The time for the header Date."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, email.utils.formatdate(now, usegmt=True))
        return self._date[1]

    def spent(self, seconds):
        """A request cost so much CPU time."""
        with self._lock:
            self.busy_s += seconds

    def _accept(self):
        while not self.closing.is_set():
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self._context.wrap_socket(
                raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            ) if self._context else raw  # fmt: skip
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            with self._lock:
                self._threads.add(thread)
                self._open.add(sock)
            thread.start()

    def _serve(self, sock):
        counted = False
        try:
            if self._context:
                sock.do_handshake()
            with self._lock:
                counted = True
                self.handshakes += 1
                self.connections += 1
                self.connections_max = max(self.connections_max, self.connections)
            _Connection(self, sock).serve(self._respond)
        except (OSError, _Gone):
            pass  # the client went away, or spoke something else
        except Exception:  # pylint: disable=broad-except
            self.failures.append(traceback.format_exc())
        finally:
            with self._lock:
                self.connections -= counted
                self._open.discard(sock)
                self._threads.discard(threading.current_thread())
            sock.close()


def _shut(sock):
    """Wake the thread that reads: that of the TLS layer would drop state the thread still uses."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass
