"""Challenges other than http-01 for a DNS name: DNS of all kinds, tls-alpn-01, addresses, choice.

The DNS service is a target written in C outside the library (dns_target.c), its name server
real/dns.py. tls-alpn-01 goes through a real nginx with the configuration the documentation gives.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import urllib.request

import pytest
from conftest import BINARY, TESTS
from real import pki, ports, tls
from real.certauto import Certauto, write_config
from real.dns import ZoneDns
from real.nginx import Nginx
from real.pebble import Pebble
from real.proc import Server, wait_until
from sim.ca import CA, Answer, problem

DOCS = os.path.join(os.path.dirname(TESTS), "docs", "targets", "files.md")
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


class StreamNginx(Server):
    """nginx as docs/targets/files.md sets it up for tls-alpn-01, on other ports and folders."""

    def __init__(self, folder, website):
        self.port = ports.free_port()
        self.challenge_port = ports.free_port()
        self.alpn = os.path.join(folder, "alpn")
        os.mkdir(self.alpn, 0o700)
        with open(DOCS, encoding="utf-8") as file:
            stream = re.search(r"^```nginx\n(stream \{.*?)^```", file.read(), re.S | re.M)[1]
        for old, new in (
            ("listen 443", f"listen 127.0.0.1:{self.port}"),
            ("127.0.0.1:10443", f"127.0.0.1:{self.challenge_port}"),
            ("127.0.0.1:8443", f"127.0.0.1:{website.tls_port}"),
            ("/etc/ssl/certauto-alpn", self.alpn),
        ):
            assert old in stream
            stream = stream.replace(old, new)
        config = os.path.join(folder, "stream.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(
                f"load_module {STREAM_MODULE};\n{'user root;' if os.geteuid() == 0 else ''}\n"
                f"worker_processes 1;\npid {folder}/stream.pid;\nerror_log {folder}/stream.log;\n"
                f"events {{ worker_connections 64; }}\n{stream}"
            )
        super().__init__(
            "nginx-stream",
            ["/usr/sbin/nginx", "-p", folder, "-e", "stderr", "-c", config, "-g", "daemon off;"],
            folder,
        )

    def ready(self):
        return ports.answers(self.port) and ports.answers(self.challenge_port)


class Place:
    """A zone, a website, a CA: Pebble, with validation at 443 through the stream, and the other."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.zone = stack.enter_context(ZoneDns(self.new_folder("zone")))
        cert = pki.self_signed_bundle(os.path.join(folder, "website.pem"), "website.example.org")
        self.website = stack.enter_context(Nginx(self.new_folder("website"), [(cert, cert)]))
        self.stream = stack.enter_context(StreamNginx(self.new_folder("stream"), self.website))
        self.tls = pki.TestCA(folder)
        self.pebble = stack.enter_context(
            Pebble(
                self.new_folder("pebble"),
                self.tls,
                self.zone,
                self.website.http_port,
                tls_port=self.stream.port,
            )
        )

    def new_folder(self, name):
        """A new folder, with a number behind its name if there is one already."""
        taken = sum(entry.split("-")[0] == name for entry in os.listdir(self.folder))
        path = os.path.join(self.folder, f"{name}-{taken + 1}" if taken else name)
        os.mkdir(path, 0o700)
        return path

    def sim(self, **options):
        """The simulated CA, validating through this place."""
        return CA(
            self.new_folder("ca"),
            self.tls,
            resolver=self.zone.values,
            http_address=f"127.0.0.1:{self.website.http_port}",
            alpn_address=f"127.0.0.1:{self.stream.port}",
            **options,
        )

    def targets(self):
        """The website for http-01 and tls-alpn-01, the zone for DNS."""
        return {
            "web": {
                "type": "files",
                "webroot": self.website.webroot,
                "alpn_directory": self.stream.alpn,
                "challenge_check": f"127.0.0.1:{self.website.http_port}",
            },
            "dns": {
                "type": "zone",
                "folder": self.zone.folder,
                "dns_resolver": f"127.0.0.1:{self.zone.port}",
                "dns_check": f"127.0.0.1:{self.zone.port}",
            },
        }

    def config(self, ca, names, challenge):
        """A configuration with one certificate "shop" that is deployed nowhere."""
        entries = challenge if isinstance(challenge, list) else [challenge]
        used = {entry.get("target") for entry in entries}
        folder = self.new_folder("config")
        return write_config(
            os.path.join(folder, "certauto.json"),
            {
                "state": os.path.join(folder, "state"),
                "accounts": {
                    "test": {"server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True}
                },
                "targets": {
                    name: target for name, target in self.targets().items() if name in used
                },
                "certificates": {
                    "shop": {
                        "account": "test",
                        "names": names,
                        "key": "ecdsa-p256",
                        "challenge": challenge,
                        "deploy": [],
                    }
                },
            },
        )

    def leftovers(self):
        """Files of challenges that are still there."""
        tokens = os.path.join(self.website.webroot, ".well-known", "acme-challenge")
        return (os.listdir(tokens) if os.path.isdir(tokens) else []) + os.listdir(self.stream.alpn)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Place(str(tmp_path_factory.mktemp("challenge")), stack)


@pytest.fixture(scope="module")
def dns_target(tmp_path_factory):
    """The program in C, built against the library under test."""
    build = os.path.dirname(os.path.abspath(BINARY))
    program = str(tmp_path_factory.mktemp("dns_target") / "dns_target")
    with open(os.path.join(build, "libcertauto.so"), "rb") as file:
        sanitized = b"__asan_init" in file.read()
    subprocess.run(
        [os.environ.get("CC", "cc"), "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
        + (["-fsanitize=address,undefined"] if sanitized else [])
        + ["-I", os.path.join(os.path.dirname(TESTS), "include"), "-o", program]
        + [os.path.join(TESTS, "flow", "dns_target.c")]
        + ["-L", build, "-lcertauto", "-Wl,-rpath," + build],
        check=True,
    )

    def run(config, **env):
        return subprocess.run(
            [program, config],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env={**os.environ, **env},
        )

    return run


def result(done):
    """The one result a run tells of."""
    return json.loads(done.stdout)[0]


def issued_names(config):
    """The names of the certificate in the store, sorted."""
    current = os.path.join(
        os.path.dirname(config), "state", "certs", "shop", "ecdsa-p256", "current", "cert.pem"
    )
    text = pki.openssl("x509", "-in", current, "-noout", "-ext", "subjectAltName").decode()
    return sorted(re.findall(r"(?:DNS|IP Address):([^,\s]+)", text))


# ---- DNS ----


def test_dns__wildcard_and_base_name_are_validated_by_pebble(place, dns_target, name):
    owner = "_acme-challenge." + name
    place.zone.put(owner, "somebody-else")
    config = place.config(
        place.pebble, [name, "*." + name], {"type": "dns-01", "target": "dns"}
    )
    done = dns_target(config)
    assert done.returncode == 0, done
    assert result(done)["outcome"] == "done"
    assert issued_names(config) == ["*." + name, name]
    assert place.zone.values(owner) == ["somebody-else"]


def test_dns__what_a_killed_run_has_put_up_is_taken_down_by_the_next(place, dns_target, name):
    owner = "_acme-challenge." + name
    place.zone.put(owner, "somebody-else")
    config = place.config(
        place.pebble, [name, "*." + name], {"type": "dns-01", "target": "dns"}
    )
    killed = dns_target(config, KILL_AFTER="1")
    assert killed.returncode == -signal.SIGKILL, killed
    assert len(place.zone.values(owner)) == 2
    done = dns_target(config)
    assert done.returncode == 0, done
    assert issued_names(config) == ["*." + name, name]
    assert place.zone.values(owner) == ["somebody-else"]


def both_at_once(zone):
    """A resolver that lets neither of two answers go before both were looked for."""
    both = threading.Barrier(2, timeout=10)

    def resolver(asked):
        both.wait()
        found = zone.values(asked)
        both.wait()
        return found

    return resolver


def test_dns__both_values_are_at_one_owner_at_once(place, dns_target, name):
    owner = "_acme-challenge." + name
    place.zone.put(owner, "somebody-else")
    with place.sim(offered=("dns-01",)) as ca:
        ca.resolver = both_at_once(place.zone)
        config = place.config(ca, [name, "*." + name], {"type": "dns-01", "target": "dns"})
        done = dns_target(config)
        assert done.returncode == 0, done
        assert ca.counts["challenges validated"] == 2
    assert place.zone.most_values[owner] == 3
    assert place.zone.values(owner) == ["somebody-else"]


def test_dns__account_01_has_an_owner_of_its_own(place, dns_target, name):
    with place.sim(offered=("dns-account-01",)) as ca:
        ca.resolver = both_at_once(place.zone)
        config = place.config(
            ca, [name, "*." + name], {"type": "dns-account-01", "target": "dns"}
        )
        done = dns_target(config)
        assert done.returncode == 0, done
        assert ca.counts["challenges validated"] == 2
        assert issued_names(config) == ["*." + name, name]
    asked = [owner for owner in place.zone.most_values if owner.endswith("." + name)]
    assert len(asked) == 1
    assert re.fullmatch(r"_[a-z2-7]{16}\._acme-challenge\." + re.escape(name), asked[0])
    assert place.zone.most_values[asked[0]] == 2
    assert asked[0] not in place.zone.owners()


def test_dns__persist_01_shows_its_record_and_takes_it_away(place, dns_target, name):
    with place.sim(offered=("dns-persist-01",)) as ca:
        config = place.config(ca, ["*." + name], {"type": "dns-persist-01", "target": "dns"})
        done = dns_target(config)
        assert done.returncode == 0, done
        assert ca.counts["challenges validated"] == 1
    assert place.zone.most_values["_validation-persist." + name] == 1
    assert "_validation-persist." + name not in place.zone.owners()


def test_dns__persist_01_without_a_target_tells_the_record(place, name):
    with place.sim(offered=("dns-persist-01",)) as ca:
        config = place.config(ca, ["*." + name], {"type": "dns-persist-01"})
        command = Certauto(BINARY, config)
        refused = command.run("renew", "--json")
        assert refused.status == 1, refused
        error = refused.json()["results"][0]["error"]
        assert error["code"] == "CERTAUTO_ECHALLENGE"
        found = re.search(r'(\S+)\. TXT "([^"]+)"', error["advice"])
        (account,) = ca.accounts
        assert found[1] == "_validation-persist." + name
        assert found[2] == f"ca.example.net; accounturi={account}; policy=wildcard"
        place.zone.put(found[1], found[2])
        done = command.run("renew", "--force")
        assert done.status == 0, done
    assert issued_names(config) == ["*." + name]
    assert place.zone.values(found[1]) == [found[2]]  # it is there for good


def test_dns__a_value_that_never_appears_is_the_cas_verdict(place, dns_target, name):
    """The CA asks another zone: what it says reaches the user, and nothing is left."""
    with place.sim(offered=("dns-01",)) as ca:
        ca.resolver = lambda owner: ["wrong"]
        config = place.config(ca, [name], {"type": "dns-01", "target": "dns"})
        done = dns_target(config)
        assert done.returncode == 1, done
        error = result(done)["error"]
        assert error["code"] == "CERTAUTO_ECHALLENGE"
        assert [sub["name"] for sub in error["subproblems"]] == [name]
    assert "_acme-challenge." + name not in place.zone.owners()


def test_challenge__that_the_ca_does_not_take_is_told_in_its_words(place, name):
    with place.sim() as ca:
        ca.script["challenge"] = [problem("unauthorized", "not for you", 403)]
        config = place.config(ca, [name], {"type": "http-01", "target": "web"})
        refused = Certauto(BINARY, config).run("renew", "--json")
        assert refused.status == 1, refused
        error = refused.json()["results"][0]["error"]
        assert error["code"] == "CERTAUTO_EAUTH"
        assert error["type"] == "urn:ietf:params:acme:error:unauthorized"
        assert error["status"] == 403
        assert "not for you" in error["message"]
        assert [sub["name"] for sub in error["subproblems"]] == [name]
    assert place.leftovers() == []


def test_challenge__of_a_type_with_control_bytes_is_told_without_them(place, name):
    def failed(_request, answer):
        body = dict(answer.body, status="invalid")
        error = {"type": "urn:ietf:params:acme:error:dns", "detail": "no such name"}
        body["challenges"] = [
            {**body["challenges"][0], "type": "x\x1b[2Jy", "status": "invalid", "error": error}
        ]
        return Answer(body)

    with place.sim() as ca:
        ca.on("authz", failed)
        config = place.config(ca, [name], {"type": "http-01", "target": "web"})
        refused = Certauto(BINARY, config).run("renew", "--json")
        message = refused.json()["results"][0]["error"]["message"]
    assert "no such name" in message and "[2Jy" in message
    assert "\x1b" not in message


# ---- tls-alpn-01 ----


def test_tls_alpn__is_answered_by_nginx_beside_its_websites(place, name):
    names = [name, "second-" + name]
    config = place.config(place.pebble, names, {"type": "tls-alpn-01", "target": "web"})
    certificate = tls.served(place.website.tls_port, name).fingerprint
    with tls.Handshakes(place.stream.port, [name], None, keys=["ecdsa"]) as visitor:
        done = Certauto(BINARY, config).run("renew")
    assert done.status == 0, done
    assert issued_names(config) == sorted(names)
    assert place.leftovers() == []
    # Who does not offer acme-tls/1 never met anything but the website.
    assert visitor.good > 0 and visitor.failures == []
    assert visitor.fingerprints == {certificate}


def test_tls_alpn__certificates_that_share_a_name_take_turns(place, name):
    config = place.config(place.pebble, [name], {"type": "tls-alpn-01", "target": "web"})
    with open(config, encoding="utf-8") as file:
        document = json.load(file)
    shop = document["certificates"].pop("shop")
    for i in range(7):
        shared = {**shop, "names": [name, f"n{i}-{name}"]}
        document["certificates"][f"shop-{i}"] = shared
    write_config(config, document)
    done = Certauto(BINARY, config).run("renew")
    assert done.status == 0, done
    assert place.leftovers() == []


def test_tls_alpn__addresses_are_asked_for_by_their_reverse_name(place):
    with place.sim(offered=("tls-alpn-01",)) as ca:
        names = ["127.0.0.1", "2001:db8::1"]
        config = place.config(ca, names, {"type": "tls-alpn-01", "target": "web"})
        done = Certauto(BINARY, config).run("renew")
        assert done.status == 0, done
        assert ca.counts["challenges validated"] == 2
    assert issued_names(config) == ["127.0.0.1", "2001:DB8:0:0:0:0:0:1"]
    assert place.leftovers() == []


# ---- addresses ----


def test_address__pebble_validates_by_http_01(place):
    config = place.config(place.pebble, ["127.0.0.1"], {"type": "http-01", "target": "web"})
    done = Certauto(BINARY, config).run("renew")
    assert done.status == 0, done
    assert issued_names(config) == ["127.0.0.1"]
    assert place.leftovers() == []


def test_address__ipv6_is_ordered_in_its_shortest_form(place):
    with place.sim() as ca:
        config = place.config(ca, ["2001:DB8:0:0::0001"], {"type": "http-01", "target": "web"})
        done = Certauto(BINARY, config).run("renew")
        assert done.status == 0, done
        (order,) = [request for request in ca.log if request.endpoint == "newOrder"]
        assert json.loads(order.payload)["identifiers"] == [{"type": "ip", "value": "2001:db8::1"}]
    assert place.leftovers() == []


@pytest.mark.parametrize(
    ("names", "challenge", "words"),
    [
        (["192.0.2.1"], {"type": "dns-persist-01"}, "by http-01 or tls-alpn-01, not by"),
        (["*.shop.example.org"], {"type": "http-01", "target": "web"}, "wildcard by dns-01"),
        (["*.shop.example.org"], {"type": "tls-alpn-01", "target": "web"}, "wildcard by dns-01"),
    ],
)
def test_address__what_cannot_be_proved_is_told_before_anything_is_sent(
    place, names, challenge, words
):
    with place.sim() as ca:
        config = place.config(ca, names, challenge)
        refused = Certauto(BINARY, config).run("renew")
        assert refused.status == 2, refused
        assert names[0] in refused.err and words in refused.err
        assert not ca.log


# ---- which challenge ----


def test_choice__each_name_gets_the_first_challenge_that_can_prove_it(place, dns_target, name):
    with place.sim() as ca:
        config = place.config(
            ca,
            [name, "*." + name, "127.0.0.1"],
            [{"type": "http-01", "target": "web"}, {"type": "dns-01", "target": "dns"}],
        )
        done = dns_target(config)
        assert done.returncode == 0, done
        chosen = {
            (authz.wildcard, authz.value): challenge.type
            for authz in ca.authzs.values()
            for challenge in authz.challenges
            if challenge.status == "valid"
        }
    assert chosen == {
        (False, name): "http-01",
        (True, name): "dns-01",
        (False, "127.0.0.1"): "http-01",
    }


def test_choice__what_the_ca_does_not_offer_is_passed_over(place, dns_target, name):
    with place.sim(offered=("dns-01",)) as ca:
        config = place.config(
            ca,
            [name],
            [{"type": "http-01", "target": "web"}, {"type": "dns-01", "target": "dns"}],
        )
        done = dns_target(config)
        assert done.returncode == 0, done
    with place.sim(offered=("tls-alpn-01", "dns-01")) as ca:
        config = place.config(ca, [name], {"type": "http-01", "target": "web"})
        refused = Certauto(BINARY, config).run("renew")
        assert refused.status == 1, refused
        assert "does not offer http-01" in refused.err
        assert "dns-01" in refused.err


# ---- cancelled ----


def test_cancel__the_answer_stays_until_the_ca_has_looked(place, name):
    """A CA that finds the answer gone counts a failed validation."""
    seen = []
    looking, go_on = threading.Event(), threading.Event()

    def validate(challenge):
        looking.set()
        go_on.wait(10)
        url = f"http://127.0.0.1:{place.website.http_port}/.well-known/acme-challenge/"
        with urllib.request.urlopen(url + challenge.token, timeout=5) as answer:
            seen.append(answer.read().decode())
        return True

    with place.sim(validate=validate) as ca:
        config = place.config(ca, [name], {"type": "http-01", "target": "web"})
        command = Certauto(BINARY, config)
        process = command.start("renew")
        assert looking.wait(20)
        polls = ca.counts["authz"]
        process.send_signal(signal.SIGINT)
        # It has heard the signal, and asks on.
        wait_until(lambda: ca.counts["authz"] > polls + 1, "the CA to be asked on")
        go_on.set()
        done = command.finish(process)
        assert done.status == 130, done
        assert ca.counts["certificates issued"] == 0
    assert len(seen) == 1 and re.fullmatch(r"[\w-]+\.[\w-]{43}", seen[0])
    assert place.leftovers() == []
