"""DNS v2 of the simulated FlexibleEngine: zones and record sets.

A change is accepted first and in effect later. What name servers answer is in the history of a
record set, so that each server may be late by a time of its own.
"""

import ipaddress
import re
import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .ca_http import Answer
from .fe_errors import FeError

TYPES = ("A", "AAAA", "MX", "CNAME", "TXT", "NS", "SRV", "CAA")
SET_FIELDS = ("name", "type", "ttl", "records", "description", "tags")
ZONE_FIELDS = ("name", "zone_type", "email", "ttl", "description", "tags", "enterprise_project_id")
PAGE = ("limit", "marker", "offset")
LIST = (*PAGE, "name", "status", "id", "tags", "sort_key", "sort_dir", "search_mode")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$")
TTLS = range(1, 1 << 31)
# The value of a TXT record: strings in quotes, with a blank between them.
STRING = r'"((?:[^"\\]|\\.)*)"'
STRINGS = re.compile(rf"{STRING}(?: +{STRING})*$", re.DOTALL)

ROUTES = (
    ("GET", "/v2/zones", "zone", "dns:zone:list", ("type", *LIST), "zones.list_zones"),
    ("POST", "/v2/zones", "zone", "dns:zone:create", (), "zones.create_zone"),
    ("GET", "/v2/zones/{id}", "zone", "dns:zone:get", (), "zones.show_zone"),
    ("DELETE", "/v2/zones/{id}", "zone", "dns:zone:delete", (), "zones.delete_zone"),
    ("GET", "/v2/zones/{zone}/nameservers", "nameserver", "dns:zone:getNameServers", (),
     "zones.list_name_servers"),
    ("GET", "/v2/recordsets", "recordset", "dns:recordset:list",
     ("type", "zone_type", "records", *LIST), "zones.list_all_sets"),
    ("GET", "/v2/zones/{zone}/recordsets", "recordset", "dns:recordset:list",
     ("type", *LIST), "zones.list_sets"),
    ("POST", "/v2/zones/{zone}/recordsets", "recordset", "dns:recordset:create", (),
     "zones.create_set"),
    ("GET", "/v2/zones/{zone}/recordsets/{id}", "recordset", "dns:recordset:get", (),
     "zones.show_set"),
    ("PUT", "/v2/zones/{zone}/recordsets/{id}", "recordset", "dns:recordset:update", (),
     "zones.change_set"),
    ("DELETE", "/v2/zones/{zone}/recordsets/{id}", "recordset", "dns:recordset:delete", (),
     "zones.delete_set"),
)  # fmt: skip


def _stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000", time.gmtime(seconds))


@dataclass(eq=False)
class Zone:
    """One zone. name: with its dot, in lower case."""

    name: str
    project: object
    type: str = "public"
    email: str = "hostmaster@example.com"
    ttl: int = 300
    description: str = ""
    status: str = "ACTIVE"
    created: str = ""
    serial: int = 1
    since: float = 0.0  # when the change under way was accepted
    id: str = field(default_factory=lambda: "ff808082" + secrets.token_hex(12))


@dataclass(eq=False)
class RecordSet:
    """One record set. history: [(when, ttl, values or None)], the newest last."""

    zone: Zone
    name: str
    type: str
    ttl: int
    records: list
    description: str = None
    default: bool = False
    status: str = "PENDING_CREATE"
    created: str = ""
    updated: str = None
    since: float = 0.0
    looks: int = 0  # how often it was asked for since
    outcome: str = "ACTIVE"
    history: list = field(default_factory=list)
    id: str = field(default_factory=lambda: "ff808082" + secrets.token_hex(12))

    def served(self, moment):
        """(ttl, values) at a time, or None."""
        for when, ttl, values in reversed(self.history):
            if when <= moment:
                return (ttl, values) if values is not None else None
        return None


def dotted(name):
    """As the service keeps names."""
    return name.lower().rstrip(".") + "."


