"""Many threads, contexts and cancels: nothing is lost. CERTAUTO_STRESS_S says for how long."""

import json
import os
import subprocess
import sys

import certauto
import pytest
from conftest import PACKAGE, ROOT, allocated, descriptors

from bench.thousand import SimulatedCA

ROUNDS = 150
SECONDS = float(os.environ.get("CERTAUTO_STRESS_S", "60"))


def test_stress__threads_with_random_cancels(tmp_path):
    """In a process of its own, which may crash, and where nobody else allocates anything."""
    with SimulatedCA(str(tmp_path), keep_log=False) as ca:
        run = subprocess.run(
            [sys.executable, "-B", "-W", "error", "-X", "faulthandler",
             os.path.join(ROOT, "tests", "python", "stress.py"), ca.said["directory"],
             ca.said["ca_file"], str(tmp_path), str(SECONDS)],
            env={**os.environ, "PYTHONPATH": PACKAGE}, stdout=subprocess.PIPE, text=True,
            timeout=SECONDS + 300, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout
    report = json.loads(run.stdout)
    print(run.stdout)  # pytest shows it whole when something below does not hold
    assert report["failures"] == []
    ends = {end for told in report["told"] for end in told.split(", ")[1:]}
    assert ends == {"done", "cancelled", "stopped"} and len(report["told"]) > 11
    done, grown = sum(report["told"].values()), report["grown"]
    assert done > 3 * SECONDS
    # 16 bytes for each thing done would be seen; what the system has given is never so exact.
    assert grown["c_kib"] < 64 + done / 64, report
    assert grown["python_blocks"] < 2000 + done / 8, report
    assert grown["rss_kib"] < 16 * 1024, report
    assert grown["descriptors"] <= 0 and grown["threads"] <= 0, report


@pytest.mark.parametrize("what", ["objects", "errors", "events", "targets", "jobs"])
def test_leak__nothing_grows(what, tmp_path):
    def objects():
        with certauto.Context() as cx:
            key = cx.key()
            csr = cx.csr(key, ["a.example.org", "b.example.org"])
            chain = key.self_sign(csr, 1999999999)
            assert chain.pem() and key.pem() and csr.names and chain.names and repr(chain)
            assert cx.target("haproxy").options and cx.account("letsencrypt").server

    def errors():
        with certauto.Context() as cx:
            for bad in ("key", "csr", "target", "fleet"):
                try:
                    {
                        "key": lambda: cx.key("nonsense"),
                        "csr": lambda: cx.csr_from(b"nonsense"),
                        "target": lambda: cx.target("files", nonsense="1"),
                        "fleet": lambda: cx.fleet_from("nonsense"),
                    }[bad]()
                except certauto.Error:
                    continue
                raise AssertionError(bad)

    class Device:
        caps = certauto.Capability.HTTP01

        def present(self, work):
            assert work.name and work.token and work.option("challenge_check")
            raise ValueError("no")

    def targets():
        with certauto.Context() as cx:
            target = cx.target(Device(), challenge_check=False)
            with pytest.raises(ValueError):
                target.present("http-01", "a.example.org", "token", "token.x")

    def events():
        # Contexts and callbacks that refer to one another, never closed.
        cx = certauto.Context()
        cx.on_event = lambda event: cx
        cx.run(0)

    def jobs():
        with certauto.Context() as cx:
            order = cx.account("https://127.0.0.1:1/").order(cx.csr(cx.key(), ["a.example.org"]))
            order.use("http-01", cx.target("files", webroot=tmp_path, challenge_check=False))
            job = order.start()
            if len(repr(job)) % 2:
                cx.run(0)

    once = {"objects": objects, "errors": errors, "events": events, "targets": targets,
            "jobs": jobs}[what]  # fmt: skip
    for _ in range(40):
        once()
    before = *allocated(), descriptors()
    for _ in range(ROUNDS):
        once()
    grown = [now - then for now, then in zip((*allocated(), descriptors()), before)]
    # What is left over once is not a leak; what is lost each time is at least this much.
    assert grown[0] < 16 * ROUNDS and grown[1] < ROUNDS and grown[2] <= 0, grown
