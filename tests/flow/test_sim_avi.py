"""The simulated Avi controller keeps the rules that a client of a real one meets."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from real.pki import TestCA
from real.proc import wait_until
from real.tls import context
from sim import ca_pki
from sim.avi import LEAST_RIGHTS, Avi, AviError
from sim.avi_client import AviClient
from sim.avi_issuer import Issuer
from sim.avi_rules import EVH, L4_POLICY, SNI
from sim.avi_session import CSRF_FAILED, REFERER_FAILED
from sim.nitro_certs import plain_pem

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHALLENGE = "/.well-known/acme-challenge/"
EC, RSA = ca_pki.new_key(), ca_pki.new_key("rsa")


@pytest.fixture(name="avi")
def _avi(tmp_path):
    with Avi(str(tmp_path)) as up:
        yield up


@pytest.fixture(name="client")
def _client(avi):
    client = AviClient(avi)
    yield client
    client.close()


@pytest.fixture(scope="module", name="https")
def _https(tmp_path_factory):
    """A controller that speaks TLS; shared, as its certificate takes a while."""
    folder = str(tmp_path_factory.mktemp("https"))
    with Avi(folder, TestCA(folder)) as up:
        yield up


ISSUER = Issuer()


def _cert(avi, name):
    return avi.store.named("sslkeyandcertificate", name, "admin")


def policy(name="p", token="tok", answer="tok.thumb", **match):
    """A policy set as a client makes one for a challenge."""
    path = {"match_criteria": "EQUALS", "match_case": "SENSITIVE", "match_str": [CHALLENGE + token]}
    return {
        "name": name, "is_internal_policy": False,
        "http_security_policy": {"rules": [{
            "name": "rule", "index": 1, "enable": True, "match": {"path": path, **match},
            "action": {
                "action": "HTTP_SECURITY_ACTION_SEND_RESPONSE",
                "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_200",
                "file": {"content_type": "text/plain", "file_content": answer},
            },
        }]},
    }  # fmt: skip


def bind(policy_ref, index=1000001):
    """A PATCH that attaches a policy set."""
    return {"http_policies": [{"http_policy_set_ref": policy_ref, "index": index}]}


def attach(client, vs, body=None, index=1000001, **more):
    """Make a policy set and attach it; returns its path."""
    made = client.post("httppolicyset", body or policy()).json
    path = f"/api/httppolicyset/{made['uuid']}"
    reply = client.patch(f"virtualservice/{vs.uuid}", {"add": {**bind(path, index), **more}})
    assert reply.status == 200, reply.text
    return path


def ask(avi, vs, host, path=CHALLENGE + "tok", port=80, tls=False):
    """(status, body, Location) of a GET; OSError where nobody listens."""
    place, _, number = avi.address(vs, port).rpartition(":")
    if tls:
        raw = socket.create_connection((place, int(number)), timeout=5)
        link = http.client.HTTPConnection(place)
        link.sock = context().wrap_socket(raw, server_hostname=host)
    else:
        link = http.client.HTTPConnection(place, int(number), timeout=5)
    try:
        link.request("GET", path, headers={"Host": host})
        reply = link.getresponse()
        return reply.status, reply.read().decode(), reply.getheader("Location")
    finally:
        link.close()


def closed(avi, vs, port):
    """Does nobody listen there?"""
    try:
        ask(avi, vs, "www.example.org", port=port)
    except (ConnectionError, http.client.RemoteDisconnected):
        return True
    return False


def tls_names(avi, vs, name, key=None):
    """The DNS names of the certificate that is served for a name."""
    place, _, number = avi.address(vs, 443).rpartition(":")
    with socket.create_connection((place, int(number)), timeout=5) as raw:
        with context(key).wrap_socket(raw, server_hostname=name) as link:
            cert = x509.load_der_x509_certificate(link.getpeercert(binary_form=True))
    extension = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


# ---- who asks ----


def test_login__tells_what_a_client_needs(avi):
    client = AviClient(avi)
    reply = client.login_reply
    assert reply.status == 200
    told = reply.json
    assert told["version"]["Version"] == "30.2.2" and told["version"]["min_version"] == "16.4.2"
    assert told["session_cookie_name"] == "avi-sessionid"
    assert [one["name"] for one in told["tenants"]] == ["admin"]
    assert set(client.cookies) == {"csrftoken", "avi-sessionid", "sessionid"}
    assert client.cookies["avi-sessionid"] == client.cookies["sessionid"]


def test_login__takes_a_form_and_a_token(avi):
    avi.token("admin", "t0ken")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, status in (
        ("username=admin&password=admin", 200), ("username=admin&password=wrong", 401),
        ("username=admin&token=t0ken", 200), ("username=admin&token=t1ken", 401),
        ("username=nobody&password=admin", 401), ("password=admin", 400),
        ("username=admin&password=admin&remember=1", 400),
    ):  # fmt: skip
        reply = AviClient(avi, user=None).raw("POST", "/login", body.encode(), form)
        assert reply.status == status, body
        if status == 401:
            assert reply.json == {"error": "Invalid credentials"}
    head = {"Content-Type": "application/json"}
    for body in (b"[1]", b"{", b""):
        assert AviClient(avi, user=None).raw("POST", "/login", body, head).status == 400


def test_login__with_cookies_of_before_needs_their_token(client):
    assert client.login("admin", "admin").error == (401, CSRF_FAILED)


def test_login__is_locked_after_too_many_wrong_passwords(avi):
    avi.lock_after = 2
    for _ in range(2):
        assert AviClient(avi, password="x").login_reply.status == 401
    assert "locked" in AviClient(avi).login_reply.error[1]


@pytest.mark.parametrize(
    "method, path", [("POST", "pool"), ("PUT", "pool/x"), ("PATCH", "pool/x"), ("DELETE", "pool/x")]
)
def test_csrf__is_needed_by_writes_and_refused_in_plain_text(client, method, path):
    reply = client.call(method, path, {"name": "p"}, X_CSRFToken="wrong")
    assert (reply.status, reply.text) == (401, CSRF_FAILED)
    assert reply.headers["Content-Type"] == "application/json"
    assert client.call(method, path, {"name": "p"}, X_CSRFToken=None).text == CSRF_FAILED
    assert client.get("pool", X_CSRFToken=None).status == 200


def test_csrf__a_fresh_token_takes_the_place_of_the_old_one(avi, client):
    avi.rotate_csrf = True
    client.get("pool")
    old = client.cookies["csrftoken"]
    assert client.post("pool", {"name": "p"}).status == 201
    assert client.cookies["csrftoken"] != old
    assert client.post("pool", {"name": "q"}, X_CSRFToken=old).status == 401


def test_referer__must_be_the_controller_over_https(https):
    client = AviClient(https)
    for referer, status in (
        (None, 403), ("https://elsewhere.example.org", 403), ("http://127.0.0.1", 403),
        (https.url, 201), (https.url + "/", 409),
    ):  # fmt: skip
        reply = client.post("pool", {"name": "p"}, Referer=referer)
        assert reply.status == status, referer
        if status == 403:
            assert reply.text == REFERER_FAILED
    assert client.get("pool", Referer=None).status == 200
    assert "Secure" in client.login_reply.headers["Set-Cookie"]
    client.close()


@pytest.mark.parametrize("status", [401, 419])
def test_session__ends(avi, client, status):
    avi.expired_status = status
    avi.expire_sessions()
    assert client.get("pool").status == status
    client.cookies = {}
    assert client.get("pool").status == 401
    client.login("admin", "admin")
    assert client.get("pool").status == 200
    avi.clock_shift = 14 * 60
    assert client.get("pool").status == 200  # which counts as use
    avi.clock_shift = 28 * 60
    assert client.get("pool").status == 200
    avi.clock_shift = 44 * 60
    assert client.get("pool").status == status


def test_session__logout_ends_it(avi, client):
    token = client.cookies["csrftoken"]
    head = {**client.headers, "X-CSRFToken": token}
    assert client.raw("POST", "/logout", b"", head).status == 200
    assert client.get("pool").status == 401 and not avi.sessions.open


def test_basic__only_when_it_is_switched_on(avi):
    client = AviClient(avi, user=None)
    basic = {"Authorization": "Basic YWRtaW46YWRtaW4="}
    assert client.call("POST", "pool", {"name": "p"}, **basic).status == 401
    on = {"portal_configuration": {"allow_basic_authentication": True}}
    avi.admin_call("PATCH", "systemconfiguration", body={"replace": on})
    reply = client.call("POST", "pool", {"name": "p"}, **basic)
    assert reply.status == 201 and "Set-Cookie" not in reply.headers
    assert client.get("pool", Authorization="Basic YWRtaW46eA==").status == 401


# ---- version and tenant ----


def test_version__must_be_one_the_controller_has(avi, client):
    avi.min_version = "21.1.1"
    for version, error in (
        ("30.2.3", "Invalid version 30.2.3"), ("20.1.1", "Invalid version 20.1.1"),
        ("new", "Invalid version new"), ("30.2.2", None), ("21.1.1", None), (None, None),
    ):  # fmt: skip
        reply = client.get("pool", X_Avi_Version=version)
        if error:
            assert reply.status == 400 and reply.json["error"].startswith(error)
        else:
            assert reply.status == 200
            assert reply.headers["AVI_API_VERSION"] == (version or "21.1.1").replace(".", "_")


def test_version__newer_fields_are_refused_and_not_told(avi, client):
    body = {"name": "s", "action_script": "pass", "timeout": 5}
    reply = client.post("alertscriptconfig", body, X_Avi_Version="22.1.5")
    assert reply.error == (400, (
        "Incoming request (v22_1_5) has field (timeout) introduced in later versions(v22_1_6)."
    ))  # fmt: skip
    uuid = client.post("alertscriptconfig", body).json["uuid"]
    old = client.get(f"alertscriptconfig/{uuid}", X_Avi_Version="22.1.5").json
    assert "timeout" not in old and client.get(f"alertscriptconfig/{uuid}").json["timeout"] == 5
    client.put(f"alertscriptconfig/{uuid}", {**old, "action_script": "1"}, X_Avi_Version="22.1.5")
    assert avi.find("alertscriptconfig", "s") == {"name": "s", "action_script": "1", "timeout": 5}


def test_version__is_told_without_a_login(avi):
    reply = AviClient(avi, user=None).get("initial-data")
    assert reply.json["version"]["Version"] == "30.2.2"


def test_tenant__objects_of_another_one_are_invisible(avi, client):
    blue = avi.tenant("blue")
    avi.virtualservice("shop", tenant="blue")
    uuid = avi.store.named("virtualservice", "shop", blue.uuid).uuid
    assert client.get("virtualservice?name=shop").json == {"count": 0, "results": []}
    assert client.get(f"virtualservice/{uuid}").status == 404
    assert client.get("virtualservice?name=shop", X_Avi_Tenant="blue").json["count"] == 1
    by_uuid = {"X_Avi_Tenant": None, "X_Avi_Tenant_UUID": blue.uuid}
    assert client.get("virtualservice?name=shop", **by_uuid).json["count"] == 1
    assert client.get("virtualservice", X_Avi_Tenant="*").json["count"] == 1
    assert client.post("pool", {"name": "p"}, X_Avi_Tenant="*").status == 400
    assert client.get("pool", X_Avi_Tenant_UUID=blue.uuid).status == 400  # both
    assert client.get("pool", X_Avi_Tenant="red").status == 404
    # What the system brings along is seen from everywhere.
    assert client.get("applicationprofile?name=System-HTTP", X_Avi_Tenant="blue").json["count"] == 1
    made = client.post("pool", {"name": "p"}, X_Avi_Tenant="blue").json
    assert made["tenant_ref"].endswith("#blue")


def test_tenant__without_a_header_that_of_the_account_counts(avi):
    avi.tenant("blue")
    avi.account("bob", "secret", LEAST_RIGHTS, ["blue"])
    bob = AviClient(avi, "bob", "secret", tenant=None)
    assert [one["name"] for one in bob.login_reply.json["tenants"]] == ["blue"]
    assert bob.post("httppolicyset", policy()).status == 201
    assert avi.find("httppolicyset", "p", "blue") and not avi.find("httppolicyset", "p")
    assert bob.get("httppolicyset", X_Avi_Tenant="admin").status == 403


# ---- rights ----


@pytest.mark.parametrize("gone", sorted(LEAST_RIGHTS))
def test_rights__each_of_the_least_ones_is_needed(avi, gone):
    avi.virtualservice("shop", ["shop.example.org"])
    avi.upload("cert", *ISSUER.pair(EC, "shop.example.org"))
    uuid = avi.store.named("virtualservice", "shop", "admin").uuid
    cert = avi.store.named("sslkeyandcertificate", "cert", "admin")
    ready = avi.admin_call("POST", "httppolicyset", body=policy("ready"))
    calls = {
        "PERMISSION_VIRTUALSERVICE": [
            ("GET", "virtualservice", None), ("GET", "vsvip?search=(fqdn,shop)", None),
            ("PATCH", f"virtualservice/{uuid}", {"add": bind(ready.ref)}),
        ],
        "PERMISSION_HTTPPOLICYSET": [
            ("POST", "httppolicyset", policy()),
            ("PATCH", f"virtualservice/{uuid}", {"add": bind(ready.ref)}),
        ],
        "PERMISSION_SSLKEYANDCERTIFICATE": [
            ("GET", "sslkeyandcertificate", None),
            ("PATCH", f"virtualservice/{uuid}", {
                "replace": {"ssl_key_and_certificate_refs": [cert.ref]}
            }),
        ],
        "PERMISSION_APPLICATIONPROFILE": [("GET", "applicationprofile", None)],
        "PERMISSION_CERTIFICATEMANAGEMENTPROFILE": [("GET", "certificatemanagementprofile", None)],
    }[gone]  # fmt: skip
    rights = {**LEAST_RIGHTS}
    avi.account("full", "secret", rights)
    avi.account("less", "secret", {**rights, gone: "NO_ACCESS"})
    full, less = AviClient(avi, "full", "secret"), AviClient(avi, "less", "secret")
    for call in calls:
        reply = less.call(*call)
        assert reply.status == 403 and gone in reply.json["error"]
        assert full.call(*call).status < 300


def test_rights__reading_is_not_writing(avi):
    avi.virtualservice("shop")
    avi.account("reader", "secret", {"PERMISSION_VIRTUALSERVICE": "READ_ACCESS"})
    reader = AviClient(avi, "reader", "secret")
    uuid = reader.get("virtualservice").json["results"][0]["uuid"]
    assert reader.patch(f"virtualservice/{uuid}", {"replace": {"enabled": False}}).status == 403
    assert reader.delete(f"virtualservice/{uuid}").status == 403
    assert reader.post("role", {"name": "r"}).status == 403
    assert avi.find("virtualservice", "shop")["enabled"]


def test_rights__a_role_made_over_the_api_counts(client):
    privileges = [{"resource": "PERMISSION_POOL", "type": "WRITE_ACCESS"}]
    admin = "/api/tenant/?name=admin"
    body = {"name": "pools", "privileges": privileges, "tenant_ref": admin}
    assert client.post("role", body).status == 201
    body = {
        "name": "bob", "username": "bob", "password": "pw", "default_tenant_ref": admin,
        "access": [{"role_ref": "/api/role/?name=pools", "tenant_ref": admin}],
    }  # fmt: skip
    made = client.post("user", body)
    assert made.status == 201 and "password" not in made.json
    bob = AviClient(client.avi, "bob", "pw")
    assert bob.post("pool", {"name": "p"}).status == 201 and bob.get("vsvip").status == 403


# ---- objects ----


def test_create__answers_with_the_whole_object(avi, client):
    reply = client.post("httppolicyset", policy())
    made = reply.json
    assert reply.status == 201
    assert reply.headers["Location"] == f"{avi.url}/api/httppolicyset/{made['uuid']}#p"
    assert made["url"] == reply.headers["Location"] and made["tenant_ref"].endswith("/admin#admin")
    assert made["uuid"].startswith("httppolicyset-") and made["_last_modified"].isdecimal()
    assert made["http_security_policy"]["rules"][0]["log"] is False  # a default
    file = made["http_security_policy"]["rules"][0]["action"]["file"]
    assert file["file_length"] == len("tok.thumb")
    got = client.get(f"httppolicyset/{made['uuid']}").json
    assert got["url"] == f"{avi.url}/api/httppolicyset/{made['uuid']}"  # no name after a GET
    assert client.get(f"httppolicyset/{made['uuid']}/?include_name").json["url"].endswith("#p")
    gone = client.delete(f"httppolicyset/{made['uuid']}")
    assert (gone.status, gone.text) == (204, "")
    assert client.get(f"httppolicyset/{made['uuid']}").status == 404
    assert client.delete(f"httppolicyset/{made['uuid']}").status == 404


def test_create__a_name_is_taken_once_in_a_tenant(avi, client):
    avi.tenant("blue")
    assert client.post("httppolicyset", policy()).status == 201
    reply = client.post("httppolicyset", policy())
    assert reply.error == (409, "HTTPPolicySet with this Name and Tenant ref already exists.")
    assert client.post("httppolicyset", policy(), X_Avi_Tenant="blue").status == 201


def _with(path, value):
    """A policy set with something changed deep inside; value None takes it out."""
    body = policy()
    at = body
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return body


RULE = ("http_security_policy", "rules", 0)


@pytest.mark.parametrize(
    "path, value, words",
    [
        (("name",), None, "name: this field is required"),
        (("name",), "n" * 257, "name: longer than 256"),
        (("name",), " ", "blank"),
        (("surprise",), 1, "Unknown field in request: surprise"),
        (RULE + ("surprise",), 1, "Unknown field in request: http_security_policy.rules.surprise"),
        (RULE + ("index",), None, "index: this field is required"),
        (RULE + ("enable",), None, "enable: this field is required"),
        (RULE + ("index",), "1", "int is expected"),
        (RULE + ("enable",), 1, "bool is expected"),
        (RULE + ("match",), [], "an object is expected"),
        (("http_security_policy", "rules"), {}, "a list is expected"),
        (RULE + ("match", "path", "match_criteria"), "SAME", "invalid value SAME"),
        (RULE + ("match", "path", "match_str"), None, "nothing to compare with"),
        (RULE + ("action", "status_code"), "HTTP_LOCAL_RESPONSE_STATUS_CODE_202", "invalid value"),
        (RULE + ("action", "status_code"), None, "needs a status_code"),
        (RULE + ("action", "file", "content_type"), None, "content_type: this field is required"),
        (RULE + ("action", "file", "file_content"), "x" * 65537, "longer than 65536"),
        (("http_security_policy", "rules"), [policy()["http_security_policy"]["rules"][0]] * 2,
         "duplicate rule index"),
    ],
)  # fmt: skip
def test_create__bad_values_are_refused(avi, client, path, value, words):
    reply = client.post("httppolicyset", _with(path, value))
    assert reply.status == 400 and words in reply.json["error"]
    assert not avi.objects("httppolicyset")


def test_create__unknown_fields_may_be_ignored(avi, client):
    avi.unknown_fields = "ignore"
    assert "surprise" not in client.post("pool", {"name": "p", "surprise": 1}).json


def test_create__body_must_be_json_of_a_sensible_size(avi, client):
    token = {"X-CSRFToken": client.cookies["csrftoken"]}
    head = {**client.headers, **token, "Content-Type": "application/json"}
    assert client.raw("POST", "/api/pool", b"{", head).status == 400
    assert client.raw("POST", "/api/pool", b"[]", head).status == 400
    assert client.raw("POST", "/api/pool", b"{}", {**head, "Content-Type": "text/x"}).status == 415
    avi.body_max = 100
    assert client.post("pool", {"name": "p" * 100}).status == 413


def test_create__refs_in_every_way_of_writing(avi, client):
    vip = avi.admin_call("POST", "vsvip", body={"name": "v", "vip": [{"vip_id": "0"}]})
    url = avi.url + vip.ref
    for number, ref in enumerate(
        (vip.ref, url, url + "#v", "/api/vsvip?name=v", "/api/vsvip/?name=v")
    ):
        body = {"name": f"vs{number}", "vsvip_ref": ref, "services": [{"port": 80 + number}],
                "application_profile_name": "System-Secure-HTTP"}  # fmt: skip
        made = client.post("virtualservice", body)
        assert made.status == 201, made.text
        assert made.json["vsvip_ref"] == f"{avi.url}{vip.ref}#v"
        assert made.json["application_profile_ref"].endswith("#System-HTTP")  # the name is no help
    for ref in (
        1, "v", vip.uuid, "/api/vsvip?name=w", f"/api/vsvip/{vip.uuid}?name=v",
        "/api/pool?name=v", "/api/vsvip/vsvip-1", "/api/vsvip",
    ):  # fmt: skip
        body = {"name": "bad", "vsvip_ref": ref, "services": [{"port": 90}]}
        assert client.post("virtualservice", body).status == 400, ref


def test_method__names_are_case_sensitive(client):
    uuid = client.post("pool", {"name": "p"}).json["uuid"]
    assert client.call("patch", f"pool/{uuid}", {"replace": {"name": "q"}}).status == 400
    assert client.call("PURGE", f"pool/{uuid}").status == 405
    assert client.get("nonsense").status == 404 and client.raw("GET", "/nonsense").status == 404
    assert client.post(f"pool/{uuid}", {}).status == 405


# ---- lists ----


def test_list__filters(avi, client):
    avi.virtualservice("a", ["a.example.org"])
    avi.virtualservice("aa", ["aa.example.org"])
    vip = avi.store.named("vsvip", "a-vip", "admin")
    avi.upload("cert", *ISSUER.pair(EC, "p"))
    avi.parent("p", https=[443], certs=["cert"])
    child = avi.child("c", "p", ["c.example.org"])
    cert = avi.store.named("sslkeyandcertificate", "cert", "admin")
    parent = avi.store.named("virtualservice", "p", "admin")
    for query, names in (
        ("vsvip/?search=(fqdn,a.example.org)", ["a-vip", "aa-vip"]),  # a part is enough
        ("vsvip/?search=(fqdn,A.example.org)", []),
        ("vsvip?isearch=(fqdn,AA.example.org)", ["aa-vip"]),
        (f"virtualservice/?vsvip_ref={vip.uuid}", ["a"]),
        ("virtualservice/?vh_domain_name.contains=c.example", ["c"]),
        ("virtualservice?name=a", ["a"]),
        ("virtualservice?name.contains=a", ["a", "aa"]),
        ("virtualservice?name.icontains=AA", ["aa"]),
        (f"virtualservice?uuid={child.uuid}", ["c"]),
        (f"virtualservice?uuid.in={child.uuid},{parent.uuid}", ["p", "c"]),
        (f"virtualservice?refers_to=sslkeyandcertificate:{cert.uuid}", ["p"]),
        (f"sslkeyandcertificate?referred_by=virtualservice:{parent.uuid}", ["cert"]),
        ("virtualservice?type=VS_TYPE_VH_CHILD", ["c"]),
        ("virtualservice?cloud_ref.name=Default-Cloud&sort=-name", ["p", "c", "aa", "a"]),
        ("virtualservice?services.port=80&sort=name", ["a", "aa", "p"]),
        ("virtualservice?enabled=false", []),
    ):  # fmt: skip
        reply = client.get(query)
        assert reply.status == 200 and reply.results == names, query
    for query in (
        "virtualservice?nonsense=1", "vsvip?search=fqdn", "vsvip?refers_to=x", "vsvip?page=0",
        "vsvip?page=x",
    ):  # fmt: skip
        assert client.get(query).status == 400, query
    avi.unknown_params = "ignore"
    assert client.get("virtualservice?nonsense=1").json["count"] == 4
    avi.order = "reversed"
    assert client.get("vsvip?search=(fqdn,a.example.org)").results == ["aa-vip", "a-vip"]


def test_list__pages(client):
    for number in range(30):
        client.post("pool", {"name": f"p{number:02}"})
    first = client.get("pool?sort=name").json
    assert first["count"] == 30 and len(first["results"]) == 25 and "page=2" in first["next"]
    following = first["next"].partition(client.avi.url + "/api/")[2]
    second = client.get(following).json
    assert [one["name"] for one in second["results"]] == [f"p{n}" for n in range(25, 30)]
    assert "next" not in second
    assert len(client.get("pool?page_size=10&page=3").json["results"]) == 10
    assert client.get("pool?page=3").status == 404
    assert client.get("pool?page_size=201").status == 400


def test_list__only_some_fields(avi, client):
    avi.virtualservice("shop")
    one = client.get("virtualservice?fields=enabled").json["results"][0]
    assert set(one) == {"url", "uuid", "tenant_ref", "_last_modified", "name", "enabled"}
    full = client.get("virtualservice").json["results"][0]
    short = client.get("virtualservice?skip_default=true").json["results"][0]
    assert "enabled" in full and "enabled" not in short and "services" in short


VIP, CERT = "/api/vsvip?name=taken-vip", "/api/sslkeyandcertificate?name="


@pytest.mark.parametrize(
    "kind, body, words",
    [
        ("virtualservice", {"vsvip_ref": VIP, "services": [{"port": 80}]}, "in use by"),
        ("virtualservice", {"vsvip_ref": VIP}, "services: this field is required"),
        ("virtualservice", {"services": [{"port": 81}]}, "vsvip_ref: this field is required"),
        ("virtualservice", {
            "vsvip_ref": VIP, "services": [{"port": 81}],
            "ssl_key_and_certificate_refs": [CERT + "portal"],
        }, "not of the type for virtual services"),
        ("virtualservice", {
            "vsvip_ref": VIP, "services": [{"port": 81}], "type": "VS_TYPE_VH_PARENT",
            "vh_type": EVH, "ssl_key_and_certificate_refs": [CERT + "old", CERT + "old"],
        }, "duplicate reference"),
        ("vsvip", {}, "vip: one at least"),
        ("vsvip", {"vip": [{"vip_id": "0"}, {"vip_id": "0"}]}, "vip: one at least"),
        ("sslkeyandcertificate", {
            "certificate": {"subject": {"common_name": "x"}, "self_signed": True},
            "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        }, "self_signed"),
        ("sslkeyandcertificate", {
            "certificate": {"subject": {"common_name": "x", "country": "Nowhere"}},
            "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        }, "Invalid subject"),
        ("sslkeyandcertificate", {
            "certificate": {"subject": {}}, "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        }, "certificate.certificate: this field is required"),
        ("sslkeyandcertificate", {
            "certificate": {"certificate": "no base64!"}, "certificate_base64": True,
        }, "Invalid base64"),
        ("alertscriptconfig", {"action_script": "pass", "timeout": 0}, "timeout"),
        ("alertscriptconfig", {"action_script": "x" * ((1 << 20) + 1)}, "longer than"),
        ("user", {"username": "admin", "password": "x"}, "Username already exists"),
        ("user", {"username": "bob"}, "password: this field is required"),
    ],
)  # fmt: skip
def test_objects__what_is_refused(avi, client, kind, body, words):
    avi.virtualservice("taken")
    avi.upload("old", *ISSUER.pair(EC, "old.example.org"))
    avi.upload("portal", *ISSUER.pair(EC, "portal.example.org"), kind="SYSTEM")
    before = avi.counts()
    reply = client.post(kind, {"name": "new", **body})
    assert reply.status in (400, 409) and words in reply.json["error"]
    assert avi.counts() == before


def test_objects__a_certificate_keeps_its_type_and_its_contents(avi, client):
    avi.upload("old", *ISSUER.pair(EC, "old.example.org"))
    read = client.get("sslkeyandcertificate?name=old").json["results"][0]
    url = f"sslkeyandcertificate/{read['uuid']}"
    for change in (
        {"type": "SSL_CERTIFICATE_TYPE_SYSTEM"}, {"certificate": {"self_signed": False}},
    ):  # fmt: skip
        assert client.put(url, {**read, **change}).status == 400
    assert avi.find("sslkeyandcertificate", "old")["status"] == "SSL_CERTIFICATE_FINISHED"


# ---- changes ----


def test_put__of_what_was_changed_meanwhile_is_refused(avi, client):
    avi.virtualservice("shop")
    read = client.get("virtualservice?name=shop").json["results"][0]
    avi.change("virtualservice", "shop", description="by somebody else")
    reply = client.put(f"virtualservice/{read['uuid']}", {**read, "enabled": False})
    assert reply.status == 412 and "Concurrent Update" in reply.json["error"]
    again = client.get(f"virtualservice/{read['uuid']}").json
    reply = client.put(f"virtualservice/{read['uuid']}", {**again, "enabled": False})
    assert reply.status == 200 and reply.json["description"] == "by somebody else"
    assert int(reply.json["_last_modified"]) > int(again["_last_modified"])
    avi.stale_status, avi.put_needs_last_modified = 409, True
    assert client.put(f"virtualservice/{read['uuid']}", again).status == 409
    del again["_last_modified"]
    assert client.put(f"virtualservice/{read['uuid']}", again).status == 409


def test_put__takes_the_whole_object(avi, client):
    avi.virtualservice("shop", description="old")
    read = client.get("virtualservice?name=shop").json["results"][0]
    del read["description"]
    assert "description" not in client.put(f"virtualservice/{read['uuid']}", read).json
    read = client.get(f"virtualservice/{read['uuid']}").json
    del read["services"]
    assert client.put(f"virtualservice/{read['uuid']}", read).status == 400
    assert client.put(f"virtualservice/{read['uuid']}", {**read, "uuid": "x"}).status == 400


def test_patch__lists_and_scalars(avi, client):
    uuid = avi.virtualservice("shop", http=[80, 8080]).uuid
    url = f"virtualservice/{uuid}"
    temporary = {"port": 81, "enable_ssl": False, "enable_http2": False, "port_range_end": 81}
    for body, ports in (
        ({"add": {"services": [temporary]}}, [80, 8080, 81]),
        ({"delete": {"services": [temporary]}}, [80, 8080]),
        ({"delete": {"services": [{"port": 8080}]}}, [80]),  # what is not said is as by default
        ({"replace": {"services": [{"port": 90}]}}, [90]),
        ({"add": {"services": [{"port": 91}], "description": "x"}}, [90, 91]),
        ({"delete": {"services": [{"port": 91, "enable_ssl": True}]}}, [90, 91]),  # not the same
    ):  # fmt: skip
        reply = client.patch(url, body)
        assert reply.status == 200, reply.text
        assert [one["port"] for one in reply.json["services"]] == ports, body
    assert reply.json["description"] == "x"
    assert "description" not in client.patch(url, {"delete": {"description": "x"}}).json
    client.patch(url, {"replace": {"enabled": False}})
    assert client.patch(url, {"delete": {"enabled": False}}).json["enabled"] is True
    avi.delete_unmatched = "refuse"
    assert client.patch(url, {"delete": {"services": [temporary]}}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {}, {"merge": {"enabled": False}}, {"add": []}, {"add": {}}, {"add": {"surprise": 1}},
        {"delete": {"name": "shop"}}, {"replace": {"services": []}}, {"replace": {"uuid": "x"}},
        {"add": {"services": [{"port": 80}]}}, {"add": {"services": [{"port": 0}]}},
        {"add": {"services": [{"port": 79, "port_range_end": 81}]}},
        {"add": {"services": [{"port": 443, "enable_ssl": True}]}},  # and no certificate
        {"replace": {"type": "VS_TYPE_VH_PARENT"}},
    ],
)  # fmt: skip
def test_patch__nonsense_is_refused(avi, client, body):
    before = avi.virtualservice("shop")
    assert client.patch(f"virtualservice/{before.uuid}", body).status == 400
    assert avi.store.objects[before.uuid] == before


def test_delete__of_what_is_referred_to_is_refused(avi, client):
    path = attach(client, avi.virtualservice("shop"))
    uuid = path.rpartition("/")[2]
    reply = client.delete(f"httppolicyset/{uuid}")
    words = "Cannot delete, object is referred by: ['VirtualService shop']"
    assert reply.error == (403, words)
    avi.in_use_status = 412
    assert client.delete(f"httppolicyset/{uuid}").error == (412, words)
    vs = client.get("virtualservice?name=shop").json["results"][0]
    assert client.patch(f"virtualservice/{vs['uuid']}", {"delete": bind(path)}).status == 200
    assert client.delete(f"httppolicyset/{uuid}").status == 204
    assert "http_policies" not in client.get(f"virtualservice/{vs['uuid']}").json
    assert client.delete("tenant/admin").status == 412


# ---- policies in the data plane ----


def test_challenge__is_answered_at_once_and_no_more_after(avi, client):
    vs = avi.virtualservice("shop", ["shop.example.org"])
    assert ask(avi, "shop", "shop.example.org")[:2] == (200, "backend\n")
    path = attach(client, vs)
    assert ask(avi, "shop", "shop.example.org")[:2] == (200, "tok.thumb")
    assert ask(avi, "shop", "shop.example.org", CHALLENGE + "tok2")[1] == "backend\n"
    client.patch(f"virtualservice/{vs.uuid}", {"delete": bind(path)})
    assert ask(avi, "shop", "shop.example.org")[1] == "backend\n"
    assert avi.plane.requests[1] == ("shop", "GET", "shop.example.org", CHALLENGE + "tok", 200)


@pytest.mark.parametrize(
    "match, answered",
    [
        ({"host_hdr": {"match_criteria": "HDR_EQUALS", "value": ["shop.example.org"]}}, True),
        ({"host_hdr": {"match_criteria": "HDR_EQUALS", "value": ["SHOP.example.org"]}}, True),
        ({"host_hdr": {"match_criteria": "HDR_EQUALS", "match_case": "SENSITIVE",
                       "value": ["SHOP.example.org"]}}, False),
        ({"host_hdr": {"match_criteria": "HDR_DOES_NOT_EQUAL", "value": ["x"]}}, True),
        ({"vs_port": {"match_criteria": "IS_IN", "ports": [80]}}, True),
        ({"vs_port": {"match_criteria": "IS_NOT_IN", "ports": [80]}}, False),
        ({"protocol": {"match_criteria": "IS_IN", "protocols": "HTTPS"}}, False),
        ({"method": {"match_criteria": "IS_IN", "methods": ["HTTP_METHOD_GET"]}}, True),
    ],
)  # fmt: skip
def test_challenge__all_parts_of_a_match_must_fit(avi, client, match, answered):
    attach(client, avi.virtualservice("shop"), policy(**match))
    assert (ask(avi, "shop", "shop.example.org")[1] == "tok.thumb") == answered


@pytest.mark.parametrize(
    "criteria, value, answered",
    [
        ("EQUALS", CHALLENGE + "tok", True), ("EQUALS", "tok", False),
        ("CONTAINS", ".well-known/acme-challenge/tok", True), ("BEGINS_WITH", "/.well", True),
        ("ENDS_WITH", "tok", True), ("REGEX_MATCH", "^/.*k$", True),
        ("DOES_NOT_CONTAIN", "tok", False), ("EQUALS", CHALLENGE + "TOK", False),
    ],
)  # fmt: skip
def test_challenge__paths_are_compared_as_they_say(avi, client, criteria, value, answered):
    path = {"match_criteria": criteria, "match_case": "SENSITIVE", "match_str": [value]}
    attach(client, avi.virtualservice("shop"), policy(path=path))
    assert (ask(avi, "shop", "shop.example.org")[1] == "tok.thumb") == answered


def test_port80__is_there_only_while_it_is_a_service(avi, client):
    avi.upload("cert", *ISSUER.pair(EC, "shop.example.org"))
    vs = avi.virtualservice("shop", http=[], https=[443], certs=["cert"])
    assert closed(avi, "shop", 80)
    path = attach(client, vs, services=[{"port": 80, "enable_ssl": False}])
    assert ask(avi, "shop", "shop.example.org")[1] == "tok.thumb"
    assert ask(avi, "shop", "shop.example.org", port=443, tls=True)[1] == "tok.thumb"
    avi.change("virtualservice", "shop", enabled=False)
    assert closed(avi, "shop", 80) and closed(avi, "shop", 443)
    avi.change("virtualservice", "shop", enabled=True)
    away = {"delete": {**bind(path), "services": [{"port": 80, "enable_ssl": False}]}}
    assert client.patch(f"virtualservice/{vs.uuid}", away).status == 200
    assert closed(avi, "shop", 80)
    assert ask(avi, "shop", "shop.example.org", port=443, tls=True)[1] == "backend\n"


def test_redirect__of_the_profile_or_of_a_policy(avi, client):
    avi.upload("cert", *ISSUER.pair(EC, "shop.example.org"))
    vs = avi.virtualservice("shop", https=[443], certs=["cert"], profile="System-Secure-HTTP")
    attach(client, vs)
    status, _, location = ask(avi, "shop", "shop.example.org")
    assert (status, location) == (302, f"https://shop.example.org{CHALLENGE}tok")
    assert ask(avi, "shop", "shop.example.org", port=443, tls=True)[1] == "tok.thumb"
    avi.profile_redirect_first = False
    assert ask(avi, "shop", "shop.example.org")[1] == "tok.thumb"
    assert ask(avi, "shop", "shop.example.org", "/x")[2] == "https://shop.example.org/x"
    rule = {"name": "r", "index": 1, "enable": True, "redirect_action": {"protocol": "HTTPS"}}
    other = avi.virtualservice("other")
    body = {"name": "redirect", "http_request_policy": {"rules": [rule]}}
    attach(client, other, body)
    assert ask(avi, "other", "o.example.org", "/x?y")[2] == "https://o.example.org/x?y"
    made = client.post("httppolicyset", policy("q")).json
    change = {"add": bind(f"/api/httppolicyset/{made['uuid']}", 2)}
    client.patch(f"virtualservice/{other.uuid}", change)
    assert ask(avi, "other", "o.example.org")[1] == "tok.thumb"  # security comes first


def test_policies__of_lower_index_come_first_and_an_index_is_taken_once(avi, client):
    vs = avi.virtualservice("shop")
    attach(client, vs, policy("late", answer="late"))
    early = client.post("httppolicyset", policy("early", answer="early")).json["uuid"]
    url, ref = f"virtualservice/{vs.uuid}", f"/api/httppolicyset/{early}"
    assert client.patch(url, {"add": bind(ref)}).status == 400
    assert client.patch(url, {"add": bind(ref, 5)}).status == 200
    assert ask(avi, "shop", "x.example.org")[1] == "early"
    assert client.patch(url, {"add": bind(ref, 6)}).status == 400


def test_l4__refuses_policies(avi, client):
    vs = avi.virtualservice("l4", profile="System-L4-Application")
    made = client.post("httppolicyset", policy()).json
    reply = client.patch(
        f"virtualservice/{vs.uuid}", {"add": bind(f"/api/httppolicyset/{made['uuid']}")}
    )
    assert reply.error == (400, L4_POLICY) and ask(avi, "l4", "x")[1] == "backend\n"


def test_push__takes_its_time(avi, client):
    vs = avi.virtualservice("shop")
    avi.push_delay = 0.6
    begin = time.monotonic()
    attach(client, vs)
    assert ask(avi, "shop", "x.example.org")[1] == "backend\n"
    while ask(avi, "shop", "x.example.org")[1] != "tok.thumb":
        assert time.monotonic() < begin + 10
    assert time.monotonic() >= begin + 0.6


def test_push__of_a_second_change_takes_as_long(avi, client):
    vs = avi.virtualservice("shop")
    avi.push_delay = 0.15
    attach(client, vs)
    due = time.monotonic() + 0.15
    early = client.post("httppolicyset", policy("early", answer="early")).json["uuid"]
    while time.monotonic() < due:  # nobody looks at the first one before the second is made
        client.get("cloud")
    begin = time.monotonic()
    client.patch(f"virtualservice/{vs.uuid}", {"add": bind(f"/api/httppolicyset/{early}", 5)})
    while ask(avi, "shop", "x.example.org")[1] != "early":
        assert time.monotonic() < begin + 5
    assert time.monotonic() >= begin + 0.15
    assert ask(avi, "shop", "x.example.org")[1] == "early"


# ---- certificates ----


def test_certificate__is_described_and_the_key_is_not_told(client):
    cert, key = ISSUER.pair(EC, "shop.example.org", "www.example.org")
    body = {"name": "c", "key": key, "key_passphrase": "", "certificate": {"certificate": cert}}
    made = client.post("sslkeyandcertificate", body).json
    told, parsed = made["certificate"], x509.load_pem_x509_certificate(cert.encode())
    assert made["status"] == "SSL_CERTIFICATE_FINISHED" and "key" not in made
    assert told["serial_number"] == str(parsed.serial_number)
    assert told["subject"]["common_name"] == "shop.example.org"
    assert told["issuer"]["distinguished_name"] == "CN=Intermediate"
    assert told["subject_alt_names"] == ["shop.example.org", "www.example.org"]
    assert told["fingerprint"].startswith("SHA1 Fingerprint=") and told["days_until_expire"] == 89
    assert time.strptime(told["not_after"], "%Y-%m-%d %H:%M:%S") and told["self_signed"] is False
    assert made["key_params"]["ec_params"] == {"curve": "SSL_KEY_EC_CURVE_SECP256R1"}
    assert "PRIVATE KEY" not in client.get(f"sslkeyandcertificate/{made['uuid']}").text
    assert "PRIVATE KEY" not in json.dumps([vars(one) for one in client.avi.log])


def _encrypted(key, password):
    how = serialization.BestAvailableEncryption(password)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
    ).decode()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"key": plain_pem(RSA).decode()}, "does not belong"),
        ({"key": "nonsense"}, "Invalid key"),
        ({"key": None}, "key: this field is required"),
        ({"key": _encrypted(EC, b"right"), "key_passphrase": "wrong"}, "Invalid key"),
        ({"key": _encrypted(EC, b"right")}, "Invalid key"),
        ({"certificate": {"certificate": "nonsense"}}, "no PEM data"),
        ({"certificate": {"certificate": ISSUER.intermediate.replace("MII", "AII", 1)}},
         "cannot be decoded"),
        ({"certificate": {}}, "certificate.certificate"),
        ({"certificate": None}, "certificate: this field is required"),
        ({"type": "SSL_CERTIFICATE_TYPE_CA"}, "Not a CA"),
    ],
)  # fmt: skip
def test_certificate__what_does_not_fit_is_refused(client, change, words):
    cert, key = ISSUER.pair(EC, "shop.example.org")
    body = {"name": "c", "key": key, "certificate": {"certificate": cert}, **change}
    reply = client.post("sslkeyandcertificate", body)
    assert reply.status == 400 and words in reply.json["error"]
    right = {**body, "key": _encrypted(EC, b"right"), "key_passphrase": "right",
             "certificate": {"certificate": cert}, "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE"}
    assert client.post("sslkeyandcertificate", right).status == 201


def test_certificate__is_updated_in_place_and_served_at_once(avi, client):
    avi.upload("cert", *ISSUER.pair(EC, "one.example.org"))
    avi.virtualservice("shop", https=[443], certs=["cert"])
    assert tls_names(avi, "shop", "x") == ["one.example.org"]
    read = client.get("sslkeyandcertificate?name=cert").json["results"][0]
    cert, key = ISSUER.pair(ca_pki.new_key(), "two.example.org")
    url = f"sslkeyandcertificate/{read['uuid']}"
    whole = {**read, "certificate": {**read["certificate"], "certificate": cert}}
    assert client.put(url, whole).status == 400  # with the old key
    changed = client.put(url, {**whole, "key": key})
    assert changed.status == 200 and changed.json["uuid"] == read["uuid"]
    assert tls_names(avi, "shop", "x") == ["two.example.org"]
    assert client.put(url, {**whole, "key": key}).status == 412
    assert client.put(url, client.get(url).json).status == 200  # the key stays
    cert, key = ISSUER.pair(ca_pki.new_key(), "three.example.org")
    change = {"replace": {"key": key, "certificate": {"certificate": cert}}}
    assert client.patch(url, change).status == 200
    assert tls_names(avi, "shop", "x") == ["three.example.org"]


def test_certificate__rsa_and_ecdsa_side_by_side(avi, client):
    for name, key in (("ec", EC), ("rsa", RSA), ("ec2", EC)):
        avi.upload(name, *ISSUER.pair(key, f"{name}.example.org"))
    vs = avi.virtualservice("shop", https=[443], certs=["ec", "rsa"])
    assert tls_names(avi, "shop", "x", "ecdsa") == ["ec.example.org"]
    assert tls_names(avi, "shop", "x", "rsa") == ["rsa.example.org"]
    ref = _cert(avi, "ec2").ref
    reply = client.patch(
        f"virtualservice/{vs.uuid}", {"add": {"ssl_key_and_certificate_refs": [ref]}}
    )
    assert reply.status == 400 and avi.bound("shop") == ["ec", "rsa"]
    assert client.delete(ref[5:]).status == 204
    assert client.delete(_cert(avi, "ec").ref[5:]).status == 403


def test_chain__is_linked_by_issuer_and_each_authority_is_kept_once(avi, client):
    cert, key = ISSUER.pair(EC, "shop.example.org")
    avi.upload("alone", cert, key)
    assert "ca_certs" not in avi.find("sslkeyandcertificate", "alone")
    avi.upload("above", ISSUER.intermediate)
    assert avi.find("sslkeyandcertificate", "alone")["ca_certs"][0]["name"] == "above"
    # The controller takes the first of equal ones, whatever a client says.
    twin = avi.upload("twin", ISSUER.intermediate)
    body = {"name": "c", "key": key, "certificate": {"certificate": cert}}
    body["ca_certs"] = [{"ca_ref": twin.ref}]
    made = client.post("sslkeyandcertificate", body).json
    assert made["ca_certs"][0]["ca_ref"].endswith("#above")
    assert made["certificate"]["chain_verified"] is True
    # A bundle becomes objects of their own, but only those that are not there yet.
    bundle = cert + ISSUER.intermediate + ISSUER.root
    body = {"name": "d", "key": key, "certificate": {"certificate": bundle}}
    client.post("sslkeyandcertificate", body)
    names = ["Root", "above", "alone", "c", "d", "twin"]
    assert sorted(avi.objects("sslkeyandcertificate")) == names
    assert avi.find("sslkeyandcertificate", "d")["certificate"]["certificate"] == cert
    other = Issuer()
    client.post("sslkeyandcertificate", {
        "name": "e", "key": key, "certificate": {
            "certificate": other.leaf(EC, "e.example.org") + other.intermediate
        },
    })  # fmt: skip
    assert "Intermediate" in avi.objects("sslkeyandcertificate")
    assert client.delete(_cert(avi, "above").ref[5:]).status == 403


def test_chain__is_sent_without_the_root(avi):
    cert, key = ISSUER.pair(EC, "shop.example.org")
    for name, text in (("root", ISSUER.root), ("above", ISSUER.intermediate)):
        avi.upload(name, text)
    avi.upload("c", cert, key)
    avi.virtualservice("shop", https=[443], certs=["c"])
    place = avi.address("shop", 443)
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", place, "-showcerts"], stdin=subprocess.DEVNULL,
        capture_output=True, check=False, timeout=10,
    ).stdout  # fmt: skip
    assert shown.count(b"BEGIN CERTIFICATE") == 2


# ---- parents and children ----


def test_sni__children_have_certificates_of_their_own(avi, client):
    for name in ("p", "c", "w"):
        avi.upload(name, *ISSUER.pair(EC, f"{name}.example.org"))
    vs = avi.parent("parent", https=[443], certs=["p"])
    avi.child("child", "parent", ["c.example.org"], ["c"])
    avi.child("wild", "parent", ["*.w.example.org"], ["w"])
    for asked, got in (("c.example.org", "c"), ("a.w.example.org", "w"), ("x.example.org", "p")):
        assert tls_names(avi, "parent", asked) == [f"{got}.example.org"]
    path = attach(client, vs)
    # Without TLS there is no SNI: the parent answers.
    assert ask(avi, "child", "c.example.org")[1] == "tok.thumb"
    assert ask(avi, "child", "c.example.org", port=443, tls=True)[1] == "backend\n"
    client.patch(f"virtualservice/{vs.uuid}", {"delete": bind(path)})
    avi.change("virtualservice", "child", enabled=False)
    assert tls_names(avi, "parent", "c.example.org") == ["p.example.org"]
    assert "referred by: ['VirtualService child'" in client.delete(f"virtualservice/{vs.uuid}").text


def test_evh__children_are_told_by_host_and_have_no_certificates(avi, client):
    for name in ("a", "b"):
        avi.upload(name, *ISSUER.pair(EC, f"{name}.example.org"))
    vs = avi.parent("parent", EVH, https=[443], certs=["a", "b"])  # many of a kind
    child = avi.child("child", "parent", ["a.example.org"])
    assert tls_names(avi, "parent", "b.example.org") == ["b.example.org"]
    assert tls_names(avi, "parent", "x.example.org") == ["a.example.org"]
    attach(client, vs, policy("of-parent", answer="parent"))
    assert ask(avi, "parent", "x.example.org")[1] == "parent"
    assert ask(avi, "parent", "a.example.org")[1] == "backend\n"
    avi.evh_parent_policies = "all"
    assert ask(avi, "parent", "a.example.org")[1] == "parent"
    avi.evh_parent_policies = "unmatched"
    attach(client, child, policy("of-child", answer="child"))
    assert ask(avi, "parent", "a.example.org")[1] == "child"
    ref = avi.store.named("sslkeyandcertificate", "a", "admin").ref
    reply = client.patch(
        f"virtualservice/{child.uuid}", {"add": {"ssl_key_and_certificate_refs": [ref]}}
    )
    assert reply.status == 400 and "cannot have SSL" in reply.json["error"]
    assert avi.hosts()["a.example.org"] == avi.address("parent", 80)


@pytest.mark.parametrize("kind, more", [
    (SNI, {"vh_domain_name": []}), (SNI, {"vh_domain_name": ["taken.example.org"]}),
    (SNI, {"vh_parent_vs_ref": None}), (SNI, {"services": [{"port": 80}]}),
    (SNI, {"vh_parent_vs_ref": "/api/virtualservice?name=plain"}), (EVH, {}),
])  # fmt: skip
def test_child__must_fit_its_parent(avi, kind, more):
    avi.virtualservice("plain")
    avi.parent("parent", kind)
    if kind == SNI:
        avi.child("first", "parent", ["taken.example.org"])
    body = {
        "name": "c", "type": "VS_TYPE_VH_CHILD", "vh_domain_name": ["c.example.org"],
        "vh_parent_vs_ref": "/api/virtualservice?name=parent", **more,
    }  # fmt: skip
    with pytest.raises(AviError) as refusal:
        avi.admin_call("POST", "virtualservice", body=body)
    assert refusal.value.status == 400


def test_vips__have_addresses_of_their_own_and_the_same_ports(avi):
    avi.virtualservice("c", host="127.0.0.1")  # the first one may have any address
    assert avi.address("c", 80) == f"127.0.0.1:{avi.plane.number(80)}"
    for name in ("a", "b"):
        avi.virtualservice(name, [f"{name}.example.org"])
    one, other = avi.address("a", 80), avi.address("b", 80)
    assert one != other and one.split(":")[1] == other.split(":")[1] == str(avi.plane.number(80))
    assert avi.hosts() == {"a.example.org": one, "b.example.org": other}
    told = avi.find("vsvip", "a-vip")["vip"][0]["ip_address"]["addr"]
    assert told == one.partition(":")[0]


def test_portal__takes_a_certificate_up_when_its_reference_changes(https):
    client = AviClient(https)
    first = {
        name: https.upload(name, *ISSUER.pair(EC, "localhost"), kind="SYSTEM") for name in "ab"
    }

    def use(name):
        config = {"sslkeyandcertificate_refs": [first[name].ref]}
        reply = client.patch("systemconfiguration", {"replace": {"portal_configuration": config}})
        assert reply.status == 200, reply.text

    def served_serial():
        with socket.create_connection(("127.0.0.1", https.port), timeout=5) as raw:
            with context().wrap_socket(raw, server_hostname="localhost") as link:
                return x509.load_der_x509_certificate(link.getpeercert(True)).serial_number

    def serial(name):
        return int(https.find("sslkeyandcertificate", name)["certificate"]["serial_number"])

    use("a")
    assert served_serial() == serial("a")
    cert, key = ISSUER.pair(EC, "localhost")
    change = {"replace": {"key": key, "certificate": {"certificate": cert}}}
    client.patch(first["a"].ref[5:], change)
    assert served_serial() != serial("a")  # not by an update in place
    use("b")
    use("a")
    assert served_serial() == serial("a")
    refs = [one.ref for one in first.values()]
    config = {"portal_configuration": {"sslkeyandcertificate_refs": refs}}
    assert client.patch("systemconfiguration", {"replace": config}).status == 400  # both are EC
    other = https.upload("for-vs", *ISSUER.pair(EC, "localhost"))
    config["portal_configuration"]["sslkeyandcertificate_refs"] = [other.ref]
    assert client.patch("systemconfiguration", {"replace": config}).status == 400
    client.close()


# ---- certificates by script ----

# A CA as a script: it signs what it is asked for with the key that its parameters name.
SCRIPT = """
import json, os, sys
sys.path.insert(0, os.environ["TESTS"])
from cryptography import x509
from sim.avi_issuer import Issuer

