"""The simulated NSX Managers keep the rules that a client of real ones meets."""

import concurrent.futures
import email.utils
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from conftest import BINARY
from real import tls
from real.nsx import NsxLab
from real.pki import TestCA
from real.proc import wait_until
from sim import ca_pki, nsx_certs
from sim.ca_http import FAULTS
from sim.nsx import CSR_RIGHTS, LB_RIGHTS, LEAST_RIGHTS, LEGACY_RIGHTS, Nsx, NsxError
from sim.nsx_certs import NO_MATCH
from sim.nsx_client import CERTS, MP, POLICY, TRUST, NsxClient
from sim.nsx_nodes import NET, NODE_IPS, VIP_IP
from sim.nsx_policy import BINDING, DEFAULT_PATH, SNI_PATHS
from sim.nsx_session import WRONG
from sim.nsx_types import CALLS, version_of

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEALTH, VIP = MP + "reverse-proxy/node/health", MP + "cluster/api-virtual-ip"
APPLY, IMPORT = "?action=apply_certificate&service_type=", CERTS + "?action=import"
SET_CLUSTER = MP + "cluster/api-certificate?action=set_cluster_certificate&certificate_id="
APPLY_NODE = "node/services/http?action=apply_certificate&certificate_id="
VS, POLICY_CERTS = POLICY + "lb-virtual-servers/", POLICY + "certificates/"
EVERY = ["nsx.example.org", VIP_IP, *NODE_IPS]
GONE = (ConnectionError, http.client.RemoteDisconnected)


def _name(text):
    return ca_pki.common_name(text)


def _authority(name, key, issuer, issuer_key):
    der = ca_pki.authority_certificate(
        name, key.public_key(), issuer, issuer_key, time.time() - 7200
    )
    return x509.load_der_x509_certificate(der)


class Material:
    """A root, an intermediate and leaves below it."""

    def __init__(self):
        root_key, self.middle_key, self.key = (ca_pki.new_key() for _ in range(3))
        self.root = _authority("Root", root_key, "Root", root_key)
        self.middle = _authority("Middle", self.middle_key, "Root", root_key)
        self.key_pem = nsx_certs.plain_pem(self.key).decode()

    def leaf(self, *names, key=None, **more):
        """Signed by the intermediate, PEM."""
        return nsx_certs.pem(nsx_certs.certificate(
            _name(names[0]), (key or self.key).public_key(), self.middle_key, names,
            issuer=self.middle.subject, **more,
        ))  # fmt: skip

    def own(self, *names, key=None, **more):
        """Self-signed, PEM."""
        key = key or self.key
        return nsx_certs.pem(
            nsx_certs.certificate(_name(names[0]), key.public_key(), key, names, **more)
        )

    def above(self, *which):
        """Of the chain, PEM."""
        return "".join(nsx_certs.pem(getattr(self, one)) for one in which or ("middle", "root"))

    def chain(self, *names, **more):
        """Leaf, intermediate and root, PEM."""
        return self.leaf(*(names or EVERY), **more) + self.above()


PKI = Material()
GOOD = PKI.chain()
OTHER_KEY = nsx_certs.plain_pem(ca_pki.new_key()).decode()


@pytest.fixture(name="nsx")
def _nsx(tmp_path):
    with Nsx(str(tmp_path), restart_refused=0.0, restart_unavailable=0) as up:
        yield up


@pytest.fixture(name="client")
def _client(nsx):
    """At the first manager, as administrator."""
    found = NsxClient(nsx)
    yield found
    found.close()


@pytest.fixture(scope="module", name="calm")
def _calm(tmp_path_factory):
    """Of those that are only refused."""
    with Nsx(str(tmp_path_factory.mktemp("calm"))) as up:
        up.virtual_server("shop", ["a"])
        yield up


@pytest.fixture(scope="module", name="visitor")
def _visitor(calm):
    """At its first manager, as administrator."""
    found = NsxClient(calm)
    yield found
    found.close()


def imported(client, cert=GOOD, key=PKI.key_pem, **more):
    """The id of a new certificate."""
    reply = client.upload(cert, key, **more)
    assert reply.status in (200, 201), reply.text
    return next(one["id"] for one in reply.results if one["has_private_key"])


def ask(nsx, where=1, path=HEALTH, **who):
    """One request on a connection of its own."""
    client = NsxClient(nsx, where, **who)
    try:
        return client.get(path)
    finally:
        client.close()


# ---- who asks ----


@pytest.mark.parametrize(
    "who, status",
    [
        ({}, 200), ({"password": "wrong"}, 403), ({"user": "nobody"}, 403), ({"user": None}, 403),
        ({"scheme": "basic"}, 200), ({"scheme": "Remote"}, 403), ({"scheme": "Bearer"}, 403),
        ({"user": "bob", "password": "b", "scheme": "Remote"}, 200),
        ({"user": "bob", "password": "b"}, 403), ({"scheme": "session"}, 200),
        ({"user": "bob", "password": "b", "scheme": "session"}, 200),
    ],
)  # fmt: skip
def test_login__by_basic_remote_or_session(nsx, who, status):
    nsx.account("bob", "b", remote=True)
    reply = ask(nsx, **who)
    assert reply.status == status
    if status == 403:
        assert reply.error == (403, 403, WRONG)
        assert reply.json["module_name"] == "common-services"
        assert "WWW-Authenticate" not in reply.headers


def test_login__kinds_can_be_switched_off(nsx):
    nsx.account("bob", "b", remote=True)
    nsx.basic_authentication = nsx.cookie_authentication = False
    assert ask(nsx).status == 403
    assert ask(nsx, user="bob", password="b", scheme="Remote").status == 200
    assert NsxClient(nsx, scheme="session").login_reply.status == 403
    nsx.no_login_status = 401
    assert ask(nsx, user=None).status == 401


def test_lock_out__refuses_the_right_password_too(nsx):
    for _ in range(4):
        assert ask(nsx, password="x").status == 403
    assert ask(nsx).status == 200  # starts the count again
    for where in (1, 2, 3, 1, 2):
        assert ask(nsx, where, password="x").status == 403
    nsx.account("bob", "b")
    assert ask(nsx, 3).status == 403 and ask(nsx, user="bob", password="b").status == 200
    nsx.clock_shift = nsx.lock_seconds + 1
    assert ask(nsx).status == 200


def test_session__is_of_one_manager_and_needs_its_token(nsx):
    client = NsxClient(nsx, scheme="session")
    assert re.fullmatch(
        r"JSESSIONID=\w+; Path=/; Secure; HttpOnly; SameSite=Lax",
        client.login_reply.headers["Set-Cookie"],
    )
    assert client.get(HEALTH).status == 200
    for token in (None, "wrong"):
        assert client.get(HEALTH, X_XSRF_TOKEN=token).status == 403
    for where, status in ((0, 200), (2, 403), (3, 403)):
        client.close()
        client.where = where
        assert client.get(HEALTH).status == status, where
    client.where = 0
    client.close()
    nsx.move_vip(2)
    assert client.get(HEALTH).error == (403, 403, WRONG)
    nsx.session_gone_status = 401
    assert client.get(HEALTH).status == 401
    nsx.move_vip(1)
    client.close()
    assert client.get(HEALTH).status == 200
    assert client.post("/api/session/destroy").status == 200
    assert client.get(HEALTH).status == 401


@pytest.mark.parametrize(
    "body, kind, status",
    [
        ("j_username=admin&j_password=ad%26m%2Bin%25", None, 200),
        ("j_username=admin&j_password=ad&m+in%", None, 403),
        ("j_username=admin", None, 403), ("j_username=admin&j_password=x", None, 403),
        ('{"j_username": "admin"}', "application/json", 415),
    ],
)  # fmt: skip
def test_session__is_made_by_a_form(nsx, client, body, kind, status):
    nsx.account("admin", "ad&m+in%")
    head = {"Content-Type": kind or "application/x-www-form-urlencoded"}
    assert client.raw("POST", "/api/session/create", body.encode(), head).status == status
    assert client.raw("GET", "/api/session/create").status == 405


