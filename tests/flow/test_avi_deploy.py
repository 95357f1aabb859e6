"""A certificate onto an Avi controller, request by request: the object given its new content in place,
its chain, its bindings, what others do there meanwhile, and the way back.

Generations are issued once for all tests; each begins at a point in the life of one certificate, both
the controller and the state being as they were then, and only deploys.
"""

import dataclasses
import json
import os
import shutil
import signal

import pytest
from conftest import BINARY
from real.avi import CA, CERTS, NAMES, VS, AviLab
from real.simulated import KEY, kinds, writes
from sim import avi_certs
from sim.avi import OPTIONS, Avi
from sim.avi_rules import EVH
from sim.avi_store import new_uuid
from sim.avi_types import uuid_of

NAME = NAMES[0]
OBJECT, RSA_OBJECT = f"certauto-shop-{KEY}", "certauto-shop-rsa-2048"
BOTH = [KEY, "rsa-2048"]
SERVICE = "virtualservice"


def _copy(folder, to):
    return shutil.copytree(folder, to, symlinks=True)


class Points:
    """One certificate "shop" on one controller, at points of its life."""

    def __init__(self, lab):
        self.lab, self.avi, self.shop = lab, lab.avi, lab.shop(NAME)
        self._folder = lab.new_folder("points")
        self._plain = {**self.shop.target, "timeout_ms": 3000}
        self._points, self._pairs = {}, {}
        self._issue("new", "issue", "shop")
        self.shop.does("deploy", "shop")
        self._keep("deployed")
        self._issue("renewed", "renew", "--force")
        self.at("deployed")
        lab.server.chain_length = 3
        self._issue("rotated", "renew", "--force")
        self.at("new")
        self.shop.key = BOTH
        self._issue("both", "renew")

    def _issue(self, point, *args):
        """A generation that is not deployed."""
        self.avi.faults.add(kind=CERTS, method="GET", status=400, times=None)
        assert self.shop.does(*args, status=1)
        self._keep(point)

    def _keep(self, point):
        self.avi.faults.clear()
        folder = _copy(self.shop.state, os.path.join(self._folder, point))
        self._points[point] = (
            folder, dict(self.avi.store.objects), self.shop.key, self.lab.server.chain_length
        )  # fmt: skip

    def at(self, point):
        """Begin there."""
        folder, objects, self.shop.key, self.lab.server.chain_length = self._points[point]
        shutil.rmtree(self.shop.state)
        _copy(folder, self.shop.state)
        self.lab.reset()
        with self.avi.lock:
            self.avi.store.objects.clear()
            self.avi.store.objects.update(objects)
            for name, value in OPTIONS.items():
                setattr(self.avi, name, value)
        self.shop.target, self.shop.deploy, self.shop.certificate = dict(self._plain), {}, {}
        return self

    # ---- what is done ----

    def deploys(self, *args, **more):
        """It goes well, what is served is what was issued, and a second run finds nothing to do."""
        calls = self.shop.calls("deploy", "shop", *args, **more)
        self.is_served()
        assert writes(self.shop.calls("deploy", "shop")) == []
        return calls

    def fails(self, status=1):
        """It does not; returns the error."""
        return self.shop.fails("deploy", "shop", status=status)

    def is_served(self):
        """What was issued last is, and nothing has to be remembered."""
        assert self.lab.served(NAME).fingerprint == self.shop.fingerprint()
        assert self.shop.records() == []

    # ---- what is there ----

    def obj(self, name=OBJECT, kind=CERTS):
        """As it is stored."""
        return self.avi.store.named(kind, name, self.avi.store.tenant("admin").uuid)

    def all(self):
        """What matters of all objects: not when they were changed, nor what links are called."""
        found = {}
        for one in self.avi.store.objects.values():
            if one.type in (CERTS, SERVICE):
                certificate = {**one.data.get("certificate", {}), "chain_verified": None}
                links = [link["ca_ref"] for link in one.data.get("ca_certs", [])]
                data = {**one.data, "certificate": certificate, "ca_certs": links}
                found[one.uuid] = (one.kept.get("key"), data)
        return found

    def pair(self, which):
        """Somebody's own certificate and key; which: its last word is the type of the key."""
        if which not in self._pairs:
            self._pairs[which] = self.lab.bundle("theirs.example.org", which.rpartition(" ")[2])
        return self._pairs[which]

    def upload(self, name, which="ecdsa", **more):
        """Somebody uploads it."""
        return self.avi.upload(name, *self.pair(which), **more)

    def bind(self, *names, service=VS):
        """Somebody binds these."""
        refs = [self.obj(name).ref for name in names]
        self.avi.change(SERVICE, service, ssl_key_and_certificate_refs=refs)

    def refill(self, name=OBJECT):
        """Somebody gives it another certificate."""
        cert, key = self.pair("another ecdsa")
        self.avi.change(CERTS, name, certificate={"certificate": cert}, key=key)

    def linked(self, name=OBJECT):
        """Names of the certificates above it, as far as they are linked."""
        found, data = [], self.avi.find(CERTS, name)
        while data.get("ca_certs"):
            data = self.avi.store.objects[uuid_of(data["ca_certs"][0]["ca_ref"])].data
            found.append(data["name"])
        return found


