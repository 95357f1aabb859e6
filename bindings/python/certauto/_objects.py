# SPDX-License-Identifier: Apache-2.0
"""The nouns: keys, requests, chains, accounts, orders, targets, stores, fleets."""

from __future__ import annotations

from ._error import Error
from ._handle import Handle, c, milliseconds, option_text, raw, raw_or_none, text_list
from ._job import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from ._context import Context
    from ._enums import Capability, NameStatus, OptionFlag, OrderStatus

LEAF, INTERMEDIATES, FULL = (
    c.CERTAUTO_CHAIN_LEAF,
    c.CERTAUTO_CHAIN_INTERMEDIATES,
    c.CERTAUTO_CHAIN_FULL,
)
FORCE, BY_KEY = c.CERTAUTO_FLEET_FORCE, c.CERTAUTO_FLEET_BY_KEY


class _Noun(Handle):
    __slots__ = ()

    def __init__(self, cx: Context, handle: Any) -> None:
        self._cx = cx
        self._h = handle

    def _start(
        self,
        function: Callable[..., Any],
        *args: Any,
        timeout: float | None,
        value: Callable[[], Any] | None = None,
    ) -> Job:
        return Job(self._cx, function(*args, milliseconds(timeout)), value)


class Key(_Noun):
    """A private key, for an account or a certificate. Made by Context.key() and its like."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """ "ecdsa-p256" and so on."""
        return c.certauto_key_type(self._h)

    def pem(self) -> bytes:
        """The private key, PKCS#8, not encrypted: a secret. Unsupported if it is kept elsewhere."""
        return c.certauto_key_format(self._h)

    def public(self) -> bytes:
        """The public half, SubjectPublicKeyInfo, DER."""
        return c.certauto_key_format_public(self._h)

    def self_sign(self, csr: Csr, not_after_at: int) -> Chain:
        """A certificate for csr signed by this key itself, valid from now on."""
        made = self._cx._call(
            c.certauto_chain_new_self_signed, self._h, raw(Csr, csr), int(not_after_at)
        )
        return Chain(self._cx, made)

    def _about(self) -> str:
        return self.type


class Csr(_Noun):
    """A certificate signing request. Made by Context.csr() or csr_from()."""

    __slots__ = ()

    def pem(self) -> bytes:
        """The request as PEM."""
        return c.certauto_csr_format(self._h)

    @property
    def names(self) -> list[str]:
        """Its names."""
        return text_list(self._h, c.certauto_csr_n_names, c.certauto_csr_name)

    @property
    def common_name(self) -> str | None:
        """Common name of its subject."""
        return c.certauto_csr_common_name(self._h)

    def _about(self) -> str:
        return ", ".join(self.names)


class Chain(_Noun):
    """A certificate with its intermediates. Names, times and so on are those of the leaf."""

    __slots__ = ()

    def pem(self, part: int = FULL) -> bytes:
        """PEM without blank lines; part: a certauto.ChainPart."""
        return c.certauto_chain_format(self._h, part)

    def leaf(self) -> bytes:
        """PEM of the certificate alone."""
        return self.pem(LEAF)

    def intermediates(self) -> bytes:
        """PEM of the intermediates alone."""
        return self.pem(INTERMEDIATES)

    def check(self, key: Key, names: Sequence[str] | str) -> None:
        """What must hold before it replaces another: it belongs to key, has these names, is valid
        now, and each certificate signs the one before. Certificate is raised if not."""
        c.certauto_chain_check(self._h, raw(Key, key), names)

    @property
    def names(self) -> list[str]:
        """Names in subjectAltName."""
        return text_list(self._h, c.certauto_chain_n_names, c.certauto_chain_name)

    @property
    def serial(self) -> str:
        """Serial number, lower-case hex."""
        return c.certauto_chain_serial(self._h)

    @property
    def fingerprint(self) -> str:
        """SHA-256, lower-case hex."""
        return c.certauto_chain_fingerprint(self._h)

    @property
    def issuer(self) -> str:
        """Who has issued it."""
        return c.certauto_chain_issuer(self._h)

    @property
    def not_before_at(self) -> int:
        """Valid from, seconds since 1970 UTC."""
        return c.certauto_chain_not_before_at(self._h)

    @property
    def not_after_at(self) -> int:
        """Valid until, seconds since 1970 UTC."""
        return c.certauto_chain_not_after_at(self._h)

    def details(self) -> list[dict[str, Any]]:
        """What there is to know of each certificate, leaf first, as certauto(1) export --verify
        --json has it."""
        found: list[dict[str, Any]] = _json(c.certauto_chain_dup_details(self._h))
        return found

    def __len__(self) -> int:
        return c.certauto_chain_n_certs(self._h)

    def __bool__(self) -> bool:
        return True

    def _about(self) -> str:
        return ", ".join(self.names)


