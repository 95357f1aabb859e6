"""Responder actions and policies, and where policies are bound."""

from . import nitro_rules
from .nitro_config import check_name, choice, number, verb
from .nitro_errors import NitroError
from .nitro_vservers import KINDS, NAMES

BUILTIN = ("NOOP", "RESET", "DROP")
GLOBAL = "responderglobal_responderpolicy_binding"
BANKS = ("REQ_OVERRIDE", "REQ_DEFAULT")
NAME_LIMIT = 127
HTTP_TYPES = ("HTTP", "SSL")


def _feature(call):
    if "RESPONDER" not in call.nitro.features:
        call.warn(1067, "Responder")


def _new_name(call):
    name = call.args["name"]
    check_name(name)
    if len(name) > NAME_LIMIT:
        raise NitroError(1106, f"name, {NAME_LIMIT}")
    if name in call.table() or name.upper() in BUILTIN:
        raise NitroError(273, f"name, {name}")
    return name


def _show(call):
    found = call.table().values() if call.name is None else [call.find(call.name)]
    hits = call.nitro.hits
    return [{**one, "hits": str(hits[call.kind, one["name"]]), "undefhits": "0"} for one in found]


# ---- actions ----

ACTION = "target htmlpage bypasssafetycheck comment responsestatuscode reasonphrase headers"


def _check_action(args):
    kind = choice(args, "type", ("respondwith", "redirect", "noop"), "respondwith")
    if kind == "noop":
        return
    if not args.get("target"):
        raise NitroError(1095, "target")
    nitro_rules.parse(args["target"], "text")


@verb(
    "POST", "responderaction", "add responder action", required="name type", optional=ACTION,
    positional="name type target", status=201,
)  # fmt: skip
def add_action(call):
    """The bytes to answer with, or where to send the client."""
    name = _new_name(call)
    _check_action(call.args)
    _feature(call)
    call.table()[name] = dict(call.args)


@verb("PUT", "responderaction", "set responder action", required="name", optional=ACTION,
      positional="name")  # fmt: skip
def set_action(call):
    """Other bytes."""
    action = call.find(call.args["name"])
    _check_action({**action, **call.args})
    action.update(call.args)


@verb("DELETE", "responderaction", "rm responder action")
def remove_action(call):
    """Not while a policy uses it."""
    call.find(call.name)
    if any(one["action"] == call.name for one in call.table("responderpolicy").values()):
        raise NitroError(832, call.name)
    del call.table()[call.name]


@verb("GET", "responderaction", "show responder action")
def show_actions(call):
    """One or all."""
    return _show(call)


# ---- policies ----

POLICY = "undefaction comment logaction appflowaction"


def _check_policy(call, args):
    if args["action"].upper() not in BUILTIN:
        call.find(args["action"], "responderaction", label="action")
    nitro_rules.parse(args["rule"], "bool")


@verb(
    "POST", "responderpolicy", "add responder policy", required="name rule action", optional=POLICY,
    positional="name rule action", status=201,
)  # fmt: skip
def add_policy(call):
    """When to answer, and with what."""
    name = _new_name(call)
    _check_policy(call, call.args)
    _feature(call)
    call.table()[name] = dict(call.args)


@verb(
    "PUT", "responderpolicy", "set responder policy", required="name",
    optional="rule action " + POLICY, positional="name",
)  # fmt: skip
def set_policy(call):
    """At another time, or with another answer."""
    policy = call.find(call.args["name"])
    _check_policy(call, {**policy, **call.args})
    policy.update(call.args)


def _bindings(call):
    """The names of all responder policies that are bound in this partition."""
    for kind in [*(f"{one}_responderpolicy_binding" for one in KINDS.values()), GLOBAL]:
        for _, policy in call.table(kind):
            yield policy


@verb("DELETE", "responderpolicy", "rm responder policy")
def remove_policy(call):
    """Not while it is bound."""
    call.find(call.name)
    if call.name in _bindings(call):
        raise NitroError(810, call.name)
    del call.table()[call.name]