@pytest.fixture(scope="module", name="points")
def _points():
    with AviLab(BINARY) as lab:
        yield Points(lab)


def told(error):
    """Message and advice."""
    return error["message"] + " " + (error["advice"] or "")


# ---- made, and given its new content in place ----


def asked(calls):
    """Methods and types of the writes that are not about challenges."""
    return [
        (call.method, call.kind) for call in writes(calls)
        if call.kind == CERTS or call.method == "PUT"
    ]  # fmt: skip


def test_first__is_made_linked_and_bound(points):
    calls = points.at("new").deploys()
    assert asked(calls) == [("POST", CERTS), ("POST", CERTS), ("PUT", SERVICE)]
    assert points.lab.bound() == [OBJECT]
    (issuer,) = points.linked()
    assert issuer.startswith("certauto-ca-")
    assert points.obj().data["certificate"]["certificate"].count("BEGIN") == 1, "the leaf alone"


def test_renewal__is_in_place_and_takes_seven_calls(points):
    before, service = points.at("renewed").obj(), points.obj(VS, SERVICE)
    calls = points.deploys()
    assert kinds(calls) == ["login", CERTS, CERTS, SERVICE, CERTS, CERTS, "logout"]
    assert asked(calls) == [("PUT", CERTS)] and writes(calls)[0].body["_last_modified"]
    assert points.obj().uuid == before.uuid and points.obj().kept["key"] != before.kept["key"]
    assert points.obj(VS, SERVICE) is service, "nobody has touched it"


def test_nothing_to_do__takes_five_calls_and_no_write(points):
    calls = points.at("deployed").shop.calls("deploy", "shop")
    assert kinds(calls) == ["login", CERTS, CERTS, SERVICE, "logout"]


def test_renewal__keeps_what_others_set_on_the_object(points):
    points.at("renewed").avi.change(CERTS, OBJECT, enable_ocsp_stapling=True, created_by="them")
    points.deploys()
    data = points.obj().data
    assert data["enable_ocsp_stapling"] and data["created_by"] == "them"


def test_object__of_somebodys_is_taken_over_by_its_name(points):
    points.at("new").shop.target["certificate"] = "by-hand"
    assert asked(points.deploys()) == [("POST", CERTS), ("PUT", CERTS)]
    assert points.lab.bound() == ["by-hand"] and OBJECT not in points.lab.certificates()


def test_object__of_another_kind_of_key_gets_the_new_one(points):
    points.at("new").upload("theirs", "rsa")
    points.shop.target["certificate"] = "theirs"
    points.deploys()
    assert points.obj("theirs").data["key_params"]["algorithm"] == "SSL_KEY_ALGORITHM_EC"


