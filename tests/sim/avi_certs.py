"""sslkeyandcertificate: keys, certificates and requests of the simulated Avi controller."""

import base64
import datetime
import hashlib
import ipaddress
import re
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from .avi_types import AviError, uuid_of
from .nitro_certs import dns_names, is_ca, issued, key_type, period, plain_pem, utc_now

CA = "SSL_CERTIFICATE_TYPE_CA"
PENDING, FINISHED = "SSL_CERTIFICATE_PENDING", "SSL_CERTIFICATE_FINISHED"
BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
DN = {
    NameOID.COMMON_NAME: ("common_name", "CN"), NameOID.COUNTRY_NAME: ("country", "C"),
    NameOID.STATE_OR_PROVINCE_NAME: ("state", "ST"), NameOID.LOCALITY_NAME: ("locality", "L"),
    NameOID.ORGANIZATION_NAME: ("organization", "O"),
    NameOID.ORGANIZATIONAL_UNIT_NAME: ("organization_unit", "OU"),
    NameOID.EMAIL_ADDRESS: ("email_address", "emailAddress"),
}  # fmt: skip
CURVES = {
    "SECP256R1": ec.SECP256R1, "SECP384R1": ec.SECP384R1, "SECP521R1": ec.SECP521R1,
}  # fmt: skip
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def parse(text):
    """A certificate of PEM text."""
    return x509.load_pem_x509_certificate(text.encode())


def blocks(text):
    """The certificates in PEM text, each parsed; anything else between them is refused."""
    found = BLOCK.findall(text)
    if not found or BLOCK.sub("", text).strip():
        raise AviError(400, "Invalid certificate: no PEM data")
    try:
        return [parse(one) for one in found]
    except ValueError:
        raise AviError(400, "Invalid certificate: cannot be decoded") from None


def pem(cert):
    """As text."""
    return cert.public_bytes(PEM).decode()


def load_key(text, passphrase):
    """The private key in PEM text, as unencrypted PEM."""
    try:
        key = serialization.load_pem_private_key(
            text.encode(), passphrase.encode() if passphrase else None
        )
    except TypeError:
        raise AviError(400, "Invalid key: the passphrase is missing or not needed") from None
    except ValueError:
        raise AviError(400, "Invalid key: cannot be decoded, or a wrong passphrase") from None
    return plain_pem(key).decode()


def _public(key):
    return key.public_key().public_bytes(DER, SPKI)


def belongs(cert, key_pem):
    """Is that the key of the certificate?"""
    return _public(cert) == _public(serialization.load_pem_private_key(key_pem.encode(), None))


def fingerprint(cert):
    """SHA-256, to tell certificates apart."""
    return hashlib.sha256(cert.public_bytes(DER)).hexdigest()


def algorithm(obj):
    """RSA or EC; None while there is no certificate."""
    text = obj.data["certificate"].get("certificate")
    return key_type(parse(text)) if text else None


# ---- what is told ----


def _dn(name):
    fields, parts = {}, []
    for attribute in name:
        long, short = DN.get(attribute.oid, (None, attribute.oid.dotted_string))
        parts.append(f"{short}={attribute.value}")
        if long:
            fields[long] = attribute.value
    return {**fields, "distinguished_name": ", ".join(parts)}


def _key_params(cert):
    key = cert.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        rsa_params = {
            "key_size": f"SSL_KEY_{key.key_size}_BITS", "exponent": key.public_numbers().e
        }  # fmt: skip
        return {"algorithm": "SSL_KEY_ALGORITHM_RSA", "rsa_params": rsa_params}
    curve = f"SSL_KEY_EC_CURVE_{key.curve.name.upper()}"
    return {"algorithm": "SSL_KEY_ALGORITHM_EC", "ec_params": {"curve": curve}}


