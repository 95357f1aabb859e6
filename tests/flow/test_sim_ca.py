"""The simulated CA: what it gives, and that it keeps its objects apart."""

import email.utils
import hmac
import json
import re
import time
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sim import ca_pki
from sim.acme_client import (  # noqa: F401
    Client,
    Key,
    b64,
    b64_json,
    dns,
    links,
    make_csr,
    number,
    revocation,
    rollover,
    ca_fixture,
    client_fixture,
    pair_fixture,
    tls_fixture,
)
from sim.ca_jws import public_bytes


# ---- a certificate, and what belongs to it ----


def test_sim__gives_a_certificate(ca, client):
    key = ca_pki.new_key()
    order = client.order("www.example.org", "example.org")
    assert order.status == 201 and order.json["status"] == "pending"
    assert client.prove(order) == ["valid", "valid"]
    assert client.post(order.location).json["status"] == "ready"
    done = client.finalize(order, make_csr(["example.org", "www.example.org"], key))
    assert done.json["status"] == "valid"
    chain = client.post(done.json["certificate"])
    assert chain.headers["Content-Type"] == "application/pem-certificate-chain"
    blocks = re.findall(rb"-----BEGIN.*?END CERTIFICATE-----\n", chain.body, re.S)
    leaf, issuer = [x509.load_pem_x509_certificate(block) for block in blocks]
    issuer.public_key().verify(
        leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())
    )
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["www.example.org", "example.org"]
    assert public_bytes(leaf.public_key()) == public_bytes(key.public_key())
    assert ca.counts["certificates issued"] == ca.counts["orders made"] == 1
    assert ca.counts["accounts made"] == 1 and ca.counts["challenges validated"] == 2
    assert ca.counts["newOrder"] == 1 and ca.counts["connections"] == ca.connections_max == 1


def test_sim__log_tells_what_was_asked(ca, client):
    client.order("www.example.org")
    asked = [(request.endpoint, request.method, request.status) for request in ca.log]
    assert asked == [
        ("directory", "GET", 200), ("newNonce", "HEAD", 200), ("newAccount", "POST", 201),
        ("newOrder", "POST", 201),
    ]  # fmt: skip
    last = ca.log[-1]
    assert json.loads(last.payload)["identifiers"][0]["value"] == "www.example.org"
    assert last.account_url == client.kid and last.protected["url"] == last.url
    assert last.headers["user-agent"] == "test/1"


def test_nonce__head_is_200_and_get_is_204(client):
    assert client.raw("HEAD", client.urls["newNonce"]).status == 200
    reply = client.get(client.urls["newNonce"])
    assert reply.status == 204 and reply.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[A-Za-z0-9_-]+", reply.headers["Replay-Nonce"])


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "RS256"])
def test_account__of_each_kind_of_key(ca, alg):
    client = Client(ca, Key(alg))
    assert client.register(contact=["mailto:a@example.org"]).status == 201
    shown = client.post(client.kid).json
    assert shown["status"] == "valid" and shown["contact"] == ["mailto:a@example.org"]
    assert client.order("www.example.org").status == 201
    client.close()


def test_account__of_a_known_key_is_given_back(ca, client):
    again = Client(ca, client.key)
    reply = again.post(again.urls["newAccount"], {"onlyReturnExisting": True})
    assert (reply.status, reply.location) == (200, client.kid)
    assert again.register().status == 200 and ca.counts["accounts made"] == 1
    other = Client(ca)
    reply = other.post(other.urls["newAccount"], {"onlyReturnExisting": True})
    assert reply.error == (400, "accountDoesNotExist")


def test_account__is_changed_and_deactivated(client):
    reply = client.post(client.kid, {"contact": ["mailto:b@example.org"]})
    assert reply.json["contact"] == ["mailto:b@example.org"]
    assert client.post(client.kid, {"contact": []}).json["contact"] == []
    assert client.post(client.kid, {"status": "odd"}).error == (400, "malformed")
    assert client.post(client.kid, {"status": "deactivated"}).json["status"] == "deactivated"
    assert client.post(client.kid).error == (401, "unauthorized")
    client.kid = None
    assert client.register().error == (401, "unauthorized")


