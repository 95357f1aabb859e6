"""dns-01 in the DNS of FlexibleEngine, request by request: who asks, in which zone, the record set
that several challenges and other people have in common, and what goes wrong there."""

import json
import os
import time

import pytest
from conftest import BINARY
from real.flexibleengine import ZONE, FeLab
from real.simulated import writes
from sim.ca import Answer
from sim.fe import LEAST_RIGHTS, OPTIONS

NAME, WILD = "shop.example.org", "*.shop.example.org"
RECORD = f"_acme-challenge.{NAME}"
ELSEWHERE = ["_acme-challenge.elsewhere.example.net", '"theirs, and with a comma"']
QUICK = {"pending_s": 0.02}
EREFUSED, ENOTFOUND, EAUTH = "CERTAUTO_EREFUSED", "CERTAUTO_ENOTFOUND", "CERTAUTO_EAUTH"


@pytest.fixture(scope="module", name="cloud")
def _cloud():
    with FeLab(BINARY) as up:
        yield up


@pytest.fixture(name="lab")
def _lab(cloud):
    """As it was at the beginning."""
    fe = cloud.fe
    with fe.lock:
        fe.faults.clear()
        fe.zones.zones.clear()
        fe.zones.sets.clear()
        fe.zones.doomed.clear()
        for name, value in {**OPTIONS, **QUICK}.items():
            setattr(fe, name, value)
        fe.zone(ZONE)
    fe.clear()
    return cloud


def alone(lab, *names, deploy=False, **target):
    """A certificate that is not deployed to a listener."""
    more = {} if deploy else {"listener": None, "probe": None}
    shop = lab.shop(*(names or [NAME]), target={**more, **target})
    if not deploy:
        shop.certificate["deploy"] = []
    return shop


def dns(lab):
    return [call for call in lab.fe.log if call.service == "dns"]


def changes(lab):
    """What was changed in the DNS, in short."""
    return [f"{call.method} {call.status}" for call in writes(dns(lab))]


def logins(lab):
    return [call.status for call in lab.fe.log if call.kind == "token"]


def refused(lab, shop, code, *words):
    """Issuing fails; nothing is left of it in the DNS. Returns the error."""
    error = shop.fails("issue", "shop")
    told = f"{error['message']} {error.get('advice')}"
    assert error["code"] == code and all(one in told for one in words), error
    assert lab.txt() == []
    return error


# ---- record sets ----


def test_issue__one_value_comes_and_goes(lab):
    alone(lab).does("issue", "shop")
    assert changes(lab) == ["POST 202", "DELETE 202"]
    assert lab.txt() == []
    (made,) = [call.body for call in writes(dns(lab)) if call.method == "POST"]
    assert made["name"] == RECORD + "." and made["ttl"] == 300
    assert made["description"] == "certauto" and made["records"][0].startswith('"')
    assert logins(lab) == [201]


def test_issue__apex_and_wildcard_are_one_change(lab):
    alone(lab, NAME, WILD, ttl=60).does("issue", "shop")
    assert changes(lab)[0] == "POST 202" and len(changes(lab)) <= 4
    first = writes(dns(lab))[0].body
    assert len(first["records"]) == 2 and first["ttl"] == 60
    assert lab.txt() == []


def test_issue__apex_and_wildcard_go_in_one_change_though_one_is_through_earlier(lab):
    late = iter(["pending"])

    def second_thoughts(answer):
        if not answer.body.get("wildcard") or answer.body["status"] != "valid":
            return answer
        return Answer({**answer.body, "status": next(late, "valid")}, 200, {"Retry-After": "1"})

    lab.server.script["authz"] = [second_thoughts]
    alone(lab, NAME, WILD).does("issue", "shop")
    lab.server.script.clear()
    assert next(late, None) is None, "the CA has hesitated"
    assert changes(lab) == ["POST 202", "DELETE 202"]


