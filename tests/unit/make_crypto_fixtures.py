#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes crypto_fixtures.h: keys, requests and certificates, right and wrong ones.

The header is committed; run this only to add a case (needs python3-cryptography and openssl):
    tests/unit/make_crypto_fixtures.py > tests/unit/crypto_fixtures.h
"""
import base64
import datetime
import ipaddress
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU
from cryptography.x509.oid import AttributeOID, NameOID

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PLAIN = serialization.NoEncryption()
SHA256 = hashes.SHA256()

NOT_BEFORE = datetime.datetime(2026, 5, 1)
NOT_AFTER = datetime.datetime(2026, 7, 30)  # 90 days
CA_BEFORE = datetime.datetime(2020, 1, 1)
CA_AFTER = datetime.datetime(2060, 1, 1)

out = []


def emit(name, text):
    """A string constant, a line of text on a line of its own."""
    if isinstance(text, bytes):
        text = text.decode()
    lines = "".join('\n\t"%s\\n"' % line for line in text.splitlines())
    out.append("static const char %s[] =%s;\n" % (name, lines))


def emit_key(name, key, form=PKCS8, encryption=PLAIN):
    emit(name, key.private_bytes(PEM, form, encryption))


def number(text):
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def openssl(*args, stdin=None):
    return subprocess.run(("openssl",) + args, input=stdin, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


# ---- keys ----

def ec_with_zero(which):
    """A key whose x or y starts with a zero byte: one in 256 does."""
    while True:
        key = ec.generate_private_key(ec.SECP256R1())
        if getattr(key.public_key().public_numbers(), which) >> 248 == 0:
            return key


def rfc7515_a3():
    public = ec.EllipticCurvePublicNumbers(
        number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"), ec.SECP256R1())
    return ec.EllipticCurvePrivateNumbers(
        number("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), public).private_key()


RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
    "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
    "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
    "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")


def keys(leaf, leaf_rsa, leaf_p384):
    emit_key("key_p256", leaf)
    emit_key("key_p256_sec1", leaf, TRADITIONAL)
    emit("key_p256_with_parameters",
         openssl("ecparam", "-name", "prime256v1") + leaf.private_bytes(PEM, TRADITIONAL, PLAIN))
    emit_key("key_p384", leaf_p384)
    emit_key("key_rsa2048", leaf_rsa)
    emit_key("key_rsa2048_pkcs1", leaf_rsa, TRADITIONAL)
    emit("key_p256_public", leaf.public_key().public_bytes(PEM, SPKI))
    encryption = serialization.BestAvailableEncryption(b"secret")
    emit_key("key_encrypted", leaf, PKCS8, encryption)
    emit_key("key_encrypted_old", leaf, TRADITIONAL, encryption)
    emit_key("key_p521", ec.generate_private_key(ec.SECP521R1()))
    emit_key("key_secp256k1", ec.generate_private_key(ec.SECP256K1()))
    emit_key("key_rsa1024", rsa.generate_private_key(65537, 1024))
    emit_key("key_ed25519", ed25519.Ed25519PrivateKey.generate())
    emit_key("key_zero_x", ec_with_zero("x"))
    emit_key("key_zero_y", ec_with_zero("y"))
    emit_key("key_rfc7515_a3", rfc7515_a3())
    rfc7638 = rsa.RSAPublicNumbers(65537, number(RFC7638_N)).public_key()
    emit("key_rfc7638_public", rfc7638.public_bytes(PEM, SPKI))
    der = leaf.private_bytes(serialization.Encoding.DER, TRADITIONAL, PLAIN)
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    mismatched = base64.encodebytes(der[:-65] + other).decode()
    emit("key_p256_mismatched",
         "-----BEGIN EC PRIVATE KEY-----\n%s-----END EC PRIVATE KEY-----\n" % mismatched)


# ---- requests ----

def san(*names):
    general = []
    for name in names:
        if "@" in name:
            general.append(x509.RFC822Name(name))
        elif name.replace(".", "").isdigit() or ":" in name:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        else:
            general.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(general)


def request(key, subject, names, digest=SHA256, password=None):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(san(*names), False)
    if password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, password)
    return builder.sign(key, digest)


def attribute(oid, value):
    return x509.NameAttribute(oid, value)


def requests(leaf, leaf_rsa, leaf_p384):
    cn = attribute(NameOID.COMMON_NAME, "Shop.example.org")
    org = attribute(NameOID.ORGANIZATION_NAME, "Example, Inc. + Sons")
    names = ["Shop.example.org", "*.shop.example.org", "192.0.2.1", "2001:db8::1"]
    full = request(leaf, [org, cn], names, password=b"challenge").public_bytes(PEM)
    emit("csr_full", full)
    emit("csr_new_label", full.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"))
    emit("csr_cn_only", request(leaf_rsa, [cn], None).public_bytes(PEM))
    emit("csr_empty_subject",
         request(leaf_p384, [], ["shop.example.org"], hashes.SHA512()).public_bytes(PEM))
    emit("csr_no_name", request(leaf, [org], None).public_bytes(PEM))
    emit("csr_bad_cn", request(leaf, [org, attribute(NameOID.COMMON_NAME, "My Shop")],
                               None).public_bytes(PEM))
    emit("csr_email", request(leaf, [cn], ["shop.example.org", "a@example.org"]).public_bytes(PEM))
    emit("csr_bad_name", request(leaf, [], ["a..example.org"]).public_bytes(PEM))
    der = bytearray(request(leaf, [], ["shop.example.org"]).public_bytes(
        serialization.Encoding.DER))
    der[der.index(b"shop")] ^= 1  # "rhop"
    emit("csr_bad_signature", "-----BEGIN CERTIFICATE REQUEST-----\n%s"
         "-----END CERTIFICATE REQUEST-----\n" % base64.encodebytes(bytes(der)).decode())


# ---- certificates ----

class Authority:
    def __init__(self, cn, issuer=None, digest=SHA256, key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([attribute(NameOID.COUNTRY_NAME, "XX"),
                               attribute(NameOID.ORGANIZATION_NAME, "Example"),
                               attribute(NameOID.COMMON_NAME, cn)])
        by = issuer or self
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.cert = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(by.name)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(CA_BEFORE).not_valid_after(CA_AFTER)
            .add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .sign(by.key, digest))

    def issue(self, key, names=("shop.example.org", "www.shop.example.org"), eku=(EKU.SERVER_AUTH,),
              ca=False, digest=SHA256, serial=None, subject=None, not_after=NOT_AFTER, extra=None):
        name = x509.Name([attribute(NameOID.COMMON_NAME, subject)] if subject else [])
        builder = (
            x509.CertificateBuilder().subject_name(name).issuer_name(self.name)
            .public_key(key.public_key()).serial_number(serial or x509.random_serial_number())
            .not_valid_before(NOT_BEFORE).not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca, None), True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.key.public_key()), False))
        if names:
            builder = builder.add_extension(
                names if isinstance(names, x509.SubjectAlternativeName) else san(*names), False)
        if eku:
            builder = builder.add_extension(x509.ExtendedKeyUsage(eku), False)
        if extra:
            builder = builder.add_extension(extra, True)
        return builder.sign(self.key, digest)


def emit_chain(name, *certs):
    emit(name, b"".join(cert.public_bytes(PEM) for cert in certs))


def certificates(leaf, leaf_rsa):
    root = Authority("Test Root")
    inter = Authority("Test Intermediate", root)
    rsa_inter = Authority("Test RSA", root, key=rsa.generate_private_key(65537, 2048))
    i, r = inter.cert, rsa_inter.cert
    emit_key("ca_root_key", root.key)
    emit_chain("ca_root", root.cert)
    emit_key("ca_inter_key", inter.key)
    emit_chain("ca_inter", i)

    good = inter.issue(leaf, serial=0x87654321, subject="shop.example.org")
    emit_chain("chain_good", good, i)
    emit_chain("chain_good_alone", good)
    emit_chain("chain_good_with_root", good, i, root.cert)
    emit_chain("chain_good_rsa", rsa_inter.issue(leaf_rsa, digest=hashes.SHA512()), r)
    emit_chain("chain_good_no_eku", inter.issue(leaf, eku=None), i)
    emit_chain("chain_good_any_eku", inter.issue(leaf, eku=(EKU.ANY_EXTENDED_KEY_USAGE,)), i)
    emit_chain("chain_good_upper_case",
               inter.issue(leaf, ("SHOP.example.org", "www.Shop.example.org")), i)
    emit_chain("chain_good_addresses", inter.issue(leaf, ("192.0.2.1", "2001:db8::1")), i)
    old_root = Authority("Old Root", digest=hashes.SHA1())
    by_old = Authority("New Intermediate", old_root)
    emit_chain("chain_good_sha1_root", by_old.issue(leaf), by_old.cert, old_root.cert)
    constraint = x509.NameConstraints([x509.DNSName("example.org")], None)
    emit_chain("chain_good_critical", inter.issue(leaf, extra=constraint), i)

    emit_chain("chain_missing_name", inter.issue(leaf, ("shop.example.org",)), i)
    emit_chain("chain_extra_name", inter.issue(leaf, (
        "shop.example.org", "www.shop.example.org", "evil.example.org")), i)
    emit_chain("chain_other_names", inter.issue(leaf, ("a.example.org", "b.example.org")), i)
    emit_chain("chain_wildcard", inter.issue(leaf, ("shop.example.org", "*.shop.example.org")), i)
    emit_chain("chain_cn_only", inter.issue(leaf, None, subject="shop.example.org"), i)
    emit_chain("chain_address_as_dns", inter.issue(leaf, x509.SubjectAlternativeName(
        [x509.DNSName("192.0.2.1")])), i)
    emit_chain("chain_email", inter.issue(leaf, (
        "shop.example.org", "www.shop.example.org", "a@example.org")), i)
    emit_chain("chain_nul", inter.issue(leaf, x509.SubjectAlternativeName(
        [x509.DNSName("shop.example.org\0.evil.example"),
         x509.DNSName("www.shop.example.org")])), i)
    emit_chain("chain_ca", inter.issue(leaf, ca=True), i)
    emit_chain("chain_client", inter.issue(leaf, eku=(EKU.CLIENT_AUTH,)), i)
    emit_chain("chain_mail", inter.issue(leaf, eku=(EKU.EMAIL_PROTECTION, EKU.CODE_SIGNING)), i)
    emit_chain("chain_wrong_issuer", good, r)
    emit_chain("chain_no_intermediate", good, root.cert)
    emit_chain("chain_reversed_tail", good, root.cert, i)
    emit_chain("chain_leaf_twice", good, good)
    emit_chain("chain_same_name", good, Authority("Test Intermediate", root).cert)
    emit_chain("chain_same_key", good, Authority("Renamed", root, key=inter.key).cert)
    emit_chain("chain_sha1", inter.issue(leaf, digest=hashes.SHA1()), i)
    emit_chain("chain_md5", rsa_inter.issue(leaf, digest=hashes.MD5()), r)
    sha1_inter = Authority("SHA-1 Intermediate", root, digest=hashes.SHA1())
    emit_chain("chain_sha1_intermediate", sha1_inter.issue(leaf), sha1_inter.cert)
    der = bytearray(good.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    emit("chain_bad_signature", "-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n%s" % (
        base64.encodebytes(bytes(der)).decode(), i.public_bytes(PEM).decode()))
    emit("chain_pkcs7", openssl("crl2pkcs7", "-nocrl", "-certfile", "/dev/stdin",
                                stdin=good.public_bytes(PEM)))


def main():
    out.append("/* SPDX-License-Identifier: Apache-2.0 */\n"
               "/* Made by make_crypto_fixtures.py: keys nobody uses, and what they signed. Leaf\n"
               " * certificates are valid from 2026-05-01 to 2026-07-30, those of CAs from 2020 to\n"
               " * 2060. A test uses some of them, hence the pragmas. */\n"
               "#ifndef CERTAUTO_TESTS_CRYPTO_FIXTURES_H\n"
               "#define CERTAUTO_TESTS_CRYPTO_FIXTURES_H\n\n"
               "#pragma GCC diagnostic ignored \"-Wunused-variable\"\n"
               "#pragma GCC diagnostic ignored \"-Wunused-const-variable\"\n")
    leaf = ec.generate_private_key(ec.SECP256R1())
    leaf_rsa = rsa.generate_private_key(65537, 2048)
    leaf_p384 = ec.generate_private_key(ec.SECP384R1())
    keys(leaf, leaf_rsa, leaf_p384)
    requests(leaf, leaf_rsa, leaf_p384)
    certificates(leaf, leaf_rsa)
    out.append("#endif\n")
    sys.stdout.write("\n".join(out))


if __name__ == "__main__":
    main()
