"""ControlScripts, run in a process of their own as the controller does it."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading

import pytest
from certauto import controlscript
from conftest import BINARY, PACKAGE, ROOT
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from real.lab import Lab
from real.pki import TestCA
from sim import avi_certs
from sim.avi import LEAST_RIGHTS, Avi
from sim.ca import CA, Answer, Fault, problem
from sim.ca_http import Server

NAME, OTHER = "shop.example.org", "www.example.org"
PASSWORD = "pass-word-of-the-controller"
HMAC = "bWFjLWtleS1vZi10aGUtY3VzdG9tZXItMDEyMzQ1Njc"
SCRIPTS = os.path.join(ROOT, "bindings", "python", "controlscripts")
LONGEST = 1000  # of what a person is told of a failure


def source(script):
    """The text of a script as it is put into the controller."""
    with open(os.path.join(SCRIPTS, script + ".py"), encoding="utf-8") as file:
        return file.read()


def module(script):
    """The same, imported."""
    spec = importlib.util.spec_from_file_location(script, os.path.join(SCRIPTS, script + ".py"))
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


KEY = avi_certs.new_key({"algorithm": "SSL_KEY_ALGORITHM_EC"})


def request_for(common_name, *names):
    """A request in PEM for one key."""
    subject = {"common_name": common_name} if common_name else {}
    return avi_certs.new_request(KEY, {"subject": subject, "subject_alt_names": list(names)})


def names_of(pem):
    """The names in a certificate."""
    extension = x509.load_pem_x509_certificate(pem.encode()).extensions
    alternative = extension.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(alternative.get_values_for_type(x509.DNSName))


def public_key(pem):
    """That of a certificate."""
    return x509.load_pem_x509_certificate(pem.encode()).public_key()


def account_key():
    """A key as an administrator makes one for himself."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()  # fmt: skip


@pytest.fixture(name="avi")
def _avi(tmp_path, tls):
    """A controller with an account for the script, and a virtual service."""
    with Avi(str(tmp_path), tls) as avi:
        avi.script_env = {"PYTHONPATH": PACKAGE, "CERTAUTO_BUNDLE": "/nonexistent"}
        avi.account("certauto", PASSWORD, LEAST_RIGHTS)
        avi.virtualservice("shop", [NAME, OTHER])
        yield avi
        assert avi.objects("httppolicyset") == {}
        assert all(not one.get("http_policies") for one in avi.objects("virtualservice").values())


@pytest.fixture(name="ca")
def _ca(tmp_path, tls, avi):
    """A CA that asks the virtual services."""
    with CA(str(tmp_path), tls, http_address=lambda name: avi.hosts().get(name)) as ca:
        yield ca


@pytest.fixture(name="params")
def _params(avi, ca):
    """What a profile has."""
    return {
        "user": "certauto", "password": PASSWORD, "directory_url": ca.directory,
        "ca_file": ca.ca_file, "challenge_check": avi.address("shop", 80),
    }  # fmt: skip


def clean(run, *secrets):
    """Nothing secret is told, and the failure is one line after the places it came through."""
    told = run.stdout + run.stderr
    for secret in (PASSWORD, HMAC, "PRIVATE KEY", *secrets):
        assert secret not in told
    assert len(told) < 2 * LONGEST and "During handling" not in told and "Warning" not in told
    return run


def failure(run, *secrets):
    """The text of the exception a script has raised."""
    assert run.status == 1, run.stdout + run.stderr
    lines = clean(run, *secrets).stderr.splitlines()
    places = [line for line in lines if line.startswith('  File "')]
    assert lines[0] == "Traceback (most recent call last):" and len(places) <= 4, run.stderr
    kind, _, text = lines[-1].partition(": ")
    assert kind.startswith("certauto.") and len(text) < LONGEST
    return text


def refuse(avi, args, csr=None, script="letsencrypt", limit=None):
    """The text with which a script fails."""
    return failure(avi.call_script(source(script), csr or request_for(NAME), NAME, args, limit))