def test_issue__two_orders_at_once_share_a_record_set(lab):
    shop = alone(lab)
    shop.others["wild"] = shop.entry(WILD, **shop.certificate)
    shop.does("renew")
    assert lab.txt() == []
    assert changes(lab).count("POST 202") >= 1 and len(changes(lab)) <= 4


def test_issue__what_others_have_there_stays(lab):
    lab.fe.put(ZONE, RECORD, "TXT", '"theirs, 1"', '"it\\"s"', ttl=77)
    before = lab.fe.txt(RECORD)
    alone(lab, NAME, WILD).does("issue", "shop")
    after = lab.fe.txt(RECORD)
    assert changes(lab)[0] == "PUT 202" and "DELETE 202" not in changes(lab)
    for field in ("records", "ttl", "description", "id"):
        assert after[field] == before[field]


def test_issue__twenty_names_in_three_zones(lab):
    for zone in ("example.net", "deep.example.org"):
        lab.fe.zone(zone)
    lab.fe.pending_s = 0.4
    names = [f"n{i}.{zone}" for i in range(6) for zone in (ZONE, "example.net", "deep.example.org")]
    begun = time.monotonic()
    alone(lab, *names, "w.example.net", "*.w.example.net").does("issue", "shop")
    assert time.monotonic() - begun < 10
    made = changes(lab)
    assert len(made) <= 2 * 20
    assert made[:19] == ["POST 202"] * 19, "one after the other"
    assert len([call for call in dns(lab) if call.kind == "zone"]) == 1
    assert logins(lab) == [201]
    assert lab.txt() == []


def test_issue__two_processes_at_once_share_a_record_set(lab):
    shops = [alone(lab), alone(lab, WILD), alone(lab, NAME, WILD)]
    for one in shops:
        one.write()
    runs = [one.start("issue", "shop") for one in shops]
    runs = [one.finish(run) for one, run in zip(shops, runs)]
    assert [run.status for run in runs] == [0] * len(shops), "\n".join(map(str, runs))
    assert lab.txt() == []


def test_renew__nothing_is_asked_when_nothing_is_due(lab):
    shop = alone(lab)
    shop.does("issue", "shop")
    assert shop.calls("renew") == []


@pytest.mark.parametrize("code", ("DNS.0314", "DNS.0021"))
def test_busy__is_waited_for(lab, code):
    lab.fe.pending_code = code
    lab.fe.faults.add(kind="recordset", method="POST", code=code)
    lab.fe.faults.add(kind="recordset", method="DELETE", code=code)
    alone(lab).does("issue", "shop")
    assert lab.txt() == []


def test_busy__a_zone_takes_one_change_at_a_time(lab):
    lab.fe.zone_lock = True
    alone(lab, *[f"n{i}.{ZONE}" for i in range(4)]).does("issue", "shop")
    assert lab.txt() == []


def test_pending__a_change_of_somebody_else_is_waited_for(lab):
    lab.fe.put(ZONE, RECORD, "TXT", '"theirs"')
    with lab.fe.lock:
        (one,) = [one for one in lab.fe.zones.sets.values() if one.type == "TXT"]
        lab.fe.zones._begin(one, "PENDING_UPDATE")
        one.since += 0.3
    alone(lab).does("issue", "shop")
    assert changes(lab) == ["PUT 202", "PUT 202"]
    assert lab.fe.txt(RECORD)["records"] == ['"theirs"']


def test_pending__for_ever_is_told(lab):
    lab.fe.doom(RECORD, None)
    shop = alone(lab, dns_wait_ms=200)
    error = shop.fails("issue", "shop")
    assert "does not become ACTIVE" in error["message"], error
    assert "PENDING_CREATE" in error["message"]
    assert error["code"] == "CERTAUTO_EROLLBACK" and shop.records(), "it is not forgotten"
    lab.fe.zones.doomed.clear()
    with lab.fe.lock:
        for one in lab.fe.zones.sets.values():
            one.outcome = "ACTIVE"
    del shop.target["dns_wait_ms"]
    shop.does("renew", "shop")
    assert lab.txt() == [] and not shop.records()


