"""Issue and renew through a real HAProxy: the main job, and what it leaves behind."""

import json
import os
import pty
import re
import stat
import subprocess

import pytest
from conftest import FlowLab
from real import pki, tls
from real.certauto import Certauto
from real.pki import openssl

TWO_KEYS = ["ecdsa-p256", "rsa-2048"]


def served(lab, name, key="ecdsa"):
    """The fingerprint HAProxy serves, the chain verified up to Pebble's root."""
    return tls.served(lab.haproxy.tls_port, name, key, lab.pebble.roots()).fingerprint


def done(run, status=0):
    """Assert the exit status, showing the whole run when it differs."""
    assert run.status == status, str(run)
    return run


@pytest.fixture(scope="module", params=[0, 100])
def reuse_lab(request):
    """A CA that refuses half of the nonces, and with and without used authorizations."""
    with FlowLab(nonce_reject=50, authz_reuse=request.param) as up:
        yield up


def test_issue__three_names_two_keys_through_haproxy(reuse_lab, name):
    lab = reuse_lab
    names = [name, "www." + name, "api." + name]
    shop = lab.shop(*names, key=TWO_KEYS)
    worker = lab.haproxy.pid()
    done(shop.run("issue", "shop"))
    for each in names:
        assert (
            served(lab, each, "ecdsa")
            == shop.lineage("shop", "ecdsa-p256")["issued"]["fingerprint_sha256"]
        )
        assert (
            served(lab, each, "rsa")
            == shop.lineage("shop", "rsa-2048")["issued"]["fingerprint_sha256"]
        )
    assert lab.haproxy.challenges() == []
    assert lab.haproxy.pid() == worker


def test_issue__a_restart_of_haproxy_keeps_the_certificate(lab, name):
    shop = lab.shop(name, key=TWO_KEYS)
    done(shop.run("issue", "shop"))
    before = served(lab, name, "ecdsa"), served(lab, name, "rsa")
    lab.haproxy.restart()
    assert (served(lab, name, "ecdsa"), served(lab, name, "rsa")) == before


def test_issue__one_key_is_one_file_several_are_a_bundle(lab, name):
    done(lab.shop(name).run("issue", "shop"))
    done(lab.shop("two." + name, key=TWO_KEYS).run("issue", "shop"))
    crt = lab.haproxy.crt
    for path in (
        crt(name + ".pem"),
        crt("two." + name + ".pem.ecdsa"),
        crt("two." + name + ".pem.rsa"),
    ):
        assert path in lab.haproxy.certificates()
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0, path


@pytest.mark.parametrize(
    "key, public",
    [
        ("ecdsa-p256", "prime256v1"),
        ("ecdsa-p384", "secp384r1"),
        ("rsa-2048", "(2048 bit)"),
        ("rsa-3072", "(3072 bit)"),
        ("rsa-4096", "(4096 bit)"),
    ],
)
def test_issue__each_key_type(lab, name, key, public):
    done(lab.shop(name, key=key).run("issue", "shop", timeout_s=240))  # of RSA: luck
    seen = tls.served(lab.haproxy.tls_port, name, key.split("-", maxsplit=1)[0], lab.pebble.roots())
    assert public in openssl("x509", "-inform", "DER", "-noout", "-text", data=seen.der).decode()


def test_issue__state_has_generations_and_private_modes(lab, name):
    shop = lab.shop(name)
    done(shop.run("issue", "shop"))
    state = os.path.join(os.path.dirname(shop.config_file), "state")
    lineage = os.path.join(state, "certs", "shop", "ecdsa-p256")
    link = os.readlink(os.path.join(lineage, "current"))
    assert re.fullmatch(r"gen-\d+-[0-9a-f]{8}", link)
    assert set(os.listdir(os.path.join(lineage, link))) >= {
        "key.pem",
        "csr.pem",
        "cert.pem",
        "chain.pem",
        "fullchain.pem",
        "meta.json",
    }
    assert len(os.listdir(os.path.join(state, "accounts"))) == 1
    assert re.fullmatch(r"test-[0-9a-f]{8}", os.listdir(os.path.join(state, "accounts"))[0])
    for folder, folders, files in os.walk(state):
        for entry in folders + files:
            mode = os.lstat(os.path.join(folder, entry)).st_mode
            assert stat.S_ISLNK(mode) or stat.S_IMODE(mode) & 0o077 == 0, entry
    assert os.listdir(os.path.join(state, "jobs")) == [], "an ended order keeps no journal"


