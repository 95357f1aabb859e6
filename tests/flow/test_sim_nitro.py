"""The simulated NetScaler does what the real one does, above all where it refuses."""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from real import pki
from sim.nitro import Nitro, NitroError
from sim.nitro_client import Client, ask, served

SSL = "/nsconfig/ssl/"
EC, RSA = "ecdsa", "rsa"
ANSWER = '"HTTP/1.1 200 OK" + "\\r\\n\\r\\n" + "token.thumb"'
RULE = 'HTTP.REQ.HOSTNAME.SERVER.EQ("a.example.org") && HTTP.REQ.URL.PATH.EQ("/.well-known/x")'


class Material:
    """A chain of CAs, and certificates below it: PEM text."""

    def __init__(self, folder):
        self._folder = folder
        self.root = pki.TestCA(self._new("root"), "root")
        self.middle = self._authority("middle", self.root)
        self.low = self._authority("low", self.middle)
        self.www = self.leaf("www.example.org")
        self.again = self.leaf("www.example.org")
        self.rsa = self.leaf("www.example.org", RSA)
        self.other = self.leaf("other.example.org")
        self.by_root = self.leaf("www.example.org", above=self.root)

    def _new(self, name):
        path = os.path.join(self._folder, name)
        os.mkdir(path)
        return path

    def _authority(self, name, above):
        below = pki.TestCA(self._new(name), name)
        request, extensions = below.file + ".csr", below.file + ".ext"
        pki.openssl("req", "-new", "-key", below.key, "-subj", "/CN=" + name, "-out", request)
        with open(extensions, "w", encoding="ascii") as file:
            file.write("basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n")
        pki.openssl(
            "x509", "-req", "-in", request, "-CA", above.file, "-CAkey", above.key,
            "-CAcreateserial", "-days", 30, "-extfile", extensions, "-out", below.file,
        )  # fmt: skip
        return below

    def leaf(self, name, key_type=EC, above=None):
        """(certificate, key) of a leaf below a CA, the last one unless said otherwise."""
        base = os.path.join(self._folder, f"leaf{len(os.listdir(self._folder))}")
        cert, key = (above or self.low).issue(base, "DNS:" + name, key_type)
        return self.read(cert), self.read(key)

    @staticmethod
    def read(path):
        """What is in a file."""
        with open(path, encoding="ascii") as file:
            return file.read()

    def encrypted(self, key, password):
        """A key as encrypted PKCS#8."""
        return pki.openssl(
            "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:" + password,
            data=key.encode(),
        )  # fmt: skip


@pytest.fixture(scope="module", name="pem")
def _pem(tmp_path_factory):
    return Material(str(tmp_path_factory.mktemp("material")))


@pytest.fixture(name="device")
def _device(tmp_path):
    """A device with a plain and an SSL vserver."""
    with Nitro(str(tmp_path)) as nitro:
        nitro.vserver("web")
        nitro.vserver("switch", "cs")
        nitro.ssl_vserver("shop")
        yield nitro


@pytest.fixture(name="client")
def _client(device):
    """A session on it."""
    client = Client(device.primary)
    yield client
    client.close()


@pytest.fixture(name="stocked")
def _stocked(client, pem):
    """With files, and the pairs www and rsa linked to low, that to middle."""
    for name, (cert, key) in {"www": pem.www, "rsa": pem.rsa, "other": pem.other}.items():
        client.upload(name + ".crt", cert)
        client.upload(name + ".key", key)
    client.upload("again.crt", pem.again[0])
    client.upload("again.key", pem.again[1])
    for name in ("low", "middle", "root"):
        client.upload(name + ".crt", pem.read(getattr(pem, name).file))
    client.upload("text.crt", "this is not PEM")
    client.upload("locked.key", pem.encrypted(pem.www[1], "secret"))
    for name in ("low", "middle"):
        client.post("sslcertkey", certkey=name, cert=name + ".crt")
    for name in ("www", "rsa"):
        client.post("sslcertkey", certkey=name, cert=name + ".crt", key=name + ".key")
        client.post("sslcertkey", "link", certkey=name, linkcertkeyname="low")
    assert client.post("sslcertkey", "link", certkey="low", linkcertkeyname="middle").status == 200
    return client


# ---- sessions ----


def test_login__gives_a_cookie_that_works_in_both_headers(device):
    client = Client(device.primary, login=None)
    reply = client.login("nsroot", "nsroot", timeout=600)
    assert (reply.status, reply.reason, reply.code) == (201, "Created", 0)
    token = reply.body["sessionid"]
    assert reply.headers["Set-Cookie"].startswith(f"NITRO_AUTH_TOKEN={token};")
    for name in ("Cookie", "Set_Cookie"):
        value = "NITRO_AUTH_TOKEN=" + token
        assert client.send("GET", "config/nsversion", **{name: value}).status == 200
    client.headers["Cookie"] = "NITRO_AUTH_TOKEN=" + token
    assert (client.post("logout").status, device.sessions) == (201, 0)
    assert client.send("GET", "config/nsversion").code == 1027


def _refused_logins():
    wrong, gone = {"username": "nsroot", "password": "x"}, {"username": "x", "password": "x"}
    good = {"username": "nsroot", "password": "nsroot"}
    yield "wrong password", {}, wrong, 401, 354
    yield "unknown user", {}, gone, 401, 354
    yield "no password", {}, {"username": "nsroot"}, 400, 1095
    yield "timeout too short", {}, {**good, "timeout": 10}, 599, 1219
    yield "credentials in headers too", {"X_NITRO_USER": "nsroot"}, good, 400, 1238
    yield "a cookie too", {"Cookie": "NITRO_AUTH_TOKEN=x"}, good, 400, 1238
    yield "something else in it", {}, {**good, "colour": "red"}, 599, 278


@pytest.mark.parametrize("headers,body,status,code", [pytest.param(*r[1:], id=r[0]) for r in
                                                     _refused_logins()])  # fmt: skip
def test_login__is_refused(device, headers, body, status, code):
    client = Client(device.primary, login=None)
    reply = client.send("POST", "config/login", {"login": body}, **headers)
    assert (reply.status, reply.code, device.sessions) == (status, code, 0)


def test_sessions__end_and_are_counted(device, client):
    device.expire_sessions()
    reply = client.send("GET", "config/nsversion")
    assert (reply.status, reply.reason, reply.code) == (401, "Unauthorized", 444)
    client = Client(device.primary)
    device.clock_shift = 1801
    assert client.send("GET", "config/nsversion").code == 444
    device.clock_shift, device.session_limit = 0, 1
    client = Client(device.primary)
    client.headers.clear()
    assert client.login("nsroot", "nsroot").code == 445
    reply = client.send("GET", "config/nsversion")
    assert (reply.status, reply.code) == (401, 352)


def test_headers__are_the_other_way_to_log_in(device):
    client = Client(device.primary, login=None)
    client.headers = {"X-NITRO-USER": "nsroot", "X-NITRO-PASS": "nsroot"}
    assert client.get("nsversion")["version"].startswith("NetScaler NS14.1")
    assert device.sessions == 0
    assert client.send("GET", "config/nsversion", Cookie="NITRO_AUTH_TOKEN=x").code == 1238
    device.basic_auth = False
    assert client.send("GET", "config/nsversion").code == 1244
    device.basic_auth = True
    client.headers["X-NITRO-PASS"] = "wrong"
    assert client.send("GET", "config/nsversion").code == 354


