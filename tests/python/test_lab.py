"""From nothing to a served certificate, with servers that are not ours: Pebble and HAProxy."""

import os
import time

import certauto
import pytest
from conftest import BINARY

from real import tls


def _cleanly(lab):
    assert lab.haproxy.challenges() == []


def _target(cx, lab, name):
    options = lab.haproxy_target(name + ".pem")
    return cx.target(options.pop("type"), **options)


def _account(cx, lab, **more):
    return cx.account(
        lab.pebble.directory, ca_file=lab.pebble.ca_file, agree_tos=True,
        contact=["mailto:ops@example.org"], **more,
    )  # fmt: skip


def test_issue_and_deploy__is_served(lab, cx):
    name = "one.example.org"
    balancer, key = _target(cx, lab, name), cx.key()
    balancer.test(timeout=20)
    order = _account(cx, lab).order(cx.csr(key, [name]), http01=balancer)
    chain = order.run(timeout=60)
    balancer.deploy("shop", chain, key, timeout=60)
    served = tls.served(lab.haproxy.tls_port, name)
    assert served.fingerprint == chain.fingerprint
    _cleanly(lab)


def test_issue_and_deploy__both_kinds_of_keys(lab, cx):
    name = "two.example.org"
    account, balancer = _account(cx, lab), _target(cx, lab, name)
    for type_ in ("ecdsa-p256", "rsa-2048"):
        key = cx.key(type_)
        chain = account.order(cx.csr(key, [name]), http01=balancer).run(timeout=60)
        balancer.deploy("shop2", chain, key, timeout=60)
    _cleanly(lab)


def test_present__from_outside(lab, cx):
    balancer = _target(cx, lab, "three.example.org")
    challenge = ("http-01", "three.example.org", "tok-en", "tok-en.thumb")
    balancer.present(*challenge, timeout=20)
    assert len(lab.haproxy.challenges()) == 1
    balancer.cleanup(*challenge, timeout=20)
    balancer.cleanup(*challenge, timeout=20)
    _cleanly(lab)


def test_deploy__what_is_not_served_is_taken_back(lab, cx):
    name = "four.example.org"
    balancer, key = _target(cx, lab, name), cx.key()
    balancer.set(timeout_ms=500)
    chain = key.self_sign(cx.csr(key, ["other.example.org"]), int(time.time()) + 86400)
    before = lab.haproxy.certificates()
    with pytest.raises(certauto.Error) as caught:
        balancer.deploy("shop4", chain, cx.key(), timeout=30)
    assert isinstance(caught.value, certauto.Invalid)  # the key is not that of the certificate
    assert lab.haproxy.certificates() == before


def test_error__of_a_device_that_is_not_there(lab, cx):
    balancer = _target(cx, lab, "five.example.org")
    balancer["socket"] = os.path.join(lab.folder, "none.sock")
    with pytest.raises(certauto.Error) as caught:
        balancer.test(timeout=10)
    assert caught.value.object and "none.sock" in caught.value.message


# ---- fleets ----


@pytest.fixture(name="shop")
def _shop(lab):
    """The command with a configuration of one certificate."""
    names = ["fleet.example.org", "www.fleet.example.org"]
    return lab.shop(BINARY, *names)


def test_fleet__does_what_the_command_does(lab, cx, shop):
    fleet = cx.fleet(shop.config_file)
    assert (fleet.certificates, fleet.accounts, fleet.targets) == (["shop"], ["test"], ["edge"])
    assert [entry["action"] for entry in fleet.plan()] == ["issue"]
    assert [entry["action"] for entry in fleet.plan("shop", force=True)] == ["issue"]
    assert [entry["outcome"] for entry in fleet.test(timeout=30)][-1] in ("done", "unchanged")
    (done,) = fleet.renew(timeout=60)
    assert (done["name"], done["outcome"], done["error"]) == ("shop", "done", None)
    (entry,) = fleet.status()["certificates"]
    first = entry["lineages"][0]["issued"]
    served = tls.served(lab.haproxy.tls_port, "www.fleet.example.org")
    assert served.fingerprint == first["fingerprint_sha256"]
    # The command sees the same.
    assert shop.lineage("shop")["issued"] == first
    # Nothing is due; then it is forced.
    assert [entry["outcome"] for entry in fleet.renew(timeout=60)] == ["unchanged"]
    (done,) = fleet.renew("shop", force=True, timeout=60)
    assert done["outcome"] == "done"
    key, chain = fleet.store().load("shop")
    assert chain.fingerprint != first["fingerprint_sha256"] and key.type == "ecdsa-p256"
    assert [entry["outcome"] for entry in fleet.deploy(["shop"], timeout=60)] == ["done"]
    assert fleet.account("test").url and fleet.target("edge").type == "haproxy"
    fleet.revoke("shop", reason=certauto.RevokeReason.SUPERSEDED, timeout=60)
    assert [entry["action"] for entry in fleet.plan()] != ["nothing"]
    fleet.gc(timeout=30)
    _cleanly(lab)


def test_fleet__errors(cx, tmp_path):
    with pytest.raises(certauto.NotFound):
        cx.fleet(tmp_path / "none.json")
    with pytest.raises(certauto.Config, match="config:2: .*acounts"):
        cx.fleet_from('{ "state": "/x",\n "acounts": {} }')
    fleet = cx.fleet_from({"state": str(tmp_path / "state")})
    with pytest.raises(certauto.NotFound, match="none"):
        fleet.target("edge")
    with pytest.raises(certauto.NotFound):
        fleet.status(["nobody"])
    with pytest.raises(certauto.Invalid):
        fleet.renew_before(-1)
    with pytest.raises(certauto.NotFound):
        fleet.store().load("nobody")


def test_fleet__a_name_that_fails_is_told(lab, cx, shop):
    lab.dns.set_address("www.fleet.example.org", "127.0.0.2")
    try:
        fleet = cx.fleet(shop.config_file)
        with pytest.raises(certauto.Error):
            fleet.renew(timeout=60)
        (entry,) = fleet.results
        assert entry["outcome"] == "failed" and entry["error"]["code"].startswith("CERTAUTO_E")
    finally:
        lab.dns.clear_address("www.fleet.example.org")
    _cleanly(lab)


def test_account__kept_in_a_store(lab, tmp_path):
    urls = []
    for _ in range(2):
        with certauto.Context() as cx:
            store = cx.store("files", directory=tmp_path / "state")
            account = _account(cx, lab, store=store, name="ours")
            account.register(timeout=30)
            urls.append(account.url)
    assert urls[0] == urls[1] and urls[0].startswith("https://")
    assert (tmp_path / "state" / "accounts").stat().st_mode & 0o77 == 0


def test_scenario__the_command_gives_the_same_error(lab, cx):
    """One wrong name, through the command and through Python: they say the same."""
    name = "wrong.example.org"
    lab.dns.set_address(name, "127.0.0.2")
    try:
        run = lab.shop(BINARY, name).run("--json", "issue", "shop")
        fleet = cx.fleet(lab.shop(BINARY, name).config_file)
        with pytest.raises(certauto.Error) as caught:
            fleet.renew("shop", timeout=60)
    finally:
        lab.dns.clear_address(name)
    ours, theirs = fleet.results[0]["error"], run.json()["results"][0]["error"]
    assert run.status == 1 and caught.value.name == theirs["code"] == "CERTAUTO_ECHALLENGE"
    for word in ("code", "object", "type", "status", "advice"):
        assert ours[word] == theirs[word]
    assert [one["name"] for one in theirs["subproblems"]] == [name]
    assert [one.name for one in caught.value.subproblems] == [name]
