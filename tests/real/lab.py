"""Everything one needs to get a certificate: CA, DNS, a balancer, a folder for the state."""

import contextlib
import os
import shutil
import tempfile

from .certauto import Certauto, write_config
from .haproxy import HAProxy
from .pebble import Dns, Pebble
from .pki import TestCA


class Lab:
    """Pebble validating through a HAProxy, all below one temporary folder.

    front, called with the lab, makes the server that Pebble validates through, if it is not to be a
    HAProxy as it comes; pebble holds further arguments for Pebble.
    """

    def __init__(self, *, front=None, pebble=None):
        self._make_front = front or (lambda lab: HAProxy(lab.new_folder("haproxy")))
        self._pebble_args = pebble or {}
        self._stack = contextlib.ExitStack()
        self.folder = self.ca = self.dns = self.pebble = self.front = None

    @property
    def haproxy(self):
        """The front, where it is a HAProxy."""
        return self.front

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = tempfile.mkdtemp(prefix="certauto-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.ca = TestCA(self.folder)
            self.dns = stack.enter_context(Dns(self.folder))
            self.front = stack.enter_context(self._make_front(self))
            self.pebble = stack.enter_context(
                Pebble(
                    self.new_folder("pebble"),
                    self.ca,
                    self.dns,
                    self.front.http_port,
                    **self._pebble_args,
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def new_folder(self, name):
        """A new folder of that name, for its owner only."""
        taken = sum(entry.split("-")[0] == name for entry in os.listdir(self.folder))
        path = os.path.join(self.folder, f"{name}-{taken + 1}" if taken else name)
        os.mkdir(path, 0o700)
        return path

    def account(self, **more):
        """The "accounts" entry for this CA."""
        return {
            "server": self.pebble.directory,
            "ca_file": self.pebble.ca_file,
            "contact": ["mailto:ops@example.org"],
            "agree_tos": True,
            **more,
        }

    def haproxy_target(self, crt, **more):
        """The "targets" entry for this HAProxy; a None leaves an option out."""
        options = {
            "type": "haproxy",
            "socket": self.haproxy.socket,
            "crt": self.haproxy.crt(crt),
            "map": self.haproxy.map,
            "probe": f"127.0.0.1:{self.haproxy.tls_port}",
            "challenge_check": f"127.0.0.1:{self.haproxy.http_port}",
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}

    def config(self, certificates, targets, *, state=None, accounts=None, **more):
        """Write a configuration in a folder of its own and return its path."""
        folder = self.new_folder("config")
        config = {
            "state": state or os.path.join(folder, "state"),
            "accounts": accounts or {"test": self.account()},
            "targets": targets,
            "certificates": certificates,
            **more,
        }
        return write_config(os.path.join(folder, "certauto.json"), config)

    def shop(self, binary, *names, key="ecdsa-p256", target=None, certificate=None, account=None):
        """The usual case, one certificate "shop" on HAProxy; returns the command to run."""
        options = target or {}
        config = self.config(
            {
                "shop": {
                    "account": "test",
                    "names": list(names),
                    "key": key,
                    "challenge": {"type": "http-01", "target": "edge"},
                    "deploy": ["edge"],
                    **(certificate or {}),
                }
            },
            {"edge": self.haproxy_target(options.pop("crt", names[0] + ".pem"), **options)},
            accounts={"test": self.account(**(account or {}))},
        )
        return Certauto(binary, config)
