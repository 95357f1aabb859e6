"""BIND as it is installed: a primary for some zones that takes updates signed by TSIG, and, for
questions that ask for recursion, a resolver that knows these zones and no others.

Loopback, ports of its own, files in one folder. Each zone has an update-policy that lets the key
"certauto" change TXT records below it, and nothing else, as `certauto target recipe` has it.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile

from . import ports
from .certauto import Certauto, write_config
from .pebble import Pebble
from .pki import TestCA
from .proc import Server

ZONE = """$TTL 60
@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 5
@ IN NS ns.{zone}.
ns IN A 127.0.0.1
@ IN A 127.0.0.1
* IN A 127.0.0.1
{more}"""

CONFIG = """
{keys}
controls {{ }};
options {{
    directory "{folder}";
    pid-file "{folder}/named.pid";
    session-keyfile "{folder}/session.key";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    dnssec-validation no;
    notify no;
    empty-zones-enable no;
    allow-query {{ any; }};
}};
logging {{
    channel all {{ stderr; severity info; print-category yes; }};
    category default {{ all; }};
    category update {{ all; }};
    category update-security {{ all; }};
}};
view "resolver" {{
    match-recursive-only yes;
    recursion yes;
    allow-recursion {{ any; }};
    zone "." {{ type hint; file "hints"; }};
{zones}
}};
view "primary" {{
    recursion no;
{in_view}
}};
"""
# Nobody listens there.
HINTS = """. 3600000 NS a.root.
a.root. 3600000 A 127.0.0.1
"""

POLICY = """zone "{zone}" {{
    type primary;
    file "{zone}.zone";
    update-policy {{
        {policy}
    }};
}};
"""


def new_key(path, name="certauto"):
    """A TSIG key as tsig-keygen writes it; returns the path."""
    made = subprocess.run(["/usr/sbin/tsig-keygen", name], check=True, stdout=subprocess.PIPE)
    with open(path, "wb", opener=lambda path, how: os.open(path, how, 0o600)) as file:
        file.write(made.stdout)
    return path


class Named(Server):
    """The server. zones: name to further lines of the zone file, ending in a newline."""

    def __init__(self, folder, zones):
        self.port = ports.free_port()
        self.key_file = new_key(os.path.join(folder, "certauto.key"))
        # Known to the server, but no policy speaks of it.
        self.powerless_key_file = new_key(os.path.join(folder, "powerless.key"), "powerless")
        blocks, in_view = [], []
        for zone, more in zones.items():
            with open(os.path.join(folder, zone + ".zone"), "w", encoding="ascii") as file:
                file.write(ZONE.format(zone=zone, more=more))
            policy = f"grant certauto wildcard *.{zone}. TXT;"
            blocks.append(POLICY.format(zone=zone, policy=policy))
            in_view.append(f'zone "{zone}" {{ in-view "resolver"; }};\n')
        keys = []
        for path in (self.key_file, self.powerless_key_file):
            with open(path, encoding="ascii") as file:
                keys.append(file.read())
        with open(os.path.join(folder, "hints"), "w", encoding="ascii") as file:
            file.write(HINTS)
        config = os.path.join(folder, "named.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(
                CONFIG.format(
                    keys="".join(keys),
                    zones="".join(blocks),
                    in_view="".join(in_view),
                    folder=folder,
                    port=self.port,
                )
            )
        super().__init__("named", ["/usr/sbin/named", "-g", "-n", "1", "-c", config], folder)

    def ready(self):
        return "running" in self.log() and ports.answers(self.port)

    def values(self, owner):
        """The TXT values at an owner, as a resolver would get them."""
        argv = ["dig", "+short", "+tries=1", "+time=2", "-p", str(self.port)]
        run = subprocess.run(
            [*argv, "@127.0.0.1", owner + ".", "TXT"], check=True, stdout=subprocess.PIPE, text=True
        )
        return sorted(line.strip('"') for line in run.stdout.splitlines() if line.startswith('"'))

    def update(self, *lines):
        """What an administrator types into nsupdate."""
        subprocess.run(
            ["nsupdate", "-k", self.key_file],
            input="\n".join([f"server 127.0.0.1 {self.port}", *lines, "send", ""]),
            check=True,
            text=True,
        )


class NamedLab:
    """Pebble that asks BIND, and BIND; certificates are deployed nowhere unless a test says so.

    front, called with the lab, makes the server that http-01 leads to, if there is one.
    """

    def __init__(self, zones, *, front=None, **pebble):
        self._zones, self._make_front, self._pebble_args = zones, front, pebble
        self._stack = contextlib.ExitStack()
        self.folder = self.ca = self.named = self.pebble = self.front = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = tempfile.mkdtemp(prefix="certauto-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.ca = TestCA(self.folder)
            self.named = stack.enter_context(Named(self.new_folder("named"), self._zones))
            if self._make_front:
                self.front = stack.enter_context(self._make_front(self))
            self.pebble = stack.enter_context(
                Pebble(
                    self.new_folder("pebble"),
                    self.ca,
                    self.named,
                    self.front.http_port if self.front else ports.refused_port(),
                    **self._pebble_args,
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def new_folder(self, name):
        """A new folder of that name, with a number behind it if there is one already."""
        taken = sum(entry.split("-")[0] == name for entry in os.listdir(self.folder))
        path = os.path.join(self.folder, f"{name}-{taken + 1}" if taken else name)
        os.mkdir(path, 0o700)
        return path

    def target(self, **more):
        """The "targets" entry for this BIND; a None leaves an option out."""
        options = {
            "type": "rfc2136",
            "server": f"127.0.0.1:{self.named.port}",
            "key_file": self.named.key_file,
            **self.dns_options(),
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}

    def dns_options(self):
        """What every target that answers dns-01 needs where nobody answers at port 53."""
        return {
            "dns_resolver": f"127.0.0.1:{self.named.port}",
            "dns_check": f":{self.named.port}",
            "dns_wait_ms": 5000,
        }

    def shop(self, binary, *names, target=None, deploy=None, challenge="dns-01"):
        """The command with one certificate "shop" for names; target: its "targets" entry."""
        targets = {"dns": target or self.target(), **(deploy or {})}
        folder = self.new_folder("config")
        config = {
            "state": os.path.join(folder, "state"),
            "accounts": {
                "test": {
                    "server": self.pebble.directory,
                    "ca_file": self.pebble.ca_file,
                    "contact": ["mailto:ops@example.org"],
                    "agree_tos": True,
                }
            },
            "targets": targets,
            "certificates": {
                "shop": {
                    "account": "test",
                    "names": list(names),
                    "key": "ecdsa-p256",
                    "challenge": {"type": challenge, "target": "dns"},
                    "deploy": [name for name in targets if name != "dns"]
                    if deploy is not None
                    else [],
                }
            },
        }
        return Certauto(binary, write_config(os.path.join(folder, "certauto.json"), config))
