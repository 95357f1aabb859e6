# SPDX-License-Identifier: Apache-2.0
"""Jobs, which are what was started, and the events they send."""

from __future__ import annotations

from ._error import Error
from ._errors import TimedOut
from ._handle import AGAIN, Handle, c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Generator

    from ._context import Context
    from ._enums import EventType


class Event:
    """Something a job tells. What is unknown is None, numbers 0."""

    __slots__ = (
        "_type",
        "context",
        "job",
        "level",
        "n_done",
        "n_steps",
        "object",
        "step",
        "text",
        "until_at",
    )

    def __init__(self, context: Context, job: Job | None, event: Any) -> None:
        self.context = context
        self.job = job
        """the job concerned"""
        self._type = c.certauto_event_type(event)
        self.level = c.certauto_event_level(event)
        """a certauto.LogLevel"""
        self.object = c.certauto_event_object(event)
        """name, target or URL concerned"""
        self.step = c.certauto_event_step(event)
        self.text = c.certauto_event_text(event)
        """one line for people"""
        self.n_done = c.certauto_event_n_done(event)
        """so many parts of the job are through"""
        self.n_steps = c.certauto_event_n_steps(event)
        """of so many"""
        self.until_at = c.certauto_event_until_at(event) or None
        """how long it waits at most, seconds since 1970 UTC"""

    @property
    def type(self) -> EventType | int:
        """A certauto.EventType; a number if this package does not know it: to be ignored."""
        from ._enums import EventType

        try:
            return EventType(self._type)
        except ValueError:
            return self._type

    def __repr__(self) -> str:
        return f"<certauto.Event {getattr(self.type, 'name', self._type)} {self.text!r}>"


class Job(Handle):
    """Something slow that was started: `await job`, or job.wait().

    It goes on while its context is run: by a wait, by Context.run(), or by the event loop while
    something of the context is awaited.
    """

    __slots__ = ("_raised", "_value", "id")

    def __init__(self, cx: Context, handle: Any, value: Callable[[], Any] | None = None) -> None:
        self._cx = cx
        self._h = handle
        self._value = value
        self._raised: BaseException | None = None
        self.id = c.certauto_job_id(handle)
        """unique in its context"""
        cx._jobs[self.id] = self

    @property
    def name(self) -> str:
        """Name of what it works on."""
        return c.certauto_job_name(self._h)

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return c.certauto_job_result(self._h) != AGAIN

    @property
    def error(self) -> Error | None:
        """Why it failed; None while it runs or when it went well."""
        return c.certauto_job_error(self._h)

    def cancel(self) -> None:
        """End it; what it has changed is taken back. Asked twice it leaves at once, and what a
        store keeps of it is settled by a later run. Any thread."""
        c.certauto_job_cancel(self._h)

    def wait(self, timeout: float | None = None) -> Any:
        """Run the context until this job has ended; its value, or its error is raised.
        TimedOut while it is not done: it still runs."""
        if not self._cx._turn(self, timeout):
            raise TimedOut(f"still running after {timeout} s", object=self.name)
        return self._finish()

    def __await__(self) -> Generator[Any, None, Any]:
        from ._aio import wait

        return wait(self).__await__()

    def _finish(self) -> Any:
        """What has become of it."""
        if self._raised is not None:
            raise self._raised
        error = c.certauto_job_error(self._h)
        if error is not None:
            raise self._cx._original(error)
        return self._value() if self._value is not None else None

    def _about(self) -> str:
        return f"{self.id} {self.name!r} {'done' if self.done else 'running'}"