@pytest.mark.parametrize("how", ["idle", "expired", "restart", "kept"])
def test_session__ends(nsx, how):
    client = NsxClient(nsx, scheme="session")
    nsx.restart_keeps_sessions = how == "kept"
    if how == "idle":
        nsx.clock_shift = nsx.idle_seconds + 1
    elif how == "expired":
        nsx.expire_sessions()
    else:
        nsx.restart_node(1)
        nsx.settle()
        client.close()
    assert client.get(HEALTH).status == (200 if how == "kept" else 403)


RIGHTS = {
    "certificates": LEAST_RIGHTS, "cluster": LEAST_RIGHTS, "api-virtual-ip": LEAST_RIGHTS,
    "csrs": CSR_RIGHTS, "api-certificate": LEGACY_RIGHTS, "http-service": LEGACY_RIGHTS,
    "policy-certificates": LB_RIGHTS, "lb-virtual-servers": LB_RIGHTS,
    "security-global-config": LEAST_RIGHTS,
}  # fmt: skip


@pytest.mark.parametrize("kind", RIGHTS)
def test_rights__are_needed_for_each_call(nsx, kind):
    nsx.version = "3.1" if kind in ("api-certificate", "http-service") else "4.2"
    paths = {
        "certificates": CERTS, "cluster": MP + "cluster", "api-virtual-ip": VIP,
        "csrs": TRUST + "csrs", "api-certificate": MP + "cluster/api-certificate",
        "http-service": MP + "node/services/http", "policy-certificates": POLICY + "certificates",
        "lb-virtual-servers": POLICY + "lb-virtual-servers",
        "security-global-config": POLICY + "security-global-config",
    }  # fmt: skip
    (feature,) = [CALLS["GET " + kind].feature.replace("=security_feature", "security_config")]
    for rights, status in (
        (RIGHTS[kind], 200), ({feature: "read"}, 200), ({**RIGHTS[kind], feature: "none"}, 403),
        ({}, 403), (None, 200),
    ):  # fmt: skip
        nsx.account("bob", "b", rights)
        reply = ask(nsx, 1, paths[kind], user="bob", password="b")
        assert reply.status == status, rights
        assert status == 200 or reply.error[1] == 401


def test_rights__reading_is_not_writing(nsx):
    nsx.account("bob", "b", {"trust_certificates": "read", "cluster_management": "read"})
    client = NsxClient(nsx, user="bob", password="b")
    assert client.upload(GOOD, PKI.key_pem).error[:2] == (403, 401)
    assert client.post(VIP + "?action=clear_virtual_ip").status == 403
    assert not nsx.own_records() and nsx.vip_ip
    nsx.account("bob", "b", LEAST_RIGHTS)
    ident = imported(client)
    assert client.apply(ident, node=2).status == 200
    nsx.apply_feature = "system_administration"
    assert client.apply(ident, node=3).status == 403
    assert client.delete(f"{CERTS}/{ident}").status == 400  # in use, but it may


def test_health__may_be_open_to_all(nsx):
    nsx.health_open = True
    assert ask(nsx, user=None).json["healthy"] is True


# ---- what is sent ----


@pytest.mark.parametrize(
    "more, error",
    [
        ({"scope": "x"}, (400, 287, "property scope is unrecognized")),
        ({"tags": [{"scope": "a", "tag": "b", "x": 1}]}, (400, 287, "property x is unrecognized")),
        ({"tags": {"scope": "a"}}, (400, 286, "tags is of the wrong type")),
        ({"display_name": 7}, (400, 286, "display_name is of the wrong type")),
        ({"_revision": True}, (400, 286, "_revision is of the wrong type")),
        ({"pem_encoded": None}, (400, 255, "pem_encoded is required")),
        ({"pem_encoded": ""}, (400, 255, "pem_encoded is required")),
        ({"resource_type": "X"}, (400, 1004, "resource_type")),
        ({"resource_type": "TrustObjectData", "description": None, "id": "x"}, None),
    ],
)  # fmt: skip
def test_json__is_strict(calm, visitor, more, error):
    before = len(calm.records)
    reply = visitor.upload(GOOD, PKI.key_pem, **more)
    if not error:
        assert reply.status == 201 and reply.results[0]["id"] == "x"
        return
    assert reply.error[:2] == error[:2] and error[2] in reply.error[2]
    assert reply.json["httpStatus"] == "BAD_REQUEST" and len(calm.records) == before


@pytest.mark.parametrize(
    "body, kind, status",
    [
        (b"{", "application/json", 400), (b"[1]", "application/json", 400),
        (b"\xff", "application/json", 400), (b"{}", None, 415), (b"{}", "text/plain", 415),
        (b"{}", "application/json;charset=UTF-8", 400), (b"", "application/json", 400),
    ],
)  # fmt: skip
def test_json__is_what_it_says(visitor, body, kind, status):
    headers = {**visitor.headers, **({"Content-Type": kind} if kind else {})}
    assert visitor.raw("POST", IMPORT, body, headers).status == status


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/api/v1/nothing", 404), ("GET", "/", 404), ("PUT", CERTS, 405),
        ("POST", CERTS, 405), ("POST", CERTS + "?action=export", 400),
        ("GET", CERTS + "?foo=1", 400), ("GET", CERTS + "/nobody", 404),
        ("DELETE", CERTS + "/nobody", 404), ("GET", TRUST + "csrs/nobody", 404),
        ("GET", VS + "nobody", 404), ("GET", POLICY_CERTS + "nobody", 404),
        ("DELETE", POLICY_CERTS + "no%20id", 400), ("GET", CERTS + "/nobody?action=validate", 404),
    ],
)  # fmt: skip
def test_path__must_be_known(visitor, method, path, status):
    assert visitor.call(method, path).status == status


def test_switches__of_errors(nsx, client):
    nsx.not_found_status, nsx.code_form, nsx.no_action_status = 400, str, 404
    nsx.unknown_params = nsx.unknown_members = "ignore"
    nsx.media_status = 400
    assert client.get(CERTS + "/nobody").error[:2] == (400, "600")
    assert client.post(CERTS + "?action=export").status == 400
    assert client.get(CERTS + "?foo=1").status == 200
    assert client.upload(GOOD, PKI.key_pem, scope="x").status == 201
    assert client.raw("POST", IMPORT, b"{}", client.headers).status == 400


# ---- import ----


def _encrypted(password):
    return PKI.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    ).decode()  # fmt: skip


