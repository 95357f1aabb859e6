"""Each request to an NSX cluster struck in turn: see struck.py. After any of them each manager and
the virtual IP present the old or the new certificate; all of them the new one if the run says that
it succeeded, and if it failed and they do not agree it says who presents which. The next run ends
with the new one on all."""

import signal

import pytest
from real.nsx import ADDRESSES, NAMES, VS, VS_NAME, LbLab, NsxLab
from struck import FULL, NUMBERS, STRIKES, Scenario, sampled, strike_at


LABELS = ["nsx1", "nsx2", "nsx3", "VIP"]


class First(Scenario):
    """From nothing. Managers that are dead are waited for, so that is short; the run that mends it
    has more time."""

    lab_class, names, varies, kept = NsxLab, [*NAMES, *ADDRESSES], 8, 0
    target = {"timeout_ms": 1000}

    def prepare(self):
        self.old = self.lab.all_shown()

    def check(self, where):
        super().check(where)
        assert len(self.lab.own()) <= 1 + self.kept, where

    def check_struck(self, where):
        self.check_mix(self.old, self.lab.all_shown(), where)
        self.shop.target["timeout_ms"] = 10000
        self.shop.write()


    def check_mix(self, old, seen, where):
        """Nobody may tell who is killed."""
        new, told = self.shop.fingerprint(), self.struck.err
        states = [
            f"{label}: the new one" if now == new else f"{label}: SHA-256 {before[:12]}..."
            for label, before, now in zip(LABELS, old, seen)
        ]  # fmt: skip
        assert set(seen) <= {new, *old}, f"{where}: neither old nor new is presented"
        if self.struck.status == 0:
            assert set(seen) == {new}, f"{where}: it says that all is well: {states}"
        elif self.struck.status != -signal.SIGKILL and new in seen and set(seen) != {new}:
            assert [one for one in states if one not in told] == [], f"{where}: it is not told"


class Renewal(First):
    """What is presented is renewed."""

    argv, kept = ["issue", "shop", "--force"], 1

    def prepare(self):
        self.shop.does("issue", "shop")
        self.old = self.lab.all_shown()


class Legacy(First):
    """As it was before 3.2, by sessions."""

    options, target = {"version": "3.1"}, {**First.target, "auth": "session"}


class Restarting(First):
    """Managers that are away for a while with each certificate."""

    options, varies = {"restart_refused": 0.1, "restart_unavailable": 2}, 30

    def check_struck(self, where):
        super().check_struck(where)
        self.lab.nsx.restart_refused, self.lab.nsx.restart_unavailable = 0.0, 0


class Servers(Scenario):
    """Three virtual servers: one's default certificate, one more for SNI, one's default again."""

    lab_class, names, others = LbLab, [VS_NAME], ("second", "third")

    def prepare(self):
        for other in self.others:
            self.lab.nsx.virtual_server(other, [other + ".example.org"])
        every = [VS, "sni:" + self.others[0], self.others[1]]
        self.shop.target.update(
            service="lb", virtual_server=every, probe=self.lab.nsx.address(VS)
        )
        self.old = [self.lab.shown(VS_NAME, one) for one in (VS, *self.others)]

    def check(self, where):
        super().check(where)
        assert len(self.lab.policy()) == 1, where
        for other in self.others:
            assert self.lab.shown(VS_NAME, other) == self.shop.fingerprint(), where

    def check_struck(self, where):
        new, every = self.shop.fingerprint(), (VS, *self.others)
        seen = [self.lab.shown(VS_NAME, server) for server in every]
        assert all(one in (old, new) for one, old in zip(seen, self.old)), where
        if self.struck.status == 0:
            assert set(seen) == {new}, f"{where}: it says that all is well"
        elif self.struck.status != -signal.SIGKILL:
            told = "could not be taken back" in self.struck.err
            assert told or seen == self.old or set(seen) == {new}, f"{where}: it is not told"


SCENARIOS = [First, Renewal, Servers, *([Legacy] if FULL else [])]
BY_NAME = {strike.__name__: strike for strike in STRIKES}
STRUCK = [
    *((scenario, strike) for scenario in SCENARIOS for strike in STRIKES),
    # Restarts take their time.
    *((Restarting, BY_NAME[name]) for name in sampled(BY_NAME, 4)),
]  # fmt: skip


@pytest.mark.parametrize("scenario, strike", STRUCK)
@pytest.mark.parametrize("number", NUMBERS)
def test_sweep__old_or_new_and_the_next_run_mends_it(scenario, strike, number):
    strike_at(scenario, strike, number)


@pytest.mark.parametrize("number", [10, 16, 19])
def test_sweep__interrupted_at_the_login_that_follows_a_change(number):
    strike_at(Legacy, BY_NAME["interrupted"], number)
