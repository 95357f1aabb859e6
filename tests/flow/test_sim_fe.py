"""The simulated FlexibleEngine keeps the rules that a client of the real one meets."""

import hashlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from real.pki import TestCA
from real.proc import wait_until
from real.tls import context
from sim import acme_client, ca_pki, fe_ask, fe_sign
from sim.avi_issuer import Issuer
from sim.ca import CA
from sim.fe import LEAST_RIGHTS, Fe, FeError
from sim.fe_client import FeClient
from sim.nitro_certs import plain_pem

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OWNER = "_acme-challenge.example.org."
EC, EC2, RSA = ca_pki.new_key(), ca_pki.new_key(), ca_pki.new_key("rsa")
ISSUER = Issuer()


@pytest.fixture(name="fe")
def _fe(tmp_path):
    with Fe(str(tmp_path), pending_s=0) as up:
        yield up


@pytest.fixture(name="client")
def _client(fe):
    client = FeClient(fe)
    yield client
    client.close()


@pytest.fixture(name="zone")
def _zone(fe):
    return fe.zone("example.org")


def pair(key, *names):
    """(chain, key) in PEM."""
    return ISSUER.leaf(key, *names) + ISSUER.intermediate, plain_pem(key).decode()


SHOP, SHOP_RSA = pair(EC, "shop.example.org", "*.example.org"), pair(RSA, "shop.example.org")
OTHER = pair(EC2, "other.example.net")


def leaf_of(given):
    """The first certificate of a chain."""
    text, end, _ = given[0].partition("-----END CERTIFICATE-----\n")
    return text + end


def txt(*values, name=OWNER, **more):
    """The body of a record set."""
    records = [f'"{one}"' for one in values]
    return {"name": name, "type": "TXT", "ttl": 300, "records": records, **more}


def cert(name="shop", given=SHOP, **more):
    """The body of a certificate, as v2.0 takes it."""
    domain = more.pop("domain", "shop.example.org")
    pem = {"certificate": given[0], "private_key": given[1]}
    return {"name": name, "domain": domain, **pem, **more}


def make(client, zone, body):
    """POST a record set and wait until it is in effect; returns where it is."""
    reply = client.dns("POST", f"zones/{zone.id}/recordsets", body)
    assert reply.status == 202, reply.text
    path = f"zones/{zone.id}/recordsets/{reply.json['id']}"
    wait_until(lambda: client.dns("GET", path).json["status"] == "ACTIVE", "ACTIVE")
    return path


def served(fe, listener, name, key=None):
    """The certificate that is served for a name, in PEM, with what comes above it."""
    host, _, port = fe.address(listener).rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        with context(key).wrap_socket(raw, server_hostname=name) as link:
            found = x509.load_der_x509_certificate(link.getpeercert(binary_form=True))
    return found.public_bytes(serialization.Encoding.PEM).decode()


# ---- signatures ----

VECTOR_A = {
    "method": "GET", "access": "QTWAOYTTINDUT2QVKYUC",
    "secret": "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
    "target": "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs"
              "?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
    "headers": {
        "Content-Type": "application/json", "Host": "service.region.example.com",
        "X-Sdk-Date": "20191115T033655Z",
    },
    "body": b"",
}  # fmt: skip
VECTOR_B = {
    "method": "GET", "access": "AccessKey", "secret": "SecretKey", "target": "/resources?size=1",
    "headers": {"Host": "service.endpoint.myhuaweicloud.com", "X-Sdk-Date": "20200608T023900Z"},
    "body": b"",
}  # fmt: skip
VECTOR_C = {
    "method": "POST", "access": "AK", "secret": "SECRETKEY0123456789",
    "target": "/v2/zones/ff8080825ca865e8015ca99563af004a/recordsets",
    "headers": {
        "Content-Type": "application/json", "Host": "dns.example.com",
        "X-Sdk-Date": "20260101T000000Z",
    },
    "body": rb'{"name":"_acme-challenge.example.com.","type":"TXT","ttl":300,'
            rb'"records":["\"abc\""]}',
}  # fmt: skip
VECTORS = [
    (VECTOR_A, {}, "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a",
     "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"),
    (VECTOR_A, {"names": ["host", "x-sdk-date"]},
     "0e84e7853cf87931d965c80e83bffb15aa865326db3a6f57aa2560a7601dfe18",
     "faafba090046ef84c81ca330e77576d8746733ddfcf0317aaeb59cff50da39a7"),
    (VECTOR_B, {}, "de94dd1e1ccdb730b403ce35d7e14f7c7b04337f6def1c3a3a2ba936852b133f",
     "cfb4171acec81de07d50e53d57eb77edd537414d66ddb1d7d780f128e12cd842"),
    ({**VECTOR_B, "method": "POST", "body": b'{"name":"test","id":1}'}, {},
     "2b1b2515e48cb55e043ff2ec5b93d3f13ec287e1da1d7a2e4e14b0611a341969",
     "436b1ac0a1ae03705934bb70ef2f2e09f7bfed2117d731a38235053199323a1f"),
    (VECTOR_C, {}, "8db9f02a1461c16787722e50eae49e3b399ce206924c71d819402f3c6db0cd75",
     "2c731810be22bd95ada2f9b69ea6d7643e6cabb565935a263921076d61495493"),
]  # fmt: skip


@pytest.mark.parametrize("vector, more, canonical, signature", VECTORS)
def test_signature__is_the_published_one(vector, more, canonical, signature):
    text = fe_sign.sign(**vector, **more)
    assert text.endswith(f"Signature={signature}")
    signed = fe_sign.Signed(text)
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    own = signed.canonical(vector["method"], vector["target"], headers, vector["body"])
    assert hashlib.sha256(own.encode()).hexdigest() == canonical
    assert signed.access == vector["access"]
    assert signed.fits(vector["secret"], own, headers["x-sdk-date"])


def test_signature__query_is_sorted_and_encoded():
    query = "test=%E4%B8%80%20(%26%3D%3F!%23%25.*)&path=/tmp/123&multi=3&multi=1&multi=2&limit=1"
    assert fe_sign.canonical_query(query + "&enable=true&empty") == (
        "empty=&enable=true&limit=1&multi=1&multi=2&multi=3&path=%2Ftmp%2F123"
        "&test=%E4%B8%80%20%28%26%3D%3F%21%23%25.%2A%29"
    )
    assert fe_sign.canonical_path("/v2/a%20b/~c") == "/v2/a%20b/~c/"


def test_signed__requests_need_no_token(fe, zone):
    client = FeClient(fe, key=fe.key())
    reply = client.dns("POST", f"zones/{zone.id}/recordsets", txt("a"))
    assert reply.status == 202
    assert client.dns("GET", f"zones/{zone.id}/recordsets?type=TXT&name=_acme").status == 200
    assert client.elb("GET", "certificates?name=a%20b&name=c").status == 200
    assert {one.auth for one in fe.log} == {"signature"} and fe.log[0].user == fe.user
    client.names = ["host", "x-sdk-date"]
    assert client.dns("GET", "zones").status == 200
    client.close()


@pytest.mark.parametrize(
    "bent, words",
    [
        ({"Authorization": "SDK-HMAC-SHA256 Access=x"}, "cannot be read"),
        ({"X_Sdk_Date": "20200101T000000Z"}, "signature expired"),
        ({"X_Sdk_Date": "today"}, "does not match format"),
        ({"X_Sdk_Content_Sha256": "0" * 64}, "not that of the body"),
        ({"X_Project_Id": None}, "x-project-id not found"),
        ({"secret": "wrong"}, "canonicalRequest:GET|/v2/zones/||"),
        ({"access": "NOBODY"}, "ak not exist"),
        ({"names": ["x-sdk-date"]}, "host is not signed"),
        ({"after": {"X-Sdk-Date": None}}, "does not match format"),
        ({"after": {"Content-Type": "text/plain"}}, "canonicalRequest"),
        ({"after": {"Content-Type": None}}, "signed header content-type is missing"),
    ],
)
def test_signed__wrongly(fe, bent, words):
    client = FeClient(fe, key=fe.key())
    for name in ("secret", "access"):
        setattr(client.key, name, bent.pop(name, getattr(client.key, name)))
    client.names, after = bent.pop("names", None), bent.pop("after", {})
    authorization = {one: bent.pop(one) for one in list(bent) if one == "Authorization"}
    if client.key.secret == "wrong":
        fe.iam.keys[client.key.access] = fe.key()
    headers = client.signed(fe.dns_url, "GET", "/v2/zones", b"", **bent)
    headers.update(after)
    headers.update(authorization)
    reply = client.raw(fe.dns_url, "GET", "/v2/zones", b"", headers)
    assert reply.error == (401, "APIGW.0301") and words in reply.words
    client.close()


def test_signed__the_clocks_may_differ_by_a_quarter_of_an_hour(fe):
    client = FeClient(fe, key=fe.key())
    for ahead, status in ((-890, 200), (890, 200), (910, 401), (-910, 401)):
        fe.clock_shift = 0
        date = fe.sdk_date()
        fe.clock_shift = ahead
        reply = client.dns("GET", "zones", X_Sdk_Date=date)
        assert reply.status == status
    assert time.strftime("%H", time.gmtime(fe.now())) == reply.headers["Date"][17:19]
    client.close()


