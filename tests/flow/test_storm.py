"""Each way in which a CA can misbehave (tests/sim/ca.py), and how the command ends then.

Every row of MISBEHAVIOURS is met by a renewal: a certificate was issued and deployed before, while
all was well. Whatever happens, the command ends in time, the old certificate stays until there is a
new one, nothing of a challenge is left over, no secret and no control character is printed, nobody
else is asked, and when the CA is well again the next run ends with a certificate.

The cases are run side by side, ahead of the tests that look at them: most of their time is waiting.
`python3 tests/flow/test_storm.py` prints the table in docs/acme.md.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

import pytest
from conftest import BINARY
from struck import sampled

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from real.pki import TestCA
from sim.ca import CA, MISBEHAVIOURS
from sim.ca_validate import key_authorization

# As it was: pytest writes into os.environ at each test, while threads of ours would read it.
ENVIRONMENT = dict(os.environ)
HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
NAME = "www.example.org"
PARALLEL = 8
PATIENCE_S, SHORT_S = 20, 2  # --timeout where the run ends by itself, and where only that ends it
SLACK_S = 3  # a loaded machine
RSS_KIB = 4096  # above a good run
KEYS = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.S)
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


# ---- what is to be expected ----


@dataclass(frozen=True)
class Outcome:
    """How a run ends. code None: with a certificate."""

    meaning: str  # for docs/acme.md
    code: str = None
    words: tuple = ()
    orders: int = 1  # at most
    certificates: int = 1  # at most
    short: bool = False  # only --timeout ends it
    again: str = None  # how the next run ends, once the CA is well: code, None for a certificate

    @property
    def status(self):
        """The exit status."""
        return 0 if self.code is None else 75 if self.code == "ERETRY_LATER" else 1


OUTCOMES = {}


def _expect(meaning, names, code=None, *words, **more):
    for name in names.split():
        if name in OUTCOMES:
            raise ValueError(f"{name} twice")
        OUTCOMES[name] = Outcome(meaning, code, words, **more)


# ---- what ends well ----

_expect(
    "A lost question or answer is asked for again; one certificate, one order",
    """new-account-reply-lost new-account-reply-lost-twice new-account-request-lost order-reply-lost
    order-reply-lost-twice authz-reply-lost authz-reply-lost-twice challenge-reply-lost
    challenge-reply-lost-twice challenge-request-lost finalize-reply-lost finalize-reply-lost-twice
    finalize-request-lost finalize-reset finalize-truncated certificate-reply-lost
    certificate-reply-lost-twice certificate-request-lost certificate-body-reset
    directory-reply-lost nonce-reply-lost new-order-request-lost""",
)
_expect(
    "Ordered again, as the order that was made cannot be found; one certificate",
    "new-order-reply-lost new-order-reset", orders=2,
)  # fmt: skip
_expect("Ordered again each time; one certificate", "new-order-reply-lost-twice", orders=3)
_expect(
    "Looked at again: revoked once, replaced once",
    """revoke-reply-lost revoke-reply-lost-twice key-change-reply-lost
    key-change-reply-lost-twice""",
    orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Tried again after a moment; one certificate, one order",
    "new-order-503-once challenge-503-once finalize-503-once certificate-503-once",
)
_expect(
    "A Retry-After that makes no sense counts as none: polled in our own rhythm",
    """poll-retry-after-negative poll-retry-after-zero poll-retry-after-past
    poll-retry-after-nonsense""",
)
_expect(
    "Signed again with another nonce, up to 100 times",
    "nonce-rejected-mostly nonce-only-from-new-nonce nonce-rejected-bare",
)
_expect(
    "Taken: how long it lives and what more it says is the CA's choice",
    "certificate-life-too-long certificate-critical-unknown",
)
_expect(
    "The alternate is passed over, the first chain is taken",
    """alternate-for-other-key alternate-url-host alternate-url-http alternate-500 link-control
    link-path link-long""",
)
_expect("At most five alternates are fetched", "alternates-500 alternates-3")
_expect(
    "Passed over: not what the certificate depends on",
    """challenge-type-hostile terms-control profiles-control order-without-identifiers
    order-expired order-expires-nonsense order-null-members order-100-kib directory-meta-null""",
)
_expect(
    "As always",
    """answers-dribble connection-closed-each-time chunked directory-redirect-once new-order-200
    new-account-200 finalize-201 authz-valid-already order-slow order-processing-long
    poll-retry-after-alternates chain-of-4 chain-rsa order-reused""",
)
_expect(
    "Issued; when to renew is asked again later, until then the certificate's own dates count",
    "renewal-info-503-later renewal-info-429-later",
)
_expect(
    "The certificate's own dates count: nothing is due",
    """renewal-info-html renewal-info-reversed renewal-info-nonsense renewal-info-empty
    renewal-info-404 renewal-info-retry-huge explanation-control""",
    orders=0, certificates=0,
)  # fmt: skip
_expect("Renewed, once for each certificate", "renewal-info-past")
_expect(
    "Ordered without naming the predecessor", "renewal-info-replaced renewal-info-not-yours"
)

# ---- what is put off: exit status 75, honoured by later runs ----

_expect(
    "Later, at the time the CA has told; nobody asks before",
    """directory-503-later directory-429-later nonce-503-later nonce-429-later
    new-account-503-later new-account-429-later new-order-503-later new-order-429-later
    edge-503 revoke-503-later revoke-429-later key-change-503-later key-change-429-later""",
    "ERETRY_LATER", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Later, at the time the CA has told; the order goes on then",
    """order-503-later order-429-later authz-503-later authz-429-later challenge-503-later
    challenge-429-later finalize-503-later finalize-429-later""",
    "ERETRY_LATER", certificates=0,
)  # fmt: skip
_expect(
    "Later, at the time the CA has told; the certificate is fetched then",
    "certificate-503-later certificate-429-later", "ERETRY_LATER",
)  # fmt: skip
_expect(
    "Later; a time that makes no sense is between a second and a week from now",
    """new-order-429 new-order-503-twice new-order-429-retry-after-huge
    new-order-429-retry-after-negative new-order-429-retry-after-zero
    new-order-429-retry-after-past new-order-429-retry-after-nonsense""",
    "ERETRY_LATER", orders=0, certificates=0,
)  # fmt: skip

# ---- what fails: exit status 1, the old certificate stays ----

_expect(
    "Ends at its own deadline", "directory-stalls", "ETIMEDOUT", "deadline",
    orders=0, certificates=0, short=True,
)  # fmt: skip
_expect(
    "Ends at its own deadline; the next run goes on with the order",
    """new-order-stalls new-order-body-stalls content-length-too-long authz-processing-forever
    poll-retry-after-huge order-processing-forever order-pending-forever""",
    "ETIMEDOUT", "deadline", certificates=0, short=True,
)  # fmt: skip
_expect(
    "Ends at its own deadline; the next run fetches the certificate",
    "finalize-stalls certificate-stalls order-ready-again", "ETIMEDOUT", "deadline", short=True,
)  # fmt: skip
_expect(
    "Tried four times", "directory-truncated connection-dies-always", "ENET", "closed",
    orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Ordered once as a renewal, four times as a new one, no more",
    "new-order-reply-always-lost new-order-truncated", "ENET", "closed", orders=5, certificates=0,
)  # fmt: skip
_expect(
    "Ordered once as a renewal, four times as a new one, no more", "chunk-size-no-number", "ENET",
    "lost", orders=5, certificates=0,
)  # fmt: skip
_expect("Tried four times", "authz-truncated", "ENET", "closed", certificates=0)
_expect("Tried four times; fetched by the next run", "certificate-truncated", "ENET", "closed")
_expect(
    "Tried four times", "new-order-500 everything-500 everything-503", "EREFUSED",
    "a fault of its own", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Tried four times; the order goes on in the next run", "challenge-500 finalize-500", "EREFUSED",
    "a fault of its own", certificates=0,
)  # fmt: skip
_expect("Tried four times; fetched by the next run", "certificate-500", "EREFUSED", "come back")
_expect("Tried four times", "status-600", "EREFUSED", "HTTP 600", orders=0, certificates=0)
_expect(
    "Broken HTTP or JSON is no answer",
    "content-length-too-short", "EPROTO", "the text ends", certificates=0,
)  # fmt: skip
_expect(
    "Broken HTTP or JSON is no answer", "answer-not-http", "EPROTO", "does not speak HTTP",
    certificates=0,
)  # fmt: skip
_expect(
    "Broken HTTP or JSON is no answer", "content-length-no-number header-injected", "EPROTO",
    certificates=0,
)  # fmt: skip
_expect(
    "Given up after 100 nonces", "nonce-rejected-always", "EPROTO", "badNonce", "try again later",
    orders=0, certificates=0,
)  # fmt: skip
_expect("Given up after 100 nonces", "nonce-repeated", "EPROTO", "badNonce", certificates=0)
_expect(
    "A nonce that is none is never used",
    "nonce-missing nonce-bad-alphabet nonce-empty nonce-huge nonce-hostile", "EPROTO",
    "has no nonce", orders=0, certificates=0,
)  # fmt: skip
for _names, _words in (
    ("certificate-for-other-key certificate-of-somebody-else chain-leaf-last chain-leaf-missing",
     "another key"),
    ("certificate-for-other-names certificate-name-missing certificate-name-added"
     " certificate-name-wider certificate-common-name-only", "not those that were ordered"),
    ("certificate-expired", "ends at"),
    ("certificate-not-yet-valid", "not valid before"),
    ("certificate-is-ca", "CA:TRUE"),
    ("certificate-without-server-auth", "serverAuth"),
    ("certificate-signed-with-sha1", "SHA1"),
    ("certificate-signature-broken chain-signature-broken chain-foreign"
     " certificate-signed-elsewhere", "did not sign"),
    ("chain-order-wrong chain-intermediate-missing chain-leaf-twice", "the chain is broken"),
    ("chain-of-50", "more than 10"),
    ("certificate-body-empty", "no certificate"),
    ("certificate-html-as-pem certificate-der-as-pem", "no PEM block"),
    ("certificate-with-private-key", "PRIVATE KEY"),
    ("certificate-with-crl", "X509 CRL"),
    ("certificate-trailing-garbage", "outside of the PEM"),
    ("certificate-encrypted-pem certificate-base64-broken certificate-nul", "no base64"),
    ("certificate-pem-cut", "truncated"),
    ("certificate-not-asn1", "damaged"),
):  # fmt: skip
    _expect("Not accepted; a new one is ordered by the next run", _names, "ECERT", _words)
_expect(
    "Not what a certificate is sent as", "certificate-html certificate-type-html", "EPROTO",
    "is text/html",
)  # fmt: skip
_expect("Not what a certificate is sent as", "certificate-json", "EPROTO", "application/json")
_expect("Not what a certificate is sent as", "certificate-der", "EPROTO", "application/pkix-cert")
_expect("No more than 256 KiB are read", "chain-giant", "EPROTO", "longer than 262144")
_expect(
    "A token becomes a path only if it is one",
    """token-shell token-path token-control token-bidi token-format challenge-without-token
    challenge-token-short""",
    "EPROTO", "22 to 255 characters of base64url", certificates=0,
)  # fmt: skip
_expect("No more than 256 KiB are read", "token-long", "EPROTO", "longer", certificates=0)
_expect(
    "Text that is no text is refused as JSON", "token-nul", "EPROTO", "NUL", certificates=0
)
_expect(
    "Text that is no text is refused as JSON", "token-utf8 identifier-utf8", "EPROTO", "UTF-8",
    certificates=0,
)  # fmt: skip
_expect(
    "Text that is no text is refused as JSON", "token-surrogate", "EPROTO", "surrogate",
    certificates=0,
)  # fmt: skip
for _names, _words in (
    ("detail-shell", "$(touch owned)"),
    ("detail-path", "../etc/passwd"),
    ("detail-control", "\\x1b[2J\\x1b]0;owned"),
    ("detail-bidi", "\\xe2\\x80\\xaegpj.exe"),
    ("detail-format", "%s%n%1000000d{0}"),
    ("detail-long", "AAAA"),
    ("type-control", "\\x1b[2J"),
    ("title-control subproblems-control subproblems-bidi", "rejectedIdentifier"),
    ("instance-control", "see \\x1b[2J"),
):  # fmt: skip
    _expect(
        "The CA's words are shown, escaped and cut, and mean nothing", _names, "EREFUSED", _words,
        orders=0, certificates=0,
    )  # fmt: skip
_expect(
    "A refusal that cannot be read is told by its status",
    """detail-nul detail-utf8 detail-surrogate problem-html problem-empty problem-broken-json
    problem-nulls""",
    "EREFUSED", "no reason given", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Unknown states are told, not guessed",
    "order-status-hostile authz-status-hostile order-status-unknown authz-status-unknown",
    "EPROTO", "unknown state", certificates=0,
)  # fmt: skip
_expect(
    "Names that were not ordered are told",
    "identifier-path identifier-control authz-for-other-name authz-wildcard-lie",
    "EPROTO", "was not ordered", certificates=0,
)  # fmt: skip
_expect(
    "Names that were not ordered are told", "order-for-other-names", "EPROTO", "other names",
    certificates=0,
)  # fmt: skip
_expect(
    "URLs are https, of the directory's host and port, or `allow_hosts`: nobody else is asked",
    """directory-nonce-host directory-nonce-http directory-new-account-host
    directory-new-account-http directory-new-order-host directory-new-order-http
    directory-new-order-userinfo directory-new-order-private directory-new-order-file
    directory-new-order-control directory-new-order-nothing directory-revoke-host
    directory-revoke-http directory-key-change-host directory-key-change-http
    directory-renewal-info-host directory-renewal-info-http account-location-host
    account-location-http""",
    "EPROTO", "is refused", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "URLs are https, of the directory's host and port, or `allow_hosts`: nobody else is asked",
    """order-location-host order-location-http order-location-userinfo order-location-private
    order-location-file order-location-control order-location-nothing location-control
    location-path finalize-url-host finalize-url-http finalize-url-userinfo finalize-url-private
    finalize-url-file finalize-url-control finalize-url-nothing authz-url-host authz-url-http
    challenge-url-host challenge-url-http challenge-without-url""",
    "EPROTO", "is refused", certificates=0,
)  # fmt: skip
_expect(
    "URLs are https, of the directory's host and port, or `allow_hosts`: nobody else is asked",
    "certificate-url-host certificate-url-http", "EPROTO", "is refused",
)  # fmt: skip
_expect(
    "Redirects are followed once, for the directory, on the same host and port",
    "directory-redirect-http directory-redirect-foreign", "EPROTO", "it redirects to",
    orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Redirects are followed once, for the directory, on the same host and port",
    "directory-redirect-loop", "EPROTO", "more than 1 redirect", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "Redirects are followed once, for the directory, on the same host and port",
    "new-order-redirected", "EREFUSED", "HTTP 307", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "No more than 256 KiB are read",
    "directory-16-mib directory-100000-members subproblems-10000 detail-1-mib", "EPROTO",
    "longer than 262144 bytes", orders=0, certificates=0,
)  # fmt: skip
_expect(
    "No more than 256 KiB are read",
    "order-16-mib order-100000-members authz-16-mib authz-100000-members", "EPROTO",
    "longer than 262144 bytes", certificates=0,
)  # fmt: skip
_expect(
    "Nesting ends at 16", "directory-deep", "EPROTO", "more than 16 deep", orders=0, certificates=0
)
_expect("Each member has its type", "order-deep authz-deep order-status-number", "EPROTO",
        "not what belongs here", certificates=0)  # fmt: skip
_expect("A member twice is an error", "directory-twin-members", "EPROTO", "twice", orders=0,
        certificates=0)  # fmt: skip
_expect("A member twice is an error", "order-twin-members authz-twin-members", "EPROTO", "twice",
        certificates=0)  # fmt: skip
_expect("Headers are limited", "headers-10000 links-1000", "EPROTO", "too many headers",
        certificates=0)  # fmt: skip
_expect("Headers are limited", "header-1-mib", "EPROTO", "over a limit", certificates=0)
_expect("No more authorizations than names", "authorizations-1000", "EPROTO",
        "1000 authorizations for 1 name", certificates=0)  # fmt: skip
_expect("The first 32 challenges are looked at", "challenges-300", "ECHALLENGE", "odd-000",
        certificates=0)  # fmt: skip
for _names, _words in (
    ("order-valid-without-certificate", '"certificate"'),
    ("order-without-finalize", '"finalize"'),
    ("order-without-authorizations", '"authorizations"'),
    ("order-without-status", '"status"'),
    ("authz-without-identifier", '"identifier"'),
    ("new-order-without-location new-order-not-json location-long", "no Location"),
    ("new-order-array", "not a JSON object"),
    ("new-order-html-type", "is text/html"),
    ("new-order-204", "of no type"),
):  # fmt: skip
    _expect("What must be there is missed", _names, "EPROTO", _words, certificates=0)
_expect("What must be there is missed", "account-without-location", "EPROTO", "no Location",
        orders=0, certificates=0)  # fmt: skip
for _names, _words in (
    ("directory-html", "is text/html"),
    ("directory-empty directory-without-new-nonce", '"newNonce"'),
    ("directory-array", "not a JSON object"),
    ("directory-null-urls directory-without-new-order", '"newOrder"'),
    ("directory-without-new-account", '"newAccount"'),
):  # fmt: skip
    _expect("This is no directory", _names, "EPROTO", _words, orders=0, certificates=0)
_expect("This is no directory", "directory-404", "EREFUSED", "URL of an ACME directory", orders=0,
        certificates=0)  # fmt: skip
_expect("Refused; a new order in the next run", "order-invalid-without-error", "EREFUSED",
        "invalid: no reason given")  # fmt: skip
_expect("Refused; a new order in the next run", "order-reused-invalid", "EREFUSED",
        "invalid: no reason given", certificates=0)  # fmt: skip
_expect("Refused; the next run sees what is there", "finalize-certificate-gone", "EREFUSED", "404")
_expect("Refused; the next run sees what is there", "order-gone authz-gone challenge-gone",
        "EREFUSED", "404", certificates=0)  # fmt: skip
_expect("Refused; the next run sees what is there", "challenge-refused", "EREFUSED", "400",
        certificates=0)  # fmt: skip
_expect("Refused; the order is left as it is", "finalize-bad-csr", "EREFUSED", "badCSR",
        "another key type", certificates=0)  # fmt: skip
_expect("Refused; the order is left as it is", "finalize-not-ready", "EREFUSED", "orderNotReady",
        certificates=0)  # fmt: skip
_expect("Refused; nothing is made in its place", "account-moves", "EAUTH", "accountDoesNotExist",
        orders=0, certificates=0)  # fmt: skip
_expect("Refused; nothing is made in its place", "account-refused", "EAUTH", "go away", orders=0,
        certificates=0)  # fmt: skip
_expect("A person has to decide: no second account is made", "account-revoked", "EAUTH",
        "revoked", orders=0, certificates=0, again="EAUTH")  # fmt: skip
_expect("A person has to decide: no second account is made", "account-forgotten", "EAUTH",
        "accountDoesNotExist", orders=0, certificates=0, again="EAUTH")  # fmt: skip
_expect("What is offered is told", "authz-without-challenges authz-no-challenges", "ECHALLENGE",
        "it offers nothing", certificates=0)  # fmt: skip
_expect("What is offered is told", "challenge-types-unknown", "ECHALLENGE", "odd-01",
        certificates=0)  # fmt: skip
_expect("The CA's reason is told", "authz-revoked", "ECHALLENGE", "is revoked", certificates=0)
_expect("The CA's reason is told", "validation-fails challenge-token-changes", "ECHALLENGE",
        "the answer is wrong", certificates=0)  # fmt: skip


# ---- one case ----


class Watched(CA):
    """Knows whether what it was told to do wrong was ever done."""

    hooks = hits = 0

    def _watch(self, function):
        self.hooks += 1

        def watched(*args):
            self.hits += 1
            return function(*args)

        return watched

    def on(self, endpoint, function, before=False):
        super().on(endpoint, self._watch(function), before)

    def on_leaf(self, function):
        super().on_leaf(self._watch(function))


class Stranger:
    """Somebody else's server: counts who comes."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.visits = 0
        self._thread = threading.Thread(target=self._count)

    def _count(self):
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return
            self.visits += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@dataclass
