"""Deployments to HAProxy that cannot be made or proved: taken back, and mended without the CA."""

import contextlib
import os
import subprocess
import threading

import pytest
from real import pki, tls
from real.certauto import Certauto
from real.proxies import AdminProxy

TWO_KEYS = ["ecdsa-p256", "rsa-2048"]


def served(lab, name, key="ecdsa"):
    """The fingerprint HAProxy serves for name."""
    return tls.served(lab.haproxy.tls_port, name, key).fingerprint


def target(command):
    """The only target of the only lineage in status --json."""
    return command.lineage("shop")["targets"][0]


def on_disk(path):
    """The fingerprint of the first certificate in a file."""
    return tls.Served(pki.openssl("x509", "-in", path, "-outform", "DER")).fingerprint


def no_open_transaction(lab):
    """Assert that HAProxy has no certificate with an open transaction."""
    assert [line for line in lab.haproxy.certificates() if line.startswith("*")] == []


@contextlib.contextmanager
def admin(lab, hook):
    """A proxy in front of the admin socket; gives it and the "socket" option for it."""
    path = os.path.join(lab.new_folder("admin"), "admin.sock")
    with AdminProxy(path, lab.haproxy.socket, hook) as proxy:
        yield proxy


def mended(lab, command, name):
    """A later deploy serves the issued certificate, and the CA is not asked for anything."""
    requests = len(lab.pebble.requests())
    run = command.run("deploy", "shop")
    assert run.status == 0, str(run)
    assert len(lab.pebble.requests()) == requests, "the CA was asked"
    assert served(lab, name) == command.lineage("shop")["issued"]["fingerprint_sha256"]
    assert target(command)["state"] == "deployed"
    assert on_disk(lab.haproxy.crt(name + ".pem")) == served(lab, name)


def with_options(lab, command, name, **options):
    """The same certificate and state, with other options for the deployment only."""
    text = open(command.config_file, encoding="utf-8").read()
    state = os.path.join(os.path.dirname(command.config_file), "state")
    assert state in text
    config = lab.config(
        {
            "shop": {
                "account": "test",
                "names": [name],
                "key": "ecdsa-p256",
                "challenge": {"type": "http-01", "target": "edge"},
                "deploy": [{"target": "edge", **options}],
            }
        },
        {"edge": lab.haproxy_target(name + ".pem")},
        state=state,
    )
    return Certauto(command.binary, config)


def first_issued(lab, name):
    """A certificate that is issued and deployed; returns the command and what is served."""
    shop = lab.shop(name)
    run = shop.run("issue", "shop")
    assert run.status == 0, str(run)
    return shop, served(lab, name)


def test_deploy__missing_socket_keeps_what_was_issued(lab, name):
    shop = lab.shop(name)
    broken = with_options(lab, shop, name, socket="/nonexistent/haproxy.sock")
    run = broken.run("--json", "issue", "shop")
    assert run.status == 1, run
    assert "/nonexistent/haproxy.sock" in run.json()["results"][0]["error"]["message"]
    assert broken.lineage("shop")["issued"] is not None
    assert target(broken)["state"] == "failed"
    assert "/nonexistent/haproxy.sock" in target(broken)["last_error"]["message"]
    mended(lab, shop, name)


def test_deploy__permission_denied_is_told(lab, name, binary):
    if os.geteuid() != 0:
        pytest.skip("skipped: needs root to become another user")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        subprocess.run([binary, "version"], check=True, capture_output=True, **nobody)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("skipped: the program cannot be reached by another user")
    shop = lab.shop(name)
    for path in (
        lab.folder,
        os.path.dirname(shop.config_file),
        os.path.dirname(lab.haproxy.socket),
    ):
        os.chmod(path, 0o711)
    os.mkdir(os.path.join(os.path.dirname(shop.config_file), "state"), 0o700)
    os.chown(os.path.join(os.path.dirname(shop.config_file), "state"), 65534, 65534)
    run = shop.run("--json", "issue", "shop", **nobody)
    assert run.status == 1, run
    error = run.json()["results"][0]["error"]
    assert lab.haproxy.socket in error["message"] + str(error["subproblems"])
    assert "ermission denied" in error["message"] + str(error["subproblems"])
    assert lab.haproxy.challenges() == []


def test_deploy__path_unknown_to_haproxy_and_no_list_there(lab, name):
    shop = lab.shop(name)
    elsewhere = os.path.join(lab.new_folder("elsewhere"), "shop.pem")
    broken = with_options(lab, shop, name, crt=elsewhere)
    run = broken.run("--json", "issue", "shop")
    assert run.status == 1, run
    assert os.path.dirname(elsewhere) in run.json()["results"][0]["error"]["message"]
    assert not any(
        elsewhere in line for line in lab.haproxy.certificates()
    ), "a certificate was left in HAProxy"
    assert not os.path.exists(elsewhere)
    mended(lab, shop, name)


