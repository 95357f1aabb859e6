"""A simulated Avi controller that answers http-01 challenges, for tests that look at how it does.

What is seen from outside is asked of the simulated service engines; the rest of the controller.
"""

import http.client
import os
import ssl
import subprocess
import time
import urllib.parse

import pytest
from conftest import BINARY
from real import driver
from real.avi import AviLab
from sim.avi import OPTIONS

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "challenge.c")
TOKEN, VALUE = "token_0123456789-abcdefghij", "token_0123456789-abcdefghij.thumb-print"
PATH = "/.well-known/acme-challenge/"
MARK = "certauto-acme-port80-"
DAY = 86400
EVH = {"vh_type": "VS_TYPE_VH_ENHANCED"}
ANY = ssl.create_default_context()
ANY.check_hostname, ANY.verify_mode = False, ssl.CERT_NONE


class Lab(AviLab):
    """With the virtual service vs-shop, and whatever a test adds."""

    program = _whole = None

    def start(self, stack):
        super().start(stack)
        self.program = driver.build(self.new_folder("driver"), self.binary, SOURCE)
        self._whole = self._clean

    def fresh(self):
        """As it was before."""
        self._clean = self._whole
        self.reset()
        for name, value in OPTIONS.items():
            setattr(self.avi, name, value)
        self.server.validate = True
        self.server.alpn_address = lambda name: self.avi.hosts(443).get(name)

    def challenge(self, verb, name, token=TOKEN, **options):
        """Start answering, or take it away."""
        options = {
            "url": self.avi.url, "ca_file": self.tls.file, "user": "admin", "password": "admin",
            "challenge_check": "no", "settle_ms": 0, **options,
        }  # fmt: skip
        told = [f"{option}={value}" for option, value in options.items() if value is not None]
        argv = [self.program, verb, "avi", name, token, f"{token}.thumb-print", *told]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def does(self, verb, name, **options):
        """Do that, well."""
        with self.challenge(verb, name, **options) as run:
            out = run.communicate(timeout=60)[0]
        assert (run.returncode, out) == (0, ""), out + self.calls()

    def fails(self, name, *words, **options):
        """Answer in vain; returns the code."""
        with self.challenge("present", name, **options) as run:
            code, *told = run.communicate(timeout=60)[0].split("\n")
        assert run.returncode == 1
        assert [word for word in words if word not in "\n".join(told)] == [], told
        assert told[1], "there is no advice"
        return code

    def calls(self):
        """All that was asked, for people."""
        return "\n" + "\n".join(map(str, self.log))

    def answer(self, service, name, token=TOKEN):
        """What a CA gets that asks a virtual service for the token: (status, body, by TLS?)."""
        url, body = f"http://{name}{PATH}{token}", None
        for _ in range(3):
            parts = urllib.parse.urlsplit(url)
            is_tls = parts.scheme == "https"
            place = self.avi.address(service, 443 if is_tls else 80).split(":")
            link = http.client.HTTPConnection(*place, timeout=10)
            try:
                link.connect()
                if is_tls:
                    link.sock = ANY.wrap_socket(link.sock, server_hostname=parts.hostname)
                link.request("GET", parts.path, headers={"Host": parts.netloc})
                reply = link.getresponse()
                body, url = reply.read().decode(), reply.getheader("Location")
            except OSError:
                return None
            finally:
                link.close()
            if not url:
                break
        return reply.status, body, is_tls

    def services(self):
        """What each virtual service has that an answer changes."""
        return {
            name: (one.get("services"), one.get("http_policies"))
            for name, one in self.avi.objects("virtualservice", self.tenant).items()
        }

    def attached(self):
        """Names of the virtual services that have policy sets of ours."""
        every = self.avi.store.all("httppolicyset")
        ours = {one.ref for one in every if "-acme-" in one.name and MARK not in one.name}
        return sorted(
            name for name, (_, policies) in self.services().items()
            if ours & {one["http_policy_set_ref"] for one in policies or []}
        )  # fmt: skip

    def sets(self):
        """Names of all policy sets, without our own time in them."""
        return sorted(one.name for one in self.avi.store.all("httppolicyset"))

    def stranded(self, service, name="old.example.org", age=DAY, opened=False, attach=True):
        """What a run of that age has left."""
        made = int(time.time()) - age
        title = f"certauto-acme-{made:08x}-0123456789abcdef-{name}"
        found = self.avi.admin_call("POST", "httppolicyset", body={"name": title})
        if attach:
            self.attach(service, found)
        if opened:
            mark = MARK + self.service(service).uuid.split("-")[1]
            mark = self.avi.admin_call("POST", "httppolicyset", body={"name": mark})
            self.attach(service, mark)
            self.add(service, services=[{"port": 80}])
        return found

    def grow_older(self, end, age):
        """A set of ours whose name ends so is as if it had been made earlier."""
        if age:
            made = time.time() - 5
            (name,) = [
                one for one in self.sets()
                if one.endswith(end) and int(one.split("-")[2], 16) > made
            ]  # fmt: skip
            first, acme, when, rest = name.split("-", 3)
            older = f"{first}-{acme}-{int(when, 16) - age:08x}-{rest}"
            (uuid,) = [
                one.uuid for one in self.avi.store.all("httppolicyset") if one.name == name
            ]  # fmt: skip
            self.avi.admin_call("PATCH", "httppolicyset", uuid, {"replace": {"name": older}})

    def attach(self, service, found, index=None):
        """A policy set, by somebody else."""
        entry = {"http_policy_set_ref": found.ref, "index": index or 1000001 + len(self.sets())}
        self.add(service, http_policies=[entry])

    def service(self, name):
        """A virtual service as it is stored."""
        return self.avi.store.named("virtualservice", name, self.avi.store.tenant("admin").uuid)

    def add(self, service, **what):
        """Somebody else adds to a virtual service."""
        return self.patch(service, "add", **what)

    def patch(self, service, how, **what):
        """Somebody else changes one."""
        uuid = self.service(service).uuid
        return self.avi.admin_call("PATCH", "virtualservice", uuid, {how: what})

    def profile(self, name, kind="HTTP", **more):
        """An application profile of somebody's own."""
        body = {"name": name, "type": f"APPLICATION_PROFILE_TYPE_{kind}", **more}
        return self.avi.admin_call("POST", "applicationprofile", body=body)

    def order(self, *names, **target):
        """The command with an order for names, deployed nowhere."""
        target = {"bind": None, "challenge_check": "no", "settle_ms": 0, **target}
        return self.shop(*names, target=target, certificate={"deploy": []})


@pytest.fixture(name="built", scope="module")
def built_lab():
    """One for all tests of a file."""
    with Lab(BINARY) as up:
        yield up


@pytest.fixture(name="lab")
def fresh_lab(built):
    """As it was before."""
    built.fresh()
    return built


def ports(services, name):
    """Of one virtual service."""
    return [one["port"] for one in services[name][0]]


def closes(request):
    """Is port 80 to be closed? That writes the whole object, as it was read."""
    return request.method == "PUT" and request.kind == "virtualservice"


def opened(lab):
    """How often it was opened."""
    return len([
        one for one in lab.avi.requests("virtualservice", "PATCH")
        if one.status == 200 and "services" in one.body.get("add", {})
    ])  # fmt: skip
