"""A certificate onto listeners of FlexibleEngine, request by request: the object given its new
content in place or made anew, the places it is used at, what others do there meanwhile, and the way
back.

Generations are issued once for all tests; each begins at a point in the life of one certificate, both
the cloud and the state being as they were then, and only deploys.
"""

import os
import shutil
import signal

import pytest
from conftest import BINARY
from real.flexibleengine import DNS01, FeLab
from real.simulated import KEY, kinds, writes
from sim.fe import LEAST_RIGHTS, OPTIONS
from sim.fe_elb import DEFAULT, SNI

NAME = "shop.example.org"
OBJECT, RSA_OBJECT = f"certauto-shop-{KEY}", "certauto-shop-rsa-2048"
BOTH = [KEY, "rsa-2048"]
CERT, LISTENER = "certificate", "listener"
FAST = {"pending_s": 0}


def _copy(folder, to):
    return shutil.copytree(folder, to, symlinks=True)


class Points:
    """One certificate "shop" in one cloud, at points of its life."""

    def __init__(self, lab):
        self.lab, self.fe, self.shop = lab, lab.fe, lab.shop(NAME)
        self._folder = lab.new_folder("points")
        self._plain = {**self.shop.target, "timeout_ms": 3000, "dns_check": "no"}
        self.shop.target = dict(self._plain)
        self._points, self._pairs = {}, {}
        self.upload("foreign", domain="foreign.example.org")
        lab.fe.listener("shared", ["by-hand"], dedicated=False)
        lab.fe.listener("other", ["by-hand"])
        self._issue("new", "issue", "shop")
        self.shop.does("deploy", "shop")
        self._keep("deployed")
        self._issue("renewed", "renew", "--force")
        self.at("new").on("sni:shop")
        self.shop.key = BOTH
        self._issue("both", "renew")

    def _issue(self, point, *args):
        """A generation that is not deployed."""
        self.fe.faults.add(kind=LISTENER, method="GET", status=400, times=None)
        assert self.shop.does(*args, status=1)
        self._keep(point)

    def _keep(self, point):
        self.fe.faults.clear()
        folder = _copy(self.shop.state, os.path.join(self._folder, point))
        self._points[point] = folder, dict(self.fe.elb.objects), self.shop.key

    def at(self, point, **options):
        """Begin there; options of the cloud."""
        folder, objects, self.shop.key = self._points[point]
        shutil.rmtree(self.shop.state)
        _copy(folder, self.shop.state)
        with self.fe.lock:
            self.fe.faults.clear()
            self.fe.elb.objects.clear()
            self.fe.elb.objects.update(objects)
            self.fe.elb.busy.clear()
            for name, value in {**OPTIONS, **FAST, **options}.items():
                setattr(self.fe, name, value)
            self.fe.clear()
        self.shop.target, self.shop.deploy = dict(self._plain), {}
        return self

    def on(self, *entries, **target):
        """The listeners, by their names."""
        ids = []
        for one in entries:
            sni, _, name = one.rpartition(":")
            ids.append(("sni:" if sni else "") + self.fe.find(LISTENER, name)["id"])
        probe = self.lab.https(entries[0].rpartition(":")[2])
        self.shop.target.update({LISTENER: ids, "probe": probe, **target})
        return self

    # ---- what is done ----

    def deploys(self, *args, name=NAME, **more):
        """It goes well, what is served is what was issued, and a second run finds nothing to do."""
        calls = self.shop.calls("deploy", "shop", *args, **more)
        self.is_served(name)
        assert writes(self.shop.calls("deploy", "shop")) == []
        return calls

    def fails(self, status=1):
        """It does not; returns the error."""
        return self.shop.fails("deploy", "shop", status=status)

    def is_served(self, name=NAME, listener=None):
        """What was issued last is, and nothing has to be remembered."""
        host, _, port = (self.shop.target["probe"] if not listener else
                         self.lab.https(listener)).rpartition(":")  # fmt: skip
        assert self.lab.served_at(host, int(port), name).fingerprint == self.shop.fingerprint()
        assert self.shop.records() == []

    # ---- what is there ----

    def obj(self, name=OBJECT, kind=CERT):
        """As it is stored."""
        return next(one for one in self.fe.elb.all(kind) if name in (one.name, one.id))

    def own(self):
        """Names of the certificates that are ours."""
        return [name for name in self.fe.names(CERT) if name.startswith("certauto-")]

    def refs(self, listener="shop"):
        """(name of the default certificate, names of those for SNI)."""
        data = self.obj(listener, LISTENER).data
        return self.obj(data[DEFAULT]).name, [self.obj(one).name for one in data[SNI]]

    def all(self):
        """What matters of all objects."""
        return {one.id: one.data for one in self.fe.elb.all(CERT) + self.fe.elb.all(LISTENER)}

    def pair(self, which, name="theirs.example.org"):
        """Somebody's own certificate and key; which: its last word is the type of the key."""
        if (which, name) not in self._pairs:
            cert, key = self.lab.bundle(name, which.rpartition(" ")[2])
            self._pairs[which, name] = cert.strip() + "\n", key.rstrip() + "\n"
        return self._pairs[which, name]

    def upload(self, name, which="ecdsa", san="theirs.example.org", **more):
        """Somebody uploads it."""
        return self.fe.upload(name, *self.pair(which, san), **more)

    def put(self, listener, default=None, sni=None):
        """Somebody changes what a listener uses, told by names."""
        values = {DEFAULT: self.obj(default).id} if default else {}
        if sni is not None:
            values[SNI] = [self.obj(one).id for one in sni]
        self.fe.change(LISTENER, listener, **values)

    def refill(self, name=OBJECT):
        """Somebody gives it another certificate."""
        cert, key = self.pair("another ecdsa")
        self.fe.change(CERT, name, certificate=cert, private_key=key)


