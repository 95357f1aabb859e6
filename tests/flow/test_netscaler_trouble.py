"""Bad input and bad luck on a NetScaler: the appliance's own code and words, what was undone, and
the old certificate served on."""

import pytest
from conftest import BINARY
from real.netscaler import HTTP, HTTPS, NetscalerLab
from real.simulated import KEY, kinds


PAIR = f"certauto-shop-{KEY}"


@pytest.fixture(name="lab")
def _lab():
    with NetscalerLab(BINARY) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    """A certificate that is served."""
    shop = lab.shop("shop.example.org")
    shop.does("issue", "shop")
    return shop


def unharmed(lab, old):
    """What was there is served, saved, and all there is."""
    assert lab.served("shop.example.org").fingerprint == old
    assert [name[-16:-4] for name in lab.files() if name.endswith(".key")] == [old[:12]]
    assert len(lab.pairs()) == len(lab.authorities()) == 1 and len(lab.files()) == 3
    assert lab.answers() == [] and lab.is_whole()


def mended(lab, shop, n_files=3):
    """The next run ends well, with nothing left over."""
    shop.does("renew", "shop", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert len(lab.files()) == n_files and lab.is_whole()
    assert shop.target_state() == "deployed" and shop.records() == []


# ---- logging in ----


def test_login__a_wrong_password_is_tried_once(lab, shop):
    old = shop.fingerprint()
    shop.others = {f"c{n}": shop.entry(f"c{n}.example.org") for n in range(5)}
    shop.target["password"] = {"file": lab.password_file("wrong")}
    before = len(lab.ns.log)
    run = shop.does("renew", "--force", "--json", status=1)
    assert [call.kind for call in lab.ns.log[before:]] == ["login"]
    errors = [result["error"] for result in run.json()["results"]]
    assert len(errors) == 6
    assert all("354" in error["message"] for error in errors)
    assert all("Invalid username or password" in error["message"] for error in errors)
    unharmed(lab, old)
    shop.deploy["sni"] = "sni"
    shop.target["password"] = {"file": lab.password_file("nsroot")}
    shop.does("renew", "--force")
    assert shop.records() == [] and len(lab.pairs()) == 6


def test_login__a_locked_account_is_told_and_not_tried_again(lab, shop):
    old = shop.fingerprint()
    lab.ns.accounts.users["nsroot"].locked = True
    before = len(lab.ns.log)
    error = shop.fails("renew", "--force")
    assert [call.kind for call in lab.ns.log[before:]] == ["login"]
    assert "35" in error["message"] and "locked" in error["message"] + error["advice"]
    lab.ns.accounts.users["nsroot"].locked = False
    unharmed(lab, old)
    mended(lab, shop)


@pytest.mark.parametrize("nth", [2, 4, 7, 10, 13, 16])
def test_session__lost_in_the_middle_is_begun_again(lab, shop, nth):
    lab.ns.faults.add(number=nth, session=True)
    calls = shop.calls("renew", "shop", "--force")
    assert kinds(calls).count("login") == 2
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert len(lab.files()) == 3 and lab.is_whole()


def test_session__too_many_is_waited_for_or_told(lab, shop):
    old = shop.fingerprint()
    lab.ns.faults.add(kind="login", code=446, times=None)
    shop.target["timeout_ms"] = 1500
    error = shop.fails("renew", "--force", status=75)
    assert "446" in error["message"] and "sessions" in error["advice"]
    lab.ns.faults.clear()
    unharmed(lab, old)
    mended(lab, shop)


# ---- rights ----


@pytest.mark.parametrize(
    "lacking",
    [
        "add responder policy",
        "bind lb vserver",
        "add system file",
        "update ssl certKey",
        "save ns config",
    ],
)
def test_rights__one_that_is_missing_is_told_by_check_and_by_the_run(lab, shop, lacking):
    old = shop.fingerprint()
    lab.restrict(shop, without=lacking)
    run = shop.does("check", status=3)
    assert lacking in run.err
    error = shop.fails("renew", "--force")
    assert "2138" in error["message"] and "Not authorized" in error["message"]
    if lacking != "save ns config":
        unharmed(lab, old)
    lab.restrict(shop)
    mended(lab, shop)


# ---- vservers ----


def check_and_run(lab, shop, *words, status=3):
    """check tells it, changing nothing; so does the run."""
    issued = lab.server.counts["certificates issued"]
    run = shop.does("check", status=status)
    assert all(word in run.err for word in words), str(run)
    error = shop.fails("issue", "shop")
    told = error["message"] + " " + (error["advice"] or "")
    assert all(word in told for word in words), told
    assert lab.files() == [] and lab.pairs() == {} and lab.answers() == []
    assert lab.server.counts["certificates issued"] - issued <= 1


@pytest.mark.parametrize("kind", [None, "lb", "cs"])
def test_vserver__that_is_not_there(lab, kind):
    shop = lab.shop("shop.example.org", target={"vserver": "nobody", "vserver_type": kind})
    check_and_run(lab, shop, "nobody")


def test_vserver__of_another_type_than_told(lab):
    shop = lab.shop("shop.example.org", target={"vserver_type": "cs"})
    check_and_run(lab, shop, HTTP, "cs")


def test_vserver__for_https_cannot_answer_challenges(lab):
    shop = lab.shop("shop.example.org", target={"vserver": HTTPS})
    assert HTTPS in shop.does("check", status=3).err
    shop.fails("issue", "shop")
    assert lab.files() == [] and lab.answers() == []


def test_vserver__that_is_down_answers_nobody(lab):
    lab.ns.vservers[HTTP].up = False
    shop = lab.shop("shop.example.org")
    run = shop.does("check", status=3)
    assert "DOWN" in run.err and HTTP in run.err
    shop.target["timeout_ms"] = 2000
    shop.fails("issue", "shop")
    assert lab.answers() == []


def test_vserver__to_bind_to_that_is_not_there_or_not_ssl(lab):
    for vserver in ("nobody", HTTP):
        shop = lab.shop("shop.example.org", deploy={"ssl_vserver": [vserver]})
        check_and_run(lab, shop, vserver)


def test_feature__responder_is_off(lab):
    lab.ns.features.discard("RESPONDER")
    shop = lab.shop("shop.example.org", target={"timeout_ms": 2000})
    run = shop.does("check", status=3)
    assert "enable ns feature" in run.err and "RESPONDER" in run.err.upper()
    shop.fails("issue", "shop")
    assert lab.answers() == []
    lab.ns.features.add("RESPONDER")
    shop.does("renew", "shop")


# ---- names and files ----


def test_name__too_long_for_the_build_is_refused_by_it_and_told(lab):
    lab.ns.name_max = 23
    shop = lab.shop("shop.example.org")
    error = shop.fails("issue", "shop")
    assert "1106" in error["message"] and "name_max" in error["advice"]
    assert lab.files() == [] and lab.pairs() == {}
    shop.target["name_max"] = 23
    shop.does("renew", "shop")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_file__that_exists_is_taken_only_with_the_same_content(lab, shop):
    def put():
        names.append(f"{PAIR}-{shop.fingerprint()[:12]}.key")
        lab.ns.put_file(names[0], "somebody else's")

    names, old = [], shop.fingerprint()
    lab.ns.faults.add(kind="systemfile", method="POST", do=put)
    error = shop.fails("renew", "shop", "--force")
    assert "273" in error["message"] and names[0] in error["message"]
    assert lab.file(names[0]) == b"somebody else's"
    assert lab.served("shop.example.org").fingerprint == old
    assert shop.target_state() == "rolled-back" and len(lab.files()) == 4
    mended(lab, shop, n_files=4)


def test_file__that_exists_already_is_not_sent_again(lab, shop):
    # Done, and nobody heard of it.
    lab.ns.faults.add(kind="systemfile", method="POST", times=2, wire="lost-reply")
    shop.does("renew", "shop", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert len(lab.files()) == 3


# ---- the appliance refuses ----


@pytest.mark.parametrize(
    "type_, action, code, words",
    [
        ("sslcertkey", "update", 1538, "do not match"),
        ("sslcertkey", "update", 1537, "Invalid private key"),
        ("sslcertkey", "link", 1548, "Issuer certificate mismatch"),
        ("systemfile", None, 284, "No space left on device"),
        ("systemfile", None, 3440, "Directory does not exist"),
        ("responderaction", None, 268, "Cannot allocate memory"),
        ("responderpolicy", None, 1067, "Feature(s) not enabled"),
    ],
)
def test_refused__is_told_in_its_words_and_taken_back(lab, shop, type_, action, code, words):
    old = shop.fingerprint()
    if action == "link":
        lab.server.chain_length = 2
    # Once where the way back needs the same command.
    times = 1 if action == "link" else None
    lab.ns.faults.add(kind=type_, method="POST", action=action, code=code, times=times)
    error = shop.fails("renew", "--force")
    assert str(code) in error["message"] and words in error["message"], error
    assert "edge" in error["message"]
    lab.ns.faults.clear()
    lab.server.chain_length = 1
    unharmed(lab, old)
    mended(lab, shop)


def test_refused__the_first_leaves_nothing(lab):
    shop = lab.shop("shop.example.org")
    lab.ns.faults.add(kind="sslcertkey", method="POST", code=1538, times=None)
    error = shop.fails("issue", "shop")
    assert "1538" in error["message"]
    assert lab.files() == [] and lab.pairs() == {} and lab.authorities() == []
    lab.ns.faults.clear()
    orders = lab.server.counts["newOrder"]
    shop.does("renew")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert lab.server.counts["newOrder"] == orders, "deployed without asking the CA again"


def test_busy__is_tried_again(lab, shop):
    for kind in ("systemfile", "sslcertkey", "nsconfig", "responderpolicy"):
        lab.ns.faults.add(kind=kind, method="POST", code=291, status=503)
    shop.does("renew", "shop", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert len(lab.files()) == 3 and lab.is_whole()


def test_busy__for_good_is_told(lab, shop):
    old = shop.fingerprint()
    lab.ns.faults.add(kind="sslcertkey", action="update", code=291, status=503, times=None)
    shop.target["timeout_ms"] = 1500
    error = shop.fails("renew", "--force")
    assert "291" in error["message"] and "temporarily unavailable" in error["message"]
    lab.ns.faults.clear()
    unharmed(lab, old)
    mended(lab, shop)


def test_proof__of_another_certificate_takes_all_back(lab, shop):
    old = shop.fingerprint()
    shop.target.update(probe=lab.elsewhere(), timeout_ms=2000)
    shop.fails("renew", "--force")
    assert shop.target_state() == "rolled-back"
    unharmed(lab, old)
    shop.target["probe"] = lab.https()
    issued = lab.server.counts["certificates issued"]
    shop.does("renew")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint() != old
    assert lab.server.counts["certificates issued"] == issued and len(lab.files()) == 3


def test_proof__does_not_bring_one_back_that_is_about_to_expire(lab):
    lab.server.days = 0.9
    shop = lab.shop("shop.example.org")
    shop.does("issue", "shop")
    lab.server.days = 90
    shop.target.update(probe=lab.elsewhere(), timeout_ms=2000)
    shop.fails("renew", "--force")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert shop.target_state() == "inconsistent"
    shop.target["probe"] = lab.https()
    shop.does("renew")
    assert shop.target_state() == "deployed" and lab.left_over() == []


# ---- what has to be known about the management address ----


def test_key__does_not_go_to_an_appliance_that_is_not_known(lab):
    shop = lab.shop("shop.example.org", target={"ca_file": None, "insecure": True})
    assert "instead of insecure" in shop.does("issue", "shop", status=2).err
    assert lab.log == [], "and it is not even asked"
    shop.target["allow_key_over_insecure"] = True
    shop.does("renew", "shop")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_key__does_not_go_over_http():
    with NetscalerLab(BINARY, https=False) as lab:
        shop = lab.shop("shop.example.org", target={"ca_file": None})
        assert shop.target["url"].startswith("http://")
        assert "http://" in shop.does("issue", "shop", status=2).err
        shop.target["insecure"] = True
        assert "without TLS" in shop.does("issue", "shop", status=2).err
        assert lab.log == []
        shop.target["allow_key_over_insecure"] = True
        shop.does("renew", "shop")
        assert lab.served("shop.example.org").fingerprint == shop.fingerprint()


def test_tls__of_a_stranger_gets_not_even_the_password(lab):
    shop = lab.shop("shop.example.org", target={"ca_file": None})
    shop.fails("issue", "shop")
    assert lab.ns.log == []
