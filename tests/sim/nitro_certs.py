"""Certificates and keys as the simulated device reads them, and device-made ones."""

import functools
import hashlib
import re
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from .nitro_errors import NitroError

PEM_CERT = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
PEM = serialization.Encoding.PEM
SHORT = {
    NameOID.COUNTRY_NAME: "C", NameOID.STATE_OR_PROVINCE_NAME: "ST", NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O", NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
}  # fmt: skip
REQUEST_FIELDS = {
    "countryname": NameOID.COUNTRY_NAME, "statename": NameOID.STATE_OR_PROVINCE_NAME,
    "localityname": NameOID.LOCALITY_NAME, "organizationname": NameOID.ORGANIZATION_NAME,
    "organizationunitname": NameOID.ORGANIZATIONAL_UNIT_NAME, "commonname": NameOID.COMMON_NAME,
    "emailaddress": NameOID.EMAIL_ADDRESS,
}  # fmt: skip
CURVES = {
    "P_256": ec.SECP256R1, "P_384": ec.SECP384R1, "P_224": ec.SECP224R1, "P_521": ec.SECP521R1,
}  # fmt: skip


@functools.lru_cache(maxsize=4096)
def certificate(content, inform="PEM"):
    """The first certificate of a file."""
    try:
        if inform == "DER":
            return x509.load_der_x509_certificate(content)
        found = PEM_CERT.search(content)
        if not found:
            raise ValueError("no PEM certificate")
        return x509.load_pem_x509_certificate(found[0] + b"\n")
    except ValueError:
        raise NitroError(1536) from None


@functools.lru_cache(maxsize=4096)
def private_key(content, password=None, inform="PEM"):
    """The key of a file, decrypted."""
    load = serialization.load_pem_private_key
    if inform == "DER":
        load = serialization.load_der_private_key
    try:
        try:
            key = load(content, None)
        except TypeError:  # it is encrypted
            if password is None:
                raise NitroError(1613) from None
            try:
                key = load(content, password.encode())
            except ValueError:
                raise NitroError(1614) from None
    except ValueError:
        raise NitroError(1537) from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in (
        "secp224r1", "secp256r1", "secp384r1", "secp521r1",
    ):  # fmt: skip
        raise NitroError(1676, key.curve.name)
    if isinstance(key, rsa.RSAPrivateKey) and not 512 <= key.key_size <= 4096:
        raise NitroError(1562)
    return key


def from_pfx(content, password):
    """(certificate, key) in PEM."""
    try:
        key, cert, _ = pkcs12.load_key_and_certificates(content, (password or "").encode() or None)
    except ValueError:
        raise NitroError(1614 if password else 1613) from None
    if not key or not cert:
        raise NitroError(1536)
    return cert.public_bytes(PEM), plain_pem(key)


def plain_pem(key):
    """An unencrypted PEM key."""
    return key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_bytes(key):
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@functools.lru_cache(maxsize=4096)
def _belong(cert, key_pem):
    key = serialization.load_pem_private_key(key_pem, None)
    return _public_bytes(certificate(cert).public_key()) == _public_bytes(key.public_key())


def check_pair(cert_pem, key_pem):
    """1538 unless the key is that of the certificate."""
    if not _belong(cert_pem, key_pem):
        raise NitroError(1538)


def key_type(cert):
    """RSA or EC: one of each may be bound side by side."""
    return "RSA" if isinstance(cert.public_key(), rsa.RSAPublicKey) else "EC"


def is_ca(cert):
    """May it issue?"""
    try:
        extension = cert.extensions.get_extension_for_class(x509.BasicConstraints)
        return bool(extension.value.ca)
    except x509.ExtensionNotFound:
        return False