class Run:
    """One run of the command, and what it cost."""

    argv: list
    status: int
    out: str
    err: str
    seconds: float
    rss_kib: int

    @property
    def error(self):
        """The error as --json tells it; None."""
        document = json.loads(self.out)
        return document.get("error") or document["results"][0]["error"]

    @property
    def code(self):
        """Its code, without what all codes begin with."""
        return self.error and self.error["code"].replace("CERTAUTO_", "")


@dataclass
class Case:
    """What became of one misbehaviour."""

    first: Run
    counts: dict
    hit: bool
    kept: bool  # the certificate on disk is the old one
    left: list  # files below the webroot
    secrets: list  # what must not be printed
    again: Run = None
    asked_again: int = 0
    after_wait: Run = None
    accounts: int = 0
    failures: list = field(default_factory=list)


@dataclass
class Bench:
    """What all cases share."""

    binary: str
    folder: pathlib.Path
    tls: TestCA
    pair: tuple
    measure: str
    clock: str
    sanitized: bool
    stranger: Stranger

    def compile(self, source, out, *options):
        """Build a C file of the tests."""
        out = str(self.folder / out)
        source = os.path.join(TESTS, source)
        subprocess.run(
            [os.environ.get("CC", "cc"), "-std=gnu99", *options, "-o", out, source], check=True
        )
        return out


