"""Each request to FlexibleEngine struck in turn: see struck.py. Old or new is served at any moment,
and the next run ends with the new one, no record left, no certificate that nobody uses."""

import pytest

from real.flexibleengine import BY_HAND, ZONE, FeLab
from struck import FULL, NUMBERS, STRIKES, Scenario, strike_at

NAMES = ["shop.example.org", "*.shop.example.org"]
RECORD = "_acme-challenge.shop.example.org"


class First(Scenario):
    """From nothing, for a name and all below it."""

    lab_class, options, names, varies = FeLab, {"pending_s": 0}, NAMES, 6

    def prepare(self):
        self.old = self.lab.shown(self.names[0])

    def check(self, where):
        super().check(where)
        assert len(self.lab.own()) == 1 and BY_HAND in self.lab.fe.names("certificate"), where
        assert self.lab.served("any.shop.example.org"), where


class Renewal(First):
    """What is served is renewed in place."""

    argv = ["renew", "shop", "--force"]

    def prepare(self):
        self.shop.does("issue", "shop")
        self.old = self.shop.fingerprint()


class RenewalNew(Renewal):
    """It is renewed by another one, at two places of the listener. The record set has somebody
    else's value, too, and takes its time."""

    options, theirs = {"pending_s": 0.02}, ['"theirs"']

    def check(self, where):
        assert self.lab.fe.txt(RECORD)["records"] == self.theirs, where
        self.lab.fe.put(ZONE, RECORD, "TXT")
        super().check(where)

    def prepare(self):
        self.lab.fe.put(ZONE, RECORD, "TXT", *self.theirs)
        entry = self.shop.target["listener"][0]
        self.shop.target.update(update="new", listener=[entry, "sni:" + entry])
        super().prepare()


class FirstOld(First):
    """From nothing, where the load balancer is a shared one and v2.0 all there is."""

    options = {**First.options, "elb_apis": ("v2.0",)}

    def prepare(self):
        self.lab.add_listener("shared", dedicated=False)
        shared = self.lab.fe.find("listener", "shared")["id"]
        self.shop.target.update(listener=[shared], probe=self.lab.https("shared"))
        self.lab.fe.remove("listener", "shop")
        self.lab.usual = "shared"
        super().prepare()


SCENARIOS = [First, Renewal, RenewalNew, FirstOld] if FULL else [Renewal, RenewalNew]


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("number", NUMBERS)
def test_sweep__old_or_new_and_the_next_run_mends_it(scenario, strike, number):
    strike_at(scenario, strike, number)