def issued(issuer, cert):
    """Did one certificate's key sign the other?"""
    if issuer.subject != cert.issuer or not is_ca(issuer):
        return False
    key, scheme = issuer.public_key(), [cert.signature_hash_algorithm]
    scheme = [padding.PKCS1v15(), *scheme] if isinstance(key, rsa.RSAPublicKey) else [
        ec.ECDSA(cert.signature_hash_algorithm)
    ]  # fmt: skip
    try:
        key.verify(cert.signature, cert.tbs_certificate_bytes, *scheme)
        return True
    except (InvalidSignature, TypeError, ValueError):
        return False


def common_name(cert):
    """What it is registered to, for the device: the common name, else the first DNS name."""
    names = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if names:
        return names[0].value
    return next(iter(dns_names(cert)), "")


def dns_names(cert):
    """Its DNS names."""
    try:
        extension = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return []


def _name(name):
    return " " + ",".join(f"{SHORT.get(a.oid, a.oid.dotted_string)}={a.value}" for a in name)


def _kind(cert):
    if not is_ca(cert):
        return ["CLNT_CERT", "SRVR_CERT"]
    return ["ROOT_CERT"] if cert.issuer == cert.subject else ["INTM_CERT"]


def period(cert):
    """(not before, not after); older versions of the library give them without a time zone."""
    if hasattr(cert, "not_valid_before_utc"):
        return cert.not_valid_before_utc, cert.not_valid_after_utc
    return tuple(
        one.replace(tzinfo=timezone.utc) for one in (cert.not_valid_before, cert.not_valid_after)
    )


def validity(cert, now):
    """(code of the warning or None, the device's word for it)."""
    begin, end = period(cert)
    if now < begin:
        return 1588, "Not yet valid"
    if now > end:
        return 1589, "Expired"
    return None, "Valid"


@functools.lru_cache(maxsize=4096)
def _fixed(content):
    cert = certificate(content)
    is_rsa, serial = key_type(cert) == "RSA", f"{cert.serial_number:X}"
    begin, end = period(cert)
    digest = (cert.signature_hash_algorithm.name if cert.signature_hash_algorithm else "").lower()
    return {
        "serial": serial.zfill(len(serial) + len(serial) % 2),
        "issuer": _name(cert.issuer),
        "subject": _name(cert.subject),
        "signaturealg": f"{digest}WithRSAEncryption" if is_rsa else f"ecdsa-with-{digest.upper()}",
        "clientcertnotbefore": _date(begin),
        "clientcertnotafter": _date(end),
        "publickey": "rsaEncryption" if is_rsa else "id-ecPublicKey",
        "publickeysize": cert.public_key().key_size,
        "version": 3,
        "certificatetype": _kind(cert),
        "sandns": ", ".join(dns_names(cert)),
        "certkeydigest": hashlib.sha256(content).hexdigest(),
    }


def shown(content, now):
    """What GET sslcertkey tells of a certificate."""
    cert = certificate(content)
    return {
        **_fixed(content),
        "daystoexpiration": max(0, (period(cert)[1] - now).days),
        "status": validity(cert, now)[1],
    }


def _date(when):
    return f"{when:%b} {when.day:2d} {when:%H:%M:%S %Y} GMT"


def utc_now():
    """Now, as certificates tell it."""
    return datetime.now(timezone.utc)


def new_rsa(bits, exponent):
    """A key of the device's own."""
    return rsa.generate_private_key(public_exponent=exponent, key_size=bits)


def new_ec(curve):
    """A key of the device's own."""
    return ec.generate_private_key(CURVES[curve]())


def request(key, args, names, digest):
    """A signing request with what the command says in its subject; names: texts and addresses."""
    fields = ((oid, args.get(name)) for name, oid in REQUEST_FIELDS.items())
    try:
        subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in fields if value])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    except ValueError:
        raise NitroError(1097, "subject") from None
    if names:
        alternative = x509.SubjectAlternativeName(
            [x509.DNSName(n) if isinstance(n, str) else x509.IPAddress(n) for n in names]
        )
        builder = builder.add_extension(alternative, critical=False)
    algorithm = {"SHA1": hashes.SHA1, "SHA256": hashes.SHA256}[digest]()
    return builder.sign(key, algorithm).public_bytes(PEM)