def test_accounts__are_locked_after_wrong_passwords(device):
    device.lock_after = 2
    client = Client(device.primary, login=None)
    codes = [client.login("nsroot", "no").code for _ in range(3)]
    assert codes == [354, 354, 355]
    assert client.login("nsroot", "nsroot").code == 355


# ---- requests ----


def _bad_requests():
    one = json.dumps({"systemfile": {}})
    yield "GET", "config/nothing", None, {}, 400, 1232
    yield "GET", "config/login", None, {}, 400, 1232
    yield "PATCH", "config/sslcertkey", None, {}, 400, 1237
    yield "DELETE", "config/nsversion/x", None, {}, 400, 1240
    yield "POST", "config/sslcertkey?action=explode", {"sslcertkey": {}}, {}, 400, 1240
    yield "POST", "config/sslcertkey", "{", {}, 400, 1233
    yield "POST", "config/sslcertkey", "[]", {}, 400, 1234
    yield "POST", "config/sslcertkey", {"sslcertkey": 5}, {}, 400, 1234
    yield "POST", "config/sslcertkey", {"systemfile": {}}, {}, 400, 1232
    yield "POST", "config/systemfile", one, {"Content_Type": "text/plain"}, 400, 1238
    yield "POST", "config/systemfile", one, {
        "Content_Type": "application/vnd.com.citrix.netscaler.login+json"}, 400, 1238  # fmt: skip
    yield "POST", "config/systemfile", one, {
        "Content_Type": "application/vnd.com.citrix.netscaler.systemfile+json"
    }, 400, 1095  # fmt: skip
    yield "GET", "config/sslcertkey?colour=red", None, {}, 599, 278
    yield "GET", "config/sslcertkey/none", None, {}, 404, 1540
    yield "GET", "config/lbvserver/none", None, {}, 404, 258
    yield "DELETE", "config/sslcertkey", None, {}, 400, 1095
    yield "PUT", "config/sslcertkey", {"sslcertkey": {"certkey": "x", "cert": "y"}}, {}, 599, 278
    yield "PUT", "config/sslcertkey", {"sslcertkey": {"certkey": None}}, {}, 400, 1234


@pytest.mark.parametrize("method,path,body,headers,status,code", _bad_requests())
def test_requests__are_refused(client, method, path, body, headers, status, code):
    reply = client.send(method, path, body, **headers)
    assert (reply.status, reply.code) == (status, code)
    assert reply.body["severity"] == "ERROR"


def test_paths__outside_nitro_are_no_json(device):
    client = Client(device.primary)
    assert client.send("GET", "../v2/config/x").status == 404
    assert client.send("GET", "config/a/b/c").status == 404


@pytest.mark.parametrize("name", ["a%20b", "a%2520b"])
def test_names__are_encoded_once_or_twice(stocked, name):
    assert stocked.post("sslcertkey", certkey="a b", cert="root.crt").status == 201
    assert stocked.get("sslcertkey/" + name)[0]["certkey"] == "a b"
    folder = "%252Fnsconfig%252Fssl" if "25" in name else "%2Fnsconfig%2Fssl"
    assert stocked.delete(f"systemfile/root.crt?args=filelocation:{folder}").status == 200


def test_form_encoding__is_taken(client):
    body = "object=" + json.dumps({"sslcertkey": {"certkey": "x"}}).replace(" ", "")
    kind = "application/x-www-form-urlencoded"
    assert client.send("POST", "config/sslcertkey", body, Content_Type=kind).code == 1095


def test_reads__select_rows_and_members(stocked):
    assert stocked.get("sslcertkey?attrs=certkey&filter=certkey:www") == [{"certkey": "www"}]
    assert len(stocked.get("sslcertkey?filter=certkey:/^w/")) == 1
    assert stocked.get("sslcertkey?count=yes") == [{"__count": 4}]
    reply = stocked.send("GET", "config/sslvserver_sslcertkey_binding/shop")
    assert (reply.status, list(reply.body)) == (200, ["errorcode", "message", "severity"])
    assert stocked.get("nsfeature")["responder"] is True
    assert "RESPONDER" in stocked.get("nsfeature")["feature"]


def test_warnings__come_when_asked_for(device, client):
    device.features.remove("RESPONDER")
    action = {"type": "respondwith", "target": ANSWER}
    assert client.post("responderaction", name="a", **action).status == 201
    reply = client.post("responderaction", query="warning=yes", name="b", **action)
    assert (reply.status, reply.reason, reply.code) == (209, "X-NITRO-WARNING", 1067)
    assert reply.body["severity"] == "WARNING"


def test_idempotent__takes_what_is_there_already(stocked):
    same = {"certkey": "www", "cert": "www.crt", "key": "www.key"}
    assert stocked.post("sslcertkey", **same).code == 273
    assert stocked.post("sslcertkey", query="idempotent=yes", **same).status == 201
    same["key"] = "rsa.key"
    assert stocked.post("sslcertkey", query="idempotent=yes", **same).code == 273


@pytest.mark.parametrize(
    "how,codes,made",
    [("exit", [0, 3081], {"x"}), ("continue", [0, 3081, 0], {"x", "y"}),
     ("rollback", [0, 3081], set())],
)  # fmt: skip
def test_bulk__goes_on_or_not(device, client, how, codes, made):
    fine = {"type": "respondwith", "target": ANSWER}
    new = [{"name": "x", **fine}, {"name": "bad", "type": "respondwith", "target": "("},
           {"name": "y", **fine}]  # fmt: skip
    body = {"responderaction": new}
    reply = client.send("POST", "config/responderaction", body, X_NITRO_ONERROR=how)
    assert (reply.status, reply.reason, reply.code) == (207, "Multi Status", 1243)
    assert [one["errorcode"] for one in reply.body["response"]] == codes
    assert set(device.objects("responderaction")) == made


def test_bulk__succeeds_whole(device, client):
    fine = {"type": "respondwith", "target": ANSWER}
    body = {"responderaction": [{"name": "x", **fine}, {"name": "y", **fine}]}
    reply = client.send("POST", "config/responderaction", body)
    assert (reply.status, len(reply.body["response"])) == (201, 2)
    assert client.send("POST", "config/systemfile", {"systemfile": [{}]},
                       X_NITRO_ONERROR="rollback").code == 1242  # fmt: skip
    assert client.send("POST", "config/responderaction", body, X_NITRO_ONERROR="x").code == 278
    assert len(device.objects("responderaction")) == 2


# ---- files ----


@pytest.mark.parametrize(
    "changed,status,code",
    [
        ({}, 409, 273),
        ({"filename": "b.crt"}, 201, 0),
        ({"filename": "x" * 59 + ".crt"}, 201, 0),
        ({"filename": "x" * 60 + ".crt"}, 599, 1106),
        ({"filename": "b/c.crt"}, 400, 1097),
        ({"filename": "b.crt", "filelocation": "/nsconfig/nowhere"}, 599, 3440),
        ({"filename": "b.crt", "filelocation": "/etc"}, 599, 3445),
        ({"filename": "b.crt", "filelocation": "/flash/nsconfig/ssl/"}, 201, 0),
        ({"filename": "b.crt", "filelocation": ""}, 400, 1095),
        ({"filename": "b.crt", "filecontent": "###"}, 599, 3443),
        ({"filename": "b.crt", "fileencoding": "HEX"}, 599, 3444),
        ({"filename": "b.exe"}, 599, 3442),
        ({"filename": "b.crt", "filecontent": base64.b64encode(b"x" * 300).decode()}, 599, 283),
    ],
)
def test_files__are_added_never_overwritten(device, client, changed, status, code):
    device.extensions, device.max_file = (".crt", ".key"), 256
    assert client.upload("a.crt", "one").status == 201
    reply = client.upload("a.crt", "two", **changed)
    assert (reply.status, reply.code) == (status, code)
    assert device.files()["a.crt"] == b"one"


