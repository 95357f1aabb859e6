"""The target `files`, with a real nginx: webroot, PEM files, reload."""

import http.server
import json
import os
import stat
import threading

import pytest
from conftest import BINARY
from real import pki, tls
from real.certauto import Certauto
from real.lab import Lab
from real.nginx import Nginx

TWO_KEYS = ["ecdsa-p256", "rsa-2048"]


class NginxLab(Lab):
    """Pebble validating through nginx, which serves what is deployed to the folder pem."""

    def __init__(self):
        self.pem = None
        super().__init__(front=self._nginx)

    def _nginx(self, _lab):
        self.pem = self.new_folder("pem")
        pairs = []
        for key in TWO_KEYS:
            cert, private = self.files(key)
            bundle = pki.self_signed_bundle(
                cert, "nginx.example.org", key.split("-", maxsplit=1)[0]
            )
            # An administrator's file: the key is in there as well, which nginx does not mind.
            with open(bundle, "rb") as file:
                text = file.read()
            with open(private, "wb", opener=lambda path, how: os.open(path, how, 0o600)) as file:
                file.write(text)
            pairs.append((cert, private))
        return Nginx(self.new_folder("nginx"), pairs)

    def files(self, key):
        """Certificate and key file of one key of "shop"."""
        return (
            os.path.join(self.pem, f"shop.{key}.fullchain.pem"),
            os.path.join(self.pem, f"shop.{key}.key.pem"),
        )

    def command(self, name, **options):
        """The command with one certificate "shop" for name, with both keys."""
        target = {
            "type": "files",
            "directory": self.pem,
            "webroot": self.front.webroot,
            "reload": self.front.reload_argv,
            "probe": f"127.0.0.1:{self.front.tls_port}",
            "challenge_check": f"127.0.0.1:{self.front.http_port}",
            **options,
        }
        target = {option: value for option, value in target.items() if value is not None}
        return Certauto(
            BINARY,
            self.config(
                {
                    "shop": {
                        "account": "test",
                        "names": [name, "www." + name],
                        "key": TWO_KEYS,
                        "challenge": {"type": "http-01", "target": "web"},
                        "deploy": ["web"],
                    }
                },
                {"web": target},
            ),
        )

    def served(self, name, key="ecdsa"):
        """The fingerprint nginx serves, with no reload under way."""
        self.front.settle()
        return tls.served(self.front.tls_port, name, key).fingerprint


@pytest.fixture(scope="module")
def web():
    """nginx and a CA that refuses every second nonce."""
    with NginxLab() as up:
        yield up


def contents(folder):
    """Every file of a folder, byte for byte."""
    found = {}
    for entry in os.listdir(folder):
        with open(os.path.join(folder, entry), "rb") as file:
            found[entry] = file.read()
    return found


