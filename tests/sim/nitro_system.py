"""What NITRO shows of the device itself: version, features, pair, partitions, accounts; saving."""

from .nitro_config import check_name, verb
from .nitro_errors import NitroError

VERSION = "NetScaler NS14.1: Build 43.22.nc, Date: Feb 11 2026, 14:20:02   (64-bit)"
FEATURES = ("WL", "SP", "LB", "CS", "CR", "SC", "CMP", "SSL", "GSLB", "REWRITE", "RESPONDER",
            "AAA", "SSLVPN", "IC")  # fmt: skip


@verb("GET", "nsversion", "show ns version")
def show_version(call):
    """A single object, not a list."""
    return {"version": call.nitro.version, "mode": "0"}


@verb("GET", "nsfeature", "show ns feature")
def show_features(call):
    """Each feature as a boolean, and the list of those that are on."""
    shown = {name.lower(): name in call.nitro.features for name in FEATURES}
    return {**shown, "feature": [name for name in FEATURES if name in call.nitro.features]}


def _switch(call, on):
    names = call.args["feature"]
    for name in names if isinstance(names, list) else [names]:
        if name.upper() not in FEATURES:
            raise NitroError(1097, f"feature, {name}")
        if name.upper() in call.nitro.unlicensed:
            raise NitroError(356, name)
        (call.nitro.features.add if on else call.nitro.features.discard)(name.upper())


@verb("POST", "nsfeature", "enable ns feature", "enable", required="feature", positional="feature")
def enable_feature(call):
    """On."""
    _switch(call, True)


@verb(
    "POST", "nsfeature", "disable ns feature", "disable", required="feature", positional="feature"
)
def disable_feature(call):
    """Off."""
    _switch(call, False)


@verb("GET", "nslicense", "show ns license")
def show_license(call):
    """What is licensed."""
    return {name.lower(): name not in call.nitro.unlicensed for name in FEATURES}


@verb("POST", "nsconfig", "save ns config", "save", optional="all")
def save(call):
    """Keep the session's partition, or all of them."""
    if call.args.get("all"):
        call.nitro.save(call.node)
    else:
        call.nitro.save(call.node, call.partition)


@verb("GET", "nsconfig", "show ns config")
def show_config(call):
    """Has anything changed since it was saved?"""
    return {
        "ipaddress": call.node.address, "netmask": "255.0.0.0", "nsvlan": "0",
        "configchanged": call.node.config != call.node.saved,
        "primaryip": call.nitro.primary.address,
        "systemtype": "HA" if len(call.nitro.nodes) > 1 else "Stand-alone",
    }  # fmt: skip


# ---- the pair ----


def _node(call, node, number):
    secondary = node.state == "Secondary"
    return {
        "id": str(number), "name": node.name, "ipaddress": node.address, "flags": "32",
        "hastatus": "UP" if node.alive else "DOWN",
        "state": node.state if node.alive else "UNKNOWN",
        "failsafe": "OFF", "inc": "DISABLED", "haprop": "ENABLED",
        "hasync": call.nitro.told_sync() if secondary else "ENABLED",
        "hellointerval": "200", "deadinterval": "3",
    }  # fmt: skip


@verb("GET", "hanode", "show HA node")
def show_nodes(call):
    """The node that is asked comes first, with id 0."""
    nodes = sorted(call.nitro.nodes, key=lambda node: node is not call.node)
    return [_node(call, node, number) for number, node in enumerate(nodes)]


@verb("GET", "stat hanode", "stat HA node")
def stat_node(call):
    """How the pair is, in other words."""
    return {
        "hacurstatus": "YES" if len(call.nitro.nodes) > 1 else "NO", "hacurstate": "UP",
        "hacurmasterstate": call.node.state, "haerrsyncfailure": "0", "haerrproptimeout": "0",
    }  # fmt: skip


@verb("POST", "hafailover", "force HA failover", "Force", optional="force", writes=False)
def force_failover(call):
    """The other node becomes the primary."""
    if len(call.nitro.nodes) < 2:
        raise NitroError(257, "no peer")
    call.nitro.failover()


# ---- partitions ----


@verb("GET", "nspartition", "show ns partition")
def show_partitions(call):
    """All but the default one."""
    names = [name for name in call.node.config.partitions if name != "default"]
    return [{"partitionname": name, "partitionid": str(i)} for i, name in enumerate(names, 1)]


@verb(
    "POST", "nspartition", "switch ns partition", "Switch", required="partitionname",
    positional="partitionname", writes=False,
)  # fmt: skip
def switch_partition(call):
    """For the rest of the session."""
    name = call.args["partitionname"]
    if name not in call.node.config.partitions:
        raise NitroError(258, f"partitionname, {name}")
    call.nitro.accounts.check_partition(call.session.user, name)
    call.session.partition = name


@verb(
    "POST", "nspartition", "add ns partition", required="partitionname",
    optional="maxbandwidth maxconn maxmemlimit", positional="partitionname", status=201,
)  # fmt: skip
def add_partition(call):
    """Empty, with folders of its own."""
    name = call.args["partitionname"]
    check_name(name)
    if name in call.node.config.partitions:
        raise NitroError(273, f"partitionname, {name}")
    call.node.config.partitions[name] = {}


# ---- accounts ----


@verb("GET", "systemuser", "show system user")
def show_users(call):
    """Without their passwords."""
    return [{"username": user.name} for user in call.nitro.accounts.users.values()]


@verb("GET", "systemcmdpolicy", "show system cmdPolicy")
def show_policies(call):
    """With the regular expressions."""
    return [
        {"policyname": name, "action": action, "cmdspec": source}
        for name, (action, _, source) in call.nitro.accounts.policies.items()
    ]


@verb("GET", "systemuser_systemcmdpolicy_binding", "show system user")
def show_user_policies(call):
    """Which policies a user has."""
    user = call.nitro.accounts.users.get(call.name)
    if not user:
        raise NitroError(258, f"username, {call.name}")
    return [
        {"username": user.name, "policyname": name, "priority": str(priority)}
        for priority, name in user.policies
    ]
