"""A NetScaler: what is left when even the way back is barred, and CA certificates and names that are
easily mistaken."""

import datetime
import signal

import pytest
from conftest import BINARY
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from real.netscaler import HTTPS, NetscalerLab
from real.pki import openssl
from real.simulated import KEY

PAIR = f"certauto-shop-{KEY}"


@pytest.fixture(name="lab")
def _lab():
    with NetscalerLab(BINARY) as up:
        yield up


def whole_files(lab):
    """Nothing refers to a file that is not there."""
    used = {one[part] for one in lab.pairs().values() for part in ("cert", "key")}
    return used <= set(lab.files())


# ---- the way back ----


def cannot_be_proved(lab, shop):
    """The next deployment is to be taken back."""
    shop.target.update(probe=lab.elsewhere(), timeout_ms=2000)


def mended(lab, shop):
    """The next run ends well, with nothing left over."""
    lab.ns.faults.clear()
    shop.target["probe"] = lab.https()
    shop.does("renew")
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert shop.target_state() == "deployed" and shop.records() == [] and lab.is_whole()


@pytest.mark.parametrize("length", [1, 2])
def test_back__that_is_refused_leaves_the_new_one_whole(lab, length):
    shop = lab.shop("shop.example.org")
    shop.does("issue", "shop")
    lab.server.chain_length = length
    cannot_be_proved(lab, shop)
    lab.ns.faults.add(kind="sslcertkey", action="update", number=2, times=None, code=1537)
    error = shop.fails("renew", "--force")
    assert "could not be taken back" in error["message"]
    assert shop.target_state() == "inconsistent"
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert lab.chain_sent("shop.example.org") == 1 + length
    assert whole_files(lab)
    mended(lab, shop)
    assert lab.left_over() == []


def test_back__of_a_first_one_that_somebody_uses_already_leaves_it_whole(lab):
    lab.ns.ssl_vserver("vs_two")
    shop = lab.shop("shop.example.org")
    cannot_be_proved(lab, shop)
    use = lambda: lab.ns.bind("vs_two", PAIR)  # noqa: E731
    lab.ns.faults.add(kind="sslvserver_sslcertkey_binding", method="PUT", after=use)
    shop.fails("issue", "shop")
    assert lab.bound() == [] and lab.bound("vs_two") == [(PAIR, False)]
    seen = lab.served("shop.example.org", vserver="vs_two")
    assert seen.fingerprint == shop.fingerprint() and whole_files(lab)
    mended(lab, shop)


def test_back__to_a_key_with_a_pass_phrase_of_theirs_is_told(lab):
    cert, key = lab.bundle("shop.example.org")
    secret = openssl("pkey", "-aes256", "-passout", "pass:theirs", data=key.encode())
    lab.ns.put_file("le.crt", cert)
    lab.ns.put_file("le.key", secret)
    files = {"cert": "le.crt", "key": "le.key", "password": True, "passplain": "theirs"}
    lab.ns.command("POST", "sslcertkey", {"certkey": "le-server-shop", **files})
    lab.ns.bind(HTTPS, "le-server-shop")
    shop = lab.shop("shop.example.org", deploy={"certkey": "le-server-shop"})
    cannot_be_proved(lab, shop)
    error = shop.fails("issue", "shop")
    assert "could not be taken back" in error["message"]
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert whole_files(lab) and lab.chain_sent("shop.example.org") == 2
    mended(lab, shop)
    assert {"le.crt", "le.key"} <= set(lab.files())