def described(cert, options):
    """The fields of certificate that the controller reads out of one."""
    begin, end = period(cert)
    sha1 = hashlib.sha1(cert.public_bytes(DER)).hexdigest().upper()
    digest = cert.signature_hash_algorithm
    found = {
        "certificate": pem(cert),
        "version": "2",
        "serial_number": str(cert.serial_number),
        "self_signed": cert.issuer == cert.subject,
        "issuer": _dn(cert.issuer),
        "subject": _dn(cert.subject),
        "signature_algorithm": f"{digest.name}With{key_type(cert)}" if digest else "none",
        "not_before": f"{begin:%Y-%m-%d %H:%M:%S}",
        "not_after": f"{end:%Y-%m-%d %H:%M:%S}",
        "fingerprint": "SHA1 Fingerprint=" + ":".join(re.findall("..", sha1)) + "\n",
    }
    names = dns_names(cert)
    if names and options.tells_alt_names:
        found["subject_alt_names"] = names
    return found


def now(avi):
    """The controller's time."""
    return utc_now() + datetime.timedelta(days=avi.days_later)


def add_validity(avi, certificate):
    """What depends on the day."""
    if certificate.get("not_after"):
        end = datetime.datetime.strptime(certificate["not_after"], "%Y-%m-%d %H:%M:%S")
        left = (end.replace(tzinfo=datetime.timezone.utc) - now(avi)).days
        certificate["days_until_expire"] = max(left, 0)
        certificate["expiry_status"] = (
            "SSL_CERTIFICATE_EXPIRED" if left < 0
            else "SSL_CERTIFICATE_EXPIRY_WARNING" if left < 30
            else "SSL_CERTIFICATE_GOOD"
        )  # fmt: skip


# ---- keys and requests of the controller's own ----


def new_key(params):
    """A private key, as PEM."""
    if params["algorithm"] == "SSL_KEY_ALGORITHM_RSA":
        rsa_params = params.get("rsa_params", {"key_size": "SSL_KEY_2048_BITS", "exponent": 65537})
        bits = int(rsa_params["key_size"].split("_")[2])
        key = rsa.generate_private_key(rsa_params["exponent"], bits)
    else:
        curve = params.get("ec_params", {}).get("curve", "SSL_KEY_EC_CURVE_SECP256R1")
        key = ec.generate_private_key(CURVES[curve.rpartition("_")[2]]())
    return plain_pem(key).decode()


def _general_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)


def new_request(key_pem, certificate):
    """A request for the names in certificate.subject and certificate.subject_alt_names, as PEM."""
    subject = certificate.get("subject", {})
    names = certificate.get("subject_alt_names", [])
    try:
        attributes = [
            x509.NameAttribute(oid, subject[name]) for oid, (name, _) in DN.items()
            if subject.get(name)
        ]  # fmt: skip
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
        if names:
            alternative = x509.SubjectAlternativeName([_general_name(one) for one in names])
            builder = builder.add_extension(alternative, False)
    except ValueError as error:
        raise AviError(400, f"Invalid subject: {error}") from None
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM).decode()


# ---- what a write to an object brings along ----


def _decoded(text, is_base64):
    if not (text and is_base64):
        return text
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        raise AviError(400, "Invalid base64 data") from None


def check(call):
    """A new or changed sslkeyandcertificate."""
    old, data = call.old, call.data
    certificate = dict(data["certificate"])
    certificate["certificate"] = _decoded(
        certificate.get("certificate"), data.pop("certificate_base64", False)
    )
    key, passphrase = data.pop("key", None), data.pop("key_passphrase", None)
    if key:
        key = load_key(_decoded(key, data["key_base64"]), passphrase)
    data["certificate_base64"] = data["key_base64"] = False
    if old and old.data["type"] != data["type"]:
        raise AviError(400, "type: cannot be changed")
    call.kept = {**(old.kept if old else {}), **({"key": key} if key else {})}
    if certificate["certificate"]:
        _uploaded(call, certificate["certificate"])
    else:
        del certificate["certificate"]
        _requested(call, certificate)


def _uploaded(call, text):
    """A certificate came, perhaps with those above it."""
    data, chain = call.data, blocks(text)
    leaf = chain[0]
    if data["type"] == CA:
        if not is_ca(leaf):
            raise AviError(400, "Not a CA certificate")
        call.kept.pop("key", None)
    else:
        if "key" not in call.kept:
            raise AviError(400, "key: this field is required")
        if not belongs(leaf, call.kept["key"]):
            raise AviError(400, "The key does not belong to the certificate")
    request = call.old and call.old.data["certificate"].get("certificate_signing_request")
    install(call.avi, data, leaf, request)
    call.brings = chain[1:]