def test_signed__a_key_is_locked_after_bad_signatures(fe):
    fe.sign_lock_after = 2
    client = FeClient(fe, key=fe.key())
    for words in ("signature expired", "signature expired", "reach the limit"):
        assert words in client.dns("GET", "zones", X_Sdk_Date="20200101T000000Z").words
    assert "reach the limit" in client.dns("GET", "zones").words
    client.key.failures = 0
    assert client.dns("GET", "zones").status == 200
    client.close()


def test_signed__with_a_temporary_key(fe):
    client = FeClient(fe, key=fe.key(temporary_s=60))
    assert client.dns("GET", "zones").status == 200
    assert "x-security-token" in client.dns("GET", "zones", X_Security_Token="x").words
    fe.clock_shift = 61
    assert "has expired" in client.dns("GET", "zones").words
    client.close()


def test_signed__in_the_older_form(fe):
    client = FeClient(fe, key=fe.key())
    for scope in (f"{fe.sdk_date()[:8]}/eu-west-0/dns/sdk_request", "20260101///sdk_request"):
        client.scope = scope
        assert client.dns("GET", "zones?type=public").status == 200
    fe.old_signatures = False
    assert "Credential is not supported" in client.dns("GET", "zones").words
    client.close()


def test_signed__without_a_project(fe):
    fe.sign_project = "default"
    client = FeClient(fe, key=fe.key())
    assert client.dns("GET", "zones", X_Project_Id=None).status == 200
    assert client.dns("GET", "zones", X_Project_Id="f" * 32).error == (403, "APIGW.0302")
    client.close()


# ---- tokens ----


def test_token__tells_what_a_client_needs(fe):
    client = FeClient(fe, login=False)
    reply = client.login()
    assert reply.status == 201 and len(reply.headers["X-Subject-Token"]) == fe.token_length
    token = reply.json["token"]
    assert token["project"]["id"] == fe.project and token["project"]["name"] == "eu-west-0"
    places = {one["type"]: one["endpoints"][0]["url"] for one in token["catalog"]}
    assert places["dns"] == fe.dns_url and places["elbv3"] == f"{fe.elb_url}/v3/{fe.project}"
    issued, until = (
        time.strptime(token[one][:19], "%Y-%m-%dT%H:%M:%S") for one in ("issued_at", "expires_at")
    )
    assert time.mktime(until) - time.mktime(issued) == 86400
    assert "catalog" not in client.login(path="/v3/auth/tokens?nocatalog=true").json["token"]
    fe.lower_case_headers = True
    reply = client.login()
    assert "x-subject-token" in [name for name, _ in reply.headers.items()]
    client.close()


def test_token__who_gets_none(fe):
    client = FeClient(fe, login=False)
    fe.account("svc-acme", "x", domain="OTHER")
    fe.account("off", "x").enabled = False
    fe.lock_after = 100
    wrong = "IAM.0062"
    for user, code in (
        ({}, None), ({"password": "wrong"}, wrong), ({"name": "nobody"}, wrong),
        ({"domain": {"name": "svc-acme"}}, wrong), ({"domain": {"name": "OTHER"}}, wrong),
        ({"domain": None}, "IAM.0011"), ({"password": None}, "IAM.0011"),
        ({"name": "off", "password": "x"}, "IAM.0001"),
        ({"name": None, "domain": None, "id": fe.iam.named(fe.user).id}, None),
    ):  # fmt: skip
        for form in ("keystone", "gateway"):
            fe.iam_errors = form
            reply = client.login(client.identity(**user))
            assert (reply.status == 201) == (code is None), user
            if code and form == "gateway":
                assert reply.json["error_code"] == code and reply.json["request_id"]
            elif code:
                assert reply.json["error"]["code"] == reply.status
    assert "a-password" not in str(fe.log)
    client.close()


@pytest.mark.parametrize(
    "bend, status",
    [
        (lambda one: one["auth"].pop("identity"), 400), (lambda one: one.pop("auth"), 400),
        (lambda one: one.update(more=1), 400),
        (lambda one: one["auth"]["identity"].update(methods=["token"]), 400),
        (lambda one: one["auth"]["identity"].update(password=[]), 400),
        (lambda one: one["auth"].update(scope=[]), 400),
        (lambda one: one["auth"].update(scope={"project": {"id": "0"}}), 404),
        (lambda one: one["auth"].update(scope={"project": {"name": "eu-west-1"}}), 404),
        (lambda one: one["auth"].update(scope={"project": {"name": "eu-west-0"}}), 201),
        (lambda one: one["auth"].update(scope={"domain": {"name": "OCB0001234"}}), 201),
        (lambda one: one["auth"].update(scope={"domain": {"name": "else"}}), 404),
        (lambda one: one["auth"].pop("scope"), 201),
    ],
)  # fmt: skip
def test_token__body(fe, bend, status):
    client = FeClient(fe, login=False)
    body = client.identity()
    bend(body)
    assert client.login(body).status == status
    client.close()


def test_token__without_a_project_is_for_no_service(fe):
    client = FeClient(fe, login=False)
    body = client.identity()
    body["auth"]["scope"] = {"domain": {"name": fe.domain}}
    client.headers["X-Auth-Token"] = client.login(body).headers["X-Subject-Token"]
    assert client.dns("GET", "zones").error == (403, "APIGW.0302")
    listed = client.call(fe.iam_url, "GET", "/v3/auth/projects").json["projects"]
    assert [one["id"] for one in listed] == [fe.project]
    assert client.call(fe.iam_url, "GET", "/v3/projects?name=x").json["projects"] == []
    client.close()


def test_token__needs_the_second_factor(fe):
    fe.account("two", "pw", passcode="123456")
    client = FeClient(fe, "two", "pw", login=False)
    assert client.login().status == 401
    id_ = fe.iam.named("two").id
    for user, status in (
        ({"id": id_, "passcode": "1"}, 401), ({"id": "x", "passcode": "123456"}, 401),
        ({"id": id_, "passcode": "123456"}, 201),
    ):  # fmt: skip
        body = client.identity()
        body["auth"]["identity"].update(methods=["password", "totp"], totp={"user": user})
        assert client.login(body).status == status
    assert "123456" not in str(fe.log)
    client.close()


def test_token__is_locked_out_after_wrong_passwords(fe):
    fe.lock_after, fe.iam_errors = 2, "gateway"
    client = FeClient(fe, password="wrong", login=False)
    assert [client.login().json["error_code"] for _ in range(3)] == [
        "IAM.0062", "IAM.0062", "IAM.0061",
    ]  # fmt: skip
    client.close()


@pytest.mark.parametrize(
    "end", [
        lambda fe: fe.expire_tokens(), lambda fe: fe.set_password(fe.user, "new"),
        lambda fe: setattr(fe, "clock_shift", 86401),
    ]
)  # fmt: skip
def test_token__ends(fe, client, end):
    assert client.dns("GET", "zones").status == 200
    end(fe)
    reply = client.dns("GET", "zones")
    assert reply.error == (401, "APIGW.0301") and "token expires" in reply.words
    fe.auth_errors = "service"
    assert client.dns("GET", "zones").error == (401, "DNS.0005")
    assert client.elb("GET", "certificates").error == (401, "ELB.1103")
    assert client.old("GET", "certificates").error == (401, "Unauthorized")


def test_token__missing_or_none_of_ours(fe, client):
    for value, words in ((None, "x-auth-token not found"), ("MIIx", "decrypt token fail")):
        reply = client.dns("GET", "zones", X_Auth_Token=value)
        assert reply.error == (401, "APIGW.0301") and words in reply.words
    fe.auth_errors = "service"
    assert client.elb("GET", "certificates", X_Auth_Token=None).error == (403, "ELB.1102")
    path = "/v3/auth/tokens"
    for value, status in ((client.headers["X-Auth-Token"], 200), ("x", 404), (None, 404)):
        assert client.call(fe.iam_url, "GET", path, X_Subject_Token=value).status == status
    assert client.call(fe.iam_url, "GET", path, X_Auth_Token="x").error == (401, 401)
    assert client.call(fe.iam_url, "GET", "/v3/auth/catalog").json["catalog"]


def test_lenient__takes_what_some_scripts_send(fe, zone):
    client = FeClient(fe, login=False)
    body = repr(client.identity()).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/v3/auth/tokens?Content-Type=application/json"
    assert client.raw(fe.iam_url, "POST", path, body, form).status == 400
    fe.unknown_params = "ignore"
    assert client.raw(fe.iam_url, "POST", path, body, form).status == 415
    fe.unknown_params, fe.lenient = "refuse", True
    reply = client.raw(fe.iam_url, "POST", path, body, form)
    assert reply.status == 201
    # A value that ends in a carriage return, as it comes out of their header parsing.
    client.headers["X-Auth-Token"] = reply.headers["X-Subject-Token"]
    place = ("127.0.0.1", fe.servers["dns"].port)
    with socket.create_connection(place, timeout=5) as link, link.makefile("rb") as file:
        token = client.headers["X-Auth-Token"]
        link.sendall(f"GET /v2/zones HTTP/1.1\r\nX-Auth-Token: {token}\r\r\n\r\n".encode())
        assert file.readline() == b"HTTP/1.1 200 OK\r\n"
    path = f"zones/{zone.id}/recordsets?Content-Type=application/json"
    assert client.dns("POST", path, txt("a")).status == 202
    client.close()