@pytest.mark.parametrize(
    "contact, kind",
    [
        (["tel:+123"], "unsupportedContact"),
        (["mailto:a@example.org?subject=x"], "invalidContact"),
        (["mailto:a@example.org,b@example.org"], "invalidContact"),
        (["mailto:nobody"], "invalidContact"),
        ("mailto:a@example.org", "malformed"),
        ([1], "malformed"),
    ],
)
def test_account__contacts_are_checked(ca, contact, kind):
    assert Client(ca).register(contact=contact).error == (400, kind)


def test_terms__must_be_agreed_to_and_again_when_they_change(ca, client):
    other = Client(ca)
    for agreed in (False, None, "yes"):
        reply = other.register(termsOfServiceAgreed=agreed)
        assert reply.error == (403, "userActionRequired")
    ca.change_terms("https://ca.example.net/terms/next")
    reply = client.order("www.example.org")
    assert reply.error == (403, "userActionRequired")
    assert links(reply, "terms-of-service") == ["https://ca.example.net/terms/next"]
    assert client.get(reply.json["instance"]).status == 200
    assert client.order("www.example.org").status == 201


def test_orders__are_listed_by_pages_without_invalid_ones(ca, client):
    made = [client.order(f"n{n}.example.org").location for n in range(8)]
    ca.orders[made[2]].status = "invalid"
    url, seen = client.post(client.kid).json["orders"], []
    while url:
        reply = client.post(url)
        seen += reply.json["orders"]
        url = next(iter(links(reply, "next")), None)
    assert seen == made[:2] + made[3:]
    assert ca.counts["orders"] == 3


def test_orders__of_others_are_not_shown(ca, client):
    other = Client(ca)
    other.register()
    assert other.post(client.post(client.kid).json["orders"]).error == (403, "unauthorized")
    assert other.post(client.kid).error == (403, "unauthorized")


def test_objects__of_others_are_not_shown(ca, client):
    order, cert, _ = client.issue("www.example.org")
    authz = order.json["authorizations"][0]
    other = Client(ca)
    other.register()
    urls = [order.location, authz, client.challenge(authz)["url"], cert.url]
    for url in urls:
        assert other.post(url).error == (403, "unauthorized"), url
    reply = other.finalize(order, make_csr(["www.example.org"]))
    assert reply.error == (403, "unauthorized")
    assert client.post(ca.base + "/order/99").error == (404, "malformed")
    assert client.post(ca.base + "/nothing/1").error == (404, "malformed")


# ---- polls ----


def test_poll__stays_pending_as_long_as_told(ca, client):
    ca.processing, ca.order_async = 3, True
    order = client.order("www.example.org")
    authz = order.json["authorizations"][0]
    client.post(client.challenge(authz)["url"], {})
    assert [client.post(authz).json["status"] for _ in range(4)] == ["pending"] * 3 + ["valid"]
    done = client.finalize(order, make_csr(["www.example.org"]))
    assert done.json["status"] == "processing" and "certificate" not in done.json
    states = [client.post(order.location).json["status"] for _ in range(4)]
    assert states == ["processing"] * 3 + ["valid"]


def test_poll__of_the_challenge_is_as_good(ca, client):
    ca.processing = 2
    order = client.order("www.example.org")
    url = client.challenge(order.json["authorizations"][0])["url"]
    assert client.post(url, {}).json["status"] == "processing"
    states = [client.post(url).json["status"] for _ in range(3)]
    assert states == ["processing"] * 2 + ["valid"]


def test_links__index_and_up(ca, client):
    order = client.order("www.example.org")
    url = client.challenge(order.json["authorizations"][0])["url"]
    reply = client.post(url)
    assert links(reply, "index") == [ca.directory]
    assert links(reply, "up") == order.json["authorizations"]
    assert links(client.post(ca.base + "/order/99"), "index") == [ca.directory]
    assert links(client.post(order.location), "index") == [ca.directory]


def test_poll__retry_after_in_each_form(ca, client):
    ca.processing = 10
    order = client.order("www.example.org")
    authz = order.json["authorizations"][0]
    assert "Retry-After" not in client.post(authz).headers
    ca.retry_after, ca.retry_after_s = "seconds", 7
    assert client.post(authz).headers["Retry-After"] == "7"
    ca.retry_after = "date"
    reply = client.post(authz)
    date, now = [
        email.utils.parsedate_to_datetime(reply.headers[name]) for name in ("Retry-After", "Date")
    ]
    assert 6 <= (date - now).total_seconds() <= 8
    ca.retry_after = "alternate"
    forms = [client.post(authz).headers["Retry-After"].isdigit() for _ in range(4)]
    assert sorted(forms) == [False, False, True, True] and forms[0] != forms[1]


