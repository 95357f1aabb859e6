"""What is called back: events, logging, signers, signals."""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref

import certauto
import pytest
from certauto import EventType, LogLevel
from conftest import PACKAGE, Client
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils


class Stop(Exception):
    """Raised by callbacks."""


# ---- events ----


def test_event__tells_what_goes_on(client, cx):
    events = []
    cx.on_event = events.append
    job = client.order().start(timeout=30)
    job.wait()
    assert {event.type for event in events} >= {EventType.STEP, EventType.DONE}
    done = events[-1]
    assert done.type is EventType.DONE and done.job is job and done.text == "done"
    assert done.context is cx and done.n_done <= done.n_steps and "DONE" in repr(done)
    cx.on_event = None
    n = len(events)
    client.order().run(timeout=30)
    assert len(events) == n


@pytest.mark.parametrize("drive", ["run", "wait", "context"])
def test_event__what_it_raises_cancels_and_is_raised_again(client, cx, ca, drive):
    def stop(event):
        if event.type == EventType.STEP:
            raise Stop("enough")

    cx.on_event = stop
    order = client.order()
    with pytest.raises(Stop, match="enough"):
        if drive == "run":
            order.run(timeout=30)
        elif drive == "wait":
            order.start(timeout=30).wait(timeout=30)
        else:
            order.start(timeout=30)
            cx.run(timeout=30)
    assert ca.counts["certificates issued"] == 0
    # The context is as good as before.
    cx.on_event = None
    client.order().run(timeout=30)


def test_event__only_the_job_concerned_is_cancelled(client, cx):
    def stop(event):
        if event.object == "bad.example.org" or (event.job and event.job is bad):
            raise Stop

    good = client.order("good.example.org").start(timeout=30)
    bad = client.order("bad.example.org").start(timeout=30)
    cx.on_event = stop
    assert good.wait().names == ["good.example.org"]
    with pytest.raises(Stop):
        bad.wait()
    assert bad.error.code == certauto.Canceled.code


def test_event__calls_that_run_the_context_are_busy_inside(client, cx):
    caught = []

    def nest(event):
        for call in (lambda: cx.run(0), lambda: client.order().run(), lambda: event.job.wait(0)):
            try:
                call()
            except certauto.Busy as error:
                caught.append(error)

    cx.on_event = nest
    job = client.order().start(timeout=30)
    cx.run(timeout=0)
    cx.on_event = None
    assert len(caught) >= 3
    job.wait()


def test_event__the_context_may_be_closed_inside(client, cx):
    cx.on_event = lambda event: cx.close()
    with pytest.raises(certauto.Canceled):
        client.order().run(timeout=30)
    assert cx.closed


def test_event__jobs_may_be_cancelled_inside(client, cx):
    cx.on_event = lambda event: event.job.cancel() if event.type == EventType.STEP else None
    with pytest.raises(certauto.Canceled):
        client.order().run(timeout=30)


def test_event__handles_may_be_dropped_inside(client, cx):
    things = {"order": client.order(), "account": client.account, "target": client.web}
    job = things["order"].start(timeout=30)
    client.account = client.web = None

    def drop(event):
        things.clear()
        gc.collect()

    cx.on_event = drop
    assert job.wait().names == ["www.example.org"]
    assert not things


def test_event__a_context_and_its_callback_are_collected(ca, tmp_path):
    """The callback refers to the context, which refers to it: through C nothing must hold both."""
    cx = certauto.Context()
    cx.on_event = lambda event: print(cx, event)
    gone = weakref.ref(cx)
    Client(cx, ca, tmp_path).order().start()
    cx.run(0)
    del cx
    gc.collect()
    assert gone() is None


def test_raw_event__is_empty_after_its_callback(cx, client):
    c = certauto._c
    kept = []

    def keep(event):
        kept.append(event)
        assert c.certauto_event_type(event) != 0
        if len(kept) == 1:
            raise Stop

    c.certauto_context_set_event_cb(cx._h, keep)
    with pytest.raises(Stop):
        c.certauto_order_run(client.order()._h, 30_000)
    with pytest.raises(ValueError, match="gone"):
        c.certauto_event_type(kept[0])


# ---- logging ----


def test_logging__gets_records(client, cx, caplog):
    caplog.set_level(logging.DEBUG, "certauto.test")
    cx.log_to("certauto.test")
    client.order().run(timeout=30)
    assert {record.name for record in caplog.records} == {"certauto.test"}
    assert {record.levelno for record in caplog.records} >= {logging.DEBUG, logging.INFO}
    assert all(isinstance(record.certauto, certauto.Event) for record in caplog.records)
    assert any("www.example.org" in record.getMessage() for record in caplog.records)
    assert "PRIVATE KEY" not in caplog.text


def test_logging__its_level_decides_how_much(client, cx, caplog):
    caplog.set_level(logging.ERROR, "certauto.test")
    cx.log_to(logging.getLogger("certauto.test"))
    client.order().run(timeout=30)
    assert not caplog.records
    cx.log_to(None)
    cx.set_log_level(LogLevel.DEBUG)
    with pytest.raises(certauto.Invalid):
        cx.set_log_level(9)


# ---- signers ----


