"""Ctrl-C and kill -9 at any moment: cleaned up, and the next run goes on.

A moment is each piece that goes to the CA and each command that goes to HAProxy, before and after
it took effect. A sample of them is visited, a different one for each signal; CERTAUTO_SWEEP=full
visits all.
"""

import contextlib
import os
import signal

import pytest
from real import tls
from real.proxies import AdminProxy, TcpProxy

FULL = os.environ.get("CERTAUTO_SWEEP") == "full"
STRIDE = 1 if FULL else 5
LAST = 200  # no run has so many moments


class Moments:
    """Counts the moments of one run and strikes it with a signal at one of them."""

    def __init__(self, number, which):
        self.number = number
        self.which = which
        self.n_seen = 0
        self.process = None
        self.struck = False

    def strike(self):
        """One moment has come."""
        self.n_seen += 1
        if self.n_seen == self.number and self.process:
            self.process.send_signal(self.which)
            self.struck = True

    def admin(self, command, forward):
        """Hook of the proxy before HAProxy."""
        self.strike()
        answer = forward(command)
        self.strike()
        return answer

    def network(self, _proxy, _connection, to_server, length):
        """Hook of the proxy before the CA."""
        if to_server:
            self.strike()
        return length


@contextlib.contextmanager
def watched(lab, name, moments):
    """The usual command, its conversations seen by moments."""
    path = os.path.join(lab.new_folder("admin"), "admin.sock")
    with AdminProxy(path, lab.haproxy.socket, moments.admin), TcpProxy(
        lab.pebble.port, moments.network
    ) as ca:
        yield lab.shop(
            name, target={"socket": path}, account={"server": f"https://127.0.0.1:{ca.port}/dir"}
        )


def struck_at(lab, name, number, which):
    """Issue, struck at one moment, then again undisturbed. False: there are not so many."""
    moments = Moments(number, which)
    with watched(lab, name, moments) as shop:
        issued = lab.pebble.issued()
        moments.process = shop.start("issue", "shop")
        run = shop.finish(moments.process)
        if not moments.struck:
            assert run.status == 0, str(run)
            return False
        if which == signal.SIGINT:
            # 0: it struck when everything was done.
            assert run.status in (130, 0), f"moment {number}: {run}"
            assert lab.haproxy.challenges() == [], f"moment {number}: a token was left\n{run}"
            assert [
                line for line in lab.haproxy.certificates() if line.startswith("*")
            ] == [], f"moment {number}"
        else:
            assert run.status in (-signal.SIGKILL, 0), f"moment {number}: {run}"
        moments.process = None
        again = shop.run("issue", "shop")
        assert again.status == 0, f"moment {number}: {run}\nand then {again}"
        lineage = shop.lineage("shop")
        seen = tls.served(lab.haproxy.tls_port, name, "ecdsa", lab.pebble.roots())
        assert seen.fingerprint == lineage["issued"]["fingerprint_sha256"], f"moment {number}"
        assert lineage["targets"][0]["state"] == "deployed", f"moment {number}"
        assert (
            lab.haproxy.challenges() == []
        ), f"moment {number}: a token was left\n{run}\nand then {again}"
        assert os.path.isfile(
            lab.haproxy.crt(name + ".pem")
        ), f"moment {number}: no file\n{run}\nand then {again}"
        state = os.path.join(os.path.dirname(shop.config_file), "state")
        assert os.listdir(os.path.join(state, "jobs")) == [], f"moment {number}"
        generations = [
            entry
            for entry in os.listdir(os.path.join(state, "certs/shop/ecdsa-p256"))
            if entry.startswith("gen-")
        ]
        assert len(generations) == 1, f"moment {number}: {generations}"
        assert lab.pebble.issued() - issued == 1, f"moment {number}: more than one certificate"
    return True


@pytest.mark.parametrize("which, first", [(signal.SIGINT, 1), (signal.SIGKILL, 3)])
def test_issue__interrupted_at_any_moment_goes_on(calm_lab, name, which, first):
    n_struck = 0
    for number in range(first, LAST, STRIDE):
        if not struck_at(calm_lab, f"m{number}.{which.name.lower()}.{name}", number, which):
            break
        n_struck += 1
    assert n_struck >= 20 // STRIDE, "the moments are not seen"


def test_issue__terminated_is_status_143_and_cleaned_up(calm_lab, name):
    lab = calm_lab
    moments = Moments(12, signal.SIGTERM)
    with watched(lab, name, moments) as shop:
        moments.process = shop.start("issue", "shop")
        run = shop.finish(moments.process)
    assert moments.struck and run.status == 143, run
    assert lab.haproxy.challenges() == []
