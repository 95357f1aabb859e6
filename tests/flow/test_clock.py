"""A wall clock that is wrong: told, and nothing done that would be regretted."""

import pytest
from conftest import FlowLab
from real import tls

MINUTE, HOUR, YEAR = 60, 3600, 365 * 24 * 3600
LIFE_S = 75 * MINUTE  # renewal is due after half of it


@pytest.fixture(scope="module")
def short_lab():
    """A CA whose certificates live so short that half of their life is less than an hour."""
    with FlowLab(nonce_reject=50, validity_s=LIFE_S) as up:
        yield up


def issued(lab, name, env=None):
    """A certificate that is issued and deployed; returns the command and the run."""
    shop = lab.shop(name)
    run = shop.run("issue", "shop", env=env)
    assert run.status == 0, str(run)
    return shop, run


def test_clock__years_behind_stops_before_the_ca_is_asked_for_anything(lab, clock, name):
    shop = lab.shop(name)
    orders = lab.pebble.orders()
    run = shop.run("issue", "shop", env=clock(-20 * YEAR))
    assert run.status == 1, run
    assert "clock" in run.err
    assert lab.pebble.orders() == orders


def test_clock__years_ahead_is_told_and_the_old_certificate_is_served(lab, clock, name):
    shop, _ = issued(lab, name)
    before = tls.served(lab.haproxy.tls_port, name).fingerprint
    orders = lab.pebble.orders()
    run = shop.run("renew", env=clock(20 * YEAR))
    assert run.status != 0, run
    assert "clock" in run.err
    assert lab.pebble.orders() == orders
    assert tls.served(lab.haproxy.tls_port, name).fingerprint == before


def test_clock__hours_ahead_is_told_and_the_old_certificate_is_served(short_lab, clock, name):
    # By such a clock the CA's new certificates are expired when they arrive.
    lab = short_lab
    shop, _ = issued(lab, name)
    before = tls.served(lab.haproxy.tls_port, name).fingerprint
    run = shop.run("renew", env=clock(2 * HOUR))
    assert run.status != 0, run
    assert "clock" in run.err
    assert tls.served(lab.haproxy.tls_port, name).fingerprint == before
    assert shop.lineage("shop")["issued"]["fingerprint_sha256"] == before


def test_clock__minutes_wrong_is_a_warning(lab, clock, name):
    _, run = issued(lab, name, clock(10 * MINUTE))
    assert "clock" in run.err


def test_clock__right_is_not_mentioned(lab, clock, name):
    _, run = issued(lab, name, clock(0))
    assert "clock" not in run.err


def test_renew__is_due_when_half_of_a_short_life_is_left(short_lab, clock, name):
    lab = short_lab
    shop, _ = issued(lab, name)
    lineage = shop.lineage("shop")
    life = lineage["issued"]["not_after"] - lineage["issued"]["not_before"]
    half = lineage["issued"]["not_after"] - life // 2
    before = tls.served(lab.haproxy.tls_port, name).fingerprint
    orders = lab.pebble.orders()
    assert lineage["renew_at"] <= half + 1
    if not lab.pebble.has_renewal_information():  # else the CA may wish it earlier
        assert lineage["renew_at"] >= half - 1
        run = shop.run("renew", env=clock(LIFE_S // 2 - 5 * MINUTE))
        assert run.status == 0, run
        assert lab.pebble.orders() == orders, "it was not due yet"
    # It is ordered. By that clock the CA, which has another, gives it less than an hour to live, so
    # that it is not accepted.
    run = shop.run("renew", env=clock(LIFE_S // 2 + 5 * MINUTE))
    assert lab.pebble.orders() == orders + 1, run
    assert "clock" in run.err
    assert tls.served(lab.haproxy.tls_port, name).fingerprint == before
