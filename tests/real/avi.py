"""A simulated Avi controller beside a strict simulated CA that validates through it."""

import json

from sim import avi_certs
from sim.avi import Avi

from . import tls
from .simulated import Device, SimulatedLab

VS = "vs-shop"
NAMES = ("shop.example.org", "www.shop.example.org", "api.shop.example.org")
FOUND, ANSWERS = ("vsvip", "applicationprofile"), "httppolicyset"
CERTS, CA = "sslkeyandcertificate", avi_certs.CA
_by_hand = []  # (certificate, key), the same in all labs


class Controller(Device):
    """A simulated Avi controller (avi), seen from outside, and what its virtual services serve."""

    tenant, _https = "admin", True
    avi = _clean = None

    def add_service(self, name=VS, names=NAMES, http=(80,), **more):
        """A virtual service that serves somebody's own certificate."""
        if not self.avi.find(CERTS, "by-hand", self.tenant):
            self.upload("by-hand")
        self.avi.virtualservice(
            name, names, http=http, https=(443,), certs=["by-hand"], tenant=self.tenant, **more
        )
        self._clean = dict(self.avi.store.objects)

    def upload(self, name, **more):
        """Somebody's own certificate."""
        _by_hand.extend([] if _by_hand else self.bundle("placeholder.example.org"))
        return self.avi.upload(name, *_by_hand, tenant=self.tenant, **more)

    # ---- seen from outside ----

    @property
    def device(self):
        return self.avi

    @property
    def http(self):
        return self.avi.address(VS, 80, self.tenant)

    def https(self, service=VS):
        """host:port of a virtual service for https."""
        return self.avi.address(service, 443, self.tenant)

    def served(self, name, key=None, service=VS):
        """The certificate that is served, its chain verified up to the CA's root."""
        host, port = self.https(service).split(":")
        return tls.served(int(port), name, key, self.server.root_pem, host=host)

    def shown(self, name=None, service=VS):
        """Whatever is served; None: nothing is."""
        host, port = self.https(service).split(":")
        try:
            return tls.served(int(port), name, host=host).fingerprint
        except OSError:
            return None

    def handshakes(self, name):
        """A visitor who comes all the time."""
        port = int(self.https().split(":")[1])
        return tls.Handshakes(port, [name], self.server.root_pem, ["ecdsa"])

    # ---- what is on the controller ----

    def certificates(self):
        """All there are, by name."""
        return self.avi.objects(CERTS, self.tenant)

    def pairs(self):
        """Those of ours that have a key."""
        every = self.certificates().items()
        return {
            name: one for name, one in every if one["type"] != CA and not name.startswith("by-hand")
        }

    def key(self, name):
        """The private key of one, PEM, which no client is ever told."""
        home = self.avi.store.tenant(self.tenant).uuid
        return self.avi.store.named(CERTS, name, home).kept["key"]

    def authorities(self):
        """Names of the certificates of CAs."""
        return sorted(name for name, one in self.certificates().items() if one["type"] == CA)

    def bound(self, service=VS):
        """Names of the certificates of a virtual service."""
        return self.avi.bound(service, self.tenant)

    def answers(self):
        """Names of the policy sets; each is attached to a virtual service, and nothing else is."""
        sets = self.avi.objects(ANSWERS, self.tenant)
        attached = [
            self.avi.store.objects[one["http_policy_set_ref"].rpartition("/")[2]].name
            for service in self.avi.objects("virtualservice", self.tenant).values()
            for one in service.get("http_policies", [])
        ]
        assert sorted(attached) == sorted(sets)
        return sorted(sets)

    def ports(self, service=VS):
        """Of its services."""
        found = self.avi.find("virtualservice", service, self.tenant).get("services", [])
        return [one["port"] for one in found]

    def reset(self):
        """As it was before anybody came."""
        with self.avi.lock:
            self.avi.store.objects.clear()
            self.avi.store.objects.update(self._clean)
            self.avi.sessions.open.clear()
            self.avi.faults.clear()
            self.avi.clear()

    def left_over(self):
        """What one certificate does not need of all that is there, and what is not as it was."""
        left = [one.name for one in self.avi.store.all(ANSWERS)] + list(self.pairs())[1:]
        left += self.authorities()[self.server.chain_length :]
        for uuid, before in self._clean.items():
            now = self.avi.store.objects[uuid]
            left += [
                f"{now.name}: {what}" for what in ("services", "http_policies")
                if now.data.get(what) != before.data.get(what)
            ]  # fmt: skip
        return left + [one for one in self.bound() if one not in [*self.pairs(), "by-hand"]]

    # ---- configured ----

    def target(self, **more):
        options = {
            "type": "avi",
            "url": self.avi.url,
            "ca_file": self.tls.file if self._https else None,
            "user": "admin",
            "password": {"file": self.password_file("admin")},
            "tenant": None if self.tenant == "admin" else self.tenant,
            "bind": [VS],
            "probe": self.https(),
            "challenge_check": self.http,
            "timeout_ms": 10000,
            **more,
        }
        return {name: value for name, value in options.items() if value is not None}

    def install(self, recipe, password):
        """Do what `target recipe` says, as the administrator does it."""
        objects = json.loads(recipe.replace("PASSWORD", password))
        for kind, body in objects.items():
            self.avi.admin_call("POST", kind, body=body, tenant=self.tenant)
        return objects


class AviLab(Controller, SimulatedLab):
    """The controller as it is before certauto knows it: one virtual service for NAMES.

    http: its ports for plain http; names: those of its VIP. The others are the simulator's.
    """

    def __init__(
        self, binary, *, ca=None, tenant="admin", https=True, http=(80,), names=NAMES, **avi
    ):
        super().__init__(binary, ca=ca)
        self.tenant, self._https, self._http, self._names = tenant, https, http, names
        self._avi = avi

    def start(self, stack):
        self.avi = stack.enter_context(
            Avi(self.new_folder("avi"), self.tls if self._https else None, **self._avi)
        )
        if self.tenant != "admin":
            self.avi.tenant(self.tenant)
        self.add_service(http=self._http, names=self._names, host="127.0.0.1")

    def validates(self, name):
        """By what the DNS says of a name: its virtual service, or the first."""
        return self.avi.hosts().get(name, self.http)

    def restrict(self, shop, without=None):
        """From now on shop uses the account of its own recipe; without: a right it has not."""
        shop.target["user"] = "certauto"
        objects = self.install(shop.does("target", "recipe", "edge").out, "of-my-own")
        if without:
            self.grant(objects, {without: "NO_ACCESS"})
        shop.target["password"] = {"file": self.password_file("of-my-own")}
        return objects

    def grant(self, objects, rights=None):
        """The account of the recipe's objects gets other rights, where they are named."""
        privileges = [
            {**one, "type": (rights or {}).get(one["resource"], one["type"])}
            for one in objects["role"]["privileges"]
        ]
        self.avi.change("role", objects["role"]["name"], self.tenant, privileges=privileges)


def challenges(calls):
    """Those that are about challenges."""
    return [
        call for call in calls
        if call.kind in (*FOUND, ANSWERS) or (call.kind == "virtualservice" and (
            call.method == "PATCH" or "vsvip_ref" in call.query
        ))
    ]  # fmt: skip
