"""Each verb about accounts and orders once, from the command line to the CA and back."""

import base64
import json
import os
import time

import pytest
from real.certauto import Certauto, write_config
from real.pki import openssl
from sim.ca import CA, Answer

NAME = "www.example.org"
MAC = base64.urlsafe_b64encode(b"\x01\xfe" * 24).decode().rstrip("=")
DAY = 86400


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    with CA(str(tmp_path), tls, validate=False) as ca:
        yield ca


class Adhoc(Certauto):
    """The command without a configuration file, in a folder of its own."""

    def __init__(self, binary, folder, ca):
        super().__init__(binary)
        self.folder, self.ca = folder, ca
        for name in ("out", "webroot"):
            os.mkdir(folder / name)

    def target(self):
        """PEM files that nobody serves."""
        return (
            f"files,directory={self.folder}/out,webroot={self.folder}/webroot,"
            "probe=no,challenge_check=no"
        )

    def account(self, verb, *args, **run):
        """account VERB with the options that say which account."""
        return self.run("account", *verb.split(), *self._where(), *args, **run)

    def issue(self, *args, verb="issue", names=(NAME,), target=True, **run):
        """issue, or another VERB, of one certificate."""
        domains = [word for name in names for word in ("--domain", name)]
        targets = ["--target", self.target()] if target else []
        return self.run(
            verb, *self._where(), "--agree-tos", *domains, *targets, *args, **run
        )

    def _where(self):
        return (
            "--server", self.ca.directory, "--ca-file", self.ca.ca_file,
            "--state", self.folder / "state",
        )  # fmt: skip

    def key(self):
        """The account's key, as text about its public half."""
        (path,) = (self.folder / "state" / "accounts").glob("default-*/key.pem")
        return openssl("pkey", "-in", path, "-pubout", "-text").decode()

    def current(self, file, name=NAME, key="ecdsa-p256"):
        """A file of the generation that is current."""
        return self.folder / "state" / "certs" / name / key / "current" / file


@pytest.fixture(name="adhoc")
def _adhoc(binary, tmp_path, ca):
    return Adhoc(binary, tmp_path, ca)


def done(run, status=0):
    """Assert the exit status; returns the run."""
    assert run.status == status, str(run)
    return run


def only(found):
    """The one element there is."""
    (one,) = found
    return one


def config_for(folder, ca, names, key=("ecdsa-p256",), **account):
    """A configuration with a certificate "shop"."""
    for name in ("out", "webroot"):
        os.makedirs(folder / name, exist_ok=True)
    target = {
        "type": "files", "directory": f"{folder}/out", "webroot": f"{folder}/webroot",
        "probe": "no", "challenge_check": "no",
    }  # fmt: skip
    return write_config(
        str(folder / "certauto.json"),
        {
            "state": str(folder / "state"),
            "accounts": {
                "le": {
                    "server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True,
                    "contact": ["mailto:ops@example.org"], **account,
                }
            },
            "targets": {"web": target},
            "certificates": {
                "shop": {
                    "account": "le", "names": list(names), "key": list(key),
                    "challenge": {"type": "http-01", "target": "web"}, "deploy": ["web"],
                }
            },
        },
    )  # fmt: skip


@pytest.fixture(name="shop")
def _shop(binary, tmp_path, ca):
    """The command with a configuration of one certificate with two keys."""
    return Certauto(binary, config_for(tmp_path, ca, [NAME], ["ecdsa-p256", "rsa-2048"]))


# ---- accounts ----