# ---- who may do what, and where ----


def test_rights__the_least_are_enough_and_no_more(fe, zone):
    fe.account("least", "pw", LEAST_RIGHTS)
    fe.listener("shop", [fe.upload("first", *SHOP).name], dedicated=False)
    client = FeClient(fe, "least", "pw")
    path = make(client, zone, txt("a"))
    listener = fe.find("listener", "shop")
    made = client.elb("POST", "certificates", {"certificate": cert()}).json["certificate"]
    body = {"listener": {"default_tls_container_ref": made["id"]}}
    for call, what, body, status in (
        (client.dns, "PUT " + path, txt("b"), 202), (client.dns, "DELETE " + path, None, 202),
        (client.dns, "GET zones", None, 200), (client.dns, "GET zones/" + zone.id, None, 200),
        (client.dns, "POST zones", {"name": "example.net."}, "DNS.0030"),
        (client.dns, "DELETE zones/" + zone.id, None, "DNS.0030"),
        (client.elb, "PUT listeners/" + listener["id"], body, 200),
        (client.elb, "GET listeners", None, 200), (client.elb, "GET quotas", None, 200),
        (client.elb, "GET loadbalancers/" + listener["loadbalancers"][0]["id"], None, 200),
        (client.elb, "GET loadbalancers", None, "ELB.9802"),
        (client.old, "GET loadbalancers", None, "PolicyNotAuthorized"),
        (client.elb, "DELETE certificates/" + fe.find("certificate", "first")["id"], None, 204),
    ):  # fmt: skip
        reply = call(*what.split(" ", 1), body)
        assert reply.status == status or reply.error == (403, status), what
    client.close()


def test_project__of_the_path_must_be_that_of_the_token(fe, client):
    other = fe.add_project("eu-west-0_test")
    client.project = other.id
    assert client.elb("GET", "certificates").error == (403, "APIGW.0302")
    fe.other_project_status = 401
    assert client.elb("GET", "certificates").status == 401
    fe.upload("shop", *SHOP)
    mine = FeClient(fe, project=other.id)
    assert mine.elb("GET", "certificates").json["certificates"] == []
    mine.close()


def test_zones__are_those_of_the_account(fe, zone):
    fe.add_project("eu-west-0_test")
    fe.add_project("eu-west-0", "OTHER")
    fe.account("else", "pw", domain="OTHER")
    mine = FeClient(fe, project=fe.iam.projects[1].id)
    assert mine.dns("GET", f"zones/{zone.id}").status == 200
    fe.zones_scope = "project"
    assert mine.dns("GET", f"zones/{zone.id}").error == (404, "DNS.0302")
    mine.close()


def test_services__have_places_of_their_own(fe, client):
    token = client.headers
    for url, host, path, status in (
        (fe.iam_url, None, "/v2/zones", 404), (fe.dns_url, None, "/v2/zones", 200),
        (fe.dns_url, "elb.eu-west-0.localhost:1", "/v2/zones", 404),
        (fe.iam_url, "dns.localhost", "/v2/zones", 200),
        (fe.elb_url, None, f"/v3/{fe.project}/elb/certificates", 200),
        (fe.vpc_url, None, f"/v3/{fe.project}/elb/certificates", 404),
        (fe.vpc_url, None, "/v2.0/lbaas/certificates", 200),
        (fe.elb_url, None, "/v2.0/lbaas/certificates", 200),
        (fe.dns_url, None, "/v2/zones/", 404), (fe.dns_url, None, "/", 404),
    ):  # fmt: skip
        reply = client.raw(url, "GET", path, b"", {**token, "Host": host})
        assert reply.status == status, (path, host)
        if status == 404:
            assert reply.error == (404, "APIGW.0101")
    fe.v2_place = "vpc"
    assert client.raw(fe.elb_url, "GET", "/v2.0/lbaas/certificates", b"", token).status == 404
    fe.elb_apis = ("v2.0",)
    assert client.elb("GET", "certificates").status == 404
    assert client.old("GET", "certificates").status == 200


def test_requests__that_are_none(fe, client, zone):
    path = f"/v2/zones/{zone.id}/recordsets"
    for kind, body, error in (
        ("text/plain", b"{}", (415, "APIGW.0401")), (None, b"{}", (415, "APIGW.0401")),
        ("application/json", b"{", (400, "DNS.0002")), ("application/json", b"", (400, "DNS.0002")),
        ("application/json", b"[]", (400, "DNS.0002")),
        ("application/json", b"\xff", (400, "DNS.0002")),
        ("application/json", b" " * ((1 << 20) + 1), (413, "APIGW.0401")),
    ):  # fmt: skip
        headers = {**client.headers, "Content-Type": kind}
        assert client.raw(fe.dns_url, "POST", path, body, headers).error == error, body[:10]
    for query in ("?foo=1", "?Content-Type=application/json"):
        assert client.dns("GET", "zones" + query).error == (400, "DNS.0002")
    assert client.elb("GET", "listeners?foo=1").error == (400, "ELB.8902")
    fe.unknown_params = "ignore"
    assert client.dns("GET", "zones?foo=1").status == 200
    assert client.dns("PATCH", "zones").error == (404, "APIGW.0101")


# ---- zones ----


def test_zones__are_found_by_a_part_of_their_name(fe, client):
    for name in ("example.org", "myexample.org", "Sub.example.org", "example.org.uk"):
        fe.zone(name)
    fe.zone("example.org", kind="private")
    for query, names in (
        ("name=example.org.", ["example.org.", "myexample.org.", "sub.example.org.",
                               "example.org.uk."]),
        ("name=SUB", ["sub.example.org."]), ("name=org.u", ["example.org.uk."]),
        ("name=nothing", []), ("type=private", ["example.org."]), ("status=ERROR", []),
        ("name=example.org&search_mode=equal", ["example.org."]),
        ("name=sub&sort_key=name&sort_dir=desc", ["sub.example.org."]),
    ):  # fmt: skip
        reply = client.dns("GET", "zones?" + query)
        assert sorted(one["name"] for one in reply.json["zones"]) == sorted(names), query
        assert reply.json["metadata"]["total_count"] == len(names)
    assert client.dns("GET", "zones?type=hidden").error == (400, "DNS.0008")
    assert client.dns("GET", "zones?name=a&search_mode=x").status == 400


def test_zones__come_in_pages(fe, client):
    names = [f"z{number}.example." for number in range(7)]
    for name in names:
        fe.zone(name)
    seen, path = [], "zones?limit=3&name=example"
    while path:
        document = client.dns("GET", path).json
        assert len(document["zones"]) <= 3 and document["metadata"]["total_count"] == 7
        seen += [one["name"] for one in document["zones"]]
        path = document["links"].get("next", "").removeprefix(fe.dns_url + "/v2/")
    assert seen == names
    fe.page_max = 2
    assert len(client.dns("GET", "zones").json["zones"]) == 2
    for query, code in (("limit=501", "DNS.0006"), ("limit=x", "DNS.0006"),
                        ("marker=x", "DNS.0007"), ("offset=x", "DNS.0002")):  # fmt: skip
        assert client.dns("GET", "zones?" + query).error == (400, code)
    assert [one["name"] for one in client.dns("GET", "zones?offset=6").json["zones"]] == names[6:]


def test_zones__made_and_removed(fe, client):
    fe.zones_max = 2
    for body, error in (
        ({"name": "example.org."}, None), ({"name": "example.org."}, (400, "DNS.0016")),
        ({"name": "org."}, (400, "DNS.0304")), ({"name": "a b.org."}, (400, "DNS.0304")),
        ({"name": "x.org.", "more": 1}, (400, "DNS.0002")), ({}, (400, "DNS.0304")),
        ({"name": "x.org.", "zone_type": "private"}, (400, "DNS.0008")),
        ({"name": "example.net."}, None), ({"name": "example.com."}, (403, "DNS.0403")),
    ):  # fmt: skip
        reply = client.dns("POST", "zones", body)
        assert (reply.status == 202 if error is None else reply.error == error), body
    id_ = fe.zones.zone_for("example.org").id
    assert client.dns("GET", f"zones/{id_}").json["record_num"] == 2
    servers = client.dns("GET", f"zones/{id_}/nameservers").json["nameservers"]
    assert [one["hostname"] for one in servers] == fe.named.names
    assert client.dns("DELETE", f"zones/{id_}").json["status"] == "PENDING_DELETE"
    assert client.dns("GET", f"zones/{id_}").error == (404, "DNS.0302")


# ---- record sets ----


