"""Trouble that a test plans for a request to the simulated FlexibleEngine.

    fe.faults.add(kind="recordset", method="POST", code="DNS.0014")        refused, by its code
    fe.faults.add(service="elb", status=503)                               refused, and no JSON
    fe.faults.add(number=5, wire="lost-reply")                             done, nobody hears of it
    fe.faults.add(number=5, wire="lost-request", times=None)               dead from there on
    fe.faults.add(kind="certificate", method="POST", session=True)         the tokens are over
    fe.faults.add(kind="recordset", method="PUT", do=change)               changed by somebody else
    fe.faults.add(kind="token", code="IAM.0012", headers={"Retry-After": "1"})

What is not said fits every request. number counts the requests that fit, from 1, since the fault
was added; times says how often it strikes from there on (None: for ever).
"""

from dataclasses import dataclass

from .ca_http import Answer
from .fe_errors import CODES, FeError
from .nitro_faults import BEFORE, Faults, Planned


@dataclass
class FeFault(Planned):
    """One fault: code and status are a refusal, status alone one that is no JSON."""

    service: str = None  # iam, dns, elb
    zone: str = None
    headers: dict = None  # more of them, with whatever is answered

    def fits(self, request, writes):
        """Is it one of those?"""
        if self.service not in (None, request.service) or self.zone not in (None, request.zone):
            return False
        return super().fits(request, writes)

    @property
    def instead(self):
        """Is the request not acted on?"""
        refusal = self.code, self.status, self.raw
        return any(one is not None for one in refusal) or self.wire == BEFORE

    def answer(self, node, request):
        """What is sent in place of acting."""
        if self.code is not None:
            error = FeError(self.code, self.words, self.status)
            request.code = error.code
            answer = Answer(error.document(node), error.status)
        elif self.status is not None:
            words = f"<html>{self.words or 'trouble'}</html>"
            answer = Answer(words, self.status, type="text/html")
        else:
            answer = super().answer(node, request)
        answer.headers.update(self.headers or {})
        return self.late(answer)

    def bent(self, answer):
        """The answer, done and then spoilt."""
        answer.headers.update(self.headers or {})
        return super().bent(answer)


class FeFaults(Faults):
    """All that is planned."""

    def add(self, **what):
        """Plan one; returns it (its attribute struck tells how often it came)."""
        fault = FeFault(**what)
        if fault.code is not None and fault.code not in CODES:
            raise ValueError(f"no such code: {fault.code}")
        with self.nitro.lock:
            self.planned.append(fault)
        return fault