def signer_for(private):
    """What an HSM does: raw signatures of digests."""

    def sign(alg, digest):
        algorithm = utils.Prehashed({"ES256": hashes.SHA256, "ES384": hashes.SHA384,
                                     "RS256": hashes.SHA256}[alg]())  # fmt: skip
        if alg == "RS256":
            return private.sign(digest, padding.PKCS1v15(), algorithm)
        width = 32 if alg == "ES256" else 48
        r, s = utils.decode_dss_signature(private.sign(digest, ec.ECDSA(algorithm)))
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")

    return sign


def spki(private):
    """The public half."""
    public = private.public_key()
    return public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_signer__for_the_account_and_for_the_certificate(cx, ca, new_client, kind):
    private = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    key = cx.key_signer(spki(private), signer_for(private))
    client = new_client(cx)
    account = cx.account(ca.directory, ca_file=ca.ca_file, agree_tos=True, key=client.key)
    order = account.order(cx.csr(key, ["www.example.org"]), http01=client.web)
    order.run(timeout=30).check(key, "www.example.org")
    account = cx.account(ca.directory, ca_file=ca.ca_file, agree_tos=True, key=key)
    account.register(timeout=30)
    assert account.url in ca.accounts


def test_signer__what_it_raises_is_raised_again(cx, ca, client):
    private = ec.generate_private_key(ec.SECP256R1())

    def sign(alg, digest):
        raise Stop("the HSM is gone")

    key = cx.key_signer(spki(private), sign)
    with pytest.raises(Stop, match="HSM"):
        cx.csr(key, "www.example.org")
    account = cx.account(ca.directory, ca_file=ca.ca_file, agree_tos=True, key=key)
    with pytest.raises(Stop, match="HSM"):
        account.register(timeout=30)
    # A certauto.Error keeps its code.
    key = cx.key_signer(spki(private), lambda alg, digest: _raise(certauto.Auth("wrong PIN")))
    with pytest.raises(certauto.Auth) as caught:
        cx.csr(key, "www.example.org")
    assert "wrong PIN" in str(caught.value.__cause__)


def _raise(error):
    raise error


@pytest.mark.parametrize("answer", [b"", None, 7, b"short"])
def test_signer__nonsense_is_refused(cx, answer):
    private = ec.generate_private_key(ec.SECP256R1())
    key = cx.key_signer(spki(private), lambda alg, digest: answer)
    with pytest.raises((certauto.Error, TypeError)):
        cx.csr(key, "www.example.org")


def test_signer__is_released_with_the_key(cx):
    class Sign:
        def __call__(self, alg, digest):
            return b""

    sign = Sign()
    gone = weakref.ref(sign)
    key = cx.key_signer(spki(ec.generate_private_key(ec.SECP256R1())), sign)
    del sign
    gc.collect()
    assert gone() is not None
    key.close()
    del key
    gc.collect()
    assert gone() is None
    with pytest.raises(certauto.Invalid):
        cx.key_signer(b"no key", Sign())
    with pytest.raises(TypeError):
        certauto._c.certauto_key_new_signer(cx._h, b"no key", 5)


# ---- signals ----

# A shell that starts tests in the background has them ignore Ctrl-C.
PROGRAM = """
import signal, sys, certauto
signal.signal(signal.SIGINT, signal.default_int_handler)
server, ca_file, webroot, verb = sys.argv[1:]
cx = certauto.Context()
web = cx.target("files", webroot=webroot, challenge_check=False)
account = cx.account(server, ca_file=ca_file, agree_tos=True)
order = account.order(cx.csr(cx.key(), ["www.example.org"]), http01=web)
def tell(event):
    if event.type == certauto.EventType.WAIT:
        print("waiting", flush=True)
cx.on_event = tell
print("running", flush=True)
try:
    if verb == "await":
        import asyncio
        async def main():
            return await order.start()
        asyncio.run(main())
    else:
        order.run()
except KeyboardInterrupt:
    print("interrupted", order.url is not None, flush=True)
"""


@pytest.mark.parametrize("verb", ["run", "await"])
def test_ctrl_c__ends_a_blocking_call_and_takes_back(ca, tmp_path, verb):
    ca.processing = 10**9  # each poll finds it undecided
    webroot = tmp_path / "webroot"
    webroot.mkdir()
    argv = [sys.executable, "-B", "-c", PROGRAM, ca.directory, ca.ca_file, webroot, verb]
    env = {**os.environ, "PYTHONPATH": PACKAGE}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            assert process.stdout.readline() == "running\n"
            while not [path for path in webroot.rglob("*") if path.is_file()]:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert out.splitlines()[-1] == "interrupted True"
    assert not [path for path in webroot.rglob("*") if path.is_file()]


def test_ctrl_c__inside_a_callback_is_not_swallowed(client, cx):
    def interrupt(event):
        raise KeyboardInterrupt

    cx.on_event = interrupt
    with pytest.raises(KeyboardInterrupt):
        client.order().run(timeout=30)


# ---- threads ----


def test_thread__others_are_told_that_it_is_busy(client, cx, ca):
    ca.processing = 10**9
    inside, results = threading.Event(), []
    cx.on_event = lambda event: inside.set()
    order = client.order()

    def work():
        try:
            # One long call, without the slices of order.run().
            certauto._c.certauto_order_run(order._h, 60_000)
        except certauto.Error as error:
            results.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(20) and cx.busy
        for call in (cx.key, lambda: order.url, cx.close, lambda: cx.run(0)):
            with pytest.raises(certauto.Busy):
                call()
        assert repr(order) == "<certauto.Order busy>" and not cx.closed
        cx.cancel()
    finally:
        thread.join(30)
    assert results == [certauto.Canceled] and not cx.busy
