"""http-01 on an Avi controller: port 80 is open as long as somebody needs it, whoever comes and
goes, and afterwards all is as it was."""

import pytest
from avi_answers import EVH, MARK, VALUE, built_lab, closes, fresh_lab, opened, ports  # noqa: F401

# ---- port 80 ----


class Watch:
    """What is seen at each validation."""

    def __init__(self, lab):
        self.lab, self.seen = lab, []
        lab.server.validate = self

    def __call__(self, challenge):
        name = challenge.authz.value
        self.seen.append(self.lab.services())
        return bool(self.lab.answer(self.service(name), name, challenge.token)[1] != "backend\n")

    def service(self, name):
        """The one that the DNS says."""
        place = self.lab.avi.hosts()[name]
        return next(
            one for one in self.lab.avi.objects("virtualservice")
            if self.lab.avi.address(one, 80) == place
        )  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 10])
def test_port80__is_opened_once_for_all_names_and_closed_by_the_last(lab, n):
    """AV-14, AV-16, F10"""
    names = [f"n{number}.example.org" for number in range(n)]
    lab.add_service("a", names, http=())
    before, watch = lab.services(), Watch(lab)
    lab.order(*names, challenge_check=lab.avi.address("a", 80)).does("issue", "shop")
    assert len(watch.seen) == n
    assert all(ports(one, "a") == [443, 80] for one in watch.seen)
    assert (lab.services(), lab.sets()) == (before, [])
    assert opened(lab) == len([one for one in lab.log if closes(one)]) == 1


def test_port80__of_two_virtual_services_is_opened_where_it_is_missing(lab):
    """F9"""
    lab.add_service("a", ["a1.example.org", "a2.example.org"], http=())
    lab.add_service("b", ["b1.example.org", "b2.example.org"])
    lab.add_service("c", ["c1.example.org", "c2.example.org"], http=())
    before, watch = lab.services(), Watch(lab)
    lab.order(*[f"{one}{n}.example.org" for one in "abc" for n in (1, 2)]).does("issue", "shop")
    assert len(watch.seen) == 6
    assert (lab.services(), lab.sets()) == (before, [])
    assert {"b"} == {one for one in "abc" if ports(before, one) == [80, 443]}


def test_port80__of_an_evh_parent_is_open_until_its_last_child_is_through(lab):
    lab.avi.parent("p", http=(), https=(443,), certs=["by-hand"], **EVH)
    for name in "abc":
        lab.avi.child(name, "p", [f"{name}.example.org"])
    before = lab.services()
    for name in "abc":
        lab.does("present", f"{name}.example.org")
    for name in "bac":
        assert lab.answer("p", f"{name}.example.org") == (200, VALUE, False)
        lab.does("cleanup", f"{name}.example.org")
    assert (lab.services(), lab.sets()) == (before, [])


def test_port80__two_processes_share_it(lab):
    names = [f"n{number}.example.org" for number in range(8)]
    lab.add_service("a", names, http=())
    before = lab.services()
    for verb in ("present", "cleanup"):
        runs = [lab.challenge(verb, name) for name in names]
        for run in runs:
            assert run.communicate(timeout=60)[0] == "" and run.returncode == 0, lab.calls()
        if verb == "present":
            seen = [lab.answer("a", name) for name in names]
            assert seen == [(200, VALUE, False)] * len(names), lab.calls()
    assert (lab.services(), lab.sets()) == (before, [])


def test_port80__closed_by_somebody_who_leaves_is_opened_again(lab):
    """It was open when this one looked."""
    lab.add_service("a", ["a.example.org"], http=())
    before = lab.services()
    other = lab.stranded("a", age=10, opened=True)

    def leave():
        entries = lab.services()["a"][1]
        lab.patch("a", "delete", http_policies=entries, services=[{"port": 80}])
        for one in lab.avi.store.all("httppolicyset"):
            if one.uuid == other.uuid or MARK in one.name:
                lab.avi.admin_call("DELETE", "httppolicyset", one.uuid)

    lab.avi.faults.add(kind="httppolicyset", method="POST", after=leave)
    lab.does("present", "a.example.org")
    assert lab.answer("a", "a.example.org") == (200, VALUE, False)
    lab.does("cleanup", "a.example.org")
    assert (lab.services(), lab.sets()) == (before, [])


@pytest.mark.parametrize("status", [409, 412])
def test_port80__stays_open_when_somebody_comes_in_the_moment_it_is_to_be_closed(lab, status):
    lab.avi.stale_status = status
    lab.add_service("a", ["a.example.org"], http=())
    lab.does("present", "a.example.org")

    def come():
        lab.stranded("a", age=1)

    fault = lab.avi.faults.add(when=closes, do=come)
    lab.does("cleanup", "a.example.org")
    assert fault.struck and ports(lab.services(), "a") == [443, 80]
    assert len(lab.sets()) == len(lab.services()["a"][1]) == 2


