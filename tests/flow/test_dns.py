"""Where the record of a challenge is put, and the look at its name servers before the CA looks.

The records are put into a real BIND by the target `rfc2136`; the second name server of the zone is
one that is late, silent, wrong, or none at all. A real CA asks BIND.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess

import pytest
from conftest import BINARY
from real import ports
from real.dns import ZoneDns
from real.named import Named, NamedLab
from real.proc import wait_until
from sim.ca import CA

# "alias" has its record in another zone, behind two CNAMEs; "loop" has none.
ZONES = {
    "example.org": """\
_acme-challenge.alias CNAME hop.validation.example.
_acme-challenge.stay CNAME stay.validation.example.
_acme-challenge.loop CNAME round.validation.example.
_acme-challenge.www.twin CNAME there.twin
there.twin TXT "somebody's"
""",
    "validation.example": """\
hop CNAME there
round CNAME _acme-challenge.loop.example.org.
""",
}


@pytest.fixture(scope="module", name="lab")
def _lab():
    with NamedLab(ZONES) as up:
        yield up


def owner(name):
    """Where the record of a name is put as long as no CNAME leads on."""
    return "_acme-challenge." + name


def warnings(run):
    """What it warned of."""
    return [line for line in run.err.splitlines() if "warning" in line.lower()]


def refused(command):
    """The error of a run that fails by the look, and did not get as far as the CA."""
    run = command.run("--json", "issue", "shop")
    assert run.status == 1, run
    error = run.json()["results"][0]["error"]
    assert error["code"] == "CERTAUTO_ECHALLENGE", error
    assert "the CA could not validate" not in json.dumps(error)
    return error


def edit(command, **sections):
    """Let its configuration have these sections."""
    with open(command.config_file, encoding="utf-8") as file:
        config = json.load(file)
    with open(command.config_file, "w", encoding="utf-8") as file:
        json.dump({**config, **sections}, file)


def rename(command, name):
    """Let its certificate be for that name."""
    with open(command.config_file, encoding="utf-8") as file:
        certificates = json.load(file)["certificates"]
    certificates["shop"]["names"] = [name]
    edit(command, certificates=certificates)


class Second(ZoneDns):
    """The other name server: it has what the first one has, later."""

    def __init__(self, folder, named, after=0, instead=None):
        super().__init__(folder)
        self.named, self.after, self.instead, self.asked = named, after, instead, 0

    def values(self, owner):  # pylint: disable=redefined-outer-name
        self.asked += 1
        if self.instead is not None:
            return self.instead
        return self.named.values(owner) if self.asked > self.after else []


def with_second(lab, port, *names, **more):
    """The command, with a zone of two name servers."""
    check = f"127.0.0.1:{lab.named.port},127.0.0.1:{port}"
    return lab.shop(BINARY, *names, target=lab.target(dns_check=check, **more))


def test_dns__a_late_server_is_waited_for(lab, tmp_path):
    with Second(str(tmp_path), lab.named, after=3) as second:
        run = with_second(lab, second.port, "late.example.org").run("issue", "shop")
        assert run.status == 0 and not warnings(run), run
        # Three times in vain; then over UDP, and over TCP.
        assert second.asked == 5
    assert lab.named.values(owner("late.example.org")) == []


def test_dns__a_silent_server_is_warned_of(lab):
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        command = with_second(lab, port, "silent.example.org", dns_wait_ms=500)
        run = command.run("issue", "shop")
    assert run.status == 0, run
    assert any(f"127.0.0.1:{port}: no answer in time" in line for line in warnings(run)), run


def test_dns__a_server_that_is_down_is_warned_of(lab):
    port = ports.refused_port()
    command = with_second(lab, port, "down.example.org", dns_wait_ms=300)
    run = command.run("issue", "shop")
    assert run.status == 0, run
    assert any(f"127.0.0.1:{port}: it cannot be reached" in line for line in warnings(run)), run


def test_dns__a_server_with_another_value_is_named_and_the_ca_never_asked(lab, tmp_path):
    with Second(str(tmp_path), lab.named, instead=["of-last-year"]) as second:
        command = with_second(lab, second.port, "wrong.example.org", dns_wait_ms=300)
        error = refused(command)
    assert f'127.0.0.1:{second.port}: only "of-last-year"' in error["message"]
    assert str(lab.named.port) not in error["message"]
    assert "dns_wait_ms" in error["advice"]
    assert lab.named.values(owner("wrong.example.org")) == []


def test_dns__a_server_without_the_name_is_named(lab, tmp_path):
    # It has the zone, and gets no updates.
    with Named(str(tmp_path), {"example.org": ""}) as other:
        command = with_second(lab, other.port, "behind.example.org", dns_wait_ms=300)
        error = refused(command)
    assert f"127.0.0.1:{other.port}: no such record" in error["message"]


def test_dns__an_answer_that_is_cut_off_is_read_over_tcp(lab):
    name = "long.example.org"
    others = [f"{number:03}" + "x" * 60 for number in range(20)]
    lab.named.update(*(f'update add {owner(name)} 60 TXT "{other}"' for other in others))
    command = lab.shop(BINARY, name)
    # Pebble asks over UDP only.
    with CA(lab.new_folder("ca"), lab.ca, resolver=lab.named.values) as ca:
        edit(
            command,
            accounts={"test": {"server": ca.directory, "ca_file": ca.ca_file, "agree_tos": True}},
        )
        run = command.run("issue", "shop")
    assert run.status == 0 and not warnings(run), run
    assert lab.named.values(owner(name)) == others


def test_dns__the_record_is_put_where_cnames_lead_and_taken_from_there(lab):
    before = lab.named.log().count("there.validation.example' TXT")
    run = lab.shop(BINARY, "alias.example.org", "b.validation.example").run("issue", "shop")
    assert run.status == 0 and not warnings(run), run
    assert lab.named.log().count("there.validation.example' TXT") > before
    assert lab.named.values("there.validation.example") == []


def test_dns__the_place_is_known_to_the_run_after_a_kill(lab):
    name, place = "stay.example.org", "stay.validation.example"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        command = with_second(lab, deaf.getsockname()[1], name)
        process = command.start("issue", "shop")
        wait_until(lambda: lab.named.values(place), "the record to be added")
        process.send_signal(signal.SIGKILL)
        command.finish(process)
    assert len(lab.named.values(place)) == 1
    # That name is not wanted any more: where the value is, is known from the record alone.
    edit(command, targets={"dns": lab.target()})
    rename(command, "else.example.org")
    run = command.run("renew", "shop")
    assert run.status == 0, run
    assert lab.named.values(place) == []


def test_dns__a_circle_of_cnames_ends_before_anything_is_changed(lab):
    before = lab.named.log().count("adding an RR")
    error = refused(lab.shop(BINARY, "loop.example.org"))
    assert "round in a circle" in error["message"]
    assert lab.named.log().count("adding an RR") == before


def test_dns__an_alias_is_where_the_cname_leads_or_is_refused(lab):
    target = lab.target(dns_alias="there.twin.example.org")
    run = lab.shop(BINARY, "www.twin.example.org", target=target).run("issue", "shop")
    assert run.status == 0, run
    assert lab.named.values("there.twin.example.org") == ["somebody's"]
    target = lab.target(dns_alias="nowhere.example.org")
    error = refused(lab.shop(BINARY, "www.twin.example.org", target=target))
    assert "leads to there.twin.example.org, which is where the CA will look" in error["message"]


def test_dns__without_c_ares_it_goes_on_and_says_so_once(lab, tmp_path):
    # The dynamic linker takes the first of that name, and this is none.
    (tmp_path / "libcares.so.2").write_text("no library")
    paths = [str(tmp_path), os.environ.get("LD_LIBRARY_PATH", "")]
    command = lab.shop(BINARY, "a.without.example.org", "b.without.example.org")
    run = command.run("issue", "shop", env={"LD_LIBRARY_PATH": ":".join(filter(None, paths))})
    assert run.status == 0, run
    told = [line for line in warnings(run) if "libcares2" in line]
    assert len(told) == 1, run


def test_dns__c_ares_is_loaded_only_when_it_is_asked_for():
    # Neither linked nor looked at by who has no records to look for.
    run = subprocess.run(
        [BINARY, "version"],
        env={**os.environ, "LD_DEBUG": "libs"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "libcertauto" in run.stderr and "libcares" not in run.stderr
