"""A simulated NetScaler beside a strict simulated CA that validates through it, for one test."""

import contextlib
import os
import re
import shutil
import ssl
import subprocess
import tempfile

from sim import ca_pki
from sim.ca import CA
from sim.nitro import Nitro

from . import tls
from .certauto import Certauto, write_config
from .pki import TestCA, self_signed_bundle

KEY = "ecdsa-p256"
HTTP, HTTPS = "vs_http", "vs_https"
TEMPORARY = ".certauto-"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)


class Appliance:
    """A simulated NetScaler (ns), known by the CA tls, seen from outside. Part of a lab, which has
    server, the CA that issues, and new_folder()."""

    partition, _http_kind, _https = "default", "lb", True
    ns = tls = server = None

    def new_folder(self, name):
        """Told by the lab."""
        raise NotImplementedError

    def add_vservers(self):
        """One for http and one for https."""
        self.ns.vserver(HTTP, self._http_kind, partition=self.partition)
        self.ns.ssl_vserver(HTTPS, partition=self.partition)

    # ---- seen from outside ----

    @property
    def http(self):
        """host:port of the vserver for http."""
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

    def bundle(self, name):
        """(certificate, key) of somebody's own for a name, PEM."""
        path = self_signed_bundle(os.path.join(self.new_folder("hand"), "pem"), name)
        with open(path, encoding="ascii") as file:
            text = file.read()
        return text[: text.index("-----BEGIN PRIVATE")], text[text.index("-----BEGIN PRIVATE") :]

    def by_hand(self, certkey, name, files=None, vserver=HTTPS):
        """A pair of somebody's own, bound as default; returns its files."""
        files = files or (certkey + ".crt", certkey + ".key")
        self.ns.certkey(certkey, *self.bundle(name), files=files, partition=self.partition)
        if vserver:
            self.ns.bind(vserver, certkey, partition=self.partition)
        return set(files)

    def intermediates(self):
        """The CA's chain without the root, PEM."""
        return [ca_pki.pem(der).decode() for der in self.server.authority().chains[0]]

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

    def password_file(self, password):
        """A file with a password in it."""
        path = os.path.join(self.new_folder("password"), "password")
        with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(password + "\n")
        return path

    def target(self, **more):
        """The "targets" entry for this appliance; a None leaves an option out."""
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


class NetscalerLab(Appliance):
    """The appliance as it is before certauto knows it: a vserver for http and one for https.

    ca: options of the simulated CA; http_kind: type of the vserver for http; partition: where both
    are. The others are the simulator's.
    """

    def __init__(
        self, binary, *, ca=None, http_kind="lb", partition="default", https=True, **nitro
    ):
        self.binary, self.partition = binary, partition
        self._ca, self._http_kind, self._https, self._nitro = ca or {}, http_kind, https, nitro
        self._stack = contextlib.ExitStack()
        self.folder = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = tempfile.mkdtemp(prefix="certauto-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.tls = TestCA(self.folder)
            self.ns = stack.enter_context(
                Nitro(self.new_folder("ns"), self.tls if self._https else None, **self._nitro)
            )
            if self.partition != "default":
                self.ns.partition(self.partition)
            self.add_vservers()
            self.server = stack.enter_context(self.new_ca(**self._ca))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def new_folder(self, name):
        """A new folder of that name, for its owner only."""
        return tempfile.mkdtemp(prefix=name + "-", dir=self.folder)

    def new_ca(self, **options):
        """Another CA that validates through this appliance; to be used in a with block."""
        return CA(self.new_folder("ca"), self.tls, http_address=lambda _name: self.http, **options)

    def shop(self, *names, **more):
        """One certificate "shop" for names on this appliance."""
        return Shop(self, *names, **more)

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


def writes(calls):
    """Those that change something."""
    return [call for call in calls if call.writes]


def kinds(calls):
    """What they are about."""
    return [call.kind for call in calls]


class Shop(Certauto):
    """The command with its configuration, written anew before each run: the attributes may be
    changed at any time."""

    def __init__(self, lab, *names, key=KEY, target=None, deploy=None, certificate=None):
        folder = lab.new_folder("shop")
        super().__init__(lab.binary, os.path.join(folder, "certauto.json"))
        self.lab, self.names, self.key = lab, list(names), key
        self.state = os.path.join(folder, "state")
        self.deploy, self.certificate = deploy or {}, certificate or {}
        self.target = lab.target(**(target or {}))
        self.others = {}  # more certificates: {name: entry}

    def entry(self, *names, **more):
        """An entry of "certificates" on this appliance."""
        return {
            "account": "test",
            "names": list(names),
            "key": self.key,
            "challenge": {"type": "http-01", "target": "edge"},
            "deploy": [{"target": "edge", **self.deploy}],
            **more,
        }

    def write(self):
        """Write the configuration as the attributes are."""
        server = {"server": self.lab.server.directory, "ca_file": self.lab.tls.file}
        config = {
            "state": self.state,
            "accounts": {"test": {**server, "agree_tos": True}},
            "targets": {"edge": self.target},
            "certificates": {"shop": self.entry(*self.names, **self.certificate), **self.others},
        }
        write_config(self.config_file, config)

    def does(self, *args, status=0, **more):
        """Run it; assert how it ends."""
        self.write()
        run = self.run(*args, **more)
        assert run.status == status, str(run)
        return run

    def calls(self, *args, **more):
        """Run it well; returns what the appliance was asked meanwhile."""
        before = len(self.lab.ns.log)
        self.does(*args, **more)
        return self.lab.ns.log[before:]

    def fails(self, *args, status=1):
        """Run it in vain; returns the one error."""
        (result,) = self.does(*args, "--json", status=status).json()["results"]
        assert result["outcome"] in ("failed", "later"), result
        return result["error"]

    def current(self, file, name="shop", key=KEY):
        """A file of the generation that is current."""
        return os.path.join(self.state, "certs", name, key, "current", file)

    def fingerprint(self, name="shop", key=KEY):
        """SHA-256 of the current certificate."""
        with open(self.current("fullchain.pem", name, key), encoding="ascii") as file:
            return tls.Served(ssl.PEM_cert_to_DER_cert(PEM.search(file.read())[0])).fingerprint

    def target_state(self, key=KEY):
        """What is kept about the one deployment."""
        (target,) = self.lineage("shop", key)["targets"]
        return target["state"]

    def records(self):
        """The records of jobs that have not ended."""
        names = os.listdir(os.path.join(self.state, "jobs"))
        return [name for name in names if not name.startswith(TEMPORARY)]
