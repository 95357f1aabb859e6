"""Orders, accounts and jobs against a simulated CA, from Python."""

import select
import time

import certauto
import pytest
from certauto import NameStatus, OrderStatus
from cryptography import x509

from sim.ca import Fault, problem

URN = "urn:ietf:params:acme:error:"


def test_run__gives_the_chain(client, ca):
    order = client.order("www.example.org", "mail.example.org")
    assert order.status is OrderStatus.NEW and order.url is None
    chain = order.run(timeout=30)
    assert sorted(chain.names) == ["mail.example.org", "www.example.org"]
    assert order.status is OrderStatus.VALID and order.url in ca.orders
    assert set(order.name_status.values()) == {NameStatus.VALID} and order.name_errors == {}
    chain.check(client.key, ["www.example.org", "mail.example.org"])
    leaf = x509.load_pem_x509_certificate(chain.leaf())
    assert int(chain.serial, 16) == leaf.serial_number
    assert len(chain) == 2 and chain.pem() == chain.leaf() + chain.intermediates()
    assert order.chain.fingerprint == chain.fingerprint
    assert client.account.url in ca.accounts


def test_run__needs_a_csr_with_names_and_a_target_that_can(client, cx):
    with pytest.raises(certauto.Unsupported):
        client.order().use("dns-01", cx.target("files", webroot="/tmp"))
    with pytest.raises(certauto.NotFound, match="has not|not issued|no certificate"):
        client.order().chain


def test_error__has_what_the_ca_said(client, ca):
    ca.script["newOrder"] = [problem("rejectedIdentifier", "not for you", 403)]
    with pytest.raises(certauto.Refused, match="not for you") as caught:
        client.order().run(timeout=30)
    error = caught.value
    assert error.problem == URN + "rejectedIdentifier" and error.status == 403
    assert error.code == -14 and error.name == "CERTAUTO_EREFUSED" and error.retry_at is None
    assert error.object and error.message in str(error)


def test_error__retry_later_has_a_time(client, ca):
    ca.rate_limits = {"newOrder": (0, 3600)}
    with pytest.raises(certauto.RetryLater) as caught:
        client.order().run(timeout=30)
    assert time.time() + 3500 < caught.value.retry_at < time.time() + 3700


def test_error__challenge_has_a_subproblem_for_each_name(client, ca):
    ca.validate = lambda challenge: challenge.authz.name != "bad.example.org"
    order = client.order("good.example.org", "bad.example.org")
    with pytest.raises(certauto.Challenge) as caught:
        order.run(timeout=30)
    (sub,) = caught.value.subproblems
    assert sub.name == "bad.example.org" and sub.problem.startswith(URN) and sub.detail
    assert order.name_status["bad.example.org"] is NameStatus.INVALID
    assert isinstance(order.name_errors["bad.example.org"], certauto.Error)
    assert list(order.name_errors) == ["bad.example.org"]


def test_error__eab_that_is_missing(cx, ca):
    ca.eab = {"kid-1": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0IQ"}
    account = cx.account(ca.directory, ca_file=ca.ca_file, agree_tos=True)
    with pytest.raises(certauto.Error):
        account.register(timeout=30)
    account = cx.account(
        ca.directory, ca_file=ca.ca_file, agree_tos=True, eab=("kid-1", ca.eab["kid-1"])
    )
    account.register(timeout=30)
    assert account.url in ca.accounts


def test_account__all_its_verbs(client, ca, cx):
    account = client.account
    account.register(timeout=30)
    account.fetch(timeout=30)
    assert account.status == "valid" and account.contacts == ["mailto:ops@example.org"]
    assert account.terms_url and account.server == ca.directory and account.profiles == []
    account.update("mailto:other@example.org", timeout=30)
    assert "mailto:other@example.org" in account.contacts
    chain = client.order().run(timeout=30)
    assert account.fetch_orders(timeout=30) == [client.account.orders[0]]
    window = account.fetch_renewal(chain, timeout=30)
    assert chain.not_before_at < window.start_at <= window.end_at < chain.not_after_at
    account.rotate_key(cx.key("ecdsa-p384"), timeout=30)
    account.revoke(chain, reason=certauto.RevokeReason.SUPERSEDED, timeout=30)
    with pytest.raises(certauto.Invalid, match="key compromise"):
        account.revoke(chain, reason=99, timeout=30)
    account.deactivate(timeout=30)
    assert account.status == "deactivated"


def test_order__options_arrive(client, ca):
    ca.profiles = {"short": {"description": "d", "days": 6}}
    chain = client.order(profile="short").run(timeout=30)
    assert chain.not_after_at - chain.not_before_at < 7 * 86400
    client.order(replaces=chain, preferred_chain="shortest").run(timeout=30)
    with pytest.raises(certauto.Refused, match="short"):
        client.order(profile="long").run(timeout=30)
    client.order(profile="long", profile_required=False).run(timeout=30)


# ---- jobs ----


def test_job__wait_tells_when_it_still_runs(client, ca):
    ca.script["newOrder"] = [Fault("stall")]
    job = client.order().start(timeout=60)
    with pytest.raises(certauto.TimedOut, match="still running"):
        job.wait(timeout=0.2)
    assert not job.done and job.error is None and job.name
    job.cancel()
    with pytest.raises(certauto.Canceled):
        job.wait(timeout=30)
    assert job.done and job.error.code == certauto.Canceled.code


def test_job__its_deadline_ends_it(client, ca):
    ca.processing = 10**9
    began = time.monotonic()
    with pytest.raises(certauto.TimedOut):
        client.order().run(timeout=0.5)
    assert time.monotonic() - began < 5


def test_job__context_run_drives_all(client, cx):
    jobs = [client.order(f"n{i}.example.org").start() for i in range(10)]
    assert cx.run(timeout=60) == 0
    assert all(job.done and job.error is None for job in jobs)
    assert jobs[0].wait().names == ["n0.example.org"]


def test_job__poll_on_the_descriptor_is_enough(client, cx):
    job = client.order().start(timeout=30)
    poll = select.poll()
    poll.register(cx.fileno(), select.POLLIN)
    while not job.done:
        assert poll.poll(20_000), "nothing for 20 s"
        cx.run(timeout=0)
    assert job.wait(timeout=0).names == ["www.example.org"]


def test_cancel__takes_back_what_was_shown(client, ca, cx):
    ca.processing = 10**9
    job = client.order().start(timeout=60)
    while not client.left():
        cx.run(timeout=0.01)
    cx.cancel()
    with pytest.raises(certauto.Canceled):
        job.wait(timeout=30)
    assert not client.left()


def test_context__close_ends_what_runs(client, ca, cx):
    ca.processing = 10**9
    job = client.order("never.example.org").start(timeout=60)
    cx.run(timeout=0)
    cx.close()
    assert job.done
    with pytest.raises(certauto.Canceled):
        job.wait()
    assert client.key.type == "ecdsa-p256"  # what is left can be read
    with pytest.raises(certauto.Canceled):
        client.key.pem()


def test_two_contexts__do_not_mix(client):
    with certauto.Context() as other:
        with pytest.raises(certauto.Invalid):
            client.account.order(other.csr(other.key(), ["www.example.org"])).run(timeout=5)
