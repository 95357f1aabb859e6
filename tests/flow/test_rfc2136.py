"""The target `rfc2136` with a real BIND, which a real CA asks for the records."""

import json
import os
import signal
import socket

import pytest
from conftest import BINARY
from real import ports
from real.named import NamedLab, new_key
from real.proc import wait_until

# The record of "alias" is in another zone (RFC 8555 8.4).
ZONES = {
    "example.org": "_acme-challenge.alias CNAME there.validation.example.\n",
    "example.net": "",
    "validation.example": "",
}


@pytest.fixture(scope="module", name="lab")
def _lab():
    """BIND and a CA that refuses every second nonce."""
    with NamedLab(ZONES) as up:
        yield up


def owner(name):
    """Where the record of a name is."""
    return "_acme-challenge." + name.removeprefix("*.")


def failed(command, *argv):
    """A run that fails; returns its error."""
    run = command.run("--json", *(argv or ("issue", "shop")))
    assert run.status == 1, run
    return run.json()["results"][0]["error"], run


def said(error, code, *words):
    """The error is of that kind, and says all that."""
    text = json.dumps(error)
    assert error["code"] == "CERTAUTO_" + code and all(word in text for word in words), error


def test_rfc2136__apex_and_wildcard_share_a_record_and_leave_nothing(lab):
    names = ["both.example.org", "*.both.example.org", "b.example.net"]
    lab.named.update(f'update add {owner(names[0])} 60 TXT "somebody else\'s"')
    command = lab.shop(BINARY, *names)
    run = command.run("issue", "shop")
    assert run.status == 0, run
    assert lab.named.values(owner(names[0])) == ["somebody else's"]
    assert lab.named.values(owner(names[2])) == []
    assert lab.named.log().count("adding an RR") >= 3
    run = command.run("renew", "shop")
    assert run.status == 0, run


def test_rfc2136__the_zone_may_be_named(lab):
    config = {"zone": "example.org", "ttl": 5, "timeout_ms": 20000}
    run = lab.shop(BINARY, "named.example.org", target=lab.target(**config)).run("issue", "shop")
    assert run.status == 0, run


def test_rfc2136__a_cname_leads_to_another_zone(lab):
    run = lab.shop(BINARY, "alias.example.org").run("issue", "shop")
    assert run.status == 0, run
    assert "validation.example" in lab.named.log()
    assert lab.named.values("there.validation.example") == []


@pytest.mark.parametrize(
    "options, code, words",
    [
        ({"key": "certauto"}, "EAUTH", ["BADSIG", "another secret"]),
        ({"key": "nobody"}, "EAUTH", ["BADKEY", "does not know the key"]),
        ({"zone": "example.com"}, "ENOTFOUND", ["NOTAUTH", "does not have that zone"]),
        ({"zone": "example.net"}, "EINVAL", ["NOTZONE", "not in that zone"]),
        ({"nsupdate": "/no/such/nsupdate"}, "ENOTFOUND", ["/no/such/nsupdate", "dnsutils"]),
        ({"key_file": "/no/such/key"}, "ENOTFOUND", ["/no/such/key"]),
    ],
)
def test_rfc2136__what_is_wrong_is_named_and_nothing_is_left(lab, name, options, code, words):
    if "key" in options:
        path = os.path.join(lab.new_folder("key"), "tsig.key")
        options = {"key_file": new_key(path, options["key"])}
    command = lab.shop(BINARY, name, target=lab.target(**options))
    error, run = failed(command)
    said(error, code, *words)
    with open(lab.named.key_file, encoding="ascii") as file:
        assert file.read().split('"')[3] not in run.out + run.err
    assert lab.named.values(owner(name)) == []
    assert command.run("status").status == 0
    # As it should be, it goes on without anything to settle.
    mended = json_with(command, lab.target())
    run = mended.run("renew", "shop")
    assert run.status == 0, run


