"""A thousand orders at once, on one thread, against the simulated CA in a process of its own.

Pebble 2.4 stops for ever with that many orders in flight, so it cannot be asked.
"""

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import dataclass

from real.proc import Server

ORDERS = 1000
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class SimulatedCA(Server):
    """tests/sim/ca.py as a program: what it spends on requests is its own CPU time."""

    def __init__(self, folder, **options):
        argv = [
            sys.executable, "-B", "-m", "sim.ca", "--folder", folder, "--options",
            json.dumps({"validate": False, "wildcards": True, **options}),
        ]  # fmt: skip
        super().__init__("ca", argv, folder, {"PYTHONPATH": TESTS})
        self.said = {}

    def ready(self):
        for line in self.log().splitlines():
            if line.startswith("{") and line.endswith("}"):
                self.said = json.loads(line)
        return bool(self.said)

    def ask(self, what):
        """One of its own pages: "counts" or "cpu"."""
        base = self.said["directory"].rsplit("/", 1)[0]
        context = ssl.create_default_context(cafile=self.said["ca_file"])
        with urllib.request.urlopen(f"{base}/{what}", context=context, timeout=10) as answer:
            return json.load(answer)


@dataclass
class Thousand:
    """What came of it."""

    wall_s: float
    cpu_s: float
    memory_kib: int  # above what it was before the first order
    descriptors: int  # more than before
    issued: int
    failed: int
    server_s: float  # what the server alone needed for the same requests
    own_s: float  # what of it were keys and signatures of our own
    verifying_s: float  # and what verifying the CA's
    counts: dict
    said: str

    @property
    def ratio(self):
        """Wall time to the larger of what must be done in any case."""
        return self.wall_s / max(self.server_s, self.own_s)

    @property
    def ratio_with_verifying(self):
        """The same where the CA's signatures, which must be verified, count as our own work."""
        return self.wall_s / max(self.server_s, self.own_s + self.verifying_s)


def compile_program(folder, build):
    """thousand.c, linked with the library that was built."""
    out = os.path.join(folder, "thousand")
    root = os.path.dirname(TESTS)
    source = os.path.join(TESTS, "bench", "thousand.c")
    command = [os.environ.get("CC", "cc"), "-O2", "-I" + os.path.join(root, "include"), source]
    library = os.path.join(build, "libcertauto.so")
    subprocess.run([*command, "-o", out, library, "-Wl,-rpath," + build, "-rdynamic", "-ldl"], check=True)
    return out


def run(folder, build, orders=ORDERS, **options):
    """Start them together, wait for all; returns a Thousand."""
    program = compile_program(folder, os.path.abspath(build))
    with SimulatedCA(folder, **options) as ca:
        spent = ca.ask("cpu")["cpu_s"]
        done = subprocess.run(
            [program, ca.said["directory"], str(orders), ca.said["ca_file"]],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        spent = ca.ask("cpu")["cpu_s"] - spent
        counts = ca.ask("counts")
    if done.returncode != 0:
        raise RuntimeError(f"thousand ended with status {done.returncode}: {done.stderr[-2000:]}")
    numbers = map(int, done.stdout.split())
    wall, cpu, own, verifying, before, peak, issued, failed, fds, fds_after = numbers
    return Thousand(
        wall / 1e6, cpu / 1e6, peak - before, fds_after - fds, issued, failed, spent,
        own / 1e6, verifying / 1e6, counts, done.stderr[-2000:],
    )  # fmt: skip