def test_files__are_read_and_deleted(device, client):
    client.upload("a.crt", "one")
    where = "?args=filelocation:%2Fnsconfig%2Fssl"
    assert [one["filename"] for one in client.get("systemfile" + where)] == ["a.crt"]
    whole = client.get("systemfile?args=filename:a.crt,filelocation:%2Fnsconfig%2Fssl")[0]
    assert base64.b64decode(whole["filecontent"]) == b"one"
    assert client.send("GET", "config/systemfile").code == 1095
    assert client.delete("systemfile/a.crt").code == 1095
    assert client.delete("systemfile/a.crt" + where).status == 200
    reply = client.delete("systemfile/a.crt" + where)
    assert (reply.status, reply.code) == (404, 3441)
    assert client.send("GET", f"config/systemfile/a.crt{where}").code == 3441
    device.disk_free = 2
    reply = client.upload("b.crt", "one")
    assert (reply.code, reply.body["message"]) == (284, "No space left on device")
    assert not device.files()


# ---- certificates ----


@pytest.mark.parametrize(
    "body,code",
    [
        ({"certkey": "www", "cert": "again.crt", "key": "again.key"}, 273),
        ({"certkey": "n", "cert": "none.crt"}, 1647),
        ({"certkey": "n", "cert": "www.crt", "key": "none.key"}, 1647),
        ({"certkey": "n", "cert": "text.crt"}, 1536),
        ({"certkey": "n", "cert": "www.crt", "key": "text.crt"}, 1537),
        ({"certkey": "n", "cert": "www.crt", "key": "again.key"}, 1538),
        ({"certkey": "n", "cert": "www.crt", "key": "rsa.key"}, 1538),
        ({"certkey": "n", "cert": "www.crt", "key": "locked.key"}, 1613),
        ({"certkey": "n", "cert": "www.crt", "key": "locked.key", "passplain": "no"}, 1614),
        ({"certkey": "n", "cert": "www.crt", "key": "locked.key", "password": True}, 1093),
        ({"certkey": "n", "cert": "www.crt", "key": "locked.key", "password": True,
          "passplain": "secret"}, 0),
        ({"certkey": "n", "cert": "low.crt"}, 273),  # the same CA under another name
        ({"certkey": "n", "cert": "root.crt"}, 0),
        ({"certkey": "n" * 31, "cert": "root.crt"}, 0),
        ({"certkey": "n" * 32, "cert": "root.crt"}, 1106),
        ({"certkey": "-n", "cert": "root.crt"}, 1075),
        ({"certkey": "a/b", "cert": "root.crt"}, 1075),
        ({"certkey": "n", "cert": "root.crt", "notificationperiod": 5}, 1109),
        ({"certkey": "n", "cert": "root.crt", "inform": "TXT"}, 1097),
        ({"certkey": "n", "cert": "/nsconfig/ssl/root.crt"}, 0),
        ({"certkey": "n", "cert": "/flash/nsconfig/ssl/root.crt"}, 0),
        ({"certkey": "n"}, 1095),
    ],
)  # fmt: skip
def test_certkey__is_checked_when_it_is_added(stocked, body, code):
    assert stocked.post("sslcertkey", **body).code == code


@pytest.mark.parametrize(
    "body,code",
    [
        ({"certkey": "none", "cert": "www.crt"}, 1540),
        ({"certkey": "www", "cert": "again.crt"}, 1538),  # not the key that stays
        ({"certkey": "www", "cert": "again.crt", "key": "again.key"}, 0),
        ({"certkey": "www", "cert": "other.crt", "key": "other.key"}, 3585),
        ({"certkey": "www", "cert": "other.crt", "key": "other.key", "nodomaincheck": True}, 0),
        ({"certkey": "low", "cert": "root.crt"}, 3585),
        ({"certkey": "www", "cert": "www.crt", "key": "locked.key"}, 1613),
        ({"certkey": "www", "cert": "www.crt", "key": "locked.key", "passplain": "secret"}, 0),
    ],
)
def test_certkey__is_checked_when_it_is_updated(stocked, body, code):
    before = stocked.get("sslcertkey")
    reply = stocked.post("sslcertkey", "update", **body)
    assert reply.code == code
    assert (stocked.get("sslcertkey") == before) == (code != 0)


def test_certkey__comes_in_other_forms_too(device, stocked, pem, tmp_path):
    cert, key = (text.encode() for text in pem.again)
    stocked.upload("a.der", pki.openssl("x509", "-outform", "DER", data=cert))
    stocked.upload("k.der", pki.openssl("pkey", "-outform", "DER", data=key))
    both = tmp_path / "both.pem"
    both.write_bytes(cert + key)
    stocked.upload("a.pfx", pki.openssl("pkcs12", "-export", "-in", both, "-passout", "pass:x"))
    der = {"cert": "a.der", "key": "k.der", "inform": "DER"}
    assert stocked.post("sslcertkey", certkey="der", **der).status == 201
    pfx = {"certkey": "pfx", "cert": "a.pfx", "inform": "PFX"}
    assert stocked.post("sslcertkey", **pfx).code == 1613
    assert stocked.post("sslcertkey", **pfx, password=True, passplain="y").code == 1614
    assert stocked.post("sslcertkey", **pfx, password=True, passplain="x").status == 201
    serials = {stocked.get("sslcertkey/" + name)[0]["serial"] for name in ("der", "pfx")}
    assert len(serials) == 1
    device.pkcs8 = False
    new = {"certkey": "n", "cert": "again.crt"}
    assert stocked.post("sslcertkey", **new, key="again.key").code == 1537
    stocked.upload("sec1.key", pki.openssl("ec", data=key))
    assert stocked.post("sslcertkey", **new, key="sec1.key").status == 201


def test_certkey__may_take_its_files_along(device, stocked):
    made = {"certkey": "n", "cert": "again.crt", "key": "again.key"}
    assert stocked.post("sslcertkey", **made, deleteCertKeyFilesOnRemoval="ALWAYS").status == 201
    assert stocked.delete("sslcertkey/n").status == 200
    assert not {"again.crt", "again.key"} & set(device.files())


def test_update__keeps_bindings_and_breaks_links_that_do_not_fit(device, stocked, pem):
    shop = device.vservers["shop"]
    stocked.put("sslvserver_sslcertkey_binding", vservername="shop", certkeyname="www")
    first = served(shop).serial_number
    assert stocked.post(
        "sslcertkey", "update", certkey="www", cert="again.crt", key="again.key"
    ).code == 0  # fmt: skip
    assert stocked.get("sslcertkey/www")[0]["linkcertkeyname"] == "low"
    assert served(shop).serial_number != first
    for content, name in zip(pem.by_root, ("by-root.crt", "by-root.key")):
        stocked.upload(name, content)
    reply = stocked.post(
        "sslcertkey", "update", "warning=yes", certkey="www", cert="by-root.crt",
        key="by-root.key",
    )  # fmt: skip
    assert (reply.status, reply.code) == (209, 1587)
    assert "linkcertkeyname" not in stocked.get("sslcertkey/www")[0]


