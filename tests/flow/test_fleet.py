"""What a run does about certificates that are there: the CA's word on renewal, failures that are
for good or for a time, revocation; the CA counts what it is asked."""

import base64
import json
import os
import shutil
import time

import pytest
from real.certauto import Certauto, write_config
from real.pki import openssl
from sim.ca import CA, Answer, problem

HOUR, DAY = 3600, 86400
KEY = "ecdsa-p256"
MAC = base64.urlsafe_b64encode(b"\x02\xfd" * 16).decode().rstrip("=")


@pytest.fixture(name="ca")
def _ca(tmp_path, tls):
    # They live a day, and begin an hour before they are made: the time before which the CA's word
    # does not count has passed when they come.
    with CA(str(tmp_path), tls, validate=False, days=1) as up:
        yield up


class Shop(Certauto):
    """The command with one certificate "shop" whose files nobody serves."""

    def __init__(self, binary, folder, ca):
        super().__init__(binary, str(folder / "certauto.json"))
        self.folder, self.ca = folder, ca
        self.names, self.certificate, self.account = ["www.example.org"], {}, {}
        for name in ("out", "webroot"):
            os.mkdir(folder / name)

    def write(self):
        """The configuration as it is now."""
        shop = {
            "account": "sim",
            "names": self.names,
            "challenge": {"type": "http-01", "target": "web"},
            "deploy": ["web"],
            **self.certificate,
        }
        web = {
            "type": "files",
            "directory": str(self.folder / "out"),
            "webroot": str(self.folder / "webroot"),
            "probe": "no",
            "challenge_check": "no",
        }
        account = {"server": self.ca.directory, "ca_file": self.ca.ca_file, "agree_tos": True}
        write_config(
            self.config_file,
            {
                "state": str(self.folder / "state"),
                "accounts": {"sim": {**account, **self.account}},
                "targets": {"web": web},
                "certificates": {"shop": shop},
            },
        )

    def does(self, *args, status=0):
        """Run it; assert how it ends."""
        self.write()
        run = self.run(*args)
        assert run.status == status, str(run)
        return run

    def renews(self, *args, orders, status=0):
        """renew, and how many orders that takes."""
        before = self.ca.counts["newOrder"]
        run = self.does("renew", *args, status=status)
        assert self.ca.counts["newOrder"] - before == orders, str(run)
        return run

    def why(self, *args):
        """What plan says of the certificate: (action, why)."""
        (row,) = self.does("plan", "--json", *args).json()["plan"]
        return row["action"], row["why"]

    def journals(self):
        """The records that were left."""
        return os.listdir(self.folder / "state" / "jobs")

    def public_key(self, key=KEY):
        """Of the current certificate."""
        return openssl("x509", "-in", self.current("cert.pem", key), "-noout", "-pubkey")

    def current(self, file, key=KEY):
        """A file of the generation that is current."""
        return self.folder / "state" / "certs" / "shop" / key / "current" / file

    def kept(self, **members):
        """What is kept of the lineage, after members of it were changed."""
        path = self.folder / "state" / "certs" / "shop" / KEY / "status.json"
        kept = {**json.loads(path.read_text(encoding="utf-8")), **members}
        path.write_text(json.dumps(kept), encoding="utf-8")
        return kept


@pytest.fixture(name="shop")
def _shop(binary, tmp_path, ca):
    return Shop(binary, tmp_path, ca)


def last(ca):
    """The certificate that came last."""
    return list(ca.certificates.values())[-1]


def payloads(ca, endpoint):
    """What was sent there."""
    return [json.loads(request.payload) for request in ca.log if request.endpoint == endpoint]


# ---- the CA's word on renewal ----


def test_renewal__is_asked_for_once_right_after_issuance(shop, ca):
    shop.does("issue", "shop")
    assert ca.counts["renewalInfo"] == 1
    told = shop.lineage("shop")["renewal"]
    assert told["start"] <= told["at"] < told["end"]
    assert shop.lineage("shop")["revoked"] is False
    assert shop.journals() == []
    shop.renews(orders=0)
    assert ca.counts["renewalInfo"] == 1, "it was not due again"