def certificate_request(csr, common_name, args):
    print("asked for", common_name)
    with open(os.path.join(os.environ["TMPDIR"], "args"), "w") as file:
        json.dump([common_name, args, os.environ["DOCKER_GATEWAY"]], file)
    issuer = Issuer(**json.loads(os.environ["ISSUER"]))
    request = x509.load_pem_x509_csr(csr.encode())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = names.get_values_for_type(x509.DNSName)
    return issuer.leaf(request.public_key(), *names, days=int(args["days"])) + issuer.intermediate
"""
BROKEN = "def certificate_request(csr, common_name, args):\n    "


@pytest.fixture(name="scripted")
def _scripted(avi):
    """A controller whose scripts may use what the tests have, ISSUER too."""
    avi.script_env = {"TESTS": TESTS, "ISSUER": json.dumps(ISSUER.kept)}
    return avi


def test_script__gets_what_the_controller_gives_and_its_chain_is_installed(scripted):
    scripted.profile(
        "ca", SCRIPT, {"days": "90", "password": "s3cret"}, ["password"], ["contact", "unset"]
    )
    names = ["c.example.org", "d.example.org"]
    scripted.certificate("c", "ca", "c.example.org", names, contact="me")
    stored = scripted.find("sslkeyandcertificate", "c")
    assert stored["status"] == "SSL_CERTIFICATE_FINISHED"
    assert stored["certificate"]["subject_alt_names"] == names
    assert stored["ca_certs"][0]["name"] == "Intermediate"
    with open(os.path.join(scripted.scripts.tmp, "args"), encoding="utf-8") as file:
        common_name, args, gateway = json.load(file)
    assert (common_name, gateway) == ("c.example.org", scripted.url)
    assert args == {"days": "90", "password": "s3cret", "contact": "me", "unset": ""}
    run = scripted.script_runs[0]
    assert run.ok and run.stdout == "asked for c.example.org\n" and run.stderr == ""
    assert run.args["password"] == "..." and len(os.listdir(scripted.scripts.folder)) < 4
    scripted.virtualservice("shop", https=[443], certs=["c"])
    assert "d.example.org" in tls_names(scripted, "shop", "d.example.org")
    scripted.scripts.restart_container()
    assert not os.listdir(scripted.scripts.tmp)


def test_script__renewal_has_a_new_key_and_is_due_a_week_before(scripted):
    scripted.profile("ca", SCRIPT, {"days": "90"})
    scripted.certificate("c", "ca", "c.example.org", ["c.example.org"])
    scripted.virtualservice("shop", https=[443], certs=["c"])
    first = scripted.find("sslkeyandcertificate", "c")["certificate"]
    assert scripted.tick(82) == [] and scripted.tick(1) == [("c", None)]
    second = scripted.find("sslkeyandcertificate", "c")["certificate"]
    keys = [
        x509.load_pem_x509_csr(one["certificate_signing_request"].encode()).public_key()
        for one in (first, second)
    ]
    assert keys[0].public_numbers() != keys[1].public_numbers()
    assert tls_names(scripted, "shop", "x") == ["c.example.org"]
    client = AviClient(scripted)
    uuid = client.get("sslkeyandcertificate?name=c").json["results"][0]["uuid"]
    reply = client.post(f"sslkeyandcertificate/{uuid}/renew", {})
    assert reply.status == 200
    third = reply.json["certificate"]["serial_number"]
    assert len({first["serial_number"], second["serial_number"], third}) == 3
    assert len(scripted.script_runs) == 3


@pytest.mark.parametrize(
    "body, words",
    [
        ("raise ValueError('no such luck')", "no such luck"),
        ("import sys; print('on stdout'); sys.stderr.write('on stderr'); sys.exit(3)",
         'status 3. STDOUT - "on stdout\n". STDERR - "on stderr"'),
        ("return None", "returned NoneType"), ("return 'nonsense'", "no PEM data"),
        ("return FOREIGN", "key of the CSR"),
        ("import signal; signal.pause()", "timed out"),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
    ],
)  # fmt: skip
def test_script__failure_is_told_and_nothing_is_kept(scripted, body, words):
    scripted.script_timeout = 3 if "signal.pause" not in body else 0.3
    foreign = repr(ISSUER.leaf(EC, "c.example.org"))
    scripted.profile("ca", BROKEN + body.replace("FOREIGN", foreign))
    with pytest.raises(AviError) as refusal:
        scripted.certificate("c", "ca", "c.example.org", ["c.example.org"])
    assert refusal.value.status == 400 and words in refusal.value.text
    assert refusal.value.text.startswith("Error from certificate management service: ")
    assert not scripted.objects("sslkeyandcertificate")
    assert scripted.script_runs[0].seconds < 3


def test_script__failure_of_a_renewal_leaves_the_old_certificate(scripted):
    scripted.profile("ca", SCRIPT, {"days": "90"})
    scripted.certificate("c", "ca", "c.example.org", ["c.example.org"])
    before = scripted.find("sslkeyandcertificate", "c")
    scripted.change("alertscriptconfig", "ca-script", action_script=BROKEN + "1/0")
    [(name, error)] = scripted.tick(84)
    assert name == "c" and "ZeroDivisionError" in error
    assert scripted.find("sslkeyandcertificate", "c") == before


def test_script__may_run_in_the_background(scripted):
    scripted.script_mode, scripted.script_failure = "background", "keep"
    scripted.profile("ca", SCRIPT, {"days": "90"})
    client = AviClient(scripted)
    made = scripted.certificate("c", "ca", "c.example.org", ["c.example.org"])
    assert made.data["status"] == "SSL_CERTIFICATE_PENDING"

    def finished():
        found = client.get("sslkeyandcertificate?name=c").json["results"][0]
        return found["status"] == "SSL_CERTIFICATE_FINISHED"

    wait_until(finished, "the certificate", 10)


def test_script__calls_the_controller_while_it_is_waited_for(scripted):
    source = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
from types import SimpleNamespace
from sim.avi_client import AviClient

def certificate_request(csr, common_name, args):
    avi = SimpleNamespace(url=os.environ["DOCKER_GATEWAY"])
    client = AviClient(avi, args["user"], args["password"])
    found = client.get("sslkeyandcertificate?name=c").json["results"][0]
    raise ValueError(found["status"])
"""
    params = {"user": "bob", "password": "pw"}
    scripted.account("bob", "pw", LEAST_RIGHTS)
    scripted.profile("ca", source, params, ["password"])
    with pytest.raises(AviError, match="SSL_CERTIFICATE_PENDING"):
        scripted.certificate("c", "ca", "c.example.org", ["c.example.org"])
    assert scripted.requests(user="bob", kind="sslkeyandcertificate")


