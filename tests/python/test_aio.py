"""Jobs awaited on an asyncio event loop."""

import asyncio
import time

import certauto
import pytest
from certauto import EventType

from sim.ca import Fault


class Stop(Exception):
    """Raised by callbacks."""


def test_await__gives_the_chain(client):
    async def main():
        return await client.order().start(timeout=30)

    assert asyncio.run(main()).names == ["www.example.org"]


def test_await__100_orders_side_by_side(client, ca):
    async def main():
        jobs = [client.order(f"n{i}.example.org").start(timeout=60) for i in range(100)]
        return await asyncio.gather(*jobs)

    chains = asyncio.run(main())
    assert [chain.names for chain in chains] == [[f"n{i}.example.org"] for i in range(100)]
    assert ca.counts["certificates issued"] == 100 and ca.counts["accounts made"] == 1


def test_await__the_loop_goes_on_meanwhile(client, ca):
    ca.delay_ms = 30
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0)

    async def main():
        ticking = asyncio.ensure_future(tick())
        await client.order().start(timeout=30)
        ticking.cancel()

    asyncio.run(main())
    assert len(ticks) > 20


def test_await__errors_are_those_of_each_job(client, ca):
    ca.validate = lambda challenge: not challenge.authz.name.startswith("bad")

    async def main():
        jobs = [client.order(f"{kind}{i}.example.org").start(timeout=60)
                for i in range(5) for kind in ("good", "bad")]  # fmt: skip
        return await asyncio.gather(*jobs, return_exceptions=True)

    results = asyncio.run(main())
    for i, result in enumerate(results):
        if i % 2:
            assert isinstance(result, certauto.Challenge)
            assert result.subproblems[0].name == f"bad{i // 2}.example.org"
        else:
            assert result.names == [f"good{i // 2}.example.org"]


def test_await__twice_and_after_the_end(client):
    async def main():
        job = client.order().start(timeout=30)
        first, second = await asyncio.gather(job, job)
        third = await job
        return first.serial, second.serial, third.serial

    assert len(set(asyncio.run(main()))) == 1


def test_await__cancelled_cancels_the_job(client, ca):
    ca.script["newOrder"] = [Fault("stall")]

    async def main():
        job = client.order().start(timeout=60)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job, 0.2)
        return job

    job = asyncio.run(main())
    assert job.done and isinstance(job.error, certauto.Canceled)


def test_await__cancelled_twice_does_not_wait(client, ca, cx):
    ca.processing = 10**9

    async def main():
        job = client.order().start(timeout=60)
        task = asyncio.ensure_future(_wait(job))
        await _until(client.left)
        task.cancel()
        await _turns(50)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return job

    began = time.monotonic()
    job = asyncio.run(main())
    assert job.done and time.monotonic() - began < 4
    # That is what it is for: nothing was taken back.
    for path in client.left():
        path.unlink()


async def _wait(job):
    return await job


async def _turns(count):
    """Let all others go on, so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _until(check):
    """Let all others go on until that holds."""
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end
        await _turns(1)


def test_await__what_a_callback_raises_is_raised(client, cx):
    def stop(event):
        if event.type == EventType.STEP:
            raise Stop

    cx.on_event = stop

    async def main():
        await client.order().start(timeout=30)

    with pytest.raises(Stop):
        asyncio.run(main())


def test_await__close_ends_it(client, ca, cx):
    ca.script["newOrder"] = [Fault("stall")]

    async def main():
        async with cx:
            waiting = asyncio.ensure_future(_wait(client.order().start(timeout=60)))
            await _until(lambda: ca.counts["newOrder"])
        with pytest.raises(certauto.Canceled):
            await waiting

    asyncio.run(main())


def test_await__on_another_loop_afterwards(client):
    async def main(name):
        return await client.order(name).start(timeout=30)

    assert asyncio.run(main("a.example.org")).names == ["a.example.org"]
    assert asyncio.run(main("b.example.org")).names == ["b.example.org"]
    # And without a loop.
    assert client.order("c.example.org").run(timeout=30).names == ["c.example.org"]


def test_await__two_contexts_on_one_loop(new_client):
    async def main():
        async with certauto.Context() as one, certauto.Context() as two:
            jobs = [new_client(cx).order().start(timeout=30) for cx in (one, two)]
            await asyncio.gather(*jobs)

    asyncio.run(main())
