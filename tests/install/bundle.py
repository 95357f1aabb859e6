#!/usr/bin/python3
"""The bundle, unpacked elsewhere, gets a certificate in a process that knows nothing of this place.

usage: bundle.py TARBALL PYTHON...

Each Python is isolated (-I), has an empty environment, is not root, and has loaded the system's
OpenSSL and libcurl before. What the dynamic linker has bound to what is looked at, too. All other
Pythons found here import it, or say which one it is for.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

from real.pki import TestCA  # noqa: E402
from sim.avi import LEAST_RIGHTS, Avi  # noqa: E402
from sim.ca import CA  # noqa: E402

NOBODY = 65534
PROGRAM = """
import ctypes, hashlib, re, ssl, sys, urllib.request
bundle, directory, ca_file = sys.argv[1:]
before = ssl.OPENSSL_VERSION
try:
    ctypes.CDLL("libcurl.so.4").curl_version.restype = ctypes.c_char_p
except OSError:
    pass  # there is none here
sys.path.insert(0, bundle + "/python")
import certauto

class Shown:
    type, caps = "shown", 2
    def present(self, work): print(work.record)
    def cleanup(self, work): print(work.record)

with certauto.Context() as cx:
    account = cx.account(directory, ca_file=ca_file, agree_tos=True)
    csr = cx.csr(cx.key("rsa-2048"), "www.example.org")
    # Nobody is at home there, but c-ares is loaded to ask.
    shown = cx.target(Shown(), dns_resolver="127.0.0.1:1")
    chain = account.order(csr, dns01=shown).run(timeout=30)
    print(chain.names)

tls = ssl.create_default_context(cafile=ca_file)
assert b"newNonce" in urllib.request.urlopen(directory, context=tls).read()
assert ssl.OPENSSL_VERSION == before and hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
with open("/proc/self/maps") as maps:
    mapped = set(re.findall(r"(/\\S.*\\.so\\S*)$", maps.read(), re.M))
print("\\n".join(sorted(mapped)))
"""
VERSION = """
import sys
sys.path.insert(0, sys.argv[1] + "/python")
import certauto
print(certauto.__file__, certauto.version())
"""
GLIBC = re.compile(r"/(ld-linux[-\w]*|ld64|lib(c|m|pthread|dl|rt|resolv|nss_\w+))\.so")
# Of libraries that are in the bundle, whatever another place has of that name.
KEPT = re.compile(r"(SSL|TLS|CRYPTO|EVP|X509|BIO|ASN1|curl|mbedtls|yajl|gnutls|nghttp2|certauto)_")


def fail(text):
    """Why the bundle is not good."""
    print("check-bundle: " + text, file=sys.stderr)
    sys.exit(1)


def run(argv, env=None):
    """As somebody who has nothing here."""
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(
        argv, env=env or {}, cwd="/", capture_output=True, text=True, check=False, **who
    )  # fmt: skip


def unpack(tarball, folder):
    """Somewhere with a name that is not simple; returns the bundle's folder."""
    place = os.path.join(folder, "some where")
    os.mkdir(place, 0o755)
    subprocess.run(["tar", "-xzf", tarball, "-C", place], check=True)
    (name,) = os.listdir(place)
    bundle = os.path.join(place, name)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=bundle, check=True)
    return bundle


def check_mapped(bundle, mapped):
    """Ours are all of the bundle, and the system's OpenSSL is there besides."""
    names = {os.path.basename(path): path for path in mapped if path.startswith(bundle)}
    for name in ("libcertauto.so.0", "ca-curl.so.4", "libcares.so.2"):
        if name not in names:
            fail(f"{name} was not loaded from the bundle: {sorted(mapped)}")
    theirs = {os.path.basename(path) for path in mapped if not path.startswith(bundle)}
    doubled = {"lib" + name[3:] for name in names if name.startswith("ca-")} & theirs
    if not any(name.startswith("libssl.so") for name in doubled):
        fail(f"the test had only one OpenSSL: {sorted(mapped)}")
    return len(names)