@pytest.fixture(scope="module", name="points")
def _points():
    with FeLab(BINARY, **FAST) as lab:
        yield Points(lab)


def told(error):
    """Message and advice."""
    return error["message"] + " " + (error["advice"] or "")


def asked(calls):
    """Methods and types of the writes."""
    return [(call.method, call.kind) for call in writes(calls)]


def as_asked(calls):
    """All of them, without the login."""
    return [(call.method, call.kind) for call in calls if call.kind != "token"]


# ---- in place ----


def test_first__is_made_and_bound(points):
    calls = points.at("new").deploys()
    assert asked(calls) == [("POST", CERT), ("PUT", LISTENER)]
    assert points.refs() == (OBJECT, []) and points.own() == [OBJECT]
    assert points.obj().data["domain"] == NAME and "by-hand" in points.fe.names(CERT)


def test_renewal__is_in_place_and_takes_four_calls(points):
    before, listener = points.at("renewed").obj(), points.obj("shop", LISTENER)
    calls = points.deploys()
    assert as_asked(calls) == [("GET", LISTENER), ("GET", CERT), ("PUT", CERT), ("GET", CERT)]
    assert points.obj().id == before.id
    assert points.obj().data["private_key"] != before.data["private_key"]
    assert points.obj("shop", LISTENER) is listener, "nobody has touched it"


def test_nothing_to_do__takes_two_calls_and_no_write(points):
    calls = points.at("deployed").shop.calls("deploy", "shop")
    assert as_asked(calls) == [("GET", LISTENER), ("GET", CERT)]


def test_renewal__keeps_what_others_set_on_the_object(points):
    points.at("renewed").fe.change(CERT, OBJECT, description="theirs")
    points.deploys()
    assert points.obj().data["description"] == "theirs"


def test_object__of_somebodys_is_taken_over_by_its_name(points):
    points.at("new").shop.target["certificate"] = "by-hand"
    assert asked(points.deploys()) == [("PUT", CERT)]
    assert points.refs()[0] == "by-hand" and points.own() == []


def test_object__of_somebodys_may_be_another_ones_and_that_is_told(points):
    points.at("new").shop.target["certificate"] = "by-hand"
    run = points.shop.does("deploy", "shop")
    assert "other listeners" in run.err and "placeholder.example.org" in run.err
    assert points.obj("other", LISTENER).id in run.err and points.obj("shared", LISTENER).id in run.err
    assert points.obj("shop", LISTENER).id not in run.err


def test_object__of_another_installation_is_not_taken_away(points):
    """It has made one of the same name; unless somebody says that it is to be taken over."""
    points.at("new").upload(OBJECT)
    points.put("other", OBJECT)
    before = points.all()
    error = points.fails()
    assert error["code"] == "CERTAUTO_EREFUSED" and "theirs.example.org" in error["message"]
    assert "prefix" in error["advice"] and points.obj("other", LISTENER).id in error["message"]
    assert writes(points.lab.log) == [] and points.all() == before
    points.shop.target["prefix"] = "ours"
    points.deploys()
    points.at("new").upload(OBJECT)
    points.put("other", OBJECT)
    points.shop.target["certificate"] = OBJECT
    points.deploys()


