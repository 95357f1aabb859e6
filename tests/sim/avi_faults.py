"""Trouble that a test plans for a request to the simulated Avi controller.

    avi.faults.add(kind="virtualservice", method="PATCH", status=503)      refused
    avi.faults.add(number=5, wire="lost-reply")                            done, nobody hears of it
    avi.faults.add(number=5, wire="lost-request")                          cut before it is done
    avi.faults.add(kind="httppolicyset", method="POST", session=True)      the session is gone
    avi.faults.add(kind="virtualservice", method="PUT", do=change)         changed by somebody else
    avi.faults.add(number=3, do=avi.restart)                               in the middle of things

What is not said fits every request. number counts the requests that fit, from 1, since the fault
was added; times says how often it strikes from there on (None: for ever).
"""

from .avi_types import AviError
from .ca_http import Answer
from .nitro_faults import BEFORE, Faults, Planned


class AviFault(Planned):
    """One fault: status and words are a refusal, action is what a POST to an object asks for."""

    @property
    def instead(self):
        """Is the request not acted on?"""
        return self.status is not None or self.raw is not None or self.wire == BEFORE

    def answer(self, node, request):
        """What is sent in place of acting."""
        if self.status is None:
            return super().answer(node, request)
        error = AviError(self.status, self.words or "trouble")
        return self.late(Answer(error.document, error.status))


class AviFaults(Faults):
    """All that is planned."""

    def add(self, **what):
        """Plan one; returns it (its attribute struck tells how often it came)."""
        fault = AviFault(**what)
        with self.nitro.lock:
            self.planned.append(fault)
        return fault