class Scene:
    """A CA, and a folder for a client that has a certificate from it."""

    def __init__(self, bench, name):
        self.bench, self.name = bench, name
        self.folder = bench.folder / name
        for part in ("webroot", "out"):
            os.makedirs(self.folder / part)
        self.ca = Watched(str(self.folder), bench.tls, *bench.pair, validate=self._look)

    def _look(self, challenge):
        """Whether the answer to a challenge is there: in the files, no web server is needed."""
        path = self.folder / "webroot" / ".well-known" / "acme-challenge" / challenge.token
        return path.exists() and path.read_text() == key_authorization(challenge)

    def run(self, verb, timeout_s=PATIENCE_S, offset_s=0):
        """One run of a verb: "issue", "renew" (what is due only), "revoke", "rotate-key"."""
        argv = {
            "renew": ["issue"],
            "rotate-key": ["account", "rotate-key"],
            "revoke": ["revoke", "--cert", self.certificate_file()],
        }.get(verb, [verb, "--force"])
        if argv[0] == "issue":
            target = f"files,directory={self.folder}/out,webroot={self.folder}/webroot"
            argv += ["--agree-tos", "--domain", NAME, "--target",
                     target + ",probe=no,challenge_check=no"]  # fmt: skip
            if "alternate" in self.name or self.name.startswith("link-"):
                argv += ["--preferred-chain", "no such issuer"]
        result = self.folder / "cost"
        argv = [
            self.bench.measure, str(result), self.bench.binary, *map(str, argv), "--json",
            "--server", self.ca.directory, "--ca-file", self.bench.tls.file,
            "--state", str(self.folder / "state"), "--timeout", str(timeout_s),
        ]  # fmt: skip
        done = subprocess.run(
            argv, capture_output=True, stdin=subprocess.DEVNULL, check=False,
            env=self._environment(offset_s), timeout=90,
        )  # fmt: skip
        wall_us, _, rss_kib = map(int, result.read_text().split())
        out, err = done.stdout.decode(), done.stderr.decode()  # UTF-8, whatever the CA has sent
        return Run(argv[2:], done.returncode, out, err, wall_us / 1e6, rss_kib)

    def _environment(self, offset_s):
        if not offset_s:
            return {**ENVIRONMENT, "LC_ALL": "C.UTF-8"}
        # The sanitizer's runtime insists on being the first library, unless told not to.
        options = ENVIRONMENT.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        shim = {"LD_PRELOAD": self.bench.clock, "CLOCK_OFFSET_S": str(offset_s)}
        return {**ENVIRONMENT, "LC_ALL": "C.UTF-8", **shim, "ASAN_OPTIONS": options.lstrip(":")}

    def deployed(self):
        """What the target has, by file."""
        found = sorted(path for path in (self.folder / "out").rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in found}

    def certificate_file(self):
        """The chain on disk."""
        found = sorted((self.folder / "out").rglob("*fullchain*"))
        return found[0] if found else None

    def secrets(self):
        """Lines of private keys, and the answers to challenges."""
        found = [key_authorization(one) for one in self.ca.challenges.values() if one.token]
        for path in self.folder.rglob("*"):
            if path.is_file():
                for key in KEYS.findall(path.read_text(errors="replace")):
                    found += [line for line in key.split() if len(line) > 20]
        return found

    def files_left(self):
        """Answers to challenges that nobody took away."""
        return [path for path in (self.folder / "webroot").rglob("*") if path.is_file()]


