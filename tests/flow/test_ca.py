"""A CA that cannot be reached, is not who it should be, or goes away in the middle."""

import os
import shutil

import pytest
from conftest import FlowLab
from real import ports, tls
from real.pki import TestCA
from real.proxies import TcpProxy


def failed(run, code, *words):
    """Assert a typed failure whose message has words in it; returns the error."""
    assert run.status == 1, str(run)
    error = run.json()["results"][0]["error"]
    assert error["code"] == code, str(run)
    for word in words:
        assert word in error["message"], f"{word!r} is not in {error['message']!r}"
    return error


def command_for(lab, name, server, **account):
    """The usual command, with another directory URL."""
    return lab.shop(name, account={"server": server, **account})


def test_ca__plain_http_is_refused(lab, name):
    url = lab.pebble.directory.replace("https:", "http:")
    before = len(lab.pebble.requests())
    run = command_for(lab, name, url).run("issue", "shop")
    assert run.status == 2, run
    assert url in run.err and "https" in run.err.replace(url, "")
    assert len(lab.pebble.requests()) == before


def test_ca__wrong_certificate_is_a_tls_error(lab, name):
    folder = lab.new_folder("otherca")
    other = TestCA(folder, "another CA")
    run = command_for(lab, name, lab.pebble.directory, ca_file=other.file).run(
        "--json", "issue", "shop"
    )
    failed(run, "CERTAUTO_ETLS", lab.pebble.directory, "certificate")


def test_ca__certificate_for_another_name_is_a_tls_error(lab, name):
    # The server's certificate says localhost and 127.0.0.1, not 127.0.0.2 where a proxy stands.
    with TcpProxy(lab.pebble.port, address="127.0.0.2") as proxy:
        url = f"https://127.0.0.2:{proxy.port}/dir"
        run = command_for(lab, name, url).run("--json", "issue", "shop")
    failed(run, "CERTAUTO_ETLS", url)


def test_ca__a_name_that_does_not_resolve_is_a_network_error(lab, name):
    run = command_for(lab, name, "https://ca.invalid/dir").run(
        "--json", "issue", "shop", env={"RES_OPTIONS": "attempts:1 timeout:1"}
    )
    failed(run, "CERTAUTO_ENET", "https://ca.invalid/dir", "resolve")


def test_ca__a_refused_connection_is_a_network_error(lab, name):
    url = f"https://127.0.0.1:{ports.refused_port()}/dir"
    run = command_for(lab, name, url).run("--json", "issue", "shop")
    failed(run, "CERTAUTO_ENET", url, "onnect")


def cut_replies_after(n_bytes):
    """A hook that lets so many bytes of each connection's replies pass."""
    left = {}

    def cut(_proxy, connection, to_server, length):
        if to_server:
            return length
        n_passed = min(length, left.setdefault(connection, n_bytes))
        left[connection] -= n_passed
        return n_passed

    return cut


# At once, in the handshake, behind it, in the middle of the first reply.
@pytest.mark.parametrize("n_bytes", [0, 400, 1100, 1400])
def test_ca__that_closes_in_the_middle_is_a_typed_error(lab, name, n_bytes):
    with TcpProxy(lab.pebble.port, cut_replies_after(n_bytes)) as proxy:
        run = command_for(lab, name, f"https://127.0.0.1:{proxy.port}/dir").run(
            "--json", "issue", "shop"
        )
        assert run.status == 1, run
        error = run.json()["results"][0]["error"]
        assert error["code"] in ("CERTAUTO_ENET", "CERTAUTO_ETLS"), run
        assert f"https://127.0.0.1:{proxy.port}/" in error["message"]
    assert lab.haproxy.challenges() == []


def test_ca__that_closes_after_every_few_replies_is_asked_again(lab, name):
    with TcpProxy(lab.pebble.port, cut_replies_after(8000)) as proxy:
        run = command_for(lab, name, f"https://127.0.0.1:{proxy.port}/dir").run("issue", "shop")
        assert run.status == 0, run
        assert proxy.n_connections > 1, "nothing was cut"
    assert lab.haproxy.challenges() == []


