#!/usr/bin/python3
"""A NetScaler for the tests: strict NITRO, and real vservers on loopback.

usage: nitro.py --folder DIR [--http] [--ha] [--recipe FILE] [--options JSON]
                [--lb NAME]... [--cs NAME]... [--ssl NAME]... [--partition NAME]...

In a test it is used in a with block:

    with Nitro(folder, tls, ha=True) as nitro:
        nitro.url, nitro.ca_file                what a client needs; user nsroot, password nsroot
        web = nitro.vserver("web")              listens on web.address and answers http-01
        shop = nitro.ssl_vserver("shop")        serves what is bound to it
        nitro.recipe(text)                      the account a client is to use
        nitro.faults.add(number=3, wire="lost-reply")
        nitro.requests(kind="systemfile"), nitro.writes()
        nitro.reboot(), nitro.failover(), nitro.expire_sessions()

As a program it prints one line of JSON with its addresses and takes commands as lines of JSON on
its standard input, {"do": "failover"}, each answered by a line: see COMMANDS. It ends at SIGTERM or
with its input.

What the device itself is uncertain about is in OPTIONS; each is an attribute that may be changed at
any time.
"""

import argparse
import collections
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from datetime import timedelta

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "sim"  # pylint: disable=redefined-builtin
    import sim  # noqa: F401

from real.pki import TestCA  # noqa: E402

from . import nitro_certs, nitro_responder, nitro_ssl, nitro_system, nitro_vservers  # noqa: E402
from .nitro_commands import Accounts, User  # noqa: E402
from .nitro_config import VERBS, Call, Config  # noqa: E402
from .nitro_data import DataPlane, VServer  # noqa: E402
from .nitro_errors import MESSAGES, NitroError  # noqa: E402
from .nitro_faults import Faults  # noqa: E402
from .nitro_files import resolve, ssl_folder  # noqa: E402
from .nitro_http import Request  # noqa: E402
from .nitro_pair import Nodes, make_nodes  # noqa: E402
from .nitro_session import Session  # noqa: E402

__all__ = ["Nitro", "NitroError", "Request", "MESSAGES"]

DECLARED = (nitro_responder, nitro_ssl, nitro_system, nitro_vservers)  # what fills VERBS
OPTIONS = {
    "version": nitro_system.VERSION,
    "name_max": 31,  # the longest name of a certkey
    "file_name_max": 63,
    "max_file": 2 << 20,
    "extensions": None,  # of files that may be added; None: any
    "disk_free": None,  # bytes there is room for in all
    "pkcs8": True,  # unencrypted keys may be PKCS#8, which older builds do not read
    "absolute_paths": False,  # GET sslcertkey shows whole paths
    "basic_auth": True,  # X-NITRO-USER and X-NITRO-PASS are taken
    "session_limit": 20,
    "lock_after": 0,  # wrong passwords until an account is locked
    "clock_shift": 0,  # seconds by which sessions have aged
    "days_later": 0,  # how far the device's calendar is ahead
    "read_only": False,  # as an appliance of a cluster, asked by its own address
    # What a secondary does with a write: "refuse" with secondary_code, or "lose".
    "secondary_writes": "refuse",
    "secondary_code": 257,
    # Files go to the other node of a pair: True, False, or "unique": of equal ones only the first.
    "file_sync": True,
    "sync_polls": 0,  # how often hanode tells that it is still under way after each write
}
TLS_NAMES = "DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3,DNS:netscaler.example.org"
BACKEND = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"backend\n"
)