@pytest.mark.parametrize(
    "action,body,code",
    [
        ("link", {"certkey": "www", "linkcertkeyname": "low"}, 273),
        ("link", {"certkey": "www", "linkcertkeyname": "middle"}, 273),
        ("link", {"certkey": "www", "linkcertkeyname": "www"}, 1543),
        ("link", {"certkey": "none", "linkcertkeyname": "low"}, 1540),
        ("link", {"certkey": "www", "linkcertkeyname": "none"}, 1540),
        ("link", {"certkey": "middle", "linkcertkeyname": "low"}, 1677),
        ("link", {"certkey": "middle", "linkcertkeyname": "rsa"}, 1677),
        ("unlink", {"certkey": "middle"}, 1545),
        ("unlink", {"certkey": "www"}, 0),
    ],
)
def test_links__are_refused_where_they_make_no_chain(stocked, action, body, code):
    assert stocked.post("sslcertkey", action, **body).code == code


def test_link__needs_the_issuer(stocked):
    stocked.post("sslcertkey", "unlink", certkey="www")
    reply = stocked.post("sslcertkey", "link", certkey="www", linkcertkeyname="middle")
    assert (reply.status, reply.reason, reply.code) == (599, "Netscaler specific error", 1548)


def test_certkey__shows_what_it_is(device, stocked, pem):
    shown = stocked.get("sslcertkey/www")[0]
    wanted = pki.openssl("x509", "-noout", "-serial", data=pem.www[0].encode()).decode()
    assert int(shown["serial"], 16) == int(wanted.strip().partition("=")[2], 16)
    assert shown["linkcertkeyname"] == "low" and shown["status"] == "Valid"
    assert (shown["publickey"], shown["publickeysize"]) == ("id-ecPublicKey", 256)
    assert "CN=www.example.org" in shown["subject"] and "CN=low" in shown["issuer"]
    assert shown["cert"] == "www.crt" and not [name for name in shown if name.startswith("_")]
    device.absolute_paths = True
    assert stocked.get("sslcertkey/www")[0]["key"] == SSL + "www.key"
    device.days_later = 4000
    assert stocked.get("sslcertkey/www")[0]["status"] == "Expired"
    chain = stocked.get("sslcertchain_binding/www")[0]["sslcertchain_sslcertkey_binding"]
    assert [one["linkcertkeyname"] for one in chain] == ["low", "middle"]


def test_references__keep_objects(device, stocked):
    for name in ("low", "middle"):
        reply = stocked.delete("sslcertkey/" + name)
        assert (reply.status, reply.code) == (599, 1541)
    stocked.put("sslvserver_sslcertkey_binding", vservername="shop", certkeyname="www")
    assert stocked.delete("sslcertkey/www").code == 1541
    assert stocked.get("sslcertkey_sslvserver_binding/www")[0]["servername"] == "shop"
    path = "sslvserver_sslcertkey_binding/shop?args=certkeyname:"
    assert stocked.delete(path + "rsa").code == 1542
    assert stocked.delete(path + "www").status == 200
    assert stocked.delete("sslcertkey/www").status == 200
    assert device.files()["www.key"]  # files stay


# ---- bindings to SSL vservers ----


@pytest.mark.parametrize(
    "body,code",
    [
        ({"vservername": "none", "certkeyname": "www"}, 258),
        ({"vservername": "web", "certkeyname": "www"}, 1544),
        ({"vservername": "shop", "certkeyname": "none"}, 1540),
        ({"vservername": "shop", "certkeyname": "low"}, 1547),
        ({"vservername": "shop", "certkeyname": "low", "ca": True}, 0),
        ({"vservername": "shop", "certkeyname": "www", "snicert": True}, 3627),
        ({"vservername": "shop", "certkeyname": "www", "snicert": True, "ca": True}, 1092),
        ({"vservername": "shop", "certkeyname": "www", "crlcheck": "Mandatory"}, 1093),
        ({"vservername": "shop", "certkeyname": "www"}, 0),
    ],
)
def test_bindings__are_checked(stocked, body, code):
    assert stocked.put("sslvserver_sslcertkey_binding", **body).code == code


def test_bindings__one_of_each_key_type(device, stocked):
    shop = device.vservers["shop"]
    assert served(shop) is None
    kind = "sslvserver_sslcertkey_binding"
    for name in ("www", "rsa", "www"):
        assert stocked.put(kind, vservername="shop", certkeyname=name).code == 0
    assert len(stocked.get(kind + "/shop")) == 2
    assert served(shop, ciphers="RSA") != served(shop, ciphers="ECDSA")
    stocked.post("sslcertkey", certkey="other", cert="other.crt", key="other.key")
    reply = stocked.put(kind, "warning=yes", vservername="shop", certkeyname="other")
    assert (reply.status, reply.code, reply.body["severity"]) == (200, 1546, "WARNING")
    bound = {one["certkeyname"] for one in stocked.get(kind + "/shop")}
    assert bound == {"rsa", "other"}


def test_sni__chooses_by_name(device, stocked):
    shop, kind = device.vservers["shop"], "sslvserver_sslcertkey_binding"
    stocked.post("sslcertkey", certkey="other", cert="other.crt", key="other.key")
    stocked.post("sslcertkey", certkey="again", cert="again.crt", key="again.key")
    stocked.put(kind, vservername="shop", certkeyname="other")
    assert stocked.put("sslvserver", vservername="shop", snienable="ENABLED").status == 200
    assert stocked.put(kind, vservername="shop", certkeyname="www", snicert=True).status == 200
    assert stocked.put(kind, vservername="shop", certkeyname="again", snicert=True).code == 3629
    names = {name: served(shop, name).subject.rfc4514_string() for name in
             ("www.example.org", "nobody.example.org")}  # fmt: skip
    assert names == {"www.example.org": "CN=www.example.org",
                     "nobody.example.org": "CN=other.example.org"}  # fmt: skip
    assert stocked.delete(f"{kind}/shop?args=certkeyname:www").code == 1542
    assert stocked.delete(f"{kind}/shop?args=certkeyname:www,snicert:true").status == 200
    assert served(shop, "www.example.org").subject.rfc4514_string() == "CN=other.example.org"
    assert stocked.put("sslvserver", vservername="shop", snienable="PERHAPS").code == 1097


def test_chain__is_sent_as_it_is_linked(device, stocked, pem):
    shop = device.vservers["shop"]
    stocked.put("sslvserver_sslcertkey_binding", vservername="shop", certkeyname="www")
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", shop.address, "-showcerts", "-CAfile", pem.root.file],
        input=b"", capture_output=True, check=False,
    ).stdout.decode()  # fmt: skip
    assert shown.count("BEGIN CERTIFICATE") == 3 and "Verify return code: 0" in shown
    stocked.post("sslcertkey", "unlink", certkey="low")
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", shop.address, "-showcerts", "-CAfile", pem.root.file],
        input=b"", capture_output=True, check=False,
    ).stdout.decode()  # fmt: skip
    assert shown.count("BEGIN CERTIFICATE") == 2 and "Verify return code: 0" not in shown


# ---- responder ----