def test_object__that_loses_a_name_is_renewed_all_the_same(points):
    """What is there was deployed from here."""
    points.shop.names.append("www.shop.example.org")
    try:
        points.at("new").shop.does("renew", "shop")
    finally:
        points.shop.names.pop()
    points.put("other", OBJECT)
    run = points.shop.does("renew", "shop")
    assert "lose the name www.shop.example.org" in run.err
    points.is_served(listener="other")


def test_object__used_elsewhere_for_the_same_names_is_no_news(points):
    points.at("renewed").put("other", OBJECT)
    run = points.shop.does("deploy", "shop")
    assert "warning" not in run.err.lower()
    points.is_served(listener="other")


def test_object__of_a_name_that_is_there_twice_is_the_one_in_use(points):
    first = points.at("renewed").upload(OBJECT)
    points.fe.elb.objects = {first.id: first, **points.fe.elb.objects}
    used = points.obj("shop", LISTENER).data[DEFAULT]
    assert asked(points.deploys()) == [("PUT", CERT)]
    assert points.obj("shop", LISTENER).data[DEFAULT] == used
    assert points.fe.find(CERT, first.id)["certificate"] == first.data["certificate"]


def test_object__of_a_name_that_is_there_twice_in_nobodys_use_is_refused(points):
    ids = [points.at("new").upload(OBJECT).id, points.upload(OBJECT).id]
    error = points.fails()
    assert all(one in error["message"] for one in ids) and "certificate" in error["advice"]
    assert writes(points.lab.log) == []


def test_object__of_a_clients_ca_is_none(points):
    points.at("new").fe.upload(OBJECT, points.lab.intermediates()[0])
    points.deploys()
    assert points.fe.names(CERT).count(OBJECT) == 2


def test_drift__is_mended_when_nothing_is_due(points):
    points.at("deployed").put("shop", "by-hand")
    points.shop.does("renew", "shop")
    points.is_served()
    points.refill()
    points.shop.does("renew", "shop")
    points.is_served()


@pytest.mark.parametrize(
    "options",
    [{"echo_key": False}, {"put_half_pair": False}, {"next_marker": "always"},
     {"lower_case_headers": True}],
)  # fmt: skip
def test_renewal__whatever_is_not_known_of_the_service(points, options):
    assert asked(points.at("renewed", **options).deploys()) == [("PUT", CERT)]


def test_renewal__with_an_access_key(points):
    key = points.at("renewed").fe.key()
    for name in ("user", "password", "domain_name"):
        del points.shop.target[name]
    points.shop.target.update({
        name: {"file": points.lab.password_file(text)}
        for name, text in (("access_key", key.access), ("secret_key", key.secret))
    })  # fmt: skip
    assert "token" not in kinds(points.deploys())


# ---- a new one each time ----


def test_new__is_made_bound_and_the_one_before_goes(points):
    points.at("new").shop.target["update"] = "new"
    assert asked(points.deploys()) == [("POST", CERT), ("PUT", LISTENER)]
    first = points.own()
    points.shop.does("renew", "--force")
    assert len(points.own()) == 1 and points.own() != first
    assert points.refs()[0] == points.own()[0]
    assert points.own()[0] == f"{OBJECT}-{points.shop.fingerprint()[:12]}"


def test_new__renewal_takes_eight_calls(points):
    points.at("renewed").shop.target["update"] = "new"
    calls = points.deploys()
    assert asked(calls) == [("POST", CERT), ("PUT", LISTENER), ("DELETE", CERT)]
    assert len(as_asked(calls)) == 8 and OBJECT not in points.own()


def test_new__that_another_listener_uses_stays(points):
    points.at("renewed").put("other", OBJECT)
    points.shop.target["update"] = "new"
    calls = points.deploys()
    assert writes(calls)[-1].method == "DELETE" and writes(calls)[-1].status == 409
    assert points.refs("other")[0] == OBJECT


