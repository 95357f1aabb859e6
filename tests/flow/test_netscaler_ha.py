"""A pair of NetScalers: written to on the primary only, wherever that is, in sync afterwards."""

import pytest
from conftest import BINARY
from real.netscaler import NetscalerLab, challenges
from real.simulated import kinds, writes


@pytest.fixture(name="lab")
def _lab():
    with NetscalerLab(BINARY, ha=True) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    return lab.shop("shop.example.org")


def both(lab, shop):
    """Whichever node is the primary serves the current certificate."""
    for _ in range(2):
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        assert len(lab.files()) == 3 and lab.answers() == []
        lab.ns.failover()


def both_for_good(lab, shop):
    """After a reboot, too."""
    both(lab, shop)
    assert lab.is_whole()
    lab.ns.reboot()
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_pair__both_nodes_have_it_all(lab, shop):
    shop.does("issue", "shop")
    both_for_good(lab, shop)
    calls = shop.calls("renew", "--force")
    assert len(calls) - len(challenges(calls)) <= 16
    both_for_good(lab, shop)


@pytest.mark.parametrize("how", ["refuse", "lose"])
def test_secondary__addressed_leads_to_the_primary(lab, shop, how):
    lab.ns.secondary_writes = how
    lab.ns.failover()
    calls = shop.calls("issue", "shop")
    assert {call.node for call in writes(calls)} == {lab.ns.primary.name}
    both_for_good(lab, shop)


def test_secondary__is_refused_where_it_must_not_be_left(lab):
    lab.ns.failover()
    shop = lab.shop("shop.example.org", target={"ha": "stay"})
    run = shop.does("check", status=3)
    assert "secondary" in run.err.lower()
    error = shop.fails("issue", "shop")
    assert "secondary" in error["message"].lower()
    assert writes(lab.ns.log) == []
    lab.ns.failover()
    shop.does("renew", "shop")
    both_for_good(lab, shop)


@pytest.mark.parametrize("how", ["refuse", "lose"])
@pytest.mark.parametrize("nth", range(2, 20, 3))
def test_failover__in_the_middle_begins_anew_on_the_other_node(lab, shop, nth, how):
    shop.does("issue", "shop")
    lab.ns.secondary_writes = how
    lab.ns.faults.add(number=nth, do=lab.ns.failover)
    shop.write()
    run = shop.run("renew", "shop", "--force")
    if run.status != 0:
        shop.does("renew", "shop")
    both_for_good(lab, shop)
    assert shop.target_state() == "deployed" and shop.records() == []


def test_sync__is_awaited_before_the_old_files_go(lab, shop):
    shop.does("issue", "shop")
    lab.ns.sync = "IN PROGRESS"

    def synchronize():
        assert len(lab.files()) == 5, "the secondary still needs the old ones"
        lab.ns.sync = "SUCCESS"

    # At login, before the switch, and after the save until it is done.
    lab.ns.faults.add(kind="hanode", number=5, do=synchronize)
    calls = shop.calls("renew", "shop", "--force")
    assert kinds(calls).count("hanode") == 5
    both(lab, shop)


@pytest.mark.parametrize("state", ["FAILED", "DISABLED"])
def test_sync__that_does_not_work_is_told(lab, shop, state):
    shop.does("issue", "shop")
    lab.ns.sync = state
    run = shop.does("renew", "shop", "--force")
    assert state in run.err and "other node" in run.err
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    lab.ns.sync = "SUCCESS"
    both(lab, shop)