def _responder(client, name="a", rule=RULE, target=ANSWER, priority=10, vserver="web"):
    """Action, policy, binding; returns the last reply."""
    client.post("responderaction", name=name, type="respondwith", target=target)
    client.post("responderpolicy", name=name, action=name, rule=rule)
    kind = "lbvserver_responderpolicy_binding"
    return client.put(kind, name=vserver, policyname=name, priority=priority)


def test_responder__answers_raw_bytes(device, client):
    web = device.vservers["web"]
    assert _responder(client).status == 200
    assert ask(web, "/.well-known/x", "A.example.org:8080") == b"HTTP/1.1 200 OK\r\n\r\ntoken.thumb"
    assert ask(web, "/.well-known/x?y=1", "a.example.org").endswith(b"token.thumb")
    for target, host in (("/.well-known/xx", "a.example.org"), ("/.well-known/x", "b.example.org")):
        assert ask(web, target, host).endswith(b"backend\n")
    assert client.get("responderpolicy/a")[0]["hits"] == "2"
    assert not device.objects("lbvserver_responderpolicy_binding", saved=True)
    web.up = False
    assert ask(web, "/.well-known/x", "a.example.org") == b""
    assert client.get("lbvserver/web")[0]["curstate"] == "DOWN"
    assert client.send("GET", "stat/lbvserver/web").body["lbvserver"][0]["state"] == "DOWN"
    web.up = True
    device.features.remove("RESPONDER")
    assert ask(web, "/.well-known/x", "a.example.org").endswith(b"backend\n")


def test_responder__lower_priority_first_and_global_before_all(device, client):
    web = device.vservers["web"]
    for number, name in ((30, "c"), (20, "b")):
        _responder(client, name, "HTTP.REQ.IS_VALID", f'"from {name}"', number)
    assert ask(web) == b"from b"
    client.post("responderaction", name="g", type="respondwith", target='"from g"')
    client.post("responderpolicy", name="g", action="g", rule="TRUE")
    kind = "responderglobal_responderpolicy_binding"
    assert client.put(kind, policyname="g", priority=1, type="REQ_DEFAULT").status == 200
    assert ask(web) == b"from b"
    assert client.put(kind, policyname="g", priority=1, type="REQ_OVERRIDE").status == 200
    assert ask(web) == b"from g"
    assert len(client.get(kind + "?args=type:REQ_OVERRIDE")) == 1
    assert client.delete("responderpolicy/g").code == 810
    assert client.delete(kind + "?args=policyname:g,type:REQ_OVERRIDE").status == 200
    assert client.delete(kind + "?args=policyname:g,type:REQ_OVERRIDE").code == 3093
    assert ask(web) == b"from b"


def test_responder__may_redirect_reset_and_do_nothing(device, client):
    web, kind = device.vservers["web"], "lbvserver_responderpolicy_binding"
    to = '"https://" + HTTP.REQ.HOSTNAME.SERVER + HTTP.REQ.URL'
    client.post("responderaction", name="to", type="redirect", target=to)
    for number, (action, path) in enumerate((("NOOP", "/"), ("RESET", "/reset"), ("to", "/go")), 1):
        rule = f'HTTP.REQ.URL.STARTSWITH("{path}")'
        client.post("responderpolicy", name=f"p{number}", action=action, rule=rule)
        assert client.put(kind, name="web", policyname=f"p{number}", priority=number).status == 200
    assert ask(web, "/x").endswith(b"backend\n")
    assert ask(web, "/reset") == b""
    assert b"Location: https://a.b/go?x\r\n" in ask(web, "/go?x", "a.b:80")
    assert client.put("responderaction", name="to", target="(").code == 3081
    assert client.put("responderaction", name="to", target='"/other"').status == 200
    assert b"Location: /other\r\n" in ask(web, "/go")
    assert client.put("responderpolicy", name="p2", rule="FALSE").status == 200
    assert ask(web, "/reset").endswith(b"backend\n")


REFUSED = [
    ("responderaction", {"name": "a", "type": "respondwith", "target": ANSWER}, 273),
    ("responderaction", {"name": "n", "type": "respondwith"}, 1095),
    ("responderaction", {"name": "n", "type": "explode", "target": ANSWER}, 1097),
    ("responderaction", {"name": "n", "type": "respondwith", "target": "text"}, 3081),
    ("responderaction", {"name": "n", "type": "respondwith", "target": '"a" "b"'}, 3081),
    ("responderaction", {"name": "n", "type": "respondwith", "target": f'"{"x" * 256}"'}, 3081),
    ("responderaction", {"name": "n", "type": "respondwith", "target": '"a" + ' * 2000}, 1106),
    ("responderaction", {"name": "n" * 127, "type": "respondwith", "target": ANSWER}, 0),
    ("responderaction", {"name": "n" * 128, "type": "respondwith", "target": ANSWER}, 1106),
    ("responderaction", {"name": "a*", "type": "respondwith", "target": ANSWER}, 1075),
    ("responderpolicy", {"name": "n", "action": "none", "rule": "TRUE"}, 258),
    ("responderpolicy", {"name": "n", "action": "a", "rule": "HTTP.REQ.URL"}, 3081),
    ("responderpolicy", {"name": "n", "action": "a", "rule": "HTTP.REQ.COLOUR.EQ(\"x\")"}, 3081),
    ("responderpolicy", {"name": "n", "action": "a", "rule": "HTTP.REQ.URL.EQ(x)"}, 3081),
    ("responderpolicy", {"name": "n", "action": "a", "rule": "TRUE &&"}, 3081),
    ("responderpolicy", {"name": "n", "action": "a", "rule": "(TRUE"}, 3081),
    ("responderpolicy", {"name": "n", "action": "a"}, 1095),
    ("responderpolicy", {"name": "n", "action": "NOOP", "rule": "TRUE"}, 0),
]  # fmt: skip


@pytest.mark.parametrize("kind,body,code", REFUSED)
def test_responder__objects_are_checked(client, kind, body, code):
    _responder(client)
    assert client.post(kind, **body).code == code


@pytest.mark.parametrize(
    "kind,body,status,code",
    [
        ("lb", {"name": "web", "policyname": "b", "priority": 10}, 599, 3041),
        ("lb", {"name": "web", "policyname": "b", "priority": "11"}, 200, 0),
        ("lb", {"name": "web", "policyname": "a", "priority": 11}, 409, 273),
        ("lb", {"name": "none", "policyname": "b", "priority": 11}, 404, 258),
        ("cs", {"name": "web", "policyname": "b", "priority": 11}, 404, 258),
        ("cs", {"name": "switch", "policyname": "b", "priority": 10}, 200, 0),
        ("lb", {"name": "web", "policyname": "none", "priority": 11}, 404, 258),
        ("lb", {"name": "web", "policyname": "b", "priority": 0}, 599, 3090),
        ("lb", {"name": "web", "policyname": "b", "priority": "high"}, 400, 1097),
        ("lb", {"name": "web", "policyname": "b"}, 400, 1095),
        ("lb", {"name": "tcp", "policyname": "b", "priority": 11}, 599, 3094),
    ],
)
def test_responder__bindings_are_checked(device, client, kind, body, status, code):
    device.vserver("tcp", servicetype="TCP")
    _responder(client)
    client.post("responderpolicy", name="b", action="a", rule="TRUE")
    reply = client.put(kind + "vserver_responderpolicy_binding", **body)
    assert (reply.status, reply.code) == (status, code)


