"""The virtual servers as NITRO shows them. They are made by the test, not through NITRO."""

from .nitro_config import verb
from .nitro_errors import NitroError

KINDS = {"lb": "lbvserver", "cs": "csvserver", "vpn": "vpnvserver", "auth": "authenticationvserver"}
NAMES = {"lb": "lb", "cs": "cs", "vpn": "vpn", "auth": "authentication"}


def find_ssl_vserver(call, name):
    """The SSL side of a vserver of any kind."""
    found = call.table("sslvserver").get(name)
    if found:
        return found
    for kind in KINDS.values():
        if name in call.table(kind):
            raise NitroError(1544, name)
    raise NitroError(258, f"vserverName, {name}", 404)


def _shown(call, vserver):
    up = "UP" if call.nitro.is_up(vserver) else "DOWN"
    more = {"effectivestate": up} if vserver["_kind"] in ("lb", "cs") else {}
    return {
        **{name: value for name, value in vserver.items() if not name.startswith("_")},
        "curstate": up, "status": 1, **more,
    }  # fmt: skip


def _declare(kind, type_):
    @verb("GET", type_, f"show {NAMES[kind]} vserver")
    def show(call):
        """One or all."""
        if call.name is not None:
            return [_shown(call, call.find(call.name))]
        return [_shown(call, one) for one in call.table().values()]

    @verb("GET", "stat " + type_, f"stat {NAMES[kind]} vserver")
    def stat(call):
        """How it does."""
        table = call.table(type_)
        names = [call.name] if call.name is not None else list(table)
        return [
            {
                "name": name,
                "state": "UP" if call.nitro.is_up(call.find(name, type_)) else "DOWN",
                "primaryipaddress": table[name]["ipv46"],
                "primaryport": table[name]["port"],
                "type": table[name]["servicetype"],
            }
            for name in names
        ]

    return show, stat


for _kind, _type in KINDS.items():
    _declare(_kind, _type)


@verb("GET", "sslvserver", "show ssl vserver")
def show_ssl(call):
    """One or all."""
    if call.name is not None:
        return [dict(find_ssl_vserver(call, call.name))]
    return [dict(one) for one in call.table().values()]


@verb(
    "PUT", "sslvserver", "set ssl vserver", required="vservername",
    optional="snienable tls1 tls11 tls12 tls13 hsts maxage", positional="vservername",
)  # fmt: skip
def set_ssl(call):
    """What is changed here is mostly whether SNI is looked at."""
    vserver = find_ssl_vserver(call, call.args["vservername"])
    for name, value in call.args.items():
        if name != "vservername" and value not in ("ENABLED", "DISABLED"):
            raise NitroError(1097, f"{name}, {value}")
    vserver.update(call.args)
