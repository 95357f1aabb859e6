#!/usr/bin/python3
"""The demo: one certificate through a real HAProxy, from the first account to a failure taken back.

usage: haproxy.py PATH-OF-CERTAUTO

Starts Pebble (a real ACME server for tests), its DNS helper and HAProxy on free loopback ports,
shows what certauto does with them, and stops everything again. Exit status 0 only when all went as
promised.
"""

import sys
import time

# It sets the path for what follows.
from stage import Broken, Stage, heading, perform, promise, say, show_file, write_config

from real import haproxy, pki, ports, tls
from real.lab import Lab

NAMES = ["shop.example.org", "www.shop.example.org", "api.shop.example.org"]
KEYS = {"ecdsa": "ecdsa-p256", "rsa": "rsa-2048"}
PROGRAMS = ("pebble", "pebble-challtestsrv", "haproxy", "openssl", "setpriv")


class Demo(Stage):
    """The parts of the demo, in order."""

    def __init__(self, binary, lab, old_port):
        super().__init__(binary, lab.folder)
        self.lab = lab
        self.old_port = old_port
        self.roots = lab.pebble.roots()

    def write_config(self, file_name, **target_options):
        """A configuration in the demo's folder; target_options change how "edge" is used."""
        lab = self.lab
        config = {
            "state": self.path("state"),
            "accounts": {"test-ca": lab.account()},
            "targets": {"edge": {**lab.haproxy_target("shop.pem"), **target_options}},
            "certificates": {
                "shop": {
                    "account": "test-ca",
                    "names": NAMES,
                    "key": list(KEYS.values()),
                    "challenge": {"type": "http-01", "target": "edge"},
                    "deploy": ["edge"],
                }
            },
        }
        write_config(self.path(file_name), config)

    def served(self):
        """What HAProxy serves for each name and key type, chains verified up to the root."""
        return {
            (name, key): tls.served(self.lab.haproxy.tls_port, name, key, self.roots)
            for name in NAMES
            for key in KEYS
        }

    def fingerprints(self):
        """What is served now, one fingerprint per key type."""
        found = {
            key: {seen.fingerprint for (_, k), seen in self.served().items() if k == key}
            for key in KEYS
        }
        if any(len(each) != 1 for each in found.values()):
            raise Broken("the names are not all served with the same certificate")
        return {key: each.pop() for key, each in found.items()}

    def introduce(self):
        """The servers, and the configuration."""
        lab = self.lab
        heading(1, "The stage")
        say(f"Pebble, a CA for tests, listens at {lab.pebble.directory}")
        say(f"Its DNS server, on port {lab.dns.port}, says that every name is 127.0.0.1")
        say(
            f"HAProxy listens on port {lab.haproxy.http_port} (http) and {lab.haproxy.tls_port} "
            "(https); it has no certificate yet. Its admin socket is all that certauto needs of it."
        )
        say(f"All files are in {lab.folder}. The configuration is certauto.json there:")
        self.write_config("certauto.json")
        show_file(self.path("certauto.json"))

    def register(self):
        """An account at the CA."""
        heading(2, "Register an account at the CA")
        self.certauto("account", "register")

    def issue(self):
        """The first certificates."""
        heading(3, "Issue: one certificate for three names, with an ECDSA and an RSA key")
        say(
            "The CA asks HAProxy for a token under each name; certauto puts the tokens into "
            "HAProxy's map beforehand and takes them out afterwards. Then HAProxy gets key and "
            "chain, without a restart."
        )
        worker = self.lab.haproxy.pid()
        self.certauto("issue", "shop")
        print()
        promise(self.lab.haproxy.challenges() == [], "no token is left in HAProxy's map")
        promise(
            self.lab.haproxy.pid() == worker,
            "HAProxy is still the same process, it was not restarted",
        )

    def show(self):
        """Handshakes."""
        heading(4, "Look: what does HAProxy serve? A handshake for each name and key type")
        print(f"  {'name':24}{'key':8}{'serial':20}issuer")
        for (name, key), seen in self.served().items():
            print(f"  {name:24}{seen.key_type:8}{seen.serial:20}{seen.issuer}")
            if seen.key_type != key:
                raise Broken(
                    f"{name}: asked for {key}, got a certificate with an {seen.key_type} key"
                )
        print()
        promise(True, "each chain leads to the CA's root and is valid for its name")

    def renew(self):
        """A renewal under traffic."""
        heading(5, "Renew, while a client makes handshakes all the time")
        before = self.fingerprints()
        with tls.Handshakes(self.lab.haproxy.tls_port, NAMES, self.roots) as client:
            self.certauto("renew", "shop", "--force")
            so_far = client.good
            # Go on for a few rounds, so that the new certificates are seen by that client too.
            while client.good < so_far + 4 * len(client.plan) and not client.failures:
                time.sleep(0.01)
        print(
            f"\n  the client made {client.good + len(client.failures)} handshakes, "
            f"{len(client.failures)} failed"
        )
        for failure in client.failures[:3]:
            print(f"  failed: {failure}")
        promise(not client.failures, "no visitor noticed the renewal")
        after = self.fingerprints()
        promise(
            all(before[key] != after[key] for key in KEYS),
            "the certificates of both key types are new",
        )
        promise(
            set(before.values()) | set(after.values()) == client.fingerprints,
            "the client saw the old and the new ones, and nothing else",
        )

    def break_it(self):
        """A deployment that cannot be proved, taken back, and mended."""
        heading(6, "Break it: a deployment that cannot be proved is taken back")
        say(
            f"Suppose visitors also arrive at port {self.old_port}, where somebody left a "
            "certificate of their own in HAProxy's configuration. broken.json is certauto.json "
            "with that address as a second place to prove the deployment. There the new "
            "certificate never shows."
        )
        here = f"127.0.0.1:{self.lab.haproxy.tls_port}"
        self.write_config("broken.json", probe=[here, f"127.0.0.1:{self.old_port}"])
        before = self.fingerprints()
        self.certauto("renew", "shop", "--force", config="broken.json", expect=1)
        print()
        promise(self.fingerprints() == before, "HAProxy serves the certificates it served before")
        self.certauto("status", config="broken.json")
        orders = self.lab.pebble.orders()
        print()
        say(
            "The new certificates are not lost: they are issued, only not deployed. With the right "
            "configuration they are deployed without asking the CA again."
        )
        self.certauto("deploy", "shop")
        print()
        after = self.fingerprints()
        promise(
            all(before[key] != after[key] for key in KEYS), "now the new certificates are served"
        )
        promise(self.lab.pebble.orders() == orders, "the CA was not asked for another certificate")

    def finish(self):
        """The state of things, and a restart to show that it lasts."""
        heading(7, "Status")
        self.certauto("status")
        before = self.fingerprints()
        self.lab.haproxy.restart()
        promise(
            self.fingerprints() == before,
            "after a restart of HAProxy, too: the files on disk are the new ones",
        )

    def run(self):
        """All parts."""
        self.introduce()
        self.register()
        self.issue()
        self.show()
        self.renew()
        self.break_it()
        self.finish()


def play(binary):
    """The stage is set and cleared here."""
    old_port = ports.free_port()

    def balancer(lab):
        """HAProxy, with a listener that has a certificate of its own, for the part that breaks."""
        bundle = pki.self_signed_bundle(lab.folder + "/forgotten.pem", NAMES[0])
        return haproxy.HAProxy(
            lab.new_folder("haproxy"), more_binds=[haproxy.fixed_bind(old_port, bundle)]
        )

    with Lab(front=balancer) as lab:
        Demo(binary, lab, old_port).run()


if __name__ == "__main__":
    sys.exit(perform(play, PROGRAMS))
