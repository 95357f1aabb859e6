"""Many threads, contexts and cancels; nothing is lost. CERTAUTO_STRESS_S says for how long."""

import asyncio
import os
import random
import threading
import time

import certauto
import pytest
from conftest import Client, allocated, descriptors, rss_kib

from sim.ca import CA

ROUNDS = 150
SECONDS = float(os.environ.get("CERTAUTO_STRESS_S", "4"))


def _once(cx, ca, folder, chance):
    """One order in one of several ways, perhaps cancelled; what it ended with."""
    client = Client(cx, ca, folder)
    order = client.order(f"n{chance.randrange(10**9)}.example.org")
    how = chance.randrange(4)
    timer = threading.Timer(chance.random() * 0.05, cx.cancel) if chance.random() < 0.5 else None
    if timer:
        timer.start()
    try:
        if how == 0:
            order.run(timeout=20)
        elif how == 1:
            order.start(timeout=20).wait()
        elif how == 2:
            order.start(timeout=20)
            cx.run(timeout=0.01)
            cx.close()
        else:
            asyncio.run(_gather(order))
    except certauto.Canceled:
        return "canceled"
    finally:
        if timer:
            timer.cancel()
            timer.join()
    return "done"


async def _gather(order):
    await asyncio.gather(order.start(timeout=20))


def _work(ca, folder, seed, end, told):
    """A thread: contexts of its own, one after another."""
    chance = random.Random(seed)
    try:
        while time.monotonic() < end:
            events = []
            with certauto.Context(on_event=events.append) as cx:
                told.append(_once(cx, ca, folder, chance))
    except BaseException as error:
        told.append(error)


def test_stress__threads_with_random_cancels(tmp_path, tls):
    # A validation that is under way when a job is cancelled is waited for: here it is not.
    with CA(str(tmp_path), tls, validate=False, keep_log=False) as ca:
        told = []

        def round_(seconds):
            end = time.monotonic() + seconds
            threads = []
            for seed in range(4):
                folder = tmp_path / f"thread-{seed}"
                folder.mkdir(exist_ok=True)
                threads.append(
                    threading.Thread(target=_work, args=(ca, folder, seed, end, told))
                )
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert not [thread for thread in threads if thread.is_alive()]

        round_(SECONDS / 4)  # what is allocated once
        ca.orders.clear(), ca.authzs.clear(), ca.challenges.clear()
        before = rss_kib(), threading.active_count()
        round_(SECONDS)
        errors = [one for one in told if isinstance(one, BaseException)]
        assert errors == []
        assert told.count("done") > 4 and "canceled" in told
        # The CA is in this process too: what it keeps of each order is not ours.
        assert rss_kib() - before[0] < 4096 + 40 * len(told)
        assert threading.active_count() <= before[1] + 8  # the CA's, for open connections


@pytest.mark.parametrize("what", ["objects", "errors", "events", "targets", "jobs"])
def test_leak__nothing_grows(what, tmp_path):
    def objects():
        with certauto.Context() as cx:
            key = cx.key()
            csr = cx.csr(key, ["a.example.org", "b.example.org"])
            chain = key.self_sign(csr, 1999999999)
            assert chain.pem() and key.pem() and csr.names and chain.names and repr(chain)
            assert cx.target("haproxy").options and cx.account("letsencrypt").server

    def errors():
        with certauto.Context() as cx:
            for bad in ("key", "csr", "target", "fleet"):
                try:
                    {
                        "key": lambda: cx.key("nonsense"),
                        "csr": lambda: cx.csr_from(b"nonsense"),
                        "target": lambda: cx.target("files", nonsense="1"),
                        "fleet": lambda: cx.fleet_from("nonsense"),
                    }[bad]()
                except certauto.Error:
                    continue
                raise AssertionError(bad)

    class Device:
        caps = certauto.Capability.HTTP01

        def present(self, work):
            assert work.name and work.token and work.option("challenge_check")
            raise ValueError("no")

    def targets():
        with certauto.Context() as cx:
            target = cx.target(Device(), challenge_check=False)
            with pytest.raises(ValueError):
                target.present("http-01", "a.example.org", "token", "token.x")

    def events():
        # Contexts and callbacks that refer to one another, never closed.
        cx = certauto.Context()
        cx.on_event = lambda event: cx
        cx.run(0)

    def jobs():
        with certauto.Context() as cx:
            order = cx.account("https://127.0.0.1:1/").order(cx.csr(cx.key(), ["a.example.org"]))
            order.use("http-01", cx.target("files", webroot=tmp_path, challenge_check=False))
            job = order.start()
            if len(repr(job)) % 2:
                cx.run(0)

    once = {"objects": objects, "errors": errors, "events": events, "targets": targets,
            "jobs": jobs}[what]  # fmt: skip
    for _ in range(40):
        once()
    before = *allocated(), descriptors()
    for _ in range(ROUNDS):
        once()
    grown = [now - then for now, then in zip((*allocated(), descriptors()), before)]
    print(grown)
    # What is left over once is not a leak; what is lost each time is at least this much.
    assert grown[0] < 16 * ROUNDS and grown[1] < ROUNDS and grown[2] <= 0, grown


def test_figures__import_memory_and_calls():
    """Generous: the machine may be busy. bench.py prints them."""
    import bench

    figures = bench.measure(repeat=3)
    assert figures["import_ms"] < 150
    assert figures["import_mib"] < 11.0
    assert figures["context_mib"] < 13.0
    assert figures["property_us"] < 2
    assert figures["facade_us"] < 2
