"""What the scenarios need: servers for all of them, and the faces of certauto.

CERTAUTO_BIN names the command (default: build/certauto), beside which the library is. The packages
are in python/ and lua/ below that folder, or where CERTAUTO_PYTHON and CERTAUTO_LUA say.
"""

import os
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

# The path above must be set first.
from real.proc import exit_on_sigterm  # noqa: E402
from real.skips import pytest_runtest_makereport  # noqa: E402, F401 (a hook)

import stage  # noqa: E402


def pytest_configure(config):
    """Servers are ended when we are; without a program to test nothing is proved."""
    exit_on_sigterm()
    if not os.access(stage.BINARY, os.X_OK):
        pytest.exit(f"no program to test at {stage.BINARY}", returncode=2)


@pytest.fixture(scope="session", name="servers")
def _servers(tmp_path_factory):
    """Those that all scenarios share."""
    with stage.Servers(str(tmp_path_factory.mktemp("servers"))) as servers:
        yield servers