def test_responder__is_taken_down_in_order(device, client):
    _responder(client)
    bound = "lbvserver_responderpolicy_binding/web?args=policyname:"
    assert client.delete("responderaction/a").code == 832
    assert client.delete("responderpolicy/a").code == 810
    assert client.delete(bound + "b").code == 3093
    assert client.delete(bound).code == 278
    assert client.delete(bound + "a,priority:99").code == 3093
    assert client.delete(bound + "a,priority:10").status == 200
    assert client.delete("responderpolicy/a").status == 200
    assert client.delete("responderaction/a").status == 200
    assert client.delete("responderaction/a").code == 258
    assert not device.unsaved


RULES = [
    ('HTTP.REQ.URL.CONTAINS("well-known/acme-challenge/tok")', True),
    ('HTTP.REQ.URL.STARTSWITH("/.well-known/acme-challenge/")', True),
    ('HTTP.REQ.URL.PATH.EQ("/.WELL-KNOWN/acme-challenge/tok")', False),
    ('HTTP.REQ.URL.PATH.SET_TEXT_MODE(IGNORECASE).EQ("/.WELL-KNOWN/acme-challenge/tok")', True),
    ('HTTP.REQ.HOSTNAME.EQ("a.example.org")', False),  # the port is part of it
    ('HTTP.REQ.HOSTNAME.EQ("A.Example.org:80")', True),
    ('HTTP.REQ.HOSTNAME.SERVER.EQ("A.Example.org")', True),
    ('!(HTTP.REQ.HOSTNAME.SERVER.EQ("b"))', True),
    ('HTTP.REQ.METHOD.EQ(GET) && (FALSE || TRUE)', True),
    ('HTTP.REQ.HEADER("X").EQ("y")', False),
    ('HTTP.REQ.HEADER("X").EQ("y") || TRUE', False),  # undefined stays undefined
    ('HTTP.REQ.HEADER("host").ENDSWITH(":80")', True),
    ('HTTP.REQ.URL.PATH.AFTER_STR("challenge/").EQ("tok")', True),
    ('HTTP.REQ.URL.PATH.AFTER_STR("nowhere/").EQ("")', True),
    ('HTTP.REQ.URL.QUERY.EQ("q=1")', True),
    ('HTTP.REQ.URL.BEFORE_STR("?").LENGTH.EQ(31)', True),
    ('HTTP.REQ.URL.LENGTH.GT(5)', True),
    ('("a" + "b").EQ("ab")', True),
    ('"\\x41\\"\\\\".EQ("A\\"\\\\")', True),
]  # fmt: skip


@pytest.mark.parametrize("rule,wanted", RULES)
def test_rules__are_evaluated(device, client, rule, wanted):
    assert _responder(client, rule=rule, target='"yes"').status == 200
    answer = ask(device.vservers["web"], "/.well-known/acme-challenge/tok?q=1", "a.example.org:80")
    assert (answer == b"yes") == wanted


def test_target__may_use_the_request(device, client):
    target = '"HTTP/1.1 200 OK\\r\\n\\r\\n" + HTTP.REQ.URL.PATH.AFTER_STR("challenge/") + ".thumb"'
    _responder(client, rule='HTTP.REQ.URL.STARTSWITH("/challenge/")', target=target)
    assert ask(device.vservers["web"], "/challenge/tok").endswith(b"\r\n\r\ntok.thumb")


# ---- running and saved ----


def test_reboot__forgets_what_was_not_saved(device, stocked):
    shop = device.vservers["shop"]
    stocked.put("sslvserver_sslcertkey_binding", vservername="shop", certkeyname="www")
    assert device.unsaved and stocked.get("nsconfig")["configchanged"] is True
    assert stocked.post("nsconfig", "save").status == 200
    assert not device.unsaved and stocked.get("nsconfig")["configchanged"] is False
    stocked.put("sslvserver_sslcertkey_binding", vservername="shop", certkeyname="rsa")
    before = served(shop, ciphers="ECDSA")
    device.reboot()
    assert served(shop, ciphers="ECDSA") == before and served(shop, ciphers="RSA") is None
    assert device.sessions == 0 and Client(device.primary).get("sslcertkey/www")[0]["cert"]


def test_reboot__loses_pairs_whose_files_are_gone(device, stocked):
    shop = device.vservers["shop"]
    stocked.put("sslvserver_sslcertkey_binding", vservername="shop", certkeyname="www")
    stocked.post("nsconfig", "save")
    where = "?args=filelocation:%2Fnsconfig%2Fssl"
    assert stocked.delete("systemfile/www.key" + where).status == 200
    assert stocked.delete("systemfile/middle.crt" + where).status == 200
    assert served(shop)
    device.reboot()
    assert served(shop) is None
    assert set(device.objects("sslcertkey")) == {"low", "rsa"}
    assert "linkcertkeyname" not in device.objects("sslcertkey")["low"]
    assert not device.objects("sslvserver_sslcertkey_binding")


# ---- rights ----

ALLOWED = "|".join(
    (
        r"(^(add|rm|show)\s+responder\s+(action|policy)\s+certauto-.*)",
        r"(^(bind|unbind|show)\s+lb\s+vserver\s+web\b.*)",
        r"(^(add|rm|show)\s+system\s+file\s.*nsconfig/ssl.*)",
        r"(^(add|update|link|unlink)\s+ssl\s+certKey\s+certauto-.*)",
        r"(^show\s+ssl\s+certKey.*)",
        r"(^show\s+ns\s+version)",
        r"(^save\s+ns\s+config)",
    )
)
RECIPE = f"""
# what an administrator types
add system cmdPolicy certauto ALLOW "{ALLOWED}"
add system cmdPolicy never DENY "(^show\\s+system\\s.*)"
add system user robot "a pass \\"word\\"" -externalAuth DISABLED -timeout 900
bind system user robot never 10
bind system user robot -partitionName p
bind system user robot certauto 100
"""


def test_rights__are_those_of_the_recipe(device, pem):
    device.recipe(RECIPE)
    client = Client(device.primary, login=("robot", 'a pass "word"'))
    action = {"type": "respondwith", "target": ANSWER}
    assert client.post("responderaction", name="certauto-a", **action).status == 201
    reply = client.post("responderaction", name="other", **action)
    assert (reply.status, reply.reason, reply.code) == (403, "Forbidden", 2138)
    assert "add responder action other respondwith" in reply.body["message"]
    assert client.upload("x.crt", pem.www[0]).status == 201
    assert client.upload("x.crt", pem.www[0], "/var/tmp").code == 2138
    assert client.post("sslcertkey", certkey="certauto-x", cert="x.crt").status == 201
    assert client.post("sslcertkey", certkey="le-x", cert="x.crt").code == 2138
    assert client.delete("sslcertkey/certauto-x").code == 2138
    assert client.send("GET", "config/lbvserver/web").status == 200
    assert client.send("GET", "config/csvserver").code == 2138
    assert client.send("GET", "config/systemuser").code == 2138
    assert client.post("nsconfig", "save").status == 200
    assert client.post("logout").status == 201


def test_rights__partitions_are_given_one_by_one(device):
    for name in ("p", "q"):
        device.partition(name)
    device.recipe(RECIPE.replace("^save", "^switch\\s+ns\\s+partition.*)|(^save"))
    client = Client(device.primary, login=("robot", 'a pass "word"'))
    assert client.post("nspartition", "Switch", partitionname="q").code == 2138
    assert client.post("nspartition", "Switch", partitionname="p").status == 200