def test_script__may_be_called_with_a_request_no_controller_makes(scripted):
    wrong = scripted.call_script(SCRIPT, "nonsense", "c.example.org", {"days": "90"})
    assert wrong.error == "script ended with status 1" and "ValueError" in wrong.stderr
    blind = BROKEN + f"return {ISSUER.leaf(EC, 'c.example.org')!r}"
    assert "key of the CSR" in scripted.call_script(blind, "nonsense", "c.example.org", {}).error
    assert wrong.args == {"days": "..."} and len(scripted.script_runs) == 2


def test_csr__may_be_signed_elsewhere(avi, client):
    body = {
        "name": "c", "certificate": {"subject": {"common_name": "c.example.org"}},
        "key_params": {
            "algorithm": "SSL_KEY_ALGORITHM_EC",
            "ec_params": {"curve": "SSL_KEY_EC_CURVE_SECP384R1"},
        },
    }  # fmt: skip
    made = client.post("sslkeyandcertificate", body).json
    assert made["status"] == "SSL_CERTIFICATE_PENDING" and "certificate" not in made["certificate"]
    csr = x509.load_pem_x509_csr(made["certificate"]["certificate_signing_request"].encode())
    assert csr.public_key().curve.name == "secp384r1"
    url = f"sslkeyandcertificate/{made['uuid']}"
    wrong = {**made, "certificate": {"certificate": ISSUER.leaf(EC, "c.example.org")}}
    assert client.put(url, wrong).status == 400
    leaf = ISSUER.leaf(csr.public_key(), "c.example.org")
    signed = {**made, "certificate": {"certificate": leaf}}
    assert client.put(url, signed).json["status"] == "SSL_CERTIFICATE_FINISHED"
    avi.virtualservice("shop", https=[443], certs=["c"])
    assert tls_names(avi, "shop", "x") == ["c.example.org"]


