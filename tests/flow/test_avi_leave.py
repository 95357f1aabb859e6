"""http-01 on an Avi controller: nothing is left of an answer, whatever happened to it, to the
controller or to the run that gave it."""

import os
import random
import signal
import time

import pytest
from avi_answers import EVH, VALUE, built_lab, closes, fresh_lab, opened  # noqa: F401
from conftest import BINARY
from struck import FULL, STRIKES

# ---- leftovers ----


def test_sweep__what_an_old_run_left_is_detached_and_deleted_and_its_port_closed(lab):
    """AV-11, F8: once a run, whatever virtual service it was on."""
    lab.add_service("a", ["a.example.org"], http=())
    lab.add_service("b", ["b.example.org"])
    before = lab.services()
    lab.stranded("a", opened=True)
    lab.stranded("a", "x.example.org")
    lab.stranded("b", age=7300)
    lab.stranded("b", "y.example.org", attach=False)
    shop = lab.order("shop.example.org", "www.shop.example.org", "api.shop.example.org")
    shop.does("issue", "shop")
    assert (lab.services(), lab.sets()) == (before, [])
    lists = [one for one in lab.log if "name.contains" in one.query]
    assert len(lists) == 1


def test_sweep__what_is_not_old_or_not_ours_stays(lab):
    lab.add_service("a", ["a.example.org"], http=())
    lab.stranded("a", age=3600, opened=True)
    for name in ("x-acme-61000000-0123456789abcdef-y", "certauto-acme-", "certauto-acme-zz"):
        own = lab.avi.admin_call("POST", "httppolicyset", body={"name": name})
        entry = {"http_policy_set_ref": own.ref, "index": len(lab.sets())}
        lab.add("vs-shop", http_policies=[entry])
    before = lab.services(), lab.sets()
    lab.order("shop.example.org").does("issue", "shop")
    assert (lab.services(), lab.sets()) == before


def test_sweep__failing_is_no_reason_not_to_answer(lab):
    lab.stranded("vs-shop")
    lab.avi.faults.add(kind="httppolicyset", method="DELETE", status=403, words="no")
    lab.order("shop.example.org").does("issue", "shop")
    assert len(lab.sets()) == 1
    lab.order("shop.example.org").does("issue", "shop")
    assert lab.sets() == []


@pytest.mark.parametrize("where", ["lost-reply", "lost-request"])
def test_create__a_lost_answer_is_no_second_policy_set(lab, where):
    lab.avi.faults.add(kind="httppolicyset", method="POST", wire=where, times=2)
    lab.does("present", "shop.example.org")
    assert len(lab.sets()) == 1
    posts = [one.status for one in lab.avi.requests("httppolicyset", "POST")]
    assert (409 in posts) == (where == "lost-reply")
    assert lab.answer("vs-shop", "shop.example.org") == (200, VALUE, False)


# ---- the look at it, and the end ----


def test_check__waits_until_the_service_engines_have_it(lab):
    """AV-15"""
    lab.avi.push_delay = 0.3
    lab.does("present", "shop.example.org", challenge_check=lab.http)
    assert lab.answer("vs-shop", "shop.example.org") == (200, VALUE, False)


def test_check__attaches_again_what_somebody_has_overwritten(lab):
    """By writing the virtual service whole, as it was before; a controller may let them."""
    lab.add_service("a", ["a.example.org"], http=())
    before = lab.services()

    def overwrite():
        services, policies = lab.services()["a"]
        lab.patch("a", "delete", services=services[1:], http_policies=policies)

    lab.avi.faults.add(method="PATCH", after=overwrite)
    lab.does("present", "a.example.org", challenge_check=lab.avi.address("a", 80))
    assert opened(lab) == 2 and lab.answer("a", "a.example.org") == (200, VALUE, False)
    lab.does("cleanup", "a.example.org")
    assert (lab.services(), lab.sets()) == (before, [])


def test_check__in_vain_tells_what_came_and_what_to_do_and_takes_the_answer_away(lab):
    lab.add_service("b", ["b.example.org"])
    before = lab.services()
    words = [
        "HTTP 200 came back, beginning with \"backend", "\"vs-shop\"", "split-horizon",
        "challenge_check", "redirect", lab.avi.address("vs-shop", 80).split(":")[0],
    ]  # fmt: skip
    elsewhere = lab.avi.address("b", 80)
    code = lab.fails("shop.example.org", *words, challenge_check=elsewhere)
    assert code == "CERTAUTO_ECHALLENGE"
    assert (lab.services(), lab.sets()) == (before, [])


@pytest.mark.parametrize("settle_ms", [0, 600])
def test_settle__is_the_wait_where_nobody_looks(lab, settle_ms):
    lab.avi.push_delay = 0.2
    shop, before = lab.order("shop.example.org", settle_ms=settle_ms), lab.services()
    shop.does("issue", "shop", status=0 if settle_ms else 1)
    assert (lab.services(), lab.sets()) == (before, [])