def test_authz__is_deactivated_and_the_order_with_it(ca, client):
    order = client.order("www.example.org")
    authz = order.json["authorizations"][0]
    assert client.post(authz, {"status": "valid"}).error == (400, "malformed")
    assert client.post(authz, {"status": "deactivated"}).json["status"] == "deactivated"
    assert client.post(authz, {"status": "deactivated"}).error == (400, "malformed")
    assert client.post(order.location).json["status"] == "invalid"
    assert client.post(client.challenge(authz)["url"], {}).error == (400, "malformed")
    assert ca.counts["authz deactivated"] == 1


def test_expiry__ends_orders_and_authorizations(ca, client):
    order = client.order("www.example.org")
    ca.orders[order.location].expires = time.time() - 1
    assert client.post(order.location).json["status"] == "invalid"
    order = client.order("www.example.org")
    ca.authzs[order.json["authorizations"][0]].expires = time.time() - 1
    assert client.post(order.location).json["status"] == "invalid"


@pytest.mark.parametrize("share, n_authzs", [(0, 2), (1, 1)])
def test_authz_reuse__as_told(ca, client, share, n_authzs):
    ca.authz_reuse = share
    client.ready("www.example.org")
    order = client.order("www.example.org")
    assert order.json["status"] == ("ready" if share else "pending")
    assert ca.counts["authzs made"] == n_authzs


def test_order_reuse__gives_back_an_open_order_of_the_same_names(ca, client):
    ca.order_reuse = True
    first = client.order("a.example.org", "b.example.org")
    again = client.order("b.example.org", "a.example.org")
    assert (again.status, again.location) == (201, first.location)
    assert client.order("a.example.org").location != first.location
    ca.orders[first.location].status = "invalid"
    assert client.order("a.example.org", "b.example.org").location != first.location


def test_new_authz__comes_before_the_order(ca, client):
    url = ca.base + "/new-authz"
    assert client.post(url, {"identifier": dns("a.example.org")}).error == (404, "malformed")
    ca.new_authz, ca.authz_reuse = True, 1
    assert client.get(ca.directory).json["newAuthz"] == url
    reply = client.post(url, {"identifier": dns("a.example.org")})
    assert reply.status == 201 and reply.json["status"] == "pending"
    client.post(client.challenge(reply.location)["url"], {})
    assert client.post(reply.location).json["status"] == "valid"
    assert client.order("a.example.org").json["status"] == "ready"
    assert client.post(url, {"identifier": dns("*.example.org")}).error == (400, "malformed")


def test_blocklist__names_each_forbidden_name(ca, client):
    ca.blocklist = ["bad.example.org", "evil.example"]
    reply = client.order("a.example.org", "x.bad.example.org", "evil.example")
    assert reply.error == (403, "rejectedIdentifier")
    found = [one["identifier"]["value"] for one in reply.json["subproblems"]]
    assert found == ["x.bad.example.org", "evil.example"]


def test_addresses__get_certificates(client):
    _, cert, _ = client.issue("192.0.2.7", "2001:db8::7", "www.example.org")
    leaf = x509.load_der_x509_certificate(cert.leaf)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    shown = [str(value) for value in names.get_values_for_type(x509.IPAddress)]
    assert shown == ["192.0.2.7", "2001:db8::7"]


# ---- certificates: chains, profiles, renewal, revocation ----


def test_alternates__go_to_other_roots(ca, client):
    ca.alternates, ca.chain_length = 3, 2
    _, cert, _ = client.issue("www.example.org")
    reply = client.post(cert.url)
    others = links(reply, "alternate")
    assert len(others) == 3 and len(reply.headers.get_all("Link")) > 1
    assert [one.startswith("/") for one in others].count(True) == 1
    bodies = {reply.body}
    for target in others:
        other = client.post(urllib.parse.urljoin(cert.url, target))
        assert other.status == 200 and other.body.count(b"BEGIN CERT") == 3
        assert len(links(other, "alternate")) == 3
        bodies.add(other.body)
    assert len(bodies) == 4
    assert client.post(cert.url + "/alternate/9").error == (404, "malformed")