def test_deploy__not_shown_at_one_address_is_taken_back(lab, name):
    shop, before = first_issued(lab, name)
    broken = with_options(
        lab, shop, name, probe=[f"127.0.0.1:{lab.haproxy.tls_port}", f"127.0.0.1:{lab.old_port}"]
    )
    run = broken.run("--json", "renew", "shop", "--force")
    assert run.status == 1, run
    error = run.json()["results"][0]["error"]
    assert error["code"] == "CERTAUTO_ENOTSERVED"
    assert f"127.0.0.1:{lab.old_port}" in error["message"]
    assert served(lab, name) == before == on_disk(lab.haproxy.crt(name + ".pem"))
    assert target(broken)["state"] == "rolled-back"
    assert target(broken)["fingerprint_sha256"] == before
    assert broken.lineage("shop")["issued"]["fingerprint_sha256"] != before
    no_open_transaction(lab)
    mended(lab, shop, name)


def test_deploy__first_one_that_cannot_be_proved_leaves_nothing(lab, name):
    shop = lab.shop(name)
    broken = with_options(lab, shop, name, probe=[f"127.0.0.1:{lab.old_port}"])
    run = broken.run("issue", "shop")
    assert run.status == 1, run
    crt = lab.haproxy.crt(name + ".pem")
    assert not any(crt in line for line in lab.haproxy.certificates())
    assert not os.path.exists(crt)
    mended(lab, shop, name)


def test_deploy__haproxy_that_only_says_success_is_found_out(lab, name):
    shop, before = first_issued(lab, name)

    def lie(command, forward):
        """Do not commit, but say so."""
        if command.startswith(b"commit ssl cert"):
            forward(command.replace(b"commit", b"abort"))
            return b"Committing ..\nSuccess!\n\n"
        return forward(command)

    with admin(lab, lie) as proxy:
        broken = with_options(lab, shop, name, socket=proxy.path)
        run = broken.run("--json", "renew", "shop", "--force")
    assert run.status == 1, run
    assert run.json()["results"][0]["error"]["code"] == "CERTAUTO_ENOTSERVED"
    assert served(lab, name) == before == on_disk(lab.haproxy.crt(name + ".pem"))
    no_open_transaction(lab)
    mended(lab, shop, name)


def test_deploy__mismatch_that_shows_at_commit_leaves_no_transaction(lab, name):
    shop, before = first_issued(lab, name)
    other = open(pki.new_key(os.path.join(lab.new_folder("key"), "other.key")), "rb").read()

    def swap_key(command, forward):
        """Put another private key into the payload, once."""
        if command.startswith(b"set ssl cert") and not swapped:
            begin, end = command.index(b"-----BEGIN PRIVATE"), command.index(b"-----END PRIVATE")
            swapped.append(command)
            command = command[:begin] + other[: other.index(b"-----END")] + command[end:]
        return forward(command)

    swapped = []
    with admin(lab, swap_key) as proxy:
        broken = with_options(lab, shop, name, socket=proxy.path)
        run = broken.run("--json", "renew", "shop", "--force")
    assert swapped and run.status == 1, run
    error = run.json()["results"][0]["error"]
    assert error["code"] == "CERTAUTO_EREFUSED"
    assert "inconsistencies" in error["message"], "HAProxy's own words are missing"
    no_open_transaction(lab)
    assert served(lab, name) == before
    mended(lab, shop, name)


def test_deploy__no_blank_line_reaches_the_admin_socket(lab, name):
    shop = lab.shop(name, key=TWO_KEYS)
    with admin(lab, lambda command, forward: forward(command)) as proxy:
        config = shop.config_file
        text = open(config, encoding="utf-8").read().replace(lab.haproxy.socket, proxy.path)
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        run = shop.run("issue", "shop")
        assert run.status == 0, run
        payloads = [command for command in proxy.commands if "<<" in command]
    assert len(payloads) == 2
    for payload in payloads:
        assert "\n\n" not in payload.rstrip("\n") and "\n \n" not in payload and "\r" not in payload
        assert payload.count("BEGIN CERTIFICATE") >= 2, "leaf and intermediate"
    known = (
        "show ",
        "new ssl cert",
        "set ssl cert",
        "commit ssl cert",
        "add ssl crt-list",
        "add map",
        "del map",
        "prepare map",
    )
    assert [command for command in proxy.commands if not command.startswith(known)] == []


def test_deploy__a_file_with_blank_lines_is_put_back_whole(lab):
    name = "placeholder.example.org"
    before = served(lab, name)
    text = open(lab.placeholder, "rb").read()
    assert b"\n\n" in text
    shop = lab.shop(name, target={"crt": "placeholder.pem", "probe": [f"127.0.0.1:{lab.old_port}"]})
    run = shop.run("issue", "shop")
    assert run.status == 1, run
    assert served(lab, name) == before
    assert open(lab.placeholder, "rb").read() == text, "the file was never to be touched"
    no_open_transaction(lab)


