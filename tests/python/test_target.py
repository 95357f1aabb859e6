"""Targets: options of the built-in ones, and targets written in Python."""

import contextlib
import gc
import socket
import ssl
import threading
import weakref

import certauto
import pytest
from certauto import Capability, OptionFlag

CHALLENGE = ("http-01", "www.example.org", "token", "token.thumbprint")
HTTP01, DEPLOY, CSR = Capability.HTTP01, Capability.DEPLOY, Capability.CSR


# ---- built in ----


def test_target__types_and_options(cx):
    assert {"files", "haproxy"} <= set(cx.target_types)
    target = cx.target("haproxy")
    options = {option.name: option for option in target.options}
    assert options["socket"].type == "path" and options["socket"].help
    assert target.type == "haproxy" and target.caps & (HTTP01 | DEPLOY)
    with pytest.raises(certauto.NotFound, match="haproxy"):
        cx.target("hapoxy")
    with pytest.raises(certauto.Invalid, match="sokcet"):
        cx.target("haproxy", sokcet="/run/x")
    with pytest.raises(certauto.Invalid):
        target.check()


def test_target__values_of_all_kinds(cx, tmp_path):
    target = cx.target("files", directory=tmp_path, webroot=None, challenge_check=False)
    target["probe"] = ["127.0.0.1:443", "127.0.0.1:8443"]
    target["reload"] = ["/bin/true", "a b", "c,d"]
    for nonsense in (1.5, b"x", object(), {}):
        with pytest.raises(TypeError):
            target["directory"] = nonsense
    target.check()


def test_target__secrets_are_not_shown(cx):
    class Device:
        caps = HTTP01
        options = [{"name": "password", "type": "text", "sensitive": True, "help": "its password"}]

        def present(self, work):
            pass

    target = cx.target(Device(), password="CANARY-1234")
    assert target.options[0].flags & OptionFlag.SENSITIVE
    assert "CANARY" not in repr(target) + repr(target.options) + repr(cx)


# ---- written in Python ----


class Recorder:
    """Answers http-01 in a dict."""

    caps = HTTP01
    type = "recorder"
    options = [
        {"name": "where", "type": "text", "required": True, "help": "what it is called"},
        {"name": "slow", "type": "number", "default": "0", "help": "calls before it is done"},
    ]

    def __init__(self):
        self.shown, self.seen, self.calls = {}, [], 0

    def present(self, work):
        """Shows it, at the last call."""
        self.calls += 1
        if self.calls <= int(work.option("slow")):
            return 0.01
        self.shown[work.token] = work.value
        self.seen.append((work.op, work.name, work.challenge, work.option("where"), work.value))
        return None

    def cleanup(self, work):
        """Absence is success."""
        self.shown.pop(work.token, None)


def test_python_target__answers_challenges(client, cx, ca):
    recorder = Recorder()
    found = []
    ca.validate = lambda challenge: found.append(dict(recorder.shown)) or True
    target = cx.target(recorder, where="here", slow=3, challenge_check=False)
    order = client.account.order(cx.csr(client.key, ["www.example.org"]), http01=target)
    order.run(timeout=30)
    ((op, name, challenge, where, value),) = recorder.seen
    assert (op, name, challenge, where) == ("present", "www.example.org", "http-01", "here")
    assert list(found[0].values()) == [value] and "." in value
    assert recorder.shown == {} and recorder.calls == 4


def test_python_target__as_a_type_of_its_own(cx):
    cx.add_target(Recorder())
    assert "recorder" in cx.target_types
    target = cx.target("recorder", where="here", challenge_check=False)
    target.present(*CHALLENGE, timeout=5)
    target.cleanup(*CHALLENGE, timeout=5)
    with pytest.raises(certauto.Invalid, match="already"):
        cx.add_target(Recorder())
    targets = {"t": {"type": "recorder", "where": "x"}}
    fleet = cx.fleet_from({"state": "/nowhere", "targets": targets})
    assert fleet.target("t").type == "recorder"


@pytest.mark.parametrize("when", ["order", "present"])
def test_python_target__its_errors(client, cx, when):
    class Broken:
        caps = HTTP01
        error = None

        def present(self, work):
            raise self.error

        def cleanup(self, work):
            pass

    def run(error):
        broken = Broken()
        broken.error = error
        target = cx.target(broken)
        if when == "present":
            target.present(*CHALLENGE, timeout=5)
        else:
            csr = cx.csr(client.key, ["www.example.org"])
            client.account.order(csr, http01=target).run(timeout=30)

    with pytest.raises(ZeroDivisionError, match="by zero"):
        run(ZeroDivisionError("by zero"))
    with pytest.raises(KeyboardInterrupt):
        run(KeyboardInterrupt())
    with pytest.raises(certauto.Error, match="no right to") as caught:
        run(certauto.Permission("no right to do that"))
    if when == "present":
        assert isinstance(caught.value, certauto.Permission)


