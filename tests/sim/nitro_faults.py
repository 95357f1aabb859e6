"""Trouble that a test plans for a request: refusals, cut connections, slowness.

    nitro.faults.add(kind="systemfile", method="POST", code=284)        the disk is full
    nitro.faults.add(number=5, wire="lost-reply")                       done, and nobody hears of it
    nitro.faults.add(kind="sslcertkey", action="update", session=True)  the session is gone
    nitro.faults.add(kind="nsconfig", do=nitro.failover)                in the middle of things

What is not said fits every request. number counts the requests that fit, from 1, since the fault
was added; times says how often it strikes from there on (None: for ever).
"""

from dataclasses import dataclass

from .ca_http import Answer, Fault
from .nitro_errors import NitroError

BEFORE = "lost-request"


@dataclass
class Planned:
    """One fault, and which requests it is for."""

    kind: str = None
    method: str = None
    action: str = None
    name: str = None
    node: str = None
    writes: bool = None  # True: only what would change something
    when: object = None  # function(request) -> bool
    number: int = 1
    times: int = 1
    # What goes wrong: one of these.
    code: int = None  # the device refuses
    status: int = None
    words: str = None
    wire: str = None  # one of ca_http.FAULTS; lost-request: it is not acted on
    empty: bool = False  # done, but the answer has no body
    session: bool = False  # the session is killed before the request is looked at
    raw: object = None  # (status, body): what comes in place of an answer
    delay: float = 0  # seconds
    do: object = None  # function(), called before the request is acted on
    after: object = None  # function(), called when it was acted on
    seen: int = 0
    struck: int = 0

    def fits(self, request, writes):
        """Is it one of those?"""
        for name in ("kind", "method", "name", "node"):
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(request, name):
                return False
        if self.action is not None and self.action.lower() != (request.action or "").lower():
            return False
        if self.writes is not None and self.writes != writes:
            return False
        return not self.when or self.when(request)

    @property
    def instead(self):
        """Is the request not acted on?"""
        return self.code is not None or self.raw is not None or self.wire == BEFORE

    def answer(self, node, request):
        """What is sent in place of acting."""
        if self.wire:
            return Answer(fault=Fault(self.wire))
        if self.raw is not None:
            return Answer(self.raw[1], self.raw[0], type="text/html")
        error = NitroError(self.code, status=self.status, words=self.words)
        request.code = self.code
        if self.code in (444, 1027):
            node.nitro.expire_sessions()
        return self.late(Answer(error.document, error.status))

    def late(self, answer):
        """With the delay."""
        answer.delay = self.delay
        return answer

    def bent(self, answer):
        """The answer, done and then spoilt."""
        if self.after:
            self.after()
        if self.wire:
            answer.fault = Fault(self.wire)
        if self.empty:
            answer.body = b""
        return self.late(answer)


class Faults:
    """All that is planned."""

    def __init__(self, nitro):
        self.nitro, self.planned = nitro, []

    def add(self, **what):
        """Plan one; returns it (its attribute struck tells how often it came)."""
        fault = Planned(**what)
        if fault.code is not None and not fault.words:
            NitroError(fault.code)  # a code without words would be the test's mistake
        with self.nitro.lock:
            self.planned.append(fault)
        return fault

    def clear(self):
        """No more trouble."""
        with self.nitro.lock:
            self.planned.clear()

    def for_request(self, request):
        """The fault that strikes now."""
        writes = self.nitro.would_write(request)
        strikes = None
        for fault in self.planned:
            if not fault.fits(request, writes):
                continue
            fault.seen += 1
            late = fault.times is not None and fault.seen >= fault.number + fault.times
            if strikes or fault.seen < fault.number or late:
                continue
            fault.struck += 1
            strikes = fault
        if strikes:
            if strikes.session:
                self.nitro.expire_sessions()
            if strikes.do:
                strikes.do()
        return strikes
