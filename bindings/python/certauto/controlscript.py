# SPDX-License-Identifier: Apache-2.0
"""What a ControlScript of an Avi controller calls to get a certificate.

    from certauto import controlscript

    def certificate_request(csr, common_name, args):
        return controlscript.request(csr, common_name, args)

Challenges are answered on the controller the script runs on (http-01), or by a target for DNS
(dns-01). What a run that was killed has left is settled by the next one for the same names.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
from time import monotonic

from ._context import Context
from ._enums import EventType, OptionFlag
from ._error import Error
from ._errors import Config, Invalid, Permission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping

    from ._job import Event
    from ._objects import Account, Csr, Order, Store, Target

__all__ = ["PARAMETERS", "SENSITIVE", "request"]

PARAMETERS = {
    "user": "",
    "password": "",
    "tenant": "admin",
    "dryrun": "false",
    "contact": "",
    "disable_check": "false",
    "overwrite_vs": "",
    "directory_url": "",
    "letsencrypt_key": "",
    "debug": "false",
    "state": "",
    "ca_file": "",
    "eab_kid": "",
    "eab_hmac": "",
    "profile": "",
    "api_version": "",
    "dns_target": "",
    "controller_ca_file": "",
    "controller_pin": "",
    "challenge_check": "",
    "timeout": "280",
}
"""All parameters with their defaults, in the form in which a controller gives them: text."""

SENSITIVE = ("password", "letsencrypt_key", "eab_hmac", "dns_target")
"""Those that a certificate management profile must keep to itself."""

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
SHORTEST_SECRET = 4  # what is shorter is also part of other words
TIMEOUT_MAX = 86400

# What a container calls the machine that it runs on.
HERE = ("localhost", "host.docker.internal", "host.containers.internal")

# The kernel's tables of routes: the gateway of a container's network is that machine.
ROUTES_V4, ROUTES_V6 = "/proc/net/route", "/proc/net/ipv6_route"

# Certificates of CAs as systems keep them: the bundle's libcurl knows only the first.
CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def request(
    csr: str,
    common_name: str | None,
    args: Mapping[str, object],
    parameters: Mapping[str, str] = PARAMETERS,
    *,
    required: Iterable[str] = (),
    targets: Iterable[Any] = (),
) -> str:
    """Get a certificate for a request in PEM; the chain in PEM, leaf first.

    parameters: those of PARAMETERS that the script takes, with its defaults; required: those of
    them that must be set. targets: objects that Context.add_target() takes, for dns_target. The
    names are those of the request; common_name is one of them. Failure is one certauto.Error whose
    text is complete and has no secret in it.
    """
    report = _Report()
    try:
        values = _read(args, parameters, required)
        report.hide(values[name] for name in SENSITIVE if name != "dns_target")
        report.debug = _flag(values, "debug")
        return _Run(values, report, targets).chain(csr)
    except Exception as error:
        failure = report.failure(error)
    # From here: what is on the way to the error has the values of parameters in it.
    raise failure


# ---- parameters ----


def _read(
    args: Mapping[str, object], parameters: Mapping[str, str], required: Iterable[str]
) -> dict[str, str]:
    """The value of each parameter as text; one that is empty is not set."""
    unknown = sorted(str(name) for name in args if name not in parameters)
    if unknown:
        raise Invalid(
            f"there is no parameter {_quoted(unknown)}",
            advice="the script takes " + ", ".join(parameters),
        )
    values = dict.fromkeys(PARAMETERS, "")
    for name, default in parameters.items():
        given = args.get(name)
        text = "" if given is None else str(given)
        values[name] = (text if name == "password" else text.strip()) or default
    missing = [name for name in required if not values[name]]
    if missing:
        raise Invalid(
            f"the parameter {_quoted(missing)} is missing",
            advice="set it in the certificate management profile",
        )
    return values


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name:.64}"' for name in names)


def _flag(values: Mapping[str, str], name: str) -> bool:
    try:
        return BOOLEANS[values[name].lower() or "false"]
    except KeyError:
        text = f'the parameter "{name}" takes true or false, not "{values[name]:.64}"'
        raise Invalid(text) from None


def _seconds(values: Mapping[str, str], name: str) -> int:
    text = values[name]
    if not text.isdigit() or not 0 < int(text) <= TIMEOUT_MAX:
        raise Invalid(f'the parameter "{name}" takes seconds, 1 to {TIMEOUT_MAX}, not "{text:.64}"')
    return int(text)


def _pem(text: str) -> str:
    """A key whose line ends a form has made blanks, or "\\n", of."""
    text = text.replace("\\n", "\n").strip()
    found = re.fullmatch(r"(-----BEGIN [A-Z ]+-----)(.*)(-----END [A-Z ]+-----)", text, re.S)
    if found is None:
        return text
    begin, body, end = found.groups()
    return "\n".join([begin, *body.split(), end, ""])


# ---- what is told ----


class _Report:
    """Progress on standard output, and the failure; both without secrets."""

    def __init__(self) -> None:
        self.debug = False
        self._hidden: list[str] = []

    def hide(self, secrets: Iterable[str]) -> None:
        """Texts that nobody must see, and their lines."""
        parts = {part for text in secrets for part in [text, *text.split("\n")]}
        found = [part for part in parts if len(part) >= SHORTEST_SECRET]
        self._hidden = sorted({*self._hidden, *found}, key=len, reverse=True)

    def _clean(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "...")
        return text

    def say(self, text: str) -> None:
        """One line. A reader that has gone away is no reason to stop."""
        try:
            print(self._clean(text), flush=True)
        except OSError:
            pass

    def event(self, event: Event) -> None:
        """What jobs tell: all of it, or what a person should know. Not verified is a controller
        on this machine only, or one that has shown its pin."""
        is_known = event.type is EventType.WARNING and ": insecure: " in (event.text or "")
        if self.debug or (event.type is EventType.WARNING and not is_known):
            self.say(f"{event.object}: {event.text}" if event.object else str(event.text))

    def failure(self, error: Exception) -> Error:
        """What to raise for an error, with nothing of it but its text."""
        if not isinstance(error, Error):
            return Error(self._clean(f"{type(error).__name__}: {error}"))
        if error.advice and error.message.startswith("avi: "):
            advice = error.advice.replace("the option ", "the parameter ")
            error.advice = re.sub(r"\b(virtualservice|ca_file|pin)\b", _parameter, advice)
        error.message += _others(error)
        return type(error)(self._clean(str(error)), retry_at=error.retry_at)


def _others(error: Error) -> str:
    """The names that failed besides the one that the message is about."""
    names = dict.fromkeys(one.name for one in error.subproblems if one.name)
    left = [
        name for name in names
        if not re.search(rf"(?<![\w.*-]){re.escape(name)}(?![\w-]|\.\w)", error.message)
    ]  # fmt: skip
    return f"; also failed: {', '.join(left)}" if left else ""


def _parameter(option: re.Match[str]) -> str:
    """Advice for the target names its options; here they are parameters."""
    name = option[0]
    return "overwrite_vs" if name == "virtualservice" else f"controller_{name}"


# ---- the controller ----


def _controller() -> str:
    """Where scripts find the controller they run on."""
    where = os.environ.get("DOCKER_GATEWAY") or "localhost"
    if "://" in where:
        return where
    if where.count(":") > 1 and not where.startswith("["):
        where = f"[{where}]"
    return "https://" + where


def _rows(path: str) -> list[list[str]]:
    """The words of each line; none where there is no such file."""
    try:
        with open(path, encoding="ascii") as file:
            return [line.split() for line in file]
    except OSError:
        return []


def _gateways() -> list[str]:
    """Addresses of the gateways of default routes, in hexadecimal."""
    v4 = [row[2] for row in _rows(ROUTES_V4) if row[1:2] == row[7:8] == ["00000000"]]
    if sys.byteorder == "little":
        v4 = [bytes.fromhex(one)[::-1].hex() for one in v4]
    v6 = [row[4] for row in _rows(ROUTES_V6) if row[:2] == ["0" * 32, "00"]]
    return [one.lower() for one in v4 + v6 if one.strip("0")]


def _is_own(host: str) -> bool:
    """Whether an address is of this machine: one talks to it from itself. Nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 443))
            return str(probe.getsockname()[0]) == host
    except OSError:
        return False


