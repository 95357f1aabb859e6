"""The part of the appliance's policy language that responder policies are written in.

parse() refuses what it does not know, as the device refuses an expression when it is configured;
Expression.value() evaluates it for one request. The value of something the request does not have is
UNDEFINED: the policy then does not match.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from .nitro_errors import NitroError

LITERAL_LIMIT = 255
EXPRESSION_LIMIT = 8191

TOKENS = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*") | (?P<number>\d+) | (?P<and>&&) | (?P<or>\|\|) | (?P<not>!)
      | (?P<plus>\+) | (?P<open>\() | (?P<close>\)) | (?P<comma>,) | (?P<dot>\.)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    )""",
    re.VERBOSE | re.DOTALL,
)
ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0"}


class Undefined(Exception):
    """The request has no such part."""


@dataclass
class Text:
    """Text, and whether comparisons mind its case."""

    value: str
    ignore_case: bool = False

    def pair(self, other):
        """Both as they are compared."""
        if self.ignore_case:
            return self.value.lower(), other.lower()
        return self.value, other


@dataclass
class Expression:
    """type: "text", "bool" or "number"; value(request) gives it."""

    type: str
    value: object


def _compare(function):
    return "bool", lambda text, other: function(*text.pair(other))


def _after(text, mark):
    own, wanted = text.pair(mark)
    at = own.find(wanted)
    return Text(text.value[at + len(mark) :] if at >= 0 else "", text.ignore_case)


def _before(text, mark):
    own, wanted = text.pair(mark)
    at = own.find(wanted)
    return Text(text.value[:at] if at >= 0 else "", text.ignore_case)


# On text, with one string as argument.
WITH_STRING = {
    "EQ": _compare(lambda one, other: one == other),
    "NE": _compare(lambda one, other: one != other),
    "CONTAINS": _compare(lambda one, other: other in one),
    "STARTSWITH": _compare(lambda one, other: one.startswith(other)),
    "ENDSWITH": _compare(lambda one, other: one.endswith(other)),
    "AFTER_STR": ("text", _after),
    "BEFORE_STR": ("text", _before),
}
# On text, without an argument.
PLAIN = {
    "TO_LOWER": lambda text: Text(text.value.lower(), text.ignore_case),
    "TO_UPPER": lambda text: Text(text.value.upper(), text.ignore_case),
}
URL_PARTS = {
    "PATH": lambda url: Text(url.partition("?")[0]),
    "QUERY": lambda url: Text(url.partition("?")[2]),
    "PATH_AND_QUERY": Text,
}
NUMBERS = {
    "EQ": lambda one, other: one == other, "NE": lambda one, other: one != other,
    "GT": lambda one, other: one > other, "LT": lambda one, other: one < other,
    "GE": lambda one, other: one >= other, "LE": lambda one, other: one <= other,
}  # fmt: skip


