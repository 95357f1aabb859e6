"""An ACME server that misbehaves on demand: RFC 8555 as far as one order goes.

Signatures are not checked: Pebble does that. Each endpoint has a name; script[name] is a list of
answers to give, one for each request, in place of the regular one: an Answer, None for the regular
one, or a function that is given the regular answer and returns another. The last one stays. `seen`
keeps what was asked.
"""

import base64
import http.server
import json
import ssl
import threading
from dataclasses import dataclass, field

from real import pki

PROBLEM = "application/problem+json"


@dataclass
class Answer:
    """What goes back: a dict is sent as JSON."""

    body: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    type: str = "application/json"

    def encoded(self):
        """The body as bytes."""
        if isinstance(self.body, dict):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body


def problem(kind, detail="no", status=400, **headers):
    """A problem document; an argument Retry_After becomes the header Retry-After."""
    return Answer(
        {"type": "urn:ietf:params:acme:error:" + kind, "detail": detail},
        status,
        {name.replace("_", "-"): str(value) for name, value in headers.items()},
        PROBLEM,
    )


def decode(text):
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # head and body leave together

    def log_message(self, *args):  # the log of requests is `seen`
        pass

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sim = self.server.sim
        name, answer = sim.answer(self.path, body)
        data = b"" if self.command == "HEAD" else answer.encoded()
        self.send_response(answer.status)
        headers = {"Content-Type": answer.type, **answer.headers}
        if self.command != "GET":
            headers.setdefault("Replay-Nonce", sim.nonce())
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        if name in sim.hang_up:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = _serve


class AcmeSim:
    """The server; use it in a with block."""

    def __init__(self, folder, ca):
        self.folder, self.ca = folder, ca
        self.script, self.seen, self.hang_up = {}, [], set()
        self.names, self.answered, self.finalized, self.chain = [], False, False, None
        self._nonces = 0
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.sim = self
        cert, key = ca.issue(folder + "/sim")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.base = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def directory(self):
        """The URL to give to a client."""
        return self.base + "/directory"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, name):
        """How often an endpoint was asked."""
        return sum(entry[0] == name for entry in self.seen)

    def nonce(self):
        """A new one each time."""
        self._nonces += 1
        return f"nonce-{self._nonces}"

    def url(self, name):
        """The URL of an endpoint."""
        return f"{self.base}/{name}"

    def answer(self, path, body):
        """What goes back for a request: the regular answer, or what the script has instead."""
        name = path.strip("/")
        with self._lock:
            payload = b""
            if body:
                payload = decode(json.loads(body)["payload"])
            self.seen.append((name, payload))
            planned = self.script.get(name) or [None]
            step = planned[0] if len(planned) == 1 else planned.pop(0)
            if isinstance(step, Answer):
                return name, step
            regular = getattr(self, "_" + name.replace("-", "_"))(json.loads(payload or b"{}"))
            return name, step(regular) if step else regular

    # ---- the regular answers ----

    def _directory(self, _payload):
        names = {"newNonce": "nonce", "newAccount": "account", "newOrder": "new-order"}
        return Answer({key: self.url(name) for key, name in names.items()})

    def _nonce(self, _payload):
        return Answer()

    def _account(self, _payload):
        return Answer({"status": "valid"}, 201, {"Location": self.url("acct")})

    def _order_document(self):
        status = "pending"
        if self.finalized:
            status = "valid"
        elif self.answered:
            status = "ready"
        document = {
            "status": status,
            "identifiers": [{"type": "dns", "value": name} for name in self.names],
            "authorizations": [self.url("authz")],
            "finalize": self.url("finalize"),
        }
        if self.finalized:
            document["certificate"] = self.url("certificate")
        return document

    def _new_order(self, payload):
        self.names = [entry["value"] for entry in payload["identifiers"]]
        self.answered = self.finalized = False
        return Answer(self._order_document(), 201, {"Location": self.url("order")})

    def _order(self, _payload):
        return Answer(self._order_document())

    def _challenge_document(self):
        return {
            "type": "http-01",
            "url": self.url("challenge"),
            "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
            "status": "valid" if self.answered else "pending",
        }

    def _authz(self, _payload):
        return Answer(
            {
                "status": "valid" if self.answered else "pending",
                "identifier": {"type": "dns", "value": self.names[0]},
                "challenges": [self._challenge_document()],
            }
        )

    def _challenge(self, _payload):
        before = self._challenge_document()
        self.answered = True
        return Answer(before)

    def _finalize(self, payload):
        request, cert = self.folder + "/request.der", self.folder + "/issued.pem"
        with open(request, "wb") as file:
            file.write(decode(payload["csr"]))
        pki.openssl(
            "x509", "-req", "-inform", "DER", "-in", request, "-CA", self.ca.file, "-CAkey",
            self.ca.key, "-days", "90", "-copy_extensions", "copy", "-out", cert,
        )  # fmt: skip
        with open(cert, encoding="ascii") as file:
            self.chain = file.read()
        self.finalized = True
        return Answer({**self._order_document(), "status": "processing"})

    def _certificate(self, _payload):
        return Answer(self.chain, type="application/pem-certificate-chain")
