"""HAProxy as certauto finds it: an admin socket, a challenge map, a folder of certificates."""

import os
import socket

from . import ports
from .proc import Server

# docs/targets/haproxy.md explains these lines to the user; keep the two alike.
CONFIG = """\
global
    stats socket {socket} mode 600 level admin
    log stdout format raw local0
    ssl-default-bind-options ssl-min-ver TLSv1.2
    tune.ssl.default-dh-param 2048
    {global_lines}

defaults
    mode http
    log global
    timeout connect 5s
    timeout client 10s
    timeout server 10s

frontend http
    bind 127.0.0.1:{http_port}
    http-request return status 200 content-type text/plain lf-string %[path,map({map})] \
if {{ path_beg /.well-known/acme-challenge/ }} {{ path,map({map}) -m found }}
    http-request return status 404 content-type text/plain string "no such challenge\\n"

frontend https
    bind 127.0.0.1:{tls_port} ssl crt {certs}/ {bind_options}
{more_binds}
    http-request return status 200 content-type text/plain string "served by HAProxy\\n"
"""


class HAProxy(Server):
    """One worker in the foreground. more_binds are further lines, such as tls13_bind() gives."""

    def __init__(
        self,
        folder,
        *,
        http_port=None,
        tls_port=None,
        strict_sni=True,
        more_binds=(),
        global_lines="",
        config=CONFIG,
    ):
        self.http_port = http_port or ports.free_port()
        self.tls_port = tls_port or ports.free_port()
        self.socket = os.path.join(folder, "haproxy.sock")
        self.map = os.path.join(folder, "acme.map")
        self.certs = os.path.join(folder, "certs")
        self.config_file = os.path.join(folder, "haproxy.cfg")
        os.makedirs(self.certs, mode=0o700, exist_ok=True)
        # HAProxy refuses to start without the map file.
        open(self.map, "a", encoding="ascii").close()
        with open(self.config_file, "w", encoding="ascii") as file:
            file.write(
                config.format(
                    socket=self.socket,
                    http_port=self.http_port,
                    tls_port=self.tls_port,
                    map=self.map,
                    certs=self.certs,
                    bind_options="strict-sni" if strict_sni else "",
                    more_binds="".join(f"    {line}\n" for line in more_binds),
                    global_lines=global_lines,
                )
            )
        super().__init__("haproxy", ["haproxy", "-db", "-f", self.config_file], folder)

    def ready(self):
        return (
            ports.answers(self.tls_port)
            and ports.answers(self.http_port)
            and os.path.exists(self.socket)
        )

    def crt(self, name):
        """The path of a certificate as HAProxy knows it: the option "crt"."""
        return os.path.join(self.certs, name)

    def command(self, text, socket_path=None):
        """Send one command to the runtime API and return its answer."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(10)
            admin.connect(socket_path or self.socket)
            admin.sendall(text.encode() + b"\n")
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode(errors="replace")

    def challenges(self):
        """The entries of the challenge map in memory: none when nothing is going on."""
        return [line for line in self.command("show map " + self.map).splitlines() if line.strip()]

    def certificates(self):
        """The certificate paths HAProxy knows, open transactions with their star."""
        return [
            line
            for line in self.command("show ssl cert").splitlines()
            if line and not line.startswith("#")
        ]

    def pid(self):
        """The worker's process id: it stays, for nothing is restarted in a swap."""
        return next(
            line.split(":")[1].strip()
            for line in self.command("show info").splitlines()
            if line.startswith("Pid:")
        )


def tls13_bind(port, certs):
    """A listener that speaks nothing below TLS 1.3, with the same certificates."""
    return f"bind 127.0.0.1:{port} ssl crt {certs}/ strict-sni ssl-min-ver TLSv1.3"


def fixed_bind(port, bundle):
    """A listener with a certificate of its own that nobody renews."""
    return f"bind 127.0.0.1:{port} ssl crt {bundle}"