def check_bindings(bundle, python, text):
    """No symbol of the bundle's is used by others, nor by ours what the system has of the same.

    What a Python program itself is linked with comes first for all: the C library's data, and zlib,
    whose functions are the same for ever.
    """
    found = re.findall(r"binding file (.+?) \[0\] to (.+?) \[0\]: \w+ symbol `(.+?)'", text)
    if not any(user.startswith(bundle) for user, _, _ in found):
        fail("the dynamic linker did not tell what it has bound")
    for user, maker, symbol in found:
        if not user.startswith(bundle) and maker.startswith(bundle):
            fail(f"{user} uses {symbol} of {maker}")
        if not user.startswith(bundle) or maker.startswith(bundle) or GLIBC.search(maker):
            continue
        if KEPT.match(symbol) or not (maker == python or "/libz." in maker or "python" in maker):
            fail(f"{user} uses {symbol} of {maker}")


def check(bundle, python, ca, folder):
    """One Python."""
    argv = [python, "-I", "-B", "-c", PROGRAM, bundle, ca.directory, ca.ca_file]
    done = run(argv)
    if done.returncode or done.stderr:
        fail(f"{python}: {done.stdout}{done.stderr}")
    owner, again, names, *mapped = done.stdout.splitlines()
    if {owner, again, names} != {"_acme-challenge.www.example.org", "['www.example.org']"}:
        fail(f"{python}: {done.stdout}")
    count = check_mapped(bundle, mapped)
    with tempfile.TemporaryDirectory(dir=folder) as logs:
        os.chmod(logs, 0o777)
        run(argv, {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": os.path.join(logs, "linker")})
        (log,) = os.listdir(logs)
        with open(os.path.join(logs, log), encoding="utf-8", errors="replace") as file:
            check_bindings(bundle, python, file.read())
    print(f"check-bundle: {python}: a certificate, by {count} files of the bundle")


def interpreters():
    """All that are here, from 3.8 on."""
    folders = ["/usr/bin", "/usr/local/bin", os.path.expanduser("~/.pyenv/versions/*/bin")]
    found = [path for one in folders for path in glob.glob(one + "/python3.*")]
    return sorted(path for path in found if re.search(r"3\.([89]|\d\d)$", path))


def check_version(bundle, python, fits):
    """What is imported is of the bundle; or it is said which Python the bundle is for."""
    argv = [python, "-I", "-B", "-c", VERSION, bundle]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if fits and (done.returncode or not done.stdout.startswith(bundle)):
        fail(f"{python}: {done.stdout}{done.stderr}")
    if not fits and "make bundle PYTHON=" not in done.stderr:
        fail(f"{python} is not told that the bundle is for another: {done.stdout}{done.stderr}")
    print(f"check-bundle: {python}: {'imports it' if fits else 'is told that it is for another'}")


def check_controlscript(bundle, python, ca, avi):
    """As the controller runs it: the bundle is found by what the script has in it."""
    avi.script_python, avi.script_env = python, {"CERTAUTO_BUNDLE": bundle}
    avi.account("certauto", "password", LEAST_RIGHTS)
    avi.virtualservice("shop", ["shop.example.org"])
    ca.validate, ca.http_address = True, avi.hosts()
    params = {
        "user": "certauto", "password": "password", "directory_url": ca.directory,
        "ca_file": ca.ca_file, "challenge_check": avi.address("shop", 80),
    }  # fmt: skip
    with open(os.path.join(bundle, "controlscripts", "letsencrypt.py"), encoding="utf-8") as file:
        avi.profile("le", file.read(), params, ["password"])
    avi.certificate("shop", "le", "shop.example.org", ["shop.example.org"])
    print(f"check-bundle: {python}: a certificate for a controller")


def main(tarball, *pythons):
    """All Pythons."""
    folder = tempfile.mkdtemp(prefix="certauto-bundle-")
    os.chmod(folder, 0o755)
    try:
        bundle = unpack(tarball, folder)
        tls = TestCA(folder)
        with CA(folder, tls, validate=False) as ca, Avi(folder, tls) as avi:
            for python in pythons:
                check(bundle, python, ca, folder)
            tag = re.search(r"-(py3|cp\d+)-", os.path.basename(bundle)).group(1)
            for python in interpreters():
                own = "cp" + re.search(r"3\.\d+$", python).group().replace(".", "")
                check_version(bundle, python, tag in ("py3", own))
            check_controlscript(bundle, pythons[0], ca, avi)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1])
    main(*sys.argv[1:])