def state(avi):
    """The folder that scripts keep."""
    return os.path.join(avi.scripts.tmp, f"certauto-{os.geteuid()}")


# ---- certificates ----


@pytest.mark.parametrize("rsa", [False, True], ids=["ecdsa", "rsa"])
def test_letsencrypt__a_certificate_and_its_renewal_with_a_new_key(avi, ca, params, rsa):
    shared = {"sensitive": controlscript.SENSITIVE, "dynamic": ["dryrun", "overwrite_vs"]}
    avi.profile("le", source("letsencrypt"), params, **shared)
    made = avi.certificate("c", "le", NAME, [NAME, OTHER], rsa=rsa, overwrite_vs="shop")
    first = made.data["certificate"]
    assert names_of(first["certificate"]) == [NAME, OTHER]
    assert len(avi.objects("sslkeyandcertificate")) == 2  # and who has issued it
    run = clean(avi.script_runs[0])
    assert run.stdout == (
        f"ordering {NAME}, {OTHER} at {ca.directory}\nissued by CN=certauto sim issuer\n"
    )
    assert run.stderr == ""
    assert avi.tick(82) == [] and avi.tick(1) == [("c", None)]
    second = avi.find("sslkeyandcertificate", "c")["certificate"]
    assert public_key(first["certificate"]) != public_key(second["certificate"])
    assert len(ca.accounts) == 1 and len(ca.orders) == 2
    assert avi.requests(user="certauto")
    assert os.stat(state(avi)).st_mode & 0o777 == 0o700
    assert os.listdir(os.path.join(state(avi), "jobs")) == []


def test_letsencrypt__common_name_and_alternative_names_count(avi, ca, params):
    ca.common_name_counts = True
    run = avi.call_script(source("letsencrypt"), request_for(NAME, OTHER), NAME, params)
    assert run.ok and names_of(run.answer) == [NAME, OTHER], run.stderr
    run = avi.call_script(source("letsencrypt"), request_for(NAME), "whatever", params)
    assert run.ok and names_of(run.answer) == [NAME]
    ca.common_name_counts = False
    run = avi.call_script(source("letsencrypt"), request_for(None, OTHER), None, params)
    assert run.ok and names_of(run.answer) == [OTHER]


def test_letsencrypt__debug_tells_every_step(avi, params):
    args = {**params, "debug": "true"}
    run = avi.call_script(source("letsencrypt"), request_for(NAME, NAME), NAME, args)
    assert run.ok and run.stdout.count("\n") > 20 and "validated" in run.stdout
    assert PASSWORD not in run.stdout


