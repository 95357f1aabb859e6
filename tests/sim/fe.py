#!/usr/bin/python3
"""FlexibleEngine for the tests: strict IAM, DNS and ELB, name servers, and a data plane.

usage: fe.py --folder DIR [--http] [--options JSON] [--zone NAME]... [--listener NAME=FQDN,...]...

In a test it is used in a with block:

    with Fe(folder, tls) as fe:
        fe.iam_url, fe.dns_url, fe.elb_url, fe.vpc_url, fe.ca_file      what a client needs, with
        fe.region, fe.domain, fe.user, fe.password, fe.project          and
        fe.key()                                    an access key: its .access and .secret
        fe.zone("example.org")                      .id is its id
        fe.upload("shop", cert, key)                .id is its id; PEM text
        fe.listener("shop", certs=["shop"])         with a load balancer of its own
        fe.address("shop")                          where it really listens
        fe.name_servers                             ["host:port", ...]; also for Pebble's -dnsserver
        fe.resolver("_acme-challenge.example.org")  the TXT values; what a simulated CA takes
        fe.txt("_acme-challenge.example.org")       the record set as the API has it, or None
        fe.account("certauto", "secret", LEAST_RIGHTS)
        fe.faults.add(number=3, wire="lost-reply")
        fe.requests(kind="recordset"), fe.writes()
        fe.expire_tokens(), fe.doom(name, "ERROR"), fe.make_busy("shop-lb", 5)
        fe.clock_shift = 3600                       of the cloud: what is signed is too old then
        fe.named.servers[1].lag_s = 2               one name server is late; see its mode, too
        fe.put("example.org", "www.example.org", "A", "192.0.2.1")      somebody else's record

The services have a port each; a Host whose first label is iam, dns, elb or vpc is that service on
every port. As a program it prints one line of JSON with its addresses and takes commands as lines
of JSON on its standard input, {"do": "zone", "name": "example.net"}, each answered by a line: see
COMMANDS. It ends at SIGTERM or with its input.

What is not known for sure of the real cloud is in OPTIONS; each is an attribute that may be changed
at any time.
"""

import argparse
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "sim"  # pylint: disable=redefined-builtin
    import sim  # noqa: F401

from real.pki import TestCA, self_signed_bundle  # noqa: E402

from . import fe_ask  # noqa: E402
from .ca_http import Server  # noqa: E402
from .fe_data import DataPlane  # noqa: E402
from .fe_elb import Elb  # noqa: E402
from .fe_errors import FeError  # noqa: E402
from .fe_faults import FeFaults  # noqa: E402
from .fe_http import Api, Request  # noqa: E402
from .fe_iam import Iam  # noqa: E402
from .fe_named import Named  # noqa: E402
from .fe_zones import Zones, dotted  # noqa: E402

__all__ = ["Fe", "FeError", "Request", "LEAST_RIGHTS"]

OPTIONS = {
    "region": "eu-west-0",
    "body_max": 1 << 20,
    "unknown_params": "refuse",  # of a query; or "ignore"
    "page_max": 500,  # whatever limit a client asks for
    "lower_case_headers": False,  # as HTTP/2 has them
    "lenient": False,  # bodies in Python's quotes, no Content-Type, or one in the query
    "clock_shift": 0,  # seconds by which the cloud's clock is ahead
    # IAM.
    "iam_errors": "keystone",  # the form of its refusals; or "gateway"
    "auth_errors": "gateway",  # who refuses a bad token; or the "service"
    "no_project_status": 404,
    "other_project_status": 403,  # the project of the path is not that of the token
    "tells_catalog": True,
    "token_length": 3000, "token_life_s": 86400, "lock_after": 5,
    "sign_lock_after": 5,  # bad signatures in a row
    "sign_project": "required",  # X-Project-Id; or "default": the account's first project
    "old_signatures": True,  # those with Credential= and a scope
    # DNS.
    "zones_scope": "domain",  # a zone is seen from all projects of the account; or "project"
    "zones_max": 50, "sets_max": 500, "values_max": 50, "ttl_min": 1,
    "undotted": "refuse",  # a name without its last dot; or "append"
    "equal_values": "refuse",  # a value twice in a record set; or "fold"
    "pending_s": 0.05,  # seconds until a change is in effect
    "pending_looks": 0,  # and how often it must have been asked for until then
    "outcome": "ACTIVE",  # of a change: "ERROR", or None for never
    "pending_code": "DNS.0314",  # for a change of what is PENDING; or "DNS.0021"
    "zone_lock": False,  # one change at a time in a zone
    "n_name_servers": 2,  # from the start
    "default_a": None,  # the address of names that are in no zone; None: REFUSED
    # ELB.
    "elb_apis": ("v3", "v2.0"),
    "v2_place": "any",  # where v2.0 is; or "vpc" only
    "v2_create_status": 201, "v2_change_status": 200,  # of a certificate; or 200 and 202
    "certs_max": 120,  # -1: no limit
    "quota_code": "ELB.8905",  # or "ELB.9807", "ELB.5151"
    "no_cert_status": 400,  # for a listener that is to refer to no certificate; or 404
    "chain_order": "check",  # or "any"
    "multi_domain": True,  # several names in the field domain
    "put_half_pair": True,  # a certificate may be changed without its key
    "echo_key": True,  # answers have the private key in them
    "next_marker": "more",  # where there is more; or "always"
    "busy_s": 0.0,  # seconds that a load balancer is PENDING_UPDATE after a change
    "busy_status": 409,
    # The data plane.
    "push_delay": 0.0,  # seconds until a change is in effect
}  # fmt: skip
TLS_NAMES = "DNS:localhost,DNS:dns.localhost,DNS:*.eu-west-0.localhost,IP:127.0.0.1"
SERVICES = ("iam", "dns", "elb", "vpc")
# What an account needs for dns-01 and for certificates, and no more.
LEAST_RIGHTS = (
    "dns:zone:list", "dns:zone:get", "dns:recordset:*", "elb:certificates:*", "elb:listeners:list",
    "elb:listeners:get", "elb:listeners:put", "elb:loadbalancers:get", "elb:quotas:list",
)  # fmt: skip


