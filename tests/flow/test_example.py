"""docs/examples/: the public API, used by programs built against the installed library."""

import json
import os
import subprocess

import pytest
from conftest import BINARY
from real import tls


def program(name):
    """An example: beside CERTAUTO_EXAMPLE, else where make puts it beside the command."""
    folder = os.path.join(os.path.dirname(os.path.abspath(BINARY)), "examples")
    if "CERTAUTO_EXAMPLE" in os.environ:
        folder = os.path.dirname(os.environ["CERTAUTO_EXAMPLE"])
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        pytest.skip(f"skipped: {path} is not built (make check-build)")
    return path


def execute(argv, text=None):
    """One run to its end; text is its standard input, which is empty without."""
    return subprocess.run(
        argv, capture_output=True, text=True, input=text or "", timeout=60, check=False
    )


def issue(lab, name, **options):
    """Run issue for name through the HAProxy of the lab."""
    target = lab.haproxy_target(name + ".pem", **options)
    kind = target.pop("type")
    state = os.path.join(lab.new_folder("example"), "state")
    return execute(
        [program("issue"), lab.pebble.directory, lab.pebble.ca_file, state, name, kind]
        + [word for option in target.items() for word in option]
    )


def test_example__certificate_is_issued_and_served(lab, name):
    done = issue(lab, name)
    assert done.returncode == 0, done
    seen = tls.served(lab.haproxy.tls_port, name, "ecdsa", lab.pebble.roots())
    assert done.stdout == f"{name} is served, serial {seen.serial}\n"
    assert lab.haproxy.challenges() == []


def test_example__failure_is_told_with_its_reason(lab, name):
    done = issue(lab, name, socket="/nonexistent/haproxy.sock")
    assert done.returncode == 1, done
    assert "/nonexistent/haproxy.sock" in done.stderr
    assert done.stdout == ""


def test_example__an_option_that_is_none_is_told(lab, name):
    done = issue(lab, name, sokket="/x")
    assert done.returncode == 1, done
    assert "sokket" in done.stderr


def two_certificates(lab, name):
    """A configuration with two of them, each with its own name, account and place."""
    return lab.config(
        {
            label: {
                "account": "test",
                "names": [label + name],
                "challenge": {"type": "http-01", "target": "edge"},
                "deploy": [{"target": "edge", "crt": lab.haproxy.crt(label + name + ".pem")}],
            }
            for label in ("a", "b")
        },
        {"edge": lab.haproxy_target("unused.pem")},
    )


@pytest.mark.parametrize("loop", ["poll", "uv"])
def test_example__a_foreign_loop_drives_all_by_one_descriptor(lab, name, loop):
    done = execute([program(loop), two_certificates(lab, name)])
    assert done.returncode == 0, done
    if loop == "poll":
        results = json.loads(done.stdout)
        assert [(r["name"], r["outcome"]) for r in results] == [("a", "done"), ("b", "done")]
    else:
        assert done.stdout.startswith("job ") and done.stdout.endswith(" has ended\n")
    for label in ("a", "b"):
        tls.served(lab.haproxy.tls_port, label + name, "ecdsa", lab.pebble.roots())
    assert lab.haproxy.challenges() == []


def test_example__a_foreign_loop_cancels_and_nothing_is_left(lab, name):
    orders = lab.pebble.orders()
    done = execute([program("poll"), two_certificates(lab, name)], "stop\n")
    assert done.returncode == 1, done
    assert {r["error"]["code"] for r in json.loads(done.stdout)} == {"CERTAUTO_ECANCELED"}
    assert lab.pebble.orders() == orders
    assert lab.haproxy.challenges() == []


@pytest.mark.parametrize("loop", ["poll", "uv"])
def test_example__a_foreign_loop_tells_why_it_failed(lab, name, loop):
    done = execute([program(loop), f"/nonexistent/{name}.json"])
    assert done.returncode == 1, done
    assert f"/nonexistent/{name}.json" in done.stderr
