"""http-01 on an Avi controller: which virtual service answers for a name, and what it answers."""

import pytest
from avi_answers import EVH, PATH, TOKEN, VALUE, built_lab, fresh_lab  # noqa: F401

LEAST = {"PERMISSION_VIRTUALSERVICE": "WRITE_ACCESS", "PERMISSION_HTTPPOLICYSET": "WRITE_ACCESS"}

# ---- which virtual service ----


def by_vip(lab):
    """AV-07"""
    lab.add_service("a", ["a.example.org"])
    return "a.example.org", ["a"], {}


def by_vip_not_part(lab):
    """F11: the controller finds all that have the name in them."""
    lab.add_service("aa", ["aa.example.org"])
    lab.add_service("a", ["x.example.org", "a.example.org"])
    lab.add_service("aaa", ["aaa.example.org", "a.example.org.example.net"])
    return "a.example.org", ["a"], {}


def by_vip_of_many(lab):
    """More than the controller gives at once."""
    for number in range(201):
        dns = [{"fqdn": f"n{number}.a.example.org"}]
        body = {"name": f"v{number}", "vip": [{"vip_id": "0"}], "dns_info": dns}
        lab.avi.admin_call("POST", "vsvip", body=body)
    return by_vip(lab)


def by_address(lab):
    """RFC 8738"""
    lab.add_service("a", ["a.example.org"], host="127.0.9.1")
    return "127.0.9.1", ["a"], {}


def sni_child(lab):
    """AV-08: it gets what comes with TLS; its parent all the rest."""
    lab.avi.parent("p", https=(443,), certs=["by-hand"])
    lab.avi.child("other", "p", ["aa.example.org"])
    lab.avi.child("c", "p", ["x.example.org", "a.example.org"], certs=["by-hand"])
    return "a.example.org", ["c", "p"], {}


def sni_child_wild(lab):
    """A name that its child has not, but for a star."""
    lab.avi.parent("p")
    lab.avi.child("c", "p", ["*.example.org"])
    lab.avi.child("other", "p", ["*.a.example.org"])
    return "a.example.org", ["c", "p"], {}


def sni_parent(lab):
    """The VIP has the name, but no child has."""
    lab.avi.parent("p", fqdns=["a.example.org"])
    lab.avi.child("other", "p", ["aa.example.org"])
    return "a.example.org", ["p"], {}


def evh_child(lab):
    """F2"""
    lab.avi.parent("p", **EVH)
    lab.avi.child("other", "p", ["aa.example.org"])
    lab.avi.child("c", "p", ["x.example.org", "a.example.org"])
    return "a.example.org", ["c"], {}


def evh_child_wild(lab):
    """The same, by a star."""
    lab.avi.parent("p", **EVH)
    lab.avi.child("c", "p", ["*.example.org"])
    return "a.example.org", ["c"], {}


def evh_child_by_vip(lab):
    """The names of the children are those of the VIP."""
    lab.avi.parent("p", fqdns=["a.example.org", "b.example.org"], **EVH)
    lab.avi.parent("q", **EVH)
    lab.avi.child("stranger", "q", ["a.example.org"])
    lab.avi.child("b", "p", ["b.example.org"])
    lab.avi.child("c", "p", ["a.example.org"])
    return "a.example.org", ["c"], {}


def evh_child_closed(lab):
    """It says at the parent that port 80 was opened."""
    lab.avi.parent("p", http=(), https=(443,), certs=["by-hand"], **EVH)
    lab.avi.child("c", "p", ["a.example.org"])
    return "a.example.org", ["c", "p"], {}


def evh_parent(lab):
    """No child has the name."""
    lab.avi.parent("p", fqdns=["a.example.org"], **EVH)
    lab.avi.child("other", "p", ["b.example.org"])
    return "a.example.org", ["p"], {}


