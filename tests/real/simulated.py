"""What the labs with a simulated device share: a strict CA that validates through it, and the
command with a configuration that follows the test."""

import atexit
import contextlib
import functools
import os
import re
import shutil
import ssl
import tempfile

from sim import ca_pki
from sim.ca import CA

from . import tls
from .certauto import Certauto, write_config
from .pki import TestCA, self_signed_bundle

KEY = "ecdsa-p256"
TEMPORARY = ".certauto-"
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)


def writes(calls):
    """Those that change something."""
    return [call for call in calls if call.writes]


def kinds(calls):
    """What they are about."""
    return [call.kind for call in calls]


class SharedCA(TestCA):
    """Whose certificates all devices and CAs of this process have; each is made once."""

    def __init__(self):
        self._folder, self._issued = tempfile.mkdtemp(prefix="certauto-"), {}
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        super().__init__(self._folder)

    def issue(self, base, *what, **more):
        key = (what, *more.items())
        if key not in self._issued:
            base = os.path.join(self._folder, f"{len(self._issued)}-{os.path.basename(base)}")
            self._issued[key] = super().issue(base, *what, **more)
        return self._issued[key]


shared_ca = functools.lru_cache(SharedCA)


class Device:
    """A simulated device, known by the CA tls, seen from outside. Part of a lab, which has server,
    the CA that issues, and new_folder()."""

    tls = server = None

    def new_folder(self, name):
        """Told by the lab."""
        raise NotImplementedError

    @property
    def device(self):
        """The simulator."""
        raise NotImplementedError

    @property
    def log(self):
        """All it was asked."""
        return self.device.log

    @property
    def http(self):
        """host:port where challenges are answered."""
        raise NotImplementedError

    def target(self, **more):
        """The "targets" entry; a None leaves an option out."""
        raise NotImplementedError

    def bundle(self, name, key_type="ecdsa"):
        """(certificate, key) of somebody's own for a name, PEM."""
        path = os.path.join(self.new_folder("hand"), "pem")
        with open(self_signed_bundle(path, name, key_type), encoding="ascii") as file:
            text = file.read()
        return text[: text.index("-----BEGIN PRIVATE")], text[text.index("-----BEGIN PRIVATE") :]

    def intermediates(self):
        """The CA's chain without the root, PEM."""
        return [ca_pki.pem(der).decode() for der in self.server.authority().chains[0]]

    def password_file(self, password):
        """A file with a password in it."""
        path = os.path.join(self.new_folder("password"), "password")
        with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(password + "\n")
        return path


class SimulatedLab(Device):
    """The device, a CA, a folder for all. ca: options of the simulated CA."""

    def __init__(self, binary, *, ca=None):
        self.binary, self._ca = binary, ca or {}
        self._stack = contextlib.ExitStack()
        self.folder = None

    def start(self, stack):
        """Start the device; told by each lab."""
        raise NotImplementedError

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = tempfile.mkdtemp(prefix="certauto-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.tls = shared_ca()
            self.start(stack)
            self.server = stack.enter_context(self.new_ca(**self._ca))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def new_folder(self, name):
        """A new folder of that name, for its owner only."""
        return tempfile.mkdtemp(prefix=name + "-", dir=self.folder)

    def validates(self, _name):
        """host:port where the CA looks for the answer of a name."""
        return self.http

    def new_ca(self, **options):
        """Another CA that validates through this device; to be used in a with block."""
        return CA(self.new_folder("ca"), self.tls, http_address=self.validates, **options)

    def shop(self, *names, **more):
        """One certificate "shop" for names on this device."""
        return Shop(self, *names, **more)


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
        self.more_targets = {}

    def entry(self, *names, **more):
        """An entry of "certificates" on this device."""
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
            "targets": {"edge": self.target, **self.more_targets},
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
        """Run it well; returns what the device was asked meanwhile."""
        before = len(self.lab.log)
        self.does(*args, **more)
        return self.lab.log[before:]

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
