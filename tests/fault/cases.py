"""What is struck, and what must be true afterwards: asked of the CA, the balancer and the store."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import ssl
import tempfile
import time
import zlib

from real import haproxy, pki, tls
from real.avi import VS, Controller
from real.certauto import Certauto, write_config
from real.flexibleengine import ZONE, Cloud
from real.lab import Lab
from real.netscaler import HTTP, Appliance
from real.nginx import Nginx
from real.nsx import ADDRESSES, Cluster
from sim.avi import Avi
from sim.ca import CA
from sim.fe import Fe
from sim.nitro import Nitro
from sim.nsx import Nsx

from .shim import NETWORK, Power, counted, environment

KEY = "ecdsa-p256"
TEMPORARY = ".certauto-"
HOURS_2 = 2 * 3600
ABOUT_CALLS = 300  # of a run that goes on
EAB_KID, EAB_KEY = "customer-1", "Q0FOQVJZLWNlcnRhdXRvLXRlc3RzLW9mLWZhdWx0cy4"
KEY_AUTHORIZATION = re.compile(r"[\w-]{22,}\.[\w-]{43}(?![\w-])")  # token and thumbprint


class FaultLab(Lab):
    """A strict CA that validates through one front, for any number of certificates in turn."""

    def __init__(self, binary, shim, make_front, **options):
        super().__init__(front=make_front)
        self.binary, self.shim, self.options = binary, shim, options
        self.server = None
        self._n_names = 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = tempfile.mkdtemp(prefix="certauto-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.ca = pki.TestCA(self.folder)
            self.front = stack.enter_context(self._make_front(self))
            self.server = self.pebble = stack.enter_context(
                CA(
                    self.new_folder("ca"),
                    self.ca,
                    http_address=f"127.0.0.1:{self.front.http_port}",
                    keep_log=False,
                    eab={EAB_KID: EAB_KEY},
                    **self.options,
                )
            )
            self._stack = stack.pop_all()
        return self

    def new_name(self):
        """A host name no other case uses."""
        self._n_names += 1
        return f"k{self._n_names}.example.org"

    def counts(self):
        """What the CA has done so far that one can run out of."""
        return {
            what: self.server.counts[what]
            for what in (
                "accounts made",
                "orders made",
                "certificates issued",
                "validations failed",
            )
        }


class Broken(AssertionError):
    """An invariant does not hold."""


def check(holds, text):
    """An assertion that says what is broken, and nothing of ours."""
    if not holds:
        raise Broken(text)


def leaf_of(path):
    """DER of the first certificate of a PEM file."""
    with open(path, encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(file.read().split("-----END CERTIFICATE-----")[0]
                                        + "-----END CERTIFICATE-----\n")  # fmt: skip


def fingerprint_of(path):
    """SHA-256 of the first certificate of a PEM file."""
    return hashlib.sha256(leaf_of(path)).hexdigest()


def key_matches(cert, key):
    """Does the private key belong to the certificate? OpenSSL refuses a pair that is none."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError:
        return False
    return True


def temporaries(folder):
    """Everything of ours below a folder that has a temporary's name."""
    return [
        os.path.join(parent, name)
        for parent, folders, files in os.walk(folder)
        for name in folders + files
        if name.startswith(TEMPORARY)
    ]