def verb_for(name):
    """What meets a row: not all endpoints are asked when a certificate is renewed."""
    if name.startswith("revoke-"):
        return "revoke"
    if name.startswith("key-change-"):
        return "rotate-key"
    # With --force it is not asked what the CA thinks about the time.
    if MISBEHAVIOURS[name].group == "renewal" and "replaced" not in name and "yours" not in name:
        return "renew"
    return "renew" if name == "explanation-control" else "issue"


def arguments_for(name, stranger):
    """URLs of others lead to a server that counts, where a row takes a URL."""
    row = MISBEHAVIOURS[name]
    if row.group != "foreign" or not name.endswith(("-host", "-http", "-userinfo")):
        return {}
    kind = name.rsplit("-", 1)[1]
    start = {"host": "https://", "http": "http://", "userinfo": "https://user:password@"}[kind]
    return {"url": f"{start}127.0.0.1:{stranger.port}/stolen"}


def run_case(bench, name):
    """Misbehave once, then behave."""
    scene = Scene(bench, name)
    fresh = "account" in name
    verb, outcome = verb_for(name), OUTCOMES.get(name, Outcome(""))
    with scene.ca as ca:
        if not fresh:
            assert scene.run("issue").status == 0
        before = scene.deployed()
        ca.counts.clear()
        ca.misbehave(name, **arguments_for(name, bench.stranger))
        # By then the CA is asked again when to renew, and gets its way if it says: at once.
        offset_s = 2 * 24 * 3600 if verb == "renew" else 0
        first = scene.run(verb, SHORT_S if outcome.short else PATIENCE_S, offset_s)
        case = Case(
            first, dict(ca.counts), ca.hits > 0 or ca.hooks == 0, scene.deployed() == before,
            scene.files_left(), scene.secrets(),
        )  # fmt: skip
        ca.behave()
        ca.counts.clear()
        if first.status != 0:
            case.again = scene.run("issue" if verb == "renew" else verb)
            case.asked_again = sum(ca.counts[one] for one in ("directory", "newNonce", "newOrder"))
        if case.again and case.again.status == 75:
            wait_s = first.error["retry_at"] - time.time() + 60
            case.after_wait = scene.run(verb, offset_s=int(wait_s))
        case.accounts = len(ca.accounts)
        case.failures = list(ca.failures)
    return case


