#!/usr/bin/python3
"""A cluster of NSX Managers for the tests: a strict API, TLS on every manager and on the VIP.

usage: nsx.py --folder DIR [--self-signed] [--no-vip] [--nodes N] [--options JSON]
              [--account NAME=PASSWORD]... [--vs ID=NAME,...]...

In a test it is used in a with block:

    with Nsx(folder, tls) as nsx:
        nsx.url, nsx.ca_file                    the VIP; user admin, password admin
        nsx.node_url(1), nsx.nodes[0].ip, nsx.nodes[0].uuid, nsx.port
        nsx.account("certauto", "secret", LEAST_RIGHTS)
        nsx.virtual_server("shop", ["shop.example.org"], sni=[["www.example.org"]])
        nsx.address("shop")                     where it really listens
        nsx.upload("by-hand", cert, key)        somebody else's certificate; returns its id
        nsx.presented_by(1), nsx.presented_by("vip")    display names of what is applied
        nsx.faults.add(number=3, wire="lost-reply")
        nsx.requests(kind="certificates"), nsx.writes()
        nsx.move_vip(), nsx.stop_node(2), nsx.start_node(2), nsx.restart_node(1)
        nsx.expire_sessions(), nsx.touch("shop"), nsx.days_later = 84

The managers are at 127.98.0.11, .12 and .13, the VIP at 127.98.0.10; one port, the kernel's choice,
is the same on all of them, as 443 is in real life.

As a program it prints one line of JSON with its addresses and takes commands as lines of JSON on
its standard input, {"do": "move_vip"}, each answered by a line: see COMMANDS. It ends at SIGTERM or
with its input.

What is not known for sure of a real manager is in OPTIONS; each is an attribute that may be changed
at any time.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from datetime import timedelta

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "sim"  # pylint: disable=redefined-builtin
    import sim  # noqa: F401

from real.pki import TestCA  # noqa: E402

from . import nsx_certs  # noqa: E402
from .nitro_certs import new_rsa, utc_now  # noqa: E402
from .nsx_certs import Maker, Record  # noqa: E402
from .nsx_data import DataPlane  # noqa: E402
from .nsx_faults import NsxFaults  # noqa: E402
from .nsx_http import Api, Request  # noqa: E402
from .nsx_nodes import DOWN, NODE_IPS, VIP_IP, Nodes  # noqa: E402
from .nsx_policy import BINDING, DEFAULT_PATH, SNI_PATHS, Policy  # noqa: E402
from .nsx_session import Account, Accounts  # noqa: E402
from .nsx_trust import Trust  # noqa: E402
from .nsx_types import NsxError, version_of  # noqa: E402

__all__ = ["Nsx", "NsxError", "Request", "LEAST_RIGHTS", "LEGACY_RIGHTS", "LB_RIGHTS", "VIP_IP"]

OPTIONS = {
    "version": "4.2",  # 2.4, 3.1, 3.1.2, 3.2, 4.2, 9.0 differ
    "apply_since": "3.2",  # apply_certificate with a service type, and certificate profiles
    "legacy_until": "3.2",  # set_cluster_certificate and apply_certificate of the HTTP service
    "legacy_status": 200,  # of the latter; or 202
    "apply_feature": "trust_certificates",  # the right that applying needs
    "vip_fqdn": "nsx.example.org",
    "tells_fqdn": True,  # of managers, in GET cluster
    "one_subnet": True,  # False: a VIP is refused with 409
    "clock_offset": 0,  # seconds the managers' clock is ahead, also in the header Date
    "days_later": 0,
    # Sessions and passwords.
    "basic_authentication": True, "cookie_authentication": True,
    "idle_seconds": 1800, "clock_shift": 0,  # seconds by which sessions have aged
    "lock_after": 5, "lock_seconds": 900,
    "no_login_status": 403, "session_gone_status": 403,
    "health_open": False,  # nobody has to log in for it
    # Limits. A real manager takes 100 requests in a second; 0: no limit.
    "rate_limit": 0, "concurrency_limit": 40,
    # Strictness, and the statuses of refusals.
    "unknown_members": "refuse",  # of documents; or "ignore"
    "unknown_params": "refuse",  # of the query; or "ignore"
    "not_found_status": 404,  # or 400
    "no_call_status": 404,  # of what another version has
    "no_action_status": 400, "media_status": 415, "in_use_status": 400, "busy_status": 409,
    "node_down_status": 503,
    "code_form": int,  # of error_code; or str
    # The certificate store.
    "import_status": 201, "csr_status": 201,
    "import_reply": "one",  # entry for a chain; or one for each certificate: leaf-first, leaf-last
    "same_authority": "reuse",  # the entry of a CA that is there already; or make a "new" one
    "same_twice": "new",  # the same certificate makes a new entry; or "refuse"
    "unique_names": False,  # display names
    "needs_constraints": "always",  # basicConstraints in a leaf; or "self-signed", "never"
    "chain_check": "apply",  # an incomplete chain is refused then; or at the "import", "never"
    "name_check": "signed",  # of CA-signed certificates; or "always", "never"
    "crl_polls": 0,  # how often the CRL of a certificate that names one is not ready; -1: for ever
    "dates": "text",  # not_before and not_after are text; or "number"
    "no_tags": "absent",  # how no tags look; or "null", "empty"
    "page_max": 1000, "last_cursor": "",  # "0000": the last page has this cursor
    "cluster_used_by": "cluster",  # whose id used_by has for MGMT_CLUSTER; or all "nodes"
    "shared_certificate": None,  # managers and VIP start with one for all; None: from 4.2 on
    # What an apply does to the HTTP services.
    "restart_refused": 0.05,  # seconds without anybody listening
    "restart_unavailable": 1,  # requests that are answered with a page and 503 after that
    "restart_keeps_sessions": False,
    "restart_moves_vip": False,  # when its owner restarts
    "cluster_restarts": "vip",  # when the VIP's certificate changes; or "owner", "all"
    "apply_busy": "refuse",  # an apply during a restart; or "take" it
    # Policy.
    "put_existing": "unchanged",  # a certificate that is there stays so; or "refuse"
    "patch": "replace",  # of a virtual server; or "merge"
    "lose_sni": False,  # writes of virtual servers silently lose the SNI paths
    "realize_delay": 0.0,  # seconds until a change is in effect
    "security_feature": "security_config", "security_since": "3.0", "security_until": "9.0",
}  # fmt: skip
# What an account needs for managers and VIP with the current calls, and no more.
LEAST_RIGHTS = {
    "trust_certificates": "crud", "cluster_management": "read", "security_config": "read"
}  # fmt: skip
LEGACY_RIGHTS = {**LEAST_RIGHTS, "system_administration": "crud"}
CSR_RIGHTS = {**LEAST_RIGHTS, "trust_csrs": "crud"}
LB_RIGHTS = {"policy_certificate": "crud", "policy_lb": "crud"}
SECURITY = {
    "crl_checking_enabled": True, "ca_signed_only": False, "eku_checking_enabled": False,
    "automatic_appliance_certificate_renewal_enabled": False,
    "automatic_appliance_certificate_renewal_lead_time": 31,
}  # fmt: skip


class Nsx(Nodes, Trust, Policy):
    """The cluster. tls: a CA for its first certificates; without one they are self-signed."""

    def __init__(self, folder, tls=None, password="admin", nodes=3, vip=True, **options):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise TypeError(f"no such options: {sorted(unknown)}")
        for name, value in {**OPTIONS, **options}.items():
            setattr(self, name, value)
        self.lock, self.closing = threading.RLock(), threading.Event()
        self.failures, self.log, self.cluster_id = [], [], str(uuid.uuid4())
        self._folder = tempfile.mkdtemp(prefix="nsx-", dir=folder)
        self.records, self.csrs, self.services, self.policy = {}, {}, {}, {}
        self.default_ids, self.cursors, self.validations = {}, {}, []
        self.security, self.security_revision, self.vip_ip6 = dict(SECURITY), 0, None
        self.accounts, self.faults, self.api = Accounts(self), NsxFaults(self), Api(self)
        self.plane = DataPlane(self, self._folder)
        self.account("admin", password)
        self._make_nodes(nodes)
        self._maker = Maker(tls)
        self._populate()
        self.ca_file = tls.file if tls else self._trusted()
        self.vip_ip = VIP_IP if vip else None

    def _populate(self):
        shared = self.shared_certificate
        if shared is None:
            shared = version_of(self.version) >= (4, 2)
        services = [("MGMT_CLUSTER", None), *(("API", one.uuid) for one in self.nodes)]
        names = [[VIP_IP, self.vip_fqdn], *([one.ip, one.fqdn] for one in self.nodes)]
        every = [one for some in names for one in some]
        for service, own in zip(services, names):
            if not (shared and self.services):
                name = "mp-cluster" if service[0] == "MGMT_CLUSTER" else "tomcat"
                ident = self._default(name, every if shared else own)
            self.services[service] = ident
        self.default_ids = dict(self.services)

    def _default(self, name, names):
        chain, key = self._maker.make(names)
        text = "".join(map(nsx_certs.pem, chain))
        record = Record(str(uuid.uuid4()), name, chain, key, text, user="system", system=True)
        self.records[record.id] = record
        return record.id

    def _trusted(self):
        path = os.path.join(self._folder, "trusted.pem")
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(one.text for one in self.records.values()))
        return path

    def __enter__(self):
        for one in self.listeners:
            one.start()
        if not self.vip_ip:
            self.vip.close(DOWN)
        return self

    def __exit__(self, *exception):
        failures = self.failures + self._stop_nodes() + self.plane.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        if failures and exception[0] is None:
            raise AssertionError("the simulator failed: " + failures[0])

    # ---- the cluster ----

    @property
    def url(self):
        """The API at the VIP; where there is none, at the first manager."""
        return f"https://{self.vip_ip}:{self.port}" if self.vip_ip else self.node_url(1)

    def node_url(self, which):
        """The API at a manager."""
        return f"https://{self.node(which).ip}:{self.port}"

    def now(self):
        """The managers' time."""
        return utc_now() + timedelta(days=self.days_later, seconds=self.clock_offset)

    @staticmethod
    def new_key(bits):
        """Of a request that is made by a manager."""
        return new_rsa(bits, 65537)

    def applied(self, service, node=None):
        """The entry of the store that a service uses."""
        return self.records[self.services[service, node.uuid if node else None]]

    def presented(self, service):
        with self.lock:
            record = self.records.get(self.services[service])
            return self.plane.context(record) if record else None

    def before_change(self):
        """Of the policy."""
        self.plane.changing(self.realize_delay)

    def name_of(self, request):
        """The display name of what a request is about."""
        found = self.records.get(request.id) or self.records.get(
            request.query.get("certificate_id")
        )
        if found:
            return found.name
        body = request.body if isinstance(request.body, dict) else {}
        return body.get("display_name") or request.id

    # ---- what a test sets up ----

    def account(self, name, password, rights=None, remote=False):
        """An account; rights None: an administrator; remote: one of a directory."""
        self.accounts.accounts[name] = Account(name, password, rights, remote)

    def upload(self, name, cert, key=None, **more):
        """A certificate as somebody imports it: PEM text; returns its id."""
        with self.lock:
            given = {"display_name": name, "pem_encoded": cert, "private_key": key, **more}
            chain, key = self.read_pem(given)
            found = self.add(chain, key, given)
            return next(one.id for one in found if one.key == key)

    def install(self, ident, *where):
        """Have managers (by number) or "vip" present an entry of the store, without a restart."""
        with self.lock:
            for one in where:
                service = ("MGMT_CLUSTER", None) if one == "vip" else ("API", self.node(one).uuid)
                self.services[service] = ident

    def certificate(self, ident, names, scope="/infra", key=None):
        """A policy certificate for names, as somebody has put it there; returns its path."""
        path = f"{scope}/certificates/{ident}"
        chain, pem = self._maker.make(names, key)
        text = "".join(map(nsx_certs.pem, chain))
        with self.lock:
            self.put_certificate(path, {"pem_encoded": text, "private_key": pem}, "admin")
        return path

    def virtual_server(self, ident, names, sni=(), scope="/infra", protected=False, **more):
        """A virtual server with a certificate for names, and one for each list of names in sni."""
        binding = {
            DEFAULT_PATH: self.certificate(f"{ident}-old", names, scope),
            "ssl_profile_path": "/infra/lb-client-ssl-profiles/default-balanced-client-ssl-profile",
            "client_auth": "IGNORE", "certificate_chain_depth": 3,
        }  # fmt: skip
        if sni:
            binding[SNI_PATHS] = [
                self.certificate(f"{ident}-sni{number}", one, scope)
                for number, one in enumerate(sni, 1)
            ]
        path = f"{scope}/lb-virtual-servers/{ident}"
        with self.lock:
            host, port = self.plane.open(path)
            given = {
                "display_name": ident, "ip_address": host, "ports": [str(port)], "enabled": True,
                "application_profile_path": "/infra/lb-app-profiles/default-http-lb-app-profile",
                BINDING: binding, **more,
            }  # fmt: skip
            self.put_virtual_server(path, given, "admin").protected = protected
        return path

    def touch(self, ident, scope="/infra", **values):
        """Somebody else changes a virtual server."""
        with self.lock:
            found = self.policy[f"{scope}/lb-virtual-servers/{ident}"]
            found.data.update(values)
            found.revision += 1

    def remove(self, ident):
        """Somebody else removes an entry of the store, in use or not."""
        with self.lock:
            del self.records[ident]

    # ---- what happens to it ----

    def expire_sessions(self):
        """All sessions are over."""
        with self.lock:
            for node in self.nodes:
                node.sessions.clear()

    # ---- what a test looks at ----

    def presented_by(self, where):
        """The display name of what a manager (its number) or "vip" presents."""
        if where == "vip":
            return self.applied("MGMT_CLUSTER").name
        return self.applied("API", self.node(where)).name

    def fingerprint_of(self, where):
        """SHA-256 of what a manager or "vip" presents."""
        record = self.applied("API", self.node(where)) if where != "vip" else self.applied(
            "MGMT_CLUSTER"
        )  # fmt: skip
        return record.fingerprint

    def own_records(self):
        """The entries of the store that were not there from the start: name -> entry."""
        return {one.name: one for one in self.records.values() if not one.system and not one.path}

    def find(self, ident, scope="/infra"):
        """What is stored of a virtual server, or None."""
        found = self.policy.get(f"{scope}/lb-virtual-servers/{ident}")
        return found.data if found else None

    def address(self, ident, scope="/infra"):
        """host:port where a virtual server listens."""
        return "{}:{}".format(*self.plane.open(f"{scope}/lb-virtual-servers/{ident}"))

    def requests(self, **wanted):
        """The log, or what of it fits: kind, method, action, node, via, user, id, name."""
        return [
            one for one in list(self.log)
            if all(getattr(one, name) == value for name, value in wanted.items())
        ]  # fmt: skip

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