class _Parser:
    def __init__(self, source):
        self.source, self.at, self.tokens = source, 0, []
        end = len(source.rstrip())
        while self.at < end:
            found = TOKENS.match(source, self.at)
            if not found:
                self.fail()
            self.tokens.append((found.lastgroup, found[found.lastgroup], self.at))
            self.at = found.end()
        self.tokens.append(("end", "", end))
        self.next = 0

    def fail(self):
        """The device's words, with the place."""
        offset = self.tokens[self.next][2] if self.tokens and hasattr(self, "next") else self.at
        raise NitroError(3081, f"{self.source[max(0, offset - 20):offset + 20]}, Offset {offset}")

    def peek(self):
        """The kind of the next token."""
        return self.tokens[self.next][0]

    def take(self, kind):
        """The next token, which must be of a kind."""
        if self.peek() != kind:
            self.fail()
        self.next += 1
        return self.tokens[self.next - 1][1]

    def maybe(self, kind):
        """Is it? Then it is taken."""
        if self.peek() != kind:
            return False
        self.next += 1
        return True

    def whole(self, wanted):
        """An expression of a type, and nothing behind it."""
        expression = self.either()
        if self.peek() != "end" or expression.type != wanted:
            self.fail()
        return expression

    def _typed(self, expression, wanted):
        if expression.type != wanted:
            self.fail()
        return expression.value

    def either(self):
        """a || b"""
        left = self.both()
        while self.maybe("or"):
            one, other = self._typed(left, "bool"), self._typed(self.both(), "bool")
            left = Expression("bool", lambda r, a=one, b=other: a(r) or b(r))
        return left

    def both(self):
        """a && b"""
        left = self.sum()
        while self.maybe("and"):
            one, other = self._typed(left, "bool"), self._typed(self.sum(), "bool")
            left = Expression("bool", lambda r, a=one, b=other: a(r) and b(r))
        return left

    def sum(self):
        """a + b, of text"""
        left = self.unary()
        while self.maybe("plus"):
            one, other = self._typed(left, "text"), self._typed(self.unary(), "text")
            left = Expression("text", lambda r, a=one, b=other: Text(a(r).value + b(r).value))
        return left

    def unary(self):
        """!a, (a), a literal, or a part of the request"""
        if self.maybe("not"):
            value = self._typed(self.unary(), "bool")
            return Expression("bool", lambda r: not value(r))
        if self.maybe("open"):
            inner = self.either()
            self.take("close")
            return self.methods(inner)
        if self.peek() == "text":
            text = Text(self.literal())
            return self.methods(Expression("text", lambda r: text))
        return self.methods(self.subject())

    def literal(self):
        """A string with its escapes resolved."""
        raw = self.take("text")[1:-1]
        value = re.sub(
            r"\\(x[0-9A-Fa-f]{2}|.)",
            lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 3 else ESCAPES.get(m[1], m[1]),
            raw,
            flags=re.DOTALL,
        )
        if len(value) > LITERAL_LIMIT:
            self.fail()
        return value

    def subject(self):
        """HTTP.REQ. and what follows, TRUE, FALSE."""
        word = self.take("word").upper()
        if word in ("TRUE", "FALSE"):
            return Expression("bool", lambda r: word == "TRUE")
        path = [word]
        while len(path) < 3 and self.maybe("dot"):
            path.append(self.take("word").upper())
        if path[:2] != ["HTTP", "REQ"] or len(path) != 3:
            self.fail()
        if path[2] == "URL":
            return Expression("text", lambda r: Text(r.target))
        if path[2] == "HOSTNAME":
            return Expression("text", lambda r: Text(r.host, True))
        if path[2] == "HEADER":
            self.take("open")
            name = self.literal().lower()
            self.take("close")
            return Expression("text", lambda r: Text(r.header(name)))
        if path[2] == "IS_VALID":
            return Expression("bool", lambda r: True)
        if path[2] == "METHOD":
            return self.method_name()
        return self.fail()

    def method_name(self):
        """HTTP.REQ.METHOD.EQ(GET): a word, not a string."""
        self.take("dot")
        how = self.take("word").upper()
        if how not in ("EQ", "NE"):
            self.fail()
        self.take("open")
        name = self.take("word").upper()
        self.take("close")
        return Expression("bool", lambda r: (r.method == name) == (how == "EQ"))

    def methods(self, expression):
        """.NAME or .NAME(argument), any number of them."""
        while self.maybe("dot"):
            expression = self.applied(expression, self.take("word").upper())
        return expression

    def applied(self, expression, name):
        """expression.NAME..."""
        of = expression.value
        if expression.type == "number" and name in NUMBERS:
            self.take("open")
            other = int(self.take("number"))
            self.take("close")
            return Expression("bool", lambda r: NUMBERS[name](of(r), other))
        if expression.type != "text":
            self.fail()
        if name in WITH_STRING:
            kind, function = WITH_STRING[name]
            self.take("open")
            argument = self._typed(self.either(), "text")
            self.take("close")
            return Expression(kind, lambda r: function(of(r), argument(r).value))
        return self.plain(of, name)

    def plain(self, of, name):
        """What takes no string."""
        if name == "LENGTH":
            return Expression("number", lambda r: len(of(r).value))
        if name == "SET_TEXT_MODE":
            self.take("open")
            mode = self.take("word").upper()
            self.take("close")
            if mode not in ("IGNORECASE", "NOIGNORECASE", "URLENCODED", "NOURLENCODED"):
                self.fail()
            if "CASE" not in mode:
                return Expression("text", of)
            return Expression("text", lambda r: Text(of(r).value, mode == "IGNORECASE"))
        if name == "DECODE_USING_TEXT_MODE":
            return Expression("text", lambda r: Text(unquote(of(r).value), of(r).ignore_case))
        if name == "SERVER":
            return Expression("text", lambda r: Text(_server(of(r).value), True))
        if name in URL_PARTS:
            return Expression("text", lambda r: URL_PARTS[name](of(r).value))
        if name in PLAIN:
            return Expression("text", lambda r: PLAIN[name](of(r)))
        return self.fail()


def _server(host):
    """A host name without its port."""
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


def parse(source, wanted):
    """An Expression of a type; NitroError 3081 for what is none."""
    if len(source) > EXPRESSION_LIMIT:
        raise NitroError(1106, f"rule, {EXPRESSION_LIMIT}")
    return _Parser(source).whole(wanted)


@dataclass
class HttpRequest:
    """What the data plane has read."""

    method: str
    target: str
    headers: dict  # names in lower case

    @property
    def host(self):
        """The header Host, with the port that may be in it."""
        return self.headers.get("host", "")

    def header(self, name):
        """A header that must be there."""
        if name not in self.headers:
            raise Undefined
        return self.headers[name]


def matches(expression, request):
    """Does a rule hold? Not when it is undefined."""
    try:
        return bool(expression.value(request))
    except Undefined:
        return False