# ---- the tests ----


@pytest.fixture(scope="module", name="bench")
def _bench():
    binary = os.path.abspath(BINARY)
    library = pathlib.Path(binary).parent / "libcertauto.so"
    # In memory where that can be: a thousand runs would wait for the disk all the time.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="storm-", dir=memory) as path, Stranger() as stranger:
        folder = pathlib.Path(path)
        tls = TestCA(path)
        made = Bench(
            binary, folder, tls, tls.issue(str(folder / "server")), None, None,
            library.exists() and b"__asan_init" in library.read_bytes(), stranger,
        )  # fmt: skip
        made.measure = made.compile("bench/measure.c", "measure")
        made.clock = made.compile("flow/wrongclock.c", "wrongclock.so", "-shared", "-fPIC")
        yield made


@pytest.fixture(scope="module", name="storm")
def _storm(request, bench):
    """The cases of the tests that were chosen, under way: {name: future}."""
    items = [item for item in request.session.items if item.module is request.module]
    names = [item.callspec.params["name"] for item in items if hasattr(item, "callspec")]
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        yield {name: pool.submit(run_case, bench, name) for name in names}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module", name="usual_kib")
def _usual_kib(bench):
    """The memory of a run against a CA that behaves."""
    scene = Scene(bench, "good")
    with scene.ca:
        run = scene.run("issue")
    assert run.status == 0, run
    return run.rss_kib


