"""What a NetScaler can do besides: SNI, pairs made by hand, keys of its own, partitions, stateless
answers, accounts with few rights."""

import os
import re

import pytest
from conftest import BINARY
from real.netscaler import HTTP, HTTPS, NetscalerLab, challenges
from real.pki import openssl
from real.simulated import KEY, kinds, writes


PAIR = f"certauto-shop-{KEY}"


@pytest.fixture(name="lab")
def _lab():
    with NetscalerLab(BINARY) as up:
        yield up


# ---- binding ----


def test_sni__is_enabled_and_serves_each_name_its_own(lab):
    shop = lab.shop("shop.example.org", deploy={"sni": "sni"})
    shop.others = {"other": shop.entry("other.example.org")}
    shop.does("renew")
    assert lab.bound() == [(f"certauto-other-{KEY}", True), (PAIR, True)]
    for verb in (["renew", "--force"], ["deploy"]):
        shop.does(*verb)
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        assert lab.served("other.example.org").fingerprint == shop.fingerprint("other")
    assert len(lab.bound()) == 2


def test_sni__both_ways_is_two_bindings_of_one_pair(lab):
    shop = lab.shop("shop.example.org", deploy={"sni": "both"})
    shop.does("issue", "shop")
    assert lab.bound() == [(PAIR, False), (PAIR, True)]
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert lab.shown() == lab.shown("shop.example.org") == shop.fingerprint()
    assert writes(shop.calls("deploy", "shop")) == []


def test_bind__to_several_vservers_of_any_kind(lab):
    for vserver, kind in (("vs_two", "lb"), ("cs_three", "cs"), ("gw_four", "vpn")):
        lab.ns.ssl_vserver(vserver, kind)
    everywhere = [HTTPS, "vs_two", "cs_three", "gw_four"]
    shop = lab.shop("shop.example.org", deploy={"ssl_vserver": everywhere, "probe": None})
    shop.deploy["probe"] = [lab.https(vserver) for vserver in everywhere]
    for verb in (["issue", "shop"], ["renew", "--force"]):
        shop.does(*verb)
        for vserver in everywhere:
            seen = lab.served("shop.example.org", vserver=vserver)
            assert seen.fingerprint == shop.fingerprint()