def test_profile__sensitive_values_are_not_told_and_survive(avi, client):
    avi.profile("ca", "pass", {"user": "bob", "password": "s3cret"}, ["password"], ["contact"])
    read = client.get("certificatemanagementprofile?name=ca").json["results"][0]
    values = {one["name"]: one.get("value") for one in read["script_params"]}
    assert values == {"user": "bob", "password": "<sensitive>", "contact": None}
    assert client.put(f"certificatemanagementprofile/{read['uuid']}", read).status == 200
    stored = avi.find("certificatemanagementprofile", "ca")["script_params"]
    assert [one.get("value") for one in stored] == ["bob", "s3cret", None]
    for change in (
        {"name": "not allowed"}, {"script_params": stored + stored}, {"run_script_ref": None},
        {"script_params": [{"name": "x", "is_dynamic": True, "value": "y"}]},
    ):  # fmt: skip
        read = client.get("certificatemanagementprofile?name=ca").json["results"][0]
        reply = client.put(f"certificatemanagementprofile/{read['uuid']}", {**read, **change})
        assert reply.status == 400, change
    with pytest.raises(AviError, match="not dynamic"):
        avi.certificate("c", "ca", "c.example.org", user="eve")


# ---- trouble ----


def test_faults__strike_the_requests_they_are_for(avi, client):
    busy = avi.faults.add(kind="pool", method="POST", number=2, times=2, status=503, words="busy")
    statuses = [client.post("pool", {"name": f"p{n}"}).status for n in range(4)]
    assert statuses == [201, 503, 503, 201] and busy.struck == 2
    assert list(avi.objects("pool")) == ["p0", "p3"]
    avi.faults.add(raw=(502, "<html>Bad Gateway</html>"))
    reply = client.get("pool")
    assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html")
    avi.faults.add(kind="pool", session=True)
    assert client.get("pool").status == 401
    assert client.get("pool").status == 401  # it is gone for good