@pytest.mark.parametrize("how", ["file", "env", "fd"])
def test_verbs__register_binds_the_account_and_shows_no_secret(adhoc, tmp_path, how):
    adhoc.ca.eab = {"kid-1": MAC}
    secret = tmp_path / "mac"
    secret.write_text(MAC + "\n")
    secret.chmod(0o600)
    with open(secret, encoding="ascii") as file:
        where = {"file": f"file:{secret}", "env": "env:EAB_MAC", "fd": f"fd:{file.fileno()}"}[how]
        run = adhoc.account(
            "register", "--agree-tos", "--contact", "mailto:ops@example.org", "--eab-kid", "kid-1",
            "--eab-hmac", where, "--eab-alg", "HS384", "--account-key", "rsa-2048", "-v",
            env={"EAB_MAC": MAC} if how == "env" else None, pass_fds=[file.fileno()],
        )  # fmt: skip
    done(run)
    assert MAC not in run.out + run.err
    account = only(adhoc.ca.accounts.values())
    assert account.binding_kid == "kid-1" and account.contact == ["mailto:ops@example.org"]
    assert run.out == f"default: {account.url} at {adhoc.ca.directory}\n"
    asked = [one for one in adhoc.ca.log if one.endpoint == "newAccount"][-1]
    assert asked.protected["alg"] == "RS256"
    binding = json.loads(asked.payload)["externalAccountBinding"]["protected"]
    assert json.loads(base64.urlsafe_b64decode(binding + "=="))["alg"] == "HS384"
    # Once it is there, whose it is needs not to be said again.
    done(adhoc.account("register"))
    assert adhoc.ca.counts["accounts made"] == 1


def test_verbs__register_without_the_binding_says_what_to_do(adhoc):
    adhoc.ca.eab = {"kid-1": MAC}
    run = done(adhoc.account("register", "--agree-tos", "--json"), 1)
    error = only(run.json()["results"])["error"]
    assert "--eab-kid" in (error["advice"] or "") + error["message"], run
    assert adhoc.ca.counts["accounts made"] == 0


def test_verbs__show_asks_the_ca_only_when_told_to(adhoc):
    adhoc.ca.profiles = {"classic": {"description": "as ever", "days": 90}}
    done(adhoc.account("register", "--agree-tos", "--contact", "mailto:ops@example.org"))
    asked = len(adhoc.ca.log)
    account = only(adhoc.ca.accounts.values())
    shown = only(done(adhoc.account("show", "--json")).json()["accounts"])
    assert shown["url"] == account.url and shown["profiles"] is None
    assert len(adhoc.ca.log) == asked
    shown = only(done(adhoc.account("show", "--online", "--json")).json()["accounts"])
    assert shown == {
        "name": "default", "server": adhoc.ca.directory, "url": account.url, "status": "valid",
        "contacts": ["mailto:ops@example.org"], "terms": adhoc.ca.terms, "profiles": ["classic"],
        "error": None,
    }  # fmt: skip
    lines = done(adhoc.account("show", "--online")).out
    for word in (account.url, "valid", "mailto:ops@example.org", adhoc.ca.terms, "classic"):
        assert word in lines


def test_verbs__update_replaces_the_contacts_and_agrees_to_new_terms(adhoc):
    done(adhoc.account("register", "--agree-tos", "--contact", "mailto:old@example.org"))
    account = only(adhoc.ca.accounts.values())
    adhoc.ca.change_terms()
    done(
        adhoc.account(
            "update", "--agree-tos", "--contact", "mailto:a@example.org",
            "--contact", "mailto:b@example.org",
        )  # fmt: skip
    )
    assert account.contact == ["mailto:a@example.org", "mailto:b@example.org"]
    assert account.terms == adhoc.ca.terms
    run = done(adhoc.account("update", "--json"))
    assert account.contact == []
    assert run.json() == {
        "version": 1, "verb": "account update",
        "results": [{"name": "default", "key": None, "outcome": "done", "error": None}],
    }  # fmt: skip


def test_verbs__rotate_key_leaves_one_account_with_another_key(adhoc):
    done(adhoc.account("register", "--agree-tos"))
    before = adhoc.key()
    done(adhoc.account("rotate-key", "--account-key", "ecdsa-p384"))
    assert adhoc.key() != before and "secp384r1" in adhoc.key()
    done(adhoc.issue())
    assert adhoc.ca.counts["accounts made"] == 1
    assert [one for one in adhoc.ca.log if one.endpoint == "finalize"][-1].protected[
        "alg"
    ] == "ES384"