def test_recordset__lives(fe, client, zone):
    fe.pending_s, fe.pending_looks = 0.0, 2
    base = f"zones/{zone.id}/recordsets"
    reply = client.dns("POST", base, txt("a", description="mine"))
    made = reply.json
    assert reply.status == 202 and made["status"] == "PENDING_CREATE"
    assert made["records"] == ['"a"'] and made["zone_name"] == "example.org."
    assert made["update_at"] is None and made["default"] is False
    path = f"{base}/{made['id']}"

    def states():
        """The state after each look until it does not change any more."""
        return [client.dns("GET", path).json.get("status") for _ in range(3)]

    assert fe.resolver(OWNER) == []
    assert states() == ["PENDING_CREATE", "PENDING_CREATE", "ACTIVE"]
    assert fe.resolver(OWNER) == ["a"]
    reply = client.dns("PUT", path, txt("a", "b"))
    assert reply.status == 202 and reply.json["status"] == "PENDING_UPDATE"
    assert reply.json["description"] == "mine" and fe.resolver(OWNER) == ["a"]
    assert states() == ["PENDING_UPDATE", "PENDING_UPDATE", "ACTIVE"]
    assert fe.resolver(OWNER) == ["a", "b"]
    reply = client.dns("DELETE", path)
    assert reply.status == 202 and reply.json["status"] == "PENDING_DELETE"
    assert fe.resolver(OWNER) == ["a", "b"]
    assert states() == ["PENDING_DELETE", "PENDING_DELETE", None]
    assert client.dns("GET", path).error == (404, "DNS.0313") and fe.resolver(OWNER) == []
    assert client.dns("DELETE", path).error == (404, "DNS.0313")
    assert [one.method for one in fe.writes()] == ["POST", "PUT", "DELETE", "DELETE"]
    assert {one.name for one in fe.writes()[:3]} == {OWNER}


def test_recordset__waits_for_its_time(fe, client, zone):
    fe.pending_s = 0.15
    began = time.monotonic()
    make(client, zone, txt("a"))
    assert time.monotonic() - began >= 0.15 and fe.resolver(OWNER) == ["a"]


@pytest.mark.parametrize("code, status", [("DNS.0314", 400), ("DNS.0021", 409)])
def test_recordset__is_left_alone_while_it_is_pending(fe, client, zone, code, status):
    fe.outcome, fe.pending_code = None, code
    base = f"zones/{zone.id}/recordsets"
    path = f"{base}/{client.dns('POST', base, txt('a')).json['id']}"
    assert client.dns("PUT", path, txt("b")).error == (status, code)
    assert client.dns("DELETE", path).error == (status, code)
    assert client.dns("POST", base, txt("b")).error == (400, "DNS.0312")
    assert fe.txt(OWNER)["status"] == "PENDING_CREATE" and fe.resolver(OWNER) == []


def test_recordset__may_fail(fe, client, zone):
    fe.doom(OWNER)
    base = f"zones/{zone.id}/recordsets"
    path = f"{base}/{client.dns('POST', base, txt('a')).json['id']}"
    assert client.dns("GET", path).json["status"] == "ERROR" and fe.resolver(OWNER) == []
    fe.doom(OWNER, "ACTIVE")
    assert client.dns("PUT", path, txt("b")).status == 202
    assert client.dns("GET", path).json["status"] == "ACTIVE" and fe.resolver(OWNER) == ["b"]


def test_recordset__one_change_at_a_time_in_a_zone(fe, client, zone):
    fe.zone_lock, fe.pending_s = True, 0.1
    base = f"zones/{zone.id}/recordsets"
    first = client.dns("POST", base, txt("a")).json
    second = txt("a", name="_acme-challenge.www.example.org.")
    assert client.dns("POST", base, second).error == (409, "DNS.0021")
    path = f"{base}/{first['id']}"
    wait_until(lambda: client.dns("GET", path).json["status"] == "ACTIVE", "ACTIVE")
    assert client.dns("POST", base, second).status == 202


def test_recordset__one_for_each_name_and_type(fe, client, zone):
    base = f"zones/{zone.id}/recordsets"
    make(client, zone, txt("a"))
    fe.put("example.org", "alias.example.org", "CNAME", "other.example.net.")
    for body, words in (
        (txt("b"), f"'{OWNER}' type 'TXT'"), (txt("b", name=OWNER.upper()), "type 'TXT'"),
        (txt("b", name="alias.example.org."), "type 'CNAME'"),
        ({"name": OWNER, "type": "CNAME", "records": ["x.example.net."]}, "type 'TXT'"),
        ({"name": "example.org.", "type": "NS", "records": ["ns.example.net."]}, "type 'NS'"),
    ):  # fmt: skip
        reply = client.dns("POST", base, body)
        assert reply.error == (400, "DNS.0312") and words in reply.words, body
    record = {"name": OWNER, "type": "A", "records": ["192.0.2.1"]}
    assert client.dns("POST", base, record).status == 202


@pytest.mark.parametrize(
    "change, code",
    [
        ({"name": "_acme-challenge.example.org"}, "DNS.0304"),
        ({"name": "_acme-challenge.example.net."}, "DNS.0304"),
        ({"name": "_acme-challenge.myexample.org."}, "DNS.0304"),
        ({"name": "a..example.org."}, "DNS.0304"), ({"name": "a.*.example.org."}, "DNS.0304"),
        ({"name": "x" * 64 + ".example.org."}, "DNS.0304"), ({"name": 1}, "DNS.0304"),
        ({"type": "SOA"}, "DNS.0307"), ({"type": "txt"}, "DNS.0307"), ({"type": None}, "DNS.0307"),
        ({"ttl": 0}, "DNS.0303"), ({"ttl": 1 << 31}, "DNS.0303"), ({"ttl": "300"}, "DNS.0303"),
        ({"records": []}, "DNS.0308"), ({"records": None}, "DNS.0308"),
        ({"records": ["a"]}, "DNS.0308"), ({"records": ['"a']}, "DNS.0308"),
        ({"records": ['"a"b"']}, "DNS.0308"), ({"records": ["'a'"]}, "DNS.0308"),
        ({"records": [""]}, "DNS.0308"), ({"records": [1]}, "DNS.0308"),
        ({"records": ['"a"', '"a"']}, "DNS.0308"), ({"records": ['"a" b']}, "DNS.0308"),
        ({"records": ['"' + "x" * 256 + '"']}, "DNS.0308"),
        ({"records": [f'"{n:080}"' for n in range(51)]}, "DNS.0308"),
        ({"records": [f'"{n:0200}"' for n in range(21)]}, "DNS.0308"),
        ({"description": "x" * 256}, "DNS.0305"), ({"line": "default"}, "DNS.0002"),
        ({"type": "A", "records": ["192.0.2"]}, "DNS.0308"),
        ({"type": "CNAME", "records": ["a.example.", "b.example."]}, "DNS.0308"),
        ({"name": "*.example.org."}, None), ({"name": "example.org."}, None),
        ({"records": [f'"{n:050}"' for n in range(50)]}, None),
        ({"records": ['"' + "x" * 255 + '" "y"']}, None), ({"records": ['""']}, None),
        ({"records": ['"a \\" b"', '"c;d"']}, None), ({"ttl": 1}, None),
    ],
)  # fmt: skip
def test_recordset__values(fe, client, zone, change, code):
    body = {**txt("a"), **change}
    reply = client.dns("POST", f"zones/{zone.id}/recordsets", body)
    assert (reply.status == 202) if code is None else (reply.error == (400, code)), reply.text
    if code is None:
        assert len(fe.resolver(body["name"])) == len(body["records"])


def test_recordset__rules_that_may_differ(fe, client, zone):
    base = f"zones/{zone.id}/recordsets"
    fe.undotted, fe.equal_values, fe.ttl_min = "append", "fold", 300
    assert client.dns("POST", base, txt("a", ttl=299)).error == (400, "DNS.0303")
    reply = client.dns("POST", base, txt("a", "a", name=OWNER[:-1]))
    assert reply.json["name"] == OWNER and reply.json["records"] == ['"a"']


def test_recordset__changes(fe, client, zone):
    path = make(client, zone, txt("a"))
    for body, code in (
        (txt("b", name="x.example.org."), "DNS.0304"), (txt("b", type="A"), "DNS.0307"),
        ({"records": []}, "DNS.0308"), ({"ttl": -1}, "DNS.0303"), ({"zone": 1}, "DNS.0002"),
        ({"records": ['"c"'], "ttl": 60}, None), ({"description": "d"}, None),
    ):  # fmt: skip
        reply = client.dns("PUT", path, body)
        assert (reply.status == 202) if code is None else (reply.error == (400, code)), body
    told = client.dns("GET", path).json
    assert (told["records"], told["ttl"], told["description"]) == (['"c"'], 60, "d")
    other = fe.zone("example.net")
    wrong = path.replace(zone.id, other.id)
    assert client.dns("GET", wrong).error == (404, "DNS.0313")
    zone.status = "FREEZE"
    assert client.dns("DELETE", path).error == (400, "DNS.0209")


def test_recordset__of_the_system_stays(fe, client, zone):
    for kind in ("NS", "SOA"):
        path = f"zones/{zone.id}/recordsets/{fe.txt('example.org', kind)['id']}"
        assert client.dns("DELETE", path).error == (403, "DNS.0317")
        assert client.dns("PUT", path, {"ttl": 60}).error == (403, "DNS.0318")


def test_recordset__quota(fe, client, zone):
    fe.sets_max = 1
    make(client, zone, txt("a"))
    body = txt("a", name="b.example.org.")
    reply = client.dns("POST", f"zones/{zone.id}/recordsets", body)
    assert reply.error == (403, "DNS.0403")


