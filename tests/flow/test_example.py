"""docs/examples/issue.c: the public API, used by a program built against the installed library."""

import os
import subprocess

import pytest
from conftest import BINARY
from real import tls


@pytest.fixture(scope="module")
def example():
    """The program: CERTAUTO_EXAMPLE, else where make puts it beside the command."""
    path = os.environ.get("CERTAUTO_EXAMPLE")
    if path is None:
        path = os.path.join(os.path.dirname(os.path.abspath(BINARY)), "examples", "issue")
        if not os.path.exists(path):
            pytest.skip(f"skipped: {path} is not built (make check-build)")
    return path


def run(example, lab, name, **options):
    """Run it for name through the HAProxy of the lab."""
    target = lab.haproxy_target(name + ".pem", **options)
    kind = target.pop("type")
    state = os.path.join(lab.new_folder("example"), "state")
    return subprocess.run(
        [example, lab.pebble.directory, lab.pebble.ca_file, state, name, kind]
        + [word for option in target.items() for word in option],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_example__certificate_is_issued_and_served(lab, example, name):
    done = run(example, lab, name)
    assert done.returncode == 0, done
    seen = tls.served(lab.haproxy.tls_port, name, "ecdsa", lab.pebble.roots())
    assert done.stdout == f"{name} is served, serial {seen.serial}\n"
    assert lab.haproxy.challenges() == []


def test_example__failure_is_told_with_its_reason(lab, example, name):
    done = run(example, lab, name, socket="/nonexistent/haproxy.sock")
    assert done.returncode == 1, done
    assert "/nonexistent/haproxy.sock" in done.stderr
    assert done.stdout == ""


def test_example__an_option_that_is_none_is_told(lab, example, name):
    done = run(example, lab, name, sokket="/x")
    assert done.returncode == 1, done
    assert "sokket" in done.stderr