class Case:
    """One certificate "shop" with a state folder of its own, brought to where it is struck."""

    argv = ["issue", "shop"]
    next_argv = ["renew", "shop"]
    orders, issued, accounts = 2, 1, 1  # at most, exactly, exactly
    old = None  # the fingerprint that is served before

    def __init__(self, lab):
        self.lab = lab
        self.name = lab.new_name()
        self.names = [self.name]
        self.folder = lab.new_folder("case")
        self.tree = os.path.join(self.folder, "tree")
        os.mkdir(self.tree, 0o700)
        self.state = os.path.join(self.tree, "state")
        self.said = []
        self.shop = self._configured()
        self.prepare()
        self.before = lab.counts()

    # ---- told by each case ----

    @staticmethod
    def make_lab(binary, shim):
        """The lab the case is run in."""
        raise NotImplementedError

    def target(self):
        """The "targets" entry."""
        raise NotImplementedError

    def prepare(self):
        """What happens before the run that is struck."""

    def served(self):
        """The fingerprint that is served for the name, None if there is none."""
        raise NotImplementedError

    def check_target(self):
        """Nothing half done is left there."""
        raise NotImplementedError

    def settle(self):
        """Wait until the server serves what it was last told to."""

    def trees(self):
        """The folders that a loss of power befalls."""
        return [self.tree]

    # ---- running ----

    def _binding(self):
        path = os.path.join(self.folder, "hmac")
        with open(path, "w", encoding="ascii") as file:
            file.write(EAB_KEY)
        os.chmod(path, 0o600)
        return {"kid": EAB_KID, "hmac": {"file": path}}

    def _configured(self):
        challenge = {"type": "http-01", "target": "edge"}
        shop = {
            "account": "test",
            "names": self.names,
            "key": KEY,
            "challenge": challenge,
            "deploy": ["edge"],
        }
        config = {
            "state": self.state,
            "accounts": {"test": self.lab.account(eab=self._binding())},
            "targets": {"edge": self.target()},
            "certificates": {"shop": shop},
        }
        path = os.path.join(self.folder, "certauto.json")
        return Certauto(self.lab.binary, write_config(path, config))

    def run(self, *args, **more):
        """Run the command, as talkative as it can be; what it says is kept."""
        run = self.shop.run("-v", *args, **more)
        self.said.append(str(run))
        return run

    def struck(self, fault, **more):
        """The run, with a fault."""
        return self.run(*self.argv, env=environment(self.lab.shim, fault, **more))

    def counted(self, fault=None):
        """The run, and its calls."""
        path = os.path.join(self.folder, "count")
        run = self.struck(fault, count=path)
        return run, counted(path)

    def again(self):
        """The clean run after it, and one that tidies up, two hours later."""
        run = self.run(*self.next_argv)
        check(run.status == 0, "the next run fails")
        self.check_whole()
        for path in temporaries(self.state):
            past = time.time() - HOURS_2
            os.utime(path, (past, past), follow_symlinks=False)
        run = self.run("gc")
        check(run.status == 0, "gc fails")
        left = temporaries(self.tree)
        check(not left, f"temporaries are left: {left}")
        self.check_whole()

    # ---- invariants ----

    def current(self):
        """The folder of the current generation."""
        return os.path.join(self.state, "certs", "shop", KEY, "current")

    def check_counts(self):
        """Nothing was asked of the CA twice."""
        now = self.lab.counts()
        made = {what: now[what] - self.before[what] for what in now}
        check(made["certificates issued"] == self.issued, f"at the CA: {made}")
        check(made["orders made"] <= self.orders, f"at the CA: {made}")
        check(made["accounts made"] == self.accounts, f"at the CA: {made}")
        check(made["validations failed"] == 0, f"at the CA: {made}")

    def check_store(self):
        """The pair is one, and nothing is unfinished."""
        pair = [os.path.join(self.current(), name) for name in ("fullchain.pem", "key.pem")]
        check(key_matches(*pair), "the key does not belong to the certificate")
        jobs = os.listdir(os.path.join(self.state, "jobs"))
        jobs = [name for name in jobs if not name.startswith(TEMPORARY)]
        check(not jobs, f"records are left: {jobs}")

    def check_whole(self):
        """All that must be true when nothing is going on any more."""
        self.check_counts()
        self.check_store()
        lineage = self.shop.lineage("shop")
        check(lineage["targets"][0]["state"] == "deployed", f"status: {lineage}")
        check(lineage["last_error"] is None, f"status: {lineage}")
        self.settle()
        served = self.served()
        check(served == fingerprint_of(self.current() + "/fullchain.pem"), f"served: {served}")
        self.check_target()

    def check_struck(self):
        """Old or new is served at any moment, never neither."""
        served = self.served()
        if served != self.old:
            new = fingerprint_of(self.current() + "/fullchain.pem")
            check(served == new, f"neither old nor new is served: {served}")

    def check_silence(self):
        """No secret was said: keys, key authorizations."""
        said = "\n".join(self.said)
        check(EAB_KEY not in said, "the key of the account's binding was said")
        check("PRIVATE KEY" not in said, "a key was said")
        for parent, _folders, files in os.walk(self.state):
            for name in files:
                if name == "key.pem":
                    with open(os.path.join(parent, name), encoding="ascii") as file:
                        for line in file.read().splitlines()[1:-1]:
                            check(line not in said, f"{parent}/{name} was said")
        check(not KEY_AUTHORIZATION.search(said), "a key authorization was said")

    def remove(self):
        """What was made for this case, and whatever is left of it: the next is not to suffer."""
        shutil.rmtree(self.folder, ignore_errors=True)


