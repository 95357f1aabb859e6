"""A simulated NetScaler beside a strict simulated CA that validates through it, for one test."""

import os
import subprocess

from sim.nitro import Nitro

from . import tls
from .simulated import PEM, Device, SimulatedLab

HTTP, HTTPS = "vs_http", "vs_https"


class Appliance(Device):
    """A simulated NetScaler (ns), seen from outside."""

    partition, _http_kind, _https = "default", "lb", True
    ns = None

    def add_vservers(self):
        """One for http and one for https."""
        self.ns.vserver(HTTP, self._http_kind, partition=self.partition)
        self.ns.ssl_vserver(HTTPS, partition=self.partition)

    # ---- seen from outside ----

    @property
    def device(self):
        return self.ns

    @property
    def http(self):
        return self.ns.vservers[HTTP].address

    def https(self, vserver=HTTPS):
        """host:port of a vserver for https."""
        return self.ns.vservers[vserver].address

    def served(self, name, key=None, vserver=HTTPS):
        """The certificate that a vserver serves, its chain verified up to the CA's root."""
        return tls.served(self.ns.vservers[vserver].port, name, key, self.server.root_pem)

    def shown(self, name=None):
        """Whatever is served, to a client that may name no host; None: nothing is."""
        try:
            return tls.served(self.ns.vservers[HTTPS].port, name).fingerprint
        except OSError:
            return None

    def chain_sent(self, name):
        """How many certificates the vserver sends."""
        argv = ["openssl", "s_client", "-connect", self.https(), "-servername", name, "-showcerts"]
        run = subprocess.run(argv, input="", capture_output=True, text=True, check=False)
        return len(PEM.findall(run.stdout))

    def handshakes(self, name):
        """A visitor who comes all the time."""
        return tls.Handshakes(self.ns.vservers[HTTPS].port, [name], self.server.root_pem, ["ecdsa"])

    def elsewhere(self):
        """host:port of a vserver where somebody else's certificate is served."""
        if "vs_elsewhere" not in self.ns.vservers:
            self.ns.ssl_vserver("vs_elsewhere", partition=self.partition)
            self.by_hand("elsewhere", "elsewhere.example.net", vserver="vs_elsewhere")
        return self.https("vs_elsewhere")

    # ---- what is on the appliance ----

    def objects(self, kind):
        """Of a type, by name."""
        return self.ns.objects(kind, self.partition)

    def pairs(self):
        """Certkeys that have a key, by name."""
        pairs = self.objects("sslcertkey").items()
        return {name: one for name, one in pairs if one.get("key") and name != "elsewhere"}

    def pair(self):
        """The only one."""
        (pair,) = self.pairs().values()
        return pair

    def authorities(self):
        """Names of the certkeys that have none."""
        pairs = self.objects("sslcertkey").items()
        return sorted(name for name, one in pairs if not one.get("key"))

    def bound(self, vserver=HTTPS):
        """[(certkey, is it for SNI)]"""
        bindings = self.objects("sslvserver_sslcertkey_binding").values()
        return sorted(
            (one["certkeyname"], bool(one.get("snicert")))
            for one in bindings
            if one["vservername"] == vserver
        )

    def files(self):
        """Names of the files in the folder, without those of the other vserver."""
        names = self.ns.files(self.partition)
        return sorted(name for name in names if not name.startswith("elsewhere."))

    def file(self, name):
        """What is in one."""
        return self.ns.files(self.partition)[name]

    def answers(self):
        """Names of the responder policies; each has its action, and is bound."""
        policies, actions = self.objects("responderpolicy"), self.objects("responderaction")
        assert {one["action"] for one in policies.values()} == set(actions)
        return sorted(policies)

    def reset(self):
        """As it was before anybody came."""
        with self.ns.lock:
            for node in self.ns.nodes:
                config = self.ns.empty_config()
                for kind in ("lbvserver", "csvserver", "sslvserver"):
                    for key, one in node.config.table(kind, self.partition).items():
                        config.table(kind, self.partition)[key] = one
                node.running, node.saved = config, config.copy()
                node.files.clear()
                node.sessions.open.clear()
            self.ns.faults.clear()
            self.ns.clear()

    def left_over(self):
        """What one certificate on the vserver for https does not need of all that is there."""
        pairs, issuers = self.pairs(), self.authorities()
        files = [one[part] for one in pairs.values() for part in ("cert", "key")]
        files += [name + ".crt" for name in issuers]
        left = sorted(set(self.files()) ^ set(files))
        left += [name for name in self.answers() if "-stateless-" not in name]
        left += list(pairs)[1:] + issuers[self.server.chain_length :]
        left += [one for one in self.bound() if one[0] not in pairs]
        return left + ([] if self.is_whole() else ["it is not saved, or a file is missing"])

    def is_whole(self):
        """Saved, and nothing refers to a file that is not there."""
        files = self.ns.files(self.partition)
        pairs = self.objects("sslcertkey").values()
        used = {one[part] for one in pairs for part in ("cert", "key") if one.get(part)}
        return {os.path.basename(path) for path in used} <= set(files) and not self.ns.unsaved

    # ---- what somebody does by hand ----

    def by_hand(self, certkey, name, files=None, vserver=HTTPS):
        """A pair of somebody's own, bound as default; returns its files."""
        files = files or (certkey + ".crt", certkey + ".key")
        self.ns.certkey(certkey, *self.bundle(name), files=files, partition=self.partition)
        if vserver:
            self.ns.bind(vserver, certkey, partition=self.partition)
        return set(files)

    def policy(self, name, priority, rule="HTTP.REQ.URL.CONTAINS(\"nobody-asks-this\")"):
        """A responder policy of somebody's own: visitors are sent to https."""
        action = {"name": name, "type": "redirect", "target": '"https://" + HTTP.REQ.HOSTNAME'}
        bind = {"name": HTTP, "policyname": name, "priority": priority}
        kind = f"{self._http_kind}vserver_responderpolicy_binding"
        self.ns.command("POST", "responderaction", action)
        self.ns.command("POST", "responderpolicy", {"name": name, "rule": rule, "action": name})
        self.ns.command("PUT", kind, {**bind, "gotopriorityexpression": "END"})
        self.ns.save(self.ns.primary)

    # ---- configured ----

    def target(self, **more):
        options = {
            "type": "netscaler",
            "url": self.ns.url,
            "ca_file": self.tls.file if self._https else None,
            "user": "nsroot",
            "password": {"file": self.password_file("nsroot")},
            "vserver": HTTP,
            "ssl_vserver": [HTTPS],
            "probe": self.https(),
            "challenge_check": self.http,
            "timeout_ms": 10000,
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}