def test_pending__what_was_taken_late_is_looked_at(lab):
    for method in ("POST", "DELETE"):
        lab.fe.faults.add(
            kind="recordset", method=method, do=lambda: lab.fe.closing.wait(0.7)
        )
    alone(lab, dns_wait_ms=500, dns_check="no").does("issue", "shop")
    assert changes(lab) == ["POST 202", "DELETE 202"] and lab.txt() == []


def test_error__is_told_and_taken_back(lab):
    lab.fe.doom(RECORD, "ERROR")
    lab.fe.faults.add(kind="recordset", method="DELETE", do=lab.fe.zones.doomed.clear)
    refused(lab, alone(lab), EREFUSED, "its status is ERROR", "console")


def test_race__a_set_that_was_made_meanwhile_is_merged(lab):
    lab.fe.faults.add(
        kind="recordset", method="POST", do=lambda: lab.fe.put(ZONE, RECORD, "TXT", '"theirs"')
    )
    alone(lab).does("issue", "shop")
    assert changes(lab) == ["POST 400", "PUT 202", "PUT 202"]
    assert lab.fe.txt(RECORD)["records"] == ['"theirs"']


def test_race__a_value_that_somebody_has_overwritten_is_put_again(lab):
    lab.fe.faults.add(
        kind="recordset", method="GET", number=2,
        do=lambda: lab.fe.put(ZONE, RECORD, "TXT", '"theirs"'),
    )  # fmt: skip
    alone(lab).does("issue", "shop")
    assert lab.fe.txt(RECORD)["records"] == ['"theirs"']


def test_race__who_is_overwritten_again_and_again_gives_up(lab):
    lab.fe.faults.add(
        kind="recordset", method="GET", number=2, times=None,
        do=lambda: lab.fe.put(ZONE, RECORD, "TXT", '"theirs"'),
    )  # fmt: skip
    error = alone(lab).fails("issue", "shop")
    assert error["code"] == EREFUSED, error
    assert len(changes(lab)) < 10
    assert lab.fe.txt(RECORD)["records"] == ['"theirs"']


def test_race__what_is_gone_already_is_no_error(lab):
    lab.fe.faults.add(
        kind="recordset", method="DELETE", do=lambda: lab.fe.put(ZONE, RECORD, "TXT")
    )
    alone(lab).does("issue", "shop")
    assert lab.txt() == []


def test_race__a_zone_that_is_gone_has_no_records(lab):
    def remove():
        lab.fe.zones.zones.clear()
        lab.fe.zones.sets.clear()

    lab.fe.faults.add(kind="recordset", method="DELETE", do=remove)
    alone(lab).does("issue", "shop")


def test_seen__a_name_server_that_is_late_is_waited_for(lab):
    lab.fe.named.servers[1].lag_s = 0.5
    try:
        alone(lab).does("issue", "shop")
    finally:
        lab.fe.named.servers[1].lag_s = 0
    asked = [call for call in lab.fe.named.queries if call.type == "TXT"]
    assert len(asked) > 4


def test_conflict__a_cname_is_told(lab):
    lab.fe.put(ZONE, RECORD, "CNAME", "elsewhere.example.net.")
    refused(lab, alone(lab, dns_check="no"), EREFUSED, "DNS.0312", "CNAME")
    assert len(changes(lab)) == 1


def test_delegation__the_value_goes_where_the_cname_leads(lab):
    lab.fe.zone("example.net")
    lab.fe.put(ZONE, RECORD, "CNAME", ELSEWHERE[0] + ".")
    lab.fe.put("example.net", *ELSEWHERE[:1], "TXT", ELSEWHERE[1])
    alone(lab).does("issue", "shop")
    assert changes(lab) == ["PUT 202", "PUT 202"]
    assert lab.fe.txt(ELSEWHERE[0])["records"] == ELSEWHERE[1:]


