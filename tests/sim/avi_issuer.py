"""A root, an intermediate and what it signs, for what virtual services of a simulator serve."""

import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from . import ca_pki
from .nitro_certs import plain_pem


class Issuer:
    """root, intermediate: PEM text. key: that of the intermediate, as PEM when it was kept."""

    def __init__(self, key=None, intermediate=None):
        start = int(time.time()) - 3600
        self.key, self.intermediate, self.root = ca_pki.new_key(), intermediate, None
        if key:
            self.key = serialization.load_pem_private_key(key.encode(), None)
            return
        root_key = ca_pki.new_key()
        root = ca_pki.authority_certificate("Root", root_key.public_key(), "Root", root_key, start)
        above = ca_pki.authority_certificate(
            "Intermediate", self.key.public_key(), "Root", root_key, start
        )
        self.root, self.intermediate = [ca_pki.pem(one).decode() for one in (root, above)]

    @property
    def kept(self):
        """What makes another one of the same kind, say in another process."""
        return {"key": plain_pem(self.key).decode(), "intermediate": self.intermediate}

    def leaf(self, key, *names, days=90):
        """A certificate for a private or public key, in PEM."""
        start = int(time.time()) - 3600
        alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = (
            x509.CertificateBuilder()
            .subject_name(ca_pki.common_name(names[0]))
            .issuer_name(ca_pki.common_name("Intermediate"))
            .public_key(key.public_key() if hasattr(key, "public_key") else key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(ca_pki.moment(start))
            .not_valid_after(ca_pki.moment(start + days * ca_pki.DAY))
            .add_extension(alternative, False)
        )
        cert = builder.sign(self.key, hashes.SHA256())
        return cert.public_bytes(serialization.Encoding.PEM).decode()

    def pair(self, key, *names):
        """(certificate, key) in PEM."""
        return self.leaf(key, *names), plain_pem(key).decode()