def test_renewal__in_the_past_renews_once_and_says_what_is_replaced(shop, ca):
    shop.does("issue", "shop")
    first = last(ca)
    ca.set_window(first, time.time() - 2 * HOUR, time.time() - HOUR, "https://ca.example.net/why")
    shop.kept(renewal=None)
    run = shop.renews(orders=1)
    assert "https://ca.example.net/why" in run.err
    assert "the CA suggests renewal since" in run.err
    assert payloads(ca, "newOrder")[-1]["replaces"] == first.id
    assert "replaces" not in payloads(ca, "newOrder")[0]
    assert first.replaced_by is last(ca).order
    # The CA goes on saying so of each new one: it had its way.
    ca.set_window(last(ca), time.time() - 2 * HOUR, time.time() - HOUR)
    shop.kept(renewal=None)
    shop.renews(orders=0)
    assert shop.lineage("shop")["renew_at"] > time.time() + HOUR
    assert ca.counts["certificates issued"] == 2


def test_renewal__plan_and_status_tell_of_it(shop, ca):
    shop.does("issue", "shop")
    at = int(time.time()) + HOUR
    ca.set_window(last(ca), at, at + 1, "https://ca.example.net/why")
    assert shop.why()[0] == "nothing"
    shop.kept(renewal=None)
    assert shop.lineage("shop")["renewal"] is None
    shop.renews(orders=0)
    told = shop.lineage("shop")
    assert told["renewal"] == {
        "start": at, "end": at + 1, "at": at, "explanation_url": "https://ca.example.net/why"
    }  # fmt: skip
    assert told["renew_at"] == at
    ca.set_window(last(ca), time.time() - HOUR, time.time() - 1)
    shop.kept(renewal={"id": last(ca).id, "at": int(time.time()) - 60})
    assert shop.why()[0] == "renew"
    assert "the CA suggests renewal since" in shop.why()[1]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>", 200, {}, "text/html"),
        Answer({"suggestedWindow": {}}, 200, {}, "application/json"),
        problem("serverInternal", "out of order", 500),
        problem("rateLimited", "slow down", 429, Retry_After=HOUR),
    ],
    ids=["html", "empty", "500", "429"],
)
def test_renewal__that_cannot_be_asked_for_stops_nothing(shop, ca, answer):
    ca.script["renewalInfo"] = [answer]
    run = shop.does("issue", "shop")
    assert "cannot ask the CA when" in run.err
    assert shop.lineage("shop")["renewal"] is None
    asked = ca.counts["renewalInfo"]
    shop.renews(orders=0)
    assert ca.counts["renewalInfo"] == asked, "it was asked again at once"
    shop.renews("shop", "--force", orders=1)
    assert ca.counts["certificates issued"] == 2


def test_renewal__far_away_is_not_waited_for(shop, ca):
    shop.does("issue", "shop")
    cert = last(ca)
    ca.set_window(cert, time.time() + 900 * DAY, time.time() + 901 * DAY)
    shop.kept(renewal=None)
    shop.renews(orders=0)
    assert shop.lineage("shop")["renew_at"] < cert.not_after


def test_renewal__of_a_ca_without_it_asks_and_tells_nothing(shop, ca):
    ca.ari = False
    shop.does("issue", "shop")
    shop.renews("shop", "--force", orders=1)
    assert ca.counts["renewalInfo"] == 0
    assert "replaces" not in payloads(ca, "newOrder")[-1]


def test_replaces__that_is_refused_is_left_out_and_the_order_goes_on(shop, ca):
    shop.does("issue", "shop")
    last(ca).replaced_by = last(ca).order  # somebody else has replaced it
    shop.renews("shop", "--force", orders=2)
    assert [("replaces" in one) for one in payloads(ca, "newOrder")] == [False, True, False]
    assert ca.counts["certificates issued"] == 2


def test_replaces__that_was_refused_is_remembered_over_a_failure(shop, ca):
    shop.does("issue", "shop")
    last(ca).replaced_by = last(ca).order
    first = last(ca)
    ca.script["finalize"] = [problem("badCSR", "not today", 400)]
    shop.does("renew", "shop", "--force", status=1)
    assert shop.kept()["no_replaces"] == first.id
    ca.behave()
    ca.orders.clear()  # so that the order is made anew
    before = ca.counts["newOrder"]
    shop.does("renew", "shop", "--force")
    assert "replaces" not in payloads(ca, "newOrder")[before]


# ---- before a date ----


