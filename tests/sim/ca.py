#!/usr/bin/python3
"""An ACME server for the tests: strict, programmable, and able to misbehave in many ways.

usage: ca.py --folder DIR [--tls-cert FILE --tls-key FILE] [--options JSON]

In a test it is used in a with block:

    with CA(folder, tls, **options) as ca:
        ca.directory, ca.ca_file             what a client needs
        ca.counts["newOrder"]                how often something was asked, or happened
        ca.script["newOrder"] = [Answer(...)]
        ca.on("order", lambda request, answer: ...)
        ca.misbehave("finalize-reply-lost")

As a program it prints {"directory": URL, "ca_file": FILE, "pid": PID} in one line and serves until
SIGTERM; GET /counts and GET /cpu tell what it did. So it shares no interpreter with the client.

It refuses all that RFC 8555 tells a server to refuse: tests/flow/test_sim_strict.py has the list.
The options, with their defaults, are in ca_engine.OPTIONS; each is an attribute that may be changed
at any time.
"""

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field, replace

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "sim"  # pylint: disable=redefined-builtin
    import sim  # noqa: F401

from real.pki import TestCA  # noqa: E402

from . import ca_accounts, ca_jws, ca_orders, ca_pki, ca_state  # noqa: E402
from .ca_engine import OPTIONS, Engine  # noqa: E402
from .ca_http import Answer, Fault, Refused, Server, problem  # noqa: E402
from .ca_misbehave import MISBEHAVIOURS  # noqa: E402

__all__ = ["CA", "Answer", "Fault", "MISBEHAVIOURS", "Refused", "Request", "problem"]

# First part of the path: endpoint, method, signed by (kid, jwk, any), who answers.
ROUTES = {
    "new-account": ("newAccount", "POST", "jwk", ca_accounts.create),
    "account": ("account", "POST", "kid", ca_accounts.update),
    "orders": ("orders", "POST", "kid", ca_accounts.orders),
    "key-change": ("keyChange", "POST", "kid", ca_accounts.change_key),
    "new-order": ("newOrder", "POST", "kid", ca_orders.create),
    "new-authz": ("newAuthz", "POST", "kid", ca_orders.authorize),
    "order": ("order", "POST", "kid", ca_orders.read),
    "authz": ("authz", "POST", "kid", ca_orders.authz),
    "challenge": ("challenge", "POST", "kid", ca_orders.challenge),
    "finalize": ("finalize", "POST", "kid", ca_orders.finalize),
    "certificate": ("certificate", "POST", "kid", ca_orders.certificate),
    "revoke-cert": ("revokeCert", "POST", "any", ca_orders.revoke),
    "renewal-info": ("renewalInfo", "GET", None, ca_orders.renewal_info),
    "directory": ("directory", "GET", None, lambda ca, request: ca.show_directory()),
    "new-nonce": ("newNonce", "GET", None, lambda ca, request: ca.show_nonce(request)),
    "agree": ("agree", "GET", None, lambda ca, request: ca.agree_all()),
}
# What a client may do although it has not agreed to new terms.
WITHOUT_AGREEMENT = ("newAccount", "account", "orders")


@dataclass
class Request:
    """What was asked. account is set where a kid signed, key where a jwk did."""

    endpoint: str
    method: str
    url: str
    headers: dict  # names in lower case
    body: bytes = b""
    protected: dict = field(default_factory=dict)
    payload: bytes = b""
    account_url: str = None
    status: int = None
    path: str = ""
    query: str = ""
    account: object = None
    key: object = None

    def document(self):
        """The payload, which must be a JSON object."""
        return ca_jws.parse_json(self.payload)

    def must_be_empty(self):
        """POST-as-GET: nothing else is taken here."""
        if self.payload:
            raise Refused("malformed", "POST-as-GET has no payload")