def json_with(command, target):
    """The same certificate and state, with another target."""
    with open(command.config_file, encoding="utf-8") as file:
        config = json.load(file)
    config["targets"]["dns"] = target
    with open(command.config_file, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return command


def test_rfc2136__a_policy_that_does_not_grant_it_is_named(lab):
    target = lab.target(key_file=lab.named.powerless_key_file)
    error, _run = failed(lab.shop(BINARY, "powerless.example.org", target=target))
    said(error, "EPERM", "REFUSED", "does not let this key", "target recipe")


def test_rfc2136__a_zone_the_server_does_not_have_is_named(lab):
    error, _run = failed(lab.shop(BINARY, "shop.example.com"))
    said(error, "ENOTFOUND", "no zone with that name")


def test_rfc2136__a_key_others_can_read_is_not_used(lab):
    path = new_key(os.path.join(lab.new_folder("key"), "tsig.key"))
    os.chmod(path, 0o644)
    error, _run = failed(lab.shop(BINARY, "open.example.org", target=lab.target(key_file=path)))
    said(error, "EPERM", path, "0644", "chmod 0600")


def test_rfc2136__a_file_that_is_no_key_is_named(lab):
    path = os.path.join(lab.new_folder("key"), "tsig.key")
    with open(path, "w", opener=lambda path, how: os.open(path, how, 0o600)) as file:
        file.write("garbage\n")
    error, _run = failed(lab.shop(BINARY, "garbage.example.org", target=lab.target(key_file=path)))
    said(error, "ECONFIG", "the key cannot be read")


def test_rfc2136__a_clock_that_is_wrong_is_named(lab, clock, tmp_path):
    # Only nsupdate's: the CA's certificate is valid for certauto.
    program = tmp_path / "nsupdate"
    wrong = clock(-4000)
    lines = [f'export {name}="{value}"' for name, value in wrong.items()]
    program.write_text("\n".join(["#!/bin/sh", *lines, 'exec nsupdate "$@"', ""]))
    program.chmod(0o755)
    target = lab.target(nsupdate=str(program))
    error, _run = failed(lab.shop(BINARY, "clock.example.org", target=target))
    said(error, "EAUTH", "the clocks differ", "set this machine's clock")
    assert lab.named.values(owner("clock.example.org")) == []


@pytest.mark.parametrize("how", ["program gone", "refused"])
def test_rfc2136__a_removal_that_fails_is_made_up_for_by_the_next_run(lab, name, tmp_path, how):
    program, broken = tmp_path / "nsupdate", tmp_path / "broken"
    # The first run adds; after it the program is gone, or the server knows the key no more.
    ending = "rm $0" if how == "program gone" else f"touch {broken}"
    program.write_text(
        f"#!/bin/sh\n[ ! -e {broken} ] || {{ echo 'update failed: NOTAUTH(BADKEY)'; exit 2; }}\n"
        f'nsupdate "$@" && {ending}\n'
    )
    program.chmod(0o755)
    command = lab.shop(BINARY, name, target=lab.target(nsupdate=str(program)))
    run = command.run("issue", "shop")
    assert "could not be taken back" in run.err, run
    assert len(lab.named.values(owner(name))) == 1
    run = json_with(command, lab.target()).run("renew", "shop", "--force")
    assert run.status == 0, run
    assert lab.named.values(owner(name)) == []


def test_rfc2136__a_server_that_is_down_is_told_at_once(lab):
    server = f"127.0.0.1:{ports.refused_port()}"
    command = lab.shop(BINARY, "down.example.org", target=lab.target(server=server))
    error, _run = failed(command)
    said(error, "ENET", "nobody listens", server)


def test_rfc2136__a_server_that_never_answers_is_settled_later(lab):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{deaf.getsockname()[1]}"
        target = lab.target(server=server, timeout_ms=200)
        command = lab.shop(BINARY, "deaf.example.org", target=target)
        error, _run = failed(command)
    # Whether it has the value is not known, and it could not be told to forget it.
    said(error, "EROLLBACK", "no answer")
    run = json_with(command, lab.target()).run("renew", "shop")
    assert run.status == 0, run
    assert lab.named.values(owner("deaf.example.org")) == []


def test_rfc2136__a_killed_run_is_taken_up_and_leaves_nothing(lab, tmp_path):
    program, reached = tmp_path / "nsupdate", tmp_path / "reached"
    program.write_text(f'#!/bin/sh\nnsupdate "$@" && touch {reached}\nexec sleep 30\n')
    program.chmod(0o755)
    name = "killed.example.org"
    command = lab.shop(BINARY, name, target=lab.target(nsupdate=str(program)))
    process = command.start("issue", "shop")
    wait_until(reached.exists, "the record to be added")
    process.send_signal(signal.SIGKILL)
    command.finish(process)
    assert len(lab.named.values(owner(name))) == 1
    run = json_with(command, lab.target()).run("renew", "shop")
    assert run.status == 0, run
    assert lab.named.values(owner(name)) == []


def test_rfc2136__ctrl_c_removes_the_record(lab, tmp_path):
    program, reached = tmp_path / "nsupdate", tmp_path / "reached"
    program.write_text(
        f'#!/bin/sh\nnsupdate "$@"\nstatus=$?\n'
        f"[ -e {reached} ] || {{ touch {reached}; sleep 30; }}\nexit $status\n"
    )
    program.chmod(0o755)
    name = "stopped.example.org"
    command = lab.shop(BINARY, name, target=lab.target(nsupdate=str(program)))
    process = command.start("issue", "shop")
    wait_until(reached.exists, "the record to be added")
    process.send_signal(signal.SIGINT)
    assert command.finish(process).status == 130
    assert lab.named.values(owner(name)) == []


def test_rfc2136__test_asks_the_server_with_the_key(lab):
    command = lab.shop(BINARY, "t.example.org", target=lab.target(zone="example.org"))
    run = command.run("target", "test", "dns")
    assert run.status == 0, run
    wrong = new_key(os.path.join(lab.new_folder("key"), "tsig.key"))
    json_with(command, lab.target(zone="example.org", key_file=wrong))
    run = command.run("target", "test", "dns")
    assert run.status == 1 and "BADSIG" in run.err, run
    json_with(command, lab.target(zone="example.com"))
    run = command.run("target", "test", "dns")
    assert run.status == 1 and "NOTAUTH" in run.err, run


def test_rfc2136__a_plan_changes_nothing(lab):
    before = lab.named.log().count("adding an RR")
    run = lab.shop(BINARY, "plan.example.org").run("issue", "shop", "--dry-run")
    assert run.status == 0 and "issue" in run.out, run
    assert lab.named.log().count("adding an RR") == before


def test_rfc2136__the_recipe_is_what_this_bind_runs_with(lab):
    target = lab.target(zone="example.org")
    run = lab.shop(BINARY, "r.example.org", target=target).run("target", "recipe", "dns")
    assert run.status == 0, run
    assert "grant certauto wildcard *.example.org. TXT;" in run.out
    assert lab.named.key_file in run.out
