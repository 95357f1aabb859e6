"""Trouble that a test plans for a request to the simulated NSX Manager.

    nsx.faults.add(kind="certificates", action="import", status=400, code=2074, words="no")
    nsx.faults.add(number=5, wire="lost-reply")                    done, nobody hears of it
    nsx.faults.add(number=5, wire="lost-request")                  cut before it is done
    nsx.faults.add(action="apply_certificate", do=nsx.move_vip)    in the middle of things
    nsx.faults.add(number=7, times=None, do=nsx.stop_all, wire="lost-request")    dead from here on
    nsx.faults.add(kind="cluster", delay=2.0)                      slow
    nsx.faults.add(number=4, session=True)                         all sessions are gone
    nsx.faults.add(kind="health", raw=(502, "<html>Bad Gateway</html>"))

What is not said fits every request. number counts the requests that fit, from 1, since the fault
was added; times says how often it strikes from there on (None: for ever).
"""

from .ca_http import Answer
from .nitro_faults import BEFORE, Faults, Planned
from .nsx_types import REFUSED, refused


class NsxFault(Planned):
    """One fault: status is a refusal, code and words are what its body says."""

    @property
    def instead(self):
        """Is the request not acted on?"""
        return self.status is not None or self.raw is not None or self.wire == BEFORE

    def answer(self, node, request):
        """What is sent in place of acting; node: the simulator."""
        if self.status is None:
            return super().answer(node, request)
        error = refused(self.words or "trouble", self.code or REFUSED, self.status)
        return self.late(Answer(error.document(node.code_form), error.status))


class NsxFaults(Faults):
    """All that is planned."""

    def add(self, **what):
        """Plan one; returns it (its attribute struck tells how often it came)."""
        fault = NsxFault(**what)
        with self.nitro.lock:
            self.planned.append(fault)
        return fault
