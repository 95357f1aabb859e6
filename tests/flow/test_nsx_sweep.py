"""Each request to an NSX cluster struck in turn: see struck.py. At any moment each manager and the
virtual IP present the old or the new certificate, a run that succeeds leaves the new one on all of
them, and the next run ends with that."""

import pytest
from real.nsx import ADDRESSES, NAMES, VS, VS_NAME, LbLab, NsxLab
from struck import FULL, NUMBERS, STRIKES, Scenario, strike_at


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
        new = self.shop.fingerprint()
        for old, seen in zip(self.old, self.lab.all_shown()):
            assert seen in (old, new), f"{where}: neither old nor new is presented"
        self.shop.target["timeout_ms"] = 10000
        self.shop.write()


class Renewal(First):
    """What is presented is renewed."""

    argv, kept = ["issue", "shop", "--force"], 1

    def prepare(self):
        self.shop.does("issue", "shop")
        self.old = self.lab.all_shown()


class Legacy(First):
    """As it was before 3.2, by sessions."""

    options, target = {"version": "3.1"}, {**First.target, "auth": "session"}


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
        for old, server in zip(self.old, (VS, *self.others)):
            seen = self.lab.shown(VS_NAME, server)
            assert seen == old or seen == self.shop.fingerprint(), where


SCENARIOS = [First, Renewal, Servers, Legacy] if FULL else [First, Renewal, Servers]


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("number", NUMBERS)
def test_sweep__old_or_new_and_the_next_run_mends_it(scenario, strike, number):
    strike_at(scenario, strike, number)