def test_issue__csr_has_names_only_in_the_extension(lab, name):
    shop = lab.shop(name, "www." + name)
    done(shop.run("issue", "shop"))
    state = os.path.join(os.path.dirname(shop.config_file), "state")
    text = openssl(
        "req",
        "-noout",
        "-text",
        "-in",
        os.path.join(state, "certs/shop/ecdsa-p256/current/csr.pem"),
    ).decode()
    assert re.search(r"Subject:\s*$", text, re.M)
    assert f"DNS:{name}" in text and f"DNS:www.{name}" in text
    assert "Extended Key Usage" not in text


def test_issue__what_is_there_is_not_issued_again(lab, name):
    shop = lab.shop(name)
    done(shop.run("issue", "shop"))
    orders, before = lab.pebble.orders(), served(lab, name)
    done(shop.run("renew"))
    done(shop.run("renew", "shop"))
    assert lab.pebble.orders() == orders
    assert served(lab, name) == before


def test_renew__force_makes_a_new_generation_and_no_handshake_fails(lab, name):
    shop = lab.shop(name, key=TWO_KEYS)
    done(shop.run("issue", "shop"))
    before = served(lab, name)
    with tls.Handshakes(lab.haproxy.tls_port, [name], lab.pebble.roots()) as client:
        done(shop.run("renew", "shop", "--force"))
    assert client.failures == []
    assert client.good > 0
    after = served(lab, name)
    assert after != before
    assert after == shop.lineage("shop")["issued"]["fingerprint_sha256"]
    assert shop.lineage("shop")["issued"]["generation"] != 0


def test_renew__a_name_added_in_the_config_is_due(lab, name):
    shop = lab.shop(name)
    done(shop.run("issue", "shop"))
    with open(shop.config_file, encoding="utf-8") as file:
        config = json.load(file)
    config["certificates"]["shop"]["names"].append("more." + name)
    with open(shop.config_file, "w", encoding="utf-8") as file:
        json.dump(config, file)
    done(shop.run("renew"))
    assert served(lab, "more." + name) == served(lab, name)


def test_renew__a_key_type_added_in_the_config_is_issued(lab, name):
    shop = lab.shop(name)
    done(shop.run("issue", "shop"))
    text = open(shop.config_file, encoding="utf-8").read()
    with open(shop.config_file, "w", encoding="utf-8") as file:
        file.write(text.replace('"key": "ecdsa-p256"', '"key": ["ecdsa-p256", "rsa-2048"]'))
    done(shop.run("renew"))
    assert (
        served(lab, name, "rsa") == shop.lineage("shop", "rsa-2048")["issued"]["fingerprint_sha256"]
    )


def test_issue__authorizations_used_again_need_no_challenge(name):
    with FlowLab(nonce_reject=50, authz_reuse=100) as lab:
        shop = lab.shop(name)
        done(shop.run("issue", "shop"))
        answered = sum("/chalZ/" in path for _, path in lab.pebble.requests())
        done(shop.run("renew", "shop", "--force"))
        assert sum("/chalZ/" in path for _, path in lab.pebble.requests()) == answered


def test_issue__tls13_only_listener_proves_the_key_it_picks(lab, name):
    shop = lab.shop(name, key=TWO_KEYS, target={"probe": f"127.0.0.1:{lab.tls13_port}"})
    done(shop.run("issue", "shop"))
    states = {key: shop.lineage("shop", key)["targets"][0]["state"] for key in TWO_KEYS}
    assert states["ecdsa-p256"] == "deployed"
    # From 8.14 on curl can ask for a key type in TLS 1.3 as well.
    version = re.search(
        r"curl (\d+)\.(\d+)",
        subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout,
    )
    if (int(version[1]), int(version[2])) < (8, 14):
        assert states["rsa-2048"] == "unproved"
    else:
        assert states["rsa-2048"] in ("deployed", "unproved")


