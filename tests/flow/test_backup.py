"""A state folder that came back from an older backup: the account is read again, what is served is
valid, and nobody registers twice."""

import contextlib
import os
import shutil

import pytest
from conftest import BINARY
from fault.cases import IssueHaproxy, RenewHaproxy, fingerprint_of, key_matches
from fault.shim import built_beside, environment


@pytest.fixture(scope="module", name="fault_lab")
def make_fault_lab():
    """The simulated CA, validating through a HAProxy."""
    with IssueHaproxy.make_lab(BINARY, built_beside(BINARY)) as up:
        yield up


@contextlib.contextmanager
def restored(case):
    """The state as it is now comes back at the end of the block."""
    backup = os.path.join(case.folder, "backup")
    shutil.copytree(case.state, backup, symlinks=True)
    yield
    shutil.rmtree(case.state)
    shutil.copytree(backup, case.state, symlinks=True)


def done(case, *args):
    """Run it: it must end well."""
    run = case.run(*args)
    assert run.status == 0, str(run)


def made(case):
    """(accounts, certificates) since the case began."""
    now = case.lab.counts()
    return tuple(
        now[what] - case.before[what] for what in ("accounts made", "certificates issued")
    )


def assert_deployed(case):
    """What the store has is one pair, and is what is served."""
    pair = [os.path.join(case.current(), name) for name in ("fullchain.pem", "key.pem")]
    assert key_matches(*pair)
    assert case.served() == fingerprint_of(pair[0]), str(case.said)
    assert case.shop.lineage("shop")["targets"][0]["state"] == "deployed", str(case.said)
    case.check_target()
    assert os.listdir(os.path.join(case.state, "jobs")) == []


def account_folder(case):
    """Where the only account is kept."""
    folder = os.path.join(case.state, "accounts")
    (entry,) = os.listdir(folder)
    return os.path.join(folder, entry)


def test_backup__from_before_a_renewal_is_deployed_or_renewed(fault_lab):
    case = IssueHaproxy(fault_lab)
    done(case, "issue", "shop")
    first = case.served()
    with restored(case):
        done(case, "renew", "shop", "--force")
        assert case.served() != first
    assert made(case) == (1, 2)
    # Nothing is due: what is served stays, for it is valid.
    done(case, "renew")
    assert made(case) == (1, 2)
    assert case.served() is not None
    done(case, "deploy", "shop")
    assert_deployed(case)
    assert case.served() == first and made(case) == (1, 2)
    done(case, "renew", "shop", "--force")
    assert_deployed(case)
    assert made(case) == (1, 3)


def test_backup__from_before_other_names_orders_them_again(fault_lab):
    case = RenewHaproxy(fault_lab)  # issued, and a name was added
    with restored(case):
        done(case, "renew", "shop")
    second = case.served()
    done(case, "renew")
    assert_deployed(case)
    assert case.served() != second
    assert made(case) == (0, 2)


def test_backup__from_before_the_account_was_registered_finds_it(fault_lab):
    case = IssueHaproxy(fault_lab)
    run = case.struck("rename:*/account.json:1:kill-before")
    assert run.status == -9, str(run)
    assert "key.pem" in os.listdir(account_folder(case))
    assert "account.json" not in os.listdir(account_folder(case))
    with restored(case):
        done(case, "renew", "shop")
    done(case, "renew", "shop")
    assert_deployed(case)
    assert made(case)[0] == 1
    assert "account.json" in os.listdir(account_folder(case))


def test_backup__of_the_account_alone_is_enough(fault_lab):
    case = IssueHaproxy(fault_lab)
    done(case, "issue", "shop")
    for entry in os.listdir(case.state):
        if entry != "accounts":
            shutil.rmtree(os.path.join(case.state, entry))
    os.unlink(os.path.join(account_folder(case), "account.json"))
    done(case, "renew")
    assert_deployed(case)
    assert made(case) == (1, 2)


@pytest.mark.parametrize(
    "fault, issued",
    [
        # The order is at the CA and in the record, and was used up since: its certificate is
        # fetched, none is asked for.
        ("rename:*/jobs/*:3:kill-after", 1),
        # The account is there; the record knows of no order yet.
        ("rename:*/jobs/*:2:kill-after", 2),
        # Issued, and on its way to HAProxy, where it has arrived since.
        ("send:*haproxy.sock*:5:kill-after", 1),
    ],
)
def test_backup__with_a_record_of_an_order_that_has_ended(fault_lab, fault, issued):
    case = IssueHaproxy(fault_lab)
    run = case.struck(fault)
    assert run.status == -9, str(run)
    with restored(case):
        done(case, "renew", "shop")
        assert made(case) == (1, 1)
    done(case, "renew", "shop")
    assert_deployed(case)
    assert made(case)[0] == 1
    assert made(case)[1] <= issued


def test_backup__with_a_record_of_an_order_that_is_gone(fault_lab):
    case = IssueHaproxy(fault_lab)
    run = case.struck("rename:*/jobs/*:3:kill-after")
    assert run.status == -9, str(run)
    with restored(case):
        done(case, "renew", "shop")
    for order in fault_lab.server.orders.values():
        order.status = "invalid"
    done(case, "renew", "shop")
    assert_deployed(case)
    assert made(case) == (1, 2)


def test_backup__of_an_account_that_was_deactivated_makes_no_other(fault_lab):
    case = IssueHaproxy(fault_lab)
    done(case, "issue", "shop")
    for account in fault_lab.server.accounts.values():
        account.status = "deactivated"
    run = case.run("renew", "shop", "--force")
    assert run.status == 1, str(run)
    assert "deactivated" in run.err, str(run)
    os.unlink(os.path.join(account_folder(case), "account.json"))
    run = case.run("renew", "shop", "--force")
    assert run.status == 1, str(run)
    assert "deactivated" in run.err, str(run)
    assert made(case) == (1, 1)


def test_backup__from_before_the_key_was_changed_says_so(fault_lab):
    case = IssueHaproxy(fault_lab)
    done(case, "issue", "shop")
    with restored(case):
        done(case, "account", "rotate-key")
        done(case, "renew", "shop", "--force")
    served = case.served()
    run = case.run("renew", "shop", "--force")
    assert run.status == 1, str(run)
    assert "does not know the key" in run.err and "key.pem" in run.err, str(run)
    assert made(case) == (1, 2)
    assert case.served() == served


def test_backup__from_amid_a_change_of_the_key_knows_which_one_counts(fault_lab):
    case = IssueHaproxy(fault_lab)
    done(case, "issue", "shop")
    env = environment(fault_lab.shim, "rename:*/key.pem:1:kill-before")
    run = case.run("account", "rotate-key", env=env)
    assert run.status == -9, str(run)
    with restored(case):
        done(case, "renew", "shop", "--force")
    done(case, "renew", "shop", "--force")
    assert_deployed(case)
    assert made(case) == (1, 3)
