"""Bad input and bad luck on an Avi controller: its own words, what to do, what was undone, and the
old certificate served on."""

import pytest
from conftest import BINARY
from real.avi import NAMES, VS, AviLab
from real.pki import TestCA
from real.simulated import KEY, kinds, writes
from sim.avi_rules import EVH, L4_POLICY

NAME = NAMES[0]
OBJECT = f"certauto-shop-{KEY}"


@pytest.fixture(name="lab")
def _lab():
    with AviLab(BINARY) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    """A certificate that is served."""
    shop = lab.shop(NAME)
    shop.does("issue", "shop")
    return shop


def told(error):
    """Message and advice."""
    return error["message"] + " " + (error["advice"] or "")


def unharmed(lab, old):
    """What was there is served, and all there is."""
    assert lab.served(NAME).fingerprint == old
    assert list(lab.pairs()) == [OBJECT] and len(lab.authorities()) == 1
    assert lab.left_over() == []


def mended(lab, shop):
    """The next run ends well, with nothing left over."""
    shop.does("renew", "shop", "--force")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.left_over() == []
    assert shop.target_state() == "deployed" and shop.records() == []


# ---- logging in ----


def test_login__a_wrong_password_is_tried_once(lab, shop):
    old = shop.fingerprint()
    shop.target["virtualservice"], alone = VS, [{"target": "edge", "bind": [], "probe": "no"}]
    shop.others = {
        f"c{n}": shop.entry(f"c{n}.example.org", deploy=alone) for n in range(5)
    }  # fmt: skip
    shop.target["password"] = {"file": lab.password_file("wrong-one")}
    before = len(lab.log)
    run = shop.does("renew", "--force", "--json", status=1)
    assert kinds(lab.log[before:]) == ["login"]
    errors = [result["error"] for result in run.json()["results"]]
    assert len(errors) == 6
    assert all("401" in error["message"] for error in errors)
    assert all("Invalid credentials" in error["message"] for error in errors)
    assert "wrong-one" not in run.out + run.err
    unharmed(lab, old)
    shop.target["password"] = {"file": lab.password_file("admin")}
    shop.does("renew", "--force")
    assert shop.records() == [] and len(lab.pairs()) == 6


def test_login__a_locked_account_is_told(lab, shop):
    lab.avi.lock_after = 1
    shop.target["password"] = {"file": lab.password_file("wrong-one")}
    shop.fails("renew", "--force")
    shop.target["password"] = {"file": lab.password_file("admin")}
    assert "locked" in shop.fails("renew", "--force")["message"]


@pytest.mark.parametrize("status", [401, 419])
@pytest.mark.parametrize("nth", [2, 6, 10, 13])
def test_session__that_expires_in_the_middle_is_begun_again(lab, shop, status, nth):
    lab.avi.expired_status = status
    lab.avi.faults.add(number=nth, do=lab.avi.expire_sessions)
    calls = shop.calls("renew", "shop", "--force")
    assert kinds(calls).count("login") == 2
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.left_over() == []


def test_session__of_an_account_that_is_always_thrown_out_is_told(lab, shop):
    old = shop.fingerprint()
    lab.avi.faults.add(kind="sslkeyandcertificate", times=None, do=lab.avi.expire_sessions)
    before = len(lab.log)
    shop.fails("renew", "--force")
    assert kinds(lab.log[before:]).count("login") <= 3
    lab.avi.faults.clear()
    unharmed(lab, old)
    mended(lab, shop)


@pytest.mark.parametrize("nth", [2, 7, 11, 14])
def test_controller__that_restarts_is_waited_for(lab, shop, nth):
    lab.avi.faults.add(number=nth, do=lambda: lab.avi.restart(unavailable=2))
    shop.does("renew", "shop", "--force")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.left_over() == []


def test_controller__that_is_upgraded_for_long_is_told(lab, shop):
    old = shop.fingerprint()
    lab.avi.unavailable = 1000
    shop.target["timeout_ms"] = 700
    error = shop.fails("renew", "--force")
    assert "503" in error["message"]
    lab.avi.unavailable = 0
    unharmed(lab, old)
    mended(lab, shop)


