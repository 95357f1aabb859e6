#!/usr/bin/python3
"""make check-kill: certauto is struck at every file and network call, and the next run mends it.

usage: sweep.py PROGRAM [POINT...]

A point is "case:kind:n:action", as it is printed when an invariant does not hold: it is visited
alone. Without one every case is run once to count its calls, and then again for each of them and
each action, in as many processes as there are processors.
"""

import multiprocessing
import os
import sys
import time
from collections import Counter

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

# The path above must be set first.
from fault.cases import CASES, Broken, visit  # noqa: E402
from fault.shim import READING, built_beside  # noqa: E402
from real.proc import exit_on_sigterm  # noqa: E402

KILLS = ["kill-before", "kill-after"]
# Where a loss of power leaves something else than one after the call before: what was synced, what
# has a name, what the others have been told.
POWER = {
    "power-synced": {"fsync", "send", "spawn"},
    "power-names": {"write", "rename", "link", "symlink", "unlink", "mkdir", "send"},
}
FILE_ERRORS = ["ENOSPC", "EIO", "EROFS", "EACCES"]
OTHER_ERRORS = {
    "connect": ["ECONNREFUSED"],
    "send": ["EPIPE"],
    "recv": ["ECONNRESET"],
    "spawn": ["EAGAIN"],
}
NUISANCES = ["short", "eintr"]


def actions(kind):
    """What is done beside a call of that kind."""
    found = [] if kind in READING else list(KILLS)
    found += ["kill-twice"] if kind in {"rename", "send", "spawn"} else []
    found += [action for action, kinds in POWER.items() if kind in kinds]
    found += OTHER_ERRORS.get(kind, FILE_ERRORS)
    return found + (NUISANCES if kind in {"read", "write", "send", "recv"} else [])


def points(title, calls):
    """Every point of a case whose undisturbed run makes these calls."""
    return [
        f"{title}:{call.kind}:{call.of_kind}:{action}"
        for call in calls
        for action in actions(call.kind)
    ]


def counted_points(binary, shim, title):
    """The same, counted by a run."""
    with CASES[title].make_lab(binary, shim) as lab:
        case = CASES[title](lab)
        run, calls = case.counted()
        assert run.status == 0, f"undisturbed, it fails: {run}"
        case.again()
        case.remove()
    return points(title, calls)


def visit_some(binary, shim, title, wanted, done):
    """One process, with a lab of its own."""
    exit_on_sigterm()
    try:
        with CASES[title].make_lab(binary, shim) as lab:
            for point in wanted:
                try:
                    done.put((point, visit(lab, point), None))
                except Broken as broken:
                    done.put((point, True, str(broken)))
        done.put((None, None, None))
    except BaseException as error:
        done.put((None, None, f"the lab broke: {type(error).__name__}: {error}"))
        raise


def visit_all(binary, shim, title, wanted):
    """Visits the points of one case side by side; yields (point, there, what is broken)."""
    done = multiprocessing.Queue()
    n_workers = min(os.cpu_count() or 1, len(wanted))
    workers = [
        multiprocessing.Process(
            target=visit_some, args=(binary, shim, title, wanted[first::n_workers], done)
        )
        for first in range(n_workers)
    ]
    for worker in workers:
        worker.start()
    n_running = len(workers)
    try:
        while n_running > 0:
            point, there, broken = done.get(timeout=120)
            n_running -= point is None
            if point is not None or broken:
                yield point, there, broken
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def sweep(binary, shim, wanted_of):
    """All points of all cases; returns how many there were, by action, and what is broken."""
    n_there, all_broken = Counter(), []
    for title, wanted in wanted_of.items():
        start, n_before = time.monotonic(), sum(n_there.values())
        n_broken = len(all_broken)
        for point, there, broken in visit_all(binary, shim, title, wanted):
            if there:
                n_there[point.rsplit(":", 1)[1]] += 1
            if broken:
                all_broken.append(broken)
                print(broken, flush=True)
        print(
            f"{title}: {sum(n_there.values()) - n_before} points, "
            f"{len(all_broken) - n_broken} broken, {time.monotonic() - start:.0f} s",
            flush=True,
        )
    return n_there, all_broken


def main():
    """The whole sweep, or the points that are named."""
    if len(sys.argv) < 2:
        sys.exit(__doc__.split("\n\n")[1])
    exit_on_sigterm()
    binary, named = sys.argv[1], sys.argv[2:]
    shim = built_beside(binary)
    wanted_of = {}
    for point in named:
        wanted_of.setdefault(point.split(":")[0], []).append(point)
    if not named:
        wanted_of = {title: counted_points(binary, shim, title) for title in CASES}
    n_there, all_broken = sweep(binary, shim, wanted_of)
    for action, n in sorted(n_there.items()):
        print(f"  {action:<12} {n:5}")
    n = sum(n_there.values())
    if all_broken or n == 0:
        print(f"check-kill: {len(all_broken)} of {n} points are broken")
        sys.exit(1)
    print(f"check-kill: {n} points in {len(wanted_of)} cases, every invariant held at each")


if __name__ == "__main__":
    main()