class IssueHaproxy(Case):
    """From nothing to a certificate that HAProxy serves."""

    title = "issue-haproxy"

    @staticmethod
    def make_lab(binary, shim):
        def front(lab):
            folder = lab.new_folder("haproxy")
            os.mkdir(os.path.join(folder, "certs"), 0o700)
            pki.self_signed_bundle(os.path.join(folder, "certs", "first.pem"), "first.example.org")
            return haproxy.HAProxy(folder)

        return FaultLab(binary, shim, front)

    @property
    def pem(self):
        """The file HAProxy will read when it is started the next time."""
        return self.lab.haproxy.crt(self.name + ".pem")

    def target(self):
        return self.lab.haproxy_target(self.name + ".pem")

    def trees(self):
        return [self.tree, self.lab.haproxy.certs]

    def served(self):
        try:
            return tls.served(self.lab.haproxy.tls_port, self.name).fingerprint
        except OSError:
            return None

    def check_target(self):
        server = self.lab.haproxy
        check(not server.challenges(), f"tokens are left: {server.challenges()}")
        open_ones = [line for line in server.certificates() if line.startswith("*")]
        check(not open_ones, f"transactions are left: {open_ones}")
        check(fingerprint_of(self.pem) == self.served(), "the file on disk is another one")
        check(key_matches(self.pem, self.pem), "the key on disk is another one's")
        left = temporaries(server.certs)
        check(not left, f"temporaries are left: {left}")

    def remove(self):
        super().remove()
        self.lab.haproxy.command(f"clear map {self.lab.haproxy.map}")
        self.lab.haproxy.command(f"abort ssl cert {self.pem}")
        self.lab.haproxy.command(f"del ssl crt-list {self.lab.haproxy.certs}/ {self.pem}")
        self.lab.haproxy.command(f"del ssl cert {self.pem}")
        for path in [self.pem, *temporaries(self.lab.haproxy.certs)]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class Renewal(Case):
    """A certificate that is served already and due, for a name was added."""

    accounts = 0
    argv = ["renew", "shop"]

    def prepare(self):
        run = self.run("issue", "shop")
        check(run.status == 0, "the first certificate is not issued")
        self.settle()
        self.old = self.served()
        self.names = [self.name, "www." + self.name]
        self.shop = self._configured()

    def check_whole(self):
        super().check_whole()
        check(self.served() != self.old, "the old one is still served")


class RenewHaproxy(Renewal, IssueHaproxy):
    """The renewal of what HAProxy serves."""

    title = "renew-haproxy"


class RenewNginx(Renewal):
    """The renewal of files that nginx reads."""

    title = "renew-nginx"
    orders = 1  # the CA gives an order that is open back to who asks for the same again
    argv = ["--json", "renew", "shop"]

    @staticmethod
    def make_lab(binary, shim):
        def front(lab):
            lab.pem = lab.new_folder("pem")
            cert, key = os.path.join(lab.pem, "shop.pem"), os.path.join(lab.pem, "shop.key")
            pki.self_signed_bundle(cert, "first.example.org")
            shutil.copy(cert, key)
            return Nginx(lab.new_folder("nginx"), [(cert, key)])

        return FaultLab(binary, shim, front, order_reuse=True)

    def target(self):
        front = self.lab.front
        return {
            "type": "files",
            "directory": self.lab.pem,
            "webroot": front.webroot,
            "reload": front.reload_argv,
            "fullchain_file": "shop.pem",
            "key_file": "shop.key",
            "cert_file": "",
            "chain_file": "",
            "probe": f"127.0.0.1:{front.tls_port}",
            "challenge_check": f"127.0.0.1:{front.http_port}",
        }

    def settle(self):
        self.lab.front.settle()

    def trees(self):
        return [self.tree, self.lab.pem, self.lab.front.webroot]

    def served(self):
        try:
            return tls.served(self.lab.front.tls_port, self.name).fingerprint
        except OSError:
            return None

    def check_target(self):
        pair = [os.path.join(self.lab.pem, name) for name in ("shop.pem", "shop.key")]
        check(key_matches(*pair), "the key on disk is another one's")
        check(fingerprint_of(pair[0]) == self.served(), "the file on disk is another one")
        left = sorted(os.listdir(self.lab.pem))
        check(left == ["shop.key", "shop.pem"], f"files: {left}")
        tokens = os.path.join(self.lab.front.webroot, ".well-known", "acme-challenge")
        check(not os.path.isdir(tokens) or not os.listdir(tokens), "tokens are left")

    def remove(self):
        super().remove()
        shutil.rmtree(os.path.join(self.lab.front.webroot, ".well-known"), ignore_errors=True)
        for path in temporaries(self.lab.pem):
            os.unlink(path)