class Nitro(Nodes):
    """One appliance, or a pair of them."""

    def __init__(self, folder, tls=None, ha=False, password="nsroot", **options):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise TypeError(f"no such options: {sorted(unknown)}")
        for name, value in {**OPTIONS, **options}.items():
            setattr(self, name, value)
        super().__init__()
        self.lock, self.failures, self.log = threading.RLock(), [], []
        self.ca_file = getattr(tls, "file", None)
        self._folder = tempfile.mkdtemp(prefix="nitro-", dir=folder)
        self.https = tls.issue(os.path.join(self._folder, "device"), TLS_NAMES) if tls else None
        self.accounts, self.faults = Accounts(), Faults(self)
        self.accounts.users["nsroot"] = User("nsroot", password, superuser=True)
        self.features, self.unlicensed = {"LB", "CS", "SSL", "SSLVPN", "RESPONDER", "AAA"}, set()
        self.vservers, self.hits = {}, collections.Counter()
        self._partitions = ["default"]
        self.plane = DataPlane(self, self._folder)
        self.nodes = make_nodes(self, ha)

    def __enter__(self):
        for node in self.nodes:
            node.server.start()
        return self

    def __exit__(self, *exception):
        for node in self.nodes:
            if node.alive:
                node.server.stop()
        self.plane.stop(self.vservers.values())
        shutil.rmtree(self._folder, ignore_errors=True)
        failures = self.failures + [one for node in self.nodes for one in node.server.failures]
        if failures and exception[0] is None:
            raise AssertionError("the simulator failed: " + failures[0])

    # ---- the device ----

    @property
    def limits(self):
        """(type, member) -> how long it may be."""
        return {
            ("systemfile", "filename"): self.file_name_max,
            ("sslcertkey", "linkcertkeyname"): max(self.name_max, 63),
        }

    def now(self):
        """The device's time."""
        return nitro_certs.utc_now() + timedelta(days=self.days_later)

    def empty_config(self):
        """With the partitions that there are."""
        config = Config()
        for name in self._partitions:
            config.partitions.setdefault(name, {})
        return config

    @property
    def url(self):
        """Of the node that was the primary at first."""
        return self.nodes[0].url

    @property
    def port(self):
        """The same on both nodes."""
        return self.nodes[0].port

    def check_writable(self, node, verb, call):
        """May anything be changed here?"""
        if not verb.writes:
            return
        if self.read_only:
            raise NitroError(1203)
        if node.state == "Secondary":
            if self.secondary_writes == "refuse":
                raise NitroError(self.secondary_code)
            call.warn(1028)

    def would_write(self, request):
        """Is it a request that changes something when it is done?"""
        action = (request.action or "").lower()
        for (method, kind, one), verb in VERBS.items():
            if (method, kind, (one or "").lower()) == (request.method, request.kind, action):
                return verb.writes
        return False

    # ---- what a test sets up ----

    def partition(self, name):
        """An admin partition."""
        self._partitions.append(name)
        for node in self.nodes:
            node.config.partitions.setdefault(name, {})
            node.saved.partitions.setdefault(name, {})
        return name

    def vserver(self, name, kind="lb", servicetype="HTTP", partition="default", backend=BACKEND):
        """A virtual server with a listener; backend: what it answers when no policy does."""
        type_ = nitro_vservers.KINDS[kind]
        vserver = VServer(self.plane, name, type_, servicetype, partition, backend)
        shown = {
            "vservername" if kind == "auth" else "name": name, "ipv46": vserver.host,
            "port": vserver.port, "servicetype": servicetype, "_kind": kind,
        }  # fmt: skip
        entries = {type_: {**shown, "name": name}}
        if vserver.is_tls:
            entries["sslvserver"] = {"vservername": name, "snienable": "DISABLED"}
        with self.lock:
            self.vservers[name] = vserver
            for node in self.nodes:
                for config in (node.config, node.saved):
                    for table, entry in entries.items():
                        config.table(table, partition)[name] = dict(entry)
        return vserver

    def ssl_vserver(self, name, kind="lb", servicetype="SSL", **more):
        """A virtual server that speaks TLS."""
        return self.vserver(name, kind, servicetype, **more)

    def recipe(self, text):
        """Type the commands of a recipe."""
        self.accounts.run(text)

    def user(self, name, password, superuser=True):
        """An account without a recipe."""
        self.accounts.users[name] = User(name, password, superuser)
        return self.accounts.users[name]

    def put_file(self, name, content, partition="default"):
        """A file as somebody put it there by hand; name: with or without its folder."""
        path = resolve(name, partition)
        for node in self.nodes:
            node.files[path] = content if isinstance(content, bytes) else content.encode()
        return path

    def certkey(self, name, cert, key=None, files=None, link=None, saved=True, partition="default"):
        """A pair as somebody made it by hand: PEM text, in files of their name."""
        files = files or (name + ".crt", name + ".key")
        args = {"certkey": name, "cert": files[0]}
        self.put_file(files[0], cert, partition)
        if key:
            self.put_file(files[1], key, partition)
            args["key"] = files[1]
        with self.lock:
            self._command("POST", "sslcertkey", None, args, partition)
            if link:
                args = {"certkey": name, "linkcertkeyname": link}
                self._command("POST", "sslcertkey", "link", args, partition)
            if saved:
                self.save(self.primary, partition)

    def bind(self, vserver, certkey, sni=False, saved=True, partition="default"):
        """Bind a pair as somebody does it by hand."""
        with self.lock:
            if sni:
                args = {"vservername": vserver, "snienable": "ENABLED"}
                self._command("PUT", "sslvserver", None, args, partition)
            args = {"vservername": vserver, "certkeyname": certkey, "snicert": sni}
            self._command("PUT", "sslvserver_sslcertkey_binding", None, args, partition)
            if saved:
                self.save(self.primary, partition)

    def command(self, method, kind, args, action=None, partition="default"):
        """Any command, as the administrator types it."""
        with self.lock:
            self._command(method, kind, action, args, partition)

    def _command(self, method, kind, action, args, partition):
        node, verb = self.primary, VERBS[method, kind, action]
        session = Session(self.accounts.users["nsroot"], partition)
        verb.function(Call(self, node, session, verb, kind, args))
        self.changed(node)

    # ---- what happens to it ----

    def expire_sessions(self):
        """All sessions are over, as if they had been idle for too long."""
        with self.lock:
            for node in self.nodes:
                for token in list(node.sessions.open):
                    node.sessions.kill(token)

    def is_up(self, shown):
        """Of a vserver as NITRO shows it."""
        vserver = self.vservers.get(shown["name"])
        return bool(vserver) and self.serves(vserver)

    def serves(self, vserver):
        """Does a vserver take connections?"""
        needed = {"lbvserver": "LB", "csvserver": "CS", "vpnvserver": "SSLVPN"}.get(vserver.type)
        wanted = {needed} if needed else set()
        if vserver.is_tls:
            wanted.add("SSL")
        return vserver.up and wanted <= self.features

    # ---- what a test looks at ----

    def requests(self, kind=None, method=None, action=None, user=None):
        """The log, or what of it fits."""
        return [
            one
            for one in list(self.log)
            if kind in (None, one.kind)
            and method in (None, one.method)
            and user in (None, one.user)
            and (action is None or action.lower() == (one.action or "").lower())
        ]

    def writes(self):
        """Requests that could change something, whether they did or were refused."""
        return [one for one in list(self.log) if one.writes]

    def clear(self):
        """Forget the log."""
        with self.lock:
            self.log.clear()

    def objects(self, kind, partition="default", saved=False, node=None):
        """Objects as they run, or as they are saved: key -> object."""
        with self.lock:
            node = node or self.primary
            config = node.saved if saved else node.config
            return {key: dict(one) for key, one in config.copy().table(kind, partition).items()}

    def files(self, partition="default", node=None):
        """The files of the folder for certificates: name -> content."""
        with self.lock:
            node, folder = node or self.primary, ssl_folder(partition) + "/"
            if node.stale:
                self.synchronize(node)
            return {
                path[len(folder) :]: content
                for path, content in node.files.items()
                if path.startswith(folder)
            }

    @property
    def sessions(self):
        """How many are open."""
        return sum(len(node.sessions.open) for node in self.nodes)