def test_quota__is_told(lab):
    lab.fe.sets_max = 0
    refused(lab, alone(lab), EREFUSED, "DNS.0403", "quota")


def pages_without_end(lab):
    """Of record sets whose names are not the one that was asked for."""
    one = {"id": "1" * 32, "name": f"x{RECORD}.", "type": "TXT", "status": "ACTIVE"}
    page = {"recordsets": [one], "links": {"next": f"{lab.fe.dns_url}/?marker={one['id']}"}}
    is_list = lambda call: call.method == "GET" and call.kind == "recordset" and "name=" in call.target
    lab.fe.faults.add(when=is_list, raw=(200, json.dumps(page)), times=None)


def test_list__without_an_end_is_told(lab):
    pages_without_end(lab)
    error = alone(lab).fails("issue", "shop")
    assert error["code"] == "CERTAUTO_EROLLBACK" and "no end" in error["message"], error
    assert len(dns(lab)) < 200 and not changes(lab)


def test_list__of_other_types_has_none_of_ours(lab):
    one = {"id": "1" * 32, "name": RECORD + ".", "type": "CNAME", "status": "ACTIVE", "records": []}
    page = json.dumps({"recordsets": [one], "links": {}})
    lab.fe.faults.add(kind="recordset", method="GET", raw=(200, page), times=1)
    alone(lab).does("issue", "shop")
    assert changes(lab) == ["POST 202", "DELETE 202"]


def test_back__what_others_have_made_of_it_is_left_alone(lab):
    """The set has nothing of ours any more, and is disabled."""

    def disable():
        (one,) = [one for one in lab.fe.zones.sets.values() if one.type == "TXT"]
        one.records, one.status = ['"theirs"'], "DISABLE"

    lab.fe.faults.add(kind="recordset", method="GET", number=2, do=disable)
    error = alone(lab).fails("issue", "shop")
    assert error["code"] == EREFUSED and "its status is DISABLE" in error["message"], error
    assert changes(lab) == ["POST 202"] and lab.fe.txt(RECORD)["records"] == ['"theirs"']


# ---- zones ----


def test_zone__that_is_not_there_is_told_with_those_that_are(lab):
    lab.fe.zone("hop.example.org")
    refused(lab, alone(lab, "shop.example.net"), ENOTFOUND, "shop.example.net", "hop.example.org")
    assert not changes(lab)


def test_zone__two_of_a_name_need_zone_id(lab):
    ids = [one.id for one in lab.fe.zones.zones.values()] + [lab.fe.zone(ZONE).id]
    refused(lab, alone(lab), EREFUSED, *ids, "zone_id")
    lab.fe.clear()
    alone(lab, zone_id=[ids[0]]).does("issue", "shop")
    assert {call.zone for call in writes(dns(lab))} == {ids[0]}


def test_zone__the_longest_name_is_taken_and_private_ones_are_not(lab):
    made = lab.fe.zone(NAME)
    lab.fe.zone("www.shop.example.org", kind="private")
    lab.fe.zone("op.example.org")
    lab.fe.page_max = 1
    alone(lab, "www." + NAME, NAME).does("issue", "shop")
    assert {call.zone for call in writes(dns(lab))} == {made.id}


def test_zone__that_is_private_is_none_though_it_is_listed(lab):
    (known,) = lab.fe.zones.zones.values()
    zones = [
        {"id": known.id, "name": known.name, "zone_type": "public"},
        {"id": "1" * 32, "name": NAME + ".", "zone_type": "private"},
    ]
    lab.fe.faults.add(kind="zone", raw=(200, json.dumps({"zones": zones})), times=1)
    alone(lab).does("issue", "shop")
    assert changes(lab) == ["POST 202", "DELETE 202"]