@pytest.mark.parametrize("status", [400, 403])
def test_port80__is_closed_where_the_whole_object_may_not_be_written(lab, status):
    """Then it is done without the certainty that nobody comes; who does, gets it open again."""
    lab.add_service("a", ["a.example.org"], http=())
    before = lab.services()
    lab.does("present", "a.example.org")
    lab.avi.faults.add(when=closes, status=status, times=None)
    lab.does("cleanup", "a.example.org")
    assert (lab.services(), lab.sets()) == (before, [])
    lab.does("present", "a.example.org")
    come = lab.avi.faults.add(
        method="PATCH", when=lambda one: "services" in one.body.get("delete", {}),
        do=lambda: lab.stranded("a", age=1),
    )  # fmt: skip
    lab.does("cleanup", "a.example.org")
    assert come.struck and ports(lab.services(), "a") == [443, 80]
    assert len(lab.sets()) == len(lab.services()["a"][1]) == 2


def test_port80__of_two_prefixes_is_marked_once(lab):
    """Each run makes a mark, and one of them is attached."""
    lab.add_service("a", [f"{n}.example.org" for n in "abcdef"], http=())
    before = lab.services()
    for verb in ("present", "cleanup"):
        runs = [lab.challenge(verb, f"{n}.example.org", prefix=f"p{n}") for n in "abcdef"]
        for run in runs:
            assert run.communicate(timeout=60)[0] == "" and run.returncode == 0, lab.calls()
    assert (lab.services(), lab.sets()) == (before, []), lab.calls()


def test_port80__that_somebody_was_quicker_to_open_needs_no_mark_of_ours(lab):
    lab.add_service("a", ["a.example.org"], http=())
    lab.avi.faults.add(
        method="PATCH", when=lambda one: "services" in one.body.get("add", {}),
        do=lambda: lab.stranded("a", age=10, opened=True),
    )  # fmt: skip
    lab.does("present", "a.example.org")
    assert [one.status for one in lab.avi.requests("virtualservice", "PATCH")][0] == 400
    assert len(lab.sets()) == len(lab.services()["a"][1]) == 3
    assert lab.answer("a", "a.example.org") == (200, VALUE, False)
    lab.does("cleanup", "a.example.org")
    assert ports(lab.services(), "a") == [443, 80] and len(lab.sets()) == 2


def test_port80__that_somebody_else_has_opened_stays(lab):
    lab.add_service("a", ["a.example.org"], http=())
    lab.does("present", "a.example.org")
    services = [{"port": 443, "enable_ssl": True}, {"port": 79, "port_range_end": 81}]
    lab.patch("a", "replace", services=services)
    before = lab.services()["a"][0]
    lab.does("cleanup", "a.example.org")
    assert lab.services()["a"] == (before, None)


@pytest.mark.parametrize("temporary", ["yes", "no"])
def test_port80__that_went_meanwhile_is_opened_only_where_it_may_be(lab, temporary):
    """It was there, opened by somebody else's challenge."""
    lab.add_service("a", ["a.example.org"], http=())
    before = lab.services()
    lab.stranded("a", age=10, opened=True)

    def leave():
        entries = lab.services()["a"][1]
        lab.patch("a", "delete", http_policies=entries, services=[{"port": 80}])

    lab.avi.faults.add(kind="httppolicyset", method="POST", after=leave)
    if temporary == "yes":
        lab.does("present", "a.example.org")
        assert ports(lab.services(), "a") == [443, 80]
        lab.does("cleanup", "a.example.org")
    else:
        lab.fails("a.example.org", "temporary_port80", temporary_port80="no")
        assert opened(lab) == 0
    assert lab.services() == before


def test_port80__is_not_kept_open_nor_closed_by_policies_called_alike(lab):
    """Somebody's own ones stay, whatever they are called."""
    lab.add_service("a", ["a.example.org"], http=())
    lab.add_service("b", ["b.example.org"])
    for name in ("to-acme-port80-redirect", "my-acme-policy", "x-acme-port80-123456789"):
        own = lab.avi.admin_call("POST", "httppolicyset", body={"name": name})
        for service in "ab":
            lab.attach(service, own)
    before, sets = lab.services(), lab.sets()
    shop = lab.order("a.example.org", "b.example.org")
    shop.does("issue", "shop")
    assert opened(lab) == 1
    assert (lab.services(), lab.sets()) == (before, sets)


def test_port80__is_marked_by_a_set_with_a_rule(lab):
    """What a controller says to one without any is not known; nobody asks for what it answers."""
    lab.add_service("a", ["a.example.org"], http=())
    lab.does("present", "a.example.org")
    (mark,) = [one for name, one in lab.avi.objects("httppolicyset").items() if MARK in name]
    (rule,) = mark["http_security_policy"]["rules"]
    assert rule["match"]["path"]["match_criteria"] == "EQUALS"
    assert rule["match"]["path"]["match_str"] == [f"/.well-known/acme-challenge/{mark['name']}"]
    assert "port 80" in mark["description"]


# ---- others do the same ----


