"""certauto hook: certauto as the hook of the clients Debian ships, against a real CA.

What they get is served by a HAProxy that answers their challenges, and by a simulated NetScaler;
the challenges of the DNS are answered by a BIND that takes updates, and by a simulated
FlexibleEngine.
"""

import contextlib
import os
import re
import types

import pytest
from conftest import BINARY
from real import tls
from real.clients import Certbot, Dehydrated, Lego
from real.flexibleengine import FeLab
from real.named import Named
from real.netscaler import NetscalerLab
from real.pebble import Pebble
from real.simulated import writes


@pytest.fixture(name="face", scope="module")
def _face(tmp_path_factory):
    """A function: the single program that make install puts into libexec for a verb."""
    folder = tmp_path_factory.mktemp("libexec")

    def path(verb):
        link = folder / f"hook-{verb}"
        if not link.exists():
            link.symlink_to(os.path.abspath(BINARY))
        return str(link)

    return path


@pytest.fixture(name="adc", scope="module")
def _adc():
    with NetscalerLab(BINARY) as up:
        yield up


@pytest.fixture(name="env")
def _env(calm_lab, name):
    """A function: what hooks are told of the HAProxy and of further targets; their names."""

    def env(*targets, **entries):
        entries["edge"] = calm_lab.haproxy_target(f"{name}.pem")
        targets = targets or sorted(entries, key=lambda target: target != "edge")
        return {
            "CERTAUTO_CONFIG": calm_lab.config({}, entries),
            "CERTAUTO_TARGET": " ".join(targets),
        }

    return env


def verb(what):
    """How a shell calls one."""
    return f"{os.path.abspath(BINARY)} hook {what}"


def served(lab, name):
    """What the HAProxy serves."""
    return tls.served(lab.haproxy.tls_port, name, roots=lab.pebble.roots()).fingerprint


# ---- certbot ----


def test_certbot__is_validated_deploys_twice_and_renews(calm_lab, adc, name, env):
    certbot = Certbot(calm_lab, env(adc=adc.target()), verb)
    run = certbot.run(name, f"www.{name}")
    assert run.status == 0, str(run)
    first = certbot.fingerprint(name)
    assert served(calm_lab, name) == served(calm_lab, f"www.{name}") == adc.shown(name) == first
    # A hook that says something is shown as one that went wrong.
    assert "error output" not in run.out + run.err, str(run)
    assert calm_lab.haproxy.challenges() == [] and adc.answers() == []
    assert adc.is_whole()
    run = certbot.certbot("renew", "--force-renewal")
    assert run.status == 0, str(run)
    second = certbot.fingerprint(name)
    assert served(calm_lab, name) == adc.shown(name) == second != first
    assert calm_lab.haproxy.challenges() == [] and len(adc.pairs()) == 1


def test_certbot__deployment_that_failed_is_done_by_the_folder_later(
    calm_lab, adc, name, env, face
):
    adc.reset()
    hidden = env(adc=adc.target(vserver="no_such_vserver", ssl_vserver=["no_such_vserver"]))
    certbot = Certbot(calm_lab, hidden, face)
    run = certbot.run(name)
    assert run.status == 0, str(run)
    assert "no_such_vserver" in run.out + run.err, str(run)
    # The one that fails does not keep the others from theirs.
    assert served(calm_lab, name) == certbot.fingerprint(name)
    assert adc.pairs() == {}
    folder = os.path.dirname(certbot.certificate(name))
    whole = env(adc=adc.target())
    for _ in range(2):
        before = len(adc.log)
        run = certbot.execute(face("certbot-deploy"), folder + "/", env=whole)
        assert (run.status, run.out, run.err) == (0, "", ""), str(run)
        assert adc.shown(name) == certbot.fingerprint(name)
    assert writes(adc.log[before:]) == []


# ---- dehydrated ----


def changes_nothing(dehydrated, adc, name):
    """A run in which no certificate is due goes well, and writes nothing."""
    before = len(adc.log)
    run = dehydrated.run(name)
    assert run.status == 0, str(run)
    return writes(adc.log[before:]) == []