class Renewal:
    """When a CA suggests to renew (RFC 9773). Times in seconds since 1970 UTC; None: not known."""

    __slots__ = ("check_at", "end_at", "explanation_url", "start_at")

    def __init__(self, start_at: int, end_at: int, check_at: int, explanation: str | None) -> None:
        self.start_at = start_at or None
        self.end_at = end_at or None
        self.check_at = check_at or None
        self.explanation_url = explanation

    def __repr__(self) -> str:
        return f"Renewal({self.start_at}, {self.end_at}, {self.check_at})"


class Account(_Noun):
    """An account at an ACME server. Made by Context.account()."""

    __slots__ = ()

    def order(
        self,
        csr: Csr,
        *,
        http01: Target | None = None,
        dns01: Target | None = None,
        tlsalpn01: Target | None = None,
        profile: str | None = None,
        profile_required: bool = True,
        preferred_chain: str | None = None,
        replaces: Chain | None = None,
        not_before_at: int = 0,
        not_after_at: int = 0,
    ) -> Order:
        """An order for the names in csr, with the targets that answer challenges; others by
        Order.use(). The certificate it replaces is told to the CA (RFC 9773)."""
        made = Order(self._cx, c.certauto_order_new(self._h, raw(Csr, csr)))
        targets = {"http-01": http01, "dns-01": dns01, "tls-alpn-01": tlsalpn01}
        for challenge, target in targets.items():
            if target is not None:
                made.use(challenge, target)
        if profile is not None:
            c.certauto_order_set_profile(made._h, profile, int(profile_required))
        if preferred_chain is not None:
            c.certauto_order_set_preferred_chain(made._h, preferred_chain)
        if replaces is not None:
            c.certauto_order_set_replaces(made._h, raw(Chain, replaces))
        if not_before_at or not_after_at:
            c.certauto_order_set_validity(made._h, int(not_before_at), int(not_after_at))
        return made

    def start_register(self, timeout: float | None = None) -> Job:
        """register() as a job."""
        return self._start(c.certauto_account_start_register, self._h, timeout=timeout)

    def register(self, timeout: float | None = None) -> None:
        """Find the account by its key, else create it. Orders do so by themselves."""
        self._cx._run(self.start_register, timeout)

    def start_fetch(self, timeout: float | None = None) -> Job:
        """fetch() as a job."""
        return self._start(c.certauto_account_start_fetch, self._h, timeout=timeout)

    def fetch(self, timeout: float | None = None) -> None:
        """Read the account at the CA: status, contacts."""
        self._cx._run(self.start_fetch, timeout)

    def start_update(
        self, contact: Sequence[str] | str = (), timeout: float | None = None
    ) -> Job:
        """update() as a job."""
        for uri in (contact,) if isinstance(contact, str) else contact:
            c.certauto_account_add_contact(self._h, uri)
        return self._start(c.certauto_account_start_update, self._h, timeout=timeout)

    def update(self, contact: Sequence[str] | str = (), timeout: float | None = None) -> None:
        """Replace the contacts at the CA by those that were given, here and before."""
        self._cx._run(self.start_update, contact, timeout)

    def start_rotate_key(self, key: Key | None = None, timeout: float | None = None) -> Job:
        """rotate_key() as a job."""
        return self._start(
            c.certauto_account_start_rotate_key, self._h, raw_or_none(Key, key), timeout=timeout
        )

    def rotate_key(self, key: Key | None = None, timeout: float | None = None) -> None:
        """Replace the account's key; without one, it is made and kept in the account's store."""
        self._cx._run(self.start_rotate_key, key, timeout)

    def start_deactivate(self, timeout: float | None = None) -> Job:
        """deactivate() as a job."""
        return self._start(c.certauto_account_start_deactivate, self._h, timeout=timeout)

    def deactivate(self, timeout: float | None = None) -> None:
        """Deactivate the account for good; its certificates stay valid."""
        self._cx._run(self.start_deactivate, timeout)

    def start_fetch_orders(self, timeout: float | None = None) -> Job:
        """fetch_orders() as a job."""
        return self._start(
            c.certauto_account_start_fetch_orders,
            self._h,
            timeout=timeout,
            value=lambda: self.orders,
        )

    def fetch_orders(self, timeout: float | None = None) -> list[str]:
        """URLs of the account's orders, where the CA keeps a list of them."""
        urls: list[str] = self._cx._run(self.start_fetch_orders, timeout)
        return urls

    def start_revoke(
        self,
        chain: Chain,
        *,
        key: Key | None = None,
        reason: int = 0,
        timeout: float | None = None,
    ) -> Job:
        """revoke() as a job."""
        return self._start(
            c.certauto_account_start_revoke,
            self._h,
            raw(Chain, chain),
            raw_or_none(Key, key),
            reason,
            timeout=timeout,
        )

    def revoke(
        self,
        chain: Chain,
        *,
        key: Key | None = None,
        reason: int = 0,
        timeout: float | None = None,
    ) -> None:
        """Revoke a certificate; signed by the account, or by the certificate's own key. reason: a
        certauto.RevokeReason."""
        self._cx._run(self.start_revoke, chain, key=key, reason=reason, timeout=timeout)

    def start_fetch_renewal(self, chain: Chain, timeout: float | None = None) -> Job:
        """fetch_renewal() as a job."""
        return self._start(
            c.certauto_account_start_fetch_renewal,
            self._h,
            raw(Chain, chain),
            timeout=timeout,
            value=lambda: self.renewal,
        )

    def fetch_renewal(self, chain: Chain, timeout: float | None = None) -> Renewal:
        """Ask the CA when the certificate should be renewed."""
        window: Renewal = self._cx._run(self.start_fetch_renewal, chain, timeout)
        return window

    @property
    def renewal(self) -> Renewal:
        """What fetch_renewal() has found last."""
        return Renewal(
            c.certauto_account_renewal_start_at(self._h),
            c.certauto_account_renewal_end_at(self._h),
            c.certauto_account_renewal_check_at(self._h),
            c.certauto_account_renewal_explanation_url(self._h),
        )

    @property
    def server(self) -> str:
        """Directory URL of the CA."""
        return c.certauto_account_server(self._h)

    @property
    def url(self) -> str | None:
        """URL of the account; None before it is known."""
        return c.certauto_account_url(self._h)

    @property
    def status(self) -> str | None:
        """ "valid", "deactivated", "revoked", as told last."""
        return c.certauto_account_status(self._h)

    @property
    def terms_url(self) -> str | None:
        """URL of the CA's terms of service."""
        return c.certauto_account_terms_url(self._h)

    @property
    def contacts(self) -> list[str]:
        """Contacts as the CA has told last."""
        return text_list(self._h, c.certauto_account_n_contacts, c.certauto_account_contact)

    @property
    def orders(self) -> list[str]:
        """URLs of the orders read by fetch_orders()."""
        return text_list(self._h, c.certauto_account_n_orders, c.certauto_account_order)

    @property
    def profiles(self) -> list[str]:
        """Profiles the CA offers; empty until its directory was read."""
        return text_list(self._h, c.certauto_account_n_profiles, c.certauto_account_profile)

    def _about(self) -> str:
        return self.server


