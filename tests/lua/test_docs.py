"""The examples of docs/lua.md are run as they stand, against servers of ours."""

import os
import re

import pytest
from conftest import BINARY, ROOT

with open(os.path.join(ROOT, "docs", "lua.md"), encoding="utf-8") as _file:
    TEXT = _file.read()
EXAMPLES = re.findall(r"^```lua\n(.*?)^```", TEXT, re.M | re.S)

# What is printed, as far as it is known.
OUTPUT = [
    r"[0-9a-f]{64}\t\d{10}\n",
    r"bad.example.org\turn:ietf:params:acme:error:\w+\t.+\n",
    r"shop\tecdsa-p256\tdone\n\d{10}\n",
    r"(?s)\d+/\d+ .*\d+/\d+ .*\n",
    r"([abc].example.org\t<certauto.Chain [abc].example.org>\n){3}",
    r"shop.example.org\n",
    r"shop.example.org\n",
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_docs__example(number, lua, lab, settings, tmp_path):
    haproxy = number in (0, 2)
    server, ca_file = (
        (lab.pebble.directory, lab.pebble.ca_file)
        if haproxy
        else (settings["SERVER"], settings["CA_FILE"])
    )
    (tmp_path / "webroot").mkdir()
    options = lab.haproxy_target(f"example{number}-{lua.version}.pem")
    config = lab.shop(BINARY, f"example{lua.version}.example.org").config_file if haproxy else ""
    text = EXAMPLES[number]
    for theirs, ours in {
        '"letsencrypt"': f'"{server}", ca_file = "{ca_file}"',
        '"/run/haproxy/admin.sock"': f'"{options["socket"]}"',
        '"/etc/haproxy/certs/shop.pem"': f'"{options["crt"]}"',
        'map = "/etc/haproxy/acme.map"': f'map = "{options["map"]}", probe = "{options["probe"]}", '
        f'challenge_check = "{options["challenge_check"]}"',
        **({"shop.example.org": f"shop{lua.version}.example.org"} if haproxy else {}),
        "/var/lib/certauto": str(tmp_path / "state"),
        "/etc/certauto/certauto.json": config,
        'webroot = "/var/www/acme"': f'webroot = "{tmp_path}/webroot", challenge_check = false',
    }.items():
        text = text.replace(theirs, ours)
    (tmp_path / "example.lua").write_text('token = require "hsm"\n' + text)
    out = lua.run(tmp_path / "example.lua", settings=settings)
    assert re.fullmatch(OUTPUT[number], out), out


def test_docs__all_examples_are_known():
    assert len(EXAMPLES) == len(OUTPUT)
