"""What must come out the same through C, Python, Lua and the command: the list.

Each scenario is run through each face by test_scenarios.py, against a simulated CA that belongs to
this run alone and that validates really: through a HAProxy, or from a folder that is served.

A name "a" stands for a.TAG.example.org, where the tag is the run's own; everything that comes out
is told as if there were no tag. `expect` has what must come out, of these:

    result       name of the code: of the call, or of the command's first error
    outcomes     of each lineage: done, unchanged, failed, later
    problem, status, object, retry_in (hours), advice (whether there is any), words (in the message)
    subproblems  (name, problem) of each name that failed
    names        what became of each name, where the order is made by hand
    told         that the command tells people each step the others tell their callbacks
    own          what a target or a signer written in the face's language was asked
    issued       certificates the CA has issued; days: how long each lives; keys: how many different
                 keys they have
    orders       orders it has taken
    revoked      certificates it has revoked
    served       which of them is served: 1 for the first; None where that is not asked
    files        names and modes in the folder of the target `files`
    left         answers to challenges that nobody has taken away
"""

from dataclasses import dataclass, field

from sim.ca import problem
from sim.ca_state import error as invalid

URN = "urn:ietf:params:acme:error:"
EAB_KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"
DAY = 86400
FILES = {
    "shop.cert.pem": "644", "shop.chain.pem": "644", "shop.fullchain.pem": "644",
    "shop.key.pem": "600",
}  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """One of them. kind is the first word of its name."""

    name: str
    expect: dict
    level: str = "fleet"  # "order": objects made by hand, where the face has them
    names: tuple = ("a",)
    target: str = "haproxy"  # or "files", or "own": written in the face's language
    options: dict = field(default_factory=dict)  # of the target, besides the usual ones
    deploy: bool = False
    ca: dict = field(default_factory=dict)  # options of the simulated CA
    begin: object = None  # begin(ca), before the first run
    prepare: object = None  # prepare(ca), before the last one
    certificate: dict = field(default_factory=dict)  # of the configuration, besides the usual
    account: dict = field(default_factory=dict)
    config: object = None  # config(text) -> text: what is wrong with it
    before: tuple = ()  # settings of runs that come first
    run: dict = field(default_factory=dict)  # settings of the one that counts
    # Faces that have nothing of the kind, and what else is not compared with the others.
    without: tuple = ()
    apart: tuple = ()

    @property
    def kind(self):
        """issue, deploy, renew, error, cancel, callback."""
        return self.name.split(":")[0]


def refuse(endpoint, *args, **more):
    """A CA that refuses at one endpoint."""
    return lambda ca: ca.script.update({endpoint: [problem(*args, **more)]})


def slow(ca):
    """A CA that does not decide before the faces begin to tell that they wait, but soon after that:
    who is cancelled waits for its verdict."""
    ca.processing = 12


def old_at_first(ca):
    """A CA whose first certificate has had most of its life."""

    def age(_order, leaf):
        if not ca.certificates:
            leaf.not_before -= 80 * DAY
            leaf.not_after -= 80 * DAY

    ca.on_leaf(age)


def only(name):
    """A CA that finds the answers of one name good, and of no other."""
    return {
        "validate": lambda challenge: challenge.authz.name.startswith(name + ".")
        or invalid("unauthorized", "what is there is wrong")
    }


OK, CANCELED = "CERTAUTO_OK", "CERTAUTO_ECANCELED"
WAITING = {"cancel": "once"}
NO_CALLBACK = ("command",)  # it has no callbacks that a script could give