def test_alternates__may_have_other_lengths(ca, client):
    ca.chain_length, ca.alternate_lengths = 3, [1, 2]
    _, cert, _ = client.issue("www.example.org")
    urls = [cert.url, cert.url + "/alternate/1", cert.url + "/alternate/2"]
    assert [client.post(url).body.count(b"BEGIN CERT") for url in urls] == [4, 2, 3]


def test_certificate__in_no_other_form(client):
    _, cert, _ = client.issue("www.example.org")
    jws = client.jws(client.header(cert.url), None)
    assert client.send(cert.url, jws, Accept="application/pkix-cert").error == (406, "malformed")


def test_profiles__decide_the_life(ca, client):
    ca.profiles = {"classic": {"days": 90}, "short": {"description": "six days", "days": 6}}
    shown = client.get(ca.directory).json["meta"]["profiles"]
    assert shown == {"classic": "", "short": "six days"}
    order, cert, _ = client.issue("www.example.org", profile="short")
    assert order.json["profile"] == "short"
    assert cert.not_after - cert.not_before == 6 * 86400


def test_renewal_info__and_its_certificate_name(ca, client):
    # The vector of RFC 9773 section 4.1.
    key_id = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    assert ca_pki.certificate_id(key_id, 0x87654321) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    _, cert, _ = client.issue("www.example.org")
    url = f"{client.urls['renewalInfo']}/{cert.id}"
    reply = client.get(url)
    window = reply.json["suggestedWindow"]
    assert reply.headers["Retry-After"] == "21600" and window["start"] < window["end"]
    ca.set_window(cert, 1e9, "2001-09-09T01:46:41.5Z", "https://ca.example.net/why", 60)
    reply = client.get(url)
    assert reply.json == {
        "suggestedWindow": {"start": "2001-09-09T01:46:40Z", "end": "2001-09-09T01:46:41.5Z"},
        "explanationURL": "https://ca.example.net/why",
    }
    assert reply.headers["Retry-After"] == "60"
    assert client.get(client.urls["renewalInfo"] + "/a.b").status == 404


def test_replaces__once_by_the_same_account(ca, client):
    _, cert, _ = client.issue("www.example.org")
    order = client.order("www.example.org", replaces=cert.id)
    assert order.status == 201 and order.json["replaces"] == cert.id
    reply = client.order("www.example.org", replaces=cert.id)
    assert reply.error == (409, "alreadyReplaced")
    ca.orders[order.location].status = "invalid"
    assert client.order("www.example.org", replaces=cert.id).status == 201
    assert client.order("other.example.org", replaces=cert.id).error == (400, "malformed")
    other = Client(ca)
    other.register()
    assert other.order("www.example.org", replaces=cert.id).error == (403, "unauthorized")


def test_replaces__of_what_is_not_ours(ca, client):
    _, cert, _ = client.issue("www.example.org")
    foreign = ca_pki.certificate_id(bytes(20), 1)
    assert client.order("www.example.org", replaces=foreign).error == (404, "malformed")
    ca.foreign_status = 400
    assert client.order("www.example.org", replaces=foreign).error == (400, "malformed")
    key_id = cert.id.partition(".")[0]
    assert client.order("www.example.org", replaces=key_id + ".AQ").error == (404, "malformed")
    assert client.order("www.example.org", replaces="a").error == (400, "malformed")
    ca.ari = False
    assert "renewalInfo" not in client.get(ca.directory).json
    assert client.order("www.example.org", replaces=cert.id).error == (400, "malformed")


def test_revoke__by_the_account(ca, client):
    _, cert, _ = client.issue("www.example.org")
    url = client.urls["revokeCert"]
    reply = client.post(url, revocation(cert, reason=2))
    assert reply.error == (400, "badRevocationReason") and "0, 1, 3, 4, 5" in reply.json["detail"]
    assert client.post(url, revocation(cert, reason=4)).status == 200
    assert cert.revoked and cert.reason == 4 and ca.counts["revoked"] == 1
    assert client.post(url, revocation(cert)).error == (400, "alreadyRevoked")
    assert client.post(url, {"certificate": b64(b"other")}).error == (404, "malformed")


