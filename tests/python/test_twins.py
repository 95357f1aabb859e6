"""Blocking verbs and their twins that give a job; Ctrl-C in each of them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import certauto
import pytest
from certauto import Capability
from conftest import PACKAGE, TESTS

from sim.avi import Avi
from sim.avi_issuer import Issuer
from sim.ca import problem

CHALLENGE = ("http-01", "www.example.org", "token", "token.thumbprint")


class Device:
    """Answers challenges in a set, at the second call."""

    caps = Capability.HTTP01

    def __init__(self):
        self.calls, self.shown = 0, set()

    def present(self, work):
        """Shows it."""
        self.calls += 1
        if self.calls == 1:
            return 0.001
        self.shown.add((work.name, work.token))
        return None

    def cleanup(self, work):
        """Takes it away."""
        self.shown.discard((work.name, work.token))


@pytest.mark.parametrize("drive", ["wait", "context", "await", "blocking"])
def test_present__and_cleanup_in_all_ways(cx, drive):
    device = Device()
    target = cx.target(device, challenge_check=False)
    shown = []
    for verb in ("present", "cleanup"):
        if drive == "blocking":
            assert getattr(target, verb)(*CHALLENGE, timeout=5) is None
        else:
            job = getattr(target, "start_" + verb)(*CHALLENGE, timeout=5)
            assert isinstance(job, certauto.Job) and not job.done
            _drive(cx, job, drive)
            assert job.done and job.error is None
        shown.append(set(device.shown))
    assert shown == [{("www.example.org", "token")}, set()] and device.calls == 2


def _drive(cx, job, drive):
    if drive == "wait":
        assert job.wait(timeout=20) is None
    elif drive == "context":
        assert cx.run(timeout=20) == 0
    else:
        assert asyncio.run(_await(job)) is None


async def _await(job):
    return await job


def test_present__several_side_by_side(cx, tmp_path):
    web = cx.target("files", webroot=tmp_path, challenge_check=False)
    challenges = [("http-01", "a.example.org", f"tok-{i}", f"tok-{i}.x") for i in range(20)]
    jobs = [web.start_present(*challenge) for challenge in challenges]
    assert cx.run(timeout=20) == 0 and all(job.error is None for job in jobs)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.read_text() for path in files) == sorted(one[3] for one in challenges)
    for challenge in challenges:
        web.start_cleanup(*challenge)
    assert cx.run(timeout=20) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_present__cancelled_is_taken_back(cx):
    class Slow(Device):
        def present(self, work):
            self.shown.add((work.name, work.token))
            return 0.01

    slow = Slow()
    job = cx.target(slow, challenge_check=False).start_present(*CHALLENGE)
    cx.run(timeout=0.05)
    assert slow.shown and not job.done
    job.cancel()
    with pytest.raises(certauto.Canceled):
        job.wait(timeout=20)
    assert not slow.shown


def test_present__what_is_wrong_is_told_at_the_start(cx, tmp_path):
    web = cx.target("files", webroot=tmp_path, challenge_check=False)
    for start in (web.start_present, web.start_cleanup):
        with pytest.raises(certauto.Unsupported):
            start("dns-01", *CHALLENGE[1:])
        with pytest.raises(certauto.Error):
            start("nonsense", *CHALLENGE[1:])
    with pytest.raises(certauto.Invalid):
        web.start_present("http-01", None, "token", "token.x")
    with pytest.raises(certauto.Invalid):
        web.start_present("http-01", "www.example.org", "../../etc/passwd", "x").wait()
    assert not list(tmp_path.rglob("*"))


def test_renew__only_devices_that_renew_by_themselves(cx):
    for target in (cx.target("files"), cx.target("haproxy"), cx.target(Device())):
        for call in (target.renew, target.start_renew):
            with pytest.raises(certauto.Unsupported, match="does not renew"):
                call(timeout=5)


SIGN = """
import sys
from cryptography import x509
sys.path.insert(0, {tests!r})
from sim.avi_issuer import Issuer
def certificate_request(csr, common_name, args):
    request = x509.load_pem_x509_csr(csr.encode())
    issuer = Issuer(args["key"], args["intermediate"])
    return issuer.leaf(request.public_key(), common_name) + issuer.intermediate
