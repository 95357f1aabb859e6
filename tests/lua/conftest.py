"""Fixtures for the tests of the Lua module: simulated CAs, real servers, and each Lua there is.

CERTAUTO_LUA names the folder with the module (default: build/lua), CERTAUTO_BIN the command
(default: build/certauto).
"""

import os
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
ROOT = os.path.dirname(TESTS)
MODULE = os.environ.get("CERTAUTO_LUA", os.path.join(ROOT, "build", "lua"))
BINARY = os.environ.get("CERTAUTO_BIN", os.path.join(ROOT, "build", "certauto"))
VERSIONS = ["5.1", "5.3", "5.4"]
sys.path[:0] = [TESTS]

# The path above must be set first.
from real.lab import Lab  # noqa: E402
from real.pki import TestCA  # noqa: E402
from real.skips import pytest_runtest_makereport  # noqa: E402, F401 (a hook)
from real.proc import exit_on_sigterm  # noqa: E402
from sim.ca import CA  # noqa: E402


def pytest_configure(config):
    """Servers are ended when we are."""
    exit_on_sigterm()


class Lua:
    """One version of Lua, with the module."""

    def __init__(self, version):
        self.version, self.program = version, "lua" + version
        self.env = {
            **os.environ,
            "LUA_PATH": f"{MODULE}/?.lua;{HERE}/?.lua",
            "LUA_CPATH": f"{MODULE}/{version}/?.so",
        }  # fmt: skip
        for name in [name for name in self.env if name.startswith(("LUA_PATH_", "LUA_CPATH_"))]:
            del self.env[name]

    def is_there(self):
        """Both the program and what was built for it."""
        built = os.path.join(MODULE, self.version, "certauto", "core.so")
        return bool(shutil.which(self.program)) and os.path.exists(built)

    def start(self, *args, settings=None, **more):
        """A running program; settings are what check.ENV has."""
        env = {f"CERTAUTO_TEST_{name}": str(value) for name, value in (settings or {}).items()}
        return subprocess.Popen(
            [self.program, *map(str, args)], env={**self.env, **env}, text=True, cwd=HERE,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
        )  # fmt: skip

    def run(self, *args, **more):
        """What the program prints; it must end well."""
        with self.start(*args, **more) as process:
            try:
                out, _ = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == 0, f"{self.program} ended with {process.returncode}\n{out}"
        return out


@pytest.fixture(scope="session", name="lua", params=VERSIONS)
def _lua(request):
    """Each Lua that is here, and that the module was built for."""
    lua = Lua(request.param)
    if not lua.is_there():
        pytest.skip(f"skipped: Lua {lua.version} or its headers are not installed")
    return lua


@pytest.fixture(scope="session", name="settings")
def _settings(tmp_path_factory):
    """CAs as the tests in Lua want them, and a key that stands for that of an HSM."""
    folder = tmp_path_factory.mktemp("lua")
    tls = TestCA(str(folder))
    private = ec.generate_private_key(ec.SECP256R1())
    key, spki = folder / "hsm.pem", folder / "hsm.der"
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    spki.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    folders = [folder / name for name in ("plain", "limited")]
    for one in folders:
        one.mkdir()
    plain, limited = map(str, folders)
    with CA(
        plain, tls, validate=lambda challenge: challenge.authz.name != "bad.example.org",
        profiles={"short": {"description": "for six days", "days": 6}},
    ) as ca, CA(
        limited, tls, validate=False, rate_limits={"newOrder": (0, 3600)}
    ) as limited_ca:  # fmt: skip
        yield {
            "SERVER": ca.directory, "LIMITED": limited_ca.directory,
            "CA_FILE": tls.file, "KEY_FILE": key, "SPKI_FILE": spki,
        }  # fmt: skip


@pytest.fixture(scope="session", name="lab")
def _lab():
    """Pebble, validating through a HAProxy."""
    with Lab(pebble={"authz_reuse": 0}) as lab:
        yield lab
