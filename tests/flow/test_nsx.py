"""Certificates for the managers of an NSX cluster and its virtual IP: import, apply one by one,
proof, renewal, what is replaced. All is seen from outside: what each address presents, and what the
managers were asked."""

import os
import ssl

import pytest
from conftest import BINARY
from real import tls
from real.nsx import ADDRESSES, NAMES, OBJECT, NsxLab, kinds
from real.simulated import writes
from sim.nsx import LEAST_RIGHTS, VIP_IP


@pytest.fixture(name="lab")
def _lab():
    with NsxLab(BINARY) as up:
        yield up


@pytest.fixture(name="shop")
def _shop(lab):
    return lab.shop()


def applied(calls):
    """To whom a certificate was given, in order."""
    return [
        call.query.get("node_id", "vip") for call in calls
        if call.action == "apply_certificate" and call.status == 200
    ]  # fmt: skip


def test_issue__is_presented_by_all_and_takes_few_requests(lab, shop):
    calls = shop.calls("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4
    assert applied(calls) == [*(one.uuid for one in lab.nsx.nodes), "vip"]
    assert len([call for call in calls if call.status < 400]) < 20, kinds(calls)
    (name,) = lab.own()
    assert name.startswith(OBJECT) and shop.fingerprint().startswith(name[len(OBJECT) :])
    assert shop.target_state() == "deployed" and shop.records() == []


def test_deploy__of_what_is_there_changes_nothing(lab, shop):
    shop.does("issue", "shop")
    calls = shop.calls("deploy", "shop")
    assert writes(calls) == [], kinds(calls)
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_renew__keeps_one_superseded_certificate_and_removes_older_ones(lab, shop):
    shop.does("issue", "shop")
    names = lab.own()
    for _ in range(2):
        shop.does("issue", "shop", "--force")
        names += [one for one in lab.own() if one not in names]
        assert lab.all_shown() == [shop.fingerprint()] * 4
    assert lab.own() == names[-2:], "the one in use and the one before"
    shop.target["keep_old"] = 0
    shop.does("issue", "shop", "--force")
    assert len(lab.own()) == 1


@pytest.mark.parametrize("reply, authorities", [("leaf-first", "new"), ("leaf-last", "reuse")])
def test_issue__finds_its_certificate_in_whatever_an_import_says(lab, shop, reply, authorities):
    lab.nsx.import_reply, lab.nsx.same_authority = reply, authorities
    for again in ([], ["--force"]):
        shop.does("issue", "shop", *again)
        assert lab.all_shown() == [shop.fingerprint()] * 4
    # Two leaves, an intermediate and the root, each of them once.
    assert len([one for one in lab.nsx.records.values() if "certauto-" in one.name]) == 4


@pytest.mark.parametrize("version", ["2.4", "3.1", "3.2", "9.0"])
def test_issue__speaks_as_the_version_does(version):
    with NsxLab(BINARY, version=version) as lab:
        shop = lab.shop()
        calls = shop.calls("issue", "shop")
        assert lab.all_shown() == [shop.fingerprint()] * 4
        legacy = [call for call in calls if call.action == "set_cluster_certificate"]
        assert len(legacy) == (version < "3.2")


@pytest.mark.parametrize("service, presented", [("cluster", [0, 0, 0, 1]), ("node", [1, 1, 1, 0])])
def test_issue__goes_where_the_option_service_says(lab, service, presented):
    shop = lab.shop(target={"service": service})
    shop.does("issue", "shop")
    assert [one == shop.fingerprint() for one in lab.all_shown()] == [bool(one) for one in presented]


def test_issue__asks_the_node_it_talks_to_last(lab):
    shop = lab.shop(target={"url": lab.nsx.node_url(1)})
    calls = shop.calls("issue", "shop")
    first, *others = (one.uuid for one in lab.nsx.nodes)
    assert applied(calls) == [*others, first, "vip"]


def test_renew__mends_what_somebody_else_has_changed(lab, shop):
    shop.does("issue", "shop")
    lab.nsx.install(lab.nsx.default_ids["MGMT_CLUSTER", None], 2)
    calls = shop.calls("renew", "shop")
    assert applied(calls) == [lab.nsx.nodes[1].uuid] and len(writes(calls)) == 1
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_issue__goes_to_the_nodes_that_the_option_names(lab):
    shop = lab.shop(target={"service": "node", "nodes": [lab.nsx.nodes[2].ip]})
    shop.does("issue", "shop")
    new = shop.fingerprint()
    assert [one == new for one in lab.all_shown()] == [False, False, True, False]
    shop.does("target", "test", "edge")
    shop.target["nodes"] = ["nobody.example.org"]
    run = shop.does("target", "test", "edge", status=1)
    assert "nobody.example.org of the option nodes is no manager" in run.err
    assert "nodes" in shop.fails("issue", "shop", "--force")["message"]


def test_issue__follows_the_pin_of_the_key_that_is_replaced(lab, shop):
    shop.does("issue", "shop")
    def pin():
        told = shop.does("export", "shop", "--verify", "--json").json()
        return told["certificates"][0]["pin"]

    del shop.target["ca_file"]
    shop.target.update(insecure=True, pin=pin())
    run = shop.does("issue", "shop", "--force")
    assert lab.all_shown() == [shop.fingerprint()] * 4
    assert pin() in run.err, "what the option must be from now on"
    assert "pin" in shop.fails("deploy", "shop")["message"]


@pytest.mark.parametrize("options", [
    # Documents and answers.
    {"not_found_status": 400, "code_form": str, "last_cursor": "0000", "page_max": 2,
     "no_tags": "null", "dates": "number", "import_status": 200},
    # Restarts.
    {"restart_moves_vip": True, "cluster_restarts": "all", "restart_refused": 0.02,
     "restart_unavailable": 1, "apply_busy": "take", "legacy_status": 202},
    # The store.
    {"cluster_used_by": "nodes", "shared_certificate": False, "unique_names": True,
     "same_twice": "refuse", "tells_fqdn": False, "name_check": "always", "no_tags": "empty"},
    # Logging in.
    {"no_login_status": 401, "session_gone_status": 401, "health_open": True,
     "basic_authentication": False},
])  # fmt: skip
def test_issue__whatever_the_managers_are_like(options):
    with NsxLab(BINARY, **options) as lab:
        auth = "basic" if options.get("basic_authentication", True) else "session"
        shop = lab.shop(target={"auth": auth})
        for again in ([], ["--force"]):
            shop.does("issue", "shop", *again)
            assert lab.all_shown() == [shop.fingerprint()] * 4
        assert writes(shop.calls("deploy", "shop")) == [] and len(lab.own()) == 2


def test_self_signed__one_command(lab, shop):
    where = [os.path.join(lab.new_folder("own"), one) for one in ("key", "pem")]
    sans = [word for one in [*NAMES, *ADDRESSES] for word in ("--san", one)]
    run = shop.does(
        "self-signed", "--cn", VIP_IP, *sans, "--key", "rsa-2048", "--key-out", where[0],
        "--out", where[1], "--target", "edge", "--name", "vip",
    )  # fmt: skip
    assert lab.trusted in run.err, "the next run needs it there"
    with open(where[1], encoding="ascii") as file, open(lab.trusted, "a", encoding="ascii") as all_:
        pem = file.read()
        all_.write(pem)
    made = tls.Served(ssl.PEM_cert_to_DER_cert(pem)).fingerprint
    assert lab.all_shown() == [made] * 4 and lab.own()[0].startswith("certauto-vip-rsa-2048-")
    files = ["--cert", where[1], "--key", where[0]]
    calls = shop.calls("deploy", *files, "--target", "edge", "--name", "vip")
    assert calls and writes(calls) == []


# ---- before anything is changed ----


def refused(lab, shop, *words):
    """It fails, nothing has been written; returns the code."""
    before, shown = len(lab.log), lab.all_shown()
    error = shop.fails("issue", "shop")
    text = f"{error['message']} {error.get('advice')}"
    assert [word for word in words if word not in text] == [], text
    assert error["advice"] and writes(lab.log[before:]) == []
    assert lab.all_shown() == shown
    return error["name"] if "name" in error else error["code"]


def test_preflight__a_virtual_ip_that_is_not_set():
    with NsxLab(BINARY, vip=False) as lab:
        refused(lab, lab.shop(), "no virtual IP", "option vip")


def test_preflight__an_address_that_would_not_be_covered(lab):
    # Managers that are all named by what the certificate has, and a url that is not.
    refused(lab, lab.shop(*NAMES, target={"ca_file": lab.trusted}), "127.98.0.10")


def test_preflight__a_ca_that_ca_file_lacks(lab):
    refused(lab, lab.shop(target={"ca_file": lab.nsx.ca_file}), "ca_file")


def test_preflight__insecure_and_ca_file_exclude_each_other(lab):
    shop = lab.shop(target={"insecure": True})
    text = shop.does("issue", "shop", status=2).err
    assert "exclude each other" in text and "insecure would take precedence" in text
    assert lab.log == []


def test_preflight__self_signed_where_only_a_ca_may_sign(lab, shop):
    lab.nsx.security["ca_signed_only"] = True
    folder = lab.new_folder("own")
    where = [os.path.join(folder, one) for one in ("key", "pem")]
    sans = [word for one in [*NAMES, *ADDRESSES] for word in ("--san", one)]
    shop.does(
        "self-signed", "--cn", VIP_IP, *sans, "--key-out", where[0], "--out", where[1]
    )
    with open(lab.trusted, "a", encoding="ascii") as file, open(where[1], encoding="ascii") as own:
        file.write(own.read())
    before = len(lab.log)
    files = ["--cert", where[1], "--key", where[0]]
    run = shop.does("deploy", *files, "--target", "edge", "--name", "vip", status=1)
    assert "ca_signed_only" in run.err and lab.log[before:] and writes(lab.log[before:]) == []


def test_preflight__who_may_not_read_the_security_settings_goes_on(lab, shop):
    rights = {name: one for name, one in LEAST_RIGHTS.items() if name != "security_config"}
    lab.nsx.account("certauto", "of-my-own", rights)
    shop.target.update(user="certauto", password={"file": lab.password_file("of-my-own")})
    shop.does("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_preflight__a_name_that_the_certificate_lacks(lab):
    refused(lab, lab.shop(*NAMES[:-1]), "nsx3", "names")


def test_preflight__a_root_that_nobody_has(lab):
    refused(lab, lab.shop(target={"root_file": None}), "root", "root_file")


def test_preflight__a_clock_that_is_behind(lab):
    lab.nsx.clock_offset = -30 * 86400
    refused(lab, lab.shop(), "clock")


def test_preflight__a_node_that_is_down(lab):
    lab.nsx.stop_node(3)
    shop = lab.shop(target={"timeout_ms": 1500})
    error = shop.fails("issue", "shop")
    assert "nsx3" in error["message"] and writes(lab.log) == []


@pytest.mark.parametrize("auth", ["basic", "session", "remote"])
def test_preflight__a_wrong_password_is_tried_once(lab, auth):
    shop = lab.shop(target={"auth": auth, "password": {"file": lab.password_file("wrong")}})
    more = {"challenge": shop.certificate["challenge"]}
    shop.others = {
        name: shop.entry(*NAMES, *ADDRESSES, **more) for name in ("second", "third")
    }
    run = shop.does("renew", "--json", status=1)
    assert len(lab.log) == 1, "the account may be locked when it is tried again"
    for result in run.json()["results"]:
        assert result["error"]["code"] == "CERTAUTO_EAUTH", result


# ---- refused ----


@pytest.mark.parametrize("fault", [
    {"action": "import", "status": 400, "words": "Certificate and private key do not match."},
    {"action": "validate", "raw": (200, '{"status": "REJECTED", "error_message": "not so"}')},
    {"action": "apply_certificate", "status": 400, "words": "the name does not match", "number": 3},
])  # fmt: skip
def test_issue__is_taken_back_when_the_managers_refuse_it(lab, shop, fault):
    shown = lab.all_shown()
    lab.nsx.faults.add(**{"times": None, "kind": "certificates", **fault})
    if fault["action"] == "apply_certificate":
        lab.nsx.faults.clear()
        lab.nsx.faults.add(**fault)
    error = shop.fails("issue", "shop")
    assert fault.get("words", "not so") in error["message"]
    assert lab.all_shown() == shown and lab.own() == []
    lab.nsx.faults.clear()
    shop.does("renew", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


@pytest.mark.parametrize("options", [{"unique_names": True}, {"same_twice": "refuse"}, {}])
def test_issue__an_import_whose_answer_is_lost_is_found(options):
    with NsxLab(BINARY, **options) as lab:
        shop = lab.shop()
        lab.nsx.faults.add(action="import", wire="lost-reply", times=2)
        shop.does("issue", "shop")
        assert lab.all_shown() == [shop.fingerprint()] * 4 and len(lab.own()) == 1


def test_issue__a_chain_that_is_refused_when_imported(lab, shop):
    lab.nsx.chain_check = "import"
    shop.does("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_issue__waits_for_crls(lab, shop):
    lab.nsx.validations = ["CRL_NOT_READY"] * 3
    shop.does("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_issue__crls_that_never_come_are_told(lab):
    lab.nsx.validations = ["CRL_NOT_READY"] * 1000
    shop = lab.shop(target={"timeout_ms": 1000})
    error = shop.fails("issue", "shop")
    assert "CRL_NOT_READY" in error["message"] and "distribution points" in error["advice"]
    assert lab.own() == []


# ---- in the middle of things ----


@pytest.mark.parametrize("auth", ["basic", "session"])
def test_issue__goes_on_when_the_virtual_ip_moves(lab, auth):
    shop = lab.shop(target={"auth": auth})
    lab.nsx.faults.add(action="apply_certificate", number=2, do=lab.nsx.move_vip)
    shop.does("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_issue__a_node_that_goes_down_has_all_taken_back(lab):
    shop = lab.shop(target={"timeout_ms": 700})
    shown = lab.all_shown()
    lab.nsx.faults.add(action="apply_certificate", number=2, do=lambda: lab.nsx.stop_node(3))
    error = shop.fails("issue", "shop")
    assert "nsx3" in error["message"]
    lab.nsx.start_node(3)
    assert lab.all_shown() == shown and lab.own() == []
    lab.nsx.faults.clear()
    shop.does("renew", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_deploy__a_node_that_is_down_later_is_named(lab, shop):
    shop.does("issue", "shop")
    lab.nsx.stop_node(2)
    shop.target["timeout_ms"] = 700
    before = len(lab.log)
    error = shop.fails("deploy", "shop")
    assert "nsx2" in error["message"] and writes(lab.log[before:]) == []
    lab.nsx.start_node(2)
    shop.does("renew", "shop")
    assert writes(lab.log[before:]) == [] and shop.target_state() == "deployed"


def test_issue__a_node_that_does_not_come_back_is_named(lab):
    shop = lab.shop(target={"timeout_ms": 700})
    lab.nsx.faults.add(
        action="apply_certificate", number=3, after=lambda: lab.nsx.stop_node(3)
    )
    error = shop.fails("issue", "shop")
    assert "nsx3" in error["message"] and error["code"] == "CERTAUTO_EROLLBACK", error
    lab.nsx.start_node(3)
    shop.does("renew", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4


def test_issue__a_long_restart_is_waited_for(lab):
    lab.nsx.restart_refused, lab.nsx.restart_unavailable = 0.5, 4
    shop = lab.shop(target={"service": "cluster"})
    run = shop.does("issue", "shop")
    assert lab.shown_by("vip") == shop.fingerprint()
    assert run.err.count("restarts with its new certificate") == 1, "said once, not at every look"


def test_issue__sets_a_virtual_ip_on_request():
    with NsxLab(BINARY, vip=False) as lab:
        vip = lab.nsx.vip.ip
        shop = lab.shop(target={"vip": vip})
        shop.does("issue", "shop")
        assert lab.nsx.vip_ip == vip and lab.all_shown() == [shop.fingerprint()] * 4


def test_issue__never_changes_a_virtual_ip(lab):
    refused(lab, lab.shop(target={"vip": "127.98.0.99"}), "127.98.0.10", "never changed")


# ---- who asks ----


@pytest.mark.parametrize("auth", ["basic", "session", "remote"])
def test_issue__as_an_account_that_can_do_this_and_no_more(lab, auth):
    lab.nsx.account("certauto", "of-my-own", LEAST_RIGHTS, remote=auth == "remote")
    password = {"file": lab.password_file("of-my-own")}
    shop = lab.shop(target={"user": "certauto", "password": password, "auth": auth})
    calls = shop.calls("issue", "shop")
    assert lab.all_shown() == [shop.fingerprint()] * 4
    assert {call.login for call in calls if call.login and call.status < 400} == {
        auth if auth == "session" else auth.capitalize()
    }


# ---- keys that the managers make ----


def test_issue__the_key_never_leaves_the_managers(lab):
    shop = lab.shop(key="rsa-2048", certificate={"csr": {"target": "edge"}})
    for verb in (["issue", "shop"], ["issue", "shop", "--force"]):
        calls = shop.calls(*verb)
        assert lab.all_shown() == [shop.fingerprint(key="rsa-2048")] * 4
        assert not any("private_key" in (call.body or {}) for call in calls)
        assert lab.nsx.csrs == {}, "a request that is used up is removed"
    assert writes(shop.calls("deploy", "shop")) == []