class Fe:
    """One cloud."""

    def __init__(self, folder, tls=None, password="a-password", **options):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise TypeError(f"no such options: {sorted(unknown)}")
        for name, value in {**OPTIONS, **options}.items():
            setattr(self, name, value)
        self.lock, self.failures, self.log = threading.RLock(), [], []
        self.closing = threading.Event()
        self.ca_file, self.https = getattr(tls, "file", None), bool(tls)
        self._folder = tempfile.mkdtemp(prefix="fe-", dir=folder)
        pair = tls.issue(os.path.join(self._folder, "portal"), TLS_NAMES) if tls else (None, None)
        self.faults, self.iam = FeFaults(self), Iam(self)
        self.named = Named(self, self.n_name_servers)
        self.zones, self.elb = Zones(self), Elb(self)
        self.store = self.elb  # as the data plane calls it
        self.plane = DataPlane(self, self._folder)
        api = Api(self)
        self.servers = {
            one: Server(*pair, functools.partial(api.respond, one)) for one in SERVICES
        }  # fmt: skip
        self.domain, self.user, self.password = "OCB0001234", "svc-acme", password
        self._project = self.iam.project(self.region, self.domain)
        self.iam.user(self.user, password, self.domain)

    def __enter__(self):
        self.named.start()
        for one in self.servers.values():
            one.start()
        return self

    def __exit__(self, *exception):
        self.closing.set()
        failures = list(self.failures)
        for one in self.servers.values():
            one.stop()
            failures += one.failures
        failures += self.named.stop() + self.plane.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        if failures and exception[0] is None:
            raise AssertionError("the simulator failed: " + failures[0])

    # ---- where it is, and when ----

    def url(self, service):
        """Where a service is."""
        return f"{'https' if self.https else 'http'}://127.0.0.1:{self.servers[service].port}"

    iam_url = property(lambda self: self.url("iam"), doc="Where IAM is.")
    dns_url = property(lambda self: self.url("dns"), doc="Where DNS is.")
    elb_url = property(lambda self: self.url("elb"), doc="Where ELB is.")
    vpc_url = property(lambda self: self.url("vpc"), doc="Where v2.0 of ELB is, too.")

    @property
    def project(self):
        """The id of the project that things are made in."""
        return self._project.id

    def now(self):
        """The cloud's time."""
        return time.time() + self.clock_shift

    def sdk_date(self):
        """It, as signed requests have it."""
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now()))

    # ---- what a test sets up ----

    def _in(self, project):
        """A project by its name or id; None: the usual one."""
        if project is None:
            return self._project
        return next(one for one in self.iam.projects if project in (one.name, one.id))

    def add_project(self, name, domain=None):
        """Another project; returns it."""
        return self.iam.project(name, domain or self.domain)

    def account(self, name, password, rights=None, domain=None, passcode=None):
        """Another user; rights None: all."""
        return self.iam.user(name, password, domain or self.domain, rights, passcode)

    def key(self, user=None, temporary_s=None):
        """An access key; one that ends after so many seconds has a security token."""
        return self.iam.key(user or self.user, temporary_s)

    def zone(self, name, project=None, kind="public"):
        """A zone; a second one of the same name is made when asked for."""
        with self.lock:
            return self.zones.add_zone(name, self._in(project), kind)

    def put(self, zone, name, type_, *values, ttl=300):
        """Somebody else's record set, in effect at once; without values it is removed."""
        with self.lock:
            found = next(one for one in self.zones.zones.values() if one.name == dotted(zone))
            return self.zones.put(found, name, type_, values, ttl)

    def balancer(self, name, project=None, dedicated=True):
        """A load balancer."""
        with self.lock:
            return self.elb.add_balancer(name, self._in(project), dedicated)

    def listener(
        self, name, certs=(), balancer=None, protocol=None, port=443, project=None, dedicated=True,
        **more
    ):  # fmt: skip
        """A listener; certs: names of certificates, the default one first; others are for SNI.

        The load balancer is made when it is not there; dedicated: v2.0 does not know those.
        """
        with self.lock:
            there = self._named("loadbalancer", balancer or name + "-lb")
            there = there or self.balancer(balancer or name + "-lb", project, dedicated)
            protocol = protocol or ("HTTPS" if there.data["guaranteed"] else "TERMINATED_HTTPS")
            refs = [self._named("certificate", one).id for one in certs]
            made = self.elb.add_listener(name, there, protocol, port, refs, **more)
            self.plane.open(there.id, (port,))
            return made

    def upload(self, name, cert, key=None, domain="", project=None, **more):
        """A certificate as somebody uploads it: PEM text; without a key that of a client's CA."""
        given = {"name": name, "certificate": cert, "domain": domain, **more}
        given.update({"private_key": key} if key else {"type": "client"})
        with self.lock:
            return self.elb.add_certificate(self._in(project), given)

    def change(self, kind, name, **values):
        """Somebody else changes a listener or a load balancer."""
        with self.lock:
            return self.elb.put(self._named(kind, name), **values)

    def remove(self, kind, name):
        """Somebody else removes a listener, or a certificate that is not in use."""
        with self.lock:
            found = self._named(kind, name)
            if self.elb.users(found):
                raise FeError("ELB.8907")
            self.elb.remove(found)

    # ---- what happens to it ----

    def expire_tokens(self):
        """All tokens are over."""
        with self.lock:
            self.iam.expire()

    def expire_sessions(self):
        """As faults call it."""
        self.expire_tokens()

    def set_password(self, user, password):
        """A new password: tokens that were given for the old one are over."""
        with self.lock:
            self.iam.set_password(user, password)

    def doom(self, name, outcome="ERROR"):
        """Changes of a record set end like that; None: they never do."""
        self.zones.doomed[dotted(name)] = outcome

    def make_busy(self, balancer, seconds):
        """A load balancer is PENDING_UPDATE for so long."""
        self.elb.busy[self._named("loadbalancer", balancer).id] = time.monotonic() + seconds

    def drop_connections(self):
        """All connections that are open now are ended."""
        for one in self.servers.values():
            one.drop_connections()

    # ---- what a test looks at ----

    @property
    def name_servers(self):
        """Their addresses, "host:port"."""
        return [one.address for one in self.named.servers]

    def resolver(self, name):
        """The TXT values at a name, really asked for; OSError when there is no answer."""
        reply = fe_ask.ask(self.named.address, name, "TXT")
        if reply.rcode not in ("NOERROR", "NXDOMAIN"):
            raise OSError(f"{name}: {reply.rcode}")
        return reply.values("TXT")

    def txt(self, name, type_="TXT"):
        """A record set as the API tells it, or None."""
        with self.lock:
            self.zones.settle()
            for one in self.zones.sets.values():
                if (one.name, one.type) == (dotted(name), type_):
                    return self.zones.told_set(one)
        return None

    def _named(self, kind, name):
        return next((one for one in self.elb.all(kind) if name in (one.name, one.id)), None)

    def name_of(self, kind, id_):
        """For the log: the name of what an id is for."""
        found = self.zones.sets.get(id_) if kind == "recordset" else self.zones.zones.get(id_)
        found = found or self.elb.objects.get(id_)
        return found.name if found else None

    def find(self, kind, name):
        """A listener, certificate or load balancer by name or id, as v3 tells it, or None."""
        with self.lock:
            found = self._named(kind, name)
            return self.elb.told(found, False) if found else None

    def names(self, kind):
        """The names of all of a kind, the oldest first."""
        return [one.name for one in self.elb.all(kind)]

    def address(self, listener):
        """host:port where a listener really listens."""
        found = self._named("listener", listener)
        balancer = self.elb.balancer_of(found)
        host, number = self.plane.address(balancer.id, found.data["protocol_port"])
        return f"{host}:{number}"

    def requests(self, service=None, kind=None, method=None, name=None, user=None):
        """The log, or what of it fits."""
        wanted = {"service": service, "kind": kind, "method": method, "name": name, "user": user}
        return [
            one
            for one in list(self.log)
            if all(value in (None, getattr(one, field)) for field, value in wanted.items())
        ]

    def writes(self):
        """Requests that could change something, whether they did or were refused."""
        return [one for one in list(self.log) if one.writes]

    def would_write(self, request):
        """For faults: is it one of those?"""
        return request.writes

    def clear(self):
        """Forget the log."""
        with self.lock:
            self.log.clear()
            self.named.queries.clear()

    def place(self):
        """All that a client and a resolver need to know."""
        return {
            "iam_url": self.iam_url, "dns_url": self.dns_url, "elb_url": self.elb_url,
            "vpc_url": self.vpc_url, "ca_file": self.ca_file, "region": self.region,
            "domain": self.domain, "user": self.user, "password": self.password,
            "project": self.project, "name_servers": self.name_servers,
        }  # fmt: skip


