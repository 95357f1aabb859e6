"""The objects of the simulated Avi controller, and how they are asked for.

An object is never changed in place: a write puts a new one under the same uuid, so what somebody
else looks at stays as it was.
"""

import copy
import dataclasses
import time
import uuid as uuids
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .avi_types import TYPES, AviError, references, uuid_of

PAGE_SIZES = range(1, 201)
CONTROL = (
    "page", "page_size", "include_name", "fields", "skip_default", "join_subresources", "sort",
    "search", "isearch", "refers_to", "referred_by",
)  # fmt: skip


@dataclass(frozen=True)
class Obj:
    """One object. data: as it was sent, with defaults; kept: what the controller never says."""

    type: str
    uuid: str
    tenant: str
    data: dict
    modified: str = ""
    kept: dict = field(default_factory=dict)

    @property
    def name(self):
        """Its name, as people and refusals call it."""
        return self.data.get("name", self.type)

    @property
    def ref(self):
        """As other objects refer to it."""
        return f"/api/{self.type}/{self.uuid}"

    def __str__(self):
        return f"{TYPES[self.type].label} {self.name}"


def new_uuid(type_):
    """A name for an object that no other one has."""
    return f"{type_}-{uuids.uuid4()}"


class Store:
    """All objects of a controller."""

    def __init__(self):
        self.objects = {}
        self._clock = 0

    # ---- one object ----

    def put(self, obj):
        """Store it, with the time it was changed at, which never repeats."""
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        obj = dataclasses.replace(obj, modified=str(self._clock), data=copy.deepcopy(obj.data))
        self.objects[obj.uuid] = obj
        return obj

    def get(self, type_, uuid):
        """An object, whatever tenant it is in, or None."""
        found = self.objects.get(uuid)
        return found if found and found.type == type_ else None

    def all(self, type_):
        """Those of a type, the oldest first."""
        return [one for one in list(self.objects.values()) if one.type == type_]

    def single(self, type_):
        """The only one of its type."""
        return self.all(type_)[0]

    def user(self, username):
        """An account."""
        return next((one for one in self.all("user") if one.data["username"] == username), None)

    def tenant(self, name):
        """A tenant, by its name."""
        return next((one for one in self.all("tenant") if one.name == name), None)

    def visible(self, type_, tenant):
        """Those of a type that somebody in a tenant sees. tenant "*": in any."""
        kind = TYPES[type_]
        return [
            one
            for one in self.all(type_)
            if not kind.scoped or tenant in ("*", one.tenant) or (
                kind.shared and one.kept.get("shared")
            )
        ]  # fmt: skip

    def named(self, type_, name, tenant):
        """An object by its name, that of the tenant before one that is shared."""
        found = [one for one in self.visible(type_, tenant) if one.name == name]
        return next((one for one in found if one.tenant == tenant), found[0] if found else None)

    def reference(self, type_, uuid, name, tenant):
        """The uuid of what a client refers to."""
        if name is not None:
            found = self.named(type_, name, tenant)
        else:
            found = self.get(type_, uuid)
            if found not in self.visible(type_, tenant):
                found = None
        if not found:
            raise AviError(400, f"Object not found: {TYPES[type_].label} {name or uuid}")
        return found.uuid

    def referrers(self, obj):
        """The objects that refer to it."""
        return [
            one
            for one in list(self.objects.values())
            if one is not obj and any(uuid_of(ref) == obj.uuid for ref in references(one.data))
        ]

    def remove(self, obj):
        """It is gone."""
        del self.objects[obj.uuid]


# ---- lists ----


def _values(value, path):
    """What is at a path of names, through lists."""
    if isinstance(value, list):
        for one in value:
            yield from _values(one, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


def _anywhere(value, name):
    """What is under a name, however deep."""
    if isinstance(value, list):
        for one in value:
            yield from _anywhere(one, name)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == name:
                yield from _values(one, [])
            yield from _anywhere(one, name)


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


OPERATORS = {
    "": lambda own, wanted: own == wanted,
    "contains": lambda own, wanted: wanted in own,
    "icontains": lambda own, wanted: wanted.lower() in own.lower(),
    "in": lambda own, wanted: own in wanted.split(","),
}


class Listing:
    """GET of a type: which objects, in which order, which page."""

    def __init__(self, store, options, type_, tenant, query):
        self.store, self.options, self.type, self.query = store, options, type_, query
        self._fields = TYPES[type_].fields
        tests = list(self._tests())
        self.found = [
            one for one in store.visible(type_, tenant) if all(test(one) for test in tests)
        ]
        if options.order == "reversed":
            self.found.reverse()
        sort = query.get("sort")
        if sort:
            path = sort.lstrip("-").split(".")
            self.found.sort(
                key=lambda one: next(map(_text, _values(one.data, path)), ""),
                reverse=sort.startswith("-"),
            )

    def _tests(self):
        for name, wanted in self.query.items():
            if name in ("search", "isearch"):
                yield self._search(name, wanted)
            elif name in ("refers_to", "referred_by"):
                yield self._related(name, wanted)
            elif name not in CONTROL:
                yield self._field(name, wanted)

    @staticmethod
    def _search(how, text):
        name, comma, wanted = text.strip("()").partition(",")
        if not (text.startswith("(") and text.endswith(")") and name and comma):
            raise AviError(400, f"Invalid {how} expression")
        test = OPERATORS["icontains" if how == "isearch" else "contains"]
        return lambda one: any(test(_text(own), wanted) for own in _anywhere(one.data, name))

    def _related(self, how, text):
        type_, colon, uuid = text.partition(":")
        if not colon or type_ not in TYPES:
            raise AviError(400, f"Invalid {how} expression")
        if how == "refers_to":
            return lambda one: uuid in map(uuid_of, references(one.data))
        other = self.store.get(type_, uuid)
        named = set(map(uuid_of, references(other.data))) if other else set()
        return lambda one: one.uuid in named

    def _field(self, name, wanted):
        path, how = name.split("."), ""
        if path[-1] in OPERATORS and path[-1]:
            how = path.pop()
        test = OPERATORS[how]
        if path == ["uuid"]:
            return lambda one: test(one.uuid, wanted)
        if path[0] not in self._fields:
            if self.options.unknown_params == "refuse":
                raise AviError(400, f"Unknown query parameter: {name}")
            return lambda one: True
        if len(path) == 2 and path[0].endswith("_ref") and path[1] == "name":
            return lambda one: test(self._name_of(one.data.get(path[0])), wanted)
        if path[0].endswith(("_ref", "_refs")):
            return lambda one: any(
                test(uuid_of(own), wanted) or test(own, wanted) for own in _values(one.data, path)
            )
        return lambda one: any(test(_text(own), wanted) for own in _values(one.data, path))

    def _name_of(self, ref):
        found = self.store.objects.get(uuid_of(ref))
        return found.name if found else ""

    def page(self, url):
        """(the objects of the page that is asked for, where the next one is or None)."""
        size = self._number("page_size", self.options.page_size)
        number = self._number("page", 1)
        if size not in PAGE_SIZES or number < 1:
            raise AviError(400, "Invalid page or page_size")
        begin = (number - 1) * size
        if begin and begin >= len(self.found):
            raise AviError(404, "Invalid page")
        following = None
        if begin + size < len(self.found):
            following = url + "?" + urlencode({**self.query, "page": number + 1})
        return self.found[begin : begin + size], following

    def _number(self, name, default):
        text = self.query.get(name, str(default))
        if not text.isdecimal():
            raise AviError(400, f"Invalid {name}")
        return int(text)
