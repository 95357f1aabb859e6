"""A whole life on a hard CA: registered, issued, renewed, revoked, key changed, deactivated."""

import base64

import pytest
from conftest import BINARY, FlowLab
from real import tls
from real.certauto import Certauto, write_config
from real.pki import TestCA, openssl
from sim.ca import CA

MAC = base64.urlsafe_b64encode(b"\x5a\xff" * 16).decode().rstrip("=")
BINDING = {"kid": "kid-1", "hmac": MAC}
BLOCKED = "blocked.example.org"


def done(run, status=0):
    """Assert the exit status; returns the run."""
    assert run.status == status, str(run)
    return run


def told(run):
    """The one error of a run under --json."""
    (result,) = done(run, 1).json()["results"]
    return result["error"]


def live(command, served):
    """Everything an account and a certificate go through; served() is called whenever there is a
    new certificate, and tells its serial."""
    serials = []
    done(command.run("account", "register"))
    for verb in (
        ["issue", "shop"],
        ["renew", "--force", "shop"],
        ["revoke", "shop", "--reason", "superseded"],
        ["renew"],
        ["account", "rotate-key"],
        ["renew", "--force"],
        ["revoke", "shop", "--by-key", "--reason", "key-compromise"],
        ["renew"],
    ):
        done(command.run(*verb))
        if verb[0] in ("issue", "renew"):
            serials.append(served())
    assert len(set(serials)) == 5
    done(command.run("account", "deactivate", "test", "--yes"))
    assert "deactivated" in told(command.run("renew", "--force", "--json"))["message"]


@pytest.mark.parametrize("authz_reuse", [0, 50, 100])
def test_acceptance__a_whole_life_where_nine_of_ten_nonces_are_refused(name, authz_reuse):
    with FlowLab(
        nonce_reject=90, authz_reuse=authz_reuse, alternate_roots=3, chain_length=3,
        eab={"kid-1": MAC}, blocked=[BLOCKED],
    ) as lab:  # fmt: skip
        command = lab.shop(name, account={"eab": BINDING})
        live(
            command,
            lambda: tls.served(lab.haproxy.tls_port, name, "ecdsa", lab.pebble.roots()).serial,
        )
        assert lab.pebble.issued() == 5
        assert lab.haproxy.challenges() == []
        # Refused for good, by name, while there is an account.
        command = lab.shop(name, BLOCKED, account={"eab": BINDING})
        error = told(command.run("issue", "shop", "--json"))
        assert BLOCKED in error["message"] and error["type"].endswith(":rejectedIdentifier")
        assert error["status"] == 400


@pytest.fixture(name="web")
def _web(tmp_path):
    """make(ca, **account): the command with a certificate "shop" whose files nobody serves."""
    for folder in ("out", "webroot"):
        (tmp_path / folder).mkdir()

    def make(ca, **account):
        config = {
            "state": str(tmp_path / "state"),
            "accounts": {
                "test": {
                    "server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True, **account
                }
            },
            "targets": {
                "web": {
                    "type": "files", "directory": f"{tmp_path}/out", "probe": "no",
                    "webroot": f"{tmp_path}/webroot", "challenge_check": "no",
                }
            },
            "certificates": {
                "shop": {
                    "account": "test", "names": ["www.example.org"], "deploy": ["web"],
                    "challenge": {"type": "http-01", "target": "web"},
                }
            },
        }  # fmt: skip
        return Certauto(BINARY, write_config(str(tmp_path / "certauto.json"), config))

    return make


def answers(tmp_path):
    """What is left of answers to challenges."""
    return [path for path in (tmp_path / "webroot").rglob("*") if path.is_file()]


def test_acceptance__a_whole_life_where_the_ca_takes_its_time(tmp_path, web):
    with CA(
        str(tmp_path), TestCA(str(tmp_path)), validate=False, retry_after="alternate",
        processing=1, order_async=True, nonce_reject=0.5, eab={"kid-1": MAC}, alternates=3,
        chain_length=3,
    ) as ca:  # fmt: skip
        cert = tmp_path / "state/certs/shop/ecdsa-p256/current/cert.pem"

        def served():
            # Authorization and order of the first have been waited for, in both forms.
            ca.processing, ca.order_async = 0, False
            return openssl("x509", "-noout", "-serial", "-in", cert)

        live(web(ca, eab={**BINDING, "alg": "HS512"}), served)
        assert ca.counts["certificates issued"] == 5
        assert ca.counts["accounts made"] == 1 and len(ca.orders) == 5
        assert answers(tmp_path) == []


def test_acceptance__processes_side_by_side_make_one_account_and_one_order(tmp_path, web):
    # Slow enough for all of them to be at work at once.
    with CA(str(tmp_path), TestCA(str(tmp_path)), validate=False, delay_ms=30) as ca:
        command = web(ca)
        running = [command.start("issue", "shop", "--json") for _ in range(6)]
        runs = [command.finish(process) for process in running]
        assert {run.status for run in runs} <= {0, 75}, "\n".join(map(str, runs))
        outcomes = [result["outcome"] for run in runs for result in run.json()["results"]]
        assert outcomes.count("done") == 1 and "failed" not in outcomes
        assert ca.counts["accounts made"] == 1
        assert ca.counts["orders made"] == ca.counts["certificates issued"] == 1
        assert answers(tmp_path) == []