def test_letsencrypt__two_at_a_time_share_the_account(avi, ca, params):
    runs = {}

    def call(name):
        runs[name] = avi.call_script(source("letsencrypt"), request_for(name, name), name, params)

    threads = [threading.Thread(target=call, args=(name,)) for name in (NAME, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.ok for one in runs.values()] == [True, True], [one.stderr for one in runs.values()]
    assert len(ca.accounts) == 1


def test_letsencrypt__without_a_look_before_the_ca(avi, params):
    args = {**params, "challenge_check": "127.0.0.1:1", "disable_check": "true"}
    assert avi.call_script(source("letsencrypt"), request_for(NAME, NAME), NAME, args).ok


def test_letsencrypt__the_parameters_are_all_there_are():
    assert module("letsencrypt").PARAMETERS == controlscript.PARAMETERS
    for script in os.listdir(SCRIPTS):
        if script.endswith(".py"):
            text = source(script[:-3])
            most = 80 if script == "dns01.py" else 60  # it has a DNS provider in it
            assert text.count("\n") <= most and len(text) < 16384
    for script in ("internal_ca", "dns01"):
        for name, default in module(script).PARAMETERS.items():
            assert controlscript.PARAMETERS[name] == default


def test_letsencrypt__the_recipe_has_them_and_its_script_works(avi, params):
    target = "avi,url=https://controller.example.org,user=certauto"
    run = subprocess.run(
        [BINARY, "target", "recipe", target], capture_output=True, text=True, check=True
    )
    recipe = json.loads(run.stdout)
    shown = {one["name"]: one for one in recipe["certificatemanagementprofile"]["script_params"]}
    assert set(shown) == set(controlscript.PARAMETERS)
    assert {name for name, one in shown.items() if one["is_sensitive"]} == set(
        controlscript.SENSITIVE
    )
    rights = {one["resource"]: one["type"] for one in recipe["role"]["privileges"]}
    assert rights == LEAST_RIGHTS
    text = recipe["alertscriptconfig"]["action_script"]
    run = avi.call_script(text, request_for(NAME, NAME), NAME, params)
    assert run.ok, run.stderr


def test_letsencrypt__the_page_has_every_parameter():
    with open(os.path.join(ROOT, "docs", "controlscript.md"), encoding="utf-8") as file:
        rows = [line for line in file if line.startswith("| `")]
    for name in controlscript.PARAMETERS:
        (row,) = [row for row in rows if f"`{name}`" in row.split(" | ")[0]]
        assert name not in controlscript.SENSITIVE or "**sensitive**" in row


# ---- which CA, which account ----


def account_of(tmp_path, **values):
    """The account a script would use, without asking anybody."""
    given = {**controlscript.PARAMETERS, **values}
    # pylint: disable-next=protected-access
    run = controlscript._Run(given, controlscript._Report(), ())
    return run.account(run.cx.store("files", directory=tmp_path))


def test_account__dryrun_is_staging_and_directory_url_wins(tmp_path):
    def server(**values):
        return account_of(tmp_path, **values).server

    assert server() == "https://acme-v02.api.letsencrypt.org/directory"
    assert server(dryrun="True") == "https://acme-staging-v02.api.letsencrypt.org/directory"
    own = "https://ca.example.org/directory"
    assert server(dryrun="true", directory_url=own) == own


@pytest.mark.parametrize("spoil", [
    lambda pem: pem, lambda pem: pem.replace("\n", " "), lambda pem: pem.replace("\n", "\\n"),
], ids=["as it is", "in one line", "escaped"])  # fmt: skip
def test_account__letsencrypt_key_wins_and_survives_the_container(avi, ca, params, spoil):
    csr = request_for(NAME, NAME)
    assert avi.call_script(source("letsencrypt"), csr, NAME, params).ok
    key = account_key()
    args = {**params, "letsencrypt_key": spoil(key)}
    for _ in range(2):
        run = avi.call_script(source("letsencrypt"), csr, NAME, args)
        assert run.ok, run.stderr
        clean(run, *key.splitlines()[1:-1])
        avi.scripts.restart_container()
    assert len(ca.accounts) == 2
    assert avi.call_script(source("letsencrypt"), csr, NAME, params).ok
    assert len(ca.accounts) == 3  # the one in the state is gone with the container


def test_account__contact_is_told_when_it_changes(avi, ca, params):
    csr = request_for(NAME, NAME)

    def contacts(contact):
        run = avi.call_script(source("letsencrypt"), csr, NAME, {**params, "contact": contact})
        assert run.ok, run.stderr
        (account,) = ca.accounts.values()
        return account.contact

    assert contacts("ops@example.org") == ["mailto:ops@example.org"]
    before = ca.counts["account"]
    assert contacts("ops@example.org") == ["mailto:ops@example.org"]
    assert ca.counts["account"] == before + 1  # it is read, not written
    both = ["mailto:a@example.org", "mailto:b@example.org"]
    assert sorted(contacts("a@example.org, mailto:b@example.org")) == both
    assert sorted(contacts("")) == both


# ---- bad input ----


def bad_inputs():
    """(what is wrong, parameters, request, what is said)."""
    other_key = {"letsencrypt_key": account_key().replace("EC PRIVATE", "PUBLIC")}
    return [
        ("csr", {}, "nonsense", "no certificate signing request"),
        ("csr half", {}, request_for(NAME)[:200], "truncated"),
        ("no name", {}, request_for(None), "needs at least one"),
        ("cn no name", {}, request_for("My Shop"), 'common name "My Shop"'),
        ("san no dns", {}, request_for(NAME, NAME, "me@example.org"), "no DNS names"),
        ("wildcard", {}, request_for(NAME, "*.example.org"), 'wildcard.*"dns_target"'),
        ("unknown", {"pasword": PASSWORD}, None, 'no parameter "pasword" .*takes user, password'),
        ("user", {"user": ""}, None, 'parameter "user" is missing'),
        ("password", {"password": None}, None, 'parameter "password" is missing'),
        ("flag", {"dryrun": "maybe"}, None, '"dryrun" takes true or false, not "maybe"'),
        ("seconds", {"timeout": "soon"}, None, '"timeout" takes seconds'),
        ("contact", {"contact": "nobody"}, None, 'contact "nobody"'),
        ("directory", {"directory_url": "http://x"}, None, "https://"),
        ("ca_file", {"ca_file": "/nonexistent"}, None, "/nonexistent"),
        ("eab", {"eab_hmac": HMAC}, None, '"eab_kid" and "eab_hmac" one is missing'),
        ("key", other_key, None, '"letsencrypt_key"'),
        ("dns", {"dns_target": "fancy,token=abc"}, None, '"fancy"'),
        ("dns form", {"dns_target": f"acme;key={PASSWORD}"}, None, "is not of the form"),
        ("dns type", {"dns_target": "files,directory=/x"}, None, "does not answer dns-01"),
        ("state", {"state": "/nonexistent/state"}, None, "/nonexistent/state"),
    ]


@pytest.mark.parametrize("args,csr,said", [
    pytest.param(*one, id=name) for name, *one in bad_inputs()
])  # fmt: skip
def test_bad_input__is_said_before_anybody_is_asked(avi, ca, params, args, csr, said):
    avi.clear()
    text = refuse(avi, {**params, **args}, csr)
    assert re.search(said, text), text
    assert not avi.log and not [one for one in ca.log if one.method == "POST"]


@pytest.mark.parametrize("gateway", [
    "198.51.100.7", "10.0.0.7", "192.168.7.7", "[fd00::7]", "https://avi.example.org",
    "avi.example.org:8443",
])  # fmt: skip
def test_controller__elsewhere_must_be_verified(avi, params, gateway):
    avi.script_env["DOCKER_GATEWAY"] = gateway
    text = refuse(avi, params)
    assert "controller_ca_file" in text and gateway in text
    assert not avi.log


def test_controller__no_password_goes_elsewhere_for_all_to_read(avi, params):
    avi.script_env["DOCKER_GATEWAY"] = "http://198.51.100.7"
    text = refuse(avi, {**params, "controller_pin": "sha256//" + "A" * 43 + "="})
    assert "https" in text and "198.51.100.7" in text


ROUTES_V4 = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 0102000A 0003 0 0 0 00000000 0 0 0
eth0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0
eth0 0003000A 0902000A 0003 0 0 0 00FFFFFF 0 0 0
"""
ROUTES_V6 = f"""\
{"0" * 32} 00 {"0" * 32} 00 fd00{"0" * 27}1 00000400 00000003 00000000 00000003 eth0
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200 lo
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the kernel writes it as this machine does")
def test_controller__what_is_this_machine(monkeypatch, tmp_path):
    for name, text in (("ROUTES_V4", ROUTES_V4), ("ROUTES_V6", ROUTES_V6)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(controlscript, name, str(tmp_path / name))
    monkeypatch.setattr(controlscript, "_is_own", lambda host: host == "10.0.2.15")
    here = [
        "localhost", "127.0.0.1", "127.1.2.3", "[::1]", "10.0.2.1", "[fd00::1]", "10.0.2.15",
        "host.docker.internal", "host.containers.internal",
    ]  # fmt: skip
    elsewhere = [
        "10.0.2.2", "10.0.2.9", "10.0.3.1", "0.0.0.0", "[::]", "[fd00::2]", "172.17.0.1",
        "169.254.1.1", "[fe80::1]", "avi.example.org", "localhost.example.org",
        "127.0.0.1.example.org", "127.0.0.1@avi.example.org",
    ]  # fmt: skip
    # pylint: disable=protected-access
    assert all(controlscript._is_here(f"https://{host}:443") for host in here)
    assert not any(controlscript._is_here(f"https://{host}/") for host in elsewhere)
    monkeypatch.undo()
    assert controlscript._is_own("127.0.0.1") and not controlscript._is_own("198.51.100.7")


def test_controller__is_verified_by_what_is_given(avi, params, tmp_path, tls):
    csr = request_for(NAME, NAME)
    args = {**params, "controller_ca_file": avi.ca_file}
    assert avi.call_script(source("letsencrypt"), csr, NAME, args).ok
    # One that nobody has signed.
    other = tmp_path / "other.pem"
    other.write_text(other_ca(tmp_path))
    text = refuse(avi, {**params, "controller_ca_file": str(other)}, csr)
    assert "not trusted" in text and "set controller_ca_file" in text
    right = pin_of(avi)
    args = {**params, "controller_pin": right}
    assert avi.call_script(source("letsencrypt"), csr, NAME, args).ok
    args["controller_pin"] = "sha256//" + "A" * 43 + "="
    assert "pin" in refuse(avi, args, csr)


def pin_of(avi):
    """That of the controller's key."""
    link = ssl.get_server_certificate(("127.0.0.1", avi.port))
    public = public_key(link).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256//" + base64.b64encode(hashlib.sha256(public).digest()).decode()


def other_ca(folder):
    """The certificate of a CA that has signed nothing."""
    (folder / "other-ca").mkdir()
    with open(TestCA(str(folder / "other-ca")).file, encoding="ascii") as file:
        return file.read()


def test_secrets__what_a_peer_repeats_is_not_told(avi, ca, params):
    ca.script["newOrder"] = [problem("rejectedIdentifier", f"is {PASSWORD} yours?", 403)]
    for debug in ("true", "false"):
        text = refuse(avi, {**params, "debug": debug}, request_for(NAME, NAME))
        assert "is ... yours?" in text


# ---- what the controller refuses ----


def test_controller__wrong_password(avi, ca, params):
    text = refuse(avi, {**params, "password": "wrong-password"}, request_for(NAME, NAME))
    assert "401" in text and "Invalid credentials" in text
    assert len(avi.requests(kind="login")) <= 1 and "wrong-password" not in text


@pytest.mark.parametrize("right", ["PERMISSION_VIRTUALSERVICE", "PERMISSION_HTTPPOLICYSET"])
def test_controller__account_without_a_right(avi, params, right):
    rights = {**LEAST_RIGHTS, right: "READ_ACCESS"}
    avi.account("weak", "pass-word-of-the-weak", rights)
    args = {**params, "user": "weak", "password": "pass-word-of-the-weak"}
    text = refuse(avi, args, request_for(NAME, NAME))
    assert "403" in text and right in text, text


def test_controller__older_than_the_version_asked(avi, params):
    text = refuse(avi, {**params, "api_version": "99.1.1"}, request_for(NAME, NAME))
    assert "99.1.1" in text and avi.version in text, text


def test_controller__no_virtual_service_has_the_names(avi, params):
    names = ("a.example.net", "b.example.net")
    text = refuse(avi, params, request_for(names[0], *names))
    assert "the parameter overwrite_vs" in text and all(name in text for name in names), text
    text = refuse(avi, {**params, "overwrite_vs": "nothing"}, request_for(NAME, NAME))
    assert '"nothing"' in text


def test_controller__each_of_many_names_that_it_does_not_know_is_said_once(avi, params):
    names = [f"n{i}.example.net" for i in range(30)]
    text = refuse(avi, params, request_for(names[0], NAME, *names))
    assert [text.count(f"{name}") for name in names[3:]] == [1] * 27, text
    assert all(name in text for name in names) and NAME not in text, text


def test_controller__unknown_tenant(avi, params):
    text = refuse(avi, {**params, "tenant": "blue"}, request_for(NAME, NAME))
    assert "blue" in text


# ---- killed ----


def end_at(avi, ca, endpoint, how, answer=None):
    """The script that runs is ended when the CA is asked that."""

    def end(_request, _answer):
        os.kill(avi.script_runs[-1].pid, how)
        return answer

    ca.on(endpoint, end, before=True)


def test_killed__the_next_run_cleans_up_and_uses_account_and_order(avi, ca, params):
    end_at(avi, ca, "challenge", signal.SIGKILL, Answer(fault=Fault("lost-request")))
    run = avi.call_script(source("letsencrypt"), request_for(NAME, NAME, OTHER), NAME, params)
    assert run.status == -signal.SIGKILL
    ca.behave()
    assert avi.objects("httppolicyset") != {}
    avi.clear()
    # A renewal comes with a new key.
    again = avi_certs.new_request(
        avi_certs.new_key({"algorithm": "SSL_KEY_ALGORITHM_RSA"}),
        {"subject": {"common_name": NAME}, "subject_alt_names": [OTHER, NAME]},
    )
    run = avi.call_script(source("letsencrypt"), again, NAME, params)
    assert run.ok, run.stderr
    assert len(ca.accounts) == 1 and len(ca.orders) == 1
    assert avi.objects("httppolicyset") == {}
    assert os.listdir(os.path.join(state(avi), "jobs")) == []


def test_killed__at_the_time_limit_of_the_controller(avi, ca, params):
    ca.processing = 10**9
    csr = request_for(NAME, NAME)
    run = avi.call_script(source("letsencrypt"), csr, NAME, params, 1)
    assert run.killed
    ca.processing = 0
    ca.behave()
    run = avi.call_script(source("letsencrypt"), csr, NAME, params)
    assert run.ok and len(ca.accounts) == 1 and len(ca.orders) == 1, run.stderr


def test_timeout__takes_back_before_the_controller_kills(avi, ca, params):
    ca.processing = 10**9
    text = refuse(avi, {**params, "timeout": "1"}, request_for(NAME, NAME), limit=20)
    assert "deadline" in text or "time" in text, text
    assert avi.objects("httppolicyset") == {}


def test_sigterm__takes_back(avi, ca, params):
    ca.processing = 2
    end_at(avi, ca, "challenge", signal.SIGTERM)
    assert "cancel" in refuse(avi, params, request_for(NAME, NAME))
    assert avi.objects("httppolicyset") == {}


# ---- the state ----


def test_state__is_only_taken_when_it_is_ours(avi, ca, params, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    place = state(avi)

    def link():
        os.symlink(elsewhere, place)

    def foreign():
        os.mkdir(place, 0o700)
        os.chown(place, 65534, 65534)

    def open_to_all():
        os.mkdir(place)
        os.chmod(place, 0o777)

    def file():
        with open(place, "w", encoding="ascii"):
            pass

    said = {
        link: "is a symbolic link", foreign: "belongs to user id 65534", open_to_all: "0777",
        file: "is no folder",
    }  # fmt: skip
    for make, words in said.items():
        if make is foreign and os.geteuid() != 0:
            continue
        make()
        text = refuse(avi, params)
        assert words in text and place in text and '"state"' in text
        avi.scripts.restart_container()
    assert not ca.log and not list(elsewhere.iterdir())
    run = avi.call_script(
        source("letsencrypt"), request_for(NAME, NAME), NAME, {**params, "state": str(elsewhere)}
    )
    assert run.ok and list(elsewhere.iterdir()) and not os.path.exists(place)


# ---- the other scripts ----


def test_internal_ca__needs_its_directory_and_takes_a_binding(avi, ca, params):
    ca.eab = {"kid-1": HMAC}
    for name in ("directory_url", "ca_file"):
        assert f'"{name}" is missing' in refuse(avi, {**params, name: ""}, script="internal_ca")
    csr = request_for(NAME, NAME)
    text = refuse(avi, params, csr, script="internal_ca")
    assert "external" in text
    text = refuse(avi, {**params, "letsencrypt_key": "x"}, script="internal_ca")
    assert 'no parameter "letsencrypt_key"' in text
    args = {**params, "eab_kid": "kid-1", "eab_hmac": HMAC}
    run = avi.call_script(source("internal_ca"), csr, NAME, args)
    assert run.ok, run.stderr
    clean(run)
    text = refuse(avi, {**args, "eab_hmac": "/" + HMAC}, csr, script="internal_ca")
    assert "MAC key" in text


class AcmeDns:
    """acme-dns, as strict as it is: one call, one account, two values."""

    USER, KEY, SUBDOMAIN = "c36f50e8-user", "htB9mR9DYgcu9bX_key-of-acme-dns", "8e5700ea-sub"

    def __init__(self, tls, folder):
        self.server = Server(*tls.issue(os.path.join(folder, "acme-dns")), self._respond)
        self.values, self.calls, self.answer = [], [], None

    @property
    def target(self):
        """The parameter for it."""
        return (
            f"acme-dns,url=https://127.0.0.1:{self.server.port},user={self.USER},key={self.KEY},"
            f"subdomain={self.SUBDOMAIN},dns_check=no"
        )

    def resolve(self, owner):
        """Each name has a CNAME to the subdomain."""
        return list(self.values) if owner.startswith("_acme-challenge.") else []

    def _respond(self, method, target, headers, body):
        self.calls.append((method, target))
        if self.answer is not None:
            return self.answer
        if (method, target) != ("POST", "/update"):
            return Answer({"error": "not_found"}, 404)
        if (headers.get("x-api-user"), headers.get("x-api-key")) != (self.USER, self.KEY):
            return Answer({"error": "forbidden"}, 401)
        given = json.loads(body)
        if set(given) != {"subdomain", "txt"} or given["subdomain"] != self.SUBDOMAIN:
            return Answer({"error": "bad_subdomain"}, 400)
        if not re.fullmatch("[A-Za-z0-9_-]{43}", given["txt"]):
            return Answer({"error": "bad_txt"}, 400)
        self.values = [*self.values, given["txt"]][-2:]
        return Answer({"txt": given["txt"]})


@pytest.fixture(name="acme_dns")
def _acme_dns(tls, tmp_path):
    fake = AcmeDns(tls, str(tmp_path))
    fake.server.start()
    yield fake
    fake.server.stop()
    assert not fake.server.failures


def test_dns01__wildcard_through_acme_dns(avi, ca, acme_dns):
    ca.resolver = acme_dns.resolve
    args = {
        "directory_url": ca.directory, "ca_file": ca.ca_file,
        "dns_target": f"{acme_dns.target},ca_file={ca.ca_file}",
    }  # fmt: skip
    csr = request_for("*.example.org", "*.example.org", "example.org")
    run = avi.call_script(source("dns01"), csr, "*.example.org", args)
    assert run.ok and names_of(run.answer) == ["*.example.org", "example.org"], run.stderr
    clean(run, acme_dns.KEY)
    assert len(acme_dns.calls) == 2 and not avi.log
    args["dns_target"] = args["dns_target"].replace(acme_dns.KEY, "the-wrong-key-of-acme-dns")
    text = failure(avi.call_script(source("dns01"), csr, "", args), "the-wrong-key-of-acme-dns")
    assert "401" in text and f"acme-dns at https://127.0.0.1:{acme_dns.server.port}: " in text
    assert '"dns_target" is missing' in refuse(avi, {}, script="dns01")
    assert '"overwrite_vs"' in refuse(avi, {"overwrite_vs": "x"}, script="dns01")
    text = refuse(avi, {**args, "dns_target": "acme-dns,user=me"}, script="dns01")
    assert "url" in text


def test_dns01__the_key_of_acme_dns_goes_nowhere_else(avi, ca, acme_dns, tls, tmp_path):
    (other := AcmeDns(tls, str(tmp_path))).server.start()
    ca.resolver = acme_dns.resolve
    avi.script_env["https_proxy"] = f"http://127.0.0.1:{other.server.port}"
    args = {
        "directory_url": ca.directory, "ca_file": ca.ca_file,
        "dns_target": f"{acme_dns.target},ca_file={ca.ca_file}",
    }  # fmt: skip
    elsewhere = {"Location": f"https://127.0.0.1:{other.server.port}/update"}
    for answer, word in (
        (Answer("", 302, elsewhere), "302"), (Answer("", 307, elsewhere), "307"),
        (Answer({"txt": "another"}), "not the value"), (Answer([]), "not the value"),
        (Answer("welcome", type="text/html"), "not the value"), (Answer("", 204), "not the value"),
    ):  # fmt: skip
        acme_dns.answer = answer
        text = refuse(avi, args, request_for("*.example.org", "*.example.org"), script="dns01")
        assert f"acme-dns at https://127.0.0.1:{acme_dns.server.port}: " in text and word in text
    other.server.stop()
    assert not other.calls and set(acme_dns.calls) == {("POST", "/update")}


# ---- how fast ----


MANY = [f"n{i}.example.org" for i in range(40)]


def test_forty_names__against_the_simulator(tmp_path, tls):
    with Avi(str(tmp_path), tls) as avi:
        avi.virtualservice("shop", MANY)
        avi.script_env = {"PYTHONPATH": PACKAGE}
        avi.account("certauto", PASSWORD, LEAST_RIGHTS)
        hosts = avi.hosts()
        with CA(str(tmp_path), tls, http_address=hosts.get) as ca:
            args = {
                "user": "certauto", "password": PASSWORD, "directory_url": ca.directory,
                "ca_file": ca.ca_file, "challenge_check": avi.address("shop", 80),
            }  # fmt: skip
            run = avi.call_script(source("letsencrypt"), request_for(MANY[0], *MANY), "", args)
        assert run.ok and names_of(run.answer) == sorted(MANY), run.stderr
        assert avi.objects("httppolicyset") == {}
        assert run.seconds < 10, run.seconds


def test_forty_names__against_pebble(tmp_path, tls):
    with Avi(str(tmp_path), tls) as avi:
        avi.virtualservice("shop", MANY, host="127.0.0.1")
        avi.script_env = {"PYTHONPATH": PACKAGE}
        avi.account("certauto", PASSWORD, LEAST_RIGHTS)

        class Front:
            """What Pebble is told to ask."""

            http_port = int(avi.address("shop", 80).rpartition(":")[2])
            __enter__ = lambda self: self
            __exit__ = lambda self, *_: None

        with Lab(front=lambda _lab: Front(), pebble={"nonce_reject": 5}) as lab:
            args = {
                "user": "certauto", "password": PASSWORD, "directory_url": lab.pebble.directory,
                "ca_file": lab.pebble.ca_file, "challenge_check": avi.address("shop", 80),
            }  # fmt: skip
            run = avi.call_script(source("letsencrypt"), request_for(MANY[0], *MANY), "", args)
        assert run.ok and names_of(run.answer) == sorted(MANY), run.stderr
        assert run.seconds < 10, run.seconds
