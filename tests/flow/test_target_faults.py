"""What is wrong with a target, whatever its type: told before a CA is asked for anything, or with
the target's name and what to do. Nothing listens where the targets are said to be."""

import os

import pytest
from conftest import BINARY
from real.certauto import Certauto, write_config

NOWHERE = "https://127.0.0.1:1"
LOGIN = {"user": "somebody", "password": {"env": "CERTAUTO_TEST_PASSWORD"}}
TARGETS = {
    "avi": {"url": NOWHERE},
    "netscaler": {"url": NOWHERE},
    "nsx": {"url": NOWHERE},
    "flexibleengine": {
        "iam_url": NOWHERE, "region": "eu-west-0", "project_id": "0a", "domain_name": "OCB01",
        "listener": "0b",
    },
}  # fmt: skip


class Site(Certauto):
    """The command, with one certificate for a target "edge"; a None leaves an option out."""

    def __init__(self, folder, kind, *, certificate=None, **options):
        folder = str(folder)
        super().__init__(BINARY, os.path.join(folder, "certauto.json"))
        self.env["CERTAUTO_TEST_PASSWORD"] = "hunter2"
        login = LOGIN if kind in TARGETS else {}
        edge = {"type": kind, **login, **TARGETS.get(kind, {}), **options}
        web = {"type": "files", "webroot": folder}
        entry = {
            "account": "test",
            "names": ["shop.example.org"],
            "challenge": {"type": "http-01", "target": "web"},
            "deploy": ["edge"],
            **(certificate or {}),
        }
        edge = {name: value for name, value in edge.items() if value is not None}
        write_config(
            self.config_file,
            {
                "state": os.path.join(folder, "state"),
                "accounts": {"test": {"server": f"{NOWHERE}/directory", "agree_tos": True}},
                "targets": {"edge": edge, "web": web},
                "certificates": {"shop": entry},
            },
        )

    def tested(self, status):
        """`target test edge`, and how that ends."""
        run = self.run("target", "test", "edge")
        assert run.status == status, run
        return run


# ---- what can never be deployed ----

BOTH = {"key": ["ecdsa-p256", "rsa-2048"]}
UNSENT = "private key is not sent"
REFUSED = [
    *((kind, {"insecure": True}, {}, UNSENT) for kind in TARGETS),
    ("flexibleengine", {"listener": None}, {}, '"listener" is missing'),
    ("flexibleengine", {}, BOTH, "sni:"),
    ("netscaler", {"certkey": "shop"}, BOTH, "certkey"),
    ("nsx", {}, BOTH, "one type of key"),
    ("nsx", {"service": "lb", "virtual_server": "shop"}, BOTH, "one type of key"),
    ("nsx", {"root_file": "/nonexistent/root.pem"}, {}, "No such file"),
    ("nsx", {"root_file": "/dev/null"}, {}, "root_file"),
    ("files", {"directory": None, "webroot": "/srv"}, {}, '"directory" is missing'),
]  # fmt: skip


@pytest.mark.parametrize("kind, options, certificate, words", REFUSED)
def test_config__what_cannot_be_deployed_is_refused(tmp_path, kind, options, certificate, words):
    site = Site(tmp_path, kind, certificate=certificate, **options)
    for verb in (["check"], ["issue", "shop"], ["target", "test", "edge"]):
        run = site.run(*verb)
        assert run.status == 2 and words in run.err and "certauto.json:" in run.err, run


def test_config__a_challenge_that_nobody_answers_is_refused(tmp_path):
    site = Site(
        tmp_path, "files", directory="/srv",
        certificate={"challenge": {"type": "http-01", "target": "edge"}},
    )  # fmt: skip
    run = site.run("check")
    assert run.status == 2 and '"webroot" is missing' in run.err, run


@pytest.mark.parametrize("kind", TARGETS)
def test_config__insecure_is_fine_where_no_key_is_sent(tmp_path, kind):
    for more in ({"insecure": True, "allow_key_over_insecure": True}, {}):
        assert Site(tmp_path, kind, **more).run("status").status == 0
    site = Site(tmp_path, kind, insecure=True, certificate={"deploy": []})
    assert site.run("status").status == 0


@pytest.mark.parametrize("words", ["No such file", "root_file"])
def test_test__looks_at_the_root_file(tmp_path, words):
    file = "/nonexistent/root.pem" if words == "No such file" else "/dev/null"
    run = Site(tmp_path, "nsx", root_file=file, certificate={"deploy": []}).tested(1)
    assert words in run.err and "leave root_file out" in run.err, run


# ---- what each message and each run tells ----


@pytest.mark.parametrize("kind", TARGETS)
def test_silence__is_told_of_by_the_target_that_it_is_about(tmp_path, kind):
    run = Site(tmp_path, kind).tested(1)
    assert f"certauto: {kind} edge: " in run.err and "refused" in run.err, run
    assert run.err.count(f"{kind} edge: ") == run.err.count(NOWHERE), "signed once"
    assert "firewall" in run.err and "insecure" not in run.err, run


@pytest.mark.parametrize("kind", TARGETS)
def test_insecure__is_warned_about_once(tmp_path, kind):
    site = Site(tmp_path, kind, insecure=True, allow_key_over_insecure=True)
    run = site.tested(1)
    assert run.err.count("edge: insecure: whoever answers") == 1, run
    assert site.run("check").err.count("edge: insecure: whoever answers") == 1


def test_files__a_folder_that_is_not_there_is_told_with_its_target(tmp_path):
    for option in ("directory", "webroot"):
        options = {"directory": str(tmp_path), "webroot": str(tmp_path), option: "/nonexistent"}
        run = Site(tmp_path, "files", **options).tested(1)
        assert f'edge: option "{option}": cannot open /nonexistent' in run.err, run
        assert "make that folder" in run.err, run


def test_hook__a_variable_that_is_not_set_is_told(tmp_path):
    options = {"style": "certbot", "program": ["/bin/true"]}
    certificate = {"deploy": [], "challenge": {"type": "http-01", "target": "edge"}}
    names = ["CERTAUTO_TEST_NOBODY", "CERTAUTO_TEST_PASSWORD", "SOME=THING"]
    site = Site(tmp_path, "hook", environment=names, certificate=certificate, **options)
    run = site.tested(0)
    assert "CERTAUTO_TEST_NOBODY is not set" in run.err and run.err.count("is not set") == 1, run
