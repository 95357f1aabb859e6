"""A plain NITRO client for the tests of the simulator: it sends what it is told to."""

import base64
import http.client
import json
import socket
import ssl
from collections import namedtuple

from cryptography import x509

Reply = namedtuple("Reply", "status reason code body headers")


class Client:
    """A session on one node; headers may be changed by the test."""

    def __init__(self, node, ca_file=None, login=("nsroot", "nsroot")):
        self.node, self.ca_file, self.headers, self._connection = node, ca_file, {}, None
        if login:
            reply = self.login(*login)
            assert reply.status == 201, reply
            self.headers["Cookie"] = "NITRO_AUTH_TOKEN=" + reply.body["sessionid"]

    def login(self, user, password, **more):
        """POST login, without keeping what comes."""
        return self.post("login", username=user, password=password, **more)

    def close(self):
        """Without a logout."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _connect(self):
        if not self._connection:
            address = (self.node.address, self.node.port)
            if self.ca_file:
                context = ssl.create_default_context(cafile=self.ca_file)
                kind, more = http.client.HTTPSConnection, {"context": context}
            else:
                kind, more = http.client.HTTPConnection, {}
            self._connection = kind(*address, timeout=20, **more)
        return self._connection

    def send(self, method, path, body=None, **headers):
        """One request; path: below /nitro/v1/. Header names have _ for -."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        body = json.dumps(body) if isinstance(body, (dict, list)) else body
        connection = self._connect()
        try:
            connection.request(method, "/nitro/v1/" + path, body, {**self.headers, **headers})
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        document = json.loads(data) if data[:1] == b"{" else None
        code = document.get("errorcode") if document else None
        return Reply(response.status, response.reason, code, document or data, response.headers)

    def get(self, path):
        """Rows of a type; a single object for what is single; [] when there is nothing."""
        reply = self.send("GET", "config/" + path)
        assert reply.status == 200, reply
        return reply.body.get(path.partition("?")[0].partition("/")[0], [])

    def post(self, kind, do=None, query="", **members):
        """Add, or an action."""
        query = "&".join(part for part in (f"action={do}" if do else "", query) if part)
        path = f"config/{kind}" + ("?" + query if query else "")
        return self.send("POST", path, {kind: members})

    def put(self, kind, query="", **members):
        """Set, or bind."""
        return self.send("PUT", f"config/{kind}" + ("?" + query if query else ""), {kind: members})

    def delete(self, path):
        """Remove, or unbind."""
        return self.send("DELETE", "config/" + path)

    def upload(self, name, content, folder="/nsconfig/ssl/", **more):
        """POST systemfile."""
        content = base64.b64encode(content if isinstance(content, bytes) else content.encode())
        return self.post(
            "systemfile",
            **{
                "filename": name, "filelocation": folder, "filecontent": content.decode(),
                "fileencoding": "BASE64", **more,
            },
        )  # fmt: skip


def ask(vserver, target="/", host="www.example.org", method="GET"):
    """What a plain vserver answers: all the bytes, b"" when it does not take the connection."""
    data = b""
    try:
        with socket.create_connection((vserver.host, vserver.port), timeout=10) as sock:
            sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while piece := sock.recv(65536):
                data += piece
    except ConnectionError:
        pass
    return data


def served(vserver, name=None, ciphers=None):
    """The leaf an SSL vserver sends, or None; ciphers: ECDSA or RSA (then TLS 1.2 is spoken)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"ECDHE+a{ciphers}")
    try:
        with socket.create_connection((vserver.host, vserver.port), timeout=10) as sock:
            with context.wrap_socket(sock, server_hostname=name) as tls:
                return x509.load_der_x509_certificate(tls.getpeercert(True))
    except OSError:
        return None