def fixed_name(lab):
    """AV-09, F1: whatever the VIPs say."""
    lab.add_service("a", ["a.example.org"])
    return "a.example.org", ["vs-shop"], {"virtualservice": "vs-shop"}


def fixed_uuid(lab):
    """By uuid, written as people write it."""
    uuid = lab.service("vs-shop").uuid
    return "a.example.org", ["vs-shop"], {"virtualservice": uuid.upper()}


def fixed_parent(lab):
    """The child of that one."""
    evh_child_by_vip(lab)
    return "a.example.org", ["c"], {"virtualservice": "p"}


def fixed_child(lab):
    """Whatever names it has."""
    lab.avi.parent("p")
    lab.avi.child("c", "p", ["b.example.org"])
    return "a.example.org", ["c", "p"], {"virtualservice": "c"}


def enabled(lab):
    """Rather than a disabled one."""
    lab.add_service("off", ["a.example.org"], enabled=False)
    lab.add_service("a", ["a.example.org"])
    return "a.example.org", ["a"], {}


def not_l4(lab):
    """Rather than one of layer 4, whatever its profile is called."""
    lab.profile("own", "L4")
    lab.profile("mine")
    lab.avi.virtualservice("l4", ["a.example.org"], profile="own")
    lab.add_service("a", ["a.example.org"], profile="mine", http=())
    return "a.example.org", ["a"], {}


def with_port80(lab):
    """Of two at one VIP the one that is asked."""
    lab.add_service("a", ["a.example.org"])
    vip = lab.avi.find("virtualservice", "a")["vsvip_ref"]
    body = {"name": "tls", "vsvip_ref": vip, "services": [{"port": 8443}]}
    lab.avi.admin_call("POST", "virtualservice", body=body)
    return "a.example.org", ["a"], {}


FOUND = [
    by_vip, by_vip_not_part, by_vip_of_many, by_address, sni_child, sni_child_wild, sni_parent,
    evh_child, evh_child_wild, evh_child_by_vip, evh_child_closed, evh_parent, fixed_name,
    fixed_uuid, fixed_parent, fixed_child, enabled, not_l4, with_port80,
]  # fmt: skip


SEVERAL = [
    by_vip_not_part, sni_child, evh_child, evh_child_by_vip, enabled, not_l4, with_port80
]  # fmt: skip


@pytest.mark.parametrize(
    "scene, order", [(one, "created") for one in FOUND] + [(one, "reversed") for one in SEVERAL]
)
def test_find__the_virtual_service_of_the_name_answers(lab, scene, order):
    lab.avi.order = order
    name, services, options = scene(lab)
    before = lab.services()
    lab.does("present", name, **options)
    assert lab.attached() == services, lab.calls()
    assert lab.answer(services[0], name) == (200, VALUE, False)
    lab.does("cleanup", name, **options)
    assert (lab.services(), lab.sets()) == (before, [])


# ---- which cannot answer ----


def nobody(lab):
    """F1: all that was looked for is told."""
    lab.add_service("aa", ["aa.example.org"])
    lab.avi.parent("p")
    lab.avi.child("c", "p", ["b.example.org"])
    words = ["tenant \"admin\"", "a.example.org", "*.example.org", "dns_info", "virtualservice"]
    return "CERTAUTO_ENOTFOUND", words, {}


def nobody_fixed(_lab):
    """There is none of that name."""
    return "CERTAUTO_ENOTFOUND", ["\"nobody\"", "\"admin\""], {"virtualservice": "nobody"}


def nobody_uuid(_lab):
    """A uuid of before an import."""
    uuid = "virtualservice-00000000-0000-4000-8000-000000000000"
    return "CERTAUTO_ENOTFOUND", [uuid, "imported"], {"virtualservice": uuid}


def two(lab):
    """Nobody can say which one is meant."""
    for name in ("a", "b"):
        lab.avi.virtualservice(name, ["a.example.org"])
    return "CERTAUTO_EREFUSED", ["2 virtual services", "\"a\"", "\"b\"", "virtualservice"], {}


