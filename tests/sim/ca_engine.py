"""What the simulated CA makes and how it goes on: accounts, orders, validations, certificates.

The requests that set it in motion are in ca_accounts.py and ca_orders.py; ca.py is the server.
"""

import collections
import os
import random
import secrets
import threading
import time
from email.utils import formatdate

from . import ca_pki, ca_state, ca_validate
from .ca_pki import DAY

OPTIONS = {
    # Validation: True asks really, False finds each answer good, a function is given the
    # ca_state.Challenge and returns True, False or an error (ca_state.error()).
    "validate": True,
    "http_address": None,  # "host:port", {name: "host:port"} or a function: where http-01 asks
    "http_port": 80,
    "alpn_address": None,  # the same for tls-alpn-01, and for redirects to https
    "tls_port": 443,
    "resolver": None,  # resolver(owner) -> [TXT values]; OSError for a failure
    "patience_s": 0.25,  # how long a poll waits for a validation that goes on
    "offered": ("http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"),
    "issuer_domains": ["ca.example.net"],  # dns-persist-01
    # Polls: how many still see a decided authorization or order undecided, and Retry-After:
    # None, "seconds", "date", "alternate", or anything else as it is.
    "processing": 0,
    "order_async": False,
    "retry_after": None,
    "retry_after_s": 1,
    # Orders and authorizations.
    "authz_reuse": 0.0,  # share of valid authorizations that are used again
    "order_reuse": False,  # an equal open order is given back
    "order_life_s": 7 * DAY,
    "authz_life_s": 30 * DAY,
    "max_names": 100,
    "ip": True,
    "wildcards": True,
    "blocklist": (),
    "allow_dates": False,  # notBefore and notAfter
    "common_name_counts": False,  # as a name of a request, besides subjectAltName
    "new_authz": False,
    "orders_per_page": 3,
    # Certificates.
    "days": 90,
    "key_type": "ec",
    "chain_length": 1,  # intermediates
    "alternates": 0,
    "alternate_lengths": None,  # [intermediates of each alternate chain]
    "profiles": {},  # {name: {"description": text, "days": n}}
    "reasons": (0, 1, 3, 4, 5),
    "ari": True,
    "ari_retry_after": 21600,
    "foreign_status": 404,  # for `replaces` with the key identifier of another CA
    # Accounts.
    "terms": "https://ca.example.net/terms/1",
    "eab": {},  # {kid: base64url key}
    "eab_expired": (),
    "caa": ("ca.example.net",),
    # Trouble.
    "nonce_reject": 0.0,
    # {endpoint: (requests that pass, Retry-After)}: seconds, then as many pass again; or text.
    "rate_limits": {},
    "keep_log": True,
}