def _add_key(fe, **more):
    key = fe.key(**more)
    return {"access": key.access, "secret": key.secret, "token": key.token}


# What the program takes on its input: {"do": NAME, ...}.
COMMANDS = {
    "requests": lambda fe: [str(one) for one in fe.log],
    "writes": lambda fe: [str(one) for one in fe.writes()],
    "queries": lambda fe: [vars(one) for one in fe.named.queries],
    "clear": lambda fe: fe.clear(),
    "fault": lambda fe, **what: fe.faults.add(**what) and None,
    "set": lambda fe, name, value: setattr(fe, name, value),
    "expire": lambda fe: fe.expire_tokens(),
    "key": _add_key,
    "account": lambda fe, **more: fe.account(**more).id,
    "zone": lambda fe, **more: fe.zone(**more).id,
    "put": lambda fe, zone, name, type, values: fe.put(zone, name, type, *values) and None,
    "txt": lambda fe, **more: fe.txt(**more),
    "listener": lambda fe, **more: fe.listener(**more).id,
    "upload": lambda fe, **more: fe.upload(**more).id,
    "change": lambda fe, **more: fe.change(**more).id,
    "remove": lambda fe, **more: fe.remove(**more),
    "find": lambda fe, **more: fe.find(**more),
    "names": lambda fe, kind: fe.names(kind),
    "address": lambda fe, listener: fe.address(listener),
}


