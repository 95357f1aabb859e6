"""The examples of docs/python.md are run as they stand, against servers of ours."""

import os
import re

import certauto
import pytest
from conftest import BINARY, ROOT
from cryptography.hazmat.primitives.asymmetric import ec
from test_callbacks import signer_for, spki

with open(os.path.join(ROOT, "docs", "python.md"), encoding="utf-8") as _file:
    EXAMPLES = re.findall(r"^```python\n(.*?)^```", _file.read(), re.M | re.S)


class Token:
    """Stands for the HSM."""

    def __init__(self):
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.sign = signer_for(self._private)

    def public_key_der(self):
        """SubjectPublicKeyInfo."""
        return spki(self._private)


# What is printed, as far as it is known.
OUTPUT = [
    r"[0-9a-f]{64} \d{10}\n",
    r"shop ecdsa-p256 done\n\d{10}\n",
    r"bad.example.org urn:ietf:params:acme:error:\w+ .+\n",
    r"(?s)\d+/\d+ .*\d+/\d+ .*\n",
    r"(<certauto.Chain [abc].example.org>\n){3}",
    r"\['shop.example.org'\]\n",
    r"\['shop.example.org'\]\n",
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_docs__example(number, lab, ca, tmp_path, capsys):
    haproxy = number < 2
    server, ca_file = (
        (lab.pebble.directory, lab.pebble.ca_file) if haproxy else (ca.directory, ca.ca_file)
    )
    ca.validate = lambda challenge: challenge.authz.name != "bad.example.org"
    (tmp_path / "webroot").mkdir()
    options = lab.haproxy_target(f"example{number}.pem")
    text = EXAMPLES[number]
    for theirs, ours in {
        '"letsencrypt",': f'"{server}", ca_file="{ca_file}",',
        '"/run/haproxy/admin.sock"': repr(options["socket"]),
        '"/etc/haproxy/certs/shop.pem"': repr(options["crt"]),
        'map="/etc/haproxy/acme.map"': f'map={options["map"]!r}, probe={options["probe"]!r}, '
        f'challenge_check={options["challenge_check"]!r}',
        '"/var/lib/certauto"': repr(str(tmp_path / "state")),
        '"/etc/certauto/certauto.json"': repr(lab.shop(BINARY, "example.example.org").config_file),
        'webroot="/var/www/acme"': f'webroot={str(tmp_path / "webroot")!r}, challenge_check=False',
    }.items():
        text = text.replace(theirs, ours)
    exec(compile(text, f"docs/python.md, example {number + 1}", "exec"),
         {"certauto": certauto, "token": Token()})  # fmt: skip
    out = capsys.readouterr().out
    assert re.fullmatch(OUTPUT[number], out), out


def test_docs__all_examples_are_known():
    assert len(EXAMPLES) == len(OUTPUT)


def test_docs__each_exception_is_named():
    with open(os.path.join(ROOT, "docs", "python.md"), encoding="utf-8") as file:
        text = " ".join(file.read().split())
    classes = [one for one in vars(certauto).values() if isinstance(one, type)]
    names = [one.__name__ for one in classes
             if issubclass(one, certauto.Error) and one is not certauto.Error]  # fmt: skip
    (listed,) = re.findall(r"below `certauto.Error`: `([\w ]+)`", text)
    assert sorted(listed.split()) == sorted(names)