def test_new__what_others_have_made_under_our_name_stays(points):
    points.at("new").upload(OBJECT)
    points.put("shop", OBJECT)
    points.shop.target["update"] = "new"
    assert asked(points.deploys()) == [("POST", CERT), ("PUT", LISTENER)]
    assert OBJECT in points.own()


@pytest.mark.parametrize("update", ["in-place", "new"])
def test_visitors__get_the_old_one_or_the_new_one(points, update):
    """And the chain with it."""
    points.at("renewed").shop.target["update"] = update
    before = points.lab.served(NAME).fingerprint
    with points.lab.handshakes(NAME) as visitors:
        points.deploys()
    assert visitors.failures == [] and visitors.good > 0
    assert visitors.fingerprints <= {before, points.shop.fingerprint()}


def test_new__and_in_place_again(points):
    points.at("deployed").shop.target["update"] = "new"
    points.deploys()
    points.shop.target["update"] = "in-place"
    points.deploys()
    assert points.own() == [OBJECT]


# ---- SNI ----


def test_sni__is_added_to_the_list(points):
    points.at("new").put("shop", sni=["foreign"])
    points.on("sni:shop")
    calls = points.deploys()
    assert asked(calls) == [("POST", CERT), ("PUT", LISTENER)]
    assert points.refs() == ("by-hand", ["foreign", OBJECT])


@pytest.mark.parametrize("update", ["in-place", "new"])
def test_sni__keeps_its_place(points, update):
    points.at("new").on("sni:shop", update=update).deploys()
    mine = points.refs()[1][0]
    points.put("shop", sni=["foreign", mine])
    points.shop.does("renew", "--force")
    points.is_served()
    default, (foreign, ours) = points.refs()
    assert (default, foreign) == ("by-hand", "foreign") and points.own() == [ours]


def test_sni__of_the_same_name_and_kind_makes_place(points):
    points.at("new").upload("same", san=NAME, domain=NAME)
    points.upload("same-rsa", "rsa", san=NAME, domain=NAME)
    points.put("shop", sni=["same", "foreign", "same-rsa"])
    points.on("sni:shop").deploys()
    assert points.refs()[1] == [OBJECT, "foreign", "same-rsa"]
    assert "same" in points.fe.names(CERT), "it is theirs"


def test_sni__with_more_names_than_ours_is_refused(points):
    points.at("new").upload("more", san=NAME, domain=f"{NAME},more.example.org")
    points.put("shop", sni=["more"])
    error = points.on("sni:shop").fails()
    assert "more.example.org" in error["message"] and error["advice"]
    assert writes(points.lab.log) == []


def test_sni__and_default_of_one_listener(points):
    points.at("new").on("shop", "sni:shop").deploys()
    assert points.refs() == (OBJECT, [OBJECT])


def test_sni__two_kinds_of_keys_stand_side_by_side(points):
    points.at("both").on("sni:shop")
    points.shop.calls("deploy", "shop")
    assert points.refs()[1] == [OBJECT, RSA_OBJECT]
    for kind, key in zip(("ecdsa", "rsa"), BOTH):
        assert points.lab.served(NAME, kind).fingerprint == points.shop.fingerprint(key=key)
    assert writes(points.shop.calls("deploy", "shop")) == []


def test_default__takes_one_kind_of_key(points):
    run = points.at("both").shop.does("deploy", "shop", status=2)
    assert "one default certificate" in run.err and "sni:" in run.err
    assert writes(points.lab.log) == []


def test_sni__what_others_add_meanwhile_stays(points):
    points.at("new").on("sni:shop")
    points.fe.faults.add(
        kind=CERT, method="POST", do=lambda: points.put("shop", sni=["foreign"])
    )  # fmt: skip
    points.deploys()
    assert points.refs()[1] == ["foreign", OBJECT]


def test_names__where_a_certificate_may_have_one(points):
    points.at("new", multi_domain=False).deploys()
    points.shop.names.append("www.shop.example.org")
    try:
        points.at("new", multi_domain=False).on("sni:shop")
        run = points.shop.does("renew", "shop")
        assert "one name" in run.err and points.obj().data["domain"] == NAME
        points.is_served()
    finally:
        points.shop.names.pop()


def test_sni__two_certificates_in_one_run(points):
    points.at("new", busy_s=0.2).on("sni:shop")
    points.shop.others = {"blog": points.shop.entry("blog.example.org", **DNS01)}
    try:
        points.shop.does("renew")
    finally:
        points.shop.others = {}
    assert sorted(points.refs()[1]) == [f"certauto-blog-{KEY}", OBJECT]
    points.is_served()


