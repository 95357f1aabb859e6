#!/usr/bin/python3
"""Threads with a context each do all kinds of things, and are cancelled at random moments.

usage: stress.py DIRECTORY-URL CA-FILE FOLDER SECONDS

Prints what it did, and how much the process has grown, as one JSON object. The first sixth of the
time is to get warm: what is allocated once is no leak. Run by test_stress.py, with the CA in a
process of its own.
"""

import asyncio
import collections
import ctypes
import gc
import json
import os
import random
import sys
import threading
import time
import traceback

import certauto

THREADS = 4
LONGEST_S = 60  # one thing that takes longer hangs


class Stop(Exception):
    """Raised by callbacks."""


class Device:
    """A target written in Python."""

    caps = 1

    def __init__(self):
        self.shown = {}

    def present(self, work):
        """Shows it, at the second call."""
        if work.token not in self.shown:
            self.shown[work.token] = None
            return 0.001
        self.shown[work.token] = work.value
        return None

    def cleanup(self, work):
        """Takes it away."""
        self.shown.pop(work.token, None)


class Worker:
    """One thread: contexts of its own, one after another."""

    def __init__(self, server, ca_file, folder, seed):
        self.server, self.ca_file = server, ca_file
        self.chance = random.Random(seed)
        # Who leaves in the middle takes nothing back.
        self.clean, self.littered = (os.path.join(folder, f"{seed}-{name}") for name in "cl")
        for webroot in (self.clean, self.littered):
            os.makedirs(webroot, exist_ok=True)
        self.told = collections.Counter()
        self.failures = []
        self.live = None  # what another thread may cancel

    def work(self, end):
        """Until that time."""
        while time.monotonic() < end and not self.failures:
            way = self.chance.choice(WAYS)
            began = time.monotonic()
            try:
                self.told[way.__name__ + ", " + self.one(way)] += 1
            except BaseException:  # pylint: disable=broad-except
                self.failures.append(f"{way.__name__}: {traceback.format_exc()}")
            if time.monotonic() - began > LONGEST_S:
                self.failures.append(f"{way.__name__} took {time.monotonic() - began:.0f} s")

    def one(self, way):
        """One thing in one way; how it ended."""
        cx = certauto.Context()
        try:
            # The one that is left open is the collector's, with all that hangs from it.
            if self.chance.random() < 0.1:
                way(self, cx)
            else:
                with cx:
                    way(self, cx)
        except certauto.Canceled:
            return "cancelled"
        except Stop:
            return "stopped"
        finally:
            self.live = None
            left = [name for _, _, names in os.walk(self.clean) for name in names]
            assert not left, f"nobody took away {left}"
        return "done"

    def orders(self, cx, count=1, webroot=None, target=None):
        """Some orders of a new account."""
        target = target or cx.target("files", webroot=webroot or self.clean, challenge_check=False)
        account = cx.account(self.server, ca_file=self.ca_file, agree_tos=True)
        key = cx.key()
        names = [f"n{self.chance.randrange(10**9)}.example.org" for _ in range(count)]
        return [account.order(cx.csr(key, name), http01=target) for name in names]


def blocking(worker, cx):
    """One order, which another thread may cancel."""
    (order,) = worker.orders(cx)
    worker.live = cx
    order.run(timeout=20)


def waiting(worker, cx):
    """The same as a job."""
    job = worker.orders(cx)[0].start(timeout=20)
    worker.live = job
    job.wait()


def polling(worker, cx):
    """Several, and some of them cancelled by this thread."""
    jobs = [order.start(timeout=20) for order in worker.orders(cx, 3)]
    while any(not job.done for job in jobs):
        cx.run(timeout=0.005)
        if jobs and worker.chance.random() < 0.1:
            jobs.pop(worker.chance.randrange(len(jobs))).cancel()
    cx.run()


def insisting(worker, cx):
    """Cancelled twice: it leaves at once."""
    job = worker.orders(cx, webroot=worker.littered)[0].start(timeout=20)
    cx.run(timeout=worker.chance.random() * 0.02)
    job.cancel()
    job.cancel()
    job.wait()


def leaving(worker, cx):
    """Closed in the middle, perhaps while another thread cancels."""
    worker.orders(cx, webroot=worker.littered)[0].start(timeout=20)
    worker.live = cx
    cx.run(timeout=worker.chance.random() * 0.02)
    cx.close()


def awaiting(worker, cx):
    """On an event loop."""

    async def main():
        jobs = [order.start(timeout=20) for order in worker.orders(cx, 3)]
        # All: those left over when the loop ends would be cancelled a second time.
        ended = await asyncio.gather(*jobs, return_exceptions=True)
        raise next((one for one in ended if isinstance(one, Exception)), Stop())

    worker.live = cx
    asyncio.run(main())


