"""Struck at a call: killed before or after it, the power lost, the call refused; the next run mends
it, with one certificate, one account and nothing left over.

A sample of the points of make check-kill, another one for each build.
"""

import glob
import hashlib
import os
import random

import pytest
from struck import sampled

from fault import shim, sweep
from fault.cases import CASES, RenewNginx, visit

SAMPLE = 6  # of each case


def sample(binary, points, n):
    """Points chosen by what is tested: the same for the same build, so that one is found again."""
    seed = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(os.path.dirname(binary), "*.so*")) + [binary]):
        with open(path, "rb") as file:
            seed.update(file.read())
    return random.Random(seed.digest()).sample(points, n)


@pytest.mark.parametrize("title", sampled(CASES, 3))
def test_kill__struck_anywhere_the_next_run_mends_it(binary, title):
    built = shim.built_beside(binary)
    points = sweep.counted_points(binary, built, title)
    # Each kind of action has its share: there are far more errors than kills.
    ends = {*sweep.KILLS, *sweep.POWER, "kill-twice"}
    kills = [point for point in points if point.rsplit(":", 1)[1] in ends]
    errors = [point for point in points if point not in set(kills)]
    assert len(kills) > 50 and len(errors) > 50, "the calls are not seen"
    chosen = sample(binary, kills, SAMPLE // 2) + sample(binary, errors, SAMPLE // 2)
    with CASES[title].make_lab(binary, built) as lab:
        n_there = sum(visit(lab, point) for point in chosen)
    assert n_there >= SAMPLE // 2, f"most points are not there: {chosen}"


@pytest.mark.parametrize(
    "fault",
    [
        "create:*/pem/*:2:EIO",
        "link:*/pem/*:2:EIO",
        "rename:*/pem/shop.pem:1:EIO",
        "fsync:*/pem:3:EIO",
    ],
)
def test_kill__files_are_all_new_or_all_old_after_a_failure_among_them(binary, fault):
    built = shim.built_beside(binary)
    with RenewNginx.make_lab(binary, built) as lab:
        case = RenewNginx(lab)
        run = case.struck(fault)
        assert run.status == 1, str(run)
        case.settle()
        assert case.served() == case.old
        case.check_target()
        case.again()


def test_kill__what_could_not_be_tidied_up_is_tidied_up_by_the_next_run(binary):
    built = shim.built_beside(binary)
    with RenewNginx.make_lab(binary, built) as lab:
        case = RenewNginx(lab)
        # The first time it is removed before it is made.
        run = case.struck("unlink:*/.certauto-old-shop.key:2:EIO")
        assert run.status == 1 and ".certauto-old-shop.key" in run.out, str(run)
        case.again()


def test_kill__an_answer_that_could_not_be_taken_down_is_by_the_next_run(binary):
    built, n_forgotten, n_found = shim.built_beside(binary), 0, 0
    with RenewNginx.make_lab(binary, built) as lab:
        # Each of the two answers is removed before it is made, and after: in which order they are
        # made is up to the CA.
        for number in (2, 3, 4):
            case = RenewNginx(lab)
            run = case.struck(f"unlink:*/acme-challenge/[!.]*:{number}:EIO")
            if run.status == 0 and "could not be taken back" in run.err:
                n_found += 1
                n_forgotten += os.listdir(os.path.join(case.state, "jobs")) == []
            case.again()
    assert n_found > 0 and n_forgotten == 0
