"""The configuration that docs/targets/ hands to users is one the servers accept."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from conftest import TESTS
from real import ports
from real.pki import TestCA


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


@pytest.mark.parametrize("device", ["netscaler", "avi", "flexibleengine", "nsx"])
def test_docs__the_configuration_for_a_device_is_accepted(binary, tmp_path, device):
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    ca_file = TestCA(str(tmp_path)).file
    page = source("docs", "targets", device + ".md")
    whole, *parts = re.findall(r"```json\n(.*?)```", page, re.S)
    part = next(part for part in parts if part.startswith('"deploy"'))
    for text in (whole, whole.replace('"deploy": ["edge"]', part.strip())):
        text = re.sub(r'("file": )"[^"]+"', rf'\1"{password}"', text)
        text = text.replace(f"/etc/certauto/{device}-ca.pem", ca_file)
        config = json.loads(text)
        config["state"] = str(tmp_path / "state")
        path = tmp_path / "certauto.json"
        path.write_text(json.dumps(config))
        run = subprocess.run(
            [binary, "-c", path, "plan"], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert "never issued" in run.stdout


def test_docs__every_option_is_on_the_page(binary):
    for kind in ("haproxy", "files", "netscaler", "avi", "flexibleengine", "nsx"):
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


# ---- docs/acme.md, certauto(1) ----


def source(*path):
    """The text of a file of the sources."""
    with open(os.path.join(os.path.dirname(TESTS), *path), encoding="utf-8") as file:
        return file.read()


def all_tests():
    """The name of every test there is, in C and in Python."""
    found = set()
    for folder, _, files in os.walk(TESTS):
        for file in files:
            if file.endswith((".c", ".py")):
                text = source(folder, file)
                found |= set(re.findall(r"^(?:static void|def) (test_\w+)\(", text, re.M))
    return found


def test_docs__each_test_named_for_acme_exists():
    there = all_tests()
    rows = [line for line in source("docs", "acme.md").splitlines() if line.startswith("| ")]
    named = [(row, re.findall(r"`(test_\w+)`", row)) for row in rows]
    assert sum(len(names) for _, names in named) > 100
    assert [name for _, names in named for name in names if name not in there] == []
    # Every row but the heads, and those of what is not done, names one.
    text = source("docs", "acme.md").split("## What is not done")[0]
    bare = [
        row for row, names in named if not names and row in text and not row.startswith("| ---")
    ]
    assert all(row.endswith("| Tests |") for row in bare), bare


def test_docs__certauto_1_has_every_verb_and_option(binary):
    page = source("docs", "man", "certauto.1").replace("\\-", "-")
    listed = subprocess.run([binary, "help"], capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^  ([a-z][a-z -]*?)  +\w", listed, re.M)
    assert len(verbs) >= 20
    assert [verb for verb in verbs if f".It Cm {verb}" not in page] == []
    for verb in verbs:
        usage = subprocess.run(
            [binary, "help", *verb.split()], capture_output=True, text=True, check=True
        ).stdout
        options = re.findall(r"^  (?:-\w, |    )--([a-z-]+)", usage, re.M)
        assert len(options) >= 4
        missing = [name for name in options if not re.search(rf"Fl -{name}\b", page)]
        assert missing == [], verb


def test_docs__every_verb_is_in_the_readme(binary):
    page = source("README.md")
    listed = subprocess.run([binary, "help"], capture_output=True, text=True, check=True).stdout
    words = {verb.split()[0] for verb in re.findall(r"^  ([a-z][a-z -]*?)  +\w", listed, re.M)}
    row = next(line for line in page.splitlines() if line.startswith("| command |"))
    assert words - set(re.findall(r"[a-z-]+", row)) == {"version", "help"}