class Order(_Noun):
    """An order for a certificate. Made by Account.order(); it runs once."""

    __slots__ = ()

    def use(self, challenge: str, target: Target | None, pattern: str | None = None) -> None:
        """Let a target answer a type of challenge: "http-01", "dns-01", "dns-account-01",
        "dns-persist-01", "tls-alpn-01"; for all names, or those like "*.example.org". The first
        that serves a name, and that the CA offers for it, is taken."""
        if pattern is None:
            c.certauto_order_use(self._h, challenge, raw_or_none(Target, target))
        else:
            c.certauto_order_use_for(self._h, pattern, challenge, raw_or_none(Target, target))

    def start(self, timeout: float | None = None) -> Job:
        """run() as a job; its value is the chain."""
        return self._start(
            c.certauto_order_start, self._h, timeout=timeout, value=lambda: self.chain
        )

    def run(self, timeout: float | None = None) -> Chain:
        """Issue. Challenge if a name could not be validated, with a subproblem for each."""
        chain: Chain = self._cx._run(self.start, timeout)
        return chain

    @property
    def chain(self) -> Chain:
        """The issued certificate; NotFound before."""
        return Chain(self._cx, c.certauto_order_dup_chain(self._h))

    @property
    def status(self) -> OrderStatus:
        """As last seen: a certauto.OrderStatus."""
        from ._enums import OrderStatus

        return OrderStatus(c.certauto_order_status(self._h))

    @property
    def url(self) -> str | None:
        """URL of the order; None before it is known."""
        return c.certauto_order_url(self._h)

    @property
    def names(self) -> list[str]:
        """Its names."""
        return text_list(self._h, c.certauto_order_n_names, c.certauto_order_name)

    @property
    def name_status(self) -> dict[str, NameStatus]:
        """What became of each name: a certauto.NameStatus."""
        from ._enums import NameStatus

        return {
            name: NameStatus(c.certauto_order_name_status(self._h, i))
            for i, name in enumerate(self.names)
        }

    @property
    def name_errors(self) -> dict[str, Error]:
        """Why names have failed, for those that have."""
        found = {
            name: c.certauto_order_name_error(self._h, i) for i, name in enumerate(self.names)
        }
        return {name: error for name, error in found.items() if error is not None}

    def _about(self) -> str:
        return f"{', '.join(self.names)} {self.status.name}"