def check_output(run, secrets):
    """It can be shown to anybody, on any terminal."""
    shown = run.out + run.err
    assert not UNPRINTABLE.search(shown), shown
    assert not [secret for secret in secrets if secret in shown], shown
    assert len(shown) < 64 * 1024


def check_later(case, verb):
    """What was put off is not asked before, and works then."""
    again = case.again
    if verb == "issue" and case.first.error["retry_at"] > time.time() + 60:
        assert again.status == 75 and case.asked_again == 0, again
    if again.status == 75:
        assert case.after_wait.status == 0, case.after_wait
    else:
        assert again.status == 0, again


@pytest.mark.parametrize("name", sampled(MISBEHAVIOURS, 5))
def test_storm__ends_as_the_page_says(storm, bench, usual_kib, name):
    outcome, case = OUTCOMES[name], storm[name].result()
    first, made, verb = case.first, case.counts, verb_for(name)
    assert (first.status, first.code) == (outcome.status, outcome.code), first
    said = (first.error or {}).get("message", "") + ((first.error or {}).get("advice") or "")
    assert [words for words in outcome.words if words not in said] == [], first
    assert case.hit, "the run has not met it"
    # In time, and with no more than this of everything.
    assert first.seconds < (SHORT_S if outcome.short else PATIENCE_S) + SLACK_S
    assert made.get("orders made", 0) <= outcome.orders, made
    assert made.get("certificates issued", 0) <= outcome.certificates, made
    assert case.accounts <= 1
    assert bench.sanitized or first.rss_kib < usual_kib + RSS_KIB
    # What was there stays until there is better, and nothing else is left behind.
    issues = verb in ("issue", "renew") and outcome.code is None and outcome.certificates == 1
    assert case.kept is not issues
    assert not case.left and bench.stranger.visits == 0 and not case.failures
    check_output(first, case.secrets)
    # And when the CA is well again:
    if outcome.code == "ERETRY_LATER":
        check_later(case, verb)
    elif outcome.code:
        assert case.again.code == outcome.again, case.again


def test_storm__each_misbehaviour_has_its_outcome():
    assert len(MISBEHAVIOURS) >= 80
    assert set(OUTCOMES) == set(MISBEHAVIOURS)


# ---- docs/acme.md ----


def page():
    """The table for docs/acme.md: what happens, the error, what the CA does."""
    rows = {}
    for name, outcome in OUTCOMES.items():
        rows.setdefault((outcome.meaning, outcome.code), []).append(name)
    lines = ["| What happens | Ends with | What the CA does |", "| --- | --- | --- |"]
    for (meaning, code), names in rows.items():
        end = f"`CERTAUTO_{code}`" if code else "success"
        lines.append(f"| {meaning} | {end} | {' '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n"


def test_storm__is_what_the_page_says():
    with open(os.path.join(TESTS, os.pardir, "docs", "acme.md"), encoding="utf-8") as file:
        assert page() in file.read(), "python3 tests/flow/test_storm.py prints the table"


if __name__ == "__main__":
    print(page(), end="")