def test_deploy__a_payload_haproxy_cannot_take_is_not_sent(calm_lab, name):
    lab = calm_lab
    # Longer names would not fit into the DNS server's answers.
    names = [name] + [f"{i:02}{'a' * 48}.{'b' * 58}.{name}" for i in range(99)]
    shop = lab.shop(*names)
    with admin(lab, lambda command, forward: forward(command)) as proxy:
        text = (
            open(shop.config_file, encoding="utf-8").read().replace(lab.haproxy.socket, proxy.path)
        )
        with open(shop.config_file, "w", encoding="utf-8") as file:
            file.write(text)
        run = shop.run("--json", "issue", "shop")
        assert run.status == 1, run
        assert [command for command in proxy.commands if command.startswith("set ssl cert")] == []
    assert "tune.bufsize" in run.json()["results"][0]["error"]["message"]
    assert shop.lineage("shop")["issued"] is not None
    assert not any(lab.haproxy.crt(name + ".pem") in line for line in lab.haproxy.certificates())


@pytest.mark.parametrize("answered", [False, True])
def test_deploy__killed_after_the_switch_is_finished_by_the_next_run(lab, name, answered):
    shop, before = first_issued(lab, name)
    files = os.listdir(lab.haproxy.certs)
    runs = []

    def kill(command, forward):
        """Let the commit happen, then kill the program, before or after it hears the answer."""
        answer = forward(command)
        if command.startswith(b"commit ssl cert") and not answered:
            runs[0].kill()
            return None
        if command.startswith(b"commit ssl cert"):
            threading.Timer(0, runs[0].kill).start()
        return answer

    with admin(lab, kill) as proxy:
        dying = with_options(lab, shop, name, socket=proxy.path)
        runs.append(dying.start("renew", "shop", "--force"))
        run = dying.finish(runs[0])
    assert run.status == -9, run
    orders = lab.pebble.orders()
    run = shop.run("renew")
    assert run.status == 0, run
    after = served(lab, name)
    assert after != before
    assert (
        after
        == on_disk(lab.haproxy.crt(name + ".pem"))
        == shop.lineage("shop")["issued"]["fingerprint_sha256"]
    )
    assert lab.pebble.orders() == orders
    assert target(shop)["state"] == "deployed"
    folder = os.path.join(os.path.dirname(shop.config_file), "state", "jobs")
    assert os.listdir(folder) == []
    assert sorted(os.listdir(lab.haproxy.certs)) == sorted(files), "a temporary file was left"


def test_deploy__file_that_cannot_be_written_is_written_by_the_next_run(lab, name):
    shop = lab.shop(name)
    crt = lab.haproxy.crt(name + ".pem")

    def spoil(command, forward):
        """Once it is switched, put a folder in the file's place: rename fails, for root as well."""
        answer = forward(command)
        if command.startswith(b"commit ssl cert"):
            os.mkdir(crt)
        return answer

    with admin(lab, spoil) as proxy:
        run = with_options(lab, shop, name, socket=proxy.path).run("issue", "shop")
    assert run.status == 1, run
    assert crt in run.err
    assert target(shop)["state"] == "active-not-saved"
    assert served(lab, name) == shop.lineage("shop")["issued"]["fingerprint_sha256"]
    os.rmdir(crt)
    orders = lab.pebble.orders()
    run = shop.run("renew")
    assert run.status == 0, run
    assert on_disk(crt) == served(lab, name)
    assert target(shop)["state"] == "deployed"
    assert lab.pebble.orders() == orders


def test_deploy__a_second_run_at_the_same_time_is_told_to_wait(lab, name):
    shop = lab.shop(name)
    reached, go_on = threading.Event(), threading.Event()

    def hold(command, forward):
        """Keep the first run waiting in its commit."""
        if command.startswith(b"commit ssl cert"):
            reached.set()
            go_on.wait(30)
        return forward(command)

    with admin(lab, hold) as proxy:
        slow = with_options(lab, shop, name, socket=proxy.path)
        first = slow.start("issue", "shop")
        try:
            assert reached.wait(30), "the first run never came to its commit"
            second = slow.run("renew", "shop", "--force")
        finally:
            go_on.set()
            first_run = slow.finish(first)
    assert second.status == 75, second
    assert first_run.status == 0, first_run


def test_deploy__drift_is_mended_by_deploy(lab, name):
    shop, before = first_issued(lab, name)
    crt = lab.haproxy.crt(name + ".pem")
    foreign = open(
        pki.self_signed_bundle(os.path.join(lab.new_folder("foreign"), "x.pem"), name),
        encoding="ascii",
    ).read()
    lab.haproxy.command(f"set ssl cert {crt} <<\n{foreign}")
    lab.haproxy.command(f"commit ssl cert {crt}")
    assert served(lab, name) != before
    run = shop.run("deploy", "shop")
    assert run.status == 0, run
    assert served(lab, name) == before