class Option:
    """An option that a target takes."""

    __slots__ = ("_flags", "default", "help", "name", "type")

    def __init__(
        self, name: str, type: str | None, flags: int, default: str | None, help: str | None
    ) -> None:
        self.name = name
        self.type = type
        """ "text", "path", "number", "boolean", "list" or "argv" """
        self._flags = flags
        self.default = default
        self.help = help

    @property
    def flags(self) -> OptionFlag:
        """certauto.OptionFlag: REQUIRED, SENSITIVE, LIST, ARGV."""
        from ._enums import OptionFlag

        return OptionFlag(self._flags)

    def __repr__(self) -> str:
        return f"Option({self.name!r}, {self.type!r}, {self.flags!r})"


class Target(_Noun):
    """Something that answers challenges, takes certificates, or both. Made by Context.target()."""

    __slots__ = ()

    def __setitem__(self, name: str, value: object) -> None:
        argv = isinstance(value, (list, tuple)) and self._is_argv(name)
        c.certauto_target_set(self._h, name, option_text(value, argv))

    def _is_argv(self, name: str) -> bool:
        return any(option.name == name and option.type == "argv" for option in self.options)

    def set(self, **options: object) -> None:
        """Set options: text, numbers, booleans, lists. None leaves one as it is."""
        for name, value in options.items():
            if value is not None:
                self[name] = value

    def insecure_noverify(self) -> None:
        """Lowers safety: the device's TLS certificate is not verified."""
        c.certauto_target_insecure_noverify(self._h)

    def check(self) -> None:
        """All options that are needed are there and fit together; no network."""
        c.certauto_target_check(self._h)

    @property
    def type(self) -> str:
        """Its type."""
        return c.certauto_target_type(self._h)

    @property
    def caps(self) -> Capability:
        """What it can do: certauto.Capability."""
        from ._enums import Capability

        return Capability(c.certauto_target_caps(self._h))

    @property
    def options(self) -> list[Option]:
        """The options it takes; never their values."""
        h = self._h
        return [
            Option(
                c.certauto_target_option_name(h, i) or "",
                c.certauto_target_option_type(h, i),
                c.certauto_target_option_flags(h, i),
                c.certauto_target_option_default(h, i),
                c.certauto_target_option_help(h, i),
            )
            for i in range(c.certauto_target_n_options(h))
        ]

    def start_deploy(
        self, name: str, chain: Chain, key: Key | None = None, timeout: float | None = None
    ) -> Job:
        """deploy() as a job."""
        return self._start(
            c.certauto_target_start_deploy,
            self._h,
            name,
            raw(Chain, chain),
            raw_or_none(Key, key),
            timeout=timeout,
        )

    def deploy(
        self, name: str, chain: Chain, key: Key | None = None, timeout: float | None = None
    ) -> None:
        """Put chain and key there, prove by TLS handshake that they are served, take everything
        back if not. No key: the device has it."""
        self._cx._run(self.start_deploy, name, chain, key, timeout)

    def start_renew(self, timeout: float | None = None) -> Job:
        """renew() as a job."""
        return self._start(c.certauto_target_start_renew, self._h, timeout=timeout)

    def renew(self, timeout: float | None = None) -> None:
        """Have the device renew now the certificate that it manages itself, and wait for it."""
        self._cx._run(self.start_renew, timeout)

    def start_test(self, timeout: float | None = None) -> Job:
        """test() as a job."""
        return self._start(c.certauto_target_start_test, self._h, timeout=timeout)

    def test(self, timeout: float | None = None) -> None:
        """Log in, check rights and versions, change nothing."""
        self._cx._run(self.start_test, timeout)

    def start_present(
        self, challenge: str, name: str, token: str, value: str, timeout: float | None = None
    ) -> Job:
        """present() as a job."""
        what = (self._h, challenge, name, token, value)
        return self._start(c.certauto_target_start_present, *what, timeout=timeout)

    def present(
        self, challenge: str, name: str, token: str, value: str, timeout: float | None = None
    ) -> None:
        """Answer one challenge until cleanup(); value: the key authorization."""
        self._cx._run(self.start_present, challenge, name, token, value, timeout)

    def start_cleanup(
        self, challenge: str, name: str, token: str, value: str, timeout: float | None = None
    ) -> Job:
        """cleanup() as a job."""
        what = (self._h, challenge, name, token, value)
        return self._start(c.certauto_target_start_cleanup, *what, timeout=timeout)

    def cleanup(
        self, challenge: str, name: str, token: str, value: str, timeout: float | None = None
    ) -> None:
        """Take the answer away; its absence is success."""
        self._cx._run(self.start_cleanup, challenge, name, token, value, timeout)

    def start_make_csr(
        self,
        name: str,
        names: Sequence[str] | str,
        key_type: str = "rsa-2048",
        timeout: float | None = None,
    ) -> Job:
        """make_csr() as a job; its value is the request."""
        return self._start(
            c.certauto_target_start_make_csr,
            *(self._h, name, key_type, names),
            timeout=timeout,
            value=lambda: self.csr,
        )

    def make_csr(
        self,
        name: str,
        names: Sequence[str] | str,
        key_type: str = "rsa-2048",
        timeout: float | None = None,
    ) -> Csr:
        """Let the device make a key, which never leaves it, and a request for it."""
        csr: Csr = self._cx._run(self.start_make_csr, name, names, key_type, timeout)
        return csr

    @property
    def csr(self) -> Csr:
        """The request that was made last; NotFound if none was."""
        return Csr(self._cx, c.certauto_target_dup_csr(self._h))

    def recipe(self) -> str:
        """What the administrator of the device types for an account with no more rights than are
        needed."""
        return c.certauto_target_dup_recipe(self._h)

    def _about(self) -> str:
        return self.type