# ---- version and tenant ----


def test_version__newer_than_the_controller_is_refused_naming_its_range(lab, shop):
    old = shop.fingerprint()
    shop.target["api_version"] = "31.1.2"
    before = len(lab.log)
    for error in (shop.fails("renew", "--force"), shop.fails("deploy", "shop")):
        assert all(word in told(error) for word in ("31.1.2", "30.2.2", "api_version")), error
    assert "30.2.2" in shop.does("target", "test", "edge", status=1).err
    assert writes(lab.log[before:]) == []
    unharmed(lab, old)


def test_version__older_than_the_oldest_is_refused_naming_its_range(lab, shop):
    lab.avi.min_version = "21.1.1"
    shop.target["api_version"] = "20.1.1"
    error = shop.fails("renew", "--force")
    assert all(word in told(error) for word in ("20.1.1", "21.1.1", "api_version")), error


def test_tenant__that_is_not_there_is_told_with_those_that_are(lab):
    lab.avi.tenant("blue")
    shop = lab.shop(NAME, target={"tenant": "red"})
    before = len(lab.log)
    error = shop.fails("issue", "shop")
    assert all(word in told(error) for word in ("red", "admin", "blue")), error
    assert writes(lab.log[before:]) == []


def test_tenant__that_is_not_the_accounts_is_told(lab):
    lab.avi.tenant("blue")
    lab.avi.account("bob", "secret", {"PERMISSION_VIRTUALSERVICE": "WRITE_ACCESS"}, ["blue"])
    shop = lab.shop(NAME, target={"user": "bob"})
    shop.target["password"] = {"file": lab.password_file("secret")}
    error = shop.fails("issue", "shop")
    assert "admin" in told(error) and "blue" in told(error)


# ---- rights ----


@pytest.mark.parametrize(
    "lacking",
    ["PERMISSION_VIRTUALSERVICE", "PERMISSION_HTTPPOLICYSET", "PERMISSION_SSLKEYANDCERTIFICATE"],
)
def test_rights__one_that_is_missing_is_told_by_the_run(lab, shop, lacking):
    old = shop.fingerprint()
    objects = lab.restrict(shop, without=lacking)
    error = shop.fails("renew", "--force")
    assert "403" in error["message"] and lacking in error["message"]
    assert lacking in error["advice"] and "target recipe" in error["advice"]
    unharmed(lab, old)
    lab.grant(objects)
    mended(lab, shop)


@pytest.mark.parametrize(
    "reading", ["PERMISSION_VIRTUALSERVICE", "PERMISSION_HTTPPOLICYSET",
                "PERMISSION_SSLKEYANDCERTIFICATE"]
)  # fmt: skip
def test_rights__reading_is_not_writing(lab, shop, reading):
    old = shop.fingerprint()
    objects = lab.restrict(shop)
    lab.grant(objects, {reading: "READ_ACCESS"})
    error = shop.fails("renew", "--force")
    assert reading in error["message"] and f"to write {reading} (" in error["advice"]
    unharmed(lab, old)
    lab.grant(objects)
    mended(lab, shop)


# ---- virtual services ----


def refused(lab, shop, *words):
    """The order fails with these words, and nothing was changed."""
    before = len(lab.log)
    error = shop.fails("issue", "shop")
    assert all(word in told(error) for word in words), error
    assert writes(lab.log[before:]) == []
    assert lab.pairs() == {} and lab.answers() == []


def test_service__that_is_not_found_is_told_with_the_names_searched(lab):
    shop = lab.shop("nobody.example.org")
    refused(lab, shop, "nobody.example.org", "virtualservice", "dns_info")


def test_service__of_a_name_that_is_part_of_another_is_not_taken(lab):
    refused(lab, lab.shop("hop.example.org"), "hop.example.org", "virtualservice")


def test_service__two_that_match_are_named(lab):
    lab.add_service("vs-twin", NAMES[:1])
    refused(lab, lab.shop(NAME), VS, "vs-twin", "virtualservice")