def test_key__that_the_controller_has_made_stays_there(points):
    body = {
        "name": "theirs", "certificate": {"subject": {"common_name": NAME}, "subject_alt_names":
        [NAME]}, "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
    }  # fmt: skip
    pending = points.at("deployed").avi.admin_call("POST", CERTS, body=body)
    csr = os.path.join(points.lab.new_folder("csr"), "csr.pem")
    with open(csr, "w", encoding="ascii") as file:
        file.write(pending.data["certificate"]["certificate_signing_request"])
    points.shop.certificate = {"csr": csr}
    points.shop.target["certificate"] = "nobodys"
    assert "whose key the controller has made" in points.shop.fails("renew", "shop")["message"]
    points.shop.target["certificate"] = "theirs"
    assert asked(points.shop.calls("deploy", "shop")) == [
        ("PUT", CERTS), ("PUT", SERVICE), ("DELETE", CERTS)
    ], "the object with certauto's own key is not needed any more"  # fmt: skip
    now = points.obj("theirs")
    assert now.kept["key"] == pending.kept["key"] and now.data["status"] == avi_certs.FINISHED
    assert points.lab.served(NAME).fingerprint == points.shop.fingerprint("shop", "csr")
    assert writes(points.shop.calls("deploy", "shop")) == []


# ---- intermediates ----


def test_chain__of_three_is_made_from_the_top_and_the_old_one_goes(points):
    (old,) = points.at("rotated").lab.authorities()
    calls = points.deploys()
    assert asked(calls) == [("POST", CERTS)] * 3 + [("PUT", CERTS), ("DELETE", CERTS)]
    made = [call.body["name"] for call in writes(calls)[:3]]
    assert points.linked() == made[::-1] and old not in points.lab.authorities()


@pytest.mark.parametrize("point, length", [("new", 1), ("renewed", 1), ("rotated", 3)])
def test_chain__is_linked_where_the_controller_does_not(points, point, length):
    points.at(point).avi.auto_link = False
    points.deploys()
    assert len(points.linked()) == length == len(points.lab.authorities())


def test_chain__that_somebody_has_unlinked_is_linked_again(points):
    points.at("deployed").avi.auto_link = False
    points.avi.change(CERTS, OBJECT, ca_certs=[])
    assert asked(points.deploys()) == [("PUT", CERTS)] and len(points.linked()) == 1


@pytest.mark.parametrize("status", [400, 403, 409, 412])
def test_chain__that_another_certificate_uses_stays(points, status):
    (old,) = points.at("rotated").lab.authorities()
    points.avi.in_use_status = status
    now = points.obj()
    points.avi.upload("other", now.data["certificate"]["certificate"], now.kept["key"])
    calls = points.deploys()
    assert writes(calls)[-1].status == status and old in points.linked("other")


def test_chain__of_others_is_used_and_left(points):
    (intermediate,) = points.at("new").lab.intermediates()
    points.avi.upload("theirs", intermediate)
    assert asked(points.deploys()) == [("POST", CERTS), ("PUT", SERVICE)]
    assert points.lab.authorities() == ["theirs"] == points.linked()


@pytest.mark.parametrize("order", ["created", "reversed"])
def test_chain__is_found_on_whatever_page_it_is(points, order):
    (ours,) = points.at("deployed").lab.authorities()
    points.avi.order = order
    one, (foreign, _) = points.obj(ours), points.pair("ecdsa")
    certificate = {**one.data["certificate"], "certificate": foreign}
    with points.avi.lock:
        for n in range(210):
            data = {**one.data, "name": f"z{n}", "certificate": certificate}
            copy = dataclasses.replace(one, uuid=new_uuid(CERTS), data=data)
            points.avi.store.objects[copy.uuid] = copy
    calls = points.shop.calls("deploy", "shop")
    assert writes(calls) == []
    assert [call.query["page"] for call in calls if call.query.get("type") == CA] == ["1", "2"]


def test_chain__is_told_by_serial_number_where_nothing_else_is(points):
    def bare(request):
        return request.query.get("type") == CA

    (ours,) = points.at("renewed").lab.authorities()
    serial = points.obj(ours).data["certificate"]["serial_number"]
    one = {"name": "x", "uuid": points.obj(ours).uuid, "certificate": {"serial_number": serial}}
    page = json.dumps({"count": 1, "results": [one]})
    points.avi.faults.add(when=bare, raw=(200, page))
    assert asked(points.shop.calls("deploy", "shop")) == [("PUT", CERTS)]
    points.is_served()