@pytest.mark.parametrize("wire, done", [
    ("lost-request", False), ("lost-reply", True), ("reset", True), ("truncate", True),
])  # fmt: skip
def test_faults__cut_before_or_after_the_effect(avi, client, wire, done):
    avi.faults.add(writes=True, wire=wire)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.post("pool", {"name": "p"})
    assert bool(avi.find("pool", "p")) == done
    assert client.post("pool", {"name": "p"}).status == (409 if done else 201)


def test_faults__an_object_is_changed_between_read_and_write(avi, client):
    avi.virtualservice("shop")
    avi.faults.add(
        kind="virtualservice", method="PUT", name="shop",
        do=lambda: avi.change("virtualservice", "shop", description="x"),
    )  # fmt: skip
    read = client.get("virtualservice?name=shop").json["results"][0]
    assert client.put(f"virtualservice/{read['uuid']}", read).status == 412
    read = client.get("virtualservice?name=shop").json["results"][0]
    assert client.put(f"virtualservice/{read['uuid']}", read).status == 200


def test_faults__slowness(avi, client):
    avi.faults.add(delay=0.1)
    begin = time.monotonic()
    assert client.get("pool").status == 200 and time.monotonic() >= begin + 0.1


def test_faults__the_controller_restarts_in_the_middle(avi, client):
    avi.faults.add(kind="pool", method="POST", after=avi.restart)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.post("pool", {"name": "p"})
    assert avi.find("pool", "p") and client.get("pool").status == 401


