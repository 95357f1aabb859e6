"""What the simulated CA remembers, and how it shows it: accounts, orders, authorizations."""

import datetime
from dataclasses import dataclass, field

from .ca_http import ERROR


def rfc3339(moment):
    """Seconds since 1970 as text; text stays as it is, for tests that want nonsense."""
    if isinstance(moment, str):
        return moment
    utc = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(moment))
    return utc.isoformat() + "Z"


def error(kind, detail, **more):
    """A problem inside of another document."""
    return {"type": ERROR + kind, "detail": detail, **more}


@dataclass
class Account:
    """status: valid, deactivated or revoked."""

    url: str
    number: int
    key: object  # ca_jws.PublicKey
    contact: list = field(default_factory=list)
    terms: str = None  # what was agreed to
    binding: dict = None  # the JWS of the external account
    binding_kid: str = None
    status: str = "valid"
    orders: list = field(default_factory=list)  # Order

    def document(self):
        """As the account is shown."""
        shown = {
            "status": self.status,
            "contact": self.contact,
            "orders": self.url.replace("/account/", "/orders/"),
        }
        if self.terms:
            shown["termsOfServiceAgreed"] = True
        if self.binding:
            shown["externalAccountBinding"] = self.binding
        return shown


@dataclass
class Challenge:
    """outcome: None while nobody looked, then True or an error; it shows when the CA says so."""

    url: str
    type: str
    token: str
    authz: object
    status: str = "pending"
    error: dict = None
    validated: float = None
    outcome: object = None
    attempts: int = 0
    more: dict = field(default_factory=dict)

    def document(self):
        """As the challenge is shown."""
        shown = {"type": self.type, "url": self.url, "status": self.status, **self.more}
        if self.token:
            shown["token"] = self.token
        if self.error:
            shown["error"] = self.error
        if self.validated:
            shown["validated"] = rfc3339(self.validated)
        return shown


@dataclass
class Authz:
    """status: pending, valid, invalid, deactivated, expired or revoked."""

    url: str
    account: Account
    kind: str
    value: str
    wildcard: bool
    expires: object
    challenges: list = field(default_factory=list)
    status: str = "pending"
    polls: int = 0  # how many polls still see it pending, once it is decided

    @property
    def name(self):
        """The identifier as an order has it."""
        return ("*." if self.wildcard else "") + self.value

    def document(self):
        """As the authorization is shown: once decided, with the challenge that decided it."""
        tried = [one for one in self.challenges if one.status in ("valid", "invalid")]
        shown = {
            "status": self.status,
            "identifier": {"type": self.kind, "value": self.value},
            "expires": rfc3339(self.expires),
            "challenges": [one.document() for one in tried or self.challenges],
        }
        if self.wildcard:
            shown["wildcard"] = True
        return shown


@dataclass
class Order:
    """status: pending, ready, processing, valid or invalid."""

    url: str
    number: int
    account: Account
    names: list  # (type, value)
    expires: object
    authzs: list = field(default_factory=list)
    status: str = "pending"
    profile: str = None
    replaces: str = None
    not_before: str = None
    not_after: str = None
    error: dict = None
    certificate: object = None
    key: object = None  # that of the certificate request, once it is good
    key_der: bytes = None
    polls: int = 0  # how many polls still see it processing
    finalizes: int = 0

    @property
    def finalize(self):
        """Where the certificate request goes."""
        return self.url.replace("/order/", "/finalize/")

    def document(self):
        """As the order is shown."""
        shown = {
            "status": self.status,
            "expires": rfc3339(self.expires),
            "identifiers": [{"type": kind, "value": value} for kind, value in self.names],
            "authorizations": [authz.url for authz in self.authzs],
            "finalize": self.finalize,
        }
        for member, value in (
            ("profile", self.profile),
            ("replaces", self.replaces),
            ("notBefore", self.not_before),
            ("notAfter", self.not_after),
            ("error", self.error),
            ("certificate", self.certificate and self.certificate.url),
        ):
            if value:
                shown[member] = value
        return shown

    def settle(self):
        """pending or ready, as the authorizations are."""
        if self.status not in ("pending", "ready"):
            return
        states = {authz.status for authz in self.authzs}
        bad = [authz for authz in self.authzs if authz.status not in ("pending", "valid")]
        if bad:
            self.status = "invalid"
            self.error = _order_error(bad)
        elif states == {"valid"}:
            self.status = "ready"
        else:
            self.status = "pending"


def _order_error(bad):
    """Why an order is invalid: one problem, or one with a subproblem for each name."""
    found = []
    for authz in bad:
        errors = [one.error for one in authz.challenges if one.error]
        shown = errors[0] if errors else error("unauthorized", f"authorization {authz.status}")
        found.append({**shown, "identifier": {"type": authz.kind, "value": authz.name}})
    if len(found) == 1:
        return {key: value for key, value in found[0].items() if key != "identifier"}
    return error("compound", "several names failed", subproblems=found)


@dataclass
class Certificate:
    """What was issued. window is (start, end) as seconds since 1970 or text."""

    url: str
    order: Order
    account: Account
    leaf: bytes  # DER
    key: bytes  # SubjectPublicKeyInfo
    names: list
    serial: int
    id: str  # RFC 9773
    not_before: float
    not_after: float
    authority: object
    revoked: bool = False
    reason: int = None
    replaced_by: Order = None
    window: tuple = None
    explanation: str = None
    retry_after: object = None
    downloads: int = 0

    def renewal_window(self):
        """The suggested window: what was set, else the last third of the life."""
        if self.revoked and not self.window:
            return (self.not_before, self.not_before + 3600)
        third = (self.not_after - self.not_before) / 3
        return self.window or (self.not_after - third, self.not_after - third * 0.9)