def test_recordset__lists(fe, client, zone):
    for name in (OWNER, "_acme-challenge.www.example.org.", "x._acme-challenge.example.org."):
        fe.put("example.org", name, "TXT", '"a"')
    fe.put("example.org", OWNER, "A", "192.0.2.1")
    fe.zone("example.net")
    base = f"zones/{zone.id}/recordsets"
    for path, count in (
        (base, 6), (base + "?type=TXT", 3), (base + f"?type=TXT&name={OWNER}", 2),
        (base + "?type=TXT&name=_ACME-challenge.e", 2), (base + "?status=PENDING", 0),
        (base + f"?type=TXT&name={OWNER}&search_mode=equal", 1), ("recordsets", 8),
        ("recordsets?type=SOA", 2), ("recordsets?zone_type=private", 0),
    ):  # fmt: skip
        assert len(client.dns("GET", path).json["recordsets"]) == count, path
    assert client.dns("GET", base + "?type=txt").error == (400, "DNS.0307")
    assert client.dns("GET", "zones/0/recordsets").error == (404, "DNS.0302")
    assert len(client.dns("GET", base + "?limit=2&offset=5").json["recordsets"]) == 1


# ---- name servers ----


@pytest.fixture(name="names")
def _names(fe, zone):
    """Names of many kinds in a zone, and two other zones."""
    fe.zone("sub.example.org")
    fe.zone("acme.example.net")
    for zone_name, name, type_, *values in (
        ("example.org", "example.org", "TXT", '"apex"', '"two" "parts"'),
        ("example.org", "example.org", "CAA", '0 issue "ca.example.org"'),
        ("example.org", "*.wild.example.org", "TXT", '"any"'),
        ("example.org", "here.wild.example.org", "A", "192.0.2.7"),
        ("example.org", "a.b.c.example.org", "TXT", '"deep"'),
        ("example.org", "mail.example.org", "MX", "10 mx.example.org."),
        ("example.org", OWNER, "CNAME", "shop.acme.example.net."),
        ("example.org", "out.example.org", "CNAME", "host.example.com."),
        ("example.org", "loop.example.org", "CNAME", "loop.example.org."),
        ("example.org", "lost.example.org", "CNAME", "lost.acme.example.net."),
        ("example.org", "given.example.org", "NS", "ns.elsewhere.example.", "ns1.fe-dns.example."),
        ("sub.example.org", "_acme-challenge.sub.example.org", "TXT", '"child"'),
        ("acme.example.net", "shop.acme.example.net", "TXT", '"delegated"'),
    ):  # fmt: skip
        fe.put(zone_name, name, type_, *values)
    return fe


@pytest.mark.parametrize("tcp", [False, True])
def test_named__answers(names, tcp):
    chain = ["CNAME", "TXT"]
    for name, type_, rcode, types, values in (
        ("example.org", "TXT", "NOERROR", ["TXT", "TXT"], ["apex", "twoparts"]),
        ("EXAMPLE.org", "NS", "NOERROR", ["NS", "NS"], names.named.names),
        ("example.org", "AAAA", "NOERROR", [], []),
        ("example.org", "CAA", "NOERROR", ["CAA"], None),
        ("nothing.example.org", "TXT", "NXDOMAIN", [], []),
        ("x.wild.example.org", "TXT", "NOERROR", ["TXT"], ["any"]),
        ("y.x.wild.example.org", "TXT", "NOERROR", ["TXT"], ["any"]),
        ("here.wild.example.org", "TXT", "NOERROR", [], []),
        ("x.here.wild.example.org", "TXT", "NXDOMAIN", [], []),
        ("x.wild.example.org", "A", "NOERROR", [], []),
        ("b.c.example.org", "TXT", "NOERROR", [], []),
        ("x.c.example.org", "TXT", "NXDOMAIN", [], []),
        ("mail.example.org", "MX", "NOERROR", ["MX"], None),
        (OWNER, "TXT", "NOERROR", chain, ["delegated"]),
        (OWNER, "CNAME", "NOERROR", ["CNAME"], []),
        ("out.example.org", "TXT", "NOERROR", ["CNAME"], []),
        ("lost.example.org", "TXT", "NXDOMAIN", ["CNAME"], []),
        ("_acme-challenge.sub.example.org", "TXT", "NOERROR", ["TXT"], ["child"]),
        ("www.example.com", "A", "REFUSED", [], []), ("example.org", "ANY", "REFUSED", [], []),
        ("ns2.fe-dns.example", "A", "NOERROR", ["A"], [names.named.servers[1].host]),
    ):  # fmt: skip
        reply = fe_ask.ask(names.named.address, name, type_, tcp=tcp)
        assert (reply.rcode, [one.type for one in reply.answers]) == (rcode, types), (name, type_)
        assert reply.authoritative == (rcode != "REFUSED"), name
        found = reply.values(type_ if type_ in ("NS", "A") else "TXT")
        assert values is None or found == values, name
        if not types and rcode != "REFUSED":
            assert [one.type for one in reply.authority] == ["SOA"], name


def test_named__ends_a_chain_that_does_not_end(names):
    reply = fe_ask.ask(names.named.address, "loop.example.org")
    assert {one.type for one in reply.answers} == {"CNAME"} and len(reply.answers) < 20


def test_named__refers_to_the_servers_of_a_part(names):
    reply = fe_ask.ask(names.named.address, "_acme-challenge.given.example.org")
    assert (reply.rcode, reply.authoritative, reply.answers) == ("NOERROR", False, [])
    assert [one.value for one in reply.authority] == [
        "ns.elsewhere.example.", "ns1.fe-dns.example.",
    ]  # fmt: skip
    assert [one.value for one in reply.additional if one.type == "A"] == [
        names.named.servers[0].host
    ]  # fmt: skip


def test_named__serial_goes_up_and_case_is_kept(fe, client, zone):
    asked = "_aCmE-cHaLlEnGe.eXaMpLe.OrG."
    make(client, zone, txt("a"))
    reply = fe_ask.ask(fe.named.address, asked)
    assert reply.name == asked and reply.answers[0].name == asked
    assert reply.answers[0].ttl == 300 and reply.values() == ["a"]
    assert zone.serial == 2 and fe.named.queries[-1].name == asked


def test_named__truncates_what_is_too_long_for_a_datagram(fe, zone):
    fe.put("example.org", OWNER, "TXT", *(f'"{number:080}"' for number in range(20)))
    packet = fe_ask.question(OWNER)
    reply = fe_ask.parse(fe_ask.send_udp(fe.named.address, packet))
    assert reply.truncated and not reply.answers and reply.size <= 512
    assert len(fe_ask.ask(fe.named.address, OWNER, udp_size=None).values()) == 20
    assert len(fe_ask.parse(fe_ask.send_tcp(fe.named.address, packet)[0]).answers) == 20
    fe.put("example.org", OWNER, "TXT", *(f'"{number:080}"' for number in range(6)))
    for size, truncated in ((None, True), (512, True), (4096, False), (1, True)):
        packet = fe_ask.question(OWNER, udp_size=size)
        reply = fe_ask.parse(fe_ask.send_udp(fe.named.address, packet))
        assert reply.truncated == truncated, size
        assert any(one.type == "OPT" for one in reply.additional) == (size is not None)
    fe.named.servers[0].mode = "truncate"
    assert fe_ask.parse(fe_ask.send_udp(fe.named.address, packet)).truncated
    transports = [one.transport for one in fe.named.queries]
    assert len(fe.resolver(OWNER)) == 6 and len(fe.named.queries) == len(transports) + 2


def test_named__takes_many_questions_on_one_connection(fe, zone):
    packets = [fe_ask.question("example.org", one) for one in ("NS", "SOA", "TXT")]
    replies = [fe_ask.parse(one) for one in fe_ask.send_tcp(fe.named.address, *packets)]
    assert [len(one.answers) for one in replies] == [2, 1, 0]
    assert replies[1].answers[0].value[1] == (zone.serial, 7200, 900, 1209600, 300)


def test_named__each_may_be_late(fe, client, zone):
    fe.named.servers[1].lag_s = 0.8
    path = make(client, zone, txt("a"))
    one, other = fe.name_servers
    assert fe_ask.ask(one, OWNER).values() == ["a"]
    late = fe_ask.ask(other, OWNER)
    assert late.rcode == "NXDOMAIN" and late.authority[0].type == "SOA"
    wait_until(lambda: fe_ask.ask(other, OWNER).values() == ["a"], "the second server")
    client.dns("DELETE", path)
    wait_until(lambda: client.dns("GET", path).status == 404, "the end")
    assert fe_ask.ask(one, OWNER).rcode == "NXDOMAIN"
    assert fe_ask.ask(other, OWNER).values() == ["a"]
    wait_until(lambda: not fe_ask.ask(other, OWNER).values(), "the second server")


def test_named__trouble(fe, zone):
    fe.put("example.org", OWNER, "TXT", '"a"')
    server = fe.named.servers[0]
    for mode, rcode in (("servfail", "SERVFAIL"), ("refused", "REFUSED")):
        server.mode = mode
        assert fe_ask.ask(fe.named.address, OWNER).rcode == rcode
        with pytest.raises(OSError):
            fe.resolver(OWNER)
    with pytest.raises(ValueError):
        server.mode = "asleep"
    server.mode = "silent"
    with pytest.raises(OSError):
        fe_ask.ask(fe.named.address, OWNER, timeout=0.05)
    server.mode = "not-authoritative"
    reply = fe_ask.ask(fe.named.address, OWNER)
    assert reply.values() == ["a"] and not reply.authoritative
    server.mode, packet = "wrong-id", fe_ask.question(OWNER)
    assert fe_ask.send_udp(fe.named.address, packet)[:2] != packet[:2]
    server.mode = "no-tcp"
    with pytest.raises((OSError, struct.error)):
        fe_ask.ask(fe.named.address, OWNER, tcp=True)
    assert fe_ask.ask(fe.name_servers[1], OWNER).values() == ["a"]