def test_revoke__by_the_key_of_the_certificate(ca, client):
    _, cert, key = client.issue("www.example.org")
    other = Client(ca)
    assert other.post(client.urls["revokeCert"], revocation(cert)).error == (403, "unauthorized")
    other.key.private = key
    numbers = key.public_key().public_numbers()
    other.key.jwk.update(x=number(numbers.x, 32), y=number(numbers.y, 32))
    assert other.post(client.urls["revokeCert"], revocation(cert, reason=1)).status == 200
    assert cert.reason == 1


def test_revoke__by_an_account_that_holds_the_names(ca, client):
    _, cert, _ = client.issue("a.example.org", "b.example.org")
    other = Client(ca)
    other.register()
    other.ready("a.example.org")
    assert other.post(other.urls["revokeCert"], revocation(cert)).error == (403, "unauthorized")
    other.ready("b.example.org")
    assert other.post(other.urls["revokeCert"], revocation(cert)).status == 200


# ---- accounts: keys and external accounts ----


def test_key_change__then_only_the_new_key_signs(ca, client):
    new = Key("ES384")
    assert rollover(client, new).status == 200
    assert client.post(client.kid).error == (400, "badSignatureAlgorithm")
    client.key = new
    assert client.post(client.kid).json["status"] == "valid"
    assert ca.counts["keys changed"] == 1


@pytest.mark.parametrize(
    "change, status",
    [
        ({"header": {"nonce": "abcd"}}, 400),
        ({"header": {"url": "https://127.0.0.1/other"}}, 401),
        ({"header": {"kid": "x"}}, 400),
        ({"payload": {"account": "https://127.0.0.1/account/7"}}, 400),
        ({"payload": {"oldKey": Key().jwk}}, 400),
        ({"payload": {"oldKey": None}}, 400),
        ({"signer": Key()}, 400),
    ],
)
def test_key_change__inner_jws_is_checked(client, change, status):
    assert rollover(client, Key(), **change).status == status
    assert client.post(client.kid).status == 200


def test_key_change__to_a_key_that_has_an_account(ca, client):
    other = Client(ca)
    other.register()
    reply = rollover(client, other.key)
    assert reply.error == (409, "malformed") and reply.location == other.kid


MAC = b"0123456789abcdef0123456789abcdef"


def binding(client, alg="HS256", kid="kid-1", mac=MAC, key=None, **bent_header):
    """An external account binding."""
    header = {"alg": alg, "kid": kid, "url": client.urls["newAccount"], **bent_header}
    head, payload = b64_json(header), b64_json(key or client.key.jwk)
    digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}.get(alg, "sha1")
    mac = hmac.new(mac, f"{head}.{payload}".encode(), digest).digest()
    return {"protected": head, "payload": payload, "signature": b64(mac)}


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_eab__is_taken(ca, alg):
    ca.eab = {"kid-1": b64(MAC)}
    client = Client(ca)
    assert client.get(ca.directory).json["meta"]["externalAccountRequired"] is True
    assert client.register().error == (403, "externalAccountRequired")
    found = binding(client, alg)
    assert client.register(externalAccountBinding=found).status == 201
    assert client.post(client.kid).json["externalAccountBinding"] == found


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"kid": "kid-9"}, (403, "unauthorized")),
        ({"kid": "kid-old"}, (403, "unauthorized")),
        ({"mac": b"other"}, (403, "unauthorized")),
        ({"alg": "HS1"}, (400, "badSignatureAlgorithm")),
        ({"alg": "ES256"}, (400, "badSignatureAlgorithm")),
        ({"nonce": "abcd"}, (400, "malformed")),
        ({"url": "https://127.0.0.1/x"}, (401, "unauthorized")),
        ({"key": Key().jwk}, (400, "malformed")),
    ],
)
def test_eab__is_checked(ca, change, expected):
    ca.eab, ca.eab_expired = {"kid-1": b64(MAC), "kid-old": b64(MAC)}, ["kid-old"]
    client = Client(ca)
    assert client.register(externalAccountBinding=binding(client, **change)).error == expected
    assert ca.counts["accounts made"] == 0