@pytest.mark.parametrize("keep", [False, True])
def test_restart__ends_connections_and_perhaps_sessions(avi, client, keep):
    avi.restart(keep_sessions=keep, unavailable=2)
    with pytest.raises((OSError, http.client.HTTPException)):
        client.get("pool")
    assert [client.get("pool").status for _ in range(3)] == [503, 503, 200 if keep else 401]


def test_log__tells_who_asked_for_what(avi, client):
    avi.tenant("blue")
    client.post("httppolicyset", policy("mine"), X_Avi_Tenant="blue", X_Avi_Version="22.1.1")
    login, asked = avi.log[0], avi.log[-1]
    assert (login.kind, login.user) == ("login", "admin")
    assert login.body == {"username": "admin", "password": "..."}
    assert (asked.method, asked.kind, asked.name) == ("POST", "httppolicyset", "mine")
    assert (asked.user, asked.tenant, asked.version) == ("admin", "blue", "22.1.1")
    assert asked.status == 201
    client.get("pool?nonsense=1")
    assert str(avi.log[-1]) == "GET /api/pool?nonsense=1 -> 400 Unknown query parameter: nonsense"
    assert avi.writes() == [asked] and avi.requests(tenant="blue") == [asked]
    avi.clear()
    assert not avi.log


def test_sim__many_at_once(avi):
    """Forty names on one virtual service, each with a policy set of its own, and all answered."""
    vs = avi.virtualservice("shop")

    def work(number):
        client = AviClient(avi)
        path = attach(client, vs, policy(f"p{number}", f"t{number}", f"a{number}"), number)
        answer = ask(avi, "shop", "x.example.org", f"{CHALLENGE}t{number}")[1]
        client.patch(f"virtualservice/{vs.uuid}", {"delete": bind(path, number)})
        gone = client.delete(path[5:]).status
        client.close()
        return answer, gone

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(1, 41)))
    assert results == [(f"a{number}", 204) for number in range(1, 41)]
    assert not avi.objects("httppolicyset") and len(avi.writes()) == 160