"""


@pytest.mark.parametrize("drive", ["wait", "await", "blocking"])
def test_renew__a_controller_renews_what_it_manages(cx, tmp_path, tls, drive):
    """By its own script, which is not ours: only the wish is."""
    with Avi(str(tmp_path), tls) as avi:
        avi.profile("own", SIGN.format(tests=TESTS), Issuer().kept)
        avi.certificate("managed", "own", "www.example.org", ["www.example.org"])
        target = cx.target(
            "avi", url=avi.url, user="admin", password="admin", ca_file=tls.file,
            certificate="managed", virtualservice="none",
        )  # fmt: skip
        serials = [_serial(avi)]
        if drive == "blocking":
            assert target.renew(timeout=60) is None
        else:
            _drive(cx, target.start_renew(timeout=60), drive)
        serials.append(_serial(avi))
        with pytest.raises(certauto.NotFound, match="absent"):
            target["certificate"] = "absent"
            target.renew(timeout=20)
    assert serials[0] != serials[1] and len(avi.script_runs) == 2


def _serial(avi):
    return avi.find("sslkeyandcertificate", "managed")["certificate"]["serial_number"]


# ---- fleets ----


@pytest.fixture(name="fleet")
def _fleet(cx, ca, tmp_path):
    (tmp_path / "webroot").mkdir()
    (tmp_path / "out").mkdir()
    return cx.fleet_from({
        "state": str(tmp_path / "state"),
        "accounts": {"ca": {"server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True}},
        "targets": {"web": {
            "type": "files", "webroot": str(tmp_path / "webroot"), "probe": False,
            "challenge_check": False, "directory": str(tmp_path / "out")}},
        "certificates": {"shop": {
            "account": "ca", "names": ["shop.example.org"], "deploy": ["web"],
            "challenge": {"type": "http-01", "target": "web"}}},
    })  # fmt: skip


@pytest.mark.parametrize("drive", ["wait", "await", "blocking"])
def test_fleet__test_and_gc_in_all_ways(fleet, ca, drive):
    def do(verb):
        if drive == "blocking":
            return getattr(fleet, verb)(timeout=20)
        job = getattr(fleet, "start_" + verb)(timeout=20)
        return job.wait(timeout=20) if drive == "wait" else asyncio.run(_await(job))

    told = do("test")
    assert {one["name"]: one["outcome"] for one in told}.keys() >= {"account ca", "target web"}
    assert {one["error"] for one in told} == {None} and ca.counts["newOrder"] == 0
    assert ca.counts["directory"] > 0
    assert do("gc") == fleet.results
    assert ca.counts["newOrder"] == 0


def test_fleet__test_tells_what_fails(fleet, ca):
    ca.script["directory"] = [problem("unauthorized", "not for you", 403)]
    with pytest.raises(certauto.Error):
        fleet.start_test(timeout=20).wait()
    failed = {one["name"]: one["error"] for one in fleet.results if one["error"]}
    assert list(failed) == ["account ca"] and failed["account ca"]["code"].startswith("CERTAUTO_E")


def test_fleet__gc_settles_what_was_left(fleet, cx, ca, tmp_path):
    ca.processing = 10**9
    job = fleet.start_renew("shop", timeout=60)
    while not _left(tmp_path):
        cx.run(timeout=0.01)
    job.cancel()
    job.cancel()
    with pytest.raises(certauto.Canceled):
        job.wait(timeout=20)
    assert _left(tmp_path)
    fleet.start_gc(timeout=20).wait()
    assert not _left(tmp_path)


def _left(folder):
    return [path for path in (folder / "webroot").rglob("*") if path.is_file()]


# ---- Ctrl-C ----

# A shell that starts tests in the background has them ignore Ctrl-C.
PROGRAM = """
import signal, sys, certauto
signal.signal(signal.SIGINT, signal.default_int_handler)
verb, folder, server, ca_file = sys.argv[1:]
Cap = certauto.Capability
class Slow:
    caps = Cap.HTTP01 | Cap.DEPLOY | Cap.CSR
    type = "slow"
    shown = False
    def endless(self, work):
        print("inside", flush=True)
        return 0.001
    stage = csr = endless
    def present(self, work):
        self.shown = True
        return self.endless(work) if verb == "present" else None
    def cleanup(self, work):
        if verb in ("cleanup", "gc"):
            return self.endless(work)
        self.shown = False
