#!/usr/bin/python3
"""An Avi (NSX Advanced Load Balancer) controller for the tests: a strict API, and a data plane.

usage: avi.py --folder DIR [--http] [--options JSON] [--tenant NAME]... [--vs NAME=FQDN,...]...

In a test it is used in a with block:

    with Avi(folder, tls) as avi:
        avi.url, avi.ca_file                        what a client needs; user admin, password admin
        avi.virtualservice("shop", ["shop.example.org"])
        avi.address("shop", 80), avi.address("shop", 443)     where it really listens
        avi.hosts()                                 name -> address, for a CA that validates
        avi.account("certauto", "secret", {"PERMISSION_VIRTUALSERVICE": "WRITE_ACCESS"})
        avi.upload("shop", cert, key), avi.find("virtualservice", "shop")
        avi.faults.add(number=3, wire="lost-reply")
        avi.requests(kind="httppolicyset"), avi.writes()
        avi.expire_sessions(), avi.restart(), avi.change("virtualservice", "shop", description="x")
        avi.tick(84)                                84 days later: renewals that are due are run

Scripts of certificate management profiles are really run, see avi_script.py:

    avi.script_env = {"PYTHONPATH": "..."}          besides what a controller sets
    avi.profile("le", source, {"user": "certauto", "password": "secret"}, sensitive=["password"])
    avi.certificate("c", "le", "shop.example.org", ["shop.example.org"])     AviError when it fails
    avi.renew("c"), avi.script_runs[-1].stderr

As a program it prints one line of JSON with its addresses and takes commands as lines of JSON on
its standard input, {"do": "restart"}, each answered by a line: see COMMANDS. It ends at SIGTERM or
with its input.

What is not known for sure of a real controller is in OPTIONS; each is an attribute that may be
changed at any time.
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
from dataclasses import dataclass, replace
from urllib.parse import quote

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "sim"  # pylint: disable=redefined-builtin
    import sim  # noqa: F401

from real.pki import TestCA  # noqa: E402

from . import avi_certs, avi_script  # noqa: E402
from .avi_data import DataPlane  # noqa: E402
from .avi_faults import AviFaults  # noqa: E402
from .avi_http import Api, Request  # noqa: E402
from .avi_rules import CHILD, EVH, PARENT, SNI  # noqa: E402
from .avi_script import Run  # noqa: E402
from .avi_session import Sessions  # noqa: E402
from .avi_store import Obj, Store, new_uuid  # noqa: E402
from .avi_types import TYPES, AviError, uuid_of  # noqa: E402
from .ca_http import Server  # noqa: E402

__all__ = ["Avi", "AviError", "Request", "Run", "LEAST_RIGHTS"]

OPTIONS = {
    "version": "30.2.2",
    "min_version": "16.4.2",  # older ones are refused, and requests without a version mean this one
    "unknown_fields": "refuse",  # or "ignore"
    "unknown_params": "refuse",  # of a list; or "ignore"
    "unknown_tenant_status": 404,  # or 403
    "stale_status": 412,  # for a PUT of what was changed since; or 409
    "put_needs_last_modified": False,
    "in_use_status": 403,  # for a DELETE of what is referred to; other releases: 400, 409, 412
    "delete_unmatched": "ignore",  # PATCH delete of an entry that is not there; or "refuse"
    "refs_need_read": True,  # what is newly referred to must be readable for the user
    "order": "created",  # of lists; or "reversed"
    "page_size": 25,
    "auto_link": True,  # certificates are linked to their issuers by the controller
    "tells_alt_names": True,  # certificate.subject_alt_names; not on old releases
    "mask": "<sensitive>",
    "name_max": 256, "file_max": 65536, "pem_max": 65536, "script_max": 1 << 20,
    "body_max": 2 << 20,
    # Sessions.
    "idle_minutes": 15, "expired_status": 401, "logout_status": 200, "lock_after": 20,
    "rotate_csrf": False,  # a new token with each answer
    "clock_shift": 0,  # seconds by which sessions have aged
    # The data plane.
    "push_delay": 0.0,  # seconds until a change is in effect
    "profile_redirect_first": True,  # http_to_https of the profile comes before security policies
    "evh_parent_policies": "unmatched",  # for what no child takes; or "all"
    # Scripts.
    "script_mode": "wait",  # for the answer to a POST, also to renew; or "background"
    "script_failure": "remove",  # the new object; or "keep" it pending
    "dynamic_unset": "empty",  # a dynamic parameter that a certificate does not set; or "omit"
    "script_timeout": 300.0,  # where the script says none
    "script_python": avi_script.PYTHON,
    "days_later": 0,  # how far the controller's calendar is ahead
    "renew_before_days": 7,
}  # fmt: skip
TLS_NAMES = "DNS:localhost,IP:127.0.0.1,DNS:avi.example.org"
ALL = "WRITE_ACCESS"
# What an account needs for challenges and certificates, and no more.
LEAST_RIGHTS = {
    "PERMISSION_VIRTUALSERVICE": ALL, "PERMISSION_HTTPPOLICYSET": ALL,
    "PERMISSION_SSLKEYANDCERTIFICATE": ALL, "PERMISSION_APPLICATIONPROFILE": "READ_ACCESS",
    "PERMISSION_CERTIFICATEMANAGEMENTPROFILE": "READ_ACCESS",
}  # fmt: skip
DEFAULTS = (
    ("cloud", {"name": "Default-Cloud"}),
    ("applicationprofile", {"name": "System-HTTP", "type": "APPLICATION_PROFILE_TYPE_HTTP"}),
    ("applicationprofile", {
        "name": "System-Secure-HTTP", "type": "APPLICATION_PROFILE_TYPE_HTTP",
        "http_profile": {"http_to_https": True},
    }),
    ("applicationprofile", {
        "name": "System-L4-Application", "type": "APPLICATION_PROFILE_TYPE_L4",
    }),
    ("sslprofile", {"name": "System-Standard"}),
    ("role", {"name": "System-Admin", "privileges": [
        {"resource": kind.permission, "type": ALL} for kind in TYPES.values()
    ]}),
)  # fmt: skip


@dataclass
class _Inside:
    """What the API needs of a request that did not come over the wire."""

    method: str
    kind: str
    uuid: str = None
    version: str = None
    action: str = None
    name: str = None
    query: dict = None


class Avi:
    """One controller, and the service engines it drives."""

    def __init__(self, folder, tls=None, password="admin", **options):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise TypeError(f"no such options: {sorted(unknown)}")
        for name, value in {**OPTIONS, **options}.items():
            setattr(self, name, value)
        self.lock, self.failures, self.log = threading.RLock(), [], []
        self.tokens, self.unavailable, self._threads = {}, 0, []
        self.script_env = {}
        self.ca_file = getattr(tls, "file", None)
        self._folder = tempfile.mkdtemp(prefix="avi-", dir=folder)
        pair = tls.issue(os.path.join(self._folder, "portal"), TLS_NAMES) if tls else (None, None)
        self.https = bool(tls)
        self.store, self.faults = Store(), AviFaults(self)
        self.sessions, self.plane = Sessions(self), DataPlane(self, self._folder)
        self.scripts = avi_script.Scripts(self, self._folder)
        self._api = Api(self)
        self.server = Server(*pair, self._api.respond)
        self._populate(password)

    def _populate(self, password):
        admin = self.store.put(Obj("tenant", "admin", "admin", {"name": "admin", "local": True}))
        self.store.put(
            Obj("systemconfiguration", "default", admin.uuid, {
                "portal_configuration": {"allow_basic_authentication": False}
            })
        )  # fmt: skip
        self.store.put(
            Obj("user", new_uuid("user"), admin.uuid, {
                "name": "admin", "username": "admin", "password": password, "is_superuser": True,
                "local": True, "default_tenant_ref": admin.ref,
            })
        )  # fmt: skip
        for kind, body in DEFAULTS:
            obj = self.admin_call("POST", kind, body=body)
            self.store.objects[obj.uuid] = replace(obj, kept={"shared": True})

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *exception):
        self.scripts.stop()
        for thread in self._threads:
            thread.join(10)
        self.server.stop()
        failures = self.failures + self.server.failures + self.plane.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        if failures and exception[0] is None:
            raise AssertionError("the simulator failed: " + failures[0])

    # ---- the controller ----

    @property
    def port(self):
        """Of the API."""
        return self.server.port

    @property
    def url(self):
        """Where the API is."""
        return f"{'https' if self.https else 'http'}://127.0.0.1:{self.port}"

    def changed(self, obj, old):
        """Something was written, or with obj None removed."""
        if obj and obj.type == "vsvip" and not old:
            self._allocate(obj)
        if obj and obj.type == "virtualservice" and obj.data.get("vsvip_ref"):
            ports = [one["port"] for one in obj.data["services"]]
            self.plane.open(uuid_of(obj.data["vsvip_ref"]), ports)
        self.plane.pushed()
        if obj and obj.type == "systemconfiguration":
            self._present(obj, old)

    def _allocate(self, obj):
        """A VIP gets an address; one on loopback may be asked for."""
        host = obj.data["vip"][0].get("ip_address", {}).get("addr", "")
        self.plane.open(obj.uuid, host=host if host.startswith("127.") else None)
        address = {"addr": self.plane.address(obj.uuid, 80)[0], "type": "V4"}
        vips = [{"ip_address": address, **one} for one in obj.data["vip"]]
        self.store.objects[obj.uuid] = replace(obj, data={**obj.data, "vip": vips})

    def _present(self, obj, old):
        """The portal takes certificates up when its references change, and no sooner."""
        refs = [
            one.data.get("portal_configuration", {}).get("sslkeyandcertificate_refs", [])
            for one in (obj, old)
        ]
        if self.https and refs[0] != refs[1]:
            for ref in refs[0]:
                items = avi_certs.chain_of(self.store.objects, self.store.objects[uuid_of(ref)])
                # pylint: disable-next=protected-access
                self.server._context.load_cert_chain(*map(self.plane.file, items))

    def admin_call(self, method, kind, uuid=None, body=None, tenant="admin", action=None):
        """As the administrator does it, without the wire; returns the object if there is one."""
        with self.lock:
            request = _Inside(method, kind, uuid, self.version, action, query={})
            found = self.store.tenant(tenant) or self.store.get("tenant", tenant)
            answer = self._api.act(request, self.store.user("admin"), found.uuid, body or {})
        if callable(answer):
            answer = answer()  # a script has run
        return self.store.objects.get(answer.body["uuid"] if answer.body else uuid)

    # ---- certificates by script ----

    def obtain(self, obj, creating=False):
        """Have the script get a certificate; a new key and request unless creating.

        Called without the lock: the script comes back as a client. Returns the object, or raises
        what the controller says when it did not go well.
        """
        with self.lock:
            obj = self.store.objects[obj.uuid]
            profile = self.store.objects[uuid_of(obj.data["certificate_management_profile_ref"])]
            script = self.store.objects[uuid_of(profile.data["run_script_ref"])]
            wanted = obj.data["certificate"]
            key, csr = obj.kept["key"], wanted.get("certificate_signing_request")
            if not creating:
                key = avi_certs.new_key(obj.data["key_params"])
                csr = avi_certs.new_request(key, wanted)
            args, told = avi_script.arguments(self, profile, obj)
            run = Run(obj.name, script.name, csr, wanted["subject"].get("common_name", ""), told)
            limit = script.data.get("timeout", self.script_timeout)
        self.scripts.call(run, script.data["action_script"], args, limit)
        with self.lock:
            return self._install(obj.uuid, run, key, creating)

    def call_script(self, source, csr, common_name, args, limit=None):
        """Call a script without a profile, say with a request no controller makes."""
        run = Run(None, None, csr, common_name, dict.fromkeys(args, "..."))
        self.scripts.call(run, source, args, limit or self.script_timeout)
        return run

    def _install(self, uuid, run, key, creating):
        """What a script returned becomes the object's."""
        obj = self.store.objects.get(uuid)
        if not obj:
            raise AviError(404, f"object not found! (sslkeyandcertificate: {uuid})")
        if not run.ok:
            if creating and self.script_failure == "remove":
                self.store.remove(obj)
            elif obj.data["status"] == avi_certs.PENDING and not creating:
                self.store.put(replace(obj, data={**obj.data, "status": avi_certs.FINISHED}))
            raise AviError(400, avi_script.failure(run))
        chain = avi_certs.blocks(run.answer)
        data = dict(obj.data)
        avi_certs.install(self, data, chain[0], run.csr)
        obj = self.store.put(replace(obj, data=data, kept={**obj.kept, "key": key}))
        avi_certs.add_authorities(self, chain[1:], obj.tenant)
        avi_certs.link(self, obj.tenant)
        self.changed(obj, obj)
        return self.store.objects[uuid]

    def in_background(self, work):
        """Do it in a thread; what it raises is only for the log of scripts."""

        def guarded():
            try:
                work()
            except AviError:
                pass

        thread = threading.Thread(target=guarded, name="avi-script")
        self._threads.append(thread)
        thread.start()

    @property
    def script_runs(self):
        """Every call of a script so far."""
        return self.scripts.runs

    def renew(self, name):
        """As the button does it."""
        return self.obtain(self._named("sslkeyandcertificate", name))

    def tick(self, days=0):
        """Days go by; returns [(name, error or None)] of the renewals that were due."""
        self.days_later += days
        done = []
        for obj in self.store.all("sslkeyandcertificate"):
            if not obj.data.get("certificate_management_profile_ref"):
                continue
            validity = dict(obj.data["certificate"])
            avi_certs.add_validity(self, validity)
            if validity.get("days_until_expire", self.renew_before_days) < self.renew_before_days:
                try:
                    self.obtain(obj)
                    done.append((obj.name, None))
                except AviError as error:
                    done.append((obj.name, error.text))
        return done

    # ---- what a test sets up ----

    def tenant(self, name):
        """A tenant."""
        return self.admin_call("POST", "tenant", body={"name": name})

    def account(self, name, password, rights=None, tenants=("admin",)):
        """An account with a role of its own; rights None: a superuser."""
        body = {
            "name": name, "username": name, "password": password,
            "default_tenant_ref": f"/api/tenant?name={quote(tenants[0])}",
            "is_superuser": rights is None,
        }  # fmt: skip
        if rights is not None:
            privileges = [{"resource": one, "type": kind} for one, kind in rights.items()]
            role = self.admin_call("POST", "role", body={"name": name, "privileges": privileges})
            body["access"] = [
                {"role_ref": role.ref, "tenant_ref": f"/api/tenant?name={quote(one)}"}
                for one in tenants
            ]
        return self.admin_call("POST", "user", body=body)

    def token(self, username, token):
        """Something to log in with in place of the password."""
        self.tokens[token] = self.store.user(username).uuid
        return token

    def virtualservice(
        self, name, fqdns=(), http=(80,), https=(), certs=(), tenant="admin",
        profile="System-HTTP", host=None, **more
    ):  # fmt: skip
        """A virtual service with a VIP of its own; fqdns: of the VIP; host: one of 127/8."""
        dns = {"dns_info": [{"fqdn": one} for one in fqdns]} if fqdns else {}
        address = {"ip_address": {"addr": host, "type": "V4"}} if host else {}
        vip = {"name": name + "-vip", "vip": [{"vip_id": "0", **address}], **dns}
        vip = self.admin_call("POST", "vsvip", body=vip, tenant=tenant)
        services = [{"port": one, "enable_ssl": False} for one in http]
        services += [{"port": one, "enable_ssl": True} for one in https]
        body = {
            "name": name, "vsvip_ref": vip.ref, "services": services,
            "application_profile_ref": f"/api/applicationprofile?name={profile}",
            "ssl_key_and_certificate_refs": self._cert_refs(certs, tenant), **more,
        }  # fmt: skip
        return self.admin_call("POST", "virtualservice", body=body, tenant=tenant)

    def _cert_refs(self, certs, tenant):
        found = [self.store.named("sslkeyandcertificate", one, self._home(tenant)) for one in certs]
        return [one.ref for one in found]

    def _home(self, tenant):
        return self.store.tenant(tenant).uuid

    def parent(self, name, vh_type=SNI, **more):
        """A virtual service that has children."""
        return self.virtualservice(name, type=PARENT, vh_type=vh_type, **more)

    def child(self, name, parent, hosts, certs=(), tenant="admin", **more):
        """A child for host names."""
        above = self.store.named("virtualservice", parent, self._home(tenant))
        names = {"vh_domain_name": list(hosts)}
        if above.data["vh_type"] == EVH:
            names = {"vh_matches": [{"host": one} for one in hosts]}
        body = {"name": name, "type": CHILD, "vh_parent_vs_ref": above.ref, **names, **more}
        if certs:
            body["ssl_key_and_certificate_refs"] = self._cert_refs(certs, tenant)
        return self.admin_call("POST", "virtualservice", body=body, tenant=tenant)

    def upload(self, name, cert, key=None, tenant="admin", kind="VIRTUALSERVICE"):
        """A certificate as somebody uploads it: PEM text; without a key that of a CA."""
        type_ = "SSL_CERTIFICATE_TYPE_" + (kind if key else "CA")
        body = {"name": name, "type": type_, "certificate": {"certificate": cert}}
        if key:
            body["key"] = key
        return self.admin_call("POST", "sslkeyandcertificate", body=body, tenant=tenant)

    def profile(
        self, name, source, params=(), sensitive=(), dynamic=(), timeout=None, tenant="admin"
    ):  # fmt: skip
        """A script and its certificate management profile.

        params: {name: value}; sensitive and dynamic: names.
        """
        body = {"name": name + "-script", "action_script": source}
        if timeout:
            body["timeout"] = timeout
        script = self.admin_call("POST", "alertscriptconfig", body=body, tenant=tenant)
        script_params = [
            {"name": one, "is_sensitive": one in sensitive, "is_dynamic": one in dynamic}
            for one in {**dict(params), **dict.fromkeys(dynamic)}
        ]
        for one in script_params:
            if not one["is_dynamic"]:
                one["value"] = dict(params)[one["name"]]
        body = {"name": name, "run_script_ref": script.ref, "script_params": script_params}
        return self.admin_call("POST", "certificatemanagementprofile", body=body, tenant=tenant)

    def certificate(
        self, name, profile, common_name, alt_names=(), rsa=False, tenant="admin", **dynamic
    ):  # fmt: skip
        """A certificate that the script of a profile gets; returns the object."""
        kind = "RSA" if rsa else "EC"
        body = {
            "name": name, "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
            "certificate": {
                "subject": {"common_name": common_name}, "subject_alt_names": list(alt_names),
            },
            "key_params": {"algorithm": f"SSL_KEY_ALGORITHM_{kind}"},
            "certificate_management_profile_ref":
                f"/api/certificatemanagementprofile?name={quote(profile)}",
            "dynamic_params": [{"name": one, "value": value} for one, value in dynamic.items()],
        }  # fmt: skip
        return self.admin_call("POST", "sslkeyandcertificate", body=body, tenant=tenant)

    def change(self, kind, name, tenant="admin", **values):
        """Somebody else changes an object."""
        obj = self._named(kind, name, tenant)
        return self.admin_call("PATCH", kind, obj.uuid, {"replace": values}, tenant)

    def remove(self, kind, name, tenant="admin"):
        """Somebody else removes an object."""
        self.admin_call("DELETE", kind, self._named(kind, name, tenant).uuid, tenant=tenant)

    # ---- what happens to it ----

    def expire_sessions(self):
        """All sessions are over, as if they had been idle for too long."""
        with self.lock:
            self.sessions.kill_all()

    def restart(self, keep_sessions=False, unavailable=0):
        """The controller restarts; so many requests after that are answered with 503."""
        with self.lock:
            if not keep_sessions:
                self.sessions.kill_all()
            self.unavailable = unavailable
        self.server.drop_connections()

    # ---- what a test looks at ----

    def _named(self, kind, name, tenant="admin"):
        found = self.store.named(kind, name, self._home(tenant))
        if not found:
            raise KeyError(f"no {kind} {name} in {tenant}")
        return found

    def find(self, kind, name, tenant="admin"):
        """What is stored under a name, or None."""
        found = self.store.named(kind, name, self._home(tenant))
        return found.data if found else None

    def objects(self, kind, tenant="admin"):
        """name -> what is stored, but not what the system brings along."""
        found = self.store.visible(kind, self._home(tenant))
        return {one.name: one.data for one in found if not one.kept.get("shared")}

    def bound(self, name, tenant="admin"):
        """The names of the certificates of a virtual service."""
        refs = self.find("virtualservice", name, tenant).get("ssl_key_and_certificate_refs", [])
        return [self.store.objects[uuid_of(one)].name for one in refs]

    def address(self, name, port, tenant="admin"):
        """host:port where a virtual service, or a child's parent, really listens for a port."""
        obj = self._named("virtualservice", name, tenant)
        while obj.data.get("vh_parent_vs_ref"):
            obj = self.store.objects[uuid_of(obj.data["vh_parent_vs_ref"])]
        host, number = self.plane.address(uuid_of(obj.data["vsvip_ref"]), port)
        return f"{host}:{number}"

    def hosts(self, port=80):
        """name -> host:port of every name that a virtual service says it has."""
        found = {}
        for tenant in self.store.all("tenant"):
            for obj in self.store.all("virtualservice"):
                if obj.tenant == tenant.uuid:
                    place = self.address(obj.name, port, tenant.name)
                    found.update(dict.fromkeys(self._names_of(obj), place))
        return found

    def _names_of(self, obj):
        names = list(obj.data.get("vh_domain_name", []))
        names += [one["host"] for one in obj.data.get("vh_matches", [])]
        vip = self.store.objects.get(uuid_of(obj.data.get("vsvip_ref")))
        infos = vip.data.get("dns_info", []) if vip else []
        return names + [one["fqdn"] for one in infos if one.get("fqdn")]

    def requests(self, kind=None, method=None, user=None, tenant=None):
        """The log, or what of it fits."""
        wanted = {"kind": kind, "method": method, "user": user, "tenant": tenant}
        return [
            one
            for one in list(self.log)
            if all(value in (None, getattr(one, name)) for name, value in wanted.items())
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

    def counts(self):
        """How many objects there are of each type."""
        return dict(collections.Counter(one.type for one in list(self.store.objects.values())))


# What the program takes on its input: {"do": NAME, ...}.
COMMANDS = {
    "restart": lambda avi, **more: avi.restart(**more),
    "expire": lambda avi: avi.expire_sessions(),
    "requests": lambda avi: [str(one) for one in avi.log],
    "clear": lambda avi: avi.clear(),
    "fault": lambda avi, **what: avi.faults.add(**what) and None,
    "set": lambda avi, name, value: setattr(avi, name, value),
    "script_env": lambda avi, **names: avi.script_env.update(names),
    "tenant": lambda avi, **more: avi.tenant(**more).uuid,
    "account": lambda avi, **more: avi.account(**more).uuid,
    "virtualservice": lambda avi, **more: avi.virtualservice(**more).uuid,
    "parent": lambda avi, **more: avi.parent(**more).uuid,
    "child": lambda avi, **more: avi.child(**more).uuid,
    "upload": lambda avi, **more: avi.upload(**more).uuid,
    "change": lambda avi, **more: avi.change(**more).modified,
    "remove": lambda avi, **more: avi.remove(**more),
    "profile": lambda avi, **more: avi.profile(**more).uuid,
    "certificate": lambda avi, **more: avi.certificate(**more).data["certificate"],
    "renew": lambda avi, name: avi.renew(name).data["certificate"],
    "tick": lambda avi, days=0: avi.tick(days),
    "find": lambda avi, **more: avi.find(**more),
    "objects": lambda avi, **more: avi.objects(**more),
    "address": lambda avi, **more: avi.address(**more),
    "hosts": lambda avi, **more: avi.hosts(**more),
    "runs": lambda avi: [vars(one) for one in avi.script_runs],
}


def _obey(avi, line):
    """One line of the input."""
    try:
        command = json.loads(line)
        return {"done": COMMANDS[command.pop("do")](avi, **command)}
    except (ValueError, TypeError, KeyError, AviError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _arguments():
    parser = argparse.ArgumentParser(
        description="an Avi controller for tests and demonstrations",
        epilog="see the head of the source",
    )
    parser.add_argument("--folder", required=True, help="for its own files")
    parser.add_argument("--http", action="store_true", help="API without TLS")
    parser.add_argument("--options", default="{}", type=json.loads, help="see OPTIONS")
    parser.add_argument("--tenant", action="append", default=[], metavar="NAME")
    parser.add_argument("--vs", action="append", default=[], metavar="NAME=FQDN,...")
    return parser.parse_args()


def main():
    """The controller as a program."""
    args = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    tls = None if args.http else TestCA(args.folder, "certauto test controller")
    with Avi(args.folder, tls, **args.options) as avi:
        for name in args.tenant:
            avi.tenant(name)
        for text in args.vs:
            name, _, names = text.partition("=")
            avi.virtualservice(name, [one for one in names.split(",") if one])
        ready = {
            "url": avi.url, "ca_file": avi.ca_file, "hosts": avi.hosts(), "pid": os.getpid(),
        }  # fmt: skip
        print(json.dumps(ready), flush=True)
        for line in sys.stdin:
            if line.strip():
                print(json.dumps(_obey(avi, line)), flush=True)


if __name__ == "__main__":
    main()