def two_children(lab):
    """One name, two paths."""
    lab.avi.parent("p", **EVH)
    lab.avi.child("b", "p", ["a.example.org"])
    lab.avi.child("c", "p", ["a.example.org"])
    return "CERTAUTO_EREFUSED", ["2 virtual services", "\"b\"", "\"c\"", "virtualservice"], {}


def disabled(lab):
    """AV-10"""
    lab.avi.virtualservice("a", ["a.example.org"], enabled=False)
    return "CERTAUTO_EREFUSED", ["\"a\"", "disabled"], {}


def disabled_parent(lab):
    """The child is not, but nobody listens."""
    lab.avi.parent("p", enabled=False)
    lab.avi.child("c", "p", ["a.example.org"])
    return "CERTAUTO_EREFUSED", ["\"p\"", "disabled"], {}


def disabled_fixed(lab):
    """Told to use it."""
    disabled(lab)
    return "CERTAUTO_EREFUSED", ["\"a\"", "disabled"], {"virtualservice": "a"}


def layer4(lab):
    """F3"""
    lab.avi.virtualservice("a", ["a.example.org"], http=(443,), profile="System-L4-Application")
    return "CERTAUTO_EREFUSED", ["\"a\"", "layer 4", "dns-01"], {}


def layer4_own(lab):
    """By its type: it may be called anything."""
    lab.profile("System-HTTP-like", "SSL")
    lab.avi.virtualservice("a", ["a.example.org"], http=(443,), profile="System-HTTP-like")
    return "CERTAUTO_EREFUSED", ["\"a\"", "layer 4"], {}


def tls_at_80(lab):
    """Port 80 cannot be opened."""
    lab.avi.virtualservice("a", ["a.example.org"], http=(), https=(80,), certs=["by-hand"])
    return "CERTAUTO_EREFUSED", ["\"a\"", "speaks TLS at port 80"], {}


def not_to_open(lab):
    """Port 80 may not be opened."""
    lab.avi.virtualservice("a", ["a.example.org"], http=(8080,))
    return "CERTAUTO_EREFUSED", ["\"a\"", "temporary_port80"], {"temporary_port80": "no"}


UNFIT = [
    nobody, nobody_fixed, nobody_uuid, two, two_children, disabled, disabled_parent, disabled_fixed,
    layer4, layer4_own, tls_at_80, not_to_open,
]  # fmt: skip


@pytest.mark.parametrize("scene", UNFIT)
def test_find__what_cannot_answer_is_told_before_anything_is_changed(lab, scene):
    code, words, options = scene(lab)
    assert lab.fails("a.example.org", *words, **options) == code
    assert lab.avi.writes() == []


def test_find__layer_4_is_refused_by_the_controller_where_profiles_may_not_be_read(lab):
    layer4(lab)
    lab.avi.account("few", "secret", LEAST)
    before = lab.services()
    words = ["attaching the policy set", "\"a\"", "Layer-4"]
    code = lab.fails("a.example.org", *words, user="few", password="secret")
    assert code == "CERTAUTO_EREFUSED"
    assert (lab.services(), lab.sets()) == (before, [])


def test_find__a_port_that_another_one_has_is_told_and_all_is_as_before(lab):
    lab.avi.virtualservice("a", ["a.example.org"], http=(8080,))
    vip = lab.avi.find("virtualservice", "a")["vsvip_ref"]
    profile = "/api/applicationprofile?name=System-L4-Application"
    body = {"name": "l4", "vsvip_ref": vip, "services": [{"port": 80}]}
    lab.avi.admin_call("POST", "virtualservice", body={**body, "application_profile_ref": profile})
    before = lab.services()
    lab.fails("a.example.org", "Port 80 is in use by", virtualservice="a")
    assert (lab.services(), lab.sets()) == (before, [])


# ---- the answer ----