challenge = ("http-01", "a.example.org", "token", "token.x")
cx = certauto.Context()
slow = Slow()
cx.add_target(slow)
target = cx.target("slow", challenge_check=False)
fleet = cx.fleet_from({
    "state": folder + "/state",
    "accounts": {"ca": {"server": server, "ca_file": ca_file, "agree_tos": True}},
    "targets": {"slow": {"type": "slow", "challenge_check": False}},
    "certificates": {"shop": {"account": "ca", "names": ["a.example.org"],
                              "challenge": {"type": "http-01", "target": "slow"}}},
})
haproxy = cx.target("haproxy", socket=folder + "/admin.sock", crt=folder + "/x.pem")
if verb == "gc":
    # What a run has left that could not take it back.
    job = fleet.start_renew("shop")
    while not slow.shown:
        cx.run(0.01)
    job.cancel()
    job.cancel()
    cx.run()
key = cx.key()
chain = key.self_sign(cx.csr(key, ["a.example.org"]), 1999999999)
calls = {
    "present": lambda: target.present(*challenge),
    "cleanup": lambda: target.cleanup(*challenge),
    "deploy": lambda: target.deploy("shop", chain, key),
    "make_csr": lambda: target.make_csr("shop", ["a.example.org"]),
    "test": lambda: haproxy.test(),
    "fleet.test": lambda: fleet.test(),
    "gc": lambda: fleet.gc(),
    "register": lambda: fleet.account("ca").register(),
}
print("ready", flush=True)
try:
    calls[verb]()
except KeyboardInterrupt:
    print("interrupted", slow.shown, cx.run(0), flush=True)
"""


@pytest.mark.parametrize("verb", ["present", "cleanup", "deploy", "make_csr", "test", "fleet.test",
                                  "gc", "register"])  # fmt: skip
def test_ctrl_c__ends_each_blocking_verb(tmp_path, ca, verb):
    """Whatever it waits for: calls of a target in Python, a socket, a CA that does not answer."""
    ca.processing = 10**9
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.socket(socket.AF_UNIX) as admin:
        admin.bind(str(tmp_path / "admin.sock"))
        admin.listen()
        server = ca.directory if verb == "gc" else f"https://127.0.0.1:{mute.getsockname()[1]}/"
        argv = [sys.executable, "-B", "-c", PROGRAM, verb, str(tmp_path), server, ca.ca_file]
        env = {**os.environ, "PYTHONPATH": PACKAGE}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, text=True) as process:
            try:
                while process.stdout.readline() not in ("ready\n", ""):
                    pass
                connection = _inside(process, {"test": admin}.get(verb, mute), verb)
                process.send_signal(signal.SIGINT)
                out, _ = process.communicate(timeout=30)
            finally:
                process.kill()
        if connection:
            connection.close()
    # What gc was to take away is there still.
    assert out.splitlines()[-1:] == [f"interrupted {verb == 'gc'} 0"], out


def _inside(process, listener, verb):
    """Wait until the call is under way; the connection it has made, if that is how one sees it."""
    if verb in ("test", "fleet.test", "register"):
        listener.settimeout(20)
        return listener.accept()[0]
    assert process.stdout.readline() == "inside\n"
    return None