def with_options(web, command, **options):
    """The same certificate and state, the target used with other options."""
    with open(command.config_file, encoding="utf-8") as file:
        config = json.load(file)
    config["targets"]["web"].update(options)
    folder = web.new_folder("config")
    path = os.path.join(folder, "certauto.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
    return Certauto(command.binary, path)


def issued(web, name, **options):
    """A certificate that is issued and served by nginx; returns the command."""
    command = web.command(name, **options)
    run = command.run("issue", "shop")
    assert run.status == 0, str(run)
    return command


def test_files__two_keys_are_issued_and_served_by_nginx(web, name):
    master = web.front.process.pid
    command = issued(web, name)
    web.front.settle()
    roots = web.pebble.roots()
    for key in TWO_KEYS:
        seen = tls.served(web.front.tls_port, "www." + name, key.split("-", maxsplit=1)[0], roots)
        assert seen.fingerprint == command.lineage("shop", key)["issued"]["fingerprint_sha256"]
        assert command.lineage("shop", key)["targets"][0]["state"] == "deployed"
        cert, private = web.files(key)
        assert stat.S_IMODE(os.stat(private).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(cert).st_mode) == 0o644
        with open(cert, encoding="ascii") as file:
            assert "PRIVATE" not in file.read()
    assert web.front.process.pid == master and web.front.process.poll() is None


def test_files__no_token_and_no_temporary_is_left(web, name):
    issued(web, name)
    left = [files for _, _, files in os.walk(web.front.webroot) if files]
    assert left == []
    wanted = {
        f"shop.{key}.{part}.pem"
        for key in TWO_KEYS
        for part in ("key", "cert", "chain", "fullchain")
    }
    assert set(os.listdir(web.pem)) == wanted


def test_files__no_handshake_fails_while_nginx_reloads(web, name):
    command = issued(web, name)
    before = web.served(name)
    with tls.Handshakes(web.front.tls_port, [name], web.pebble.roots()) as client:
        run = command.run("renew", "shop", "--force")
        assert run.status == 0, run
    assert client.failures == [] and client.good > 0
    assert web.served(name) != before


def test_files__file_names_are_options(web, name):
    folder = web.new_folder("names")
    command = web.command(
        name, directory=folder, probe="no", key_file="{key}/../{name}.key", reload=None
    )
    run = command.run("issue", "shop")
    assert (
        run.status == 2 and "key_file" in run.err
    ), "a pattern that leaves the folder must be refused"
    command = web.command(
        name,
        directory=folder,
        probe="no",
        key_file="{key}-{name}.key",
        cert_file="",
        chain_file="",
        fullchain_file="{key}-{name}.crt",
        combined_file="{key}-{name}.both",
        reload=None,
    )
    run = command.run("issue", "shop")
    assert run.status == 0, run
    assert set(os.listdir(folder)) == {
        f"{key}-shop.{end}" for key in TWO_KEYS for end in ("key", "crt", "both")
    }
    both = os.path.join(folder, "rsa-2048-shop.both")
    assert stat.S_IMODE(os.stat(both).st_mode) & 0o077 == 0, "a key is in there"


@pytest.mark.parametrize(
    "argv, words",
    [
        (["/bin/false"], ["1"]),
        (["/bin/sh", "-c", "echo 'the disk is sad' >&2; exit 3"], ["the disk is sad", "3"]),
        (["/nonexistent/reload"], ["/nonexistent/reload"]),
    ],
)
def test_files__a_reload_that_fails_is_taken_back(web, name, argv, words):
    command = issued(web, name)
    before, files = web.served(name), contents(web.pem)
    broken = with_options(web, command, reload=argv)
    run = broken.run("--json", "renew", "shop", "--force")
    assert run.status == 1, run
    error = run.json()["results"][0]["error"]
    for word in words:
        assert word in error["message"], run
    assert contents(web.pem) == files
    assert web.served(name) == before
    mended(web, command, name)


def mended(web, command, name):
    """A later deploy serves the issued certificates, and the CA is not asked."""
    requests = len(web.pebble.requests())
    run = command.run("deploy", "shop")
    assert run.status == 0, str(run)
    assert len(web.pebble.requests()) == requests
    assert web.served(name) == command.lineage("shop")["issued"]["fingerprint_sha256"]


def test_files__nginx_that_keeps_serving_the_old_one_is_taken_back(web, name):
    command = issued(web, name)
    before, files = web.served(name), contents(web.pem)
    broken = with_options(web, command, reload=["/bin/true"], timeout_ms=1500)
    run = broken.run("--json", "renew", "shop", "--force")
    assert run.status == 1, run
    assert run.json()["results"][0]["error"]["code"] == "CERTAUTO_ENOTSERVED"
    assert contents(web.pem) == files
    assert web.served(name) == before
    assert broken.lineage("shop")["targets"][0]["state"] == "rolled-back"
    mended(web, command, name)


def test_files__no_shell_reads_the_reload_command(web, name):
    witness = os.path.join(web.new_folder("witness"), "made")
    run = web.command(
        name, reload=["/bin/echo", f"$(touch {witness})", f"; touch {witness}"], probe="no"
    ).run("issue", "shop")
    assert run.status == 0, run
    assert not os.path.exists(witness)


def test_files__a_missing_directory_is_named_and_what_was_issued_is_kept(web, name):
    command = web.command(name)
    broken = with_options(web, command, directory="/nonexistent/pem")
    run = broken.run("issue", "shop")
    assert run.status == 1, run
    assert "/nonexistent/pem" in run.err
    mended(web, command, name)


def test_files__a_missing_webroot_is_named(web, name):
    orders = web.pebble.log().count("/chalZ/")
    run = web.command(name, webroot="/nonexistent/webroot").run("issue", "shop")
    assert run.status == 1, run
    assert "/nonexistent/webroot" in run.err
    assert web.pebble.log().count("/chalZ/") == orders, "the CA was told of a token nobody can see"


def test_files__a_key_for_everybody_is_refused(web, name):
    run = web.command(name, key_mode="0644").run("issue", "shop")
    assert run.status == 2, run
    assert "key_mode" in run.err


def test_files__an_answer_with_a_wrong_status_is_told_without_repeating_it(web, name):
    given = []

    class Wrong(http.server.BaseHTTPRequestHandler):
        """The right text, with status 404."""

        def do_GET(self):
            with open(web.front.webroot + self.path, "rb") as file:
                answer = file.read()
            given.append(answer)
            self.send_response(404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            run = web.command(name, challenge_check=f"127.0.0.1:{server.server_port}").run(
                "issue", "shop"
            )
        finally:
            server.shutdown()
    assert run.status == 1 and "404" in run.err, run
    assert given
    for answer in given:
        assert answer.decode()[:60] not in run.err, run