def test_issue__probe_no_is_unproved_and_says_so(lab, name):
    shop = lab.shop(name, target={"probe": "no"})
    run = done(shop.run("issue", "shop"))
    assert "probe" in run.err
    assert shop.lineage("shop")["targets"][0]["state"] == "unproved"
    assert served(lab, name) == shop.lineage("shop")["issued"]["fingerprint_sha256"]


def test_issue__ad_hoc_without_a_config(lab, name, binary):
    state = os.path.join(lab.new_folder("adhoc"), "state")
    proxy = lab.haproxy
    run = done(
        Certauto(binary).run(
            "issue",
            "--server",
            lab.pebble.directory,
            "--ca-file",
            lab.pebble.ca_file,
            "--agree-tos",
            "--contact",
            "mailto:ops@example.org",
            "--state",
            state,
            "--domain",
            name,
            "--domain",
            "www." + name,
            "--key",
            "ecdsa-p256",
            "--key",
            "rsa-2048",
            "--challenge",
            "http-01",
            "--target",
            f"haproxy,socket={proxy.socket},crt={proxy.crt(name + '.pem')},map={proxy.map},"
            f"probe=127.0.0.1:{proxy.tls_port},challenge_check=127.0.0.1:{proxy.http_port}",
        )
    )
    assert served(lab, "www." + name, "rsa"), run
    assert os.path.isdir(os.path.join(state, "certs", name, "rsa-2048"))


def test_issue__terms_not_agreed_is_refused(lab, name):
    shop = lab.shop(name, account={"agree_tos": False})
    accounts = lab.pebble.log().count("accounts in memory")
    run = shop.run("issue", "shop")
    assert run.status == 1, run
    assert "terms" in run.err.lower() or "tos" in run.err.lower()
    assert lab.pebble.log().count("accounts in memory") == accounts