class NetscalerLab(Appliance, SimulatedLab):
    """The appliance as it is before certauto knows it: a vserver for http and one for https.

    http_kind: type of the vserver for http; partition: where both are. The others are the
    simulator's.
    """

    def __init__(
        self, binary, *, ca=None, http_kind="lb", partition="default", https=True, **nitro
    ):
        super().__init__(binary, ca=ca)
        self.partition, self._http_kind, self._https = partition, http_kind, https
        self._nitro = nitro

    def start(self, stack):
        self.ns = stack.enter_context(
            Nitro(self.new_folder("ns"), self.tls if self._https else None, **self._nitro)
        )
        if self.partition != "default":
            self.ns.partition(self.partition)
        self.add_vservers()

    def restrict(self, shop, without=None):
        """From now on shop uses the account of its own recipe; without: a command it may not."""
        shop.target["user"] = "certauto"
        recipe = shop.does("target", "recipe", "edge").out.replace("PASSWORD", "of-my-own")
        self.ns.recipe(recipe)
        if without:
            spec = "^" + without.replace(" ", "\\s+")
            self.ns.recipe(f'add system cmdPolicy but DENY "{spec}"')
            self.ns.recipe("bind system user certauto but 1")
        shop.target["password"] = {"file": self.password_file("of-my-own")}


def challenges(calls):
    """Those that are about challenges."""
    return [call for call in calls if "responder" in call.kind]
