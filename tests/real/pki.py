"""Test keys and certificates, made with openssl."""

import os
import subprocess


def openssl(*args, data=None):
    """Run openssl and return what it prints."""
    done = subprocess.run(
        ["openssl", *[str(arg) for arg in args]], input=data, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def new_key(path, key_type="ecdsa"):
    """A private key file, readable for its owner only."""
    algorithm = {
        "ecdsa": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    }[key_type]
    openssl("genpkey", "-algorithm", *algorithm, "-out", path)
    os.chmod(path, 0o600)
    return path


class TestCA:
    """A small CA for the HTTPS side of the test servers, not to be mixed up with Pebble's roots."""

    __test__ = False  # a helper, whatever pytest thinks of its name

    def __init__(self, folder, name="certauto test servers"):
        self.key = new_key(os.path.join(folder, "ca.key"))
        self.file = os.path.join(folder, "ca.pem")
        openssl(
            "req",
            "-x509",
            "-new",
            "-key",
            self.key,
            "-subj",
            "/CN=" + name,
            "-days",
            "3650",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-out",
            self.file,
        )

    def issue(self, base, names="DNS:localhost,IP:127.0.0.1", key_type="ecdsa"):
        """BASE.key and BASE.pem for names (as in a subjectAltName); returns (certificate, key)."""
        key, cert, request = new_key(base + ".key", key_type), base + ".pem", base + ".csr"
        first = names.split(",", maxsplit=1)[0].split(":", 1)[1]
        openssl("req", "-new", "-key", key, "-subj", "/CN=" + first, "-out", request)
        with open(base + ".ext", "w", encoding="ascii") as extensions:
            # Strict verification, as Python 3.13's, wants the identifier of the issuer's key.
            extensions.write(
                f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n"
                "extendedKeyUsage=serverAuth\n"
            )
        openssl(
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            self.file,
            "-CAkey",
            self.key,
            "-CAcreateserial",
            "-days",
            "825",
            "-extfile",
            base + ".ext",
            "-out",
            cert,
        )
        return cert, key


def self_signed_bundle(path, name, key_type="ecdsa"):
    """Certificate and key in one file, as HAProxy wants it: what an administrator starts with."""
    key = new_key(path + ".tmp.key", key_type)
    cert = openssl(
        "req",
        "-x509",
        "-new",
        "-key",
        key,
        "-subj",
        "/CN=" + name,
        "-days",
        "30",
        "-addext",
        "subjectAltName=DNS:" + name,
    )
    with open(key, "rb") as file:
        bundle = cert + file.read()
    os.unlink(key)
    with open(path, "wb", opener=lambda target, flags: os.open(target, flags, 0o600)) as file:
        file.write(bundle)
    return path