def test_named__what_is_no_question(fe, zone):
    good = fe_ask.question("example.org", "NS")
    for packet, rcode in (
        (good[:20], "FORMERR"), (good[:12] + b"\xc0\x0c\0\x02\0\x01", "FORMERR"),
        (good[:4] + b"\0\2" + good[6:], "FORMERR"), (good[:2] + b"\x28\0" + good[4:], "NOTIMP"),
        (good[:-1] + b"\x03", "REFUSED"),
    ):  # fmt: skip
        assert fe_ask.parse(fe_ask.send_udp(fe.named.address, packet)).rcode == rcode
    for packet in (b"", b"short", good[:2] + b"\x80\0" + good[4:]):
        with pytest.raises(OSError):
            fe_ask.send_udp(fe.named.address, packet, 0.03)
    assert fe_ask.ask(fe.named.address, "example.org", "NS").rcode == "NOERROR"


def test_named__may_stand_in_for_a_resolver(fe, zone):
    fe.default_a = "127.0.0.1"
    assert fe_ask.ask(fe.named.address, "www.example.com", "A").values("A") == ["127.0.0.1"]
    for type_ in ("AAAA", "CAA"):
        reply = fe_ask.ask(fe.named.address, "www.example.com", type_)
        assert (reply.rcode, reply.answers) == ("NOERROR", [])


def test_named__is_asked_by_a_ca(fe, client, zone, tmp_path):
    tls = TestCA(str(tmp_path))
    with CA(str(tmp_path), tls, resolver=fe.resolver) as ca:
        acme = acme_client.Client(ca)
        assert acme.register().status == 201
        order = acme.order("example.org", "*.example.org")
        values = []
        for url in order.json["authorizations"]:
            token = acme.challenge(url, "dns-01")["token"]
            digest = hashlib.sha256(f"{token}.{acme.key.thumbprint}".encode()).digest()
            values.append(acme_client.b64(digest))
        make(client, zone, txt(*values))
        assert acme.prove(order, "dns-01") == ["valid", "valid"]
        order = acme.order("www.example.org")
        assert acme.prove(order, "dns-01") == ["invalid"]
        acme.close()
    asked = {one.name.lower() for one in fe.named.queries}
    assert asked == {OWNER, "_acme-challenge.www.example.org."}


# ---- certificates ----


def both(client):
    """(call, how it wraps a certificate, name of the form) of both dialects."""
    return (
        (client.elb, lambda one: {"certificate": one}, lambda one: one["certificate"]),
        (client.old, lambda one: one, lambda one: one),
    )


def test_certificate__lives(fe, client):
    for call, wrap, inner in both(client):
        reply = call("POST", "certificates", wrap(cert(type="server", description="d")))
        made = inner(reply.json)
        assert reply.status == 201 and len(made["id"]) == 32
        assert made["private_key"] == SHOP[1] and made["certificate"] == SHOP[0]
        old = call == client.old
        assert ("request_id" in reply.json) != old and ("tenant_id" in made) == old
        assert made["expire_time"][10] == (" " if old else "T")
        assert ("create_time" in made, "created_at" in made) == (old, not old)
        path = f"certificates/{made['id']}"
        fe.echo_key = False
        told = inner(call("GET", path).json)
        assert told["private_key"] == "" and told["name"] == "shop"
        fe.echo_key = True
        reply = call("PUT", path, wrap({"name": "new"}))
        assert reply.status == 200 and inner(reply.json)["name"] == "new"
        assert call("DELETE", path).status == 204
        code = "NotFound" if old else "ELB.8904"
        for method in ("GET", "DELETE"):
            assert call(method, path).error == (404, code)


def _bent(text, **how):
    rows = text.splitlines(keepends=True)
    if how.get("blank"):
        rows.insert(3, "\n")
    if how.get("long"):
        rows[1:3] = [rows[1].strip() + rows[2]]
    return "".join(rows)


def _key(key, form=serialization.PrivateFormat.TraditionalOpenSSL, password=None):
    how = serialization.BestAvailableEncryption(password) if password else (
        serialization.NoEncryption()
    )  # fmt: skip
    return key.private_bytes(serialization.Encoding.PEM, form, how).decode()


PKCS8 = serialization.PrivateFormat.PKCS8


@pytest.mark.parametrize(
    "change, code",
    [
        ({}, None), ({"type": "client"}, None), ({"domain": ""}, None),
        ({"private_key": _key(EC)}, None), ({"private_key": _key(EC, PKCS8)}, None),
        ({"certificate": SHOP_RSA[0], "private_key": _key(RSA)}, None),
        ({"certificate": SHOP[0].rstrip("\n")}, None),
        ({"certificate": ISSUER.leaf(EC, "shop.example.org")}, None),
        ({"certificate": SHOP[0].replace("\n", "\r\n")}, None),
        ({"domain": "a.example.org,*.b.example.org"}, None),
        ({"private_key": OTHER[1]}, "ELB.5013"), ({"private_key": ""}, "ELB.8902"),
        ({"private_key": _key(EC, PKCS8, b"secret")}, "ELB.5013"),
        ({"private_key": SHOP[1] * 2}, "ELB.5013"), ({"private_key": "x" * 8193}, "ELB.8902"),
        ({"private_key": _key(ed25519.Ed25519PrivateKey.generate(), PKCS8)}, "ELB.5013"),
        ({"private_key": _key(ec.generate_private_key(ec.SECP256K1()))}, "ELB.5013"),
        ({"certificate": _bent(SHOP[0], blank=True)}, "ELB.5013"),
        ({"certificate": _bent(SHOP[0], long=True)}, "ELB.5013"),
        ({"certificate": SHOP[0].replace("-----END CERTIFICATE-----\n",
                                         "-----END CERTIFICATE-----\n\n", 1)}, "ELB.5013"),
        ({"certificate": "text\n" + SHOP[0]}, "ELB.5013"), ({"certificate": ""}, "ELB.8902"),
        ({"certificate": "x" * 65537}, "ELB.8902"), ({"certificate": SHOP[1]}, "ELB.5013"),
        ({"certificate": ISSUER.intermediate + ISSUER.leaf(EC, "a.example.org")}, "ELB.5013"),
        ({"certificate": SHOP[0] + ISSUER.intermediate}, "ELB.5013"),
        ({"certificate": SHOP[0] + ISSUER.intermediate * 10}, "ELB.5013"),
        ({"domain": "a b"}, "ELB.8902"), ({"domain": "a.example.org,"}, "ELB.8902"),
        ({"domain": ",".join(f"n{n}.example.org" for n in range(101))}, "ELB.8902"),
        ({"domain": ",".join(f"n{n}.example.org" for n in range(100))}, None),
        ({"type": "other"}, "ELB.8902"), ({"name": 1}, "ELB.8902"), ({"id": "x"}, "ELB.8902"),
        ({"name": "x" * 256}, "ELB.8902"),
    ],
)  # fmt: skip
def test_certificate__is_looked_at_closely(client, change, code):
    body = {**cert(type="server"), **change}
    if body["type"] == "client":
        del body["private_key"]
    reply = client.elb("POST", "certificates", {"certificate": body})
    assert (reply.status == 201) if code is None else (reply.error == (400, code)), reply.text


def test_certificate__rules_that_may_differ(fe, client):
    fe.chain_order, fe.multi_domain, fe.put_half_pair = "any", False, False
    fe.v2_create_status, fe.v2_change_status = 200, 202
    made = client.old("POST", "certificates", cert())
    assert made.status == 200
    path = f"certificates/{made.json['id']}"
    assert client.old("PUT", path, {"name": "new"}).status == 202
    body = cert(given=(SHOP[0] + ISSUER.intermediate, SHOP[1]))
    made = client.elb("POST", "certificates", {"certificate": body})
    assert made.status == 201
    body = cert(domain="a.example.org,b.example.org")
    assert client.elb("POST", "certificates", {"certificate": body}).error == (400, "ELB.8909")
    path = f"certificates/{made.json['certificate']['id']}"
    for half in ("certificate", "private_key"):
        body = {"certificate": {half: body[half]}}
        assert client.elb("PUT", path, body).error == (400, "ELB.8902")
        body = cert()


def test_certificate__the_body_has_one_form(client):
    for call, body in (
        (client.elb, cert()), (client.old, {"certificate": cert()}), (client.elb, {}),
        (client.elb, {"certificate": []}), (client.elb, {"certificate": cert(), "more": 1}),
    ):  # fmt: skip
        assert call("POST", "certificates", body).status == 400


