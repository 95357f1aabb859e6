"""The life of certificates on a NetScaler: challenge, upload, link, bind, proof, save, renewal.

Everything is seen from outside: what the vserver serves, what the appliance has and has saved, what
it was asked.
"""

import signal

import pytest
from conftest import BINARY
from real.netscaler import NetscalerLab, challenges
from real.simulated import KEY, kinds, writes


@pytest.fixture(name="lab")
def _lab():
    with NetscalerLab(BINARY) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    return lab.shop("shop.example.org")


# ---- the first ----


def test_issue__is_served_linked_bound_and_saved_and_leaves_nothing_else(lab, shop):
    shop.does("issue", "shop")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert shop.target_state() == "deployed"
    ((name, pair),) = lab.pairs().items()
    assert name == f"certauto-shop-{KEY}"
    digest = shop.fingerprint()[:12]
    assert (pair["cert"], pair["key"]) == (f"{name}-{digest}.crt", f"{name}-{digest}.key")
    (issuer,) = lab.authorities()
    assert pair["linkcertkeyname"] == issuer and issuer.startswith("certauto-ca-")
    assert lab.bound() == [(name, False)]
    assert lab.files() == sorted([pair["cert"], pair["key"], issuer + ".crt"])
    assert lab.answers() == []
    assert lab.is_whole()
    assert shop.records() == []


def test_issue__of_three_names_answers_side_by_side(lab):
    names = ["shop.example.org", "www.shop.example.org", "api.shop.example.org"]
    shop = lab.shop(*names)
    calls = shop.calls("issue", "shop")
    assert {lab.served(name).fingerprint for name in names} == {shop.fingerprint()}
    assert len(writes(challenges(calls))) == 3 * 6
    priorities = [call.args["priority"] for call in challenges(calls) if call.method == "PUT"]
    assert len(priorities) == len(set(priorities)) == 3
    assert lab.answers() == []


def test_issue__of_an_address_answers_for_it(lab):
    shop = lab.shop("127.0.0.1")
    shop.does("issue", "shop")
    assert lab.served("127.0.0.1").fingerprint == shop.fingerprint()


# ---- the renewal, and what calls it takes ----


