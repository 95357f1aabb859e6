#!/usr/bin/python3
"""The demo on a NetScaler: what the scripts around dehydrated are used for, from nothing.

usage: netscaler.py PATH-OF-CERTAUTO

Starts two Pebbles (real ACME servers for tests), their DNS helper, and a simulated pair of
NetScalers on loopback addresses, shows what certauto does with them, and stops everything again.
Exit status 0 only when all went as promised.
"""

import contextlib
import os
import shutil
import sys
import tempfile

# It sets the path for what follows.
from stage import Stage, heading, perform, promise, say, show_file, write_config

from real import tls
from real.pebble import Dns, Pebble
from real.pki import TestCA
from sim.nitro import Nitro

HTTP, HTTPS = "vs_http", "vs_https"
SHOP = ["shop.example.org", "www.shop.example.org", "api.shop.example.org"]
BLOG = ["blog.example.org"]
PASSWORD = "a-password-of-your-own"
PROGRAMS = ("pebble", "pebble-challtestsrv", "openssl", "setpriv")


class Demo(Stage):
    """The parts of the demo, in order."""

    def __init__(self, binary, folder, pair, cas):
        super().__init__(binary, folder)
        self.pair = pair
        self.cas = cas
        self.ca = "staging"
        self.certificates = {"shop": SHOP}

    def address(self, vserver):
        """host:port"""
        return self.pair.vservers[vserver].address

    def write_config(self):
        """The configuration as things are now."""
        target = {
            "type": "netscaler",
            "url": self.pair.url,
            "ca_file": self.pair.ca_file,
            "user": "certauto",
            "password": {"file": self.path("password")},
            "vserver": HTTP,
            "ssl_vserver": [HTTPS],
            "probe": self.address(HTTPS),
            "challenge_check": self.address(HTTP),
        }
        ca = self.cas[self.ca]
        certificates = {
            name: {
                "account": "le",
                "names": names,
                "challenge": {"type": "http-01", "target": "edge"},
                "deploy": [{"target": "edge", "sni": "both" if name == "shop" else "sni"}],
            }
            for name, names in self.certificates.items()
        }
        account = {"server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True}
        config = {
            "state": self.path("state"),
            "accounts": {"le": account},
            "targets": {"edge": target},
            "certificates": certificates,
        }
        write_config(self.path("certauto.json"), config)

    def calls(self, *args):
        """certauto, and what the appliance was asked meanwhile."""
        before = len(self.pair.log)
        self.certauto(*args)
        calls = self.pair.log[before:]
        n_writes = sum(call.writes for call in calls)
        print(f"  [calls to the appliance: {len(calls)}, {n_writes} of them to change something]")
        return calls

    def served(self, names):
        """The one certificate that is served for names, its chain verified."""
        port, roots = self.pair.vservers[HTTPS].port, self.cas[self.ca].roots()
        seen = [tls.served(port, name, roots=roots) for name in names]
        promise(
            len({one.fingerprint for one in seen}) == 1,
            f"{names[0]} is served with a chain up to the root of the {self.ca} CA",
        )
        return seen[0]

    def introduce(self):
        """The servers."""
        heading(1, "The stage")
        say(
            f"Two CAs for tests: staging at {self.cas['staging'].directory}, production at "
            f"{self.cas['production'].directory}. Every name leads to 127.0.0.1."
        )
        say(
            f"A pair of NetScalers (simulated), managed at {self.pair.url}: an http vserver {HTTP} "
            f"at {self.address(HTTP)} and an SSL vserver {HTTPS} at {self.address(HTTPS)}, no "
            "certificate yet."
        )

    def account(self):
        """The service account on the appliance."""
        heading(2, "An account that may do this and nothing else")
        options = f"url={self.pair.url},user=certauto,vserver={HTTP},ssl_vserver={HTTPS},sni=both"
        recipe = self.certauto("target", "recipe", f"netscaler,{options}", config=None)
        self.pair.recipe(recipe.replace("PASSWORD", PASSWORD))
        with open(self.path("password"), "w", encoding="ascii", opener=_private) as file:
            file.write(PASSWORD + "\n")
        say("These commands were typed into the appliance, which enforces them from now on.")

    def test(self):
        """The connection."""
        heading(3, "Test: can everything be reached, and is everything allowed?")
        self.write_config()
        show_file(self.path("certauto.json"))
        calls = self.calls("check")
        promise(not any(call.writes for call in calls), "nothing was changed")

    def issue(self):
        """Three names, at the staging CA."""
        heading(4, "Issue: one certificate for three names, at the staging CA")
        self.calls("issue", "shop")
        print()
        self.served(SHOP)
        promise(not self.pair.unsaved, "the configuration is saved")

    def switch(self):
        """From staging to production."""
        heading(5, "From staging to production")
        say("The account's server is another one now. Nothing has to be removed by hand.")
        before = self.served(SHOP)
        self.ca = "production"
        self.write_config()
        self.certauto("plan")
        self.calls("renew")
        print()
        after = self.served(SHOP)
        promise(before.issuer != after.issuer, "another intermediate is linked")
        promise(len(self.pair.files()) == 3, "files and CA object of the staging CA are gone")

    def second(self):
        """Another certificate on the same vserver."""
        heading(6, "A second certificate, on the same vserver by SNI")
        self.certificates["blog"] = BLOG
        self.write_config()
        self.calls("renew")
        print()
        self.served(BLOG)
        self.served(SHOP)

    def force(self):
        """Both, now."""
        heading(7, "Renew both, although they are not due")
        old = [self.served(names).serial for names in (SHOP, BLOG)]
        calls = self.calls("renew", "--force")
        print()
        new = [self.served(names).serial for names in (SHOP, BLOG)]
        promise(not set(old) & set(new), "both are new")
        promise(sum(call.kind == "login" for call in calls) == 1, "one session for both")

    def timer(self):
        """A day like any other."""
        heading(8, "What the timer does on most days")
        calls = self.calls("renew")
        promise(calls, "nothing is due, but it is looked whether all is as it was deployed")
        promise(not any(call.writes for call in calls), "it is, so nothing is changed")

    def fail_over(self):
        """The other node takes over."""
        heading(9, "High availability: the other node takes over")
        self.pair.failover()
        say("The node in the URL is the secondary one now. certauto follows the primary.")
        old = self.served(SHOP).serial
        self.calls("renew", "shop", "--force")
        print()
        promise(self.served(SHOP).serial != old, "the new primary serves the new certificate")
        self.pair.failover()
        promise(self.served(SHOP).serial != old, "so does the other node, when it takes over again")
        self.pair.reboot()
        promise(self.served(SHOP).serial != old, "and a reboot loses nothing")
        self.certauto("status")

    def run(self):
        """All parts."""
        self.introduce()
        self.account()
        self.test()
        self.issue()
        self.switch()
        self.second()
        self.force()
        self.timer()
        self.fail_over()


def _private(path, flags):
    return os.open(path, flags, 0o600)


def play(binary):
    """The stage is set and cleared here."""
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="certauto-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folders = {name: os.path.join(folder, name) for name in ("ns", "staging", "production")}
        for path in folders.values():
            os.mkdir(path, 0o700)
        own = TestCA(folder)
        pair = stack.enter_context(Nitro(folders["ns"], own, ha=True))
        pair.vserver(HTTP)
        pair.ssl_vserver(HTTPS)
        dns = stack.enter_context(Dns(folder))
        port = pair.vservers[HTTP].port
        cas = {
            name: stack.enter_context(Pebble(folders[name], own, dns, port))
            for name in ("staging", "production")
        }
        Demo(binary, folder, pair, cas).run()


if __name__ == "__main__":
    sys.exit(perform(play, PROGRAMS))
