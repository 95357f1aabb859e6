"""A simulated FlexibleEngine beside a strict simulated CA that validates by its name servers."""

from sim.fe import Fe

from . import tls
from .simulated import Device, Shop, SimulatedLab

ZONE, NAMES = "example.org", ("shop.example.org", "www.shop.example.org")
LISTENER, BY_HAND = "shop", "by-hand"
CERT, DNS01 = "certificate", {"challenge": {"type": "dns-01", "target": "edge"}}
_by_hand = []  # (certificate, key), the same in all labs


class Cloud(Device):
    """A simulated FlexibleEngine (fe), seen from outside, and what its listeners serve."""

    fe = _clean = None
    usual = LISTENER  # the listener that is meant where none is named

    @property
    def device(self):
        return self.fe

    @property
    def http(self):
        """Nobody answers http-01 there."""
        return None

    def add_listener(self, name=LISTENER, **more):
        """A listener that serves somebody's own certificate."""
        if not self.fe.find(CERT, BY_HAND):
            _by_hand.extend([] if _by_hand else self.bundle("placeholder.example.org"))
            cert, key = _by_hand
            self.fe.upload(BY_HAND, cert.strip() + "\n", key.rstrip() + "\n")
        made = self.fe.listener(name, [BY_HAND], **more)
        self._clean = dict(self.fe.elb.objects)
        return made.id

    # ---- seen from outside ----

    def https(self, listener=None):
        """host:port of a listener."""
        return self.fe.address(listener or self.usual)

    def served_at(self, host, port, name, key=None):
        """The certificate that is served there, its chain verified up to the CA's root."""
        return tls.served(port, name, key, self.server.root_pem, host=host)

    def served(self, name, key=None, listener=None):
        """The same of a listener."""
        host, port = self.https(listener).split(":")
        return self.served_at(host, int(port), name, key)

    def shown(self, name=None, listener=None):
        """Whatever is served; None: nothing is."""
        host, port = self.https(listener).split(":")
        try:
            return tls.served(int(port), name, host=host).fingerprint
        except OSError:
            return None

    def handshakes(self, name):
        """A visitor who comes all the time."""
        host, port = self.https().split(":")
        return tls.Handshakes(int(port), [name], self.server.root_pem, ["ecdsa"], host=host)

    # ---- what is in the cloud ----

    def own(self):
        """Names of the certificates that are ours."""
        return [one for one in self.fe.names(CERT) if one.startswith("certauto-")]

    def txt(self):
        """Names of the record sets of challenges."""
        with self.fe.lock:
            self.fe.zones.settle()
            sets = list(self.fe.zones.sets.values())
        return sorted(one.name for one in sets if one.type == "TXT")

    def reset(self):
        """As it was before anybody came."""
        with self.fe.lock:
            self.fe.elb.objects.clear()
            self.fe.elb.objects.update(self._clean)
            self.fe.elb.busy.clear()
            for key, one in list(self.fe.zones.sets.items()):
                if one.type == "TXT":
                    del self.fe.zones.sets[key]
            self.fe.faults.clear()
            self.fe.clear()

    def left_over(self):
        """What one certificate does not need of all that is there."""
        used = {
            ref for one in self.fe.elb.all("listener")
            for ref in (one.data["default_tls_container_ref"], *one.data["sni_container_refs"])
        }  # fmt: skip
        every = self.fe.elb.all(CERT)
        return self.txt() + [
            one.name for one in every if one.id not in used and one.id not in self._clean
        ]

    # ---- configured ----

    def target(self, **more):
        options = {
            "type": "flexibleengine",
            "region": self.fe.region,
            "iam_url": self.fe.iam_url,
            "dns_url": self.fe.dns_url,
            "elb_url": self.fe.elb_url,
            "ca_file": self.fe.ca_file,
            "domain_name": self.fe.domain,
            "user": self.fe.user,
            "password": {"file": self.password_file(self.fe.password)},
            "project_id": self.fe.project,
            "listener": [self.fe.find("listener", LISTENER)["id"]],
            "probe": self.https(),
            "dns_check": list(self.fe.name_servers),
            "dns_resolver": [self.fe.named.address],
            "timeout_ms": 10000,
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}


class FeLab(Cloud, SimulatedLab):
    """The cloud as it is before certauto knows it: a zone, and one listener. The options are the
    simulator's."""

    def __init__(self, binary, *, ca=None, **fe):
        super().__init__(binary, ca={"resolver": lambda name: self.fe.resolver(name), **(ca or {})})
        self._fe = fe

    def start(self, stack):
        self.fe = stack.enter_context(Fe(self.new_folder("fe"), self.tls, **self._fe))
        self.fe.zone(ZONE)
        self.add_listener()

    def shop(self, *names, certificate=None, **more):
        """One certificate "shop", by dns-01."""
        return Shop(self, *names, certificate={**DNS01, **(certificate or {})}, **more)