def test_verbs__orders_lists_all_pages(adhoc):
    adhoc.ca.orders_per_page = 2
    done(adhoc.account("register", "--agree-tos"))
    assert done(adhoc.account("orders")).out == "default: no orders\n"
    for number in range(5):
        done(adhoc.issue(names=[f"n{number}.example.org"]))
    shown = only(done(adhoc.account("orders", "--json")).json()["accounts"])
    assert sorted(shown["orders"]) == sorted(adhoc.ca.orders)
    lines = done(adhoc.account("orders")).out.splitlines()
    assert sorted(lines) == sorted(f"default: {url}" for url in adhoc.ca.orders)


def test_verbs__deactivate_is_final_and_makes_no_second_account(adhoc):
    done(adhoc.account("register", "--agree-tos"))
    asked = len(adhoc.ca.log)
    assert "--yes" in done(adhoc.account("deactivate"), 2).err
    assert len(adhoc.ca.log) == asked
    done(adhoc.account("deactivate", "--yes"))
    assert only(adhoc.ca.accounts.values()).status == "deactivated"
    run = done(adhoc.issue(), 1)
    assert "deactivated" in run.err
    assert adhoc.ca.counts["accounts made"] == 1


def test_verbs__accounts_are_told_apart_by_their_results(binary, tmp_path, ca):
    config = json.loads(
        (tmp_path / os.path.basename(config_for(tmp_path, ca, [NAME]))).read_text()
    )
    config["accounts"]["gone"] = {**config["accounts"]["le"], "server": "https://127.0.0.1:1/dir"}
    command = Certauto(binary, write_config(str(tmp_path / "two.json"), config))
    run = done(command.run("account", "register", "--json"), 3)
    outcomes = {one["name"]: one["outcome"] for one in run.json()["results"]}
    assert outcomes == {"le": "done", "gone": "failed"}
    run = done(command.run("account", "show", "--online", "--json"), 3)
    shown = {one["name"]: one for one in run.json()["accounts"]}
    assert shown["le"]["status"] == "valid" and shown["le"]["error"] is None
    assert shown["gone"]["contacts"] is None
    assert shown["gone"]["error"]["code"].startswith("CERTAUTO_E")


# ---- revoke ----


@pytest.mark.parametrize("by_key", [False, True])
def test_verbs__revoke_takes_all_keys_and_renew_replaces_them(shop, ca, by_key):
    done(shop.run("issue", "shop"))
    old = list(ca.certificates.values())
    assert len(old) == 2
    run = done(
        shop.run("revoke", "shop", "--reason", "superseded", *(["--by-key"] if by_key else []))
    )
    assert all(cert.revoked and cert.reason == 4 for cert in old)
    assert run.out.count("revoked") == 2 and "renew" in run.err
    signed = {"jwk" in one.protected for one in ca.log if one.endpoint == "revokeCert"}
    assert signed == {by_key}
    plan = done(shop.run("plan", "--json")).json()["plan"]
    assert [one["action"] for one in plan] == ["renew", "renew"]
    done(shop.run("renew"))
    assert len(ca.certificates) == 4
    assert sum(cert.revoked for cert in ca.certificates.values()) == 2


def test_verbs__revoke_of_a_reason_the_ca_does_not_take(shop, ca):
    ca.reasons = (0, 1)
    done(shop.run("issue", "shop"))
    run = done(shop.run("revoke", "shop", "--reason", "affiliation-changed", "--json"), 1)
    for result in run.json()["results"]:
        assert result["outcome"] == "failed"
        assert result["error"]["type"].endswith(":badRevocationReason")
    assert not any(cert.revoked for cert in ca.certificates.values())


