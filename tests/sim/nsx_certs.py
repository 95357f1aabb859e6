"""Certificates and keys as the simulated NSX Manager reads them, and those it makes."""

import ipaddress
import time
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from . import ca_pki
from .avi_certs import BLOCK, fingerprint, parse, pem
from .nitro_certs import is_ca, issued, key_type, period, plain_pem
from .nsx_types import BAD_KEY, BAD_PEM, KEY_MISMATCH, refused

__all__ = ["fingerprint", "parse", "pem", "is_ca", "plain_pem"]  # for the other parts

SELF_SIGNED, SIGNED, AUTHORITY = (
    "certificate_self_signed", "certificate_signed", "certificate_ca"
)  # fmt: skip
SUBJECT = {
    "CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME, "L": NameOID.LOCALITY_NAME,
}  # fmt: skip
CURVES = ("secp256r1", "secp384r1", "secp521r1")
NO_MATCH = "Certificate and private key do not match."


@dataclass
class Record:
    """One entry of the certificate store. chain: parsed, the leaf first."""

    id: str
    name: str
    chain: list
    key: str = None  # PEM
    text: str = ""  # as it is told
    description: str = None
    tags: list = None
    user: str = "admin"
    created: int = field(default_factory=lambda: int(time.time() * 1000))
    path: str = None  # of a policy object
    path_tags: list = field(default_factory=list)
    system: bool = False
    crl_left: int = 0  # how often validation says that the CRL is not there yet; -1: for ever

    @property
    def leaf(self):
        """The certificate it is about."""
        return self.chain[0]

    @property
    def kind(self):
        """The word for it."""
        if is_ca(self.leaf):
            return AUTHORITY
        return SELF_SIGNED if is_self_signed(self.leaf) else SIGNED

    @property
    def fingerprint(self):
        """SHA-256 of the leaf, lower-case hex."""
        return fingerprint(self.leaf)


def is_self_signed(cert):
    """Is it its own issuer?"""
    return cert.issuer == cert.subject


def chain_of(text):
    """The certificates in PEM text, in order: each signed by the next one."""
    found = BLOCK.findall(text)
    if not found or BLOCK.sub("", text).strip():
        raise refused("The PEM encoded certificate is not valid.", BAD_PEM)
    try:
        chain = [parse(one) for one in found]
    except ValueError:
        raise refused("The PEM encoded certificate is not valid.", BAD_PEM) from None
    for below, above in zip(chain, chain[1:]):
        if below.issuer != above.subject or not issued(above, below):
            raise refused(
                "The certificate chain is not in order: leaf, intermediates, root.", BAD_PEM
            )
    return chain


def load_key(text, passphrase):
    """The private key in PEM text, as unencrypted PEM."""
    load = serialization.load_pem_private_key
    try:
        try:
            key = load(text.encode(), None)
        except TypeError:  # it is encrypted
            if not passphrase:
                raise refused("The passphrase of the private key is missing.", BAD_KEY) from None
            key = load(text.encode(), passphrase.encode())
    except ValueError:
        raise refused("The private key or its passphrase is not valid.", BAD_KEY) from None
    if isinstance(key, rsa.RSAPrivateKey):
        good = 2048 <= key.key_size <= 4096
    else:
        good = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES
    if not good:
        raise refused("The algorithm or size of the private key is not supported.", BAD_KEY)
    return plain_pem(key).decode()


def _public(key):
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def check_pair(cert, key):
    """400 unless the PEM key is that of the certificate."""
    own = serialization.load_pem_private_key(key.encode(), None).public_key()
    if _public(own) != _public(cert.public_key()):
        raise refused(NO_MATCH, KEY_MISMATCH)


def has_basic_constraints(cert):
    """Does it say whether it is a CA?"""
    return _extension(cert, ExtensionOID.BASIC_CONSTRAINTS) is not None


def _extension(cert, oid):
    try:
        return cert.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None


