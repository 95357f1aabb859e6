"""A simulated cluster of NSX Managers beside a strict simulated CA."""

import os
import time

from sim.nsx import VIP_IP, Nsx
from sim.nsx_nodes import NODE_IPS, PATIENCE_S
from sim.nsx_policy import BINDING

from . import tls
from .simulated import KEY, Device, SimulatedLab

NAMES = [
    "nsx.example.org", "nsx1.example.org", "nsx2.example.org", "nsx3.example.org",
]  # fmt: skip
ADDRESSES = [VIP_IP, *NODE_IPS]
OBJECT = f"certauto-shop-{KEY}-"
VS, VS_NAME = "shop", "shop.example.org"


class Cluster(Device):
    """A simulated cluster (nsx), seen from outside."""

    nsx = trusted = root = None

    @property
    def device(self):
        return self.nsx

    @property
    def http(self):
        raise NotImplementedError("no challenge is answered there")

    # ---- seen from outside ----

    def shown_by(self, where):
        """SHA-256 of what a manager (its number) or "vip" presents; None: nothing.

        A restart is waited for. One may begin at any time: a client that was killed may have left
        a request that is not read yet.
        """
        host = VIP_IP if where == "vip" else self.nsx.node(where).ip
        until = time.monotonic() + PATIENCE_S
        while True:
            self.nsx.settle()
            try:
                return tls.served(self.nsx.port, None, host=host).fingerprint
            except OSError:
                if not self.nsx.is_to_answer(where) or time.monotonic() > until:
                    return None

    def all_shown(self):
        """By the managers in their order, and at the end by the VIP."""
        return [self.shown_by(where) for where in (1, 2, 3, "vip")]

    def shown(self, _name=None):
        """What all present; if they do not agree, all of it."""
        found = self.all_shown()
        return found[0] if len(set(found)) == 1 else tuple(found)

    def served(self, _name):
        """What all present, its chain verified up to the CA's root."""
        found = [
            tls.served(self.nsx.port, NAMES[0], None, self.server.root_pem, host=host)
            for host in ADDRESSES
        ]
        assert len({one.fingerprint for one in found}) == 1, "not all present the same"
        return found[0]

    # ---- on the managers ----

    def own(self):
        """Display names of the certificates of ours, the oldest first."""
        every = sorted(self.nsx.own_records().values(), key=lambda one: one.created)
        return [one.name for one in every if one.name.startswith("certauto-")]

    def policy(self):
        """Ids of the policy certificates of ours."""
        every = [path.rpartition("/")[2] for path in self.nsx.policy]
        return sorted(one for one in every if one.startswith("certauto-"))

    def left_over(self):
        """What is there besides one certificate and one that it has replaced."""
        return self.own()[2:] + self.policy()[2:]

    # ---- configured ----

    def trust(self):
        """Files with the CA's root, and with all CAs that the managers may be verified by."""
        folder = self.new_folder("trust")
        self.root, self.trusted = (os.path.join(folder, name) for name in ("root", "both"))
        with open(self.root, "w", encoding="ascii") as file:
            file.write(self.server.root_pem)
        with open(self.nsx.ca_file, encoding="ascii") as file:
            both = file.read() + self.server.root_pem
        with open(self.trusted, "w", encoding="ascii") as file:
            file.write(both)

    def reset(self):
        """As it was at the start."""
        self.nsx.settle()
        with self.nsx.lock:
            self.nsx.faults.clear()
            self.nsx.services = dict(self.nsx.default_ids)
            for one in self.nsx.own_records().values():
                del self.nsx.records[one.id]
            self.nsx.csrs.clear()

    def target(self, **more):
        options = {
            "type": "nsx",
            "url": self.nsx.url,
            "ca_file": self.trusted,
            "user": "admin",
            "password": {"file": self.password_file("admin")},
            "root_file": self.root,
            "timeout_ms": 10000,
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}


class NsxLab(Cluster, SimulatedLab):
    """The cluster as it is before certauto knows it. Names are not validated: that is not what an
    NSX Manager is there for."""

    def __init__(self, binary, *, ca=None, **nsx):
        super().__init__(binary, ca={"validate": False, **(ca or {})})
        # Nobody waits for restarts, but where a test is about them.
        self._nsx = {"restart_refused": 0.0, "restart_unavailable": 0, **nsx}

    def start(self, stack):
        self.nsx = stack.enter_context(Nsx(self.new_folder("nsx"), self.tls, **self._nsx))

    def __enter__(self):
        super().__enter__()
        self.trust()
        return self

    def validates(self, _name):
        return "127.0.0.1:1"

    def shop(self, *names, certificate=None, **more):
        """One certificate "shop" for the cluster, or for names."""
        web = {"type": "http-01", "target": "web"}
        shop = super().shop(
            *(names or [*NAMES, *ADDRESSES]),
            certificate={"challenge": web, **(certificate or {})},
            **more,
        )
        webroot = self.new_folder("web")
        shop.more_targets = {
            "web": {"type": "files", "webroot": webroot, "challenge_check": "no"}
        }
        return shop


class LbLab(NsxLab):
    """With a virtual server that has a certificate of somebody's own, and one more for SNI."""

    def start(self, stack):
        super().start(stack)
        self.nsx.virtual_server(VS, [VS_NAME], sni=[["api.example.org"]])

    def shown(self, name=None, server=VS):
        """SHA-256 of what a client gets who asks for that name."""
        host, port = self.nsx.address(server).split(":")
        return tls.served(int(port), name, host=host).fingerprint

    def served(self, name, server=VS):
        """The same, its chain verified up to the CA's root."""
        host, port = self.nsx.address(server).split(":")
        return tls.served(int(port), name, None, self.server.root_pem, host=host)

    def binding(self):
        """Which certificates the virtual server has."""
        return self.nsx.find(VS)[BINDING]

    def server_shop(self, *names, **target):
        """A certificate for the virtual server."""
        options = {"service": "lb", "virtual_server": [VS], "probe": self.nsx.address(VS)}
        return self.shop(*(names or [VS_NAME]), target={**options, **target})


def kinds(calls):
    """What was asked, in short: "POST certificates?import"."""
    return [
        f"{call.method} {call.kind}" + (f"?{call.action}" if call.action else "") for call in calls
    ]