def test_chain__two_at_once_make_it_once(points):
    """Another process makes it between our look and our request."""
    (intermediate,) = points.at("new").lab.intermediates()

    def make():
        name = points.avi.log[-1].body["name"]
        points.avi.upload(name, intermediate)

    points.avi.faults.add(kind=CERTS, method="POST", do=make)
    points.deploys()
    assert len(points.lab.authorities()) == 1 and len(points.linked()) == 1


# ---- virtual services ----


def test_bind__rsa_beside_ecdsa_takes_the_place_of_its_own_kind(points):
    points.at("both").upload("rsa-by-hand", "rsa")
    points.bind("by-hand", "rsa-by-hand")
    points.shop.calls("deploy", "shop")
    assert points.lab.bound() == [OBJECT, RSA_OBJECT]
    for kind, key in zip(("ecdsa", "rsa"), BOTH):
        assert points.lab.served(NAME, kind).fingerprint == points.shop.fingerprint(key=key)
    assert writes(points.shop.calls("deploy", "shop")) == []


@pytest.mark.parametrize(
    "theirs, kind, stays",
    [("rsa-by-hand", "rsa", True), ("ec-by-hand", "ecdsa", False),
     ("System-Default-Cert", "rsa", False)],
)  # fmt: skip
def test_bind__keeps_what_is_of_another_kind(points, theirs, kind, stays):
    points.at("new").upload(theirs, kind)
    points.bind(theirs)
    points.deploys()
    assert points.lab.bound() == ([theirs] if stays else []) + [OBJECT]
    assert theirs in points.lab.certificates(), "it is theirs"


def test_bind__an_older_name_of_ours_is_replaced_and_removed(points):
    points.at("renewed").shop.target["certificate"] = "shop"
    calls = points.deploys()
    assert points.lab.bound() == ["shop"] and OBJECT not in points.lab.certificates()
    assert asked(calls) == [("POST", CERTS), ("PUT", SERVICE), ("DELETE", CERTS)]


def test_bind__an_older_kind_of_key_is_replaced_and_removed(points):
    points.at("both").shop.does("deploy", "shop")
    points.shop.key = BOTH[1]
    points.bind(OBJECT)
    points.shop.does("deploy", "shop")
    assert points.lab.bound() == [RSA_OBJECT] and OBJECT not in points.lab.certificates()


def test_bind__several_by_name_and_uuid(points):
    points.at("new").lab.add_service("vs-b", [])
    points.lab.add_service("vs-c", [])
    uuid = points.obj("vs-b", SERVICE).uuid
    points.shop.target["bind"] = [VS, uuid.upper(), "vs-c"]
    points.deploys()
    for service in (VS, "vs-b", "vs-c"):
        assert points.lab.served(NAME, service=service).fingerprint == points.shop.fingerprint()


def test_bind__none_is_for_those_who_use_it_already(points):
    points.at("renewed").shop.target["bind"] = None
    del points.shop.target["bind"]
    assert kinds(points.deploys()) == ["login", CERTS, CERTS, CERTS, CERTS, "logout"]


def test_bind__to_a_child_for_sni_leaves_its_parent(points):
    points.at("new").avi.parent("above", https=(443,), certs=["by-hand"])
    points.avi.child("below", "above", [NAME], certs=["by-hand"])
    points.shop.target.update(bind=["below"], probe=points.lab.https("above"))
    points.shop.calls("deploy", "shop")
    assert points.lab.bound("below") == [OBJECT] and points.lab.bound("above") == ["by-hand"]
    assert points.lab.served(NAME, service="above").fingerprint == points.shop.fingerprint()
    assert writes(points.shop.calls("deploy", "shop")) == []