class Balancer:
    """Has certificates in a dict, and serves the one that is bound."""

    caps = DEPLOY
    type = "balancer"

    def __init__(self, folder, fail=None):
        self.folder, self.fail = folder, fail
        self.objects, self.bound, self.ops = {}, None, []

    def _op(self, work):
        self.ops.append(work.op)
        if work.op == self.fail:
            raise certauto.Refused(f"{work.op} is refused")

    def observe(self, work):
        """Notes what is bound."""
        if work.noted("old") is None:
            work.note("old", self.bound or "none")
            return 0
        return self._op(work)

    def stage(self, work):
        """Notes the name before anything is made."""
        name = f"{work.name}-{work.chain.serial[:8]}"
        if work.noted("new") is None:
            work.note("new", name)
            return 0
        self.objects[name] = (work.chain.pem(), work.key.pem())
        return self._op(work)

    def swap(self, work):
        """Binds it."""
        self._op(work)
        self.bound = work.noted("new")

    save = tidy = _op

    def undo(self, work):
        """Safe twice."""
        self.ops.append(work.op)
        old = work.noted("old")
        self.bound = None if old == "none" else old
        self.objects.pop(work.noted("new"), None)

    def tls(self):
        """A TLS context with what is bound now."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = self.folder / "bound.pem"
        path.write_bytes(b"".join(self.objects[self.bound]))
        tls.load_cert_chain(path)
        return tls


@contextlib.contextmanager
def serving(balancer):
    """The balancer's listener; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    balancer.tls().wrap_socket(connection, server_side=True).close()
                except (KeyError, OSError):
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _chain(cx, key):
    return key.self_sign(cx.csr(key, ["www.example.org"]), 1999999999)


def test_python_target__deploys(cx, tmp_path):
    balancer, key = Balancer(tmp_path), cx.key()
    chain = _chain(cx, key)
    with serving(balancer) as address:
        cx.target(balancer, probe=address).deploy("shop", chain, key, timeout=20)
    assert balancer.ops == ["observe", "stage", "swap", "save", "tidy"]
    assert balancer.bound == f"shop-{chain.serial[:8]}"
    assert balancer.objects[balancer.bound] == (chain.pem(), key.pem())


def test_python_target__takes_back(cx, tmp_path):
    balancer, key = Balancer(tmp_path, "swap"), cx.key()
    target = cx.target(balancer, probe=False)
    with pytest.raises(certauto.Refused, match="swap is refused"):
        target.deploy("shop", _chain(cx, key), key, timeout=20)
    assert balancer.ops[-1] == "undo" and balancer.bound is None and balancer.objects == {}


def test_python_target__what_is_not_served_is_taken_back(cx, tmp_path):
    old, key = Balancer(tmp_path), cx.key()
    with serving(old) as address:
        cx.target(old, probe=address).deploy("shop", _chain(cx, key), key, timeout=20)
        # This one binds, but somebody else serves there.
        new = Balancer(tmp_path)
        target = cx.target(new, probe=address, timeout_ms=300)
        with pytest.raises(certauto.NotServed):
            target.deploy("shop", _chain(cx, key), key, timeout=20)
        assert new.ops[-1] == "undo" and new.objects == {}


def test_python_target__waits_for_a_descriptor(cx):
    ours, theirs = socket.socketpair()
    with ours, theirs:

        class Slow:
            caps = HTTP01
            got = None

            def present(self, work):
                try:
                    self.got = ours.recv(10, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    threading.Timer(0.05, theirs.send, [b"ready"]).start()
                    return work.wait_fd(ours.fileno())
                return None

        slow = Slow()
        cx.target(slow, challenge_check=False).present(*CHALLENGE, timeout=10)
        assert slow.got == b"ready"


def test_python_target__gives_a_request(cx):
    class Device:
        caps = CSR | DEPLOY

        def csr(self, work):
            work.set_csr(cx.csr(key, ["www.example.org"]).pem())

    key = cx.key("rsa-2048")
    target = cx.target(Device())
    made = target.make_csr("shop", "www.example.org", timeout=10)
    assert made.names == ["www.example.org"] and target.csr.pem() == made.pem()
    with pytest.raises(certauto.Unsupported):
        cx.target("files").make_csr("shop", "www.example.org")


def test_python_target__is_released(cx):
    recorder = Recorder()
    gone = weakref.ref(recorder)
    target = cx.target(recorder, where="x")
    del recorder
    gc.collect()
    assert gone() is not None
    target.close()
    del target
    gc.collect()
    assert gone() is None


def test_python_target__work_is_gone_afterwards(cx):
    class Keeper:
        caps = HTTP01

        def present(self, work):
            self.kept = work

    keeper = Keeper()
    cx.target(keeper, challenge_check=False).present(*CHALLENGE, timeout=5)
    with pytest.raises(ValueError, match="gone"):
        keeper.kept.name
    with pytest.raises(ValueError, match="gone"):
        keeper.kept.note("a", "b")


def test_python_target__nonsense_is_refused(cx):
    class Wrong:
        type = "Has Blanks"
        caps = HTTP01

    with pytest.raises(certauto.Invalid, match="name of a target type"):
        cx.target(Wrong())
    with pytest.raises(AttributeError):
        cx.target(object())
    Wrong.type, Wrong.options = "wrong", "no list"
    with pytest.raises(certauto.Error):
        cx.target(Wrong())