def test_service__that_is_disabled_is_refused(lab):
    lab.avi.change("virtualservice", VS, enabled=False)
    refused(lab, lab.shop(NAME), VS, "disabled")


@pytest.mark.parametrize("profile", ["System-L4-Application", "a-name-that-tells-nothing"])
def test_service__of_layer_4_is_refused_before_anything_changes(lab, profile):
    if not profile.startswith("System"):
        body = {"name": profile, "type": "APPLICATION_PROFILE_TYPE_SSL"}
        lab.avi.admin_call("POST", "applicationprofile", body=body)
    lab.avi.virtualservice("l4", ["l4.example.org"], profile=profile)
    refused(lab, lab.shop("l4.example.org"), "l4", "ayer")
    assert not any(L4_POLICY in (call.error or "") for call in lab.log)


def test_service__by_name_that_is_not_there(lab):
    shop = lab.shop(NAME, target={"virtualservice": "nobody"})
    refused(lab, shop, "nobody", "virtualservice")
    assert "nobody" in shop.does("target", "test", "edge", status=1).err


def test_service__to_bind_to_that_is_not_there_or_has_no_tls(lab):
    lab.avi.virtualservice("plain", ["plain.example.org"])
    for name in ("nobody", "plain"):
        shop = lab.shop(NAME, target={"bind": [name]})
        assert name in shop.does("target", "test", "edge", status=1).err
        assert name in shop.fails("issue", "shop")["message"]
        assert lab.pairs() == {} and lab.answers() == []


def test_service__of_a_child_is_bound_at_its_parent(lab):
    lab.avi.parent("above", EVH, http=(80,), https=(443,), certs=["by-hand"])
    lab.avi.child("below", "above", ["below.example.org"])
    shop = lab.shop(
        "below.example.org", target={"bind": ["below"], "probe": lab.https("above"),
                                     "challenge_check": lab.avi.address("above", 80)}
    )  # fmt: skip
    shop.does("issue", "shop")
    seen = lab.served("below.example.org", service="above").fingerprint
    assert seen == shop.fingerprint()
    assert lab.bound("above") == ["by-hand", OBJECT] and lab.answers() == []


# ---- somebody else at work ----


@pytest.mark.parametrize("status", [412, 409])
def test_changed__between_read_and_write_is_read_again(lab, shop, status):
    lab.avi.stale_status = status
    lab.avi.faults.add(
        kind="sslkeyandcertificate", method="PUT",
        do=lambda: lab.avi.change("sslkeyandcertificate", OBJECT, enable_ocsp_stapling=True),
    )  # fmt: skip
    shop.does("renew", "shop", "--force")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.pairs()[OBJECT]["enable_ocsp_stapling"] is True, "theirs is not lost"