def test_zone__by_an_id_that_is_wrong(lab):
    refused(lab, alone(lab, zone_id=["0123456789abcdef"]), ENOTFOUND, "0123456789abcdef")


def test_zone__by_ids_of_several(lab):
    ids = [one.id for one in lab.fe.zones.zones.values()] + [lab.fe.zone("example.net").id]
    alone(lab, NAME, "example.net", zone_id=ids).does("issue", "shop")
    assert {call.zone for call in writes(dns(lab))} == set(ids)
    error = alone(lab, "shop.example.com", zone_id=ids).fails("issue", "shop")
    assert error["code"] == ENOTFOUND and "zone_id" in error["advice"], error


# ---- who asks ----


@pytest.mark.parametrize("number", (2, 3, 4, 6))
def test_token__that_ends_in_the_middle_is_renewed(lab, number):
    lab.fe.faults.add(number=number, session=True)
    alone(lab).does("issue", "shop")
    assert logins(lab) == [201, 201] and lab.txt() == []


def test_token__is_renewed_ahead_of_its_end(lab):
    lab.fe.token_life_s, lab.fe.pending_s = 2, 1.1
    lab.fe.faults.add(
        kind="recordset", method="DELETE", do=lambda: setattr(lab.fe, "pending_s", 0)
    )  # fmt: skip
    alone(lab).does("issue", "shop")
    assert len(logins(lab)) >= 2
    assert not [call for call in lab.fe.log if call.status == 401]


@pytest.mark.parametrize("how", ("gateway", "service"))
def test_token__whoever_refuses_it(lab, how):
    lab.fe.auth_errors, lab.fe.lower_case_headers = how, True
    lab.fe.faults.add(kind="recordset", session=True)
    alone(lab).does("issue", "shop")
    assert logins(lab) == [201, 201]


def test_token__that_nobody_takes_is_not_asked_for_for_ever(lab):
    lab.fe.faults.add(service="dns", code="DNS.0005", times=None)
    error = alone(lab, NAME, WILD, "www.example.org").fails("issue", "shop")
    assert error["code"] == EAUTH, error
    assert logins(lab) == [201, 201]


@pytest.mark.parametrize("form", ("keystone", "gateway"))
@pytest.mark.parametrize(
    "wrong", ({"password": "wrong"}, {"domain_name": "svc-acme"}, {"user": "nobody"})
)
def test_login__is_refused_once(lab, wrong, form):
    lab.fe.iam_errors = form
    if "password" in wrong:
        wrong = {"password": {"file": lab.password_file("wr0ng-secret")}}
    shop = alone(lab, **wrong)
    shop.others["wild"] = shop.entry(WILD, **shop.certificate)
    run = shop.does("renew", "--json", status=1)
    for result in run.json()["results"]:
        error = result["error"]
        assert error["code"] == EAUTH and "domain_name" in error["advice"], error
    assert logins(lab) == [401]
    assert "wr0ng-secret" not in run.out + run.err
    lab.fe.iam.named(lab.fe.user).failures = 0


def test_login__another_project(lab):
    wrong = "0123456789abcdef0123456789abcdef"
    error = refused(lab, alone(lab, project_id=wrong), ENOTFOUND, "project", wrong)
    assert "project_id, or project" in error["advice"]
    assert logins(lab) == [404], error


def test_login__by_names_alone(lab):
    alone(lab, project_id=None, dns_url=None).does("issue", "shop")
    assert {call.project for call in dns(lab)} == {lab.fe.region}


def test_region__that_is_not_in_the_catalog(lab):
    shop = alone(lab, region="na-east-0", dns_url=None, elb_url=None)
    refused(lab, shop, ENOTFOUND, "na-east-0", lab.fe.region)
    assert len(lab.fe.log) == 1


