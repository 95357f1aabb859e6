"""The life of certificates on an Avi controller: challenge, upload, chain, binding, proof, renewal.

Everything is seen from outside: what the virtual service serves, which objects the controller has,
what it was asked.
"""

import signal

import pytest
from conftest import BINARY
from real.avi import NAMES, VS, AviLab, challenges
from real.simulated import KEY, kinds, writes

NAME = NAMES[0]
OBJECT = f"certauto-shop-{KEY}"


@pytest.fixture(name="lab")
def _lab():
    with AviLab(BINARY) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    return lab.shop(NAME)


# ---- the first ----


def test_issue__is_served_linked_and_bound_and_leaves_nothing_else(lab, shop):
    shop.does("issue", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert shop.target_state() == "deployed"
    ((name, pair),) = lab.pairs().items()
    assert name == OBJECT and pair["status"] == "SSL_CERTIFICATE_FINISHED"
    (issuer,) = lab.authorities()
    assert pair["ca_certs"][0]["name"] == issuer and issuer.startswith("certauto-ca-")
    assert lab.bound() == [name]
    assert lab.left_over() == [] and lab.answers() == []
    assert shop.records() == []
    assert lab.avi.sessions.open == {}, "logged out"


def test_issue__of_three_names_takes_one_certificate(lab):
    shop = lab.shop(*NAMES)
    calls = shop.calls("issue", "shop")
    assert {lab.served(name).fingerprint for name in NAMES} == {shop.fingerprint()}
    patches = [call for call in writes(calls) if call.kind == "virtualservice"]
    indexes = [
        one["index"] for call in patches if call.method == "PATCH"
        for one in call.body.get("add", {}).get("http_policies", [])
    ]  # fmt: skip
    assert len(indexes) == len(set(indexes)) == 3
    assert lab.left_over() == [] and kinds(calls).count("login") == 1


def test_issue__opens_port_80_for_as_long_as_it_takes(clean_port):
    lab, shop = clean_port
    shop.does("issue", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.ports() == [443] and lab.left_over() == []
    asked = [one for one in lab.avi.plane.requests if one[3].startswith("/.well-known/")]
    assert len(asked) >= 3, "each name has been asked for at port 80"


def test_check__looks_and_changes_nothing(lab, shop):
    shop.target["profile"] = "nobody"
    assert "nobody" in shop.does("check", status=3).err
    del shop.target["profile"]
    before = len(lab.log)
    assert "edge: ok" in shop.does("check").out
    assert writes(lab.log[before:]) == [] and kinds(lab.log[before:]).count("login") == 1


def test_issue__takes_over_an_object_that_is_bound_already(lab):
    shop = lab.shop(NAME, target={"certificate": "by-hand", "bind": None})
    shop.does("issue", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.pairs() == {} and lab.bound() == ["by-hand"]


@pytest.fixture(name="clean_port")
def _clean_port():
    with AviLab(BINARY, http=()) as lab:
        yield lab, lab.shop(*NAMES)


def test_issue__where_no_port_may_be_opened_changes_nothing(clean_port):
    lab, shop = clean_port
    shop.target["temporary_port80"] = False
    before = len(lab.log)
    error = shop.fails("issue", "shop")
    assert "temporary_port80" in error["message"] + error["advice"]
    assert writes(lab.log[before:]) == []


def test_issue__answers_where_http_is_sent_to_https(lab, shop):
    lab.avi.change("virtualservice", VS, application_profile_ref=(
        "/api/applicationprofile?name=System-Secure-HTTP"
    ))
    lab.server.alpn_address = lab.https()
    # certauto finds port 80 by the option, but what it redirects to by the DNS; the CA finds both.
    error = shop.fails("issue", "shop")
    assert f"https://{NAME}/" in error["message"]
    assert error["advice"].endswith("set the option challenge_check to no")
    shop.target["challenge_check"] = "no"
    shop.target["settle_ms"] = 0
    shop.does("issue", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()


# ---- the renewal, and what calls it takes ----


def test_renewal__updates_in_place_with_a_new_key(lab, shop):
    shop.does("issue", "shop")
    before, old_key = shop.fingerprint(), lab.key(OBJECT)
    uuid = lab.avi.store.named("sslkeyandcertificate", OBJECT, "admin").uuid
    calls = shop.calls("renew", "--force")
    assert lab.served(NAME).fingerprint == shop.fingerprint() != before
    assert lab.key(OBJECT) != old_key
    assert lab.avi.store.named("sslkeyandcertificate", OBJECT, "admin").uuid == uuid
    assert [(call.method, call.kind) for call in writes(calls) if call.kind not in (
        "httppolicyset", "virtualservice"
    )] == [("PUT", "sslkeyandcertificate")]
    assert len(lab.authorities()) == 1 and lab.left_over() == []


def test_renewal__keeps_the_key_if_told_to(lab, shop):
    shop.certificate["reuse_key"] = True
    shop.does("issue", "shop")
    old = lab.key(OBJECT)
    shop.does("renew", "--force")
    assert lab.key(OBJECT) == old
    assert lab.served(NAME).fingerprint == shop.fingerprint()


def test_figures__a_renewal_takes_seven_calls_and_a_challenge_six(lab, shop):
    shop.does("issue", "shop")
    calls = shop.calls("renew", "--force")
    asked = challenges(calls)
    rest = [call for call in calls if call not in asked]
    assert kinds(rest).count("login") == kinds(rest).count("logout") == 1
    assert len(rest) == 7, "\n".join(map(str, calls))
    # One of them looks for what earlier runs have left.
    assert len(asked) == 7 and len(writes(asked)) == 4, "\n".join(map(str, calls))
    lab.server.chain_length = 2
    more = shop.calls("renew", "--force")
    # Two intermediates come, and the one that nothing needs any more goes.
    assert len(more) - 7 == 7 + 2 + 1, "\n".join(map(str, more))


def test_figures__where_nothing_is_to_be_done_reads_are_all(shop):
    shop.does("issue", "shop")
    for verb in ("renew", "deploy"):
        calls = shop.calls(verb)
        assert writes(calls) == []
        assert len(calls) == 5, "\n".join(map(str, calls))
    assert shop.target_state() == "deployed"


def test_figures__several_certificates_take_one_session(lab):
    names = [f"c{n}.example.org" for n in range(12)]
    shop = lab.shop(names[0], target={"virtualservice": VS, "bind": None, "probe": "no"})
    shop.others = {f"c{n}": shop.entry(name) for n, name in enumerate(names) if n}
    calls = shop.calls("renew", timeout_s=120)
    assert kinds(calls).count("login") == kinds(calls).count("logout") == 1
    assert len(lab.pairs()) == 12 and len(lab.authorities()) == 1
    assert lab.answers() == []
    calls = shop.calls("renew")
    assert writes(calls) == [] and kinds(calls).count("login") == 1


# ---- drift ----


def _replaced(lab):
    by_hand = lab.avi.store.named("sslkeyandcertificate", "by-hand", "admin")
    lab.avi.change("virtualservice", VS, ssl_key_and_certificate_refs=[by_hand.ref])


def _refilled(lab):
    cert, key = lab.bundle(NAME)
    lab.avi.change("sslkeyandcertificate", OBJECT, certificate={"certificate": cert}, key=key)


@pytest.mark.parametrize("verb", ["renew", "deploy"])
@pytest.mark.parametrize("drift", [_replaced, _refilled])
def test_drift__is_found_and_repaired_without_the_ca(lab, shop, drift, verb):
    shop.does("issue", "shop")
    orders = lab.server.counts["newOrder"]
    drift(lab)
    calls = shop.calls(verb)
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert len(writes(calls)) == 1
    assert lab.server.counts["newOrder"] == orders


# ---- intermediates ----


def test_chain__is_that_of_the_ca_and_the_old_one_goes(lab, shop):
    shop.does("issue", "shop")
    old = set(lab.authorities())
    lab.server.chain_length = 3
    shop.does("renew", "--force")
    assert len(lab.authorities()) == 3 and not old & set(lab.authorities())
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    lab.server.chain_length = 1
    shop.does("renew", "--force")
    assert set(lab.authorities()) == old
    assert lab.served(NAME).fingerprint == shop.fingerprint()


def test_chain__that_another_certificate_needs_stays(lab):
    shop = lab.shop(NAME)
    shop.others = {"other": shop.entry(NAMES[1], deploy=[{"target": "edge", "bind": []}])}
    shop.others["other"]["deploy"][0].update(probe="no")
    shop.does("renew")
    lab.server.chain_length = 2
    shop.does("renew", "shop", "--force")
    assert len(lab.authorities()) == 3
    shop.does("renew", "other", "--force")
    assert len(lab.authorities()) == 2


def test_chain__that_is_there_under_another_name_is_used_and_left(lab, shop):
    (intermediate,) = lab.intermediates()
    lab.avi.upload("le-chain", intermediate)
    shop.does("issue", "shop")
    assert lab.authorities() == ["le-chain"]
    assert lab.pairs()[OBJECT]["ca_certs"][0]["name"] == "le-chain"
    lab.server.chain_length = 2
    shop.does("renew", "--force")
    assert "le-chain" in lab.authorities() and len(lab.authorities()) == 3
    assert lab.served(NAME).fingerprint == shop.fingerprint()


def test_server__from_staging_to_production_needs_no_hand(lab, shop):
    shop.does("issue", "shop")
    staging = shop.fingerprint()
    with lab.new_ca() as production:
        lab.server = production
        shop.does("renew")
        assert lab.served(NAME).fingerprint == shop.fingerprint() != staging
        assert len(lab.authorities()) == 1


# ---- how it is reached ----


def test_tenant__everything_is_in_it(lab):
    with AviLab(BINARY, tenant="blue") as blue:
        shop = blue.shop(NAME)
        calls = shop.calls("issue", "shop")
        assert blue.served(NAME).fingerprint == shop.fingerprint()
        assert {call.tenant for call in calls if call.tenant} == {"blue"}
        assert list(blue.pairs()) == [OBJECT] and blue.answers() == []
    assert lab.pairs() == {}


def test_version__is_the_controllers_or_the_one_that_is_set(lab, shop):
    calls = shop.calls("issue", "shop")
    assert {call.version for call in calls if call.version} == {"30.2.2"}
    shop.target["api_version"] = "22.1.3"
    calls = shop.calls("renew", "--force")
    assert {call.version for call in calls if call.version} == {"22.1.3"}
    assert lab.served(NAME).fingerprint == shop.fingerprint()


@pytest.mark.parametrize("version", ["20.1.1", "31.1.2"])
def test_version__of_old_and_new_controllers(version):
    with AviLab(BINARY, version=version, min_version=version) as lab:
        shop = lab.shop(NAME)
        shop.does("issue", "shop")
        shop.does("renew", "--force")
        assert lab.served(NAME).fingerprint == shop.fingerprint()
        assert lab.left_over() == []


def test_token__takes_the_place_of_the_password(lab, shop):
    lab.avi.token("admin", "t0ken-of-the-administrator")
    shop.target["password"] = None
    del shop.target["password"]
    shop.target["token"] = {"file": lab.password_file("t0ken-of-the-administrator")}
    shop.does("issue", "shop")
    assert lab.served(NAME).fingerprint == shop.fingerprint()


@pytest.mark.parametrize(
    "quirk",
    [
        {"rotate_csrf": True},
        {"order": "reversed", "page_size": 2},
        {"in_use_status": 409, "stale_status": 409, "logout_status": 204},
        {"auto_link": False},
        {"tells_alt_names": False, "put_needs_last_modified": True},
        {"push_delay": 0.1},
        {"delete_unmatched": "refuse"},
    ],
    ids=lambda quirk: next(iter(quirk)),
)
def test_quirks__of_releases_are_lived_with(quirk):
    with AviLab(BINARY, **quirk) as lab:
        for n in range(3):
            lab.upload(f"by-hand-{n}")
        shop = lab.shop(*NAMES[:2])
        shop.does("issue", "shop")
        shop.does("renew", "--force")
        assert lab.served(NAME).fingerprint == shop.fingerprint()
        assert lab.left_over() == [] and lab.answers() == []


# ---- several at a time ----


@pytest.mark.parametrize("prefix", ["same", "p{}"])
@pytest.mark.parametrize("http", [(80,), ()], ids=["open", "closed"])
def test_parallel__runs_do_not_meet(http, prefix):
    with AviLab(BINARY, http=http) as lab:
        shops = [
            lab.shop(*names, target={
                "prefix": prefix.format(n), "certificate": f"pair-{n}", "virtualservice": VS,
                "bind": None, "probe": "no",
            })
            for n, names in enumerate([NAMES, *[[name] for name in NAMES]])
        ]  # fmt: skip
        for shop in shops:
            shop.write()
        started = [shop.start("issue", "shop") for shop in shops]
        runs = [shop.finish(process) for shop, process in zip(shops, started)]
        assert [run.status for run in runs] == [0] * len(shops), "\n".join(map(str, runs))
        assert len(lab.pairs()) == len(shops) and lab.answers() == []
        assert sorted(lab.ports()) == sorted([*http, 443])


def test_leftovers__of_a_run_that_was_killed_long_ago_are_swept(clean_port, clock):
    lab, shop = clean_port
    shop.names = shop.names[:1]
    shop.write()
    lab.avi.faults.add(
        kind="virtualservice", method="PATCH", after=lambda: process.send_signal(signal.SIGKILL)
    )
    with lab.avi.lock:
        process = shop.start("issue", "shop")
    assert shop.finish(process).status == -9
    assert lab.answers() != [] and lab.ports() == [443, 80]
    other = lab.shop(NAMES[1], target={"bind": None, "probe": "no"})
    other.does("issue", "shop")
    assert lab.answers() != [], "it may be at work still"
    other.does("renew", "--force", env=clock(3 * 3600))
    assert lab.answers() == [] and lab.ports() == [443]


# ---- everything at once ----


def test_life__rsa_beside_ecdsa(lab):
    shop = lab.shop(NAME, key=["ecdsa-p256", "rsa-2048"])
    for verb in (["issue", "shop"], ["renew", "--force"]):
        shop.does(*verb)
        for kind, key in (("ecdsa", "ecdsa-p256"), ("rsa", "rsa-2048")):
            seen = lab.served(NAME, kind)
            assert seen.fingerprint == shop.fingerprint(key=key) and seen.key_type == kind
        assert sorted(lab.bound()) == sorted(lab.pairs()) and len(lab.pairs()) == 2


def test_life__the_handshakes_of_visitors_never_fail(lab, shop):
    shop.does("issue", "shop")
    with lab.handshakes(NAME) as visitors:
        for _ in range(2):
            shop.does("renew", "--force")
    assert visitors.good > 0 and visitors.failures == []
    assert len(visitors.fingerprints) >= 2


def test_life__secrets_are_not_told(lab, shop):
    lab.restrict(shop)
    shop.write()
    run = shop.run("-v", "issue", "shop")
    assert run.status == 0, str(run)
    said = run.err + run.out
    with open(shop.current("key.pem"), encoding="ascii") as file:
        assert not any(line in said for line in file.read().splitlines()[1:-1])
    assert "of-my-own" not in said and "csrftoken" not in said and "sessionid" not in said


# ---- rights ----


@pytest.fixture(scope="module", name="restricted")
def _restricted():
    """The account of the recipe has done all there is to do."""
    with AviLab(BINARY) as lab:
        shop = lab.shop(NAME)
        objects = lab.restrict(shop)
        yield lab, shop, objects


def test_recipe__is_enough_for_everything(restricted):
    lab, shop, _ = restricted
    shop.does("target", "test", "edge")
    shop.does("issue", "shop")
    shop.does("renew", "shop", "--force")
    assert lab.served(NAME).fingerprint == shop.fingerprint()
    assert lab.left_over() == []


def test_recipe__is_no_more_than_is_needed(restricted):
    _, _, objects = restricted
    rights = {one["resource"]: one["type"] for one in objects["role"]["privileges"]}
    assert set(rights) == set(NEEDED)
    assert not objects["user"].get("is_superuser")
    assert sorted(name for name, how in rights.items() if how == "WRITE_ACCESS") == sorted(
        name for name, how in NEEDED.items() if how == "WRITE_ACCESS"
    )


NEEDED = {
    "PERMISSION_VIRTUALSERVICE": "WRITE_ACCESS", "PERMISSION_HTTPPOLICYSET": "WRITE_ACCESS",
    "PERMISSION_SSLKEYANDCERTIFICATE": "WRITE_ACCESS",
    "PERMISSION_APPLICATIONPROFILE": "READ_ACCESS",
    "PERMISSION_CERTIFICATEMANAGEMENTPROFILE": "READ_ACCESS",
}  # fmt: skip


NEEDED_FOR_A_PROFILE = {**NEEDED, "PERMISSION_ALERTCONFIG": "READ_ACCESS"}


@pytest.fixture(scope="module", name="verified")
def _verified():
    """The account of a recipe with a profile that is to be verified."""
    with AviLab(BINARY) as lab:
        shop = lab.shop(NAME, target={"profile": "internal"})
        objects = lab.restrict(shop)
        yield lab, shop, objects


def test_recipe__to_verify_a_profile_takes_one_right_more(verified):
    _, shop, objects = verified
    rights = {one["resource"]: one["type"] for one in objects["role"]["privileges"]}
    assert rights == NEEDED_FOR_A_PROFILE
    assert "edge: ok" in shop.does("target", "test", "edge").out


def test_rights__of_its_own_recipe_are_enough_to_see_a_useless_script(verified):
    lab, shop, objects = verified
    script = objects["alertscriptconfig"]
    lab.avi.change("alertscriptconfig", script["name"], action_script="print('nothing here')")
    run = shop.does("target", "test", "edge", status=1)
    assert "certificate_request()" in run.err and "edge: ok" not in run.out
    lab.avi.change("alertscriptconfig", script["name"], action_script=script["action_script"])
    shop.does("target", "test", "edge")


@pytest.mark.parametrize("lacking", sorted(NEEDED_FOR_A_PROFILE))
def test_rights__one_that_is_missing_is_told_by_the_test(verified, lacking):
    lab, shop, objects = verified
    shop.does("target", "test", "edge")
    lab.grant(objects, {lacking: "NO_ACCESS"})
    before = len(lab.log)
    run = shop.does("target", "test", "edge", status=1)
    assert lacking in run.err and writes(lab.log[before:]) == []
    lab.grant(objects)


def test_rights__to_write_are_seen_where_the_account_may_read_its_role(restricted):
    lab, shop, objects = restricted
    role = objects["role"]
    for name in ("PERMISSION_ROLE", "PERMISSION_USER"):
        role["privileges"].append({"resource": name, "type": "READ_ACCESS"})
    for name in ("PERMISSION_HTTPPOLICYSET", "PERMISSION_SSLKEYANDCERTIFICATE"):
        lab.grant(objects, {name: "READ_ACCESS"})
        assert name in shop.does("target", "test", "edge", status=1).err
    lab.grant(objects)
    assert "edge: ok" in shop.does("target", "test", "edge").out


# ---- a certificate that the controller renews by itself ----


SCRIPT = """
import os, subprocess, tempfile

def certificate_request(csr, common_name, args):
    if args["fail"] == "yes":
        raise RuntimeError("the CA is out for lunch")
    given = {"csr": csr, "ca": args["ca"], "ext": "subjectAltName=DNS:" + common_name}
    folder = tempfile.mkdtemp()
    for name, text in given.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    argv = "openssl x509 -req -in csr -CA ca -CAkey ca -CAcreateserial -days 60 -extfile ext"
    return subprocess.check_output(argv.split(), cwd=folder, text=True, stderr=subprocess.PIPE)
"""


@pytest.fixture(name="managed")
def _managed(lab):
    """A lab with a certificate that a script gets."""
    with open(lab.tls.file, encoding="ascii") as cert, open(lab.tls.key, encoding="ascii") as key:
        params = {"ca": cert.read() + key.read(), "fail": "no"}
    lab.avi.profile("internal", SCRIPT, params, sensitive=["ca"], dynamic=["fail"])
    lab.avi.certificate("managed", "internal", NAME, [NAME], fail="no")
    return lab, lab.shop(NAME, target={"certificate": "managed", "probe": None})


@pytest.mark.parametrize("mode", ["wait", "background"])
def test_target_renew__has_the_controller_do_it_and_waits(managed, mode):
    lab, shop = managed
    lab.avi.script_mode = mode
    before, key = lab.certificates()["managed"]["certificate"]["serial_number"], lab.key("managed")
    shop.does("target", "renew", "edge")
    assert lab.certificates()["managed"]["certificate"]["serial_number"] != before
    assert lab.key("managed") != key and len(lab.avi.script_runs) == 2


@pytest.mark.parametrize("mode, words", [("wait", "out for lunch"), ("background", "given it up")])
def test_target_renew__tells_what_became_of_it(managed, mode, words):
    lab, shop = managed
    lab.avi.script_mode = mode
    lab.avi.change("sslkeyandcertificate", "managed", dynamic_params=[
        {"name": "fail", "value": "yes"}
    ])
    before = lab.certificates()["managed"]["certificate"]["serial_number"]
    assert words in shop.does("target", "renew", "edge", status=1).err
    assert lab.certificates()["managed"]["certificate"]["serial_number"] == before
    assert lab.certificates()["managed"]["status"] == "SSL_CERTIFICATE_FINISHED"


def test_target_renew__proves_what_is_served(managed):
    lab, shop = managed
    shop.target.update(probe=lab.https(), timeout_ms=1500)
    assert "127.0.0.1" in shop.does("target", "renew", "edge", status=1).err, "not bound"
    cert = lab.avi.store.named("sslkeyandcertificate", "managed", "admin")
    lab.avi.change("virtualservice", VS, ssl_key_and_certificate_refs=[cert.ref])
    shop.does("target", "renew", "edge")
    assert lab.shown(NAME) is not None


def test_target_renew__is_not_for_those_of_ours(lab, shop):
    shop.does("issue", "shop")
    shop.target["certificate"] = OBJECT
    before = lab.served(NAME).fingerprint
    run = shop.does("target", "renew", "edge", status=1)
    assert "certauto renew" in run.err
    assert lab.served(NAME).fingerprint == before


def test_deploy__does_not_take_what_the_controller_renews(managed):
    lab, shop = managed
    before = lab.certificates()["managed"]["certificate"]["serial_number"]
    error = shop.fails("issue", "shop")
    assert "target renew" in error["advice"]
    assert lab.certificates()["managed"]["certificate"]["serial_number"] == before
