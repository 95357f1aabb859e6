"""One run of a scenario through the Python package; see runner.c for what it takes and prints."""

import json
import sys

import certauto

SETTINGS = dict(word.split("=", 1) for word in sys.argv[2:])
TIMEOUT = float(SETTINGS["timeout"])
TARGET_OPTIONS = {
    name[len("option.") :]: value for name, value in SETTINGS.items() if name.startswith("option.")
}


def say(*fields):
    """One thing that came out."""
    print(*["" if field is None else field for field in fields], sep="\t")


def names():
    """The names to work on."""
    return SETTINGS["names"].split(",") if "names" in SETTINGS else None


class Own:
    """A target written here: its answers are shown to nobody."""

    caps = certauto.Capability.HTTP01
    type = "own"
    options = [{"name": "where", "type": "text", "help": "where it is shown"}]

    def present(self, work):
        """Shows it."""
        say("present", work.name, work.challenge, work.option("where"))
        if work.option("where") == "nowhere":
            raise certauto.Permission("no right to show it")

    def cleanup(self, work):
        """Takes it away."""
        say("cleanup", work.name, work.challenge)


def refuse_to_sign(alg, digest):
    """A signer."""
    say("sign", alg, len(digest))
    raise certauto.Auth("wrong PIN")


class Listener:
    """What is done with events."""

    def __init__(self, cx):
        self.cx = cx
        self.left = {"once": 1, "twice": 2}.get(SETTINGS.get("cancel"), 0)
        self.refuses = "refuse" in SETTINGS

    def __call__(self, event):
        kind = certauto.EventType
        about = event.object if event.object is not None else event.job.name
        if event.type is kind.STEP:
            say("step", about, event.step, event.text)
        elif event.type is kind.WARNING:
            say("warning", about, event.text)
        elif event.type is kind.DONE:
            say("done", about)
        while event.type is kind.WAIT and self.left:
            self.left -= 1
            self.cx.cancel()
        if event.type is kind.STEP and self.refuses:
            self.refuses = False
            raise certauto.Canceled("refused")


def order_of(cx):
    """The order, the target that answers, and the key."""
    account = cx.account(
        SETTINGS["server"], ca_file=SETTINGS["ca_file"], agree_tos="agree_tos" in SETTINGS,
        eab=tuple(SETTINGS["eab"].split(":")) if "eab" in SETTINGS else None,
    )  # fmt: skip
    kind = SETTINGS["type"]
    target = cx.target(Own() if kind == "own" else kind, **TARGET_OPTIONS)
    key = cx.key()
    if SETTINGS.get("key") == "signer":
        key = cx.key_signer(key.public(), refuse_to_sign)
    order = account.order(cx.csr(key, names()), http01=target, profile=SETTINGS.get("profile"))
    return order, target, key


def run_order(cx):
    """By hand."""
    order, target, key = order_of(cx)
    try:
        chain = order.run(timeout=TIMEOUT)
        say("chain", chain.fingerprint)
        for name in chain.names:
            say("issued", name)
        if "deploy" in SETTINGS:
            target.deploy(SETTINGS["deploy"], chain, key, timeout=TIMEOUT)
    finally:
        say("order", int(order.status))
        for name, status in order.name_status.items():
            error = order.name_errors.get(name)
            say("name", name, status.name.lower(), *([error.name] if error else []))


def run_fleet(cx):
    """By a configuration."""
    fleet = cx.fleet(SETTINGS["config"])
    verbs = {
        "renew": lambda: fleet.renew(names(), force="force" in SETTINGS, timeout=TIMEOUT),
        "deploy": lambda: fleet.deploy(names(), timeout=TIMEOUT),
        "revoke": lambda: fleet.revoke(
            names(), reason=certauto.RevokeReason.SUPERSEDED, timeout=TIMEOUT
        ),
        "test": lambda: fleet.test(timeout=TIMEOUT),
        "gc": lambda: fleet.gc(timeout=TIMEOUT),
    }
    try:
        verbs[SETTINGS["verb"]]()
    finally:
        say("results", json.dumps(fleet.results))


def main():
    """The run; tells how it ended."""
    with certauto.Context() as cx:
        cx.on_event = Listener(cx)
        try:
            {"order": run_order, "fleet": run_fleet}[sys.argv[1]](cx)
        except certauto.Error as error:
            say("result", error.name)
            say("message", error.message)
            for field in ("object", "problem", "advice"):
                say(field, getattr(error, field))
            say("status", error.status or 0)
            say("retry_at", error.retry_at or 0)
            for sub in error.subproblems:
                say("subproblem", sub.name, sub.problem, sub.detail)
            return 1
        say("result", "CERTAUTO_OK")
        return 0


if __name__ == "__main__":
    sys.exit(main())