def _obey(fe, line):
    """One line of the input."""
    try:
        command = json.loads(line)
        return {"done": COMMANDS[command.pop("do")](fe, **command)}
    except (ValueError, TypeError, KeyError, FeError, AttributeError, StopIteration) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _arguments():
    parser = argparse.ArgumentParser(
        description="FlexibleEngine for tests and demonstrations",
        epilog="see the head of the source",
    )
    parser.add_argument("--folder", required=True, help="for its own files")
    parser.add_argument("--http", action="store_true", help="APIs without TLS")
    parser.add_argument("--options", default="{}", type=json.loads, help="see OPTIONS")
    parser.add_argument("--zone", action="append", default=[], metavar="NAME")
    parser.add_argument("--listener", action="append", default=[], metavar="NAME=FQDN,...")
    return parser.parse_args()


def _add_listener(fe, folder, text):
    """A listener that serves a certificate nobody trusts; returns what is to be known of it."""
    name, _, fqdns = text.partition("=")
    path = self_signed_bundle(os.path.join(folder, name + ".pem"), fqdns.split(",")[0] or name)
    with open(path, encoding="ascii") as file:
        cert, mark, key = file.read().partition("-----BEGIN PRIVATE")
    fe.upload(name, cert.strip() + "\n", mark + key.rstrip() + "\n", domain=fqdns)
    return {"id": fe.listener(name, [name]).id, "address": fe.address(name)}


def main():
    """The cloud as a program."""
    args = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    tls = None if args.http else TestCA(args.folder, "certauto test cloud")
    with Fe(args.folder, tls, **args.options) as fe:
        zones = {name: fe.zone(name).id for name in args.zone}
        listeners = {
            text.partition("=")[0]: _add_listener(fe, args.folder, text) for text in args.listener
        }
        ready = {**fe.place(), "zones": zones, "listeners": listeners, "pid": os.getpid()}
        print(json.dumps(ready), flush=True)
        for line in sys.stdin:
            if line.strip():
                print(json.dumps(_obey(fe, line)), flush=True)


if __name__ == "__main__":
    main()
