"""Each request to a NetScaler struck in turn: see struck.py. Old or new is served at any moment,
also after a reboot, and the next run ends with the new one and nothing left over."""

import pytest

from real.netscaler import NetscalerLab
from struck import NUMBERS, STRIKES, Scenario, strike_at


class First(Scenario):
    """From nothing."""

    lab_class, reboot, n_answers = NetscalerLab, False, 0

    def check(self, where):
        super().check(where)
        lab = self.lab
        assert len(lab.answers()) == self.n_answers, where
        assert lab.pair()["linkcertkeyname"] in lab.authorities(), where
        assert lab.bound() == [(name, False) for name in lab.pairs()], where
        lab.ns.reboot()
        assert lab.served(self.names[0]).fingerprint == self.shop.fingerprint(), where

    def check_struck(self, where):
        super().check_struck(where)
        if self.reboot:
            self.lab.ns.reboot()
            super().check_struck(where)


class Renewal(First):
    """What is served is renewed, by a CA that has changed its chain."""

    argv = ["renew", "shop"]

    def prepare(self):
        self.shop.does("issue", "shop")
        self.old = self.shop.fingerprint()
        self.shop.names.append("www." + self.names[0])
        self.lab.server.chain_length = 2


class RenewalRebooted(Renewal):
    """The same, and the appliance loses what was not saved."""

    reboot = True


class Pair(Renewal):
    """The same on a pair."""

    options = {"ha": True}


class Stateless(First):
    """The first order that is answered by a policy for good."""

    target, n_answers = {"challenge_mode": "stateless"}, 1


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("scenario", [First, Renewal, RenewalRebooted, Pair, Stateless])
@pytest.mark.parametrize("number", NUMBERS)
def test_sweep__old_or_new_and_the_next_run_mends_it(scenario, strike, number):
    strike_at(scenario, strike, number)