def test_bind__to_children_of_evh_is_once_at_their_parent(points):
    points.at("new").avi.parent("above", EVH, https=(443,), certs=["by-hand"])
    points.upload("ec-by-hand")
    points.bind("by-hand", "ec-by-hand", service="above")
    for n, name in enumerate(NAMES):
        points.avi.child(f"below-{n}", "above", [name])
    points.shop.target.update(bind=["below-0", "below-1"], probe=points.lab.https("above"))
    points.shop.calls("deploy", "shop")
    assert points.lab.bound("above") == ["by-hand", "ec-by-hand", OBJECT]
    assert points.lab.served(NAME, service="above").fingerprint == points.shop.fingerprint()
    points.shop.target["certificate"] = "shop"
    points.shop.calls("deploy", "shop")
    assert points.lab.bound("above") == ["by-hand", "ec-by-hand", "shop"]
    assert OBJECT not in points.lab.certificates()
    assert writes(points.shop.calls("deploy", "shop")) == []


@pytest.mark.parametrize("how", ["nobody", "disabled", "plain"])
def test_bind__where_it_cannot_be_changes_nothing(points, how):
    points.at("new").avi.virtualservice("plain", [])
    points.lab.add_service("disabled", [])
    points.avi.change(SERVICE, "disabled", enabled=False)
    before, points.shop.target["bind"] = points.all(), [VS, how]
    error = points.fails()
    assert how in error["message"] and "bind" in error["advice"]
    assert writes(points.lab.log) == [] and points.all() == before


def test_bind__of_a_disabled_one_that_has_it_already_is_no_obstacle(points):
    points.at("renewed").avi.change(SERVICE, VS, enabled=False)
    points.shop.target["probe"] = "no"
    assert asked(points.shop.calls("deploy", "shop")) == [("PUT", CERTS)]


def test_tenant__the_other_ones_are_not_seen(points):
    points.at("new").avi.tenant("blue")
    points.avi.upload(OBJECT, *points.pair("ecdsa"), tenant="blue")
    theirs = points.avi.find(CERTS, OBJECT, "blue")
    points.deploys()
    assert points.avi.find(CERTS, OBJECT, "blue") == theirs
    points.shop.target["tenant"] = "blue"
    assert "blue" in told(points.fails())


# ---- others are at work too ----


@pytest.mark.parametrize("status", [412, 409])
def test_changed__the_object_is_read_again(points, status):
    points.at("renewed").avi.stale_status = status
    points.avi.faults.add(
        kind=CERTS, method="PUT", do=lambda: points.avi.change(CERTS, OBJECT, created_by="them")
    )
    assert asked(points.deploys()) == [("PUT", CERTS)] * 2
    assert points.obj().data["created_by"] == "them"


def test_changed__the_object_has_gone_and_is_made_again(points):
    points.at("renewed").bind("by-hand")
    points.avi.faults.add(
        kind=CERTS, method="PUT", do=lambda: points.avi.remove(CERTS, OBJECT)
    )
    points.deploys()
    assert points.lab.bound() == [OBJECT]


def test_changed__again_and_again_is_told(points):
    names = iter(range(100))
    points.at("renewed").avi.faults.add(
        kind=CERTS, method="PUT", times=None,
        do=lambda: points.avi.change(CERTS, OBJECT, created_by=str(next(names))),
    )  # fmt: skip
    error = points.fails(status=75)
    assert error["code"] == "CERTAUTO_EBUSY" and OBJECT in error["message"]
    assert points.shop.target_state() == "rolled-back"


def test_changed__the_virtual_service_keeps_it(points):
    points.at("new").avi.faults.add(
        kind=SERVICE, method="PUT", number=1,
        do=lambda: points.avi.change(SERVICE, VS, description="theirs"),
    )  # fmt: skip
    points.deploys()
    assert points.avi.find(SERVICE, VS)["description"] == "theirs"


def test_changed__a_name_that_is_just_taken_is_left_alone(points):
    points.at("new").avi.faults.add(
        kind=CERTS, method="POST", name=OBJECT,
        do=lambda: points.upload(OBJECT),
    )  # fmt: skip
    error = points.fails()
    assert "just been taken" in error["message"]
    assert points.lab.bound() == ["by-hand"] and points.lab.authorities() == []
    assert OBJECT in points.lab.certificates(), "it is theirs"


