"""What may be skipped in CI."""

import os
import subprocess
import sys

import pytest
from conftest import TESTS

FILE = """
import pytest

@pytest.fixture
def none():
    pytest.skip("skipped: Lua 5.9 or its headers are not installed")

@pytest.mark.skipif(True, reason="lego is not installed")
def test_mark(): pass
def test_fixture(none): pass
def test_build(): pytest.skip("skipped: build/x is not built (make x)")
def test_user(): pytest.skip("skipped: needs root to become another user")
@pytest.mark.xfail
def test_wrong(): raise OSError("it is not installed")
"""


@pytest.mark.parametrize("ci, bad", [("true", 3), ("", 0)])
def test_skip__for_want_of_a_tool_is_a_failure_in_ci(tmp_path, ci, bad):
    (tmp_path / "test_it.py").write_text(FILE)
    argv = ["-B", "-m", "pytest", "-rA", "-p", "real.skips", "-p", "no:cacheprovider", "test_it.py"]
    run = subprocess.run(
        [sys.executable, *argv], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "CI": ci, "PYTHONPATH": TESTS, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    lines = run.stdout.splitlines()
    failed = sorted(line.split()[1] for line in lines if line.startswith(("FAILED", "ERROR ")))
    assert len(failed) == bad and run.returncode == bool(bad), run.stdout
    assert f"{4 - bad} skipped" in run.stdout and "1 xfailed" in run.stdout