# What the program takes on its input: {"do": NAME, ...}.
COMMANDS = {
    "move_vip": lambda nsx, **more: nsx.move_vip(**more),
    "set_vip": lambda nsx, ip=None: nsx.set_vip(ip),
    "stop_node": lambda nsx, **more: nsx.stop_node(**more),
    "start_node": lambda nsx, which: nsx.start_node(which),
    "restart_node": lambda nsx, which: nsx.restart_node(which),
    "expire": lambda nsx: nsx.expire_sessions(),
    "requests": lambda nsx: [str(one) for one in nsx.log],
    "clear": lambda nsx: nsx.clear(),
    "fault": lambda nsx, **what: _plan(nsx, **what),
    "set": lambda nsx, name, value: setattr(nsx, name, value),
    "security": lambda nsx, **more: nsx.security.update(more),
    "account": lambda nsx, **more: nsx.account(**more),
    "upload": lambda nsx, **more: nsx.upload(**more),
    "virtual_server": lambda nsx, **more: nsx.virtual_server(**more),
    "touch": lambda nsx, **more: nsx.touch(**more),
    "find": lambda nsx, **more: nsx.find(**more),
    "address": lambda nsx, **more: nsx.address(**more),
    "presented_by": lambda nsx, where: nsx.presented_by(where),
    "records": lambda nsx: [nsx.told(one) for one in nsx.records.values()],
}


