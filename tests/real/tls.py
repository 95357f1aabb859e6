"""What a TLS listener serves, seen from outside."""

import hashlib
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass

# TLS 1.2 cipher lists pick the certificate by key type; TLS 1.3 suites say nothing about the key.
CIPHERS = {
    "ecdsa": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
    "rsa": "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
}


@dataclass
class Served:
    """One certificate as it came over the wire."""

    der: bytes

    @property
    def fingerprint(self):
        """SHA-256 of the certificate, lower-case hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def serial(self):
        """Serial number, lower-case hex."""
        text = self._x509("-serial")
        return text.split("=", 1)[1].strip().lower()

    @property
    def issuer(self):
        """Issuer as openssl prints it."""
        return self._x509("-issuer").split("=", 1)[1].strip()

    @property
    def key_type(self):
        """ecdsa or rsa."""
        text = self._x509("-text")
        return "rsa" if "rsaEncryption" in text else "ecdsa"

    @property
    def public_key(self):
        """The key, PEM."""
        return self._x509("-pubkey")

    def _x509(self, *what):
        done = subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", *what],
            input=self.der,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode(errors="replace")


def context(key=None, roots=None, tls13=False):
    """A client context: key type asked for, CA certificates to verify with (none = look only)."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if roots:
        ctx.load_verify_locations(cadata=roots)
    else:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
    if tls13:
        ctx.minimum_version = ssl.TLSVersion.TLSv1_3
    elif key:
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
        ctx.set_ciphers(CIPHERS[key])
    return ctx


def served(port, name, key=None, roots=None, tls13=False, host="127.0.0.1"):
    """The certificate that port serves for name; OSError (an SSLError is one) when none."""
    with socket.create_connection((host, port), timeout=10) as raw:
        with context(key, roots, tls13).wrap_socket(raw, server_hostname=name) as tls:
            return Served(tls.getpeercert(binary_form=True))


class Handshakes:
    """A client that makes handshakes all the time and counts those that fail.

    A handshake counts as good when the chain leads to one of roots and the name is right: a
    listener that serves nothing, half a pair, or the wrong certificate for a moment is seen.
    """

    def __init__(self, port, names, roots, keys=("ecdsa", "rsa"), host="127.0.0.1"):
        self.host, self.port = host, port
        self.plan = [(name, context(key, roots)) for name in names for key in keys]
        self.good = 0
        self.failures = []
        self.fingerprints = set()
        self._stop = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="handshakes", daemon=True)

    def _run(self):
        while not self._stop.is_set():
            for name, ctx in self.plan:
                self._one(name, ctx)
            self._first.set()

    def _one(self, name, ctx):
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as raw:
                with ctx.wrap_socket(raw, server_hostname=name) as tls:
                    self.fingerprints.add(Served(tls.getpeercert(binary_form=True)).fingerprint)
            self.good += 1
        except OSError as error:
            self.failures.append(f"{name}: {error}")

    def __enter__(self):
        self._thread.start()
        if not self._first.wait(15):
            raise TimeoutError("not one round of handshakes in 15 s")
        return self

    def __exit__(self, *_exception):
        self._stop.set()
        self._thread.join(15)
