"""Each request to an Avi controller struck in turn: see struck.py. Old or new is served at any
moment, and the next run ends with the new one, no policy set left, port 80 as it was."""

import pytest

from real.avi import NAMES, AviLab
from struck import FULL, NUMBERS, STRIKES, Scenario, strike_at


class First(Scenario):
    """From nothing."""

    lab_class = AviLab

    def prepare(self):
        self.old = self.lab.shown(self.names[0])

    def check(self, where):
        super().check(where)
        (pair,) = self.lab.pairs().items()
        assert pair[1]["ca_certs"][0]["name"] in self.lab.authorities(), where
        assert self.lab.bound() == [pair[0]], where


class Renewal(First):
    """What is served is renewed for two names, by a CA that has changed its chain, where port 80 is
    closed."""

    options, argv, varies = {"http": ()}, ["renew", "shop"], 6

    def prepare(self):
        self.shop.does("issue", "shop")
        self.old = self.shop.fingerprint()
        self.shop.names.append(NAMES[1])
        self.lab.server.chain_length = 2


class FirstClosed(First):
    """From nothing, where port 80 is closed."""

    options = {"http": ()}


class RenewalOpen(Renewal):
    """As a renewal is where port 80 is open."""

    options = {}


SCENARIOS = [First, Renewal, FirstClosed, RenewalOpen] if FULL else [First, Renewal]


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("number", NUMBERS)
def test_sweep__old_or_new_and_the_next_run_mends_it(scenario, strike, number):
    strike_at(scenario, strike, number)