def _plan(nsx, call=None, args=(), **what):
    """A fault; call: a method of Nsx that is called when it strikes, for what is in no JSON."""
    if call:
        what["do"] = lambda: getattr(nsx, call)(*args)
    nsx.faults.add(**what)


def _obey(nsx, line):
    """One line of the input."""
    try:
        command = json.loads(line)
        return {"done": COMMANDS[command.pop("do")](nsx, **command)}
    except (ValueError, TypeError, KeyError, NsxError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _arguments():
    parser = argparse.ArgumentParser(
        description="a cluster of NSX Managers for tests and demonstrations",
        epilog="see the head of the source",
    )
    parser.add_argument("--folder", required=True, help="for its own files")
    parser.add_argument("--self-signed", action="store_true", help="no CA for its certificates")
    parser.add_argument("--no-vip", action="store_true", help="the VIP is not configured")
    parser.add_argument("--nodes", type=int, default=3, choices=range(1, len(NODE_IPS) + 1))
    parser.add_argument("--options", default="{}", type=json.loads, help="see OPTIONS")
    parser.add_argument("--account", action="append", default=[], metavar="NAME=PASSWORD")
    parser.add_argument("--vs", action="append", default=[], metavar="ID=NAME,...")
    return parser.parse_args()


def main():
    """The cluster as a program."""
    args = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    tls = None if args.self_signed else TestCA(args.folder, "certauto test managers")
    with Nsx(args.folder, tls, nodes=args.nodes, vip=not args.no_vip, **args.options) as nsx:
        for text in args.account:
            name, _, password = text.partition("=")
            nsx.account(name, password)
        for text in args.vs:
            name, _, names = text.partition("=")
            nsx.virtual_server(name, [one for one in names.split(",") if one])
        ready = {
            "url": nsx.url, "ca_file": nsx.ca_file, "port": nsx.port, "pid": os.getpid(),
            "nodes": {one.uuid: one.ip for one in nsx.nodes}, "vip": nsx.vip_ip,
        }  # fmt: skip
        print(json.dumps(ready), flush=True)
        for line in sys.stdin:
            if line.strip():
                print(json.dumps(_obey(nsx, line)), flush=True)


if __name__ == "__main__":
    main()