def install(avi, data, leaf, request):
    """Make data that of an object with this certificate."""
    data["certificate"] = described(leaf, avi)
    if request:
        data["certificate"]["certificate_signing_request"] = request
    data["key_params"] = _key_params(leaf)
    data["status"] = FINISHED


def _requested(call, certificate):
    """No certificate: the controller is to make a key and a request for one."""
    data = call.data
    if call.old and call.old.data.get("status") == FINISHED:
        raise AviError(400, "certificate.certificate: this field is required")
    if call.old:  # still waiting for it
        data["certificate"], data["status"] = call.old.data["certificate"], PENDING
        return
    if data["type"] == CA or "key_params" not in data or not (
        certificate.get("subject", {}).get("common_name") or certificate.get("subject_alt_names")
    ):  # fmt: skip
        raise AviError(400, "certificate.certificate: this field is required")
    if certificate.get("self_signed"):
        raise AviError(400, "self_signed: the simulator makes none")
    certificate["self_signed"] = False
    call.kept["key"] = new_key(data["key_params"])
    certificate["certificate_signing_request"] = new_request(call.kept["key"], certificate)
    data["certificate"], data["status"] = certificate, PENDING


# ---- chains ----


def add_authorities(avi, chain, tenant):
    """What came along with a leaf becomes objects, each certificate only once."""
    there = {
        fingerprint(parse(one.data["certificate"]["certificate"])): one
        for one in avi.store.visible("sslkeyandcertificate", tenant)
        if one.data["type"] == CA
    }
    for cert in chain:
        if not is_ca(cert) or fingerprint(cert) in there:
            continue
        base = described(cert, avi)["subject"].get("common_name", "CA")
        name, number = base, 1
        while avi.store.named("sslkeyandcertificate", name, tenant):
            name, number = f"{base}-{number}", number + 1
        there[fingerprint(cert)] = avi.admin_call(
            "POST", "sslkeyandcertificate", tenant=tenant,
            body={"name": name, "type": CA, "certificate": {"certificate": pem(cert)}},
        )  # fmt: skip


def link(avi, tenant):
    """Have each certificate point to the one that issued it, when the controller has it.

    The first of equal ones is taken, whatever a client said. It does not count as a change.
    """
    if not avi.auto_link:
        return
    every = [
        one
        for one in avi.store.visible("sslkeyandcertificate", tenant)
        if one.data["certificate"].get("certificate")
    ]
    parsed = {one.uuid: parse(one.data["certificate"]["certificate"]) for one in every}
    authorities = [one for one in every if one.data["type"] == CA]
    for one in every:
        above = next((ca for ca in authorities if issued(parsed[ca.uuid], parsed[one.uuid])), None)
        wanted = [{"name": above.name, "ca_ref": above.ref}] if above and above is not one else None
        if one.data.get("ca_certs") == wanted:
            continue
        data = {name: value for name, value in one.data.items() if name != "ca_certs"}
        if wanted:
            data["ca_certs"] = wanted
        certificate = {**data["certificate"], "chain_verified": bool(wanted)}
        avi.store.objects[one.uuid] = replace(one, data={**data, "certificate": certificate})


def chain_of(objects, obj):
    """A certificate and those above it, as they are sent: (PEM text, key)."""
    text, seen, at = obj.data["certificate"]["certificate"], {obj.uuid}, obj
    while at.data.get("ca_certs"):
        at = objects.get(uuid_of(at.data["ca_certs"][0].get("ca_ref")))
        if not at or at.uuid in seen or at.data["certificate"].get("self_signed"):
            break
        seen.add(at.uuid)
        text += at.data["certificate"]["certificate"]
    return text, obj.kept["key"]


def fits_request(cert, request_pem):
    """Is a certificate for the key of a request?"""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
    except ValueError:
        return False
    return _public(cert) == request.public_key().public_bytes(DER, SPKI)