def test_changed__the_virtual_service_keeps_what_others_did(lab):
    shop = lab.shop(NAME)
    lab.avi.faults.add(
        kind="virtualservice", method="PUT",
        do=lambda: lab.avi.change("virtualservice", VS, description="theirs"),
    )  # fmt: skip
    shop.does("issue", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.avi.find("virtualservice", VS)["description"] == "theirs"


def test_changed__again_and_again_is_told(lab, shop):
    old = shop.fingerprint()
    numbers = iter(range(1000))
    lab.avi.faults.add(
        kind="sslkeyandcertificate", method="PUT", times=None,
        do=lambda: lab.avi.change("sslkeyandcertificate", OBJECT, created_by=str(next(numbers))),
    )  # fmt: skip
    error = shop.fails("renew", "--force", status=75)
    assert OBJECT in error["message"] and "412" in error["message"]
    lab.avi.faults.clear()
    unharmed(lab, old)
    mended(lab, shop)


def test_changed__a_certificate_that_somebody_removed_is_made_again(lab, shop):
    by_hand = lab.avi.store.named("sslkeyandcertificate", "by-hand", "admin")
    lab.avi.change("virtualservice", VS, ssl_key_and_certificate_refs=[by_hand.ref])
    lab.avi.remove("sslkeyandcertificate", OBJECT)
    orders = lab.server.counts["newOrder"]
    shop.does("renew")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.server.counts["newOrder"] == orders


def test_taken__a_portal_certificate_of_that_name_is_left_alone(lab):
    lab.upload("by-hand-portal", kind="SYSTEM")
    shop = lab.shop(NAME, target={"certificate": "by-hand-portal"})
    before = lab.certificates()["by-hand-portal"]
    error = shop.fails("issue", "shop")
    assert "by-hand-portal" in told(error)
    assert lab.certificates()["by-hand-portal"] == before and lab.answers() == []


# ---- the controller refuses ----


@pytest.mark.parametrize(
    "kind, method, status, words",
    [
        ("httppolicyset", "POST", 400, "quota of policy sets"),
        ("virtualservice", "PATCH", 422, "nothing may be attached"),
        ("sslkeyandcertificate", "POST", 400, "no more CA certificates"),
        ("sslkeyandcertificate", "PUT", 400, "Invalid key"),
    ],
)
def test_refused__is_told_in_its_words_and_taken_back(lab, shop, kind, method, status, words):
    old = shop.fingerprint()
    lab.server.chain_length = 2 if method == "POST" and kind == "sslkeyandcertificate" else 1
    lab.avi.faults.add(kind=kind, method=method, status=status, words=words)
    error = shop.fails("renew", "--force")
    assert str(status) in error["message"] and words in error["message"], error
    assert "edge" in error["message"]
    lab.avi.faults.clear()
    lab.server.chain_length = 1
    unharmed(lab, old)
    mended(lab, shop)


def test_refused__the_binding_takes_the_first_certificate_back(lab):
    shop = lab.shop(NAME)
    lab.avi.faults.add(
        kind="virtualservice", method="PUT", status=400, words="not today", times=None
    )  # fmt: skip
    error = shop.fails("issue", "shop")
    assert "not today" in error["message"] and VS in error["message"]
    assert lab.bound() == ["by-hand"] and lab.pairs() == {} and lab.left_over() == []
    lab.avi.faults.clear()
    orders = lab.server.counts["newOrder"]
    shop.does("renew")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.server.counts["newOrder"] == orders, "deployed without asking the CA again"


def test_proof__of_another_certificate_takes_all_back(lab, shop):
    old = shop.fingerprint()
    lab.add_service("elsewhere", ["elsewhere.example.org"])
    shop.target.update(probe=lab.https("elsewhere"), timeout_ms=700)
    shop.fails("renew", "--force")
    assert shop.target_state() == "rolled-back"
    assert lab.served(NAME).fingerprint == old
    shop.target["probe"] = lab.https()
    issued = lab.server.counts["certificates issued"]
    shop.does("renew")
    assert lab.served(NAME).fingerprint == shop.fingerprint() != old
    assert lab.server.counts["certificates issued"] == issued


# ---- what has to be known about the controller's address ----


def test_tls__of_a_stranger_gets_not_even_the_password(lab):
    shop = lab.shop(NAME, target={"ca_file": None})
    shop.fails("issue", "shop")
    assert lab.log == []
    other = TestCA(lab.new_folder("other"))
    shop.target["ca_file"] = other.file
    shop.fails("issue", "shop")
    assert lab.log == []


def test_key__does_not_go_to_a_controller_that_is_not_known(lab):
    shop = lab.shop(NAME, target={"ca_file": None, "insecure": True})
    assert "instead of insecure" in shop.does("issue", "shop", status=2).err
    assert lab.log == [], "and it is not even asked"
    shop.target["allow_key_over_insecure"] = True
    shop.does("renew", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()


def test_key__does_not_go_over_http():
    with AviLab(BINARY, https=False) as lab:
        shop = lab.shop(NAME)
        assert shop.target["url"].startswith("http://")
        assert "http://" in shop.does("issue", "shop", status=2).err
        shop.target["insecure"] = True
        assert "without TLS" in shop.does("issue", "shop", status=2).err
        assert lab.log == []
        shop.target["allow_key_over_insecure"] = True
        shop.does("renew", "shop")
        assert lab.served(NAME).fingerprint == shop.fingerprint()
