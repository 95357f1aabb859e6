"""Each request to a NetScaler struck in turn: its connection cut before or after it took effect,
the appliance dead from there on, certauto killed. Old or new is served at any moment, also after a
reboot, and the next run ends with the new one and nothing left over.

A sample, another one for each build; CERTAUTO_SWEEP=full visits every point.
"""

import functools
import glob
import hashlib
import os
import random
import signal

import pytest
from conftest import BINARY
from real.netscaler import NetscalerLab

FULL = os.environ.get("CERTAUTO_SWEEP") == "full"
LAST = 50  # no run has so many requests
NAME = "shop.example.org"


def cut_before(lab, number, _process):
    """Asked in vain. Twice, as libcurl itself asks again where a connection was used before."""
    return lab.ns.faults.add(number=number, times=2, wire="lost-request")


def cut_after(lab, number, _process):
    """Done, and nobody hears of it; asked again, the same."""
    return lab.ns.faults.add(number=number, times=2, wire="lost-reply")


def dead_before(lab, number, _process):
    """From here on nothing is heard of it."""
    return lab.ns.faults.add(number=number, times=None, wire="lost-request")


def dead_after(lab, number, _process):
    """This one was done; from then on nothing is heard of it."""
    done = lab.ns.faults.add(number=number, wire="lost-reply")
    lab.ns.faults.add(number=number, times=None, wire="lost-request")
    return done


def killed_before(lab, number, process):
    """certauto itself is, before a request took effect."""
    return lab.ns.faults.add(number=number, do=lambda: process[0].send_signal(signal.SIGKILL))


def killed_after(lab, number, process):
    """certauto itself is, after a request took effect."""
    return lab.ns.faults.add(number=number, after=lambda: process[0].send_signal(signal.SIGKILL))


def interrupted(lab, number, process):
    """Ctrl-C."""
    return lab.ns.faults.add(number=number, do=lambda: process[0].send_signal(signal.SIGINT))


STRIKES = [
    cut_before, cut_after, dead_before, dead_after, killed_before, killed_after, interrupted
]  # fmt: skip


class Scenario:
    """One run, and what may be true after it."""

    options, target, argv = {}, {}, ["issue", "shop"]
    reboot, n_answers = False, 0

    def __init__(self, lab):
        self.lab = lab
        self.shop = lab.shop(NAME, target={"timeout_ms": 1500, **self.target})
        self.old = None
        self.prepare()

    def prepare(self):
        """What happens before the run that is struck."""

    def check(self, where):
        """Nothing is half done: the new one is served, and all that is there is needed."""
        lab, shop = self.lab, self.shop
        assert lab.served(NAME).fingerprint == shop.fingerprint(), where
        assert lab.left_over() == [], where
        assert len(lab.answers()) == self.n_answers, where
        assert lab.pair()["linkcertkeyname"] in lab.authorities(), where
        assert lab.bound() == [(name, False) for name in lab.pairs()], where
        assert shop.target_state() == "deployed" and shop.records() == [], where
        lab.ns.reboot()
        assert lab.served(NAME).fingerprint == shop.fingerprint(), where

    def check_struck(self, where):
        """Old or new."""
        seen = self.lab.shown(NAME)
        if seen != self.old:
            assert seen == self.shop.fingerprint(), f"{where}: neither old nor new is served"


class First(Scenario):
    """From nothing."""


class Renewal(Scenario):
    """What is served is renewed, by a CA that has changed its chain."""

    argv = ["renew", "shop"]

    def prepare(self):
        self.shop.does("issue", "shop")
        self.old = self.shop.fingerprint()
        self.shop.names.append("www." + NAME)
        self.lab.server.chain_length = 2


class RenewalRebooted(Renewal):
    """The same, and the appliance loses what was not saved."""

    reboot = True


class Pair(Renewal):
    """The same on a pair."""

    options = {"ha": True}


class Stateless(Scenario):
    """The first order that is answered by a policy for good."""

    target = {"challenge_mode": "stateless"}

    n_answers = 1


def struck(scenario_class, strike, number):
    """One point."""
    where = f"{scenario_class.__name__}, {strike.__name__} {number}"
    with NetscalerLab(BINARY, **scenario_class.options) as lab:
        scenario = scenario_class(lab)
        shop, process = scenario.shop, []
        shop.write()
        fault = strike(lab, number, process)
        with lab.ns.lock:
            process.append(shop.start(*scenario.argv))
        run = shop.finish(process[0])
        lab.ns.faults.clear()
        assert fault.struck, f"{where}: {run}"
        assert run.status in (0, 1, 75, 130, -9), f"{where}: {run}"
        scenario.check_struck(where)
        if scenario.reboot:
            lab.ns.reboot()
            scenario.check_struck(where)
        again = shop.run("renew", "shop")
        assert again.status == 0, f"{where}: {run}\nand then {again}"
        scenario.check(f"{where}: {run}\nand then {again}\n{requests(lab)}")


@functools.lru_cache
def n_requests(scenario_class):
    """How many there are when nothing happens."""
    with NetscalerLab(BINARY, **scenario_class.options) as lab:
        scenario = scenario_class(lab)
        n = len(scenario.shop.calls(*scenario.argv))
        scenario.check("undisturbed")
    return n


@functools.lru_cache
def build():
    """Tells one from another."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(os.path.dirname(BINARY), "*.so.*"))):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def requests(lab):
    """All that was asked."""
    return "\n".join(map(str, lab.ns.log))


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("scenario", [First, Renewal, RenewalRebooted, Pair, Stateless])
@pytest.mark.parametrize("number", range(1, LAST) if FULL else [None])
def test_sweep__old_or_new_and_the_next_run_mends_it(scenario, strike, number):
    n = n_requests(scenario)
    assert 15 <= n < LAST, "the requests are not seen"
    if number is None:
        seed = build() + scenario.__name__ + strike.__name__
        number = random.Random(seed).randint(1, n)
    if number <= n:
        struck(scenario, strike, number)