def test_bind__is_left_to_others_where_no_vserver_is_named(lab):
    shop = lab.shop("shop.example.org", target={"ssl_vserver": None, "probe": "no"})
    shop.does("issue", "shop")
    assert lab.bound() == [] and lab.pair()["linkcertkeyname"] in lab.authorities()
    lab.ns.bind(HTTPS, PAIR)
    shop.does("renew", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_bind__a_default_of_the_same_type_is_replaced_and_comes_back(lab):
    theirs = lab.by_hand("by-hand", "shop.example.org")
    shop = lab.shop("shop.example.org", target={"probe": lab.elsewhere(), "timeout_ms": 2000})
    shop.fails("issue", "shop")
    assert shop.target_state() == "rolled-back"
    assert lab.bound() == [("by-hand", False)] and set(lab.pairs()) == {"by-hand"}
    assert lab.authorities() == [] and set(lab.files()) == theirs
    shop.target["probe"] = lab.https()
    shop.does("renew")
    assert lab.bound() == [(PAIR, False)]
    assert "by-hand" in lab.pairs(), "never removed: it is somebody else's"


# ---- pairs made by others ----


@pytest.fixture(name="theirs")
def _theirs(lab):
    """What the scripts around dehydrated leave on an appliance: le-*."""
    return lab.by_hand("le-server-shop", "shop.example.org", ("le-shop.cert", "le-shop.key"))


def test_adopt__a_pair_of_the_dehydrated_scripts_is_updated_in_place(lab, theirs):
    shop = lab.shop("shop.example.org", deploy={"certkey": "le-server-shop"})
    calls = shop.calls("issue", "shop")
    assert set(lab.pairs()) == {"le-server-shop"} and lab.bound() == [("le-server-shop", False)]
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert "sslvserver_sslcertkey_binding" not in kinds(writes(calls))
    assert theirs <= set(lab.files())
    shop.does("renew", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert theirs <= set(lab.files()) and len(lab.files()) == 2 + 3
    assert lab.is_whole()


@pytest.mark.parametrize("length", [1, 2])
def test_adopt__their_chain_is_used_while_it_fits_and_left(lab, length):
    before = lab.shop("shop.example.org")
    before.does("issue", "shop")
    pem = []
    for name in ("cert.pem", "chain.pem", "key.pem"):
        with open(before.current(name), encoding="ascii") as file:
            pem.append(file.read())
    lab.reset()
    lab.ns.certkey("le-chain", pem[1], files=("le-chain.pem",))
    files = ("le-shop.cert", "le-shop.key")
    lab.ns.certkey("le-server-shop", pem[0], pem[2], files, link="le-chain")
    lab.ns.bind(HTTPS, "le-server-shop")
    lab.server.chain_length = length
    shop = lab.shop("shop.example.org", deploy={"certkey": "le-server-shop"})
    shop.does("issue", "shop")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert lab.chain_sent("shop.example.org") == 1 + length
    assert set(lab.pairs()) == {"le-server-shop"} and "le-chain" in lab.authorities()
    assert len(lab.authorities()) == (1 if length == 1 else 3)
    assert {"le-chain.pem", *files} <= set(lab.files()) and lab.is_whole()


def test_adopt__what_cannot_be_proved_goes_back_to_their_files(lab, theirs):
    old = lab.shown("shop.example.org")
    shop = lab.shop(
        "shop.example.org",
        target={"probe": lab.elsewhere(), "timeout_ms": 2000},
        deploy={"certkey": "le-server-shop"},
    )
    shop.fails("issue", "shop")
    assert shop.target_state() == "rolled-back"
    assert lab.shown("shop.example.org") == old
    assert {lab.pairs()["le-server-shop"][file] for file in ("cert", "key")} == theirs
    assert set(lab.files()) == theirs and set(lab.pairs()) == {"le-server-shop"}


def test_adopt__a_name_that_is_taken_is_refused_before_anything_is_changed(lab):
    theirs = lab.by_hand(PAIR, "shop.example.org", ("a.crt", "a.key"), vserver=None)
    shop = lab.shop("shop.example.org")
    error = shop.fails("issue", "shop")
    assert PAIR in error["message"] and "certkey" in error["advice"]
    assert set(lab.files()) == theirs
    assert writes(lab.ns.log) == challenges(writes(lab.ns.log))


# ---- keys ----


@pytest.mark.parametrize("key", ["ecdsa-p256", "rsa-2048"])
def test_encrypted__key_files_are(lab, key):
    shop = lab.shop("shop.example.org", key=key, target={"encrypt_key": True})
    for verb in (["issue", "shop"], ["renew", "--force"]):
        shop.does(*verb)
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint(key=key)
        assert lab.file(lab.pair()["key"]).startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert len(lab.files()) == 3


def device_made(lab, *names, **more):
    """A certificate whose key the appliance makes."""
    return lab.shop(*names, certificate={"csr": {"target": "edge"}, **more})


@pytest.mark.parametrize("key", ["ecdsa-p256", "rsa-2048"])
def test_device_key__never_leaves_the_appliance_and_is_new_each_time(lab, key):
    shop = device_made(lab, "shop.example.org", "www.shop.example.org", key=key)
    seen = set()
    for verb in (["issue", "shop"], ["renew", "--force"]):
        calls = shop.calls(*verb)
        assert lab.served("www.shop.example.org").fingerprint == shop.fingerprint(key=key)
        assert not os.path.exists(shop.current("key.pem", key=key))
        files = [call for call in calls if call.kind == "systemfile"]
        assert files and not [call for call in files if ".key" in str(call.args)]
        pair = lab.pair()
        seen.add(openssl("pkey", "-pubout", data=lab.file(pair["key"])))
        # The pair, the CA, and the request that tells whose key it is.
        assert set(lab.files()) >= {pair["cert"], pair["key"]} and len(lab.files()) <= 4
        assert lab.is_whole()
    assert len(seen) == 2
    assert writes(shop.calls("deploy", "shop")) == []


@pytest.mark.parametrize("certkey", [None, "by-hand"])
def test_device_key__is_found_among_those_of_others(lab, certkey):
    # More with the same prefix than are looked at, and all before it in the list.
    old = lab.by_hand("by-hand", "shop.example.org") if certkey else set()
    crowd = {f"certauto-{n}-{n:012x}.csr" for n in range(70)}
    for name in crowd:
        lab.ns.put_file(name, "none of ours")
    shop = device_made(lab, "shop.example.org")
    shop.target["certkey"] = certkey
    for verb in (["issue", "shop"], ["renew", "--force"]):
        calls = shop.calls(*verb)
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        asked = [call.target for call in calls if call.method == "GET" and ".csr" in call.target]
        assert len(asked) <= 3, asked
    (pair,) = lab.pairs()
    assert pair == (certkey or PAIR) and len(set(lab.files()) - crowd - old) <= 4


def test_device_key__for_an_address_too(lab):
    shop = device_made(lab, "shop.example.org")
    names = ["--domain", "shop.example.org", "--domain", "192.0.2.7", "--domain", "2001:db8::7"]
    run = shop.does("csr", "--target", "edge", *names)
    text = openssl("req", "-noout", "-text", data=run.out.encode())
    assert "IP Address:192.0.2.7" in str(text) and "DNS:shop.example.org" in str(text)


def test_device_key__of_an_order_that_fails_is_not_left(lab):
    shop = device_made(lab, "shop.example.org")
    lab.server.blocklist = ["example.org"]
    shop.does("issue", "shop", status=1)
    lab.server.blocklist = []
    shop.does("renew", "shop")
    assert len(lab.files()) <= 4
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_device_key__too_many_names_are_told(lab):
    names = [f"a-rather-long-name-number-{n}.shop.example.org" for n in range(5)]
    lab.ns.faults.add(kind="sslcertreq", code=1106, times=None)
    error = device_made(lab, *names).fails("issue", "shop")
    assert "1106" in error["message"] and "127" in error["advice"]
    assert lab.files() == []


# ---- partitions ----


def test_partition__has_everything_of_its_own():
    with NetscalerLab(BINARY, partition="p1") as lab:
        shop = lab.shop("shop.example.org", target={"partition": "p1"})
        first = shop.calls("issue", "shop")
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        shop.does("renew", "--force")
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        assert len(lab.files()) == 3 and lab.ns.files() == {}
        assert lab.is_whole()
        assert [call.kind for call in first].count("nspartition") == 1


def test_partition__without_a_session_is_refused(lab):
    shop = lab.shop("shop.example.org", target={"partition": "p1", "auth": "headers"})
    shop.write()
    run = shop.run("issue", "shop")
    assert run.status != 0 and "partition" in run.err and "session" in run.err
    assert lab.ns.log == []


# ---- without a session ----


def test_headers__do_everything_without_login(lab):
    shop = lab.shop("shop.example.org", target={"auth": "headers"})
    calls = shop.calls("issue", "shop") + shop.calls("renew", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert not {"login", "logout"} & {call.kind for call in calls}
    assert lab.is_whole() and len(lab.files()) == 3


# ---- challenges ----


@pytest.mark.parametrize("kind", ["lb", "cs", "global"])
def test_challenge__on_a_vserver_of_any_type_beside_other_policies(kind):
    with NetscalerLab(BINARY, http_kind="lb" if kind == "global" else kind) as lab:
        lab.policy("redirect", 110, "true")
        more = {"vserver_type": "global", "vserver": None} if kind == "global" else {}
        shop = lab.shop("shop.example.org", target=more)
        shop.does("issue", "shop")
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        assert lab.answers() == ["redirect"]


def test_challenge__at_a_gateway():
    with NetscalerLab(BINARY, http_kind="vpn") as up:
        shop = up.shop("shop.example.org")
        for vserver_type in (None, "vpn"):
            shop.target["vserver_type"] = vserver_type
            calls = shop.calls("renew", "--force")
            (bind,) = [call for call in challenges(calls) if call.method == "PUT"]
            assert bind.kind == "vpnvserver_responderpolicy_binding" and bind.args["policy"]
            assert up.answers() == []
            assert up.served("shop.example.org").fingerprint == shop.fingerprint()


def test_challenge__is_taken_from_where_it_was_put_whatever_is_configured_by_now(lab):
    lab.ns.vserver("vs_other", "lb")
    shop = lab.shop("shop.example.org", target={"timeout_ms": 1000})
    # Bound, and from then on the appliance is silent.
    kind = "lbvserver_responderpolicy_binding"
    lab.ns.faults.add(
        kind=kind, method="PUT", after=lambda: lab.ns.faults.add(wire="lost-request", times=None)
    )
    shop.does("issue", "shop", status=1)
    assert len(lab.answers()) == 1
    lab.ns.faults.clear()
    shop.target.update(
        vserver="vs_other", timeout_ms=10000, challenge_check=lab.ns.vservers["vs_other"].address
    )
    shop.does("issue", "shop")
    assert lab.answers() == [] and lab.objects(kind) == {}


def test_challenge__a_priority_that_is_taken_is_passed_over(lab):
    taken = [*range(60, 100), *range(101, 130)]
    for priority in taken:
        lab.policy(f"somebody-{priority}", priority)
    calls = lab.shop("shop.example.org").calls("issue", "shop")
    (bind,) = [call for call in challenges(calls) if call.method == "PUT"]
    assert bind.status == 200 and int(bind.args["priority"]) not in taken
    assert len(lab.answers()) == len(taken)


def stateless(lab, *names, **more):
    """The mode in which one policy answers for good."""
    return lab.shop(*names, target={"challenge_mode": "stateless", **more})


def test_stateless__an_order_writes_nothing_once_the_policy_is_there(lab):
    shop = stateless(lab, "shop.example.org", "www.shop.example.org")
    first = challenges(shop.calls("issue", "shop"))
    assert len([call for call in writes(first) if call.code == 0]) == 3
    lab.ns.reboot()
    assert challenges(shop.calls("renew", "--force")) == []
    assert lab.served("www.shop.example.org").fingerprint == shop.fingerprint()
    assert len(lab.answers()) == 1 and lab.answers()[0].startswith("certauto-stateless-")


def test_stateless__is_saved_at_once(lab):
    shop = stateless(lab, "shop.example.org")
    shop.deploy.update(probe=lab.elsewhere(), timeout_ms=2000)
    shop.fails("issue", "shop")
    lab.ns.reboot()
    assert len(lab.answers()) == 1


def test_stateless__another_account_is_refused(lab):
    stateless(lab, "shop.example.org").does("issue", "shop")
    error = stateless(lab, "other.example.org").fails("issue", "shop")
    assert "account" in error["message"] + error["advice"]
    assert len(lab.answers()) == 1


# ---- rights ----


def test_recipe__is_all_the_account_needs_for_a_whole_life(lab):
    shop = lab.shop("shop.example.org", "www.shop.example.org", key=["ecdsa-p256", "rsa-2048"])
    shop.target["sni"] = "both"
    lab.restrict(shop)
    run = shop.does("check")
    assert "NS14.1" in run.out + run.err
    shop.does("issue", "shop")
    lab.server.chain_length = 2
    shop.does("renew", "--force")
    shop.does("deploy")
    assert len(lab.authorities()) == 2
    for key in ("ecdsa-p256", "rsa-2048"):
        seen = lab.served("shop.example.org", key.split("-", maxsplit=1)[0])
        assert seen.fingerprint == shop.fingerprint(key=key)
    assert not [call for call in lab.ns.log if call.code in (257, 2138)]


def test_recipe__covers_stateless_answers_device_keys_and_taking_back(lab):
    shop = device_made(lab, "shop.example.org")
    shop.target["challenge_mode"] = "stateless"
    lab.restrict(shop)
    shop.does("issue", "shop")
    shop.target.update(probe=lab.elsewhere(), timeout_ms=2000)
    shop.fails("renew", "--force")
    assert shop.target_state() == "rolled-back"
    shop.target["probe"] = lab.https()
    shop.does("renew")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert not [call for call in lab.ns.log if call.code in (257, 2138)]


def test_recipe__knows_partitions_and_pairs_that_are_taken_over():
    with NetscalerLab(BINARY, partition="p1") as lab:
        lab.by_hand("le-server-shop", "shop.example.org", ("le-shop.cert", "le-shop.key"))
        shop = lab.shop(
            "shop.example.org", target={"partition": "p1", "certkey": "le-server-shop"}
        )
        lab.restrict(shop)
        for verb in (["check"], ["issue", "shop"], ["renew", "--force"]):
            shop.does(*verb)
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        assert not [call for call in lab.ns.log if call.code in (257, 2138)]


@pytest.mark.parametrize(
    "line",
    [
        "bind ssl vserver somebody-elses -certkeyName certauto-shop",
        "update ssl certKey somebody-elses -cert certauto-shop.crt",
        "add ssl certKey somebody-elses -cert certauto-shop.crt",
        "rm responder policy somebody-elses",
        "add system file ns.conf -fileLocation /nsconfig",
        "shell ls",
        "rm ssl certKey somebody-elses",
        "add system user me secret",
        "rm system file ns.conf -fileLocation /nsconfig",
        "bind lb vserver somebody-elses",
    ],
)
def test_recipe__grants_nothing_else(lab, line):
    shop = lab.shop("shop.example.org")
    lab.restrict(shop)
    accounts = lab.ns.accounts
    assert not accounts.may(accounts.users["certauto"], line)


def test_recipe__is_printed_for_a_type_and_for_a_configured_target(lab):
    shop = lab.shop("shop.example.org")
    shop.write()
    named = shop.run("target", "recipe", "edge")
    options = f"url={lab.ns.url},user=svc,vserver={HTTP},ssl_vserver={HTTPS}"
    typed = shop.run("target", "recipe", "netscaler," + options)
    for run in (named, typed):
        assert run.status == 0, str(run)
        lines = [line for line in run.out.splitlines() if line and not line.startswith("#")]
        known = re.compile(r"(add system (cmdPolicy|user)|bind system user) ")
        assert len(lines) >= 3 and all(known.match(line) for line in lines)
        assert all(len(spec) <= 255 for spec in re.findall(r'ALLOW "(.*)"', run.out))
    assert "add system user svc PASSWORD" in typed.out
    assert "add system user certauto PASSWORD" in named.out