@pytest.mark.parametrize("encrypted", [True, False])
def test_back__to_an_encrypted_key_of_ours(lab, encrypted):
    shop = lab.shop("shop.example.org", target={"encrypt_key": True})
    shop.does("issue", "shop")
    shop.does("renew", "--force")
    old, files = shop.fingerprint(), lab.files()
    shop.target["encrypt_key"] = encrypted
    cannot_be_proved(lab, shop)
    shop.fails("renew", "--force")
    assert shop.target_state() == "rolled-back"
    assert lab.served("shop.example.org").fingerprint == old and lab.files() == files
    killed(lab, shop, ["deploy", "shop"], kind="sslcertkey", action="update")
    lab.server.chain_length = 2
    shop.target["probe"] = lab.https()
    shop.does("renew", "--force")
    given = [call.args for call in lab.ns.log if call.args and call.args.get("passplain")]
    assert len([one for one in given if old[:12] in one["cert"]]) == 3, "made, and put back twice"
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint() != old
    assert lab.left_over() == [] and shop.records() == []


def test_back__to_an_encrypted_key_that_is_not_kept_is_not_tried(lab):
    shop = lab.shop("shop.example.org", target={"encrypt_key": True})
    shop.does("issue", "shop")
    lab.server.chain_length = 2
    cannot_be_proved(lab, shop)
    shop.fails("renew", "--force")
    assert shop.target_state() == "rolled-back"
    # What is served is now two generations back.
    assert "passphrase" in shop.does("renew", "--force", status=1).err
    assert shop.target_state() == "inconsistent"
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert lab.chain_sent("shop.example.org") == 3 and whole_files(lab)
    mended(lab, shop)


def killed(lab, shop, args=("issue", "shop"), **when):
    """A run that ends at once when the appliance has done that."""
    lab.ns.faults.add(**when, after=lambda: process.send_signal(signal.SIGKILL))
    shop.write()
    process = shop.start(*args)
    assert shop.finish(process).status == -9
    lab.ns.faults.clear()


def test_back__of_a_killed_run_minds_that_the_vserver_is_another_since(lab):
    lab.by_hand("first", "shop.example.org")
    lab.ns.ssl_vserver("vs_two")
    lab.by_hand("second", "shop.example.org", vserver="vs_two")
    shop = lab.shop("shop.example.org")
    killed(lab, shop, kind="sslvserver_sslcertkey_binding", method="PUT")
    shop.deploy["ssl_vserver"] = ["vs_two"]
    cannot_be_proved(lab, shop)
    shop.does("deploy", "shop", status=1)
    assert lab.bound("vs_two") == [("second", False)]
    assert whole_files(lab)


def test_back__of_a_killed_run_minds_that_the_pair_is_another_since(lab):
    lab.by_hand("first", "shop.example.org")
    theirs = lab.by_hand("second", "shop.example.org", vserver=None)
    shop = lab.shop("shop.example.org", target={"ssl_vserver": None}, deploy={"certkey": "first"})
    killed(lab, shop, kind="sslcertkey", action="update")
    shop.deploy["certkey"] = "second"
    cannot_be_proved(lab, shop)
    shop.does("deploy", "shop", status=1)
    assert {lab.pairs()["second"][part] for part in ("cert", "key")} == theirs
    assert whole_files(lab)


# ---- CA certificates ----


def twin(pem, days=0):
    """A certificate that tells the same of itself, of another key."""
    like = x509.load_pem_x509_certificate(pem.encode())
    key = ec.generate_private_key(ec.SECP256R1())
    later = datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.issuer)
        .serial_number(like.serial_number)
        .not_valid_before(like.not_valid_before)
        .not_valid_after(like.not_valid_after + later)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "name, days, mistaken",
    [("certauto-ca-00112233-44556677", 0, 0), ("le-chain", 0, 1), ("le-chain", 30, 0)],
)
def test_chain__one_with_the_same_name_and_number_is_not_the_same(lab, name, days, mistaken):
    (intermediate,) = lab.intermediates()
    lab.ns.certkey(name, twin(intermediate, days), files=(name + ".crt",))
    shop = lab.shop("shop.example.org")
    shop.does("issue", "shop")
    assert lab.pair()["linkcertkeyname"] != name
    assert lab.served("shop.example.org").fingerprint == shop.fingerprint()
    assert len([call for call in lab.ns.log if call.code == 1548]) == mistaken
    assert lab.chain_sent("shop.example.org") == 2
    shop.does("renew", "--force")
    assert lab.chain_sent("shop.example.org") == 2 and lab.is_whole()