def test_sim__leaves_no_thread_behind(tmp_path):
    before = set(threading.enumerate())
    with Avi(str(tmp_path)) as avi:
        avi.script_timeout = 60
        avi.virtualservice("shop")
        ask(avi, "shop", "x.example.org")
        avi.script_mode = "background"
        avi.profile("ca", BROKEN + "import signal; signal.pause()")
        avi.certificate("c", "ca", "c.example.org")
        client = AviClient(avi)
        assert len(threading.enumerate()) > len(before)
    # Of a test before this one there may have been one that was just ending.
    assert set(threading.enumerate()) <= before and not os.listdir(tmp_path)
    client.close()


def test_sim__unknown_options_are_refused(tmp_path):
    with pytest.raises(TypeError, match="no such options"):
        Avi(str(tmp_path), surprise=1)


def test_sim__is_a_program_too(tmp_path):
    program = os.path.join(TESTS, "sim", "avi.py")
    argv = [sys.executable, "-B", program, "--folder", str(tmp_path), "--http"]
    argv += ["--vs", "shop=a.example.org"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, **pipes) as process:
        ready = json.loads(process.stdout.readline())
        assert list(ready["hosts"]) == ["a.example.org"]

        def do(**command):
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        assert do(do="find", kind="virtualservice", name="shop")["done"]["enabled"] is True
        assert "error" in do(do="nonsense") and "error" in do(do="virtualservice", name="shop")
        assert do(do="address", name="shop", port=80)["done"] == ready["hosts"]["a.example.org"]
        assert do(do="requests") == {"done": []}
        process.stdin.close()
        assert process.wait(10) == 0
