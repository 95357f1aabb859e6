"""Keys and certificates of the simulated CA: chains, leaves, and what a request asks for."""

import datetime
import ipaddress
import os
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .ca_http import Refused
from .ca_jws import encode

DAY = 86400
WEAK = ("md5", "sha1")
STRONG_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_EPOCH = datetime.datetime(1970, 1, 1)


def moment(seconds):
    """A datetime as cryptography wants it, from seconds since 1970."""
    return _EPOCH + datetime.timedelta(seconds=int(seconds))


def new_key(key_type="ec"):
    """A private key."""
    if key_type == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def pem(der):
    """A certificate as text."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def common_name(text):
    """A subject with nothing but a common name; None for an empty subject."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def check_signature(cert, key):
    """Raise InvalidSignature unless this key signed it."""
    digest = cert.signature_hash_algorithm
    how = [ec.ECDSA(digest)]
    if isinstance(key, rsa.RSAPublicKey):
        how = [padding.PKCS1v15(), digest]
    key.verify(cert.signature, cert.tbs_certificate_bytes, *how)


def general_name(kind, value):
    """An entry of a subjectAltName."""
    if kind == "ip":
        return x509.IPAddress(ipaddress.ip_address(value))
    return x509.DNSName(value)


def serial_bytes(serial):
    """The content octets of the serial as a DER INTEGER: with the byte that keeps it positive."""
    return serial.to_bytes(serial.bit_length() // 8 + 1, "big")


# ---- DER, as far as a certificate must be taken apart ----


def der(tag, content):
    """A DER element."""
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def der_children(data):
    """The elements inside the outermost one."""
    children, offset = [], 0
    _, data = der_split(data)
    while offset < len(data):
        size, _ = der_split(data[offset:])
        children.append(data[offset : offset + size])
        offset += size
    return children


def der_split(data):
    """(length of the element, its content)."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return start + length, data[start : start + length]


_SHA1_EC = bytes.fromhex("300906072a8648ce3d0401")
_SHA1_RSA = bytes.fromhex("300d06092a864886f70d0101050500")


def signed_with_sha1(cert, key):
    """The certificate again, signed with SHA-1: the library itself refuses to."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    algorithm = _SHA1_RSA if is_rsa else _SHA1_EC
    fields = der_children(der_children(cert)[0])
    fields[2] = algorithm
    tbs = der(0x30, b"".join(fields))
    sha1 = hashes.SHA1()
    signature = key.sign(tbs, padding.PKCS1v15(), sha1) if is_rsa else key.sign(tbs, ec.ECDSA(sha1))
    return der(0x30, tbs + algorithm + der(0x03, b"\0" + signature))


# ---- chains ----


@dataclass
class Leaf:
    """A certificate to be: a misbehaviour may change any of it."""

    names: list  # (type, value)
    key: object  # public
    not_before: float
    not_after: float
    serial: int
    subject: str = None
    is_ca: bool = False
    usages: list = field(default_factory=lambda: [ExtendedKeyUsageOID.SERVER_AUTH])
    digest: str = "sha256"
    with_key_id: bool = True  # authorityKeyIdentifier
    extensions: list = field(default_factory=list)


class Authority:
    """Roots, intermediates, and the key leaves are signed with.

    Chain 0 is the default one; chain k goes up to another root over intermediates of the same names
    and keys. lengths has the number of intermediates of each chain.
    """

    def __init__(self, key_type, lengths, now):
        self._start = now - DAY
        self.issuer_key = new_key(key_type)
        self.issuer_name = "certauto sim issuer"
        self.roots, self.chains = [], []
        for number, length in enumerate(lengths):
            self._add_chain(number, length, key_type)
        self.key_id = x509.SubjectKeyIdentifier.from_public_key(
            self.issuer_key.public_key()
        ).digest
        self._aki = x509.AuthorityKeyIdentifier(self.key_id, None, None)

    def _add_chain(self, number, length, key_type):
        key, name = new_key(key_type), f"certauto sim root {number}"
        self.roots.append(authority_certificate(name, key.public_key(), name, key, self._start))
        chain = []
        for step in range(length, 0, -1):
            below = self.issuer_key if step == 1 else new_key(key_type)
            below_name = self.issuer_name if step == 1 else f"certauto sim intermediate {step}"
            cert = authority_certificate(below_name, below.public_key(), name, key, self._start)
            chain.insert(0, cert)
            key, name = below, below_name
        self.chains.append(chain)

    def sign(self, leaf, key=None):
        """The certificate for a leaf, in DER."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(common_name(leaf.subject))
            .issuer_name(common_name(self.issuer_name))
            .public_key(leaf.key)
            .serial_number(leaf.serial)
            .not_valid_before(moment(leaf.not_before))
            .not_valid_after(moment(leaf.not_after))
            .add_extension(x509.BasicConstraints(leaf.is_ca, None), True)
            .add_extension(_usage(leaf.is_ca), True)
        )
        if leaf.names:
            names = [general_name(kind, value) for kind, value in leaf.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), not leaf.subject)
        if leaf.usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.usages), False)
        if leaf.with_key_id:
            builder = builder.add_extension(self._aki, False)
        for extension, critical in leaf.extensions:
            builder = builder.add_extension(extension, critical)
        key = key or self.issuer_key
        cert = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return signed_with_sha1(cert, key) if leaf.digest == "sha1" else cert


def _usage(is_ca):
    return x509.KeyUsage(True, False, False, False, False, is_ca, is_ca, False, False)


def authority_certificate(name, key, issuer, issuer_key, start):
    """The certificate of a CA, valid for ten years, in DER."""
    key_id = x509.SubjectKeyIdentifier.from_public_key(key)
    above = x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(name))
        .issuer_name(common_name(issuer))
        .public_key(key)
        .serial_number(int.from_bytes(os.urandom(16), "big") >> 1)
        .not_valid_before(moment(start))
        .not_valid_after(moment(start + 3650 * DAY))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_usage(True), True)
        .add_extension(key_id, False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), False
        )
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def certificate_id(key_id, serial):
    """The name of a certificate in RFC 9773."""
    return f"{encode(key_id)}.{encode(serial_bytes(serial))}"


# ---- certificate requests ----


def load_request(data):
    """(request, key, key in DER) of a request whose signature is good and whose key is strong."""
    try:
        request = x509.load_der_x509_csr(data)
        digest, key = request.signature_hash_algorithm, request.public_key()
        good, key_der = request.is_signature_valid, der_children(der_children(data)[0])[2]
    except Exception as error:  # whatever the parser says: the request is at fault
        raise Refused("badCSR", f"not a certificate request: {error}") from None
    if not good:
        raise Refused("badCSR", "the signature of the request is wrong")
    if digest and digest.name in WEAK:
        raise Refused("badCSR", f"signed with {digest.name}")
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < 2048:
            raise Refused("badCSR", f"RSA key of {key.key_size} bits")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in STRONG_CURVES:
        raise Refused("badCSR", "that kind of key is not for us")
    return request, key, key_der


def requested_names(request, common_name_counts=False):
    """The set of (type, value) a request asks for; refuses a common name that is not among them,
    unless that counts as one."""
    names, count = set(), 0
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        for entry in extension.value:
            count += 1
            if isinstance(entry, x509.DNSName):
                names.add(("dns", entry.value))
            elif isinstance(entry, x509.IPAddress):
                names.add(("ip", str(entry.value)))
            else:
                raise Refused("badCSR", "a name that is neither dNSName nor iPAddress")
    except x509.ExtensionNotFound:
        if not common_name_counts:
            raise Refused("badCSR", "no subjectAltName") from None
    except ValueError as error:
        raise Refused("badCSR", f"extensions: {error}") from None
    if count != len(names):
        raise Refused("badCSR", "a name twice")
    for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if common_name_counts:
            names.add(("dns", attribute.value.lower()))
        elif attribute.value not in {value for _, value in names}:
            raise Refused("badCSR", f"common name {attribute.value} is not in subjectAltName")
    return names