@pytest.mark.parametrize("code, status", [("ELB.8905", 409), ("ELB.9807", 400), ("ELB.5151", 409)])
def test_certificate__quota(fe, client, code, status):
    fe.certs_max, fe.quota_code = 1, code
    fe.upload("first", *OTHER)
    assert client.elb("POST", "certificates", {"certificate": cert()}).error == (status, code)
    assert client.old("POST", "certificates", cert()).status == status
    assert client.elb("GET", "quotas").json["quota"]["certificate"] == 1
    assert client.elb("GET", "quotas/details").json["quotas"][0]["used"] == 1
    fe.certs_max = -1
    assert client.elb("POST", "certificates", {"certificate": cert()}).status == 201


def test_certificate__in_use_cannot_be_removed(fe, client):
    one, two = fe.upload("one", *SHOP), fe.upload("two", *OTHER, domain="other.example.net")
    listener = fe.listener("shop", ["one", "two"])
    for used in (one, two):
        with pytest.raises(FeError):
            fe.remove("certificate", used.name)
        reply = client.elb("DELETE", f"certificates/{used.id}")
        assert reply.error == (409, "ELB.8907") and listener.id in reply.words
        reply = client.old("DELETE", f"certificates/{used.id}")
        assert reply.error == (409, "Conflict") and reply.json["listener_ids"] == [listener.id]
    path = f"listeners/{listener.id}"
    assert client.elb("PUT", path, {"listener": {"sni_container_refs": []}}).status == 200
    assert client.elb("DELETE", f"certificates/{two.id}").status == 204
    fe.remove("listener", "shop")
    fe.remove("certificate", "one")
    assert fe.names("certificate") == fe.names("listener") == []


def test_certificate__lists(fe, client):
    names = [f"c{number}" for number in range(5)]
    for name in names:
        fe.upload(name, *SHOP, domain=f"{name}.example.org,www.example.org")
    fe.upload("ca", ISSUER.intermediate)
    for query, found in (
        ("", [*names, "ca"]), ("?name=c1", ["c1"]), ("?name=c1&name=c3", ["c1", "c3"]),
        ("?domain=c2.example.org", ["c2"]), ("?domain=www.example.org&name=c4", ["c4"]),
        ("?type=client", ["ca"]), ("?name=c", []), ("?admin_state_up=false", []),
        ("?page_reverse=true&limit=2", ["ca", "c4"]),
    ):  # fmt: skip
        for call in (client.elb, client.old):
            reply = call("GET", "certificates" + query)
            assert [one["name"] for one in reply.json["certificates"]] == found, query
    seen, marker = [], ""
    while True:
        document = client.elb("GET", "certificates?limit=4" + marker).json
        seen += [one["name"] for one in document["certificates"]]
        assert document["page_info"]["current_count"] == len(document["certificates"])
        if "next_marker" not in document["page_info"]:
            break
        marker = "&marker=" + document["page_info"]["next_marker"]
    assert seen == [*names, "ca"]
    fe.next_marker = "always"
    assert "next_marker" in client.elb("GET", "certificates").json["page_info"]
    for query in ("limit=2001", "limit=x", "marker=x"):
        assert client.elb("GET", "certificates?" + query).error == (400, "ELB.8902")


def test_certificate__is_changed_in_place(fe, client):
    shop = fe.upload("shop", *SHOP, domain="shop.example.org")
    sni = fe.upload("sni", *OTHER, domain="other.example.net")
    fe.listener("web", ["shop", "sni"])
    fresh = pair(EC2, "shop.example.org")
    path = f"certificates/{shop.id}"
    for change, code in (
        ({"type": "client"}, "ELB.8902"), ({"certificate": fresh[0]}, "ELB.5013"),
        ({"private_key": fresh[1]}, "ELB.5013"), ({"more": 1}, "ELB.8902"),
    ):  # fmt: skip
        reply = client.elb("PUT", path, {"certificate": change})
        assert reply.error == (400, code)
    reply = client.elb("PUT", f"certificates/{sni.id}", {"certificate": {"domain": ""}})
    assert reply.error == (400, "ELB.8902") and "SNI" in reply.words
    assert served(fe, "web", "shop.example.org") == leaf_of(SHOP)
    body = {"certificate": {"certificate": fresh[0], "private_key": fresh[1]}}
    assert client.elb("PUT", path, body).status == 200
    assert served(fe, "web", "shop.example.org") == leaf_of(fresh)
    again = ISSUER.leaf(EC2, "shop.example.org") + ISSUER.intermediate  # the same key
    assert client.old("PUT", path, {"certificate": again}).status == 200
    assert served(fe, "web", "shop.example.org") == leaf_of((again,))


# ---- listeners ----


def test_listener__the_new_certificate_is_served_at_once(fe, client):
    fe.upload("old", *OTHER)
    web = fe.listener("web", ["old"])
    shop = fe.upload("shop", *SHOP)
    assert served(fe, "web", "shop.example.org") == leaf_of(OTHER)
    body = {"listener": {"default_tls_container_ref": shop.id}}
    reply = client.elb("PUT", f"listeners/{web.id}", body)
    assert reply.status == 200
    assert reply.json["listener"]["default_tls_container_ref"] == shop.id
    assert served(fe, "web", "shop.example.org") == leaf_of(SHOP)
    found = client.elb("GET", f"listeners?default_tls_container_ref={shop.id}").json["listeners"]
    assert [one["id"] for one in found] == [web.id]
    balancer = client.elb("GET", f"loadbalancers/{found[0]['loadbalancers'][0]['id']}").json
    balancer = balancer["loadbalancer"]
    assert balancer["listeners"] == [{"id": web.id}]
    assert balancer["vip_address"] == fe.address("web").split(":")[0]
    host, _, port = fe.address("web").rpartition(":")
    link = http.client.HTTPSConnection(host, int(port), timeout=5, context=context())
    link.request("GET", "/", headers={"Host": "shop.example.org"})
    assert link.getresponse().read() == b"backend\n"
    link.close()
    assert fe.plane.requests == [("web", "GET", "shop.example.org", "/", 200)]


def test_listener__rules(fe, client):
    shop = fe.upload("shop", *SHOP, domain="shop.example.org,*.example.org")
    same = fe.upload("same", *SHOP, domain="shop.example.org")
    both_kinds = fe.upload("rsa", *SHOP_RSA, domain="shop.example.org")
    nameless, ca = fe.upload("nameless", *OTHER), fe.upload("ca", ISSUER.intermediate)
    elsewhere = fe.upload("else", *SHOP, project=fe.add_project("test").id)
    web, plain = fe.listener("web", ["shop"]), fe.listener("plain", protocol="HTTP", port=80)
    default, sni = "default_tls_container_ref", "sni_container_refs"
    many = [shop.id] + [
        fe.upload(f"m{n}", *SHOP, domain=f"m{n}.example.net").id for n in range(30)
    ]
    for listener, change, code in (
        (web, {default: None}, "ELB.9899"), (web, {default: ""}, "ELB.9899"),
        (web, {default: "0" * 32}, "ELB.5040"), (web, {default: elsewhere.id}, "ELB.5040"),
        (web, {default: web.id}, "ELB.5040"), (web, {default: 1}, "ELB.8902"),
        (web, {default: ca.id}, "ELB.8902"), (web, {sni: [nameless.id]}, "ELB.8902"),
        (web, {sni: [shop.id, same.id]}, "ELB.8902"), (web, {sni: [shop.id, both_kinds.id]}, None),
        (web, {sni: ["0"]}, "ELB.5040"), (web, {sni: shop.id}, "ELB.8902"),
        (web, {sni: many}, "ELB.8902"), (web, {sni: many[:30]}, None), (web, {sni: []}, None),
        (web, {"sni_match_algo": "wildcard"}, None), (web, {"sni_match_algo": "x"}, "ELB.8902"),
        (web, {"client_ca_tls_container_ref": ca.id}, None),
        (web, {"client_ca_tls_container_ref": shop.id}, "ELB.8902"),
        (web, {"protocol": "HTTP"}, "ELB.8902"), (web, {"name": "new"}, None),
        (plain, {default: shop.id}, "ELB.8902"), (plain, {sni: [shop.id]}, "ELB.8902"),
        (plain, {"description": "d"}, None),
    ):  # fmt: skip
        reply = client.elb("PUT", f"listeners/{listener.id}", {"listener": change})
        assert (reply.status == 200) if code is None else (reply.error == (400, code)), change
    fe.no_cert_status = 404
    reply = client.elb("PUT", f"listeners/{web.id}", {"listener": {default: "0"}})
    assert reply.error == (404, "ELB.5040")
    assert client.elb("PUT", f"listeners/{web.id}", {default: shop.id}).error == (400, "ELB.8902")
    assert client.elb("PUT", "listeners/0", {"listener": {}}).error == (404, "ELB.8904")


def test_listener__chooses_by_name(fe, client):
    wild = pair(EC2, "*.example.org")
    fe.upload("default", *OTHER)
    fe.upload("exact", *SHOP, domain="shop.example.org")
    fe.upload("rsa", *SHOP_RSA, domain="shop.example.org")
    fe.upload("wild", *wild, domain="*.example.org")
    web = fe.listener("web", ["default", "exact", "rsa", "wild"], sni_match_algo="wildcard")
    for name, key, given in (
        ("shop.example.org", "ecdsa", SHOP), ("shop.example.org", "rsa", SHOP_RSA),
        ("SHOP.example.org", "ecdsa", SHOP), ("www.example.org", None, wild),
        ("a.b.example.org", None, OTHER), ("example.org", None, OTHER), (None, None, OTHER),
    ):  # fmt: skip
        assert served(fe, "web", name, key) == leaf_of(given), name
    body = {"listener": {"sni_match_algo": "longest_suffix"}}
    assert client.elb("PUT", f"listeners/{web.id}", body).status == 200
    assert served(fe, "web", "a.b.example.org") == leaf_of(wild)


