"""The tests that are written in Lua, with each Lua that is here."""

import os
import re
import shlex
import signal
import subprocess

import pytest
from conftest import BINARY, HERE

from real import tls


@pytest.mark.parametrize("file", ["object.lua", "order.lua", "callback.lua", "leak.lua"])
def test_lua(lua, settings, file):
    out = lua.run(os.path.join(HERE, file), settings=settings)
    passed = re.search(r"^(\d+) passed, 0 failed$", out, re.M)
    with open(os.path.join(HERE, file), encoding="utf-8") as text:
        written = re.findall(r'^\t*(?:check\.)?(?:test|with_client)\("', text.read(), re.M)
    assert int(passed[1]) >= len(written) > 1


@pytest.mark.parametrize("how", ["run", "context"])
def test_ctrl_c__ends_a_blocking_call(lua, settings, how):
    with lua.start(os.path.join(HERE, "interrupt.lua"), how, settings=settings) as process:
        try:
            assert process.stdout.readline() == "presenting\n"
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, out
    assert re.search(r"^false\t.*interrupted!\tfalse\ncleanup\tnil\n\Z", out, re.M), out


def test_host__with_several_states_in_several_threads(lua, settings, tmp_path):
    host = str(tmp_path / "host")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "lua" + lua.version],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    compiler = shlex.split(os.environ.get("CC", "cc"))
    source = os.path.join(HERE, "host.c")
    argv = [*compiler, "-std=c99", "-Wall", "-Wextra", "-pthread", "-o", host, source, *flags]
    subprocess.run(argv, check=True)
    lua.program = host
    try:
        lua.run(os.path.join(HERE, "hosted.lua"), settings=settings)
    finally:
        lua.program = "lua" + lua.version


def test_lab__what_is_issued_is_served(lua, lab):
    one, two = f"one{lua.version}.example.org", f"two{lua.version}.example.org"
    options = lab.haproxy_target(one + ".pem")
    settings = {
        "PEBBLE": lab.pebble.directory, "PEBBLE_CA_FILE": lab.pebble.ca_file, "NAME": one,
        "SOCKET": options["socket"], "CRT": options["crt"], "MAP": options["map"],
        "PROBE": options["probe"], "CHECK": options["challenge_check"],
        "CONFIG": lab.shop(BINARY, two).config_file,
    }  # fmt: skip
    out = lua.run(os.path.join(HERE, "lab.lua"), settings=settings)
    served = [tls.served(lab.haproxy.tls_port, name).fingerprint for name in (one, two)]
    assert re.findall(r"^served (\w+)$", out, re.M) == served
    assert lab.haproxy.challenges() == []
