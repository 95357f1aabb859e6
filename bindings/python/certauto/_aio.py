# SPDX-License-Identifier: Apache-2.0
"""Contexts on an asyncio event loop: one descriptor for all their jobs."""

from __future__ import annotations

import asyncio

from ._handle import c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._context import Context
    from ._job import Job


class Driver:
    """Runs a context while something of it is awaited, or is left to be done."""

    def __init__(self, cx: Context, loop: asyncio.AbstractEventLoop) -> None:
        self.cx = cx
        self.loop = loop
        self.waiters: dict[int, list[asyncio.Future[None]]] = {}
        self.held_back: list[int] = []
        self.fd = cx.fileno()
        self.watching = False

    def ended(self, job: Job) -> asyncio.Future[None]:
        """A future that is done when the job has ended."""
        future = self.loop.create_future()
        self.waiters.setdefault(job.id, []).append(future)
        if not self.watching:
            self.loop.add_reader(self.fd, self.turn)
            self.watching = True
            # What became ready before it was watched.
            self.loop.call_soon(self.turn)
        return future

    def turn(self) -> None:
        """What is ready is done."""
        cx = self.cx
        if not self.watching:
            return
        if cx.closed:
            self.end()
            return
        try:
            unfinished = c.certauto_context_run(cx._h, 0)
            self.held_back += [job.id for job in cx._reap()]
            # When no job is left, sessions with devices are still closed: whoever awaits the last
            # one may end the loop.
            if cx._jobs or unfinished == 0:
                self.settle(self.held_back)
                self.held_back = []
            if unfinished == 0 and not cx._jobs:
                self.rest()
        except Exception as error:  # the context is busy in another thread, or closed meanwhile
            self.fail(error)
        cx._raise_interrupt()

    def settle(self, numbers: list[int]) -> None:
        """These jobs have ended."""
        for number in numbers:
            for future in self.waiters.pop(number, ()):
                if not future.done():
                    future.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Nothing can be awaited any more."""
        for future in [one for waiters in self.waiters.values() for one in waiters]:
            if not future.done():
                future.set_exception(error)
        self.waiters.clear()
        self.rest()

    def rest(self) -> None:
        """Nothing is left to watch for."""
        if self.watching and not self.loop.is_closed():
            self.loop.remove_reader(self.fd)
        self.watching = False

    def end(self) -> None:
        """The context was closed: jobs have ended with that."""
        self.rest()
        if not self.loop.is_closed():
            self.settle(list(self.waiters))


def driver_of(cx: Context) -> Driver:
    """The one for the loop that runs."""
    loop = asyncio.get_running_loop()
    if cx._driver is None or cx._driver.loop is not loop:
        if cx._driver is not None:
            cx._driver.rest()
        cx._driver = Driver(cx, loop)
    return cx._driver


async def wait(job: Job) -> Any:
    """The job's value, or its error. Who cancels this cancels the job, and waits for what it has
    to take back; asked twice, for nothing."""
    if job.done:
        return job._finish()
    driver = driver_of(job._cx)
    try:
        await driver.ended(job)
    except asyncio.CancelledError:
        job.cancel()
        try:
            if not job.done:
                await driver.ended(job)
        except asyncio.CancelledError:
            job.cancel()
            c.certauto_context_run(job._cx._h, 0)
        raise
    return job._finish()
