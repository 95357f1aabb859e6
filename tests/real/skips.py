"""Of what is skipped, what must not be: with CI=true in the environment a test that is skipped
because something "is not installed", or "is not built", has failed. All else that a test says when
it skips itself (no root, no such Python here) is a reason there, too.
"""

import os
import re

import pytest

WANTING = re.compile(r"\b(is|are|was) not (installed|built)\b")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call):
    """A hook, for each conftest.py to have."""
    report = (yield).get_result()
    is_skip = call.excinfo is not None and isinstance(call.excinfo.value, pytest.skip.Exception)
    why = str(call.excinfo.value) if is_skip else ""
    if os.environ.get("CI") == "true" and WANTING.search(why):
        report.outcome, report.longrepr = "failed", f"skipped, in CI: {why}"