def test_chain__the_right_one_of_two_with_one_number_is_taken(lab):
    (intermediate,) = lab.intermediates()
    for name, pem in (("a-twin", twin(intermediate)), ("le-chain", intermediate)):
        lab.ns.certkey(name, pem, files=(name + ".crt",))
    shop = lab.shop("shop.example.org")
    shop.does("issue", "shop")
    assert lab.pair()["linkcertkeyname"] == "le-chain" and lab.chain_sent("shop.example.org") == 2
    assert lab.authorities() == ["a-twin", "le-chain"] and len(lab.files()) == 4
    assert lab.is_whole()


def test_chain__that_only_one_of_two_adds_stays_when_that_one_is_taken_back(lab):
    shop = lab.shop("shop.example.org", deploy={"sni": "sni"})
    shop.others = {"other": shop.entry("other.example.org")}
    shop.others["other"]["deploy"] = [{"target": "edge", "sni": "sni"}]
    cannot_be_proved(lab, shop)
    shop.others["other"]["deploy"][0]["probe"] = lab.https()
    shop.does("renew", status=3)
    assert list(lab.pairs()) == [f"certauto-other-{KEY}"]
    assert lab.served("other.example.org").fingerprint == shop.fingerprint("other")
    assert len(lab.authorities()) == 1 and len(lab.files()) == 3 and lab.is_whole()
    mended(lab, shop)
    assert len(lab.authorities()) == 1 and len(lab.files()) == 5


def test_chain__a_certificate_that_is_called_like_one_is_none(lab):
    shop = lab.shop("shop.example.org", target={"name_max": 29, "ssl_vserver": None, "probe": "no"})
    odd = "ca-00112233-and-so-on"
    shop.others = {odd: shop.entry("odd.example.org")}
    for _ in range(2):
        shop.does("renew", "--force")
        assert len(lab.pairs()) == 2 and len(lab.authorities()) == 1
        assert whole_files(lab)


# ---- names ----


@pytest.mark.parametrize(
    ("prefix", "name_max"), [("a.b@c=d#e:f_g-h", 63), ("_", 20), ("1234567890123456789-", 20)]
)
def test_names__may_have_whatever_the_appliance_takes(lab, prefix, name_max):
    vserver = "my vs#1:a@b=c.d_e"
    lab.ns.ssl_vserver(vserver)
    shop = lab.shop("shop.example.org", deploy={"ssl_vserver": [vserver]})
    shop.target.update(prefix=prefix, name_max=name_max, probe=lab.https(vserver))
    lab.ns.name_max = name_max
    shop.does("issue", "shop")
    shop.does("renew", "--force")
    assert lab.served("shop.example.org", vserver=vserver).fingerprint == shop.fingerprint()
    assert len(lab.files()) == 3 and lab.is_whole()
    assert max(len(name) for name in lab.objects("sslcertkey")) <= name_max
    cannot_be_proved(lab, shop)
    shop.fails("renew", "--force")
    assert shop.target_state() == "rolled-back" and len(lab.files()) == 3


@pytest.mark.parametrize("name", ["A" + 62 * "b" + "C", "-._", "a.b.c"])
def test_names__of_certificates_may_be_long_or_odd(lab, name):
    shop = lab.shop("shop.example.org", deploy={"sni": "sni"})
    shop.others = {name: shop.entry("odd.example.org")}
    for verb in (["renew"], ["renew", "--force"]):
        shop.does(*verb)
        assert lab.served("odd.example.org").fingerprint == shop.fingerprint(name)
        assert len(lab.pairs()) == 2 and len(lab.files()) == 5