class Engine:
    """The state of a CA. The options are attributes, set by CA."""

    def __init__(self, base):
        self.base = base
        self.counts = collections.Counter()
        self.accounts, self.orders, self.authzs = {}, {}, {}
        self.challenges, self.certificates = {}, {}
        self.lock = threading.RLock()
        self.leaf_hooks = []
        self._changed = threading.Condition(self.lock)
        self._random = random.Random(8555)
        self._by_thumbprint, self._by_names, self._by_id = {}, {}, {}
        self._authorities, self._validating = {}, set()
        self._retries, self._certificates_made = 0, 0

    def now(self):
        """The time; a test may put another function here."""
        return time.time()

    def on_leaf(self, function):
        """Call function(order, leaf) for each ca_pki.Leaf before it is signed."""
        self.leaf_hooks.append(function)

    # ---- objects ----

    def authority(self):
        """The keys and chains the options ask for, made when they are first needed."""
        lengths = self.alternate_lengths or [self.chain_length] * self.alternates
        wanted = (self.key_type, self.chain_length, *lengths)
        if wanted not in self._authorities:
            self._authorities[wanted] = ca_pki.Authority(wanted[0], wanted[1:], self.now())
        return self._authorities[wanted]

    def key_ids(self):
        """The key identifiers of all issuers there were."""
        return [one.key_id for one in self._authorities.values()]

    def account_with(self, key):
        """The account of a key, or None."""
        return self._by_thumbprint.get(key.thumbprint)

    def add_account(self, key, **more):
        """A new account."""
        number = self.counts["accounts made"] + 1
        account = ca_state.Account(f"{self.base}/account/{number}", number, key, **more)
        self.accounts[account.url] = self._by_thumbprint[key.thumbprint] = account
        self.counts["accounts made"] += 1
        return account

    def forget_accounts(self):
        """As a CA that was restored from a backup: the accounts, and all they had."""
        for found in (self.accounts, self._by_thumbprint, self._by_names):
            found.clear()

    def change_key(self, account, key):
        """Another key for an account."""
        del self._by_thumbprint[account.key.thumbprint]
        account.key = key
        self._by_thumbprint[key.thumbprint] = account
        self.counts["keys changed"] += 1

    def authz_for(self, account, kind, name):
        """An authorization for a name of an order: one that is valid already, or a new one."""
        wildcard = name.startswith("*.")
        old = self._by_names.get((account.url, name))
        if old and self.advance_authz(old).status == "valid":
            if self._random.random() < self.authz_reuse:
                self.counts["authz reused"] += 1
                return old
        number = len(self.authzs) + 1
        authz = ca_state.Authz(
            f"{self.base}/authz/{number}", account, kind, name[2:] if wildcard else name, wildcard,
            self.now() + self.authz_life_s,
        )  # fmt: skip
        for index, offer in enumerate(ca_validate.offers(self, kind, wildcard)):
            url = f"{self.base}/challenge/{number}/{index}"
            challenge = ca_state.Challenge(url, offer, secrets.token_urlsafe(32), authz)
            if offer == "dns-persist-01":
                challenge.token = None
                challenge.more = {
                    "issuer-domain-names": self.issuer_domains,
                    "accounturi": account.url,
                }
            authz.challenges.append(challenge)
            self.challenges[url] = challenge
        self.authzs[authz.url] = self._by_names[account.url, name] = authz
        self.counts["authzs made"] += 1
        return authz

    def add_order(self, account, names, profile):
        """A new order."""
        number = len(self.orders) + 1
        order = ca_state.Order(
            f"{self.base}/order/{number}", number, account, names, self.now() + self.order_life_s
        )
        order.profile = profile
        order.authzs = [self.authz_for(account, kind, value) for kind, value in names]
        self.orders[order.url] = order
        account.orders.append(order)
        self.counts["orders made"] += 1
        return order

    def open_order(self, account, names, profile):
        """An equal order that is pending or ready, or None."""
        for order in account.orders:
            equal = set(order.names) == set(names) and order.profile == profile
            if equal and self.advance(order).status in ("pending", "ready"):
                self.counts["orders reused"] += 1
                return order
        return None

    def certificate_with_id(self, name):
        """The certificate of a name of RFC 9773, or None."""
        return self._by_id.get(name)

    # ---- what goes on by itself ----

    def _past(self, moment):
        return not isinstance(moment, str) and moment < self.now()

    def advance_authz(self, authz, poll=False):
        """Show what was found out, once enough polls have seen "pending"."""
        if authz.status in ("pending", "valid") and self._past(authz.expires):
            authz.status = "expired" if authz.status == "valid" else "invalid"
        for challenge in authz.challenges:
            if challenge.status != "processing" or challenge.outcome is None:
                continue
            if authz.polls > 0:
                authz.polls -= poll
                continue
            good = challenge.outcome is True
            challenge.status = "valid" if good else "invalid"
            challenge.error = None if good else challenge.outcome
            challenge.validated = self.now()
            if authz.status == "pending":
                authz.status = challenge.status
        return authz

    def advance(self, order, poll=False):
        """Bring the state of an order up to date."""
        for authz in order.authzs:
            self.advance_authz(authz, poll)
        if order.status in ("pending", "ready") and self._past(order.expires):
            order.status = "invalid"
        order.settle()
        if order.status == "processing" and order.key_der:
            if order.polls > 0:
                order.polls -= poll
            else:
                self.issue(order)
        return order

    def begin_validation(self, challenge):
        """A client says that it is ready."""
        challenge.status, challenge.authz.polls = "processing", self.processing
        challenge.attempts += 1
        if self.validate is False:
            self._validated(challenge, None)
            return
        self._validating.add(challenge.url)
        threading.Thread(target=self._check, args=(challenge,), daemon=True).start()

    def _check(self, challenge):
        try:
            failure = ca_validate.check(self, challenge)
        except Exception as bad:  # pylint: disable=broad-except
            failure = ca_state.error("serverInternal", f"the check itself failed: {bad!r}")
        with self._changed:
            self._validating.discard(challenge.url)
            self._validated(challenge, failure)
            self._changed.notify_all()

    def _validated(self, challenge, failure):
        challenge.outcome = failure or True
        self.counts["validations failed" if failure else "challenges validated"] += 1

    def wait_for_validation(self, authz):
        """A poll takes a moment longer, so that fewer are needed."""
        urls = {challenge.url for challenge in authz.challenges}
        self._changed.wait_for(lambda: not urls & self._validating, self.patience_s)

    def end_validations(self):
        """Wait until nothing is validated any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._validating, ca_validate.TIMEOUT)

    def issue(self, order):
        """Make the certificate of an order."""
        authority = self.authority()
        days = self.profiles.get(order.profile, {}).get("days", self.days)
        now = self.now()
        leaf = ca_pki.Leaf(
            order.names, order.key, now - 3600, now - 3600 + days * DAY,
            int.from_bytes(b"\x40" + os.urandom(15), "big"),
        )  # fmt: skip
        for function in self.leaf_hooks:
            function(order, leaf)
        self._certificates_made += 1
        cert = ca_state.Certificate(
            f"{self.base}/certificate/{self._certificates_made}", order, order.account,
            authority.sign(leaf), order.key_der, order.names, leaf.serial,
            ca_pki.certificate_id(authority.key_id, leaf.serial), leaf.not_before, leaf.not_after,
            authority,
        )  # fmt: skip
        self.certificates[cert.url] = self._by_id[cert.id] = cert
        order.certificate, order.status = cert, "valid"
        self.counts["certificates issued"] += 1
        return cert

    def chain(self, cert, number=0):
        """A chain as it is downloaded."""
        ders = [cert.leaf, *cert.authority.chains[number]]
        return b"".join(ca_pki.pem(one) for one in ders)

    def retry_header(self):
        """Retry-After for a poll, in the form that is asked for."""
        form = self.retry_after
        if form is None:
            return {}
        self._retries += 1
        if form == "alternate":
            form = "date" if self._retries % 2 else "seconds"
        if form == "seconds":
            return {"Retry-After": str(self.retry_after_s)}
        if form == "date":
            return {"Retry-After": formatdate(self.now() + self.retry_after_s, usegmt=True)}
        return {"Retry-After": str(form)}