def test_answer__is_for_that_host_and_path_and_no_other(lab):
    """AV-12, AV-13"""
    own = lab.avi.admin_call("POST", "httppolicyset", body={"name": "own"})
    lab.add("vs-shop", http_policies=[{"http_policy_set_ref": own.ref, "index": 11}])
    lab.does("present", "shop.example.org")
    found = lab.avi.objects("httppolicyset")
    ((name, answer),) = [one for one in found.items() if one[0] != "own"]
    assert name.startswith("certauto-acme-") and name.endswith("-shop.example.org")
    assert "shop.example.org" in answer["description"] and answer["is_internal_policy"] is False
    (rule,) = answer["http_security_policy"]["rules"]
    assert rule["match"]["path"] == {
        "match_criteria": "EQUALS", "match_case": "SENSITIVE", "match_str": [PATH + TOKEN],
        "match_decoded_string": True,
    }  # fmt: skip
    assert rule["match"]["host_hdr"] == {
        "match_criteria": "HDR_EQUALS", "match_case": "INSENSITIVE", "value": ["shop.example.org"]
    }
    assert set(rule["match"]) == {"path", "host_hdr"}  # not of port 80 alone
    assert rule["action"]["file"]["content_type"] == "text/plain"
    first, second = lab.services()["vs-shop"][1]
    assert first["index"] == 11 and second["index"] > 1000000
    assert lab.answer("vs-shop", "SHOP.example.org") == (200, VALUE, False)
    for name, token in (("www.shop.example.org", TOKEN), ("shop.example.org", TOKEN + "x")):
        assert lab.answer("vs-shop", name, token)[1] == "backend\n"


def test_answer__of_an_ipv6_address_has_it_in_brackets(lab):
    lab.does("present", "2001:db8::1", virtualservice="vs-shop")
    ((_, answer),) = lab.avi.objects("httppolicyset").items()
    (rule,) = answer["http_security_policy"]["rules"]
    assert rule["match"]["host_hdr"]["value"] == ["[2001:db8::1]"]


def test_answer__what_could_leave_its_place_is_refused(lab):
    for token in ("a/b", "a b", "a\"b", ""):
        run = lab.challenge("present", "shop.example.org", token=token)
        assert run.communicate(timeout=60)[0].split("\n")[0] == "CERTAUTO_EINVAL"
    assert lab.log == []


@pytest.mark.parametrize("profile_first", [True, False])
@pytest.mark.parametrize("scene", [by_vip, sni_child, evh_child_by_vip])
def test_answer__comes_through_a_redirect_to_https(lab, scene, profile_first):
    """AV-13: by the profile, which may come before all policies or after them."""
    lab.avi.profile_redirect_first = profile_first
    name, services, _ = scene(lab)
    door = services[-1] if scene is not evh_child_by_vip else "p"
    profile = lab.avi.store.named("applicationprofile", "System-Secure-HTTP", "").ref
    for one in {door, services[0]}:
        lab.patch(one, "replace", application_profile_ref=profile)
    if scene is evh_child_by_vip:
        refs = ["/api/sslkeyandcertificate?name=by-hand"]
        lab.patch("p", "replace", ssl_key_and_certificate_refs=refs)
        lab.add("p", services=[{"port": 443, "enable_ssl": True}])
    lab.does("present", name)
    assert lab.answer(services[0], name) == (200, VALUE, profile_first)


def test_answer__comes_before_a_redirect_by_a_request_policy(lab):
    rule = {"name": "r", "index": 1, "enable": True, "redirect_action": {"protocol": "HTTPS"}}
    body = {"name": "own", "http_request_policy": {"rules": [rule]}}
    own = lab.avi.admin_call("POST", "httppolicyset", body=body)
    lab.add("vs-shop", http_policies=[{"http_policy_set_ref": own.ref, "index": 1}])
    lab.does("present", "shop.example.org")
    assert lab.answer("vs-shop", "shop.example.org") == (200, VALUE, False)