SCENARIOS = [
    # ---- issue ----
    Scenario(
        "issue: one name",
        {"result": OK, "issued": 1, "orders": 1, "left": 0, "names": {"a": "valid"}},
        level="order",
    ),
    Scenario(
        "issue: eight names from a folder",
        {"result": OK, "issued": 1, "left": 0, "names": {name: "valid" for name in "abcdefgh"}},
        level="order", names=tuple("abcdefgh"), target="files",
    ),
    Scenario(
        "issue: a customer's account and a profile",
        {"result": OK, "issued": 1, "left": 0, "days": [6]},
        level="order", ca={"eab": {"kid-1": EAB_KEY}, "profiles": {"short": {"days": 6}}},
        account={"eab": {"kid": "kid-1", "hmac": EAB_KEY}}, certificate={"profile": "short"},
    ),
    Scenario(
        "issue: nonces are refused, polls are many",
        {"result": OK, "issued": 1, "outcomes": ["done"], "left": 0, "served": 1},
        ca={"nonce_reject": 0.5, "processing": 2, "order_async": True, "retry_after_s": 0,
            "retry_after": "seconds"},
        deploy=True,
    ),
    Scenario(
        "issue: two keys side by side",
        {"result": OK, "issued": 2, "orders": 2, "outcomes": ["done", "done"], "left": 0},
        certificate={"key": ["ecdsa-p256", "rsa-2048"]}, deploy=True,
    ),
    # ---- deploy ----
    Scenario(
        "deploy: it is served",
        {"result": OK, "issued": 1, "left": 0, "served": 1},
        level="order", deploy=True,
    ),
    Scenario(
        "deploy: files",
        {"result": OK, "issued": 1, "left": 0, "files": FILES},
        level="order", target="files", deploy=True, options={"probe": "no"},
    ),
    Scenario(
        "deploy: what is not served is taken back",
        {"result": "CERTAUTO_ENOTSERVED", "issued": 1, "left": 0, "files": {}, "advice": True},
        level="order", target="files", deploy=True,
        options={"probe": "{elsewhere}", "timeout_ms": "300"},
    ),
    Scenario(
        "deploy: again, without the CA",
        {"result": OK, "issued": 1, "orders": 1, "outcomes": ["done"], "served": 1},
        before=({"verb": "renew"},), run={"verb": "deploy"}, deploy=True,
    ),
    # ---- renew ----
    Scenario(
        "renew: nothing is due",
        {"result": OK, "issued": 1, "orders": 1, "outcomes": ["unchanged"], "served": 1},
        before=({"verb": "renew"},), run={"verb": "renew"}, deploy=True,
    ),
    Scenario(
        "renew: a third of its life is left",
        {"result": OK, "issued": 2, "orders": 2, "outcomes": ["done"], "served": 2, "left": 0},
        before=({"verb": "renew"},), begin=old_at_first, ca={"ari": False}, deploy=True,
    ),
    Scenario(
        "renew: forced, with the same key",
        {"result": OK, "issued": 2, "orders": 2, "outcomes": ["done"], "served": 2,
         "left": 0, "keys": 1},
        before=({"verb": "renew"},), run={"names": "shop", "force": "1"}, deploy=True,
        certificate={"reuse_key": True},
    ),
    Scenario(
        "renew: it fails, and the old one stays",
        {"result": "CERTAUTO_ECHALLENGE", "issued": 1, "orders": 2, "outcomes": ["failed"],
         "served": 1, "left": 0},
        before=({"verb": "renew"},), run={"names": "shop", "force": "1"}, deploy=True,
        prepare=lambda ca: ca.change(**only("none")),
    ),
    Scenario(
        "renew: revoked, then due",
        {"result": OK, "issued": 2, "revoked": 1, "outcomes": ["done"], "served": 2},
        before=({"verb": "renew"}, {"verb": "revoke", "names": "shop"}), deploy=True,
    ),
    # ---- error ----
    Scenario(
        "error: the CA refuses the name",
        {"result": "CERTAUTO_EREFUSED", "problem": URN + "rejectedIdentifier", "status": 403,
         "words": ("not for you",), "issued": 0, "left": 0, "names": {"a": "invalid"}},
        level="order", prepare=refuse("newOrder", "rejectedIdentifier", "not for you", 403),
    ),
    Scenario(
        "error: one of two names cannot be validated",
        {"result": "CERTAUTO_ECHALLENGE", "issued": 0, "left": 0,
         "subproblems": [("b.example.org", URN + "unauthorized")],
         "names": {"a": "valid", "b": "invalid"}},
        level="order", names=("a", "b"), ca=only("a"),
    ),
    Scenario(
        "error: of several certificates that is told which has failed",
        {"result": "CERTAUTO_ECHALLENGE", "outcomes": ["failed"], "issued": 0, "left": 0,
         "subproblems": [("b.example.org", URN + "unauthorized")]},
        names=("a", "b"), ca=only("a"),
    ),
    Scenario(
        "error: too many orders",
        {"result": "CERTAUTO_ERETRY_LATER", "problem": URN + "rateLimited", "status": 429,
         "retry_in": 2, "issued": 0, "left": 0},
        level="order", ca={"rate_limits": {"newOrder": (0, 7200)}},
    ),
    Scenario(
        "error: too many orders, for a configuration",
        {"result": "CERTAUTO_ERETRY_LATER", "problem": URN + "rateLimited", "retry_in": 2,
         "outcomes": ["later"], "issued": 0},
        ca={"rate_limits": {"newOrder": (0, 7200)}},
    ),
    Scenario(
        "error: nobody has agreed to the terms",
        {"result": "CERTAUTO_EINVAL", "words": ("https://ca.example.net/terms/1",), "issued": 0},
        level="order", account={"agree_tos": False},
    ),
    Scenario(
        "error: the CA is somebody else",
        {"result": "CERTAUTO_ETLS", "issued": 0, "orders": 0},
        level="order", account={"ca_file": "{other_ca}"},
    ),
    Scenario(
        "error: a mistake in the configuration",
        {"result": "CERTAUTO_ECONFIG", "words": ("certauto.json:", "acount"), "orders": 0},
        config=lambda text: text.replace('"account":', '"acount":'),
    ),
    # ---- cancel ----
    Scenario(
        "cancel: while the CA decides",
        {"result": CANCELED, "issued": 0, "orders": 1, "left": 0},
        level="order", prepare=slow, run=WAITING,
    ),
    Scenario(
        "cancel: a configuration, while the CA decides",
        {"result": CANCELED, "issued": 0, "orders": 1, "left": 0, "outcomes": ["failed"]},
        prepare=slow, run=WAITING,
    ),
    Scenario(
        "cancel: the time is over",
        {"result": "CERTAUTO_ETIMEDOUT", "issued": 0, "orders": 1, "left": 0},
        level="order", ca={"processing": 10**9}, run={"timeout": "1"},
    ),
    Scenario(
        "cancel: asked twice it leaves at once",
        {"result": CANCELED, "issued": 0, "left": 1},
        prepare=slow, run={"cancel": "twice"},
        without=("command",),  # it takes back faster than a second Ctrl-C can come
    ),
    Scenario(
        "cancel: and the next run takes back",
        {"result": OK, "issued": 0, "left": 0},
        ca={"processing": 10**9}, before=({"verb": "renew", "cancel": "twice"},),
        run={"verb": "gc"}, without=("command",),
    ),
    # ---- callback ----
    Scenario(
        "callback: events tell the steps",
        {"result": OK, "outcomes": ["done"], "issued": 1, "told": True},
        deploy=True,
    ),
    Scenario(
        "callback: it refuses the first step",
        {"result": CANCELED, "issued": 0, "orders": 0, "left": 0},
        level="order", run={"refuse": "1"}, without=NO_CALLBACK, apart=("message", "object"),
    ),
    Scenario(
        "callback: a target of one's own",
        {"result": OK, "issued": 1, "own": ["cleanup a.example.org http-01",
                                            "present a.example.org http-01 here"]},
        level="order", target="own", options={"where": "here", "challenge_check": "no"},
        ca={"validate": False}, without=NO_CALLBACK,
    ),
    Scenario(
        "callback: a target of one's own that fails",
        {"result": "CERTAUTO_EPERM", "words": ("no right to show it",), "issued": 0,
         "own": ["cleanup a.example.org http-01", "present a.example.org http-01 nowhere"]},
        level="order", target="own", options={"where": "nowhere", "challenge_check": "no"},
        ca={"validate": False}, without=NO_CALLBACK,
    ),
    Scenario(
        "callback: a signer that refuses",
        {"result": "CERTAUTO_EAUTH", "orders": 0, "own": ["sign ES256 32"]},
        level="order", run={"key": "signer"}, without=NO_CALLBACK,
        apart=("message",),  # Lua has no causes of errors: it adds what the signer has said
    ),
]  # fmt: skip
