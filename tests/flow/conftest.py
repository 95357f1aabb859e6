"""Fixtures for the flow tests: real servers, one set for each module, and the command under test.

CERTAUTO_BIN names the program to test (default: build/certauto), so that a sanitizer build goes
through the same tests. CERTAUTO_SWEEP=full visits every moment in the interruption sweeps, not a
sample. CERTAUTO_SAMPLE=N runs one test of N, always the same ones.
"""

import atexit
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

# The path above must be set first.
from real import haproxy, pki, ports  # noqa: E402
from real.lab import Lab  # noqa: E402
from real.proc import exit_on_sigterm  # noqa: E402
from real.skips import pytest_runtest_makereport  # noqa: E402, F401 (a hook)

BINARY = os.environ.get("CERTAUTO_BIN", os.path.join(os.path.dirname(TESTS), "build", "certauto"))
_numbers = itertools.count(1)


def _make_temporary():
    """One folder for everything that is made, removed when we end.

    The workers of pytest-xdist do not clean up after Ctrl-C, and may live for a moment longer.
    """
    folder = tempfile.mkdtemp(prefix="certauto-")
    os.chmod(folder, 0o711)  # one test is another user
    os.environ["TMPDIR"] = tempfile.tempdir = folder

    def remove():
        end = time.monotonic() + 5
        while os.path.exists(folder) and time.monotonic() < end:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def pytest_configure(config):
    """Refuse to run without a program: tests that are skipped silently prove nothing."""
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"no program to test at {BINARY}: run make, or set CERTAUTO_BIN", returncode=2)
    exit_on_sigterm()
    if not hasattr(config, "workerinput"):
        _make_temporary()


def pytest_collection_modifyitems(config, items):
    """Of a second pass a sample, so that a check does not take twice as long."""
    n = int(os.environ.get("CERTAUTO_SAMPLE", "1"))
    kept = [item for item in items if zlib.crc32(item.nodeid.encode()) % n == 0]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


class FlowLab(Lab):
    """A lab with the listeners the tests need, and the command bound to the program under test.

    tls13_port speaks TLS 1.3 only; old_port has a certificate of its own that nobody renews;
    placeholder is the bundle for placeholder.example.org that HAProxy has from the start, with
    blank lines in it.
    """

    def __init__(self, **pebble):
        self.tls13_port = ports.free_port()
        self.old_port = ports.free_port()
        self.placeholder = None
        super().__init__(front=self._balancer, pebble=pebble)

    def _balancer(self, _lab):
        folder = self.new_folder("haproxy")
        certs = os.path.join(folder, "certs")
        os.mkdir(certs, 0o700)
        self.placeholder = pki.self_signed_bundle(
            os.path.join(certs, "placeholder.pem"), "placeholder.example.org"
        )
        with open(self.placeholder, "r+", encoding="ascii") as file:
            text = file.read().replace("-----BEGIN PRIVATE", "\n\n-----BEGIN PRIVATE")
            file.seek(0)
            file.write(text + "\n\n")
        fixed = pki.self_signed_bundle(os.path.join(self.folder, "fixed.pem"), "fixed.example.org")
        return haproxy.HAProxy(
            folder,
            more_binds=[
                haproxy.tls13_bind(self.tls13_port, certs),
                haproxy.fixed_bind(self.old_port, fixed),
            ],
        )

    def shop(self, *names, **more):
        """The command with one certificate "shop" for names on this HAProxy."""
        return super().shop(BINARY, *names, **more)


@pytest.fixture(scope="module")
def lab():
    """A hard CA: every second nonce is refused, no authorization is used twice."""
    with FlowLab(nonce_reject=50, authz_reuse=0) as up:
        yield up


@pytest.fixture(scope="module")
def calm_lab():
    """A CA without refused nonces, where a run makes the same requests each time."""
    with FlowLab(nonce_reject=0, authz_reuse=0) as up:
        yield up


@pytest.fixture
def name():
    """A host name no other test uses; every name leads to the HAProxy of the lab."""
    return f"n{next(_numbers)}.example.org"


@pytest.fixture
def binary():
    """The program under test."""
    return BINARY


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """A function: the environment of a program whose clock is wrong by so many seconds."""
    shim = os.path.join(tmp_path_factory.mktemp("clock"), "wrongclock.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrongclock.c")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", shim, source], check=True)

    def wrong_by(seconds):
        """The environment."""
        # The sanitizer's runtime insists on being the first library, unless told not to.
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return {
            "LD_PRELOAD": shim,
            "CLOCK_OFFSET_S": str(seconds),
            "ASAN_OPTIONS": options.lstrip(":"),
        }

    return wrong_by


@pytest.fixture(scope="module", name="tls")
def _tls(tmp_path_factory):
    """Who issues the TLS certificates of a simulated CA."""
    return pki.TestCA(str(tmp_path_factory.mktemp("tls")))
