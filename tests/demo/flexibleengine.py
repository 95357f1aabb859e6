#!/usr/bin/python3
"""The demo on FlexibleEngine: a name and all below it, by dns-01, onto a listener.

usage: flexibleengine.py PATH-OF-CERTAUTO

Starts two Pebbles (real ACME servers for tests) and a simulated cloud, IAM, DNS with its name servers
and load balancers, on loopback addresses; shows what certauto does with them, and stops everything
again. Exit status 0 only when all went as promised.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import textwrap

# It sets the path for what follows.
from stage import Stage, heading, perform, promise, say, show_file, write_config

from real import tls
from real.pebble import Pebble
from real.pki import TestCA, self_signed_bundle
from sim.fe import Fe

ZONE = "example.org"
NAMES = [ZONE, "*." + ZONE]
ASKED = [ZONE, "shop.example.org", "anything-else.example.org"]
PLACEHOLDER, FORGOTTEN, LISTENER, USER = "placeholder", "forgotten", "web", "certauto"
DAYS = 90
PROGRAMS = ("pebble", "openssl", "setpriv")


class Demo(Stage):
    """The parts of the demo, in order."""

    def __init__(self, binary, folder, fe, cas):
        super().__init__(binary, folder)
        self.fe, self.cas, self.ca = fe, cas, "staging"
        self.listener = fe.find("listener", LISTENER)["id"]
        self.more = {}

    # ---- what is there ----

    def served(self):
        """What is served, its chain verified, for all names that are asked for."""
        host, port = self.fe.address(LISTENER).split(":")
        roots = self.cas[self.ca].roots()
        seen = [tls.served(int(port), name, None, roots, host=host) for name in ASKED]
        promise(
            len({one.fingerprint for one in seen}) == 1,
            f"{', '.join(ASKED)}: served, with a chain up to the {self.ca} CA's root",
        )
        return seen[0]

    def used(self):
        """The certificate that the listener refers to, as the API tells it."""
        listener = self.fe.find("listener", LISTENER)
        return self.fe.find("certificate", listener["default_tls_container_ref"])

    def calls(self, *args, **more):
        """certauto, and what the cloud was asked meanwhile: (all, writes to DNS, to ELB)."""
        before = len(self.fe.log)
        self.certauto(*args, **more)
        calls = self.fe.log[before:]
        print(f"  [{len(calls)} calls to the cloud, {sum(one.writes for one in calls)} writes]\n")
        return calls, *(
            [one for one in calls if one.writes and one.service == service]
            for service in ("dns", "elb")
        )

    def is_clean(self):
        """Nothing of a challenge is left."""
        promise(
            self.fe.txt("_acme-challenge." + ZONE) is None, "no record of a challenge is left"
        )

    # ---- what is told to certauto ----

    def secret(self, name, text):
        """A file that holds it, for its owner only."""
        with open(self.path(name), "w", encoding="ascii", opener=_private) as file:
            file.write(text + "\n")
        return {"file": self.path(name)}

    def write_config(self):
        """The configuration as things are now."""
        target = {
            "type": "flexibleengine",
            "region": self.fe.region,
            "project_id": self.fe.project,
            "iam_url": self.fe.iam_url,
            "dns_url": self.fe.dns_url,
            "elb_url": self.fe.elb_url,
            "ca_file": self.fe.ca_file,
            "access_key": {"file": self.path("access_key")},
            "secret_key": {"file": self.path("secret_key")},
            "listener": [self.listener],
            "probe": self.fe.address(LISTENER),
            "dns_resolver": self.fe.named.address,
            "dns_check": self.fe.name_servers,
            **self.more,
        }
        ca = self.cas[self.ca]
        shop = {
            "account": "le",
            "names": NAMES,
            "challenge": {"type": "dns-01", "target": "cloud"},
            "deploy": ["cloud"],
        }
        config = {
            "state": self.path("state"),
            "accounts": {
                "le": {"server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True}
            },
            "targets": {"cloud": target},
            "certificates": {"shop": shop},
        }
        write_config(self.path("certauto.json"), config)

    # ---- the parts ----

    def introduce(self):
        """The servers."""
        heading(1, "The stage")
        say(
            f"Two CAs for tests: staging at {self.cas['staging'].directory}, production at "
            f"{self.cas['production'].directory}. They ask the name servers of the cloud."
        )
        say(
            f"FlexibleEngine (simulated): IAM at {self.fe.iam_url}, DNS at {self.fe.dns_url} with "
            f"the public zone {ZONE} and name servers at {', '.join(self.fe.name_servers)}, ELB at "
            f"{self.fe.elb_url}. Its listener {LISTENER} ({self.fe.address(LISTENER)}) has a "
            "placeholder as certificate."
        )

    def install(self):
        """Policies, user, access key."""
        heading(2, "The recipe: policies, a user, an access key")
        recipe = self.certauto(
            "target", "recipe", f"flexibleengine,region={self.fe.region},user={USER}",
            config=None, show=in_short,
        )  # fmt: skip
        actions = [
            action
            for made in json.loads(recipe)["POST /v3.0/OS-ROLE/roles"]
            for statement in made["role"]["policy"]["Statement"]
            for action in statement["Action"]
        ]
        self.fe.account(USER, "a-password-nobody-uses", actions)
        key = self.fe.key(user=USER)
        self.secret("access_key", key.access)
        self.secret("secret_key", key.secret)
        say("These were made in the account. What is used here is the access key alone.")

    def test(self):
        """The installation."""
        heading(3, "Test: is everything there, and is everything allowed?")
        self.write_config()
        show_file(self.path("certauto.json"))
        _, dns, elb = self.calls("target", "test", "cloud")
        promise(not dns and not elb, "nothing was changed")

    def issue(self):
        """Apex and wildcard."""
        heading(4, "One certificate for a name and all below it")
        say(
            f"Both names are proved by the same record, _acme-challenge.{ZONE}: it has two values, "
            "and FlexibleEngine one record set for them."
        )
        _, dns, elb = self.calls("issue", "shop")
        promise(len(dns) <= 4, f"{len(dns)} writes to the DNS for both names")
        promise(len(elb) == 2, "one write makes the certificate, one gives it to the listener")
        self.served()
        self.is_clean()
        promise(self.fe.find("certificate", PLACEHOLDER), "the placeholder is where it was")

    def nothing(self):
        """It is run each day."""
        heading(5, "The next day: nothing to do")
        calls, dns, elb = self.calls("renew")
        promise(not dns and not elb, f"{len(calls)} looks, no write")

    def switch(self):
        """From staging to production."""
        heading(6, "From staging to production")
        before, used = self.served(), self.used()
        self.ca = "production"
        self.write_config()
        say("The account's server is the production CA's now; nothing else was changed.")
        _, _, elb = self.calls("renew")
        promise(self.served().issuer != before.issuer, "it is from the production CA")
        promise(
            len(elb) == 1 and self.used()["id"] == used["id"],
            "in place, by one write: whatever uses the certificate goes on doing so",
        )
        self.is_clean()

    def drift(self):
        """Somebody else works there, too."""
        heading(7, "Somebody changes the listener by hand")
        placeholder = self.fe.find("certificate", PLACEHOLDER)["id"]
        self.fe.change("listener", LISTENER, default_tls_container_ref=placeholder)
        print(f"\n> listener {LISTENER}: the placeholder again")
        _, dns, elb = self.calls("renew")
        promise(not dns and len(elb) == 1, "mended by one write, without asking the CA")
        self.served()

    def refused(self):
        """What cannot be proved is taken back."""
        heading(8, "A renewal that does not come to be served")
        before, used = self.served(), self.used()["certificate"]
        upload(self.fe, self.folder, FORGOTTEN, ZONE)
        sni = [self.fe.find("certificate", FORGOTTEN)["id"]]
        self.fe.change("listener", LISTENER, sni_container_refs=sni)
        print(f"> listener {LISTENER}: a certificate of somebody's own for SNI\n")
        say(
            "That one comes before the default certificate. What is not proved by a handshake does "
            "not stay."
        )
        self.more = {"timeout_ms": 2000}
        self.write_config()
        self.calls("renew", "--force", expect=1)
        promise(self.used()["certificate"] == used, "the former certificate is back")
        self.fe.change("listener", LISTENER, sni_container_refs=[])
        print(f"> listener {LISTENER}: that one is gone\n")
        promise(self.served().serial == before.serial, "the former certificate is served")
        say("The new one is there still: the CA is not asked once more.")
        _, dns, elb = self.calls("deploy")
        promise(not dns and len(elb) == 1, "one write")
        promise(self.served().serial != before.serial, "the new one is served")

    def run(self):
        """All parts."""
        self.introduce()
        self.install()
        self.test()
        self.issue()
        self.nothing()
        self.switch()
        self.drift()
        self.refused()


def in_short(recipe):
    """A recipe, for those who have seen JSON before."""
    found, lines = json.loads(recipe), []
    for role in [made["role"] for made in found["POST /v3.0/OS-ROLE/roles"]]:
        lines += [f"policy {role['display_name']}:"]
        actions = [one for part in role["policy"]["Statement"] for one in part["Action"]]
        lines += textwrap.wrap(
            ", ".join(actions), 88, initial_indent="    ", subsequent_indent="    "
        )
    user = found["POST /v3.0/OS-USER/users"]["user"]
    lines += [f"user {user['name']}, {user['access_mode']} access only", "an access key of that user"]
    return "\n".join(lines)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def upload(fe, folder, name, fqdn):
    """The administrator puts a certificate of somebody's own there."""
    with open(
        self_signed_bundle(os.path.join(folder, name + ".pem"), fqdn), encoding="ascii"
    ) as file:
        cert, mark, key = file.read().partition("-----BEGIN PRIVATE")
    fe.upload(name, cert.strip() + "\n", mark + key.rstrip() + "\n", domain=fqdn)


def _cloud(fe, folder):
    """A zone, and a listener with a placeholder."""
    fe.zone(ZONE)
    upload(fe, folder, PLACEHOLDER, "placeholder.example.net")
    fe.listener(LISTENER, [PLACEHOLDER])


def play(binary):
    """The stage is set and cleared here."""
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="certauto-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folders = {name: os.path.join(folder, name) for name in ("cloud", "staging", "production")}
        for path in folders.values():
            os.mkdir(path, 0o700)
        own = TestCA(folder)
        fe = stack.enter_context(Fe(folders["cloud"], own))
        _cloud(fe, folders["cloud"])
        cas = {
            name: stack.enter_context(
                Pebble(folders[name], own, fe.named, 80, validity_s=DAYS * 86400)
            )
            for name in ("staging", "production")
        }
        Demo(binary, folder, fe, cas).run()


if __name__ == "__main__":
    sys.exit(perform(play, PROGRAMS))