def utc(at):
    """As the command takes a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def test_must_renew_before__takes_what_comes_due_by_then(shop):
    shop.does("issue", "shop")
    due = shop.lineage("shop")["renew_at"]
    early, late = ("--must-renew-before", utc(due)), ("--must-renew-before", utc(due + 1))
    assert shop.why(*early)[0] == "nothing"
    action, why = shop.why(*late)
    assert action == "renew" and "before it comes due" in why
    shop.renews(*early, orders=0)
    shop.renews(*late, orders=1)


# ---- failures ----


def test_failure__for_good_is_told_each_time_and_not_asked_again(shop, ca):
    shop.names = ["www.example.org", "forbidden.example.net"]
    ca.blocklist = ["example.net"]
    shop.does("issue", "shop", status=1)
    run = shop.renews("--json", orders=0, status=1)
    (result,) = run.json()["results"]
    assert result["outcome"] == "failed"
    assert result["error"]["type"].endswith(":rejectedIdentifier")
    assert result["error"]["retry_at"] is None
    assert "certauto renew shop" in result["error"]["advice"]
    assert [one["name"] for one in result["error"]["subproblems"]] == ["forbidden.example.net"]
    assert shop.why()[0] == "nothing" and "given up" in shop.why()[1]
    shop.renews("shop", orders=1, status=1)  # named: tried
    shop.renews("--force", orders=1, status=1)
    shop.renews(orders=0, status=1)
    shop.names.pop()  # what is configured has changed: tried
    shop.renews(orders=1)


def test_failure__that_may_pass_waits_and_says_until_when(shop, ca):
    ca.script["newOrder"] = [problem("serverInternal", "out of order", 500)]
    shop.does("issue", "shop", status=1)
    asked = ca.counts["newOrder"]
    run = shop.does("renew", "--json", status=75)
    assert ca.counts["newOrder"] == asked
    (result,) = run.json()["results"]
    assert result["outcome"] == "later"
    assert 0 < result["error"]["retry_at"] - time.time() <= 60


def test_failure__a_limit_of_the_ca_holds_for_every_later_process(shop, ca):
    ca.rate_limits = {"newOrder": (0, HOUR)}
    shop.does("issue", "shop", status=75)
    asked = ca.counts["newOrder"]
    for args in ((), ("shop",), ("--force",)):
        run = shop.does("renew", "--json", *args, status=75)
        (result,) = run.json()["results"]
        assert HOUR - 60 < result["error"]["retry_at"] - time.time() <= HOUR
    assert ca.counts["newOrder"] == asked, "it was asked although it had said when"


def test_failure__of_a_week_is_tried_once_a_week(shop, ca):
    ca.script["newOrder"] = [problem("serverInternal", "out of order", 500)]
    shop.does("issue", "shop", status=1)
    shop.kept(failing_since=int(time.time()) - 8 * DAY)
    shop.does("renew", "shop", status=1)
    (result,) = shop.does("renew", "--json", status=75).json()["results"]
    assert 6 * DAY < result["error"]["retry_at"] - time.time() < 8 * DAY


# ---- revocation ----


def test_revoke__is_told_due_at_once_and_renewed(shop, ca):
    shop.does("issue", "shop")
    first = last(ca)
    shop.does("revoke", "shop", "--reason", "superseded")
    assert first.revoked and first.reason == 4
    assert shop.lineage("shop")["revoked"] is True
    assert shop.why() == ("renew", "it was revoked")
    shop.does("revoke", "shop")
    assert ca.counts["revoked"] == 1
    shop.renews(orders=1)
    assert shop.lineage("shop")["revoked"] is False
    shop.renews(orders=0)


@pytest.mark.parametrize("how", [("--reason", "key-compromise"), ("--by-key",)])
def test_revoke__a_compromised_key_is_not_used_again(shop, ca, how):
    shop.certificate = {"reuse_key": True}
    shop.does("issue", "shop")
    key = shop.public_key()
    shop.renews("shop", "--force", orders=1)
    assert shop.public_key() == key
    shop.does("revoke", "shop", *how)
    assert last(ca).revoked
    shop.renews(orders=1)
    assert shop.public_key() != key
    key = shop.public_key()
    shop.renews("shop", "--force", orders=1)
    assert shop.public_key() == key


def test_revoke__takes_each_key_of_the_certificate(shop, ca):
    shop.certificate = {"key": [KEY, "rsa-2048"]}
    shop.does("issue", "shop")
    run = shop.does("revoke", "shop", "--json")
    assert [(one["key"], one["outcome"]) for one in run.json()["results"]] == [
        (KEY, "done"), ("rsa-2048", "done")
    ]  # fmt: skip
    assert all(cert.revoked for cert in ca.certificates.values())


def test_revoke__what_was_never_issued_is_told(shop, ca):
    run = shop.does("revoke", "shop", status=1)
    assert "never issued" in run.err
    assert ca.counts["revokeCert"] == 0


def test_revoke__that_is_refused_changes_nothing(shop, ca):
    shop.does("issue", "shop")
    ca.reasons = (0,)
    run = shop.does("revoke", "shop", "--reason", "superseded", status=1)
    assert "badRevocationReason" in run.err
    assert shop.lineage("shop")["revoked"] is False
    shop.renews(orders=0)


# ---- what only some CAs take ----


def test_profile__is_asked_for_and_kept_and_another_one_is_issued(shop, ca):
    ca.profiles = {"one": {"description": "a", "days": 2}, "two": {"description": "b", "days": 3}}
    shop.certificate = {"profile": "one"}
    shop.does("issue", "shop")
    assert payloads(ca, "newOrder")[-1]["profile"] == "one"
    assert json.loads(shop.current("meta.json").read_text())["profile"] == "one"
    shop.renews(orders=0)
    shop.certificate = {"profile": "two"}
    assert shop.why() == ("issue", "its profile is another one now")
    shop.renews(orders=1)
    assert payloads(ca, "newOrder")[-1]["profile"] == "two"


def test_profile__that_is_only_wished_for_is_done_without(shop, ca):
    shop.certificate = {"profile": {"name": "gone", "required": False}}
    run = shop.does("issue", "shop")
    assert "gone" in run.err
    assert "profile" not in payloads(ca, "newOrder")[-1]
    shop.renews(orders=0)


def test_profile__that_is_required_and_gone_is_an_error_with_those_there_are(shop, ca):
    ca.profiles = {"classic": {"description": "as ever"}}
    shop.certificate = {"profile": "gone"}
    run = shop.does("issue", "shop", status=1)
    assert "classic" in run.err
    assert ca.counts["newOrder"] == 0


def test_preferred_chain__is_taken(shop, ca):
    ca.alternates, ca.alternate_lengths = 1, [3]
    shop.certificate = {"preferred_chain": "shortest"}
    shop.does("issue", "shop")
    assert shop.current("chain.pem").read_text().count("BEGIN CERT") == 1


def test_account__external_binding_key_type_and_hosts_come_from_the_configuration(shop, ca):
    ca.eab = {"kid-1": MAC}
    shop.account = {
        "eab": {"kid": "kid-1", "hmac": MAC, "alg": "HS384"},
        "key": "rsa-2048",
        "allow_hosts": ["other.example.net"],
    }
    run = shop.does("issue", "shop")
    assert MAC not in run.err + run.out
    (account,) = ca.accounts.values()
    assert (account.key.alg, account.key.width) == ("RS256", 2048 // 8)


def test_check__tells_that_a_binding_is_missing(shop, ca):
    ca.eab = {"kid-1": MAC}
    run = shop.does("check", status=3)
    assert "eab" in run.err
    assert ca.counts["newAccount"] == 0
    shop.account = {"eab": {"kid": "kid-1", "hmac": MAC}}
    shop.does("check")


def test_challenge__several_serve_one_name_and_the_ca_chooses(shop, ca):
    # The CA offers no http-01 for these: the record that is there for good is taken.
    ca.offered = ("dns-persist-01",)
    shop.certificate = {
        "challenge": [{"type": "http-01", "target": "web"}, {"type": "dns-persist-01"}]
    }
    shop.does("issue", "shop")
    assert ca.counts["certificates issued"] == 1


# ---- a state folder that is old ----


def test_state__a_record_whose_order_is_gone_blocks_nothing(shop, ca):
    ca.script["finalize"] = [problem("serverInternal", "out of order", 500)]
    shop.does("issue", "shop", status=1)
    assert shop.journals() == [f"shop-{KEY}.json"]
    ca.behave()
    ca.orders.clear()
    shop.does("renew", "shop")
    assert shop.journals() == []
    assert ca.counts["accounts made"] == 1


def test_state__a_record_without_the_key_it_is_about_blocks_nothing(shop, ca):
    ca.script["certificate"] = [problem("serverInternal", "out of order", 500)]
    shop.does("issue", "shop", status=1)
    (draft,) = (shop.folder / "state" / "certs" / "shop" / KEY).glob("gen-*")
    shutil.rmtree(draft)
    ca.behave()
    shop.renews("shop", orders=1)
    assert shop.journals() == []
    assert ca.counts["accounts made"] == 1