@pytest.fixture(name="by_dehydrated")
def _by_dehydrated(calm_lab, adc, name, env, face):
    """dehydrated, which has a certificate whose deployment to one of two targets has failed."""
    adc.reset()
    hidden = env(adc=adc.target(vserver="no_such_vserver", ssl_vserver=["no_such_vserver"]))
    dehydrated = Dehydrated(calm_lab, hidden, face("dehydrated"))
    run = dehydrated.run(name)
    assert run.status != 0 and "no_such_vserver" in run.out + run.err, str(run)
    assert calm_lab.haproxy.challenges() == []
    return dehydrated


def test_dehydrated__is_deployed_at_the_next_run_and_the_target_makes_the_next_key(
    calm_lab, adc, name, env, by_dehydrated
):
    dehydrated, orders = by_dehydrated, calm_lab.pebble.orders()
    run = dehydrated.run(name, env=env("elsewhere"))
    assert run.status != 0
    assert re.search("there is no target elsewhere.*there are: edge", run.err), str(run)
    # From now on the target makes the keys: that of the certificate that is there is not its own.
    dehydrated.env.update(env(adc=adc.target()), CERTAUTO_KEY_BY_TARGET="yes")
    run = dehydrated.run(name)
    assert run.status == 0 and "certauto:" not in run.out + run.err, str(run)
    first = dehydrated.fingerprint(name)
    assert served(calm_lab, name) == adc.shown(name) == first
    assert changes_nothing(dehydrated, adc, name)
    assert calm_lab.pebble.orders() == orders
    keys = len(dehydrated.keys(name))
    run = dehydrated.run(name, more=("--force",))
    assert run.status == 0, str(run)
    assert adc.shown(name) == dehydrated.fingerprint(name) != first
    assert len(dehydrated.keys(name)) == keys
    assert changes_nothing(dehydrated, adc, name)


# ---- dns-01 ----

DELEGATED = "delegated.example.net"
ALIAS = "somewhere.acme.example.org"


class DnsLab:
    """BIND and a CA that asks it, beside the HAProxy of a lab."""

    def __init__(self, lab, stack):
        self.lab, self.haproxy, self.new_folder = lab, lab.haproxy, lab.new_folder
        cname = f"_acme-challenge.{DELEGATED}. IN CNAME {ALIAS}.\n"
        zones = {"example.org": "", "example.net": cname}
        self.named = stack.enter_context(Named(lab.new_folder("named"), zones))
        folder = lab.new_folder("pebble")
        http = lab.haproxy.http_port
        self.pebble = stack.enter_context(
            Pebble(folder, lab.ca, self.named, http, nonce_reject=0)
        )

    def env(self, name):
        """What hooks are told."""
        server = f"127.0.0.1:{self.named.port}"
        dns = {"type": "rfc2136", "server": server, "key_file": self.named.key_file}
        dns |= {"dns_resolver": server, "dns_check": f":{self.named.port}"}
        edge = self.lab.haproxy_target(f"{name}.pem", map=None, challenge_check=None)
        config = self.lab.config({}, {"dns": dns, "edge": edge})
        return {"CERTAUTO_CONFIG": config, "CERTAUTO_TARGET": "dns edge"}

    def is_done(self, client, *names):
        """What was asked for is served, and nothing is left in the DNS."""
        for name in names:
            assert served(self, name.replace("*", "www")) == client.fingerprint(names[0])
        assert self.named.values(f"_acme-challenge.{names[0]}") == []
        assert self.named.values(ALIAS) == []
        return True


@pytest.fixture(name="dns", scope="module")
def _dns(calm_lab):
    with contextlib.ExitStack() as stack:
        yield DnsLab(calm_lab, stack)


def test_dns__certbot_gets_a_name_its_wildcard_and_a_delegated_one(dns, name, face):
    certbot = Certbot(dns, dns.env(name), face)
    run = certbot.run(name, f"*.{name}", DELEGATED, challenge="dns")
    assert run.status == 0 and "error output" not in run.out + run.err, str(run)
    assert dns.is_done(certbot, name, f"*.{name}")


