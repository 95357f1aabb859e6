#!/usr/bin/python3
"""The demo on an Avi controller: certificates that it renews by itself, by a ControlScript, and one
that certauto issues and renews from outside.

usage: avi.py PATH-OF-CERTAUTO

Starts two Pebbles (real ACME servers for tests), their DNS helper, and a simulated controller of
Avi (NSX Advanced Load Balancer) with its virtual services, on loopback addresses. Shows how
certauto gets into the controller and what it does there, and stops everything again. The Python
package is expected beside the command, in python/. Exit status 0 only when all went as promised.
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
from real.pebble import Dns, Pebble
from real.pki import TestCA, self_signed_bundle
from sim.avi import Avi, AviError

NAMES = ["shop.example.org", "www.shop.example.org", "api.shop.example.org"]
PASSWORD = "a-password-of-your-own"
PROFILE, RSA, EC = "certauto", "shop-rsa", "shop-ec"
DAYS = 90
PROGRAMS = ("pebble", "pebble-challtestsrv", "openssl", "setpriv")


class Demo(Stage):
    """The parts of the demo, in order."""

    def __init__(self, binary, folder, avi, cas):
        super().__init__(binary, folder)
        self.avi, self.cas, self.ca = avi, cas, "staging"

    def served(self, kind):
        """What is served to clients of a key type, its chain verified, for all names."""
        host, port = self.avi.address("shop", 443).split(":")
        roots = self.cas[self.ca].roots()
        seen = [tls.served(int(port), name, kind, roots, host=host) for name in NAMES]
        promise(
            len({one.fingerprint for one in seen}) == 1,
            f"{kind.upper()}: all {len(NAMES)} names, with a chain up to the {self.ca} CA's root",
        )
        return seen[0]

    def parameter(self, name, value):
        """The administrator changes a parameter of the profile."""
        params = self.avi.find("certificatemanagementprofile", PROFILE)["script_params"]
        params = [
            {**one, **({"value": value} if one["name"] == name else {})} for one in params
        ]
        self.avi.change("certificatemanagementprofile", PROFILE, script_params=params)
        print(f"\n> profile {PROFILE}: {name} = {value}")

    def certificate(self, name, rsa=False):
        """The administrator makes a certificate with the profile."""
        kind = "RSA" if rsa else "EC"
        print(f"\n> new certificate {name}: {kind}, {', '.join(NAMES)}", flush=True)
        try:
            self.avi.certificate(name, PROFILE, NAMES[0], NAMES, rsa=rsa)
        finally:
            run = self.avi.script_runs[-1]
            said = (run.stdout + run.stderr).rstrip()
            print(textwrap.indent(said, "  "))
            print(f"  [script: exit status {run.status}, {run.seconds:.2f} s]", flush=True)
            promise(PASSWORD not in said, "the password is not told")

    def use(self, *names):
        """The administrator gives the virtual service certificates."""
        refs = [f"/api/sslkeyandcertificate?name={name}" for name in names]
        self.avi.change("virtualservice", "shop", ssl_key_and_certificate_refs=refs)
        print(f"> virtual service shop: certificates {', '.join(names)}\n", flush=True)

    def is_clean(self):
        """Nothing of a challenge is left."""
        ports = [one["port"] for one in self.avi.find("virtualservice", "shop")["services"]]
        promise(
            not self.avi.objects("httppolicyset") and ports == [443],
            "no policy set is left, and port 80 is closed again",
        )

    def introduce(self):
        """The servers."""
        heading(1, "The stage")
        say(
            f"Two CAs for tests: staging at {self.cas['staging'].directory}, production at "
            f"{self.cas['production'].directory}."
        )
        say(
            f"An Avi controller (simulated) at {self.avi.url}. Its virtual service shop has port "
            f"443 only (here {self.avi.address('shop', 443)}) and a placeholder as certificate."
        )

    def install(self):
        """Role, account, script and profile."""
        heading(2, "The recipe: role, account, ControlScript, certificate management profile")
        recipe = self.certauto(
            "target", "recipe", f"avi,url={self.avi.url},user=certauto,profile={PROFILE}",
            config=None, show=in_short,
        )
        values = {
            "password": PASSWORD, "contact": "ops@example.org",
            "directory_url": self.cas["staging"].directory, "ca_file": self.cas["staging"].ca_file,
            "controller_ca_file": self.avi.ca_file,
            "challenge_check": self.avi.address("inside", 80),
        }  # fmt: skip
        for kind, body in json.loads(recipe).items():
            if kind == "user":
                body["password"] = PASSWORD
            for one in body.get("script_params", []):
                if one["name"] in values:
                    one.update(value=values[one["name"]], is_dynamic=False)
            self.avi.admin_call("POST", kind, body=body)
        say("These were posted to the controller's API, with the values of this place filled in.")

    def test(self):
        """The installation."""
        heading(3, "Test: is everything there, and is everything allowed?")
        with open(self.path("password"), "w", encoding="ascii", opener=_private) as file:
            file.write(PASSWORD + "\n")
        target = {
            "type": "avi",
            "url": self.avi.url,
            "ca_file": self.avi.ca_file,
            "user": "certauto",
            "password": {"file": self.path("password")},
            "profile": PROFILE,
        }
        targets = {"edge": target, EC: {**target, "certificate": EC}}
        write_config(self.path("certauto.json"), {"state": self.path("state"), "targets": targets})
        show_file(self.path("certauto.json"))
        before = len(self.avi.writes())
        self.certauto("target", "test", "edge")
        promise(len(self.avi.writes()) == before, "nothing was changed")

    def failing_check(self):
        """The name leads elsewhere from here."""
        heading(4, "A token check that fails")
        say(
            "As in many networks the name leads to something else from inside than from outside: "
            "what the script asks before it tells the CA to look is not what the CA will ask."
        )
        try:
            self.certificate(RSA, rsa=True)
        except AviError as error:
            promise("challenge_check" in error.text, "the controller shows what to do about it")
        promise(not self.avi.find("sslkeyandcertificate", RSA), "there is no certificate")
        self.is_clean()
        self.parameter("challenge_check", self.avi.address("shop", 80))

    def issue(self):
        """RSA and ECDSA."""
        heading(5, "One certificate for three names, RSA, and the same as ECDSA")
        self.certificate(RSA, rsa=True)
        self.certificate(EC)
        self.use(EC, RSA)
        for kind in ("rsa", "ecdsa"):
            self.served(kind)
        self.is_clean()

    def switch(self):
        """From staging to production."""
        heading(6, "From staging to production")
        say(
            "At Let's Encrypt that is dryrun = false. The CAs of this demo are told apart by their "
            "address."
        )
        before = {kind: self.served(kind) for kind in ("rsa", "ecdsa")}
        self.ca = "production"
        self.parameter("directory_url", self.cas["production"].directory)
        for name in (RSA, EC):
            self.avi.renew(name)
        print("> renew both\n")
        after = {kind: self.served(kind) for kind in before}
        promise(
            all(after[kind].issuer != before[kind].issuer for kind in before),
            "the intermediates of the production CA are on the controller, too",
        )

    def wait(self):
        """Seven days before they expire."""
        heading(7, f"{DAYS - 6} days later")
        say("Nobody does anything. The controller renews what expires within seven days.")
        old = {kind: self.served(kind) for kind in ("rsa", "ecdsa")}
        done = self.avi.tick(DAYS - 6)
        for name, error in done:
            print(f"> the controller has renewed {name}: {error or 'good'}")
        promise(sorted(done) == [(EC, None), (RSA, None)], "both were renewed")
        new = {kind: self.served(kind) for kind in old}
        promise(
            not {one.serial for one in old.values()} & {one.serial for one in new.values()},
            "the virtual service serves the new ones",
        )
        promise(
            all(new[kind].public_key != old[kind].public_key for kind in old),
            "each has a new key pair, which the controller has made",
        )
        self.is_clean()

    def renew(self):
        """From outside, without waiting."""
        heading(8, "Renew now")
        old = self.served("ecdsa").serial
        self.certauto("target", "renew", EC)
        print()
        promise(self.served("ecdsa").serial != old, "served is what the controller has got now")

    def outside(self):
        """The other way: certauto is in charge."""
        heading(9, "From outside, without a script: issued and renewed by certauto itself")
        say("certauto answers the challenges at the virtual service and deploys what it gets.")
        with open(self.path("certauto.json"), encoding="utf-8") as file:
            config = json.load(file)
        edge = {
            **config["targets"]["edge"],
            "bind": ["shop"],
            "challenge_check": self.avi.address("shop", 80),
            "probe": [self.avi.address("shop", 443)],
        }
        ca = self.cas[self.ca]
        account = {"server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True}
        challenge = {"type": "http-01", "target": "edge"}
        shop = {"account": "ca", "names": NAMES, "challenge": challenge, "deploy": ["edge"]}
        config.update(accounts={"ca": account}, certificates={"shop": shop})
        config["targets"]["edge"] = edge
        write_config(self.path("certauto.json"), config)
        show_file(self.path("certauto.json"))
        seen = [self.served("ecdsa")]
        for verb in (["renew"], ["renew"], ["renew", "--force", "shop"]):
            self.certauto(*verb)
            seen.append(self.served("ecdsa"))
        promise(
            seen[1] == seen[2] and len({one.serial for one in seen}) == 3,
            "served is what certauto has got; a run with nothing to do changes nothing",
        )
        self.is_clean()

    def run(self):
        """All parts."""
        self.introduce()
        self.install()
        self.test()
        self.failing_check()
        self.issue()
        self.switch()
        self.wait()
        self.renew()
        self.outside()


def in_short(recipe):
    """A recipe, for those who have seen JSON before."""
    role, user, script, profile = json.loads(recipe).values()
    params = profile["script_params"]
    lines = [f"role {role['name']}:"]
    lines += [f"    {one['type']} {one['resource']}" for one in role["privileges"]]
    lines += [f"user {user['name']}, of that role", f"ControlScript {script['name']}:"]
    lines += textwrap.indent(script["action_script"], "    ").splitlines()
    lines += [f"profile {profile['name']}, parameters:"]
    lines += textwrap.wrap(
        ", ".join(
            one["name"] + " (sensitive)" * one["is_sensitive"] + " (dynamic)" * one["is_dynamic"]
            for one in params
        ), 88, initial_indent="    ", subsequent_indent="    ",
    )  # fmt: skip
    return "\n".join(lines)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def _controller(folder, own, binary):
    """A controller, with a virtual service without port 80 and one that is somewhere inside."""
    avi = Avi(folder, own)
    avi.script_env = {"CERTAUTO_BUNDLE": os.path.dirname(binary)}
    with open(self_signed_bundle(os.path.join(folder, "own.pem"), "placeholder"), "rb") as file:
        text = file.read().decode()
    cut = text.index("-----BEGIN PRIVATE")
    avi.upload("placeholder", text[:cut], text[cut:])
    avi.virtualservice("shop", NAMES, http=(), https=(443,), certs=["placeholder"])
    avi.virtualservice("inside", ["inside.example.org"])
    return avi


def play(binary):
    """The stage is set and cleared here."""
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="certauto-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folders = {name: os.path.join(folder, name) for name in ("avi", "staging", "production")}
        for path in folders.values():
            os.mkdir(path, 0o700)
        own = TestCA(folder)
        avi = stack.enter_context(_controller(folders["avi"], own, binary))
        dns = stack.enter_context(Dns(folder))
        host, port = avi.address("shop", 80).split(":")
        for name in NAMES:
            dns.set_address(name, host)
        cas = {
            name: stack.enter_context(
                Pebble(folders[name], own, dns, int(port), validity_s=DAYS * 86400)
            )
            for name in ("staging", "production")
        }
        Demo(binary, folder, avi, cas).run()


if __name__ == "__main__":
    sys.exit(perform(play, PROGRAMS))