def test_verbs__revoke_of_a_file_by_its_account(adhoc):
    done(adhoc.issue())
    path = adhoc.current("cert.pem")
    run = adhoc.run(
        "revoke", "--cert", path, "--server", adhoc.ca.directory, "--ca-file", adhoc.ca.ca_file,
        "--state", adhoc.folder / "state",
    )  # fmt: skip
    done(run)
    cert = only(adhoc.ca.certificates.values())
    assert cert.revoked and cert.reason in (None, 0)
    assert run.out.startswith(f"{path}: revoked, serial ")
    assert int(run.out.split()[-1], 16) == cert.serial


def test_verbs__revoke_of_a_file_by_its_key_needs_no_account(adhoc, tmp_path):
    done(adhoc.issue())
    run = adhoc.run(
        "revoke", "--cert", adhoc.current("fullchain.pem"), "--key", adhoc.current("key.pem"),
        "--server", adhoc.ca.directory, "--ca-file", adhoc.ca.ca_file, "--reason", "key-compromise",
        env={"HOME": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip
    done(run)
    cert = only(adhoc.ca.certificates.values())
    assert cert.revoked and cert.reason == 1
    assert adhoc.ca.counts["accounts made"] == 1


def test_verbs__revoke_of_a_file_with_a_configuration(shop, ca, tmp_path):
    done(shop.run("issue", "shop"))
    path = tmp_path / "state/certs/shop/rsa-2048/current/cert.pem"
    done(shop.run("revoke", "--cert", path, "--account", "le"))
    assert sum(cert.revoked for cert in ca.certificates.values()) == 1


def test_verbs__revoke_of_another_key_sends_nothing(adhoc):
    done(adhoc.issue())
    other = adhoc.folder / "other.pem"
    done(adhoc.run("self-signed", "--cn", NAME, "--key-out", other, "--out", adhoc.folder / "x"))
    asked = len(adhoc.ca.log)
    run = adhoc.run(
        "revoke", "--cert", adhoc.current("cert.pem"), "--key", other, "--json",
        "--server", adhoc.ca.directory, "--ca-file", adhoc.ca.ca_file,
    )  # fmt: skip
    done(run, 1)
    assert only(run.json()["results"])["error"]["code"] == "CERTAUTO_EINVAL"
    assert "revokeCert" not in [one.endpoint for one in adhoc.ca.log[asked:]]


# ---- orders ----


def test_verbs__issue_by_a_request_whose_key_is_elsewhere(adhoc):
    key, request = adhoc.folder / "hsm.pem", adhoc.folder / "r.csr"
    names = [NAME, "shop.example.org"]
    done(
        adhoc.run(
            "csr", "--key", "rsa-2048", "--key-out", key, "--out", request,
            "--domain", names[0], "--domain", names[1],
        )  # fmt: skip
    )
    done(adhoc.issue("--csr", request, names=()))
    cert = adhoc.current("cert.pem", key="csr")
    public = openssl("pkey", "-in", key, "-pubout")
    assert openssl("x509", "-in", cert, "-noout", "-pubkey") == public
    assert not adhoc.current("key.pem", key="csr").exists()
    order = only(adhoc.ca.orders.values())
    assert sorted(value for _, value in order.names) == sorted(names)
    done(adhoc.issue("--csr", request, names=()))
    assert len(adhoc.ca.certificates) == 1


def test_verbs__profile_must_be_there_or_may(adhoc):
    adhoc.ca.profiles = {"short": {"description": "six days", "days": 6}}
    run = done(adhoc.issue("--profile", "long"), 1)
    assert "long" in run.err and "short" in run.err
    assert adhoc.ca.counts["orders made"] == 0
    run = done(adhoc.issue("--preferred-profile", "long", "--name", "a"))
    assert "long" in run.err
    done(adhoc.issue("--profile", "short", "--name", "b"))
    assert [order.profile for order in adhoc.ca.orders.values()] == [None, "short"]


def test_verbs__preferred_chain_is_taken_or_a_warning_tells(adhoc):
    adhoc.ca.alternates = 2

    def top(name):
        """The issuer of the topmost certificate."""
        chain = adhoc.current("chain.pem", name=name).read_text()
        last = "-----BEGIN" + chain.split("-----BEGIN")[-1]
        return openssl("x509", "-noout", "-issuer", data=last.encode()).decode()

    done(adhoc.issue("--name", "first"))
    assert "sim root 0" in top("first")
    done(adhoc.issue("--name", "other", "--preferred-chain", "certauto sim root 2"))
    assert "sim root 2" in top("other")
    run = done(adhoc.issue("--name", "none", "--preferred-chain", "No Such Root"))
    assert "sim root 0" in top("none") and "No Such Root" in run.err


def make_older(_order, leaf):
    """A certificate of 90 days, 3 of which are gone: none that is new is renewed."""
    leaf.not_before, leaf.not_after = time.time() - 3 * DAY, time.time() + 87 * DAY


def test_verbs__must_renew_before_renews_what_would_come_due(adhoc):
    adhoc.ca.ari = False
    adhoc.ca.on_leaf(make_older)
    done(adhoc.issue())

    def renewed(*args):
        """How many certificates there are after a renewal."""
        done(adhoc.issue(*args, verb="renew"))
        return len(adhoc.ca.certificates)

    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 55 * DAY))
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 55 * DAY))
    assert renewed() == 1
    for before in ("55d", "1320h", day, moment, "2020-01-01"):
        assert renewed("--must-renew-before", before) == 1
    run = done(adhoc.issue("--dry-run", "--must-renew-before", "61d", "--json"))
    assert only(run.json()["plan"])["action"] == "renew"
    assert renewed("--must-renew-before", "61d") == 2