class NetscalerFaultLab(FaultLab, Appliance):
    """The CA validates through a simulated NetScaler."""

    def __init__(self, binary, shim):
        super().__init__(binary, shim, self._make_ns)

    def _make_ns(self, _lab):
        self.tls = self.ca
        self.ns = Nitro(self.new_folder("ns"), self.ca)
        self.add_vservers()
        self.ns.http_port = self.ns.vservers[HTTP].port
        return self.ns


class IssueNetscaler(Case):
    """From nothing to a certificate that a NetScaler serves."""

    title = "issue-netscaler"

    @staticmethod
    def make_lab(binary, shim):
        return NetscalerFaultLab(binary, shim)

    def target(self):
        return self.lab.target()

    def served(self):
        return self.lab.shown(self.name)

    def check_target(self):
        left = self.lab.left_over()
        check(not left, f"on the appliance: {left}")
        check(self.lab.bound() == [(name, False) for name in self.lab.pairs()], "not bound")

    def check_silence(self):
        super().check_silence()
        check("nsroot" not in "\n".join(self.said), "the password was said")

    def remove(self):
        super().remove()
        self.lab.reset()


class RenewNetscaler(Renewal, IssueNetscaler):
    """The renewal of what a NetScaler serves."""

    title = "renew-netscaler"


class AviFaultLab(FaultLab, Controller):
    """The CA validates through a virtual service of a simulated Avi controller."""

    def __init__(self, binary, shim):
        super().__init__(binary, shim, self._make_avi)

    def _make_avi(self, _lab):
        self.tls = self.ca
        self.avi = Avi(self.new_folder("avi"), self.ca)
        self.add_service(http=(), host="127.0.0.1")
        self.avi.http_port = int(self.http.rpartition(":")[2])
        return self.avi


class IssueAvi(Case):
    """From nothing to a certificate that Avi serves, where port 80 is closed."""

    title = "issue-avi"

    @staticmethod
    def make_lab(binary, shim):
        return AviFaultLab(binary, shim)

    def prepare(self):
        self.old = self.served()

    def target(self):
        return self.lab.target(virtualservice=VS)

    def served(self):
        return self.lab.shown(self.name)

    def check_target(self):
        left = self.lab.left_over()
        check(not left, f"on the controller: {left}")
        check(self.lab.bound() == list(self.lab.pairs()), f"bound: {self.lab.bound()}")

    def check_silence(self):
        super().check_silence()
        said = "\n".join(self.said)
        check("csrftoken" not in said and "sessionid" not in said, "a cookie was said")

    def remove(self):
        super().remove()
        self.lab.reset()


class RenewAvi(Renewal, IssueAvi):
    """The renewal of what Avi serves."""

    title = "renew-avi"


class NsxFaultLab(FaultLab, Cluster):
    """A cluster of simulated NSX Managers; the CA knows whom it can ask."""

    def __init__(self, binary, shim):
        super().__init__(binary, shim, self._make_nsx, validate=False)

    def _make_nsx(self, _lab):
        self.tls = self.ca
        self.nsx = Nsx(
            self.new_folder("nsx"), self.ca, restart_refused=0.0, restart_unavailable=0
        )
        self.nsx.http_port = 1
        return self.nsx

    def __enter__(self):
        super().__enter__()
        self.trust()
        return self


