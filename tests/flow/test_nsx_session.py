"""Who asks the managers of an NSX cluster: sessions that hold on one of them only and end with each
restart, accounts of a directory, what an account needs and no more, keys that managers make."""

import json

import pytest
from conftest import BINARY
from real.nsx import NsxLab
from sim.nsx import CSR_RIGHTS, LEAST_RIGHTS, LEGACY_RIGHTS, VIP_IP
from sim.nsx_certs import Maker, pem

NAME = "nsx.example.org"


@pytest.fixture(name="lab")
def _lab():
    with NsxLab(BINARY) as up:
        yield up


def account(lab, shop, rights, **more):
    """The shop's account is one with these rights from now on."""
    lab.nsx.account("certauto", "right", rights, **more)
    shop.target.update(user="certauto", password={"file": shop.lab.password_file("right")})


def logins(calls):
    return [call.via for call in calls if call.kind == "session" and call.id == "create"]


def test_session__holds_where_it_was_made(lab):
    shop = lab.shop(target={"auth": "session"})
    calls = shop.calls("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4
    assert {call.login for call in calls if call.kind != "session"} <= {"session", None}
    assert not any(one.sessions for one in lab.nsx.nodes), "somebody was not logged out"
    calls = shop.calls("deploy", "shop")
    assert len(logins(calls)) <= 1 + len(lab.nsx.nodes)


@pytest.mark.parametrize("number", (2, 5, 9, 14))
def test_session__may_be_lost_at_any_request(lab, number):
    shop = lab.shop(target={"auth": "session"})
    lab.nsx.faults.add(number=number, session=True)
    shop.does("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_remote__an_account_of_a_directory(lab):
    shop = lab.shop(target={"auth": "remote"})
    account(lab, shop, LEAST_RIGHTS, remote=True)
    calls = shop.calls("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4
    assert {call.login for call in calls} <= {"Remote", None}


@pytest.mark.parametrize("missing", sorted(set(LEAST_RIGHTS) - {"security_config"}))
def test_rights__each_is_needed_and_told_by_the_test(lab, missing):
    shop = lab.shop()
    account(lab, shop, {name: one for name, one in LEAST_RIGHTS.items() if name != missing})
    assert missing in shop.fails("target", "test", "edge")["message"]


def recipe(shop, *roles):
    """What the account may do that has these roles as they are printed."""
    told = json.loads(shop.does("target", "recipe", "edge").out)
    every = [told["PUT /policy/api/v1/aaa/roles/" + role]["features"] for role in roles]
    return {one["feature"]: one["permission"] for features in every for one in features}


def test_recipe__has_these_rights_and_no_more(lab):
    shop = lab.shop()
    assert recipe(shop, "certauto") == LEAST_RIGHTS
    assert recipe(shop, "certauto", "certauto-keys") == CSR_RIGHTS
    assert recipe(shop, "certauto", "certauto-legacy") == LEGACY_RIGHTS
    assert "right" not in shop.does("target", "recipe", "edge").out


@pytest.mark.parametrize("version, dialect, roles", [
    ("3.1", "auto", ["certauto", "certauto-legacy"]),
    ("3.1", "legacy", ["certauto"]),
    ("3.2", "auto", ["certauto"]),
    ("4.2", "apply", ["certauto"]),
])  # fmt: skip
def test_recipe__an_account_that_is_made_by_it_is_enough(version, dialect, roles):
    with NsxLab(BINARY, version=version) as lab:
        shop = lab.shop(target={"dialect": dialect})
        account(lab, shop, recipe(shop, *roles))
        shop.does("target", "test", "edge")
        shop.does("issue", "shop")
        assert lab.all_shown() == [shop.fingerprint()] * 4


def test_recipe__says_which_role_old_managers_want_besides():
    with NsxLab(BINARY, version="3.1") as lab:
        shop = lab.shop()
        account(lab, shop, recipe(shop, "certauto"))
        error = shop.fails("target", "test", "edge")
        assert "system_administration" in error["message"]
        assert "certauto-legacy" in error["advice"]


def test_csr__a_key_that_never_leaves_the_managers(lab):
    shop = lab.shop(
        NAME, VIP_IP, key="rsa-2048", target={"service": "cluster"},
        certificate={"csr": {"target": "edge"}},
    )  # fmt: skip
    account(lab, shop, CSR_RIGHTS)
    calls = shop.calls("issue", "shop")
    assert lab.shown_by("vip") == shop.fingerprint(key="rsa-2048")
    assert not any("private_key" in (call.body or {}) for call in calls)
    shop.does("issue", "shop", "--force")
    assert lab.shown_by("vip") == shop.fingerprint(key="rsa-2048")
    assert len(lab.nsx.csrs) <= 1, "requests that no certificate needs"


def test_csr__before_3_1_2_one_name():
    with NsxLab(BINARY, version="3.1") as lab:
        shop = lab.shop()
        names = ("csr", "--target", "edge", "--key", "rsa-2048", "--domain", NAME)
        assert "BEGIN CERTIFICATE REQUEST" in shop.does(*names).out
        run = shop.does(*names, "--domain", "www.example.org", status=1)
        assert "3.1.2 for several" in run.err and len(lab.nsx.csrs) == 1


@pytest.mark.parametrize("auth", ["basic", "session"])
def test_trust__while_managers_restart_it_is_the_old_or_the_new_one_and_no_other(lab, auth):
    shop = lab.shop(target={"timeout_ms": 500, "auth": auth, "service": "cluster"})
    (leaf,), key = Maker().make([VIP_IP])
    stranger, seen = lab.nsx.upload("stranger", pem(leaf), key), []

    def taken():
        lab.nsx.install(stranger, "vip")
        seen.append(len(lab.nsx.log))

    lab.nsx.faults.add(action="apply_certificate", after=taken)
    run = shop.does("issue", "shop", status=1)
    assert [str(call) for call in lab.nsx.log[seen[0] :] if call.via == "vip"] == []
    assert "the peer's public key is not the pinned one" in run.err