def test_attach__an_index_that_somebody_was_quicker_to_take(lab):
    taken = []

    def is_attach(request):
        if request.method == "PATCH" and len(taken) < 3 and "http_policies" in request.body["add"]:
            (entry,) = request.body["add"]["http_policies"]
            own = lab.avi.admin_call("POST", "httppolicyset", body={"name": f"own{len(taken)}"})
            taken.append({"http_policy_set_ref": own.ref, "index": entry["index"]})
            lab.add("vs-shop", http_policies=taken[-1:])
            return True
        return False

    lab.avi.faults.add(when=is_attach, times=None)
    lab.does("present", "shop.example.org")
    assert len(taken) == 3
    lab.avi.faults.clear()
    assert lab.answer("vs-shop", "shop.example.org") == (200, VALUE, False)
    lab.does("cleanup", "shop.example.org")
    assert lab.services()["vs-shop"][1] == taken


@pytest.mark.parametrize("status", [409, 412])
def test_attach__while_somebody_changes_the_virtual_service_is_tried_again(lab, status):
    before = lab.services()
    lab.avi.faults.add(method="PATCH", status=status, times=2)
    lab.does("present", "shop.example.org")
    assert lab.answer("vs-shop", "shop.example.org") == (200, VALUE, False)
    lab.avi.faults.add(method="PATCH", status=status, times=2)
    lab.does("cleanup", "shop.example.org")
    assert (lab.services(), lab.sets()) == (before, [])


@pytest.mark.parametrize("status", [400, 403, 412])
def test_attach__a_child_of_sni_that_takes_no_set_leaves_it_to_its_parent(lab, status):
    lab.avi.parent("p", https=(443,), certs=["by-hand"])
    child = lab.avi.child("c", "p", ["a.example.org"], certs=["by-hand"])
    before = lab.services()
    lab.avi.faults.add(
        method="PATCH", when=lambda one: one.uuid == lab.service("c").uuid, status=status,
        words="in use elsewhere", times=None,
    )  # fmt: skip
    lab.does("present", "a.example.org")
    assert child and lab.attached() == ["p"]
    assert lab.answer("p", "a.example.org") == (200, VALUE, False)
    lab.does("cleanup", "a.example.org")
    assert (lab.services(), lab.sets()) == (before, [])


@pytest.mark.parametrize("status", [400, 403, 412])
def test_attach__refused_is_told_and_leaves_nothing(lab, status):
    before = lab.services()
    lab.avi.faults.add(method="PATCH", status=status, words="not so", times=None)
    lab.fails("shop.example.org", f"HTTP status {status}", "not so", "\"vs-shop\"")
    assert (lab.services(), lab.sets()) == (before, [])


def test_leave__while_many_others_change_the_virtual_service_is_tried_again(lab):
    lab.add_service("a", ["a.example.org"], http=())
    before = lab.services()
    lab.does("present", "a.example.org")
    fault = lab.avi.faults.add(method="PATCH", status=412, times=6)
    lab.does("cleanup", "a.example.org")
    assert fault.struck == 6 and (lab.services(), lab.sets()) == (before, [])


def test_leave__all_answers_to_one_challenge_go(lab):
    """Of runs that were not cleaned up after, among many others."""
    lab.add_service("a", ["a.example.org"], http=())
    before = lab.services()
    for number in range(201):
        lab.avi.admin_call("POST", "httppolicyset", body={"name": f"x-acme-{number}"})
    sets = lab.sets()
    for age in (30, 20, 0):
        lab.does("present", "a.example.org")
        lab.grow_older("-a.example.org", age)
    assert len(lab.services()["a"][1]) == 4
    lab.does("cleanup", "a.example.org")
    assert (lab.services(), lab.sets()) == (before, sets)


@pytest.mark.parametrize(
    "status, unmatched", [(400, "refuse"), (403, "ignore"), (409, "refuse"), (412, "ignore")]
)
def test_leave__what_others_did_to_the_answer_is_no_hindrance(lab, status, unmatched):
    """Attached elsewhere, detached, with another index, its virtual service removed."""
    lab.avi.in_use_status, lab.avi.delete_unmatched = status, unmatched
    lab.add_service("b", ["b.example.org"])
    lab.add_service("c", ["c.example.org"])
    before = {name: one for name, one in lab.services().items() if name != "c"}

    def meddle(challenge):
        name = challenge.authz.value
        every = lab.avi.store.all("httppolicyset")
        ours = {one.ref for one in every if one.name.endswith("-" + name)}
        entries = lab.services()[name[0] if name[0] in "bc" else "vs-shop"][1]
        mine = [one for one in entries if one["http_policy_set_ref"] in ours]
        if name == "shop.example.org":
            lab.add("b", http_policies=mine)
        elif name == "www.shop.example.org":
            lab.patch("vs-shop", "delete", http_policies=mine)
        elif name == "b.example.org":
            lab.patch("b", "delete", http_policies=mine)
            lab.add("b", http_policies=[{**mine[0], "index": 7}])
        else:
            lab.avi.remove("virtualservice", "c")
        return True

    lab.server.validate = meddle
    names = ["shop.example.org", "www.shop.example.org", "b.example.org", "c.example.org"]
    lab.order(*names).does("issue", "shop")
    assert (lab.services(), lab.sets()) == (before, []), lab.calls()