class CA(Engine):
    """The server. What it has made is in accounts, orders, authzs, challenges and certificates,
    by URL, and may be changed by a test."""

    def __init__(self, folder, tls, cert=None, key=None, **options):
        unknown = set(options) - set(OPTIONS) - {"chunked", "delay_ms"}
        if unknown:
            raise TypeError(f"no such options: {sorted(unknown)}")
        self.folder, self.ca_file = folder, getattr(tls, "file", None)
        if not cert:
            cert, key = tls.issue(os.path.join(folder, "sim-ca"))
        self._server = Server(cert, key, self._respond)
        super().__init__(f"https://127.0.0.1:{self._server.port}")
        for name, value in {**OPTIONS, **options}.items():
            setattr(self, name, value)
        self.log, self.script, self.failures = [], {}, self._server.failures
        self._nonces, self._limited = {}, {}
        self._before, self._after, self._undo = [], [], []

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop()
        self.end_validations()
        if self.failures and exception[0] is None:
            raise AssertionError("the simulator failed: " + self.failures[0])

    # ---- what belongs to the wire ----

    @property
    def chunked(self):
        """Whether bodies are chunked."""
        return self._server.chunked

    @chunked.setter
    def chunked(self, value):
        self._server.chunked = value

    @property
    def delay_ms(self):
        """How long each answer waits."""
        return self._server.delay_ms

    @delay_ms.setter
    def delay_ms(self, value):
        self._server.delay_ms = value

    @property
    def connections_max(self):
        """The most connections that were open at a time."""
        return self._server.connections_max

    @property
    def busy_s(self):
        """CPU seconds spent on requests, TLS aside."""
        return self._server.busy_s

    @property
    def directory(self):
        """The URL to give to a client."""
        return self.base + "/directory"

    def drop_connections(self):
        """Close what is open, as a server that is started again."""
        self._server.drop_connections()

    # ---- what a test tells it ----

    def on(self, endpoint, function, before=False):
        """Call function(request, answer) at an endpoint ("*": all).

        It returns the answer to give, or None for the regular one. before: it is called before the
        request is acted on, with answer None; what it returns is sent in place of acting.
        """
        (self._before if before else self._after).append((endpoint, function))

    def misbehave(self, name, **args):
        """Switch on one of MISBEHAVIOURS."""
        MISBEHAVIOURS[name].apply(self, **args)

    def behave(self):
        """Switch off what misbehave(), on() and script did."""
        with self.lock:
            for undo in reversed(self._undo):
                undo()
            for hooks in (self._before, self._after, self.leaf_hooks, self._undo):
                hooks.clear()
            self.script.clear()
            # What was never to be decided is decided at the next poll.
            for one in (*self.orders.values(), *self.authzs.values()):
                one.polls = 0

    def change(self, **options):
        """Set options until behave()."""
        for name, value in options.items():
            self._undo.append(lambda name=name, old=getattr(self, name): setattr(self, name, old))
            setattr(self, name, value)

    def set_window(self, cert, start, end, explanation=None, retry_after=None):
        """The answer to renewalInfo: seconds since 1970, or text. cert: ca_state.Certificate,
        its serial, or its URL."""
        if not isinstance(cert, ca_state.Certificate):
            cert = next(c for c in self.certificates.values() if cert in (c.serial, c.url, c.id))
        cert.window, cert.explanation, cert.retry_after = (start, end), explanation, retry_after

    def change_terms(self, url="https://ca.example.net/terms/2"):
        """New terms of service: each account must agree again."""
        self.terms = url

    def agree_all(self):
        """What the page does whose URL comes with userActionRequired."""
        for account in self.accounts.values():
            account.terms = self.terms
        return Answer("agreed", type="text/plain")

    def terms_link(self):
        """The header that leads to the terms."""
        return f'<{self.terms}>;rel="terms-of-service"'

    @property
    def root_pem(self):
        """The default root."""
        return ca_pki.pem(self.authority().roots[0]).decode()

    # ---- requests ----

    def nonce(self):
        """A new nonce. Old ones that nobody used are forgotten."""
        nonce = secrets.token_urlsafe(16)
        self._nonces[nonce] = True
        if len(self._nonces) > 100_000:
            with self.lock:
                for old in list(self._nonces)[:50_000]:
                    self._nonces.pop(old, None)
        return nonce

    def show_directory(self):
        """The directory."""
        shown = {
            "newNonce": "new-nonce",
            "newAccount": "new-account",
            "newOrder": "new-order",
            "revokeCert": "revoke-cert",
            "keyChange": "key-change",
        }
        if self.new_authz:
            shown["newAuthz"] = "new-authz"
        if self.ari:
            shown["renewalInfo"] = "renewal-info"
        shown = {name: f"{self.base}/{path}" for name, path in shown.items()}
        meta = {"website": "https://ca.example.net/", "caaIdentities": list(self.caa)}
        if self.terms:
            meta["termsOfService"] = self.terms
        if self.eab:
            meta["externalAccountRequired"] = True
        if self.profiles:
            meta["profiles"] = {
                name: profile.get("description", "") for name, profile in self.profiles.items()
            }
        shown["meta"] = meta
        shown["kUwV0wW9x1E"] = "https://ca.example.net/a-member-nobody-knows"
        return Answer(shown)

    def show_nonce(self, request):
        """newNonce: the nonce is in a header."""
        headers = {"Cache-Control": "no-store", "Replay-Nonce": self.nonce()}
        return Answer(b"", 200 if request.method == "HEAD" else 204, headers)

    def _respond(self, method, target, headers, body):
        """The answer to a request, whatever comes of it."""
        path, _, query = target.partition("?")
        if path in ("/counts", "/cpu"):
            return self._tell(path)
        try:
            return self._answer(method, path, query, target, headers, body)
        except Exception:  # pylint: disable=broad-except
            self.failures.append(f"{method} {target}\n{traceback.format_exc()}")
            return problem("serverInternal", "the simulator itself failed", 500)

    def _answer(self, method, path, query, target, headers, body):
        route = ROUTES.get(path.split("/")[1] if path.startswith("/") else "")
        request = Request(
            route[0] if route else "unknown", method, self.base + target, headers, body, path=path,
            query=query,
        )  # fmt: skip
        self.counts[request.endpoint] += 1
        step, answer = None, None
        try:
            refusal = _parse(request)
            with self.lock:
                step, answer = self._instead(request)
            if answer is None:
                if refusal:
                    raise refusal
                answer = self._indexed(self._regular(route, request))
        except Refused as refused:
            answer = self._indexed(self._refuse(refused))
        answer = self._afterwards(request, step, answer)
        return self._finish(request, answer)

    def _tell(self, path):
        if path == "/cpu":
            return Answer({"cpu_s": time.process_time(), "busy_s": self.busy_s})
        counts = dict(self.counts)
        counts["connections"] = self._server.handshakes
        return Answer({**counts, "connections_max": self.connections_max})

    def _refuse(self, refused):
        self.counts["problem " + refused.kind] += 1
        if refused.kind == "badNonce":
            self.counts["badNonce"] += 1
        return refused.answer

    def _indexed(self, answer):
        """With the link to the directory that all resources have (section 7.1)."""
        links = answer.headers.get("Link", [])
        links = links if isinstance(links, list) else [links]
        if not any('rel="index"' in link for link in links):
            answer.headers["Link"] = [*links, f'<{self.directory}>;rel="index"']
        return answer

    def _instead(self, request):
        """(step of the script, answer given in place of acting)."""
        planned = self.script.get(request.endpoint)
        step = None
        if planned:
            step = planned[0] if len(planned) == 1 else planned.pop(0)
            if isinstance(step, Answer):
                return None, replace(step, headers=dict(step.headers))
            if isinstance(step, Fault) and step.kind == "lost-request":
                return None, Answer(fault=step)
        for endpoint, function in self._before:
            if endpoint in ("*", request.endpoint):
                answer = function(request, None)
                if answer is not None:
                    return step, answer
        return step, None

    def _afterwards(self, request, step, answer):
        """The script's function, fault or answer on top of the regular one, then the hooks."""
        with self.lock:
            if isinstance(step, Fault):
                answer.fault = step
            elif step:
                answer = step(answer) or answer
            for endpoint, function in list(self._after):
                if endpoint in ("*", request.endpoint):
                    answer = function(request, answer) or answer
        return answer

    def _finish(self, request, answer):
        if request.method == "POST":
            headers = {"Replay-Nonce": self.nonce(), "Cache-Control": "no-store"}
            # A copy: an answer of the script is given again.
            answer = replace(answer, headers={**headers, **answer.headers})
        request.status = answer.status
        if self.keep_log:
            self.log.append(request)
        self.counts["connections"] = self._server.handshakes
        return answer

    def _regular(self, route, request):
        """What a CA does: check all there is to check, then act."""
        if not route:
            raise Refused("malformed", "no such resource", 404)
        if not request.headers.get("user-agent"):
            raise Refused("malformed", "no User-Agent (RFC 8555 section 6.1)")
        endpoint, method, signer, function = route
        if request.method != method and not (request.method == "HEAD" and method == "GET"):
            raise Refused("malformed", f"{request.method} is not for this", 405, Allow=method)
        self._limit(endpoint)
        if method == "POST":
            self._authenticate(request, signer)
        with self.lock:
            return function(self, request)

    def _limit(self, endpoint):
        allowed = self.rate_limits.get(endpoint)
        if not allowed:
            return
        count, wait = allowed
        with self.lock:
            used, until = self._limited.get(endpoint, (0, None))
            if until and self.now() >= until:
                used, until = 0, None
            if used < count:
                self._limited[endpoint] = (used + 1, None)
                return
            seconds = wait if isinstance(wait, (int, float)) else float("inf")
            self._limited[endpoint] = (used, until or self.now() + seconds)
        raise Refused(
            "rateLimited", f"too many requests to {endpoint}", 429, Retry_After=wait,
            Link='<https://ca.example.net/limits>;rel="help"',
        )  # fmt: skip

    def _take_nonce(self, nonce):
        ca_jws.decode(nonce, "nonce")
        if not self._nonces.pop(nonce, None):
            raise Refused("badNonce", "this nonce was never given out, or is used up")
        if self.nonce_reject and self._random.random() < self.nonce_reject:
            raise Refused("badNonce", "a good nonce, refused nevertheless")

    def _authenticate(self, request, signer):
        """Section 6.2 and what follows: whose request this is, and that it is new."""
        jws = request.jws
        by = "jwk" if "jwk" in jws.protected else "kid"
        if signer not in ("any", by):
            raise Refused("malformed", f"this must be signed with a {signer}")
        ca_jws.check_header(jws, request.url, ("alg", "nonce", "url", by))
        ca_jws.check_algorithm(jws)
        self._take_nonce(jws.protected["nonce"])
        if by == "jwk":
            key = request.key = ca_jws.PublicKey(jws.protected["jwk"])
        else:
            request.account = self._account(request, jws.protected["kid"])
            key = request.account.key
        key.verify(jws.alg, jws.signature, jws.signed)

    def _account(self, request, kid):
        account = self.accounts.get(kid) if isinstance(kid, str) else None
        if not account:
            raise Refused("accountDoesNotExist", f"no account {kid!r}")
        if account.status != "valid":
            raise Refused("unauthorized", f"the account is {account.status}", 401)
        if self.terms and account.terms != self.terms:
            if request.endpoint not in WITHOUT_AGREEMENT:
                raise Refused(
                    "userActionRequired", "the terms of service have changed", 403,
                    {"instance": f"{self.base}/agree/{account.number}"}, Link=self.terms_link(),
                )  # fmt: skip
        return account


def _parse(request):
    """Read the JWS of a POST into the request; returns the refusal where it is none."""
    if request.method != "POST":
        return None
    try:
        kind = request.headers.get("content-type")
        if kind != "application/jose+json":
            raise Refused("malformed", f"Content-Type is {kind!r}", 415)
        request.jws = ca_jws.parse(request.body)
    except Refused as refused:
        return refused
    request.protected, request.payload = request.jws.protected, request.jws.payload
    kid = request.protected.get("kid")
    request.account_url = kid if isinstance(kid, str) else None
    return None


def main():
    """The CA as a program."""
    parser = argparse.ArgumentParser(description="an ACME server for tests")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--options", default="{}", type=json.loads)
    args = parser.parse_args()
    tls = None if args.tls_cert else TestCA(args.folder)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with CA(args.folder, tls, args.tls_cert, args.tls_key, **args.options) as ca:
        ready = {"directory": ca.directory, "ca_file": ca.ca_file, "pid": os.getpid()}
        print(json.dumps(ready), flush=True)
        done.wait()


if __name__ == "__main__":
    main()