@pytest.mark.parametrize(
    "name, kind, words", [("portal", "SYSTEM", "SYSTEM"), ("authority", None, "type is")]
)
def test_taken__by_something_else_is_refused(points, name, kind, words):
    points.at("new")
    if kind:
        points.upload(name, kind=kind)
    else:
        points.avi.upload(name, points.lab.intermediates()[0])
    before, points.shop.target["certificate"] = points.all(), name
    error = points.fails()
    assert words in error["message"] and "certificate" in error["advice"]
    assert writes(points.lab.log) == [] and points.all() == before


def test_taken__by_one_that_the_controller_renews_is_refused(points):
    managed(points)
    before, points.shop.target["certificate"] = points.all(), "managed"
    error = points.fails()
    assert "management profile" in error["message"] and "target renew" in error["advice"]
    assert writes(points.lab.log) == [] and points.all() == before


# ---- the way back ----


def elsewhere(points):
    """The proof looks where something else is served."""
    points.lab.add_service("elsewhere", [])
    points.shop.target.update(probe=points.lab.https("elsewhere"), timeout_ms=400)


@pytest.mark.parametrize(
    "point, bound, auto_link",
    [("new", True, True), ("new", False, False), ("renewed", True, False), ("renewed", False, True),
     ("rotated", True, True), ("rotated", False, False)],
)  # fmt: skip
def test_back__what_is_not_proved_is_as_before(points, point, bound, auto_link):
    points.at(point).avi.auto_link = auto_link
    elsewhere(points)
    if not bound:
        points.upload("rsa-by-hand", "rsa")
        points.bind("by-hand", "rsa-by-hand")
    before = points.all()
    error = points.fails()
    assert error["code"] == "CERTAUTO_ENOTSERVED"
    assert points.all() == before and len(writes(points.lab.log)) >= 2
    assert points.shop.target_state() == "rolled-back" and points.shop.records() == []


@pytest.mark.parametrize("number", range(1, 6))
def test_back__whatever_is_refused(points, number):
    points.at("rotated").bind("by-hand")
    before = points.all()
    fault = points.avi.faults.add(writes=True, number=number, status=422, words="not today")
    error = points.fails()
    assert fault.struck and "422" in error["message"] and "not today" in error["message"]
    assert points.all() == before
    points.deploys()


def _spoilt(points):
    points.refill()


def _pending(points):
    now = points.obj()
    points.avi.store.put(dataclasses.replace(now, data={**now.data, "status": avi_certs.PENDING}))


@pytest.mark.parametrize("what, words, stays", [(_spoilt, "not the new", True),
                                               (_pending, "not finished", False)])  # fmt: skip
def test_back__read_back_it_is_something_else(points, what, words, stays):
    before = points.at("renewed").all()
    points.avi.faults.add(
        when=lambda request: request.kind == CERTS and request.uuid and request.method == "GET",
        do=lambda: what(points),
    )
    assert words in points.fails()["message"]
    assert (points.all() != before) == stays, "what others have put there stays"


def test_back__what_others_did_meanwhile_stays(points):
    points.at("new")
    elsewhere(points)
    points.avi.faults.add(
        kind=SERVICE, method="PUT", number=2,
        do=lambda: points.avi.change(SERVICE, VS, description="theirs"),
    )  # fmt: skip
    points.fails()
    assert points.avi.find(SERVICE, VS)["description"] == "theirs"
    assert points.lab.bound() == ["by-hand"] and OBJECT not in points.lab.certificates()


def test_back__to_what_others_have_put_there_since(points):
    points.at("renewed").bind("by-hand")
    points.upload("theirs")
    elsewhere(points)
    before = points.obj().data["certificate"]

    def change():
        points.avi.change(CERTS, OBJECT, created_by="them")
        points.bind("theirs")

    points.avi.faults.add(kind=CERTS, method="PUT", number=1, do=change)
    assert points.fails()["code"] == "CERTAUTO_ENOTSERVED"
    assert points.lab.bound() == ["theirs"] and points.obj().data["certificate"] == before
    assert points.shop.target_state() == "rolled-back"