# What the program takes on its input: {"do": NAME, ...}.
COMMANDS = {
    "failover": lambda nitro, **_: nitro.failover(),
    "reboot": lambda nitro, **_: nitro.reboot(),
    "expire": lambda nitro, **_: nitro.expire_sessions(),
    "requests": lambda nitro, **_: [str(one) for one in nitro.log],
    "clear": lambda nitro, **_: nitro.clear(),
    "fault": lambda nitro, **what: nitro.faults.add(**what) and None,
    "recipe": lambda nitro, text: nitro.recipe(text),
    "set": lambda nitro, name, value: setattr(nitro, name, value),
    "feature": lambda nitro, name, on: (nitro.features.add if on else nitro.features.discard)(name),
    "objects": lambda nitro, kind, **more: _plain(nitro.objects(kind, **more)),
    "files": lambda nitro, **more: sorted(nitro.files(**more)),
    "state": lambda nitro, **_: {
        "primary": nitro.primary.name, "sync": nitro.sync, "unsaved": nitro.unsaved,
        "sessions": nitro.sessions,
    },
}  # fmt: skip


def _plain(objects):
    return [{n: v for n, v in one.items() if not n.startswith("_")} for one in objects.values()]


def _obey(nitro, line):
    """One line of the input."""
    try:
        command = json.loads(line)
        return {"done": COMMANDS[command.pop("do")](nitro, **command)}
    except (ValueError, TypeError, KeyError, NitroError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _arguments():
    parser = argparse.ArgumentParser(
        description="a NetScaler for tests and demonstrations", epilog="see the head of the source"
    )
    parser.add_argument("--folder", required=True, help="for its own files")
    parser.add_argument("--http", action="store_true", help="management without TLS")
    parser.add_argument("--ha", action="store_true", help="a pair")
    parser.add_argument("--recipe", help="file with the commands that make an account")
    parser.add_argument("--options", default="{}", type=json.loads, help="see OPTIONS")
    for kind in ("lb", "cs", "ssl", "partition"):
        parser.add_argument("--" + kind, action="append", default=[], metavar="NAME")
    return parser.parse_args()


def main():
    """The device as a program."""
    args = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    tls = None if args.http else TestCA(args.folder, "certauto test device")
    with Nitro(args.folder, tls, ha=args.ha, **args.options) as nitro:
        for name in args.partition:
            nitro.partition(name)
        for kind in ("lb", "cs"):
            for name in getattr(args, kind):
                nitro.vserver(name, kind)
        for name in args.ssl:
            nitro.ssl_vserver(name)
        if args.recipe:
            with open(args.recipe, encoding="utf-8") as file:
                nitro.recipe(file.read())
        ready = {
            "url": nitro.url, "urls": [node.url for node in nitro.nodes], "ca_file": nitro.ca_file,
            "vservers": {name: one.address for name, one in nitro.vservers.items()},
            "pid": os.getpid(),
        }  # fmt: skip
        print(json.dumps(ready), flush=True)
        for line in sys.stdin:
            if line.strip():
                with nitro.lock:
                    reply = _obey(nitro, line)
                print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
