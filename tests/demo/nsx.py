#!/usr/bin/python3
"""The demo on a cluster of NSX Managers: what a page of a manual has one do by hand, from nothing.

usage: nsx.py PATH-OF-CERTAUTO

Starts a simulated cluster of three NSX Managers with a virtual IP, a virtual server, and a simulated
CA of the house, on loopback addresses. Shows how each of them gets its certificate, first a
self-signed one, then one of the CA, and stops everything again. Exit status 0 only when all went as
promised.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile

# It sets the path for what follows.
from stage import Stage, heading, perform, promise, say, show_file, write_config

from real import tls
from real.pki import TestCA
from sim.ca import CA
from sim.nsx import LB_RIGHTS, VIP_IP, Nsx
from sim.nsx_nodes import NODE_IPS

NAMES = ["nsx.example.org", "nsx1.example.org", "nsx2.example.org", "nsx3.example.org"]
ADDRESSES = [VIP_IP, *NODE_IPS]
ALL = [*NODE_IPS, VIP_IP]
SHOP = "shop.example.org"
SUBJECT = "C=US, ST=California, L=CA, O=NSX"
PASSWORD = "a-password-of-your-own"
PROGRAMS = ("openssl",)


class Demo(Stage):
    """The parts of the demo, in order."""

    def __init__(self, binary, folder, nsx, ca):
        super().__init__(binary, folder)
        self.nsx, self.ca = nsx, ca
        self.certificates, self.targets = {}, {}

    # ---- looked at ----

    def presented(self):
        """SHA-256 of what each manager and the VIP present."""
        self.nsx.settle()
        return [tls.served(self.nsx.port, None, host=one).fingerprint for one in ALL]

    def all_present(self, fingerprint, what):
        """They all agree."""
        promise(
            self.presented() == [fingerprint] * len(ALL),
            f"each manager and the VIP present {what}: a handshake with each of the four",
        )

    def fingerprint(self, *which):
        """Of a certificate, as certauto tells it."""
        told = self.certauto("export", *which, "--verify", "--json", show=lambda _text: "...")
        return json.loads(told)["certificates"][0]["sha256"]

    def calls(self, *args, **more):
        """certauto, and what the managers were asked meanwhile; returns what was to change them."""
        before = len(self.nsx.log)
        self.certauto(*args, **more)
        calls = self.nsx.log[before:]
        writes = [call for call in calls if call.writes]
        print(f"  [calls to the managers: {len(calls)}, {len(writes)} of them to change something]\n")
        return writes

    # ---- configured ----

    def write_config(self):
        """The configuration as things are now."""
        account = {
            "server": self.ca.directory, "ca_file": self.path("ca.pem"), "agree_tos": True
        }  # fmt: skip
        config = {"state": self.path("state"), "targets": self.targets}
        if self.certificates:
            config.update(accounts={"house": account}, certificates=self.certificates)
        write_config(self.path("certauto.json"), config)

    def write(self, name, text):
        """A file for its owner."""
        with open(self.path(name), "w", encoding="ascii", opener=_private) as file:
            file.write(text)

    def trust(self, name):
        """The administrator adds a certificate to those that the managers are verified by."""
        with open(self.path(name), encoding="ascii") as file:
            more = file.read()
        with open(self.path("trusted.pem"), "a", encoding="ascii") as file:
            file.write(more)
        print(f"\n$ cat {name} >>trusted.pem")

    # ---- the parts ----

    def introduce(self):
        """The servers."""
        heading(1, "The stage")
        say(
            f"Three NSX Managers (simulated, version 4.2) at {', '.join(NODE_IPS)}, one of which "
            f"has the virtual IP {VIP_IP}; port {self.nsx.port} on all of them. Each presents what "
            "it was installed with. Their HTTP services restart when that changes."
        )
        shutil.copy(self.nsx.ca_file, self.path("trusted.pem"))
        shutil.copy(self.ca.ca_file, self.path("ca.pem"))

    def account(self):
        """The service account."""
        heading(2, "An account that may do this and nothing else")
        recipe = self.certauto(
            "target", "recipe", f"nsx,url={self.nsx.url},user=certauto", config=None
        )
        role = json.loads(recipe)["PUT /policy/api/v1/aaa/roles/certauto"]
        rights = {one["feature"]: one["permission"] for one in role["features"]}
        self.nsx.account("certauto", PASSWORD, {**rights, **LB_RIGHTS})
        self.write("password", PASSWORD + "\n")
        say(
            "The administrator has made it, and given it the same for virtual servers, which the "
            "recipe of service=lb asks for. The managers enforce that from now on."
        )

    def test(self):
        """The connection."""
        heading(3, "Test: can everything be reached, and is everything allowed?")
        self.targets["edge"] = {
            "type": "nsx",
            "url": self.nsx.url,
            "ca_file": self.path("trusted.pem"),
            "user": "certauto",
            "password": {"file": self.path("password")},
        }
        self.write_config()
        show_file(self.path("certauto.json"))
        promise(not self.calls("target", "test", "edge"), "nothing was changed")

    def self_sign(self, cn, names, name, *more, **how):
        """One command: key and certificate, and what the target does with it."""
        return self.calls(
            "self-signed", "--cn", cn, "--subject", SUBJECT, "--san", ",".join(names),
            "--days", "365", "--key", "rsa-2048", "--key-out", name + ".key",
            "--out", name + ".pem", "--target", "edge", "--name", "nsx", *more, **how,
        )  # fmt: skip

    def make(self):
        """The certificate of the manual."""
        heading(4, "The page of the manual as one command")
        say(
            "A self-signed certificate with subject, names and days as the manual gives them to "
            "openssl, looked at, imported, applied to one manager after the other and to the "
            "virtual IP, proved. Trusted meanwhile is what the managers presented before, and "
            "this certificate."
        )
        names = [f"DNS:{one}" for one in NAMES] + [f"IP:{one}" for one in ADDRESSES]
        self.self_sign(VIP_IP, names, "nsx", "--verify")
        self.trust("nsx.pem")
        self.all_present(self.fingerprint("--cert", "nsx.pem"), "the new certificate")

    def again(self):
        """What is in order is left alone."""
        heading(5, "The same certificate once more")
        command = ["deploy", "--cert", "nsx.pem", "--key", "nsx.key", "--target", "edge"]
        promise(not self.calls(*command, "--name", "nsx"), "nothing had to be changed")

    def refuse(self):
        """One that does not fit."""
        heading(6, "A certificate that does not fit is refused before anything is changed")
        before = self.presented()
        say("This one has the name of the cluster, and not the addresses of the managers.")
        promise(
            not self.self_sign(NAMES[0], [f"DNS:{NAMES[0]}"], "wrong", expect=3),
            "nothing was changed",
        )
        promise(self.presented() == before, "the managers present what they did")

    def consumers(self):
        """Those that trust it."""
        heading(7, "For Ops Manager")
        say(
            "Its field NSX Manager CA Cert takes the certificate, or the root of its chain. With "
            "verification disabled at the same time the field would have no effect."
        )
        told = self.certauto(
            "export", "--cert", "nsx.pem", "--ops-manager", config=None, show=in_short
        )
        with open(self.path("nsx.pem"), encoding="ascii") as file:
            promise(
                [one["value"] for one in json.loads(told).values()] == [file.read(), False],
                "the certificate, and that it is looked at",
            )

    def renew(self):
        """By ACME."""
        heading(8, "The same names by ACME, at the CA of the house")
        say(
            "That CA vouches for addresses, too, and knows whom it can ask; NSX wants the root of "
            "its chain, which the CA does not send: the option root_file has it."
        )
        self.write("root.pem", self.ca.root_pem)
        self.trust("root.pem")
        self.targets["edge"]["root_file"] = self.path("root.pem")
        self.targets["web"] = {
            "type": "files", "webroot": self.path("web"), "challenge_check": "no"
        }  # fmt: skip
        os.mkdir(self.path("web"))
        self.certificates["nsx"] = _certificate(NAMES + ADDRESSES, "edge", "rsa-2048")
        self.write_config()
        self.calls("issue", "nsx")
        self.all_present(self.fingerprint("nsx"), "the certificate of the CA")
        self.calls("renew", "nsx", "--force")
        self.all_present(self.fingerprint("nsx"), "the next one")
        kept = [one.name for one in self.nsx.own_records().values() if one.key]
        promise(
            len([one for one in kept if one.startswith("certauto-")]) == 2,
            "one superseded certificate is kept, those before are gone",
        )
        promise(not self.calls("renew"), "on most days nothing is due, and nothing is changed")
        self.certauto("export", "nsx", "--root", "--ca-file", "root.pem", "--out", "consumers.pem")

    def trouble(self):
        """A manager that refuses."""
        heading(9, "A manager refuses what the others have taken")
        before = self.presented()
        self.nsx.faults.add(
            action="apply_certificate", number=3, status=400, words="not on this node, today"
        )
        self.calls("renew", "nsx", "--force", expect=1)
        promise(self.presented() == before, "all was taken back: the four present the same again")
        self.calls("renew")
        self.all_present(self.fingerprint("nsx"), "the new one, at the second attempt")

    def balance(self):
        """The load balancer."""
        heading(10, "Virtual servers of the NSX load balancer")
        host, port = self.nsx.address("shop").split(":")
        self.targets["lb"] = {
            **self.targets["edge"],
            "service": "lb", "virtual_server": ["shop"], "probe": self.nsx.address("shop"),
        }  # fmt: skip
        self.certificates["shop"] = _certificate([SHOP], "lb", "ecdsa-p256")
        self.write_config()
        sni = self.nsx.find("shop")["client_ssl_profile_binding"]["sni_certificate_paths"]
        self.calls("issue", "shop")
        seen = tls.served(int(port), SHOP, roots=self.ca.root_pem, host=host)
        promise(
            seen.fingerprint == self.fingerprint("shop"),
            "the virtual server serves it, with a chain up to the CA's root",
        )
        binding = self.nsx.find("shop")["client_ssl_profile_binding"]
        promise(binding["sni_certificate_paths"] == sni, "those for other names are left alone")
        promise(not self.calls("renew"), "a second run changes nothing")
        self.certauto("status")

    def run(self):
        """All parts."""
        self.introduce()
        self.account()
        self.test()
        self.make()
        self.again()
        self.refuse()
        self.consumers()
        self.renew()
        self.trouble()
        self.balance()


def in_short(told):
    """JSON with certificates in it, for those who have seen one before."""
    found = json.loads(told)
    for one in found.values():
        if isinstance(one["value"], str):
            one["value"] = one["value"][:64].replace("\n", " ") + "..."
    return json.dumps(found, indent=2)


def _certificate(names, target, key):
    return {
        "account": "house",
        "names": names,
        "key": key,
        "challenge": {"type": "http-01", "target": "web"},
        "deploy": [{"target": target}],
    }


def _private(path, flags):
    return os.open(path, flags, 0o600)


def play(binary):
    """The stage is set and cleared here."""
    with contextlib.ExitStack() as stack:
        folder = tempfile.mkdtemp(prefix="certauto-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folders = {name: os.path.join(folder, name) for name in ("nsx", "ca", "own")}
        for path in folders.values():
            os.mkdir(path, 0o700)
        own = TestCA(folders["own"])
        nsx = stack.enter_context(Nsx(folders["nsx"], restart_refused=0.2, restart_unavailable=0))
        nsx.virtual_server("shop", [SHOP], sni=[["api.example.org"]])
        ca = stack.enter_context(CA(folders["ca"], own, validate=False))
        ca.ca_file = own.file
        Demo(binary, folder, nsx, ca).run()


if __name__ == "__main__":
    sys.exit(perform(play, PROGRAMS))