def test_back__does_not_take_what_was_there_before_for_what_others_have_put_there(points):
    points.at("renewed")
    elsewhere(points)
    points.avi.faults.add(kind=CERTS, method="PUT", number=1, do=points.refill)
    error = points.fails()
    assert error["code"] == "CERTAUTO_EROLLBACK"
    assert points.lab.served(NAME).fingerprint == points.shop.fingerprint()


@pytest.mark.parametrize("status", [403, 412])
def test_back__what_others_have_come_to_use_stays_and_is_told(points, status):
    points.at("new").avi.in_use_status = status
    elsewhere(points)
    points.shop.target["bind"] = None
    del points.shop.target["bind"]
    points.avi.faults.add(
        when=lambda request: request.kind == CERTS and request.uuid and request.method == "GET",
        do=lambda: points.bind(OBJECT),
    )
    run = points.shop.does("deploy", "shop", status=1)
    assert "CERTAUTO_EROLLBACK" in run.err or "taken back" in run.err
    assert points.lab.bound() == [OBJECT] and VS in run.err
    assert [call.method for call in points.lab.log].count("DELETE") == 2, "and its issuer, once each"


def test_back__without_the_old_key_there_is_none(points):
    points.at("new").upload("theirs")
    points.bind("theirs")
    elsewhere(points)
    points.shop.target["certificate"] = "theirs"
    error = points.fails()
    assert error["code"] == "CERTAUTO_EROLLBACK" and points.shop.target_state() == "inconsistent"
    assert points.lab.served(NAME).fingerprint == points.shop.fingerprint(), "whole, with its chain"
    points.shop.target["probe"] = points.lab.https()
    points.deploys()


def test_back__an_old_one_that_ends_is_not_put_back(points, clock):
    points.at("renewed")
    elsewhere(points)
    end = points.obj().data["certificate"]["not_after"]
    run = points.shop.does("deploy", "shop", status=1, env=clock(89.5 * 86400))
    assert "has expired or is about to" in run.err and points.obj().data["certificate"] != end
    assert points.lab.served(NAME).fingerprint == points.shop.fingerprint()


# ---- bad luck ----


@pytest.mark.parametrize(
    "point, number", [("new", 2), ("new", 3), ("rotated", 1), ("rotated", 4), ("rotated", 5)]
)
def test_lost__answer_to_a_write_does_no_harm(points, point, number):
    points.at(point).avi.faults.add(writes=True, number=number, times=2, wire="lost-reply")
    points.deploys()
    assert len(points.lab.authorities()) == (3 if point == "rotated" else 1)
    assert list(points.lab.pairs()) == points.lab.bound() == [OBJECT]


@pytest.mark.parametrize("number", [2, 5, 7])
@pytest.mark.parametrize("what", ["expire_sessions", "restart"])
def test_session__that_ends_in_the_middle_is_begun_again(points, what, number):
    points.at("rotated").avi.faults.add(number=number, do=getattr(points.avi, what))
    assert kinds(points.deploys()).count("login") == 2


@pytest.mark.parametrize(
    "number, when", [(1, "after"), (4, "do"), (4, "after"), (5, "do"), (5, "after"), (6, "after")]
)
def test_killed__at_a_write_the_next_run_ends_it(points, number, when):
    points.at("rotated").bind("by-hand")
    points.shop.write()
    process = []
    fault = points.avi.faults.add(
        writes=True, number=number, **{when: lambda: process[0].send_signal(signal.SIGKILL)}
    )
    with points.avi.lock:
        process.append(points.shop.start("deploy", "shop"))
    assert points.shop.finish(process[0]).status == -9 and fault.struck
    points.shop.does("renew", "shop")
    points.is_served()
    assert len(points.lab.authorities()) == 3 and points.lab.bound() == [OBJECT]


