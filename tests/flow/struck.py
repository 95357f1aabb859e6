"""Runs with a simulated device of which one request is struck: its connection cut before or after
it took effect, the device dead from there on, certauto killed. The next run must mend it.

A sample, another one for each build; CERTAUTO_SWEEP=full visits every point.
"""

import functools
import glob
import hashlib
import os
import random
import signal
import zlib

from conftest import BINARY

FULL = os.environ.get("CERTAUTO_SWEEP") == "full"
LAST = 50  # no run has so many requests
NUMBERS = range(1, LAST) if FULL else [None]


def cut_before(device, number, _process):
    """Asked in vain. Twice, as libcurl itself asks again where a connection was used before."""
    return device.faults.add(number=number, times=2, wire="lost-request")


def cut_after(device, number, _process):
    """Done, and nobody hears of it; asked again, the same."""
    return device.faults.add(number=number, times=2, wire="lost-reply")


def dead_before(device, number, _process):
    """From here on nothing is heard of it."""
    return device.faults.add(number=number, times=None, wire="lost-request")


def dead_after(device, number, _process):
    """This one was done; from then on nothing is heard of it."""
    done = device.faults.add(number=number, wire="lost-reply")
    device.faults.add(number=number, times=None, wire="lost-request")
    return done


def killed_before(device, number, process):
    """certauto itself is, before a request took effect."""
    return device.faults.add(number=number, do=lambda: process[0].send_signal(signal.SIGKILL))


def killed_after(device, number, process):
    """certauto itself is, after a request took effect."""
    return device.faults.add(number=number, after=lambda: process[0].send_signal(signal.SIGKILL))


def interrupted(device, number, process):
    """Ctrl-C."""
    return device.faults.add(number=number, do=lambda: process[0].send_signal(signal.SIGINT))


STRIKES = [
    cut_before, cut_after, dead_before, dead_after, killed_before, killed_after, interrupted
]  # fmt: skip


class Scenario:
    """One run, and what may be true after it. names: of the certificate. varies: how many requests
    fewer there may be next time, as those for several names go side by side. struck: how the run
    ended that was."""

    lab_class, options, target, varies = None, {}, {}, 0
    names, argv = ["shop.example.org"], ["issue", "shop"]

    def __init__(self, lab):
        self.lab = lab
        self.shop = lab.shop(*self.names, target={"timeout_ms": 1500, **self.target})
        self.old = self.struck = None
        self.prepare()

    @classmethod
    def new_lab(cls):
        """To be used in a with block."""
        return cls.lab_class(BINARY, **cls.options)

    def prepare(self):
        """What happens before the run that is struck."""

    def check(self, where):
        """Nothing is half done: the new one is served, and all that is there is needed."""
        assert self.lab.served(self.names[0]).fingerprint == self.shop.fingerprint(), where
        assert self.lab.left_over() == [], where
        assert self.shop.target_state() == "deployed" and self.shop.records() == [], where

    def check_struck(self, where):
        """Old or new."""
        seen = self.lab.shown(self.names[0])
        if seen != self.old:
            assert seen == self.shop.fingerprint(), f"{where}: neither old nor new is served"


def strike_once(scenario_class, strike, number, is_sure):
    """One point. is_sure: there is one."""
    where = f"{scenario_class.__name__}, {strike.__name__} {number}"
    with scenario_class.new_lab() as lab:
        scenario = scenario_class(lab)
        shop, process = scenario.shop, []
        shop.write()
        fault = strike(lab.device, number, process)
        with lab.device.lock:
            process.append(shop.start(*scenario.argv))
        run = shop.finish(process[0])
        lab.device.faults.clear()
        assert fault.struck or (not is_sure and run.status == 0), f"{where}: {run}"
        assert run.status in (0, 1, 75, 130, -9), f"{where}: {run}"
        scenario.struck = run
        scenario.check_struck(f"{where}: {run}")
        again = shop.run("renew", "shop")
        assert again.status == 0, f"{where}: {run}\nand then {again}"
        asked = "\n".join(map(str, lab.log))
        scenario.check(f"{where}: {run}\nand then {again}\n{asked}")


@functools.lru_cache
def n_requests(scenario_class):
    """How many there are when nothing happens."""
    with scenario_class.new_lab() as lab:
        scenario = scenario_class(lab)
        n = len(scenario.shop.calls(*scenario.argv))
        scenario.check("undisturbed")
    return n


@functools.lru_cache
def _build():
    """Tells one from another."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(os.path.dirname(BINARY), "*.so.*"))):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def sampled(names, one_of):
    """One name of so many: others for each build, all of them in a full sweep."""
    names = list(names)
    chosen = [name for name in names if zlib.crc32(f"{_build()} {name}".encode()) % one_of == 0]
    return names if FULL else chosen or names[:1]


def strike_at(scenario, strike, number):
    """The request of that number, or None: one of all."""
    n = n_requests(scenario)
    assert 12 <= n < LAST, "the requests are not seen"
    if number is None:
        number = random.Random(_build() + scenario.__name__ + strike.__name__).randint(1, n)
    if number <= n:
        strike_once(scenario, strike, number, number <= n - scenario.varies)