@verb("GET", "responderpolicy", "show responder policy")
def show_policies(call):
    """One or all."""
    return _show(call)


# ---- bindings ----

BIND = "gotopriorityexpression invoke labeltype labelname"
# What the policy is called in a binding: where people log in it has another name.
MEMBER = {"vpn": "policy", "auth": "policy"}


def _bind(call, key, point, about, member="policyname"):
    """A policy at a priority that is free on that point."""
    args = call.args
    policy = args[member]
    call.find(policy, "responderpolicy", label=member)
    priority = number(args, "priority", -(2**63), 2**63)
    if not 1 <= priority <= 2147483647:
        raise NitroError(3090, f"priority, {priority}")
    for one in call.table().values():
        if point(one):
            if one[member] == policy:
                raise NitroError(273, f"{member}, {policy}")
            if int(one["priority"]) == priority:
                raise NitroError(3041, f"priority, {priority}")
    call.table()[(*key, policy)] = {
        **about, member: policy, "priority": str(priority),
        "gotopriorityexpression": args.get("gotopriorityexpression", "END"),
    }  # fmt: skip


def _bound_name(call, member="policyname"):
    """The policy to unbind; an empty name is refused in another way than none."""
    name = call.given.get(member)
    if not name:
        raise NitroError(1095 if name is None else 278, member)
    return name


def _declare(kind, vservers):
    type_, cli = f"{vservers}_responderpolicy_binding", f"{NAMES[kind]} vserver"
    more = {"lb": " order", "cs": " targetlbvserver"}.get(kind, "")
    member = MEMBER.get(kind, "policyname")

    @verb("PUT", type_, f"bind {cli}", required=f"name {member} priority",
          optional=f"{BIND} bindpoint{more}", positional="name")  # fmt: skip
    def bind(call):
        """To a vserver that speaks HTTP."""
        name = call.args["name"]
        vserver = call.find(name, vservers)
        if vserver["servicetype"] not in HTTP_TYPES:
            raise NitroError(3094, name)
        place = choice(call.args, "bindpoint", ("REQUEST",), "REQUEST")
        about = {"name": name, "bindpoint": place}
        _bind(call, (name,), lambda one: one["name"] == name, about, member)

    @verb("DELETE", type_, f"unbind {cli}")
    def unbind(call):
        """By the policy's name."""
        call.find(call.name, vservers)
        policy = _bound_name(call, member)
        bound = call.table().get((call.name, policy))
        if not bound or call.given.get("priority", bound["priority"]) != bound["priority"]:
            raise NitroError(3093, policy)
        del call.table()[call.name, policy]

    @verb("GET", type_, f"show {cli}")
    def show(call):
        """Of one vserver."""
        if call.name is None:
            raise NitroError(1095, "name")
        call.find(call.name, vservers)
        return [dict(one) for one in call.table().values() if one["name"] == call.name]

    return bind, unbind, show


for _kind, _vservers in KINDS.items():
    _declare(_kind, _vservers)


@verb("PUT", GLOBAL, "bind responder global", required="policyname priority",
      optional=f"{BIND} type", positional="policyname priority gotopriorityexpression")  # fmt: skip
def bind_global(call):
    """For all vservers, before or after what they have themselves."""
    bank = choice(call.args, "type", BANKS, "REQ_DEFAULT")
    _bind(call, (bank,), lambda one: one["type"] == bank, {"type": bank})


@verb("DELETE", GLOBAL, "unbind responder global", positional="policyname")
def unbind_global(call):
    """By the policy's name and the place."""
    policy = _bound_name(call)
    if not call.table().pop((choice(call.given, "type", BANKS, "REQ_DEFAULT"), policy), None):
        raise NitroError(3093, policy)


@verb("GET", GLOBAL, "show responder global")
def show_global(call):
    """Of one place: the default one unless args=type: says otherwise."""
    bank = choice(call.given, "type", BANKS, "REQ_DEFAULT")
    return [dict(one) for one in call.table().values() if one["type"] == bank]