# ---- several listeners; v2.0 ----


def test_listeners__several_are_switched(points):
    points.at("new").on("shop", "other", "shared")
    assert asked(points.deploys()) == [("POST", CERT)] + [("PUT", LISTENER)] * 3
    for one in ("shop", "other", "shared"):
        points.is_served(listener=one)
        assert points.refs(one)[0] == OBJECT


OLD = [
    {"elb_apis": ("v2.0",)}, {"elb_apis": ("v2.0",), "v2_place": "vpc"},
    {"v2_create_status": 200, "v2_change_status": 202},
]  # fmt: skip


@pytest.mark.parametrize("options", OLD)
@pytest.mark.parametrize("point, n", [("new", 2), ("renewed", 1)])
def test_v2__first_and_in_place(points, options, point, n):
    points.at(point, **options).put("shared", "by-hand")
    target = {"elb_v2_url": points.fe.vpc_url} if "v2_place" in options else {}
    points.on("shared", elb_api="auto" if "elb_apis" in options else "v2.0", **target)
    if point == "renewed":
        points.put("shared", OBJECT)
    calls = points.deploys()
    assert len(writes(calls)) == n and {one.api for one in writes(calls)} == {"v2.0"}
    assert points.refs("shared")[0] == OBJECT


def test_v2__one_that_is_in_use_stays(points):
    points.at("renewed").put("shared", OBJECT)
    points.on("shared", elb_api="v2.0", update="new")
    calls = points.deploys()
    assert writes(calls)[-1].status == 409 and points.refs()[0] == OBJECT


# ---- what is refused before anything is changed ----


def _no_listener(points):
    points.shop.target[LISTENER] = ["0123456789abcdef"]
    return "0123456789abcdef", "CERTAUTO_ENOTFOUND"


def _plain_http(points):
    points.fe.listener("plain", [], protocol="HTTP", port=80)
    points.on("shop", "plain")
    return "protocol is HTTP", "CERTAUTO_EREFUSED"


def _no_right(points):
    points.fe.account("reader", "secret", [one for one in LEAST_RIGHTS if "listeners" not in one])
    password = {"file": points.lab.password_file("secret")}
    points.shop.target.update(user="reader", password=password)
    return "elb:listeners", "CERTAUTO_EPERM"


@pytest.mark.parametrize("how", [_no_listener, _plain_http, _no_right])
def test_refused__before_anything_is_changed(points, how):
    before = points.at("new").all()
    words, code = how(points)
    error = points.fails()
    assert words in told(error) and error["code"] == code and error["advice"]
    assert writes(points.lab.log) == [] and before.items() <= points.all().items()


def test_rights__the_least_are_enough(points):
    points.at("renewed").fe.account("least", "secret", LEAST_RIGHTS)
    password = {"file": points.lab.password_file("secret")}
    points.shop.target.update(user="least", password=password, update="new")
    points.deploys()


@pytest.mark.parametrize("code", ["ELB.8905", "ELB.9807", "ELB.5151"])
def test_quota__is_told_with_what_to_do(points, code):
    points.at("renewed", certs_max=3, quota_code=code)
    points.shop.target["update"] = "new"
    error = points.fails()
    assert error["code"] == "CERTAUTO_EREFUSED" and "in-place" in error["advice"]
    points.shop.target["update"] = "in-place"
    points.deploys()


# ---- others are at work too ----


@pytest.mark.parametrize("point, update", [("renewed", "in-place"), ("renewed", "new")])
def test_busy__is_waited_for(points, point, update):
    points.at(point, busy_s=0.4).shop.target["update"] = update
    points.fe.faults.add(method="PUT", do=lambda: points.fe.make_busy("shop-lb", 0.4))
    points.deploys()
    assert 409 in [one.status for one in writes(points.lab.log)]


def test_busy__for_ever_is_told_and_taken_back(points):
    before = points.at("renewed").all()
    points.shop.target.update(update="new", timeout_ms=600)
    points.fe.make_busy("shop-lb", 300)
    error = points.fails(status=75)
    assert "PENDING_UPDATE" in error["message"] and points.all() == before