def test_renewal__updates_in_place_with_a_new_key_and_removes_the_old_files(lab, shop):
    shop.does("issue", "shop")
    before, old_key = shop.fingerprint(), lab.file(lab.pair()["key"])
    calls = shop.calls("renew", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint() != before
    assert lab.file(lab.pair()["key"]) != old_key
    assert len(lab.pairs()) == len(lab.authorities()) == 1
    assert len(lab.files()) == 3 and not [name for name in lab.files() if before[:12] in name]
    assert [call.action for call in writes(calls) if call.kind == "sslcertkey"] == ["update"]
    assert lab.is_whole() and shop.records() == []


def test_renewal__keeps_the_key_if_told_to(lab, shop):
    shop.certificate["reuse_key"] = True
    shop.does("issue", "shop")
    old = lab.file(lab.pair()["key"])
    shop.does("renew", "--force")
    assert lab.file(lab.pair()["key"]) == old
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


@pytest.mark.parametrize(
    "how, more", [({}, 0), ({"ha": True}, 2), ({"partition": "p1"}, 1)], ids=["one", "pair", "part"]
)
def test_figures__a_pair_a_partition_and_a_new_intermediate_take_a_few_more(how, more):
    with NetscalerLab(BINARY, **how) as lab:
        shop = lab.shop("shop.example.org", target={"partition": how.get("partition")})
        for n in (14, 12, 18):
            calls = shop.calls("renew", "shop", "--force")
            assert len(calls) - len(challenges(calls)) == n + more
            if n == 12:
                lab.server.key_type = "rsa"
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_figures__a_renewal_takes_twelve_calls_and_a_challenge_seven(shop):
    shop.target["vserver_type"] = "lb"
    first = shop.calls("issue", "shop")
    assert len(challenges(first)) == 7
    calls = shop.calls("renew", "--force")
    assert len(challenges(calls)) == 7
    assert len(calls) - 7 == 12
    assert kinds(calls).count("login") == 1
    assert kinds(calls).count("logout") == 1
    assert kinds(calls).count("nsconfig") == 1


def test_figures__where_nothing_is_to_be_done_reads_are_all(shop):
    shop.does("issue", "shop")
    for verb in ("renew", "deploy"):
        calls = shop.calls(verb)
        assert writes(calls) == []
        assert kinds(calls) == [
            "login", "hanode", "sslcertkey", "sslvserver_sslcertkey_binding", "logout"
        ]  # fmt: skip
    assert shop.target_state() == "deployed"


def test_figures__fifty_certificates_take_one_session_and_one_save(lab, shop):
    shop.names = ["c0.example.org"]
    shop.deploy = {"sni": "sni"}
    shop.others = {f"c{n}": shop.entry(f"c{n}.example.org") for n in range(1, 50)}
    calls = shop.calls("renew", timeout_s=120)
    asked = kinds(calls)
    assert asked.count("login") == asked.count("logout") == asked.count("nsconfig") == 1
    assert len(lab.pairs()) == 50 and len(lab.bound()) == 50
    assert len(lab.authorities()) == 1
    for n in (0, 17, 49):
        seen = lab.served(f"c{n}.example.org").fingerprint
        assert seen == shop.fingerprint(f"c{n}" if n else "shop")
    calls = shop.calls("deploy")
    assert writes(calls) == [] and kinds(calls).count("login") == 1
    assert len(calls) == 3 + 2 * 50


# ---- saved, and remembered when not ----


def test_save__a_reboot_loses_nothing(lab, shop):
    shop.does("issue", "shop")
    for _ in range(2):
        lab.ns.reboot()
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
        shop.does("renew", "--force")
    pair, (issuer,) = lab.pair(), lab.authorities()
    assert lab.files() == sorted([pair["cert"], pair["key"], issuer + ".crt"])


def test_save__is_not_done_where_somebody_else_does(lab):
    shop = lab.shop("shop.example.org", target={"save": False})
    calls = shop.calls("issue", "shop")
    assert "nsconfig" not in kinds(calls)
    assert shop.target_state() == "deployed"
    assert lab.ns.unsaved


def test_save__that_fails_is_told_remembered_and_done_by_the_next_run(lab, shop):
    shop.does("issue", "shop")
    old = lab.files()
    fault = lab.ns.faults.add(kind="nsconfig", code=1204, times=None)
    error = shop.fails("renew", "shop", "--force")
    assert "1204" in error["message"] and "not saved" in error["message"]
    assert shop.target_state() == "active-not-saved"
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert set(old) < set(lab.files()), "what the saved configuration needs is still there"
    assert fault.struck > 1, "it may be busy for a moment"
    lab.ns.faults.clear()
    issued = lab.server.counts["certificates issued"]
    calls = shop.calls("renew")
    assert [call.kind for call in writes(calls)] == ["nsconfig", "systemfile", "systemfile"]
    assert shop.target_state() == "deployed" and len(lab.files()) == 3
    assert lab.is_whole()
    assert lab.server.counts["certificates issued"] == issued
    assert writes(shop.calls("renew")) == []


def test_save__a_reboot_before_it_brings_the_old_one_back_and_the_next_run_the_new_one(lab, shop):
    shop.does("issue", "shop")
    old = shop.fingerprint()
    lab.ns.faults.add(kind="nsconfig", code=1204, times=None)
    shop.fails("renew", "shop", "--force")
    lab.ns.faults.clear()
    lab.ns.reboot()
    assert lab.served("shop.example.org").fingerprint == old
    shop.does("renew")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint() != old
    assert len(lab.files()) == 3 and lab.is_whole()


# ---- drift ----


PAIR = f"certauto-shop-{KEY}"


def _unlinked(lab):
    lab.ns.command("POST", "sslcertkey", {"certkey": PAIR}, "unlink")


def _replaced(lab):
    lab.by_hand("by-hand", "somebody.example.org")


@pytest.mark.parametrize("verb", ["renew", "deploy"])
@pytest.mark.parametrize("drift", [_unlinked, _replaced])
def test_drift__is_found_and_repaired_without_the_ca(lab, shop, drift, verb):
    shop.does("issue", "shop")
    orders = lab.server.counts["newOrder"]
    drift(lab)
    calls = shop.calls(verb)
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert lab.pairs()[PAIR]["linkcertkeyname"] in lab.authorities()
    assert len(writes(calls)) == 2, "the repair and the save"
    assert lab.is_whole()
    assert lab.server.counts["newOrder"] == orders


def test_drift__that_is_mended_is_told(lab, shop):
    shop.does("issue", "shop")
    _unlinked(lab)
    run = shop.does("renew", "--json")
    assert "edge was not as it had been deployed: it is again" in run.err
    assert run.json()["results"][0]["outcome"] == "done"
    run = shop.does("renew", "--json")
    assert "deployed" not in run.err
    assert run.json()["results"][0]["outcome"] == "unchanged"


def test_drift__that_cannot_be_looked_for_is_an_error_and_goes_away(lab, shop):
    shop.does("issue", "shop")
    lab.ns.faults.add(kind="sslcertkey", method="GET", code=2138, times=None)
    shop.fails("renew")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    lab.ns.faults.clear()
    calls = shop.calls("renew")
    assert writes(calls) == []


def test_drift__a_pair_that_somebody_has_filled_is_not_taken_without_being_told(lab, shop):
    shop.does("issue", "shop")
    theirs = lab.by_hand("by-hand", "somebody.example.org", vserver=None)
    files = dict(zip(("cert", "key"), sorted(theirs)))
    files.update(certkey=PAIR, nodomaincheck=True)
    lab.ns.command("POST", "sslcertkey", files, "update")
    lab.ns.clear()
    error = shop.fails("deploy", "shop")
    assert PAIR in error["message"] and "certkey" in error["advice"]
    assert writes(lab.ns.log) == []
    shop.deploy["certkey"] = PAIR
    shop.does("deploy", "shop")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert theirs <= set(lab.files()), "their files are theirs"


# ---- intermediates ----


@pytest.mark.parametrize("length", [1, 2, 5])
def test_chain__of_any_depth_is_linked_and_sent(length):
    with NetscalerLab(BINARY, ca={"chain_length": length}) as lab:
        shop = lab.shop("shop.example.org")
        shop.does("issue", "shop")
        assert len(lab.authorities()) == length
        assert lab.chain_sent("shop.example.org") == 1 + length
        shop.does("renew", "--force")
        assert len(lab.authorities()) == length and len(lab.files()) == 2 + length
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_chain__is_linked_anew_when_the_ca_changes_it_and_the_old_ones_go(lab, shop):
    shop.does("issue", "shop")
    old = set(lab.authorities())
    lab.server.chain_length = 3
    shop.does("renew", "--force")
    assert len(lab.authorities()) == 3 and not old & set(lab.authorities())
    assert lab.chain_sent("shop.example.org") == 4
    assert len(lab.files()) == 5
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    lab.server.chain_length = 1
    shop.does("renew", "--force")
    assert set(lab.authorities()) == old and len(lab.files()) == 3
    assert lab.chain_sent("shop.example.org") == 2
    assert lab.is_whole()


def test_chain__that_another_certificate_needs_stays(lab, shop):
    shop.deploy = {"sni": "sni"}
    shop.others = {"other": shop.entry("other.example.org")}
    shop.does("renew")
    old = set(lab.authorities())
    assert len(old) == 1
    lab.server.chain_length = 2
    shop.does("renew", "shop", "--force")
    assert len(lab.authorities()) == 3
    shop.does("renew", "other", "--force")
    assert len(lab.authorities()) == 2 and not old & set(lab.authorities())
    assert lab.chain_sent("other.example.org") == 3


def test_chain__that_is_there_under_another_name_is_used_and_left(lab, shop):
    (intermediate,) = lab.intermediates()
    lab.ns.certkey("le-chain", intermediate, files=("le-chain.pem",))
    shop.does("issue", "shop")
    assert lab.pair()["linkcertkeyname"] == "le-chain" and lab.authorities() == ["le-chain"]
    lab.server.chain_length = 2
    shop.does("renew", "--force")
    assert "le-chain" in lab.authorities() and "le-chain.pem" in lab.files()
    assert lab.chain_sent("shop.example.org") == 3


def test_server__from_staging_to_production_needs_no_hand(lab, shop):
    shop.does("issue", "shop")
    staging = shop.fingerprint()
    with lab.new_ca() as production:
        lab.server = production
        shop.does("renew")
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint() != staging
        assert len(lab.authorities()) == 1 and len(lab.files()) == 3
        assert lab.is_whole()


# ---- names ----


def test_names__that_begin_alike_stay_two(lab, shop):
    long = "a-certificate-with-quite-a-long-name-of-the-shop-in-"
    shop.deploy = {"sni": "sni"}
    shop.others = {long + city: shop.entry(city + ".example.org") for city in ("berlin", "paris")}
    shop.does("renew")
    assert len(lab.pairs()) == 3
    assert max(len(name) for name in lab.pairs()) <= 31
    assert max(len(name) for name in lab.files()) <= 63
    assert lab.served("berlin.example.org").fingerprint == shop.fingerprint(long + "berlin")
    assert lab.served("paris.example.org").fingerprint == shop.fingerprint(long + "paris")
    shop.does("renew", "--force")
    assert len(lab.pairs()) == 3 and len(lab.files()) == 2 * 3 + 1


def test_names__a_prefix_is_that_of_everything(lab):
    shop = lab.shop("shop.example.org", target={"prefix": "acme_1"})
    calls = shop.calls("issue", "shop")
    made = [*lab.pairs(), *lab.authorities(), *lab.files()]
    made += [call.args["name"] for call in challenges(calls) if call.method == "POST"]
    assert len(made) == 7 and all(name.startswith("acme_1-") for name in made)


# ---- several at a time ----


def test_parallel__runs_do_not_meet(lab):
    shops = [
        lab.shop(f"p{n}.example.org", target={"prefix": f"p{n}", "sni": "sni"}) for n in range(4)
    ]
    for shop in shops:
        shop.write()
    started = [shop.start("issue", "shop") for shop in shops]
    runs = [shop.finish(process) for shop, process in zip(shops, started)]
    assert [run.status for run in runs] == [0] * 4, "\n".join(map(str, runs))
    for n, shop in enumerate(shops):
        assert lab.served(f"p{n}.example.org").fingerprint == shop.fingerprint()
    assert lab.answers() == [] and lab.is_whole()


def test_leftovers__of_a_run_that_was_killed_long_ago_are_swept(lab, shop, clock):
    shop.write()
    lab.ns.faults.add(
        kind="lbvserver_responderpolicy_binding",
        method="PUT",
        after=lambda: process.send_signal(signal.SIGKILL),
    )
    process = shop.start("issue", "shop")
    assert shop.finish(process).status == -9
    assert lab.answers() != []
    other = lab.shop("other.example.org")
    other.does("issue", "shop")
    assert lab.answers() != [], "it may be at work still"
    other.does("renew", "--force", env=clock(3 * 3600))
    assert lab.answers() == []


# ---- everything at once ----


def test_life__rsa_beside_ecdsa(lab):
    shop = lab.shop("shop.example.org", key=["ecdsa-p256", "rsa-2048"])
    for verb in (["issue", "shop"], ["renew", "--force"]):
        shop.does(*verb)
        for kind, key in (("ecdsa", "ecdsa-p256"), ("rsa", "rsa-2048")):
            seen = lab.served("shop.example.org", kind)
            assert seen.fingerprint == shop.fingerprint(key=key) and seen.key_type == kind
        assert len(lab.pairs()) == 2 and len(lab.files()) == 5
        assert sorted(lab.bound()) == [(name, False) for name in sorted(lab.pairs())]


def test_life__the_handshakes_of_visitors_never_fail(lab, shop):
    shop.does("issue", "shop")
    with lab.handshakes("shop.example.org") as visitors:
        for _ in range(3):
            shop.does("renew", "--force")
    assert visitors.good > 0 and visitors.failures == []
    assert len(visitors.fingerprints) >= 2


def test_life__keys_are_not_told(shop):
    shop.write()
    run = shop.run("-v", "issue", "shop")
    assert run.status == 0, str(run)
    with open(shop.current("key.pem"), encoding="ascii") as file:
        assert not any(line in run.err + run.out for line in file.read().splitlines()[1:-1])
    assert "nsroot" not in run.err + run.out
    assert "NITRO_AUTH_TOKEN" not in run.err + run.out and "##" not in run.err + run.out