def giving_up(worker, cx):
    """On an event loop, given up after a while."""

    async def main():
        job = worker.orders(cx)[0].start(timeout=20)
        try:
            await asyncio.wait_for(job, worker.chance.random() * 0.05)
        except asyncio.TimeoutError:
            assert job.done

    asyncio.run(main())


def answering(worker, cx):
    """Through a target written in Python."""
    device = Device()
    (order,) = worker.orders(cx, target=cx.target(device, challenge_check=False))
    worker.live = cx
    try:
        order.run(timeout=20)
    finally:
        assert device.shown == {}


def listening(worker, cx):
    """With a callback that puts an end to it."""
    left = worker.chance.randrange(20)

    def tell(event):
        nonlocal left
        left -= 1
        if left < 0 and event.type is certauto.EventType.STEP:
            raise Stop

    cx.on_event = tell
    worker.orders(cx)[0].run(timeout=20)


def signing(worker, cx):
    """With a signer that refuses."""

    def sign(alg, digest):
        assert alg == "ES256" and len(digest) == 32
        raise Stop

    account = cx.account(
        worker.server, ca_file=worker.ca_file, agree_tos=True,
        key=cx.key_signer(cx.key().public(), sign),
    )  # fmt: skip
    account.register(timeout=20)


def presenting(worker, cx):
    """Answers to challenges without a CA."""
    web = cx.target("files", webroot=worker.clean, challenge_check=False)
    challenges = [("http-01", "a.example.org", f"tok-{i}", f"tok-{i}.x") for i in range(3)]
    jobs = [web.start_present(*challenge, timeout=20) for challenge in challenges]
    jobs[0].cancel()
    cx.run()
    for challenge in challenges:
        web.cleanup(*challenge, timeout=20)


WAYS = [
    blocking, waiting, polling, insisting, leaving, awaiting, giving_up, answering, listening,
    signing, presenting,
]  # fmt: skip


def disturb(workers, stop, chance):
    """Cancel somebody now and then, whatever becomes of it meanwhile. Once: who is asked twice
    takes nothing back."""
    while not stop.wait(chance.random() * 0.03):
        worker = chance.choice(workers)
        thing, worker.live = worker.live, None
        try:
            if thing is not None:
                thing.cancel()
        except ValueError:
            pass  # it was closed


def run_threads(workers, seconds):
    """All workers for so long, and somebody who disturbs them."""
    end, stop = time.monotonic() + seconds, threading.Event()
    threads = [threading.Thread(target=worker.work, args=(end,)) for worker in workers]
    disturber = threading.Thread(target=disturb, args=(workers, stop, random.Random(8555)))
    for thread in (*threads, disturber):
        thread.start()
    for thread in threads:
        thread.join(seconds + 2 * LONGEST_S)
        if thread.is_alive():
            sys.exit("a thread hangs")
    stop.set()
    disturber.join()


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks "
        "keepcost".split()
    ]


def wait_for_threads():
    """Until the system has none of them any more: join() comes back before a thread has given back
    what malloc() keeps for it, which counts as taken."""
    end = time.monotonic() + LONGEST_S
    while len(os.listdir("/proc/self/task")) > 1:
        if time.monotonic() > end:
            sys.exit("a thread does not end")
        os.sched_yield()


def age_names():
    """The interpreter's table of names doubles, once, when enough of them have come and gone: now,
    so that it does not look like a leak later."""
    for i in range(40000):
        sys.intern(f"name {i}")


def size():
    """What this process holds now."""
    wait_for_threads()
    for _ in range(3):
        gc.collect()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo
    heap = mallinfo2()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return {
        "rss_kib": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        # A large block that malloc() had mapped by itself moves into the heap when it is allocated
        # anew after a while, as what counts as large grows: it is counted wherever it is.
        "c_kib": (heap.uordblks + heap.hblkhd) // 1024,
        "python_blocks": sys.getallocatedblocks(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


def main(server, ca_file, folder, seconds):
    """All of it."""
    os.nice(10)  # others are tested meanwhile
    age_names()
    workers = [Worker(server, ca_file, folder, seed) for seed in range(THREADS)]
    run_threads(workers, float(seconds) / 6)
    before = size()
    run_threads(workers, float(seconds) * 5 / 6)
    after = size()
    told = sum((worker.told for worker in workers), collections.Counter())
    report = {
        "told": dict(sorted(told.items())),
        "failures": [text for worker in workers for text in worker.failures],
        "before": before,
        "grown": {name: after[name] - before[name] for name in before},
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