@pytest.mark.parametrize("insecure", (False, True))
@pytest.mark.parametrize("where", (
    "https://dns.example.net", "https://[::1]:9", "https://127.0.0.10", "https://x127.0.0.1",
    "http://127.0.0.1:9", None,
))  # fmt: skip
def test_catalog__does_not_lead_a_token_away(lab, monkeypatch, where, insecure):
    """Neither to somebody else nor to where everybody may read it; nor to another provider."""
    catalog = lab.fe.iam.catalog

    def elsewhere(project):
        told = [one for one in catalog(project) if one["type"] != "dns" or where]
        for one in told:
            one["endpoints"][0]["url"] = where if one["type"] == "dns" else lab.fe.elb_url
        return told

    monkeypatch.setattr(lab.fe.iam, "catalog", elsewhere)
    more = {"insecure": True, "ca_file": None} if insecure else {}
    refused(lab, alone(lab, dns_url=None, **more), "CERTAUTO_EINVAL", "set dns_url")
    assert len(lab.fe.log) == 1


def test_login__too_often(lab):
    lab.fe.faults.add(kind="token", code="IAM.0012", headers={"Retry-After": "1"})
    alone(lab).does("issue", "shop")
    lab.fe.faults.add(kind="token", code="IAM.0012", headers={"Retry-After": "600"})
    run = alone(lab).does("issue", "shop", "--json", status=75)
    assert "CERTAUTO_ERETRY_LATER" in run.out


def signs(lab, temporary_s=None, **more):
    """Options of one who signs."""
    key = lab.fe.key(temporary_s=temporary_s)
    given = {
        "user": None, "password": None, "domain_name": None, "access_key": key.access,
        "secret_key": {"file": lab.password_file(key.secret)}, **more,
    }  # fmt: skip
    if key.token:
        given["security_token"] = {"file": lab.password_file(key.token)}
    return given


def test_key__signs_each_request(lab):
    alone(lab, NAME, WILD, **signs(lab)).does("issue", "shop")
    assert {call.auth for call in lab.fe.log} == {"signature"}
    assert changes(lab)[0] == "POST 202" and lab.txt() == [] and logins(lab) == []


def test_key__a_temporary_one_and_the_project_by_name(lab):
    alone(lab, **signs(lab, temporary_s=600, project_id=None)).does("issue", "shop")
    assert {call.auth for call in lab.fe.log} == {"signature"}
    assert [call.kind for call in lab.fe.log][0] == "project"


def test_key__of_no_such_project(lab):
    given = signs(lab, project_id=None, project="elsewhere")
    refused(lab, alone(lab, **given), ENOTFOUND, "elsewhere", "project_id")


def test_key__with_a_wrong_secret_is_refused_once(lab):
    key = lab.fe.key()
    shop = alone(lab, NAME, WILD, "www.example.org", **signs(lab, access_key=key.access))
    error = refused(lab, shop, EAUTH, "APIGW.0301", "aksk")
    assert "belong together" in error["advice"]
    assert len(lab.fe.log) == 1


@pytest.mark.parametrize("shift, word", ((3600, "behind"), (-3600, "ahead of")))
def test_key__a_wrong_clock_is_told(lab, shift, word):
    lab.fe.clock_shift = shift
    error = refused(lab, alone(lab, **signs(lab)), EAUTH, "APIGW.0301", "clock")
    assert word in error["advice"] and ("3600 s" in error["advice"] or "3599 s" in error["advice"])


def test_key__a_security_token_that_comes_back_is_not_shown(lab):
    given = signs(lab, temporary_s=600)
    secret = open(given["security_token"]["file"], encoding="ascii").read().strip()
    lab.fe.faults.add(service="dns", code="APIGW.0301", words=f"x-security-token:{secret}|more")
    run = alone(lab, **given).does("issue", "shop", "--json", status=1)
    assert "x-security-token" in run.out and secret[:20] not in run.out + run.err


