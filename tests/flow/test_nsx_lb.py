"""Certificates for virtual servers of the NSX load balancer: a new object for each, its path in
place of the one before, under the revision that was read."""

import pytest
from conftest import BINARY
from real.nsx import VS, VS_NAME, LbLab, kinds
from real.simulated import KEY, writes
from sim.nsx_policy import BINDING, DEFAULT_PATH, SNI_PATHS

OTHER = "www.example.org"


@pytest.fixture(name="lab")
def _lab():
    with LbLab(BINARY) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    return lab.server_shop()


def test_lb__the_default_is_replaced_wherever_it_stands(lab, shop):
    old = lab.binding()[DEFAULT_PATH]
    lab.nsx.touch(
        VS,
        rules=[{"actions": [{"type": "x", "certificate_path": old}]}],
        server_ssl_profile_binding={"client_certificate_path": old, "server_auth": "IGNORE"},
    )
    others = lab.binding()[SNI_PATHS]
    calls = shop.calls("issue", "shop")
    assert lab.shown(VS_NAME) == shop.fingerprint()
    new = lab.binding()[DEFAULT_PATH]
    assert new.startswith(f"/infra/certificates/certauto-shop-{KEY}-")
    assert lab.nsx.find(VS)["rules"][0]["actions"][0]["certificate_path"] == new
    pool = lab.nsx.find(VS)["server_ssl_profile_binding"]
    assert pool == {"client_certificate_path": new, "server_auth": "IGNORE"}
    assert lab.binding()[SNI_PATHS] == others and old in lab.nsx.policy
    assert kinds(writes(calls)) == ["PUT policy-certificates", "PUT lb-virtual-servers"]
    assert shop.target_state() == "deployed" and shop.records() == []


def test_lb__a_second_run_writes_nothing(lab, shop):
    shop.does("issue", "shop")
    calls = shop.calls("deploy", "shop")
    assert writes(calls) == [] and calls


def test_lb__one_for_sni_is_added_and_then_replaced(lab):
    shop = lab.server_shop(OTHER, virtual_server=["sni:" + VS])
    default, before = lab.binding()[DEFAULT_PATH], list(lab.binding()[SNI_PATHS])
    for again in ([], ["--force"]):
        shop.does("issue", "shop", *again)
        assert lab.shown(OTHER) == shop.fingerprint()
        assert lab.binding()[DEFAULT_PATH] == default
        assert lab.binding()[SNI_PATHS][:-1] == before


def test_lb__superseded_certificates_go_but_for_one(lab, shop):
    for _ in range(3):
        shop.does("issue", "shop", "--force")
    assert lab.shown(VS_NAME) == shop.fingerprint() and len(lab.policy()) == 2
    shop.target["keep_old"] = 0
    shop.does("issue", "shop", "--force")
    assert len(lab.policy()) == 1


def test_lb__somebody_else_changes_it_at_the_same_time(lab, shop):
    lab.nsx.faults.add(
        kind="lb-virtual-servers", method="PUT",
        do=lambda: lab.nsx.touch(VS, description="of somebody else"),
    )  # fmt: skip
    shop.does("issue", "shop")
    assert lab.shown(VS_NAME) == shop.fingerprint()
    assert lab.nsx.find(VS)["description"] == "of somebody else"


def test_lb__somebody_else_who_does_not_stop_changing_it(lab, shop):
    binding = lab.binding()
    lab.nsx.faults.add(
        kind="lb-virtual-servers", method="PUT", times=None,
        do=lambda: lab.nsx.touch(VS, description="of somebody else"),
    )  # fmt: skip
    error = shop.fails("issue", "shop", status=75)
    assert "412" in error["message"] and VS in error["message"]
    assert lab.binding() == binding and lab.policy() == []
    assert len(lab.nsx.requests(kind="lb-virtual-servers")) < 20, "it is not tried for ever"


def test_lb__what_is_protected_is_changed_on_request_only():
    with LbLab(BINARY) as lab:
        lab.nsx.policy[f"/infra/lb-virtual-servers/{VS}"].protected = True
        shop = lab.server_shop()
        error = shop.fails("issue", "shop")
        assert "protected" in error["message"] and writes(lab.log) == []
        shop.target["allow_overwrite"] = True
        shop.does("issue", "shop")
        assert lab.shown(VS_NAME) == shop.fingerprint()


def test_lb__what_is_not_served_is_taken_back(lab, shop):
    old, seen = lab.nsx.find(VS), lab.shown(VS_NAME)
    shop.target.update(probe="127.0.0.1:1", timeout_ms=500)
    shop.fails("issue", "shop")
    assert lab.shown(VS_NAME) == seen and lab.policy() == []
    assert lab.nsx.find(VS)[BINDING] == old[BINDING]


def test_lb__one_for_sni_that_is_not_served_is_taken_back(lab):
    shop = lab.server_shop(
        OTHER, virtual_server=["sni:" + VS], probe="127.0.0.1:1", timeout_ms=500
    )
    old = lab.nsx.find(VS)
    shop.fails("issue", "shop")
    assert lab.nsx.find(VS)[BINDING] == old[BINDING] and lab.policy() == []


def test_lb__lost_paths_are_noticed(lab):
    lab.nsx.lose_sni = True
    shop = lab.server_shop(OTHER, virtual_server=["sni:" + VS])
    error = shop.fails("issue", "shop")
    assert "read back" in error["message"] and VS in error["message"]


def test_lb__a_virtual_server_that_is_not_there_is_named(lab):
    shop = lab.server_shop(virtual_server=["nobody"])
    error = shop.fails("issue", "shop")
    assert "nobody" in error["message"] and writes(lab.log) == []
    run = shop.does("target", "test", "edge", status=1)
    assert "nobody" in run.err and "not the name that is shown" in run.err