class IssueNsx(Case):
    """From nothing to a certificate that three managers and the VIP present."""

    title = "issue-nsx"

    @staticmethod
    def make_lab(binary, shim):
        return NsxFaultLab(binary, shim)

    def _configured(self):
        self.names = [*self.names, *ADDRESSES]
        shop = super()._configured()
        with open(shop.config_file, encoding="utf-8") as file:
            config = json.load(file)
        webroot = os.path.join(self.tree, "web")
        os.makedirs(webroot, exist_ok=True)
        config["targets"]["web"] = {
            "type": "files", "webroot": webroot, "challenge_check": "no"
        }  # fmt: skip
        config["certificates"]["shop"]["challenge"]["target"] = "web"
        write_config(shop.config_file, config)
        return shop

    def prepare(self):
        self.old = self.served()

    def target(self):
        return self.lab.target()

    def served(self):
        return self.lab.shown()

    def check_struck(self):
        """Each of them alone."""
        new = None
        for seen in self.lab.all_shown():
            if seen != self.old:
                new = new or fingerprint_of(self.current() + "/fullchain.pem")
                check(seen == new, f"neither old nor new is presented: {seen}")

    def check_target(self):
        left = self.lab.left_over()
        check(not left, f"on the managers: {left}")

    def check_silence(self):
        super().check_silence()
        check("YWRtaW46" not in "\n".join(self.said), "the password was said")

    def remove(self):
        super().remove()
        self.lab.reset()


class RenewNsx(Renewal, IssueNsx):
    """The renewal of what they present."""

    title = "renew-nsx"


class FeFaultLab(FaultLab, Cloud):
    """The CA validates through the name servers of a simulated FlexibleEngine."""

    def __init__(self, binary, shim):
        super().__init__(binary, shim, self._make_fe, resolver=lambda name: self.fe.resolver(name))

    def _make_fe(self, _lab):
        self.tls = self.ca
        self.fe = Fe(self.new_folder("fe"), self.ca, pending_s=0)
        self.fe.http_port = 1
        self.fe.zone(ZONE)
        self.add_listener()
        return self.fe


class IssueFlexibleEngine(Case):
    """From nothing to a certificate that a listener serves, by dns-01."""

    title = "issue-flexibleengine"

    @staticmethod
    def make_lab(binary, shim):
        return FeFaultLab(binary, shim)

    def _configured(self):
        shop = super()._configured()
        with open(shop.config_file, encoding="utf-8") as file:
            config = json.load(file)
        config["certificates"]["shop"]["challenge"]["type"] = "dns-01"
        write_config(shop.config_file, config)
        return shop

    def prepare(self):
        self.old = self.served()

    def target(self):
        return self.lab.target(dns_check="no")

    def served(self):
        return self.lab.shown(self.name)

    def check_target(self):
        left = self.lab.left_over()
        check(not left, f"in the cloud: {left}")
        check(len(self.lab.own()) == 1, f"certificates: {self.lab.own()}")

    def check_silence(self):
        super().check_silence()
        check(self.lab.fe.password not in "\n".join(self.said), "the password was said")

    def remove(self):
        super().remove()
        self.lab.reset()


class RenewFlexibleEngine(Renewal, IssueFlexibleEngine):
    """The renewal of what it serves."""

    title = "renew-flexibleengine"


class RotateKey(IssueHaproxy):
    """The account is given another key: whichever counts afterwards, it is the one that is used."""

    title = "rotate-key"
    argv = ["account", "rotate-key"]
    next_argv = ["renew", "shop", "--force"]
    accounts = 0

    def prepare(self):
        run = self.run("issue", "shop")
        check(run.status == 0, "the first certificate is not issued")
        self.old = self.served()

    def check_store(self):
        super().check_store()
        (entry,) = os.listdir(os.path.join(self.state, "accounts"))
        files = os.listdir(os.path.join(self.state, "accounts", entry))
        files = {name for name in files if not name.startswith(TEMPORARY)}
        check(files == {"key.pem", "account.json"}, f"files of the account: {files}")

    def again(self):
        super().again()
        run = self.run(*self.argv)
        check(run.status == 0, "the key cannot be changed any more")
        self.check_whole()