def _is_here(url: str) -> bool:
    """Whether that is this machine, or the one whose container this is. A private address alone
    proves nothing."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host in HERE
    return address.is_loopback or address.packed.hex() in _gateways() or _is_own(str(address))


# ---- the state ----


def _folder(path: str) -> str:
    """The folder of the state: ours, and closed to others. In /tmp anybody may have made it."""
    if not path:
        path = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"certauto-{os.geteuid()}")
    path = os.path.abspath(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        why = "is a symbolic link"
    elif not stat.S_ISDIR(found.st_mode):
        why = "is no folder"
    elif found.st_uid != os.geteuid():
        why = f"belongs to user id {found.st_uid}, the script runs as {os.geteuid()}"
    elif found.st_mode & 0o077:
        why = f"is open to others, its mode is {stat.S_IMODE(found.st_mode):04o}"
    else:
        return path
    raise Permission(
        f"the state folder {path} {why}",
        object=path,
        advice='somebody else may have put it there: remove it, or set the parameter "state"',
    )


# ---- one request ----


class _Run:
    """All that one certificate takes."""

    def __init__(
        self, values: Mapping[str, str], report: _Report, targets: Iterable[Any]
    ) -> None:
        self.values = values
        self.report = report
        self.targets = targets
        self.end = monotonic() + _seconds(values, "timeout")
        self.cx = Context(on_event=report.event)

    def left(self) -> float:
        """Seconds until it must be done."""
        return max(0.001, self.end - monotonic())

    def chain(self, csr: str) -> str:
        """The certificate and what it takes to verify it."""
        with self.cx as cx:
            wanted = cx.csr_from(csr)
            for target in self.targets:
                cx.add_target(target)
            store = cx.store("files", directory=_folder(self.values["state"]))
            cx.use_store(store)
            account = self.account(store)
            order = self.order(account, wanted)
            self.report.say(f"ordering {', '.join(wanted.names)} at {account.server}")
            ended = self.end_by_signal()
            try:
                self.tell_contact(account)
                made = order.run(self.left())
            finally:
                ended()
            self.report.say(f"issued by {made.issuer}")
            return made.pem().decode("ascii")

    def end_by_signal(self) -> Callable[[], object]:
        """A controller that ends the script by SIGTERM lets it take back what it has changed."""
        try:
            before = signal.signal(signal.SIGTERM, lambda *_: self.cx.cancel())
        except ValueError:  # not the main thread
            return lambda: None
        return lambda: signal.signal(signal.SIGTERM, before)

    def account(self, store: Store) -> Account:
        """The account: of the key that was given, else of the one in the store."""
        values, key, name = self.values, None, None
        if bool(values["eab_kid"]) != bool(values["eab_hmac"]):
            raise Invalid('of the parameters "eab_kid" and "eab_hmac" one is missing')
        if values["letsencrypt_key"]:
            from hashlib import sha256

            try:
                key = self.cx.key_from(_pem(values["letsencrypt_key"]))
            except Error as error:
                raise type(error)(f'the parameter "letsencrypt_key": {error}') from None
            name = "key-" + sha256(key.public()).hexdigest()[:16]
        system = [path for path in CA_FILES if os.path.exists(path)]
        server = "letsencrypt-staging" if _flag(values, "dryrun") else "letsencrypt"
        return self.cx.account(
            values["directory_url"] or server,
            key=key,
            name=name,
            contact=self.contacts(),
            agree_tos=True,
            eab=(values["eab_kid"], values["eab_hmac"]) if values["eab_kid"] else None,
            ca_file=values["ca_file"] or (system[0] if system else None),
            store=store,
        )

    def contacts(self) -> list[str]:
        """Addresses, or URIs."""
        found = [one.strip() for one in self.values["contact"].split(",")]
        return [f"mailto:{one}" if "@" in one and ":" not in one else one for one in found if one]

    def tell_contact(self, account: Account) -> None:
        """Tell the CA of a contact that it does not know."""
        wanted = self.contacts()
        if not wanted:
            return
        account.register(self.left())
        if not account.contacts:
            account.fetch(self.left())
        if sorted(account.contacts) != sorted(wanted):
            account.update(timeout=self.left())

    def order(self, account: Account, csr: Csr) -> Order:
        """The order, with who answers its challenges."""
        values = self.values
        profile = values["profile"] or None
        if values["dns_target"]:
            return account.order(csr, dns01=self.dns(values["dns_target"]), profile=profile)
        wildcards = [name for name in csr.names if name.startswith("*.")]
        if wildcards:
            raise Invalid(
                f"{', '.join(wildcards)}: a wildcard cannot be validated by http-01",
                advice='set the parameter "dns_target"',
            )
        return account.order(csr, http01=self.avi(), profile=profile)

    def dns(self, text: str) -> Target:
        """A target from "TYPE,option=value,..."; values may have commas."""
        kind, *options = re.split(r",(?=[a-z0-9_]+=)", text)
        if not re.fullmatch("[a-z0-9_.-]+", kind):
            # Not repeated: nobody knows which part of it is a secret.
            raise Invalid('the parameter "dns_target" is not of the form TYPE,option=value,...')
        target = self.cx.target(kind)
        given = dict(option.partition("=")[::2] for option in options)
        known = {option.name: option for option in target.options}
        self.report.hide(
            value for name, value in given.items()
            if name not in known or known[name].flags & OptionFlag.SENSITIVE
        )  # fmt: skip
        target.set(**given)
        target.check()
        return target

    def avi(self) -> Target:
        """The controller, as who answers challenges."""
        values, url = self.values, _controller()
        for name in ("user", "password"):
            if not values[name]:
                raise Invalid(
                    f'the parameter "{name}" is missing',
                    advice="set it in the certificate management profile",
                )
        if not _is_here(url):
            if not values["controller_ca_file"] and not values["controller_pin"]:
                raise Config(
                    f"nothing is known by which the controller at {url} could be verified",
                    advice='set the parameter "controller_ca_file" or "controller_pin"',
                )
            if not url.lower().startswith("https:"):
                raise Config(
                    f"the password would go to the controller at {url} for all to read",
                    advice="have DOCKER_GATEWAY in the script's environment say https://",
                )
        check = "no" if _flag(values, "disable_check") else values["challenge_check"]
        target = self.cx.target(
            "avi",
            url=url,
            user=values["user"],
            password=values["password"],
            tenant=values["tenant"] or None,
            virtualservice=values["overwrite_vs"] or None,
            api_version=values["api_version"] or None,
            ca_file=values["controller_ca_file"] or None,
            pin=values["controller_pin"] or None,
            challenge_check=check or None,
            insecure=None if values["controller_ca_file"] else True,
        )
        target.check()
        return target
