#!/usr/bin/python3
"""TLS servers for test_http_tls: prints what it has made, one "NAME VALUE" a line, then "ready yes".

Ends when its standard input is closed. The path /count answers how many requests its port has had. A connection over
which nothing was asked is told as "silent PORTNAME" once the client has closed it.
"""

import base64
import collections
import hashlib
import os
import socket
import ssl
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real"))

from pki import TestCA, new_key, openssl    # noqa: E402

NAMES = "DNS:localhost,DNS:shop.example"
REQUESTS = collections.Counter()


def tell(name, value):
    """One line for the test."""
    sys.stdout.write(f"{name} {value}\n")
    sys.stdout.flush()


def describe(name, cert, key, folder):
    """The certificate as DER and the pin of its key."""
    der = os.path.join(folder, name + ".der")
    openssl("x509", "-in", cert, "-outform", "DER", "-out", der)
    tell(name + ".der", der)
    public = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
    tell(name + ".pin", "sha256//" + base64.b64encode(hashlib.sha256(public).digest()).decode())


def reply(path, port):
    """Status, Location and body for a path."""
    location = {"/dir": "/ok", "/twice": "/dir", "/down": f"http://localhost:{port}/ok",
                "/away": f"https://shop.example:{port}/ok"}.get(path)
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n" if location else "HTTP/1.1 200 OK\r\n"
    body = "" if location else str(REQUESTS[port]) if path == "/count" else "hello"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def serve_requests(connection, port):
    """Answer requests until the client closes; were there any?"""
    asked = False
    try:
        with connection.makefile("rb") as lines:
            for line in lines:
                asked = True
                REQUESTS[port] += 1
                path = line.decode("latin-1").split(" ")[1]
                while lines.readline().strip():
                    pass
                connection.sendall(reply(path, port))
    except OSError:
        pass    # it closed without reading our session tickets, which is a reset to us
    return asked


def serve_connection(name, connection, context, port):
    """One connection from handshake to end; a client that gives up is none of our business."""
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            if not serve_requests(secured, port):
                tell("silent", name)
    except OSError:
        connection.close()


def listen(name, serve):
    """A port; each connection is served by a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]

    def accept():
        while True:
            connection = listener.accept()[0]
            threading.Thread(target=serve, args=(connection, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    tell(name, port)


def listen_tls(name, pairs, oldest=ssl.TLSVersion.TLSv1_2):
    """A TLS server that shows one of the (certificate, key) pairs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = oldest
    for cert, key in pairs:
        context.load_cert_chain(cert, key)
    listen(name, lambda connection, port: serve_connection(name, connection, context, port))


def serve_plain(connection, _port):
    """Not TLS at all."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    connection.close()


def serve_cut(connection, _port):
    """Closes in the handshake."""
    connection.recv(65536)
    connection.close()


def serve_reset(connection, _port):
    """Resets in the handshake: it closes without having read what has come."""
    connection.recv(1, socket.MSG_PEEK)
    connection.close()


def main():
    """Make certificates, listen, wait for the end of standard input."""
    with tempfile.TemporaryDirectory() as folder:
        ca = TestCA(folder)
        other = os.path.join(folder, "other")
        os.mkdir(other)
        ecdsa, rsa = [ca.issue(os.path.join(folder, key), NAMES, key) for key in ("ecdsa", "rsa")]
        lone_key = new_key(os.path.join(folder, "lone.key"))
        lone = os.path.join(folder, "lone.pem")
        openssl("req", "-x509", "-new", "-key", lone_key, "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost", "-out", lone)
        tell("ca", ca.file)
        tell("other-ca", TestCA(other, "another CA").file)
        describe("ecdsa", *ecdsa, folder)
        describe("rsa", *rsa, folder)
        listen_tls("both", [ecdsa, rsa])
        for name in ("single", "guarded", "closed", "shared"):
            listen_tls(name, [ecdsa])
        listen_tls("tls13", [ecdsa, rsa], ssl.TLSVersion.TLSv1_3)
        listen_tls("lone", [(lone, lone_key)])
        listen("plain", serve_plain)
        listen("cut", serve_cut)
        listen("reset", serve_reset)
        tell("ready", "yes")
        sys.stdin.read()


if __name__ == "__main__":
    main()