WEAK, CURVE = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())
IMPORTS = {
    "chain": (GOOD, PKI.key_pem, None),
    "self-signed": (PKI.own("a.example.org"), PKI.key_pem, None),
    "no root": (PKI.leaf("a.example.org") + PKI.above("middle"), PKI.key_pem, None),
    "no key": (GOOD, None, None),
    "garbage": ("certificate", PKI.key_pem, "PEM"),
    "not DER": (
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", PKI.key_pem, "PEM"
    ),
    "text between": (GOOD.replace("-----\n-----", "-----\nhi\n-----"), PKI.key_pem, "PEM"),
    "root first": (PKI.above("root", "middle") + PKI.leaf("a"), PKI.key_pem, "not in order"),
    "gap": (PKI.leaf("a") + PKI.above("root"), PKI.key_pem, "not in order"),
    "other key": (GOOD, OTHER_KEY, "do not match"),
    "no key PEM": (GOOD, "key", "private key"),
    "weak key": (PKI.leaf("a", key=WEAK), nsx_certs.plain_pem(WEAK).decode(), "size"),
    "odd curve": (PKI.leaf("a", key=CURVE), nsx_certs.plain_pem(CURVE).decode(), "algorithm"),
    "no constraints": (PKI.own("a", constraints=False), PKI.key_pem, "do not match"),
    "no constraints, signed": (PKI.leaf("a", constraints=False), PKI.key_pem, "do not match"),
    "CA": (
        PKI.above(), nsx_certs.plain_pem(PKI.middle_key).decode(), "CA certificate cannot"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPORTS)
def test_import__checks_what_it_gets(calm, visitor, case):
    before, (cert, key, refusal) = len(calm.records), IMPORTS[case]
    reply = visitor.upload(cert, key)
    if refusal:
        assert reply.status == 400 and refusal in reply.error[2], reply.text
        assert len(calm.records) == before
    else:
        (found,) = reply.results
        assert reply.status == 201 and reply.json["result_count"] == 1
        assert found["has_private_key"] is bool(key) and found["pem_encoded"] == cert
        assert found["used_by"] == [] and found["_system_owned"] is False


@pytest.mark.parametrize("more, status", [
    ({"passphrase": "secret"}, 201), ({"passphrase": "wrong-secret"}, 400), ({}, 400),
])  # fmt: skip
def test_import__takes_an_encrypted_key_with_its_passphrase(nsx, client, more, status):
    assert client.upload(GOOD, _encrypted("secret"), **more).status == status
    assert "secret" not in "".join(str(one.body) for one in nsx.log)


@pytest.mark.parametrize(
    "wanted, signed, own", [("always", 400, 400), ("self-signed", 201, 400), ("never", 201, 201)]
)
def test_import__basic_constraints_may_be_needed(nsx, client, wanted, signed, own):
    nsx.needs_constraints = wanted
    reply = client.upload(PKI.leaf("a", constraints=False), PKI.key_pem)
    assert reply.status == signed and (signed == 201 or reply.error[2] == NO_MATCH)
    assert client.upload(PKI.own("a", constraints=False), PKI.key_pem).status == own


@pytest.mark.parametrize("form", ["one", "leaf-first", "leaf-last"])
def test_import__answers_in_three_forms(nsx, client, form):
    nsx.import_reply = form
    results = client.upload(GOOD, PKI.key_pem, tags=[{"scope": "certauto", "tag": "a"}]).results
    leaves = [at for at, one in enumerate(results) if one["has_private_key"]]
    assert len(results) == (1 if form == "one" else 3)
    assert leaves == [2 if form == "leaf-last" else 0]
    leaf = results[leaves[0]]
    assert leaf["resource_type"] == "certificate_signed" and leaf["tags"][0]["tag"] == "a"
    assert leaf["pem_encoded"].count("BEGIN") == (3 if form == "one" else 1)
    assert leaf["details"][0]["subject_cn"] == EVERY[0]
    rest = {one["resource_type"] for one in results if not one["has_private_key"]}
    assert rest == (set() if form == "one" else {"certificate_ca"})
    assert client.apply(leaf["id"], node=2).status == 200
    wait_until(NsxClient(nsx, 2).is_back, "the manager")
    assert chain_sent(nsx, 2) == 3


def chain_sent(nsx, where):
    """How many certificates a manager presents."""
    place = f"{nsx.node(where).ip}:{nsx.port}"
    argv = ["openssl", "s_client", "-connect", place, "-showcerts"]
    run = subprocess.run(argv, input="", capture_output=True, text=True, check=False)
    return run.stdout.count("BEGIN CERTIFICATE")


@pytest.mark.parametrize("what, number", [("reuse", 4), ("new", 6)])
def test_import__of_a_ca_that_is_there(nsx, client, what, number):
    nsx.import_reply, nsx.same_authority = "leaf-first", what
    ids = [one["id"] for _ in range(2) for one in client.upload(GOOD, PKI.key_pem).results]
    assert len(set(ids)) == number


def test_import__twice_and_of_names_that_are_there(nsx, client):
    assert imported(client) != imported(client)
    nsx.unique_names = True
    assert client.upload(PKI.own("a"), PKI.key_pem).error[1] == 1008
    nsx.same_twice = "refuse"
    assert client.upload(GOOD, PKI.key_pem, name="fresh").error[1] == 1008


def test_import__of_a_trusted_ca(nsx, client):
    path = CERTS + "?action=import_trusted_ca"
    reply = client.post(path, {"display_name": "ca", "pem_encoded": PKI.above("root")})
    assert reply.status == 201 and reply.results[0]["resource_type"] == "certificate_ca"
    for more in ({"pem_encoded": GOOD}, {"private_key": PKI.key_pem}):
        assert client.post(path, {"pem_encoded": PKI.above("root"), **more}).status == 400
    nsx.import_status = 200
    assert client.upload(GOOD, PKI.key_pem).status == 200


@pytest.mark.parametrize(
    "form, wanted", [("absent", "absent"), ("null", None), ("empty", [])]
)
def test_told__tags_when_there_are_none(nsx, client, form, wanted):
    nsx.no_tags = form
    told = client.get(f"{CERTS}/{imported(client)}").json
    assert told.get("tags", "absent") == wanted and "details" not in told


@pytest.mark.parametrize("form, kind", [("text", str), ("number", int)])
def test_told__dates(nsx, client, form, kind):
    nsx.dates = form
    (told, *_) = client.get(f"{CERTS}/{imported(client)}?details=true").json["details"]
    assert {type(told["not_before"]), type(told["not_after"])} == {kind}
    assert int(told["not_before"]) < time.time() * 1000 < int(told["not_after"])


# ---- lists ----


def test_list__is_paged_with_a_cursor(nsx, client):
    for number in range(4):
        imported(client, name=f"c{number}")
    first = client.get(CERTS + "?page_size=2").json
    assert first["result_count"] == 5 and len(first["results"]) == 2
    second = client.get(f"{CERTS}?page_size=2&cursor={first['cursor']}").json
    third = client.get(f"{CERTS}?page_size=2&cursor={second['cursor']}").json
    assert "result_count" not in second and "cursor" not in third
    found = [one["id"] for page in (first, second, third) for one in page["results"]]
    assert len(found) == len(set(found)) == 5
    for query in ("page_size=0", "page_size=1001", "page_size=x", "cursor=7"):
        assert client.get(f"{CERTS}?{query}").status == 400
    nsx.page_max, nsx.last_cursor = 3, "0000"
    first = client.get(CERTS).json
    assert len(first["results"]) == 3
    assert client.get(f"{CERTS}?cursor={first['cursor']}").json["cursor"] == "0000"


def test_list__is_sorted_and_filtered(nsx, client):
    ident = imported(client, name="a")
    nsx.install(ident, 2)
    names = [
        one["display_name"] for one in client.get(CERTS + "?sort_by=display_name").results
    ]  # fmt: skip
    assert names == ["a", "mp-cluster"]
    down = client.get(CERTS + "?sort_by=display_name&sort_ascending=false").results
    assert [one["display_name"] for one in down] == names[::-1]
    (found,) = client.get(f"{CERTS}?node_id={nsx.nodes[1].uuid}").results
    assert found["id"] == ident
    (found,) = client.get(CERTS + "?type=cluster_api_certificate").results
    assert found["display_name"] == "mp-cluster"
    (found, *_) = client.get(CERTS + "?included_fields=display_name&details=true").results
    assert set(found) == {"id", "display_name"}


# ---- validation ----


def _expired():
    return PKI.chain(start=int(time.time()) - 10 * ca_pki.DAY, days=5)


NO_EKU = PKI.chain(usages=("CLIENT",))
VALIDATIONS = [
    ("good", GOOD, {}, "OK"),
    ("expired", _expired(), {}, "REJECTED"),
    ("incomplete", PKI.leaf(*EVERY) + PKI.above("middle"), {}, "REJECTED"),
    ("self-signed", PKI.own(*EVERY), {}, "OK"),
    ("only signed", PKI.own(*EVERY), {"ca_signed_only": True}, "REJECTED"),
    ("usage not looked at", NO_EKU, {}, "OK"),
    ("usage", NO_EKU, {"eku_checking_enabled": True}, "REJECTED"),
    ("CDP", PKI.chain(crl="http://crl.example.org"), {"crl_checking_enabled": False}, "OK"),
    ("CRL", PKI.chain(crl="http://crl.example.org"), {}, "CRL_NOT_READY"),
]


@pytest.mark.parametrize("case", VALIDATIONS, ids=[one[0] for one in VALIDATIONS])
def test_validation__says_with_200_what_is_wrong(nsx, client, case):
    _, cert, settings, wanted = case
    nsx.security.update(settings)
    nsx.crl_polls = -1
    ident = imported(client, cert)
    for _ in range(2):
        reply = client.get(f"{CERTS}/{ident}?action=validate&usage=SERVER")
        assert (reply.status, reply.json["status"]) == (200, wanted)
        assert ("error_message" in reply.json) is (wanted != "OK")
    reply = client.apply(ident, node=1)
    assert reply.status == (200 if wanted == "OK" else 400), reply.text


def test_validation__waits_for_the_crl_and_for_what_a_test_plans(nsx, client):
    nsx.crl_polls = 2
    ident = imported(client, PKI.chain(crl="http://crl.example.org"))
    path = f"{CERTS}/{ident}?action=validate"
    assert client.apply(ident, node=1).status == 400
    found = [client.get(path).json["status"] for _ in range(3)]
    assert found == ["CRL_NOT_READY", "CRL_NOT_READY", "OK"]
    nsx.validations += ["ERROR", "REJECTED"]
    assert [client.get(path).json["status"] for _ in range(3)] == ["ERROR", "REJECTED", "OK"]
    assert client.get(path + "&usage=BOTH").status == 400
    nsx.security["eku_checking_enabled"] = True
    ident = imported(client, PKI.chain(usages=("SERVER",)))
    for usage, status in (("CLIENT", "REJECTED"), ("SERVER", "OK")):
        reply = client.get(f"{CERTS}/{ident}?action=validate&usage={usage}")
        assert reply.json["status"] == status


def test_clock__is_the_managers_own(nsx, client):
    assert imported(client, _expired())
    nsx.clock_offset = -7200
    told = email.utils.parsedate_to_datetime(client.get(HEALTH).headers["Date"])
    assert abs(told.timestamp() - time.time() + 7200) < 5
    path = f"{CERTS}/{imported(client)}?action=validate"
    assert client.get(path).json["status"] == "REJECTED"
    nsx.clock_offset = 0
    assert client.get(path).json["status"] == "OK"
    nsx.days_later = 900
    assert client.get(path).json["status"] == "REJECTED"


# ---- applying ----

APPLIES = [
    ("API", 1, 200), ("MGMT_CLUSTER", None, 200), ("API", None, 400), ("MGMT_CLUSTER", 1, 400),
    ("NOTHING", 1, 400), ("API", "nobody", 404), ("MGMT_PLANE", 2, 200),
    ("CLIENT_AUTH", None, 200), ("CCP", None, 400),
]  # fmt: skip


@pytest.mark.parametrize("service, node, status", APPLIES)
def test_apply__wants_a_node_where_the_profile_says_so(nsx, client, service, node, status):
    ident, before = imported(client), dict(nsx.services)
    assert client.post(f"{CERTS}/nobody{APPLY}{service}").status == 404
    if node == "nobody":
        reply = client.post(f"{CERTS}/{ident}{APPLY}{service}&node_id=nobody")
    else:
        reply = client.apply(ident, service, node)
    assert reply.status == status, reply.text
    assert reply.text == "" if status == 200 else reply.error[0] == status
    assert (nsx.services == before) is (status != 200)


NAMED = [
    ("signed", [NODE_IPS[0]], "signed", 200), ("FQDN", ["nsx1.example.org"], "signed", 200),
    ("wildcard", ["*.example.org"], "signed", 200), ("other", ["a.example.org"], "signed", 400),
    ("other node", [NODE_IPS[1]], "signed", 400), ("unchecked", ["a.example.org"], "never", 200),
]  # fmt: skip


@pytest.mark.parametrize("case", NAMED, ids=[one[0] for one in NAMED])
def test_apply__looks_at_the_names(nsx, client, case):
    _, names, nsx.name_check, status = case
    assert client.apply(imported(client, PKI.chain(*names)), node=1).status == status


@pytest.mark.parametrize("wanted, status", [("signed", 200), ("always", 400)])
def test_apply__of_a_self_signed_one_with_other_names(nsx, client, wanted, status):
    nsx.name_check = wanted
    ident = imported(client, PKI.own("a.example.org"))
    assert client.apply(ident, "MGMT_CLUSTER").status == status


@pytest.mark.parametrize(
    "check, import_status, apply_status",
    [("apply", 201, 400), ("import", 400, None), ("never", 201, 200)],
)
def test_apply__needs_the_chain_with_its_root(nsx, client, check, import_status, apply_status):
    nsx.chain_check = check
    cert = PKI.leaf(*EVERY) + PKI.above("middle")
    reply = client.upload(cert, PKI.key_pem)
    assert reply.status == import_status
    if apply_status:
        assert client.apply(reply.results[0]["id"], node=1).status == apply_status
    client.wait()
    assert client.upload(PKI.above("root")).status == 201  # a CA that is there counts
    assert client.apply(imported(client, cert), node=2).status == 200


def test_apply__needs_a_key(client):
    (found,) = client.upload(GOOD).results
    assert "no private key" in client.apply(found["id"], node=1).error[2]


@pytest.mark.parametrize("version", ["2.4", "3.1", "3.1.2", "3.2", "4.2", "9.0"])
def test_version__decides_what_there_is(nsx, version):
    nsx.version, number = version, version_of(version)
    client, ident = NsxClient(nsx, 3), nsx.upload("c", GOOD, PKI.key_pem)
    told = client.get(MP + "node/version").json["node_version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+\.\d+\.\d+", told) and told.startswith(version)
    new, old = number >= (3, 2), number < (3, 2)
    assert client.get(TRUST + "certificate-profiles").status == (200 if new else 404)
    assert client.get(MP + "cluster/api-certificate").status == (200 if old else 404)
    extended = client.post(TRUST + "csrs-extended", {}).status
    assert extended == (400 if number >= (3, 1, 2) else 404)
    assert client.get(POLICY + "security-global-config").status == (
        200 if number >= (3,) else 404
    )
    where = MP + "global-configs/SecurityGlobalConfig"
    assert client.get(where).status == (200 if number < (9,) else 404)
    bundle = client.raw("GET", MP + "certificate-management/certificate-bundle").status
    assert bundle == (200 if number >= (9,) else 404)
    assert client.post(SET_CLUSTER + ident).status == (200 if old else 404)
    nsx.settle()
    assert client.apply(ident, node=1).status == (200 if new else 404)
    nsx.legacy_until = "9.0"
    nsx.settle()
    assert client.post(SET_CLUSTER + ident).status == (200 if number < (9,) else 404)


@pytest.mark.parametrize("shared, number", [(True, 1), (False, 4), (None, 4)])
def test_start__with_one_certificate_or_four(tmp_path, shared, number):
    with Nsx(str(tmp_path), version="3.2", shared_certificate=shared) as nsx:
        assert len({NsxClient(nsx, where).served() for where in range(4)}) == number
        assert {nsx.presented_by(one) for one in (1, 2, 3)} == (
            {"mp-cluster"} if shared else {"tomcat"}
        )


@pytest.mark.parametrize("status", [200, 202])
def test_legacy__applies_where_it_is_asked(nsx, status):
    nsx.version, nsx.legacy_status = "3.1", status
    ident = nsx.upload("c", GOOD, PKI.key_pem)
    second, vip = NsxClient(nsx, 2), NsxClient(nsx, 0)
    reply = second.post(MP + APPLY_NODE + ident)
    assert reply.status == status and (status == 202 or reply.json == {"certificate_id": ident})
    second.wait()
    assert [nsx.presented_by(one) == "c" for one in (1, 2, 3, "vip")] == [0, 1, 0, 0]
    third = f"{MP}cluster/{nsx.nodes[2].uuid}/{APPLY_NODE}{ident}"
    assert vip.post(third).status == status
    NsxClient(nsx, 3).wait()
    assert nsx.presented_by(3) == "c" and nsx.presented_by(1) != "c"
    assert vip.post(MP + APPLY_NODE + ident).status == status  # the owner of the VIP
    vip.wait()
    assert nsx.presented_by(1) == "c" and nsx.presented_by("vip") != "c"
    assert vip.post(f"{MP}cluster/nobody/{APPLY_NODE}{ident}").status == 404
    assert vip.post(MP + APPLY_NODE + "nobody").status == 404
    assert vip.post(MP + APPLY_NODE.partition("&")[0]).status == 400


def test_legacy__cluster_certificate(nsx, client):
    nsx.version, path = "2.4", MP + "cluster/api-certificate"
    first = client.get(path).json["certificate_id"]
    ident = imported(client)
    assert client.post(SET_CLUSTER + ident).json == {"certificate_id": ident}
    wait_until(NsxClient(nsx, 0).is_back, "the VIP")
    assert client.get(path).json["certificate_id"] == ident
    assert NsxClient(nsx, 0).served() == nsx.records[ident].fingerprint
    assert client.post(path + "?action=clear_cluster_certificate").status == 200
    assert client.get(path).json["certificate_id"] == first
    short = imported(client, PKI.leaf(*EVERY))
    nsx.settle()
    assert "incomplete" in client.post(SET_CLUSTER + short).error[2]
    nsx.vip_ip = None
    assert client.post(SET_CLUSTER + ident).status == 400


# ---- what an apply does to the service ----


def refused_by(ip, port):
    """Does nobody listen there?"""
    try:
        socket.create_connection((ip, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def is_cut_off(client):
    """Does its connection end without an answer? Asked in a thread: what went wrong in one
    connection OpenSSL keeps for the thread, and Python 3.13 takes it for the next one's."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return isinstance(pool.submit(client.get, HEALTH).exception(), GONE)


def test_restart__connections_end_then_none_is_taken_then_503_then_the_new_certificate(nsx):
    nsx.restart_refused, nsx.restart_unavailable = 0.15, 2
    first, idle, second = NsxClient(nsx, 1), NsxClient(nsx, 1), NsxClient(nsx, 2)
    assert idle.get(HEALTH).status == second.get(HEALTH).status == 200
    ident, old = imported(first), first.served()
    reply = first.apply(ident, node=1)
    assert (reply.status, reply.text) == (200, "")
    assert is_cut_off(idle) and is_cut_off(first)  # also who has asked for it
    assert refused_by(nsx.nodes[0].ip, nsx.port) and refused_by(nsx.vip_ip, nsx.port)
    assert nsx.nodes[0].state == "restarting"
    assert second.get(HEALTH).status == 200  # on the same connection as before
    assert second.apply(ident, node=3).error[:2] == (409, 1006)
    wait_until(lambda: not refused_by(nsx.nodes[0].ip, nsx.port), "the manager")
    for _ in range(2):
        reply = first.get(HEALTH)
        assert reply.status == 503 and reply.headers["Content-Type"] == "text/html"
        assert reply.text.startswith("<html>")
    assert first.get(HEALTH).status == 200
    assert old != first.served() == nsx.records[ident].fingerprint
    assert NsxClient(nsx, 0).served() != first.served()  # the VIP has its own
    assert second.get(HEALTH).status == 200


def test_restart__of_another_manager_leaves_the_one_asked_alone(nsx, client):
    ident = imported(client)
    assert client.apply(ident, node=2).status == 200
    assert client.get(HEALTH).status == 200
    nsx.settle()
    assert NsxClient(nsx, 2).served() == nsx.records[ident].fingerprint
    assert NsxClient(nsx, 0).served() == client.served() != nsx.records[ident].fingerprint


@pytest.mark.parametrize("what, number", [("vip", 1), ("owner", 2), ("all", 4)])
def test_restart__for_a_new_certificate_of_the_vip(nsx, client, what, number):
    nsx.cluster_restarts, nsx.restart_refused = what, 0.1
    assert NsxClient(nsx, 3).apply(imported(client), "MGMT_CLUSTER").status == 200
    assert [one.state for one in nsx.listeners].count("restarting") == number


def test_restart__may_move_the_vip(nsx, client):
    nsx.restart_moves_vip = True
    assert client.apply(imported(client), node=1).status == 200
    assert nsx.owner is nsx.nodes[1] and ask(nsx, 0).status == 200


def test_restart__of_one_after_the_other_may_be_hurried(nsx, client):
    nsx.restart_refused, nsx.apply_busy = 0.05, "take"
    ident = imported(client)
    assert client.apply(ident, node=2).status == client.apply(ident, node=3).status == 200
    nsx.apply_busy, nsx.busy_status = "refuse", 400
    assert client.apply(ident, "MGMT_CLUSTER").status == 400


def test_used_by__follows_and_keeps_from_deletion(nsx, client):
    ident = imported(client)
    path = f"{CERTS}/{ident}"
    assert client.get(path).json["used_by"] == []
    nsx.install(ident, 2, "vip")
    wanted = [
        {"node_id": nsx.nodes[1].uuid, "service_types": ["API"]},
        {"node_id": nsx.cluster_id, "service_types": ["MGMT_CLUSTER"]},
    ]
    found = client.get(path).json["used_by"]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    nsx.cluster_used_by = "nodes"
    assert len(client.get(path).json["used_by"]) == 3
    for status in (400, 409):
        nsx.in_use_status = status
        assert client.delete(path).error[:2] == (status, 1005)
    nsx.install(nsx.default_ids["MGMT_CLUSTER", None], 2, "vip")
    assert client.delete(path).status == 200
    assert client.get(path).status == client.delete(path).status == 404


def test_profiles__tell_which_services_are_of_the_cluster(client):
    found = {one["service_type"]: one for one in client.get(TRUST + "certificate-profiles").results}
    assert found["MGMT_CLUSTER"]["cluster_certificate"] is True
    assert found["API"]["cluster_certificate"] is False
    assert found["API"]["extended_key_usage"] == ["SERVER_AUTH"]


# ---- the cluster ----


def test_cluster__tells_its_managers(nsx, client):
    told = client.get(MP + "cluster").json
    assert told["cluster_id"] == nsx.cluster_id and len(told["nodes"]) == 3
    for number, one in enumerate(told["nodes"], 1):
        where = one["api_listen_addr"]
        assert (where["ip_address"], where["port"]) == (NODE_IPS[number - 1], nsx.port)
        assert one["fqdn"] == f"nsx{number}.example.org" and one["status"] == "JOINED"
        served = NsxClient(nsx, number).served()
        assert where["certificate_sha256_thumbprint"] == served
        assert tls.Served(ssl.PEM_cert_to_DER_cert(where["certificate"])).fingerprint == served
    nsx.tells_fqdn = False
    assert "fqdn" not in client.get(MP + "cluster").json["nodes"][0]
    told = client.get(MP + "node/services/http").json["service_properties"]
    assert told["basic_authentication_enabled"] is True and "certificate" in told


def test_vip__may_be_unset_and_be_set(nsx, client):
    nsx.set_vip(None)
    assert client.get(VIP).json["ip_address"] == "0.0.0.0"
    assert refused_by(VIP_IP, nsx.port) and nsx.url == nsx.node_url(1)
    ident = imported(client)
    assert "virtual IP" in client.apply(ident, "MGMT_CLUSTER").error[2]
    for ip, status in (("x", 400), ("", 400), (VIP_IP, 200)):
        assert client.post(f"{VIP}?action=set_virtual_ip&ip_address={ip}").status == status
    assert client.get(VIP).json["ip_address"] == VIP_IP and ask(nsx, 0).status == 200
    reply = client.post(f"{VIP}?action=set_virtual_ip&ip_address={NET}20&ip6_address=::1")
    assert reply.json == {"ip_address": NET + "20", "ip6_address": "::1"}
    assert ask(nsx, 0).status == 200 and nsx.url == f"https://{NET}20:{nsx.port}"
    assert refused_by(VIP_IP, nsx.port)
    vip = NsxClient(nsx, 0)  # it goes while it is asked
    assert vip.post(VIP + "?action=clear_virtual_ip").json["ip_address"] == "0.0.0.0"
    assert refused_by(NET + "20", nsx.port)
    nsx.one_subnet = False
    path = f"{VIP}?action=set_virtual_ip&ip_address={VIP_IP}"
    assert client.post(path).status == 409 and client.post(path + "&force=true").status == 200


def test_vip__not_configured_from_the_start(tmp_path):
    with Nsx(str(tmp_path), vip=False) as nsx:
        assert nsx.url == nsx.node_url(1) and refused_by(VIP_IP, nsx.port)
        assert ask(nsx).status == 200


def test_vip__is_answered_by_its_owner_and_moves(nsx):
    vip = NsxClient(nsx, 0)
    assert vip.get(HEALTH).status == 200
    nsx.move_vip()
    with pytest.raises(GONE):
        vip.get(HEALTH)
    assert vip.get(HEALTH).status == 200
    assert [(one.via, one.node) for one in nsx.log] == [("vip", "nsx1"), ("vip", "nsx2")]
    assert vip.served() == nsx.fingerprint_of("vip")


def test_node__down_and_up_again(nsx):
    second, ident = NsxClient(nsx, 2), nsx.upload("c", GOOD, PKI.key_pem)
    word = second.get(MP + "cluster/status").json["mgmt_cluster_status"]["status"]
    assert word == "STABLE"
    nsx.stop_node(1)
    assert refused_by(nsx.nodes[0].ip, nsx.port) and nsx.owner is nsx.nodes[1]
    assert ask(nsx, 0).status == 200  # the VIP has moved
    told = second.get(MP + "cluster/status").json["mgmt_cluster_status"]
    assert told["status"] == "DEGRADED"
    assert told["offline_nodes"][0]["uuid"] == nsx.nodes[0].uuid
    assert second.apply(ident, node=1).status == 503
    nsx.node_down_status = 500
    assert second.apply(ident, node=1).status == 500
    nsx.stop_node(2)
    nsx.stop_node(3)
    assert all(refused_by(ip, nsx.port) for ip in (VIP_IP, *NODE_IPS))
    for which in (3, 2, 1):
        nsx.start_node(which)
    assert {ask(nsx, where).status for where in range(4)} == {200}


def test_node__that_says_nothing(nsx):
    nsx.stop_node(2, silent=True)
    with socket.create_connection((nsx.nodes[1].ip, nsx.port), timeout=0.1) as raw:
        with pytest.raises(TimeoutError):
            tls.context().wrap_socket(raw)
    nsx.start_node(2)
    assert ask(nsx, 2).status == 200


# ---- requests that managers make ----


def test_csr__its_key_stays_on_the_manager(nsx, client, rsa_key):
    nsx.new_key = lambda bits: rsa_key
    body = {
        "subject": {"attributes": [{"key": "CN", "value": EVERY[0]}, {"key": "O", "value": "x"}]},
        "key_size": "2048", "algorithm": "RSA",
    }  # fmt: skip
    names = {"dns_names": [EVERY[0]], "ip_addresses": EVERY[1:]}
    plain = client.post(TRUST + "csrs", body)
    reply = client.post(
        TRUST + "csrs-extended", {**body, "extensions": {"subject_alt_names": names}}
    )
    assert plain.status == reply.status == 201
    for one, number in ((plain, 0), (reply, 1)):
        request = x509.load_pem_x509_csr(one.json["pem_encoded"].encode())
        assert len(request.extensions) == number
    path = f"{TRUST}csrs/{reply.json['id']}"
    file = client.get(path + "/pem-file")
    assert file.text == client.get(path).json["pem_encoded"] == reply.json["pem_encoded"]
    assert file.headers["Content-Type"] == "text/plain"
    assert client.get(TRUST + "csrs").json["result_count"] == 2
    for cert, status in ((GOOD, 400), (PKI.chain(key=rsa_key), 201)):
        found = client.post(path + "?action=import", {"pem_encoded": cert})
        assert found.status == status, found.text
    (told,) = found.results
    assert told["has_private_key"] and client.apply(told["id"], node=2).status == 200
    own = client.post(path + "?action=self_sign&days_valid=30")
    assert own.status == 201 and own.json["resource_type"] == "certificate_self_signed"
    assert client.post(path + "?action=self_sign&days_valid=x").status == 400
    assert client.delete(path).status == 200 and client.get(path).status == 404


@pytest.fixture(scope="module", name="rsa_key")
def _rsa_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    "more, code",
    [
        ({"key_size": 2048}, 286), ({"key_size": "1024"}, 1004), ({"algorithm": "DSA"}, 1004),
        ({"subject": {"attributes": [{"key": "O", "value": "x"}]}}, 255), ({"x": "y"}, 287),
        ({"subject": {"attributes": [{"key": "CN", "value": "x"}, {"key": "Q", "value": "y"}]}},
         1004),
        ({"extensions": {}}, 287),
    ],
)  # fmt: skip
def test_csr__is_checked(calm, visitor, more, code):
    body = {
        "subject": {"attributes": [{"key": "CN", "value": "x"}]}, "key_size": "2048",
        "algorithm": "RSA", **more,
    }  # fmt: skip
    calm.new_key = lambda bits: PKI.key
    assert visitor.post(TRUST + "csrs", body).error[:2] == (400, code)


# ---- policy ----


def policy_body(**more):
    """A policy certificate."""
    return {"display_name": "shop", "pem_encoded": GOOD, "private_key": PKI.key_pem, **more}


def test_policy_certificate__a_put_does_not_change_one_that_is_there(nsx, client):
    path = POLICY_CERTS + "shop-1"
    told = client.put(path, policy_body()).json
    assert told["path"] == "/infra/certificates/shop-1" and told["_revision"] == 0
    assert (told["relative_path"], told["parent_path"]) == ("shop-1", "/infra")
    assert told["pem_encoded"] == GOOD and "private_key" not in told
    again = client.put(path, policy_body(pem_encoded=PKI.own("a"), display_name="new"))
    assert again.status == 200 and again.json == told == client.get(path).json
    assert client.patch(path, policy_body(pem_encoded=PKI.own("a"))).text == ""
    assert client.get(path).json == told
    nsx.put_existing = "refuse"
    assert client.put(path, policy_body()).status == 400
    assert len(client.get(path + "?details=true").json["details"]) == 3
    assert client.patch(POLICY_CERTS + "shop-2", policy_body()).status == 200
    found = client.get(POLICY + "certificates?page_size=1")
    assert found.json["result_count"] == 2 and "cursor" in found.json


@pytest.mark.parametrize(
    "more, code",
    [
        ({"private_key": OTHER_KEY}, 1003), ({"pem_encoded": "x"}, 1001), ({"scope": "x"}, 287),
        ({"id": "another"}, 1004),
    ],
)  # fmt: skip
def test_policy_certificate__is_checked(calm, visitor, more, code):
    assert visitor.put(POLICY_CERTS + "c", policy_body(**more)).error[:2] == (400, code)
    assert "/infra/certificates/c" not in calm.policy


def test_policy_certificate__is_seen_and_kept_in_the_store(nsx, client):
    nsx.import_reply = "leaf-first"  # does not matter here
    client.put(POLICY_CERTS + "c", policy_body(tags=[{"scope": "certauto", "tag": "shop"}]))
    (found,) = [one for one in client.get(CERTS).results if one["display_name"] == "shop"]
    assert {"scope": "policyPath", "tag": "/infra/certificates/c"} in found["tags"]
    assert found["pem_encoded"] == GOOD
    assert client.delete(f"{CERTS}/{found['id']}").status == 400
    assert client.delete(POLICY_CERTS + "c").status == 200
    assert client.get(f"{CERTS}/{found['id']}").status == 404


def test_virtual_server__is_written_under_its_revision(nsx, client):
    nsx.virtual_server("shop", ["shop.example.org"], sni=[["www.example.org"]])
    client.put(POLICY_CERTS + "new", policy_body())
    told = client.get(VS + "shop").json
    assert told["_revision"] == 0 and told["resource_type"] == "LBVirtualServer"
    binding = {**told[BINDING], DEFAULT_PATH: "/infra/certificates/new"}
    wanted = {**told, BINDING: binding}
    for revision in (None, 7):
        stale = {**wanted, "_revision": revision}
        assert client.put(VS + "shop", stale).error[:2] == (412, 604)
    reply = client.put(VS + "shop", wanted)
    assert reply.status == 200 and reply.json["_revision"] == 1
    assert reply.json[BINDING] == binding == client.get(VS + "shop").json[BINDING]
    assert client.put(VS + "shop", wanted).status == 412
    nsx.touch("shop", enabled=False)
    assert client.put(VS + "shop", reply.json).status == 412
    assert client.put(VS + "new", {**wanted, "id": "new", "_revision": None}).status == 200
    assert client.get(POLICY + "lb-virtual-servers").json["result_count"] == 2
    assert client.delete(VS + "new").status == 200 and client.get(VS + "new").status == 404


@pytest.mark.parametrize("how, kept", [("replace", False), ("merge", True)])
def test_virtual_server__a_patch_may_lose_what_it_does_not_say(nsx, client, how, kept):
    nsx.patch = how
    nsx.virtual_server("shop", ["a"], access_log_enabled=True)
    told = client.get(VS + "shop").json
    del told["access_log_enabled"]
    reply = client.patch(VS + "shop", {**told, "_revision": 99})
    assert (reply.status, reply.text) == (200, "")
    found = client.get(VS + "shop").json
    assert ("access_log_enabled" in found) is kept and found["_revision"] == 1


def _bound(told, **more):
    return {**told, BINDING: {**told[BINDING], **more}}


WRONG_SERVERS = [
    ("dangling", lambda told: _bound(told, **{DEFAULT_PATH: "/infra/certificates/no"}), 1009),
    ("dangling SNI", lambda told: _bound(told, **{SNI_PATHS: ["/infra/certificates/no"]}), 1009),
    ("dangling elsewhere", lambda told: {
        **told, "rules": [{"actions": [{"path": "/infra/certificates/no"}]}]}, 1009),
    ("no default", lambda told: _bound(told, **{DEFAULT_PATH: None}), 255),
    ("unknown", lambda told: {**told, "certificate": "x"}, 287),
    ("unknown below", lambda told: _bound(told, sni=[]), 287),
    ("ports", lambda told: {**told, "ports": [443]}, 286),
    ("client_auth", lambda told: _bound(told, client_auth="MAYBE"), 1004),
    ("no address", lambda told: {**told, "ip_address": None}, 255),
    ("without a key", lambda told: _bound(told, **{DEFAULT_PATH: "/infra/certificates/ca"}), 1004),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG_SERVERS, ids=[one[0] for one in WRONG_SERVERS])
def test_virtual_server__is_checked(visitor, case):
    visitor.put(POLICY_CERTS + "ca", {"pem_encoded": PKI.above("root")})
    told = visitor.get(VS + "shop").json
    for method in ("PUT", "PATCH"):
        assert visitor.call(method, VS + "shop", case[1](told)).error[:2] == (400, case[2])
    assert visitor.get(VS + "shop").json == told


def test_virtual_server__keeps_its_certificates_from_deletion(nsx, client):
    nsx.virtual_server("shop", ["a"])
    reply = client.delete(POLICY_CERTS + "shop-old")
    assert reply.error[:2] == (400, 500030) and "/infra/lb-virtual-servers/shop" in reply.error[2]
    nsx.in_use_status = 409
    assert client.delete(POLICY_CERTS + "shop-old").status == 409
    client.put(POLICY_CERTS + "new", policy_body())
    told = client.get(VS + "shop").json
    client.put(VS + "shop", _bound(told, **{DEFAULT_PATH: "/infra/certificates/new"}))
    assert client.delete(POLICY_CERTS + "shop-old").status == 200


def test_virtual_server__sni_may_be_lost_silently(nsx, client):
    nsx.virtual_server("shop", ["a"], sni=[["b"]])
    nsx.lose_sni = True
    assert client.put(VS + "shop", client.get(VS + "shop").json).status == 200
    assert SNI_PATHS not in client.get(VS + "shop").json[BINDING]


def test_virtual_server__may_be_protected_and_of_a_project(nsx, client):
    nsx.virtual_server("shop", ["a"], protected=True)
    told = client.get(VS + "shop").json
    assert told["_protection"] == "REQUIRE_OVERRIDE"
    assert client.put(VS + "shop", told).error[:2] == (403, 289)
    assert client.put(VS + "shop", told, X_Allow_Overwrite="true").status == 200
    assert client.put(VS + "shop", told).status == 403
    project = "/orgs/default/projects/p1/infra"
    nsx.virtual_server("mine", ["b"], scope=project)
    path = f"/policy/api/v1{project}/"
    assert client.get(path + "lb-virtual-servers").json["result_count"] == 1
    assert client.get(path + "lb-virtual-servers/mine").json["parent_path"] == project
    assert client.get(path + "certificates/mine-old").status == 200
    assert client.get(VS + "mine").status == 404


def test_security__is_written_under_its_revision(nsx, client):
    for path in (POLICY + "security-global-config", MP + "global-configs/SecurityGlobalConfig"):
        told = client.get(path).json
        assert told["crl_checking_enabled"] is True
        assert client.put(path, {**told, "_revision": 99}).status == 412
        assert client.put(path, {**told, "ca_signed_only": 1}).error[1] == 286
        reply = client.put(path, {**told, "ca_signed_only": True})
        assert reply.json["_revision"] == told["_revision"] + 1
    assert nsx.security["ca_signed_only"] is True


# ---- what virtual servers serve ----


def shown(nsx, ident, name):
    """The common name of what is served for a name; None: nothing."""
    host, port = nsx.address(ident).split(":")
    try:
        found = tls.served(int(port), name, host=host)
    except OSError:
        return None
    cert = x509.load_der_x509_certificate(found.der)
    return cert.subject.rfc4514_string().removeprefix("CN=")


def test_data_plane__serves_by_sni_what_is_bound_now(nsx, client):
    nsx.virtual_server("shop", ["d.example.org"], sni=[["a.example.org"], ["*.b.example.org"]])
    for name, wanted in (
        ("a.example.org", "a.example.org"), ("x.b.example.org", "*.b.example.org"),
        ("other.example.org", "d.example.org"), (None, "d.example.org"),
    ):  # fmt: skip
        assert shown(nsx, "shop", name) == wanted
    client.put(POLICY_CERTS + "new", policy_body(pem_encoded=PKI.chain("new.example.org")))
    told = client.get(VS + "shop").json
    new = _bound(told, **{DEFAULT_PATH: "/infra/certificates/new", SNI_PATHS: []})
    assert client.put(VS + "shop", new).status == 200
    assert shown(nsx, "shop", "a.example.org") == "new.example.org"
    nsx.touch("shop", enabled=False)
    assert shown(nsx, "shop", "a.example.org") is None
    host, port = nsx.address("shop").split(":")
    nsx.touch("shop", enabled=True)
    link = http.client.HTTPSConnection(host, int(port), context=tls.context(), timeout=5)
    link.request("GET", "/x")
    assert link.getresponse().read() == b"backend\n"
    link.close()
    (asked,) = nsx.plane.requests
    assert asked[0] == "/infra/lb-virtual-servers/shop" and asked[3] == "/x"


def test_data_plane__follows_late(nsx, client):
    path = quote(nsx.virtual_server("shop", ["old"]))
    client.put(POLICY_CERTS + "new", policy_body(pem_encoded=PKI.chain("new")))
    nsx.realize_delay = 0.15
    told = client.get(VS + "shop").json
    client.put(VS + "shop", _bound(told, **{DEFAULT_PATH: "/infra/certificates/new"}))
    where = f"{POLICY}realized-state/status?intent_path={path}"
    first = client.get(where).json
    assert shown(nsx, "shop", None) == "old"
    assert first["consolidated_status"]["consolidated_status"] == "IN_PROGRESS"
    wait_until(lambda: client.get(where).json["publish_status"] == "REALIZED", "the change")
    wait_until(lambda: shown(nsx, "shop", None) == "new", "the change")


# ---- limits and trouble ----


def test_limits__of_rate_and_concurrency(nsx, client):
    nsx.rate_limit = 3
    found = [client.get(HEALTH) for _ in range(5)]
    assert [one.status for one in found] == [200, 200, 200, 429, 429]
    assert found[-1].error[1] == 98
    nsx.rate_limit, nsx.concurrency_limit = 0, 1
    nsx.faults.add(kind="cluster", delay=0.3)
    slow = threading.Thread(target=ask, args=(nsx, 1, MP + "cluster"))
    slow.start()
    wait_until(lambda: nsx.requests(kind="cluster"), "the slow request")
    assert client.get(HEALTH).error[:2] == (503, 99)
    assert ask(nsx, 2).status == 200
    slow.join()
    assert client.get(HEALTH).status == 200


def test_faults__refuse_and_count(nsx, client):
    fault = nsx.faults.add(kind="certificates", number=2, times=2, status=503, code=7, words="no")
    found = [client.get(CERTS).error if number in (1, 2) else client.get(CERTS).status
             for number in range(4)]  # fmt: skip
    assert found == [200, (503, 7, "no"), (503, 7, "no"), 200] and fault.struck == 2
    nsx.faults.add(kind="health", raw=(502, "<html>Bad Gateway</html>"))
    reply = client.get(HEALTH)
    assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html")
    nsx.faults.add(method="POST", action="import", name="x", status=400)
    assert client.upload(GOOD, PKI.key_pem, name="y").status == 201
    assert client.upload(GOOD, PKI.key_pem, name="x").status == 400
    nsx.faults.add(node="nsx2", times=None, status=500)
    assert ask(nsx, 2).status == ask(nsx, 2).status == 500 and ask(nsx, 3).status == 200
    nsx.faults.clear()
    assert ask(nsx, 2).status == 200


@pytest.mark.parametrize("wire, done", [("lost-request", False), ("lost-reply", True)])
def test_faults__cut_before_or_after_the_effect(nsx, client, wire, done):
    assert wire in FAULTS
    nsx.faults.add(action="import", wire=wire)
    with pytest.raises(GONE):
        client.upload(GOOD, PKI.key_pem)
    assert bool(nsx.own_records()) is done
    ident = imported(client, name="b")
    nsx.faults.add(action="apply_certificate", wire=wire)
    with pytest.raises(GONE):
        client.apply(ident, node=1)
    assert (nsx.presented_by(1) == "b") is done


def test_faults__in_the_middle_of_things(nsx):
    client = NsxClient(nsx, scheme="session")
    nsx.faults.add(number=2, session=True)
    assert [client.get(HEALTH).status for _ in range(2)] == [200, 403]
    vip = NsxClient(nsx, 0)
    nsx.faults.add(kind="cluster", do=nsx.move_vip)
    assert vip.get(MP + "cluster").status == 200 and nsx.owner is nsx.nodes[1]
    with pytest.raises(GONE):
        for _ in range(2):
            vip.get(HEALTH)
    ident = nsx.upload("c", GOOD, PKI.key_pem)
    first = NsxClient(nsx, 1)
    nsx.faults.add(action="apply_certificate", after=lambda: nsx.stop_node(3))
    assert first.apply(ident, node=3).status == 200
    nsx.settle()
    assert nsx.presented_by(3) == "c" and refused_by(nsx.nodes[2].ip, nsx.port)
    nsx.faults.add(number=2, times=None, do=nsx.stop_all, wire="lost-request")
    assert first.get(HEALTH).status == 200
    with pytest.raises(GONE):
        first.delete(f"{CERTS}/{ident}")
    assert all(refused_by(ip, nsx.port) for ip in (VIP_IP, *NODE_IPS))


# ---- the log, and the simulator itself ----


def test_log__has_everything_but_secrets(nsx, client):
    NsxClient(nsx, user="bob", password="s3cret")
    ask(nsx, user="bob", password="s3cret")
    session = NsxClient(nsx, 0, scheme="session")
    session.upload(GOOD, PKI.key_pem, name="mine", passphrase="s3cret")
    client.put(POLICY_CERTS + "c", policy_body(passphrase="s3cret"))
    text = repr([{**vars(one), "manager": None} for one in nsx.log])
    token = session.headers["X-XSRF-TOKEN"]
    for secret in ("s3cret", PKI.key_pem.split("\n")[1], "PRIVATE", token, "Basic YW"):
        assert secret not in text
    assert [one.user for one in nsx.log] == ["bob", "admin", "admin", "admin"]
    assert [one.login for one in nsx.log] == [None, "session", "session", "Basic"]
    assert [one.kind for one in nsx.writes()] == ["certificates", "policy-certificates"]
    (entry,) = nsx.requests(action="import")
    assert (entry.name, entry.via, entry.node) == ("mine", "vip", "nsx1")
    assert str(entry) == f"vip: POST {IMPORT} -> 201"
    nsx.clear()
    assert not nsx.log


def test_start__with_certificates_of_a_ca(tmp_path):
    with Nsx(str(tmp_path), TestCA(str(tmp_path)), nodes=1) as nsx:
        context = ssl.create_default_context(cafile=nsx.ca_file)
        for ip in (VIP_IP, NODE_IPS[0]):
            link = http.client.HTTPSConnection(ip, nsx.port, context=context, timeout=5)
            link.request("GET", HEALTH)
            assert link.getresponse().status == 403
            link.close()
        assert len(nsx.nodes) == 1


def test_start__self_signed_ones_are_trusted_by_their_file(nsx):
    context = ssl.create_default_context(cafile=nsx.ca_file)
    for ip in (VIP_IP, *NODE_IPS):
        with socket.create_connection((ip, nsx.port), timeout=5) as raw:
            context.wrap_socket(raw, server_hostname=ip).close()


def test_simulator__tells_of_its_own_mistakes(tmp_path):
    with pytest.raises(TypeError):
        Nsx(str(tmp_path), colour="red")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        with Nsx(str(tmp_path)) as nsx:
            nsx.faults.add(do=lambda: 1 / 0)
            assert ask(nsx).status == 500
    with pytest.raises(NsxError):
        with Nsx(str(tmp_path)) as nsx:
            nsx.upload("x", "nothing")


def test_program__takes_commands(tmp_path):
    argv = [
        sys.executable, "-B", os.path.join(TESTS, "sim", "nsx.py"), "--folder", str(tmp_path),
        "--self-signed", "--account", "bob=b", "--vs", "shop=a.example.org", "--options",
        '{"version": "3.1"}',
    ]  # fmt: skip
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, **pipe) as program:
        def do(**command):
            program.stdin.write(json.dumps(command) + "\n")
            program.stdin.flush()
            return json.loads(program.stdout.readline())

        ready = json.loads(program.stdout.readline())
        assert ready["vip"] == VIP_IP and list(ready["nodes"].values()) == NODE_IPS
        ident = do(do="upload", name="c", cert=GOOD, key=PKI.key_pem)["done"]
        argv = [
            "curl", "-sS", "--cacert", ready["ca_file"], "-u", "bob:b", "-X", "POST",
            ready["url"] + SET_CLUSTER + ident,
        ]  # fmt: skip
        run = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert json.loads(run.stdout) == {"certificate_id": ident}
        assert do(do="presented_by", where="vip") == {"done": "c"}
        assert do(do="requests")["done"][0].startswith("vip: POST /api/v1/cluster/api-certificate")
        for name in ("move_vip", "expire", "clear", "records"):
            assert "done" in do(do=name), name
        for more in (
            {"do": "stop_node", "which": 2}, {"do": "start_node", "which": 2},
            {"do": "set", "name": "restart_refused", "value": 0}, {"do": "set_vip"},
            {"do": "set_vip", "ip": VIP_IP}, {"do": "fault", "kind": "cluster", "status": 500},
            {"do": "fault", "kind": "version", "call": "stop_node", "args": [1]},
            {"do": "security", "ca_signed_only": True}, {"do": "restart_node", "which": 3},
            {"do": "account", "name": "eve", "password": "e"}, {"do": "touch", "ident": "shop"},
            {"do": "find", "ident": "shop"}, {"do": "address", "ident": "shop"},
            {"do": "virtual_server", "ident": "b", "names": ["b.example.org"]},
        ):  # fmt: skip
            assert "done" in do(**more), more
        assert "error" in do(do="nothing")
        argv = ["curl", "-sSk", "-u", "bob:b", ready["url"] + MP + "node/version"]
        subprocess.run(argv, capture_output=True, check=True)
        assert refused_by(NODE_IPS[0], ready["port"])
        program.stdin.close()
        assert program.wait(10) == 0


# ---- seen from outside, while it restarts ----


def test_shown__waits_for_a_restart_that_begins_meanwhile():
    with NsxLab(BINARY, restart_refused=0.3) as lab:
        settle, begun = lab.nsx.settle, []

        def settled_too_early():
            settle()
            if not begun:  # what a killed client has left is read only now
                begun.append(lab.nsx.restart_node(1))

        lab.nsx.settle = settled_too_early
        assert lab.shown_by(1) is not None and begun
