"""Verbs about one target, on a simulated NetScaler: the request it makes for a key of its own, up to
the certificate that is served with it; what a test of it tells."""

import os

import pytest

from conftest import BINARY
from real.netscaler import NetscalerLab
from real.pki import openssl
from real.simulated import writes

NAME = "shop.example.org"


@pytest.fixture(name="lab")
def _lab():
    with NetscalerLab(BINARY) as up:
        yield up


def spec(target):
    """A target as --target takes it, its password only pointed to."""
    options = [
        f"{name}={value}"
        for name, value in target.items()
        if isinstance(value, str) and name != "type"
    ]
    return ",".join([target["type"], *options, f"password=file:{target['password']['file']}"])


@pytest.mark.parametrize("named", [True, False])
def test_csr__is_made_by_the_device_and_its_certificate_bound(lab, named):
    shop = lab.shop(NAME)
    target = "edge" if named else spec(shop.target)
    run = shop.does("csr", "--target", target, "--name", "shop", "-d", NAME)
    assert f"DNS:{NAME}" in openssl("req", "-noout", "-text", "-verify", data=run.out.encode()).decode()
    path = os.path.join(os.path.dirname(shop.config_file), "shop.csr")
    with open(path, "w", encoding="utf-8") as file:
        file.write(run.out)
    shop.certificate = {"csr": path}
    shop.does("issue", "shop")
    key = openssl("req", "-noout", "-pubkey", data=run.out.encode())
    assert openssl("pkey", "-pubout", data=lab.file(lab.pair()["key"])) == key
    assert lab.served(NAME).fingerprint == shop.fingerprint(key="csr")
    assert writes(shop.calls("renew")) == []


def test_target_test__tells_what_it_has_found_and_changes_nothing(lab):
    shop = lab.shop(NAME)
    run = shop.does("target", "test", "edge")
    assert "edge: ok" in run.out
    assert "NS14.1" in run.err
    assert writes(shop.calls("target", "test", "edge")) == []