def test_dns__dehydrated_gets_a_name_and_its_wildcard_in_one_call(dns, name, face):
    dehydrated = Dehydrated(
        dns, dns.env(name), face("dehydrated"), challenge="dns-01", HOOK_CHAIN="yes"
    )
    run = dehydrated.run(name, f"*.{name}")
    assert run.status == 0 and "certauto:" not in run.out + run.err, str(run)
    assert dns.is_done(dehydrated, name, f"*.{name}")


def test_dns__lego_gets_a_name_and_a_delegated_one_in_both_modes(dns, name, face):
    env = {
        "EXEC_PATH": face("lego"),
        "EXEC_POLLING_INTERVAL": "1",
        "EXEC_SEQUENCE_INTERVAL": "0",
        "LEGO_EXPERIMENTAL_CNAME_SUPPORT": "true",
        **dns.env(name),
    }
    resolver = f"--dns.resolvers=127.0.0.1:{dns.named.port}"
    lego = Lego(dns, env, ("--dns", "exec", resolver, "--dns.disable-cp"))
    hook = face("lego") + " deploy"
    run = lego.run(name, DELEGATED, more=("--run-hook", hook))
    assert run.status == 0 and "certauto:" not in run.out + run.err, str(run)
    assert dns.is_done(lego, name)
    first = lego.fingerprint(name)
    lego.env["EXEC_MODE"] = "RAW"
    now = ("--days=9999", "--no-random-sleep")
    run = lego.run(name, verb="renew", more=(*now, "--renew-hook", hook))
    assert run.status == 0 and "certauto:" not in run.out + run.err, str(run)
    assert dns.is_done(lego, name) and lego.fingerprint(name) != first


# ---- the variables of FlexibleEngine's scripts ----


def test_flexibleengine__certbot_with_the_twelve_variables_and_nothing_else(calm_lab):
    with FeLab(BINARY) as cloud, contextlib.ExitStack() as stack:
        fe, (zone,) = cloud.fe, cloud.fe.zones.zones.values()
        folder = calm_lab.new_folder("pebble")
        pebble = stack.enter_context(
            Pebble(folder, calm_lab.ca, fe.named, calm_lab.haproxy.http_port, nonce_reject=0)
        )
        lab = types.SimpleNamespace(pebble=pebble, new_folder=calm_lab.new_folder)
        host, port = fe.iam_url.rsplit(":", 1)
        variables = os.path.join(folder, "set-env.sh")
        more = f"iam_url={fe.iam_url},dns_url={fe.dns_url},elb_url={fe.elb_url}"
        more += f",ca_file={fe.ca_file},probe={cloud.https()},dns_resolver={fe.named.address}"
        more += ",dns_check=" + ",".join(fe.name_servers)
        with open(variables, "w", encoding="utf-8") as file:
            os.chmod(variables, 0o600)
            file.write(
                f"""#!/bin/bash
# What the scripts were configured with.
export DNS_DOMAIN="shop.example.org"
export DNS_ZONE_ID="{zone.id}"
export LISTENER_ID={fe.find("listener", "shop")["id"]}
export REGION={fe.region}
export USER_NAME='{fe.user}'
export USER_PASSWORD='{fe.password}'
export DOMAIN_NAME="{fe.domain}"
export PROJECT_ID={fe.project}
export ELB_EIP=192.0.2.1
export CERTIFICATE_NAME=certauto-shop
export BASE_ENDPOINT={host}:{port}
export TOKEN_HEADER_PREFIX="X-Subject-Token: "
CERTAUTO_OPTIONS='{more}'
"""
            )
        certbot = Certbot(lab, {}, lambda what: f"{verb(what)} --env-file {variables}")
        run = certbot.run("shop.example.org", "*.shop.example.org", challenge="dns")
        assert run.status == 0 and "error output" not in run.out + run.err, str(run)
        assert cloud.shown("shop.example.org") == certbot.fingerprint("shop.example.org")
        assert cloud.txt() == [] and cloud.own() == ["certauto-shop"]