@pytest.mark.parametrize(
    "line",
    [
        "add system user",
        "add system user x y -colour red",
        'add system user x "y',
        "add system cmdPolicy x MAYBE y",
        f'add system cmdPolicy x ALLOW "{"x" * 1500}"',
        "add system cmdPolicy x ALLOW \"(\"",
        "bind system user nobody nothing 1",
        "bind system user nsroot nothing 1",
        "reboot",
    ],
)
def test_recipes__with_mistakes_are_refused(device, line):
    with pytest.raises(NitroError):
        device.recipe(line)


def test_rights__nobody_has_any_without_a_policy(device):
    device.recipe("add system user poor secret")
    client = Client(device.primary, login=("poor", "secret"))
    assert client.send("GET", "config/nsversion").code == 371


LINES = [
    ("GET", "config/sslcertkey", None, "show ssl certKey"),
    ("GET", "config/sslcertkey/www", None, "show ssl certKey www"),
    ("GET", "config/hanode", None, "show HA node"),
    ("GET", "stat/hanode", None, "stat HA node"),
    ("GET", "config/systemfile?args=filename:a,filelocation:%2Fnsconfig%2Fssl", None,
     "show system file -fileName a -fileLocation /nsconfig/ssl"),
    ("DELETE", "config/systemfile/a?args=filelocation:%2Fnsconfig%2Fssl", None,
     "rm system file a -fileLocation /nsconfig/ssl"),
    ("DELETE", "config/lbvserver_responderpolicy_binding/web?args=policyname:a", None,
     "unbind lb vserver web -policyName a"),
    ("DELETE", "config/responderglobal_responderpolicy_binding?args=policyname:a,type:REQ_OVERRIDE",
     None, "unbind responder global a -type REQ_OVERRIDE"),
    ("PUT", "config/csvserver_responderpolicy_binding",
     {"name": "switch", "policyname": "a", "priority": 3},
     "bind cs vserver switch -policyName a -priority 3"),
    ("PUT", "config/sslvserver_sslcertkey_binding",
     {"vservername": "shop", "certkeyname": "www", "snicert": True},
     "bind ssl vserver shop -certkeyName www -SNICert"),
    ("POST", "config/sslcertkey?action=update",
     {"certkey": "www", "cert": "a.crt", "nodomaincheck": True, "passplain": "secret"},
     "update ssl certKey www -cert a.crt -noDomainCheck"),
    ("POST", "config/sslcertkey?action=link", {"certkey": "www", "linkcertkeyname": "low"},
     "link ssl certKey www low"),
    ("POST", "config/nsfeature?action=enable", {"feature": ["LB", "SSL"]},
     "enable ns feature LB SSL"),
    ("POST", "config/nsconfig?action=save", {}, "save ns config"),
    ("PUT", "config/sslvserver", {"vservername": "shop", "snienable": "ENABLED"},
     "set ssl vserver shop -SNIEnable ENABLED"),
    ("POST", "config/sslcertreq?action=create",
     {"reqfile": "a.csr", "keyfile": "a.key", "countryname": "XX", "statename": "a b",
      "organizationname": "o"},
     'create ssl certreq a.csr -keyFile a.key -countryName XX -stateName "a b" '
     "-organizationName o"),
]  # fmt: skip


@pytest.mark.parametrize("method,path,body,line", LINES)
def test_rights__each_request_is_a_command_line(device, client, method, path, body, line):
    kind = path.partition("/")[2].partition("?")[0].partition("/")[0]
    client.send(method, path, {kind: body} if body is not None else None)
    assert device.log[-1].line == line


# ---- partitions ----


def test_partitions__have_objects_and_files_of_their_own(device, client, pem):
    device.partition("p")
    device.ssl_vserver("inner", partition="p")
    folder = "/nsconfig/partitions/p/ssl/"
    assert client.post("nspartition", "Switch", partitionname="q").code == 258
    assert client.post("nspartition", "Switch", partitionname="p").status == 200
    assert client.upload("x.crt", pem.www[0]).code == 1645
    assert client.upload("x.crt", pem.www[0], folder).status == 201
    assert client.upload("x.key", pem.www[1], folder).status == 201
    assert client.post("sslcertkey", certkey="x", cert=SSL + "x.crt", key="x.key").code == 1645
    assert client.post("sslcertkey", certkey="x", cert="x.crt", key=folder + "x.key").status == 201
    bind = {"vservername": "inner", "certkeyname": "x"}
    assert client.put("sslvserver_sslcertkey_binding", **bind).status == 200
    assert served(device.vservers["inner"])
    assert client.send("GET", "config/sslvserver/shop").code == 258
    assert client.post("nsconfig", "save").status == 200
    client.post("nspartition", "Switch", partitionname="default")
    assert not client.get("sslcertkey") and not device.files()
    device.reboot()
    assert served(device.vservers["inner"]) and set(device.files("p")) == {"x.crt", "x.key"}


# ---- a pair ----


@pytest.fixture(name="pair")
def _pair(tmp_path, tls):
    """Two nodes, managed over TLS."""
    with Nitro(str(tmp_path), tls, ha=True) as nitro:
        nitro.ssl_vserver("shop")
        yield nitro


def test_pair__second_node_follows_and_takes_over(pair, pem):
    first, second = [Client(node, pair.ca_file) for node in pair.nodes]
    assert [node.address for node in pair.nodes] == ["127.0.0.2", "127.0.0.3"]
    assert [(one["ipaddress"], one["state"]) for one in second.get("hanode")] == [
        ("127.0.0.3", "Secondary"), ("127.0.0.2", "Primary")]  # fmt: skip
    pair.certkey("www", *pem.www, saved=False)
    pair.bind("shop", "www", saved=False)
    assert second.get("sslcertkey/www")[0]["serial"]
    reply = second.upload("x.crt", "x")
    assert (reply.status, reply.code) == (403, 257)
    before = served(pair.vservers["shop"])
    pair.failover()
    assert served(pair.vservers["shop"]) == before
    assert first.get("hanode")[0]["state"] == "Secondary"
    assert first.send("GET", "stat/hanode").body["hanode"]["hacurmasterstate"] == "Secondary"
    assert second.upload("x.crt", "x").status == 201
    assert second.post("nsconfig", "save").status == 200
    pair.reboot()
    assert served(pair.vservers["shop"]) == before and "x.crt" in pair.files()


def test_pair__writes_on_the_secondary_are_lost(pair, pem):
    pair.secondary_writes = "lose"
    client = Client(pair.secondary, pair.ca_file)
    assert client.upload("x.crt", pem.www[0]).status == 201
    reply = client.post("sslcertkey", query="warning=yes", certkey="x", cert="x.crt")
    assert (reply.status, reply.code) == (209, 1028)
    assert client.get("sslcertkey/x")
    Client(pair.primary, pair.ca_file).upload("y.crt", pem.www[0])
    assert client.send("GET", "config/sslcertkey/x").code == 1540
    assert set(pair.files(node=pair.secondary)) == {"y.crt"}


def test_pair__failover_without_sync_loses_changes(pair):
    client = Client(pair.primary, pair.ca_file)
    client.upload("old.crt", "1")
    pair.sync = "FAILED"
    client.upload("new.crt", "2")
    assert client.get("hanode")[1]["hasync"] == "FAILED"
    pair.failover()
    assert set(pair.files()) == {"old.crt"}
    pair.failover()
    assert set(pair.files()) == {"old.crt", "new.crt"}
    pair.sync = "SUCCESS"
    assert set(pair.files(node=pair.secondary)) == {"old.crt", "new.crt"}