class Store(_Noun):
    """Where accounts, certificates and journals are kept. Made by Context.store()."""

    __slots__ = ()

    def __setitem__(self, name: str, value: object) -> None:
        c.certauto_store_set(self._h, name, option_text(value))

    def set(self, **options: object) -> None:
        """Set options; None leaves one as it is."""
        for name, value in options.items():
            if value is not None:
                self[name] = value

    def load(
        self, name: str, key_type: str = "ecdsa-p256", timeout: float | None = None
    ) -> tuple[Key | None, Chain]:
        """The current certificate of a lineage and its key, None where that is kept elsewhere."""
        key, chain = c.certauto_store_load(self._h, name, key_type, milliseconds(timeout))
        return Key(self._cx, key) if key is not None else None, Chain(self._cx, chain)


class Fleet(_Noun):
    """A configuration, and what is done with all of it. Made by Context.fleet()."""

    __slots__ = ()

    @property
    def certificates(self) -> list[str]:
        """Names of its certificates."""
        return text_list(self._h, c.certauto_fleet_n_certificates, c.certauto_fleet_certificate)

    @property
    def accounts(self) -> list[str]:
        """Names of its accounts."""
        return text_list(self._h, c.certauto_fleet_n_accounts, c.certauto_fleet_account)

    @property
    def targets(self) -> list[str]:
        """Names of its targets."""
        return text_list(self._h, c.certauto_fleet_n_targets, c.certauto_fleet_target)

    def account(self, name: str) -> Account:
        """One of its accounts."""
        return Account(self._cx, c.certauto_fleet_dup_account(self._h, name))

    def target(self, name: str) -> Target:
        """One of its targets."""
        return Target(self._cx, c.certauto_fleet_dup_target(self._h, name))

    def store(self) -> Store:
        """Its store."""
        return Store(self._cx, c.certauto_fleet_dup_store(self._h))

    def renew_before(self, at: int) -> None:
        """Renew also what would come due before a time, seconds since 1970 UTC; 0 = what is due."""
        c.certauto_fleet_set_renew_before(self._h, int(at))

    def start_renew(
        self,
        names: Sequence[str] | str | None = None,
        *,
        force: bool = False,
        timeout: float | None = None,
    ) -> Job:
        """renew() as a job."""
        flags = FORCE if force else 0
        return self._work(c.certauto_fleet_start_renew, names, flags, timeout=timeout)

    def renew(
        self,
        names: Sequence[str] | str | None = None,
        *,
        force: bool = False,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """Do what is due: issue, renew, deploy, settle what was left; force renews what is named
        whatever its age. What became of each: results."""
        done: list[dict[str, Any]] = self._cx._run(
            self.start_renew, names, force=force, timeout=timeout
        )
        return done

    def start_deploy(
        self, names: Sequence[str] | str | None = None, timeout: float | None = None
    ) -> Job:
        """deploy() as a job."""
        return self._work(c.certauto_fleet_start_deploy, names, timeout=timeout)

    def deploy(
        self, names: Sequence[str] | str | None = None, timeout: float | None = None
    ) -> list[dict[str, Any]]:
        """Deploy what is current again, without asking the CA."""
        done: list[dict[str, Any]] = self._cx._run(self.start_deploy, names, timeout)
        return done

    def start_revoke(
        self,
        names: Sequence[str] | str,
        *,
        reason: int = 0,
        by_key: bool = False,
        timeout: float | None = None,
    ) -> Job:
        """revoke() as a job."""
        flags = BY_KEY if by_key else 0
        return self._work(c.certauto_fleet_start_revoke, names, reason, flags, timeout=timeout)

    def revoke(
        self,
        names: Sequence[str] | str,
        *,
        reason: int = 0,
        by_key: bool = False,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """Revoke the current certificates; they count as due from then on."""
        done: list[dict[str, Any]] = self._cx._run(
            self.start_revoke, names, reason=reason, by_key=by_key, timeout=timeout
        )
        return done

    def start_test(self, timeout: float | None = None) -> Job:
        """test() as a job."""
        return self._work(c.certauto_fleet_start_test, timeout=timeout)

    def test(self, timeout: float | None = None) -> list[dict[str, Any]]:
        """Log in everywhere and change nothing."""
        done: list[dict[str, Any]] = self._cx._run(self.start_test, timeout)
        return done

    def start_gc(self, timeout: float | None = None) -> Job:
        """gc() as a job."""
        return self._work(c.certauto_fleet_start_gc, timeout=timeout)

    def gc(self, timeout: float | None = None) -> list[dict[str, Any]]:
        """Settle what crashed runs have left."""
        done: list[dict[str, Any]] = self._cx._run(self.start_gc, timeout)
        return done

    @property
    def results(self) -> list[dict[str, Any]]:
        """What the last verb did: name, key, outcome ("done", "unchanged", "failed", "later"),
        error."""
        found: list[dict[str, Any]] = _json(c.certauto_fleet_dup_results(self._h))
        return found

    def status(self, names: Sequence[str] | str | None = None) -> dict[str, Any]:
        """State of certificates as the store has it: certauto-status(7)."""
        found: dict[str, Any] = _json(c.certauto_fleet_dup_status(self._h, names))
        return found

    def plan(
        self, names: Sequence[str] | str | None = None, *, force: bool = False
    ) -> list[dict[str, Any]]:
        """What renew, called the same way, would do now: name, key, action, why."""
        flags = FORCE if force else 0
        found: list[dict[str, Any]] = _json(c.certauto_fleet_dup_plan(self._h, names, flags))
        return found

    def _work(
        self,
        function: Callable[..., Any],
        *args: Any,
        timeout: float | None,
    ) -> Job:
        return self._start(function, self._h, *args, timeout=timeout, value=lambda: self.results)

    def _about(self) -> str:
        return f"of {c.certauto_fleet_n_certificates(self._h)} certificates"


def _json(text: str) -> Any:
    import json

    return json.loads(text)