ALL = (
    IssueHaproxy, RenewHaproxy, RenewNginx, IssueNetscaler, RenewNetscaler, IssueAvi, RenewAvi,
    IssueNsx, RenewNsx, IssueFlexibleEngine, RenewFlexibleEngine, RotateKey,
)  # fmt: skip
CASES = {case.title: case for case in ALL}

# ---- the points ----


def struck_by_kill(case, fault):
    """Killed, gone on with. False: the run has no such call."""
    run = case.struck(fault)
    check(run.status in (-9, 0), "struck by nothing, it fails")
    case.check_struck()
    case.again()
    return run.status == -9


def struck_twice(case, fault):
    """The run that goes on is killed as well, somewhere: the same place for the same point."""
    first = case.struck(fault + ":kill-after")
    check(first.status in (-9, 0), "struck by nothing, it fails")
    case.check_struck()
    number = zlib.crc32(f"{case.title}:{fault}".encode()) % ABOUT_CALLS + 1
    second = case.struck(f"any:{number}:kill-after")
    check(second.status in (-9, 0), "struck by nothing, it fails")
    case.check_struck()
    if second.status == -9:
        case.orders = max(case.orders, 2 * case.orders - 1)  # an answer may be lost each time
    case.again()
    return first.status == -9


def struck_by_power(case, fault, names_kept):
    """The same, but what was not synced is lost as well."""
    noted = os.path.join(case.folder, "noted")
    os.mkdir(noted)
    powers = [Power(tree, noted) for tree in case.trees()]
    run = case.struck(fault, synced=noted)
    check(run.status in (-9, 0), "struck by nothing, it fails")
    if run.status == -9:
        case.check_struck()
        for power in powers:
            power.fail(names_kept)
    case.again()
    return run.status == -9


def check_told(case, run, kind):
    """What failed is told, a file by its path."""
    lines = [line for line in run.err.splitlines() if line.startswith("certauto: ")]
    told = "\n".join(lines + ([run.out] if run.out.startswith("{") else []))
    check(told != "", "failed, and nothing is told")
    if kind not in NETWORK:
        check(re.search(r"(^|[\s\"(])/[\w.-]", told), "failed, and no path is told")
    if run.status == 2:
        check(case.folder in told, "the configuration is wrong, and its path is not told")


def struck_by_error(case, fault, kind):
    """A call has failed: no harm, or it is told, and the next run mends it."""
    run, calls = case.counted(fault)
    check(run.status in (0, 1, 2), "neither done nor failed")
    if run.status != 0:
        check_told(case, run, kind)
    case.check_struck()
    case.again()
    return calls


def struck_by_nuisance(case, fault):
    """A short or interrupted call harms nobody."""
    run, calls = case.counted(fault)
    check(run.status == 0, "a nuisance was taken for an error")
    case.again()
    return calls


def strike(case, kind, number, action):
    """Whatever the action asks for; False: there is no such call."""
    fault = f"{kind}:{number}:{action}"
    if action in ("kill-before", "kill-after"):
        return struck_by_kill(case, fault)
    if action == "kill-twice":
        return struck_twice(case, f"{kind}:{number}")
    if action in ("power-synced", "power-names"):
        return struck_by_power(case, f"{kind}:{number}:kill-after", action == "power-names")
    if action in ("short", "eintr"):
        calls = struck_by_nuisance(case, fault)
    else:
        calls = struck_by_error(case, fault, kind)
    return any((call.kind, call.of_kind) == (kind, number) for call in calls)


def visit(lab, point):
    """One point, "case:kind:n:action": True if it was there.

    Broken, with all that was said, if an invariant does not hold.
    """
    title, kind, number, action = point.split(":")
    case = CASES[title](lab)
    try:
        there = strike(case, kind, int(number), action)
        case.check_silence()
    except (AssertionError, OSError, KeyError, json.JSONDecodeError) as error:
        lines = [f"{point}: {type(error).__name__}: {error}", *case.said]
        raise Broken("\n".join(lines)) from error
    finally:
        case.remove()
    return there