def test_listener__that_is_off_takes_no_connections(fe, client):
    fe.upload("shop", *SHOP)
    web = fe.listener("web", ["shop"])
    body = {"listener": {"admin_state_up": False}}
    assert client.elb("PUT", f"listeners/{web.id}", body).status == 200
    with pytest.raises(OSError):
        served(fe, "web", "shop.example.org")


def test_listener__of_old_and_new_dialect(fe, client):
    fe.upload("shop", *SHOP)
    fe.listener("new", ["shop"])
    old = fe.listener("old", ["shop"], dedicated=False)
    other = fe.upload("other", *OTHER)

    def names(call, kind):
        """What is listed."""
        return [one["name"] for one in call("GET", kind).json[kind]]

    assert names(client.elb, "listeners") == ["new", "old"]
    assert names(client.old, "listeners") == ["old"]
    assert names(client.old, "loadbalancers") == ["old-lb"]
    path = f"listeners/{old.id}"
    for call in (client.elb, client.old):
        assert call("GET", path).json["listener"]["protocol"] == "TERMINATED_HTTPS"
    assert client.old("GET", f"listeners/{fe.find('listener', 'new')['id']}").status == 404
    reply = client.old("PUT", path, {"listener": {"default_tls_container_ref": other.id}})
    assert reply.status == 200 and served(fe, "old", "x") == leaf_of(OTHER)
    reply = client.old("PUT", path, {"listener": {"default_tls_container_ref": None}})
    assert reply.error == (400, "ListenerProtocolTERMINATEDHTTPSNeedCertID")
    reply = client.old("PUT", path, {"listener": {"sni_match_algo": "wildcard"}})
    assert reply.error == (400, "BadRequest")


def test_listener__waits_for_its_load_balancer(fe, client):
    fe.busy_s = 0.1
    shop = fe.upload("shop", *SHOP)
    web = fe.listener("web", ["shop"])
    path, body = f"listeners/{web.id}", {"listener": {"description": "x"}}
    assert client.elb("PUT", path, body).status == 200
    assert client.elb("PUT", path, body).error == (409, "ELB.8907")
    renamed = {"certificate": {"name": "x"}}
    assert client.elb("PUT", f"certificates/{shop.id}", renamed).error == (409, "ELB.8907")
    assert fe.find("loadbalancer", "web-lb")["provisioning_status"] == "PENDING_UPDATE"
    wait_until(
        lambda: fe.find("loadbalancer", "web-lb")["provisioning_status"] == "ACTIVE", "ACTIVE"
    )
    assert client.elb("PUT", path, body).status == 200
    fe.make_busy("web-lb", 60)
    assert client.elb("PUT", path, body).status == 409


def test_listener__a_change_may_take_a_while_to_be_seen(fe, client):
    fe.upload("old", *OTHER)
    web, shop = fe.listener("web", ["old"]), fe.upload("shop", *SHOP)
    fe.push_delay = 0.15
    body = {"listener": {"default_tls_container_ref": shop.id}}
    assert client.elb("PUT", f"listeners/{web.id}", body).status == 200
    assert served(fe, "web", "x") == leaf_of(OTHER)
    wait_until(lambda: served(fe, "web", "x") == leaf_of(SHOP), "the new certificate")


# ---- trouble, and the log ----


def test_fault__refusals(fe, client, zone):
    base = f"zones/{zone.id}/recordsets"
    fe.faults.add(kind="recordset", method="POST", code="DNS.0014", headers={"Retry-After": "1"})
    reply = client.dns("POST", base, txt("a"))
    assert reply.error == (403, "DNS.0014") and reply.headers["Retry-After"] == "1"
    fe.faults.add(service="elb", status=503, number=2)
    assert client.elb("GET", "certificates").status == 200
    reply = client.elb("GET", "certificates")
    assert reply.status == 503 and reply.text.startswith("<html>")
    fe.faults.add(service="elb", code="ELB.8906", words="so what", times=2)
    assert client.old("GET", "certificates").json["NeutronError"]["message"] == "so what"
    assert client.elb("GET", "certificates").error == (500, "ELB.8906")
    fe.faults.add(kind="token", code="IAM.0012")
    assert client.login().status == 429
    with pytest.raises(ValueError):
        fe.faults.add(code="DNS.9999")
    assert fe.resolver(OWNER) == []


def test_fault__cut_before_and_after(fe, client, zone):
    base = f"zones/{zone.id}/recordsets"
    for wire, count in (("lost-request", 0), ("lost-reply", 1)):
        fault = fe.faults.add(kind="recordset", writes=True, wire=wire)
        with pytest.raises((OSError, http.client.HTTPException)):
            client.dns("POST", base, txt("a"))
        assert fault.struck == 1
        assert len(client.dns("GET", base + "?type=TXT").json["recordsets"]) == count
    fe.faults.add(number=2, wire="lost-request", times=None)
    assert client.dns("GET", "zones").status == 200
    for _ in range(3):
        with pytest.raises((OSError, http.client.HTTPException)):
            client.dns("GET", "zones")
    fe.faults.clear()
    assert client.dns("GET", "zones").status == 200


def test_fault__between_things(fe, client, zone):
    path = make(client, zone, txt("a"))
    fe.faults.add(kind="recordset", method="PUT", session=True)
    assert client.dns("PUT", path, txt("b")).status == 401
    client.headers["X-Auth-Token"] = client.login().headers["X-Subject-Token"]
    fe.faults.add(
        kind="recordset", zone=zone.id, method="PUT", name=OWNER,
        do=lambda: fe.put("example.org", OWNER, "TXT", '"by somebody"'),
    )  # fmt: skip
    assert client.dns("PUT", path, txt("b")).error == (404, "DNS.0313")
    fe.faults.add(kind="zone", delay=0.05)
    began = time.monotonic()
    assert client.dns("GET", "zones").status == 200 and time.monotonic() - began >= 0.05


def test_log__has_no_secrets(fe, zone):
    key = fe.key(temporary_s=60)
    client, signer = FeClient(fe), FeClient(fe, key=key)
    client.dns("POST", f"zones/{zone.id}/recordsets", txt("a"))
    client.elb("POST", "certificates", {"certificate": cert()})
    client.old("POST", "certificates", cert("old"))
    signer.elb("GET", "certificates")
    text = repr(fe.log) + "".join(map(str, fe.log))
    token = client.headers["X-Auth-Token"]
    for secret in (fe.password, token, key.secret, key.token, "PRIVATE KEY"):
        assert secret not in text
    assert [one.kind for one in fe.log] == [
        "token", "recordset", "certificate", "certificate", "certificate",
    ]  # fmt: skip
    assert [one.name for one in fe.log] == [fe.user, OWNER, "shop", "old", None]
    assert fe.log[1].body["records"] == ['"a"'] and fe.log[1].auth == "token 1"
    assert [str(one) for one in fe.writes()][1].endswith("/elb/certificates -> 201")
    assert len(fe.requests(service="elb", user=fe.user)) == 3
    fe.clear()
    assert not fe.log
    for one in (client, signer):
        one.close()


def test_fe__knows_its_options(tmp_path):
    with pytest.raises(TypeError):
        Fe(str(tmp_path), dns_delay=1)


def test_fe__refuses_what_a_client_could_not_upload(fe):
    with pytest.raises(FeError):
        fe.upload("bad", SHOP[0], OTHER[1])


def test_https__by_host_name_on_one_port(tmp_path):
    with Fe(str(tmp_path), TestCA(str(tmp_path)), pending_s=0) as fe:
        client = FeClient(fe)
        fe.zone("example.org")
        headers = {**client.headers, "Host": "dns.eu-west-0.localhost"}
        reply = client.raw(fe.iam_url, "GET", "/v2/zones?name=example", b"", headers)
        assert reply.status == 200 and reply.json["zones"][0]["name"] == "example.org."
        client.close()


def test_program__takes_commands(tmp_path):
    argv = [
        sys.executable, "-B", os.path.join(TESTS, "sim", "fe.py"), "--folder", str(tmp_path),
        "--http", "--zone", "example.org", "--listener", "web=shop.example.org",
        "--options", '{"pending_s": 0}',
    ]  # fmt: skip
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def say(**command):
            """One command, and what comes back."""
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        ready = json.loads(process.stdout.readline())
        assert say(do="put", zone="example.org", name=OWNER, type="TXT", values=['"a"']) == {
            "done": None
        }
        assert fe_ask.ask(ready["name_servers"][1], OWNER).values() == ["a"]
        assert say(do="find", kind="listener", name="web")["done"]["id"] == (
            ready["listeners"]["web"]["id"]
        )
        assert say(do="set", name="pending_s", value=1) == {"done": None}
        assert len(say(do="key")["done"]["access"]) == 20
        assert "KeyError" in say(do="nothing")["error"]
        assert say(do="requests") == {"done": []}
        process.stdin.close()
        assert process.wait(10) == 0