def test_changed__the_object_has_gone_and_is_made_again(points):
    points.at("renewed").put("shop", "by-hand")
    points.fe.faults.add(
        kind=CERT, method="PUT", do=lambda: points.fe.remove(CERT, OBJECT)
    )  # fmt: skip
    points.deploys()
    assert points.refs()[0] == OBJECT


# ---- the way back ----


@pytest.mark.parametrize("entries", [["shop"], ["sni:shop"], ["shop", "sni:shop"]])
@pytest.mark.parametrize("point, update", [("new", "in-place"), ("renewed", "in-place"),
                                           ("renewed", "new")])  # fmt: skip
def test_back__what_is_not_proved_is_as_before(points, point, update, entries):
    points.at(point).upload("same", san=NAME, domain=NAME)
    points.put("shop", sni=["foreign", "same"] if "sni:shop" in entries else ["foreign"])
    points.on(*entries, update=update)
    points.fe.faults.add(
        when=lambda one: one.kind == CERT and one.method == "GET" and len(writes(points.fe.log)) > 0,
        status=422, words="not today",
    )  # fmt: skip
    before = points.all()
    error = points.fails()
    assert "422" in error["message"] and points.all() == before
    assert points.shop.target_state() == "rolled-back" and points.shop.records() == []
    points.deploys()


def test_back__what_is_not_served_is_as_before(points):
    before = points.at("renewed").all()
    points.shop.target.update(probe=points.lab.https("other"), timeout_ms=400)
    error = points.fails()
    assert error["code"] == "CERTAUTO_ENOTSERVED" and points.all() == before
    assert points.shop.target_state() == "rolled-back"


@pytest.mark.parametrize("number", range(1, 4))
def test_back__whatever_is_refused(points, number):
    points.at("renewed").on("shop", "other", update="new")
    before = points.all()
    fault = points.fe.faults.add(
        service="elb", when=lambda one: one.writes, number=number, status=422, words="not today"
    )
    error = points.fails()
    assert fault.struck and "422" in error["message"] and points.all() == before
    points.deploys()


def test_back__while_the_load_balancer_is_busy(points):
    points.at("renewed", busy_s=0.3).on("shop", "sni:shop", "other", update="new")
    before = points.all()
    points.fe.faults.add(
        kind=LISTENER, when=lambda one: points.refs("shop")[1] and one.writes,
        status=422, words="not today",
    )  # fmt: skip
    error = points.fails()
    assert "422" in error["message"] and points.all() == before
    assert [one.status for one in writes(points.lab.log)].count(409) >= 2
    assert points.shop.target_state() == "rolled-back" and points.shop.records() == []


def test_back__read_back_it_is_something_else(points):
    before = points.at("renewed").all()
    points.fe.faults.add(
        kind=CERT, method="GET", number=2, do=points.refill,
    )  # fmt: skip
    assert "not the new" in points.fails()["message"]
    assert points.all() != before, "what others have put there stays"


def test_back__what_others_have_bound_meanwhile_stays(points):
    points.at("new")
    points.fe.faults.add(
        kind=LISTENER, method="GET", number=2, do=lambda: points.put("shop", "foreign")
    )
    assert "does not use" in points.fails()["message"]
    assert points.refs()[0] == "foreign" and points.own() == []


@pytest.mark.parametrize("others", [True, False])
def test_back__a_new_one_that_is_used_meanwhile_stays_where_others_use_it(points, others):
    """Else it goes, as soon as the load balancers let go of it."""
    before = points.at("renewed").own()
    points.shop.target["update"] = "new"
    if others:
        points.fe.faults.add(
            kind=LISTENER, method="PUT",
            after=lambda: points.put("other", max(points.own(), key=len)),
        )  # fmt: skip
    else:
        points.fe.faults.add(kind=CERT, method="DELETE", code="ELB.8907", times=2)
    points.fe.faults.add(
        kind=CERT, when=lambda one: one.method == "GET" and len(writes(points.fe.log)) > 1,
        status=422, words="not today",
    )  # fmt: skip
    run = points.shop.does("deploy", "shop", status=1)
    assert "422" in run.err and ("uses it by now" in run.err) == others
    assert points.shop.target_state() == "rolled-back" and points.shop.records() == []
    assert points.refs()[0] == OBJECT and len(points.own()) == len(before) + others
    points.deploys()