@pytest.mark.parametrize("how", (signs, lambda lab: {}))
def test_secrets__are_told_nowhere(lab, how):
    given = how(lab)
    shop = alone(lab, **given)
    lab.fe.faults.add(kind="recordset", method="DELETE", wire="lost-request", times=None)
    shop.target["timeout_ms"] = 500
    run = shop.does("-vv", "issue", "shop")
    secret = open(given.get("secret_key", shop.target.get("password"))["file"], encoding="ascii")
    said = [run.out, run.err]
    for name in shop.records():
        with open(os.path.join(shop.state, "jobs", name), encoding="ascii") as file:
            said.append(file.read())
    assert len(said) > 2 and RECORD in said[-1]
    with secret:
        secrets = [secret.read().strip(), *lab.fe.iam.tokens]
    assert not [one for one in secrets for text in said if one in text]


# ---- trouble ----


@pytest.mark.parametrize("wire", ("lost-request", "lost-reply"))
@pytest.mark.parametrize("number", (1, 3, 4, 5, 6, 7, 8))
def test_cut__is_got_over_at_any_request(lab, number, wire):
    lab.fe.faults.add(number=number, wire=wire)
    alone(lab).does("issue", "shop")
    assert lab.txt() == []


@pytest.mark.parametrize(
    "fault", ({"code": "DNS.0014"}, {"status": 500}, {"status": 503}, {"code": "APIGW.0308"})
)
def test_passing__is_tried_again(lab, fault):
    lab.fe.faults.add(kind="recordset", **fault)
    lab.fe.faults.add(kind="recordset", method="DELETE", **fault)
    alone(lab).does("issue", "shop")
    assert lab.txt() == []


@pytest.mark.parametrize("raw", ((200, "no JSON"), (200, '{"recordsets": [}'), (202, "[]")))
def test_nonsense__is_told(lab, raw):
    lab.fe.faults.add(kind="recordset", method="GET", raw=raw, times=1)
    shop = alone(lab)
    run = shop.does("issue", "shop", "--json", status=1)
    assert lab.txt() == [], str(run)


def test_gone__the_next_run_takes_away_what_is_left(lab):
    lab.fe.faults.add(service="dns", method="DELETE", wire="lost-request", times=None)
    shop = alone(lab, timeout_ms=1000)
    run = shop.does("issue", "shop")
    assert "could not be taken back" in run.err
    assert lab.txt() == [RECORD + "."] and shop.records()
    lab.fe.faults.clear()
    shop.does("renew")
    assert lab.txt() == [] and not shop.records()


# ---- rights ----


def account(lab, shop, missing=None):
    """The shop's account has these rights only, from now on."""
    name = f"little-{len(lab.fe.iam.users)}"
    lab.fe.account(name, "right", [one for one in every() if one != missing])
    shop.target.update(user=name, password={"file": lab.password_file("right")})


def every():
    """Each right by its own name."""
    for one in LEAST_RIGHTS:
        if one.endswith(":*"):
            kinds = ("list", "get", "create", "update" if "recordset" in one else "put", "delete")
            yield from (one[:-1] + kind for kind in kinds)
        else:
            yield one


@pytest.mark.parametrize("missing", [None] + [one for one in every() if "recordset" in one])
def test_rights__each_is_needed_and_told(lab, missing):
    if missing and missing.endswith("update"):
        lab.fe.put(ZONE, RECORD, "TXT", '"theirs"')
    shop = alone(lab)
    account(lab, shop, missing)
    if missing is None:
        shop.does("issue", "shop")
        return
    if missing.endswith("delete"):
        run = shop.does("issue", "shop")
        assert "could not be taken back" in run.err and missing in run.err and shop.records()
        return
    error = shop.fails("issue", "shop")
    assert missing in error["message"] and "recipe" in error["advice"], error


def test_recipe__has_these_rights_and_no_more(lab):
    shop = alone(lab)
    told = json.loads(shop.does("target", "recipe", "edge").out)
    policies = told["POST /v3.0/OS-ROLE/roles"]
    actions = [one for each in policies for one in each["role"]["policy"]["Statement"][0]["Action"]]
    assert sorted(actions) == sorted(every())
    assert "a-password" not in json.dumps(told)