def has_crl(cert):
    """Does it say where its CRL is?"""
    return _extension(cert, ExtensionOID.CRL_DISTRIBUTION_POINTS) is not None


def allows(cert, usage):
    """Is it for a "SERVER" or a "CLIENT"?"""
    found = _extension(cert, ExtensionOID.EXTENDED_KEY_USAGE)
    wanted = {
        "SERVER": ExtendedKeyUsageOID.SERVER_AUTH, "CLIENT": ExtendedKeyUsageOID.CLIENT_AUTH
    }  # fmt: skip
    return found is not None and wanted[usage] in found


def names_of(cert):
    """Common name, DNS names and addresses, as text."""
    found = [one.value for one in cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    alternative = _extension(cert, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if alternative:
        found += alternative.get_values_for_type(x509.DNSName)
        found += [str(one) for one in alternative.get_values_for_type(x509.IPAddress)]
    return [one.lower() for one in found]


def covers(cert, name):
    """Is a certificate for a name or an address?"""
    name = name.lower()
    wide = "*." + name.partition(".")[2]
    return any(one in (name, wide) for one in names_of(cert))


def _common_name(name):
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return found[0].value if found else ""


def _moment(when, form):
    milliseconds = int(when.timestamp() * 1000)
    return str(milliseconds) if form == "text" else milliseconds


def described(cert, dates):
    """An entry of details."""
    begin, end = period(cert)
    return {
        "subject_cn": _common_name(cert.subject),
        "issuer_cn": _common_name(cert.issuer),
        "subject": cert.subject.rfc4514_string(),
        "issuer": cert.issuer.rfc4514_string(),
        "serial_number": f"{cert.serial_number:x}",
        "not_before": _moment(begin, dates),
        "not_after": _moment(end, dates),
        "version": "3",
        "is_ca": is_ca(cert),
        "public_key_algo": key_type(cert),
    }


# ---- what is made here ----


def _alternative(names):
    found = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


class Maker:
    """Makes certificates: tls.file and tls.key are those of a CA; without one self-signed."""

    def __init__(self, tls=None):
        self.cert = self.key = None
        if tls:
            with open(tls.file, "rb") as file:
                self.cert = x509.load_pem_x509_certificate(file.read())
            with open(tls.key, "rb") as file:
                self.key = serialization.load_pem_private_key(file.read(), None)

    def make(self, names, key=None):
        """([leaf, root], key in PEM) for names and addresses."""
        key = key or ca_pki.new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        leaf = certificate(
            subject, key.public_key(), self.key or key, names,
            issuer=self.cert.subject if self.cert else subject,
        )  # fmt: skip
        return [leaf, *([self.cert] if self.cert else [])], plain_pem(key).decode()


def certificate(
    subject, public, signer, names, issuer=None, days=825, constraints=True, crl=None,
    usages=("SERVER", "CLIENT"), start=None,
):  # fmt: skip
    """A certificate of a server."""
    start = int(time.time()) - 3600 if start is None else start
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(ca_pki.moment(start))
        .not_valid_after(ca_pki.moment(start + days * ca_pki.DAY))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    if names:
        builder = builder.add_extension(_alternative(names), False)
    if constraints:
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
    if usages:
        oids = {
            "SERVER": ExtendedKeyUsageOID.SERVER_AUTH, "CLIENT": ExtendedKeyUsageOID.CLIENT_AUTH
        }  # fmt: skip
        builder = builder.add_extension(x509.ExtendedKeyUsage([oids[one] for one in usages]), False)
    if crl:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), False)
    return builder.sign(signer, hashes.SHA256())


def subject_of(attributes):
    """A subject of [{"key", "value"}]."""
    try:
        return x509.Name([x509.NameAttribute(SUBJECT[one["key"]], one["value"])
                          for one in attributes])  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise refused(f"The subject is not valid: {error}") from None


def request(key, subject, names):
    """A signing request."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(_alternative(names), False)
    return builder.sign(key, hashes.SHA256())
