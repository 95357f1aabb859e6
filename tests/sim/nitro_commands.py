"""Command lines: what a request is on the device's own command line, and who may type it.

A command policy is a regular expression over that line. So each request is turned into its line
first, with the capitals the device itself uses, and the line is held against the policies that are
bound to the user, by priority: the first that matches decides, and none means no.
"""

import re
import shlex
from dataclasses import dataclass, field

from .nitro_errors import NitroError

# How members are called on the command line where it is not their own name.
ARGUMENTS = {
    "filename": "fileName", "filelocation": "fileLocation", "fileencoding": "fileEncoding",
    "policyname": "policyName",
    "certkeyname": "certkeyName", "snicert": "SNICert", "ca": "CA", "nodomaincheck":
    "noDomainCheck", "gotopriorityexpression": "gotoPriorityExpression", "snienable": "SNIEnable",
    "expirymonitor": "expiryMonitor", "notificationperiod": "notificationPeriod",
    "bypasssafetycheck": "bypassSafetyCheck", "keyfile": "keyFile", "countryname": "countryName",
    "statename": "stateName", "organizationname": "organizationName", "commonname": "commonName",
    "subjectaltname": "subjectAltName", "digestmethod": "digestMethod", "keyform": "keyForm",
    "responsestatuscode": "responseStatusCode", "reasonphrase": "reasonPhrase",
    "undefaction": "undefAction", "bindpoint": "type", "targetlbvserver": "targetLBVserver",
}  # fmt: skip
SPEC_LIMIT = 1499
SECRET = ("passplain", "filecontent", "password", "pempassphrase", "challengepassword")


def quoted(value):
    """As it is typed: in quotes where the command line would cut it."""
    text = str(value)
    if text and not re.search(r"[\s\"'\\;|&()]", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def line_of(verb, args, name=None):
    """The command line of a request; secrets are left out."""
    words = [verb.cli.format(**{key: quoted(value) for key, value in args.items()})]
    rest = dict(args)
    if name is not None and name not in (args.get(one) for one in verb.positional):
        words.append(quoted(name))
    for one in verb.positional:
        value = rest.pop(one, None)
        if value not in (None, ""):
            for item in value if isinstance(value, list) else [value]:
                words.append(quoted(item))
    for one, value in rest.items():
        if value is True:
            words.append("-" + ARGUMENTS.get(one, one))
        elif one not in SECRET and value is not False and "{" + one + "}" not in verb.cli:
            words.append(f"-{ARGUMENTS.get(one, one)} {quoted(value)}")
    return " ".join(words)


@dataclass
class User:
    """An account on the device. policies: (priority, name)."""

    name: str
    password: str
    superuser: bool = False
    policies: list = field(default_factory=list)
    partitions: set = field(default_factory=set)
    locked: bool = False
    failures: int = 0
    timeout: int = None


class Accounts:
    """Users and command policies: what a recipe sets up."""

    def __init__(self):
        self.users, self.policies = {}, {}

    def run(self, text):
        """Type a recipe, as `add system cmdPolicy`, `add system user` and `bind system user`."""
        for line in text.splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                self._command(line)

    def _command(self, line):
        # The command line of the device takes the text between quotes as it is, but for \" and \\.
        words = shlex.shlex(line, posix=True)
        words.whitespace_split, words.escapedquotes, words.commenters = True, '"', ""
        try:
            words = list(words)
        except ValueError:
            raise NitroError(1115, line) from None
        verb = " ".join(words[:3]).lower()
        if verb == "add system cmdpolicy" and len(words) == 6 and words[4] in ("ALLOW", "DENY"):
            self._add_policy(*words[3:])
        elif verb == "add system user" and len(words) >= 5:
            self._add_user(line, *words[3:])
        elif verb == "bind system user" and len(words) == 6:
            self._bind(line, *words[3:])
        else:
            raise NitroError(1090, f"no command of a recipe: {line}")

    def _add_policy(self, name, action, source):
        if len(source) > SPEC_LIMIT:
            raise NitroError(1106, f"cmdSpec, {SPEC_LIMIT}")
        try:
            self.policies[name] = (action, re.compile(source), source)
        except re.error:
            raise NitroError(1097, f"cmdSpec, {source}") from None

    def _add_user(self, line, name, password, *options):
        known = {"-externalAuth", "-timeout", "-allowedManagementInterface", "-maxsession"}
        options = dict(zip(options[::2], options[1::2])) if len(options) % 2 == 0 else {"": ""}
        if set(options) - known:
            raise NitroError(1090, line)
        timeout = int(options.get("-timeout", 0)) or None
        self.users[name] = User(name, password, timeout=timeout)

    def _bind(self, line, name, *what):
        user = self.users.get(name)
        if user and what[0] == "-partitionName":
            user.partitions.add(what[1])
        elif user and what[0] in self.policies:
            user.policies.append((int(what[1]), what[0]))
        else:
            raise NitroError(258, line)

    def may(self, user, line):
        """Does the device let this user do that?"""
        if user.superuser:
            return True
        for _, name in sorted(user.policies):
            action, pattern, _ = self.policies[name]
            if pattern.search(line):
                return action == "ALLOW"
        return False

    def check(self, user, line):
        """The device's refusal, unless it does."""
        if not user.superuser and not user.policies:
            raise NitroError(371)
        if not self.may(user, line):
            raise NitroError(2138, line)

    @staticmethod
    def check_partition(user, name):
        """Partitions are given to users one by one."""
        if not user.superuser and name != "default" and name not in user.partitions:
            raise NitroError(2138, f"switch ns partition {name}")