# ---- the test ----


def test_test__tells_what_is_there(lab):
    shop = alone(lab, deploy=True)
    account(lab, shop)
    run = shop.does("target", "test", "edge")
    assert "public zones: example.org." in run.out + run.err
    assert not writes(lab.fe.log)


READS = [one for one in every() if one.endswith((":list", ":get"))]


LATER = ("dns:zone:get", "dns:recordset:get", "elb:certificates:get", "elb:listeners:list")


@pytest.mark.parametrize("missing", [one for one in READS if one not in LATER])
def test_test__names_the_right_that_is_missing(lab, missing):
    shop = alone(lab, deploy=True)
    account(lab, shop, missing)
    if missing.startswith("dns:"):
        run = shop.does("target", "test", "edge")
        assert missing in run.err + run.out
        shop.target.update(listener=None, probe=None)
        shop.certificate["deploy"] = []
    assert missing in shop.fails("target", "test", "edge")["message"]


def test_test__a_listener_that_speaks_no_tls(lab):
    made = lab.fe.listener("plain", [], protocol="HTTP", port=80)
    error = alone(lab, deploy=True, listener=[made.id]).fails("target", "test", "edge")
    assert error["code"] == EREFUSED and "HTTP" in error["message"], error
    lab.fe.remove("listener", "plain")


def test_test__a_listener_of_any_protocol_with_tls(lab):
    made = lab.fe.listener("tls", ["by-hand"], protocol="TLS")
    alone(lab, deploy=True, listener=["sni:" + made.id]).does("target", "test", "edge")
    lab.fe.remove("listener", "tls")


def test_test__a_listener_that_is_not_there(lab):
    error = alone(lab, deploy=True, listener=["0000-00"]).fails("target", "test", "edge")
    assert error["code"] == ENOTFOUND and "0000-00" in error["message"], error


def test_test__an_old_elb(lab):
    lab.fe.elb_apis = ("v2.0",)
    made = lab.fe.listener("old", ["by-hand"], dedicated=False)
    shop = alone(lab, deploy=True, listener=[made.id], elb_v2_url=lab.fe.vpc_url)
    run = shop.does("target", "test", "edge")
    assert "ELB API v2.0" in run.out + run.err


# ---- options ----

SIGNS = {
    "user": None, "password": None, "domain_name": None, "access_key": "AK", "secret_key": "SK",
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong, word",
    (
        ({"user": None}, "user"),
        ({"password": None}, "password"),
        ({"domain_name": None}, "domain_name"),
        ({"access_key": "AK"}, "secret_key"),
        ({"secret_key": "SK"}, "access_key"),
        ({**SIGNS, "dns_url": None}, "dns_url"),
        ({**SIGNS, "elb_url": None}, "elb_url"),
        ({**SIGNS, "iam_url": None, "project_id": None}, "iam_url"),
        ({"iam_url": None}, "iam_url"),
        ({"region": None, "project_id": None}, "region"),
        ({"region": None, "iam_url": None}, "iam_url"),
        ({"region": "EU West"}, "region"),
        ({"project": "eu-west-0"}, "project"),
        ({"project_id": "../x"}, "project_id"),
        ({"zone_id": ["a/b"]}, "zone_id"),
        ({"listener": ["sni:"]}, "listener"),
        ({"update": "sometimes"}, "update"),
        ({"elb_api": "v1"}, "elb_api"),
        ({"dns_url": "http://127.0.0.1:1"}, "dns_url"),
        ({"iam_url": "iam.example.org"}, "iam_url"),
    ),
)
def test_options__that_do_not_fit_are_told(lab, wrong, word):
    shop = alone(lab, deploy=True, **wrong)
    run = shop.does("check", status=2)
    assert word in run.out + run.err, str(run)
    assert not lab.fe.log