@pytest.mark.parametrize("piece", [3, 6, 9, 12])
def test_ca__one_lost_connection_costs_nothing(calm_lab, name, piece):
    lab = calm_lab

    def cut_once(proxy, _connection, to_server, length):
        return 0 if to_server and proxy.n_pieces == piece else length

    with TcpProxy(lab.pebble.port, cut_once) as proxy:
        shop = command_for(lab, name, f"https://127.0.0.1:{proxy.port}/dir")
        run = shop.run("issue", "shop")
        assert run.status == 0, run
        assert proxy.n_connections > 1, "nothing was cut"
    assert (
        tls.served(lab.haproxy.tls_port, name).fingerprint
        == shop.lineage("shop")["issued"]["fingerprint_sha256"]
    )


def test_ca__all_requests_of_a_run_share_one_connection(calm_lab, name):
    lab = calm_lab
    with TcpProxy(lab.pebble.port) as proxy:
        shop = command_for(lab, name, f"https://127.0.0.1:{proxy.port}/dir")
        run = shop.run("issue", "shop")
        assert run.status == 0, run
        assert proxy.n_connections == 1


def test_ca__a_failed_challenge_gives_the_cas_words_for_each_name(lab, name):
    names = [name, "www." + name, "gone." + name]
    shop = lab.shop(*names)
    run = shop.run("issue", "shop")
    assert run.status == 0, run
    before = tls.served(lab.haproxy.tls_port, name).fingerprint
    for bad in names[1:]:
        lab.dns.set_address(bad, "127.0.0.9")
    run = shop.run("--json", "renew", "shop", "--force")
    error = failed(run, "CERTAUTO_ECHALLENGE")
    words = error["message"] + str(error["subproblems"])
    for bad in names[1:]:
        assert bad in words, run
    assert "127.0.0.9" in words, "the CA's own explanation is missing"
    assert tls.served(lab.haproxy.tls_port, name).fingerprint == before
    assert lab.haproxy.challenges() == []
    assert shop.lineage("shop")["last_error"]["code"] == "CERTAUTO_ECHALLENGE"
    assert shop.lineage("shop")["issued"]["fingerprint_sha256"] == before


def test_challenge__that_cannot_be_seen_is_not_told_to_the_ca(lab, name):
    answered = sum("/chalZ/" in path for _, path in lab.pebble.requests())
    shop = lab.shop(name, target={"challenge_check": f"127.0.0.1:{ports.refused_port()}"})
    run = shop.run("--json", "issue", "shop")
    error = failed(run, "CERTAUTO_ECHALLENGE")
    assert name in error["message"] + str(error["subproblems"])
    assert sum("/chalZ/" in path for _, path in lab.pebble.requests()) == answered
    assert lab.haproxy.challenges() == []


def test_challenge__check_no_leaves_it_to_the_ca(lab, name):
    run = lab.shop(name, target={"challenge_check": "no"}).run("issue", "shop")
    assert run.status == 0, run


def test_ca__a_blocked_name_is_refused_with_the_cas_words(name):
    with FlowLab(blocked=["blocked.example.com"]) as lab:
        run = lab.shop(name, "blocked.example.com").run("--json", "issue", "shop")
        error = failed(run, "CERTAUTO_EREFUSED")
        assert error["type"] == "urn:ietf:params:acme:error:rejectedIdentifier"
        assert "blocked.example.com" in error["message"]


def test_ca__an_unreadable_account_key_never_makes_a_new_account(lab, name):
    shop = lab.shop(name)
    assert shop.run("account", "register").status == 0
    accounts = os.path.join(os.path.dirname(shop.config_file), "state", "accounts")
    key = os.path.join(accounts, os.listdir(accounts)[0], "key.pem")
    shutil.copy(key, key + ".kept")
    with open(key, "w", encoding="ascii") as file:
        file.write("not a key\n")
    before = lab.pebble.log().count("accounts in memory")
    run = shop.run("issue", "shop")
    assert run.status == 1, run
    assert key in run.err
    assert lab.pebble.log().count("accounts in memory") == before