def txt_strings(value):
    """The strings of a TXT value, as bytes; ValueError when its quotes are wrong."""
    if not STRINGS.match(value):
        raise ValueError(value)
    return [
        re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL).encode()
        for text in re.findall(STRING, value, re.DOTALL)
    ]


def _check_host(value):
    labels = value.lower().rstrip(".").split(".")
    if not all(LABEL.match(one) for one in labels) or len(value) > 254:
        raise ValueError(value)


def _check_txt(value):
    if any(len(one) > 255 for one in txt_strings(value)):
        raise ValueError(value)


def _check_caa(value):
    if not re.match(r'\d{1,3} (issue|issuewild|iodef) "[^"]*"$', value):
        raise ValueError(value)


def _check_mx(value):
    number, _, host = value.partition(" ")
    if not number.isdecimal():
        raise ValueError(value)
    _check_host(host)


CHECKS = {
    "A": ipaddress.IPv4Address, "AAAA": ipaddress.IPv6Address, "CNAME": _check_host,
    "NS": _check_host, "TXT": _check_txt, "CAA": _check_caa, "MX": _check_mx,
}  # fmt: skip


class Zones:
    """All zones of a cloud, and the API for them."""

    def __init__(self, fe):
        self.fe = fe
        self.zones, self.sets, self.gone = {}, {}, []
        self.doomed = {}  # name of a record set -> how its changes end: ERROR, or None for never

    # ---- what a test sets up ----

    def add_zone(self, name, project, type_="public", status="ACTIVE"):
        """A zone with the record sets that each one has; its like may be there already."""
        zone = Zone(dotted(name), project, type_, status=status, created=_stamp(self.fe.now()))
        self.zones[zone.id] = zone
        servers = list(self.fe.named.names)
        soa = f"{servers[0]} {zone.email.replace('@', '.')}. (1 7200 900 1209600 300)"
        for kind, values, ttl in (("SOA", [soa], 300), ("NS", servers, 172800)):
            made = self.put(zone, zone.name, kind, values, ttl)
            made.default, made.history = True, [(0.0, ttl, tuple(values))]
        return zone

    def put(self, zone, name, type_, values, ttl=300):
        """A record set that is in effect at once, in place of what there was."""
        for one in self._at(zone, name):
            if one.type == type_:
                self._remove(one)
        if not values:
            return None
        made = RecordSet(zone, dotted(name), type_, ttl, list(values))
        made.status, made.created = "ACTIVE", _stamp(self.fe.now())
        made.history.append((time.monotonic(), ttl, tuple(values)))
        self.sets[made.id] = made
        return made

    def zone_for(self, name):
        """The zone a name is in: the one with the longest name."""
        name = dotted(name)
        found = [
            one for one in self.zones.values()
            if one.type == "public" and ("." + name).endswith("." + one.name)
        ]  # fmt: skip
        return max(found, key=lambda one: len(one.name), default=None)

    def _at(self, zone, name):
        return [one for one in self.sets.values() if one.zone is zone and one.name == dotted(name)]

    def _remove(self, one):
        one.history.append((time.monotonic(), one.ttl, None))
        one.zone.serial += 1
        del self.sets[one.id]
        self.gone.append(one)

    # ---- changes take their time ----

    def settle(self):
        """What has been PENDING for long enough is in effect now."""
        now = time.monotonic()
        for zone in list(self.zones.values()):
            if zone.status == "PENDING_CREATE" and now >= zone.since + self.fe.pending_s:
                zone.status = "ACTIVE"
        for one in list(self.sets.values()):
            if not one.status.startswith("PENDING_") or one.outcome is None:
                continue
            if one.looks >= self.fe.pending_looks and now >= one.since + self.fe.pending_s:
                self._complete(one)

    def _complete(self, one):
        if one.outcome != "ACTIVE":
            one.status = one.outcome
        elif one.status == "PENDING_DELETE":
            self._remove(one)
        else:
            one.status = "ACTIVE"
            one.zone.serial += 1
            # Whoever looks late sees that it was so since it was due.
            due = one.since + self.fe.pending_s
            when = time.monotonic() if self.fe.pending_looks else due
            one.history.append((when, one.ttl, tuple(one.records)))

    def _begin(self, one, status):
        """A change was accepted."""
        one.status, one.since, one.looks = status, time.monotonic(), 0
        one.outcome = self.doomed.get(one.name, self.fe.outcome)
        self.sets[one.id] = one

    # ---- zones ----

    def _mine(self, call):
        """The zones that the caller sees."""
        self.settle()
        project = call.caller.project
        if self.fe.zones_scope == "project":
            return [one for one in self.zones.values() if one.project is project]
        return [one for one in self.zones.values() if one.project.domain is project.domain]

    def _zone(self, call, id_):
        for one in self._mine(call):
            if one.id == id_:
                return one
        raise FeError("DNS.0302", f"The zone {id_} does not exist.")

    def _told_zone(self, zone):
        return {
            "id": zone.id, "name": zone.name, "description": zone.description, "email": zone.email,
            "ttl": zone.ttl, "serial": zone.serial, "masters": [], "status": zone.status,
            "links": {"self": f"{self.fe.dns_url}/v2/zones/{zone.id}"}, "pool_id": "00000000",
            "project_id": zone.project.id, "zone_type": zone.type, "created_at": zone.created,
            "updated_at": None,
            "record_num": sum(one.zone is zone for one in self.sets.values()),
        }  # fmt: skip

    def list_zones(self, call):
        """GET /v2/zones."""
        kind = call.one("type", "public")
        if kind not in ("public", "private"):
            raise FeError("DNS.0008")
        found = [one for one in self._mine(call) if one.type == kind]
        return self._list(call, "zones", found, self._told_zone)

    def show_zone(self, call):
        """GET of one."""
        return Answer(self._told_zone(self._zone(call, call.parts["id"])))

    def create_zone(self, call):
        """POST."""
        given = call.given
        _known(given, ZONE_FIELDS)
        name = self._name(given.get("name"))
        kind = given.get("zone_type", "public")
        if kind != "public" or name.count(".") < 2 or name.startswith("*"):
            raise FeError("DNS.0008" if kind != "public" else "DNS.0304")
        mine = [one for one in self._mine(call) if one.type == "public"]
        if any(one.name == name for one in mine):
            raise FeError("DNS.0016", f"The zone {name} already exists.")
        if len(mine) >= self.fe.zones_max:
            raise FeError("DNS.0403", f"Quota of zones is {self.fe.zones_max}.")
        zone = self.add_zone(name, call.caller.project, status="PENDING_CREATE")
        zone.since = time.monotonic()
        call.request.uuid = zone.id
        return Answer(self._told_zone(zone), 202)

    def delete_zone(self, call):
        """DELETE, with all that is in it."""
        zone = self._zone(call, call.parts["id"])
        for one in list(self.sets.values()):
            if one.zone is zone:
                self._remove(one)
        del self.zones[zone.id]
        return Answer({**self._told_zone(zone), "status": "PENDING_DELETE"}, 202)

    def list_name_servers(self, call):
        """GET .../nameservers."""
        self._zone(call, call.parts["zone"])
        servers = [
            {"hostname": name, "address": None, "priority": number}
            for number, name in enumerate(self.fe.named.names, 1)
        ]  # fmt: skip
        return Answer({"nameservers": servers})

    # ---- lists ----

    def _list(self, call, key, found, told):
        mode = call.one("search_mode", "like")
        if mode not in ("like", "equal"):
            raise FeError("DNS.0002", "The search_mode parameter is invalid.")
        for name in ("name", "status", "id"):
            wanted = call.one(name)
            if wanted and mode == "equal" and name == "name":
                found = [one for one in found if one.name == dotted(wanted)]
            elif wanted:  # it need only occur
                found = [one for one in found if wanted.lower() in getattr(one, name).lower()]
        if call.one("sort_key"):
            reverse = call.one("sort_dir", "asc") == "desc"
            found.sort(key=lambda one: str(getattr(one, call.one("sort_key"), "")), reverse=reverse)
        page, links = self._page(call, found)
        for one in page:
            if isinstance(one, RecordSet):
                one.looks += 1
        total = {"total_count": len(found)}
        return Answer({key: [told(one) for one in page], "links": links, "metadata": total})

    def _page(self, call, found):
        url = self.fe.dns_url + call.request.target.partition("?")[0]
        limit, offset = call.one("limit", "500"), call.one("offset", "0")
        if not limit.isdecimal() or int(limit) > 500:
            raise FeError("DNS.0006")
        if not offset.isdecimal():
            raise FeError("DNS.0002", "The offset parameter is invalid.")
        begin, marker = int(offset), call.one("marker")
        if marker:
            places = [at for at, one in enumerate(found) if one.id == marker]
            if not places:
                raise FeError("DNS.0007")
            begin = places[0] + 1
        size = min(int(limit), self.fe.page_max)
        page = found[begin : begin + size]
        links = {"self": self.fe.dns_url + call.request.target}
        if page and begin + size < len(found):
            query = [(name, value) for name, value in call.query if name not in PAGE]
            query += [("limit", limit), ("marker", page[-1].id)]
            links["next"] = f"{url}?{urlencode(query)}"
        return page, links

    # ---- record sets ----

    def told_set(self, one):
        """As a client sees it."""
        path = f"{self.fe.dns_url}/v2/zones/{one.zone.id}/recordsets/{one.id}"
        return {
            "id": one.id, "name": one.name, "description": one.description, "type": one.type,
            "ttl": one.ttl, "records": list(one.records), "status": one.status,
            "links": {"self": path}, "zone_id": one.zone.id, "zone_name": one.zone.name,
            "create_at": one.created, "update_at": one.updated, "default": one.default,
            "project_id": one.zone.project.id,
        }  # fmt: skip

    def _sets(self, call, found):
        kind = call.one("type")
        if kind and kind not in (*TYPES, "SOA", "PTR"):
            raise FeError("DNS.0307")
        found = [one for one in found if kind in (None, "", one.type)]
        return self._list(call, "recordsets", found, self.told_set)

    def list_all_sets(self, call):
        """GET /v2/recordsets: those of all zones."""
        kind = call.one("zone_type", "public")
        zones = [one for one in self._mine(call) if one.type == kind]
        return self._sets(call, [one for one in self.sets.values() if one.zone in zones])

    def list_sets(self, call):
        """GET of those in a zone."""
        zone = self._zone(call, call.parts["zone"])
        return self._sets(call, [one for one in self.sets.values() if one.zone is zone])

    def _set(self, call):
        zone = self._zone(call, call.parts["zone"])
        found = self.sets.get(call.parts["id"])
        if not found or found.zone is not zone:
            raise FeError("DNS.0313", f"The Record Set {call.parts['id']} does not exist.")
        return found

    def show_set(self, call):
        """GET of one."""
        one = self._set(call)
        one.looks += 1
        return Answer(self.told_set(one))

    def create_set(self, call):
        """POST."""
        zone, given = self._zone(call, call.parts["zone"]), call.given
        _known(given, SET_FIELDS)
        kind = given.get("type")
        if kind not in TYPES:
            raise FeError("DNS.0307")
        name = self._name(given.get("name"))
        if not ("." + name).endswith("." + zone.name):
            raise FeError("DNS.0304", f"Attribute 'name' is not in the zone {zone.name}")
        ttl, records = self._ttl(given.get("ttl", 300)), self._records(kind, given.get("records"))
        description = _description(given)
        self._check_conflict(zone, name, kind)
        self._check_steady(zone)
        mine = [one for one in self.sets.values() if one.zone.project is zone.project]
        if sum(not one.default for one in mine) >= self.fe.sets_max:
            raise FeError("DNS.0403", f"Quota of record sets is {self.fe.sets_max}.")
        made = RecordSet(zone, name, kind, ttl, records, description)
        made.created = _stamp(self.fe.now())
        self._begin(made, "PENDING_CREATE")
        call.request.uuid = made.id
        return Answer(self.told_set(made), 202)

    def _check_conflict(self, zone, name, kind):
        for one in self._at(zone, name):
            if one.type == kind or "CNAME" in (one.type, kind):
                raise FeError(
                    "DNS.0312",
                    f"Attribute 'name' conflicts with Record Set '{name}' type '{one.type}'.",
                )

    def _check_steady(self, zone, one=None):
        """May anything be changed now?"""
        if zone.status != "ACTIVE":
            raise FeError("DNS.0209", f"The status of the zone is {zone.status}.")
        if one and one.status.startswith("PENDING_"):
            raise FeError(self.fe.pending_code, f"The status of the Record Set is {one.status}.")
        if self.fe.zone_lock and any(
            other.zone is zone and other.status.startswith("PENDING_")
            for other in self.sets.values()
        ):
            raise FeError("DNS.0021")

    def change_set(self, call):
        """PUT."""
        one, given = self._set(call), call.given
        _known(given, SET_FIELDS)
        if one.default:
            raise FeError("DNS.0318")
        if "name" in given and self._name(given["name"]) != one.name:
            raise FeError("DNS.0304", "Attribute 'name' cannot be changed.")
        if given.get("type", one.type) != one.type:
            raise FeError("DNS.0307", "Attribute 'type' cannot be changed.")
        ttl = self._ttl(given.get("ttl", one.ttl))
        records = self._records(one.type, given.get("records", one.records))
        description = _description(given) if "description" in given else one.description
        self._check_steady(one.zone, one)
        one.ttl, one.records, one.description = ttl, records, description
        one.updated = _stamp(self.fe.now())
        self._begin(one, "PENDING_UPDATE")
        return Answer(self.told_set(one), 202)

    def delete_set(self, call):
        """DELETE."""
        one = self._set(call)
        if one.default:
            raise FeError("DNS.0317")
        self._check_steady(one.zone, one)
        self._begin(one, "PENDING_DELETE")
        return Answer(self.told_set(one), 202)

    # ---- values ----

    def _name(self, name):
        if not isinstance(name, str) or not name:
            raise FeError("DNS.0304")
        if not name.endswith(".") and self.fe.undotted == "refuse":
            raise FeError("DNS.0304", "Attribute 'name' does not end with a dot.")
        labels = dotted(name)[:-1].split(".")
        if labels[0] == "*":
            labels = labels[1:]
        if not labels or not all(LABEL.match(one) for one in labels) or len(name) > 254:
            raise FeError("DNS.0304")
        return dotted(name)

    def _ttl(self, ttl):
        if isinstance(ttl, bool) or not isinstance(ttl, int) or ttl not in TTLS:
            raise FeError("DNS.0303")
        if ttl < self.fe.ttl_min:
            raise FeError("DNS.0303", f"Attribute 'ttl' is less than {self.fe.ttl_min}.")
        return ttl

    def _records(self, kind, records):
        """The values, each as its type wants it."""
        if not isinstance(records, list) or not records:
            raise FeError("DNS.0308", "Attribute 'records' is empty.")
        if not all(isinstance(one, str) for one in records) or len(records) > self.fe.values_max:
            raise FeError("DNS.0308")
        if len(set(records)) < len(records) and self.fe.equal_values == "refuse":
            raise FeError("DNS.0308", "Attribute 'records' has a value twice.")
        if kind == "CNAME" and len(records) > 1:
            raise FeError("DNS.0308", "A CNAME has one value.")
        if kind == "TXT" and sum(len(one.encode()) for one in records) > 4096:
            raise FeError("DNS.0308", "The values are too long.")
        for one in records:
            try:
                CHECKS.get(kind, str)(one)
            except ValueError:
                raise FeError("DNS.0308", f"Invalid value of type {kind}: {one}") from None
        return list(dict.fromkeys(records))


def _known(given, fields):
    for name in given:
        if name not in fields:
            raise FeError("DNS.0002", f"Unknown attribute '{name}'.")


def _description(given):
    text = given.get("description")
    if text is not None and (not isinstance(text, str) or len(text) > 255):
        raise FeError("DNS.0305")
    return text