def test_account__a_ca_that_wants_an_external_binding_says_so(name):
    with FlowLab(
        eab={"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}
    ) as lab:
        run = lab.shop(name).run("account", "register")
        assert run.status == 1, run
        assert "external" in run.err.lower()


def test_account__is_found_by_its_key(lab, name):
    shop = lab.shop(name)
    done(shop.run("account", "register"))
    shown = done(shop.run("account", "show")).out
    url = re.search(r"https://127\.0\.0\.1:\d+/my-account/\w+", shown)
    assert url, shown
    state = os.path.join(os.path.dirname(shop.config_file), "state", "accounts")
    os.unlink(os.path.join(state, os.listdir(state)[0], "account.json"))
    done(shop.run("account", "register"))
    assert url[0] in done(shop.run("account", "show")).out


def test_issue__csr_from_elsewhere_gets_its_certificate(lab, name):
    folder = lab.new_folder("outside")
    key = pki.new_key(os.path.join(folder, "outside.key"))
    request = os.path.join(folder, "outside.csr")
    openssl(
        "req",
        "-new",
        "-key",
        key,
        "-subj",
        "/",
        "-addext",
        f"subjectAltName=DNS:{name}",
        "-out",
        request,
    )
    shop = lab.shop(name, certificate={"csr": request, "deploy": []})
    done(shop.run("issue", "shop"))
    current = os.path.join(os.path.dirname(shop.config_file), "state/certs/shop/csr/current")
    assert not os.path.exists(os.path.join(current, "key.pem"))
    assert openssl(
        "x509", "-in", os.path.join(current, "cert.pem"), "-noout", "-pubkey"
    ) == openssl("pkey", "-in", key, "-pubout")


def test_output__status_json_has_the_promised_shape(lab, name):
    shop = lab.shop(name)
    done(shop.run("issue", "shop"))
    top = done(shop.run("status", "--json")).json()
    assert set(top) == {"version", "certificates"} and top["version"] == 1
    certificate = top["certificates"][0]
    assert set(certificate) == {"name", "names", "lineages"}
    assert certificate["names"] == [name]
    lineage = certificate["lineages"][0]
    assert set(lineage) == {
        "key", "issued", "renew_at", "renewal", "revoked", "last_error", "targets"
    }  # fmt: skip
    assert set(lineage["issued"]) == {
        "generation",
        "serial",
        "fingerprint_sha256",
        "not_before",
        "not_after",
        "issuer",
        "server",
    }
    assert isinstance(lineage["issued"]["not_after"], int) and isinstance(lineage["renew_at"], int)
    assert lineage["issued"]["not_before"] < lineage["renew_at"] < lineage["issued"]["not_after"]
    assert lineage["issued"]["server"] == lab.pebble.directory
    assert lineage["issued"]["serial"] == tls.served(lab.haproxy.tls_port, name).serial
    target = lineage["targets"][0]
    assert set(target) == {"name", "state", "fingerprint_sha256", "checked_at", "last_error"}
    assert target["state"] == "deployed" and target["name"] == "edge"
    assert (
        target["fingerprint_sha256"] == lineage["issued"]["fingerprint_sha256"] == served(lab, name)
    )


def test_output__results_are_json_on_stdout_and_progress_is_on_stderr(lab, name):
    shop = lab.shop(name)
    run = done(shop.run("--json", "issue", "shop"))
    results = run.json()
    assert results["version"] == 1 and results["verb"] == "issue"
    assert results["results"] == [
        {"name": "shop", "key": "ecdsa-p256", "outcome": "done", "error": None}
    ]
    assert run.err.strip() and "\r" not in run.err and "\x1b" not in run.err
    run = done(shop.run("--json", "renew"))
    assert run.json()["results"][0]["outcome"] == "unchanged"


def test_output__a_terminal_gets_a_live_line(lab, name):
    shop = lab.shop(name)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shop.argv("issue", "shop"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**shop.env, "TERM": "xterm"},
    )
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 65536):
            text += chunk
    except OSError:
        pass  # Linux says EIO when the other side has closed
    os.close(ours)
    assert process.wait(60) == 0, text
    assert text.count(b"\r") > text.count(b"\r\n"), "no line was ever written over"
    assert b"shop" in text


def test_output__no_secret_in_what_is_printed(lab, name):
    shop = lab.shop(name)
    run = done(shop.run("issue", "shop"))
    done(shop.run("status"))
    for text in (run.out, run.err):
        assert "PRIVATE KEY" not in text and "BEGIN" not in text


def test_renew__some_of_several_failed_is_status_3(lab, name):
    lab.dns.set_address("bad." + name, "127.0.0.9")
    good = {
        "account": "test",
        "key": "ecdsa-p256",
        "challenge": {"type": "http-01", "target": "edge"},
    }
    config = lab.config(
        {
            "good": {**good, "names": [name], "deploy": ["edge"]},
            "bad": {**good, "names": ["bad." + name], "deploy": []},
        },
        {"edge": lab.haproxy_target(name + ".pem")},
    )
    command = Certauto(lab.shop(name).binary, config)
    run = command.run("--json", "renew")
    assert run.status == 3, run
    assert {entry["name"]: entry["outcome"] for entry in run.json()["results"]} == {
        "good": "done",
        "bad": "failed",
    }
    assert served(lab, name) == command.lineage("good")["issued"]["fingerprint_sha256"]


def test_check__logs_in_and_changes_nothing(lab, name):
    shop = lab.shop(name)
    done(shop.run("account", "register"))
    orders = lab.pebble.orders()
    done(shop.run("check"))
    assert lab.pebble.orders() == orders
    assert lab.haproxy.crt(name + ".pem") not in lab.haproxy.certificates()
    broken = lab.shop(name, target={"socket": "/nonexistent/haproxy.sock"})
    # The account is found, the target is not: some of several.
    run = done(broken.run("check"), 3)
    assert "/nonexistent/haproxy.sock" in run.err + run.out
