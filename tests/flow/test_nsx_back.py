"""The way back on an NSX cluster, when more than one thing happens: a run that was killed and one
with other options, or another certificate, that goes on and fails as well; managers that are away
while all is taken back. What was presented before the first of them is what all end with."""

import os
import signal

import pytest
from conftest import BINARY
from real.nsx import ADDRESSES, NAMES, VS, VS_NAME, LbLab, NsxLab
from sim.nsx_policy import BINDING

APPLY = {"action": "apply_certificate"}
REFUSED = {"status": 400, "words": "not so"}
BIND = {"kind": "lb-virtual-servers", "method": "PUT"}


@pytest.fixture(name="lab")
def _lab():
    with NsxLab(BINARY) as up:
        yield up


def killed(shop, **where):
    """A run that is, after the request that fits has taken effect."""
    shop.write()
    nsx, process = shop.lab.nsx, []
    nsx.faults.add(after=lambda: process[0].send_signal(signal.SIGKILL), **where)
    with nsx.lock:
        process.append(shop.start("issue", "shop"))
    assert shop.finish(process[0]).status == -signal.SIGKILL
    nsx.faults.clear()
    nsx.settle()


def record(shop, name):
    """What is noted of a job that has not ended."""
    with open(os.path.join(shop.state, "jobs", name), encoding="utf-8") as file:
        return file.read()


def test_import__its_id_is_told_and_kept_while_it_may_have_to_go(lab):
    shop = lab.shop()
    killed(shop, **APPLY)
    (name,) = lab.own()
    ident = lab.nsx.own_records()[name].id
    assert [one for one in shop.records() if ident in record(shop, one)] != []
    run = shop.does("renew", "shop")
    assert lab.own() == [name] and "imported as" not in run.err
    run = shop.does("issue", "shop", "--force")
    name = lab.own()[-1]
    assert f"edge: imported as {name} (id {lab.nsx.own_records()[name].id})" in run.err


def test_back__another_order_of_managers(lab):
    shop, old = lab.shop(), lab.all_shown()
    killed(shop, **APPLY, number=2)
    assert [one == seen for one, seen in zip(old, lab.all_shown())] == [False, False, True, True]
    shop.target["url"] = lab.nsx.node_url(1)
    lab.nsx.faults.add(**APPLY, **REFUSED, number=2)
    assert "not so" in shop.fails("renew", "shop")["message"]
    assert lab.all_shown() == old and lab.own() == []


def test_back__managers_that_are_left_out_by_then(lab):
    shop, old = lab.shop(target={"service": "node"}), lab.all_shown()
    killed(shop, **APPLY, number=1)
    shop.target["nodes"] = [lab.nsx.nodes[1].ip, lab.nsx.nodes[2].ip]
    lab.nsx.faults.add(**APPLY, **REFUSED, number=2)
    assert "not so" in shop.fails("renew", "shop")["message"]
    assert lab.all_shown() == old and lab.own() == []


def test_renew__goes_on_without_managers_that_are_left_out(lab):
    shop = lab.shop(target={"service": "node"})
    killed(shop, **APPLY, number=2)
    shop.target["nodes"] = [lab.nsx.nodes[1].ip, lab.nsx.nodes[2].ip]
    run = shop.does("renew", "shop")
    shown = lab.all_shown()
    assert shown[1:3] == [shop.fingerprint()] * 2 and shop.records() == []
    # What the killed run has done to those that are left alone is not kept quiet.
    assert shown[0] == shop.fingerprint()
    assert run.err.count("left alone now: it keeps it") == 1