def test_verbs__a_failure_tells_of_the_targets_only_what_this_run_did(adhoc, tmp_path):
    done(adhoc.issue())
    (kept,) = tmp_path.glob("state/certs/*/ecdsa-p256/status.json")
    state = json.loads(kept.read_text())
    for target in state["targets"]:
        target.update({"state": "rolled-back", "checked_at": target["checked_at"] - 9})
    kept.write_text(json.dumps(state))
    adhoc.ca.on("newOrder", lambda *_: Answer({}, 500))
    run = done(adhoc.issue("--force"), 1)
    assert run.out == f"{NAME} ecdsa-p256: failed\n", str(run)


def test_verbs__plan_tells_what_the_ca_suggests(shop, ca):
    ca.on_leaf(make_older)
    done(shop.run("issue", "shop"))
    now = time.time()
    for cert in ca.certificates.values():
        ca.set_window(cert, now - DAY, now - DAY / 2, explanation="https://ca.example.net/why")
    before = len(ca.log)
    plan = done(shop.run("plan", "--json")).json()["plan"]
    assert {one["action"] for one in plan} == {"nothing"}
    assert len(ca.log) == before
    plan = done(shop.run("plan", "--must-renew-before", "70d", "--json")).json()["plan"]
    assert {one["action"] for one in plan} == {"renew"}


def test_verbs__dns_persist_needs_no_target(adhoc):
    done(adhoc.issue("--challenge", "dns-persist-01", names=["*.example.org"], target=False))
    cert = adhoc.current("cert.pem", name="_wildcard.example.org")
    text = openssl("x509", "-noout", "-ext", "subjectAltName", "-in", cert).decode()
    assert "DNS:*.example.org" in text


def test_verbs__an_order_that_fails_tells_of_each_name(adhoc):
    adhoc.ca.blocklist = ("bad.example.org", "worse.example.org")
    names = [NAME, "bad.example.org", "worse.example.org"]
    run = done(adhoc.issue("--json", names=names), 1)
    error = only(run.json()["results"])["error"]
    assert {part["name"] for part in error["subproblems"]} == set(names[1:])
    assert all(part["type"].endswith(":rejectedIdentifier") for part in error["subproblems"])
    assert error["type"] and error["status"]
    run = done(adhoc.issue(names=names), 1)
    assert "bad.example.org: " in run.err and "worse.example.org: " in run.err

