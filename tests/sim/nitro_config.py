"""The configuration of a simulated NetScaler, and the table of what may be asked of it.

A configuration is partition -> type -> key -> object. Objects are flat dicts; members whose name
begins with "_" are the device's own and never shown. The running configuration is copied whole when
it is saved, and when it goes to the other node of a pair.
"""

import copy
import re
from dataclasses import dataclass, field

from .nitro_errors import NitroError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_#. :@=-]*")


class Config:
    """One whole configuration."""

    def __init__(self):
        self.partitions = {"default": {}}

    def copy(self):
        """Independent of this one."""
        other = Config()
        other.partitions = {
            partition: {
                kind: {key: copy.copy(one) for key, one in table.items()}
                for kind, table in tables.items()
            }
            for partition, tables in self.partitions.items()
        }
        return other

    def table(self, kind, partition="default"):
        """The objects of a type, by key."""
        return self.partitions[partition].setdefault(kind, {})

    def __eq__(self, other):
        return isinstance(other, Config) and self._shown() == other._shown()

    def _shown(self):
        return {
            partition: {kind: table for kind, table in tables.items() if table}
            for partition, tables in self.partitions.items()
        }


@dataclass(frozen=True)
class Verb:
    """One command of the device: what NITRO makes of a request.

    cli: as it is typed; the members in positional follow it by value, the others by name.
    """

    cli: str
    function: object
    required: tuple = ()
    optional: tuple = ()
    positional: tuple = ()
    status: int = 200
    writes: bool = True


@dataclass
class Call:
    """A request, when it is known who asks for what."""

    nitro: object
    node: object
    session: object
    verb: Verb
    kind: str
    args: dict
    name: str = None
    given: dict = field(default_factory=dict)  # args= of the query
    warnings: list = field(default_factory=list)

    @property
    def partition(self):
        """The one the session has switched to."""
        return self.session.partition

    def table(self, kind=None):
        """The objects of a type in the session's partition."""
        return self.node.config.table(kind or self.kind, self.partition)

    def find(self, name, kind=None, code=258, label="name"):
        """An object, or the device's refusal."""
        one = self.table(kind).get(name)
        if one is None:
            raise NitroError(code, f"{label}, {name}", 404)
        return one

    def warn(self, code, about=None):
        """It is done, but."""
        self.warnings.append(NitroError(code, about))


VERBS = {}  # (method, type, action) -> Verb


def verb(method, kind, cli, action=None, **more):
    """Declare the function below as what serves a request."""
    for name in ("required", "optional", "positional"):
        more[name] = tuple(more.get(name, "").split())

    def register(function):
        if method == "GET":
            more["writes"] = False
        VERBS[method, kind, action] = Verb(cli, function, **more)
        return function

    return register


def take(verb_, kind, args, limits):
    """The members of a body as the command wants them; what it does not know is refused."""
    taken = {}
    for name, value in args.items():
        name = name.lower()
        if name not in verb_.required and name not in verb_.optional:
            raise NitroError(278, name)
        if value is None or isinstance(value, dict):
            raise NitroError(1234, name)
        taken[name] = value
    for name in verb_.required:
        if taken.get(name) in (None, ""):
            raise NitroError(1095, name)
    for name, value in taken.items():
        longest = limits.get((kind, name))
        if longest and len(str(value)) > longest:
            raise NitroError(1106, f"{name}, {longest}")
    return taken


def check_name(name):
    """Objects have names of letters, digits and a few marks."""
    if not NAME.fullmatch(name):
        raise NitroError(1075, f"name, {name}")


def number(args, name, low, high, default=None):
    """A number, which may come as text."""
    value = args.get(name, default)
    if value is None:
        return None
    try:
        value = int(str(value))
    except ValueError:
        raise NitroError(1097, f"{name}, {value}") from None
    if value < low:
        raise NitroError(1109, f"{name}, {low}")
    if value > high:
        raise NitroError(1108, f"{name}, {high}")
    return value


def flag(args, name):
    """A boolean, which may come as text."""
    value = args.get(name, False)
    if value in (True, "true", "TRUE", "YES", 1):
        return True
    if value in (False, "false", "FALSE", "NO", 0):
        return False
    raise NitroError(1097, f"{name}, {value}")


def choice(args, name, allowed, default):
    """One of a few words, whatever their case."""
    value = str(args.get(name, default))
    for one in allowed:
        if one.upper() == value.upper():
            return one
    raise NitroError(1097, f"{name}, {value}")