def test_killed__what_another_generation_has_left_is_taken_back_first(points):
    points.at("rotated")
    points.shop.write()
    process = []
    points.avi.faults.add(
        writes=True, number=4, after=lambda: process[0].send_signal(signal.SIGKILL)
    )
    with points.avi.lock:
        process.append(points.shop.start("deploy", "shop"))
    assert points.shop.finish(process[0]).status == -9
    points.lab.server.chain_length = 1
    points.shop.does("renew", "--force")
    points.is_served()
    assert len(points.lab.authorities()) == 1
    assert list(points.lab.pairs()) == points.lab.bound() == [OBJECT]


def test_key__is_not_sent_where_nobody_knows_who_listens(points):
    points.at("new")
    with Avi(points.lab.new_folder("plain")) as plain:
        plain.virtualservice("web", [])
        points.shop.target.update(url=plain.url, ca_file=None, insecure=True, bind=None)
        points.shop.target = {k: v for k, v in points.shop.target.items() if v is not None}
        run = points.shop.does("deploy", "shop", status=2)
        assert "allow_key_over_insecure" in run.err and plain.log == []


# ---- renewed by the controller ----


def managed(points, bound=False):
    """A certificate that the controller renews, as far as it says."""
    points.at("new").upload("managed")
    profile = points.avi.profile("internal", "nobody runs it")
    points.avi.change(CERTS, "managed", certificate_management_profile_ref=profile.ref)
    if bound:
        points.bind("managed")
    points.shop.target["certificate"] = "managed"
    points.avi.clear()


def renews(points, status=0):
    """By the command."""
    return points.shop.does("target", "renew", "edge", status=status)


@pytest.mark.parametrize("lost", [False, True])
def test_renew__is_asked_for_and_proved(points, lost):
    managed(points, bound=True)
    renewal = {"kind": CERTS, "action": "renew", "raw": (200, "{}"),
               "do": lambda: points.refill("managed")}  # fmt: skip
    if lost:
        points.avi.faults.add(**renewal, wire="lost-reply", times=2)
    points.avi.faults.add(**renewal, times=None)
    renews(points)
    assert [call.action for call in points.lab.log].count("renew") == (3 if lost else 1)


def _given_up(points):
    now = points.obj("managed")
    points.avi.store.put(dataclasses.replace(now, data={**now.data, "status": avi_certs.FINISHED}))


@pytest.mark.parametrize("end, words", [(lambda points: points.refill("managed"), None),
                                        (_given_up, "given it up")])  # fmt: skip
def test_renew__that_goes_on_in_the_background_is_waited_for(points, end, words):
    managed(points)

    def begin():
        now = points.obj("managed")
        data = {**now.data, "status": avi_certs.PENDING}
        points.avi.store.put(dataclasses.replace(now, data=data))
        points.avi.faults.add(kind=CERTS, method="GET", number=3, do=lambda: end(points))

    points.shop.target["probe"] = "no"
    points.avi.faults.add(kind=CERTS, action="renew", raw=(202, ""), do=begin)
    run = renews(points, status=1 if words else 0)
    assert not words or words in run.err
    assert [call.kind for call in points.lab.log].count(CERTS) == 5


def _no_profile(points):
    points.shop.target["certificate"] = "by-hand"
    return "certauto renew"


def _nobody(points):
    points.shop.target["certificate"] = "nobody"
    return "nobody"


def _not_named(points):
    del points.shop.target["certificate"]
    return "option certificate"


def _script_fails(points):
    words = 'Error from certificate management service: STDERR - "no luck"'
    points.avi.faults.add(kind=CERTS, action="renew", status=400, words=words)
    return "no luck"


def _elsewhere(points):
    elsewhere(points)
    points.avi.faults.add(
        kind=CERTS, action="renew", raw=(200, "{}"), do=lambda: points.refill("managed")
    )
    return "does not serve"


@pytest.mark.parametrize("how", [_no_profile, _nobody, _not_named, _script_fails, _elsewhere])
def test_renew__tells_why_not(points, how):
    managed(points)
    words = how(points)
    assert words in renews(points, status=1).err
