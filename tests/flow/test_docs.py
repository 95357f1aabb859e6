"""The configuration that docs/targets/ hands to users is one the servers accept."""

import os
import pathlib
import re
import subprocess

from conftest import TESTS
from real import ports


def snippet(page, language):
    """The first code block of that language on a page of docs/targets/."""
    with open(
        os.path.join(os.path.dirname(TESTS), "docs", "targets", page), encoding="utf-8"
    ) as file:
        return re.search(rf"```{language}\n(.*?)```", file.read(), re.S)[1]


def test_docs__haproxy_accepts_the_snippet(lab):
    text = snippet("haproxy.md", "haproxy")
    folder = pathlib.Path(lab.new_folder("docs"))
    (folder / "acme.map").touch()
    (folder / "certs").mkdir()
    for old, new in (
        ("/etc/haproxy/", f"{folder}/"),
        ("/run/haproxy/", f"{folder}/"),
        ("bind :80", f"bind 127.0.0.1:{ports.free_port()}"),
        ("bind :443", f"bind 127.0.0.1:{ports.free_port()}"),
    ):
        assert old in text
        text = text.replace(old, new)
    config = folder / "haproxy.cfg"
    config.write_text(text)
    run = subprocess.run(
        ["haproxy", "-c", "-f", config], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr + run.stdout


def test_docs__the_lab_answers_challenges_by_the_same_rule(lab):
    rule = next(
        line.strip()
        for line in snippet("haproxy.md", "haproxy").splitlines()
        if "lf-string" in line
    )
    with open(lab.haproxy.config_file, encoding="ascii") as file:
        assert rule.replace("/etc/haproxy/acme.map", lab.haproxy.map) in file.read()


def test_docs__every_option_is_on_the_page(binary):
    for kind in ("haproxy", "files"):
        with open(
            os.path.join(os.path.dirname(TESTS), "docs", "targets", kind + ".md"), encoding="utf-8"
        ) as file:
            page = file.read()
        run = subprocess.run(
            [binary, "target", "options", kind], capture_output=True, text=True, check=True
        )
        options = re.findall(r"^\s*([a-z][a-z_]+)\b", run.stdout, re.M)
        assert options
        general = {
            "probe",
            "challenge_check",
            "ca_file",
            "pin",
            "timeout_ms",
            "insecure",
            "allow_key_over_insecure",
        }
        assert [name for name in options if f"`{name}`" not in page and name not in general] == []
