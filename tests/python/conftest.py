"""Fixtures for the tests of the Python package: a simulated CA, real servers, a context.

CERTAUTO_PYTHON names the folder with the package (default: build/python), CERTAUTO_BIN the command
(default: build/certauto).
"""

import ctypes
import gc
import os
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TESTS)
PACKAGE = os.environ.get("CERTAUTO_PYTHON", os.path.join(ROOT, "build", "python"))
BINARY = os.environ.get("CERTAUTO_BIN", os.path.join(ROOT, "build", "certauto"))
sys.path[:0] = [PACKAGE, TESTS]

# The paths above must be set first.
import certauto  # noqa: E402

from real.lab import Lab  # noqa: E402
from real.pki import TestCA  # noqa: E402
from real.proc import exit_on_sigterm  # noqa: E402
from real.skips import pytest_runtest_makereport  # noqa: E402, F401 (a hook)
from sim.ca import CA  # noqa: E402


def pytest_configure(config):
    """Servers are ended when we are."""
    exit_on_sigterm()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The file that takes a minute goes first; all others fit beside it."""
    from xdist.scheduler import LoadFileScheduling

    class LongestFirst(LoadFileScheduling):
        """As it is, but for the first."""

        def _assign_work_unit(self, node):
            if "test_stress.py" in self.workqueue:
                self.workqueue.move_to_end("test_stress.py", last=False)
            super()._assign_work_unit(node)

    return LongestFirst(config, log)


@pytest.fixture(scope="session", name="tls")
def _tls(tmp_path_factory):
    """Who issues the TLS certificates of simulated CAs."""
    return TestCA(str(tmp_path_factory.mktemp("tls")))


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    """A CA that finds each answer to a challenge good, in this very process: it can only answer
    while the interpreter lock is free."""
    with CA(str(tmp_path), tls, validate=False) as ca:
        yield ca


@pytest.fixture(name="cx")
def _cx():
    """A context."""
    with certauto.Context() as cx:
        yield cx


@pytest.fixture(scope="module", name="lab")
def _lab():
    """Pebble, which refuses every second nonce, validating through a HAProxy."""
    with Lab(pebble={"nonce_reject": 50, "authz_reuse": 0}) as lab:
        yield lab


class Client:
    """What most tests need: an account at a CA, and a folder that answers challenges."""

    def __init__(self, cx, ca, folder):
        self.cx, self.ca, self.folder = cx, ca, folder
        os.makedirs(folder / "webroot", exist_ok=True)
        self.web = cx.target("files", webroot=folder / "webroot", challenge_check=False)
        self.account = cx.account(
            ca.directory, ca_file=ca.ca_file, agree_tos=True, contact="mailto:ops@example.org"
        )
        self.key = cx.key()

    def order(self, *names, **more):
        """An order for names."""
        csr = self.cx.csr(more.pop("key", self.key), names or ["www.example.org"])
        return self.account.order(csr, http01=self.web, **more)

    def left(self):
        """Tokens that nobody took away."""
        return [path for path in (self.folder / "webroot").rglob("*") if path.is_file()]


@pytest.fixture(name="client")
def _client(cx, ca, tmp_path):
    client = Client(cx, ca, tmp_path)
    yield client
    assert not client.left()


@pytest.fixture(name="new_client")
def _new_client(ca, tmp_path):
    """A function: a client of the CA on a context."""
    return lambda cx: Client(cx, ca, tmp_path)


def descriptors():
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost",
    )]  # fmt: skip


def allocated():
    """(bytes that C has allocated, blocks that Python has), after a collection."""
    gc.collect()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo
    return mallinfo2().uordblks, sys.getallocatedblocks()