def test_back__another_certificate(lab):
    shop, old = lab.shop(), lab.all_shown()
    killed(shop, **APPLY, number=2)
    lab.nsx.faults.add(**APPLY, **REFUSED, number=5)  # two are put back before
    shop.fails("issue", "shop", "--force")
    assert lab.all_shown() == old and lab.own() == []
    lab.nsx.faults.clear()
    shop.does("renew", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4 and len(lab.own()) == 1


def test_back__the_virtual_ip_alone(lab):
    shop, old = lab.shop(target={"service": "cluster", "timeout_ms": 700}), lab.all_shown()
    killed(shop, **APPLY)
    assert lab.shown_by("vip") != old[3]
    shop.target["probe"] = "127.0.0.1:1"
    assert shop.fails("renew", "shop")["code"] != "CERTAUTO_EROLLBACK"
    assert lab.all_shown() == old and lab.own() == []


def test_back__a_virtual_ip_that_was_set():
    with NsxLab(BINARY, vip=False) as lab:
        shop = lab.shop(target={"vip": lab.nsx.vip.ip, "url": lab.nsx.node_url(1)})
        old = lab.all_shown()
        killed(shop, action="set_virtual_ip")
        lab.nsx.faults.add(**APPLY, **REFUSED, number=4)
        assert "not so" in shop.fails("renew", "shop")["message"]
        assert not lab.nsx.vip_ip and lab.all_shown() == old and lab.own() == []


@pytest.mark.parametrize("auth", ["basic", "session"])
def test_back__managers_that_are_away_meanwhile(lab, auth):
    shop, old = lab.shop(target={"auth": auth}), lab.all_shown()
    lab.nsx.faults.add(**APPLY, **REFUSED, number=4)

    def slow():
        lab.nsx.restart_refused, lab.nsx.restart_unavailable = 2.5, 5

    lab.nsx.faults.add(**APPLY, number=7, do=slow)  # the last one that is put back
    assert shop.fails("issue", "shop")["code"] != "CERTAUTO_EROLLBACK"
    assert lab.all_shown() == old and lab.own() == []


def test_prove__managers_that_have_fallen_back_are_named(lab):
    """Each of them said yes, and had it; what they present at the end is what counts."""
    shop, old = lab.shop(target={"timeout_ms": 700}), lab.all_shown()
    former = lab.nsx.default_ids["API", lab.nsx.nodes[1].uuid]

    def have_it(_request):
        return len(lab.nsx.requests(**APPLY, status=200)) == len(old)

    lab.nsx.faults.add(
        kind="certificates", method="GET", when=have_it, after=lambda: lab.nsx.install(former, 2, 3)
    )
    error = shop.fails("issue", "shop")
    assert error["code"] == "CERTAUTO_ENOTSERVED"
    assert error["object"] == "nsx2,nsx3"
    for told in ("nsx1: the new one", f"nsx2: SHA-256 {old[1][:12]}", f"nsx3: SHA-256 {old[2][:12]}"):
        assert told in error["message"]
    assert lab.all_shown() == old and lab.own() == []


# ---- virtual servers ----


@pytest.fixture(name="servers")
def _servers():
    with LbLab(BINARY) as up:
        up.nsx.virtual_server("second", ["second.example.org"])
        yield up


def bindings(lab):
    return [lab.nsx.find(one)[BINDING] for one in (VS, "second")]


def test_back__the_second_of_two_servers(servers):
    shop, old = servers.server_shop(virtual_server=[VS, "second"]), bindings(servers)
    servers.nsx.faults.add(**BIND, **REFUSED, number=2)
    assert "second" in shop.fails("issue", "shop")["message"]
    assert bindings(servers) == old and servers.policy() == []


def test_back__another_order_of_servers(servers):
    shop, old = servers.server_shop(virtual_server=[VS, "second"]), bindings(servers)
    killed(shop, **BIND)
    assert bindings(servers)[0] != old[0]
    shop.target["virtual_server"] = ["second", VS]
    servers.nsx.faults.add(**BIND, **REFUSED)
    assert "second" in shop.fails("renew", "shop")["message"]
    assert bindings(servers) == old and servers.policy() == []


@pytest.mark.parametrize("is_sni", [False, True])
def test_back__another_certificate_for_servers(servers, is_sni):
    every = ["sni:" + VS if is_sni else VS, "second"]
    shop, old = servers.server_shop(virtual_server=every), bindings(servers)
    killed(shop, **BIND)
    servers.nsx.faults.add(**BIND, **REFUSED, number=3)  # one is put back before
    assert "second" in shop.fails("issue", "shop", "--force")["message"]
    assert bindings(servers) == old and servers.policy() == []
    servers.nsx.faults.clear()
    shop.does("renew", "shop")
    assert servers.shown(VS_NAME, "second") == shop.fingerprint() and len(servers.policy()) == 1


def test_back__what_is_served_has_changed_from_servers_to_managers(servers):
    """What a run with the other service has left goes before another certificate is deployed."""
    shop, old = servers.server_shop(virtual_server=[VS, "second"]), bindings(servers)
    killed(shop, **BIND)
    for name in ("virtual_server", "probe"):
        del shop.target[name]
    shop.names, shop.target["service"] = [*NAMES, *ADDRESSES], "all"
    shop.does("issue", "shop", "--force")
    assert bindings(servers) == old and servers.policy() == [] and shop.records() == []
    assert servers.all_shown() == [shop.fingerprint()] * 4


def test_lb__a_server_that_speaks_no_tls_any_more(servers):
    shop = servers.server_shop()
    servers.nsx.faults.add(**BIND, do=lambda: servers.nsx.touch(VS, **{BINDING: None}))
    assert "does not speak TLS" in shop.fails("issue", "shop")["message"]
    assert servers.policy() == []
