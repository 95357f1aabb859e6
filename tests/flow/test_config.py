"""Bad configuration: exit status 2, file and line named, nothing started."""

import json
import os
from hashlib import sha256

import pytest
from real import pki
from real.certauto import Certauto


def refused(command, *words, verb=("issue", "shop")):
    """Assert that it is refused with a message that has words in it, and that nothing began."""
    run = command.run(*verb)
    assert run.status == 2, str(run)
    for word in words:
        assert word in run.err, f"{word!r} is not in what it says:\n{run}"
    if command.config_file:
        assert not os.path.exists(
            os.path.join(os.path.dirname(command.config_file), "state")
        ), "it had begun"
    return run


def edited(lab, name, old, new):
    """A good configuration, old replaced by new; returns the command and FILE:LINE of that."""
    shop = lab.shop(name)
    with open(shop.config_file, encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1, f"{old!r} is not there once"
    with open(shop.config_file, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    return shop, f"{shop.config_file}:{text[:text.index(old)].count(chr(10)) + 1}"


@pytest.fixture(autouse=True)
def ca_is_not_asked(lab):
    """No test in this file may make one request to the CA."""
    before = len(lab.pebble.requests())
    yield
    assert len(lab.pebble.requests()) == before


@pytest.mark.parametrize(
    "old, new, word",
    [
        ('"certificates":', '"certs":', "certs"),
        ('"contact":', '"contacts":', "contacts"),
        ('"agree_tos":', '"agree":', "agree"),
        ('"deploy":', '"deploys":', "deploys"),
        ('"key":', '"kee":', "kee"),
        ('"socket":', '"sokket":', "sokket"),
    ],
)
def test_config__unknown_key_is_refused_with_its_line(lab, name, old, new, word):
    shop, place = edited(lab, name, old, new)
    refused(shop, place, word)


@pytest.mark.parametrize(
    "old, new, word",
    [
        ('"agree_tos": true', '"agree_tos": "perhaps"', "agree_tos"),
        ('"key": "ecdsa-p256"', '"key": 256', "key"),
        ('"key": "ecdsa-p256"', '"key": "ecdsa-p257"', "ecdsa-p257"),
        ('"account": "test"', '"account": ["test"]', "account"),
        ('"account": "test"', '"account": "nobody"', "nobody"),
        ('"type": "haproxy"', '"type": "hapoxy"', "hapoxy"),
        ('"type": "http-01"', '"type": "http-02"', "http-02"),
        ('"shop": {', '"../shop": {', "../shop"),
    ],
)
def test_config__wrong_type_or_value_is_refused_with_its_line(lab, name, old, new, word):
    shop, place = edited(lab, name, old, new)
    refused(shop, place, word)


def test_config__an_option_that_is_required_is_missed(lab, name):
    refused(lab.shop(name, target={"socket": None}), "edge", "socket")


def test_config__a_bad_value_of_an_option_is_named(lab, name):
    refused(lab.shop(name, target={"timeout_ms": "soon"}), "timeout_ms")


def test_config__a_target_that_is_not_there_is_named(lab, name):
    refused(lab.shop(name, certificate={"deploy": ["egde"]}), "egde")


@pytest.mark.parametrize(
    "bad",
    [
        "exa mple.org",
        "-a.example.org",
        "a..example.org",
        "a" * 64 + ".org",
        "a.example.org/x",
        "*.*.example.org",
        "",
    ],
)
def test_config__a_name_that_is_none_is_refused(lab, bad):
    refused(lab.shop("good.example.org", bad), "names" if not bad else bad)


def test_config__a_wildcard_needs_another_challenge(lab, name):
    refused(lab.shop("*." + name, target={"crt": name + ".pem"}), "*." + name)


def test_config__broken_json_is_refused_with_its_line(lab, name):
    shop, place = edited(lab, name, '"account": "test",', '"account": "test"')
    with open(shop.config_file, encoding="utf-8") as file:
        text = file.read()
    line = int(place.rsplit(":", 1)[1])
    run = refused(shop, shop.config_file)
    assert (
        f":{line}" in run.err or f":{line + 1}" in run.err
    ), f"neither line {line} nor the next:\n{run}\n{text}"


def test_config__a_key_given_twice_is_refused(lab, name):
    shop, place = edited(lab, name, '"account": "test",', '"account": "test", "account": "test",')
    refused(shop, place, "account")


def test_config__comments_are_allowed(lab, name):
    shop, _ = edited(
        lab, name, '"account": "test",', '/* which CA */ "account": "test", // the test CA\n'
    )
    run = shop.run("status")
    assert run.status == 0, run


def test_config__a_missing_file_is_named(lab, binary):
    del lab
    refused(Certauto(binary, "/nonexistent/certauto.json"), "/nonexistent/certauto.json")


def test_config__a_missing_ca_file_is_named_with_its_line(lab, name):
    shop, place = edited(lab, name, lab.pebble.ca_file, "/nonexistent/ca.pem")
    refused(shop, place, "/nonexistent/ca.pem")


def eab(lab, name, secret):
    """The command with an external account binding whose hmac is secret; and FILE:LINE of that."""
    shop = lab.shop(name, account={"eab": {"kid": "k", "hmac": secret}})
    with open(shop.config_file, encoding="utf-8") as file:
        line = next(i for i, text in enumerate(file, 1) if '"hmac"' in text)
    return shop, f"{shop.config_file}:{line}"


def private(path, text, mode=0o600):
    """A small file of that mode."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def says(run, place, reach):
    """Is place (FILE:LINE) named, or one of the reach lines after it?"""
    path, line = place.rsplit(":", 1)
    return any(f"{path}:{n}" in run.err for n in range(int(line), int(line) + reach + 1))


def test_config__a_missing_secret_file_is_named(lab, name):
    shop, place = eab(lab, name, {"file": "/nonexistent/secret"})
    assert says(refused(shop, "/nonexistent/secret"), place, 2)


def test_config__a_secret_others_may_read_is_refused(lab, name):
    path = private(
        os.path.join(lab.new_folder("secret"), "hmac"), "AAAAAAAAAAAAAAAAAAAAAA\n", 0o640
    )
    shop, place = eab(lab, name, {"file": path})
    run = refused(shop, path)
    assert says(run, place, 2)
    assert "AAAAAAAA" not in run.err + run.out


def test_config__a_secret_that_cannot_be_read_is_refused(lab, name):
    shop, place = eab(lab, name, {"file": lab.new_folder("folder")})
    assert says(refused(shop, "hmac"), place, 2)


def test_config__a_secret_from_an_unset_variable_is_refused(lab, name):
    shop, place = eab(lab, name, {"env": "CERTAUTO_TEST_UNSET"})
    assert says(refused(shop, "CERTAUTO_TEST_UNSET"), place, 2)


def test_config__a_secret_descriptor_that_is_closed_is_refused(lab, name):
    shop, place = eab(lab, name, {"fd": 63})
    assert says(refused(shop, "63"), place, 2)


def test_config__a_mac_key_that_is_no_base64url_is_refused_and_not_shown(lab, name):
    shop, place = eab(lab, name, {"env": "CERTAUTO_TEST_HMAC"})
    shop.env["CERTAUTO_TEST_HMAC"] = "hush!hush"
    run = refused(shop, "base64url")
    assert says(run, place, 2), run
    assert "hush" not in run.err + run.out


@pytest.mark.parametrize(
    "more, word",
    [
        ({"profile": {"required": False}}, "name"),
        ({"preferred_chain": "keyid:xyz"}, "keyid"),
        ({"challenge": {"type": "dns-01", "target": "edge"}}, "dns-01"),
        ({"challenge": {"type": "dns-01"}}, "target"),
        ({"challenge": {"type": "dns-02", "target": "edge"}}, "dns-persist-01"),
        ({"challenge": {"type": "dns-persist-01"}, "names": ["192.0.2.1"]}, "192.0.2.1"),
        ({"names": []}, "at least one name"),
        ({"names": [f"n{i}.example.org" for i in range(101)]}, "101 names"),
        ({"names": ["sch\u00f6n.example.org"]}, "xn--"),
        ({"names": ["a.example.org", "A.Example.Org"]}, "twice"),
    ],
)
def test_config__what_no_ca_would_take_is_refused(lab, name, more, word):
    refused(lab.shop(name, certificate=more), word)


def test_config__an_outside_csr_that_is_missing_is_named(lab, name):
    refused(
        lab.shop(name, certificate={"csr": "/nonexistent/req.csr", "deploy": []}),
        "/nonexistent/req.csr",
    )


@pytest.mark.parametrize(
    "argv, word",
    [
        ((), "usage"),
        (("isssue", "shop"), "isssue"),
        (("issue", "--nonsense"), "--nonsense"),
        (("issue", "nobody"), "nobody"),
        (("renew", "nobody"), "nobody"),
        (("deploy", "nobody"), "nobody"),
        (("target", "options", "hapoxy"), "hapoxy"),
        (("account", "dance"), "dance"),
    ],
)
def test_usage__mistakes_are_status_2_and_named(lab, name, argv, word):
    run = lab.shop(name).run(*argv)
    assert run.status == 2, run
    assert word in run.err


def test_usage__an_error_of_usage_is_json_too(lab, name):
    shop, place = edited(lab, name, '"names":', '"nammes":')
    run = shop.run("--json", "issue", "shop")
    assert run.status == 2
    error = run.json()["error"]
    assert error["code"] == "CERTAUTO_ECONFIG"
    assert place in error["message"] and "nammes" in error["message"]
    assert set(error) == {
        "code",
        "message",
        "advice",
        "object",
        "type",
        "status",
        "retry_at",
        "subproblems",
    }


def test_usage__an_unknown_option_of_an_ad_hoc_target_is_refused(lab, name, binary):
    run = Certauto(binary).run(
        "issue",
        "--server",
        lab.pebble.directory,
        "--state",
        lab.new_folder("adhoc"),
        "--domain",
        name,
        "--challenge",
        "http-01",
        "--target",
        "haproxy,sokket=/x",
    )
    assert run.status == 2 and "sokket" in run.err, run


def test_config__an_unsafe_state_folder_is_refused_with_its_path(lab, name):
    shop = lab.shop(name)
    with open(shop.config_file, encoding="utf-8") as file:
        state = json.load(file)["state"]
    os.mkdir(state)
    os.chmod(state, 0o777)
    run = shop.run("issue", "shop")
    assert run.status == 1, run
    assert state in run.err


def test_state__an_account_key_others_may_read_is_refused(lab, name):
    shop = lab.shop(name)
    with open(shop.config_file, encoding="utf-8") as file:
        config = json.load(file)
    os.makedirs(os.path.join(config["state"], "accounts"), 0o700)
    folder = os.path.join(
        config["state"], "accounts", "test-" + sha256(lab.pebble.directory.encode()).hexdigest()[:8]
    )
    os.mkdir(folder, 0o700)
    key = pki.new_key(os.path.join(folder, "key.pem"))
    os.chmod(key, 0o640)
    run = shop.run("issue", "shop")
    assert run.status == 1, run
    assert key in run.err


def test_csr__a_key_file_the_group_may_read_is_refused(lab, name, binary):
    folder = lab.new_folder("key")
    key = pki.new_key(os.path.join(folder, "leaf.key"))
    os.chmod(key, 0o640)
    refused(
        Certauto(binary), key, "0640", verb=("csr", "--key", key, "--domain", name, "--out", "out")
    )


def test_state__a_folder_that_cannot_be_made_is_named(lab, name):
    shop = lab.shop(name)
    with open(shop.config_file, encoding="utf-8") as file:
        state = json.load(file)["state"]
    with open(state, "w", encoding="utf-8") as file:
        file.write("a file where the folder is to be\n")
    run = shop.run("issue", "shop")
    assert run.status == 1, run
    assert state in run.err


def test_config__an_outside_csr_that_is_none_is_refused_with_its_path(lab, name):
    path = private(os.path.join(lab.new_folder("csr"), "req.csr"), "not a request\n")
    refused(lab.shop(name, certificate={"csr": path, "deploy": []}), path)