def test_back__without_the_old_key_there_is_none(points):
    points.at("new").shop.target["certificate"] = "by-hand"
    points.fe.faults.add(kind=CERT, method="GET", number=2, status=422, words="no")
    error = points.fails()
    assert error["code"] == "CERTAUTO_EROLLBACK" and points.shop.target_state() == "inconsistent"
    assert points.lab.served(NAME).fingerprint == points.shop.fingerprint(), "whole, with its chain"
    points.deploys()


def test_back__an_old_one_that_ends_is_not_put_back(points, clock):
    old = points.at("renewed").obj().data["certificate"]
    points.fe.faults.add(kind=CERT, method="GET", number=2, status=422, words="no")
    run = points.shop.does("deploy", "shop", status=1, env=clock(89.5 * 86400))
    assert "has expired or is about to" in run.err and points.obj().data["certificate"] != old


# ---- bad luck ----


@pytest.mark.parametrize("update", ["in-place", "new"])
@pytest.mark.parametrize("number", [1, 2])
def test_lost__answer_to_a_write_does_no_harm(points, update, number):
    points.at("new").shop.target["update"] = update
    points.fe.faults.add(
        when=lambda one: one.writes, number=number, times=2, wire="lost-reply"
    )  # fmt: skip
    points.deploys()
    assert len(points.own()) == 1, "what was made twice is there once"
    assert points.refs()[0] == points.own()[0]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_session__that_ends_in_the_middle_is_begun_again(points, number):
    points.at("renewed").fe.faults.add(
        service="elb", number=number, do=points.fe.expire_tokens
    )
    assert kinds(points.deploys()).count("token") == 2


def killed(points, number, when):
    """It is, at that write, before or after it took effect."""
    points.shop.write()
    process = []
    fault = points.fe.faults.add(
        when=lambda one: one.writes, number=number,
        **{when: lambda: process[0].send_signal(signal.SIGKILL)},
    )  # fmt: skip
    with points.fe.lock:
        process.append(points.shop.start("deploy", "shop"))
    assert points.shop.finish(process[0]).status == -9 and fault.struck


@pytest.mark.parametrize("number, when", [(1, "do"), (1, "after"), (2, "do"), (2, "after")])
def test_killed__at_a_write_the_next_run_ends_it(points, number, when):
    points.at("renewed").on("shop", update="new")
    killed(points, number, when)
    points.shop.does("renew", "shop")
    points.is_served()
    assert len(points.own()) == 1 and points.refs()[0] == points.own()[0]


@pytest.mark.parametrize("update, number", [("new", 1), ("new", 2), ("in-place", 1)])
def test_killed__what_another_generation_has_left_is_taken_back_first(points, update, number):
    points.at("renewed").on("shop", update=update)
    killed(points, number, "after")
    points.shop.does("renew", "--force")
    points.is_served()
    assert len(points.own()) == 1


# ---- secrets ----


def test_key__is_told_nowhere(points):
    """Neither the one that is sent nor the one that the cloud tells of itself."""
    keys = [points.at("renewed").obj().data["private_key"]]
    points.fe.faults.add(kind=CERT, method="PUT", status=400, words="no")
    run = points.shop.does("-vv", "deploy", "shop", status=1)
    again = points.shop.does("-vv", "deploy", "shop")
    keys.append(points.obj().data["private_key"])
    said = run.out + run.err + again.out + again.err
    assert not [key for key in keys if key.splitlines()[1] in said]


def test_key__is_not_in_the_record_of_a_killed_run(points):
    old = points.at("renewed").obj().data["private_key"].splitlines()[1]
    killed(points, 1, "after")
    new = points.obj().data["private_key"].splitlines()[1]
    (name,) = points.shop.records()
    with open(os.path.join(points.shop.state, "jobs", name), encoding="ascii") as file:
        text = file.read()
    assert old != new and OBJECT in text and old not in text and new not in text
    points.shop.does("renew", "shop")
    points.is_served()


def test_key__is_not_sent_where_nobody_knows_who_listens(points):
    points.at("renewed").shop.target.update(insecure=True)
    del points.shop.target["ca_file"]
    assert "allow_key_over_insecure" in points.shop.does("deploy", "shop", status=2).err
    assert writes(points.lab.log) == []


def test_plan__changes_nothing(points):
    before = points.at("new").all()
    points.shop.does("deploy", "shop", "--dry-run")
    assert points.all() == before and writes(points.lab.log) == []