def test_pair__sync_takes_a_while(pair):
    pair.sync_polls = 2
    client = Client(pair.primary, pair.ca_file)
    client.upload("a.crt", "1")
    states = [client.get("hanode")[1]["hasync"] for _ in range(4)]
    assert states == ["IN PROGRESS", "IN PROGRESS", "SUCCESS", "SUCCESS"]


def test_pair__file_sync_may_lose_equal_files(pair):
    pair.file_sync = "unique"
    client = Client(pair.primary, pair.ca_file)
    client.upload("a.crt", "same")
    client.upload("b.crt", "same")
    assert set(pair.files(node=pair.secondary)) == {"a.crt"}


def test_pair__a_node_goes_dark(pair):
    client = Client(pair.secondary, pair.ca_file)
    dark = pair.primary
    pair.stop_node(dark)
    assert client.get("hanode")[0]["state"] == "Primary"
    assert client.get("hanode")[1]["state"] == "UNKNOWN"
    with pytest.raises(OSError):
        Client(dark, pair.ca_file)


# ---- keys made on the device ----


@pytest.mark.parametrize(
    "kind,body,code",
    [
        ("sslrsakey", {"keyfile": "k.key", "bits": 2048}, 0),
        ("sslrsakey", {"keyfile": "k.key", "bits": 99999}, 1108),
        ("sslrsakey", {"keyfile": "www.key", "bits": 2048}, 1642),
        ("sslecdsakey", {"keyfile": "k.key", "curve": "P_384"}, 0),
        ("sslecdsakey", {"keyfile": "k.key", "curve": "P_1"}, 1097),
        ("sslecdsakey", {"keyfile": "k.key"}, 1095),
    ],
)
def test_device_key__is_a_new_file(device, stocked, kind, body, code):
    assert stocked.post(kind, "create", **body).code == code
    assert ("k.key" in device.files()) == (code == 0)


@pytest.mark.parametrize(
    "changed,code",
    [
        ({}, 0),
        ({"keyfile": "none.key"}, 1647),
        ({"keyfile": "text.crt"}, 1537),
        ({"reqfile": "www.crt"}, 1642),
        ({"countryname": ""}, 1095),
        ({"statename": ""}, 1095),
        ({"countryname": "Xanadu"}, 1097),
        ({"subjectaltname": "a.example.org"}, 1097),
    ],
)
def test_device_request__is_signed_with_a_key_there(device, stocked, changed, code):
    body = {"reqfile": "r.csr", "keyfile": "www.key", "countryname": "XX", "statename": "-",
            "organizationname": "-", "commonname": "a.example.org",
            "subjectaltname": "DNS:a.example.org DNS:b.example.org", **changed}  # fmt: skip
    assert stocked.post("sslcertreq", "create", **body).code == code
    if code == 0:
        shown = pki.openssl("req", "-noout", "-text", "-verify", data=device.files()["r.csr"])
        assert b"DNS:a.example.org, DNS:b.example.org" in shown


# ---- trouble ----


def test_faults__strike_where_they_are_planned(device, client):
    fault = device.faults.add(kind="systemfile", method="POST", number=2, code=284)
    assert [client.upload(name, "x").code for name in ("a", "b", "c")] == [0, 284, 0]
    assert fault.struck == 1 and set(device.files()) == {"a", "c"}
    assert [one.code for one in device.requests("systemfile")] == [0, 284, 0]


@pytest.mark.parametrize("wire,done", [("lost-request", False), ("lost-reply", True),
                                       ("reset", True), ("truncate", True)])  # fmt: skip
def test_faults__cut_connections_before_and_after(device, client, wire, done):
    device.faults.add(writes=True, wire=wire)
    with pytest.raises((OSError, http.client.HTTPException, json.JSONDecodeError)):
        client.upload("a", "x")
    assert ("a" in device.files()) == done
    client.close()
    assert client.upload("b", "x").status == 201


def test_faults__end_sessions_and_swap_roles(pair):
    client = Client(pair.primary, pair.ca_file)
    pair.faults.add(kind="systemfile", session=True)
    assert client.upload("a", "x").code == 444
    client = Client(pair.primary, pair.ca_file)
    pair.faults.add(kind="systemfile", do=pair.failover)
    assert client.upload("a", "x").code == 257
    pair.faults.add(kind="nsversion", code=444)
    client = Client(pair.primary, pair.ca_file)
    assert client.send("GET", "config/nsversion").code == 444
    assert pair.sessions == 0


def test_faults__empty_strange_and_busy_answers(device, client):
    device.faults.add(kind="systemfile", empty=True)
    reply = client.upload("a", "x")
    assert (reply.status, reply.body) == (201, b"") and "a" in device.files()
    device.faults.add(raw=(502, "<html>"))
    assert client.send("GET", "config/nsversion").status == 502
    device.faults.add(code=272, times=None)
    assert {client.send("GET", "config/nsversion").code for _ in range(3)} == {272}
    device.faults.clear()
    device.read_only = True
    assert client.upload("b", "x").code == 1203
    assert client.send("GET", "config/nsversion").status == 200


def test_log__tells_writes_and_no_secrets(device, client, pem):
    client.upload("x.key", pem.www[1])
    client.post("sslcertkey", certkey="x", cert="x.key", key="x.key", passplain="hush-hush")
    client.get("nsversion")
    client.post("nsconfig", "save")
    assert [one.kind for one in device.writes()] == ["systemfile", "sslcertkey", "nsconfig"]
    told = repr(device.log)
    assert "hush-hush" not in told and base64.b64encode(b"-----BEGIN")[:8].decode() not in told
    assert "'nsroot'" in told and device.requests("login")[0].args["password"] == "..."


def test_end__leaves_no_threads_and_no_files(tmp_path, pem):
    before = set(threading.enumerate())
    with Nitro(str(tmp_path), ha=True) as nitro:
        shop = nitro.ssl_vserver("shop")
        nitro.certkey("www", *pem.www)
        nitro.bind("shop", "www")
        idle = [socket.create_connection((shop.host, shop.port)) for _ in range(3)]
        client = Client(nitro.primary)
        assert served(shop) and client.get("nsversion")
    assert set(threading.enumerate()) <= before
    assert not os.listdir(tmp_path)
    for sock in (*idle, client):
        sock.close()


def test_program__serves_and_obeys(tmp_path):
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "sim", "nitro.py")
    with subprocess.Popen(
        [sys.executable, "-B", path, "--folder", str(tmp_path), "--http", "--ha", "--lb", "web"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        ready = json.loads(program.stdout.readline())
        assert len(ready["urls"]) == 2 and ready["vservers"]["web"].startswith("127.0.0.1:")
        for line, answer in (
            ('{"do": "failover"}', {"done": None}),
            ('{"do": "objects", "kind": "responderpolicy"}', {"done": []}),
            ('{"do": "nothing"}', {"error": "KeyError: 'nothing'"}),
        ):
            program.stdin.write(line + "\n")
            program.stdin.flush()
            assert json.loads(program.stdout.readline()) == answer
        program.stdin.write('{"do": "state"}\n')
        program.stdin.close()
        assert json.loads(program.stdout.readline())["done"]["primary"] == "ns2"
        assert program.wait(20) == 0