def test_end__the_answer_goes_whatever_the_ca_says(lab):
    """AV-17"""
    lab.add_service("a", ["a.example.org"], http=())
    lab.server.validate = lambda challenge: False
    before = lab.services()
    lab.order("a.example.org", "shop.example.org").does("issue", "shop", status=1)
    assert (lab.services(), lab.sets()) == (before, []) and lab.avi.writes()


def test_end__what_could_not_be_taken_away_is_by_the_next_run(lab):
    lab.add_service("a", ["a.example.org"], http=())
    shop, before = lab.order("a.example.org"), lab.services()
    lab.avi.faults.add(kind="httppolicyset", method="DELETE", status=403, times=None)
    run = shop.does("issue", "shop")
    assert "deleting the policy set" in run.err and len(shop.records()) == 1
    assert len(lab.sets()) == 2, lab.calls()
    lab.avi.faults.clear()
    shop.does("renew", "shop", "--force")
    assert (lab.services(), lab.sets()) == (before, [])


@pytest.mark.parametrize("when", ["closed", "left"])
def test_end__killed_as_port_80_was_closed_nothing_stays(lab, when):
    """The mark was made for another name, which has gone already."""
    lab.add_service("a", ["a.example.org", "b.example.org"], http=())
    shop, before, process = lab.order("b.example.org"), lab.services(), []
    lab.does("present", "a.example.org")

    def go(_challenge):
        lab.does("cleanup", "a.example.org")
        return True

    lab.server.validate = go
    shop.write()

    def is_last(request):
        is_delete = request.method == "DELETE" and request.kind == "httppolicyset"
        return closes(request) if when == "closed" else is_delete and len(lab.sets()) == 2

    fault = lab.avi.faults.add(
        when=is_last, after=lambda: process[0].send_signal(signal.SIGKILL)
    )  # fmt: skip
    with lab.avi.lock:
        process.append(shop.start("issue", "shop"))
    shop.finish(process[0])
    assert fault.struck and len(lab.sets()) == (2 if when == "closed" else 1), lab.calls()
    shop.does("renew", "shop")
    assert (lab.services(), lab.sets()) == (before, []), lab.calls()


def test_figures__a_name_takes_six_calls_and_forty_are_quick(lab):
    names = [f"n{number}.example.org" for number in range(40)]
    lab.add_service("a", names)
    began = time.monotonic()
    lab.order(*names).does("issue", "shop")
    assert time.monotonic() - began < 10
    calls = [one for one in lab.log if one.kind not in ("login", "logout")]
    assert len(calls) <= 6 * 40 + 1 + 2 * 8, lab.calls()
    lab.avi.clear()
    lab.order("n1.example.org", virtualservice="a").does("issue", "shop")
    assert len(lab.log) == 2 + 5 + 1


# ---- struck at each request ----

N_CALLS = 17  # for a child of EVH, whose parent's port 80 is closed: all there is


def closed_child(lab):
    """(the command that orders for such one, what was there before)"""
    lab.fresh()
    lab.avi.parent("p", http=(), https=(443,), certs=["by-hand"], **EVH)
    lab.avi.child("c", "p", ["a.example.org"])
    return lab.order("a.example.org", timeout_ms=1500), lab.services()


def test_strike__is_at_one_of_these_requests(lab):
    shop, before = closed_child(lab)
    assert len(shop.calls("issue", "shop")) == N_CALLS, lab.calls()
    assert (lab.services(), lab.sets()) == (before, [])


# What goes on and on costs seconds: test_avi_sweep.py has some of it.
@pytest.mark.parametrize(
    "strike", [one for one in STRIKES if FULL or not one.__name__.startswith("dead")]
)
@pytest.mark.parametrize("number", range(1, N_CALLS + 1) if FULL else [None])
def test_strike__nothing_is_left_by_the_next_run(lab, strike, number):
    every = random.Random(strike.__name__ + str(os.stat(BINARY).st_mtime))
    n = 1 if strike.__name__.startswith("cut") else 2
    for one in [number] if number else every.sample(range(1, N_CALLS + 1), n):
        (shop, before), process = closed_child(lab), []
        shop.write()
        fault = strike(lab.avi, one, process)
        with lab.avi.lock:
            process.append(shop.start("issue", "shop"))
        run = shop.finish(process[0])
        lab.avi.faults.clear()
        assert fault.struck, f"{one}: {run}{lab.calls()}"
        again = shop.run("renew", "shop")
        assert again.status == 0, f"{one}: {run}\nand then {again}{lab.calls()}"
        assert (lab.services(), lab.sets()) == (before, []), f"{one}: {run}{lab.calls()}"
        assert shop.records() == []
