"""Where a scenario is played through one face, and how what came out is told.

Each run has a CA, names, a state directory of its own; servers are shared. What the faces tell
becomes one form, in which addresses, folders and the run's own names are replaced.
"""

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from real import driver, tls
from real.certauto import Certauto
from real.haproxy import HAProxy
from real.pki import TestCA, self_signed_bundle
from real.proc import wait_until
from real.webroot import Webroot
from sim.ca import CA

# As it was: pytest writes into os.environ at each test, while threads of ours would read it.
ENVIRONMENT = dict(os.environ)
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BINARY = os.path.abspath(os.environ.get("CERTAUTO_BIN", os.path.join(ROOT, "build", "certauto")))
PACKAGE = os.environ.get("CERTAUTO_PYTHON", os.path.join(os.path.dirname(BINARY), "python"))
LUA = os.environ.get("CERTAUTO_LUA", os.path.join(os.path.dirname(BINARY), "lua"))
LUAS = [
    "lua" + version
    for version in ("5.1", "5.3", "5.4")
    if os.path.exists(os.path.join(LUA, version)) and shutil.which("lua" + version)
]
FACES = ["c", "python", *(["lua"] if LUAS else []), "command"]
TIMEOUT_S = "30"
VERBS = {"renew": ["renew"], "deploy": ["deploy"], "test": ["check"], "gc": ["gc"],
         "revoke": ["revoke", "--reason", "superseded"]}  # fmt: skip
_tags = itertools.count(1)


class Servers(contextlib.ExitStack):
    """HAProxy for each face, a web server for a folder, who issues certificates for CAs, the C
    runner."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.tls = TestCA(folder)
        self.ca_cert = self.tls.issue(os.path.join(folder, "ca-server"))
        os.mkdir(os.path.join(folder, "other"))
        self.other_ca = TestCA(os.path.join(folder, "other")).file
        self.c_runner = driver.build(folder, BINARY, os.path.join(HERE, "runner.c"))
        os.mkdir(os.path.join(folder, "webroot"))
        bundle = self_signed_bundle(os.path.join(folder, "first.pem"), "first.example.org")
        self.haproxy = {face: self.balancer(face, bundle) for face in FACES}
        self.webroot = Webroot(os.path.join(folder, "webroot"))

    def balancer(self, face, bundle):
        """A HAProxy: it has one transaction at a time, and faces are tried side by side."""
        certs = os.path.join(self.folder, face, "certs")
        os.makedirs(certs)
        shutil.copy(bundle, certs)
        return HAProxy(os.path.join(self.folder, face), strict_sni=False)

    def __enter__(self):
        super().__enter__()
        for haproxy in self.haproxy.values():
            self.enter_context(haproxy)
        self.enter_context(self.webroot)
        return self

    def answers(self):
        """What can be seen of answers to challenges now, of whatever run."""
        files = [name for _, _, names in os.walk(self.webroot.folder) for name in names]
        maps = [line for haproxy in self.haproxy.values() for line in haproxy.challenges()]
        return "\n".join(files + maps)


class Stage:
    """One scenario, one face."""

    def __init__(self, servers, scenario, face, folder):
        self.servers, self.scenario, self.face = servers, scenario, face
        self.haproxy = servers.haproxy[face]
        self.folder = str(folder)
        self.tag = f"t{os.getpid()}-{next(_tags)}"
        self.names = [f"{name}.{self.tag}.example.org" for name in scenario.names]
        self.out = os.path.join(self.folder, "out")
        os.mkdir(self.out)
        self.ca = self.config_file = None

    def play(self):
        """All runs; what came of the last."""
        scenario, servers = self.scenario, self.servers
        front = servers.webroot if scenario.target == "files" else self.haproxy
        options = {"http_address": f"127.0.0.1:{front.http_port}", **scenario.ca}
        with CA(self.folder, servers.tls, *servers.ca_cert, **options) as self.ca:
            self.ca.ca_file = servers.tls.file
            self.config_file = self.write_config()
            if scenario.begin:
                scenario.begin(self.ca)
            for settings in scenario.before:
                self.run(settings)
            if scenario.prepare:
                scenario.prepare(self.ca)
            told = self.run(scenario.run)
        return {**told, **self.seen()}

    # ---- what is configured ----

    def target(self):
        """The options of the target."""
        servers = self.servers
        if self.scenario.target == "haproxy":
            options = {
                "socket": self.haproxy.socket,
                "crt": self.haproxy.crt(self.tag + ".pem"),
                "map": self.haproxy.map,
                "probe": f"127.0.0.1:{self.haproxy.tls_port}",
                "challenge_check": f"127.0.0.1:{self.haproxy.http_port}",
            }
        elif self.scenario.target == "files":
            options = {
                "directory": self.out,
                "webroot": servers.webroot.folder,
                "challenge_check": f"127.0.0.1:{servers.webroot.http_port}",
            }
        else:
            options = {}
        elsewhere = f"127.0.0.1:{self.haproxy.tls_port}"
        more = self.scenario.options.items()
        return {**options, **{name: value.format(elsewhere=elsewhere) for name, value in more}}

    def account(self):
        """The account in the configuration."""
        account = {"server": self.ca.directory, "ca_file": self.ca.ca_file, "agree_tos": True,
                   **self.scenario.account}  # fmt: skip
        account["ca_file"] = account["ca_file"].format(other_ca=self.servers.other_ca)
        return account

    def write_config(self):
        """The configuration, for fleets and for the command."""
        certificate = {
            "account": "test",
            "names": self.names,
            "challenge": {"type": "http-01", "target": "edge"},
            "deploy": ["edge"] if self.scenario.deploy else [],
            **self.scenario.certificate,
        }
        text = json.dumps(
            {
                "state": os.path.join(self.folder, "state"),
                "accounts": {"test": self.account()},
                "targets": {"edge": {"type": self.scenario.target, **self.target()}},
                "certificates": {"shop": certificate},
            }
        )
        path = os.path.join(self.folder, "certauto.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.scenario.config(text) if self.scenario.config else text)
        return path

    def settings(self, more):
        """What a runner is given."""
        if self.scenario.level == "fleet":
            given = {"config": self.config_file, "verb": "renew", **more}
        else:
            account = self.account()
            given = {"server": account["server"], "ca_file": account["ca_file"],
                     "names": ",".join(self.names), "type": self.scenario.target,
                     **{"option." + name: value for name, value in self.target().items()},
                     **more}  # fmt: skip
            if account["agree_tos"]:
                given["agree_tos"] = "1"
            if "eab" in account:
                given["eab"] = "{kid}:{hmac}".format(**account["eab"])
            if "profile" in self.scenario.certificate:
                given["profile"] = self.scenario.certificate["profile"]
            if self.scenario.deploy:
                given["deploy"] = "shop"
        given.setdefault("timeout", TIMEOUT_S)
        return given

    # ---- runs ----

    def run(self, more):
        """One run through the face; what it has told."""
        if self.face == "command":
            return self.run_command(more)
        env = dict(ENVIRONMENT)
        if self.face == "c":
            argv = [self.servers.c_runner]
        elif self.face == "python":
            argv = [sys.executable, "-B", "-W", "error", os.path.join(HERE, "runner.py")]
            env["PYTHONPATH"] = PACKAGE
        else:
            # Each version has its share of the scenarios.
            lua = LUAS[sum(self.scenario.name.encode()) % len(LUAS)]
            argv = [lua, os.path.join(HERE, "runner.lua")]
            env["LUA_PATH"] = f"{LUA}/?.lua"
            env["LUA_CPATH"] = f"{LUA}/{lua[3:]}/?.so"
        argv += [self.scenario.level, *map("=".join, self.settings(more).items())]
        run = subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode in (0, 1) and not run.stderr, f"{argv}\n{run.stdout}{run.stderr}"
        return self.told([line.split("\t") for line in run.stdout.splitlines()])

    def run_command(self, more):
        """The same by the command."""
        names = more["names"].split(",") if "names" in more else []
        argv = ["--json", "-v", "--timeout", more.get("timeout", TIMEOUT_S)]
        argv += VERBS[more.get("verb", "renew")] + names
        argv += ["--force"] if "force" in more else []
        command = Certauto(BINARY, self.config_file)
        process = command.start(*argv)
        if "cancel" in more:
            wait_until(lambda: self.ca.counts["authz"] > 8, "the CA to be asked again and again")
            process.send_signal(signal.SIGINT)
        run = command.finish(process)
        document = json.loads(run.out)
        results = document.get("results", [])
        errors = [one["error"] for one in results if one["error"]]
        error = document.get("error") or (errors[0] if errors else None)
        told = self.form(error, results)
        told["lines"] = {
            tuple(self.plain(line.split(" ", 1)[1]).split(": ", 1))
            for line in run.err.splitlines()
            if re.match(r"\d\d:\d\d:\d\d .*: ", line)
        }
        return told

    # ---- what came out ----

    def plain(self, text):
        """Text without what is peculiar to this run."""
        servers = self.servers
        for what, word in (
            (self.ca.base, "CA"),
            ("." + self.tag, ""),
            (self.tag, "TAG"),
            (self.folder, "FOLDER"),
            (self.haproxy.folder, "HAPROXY"),
            (servers.folder, "SERVERS"),
            (f":{self.haproxy.http_port}", ":HTTP"),
            (f":{self.haproxy.tls_port}", ":TLS"),
            (f":{servers.webroot.http_port}", ":WEB"),
        ):
            text = text.replace(what, word)
        text = re.sub(r"\b[0-9a-f]{16,}\b", "HEX", text)
        text = re.sub(r"acme-challenge/[\w-]{20,}", "acme-challenge/TOKEN", text)
        return re.sub(r"(CA/[a-z-]+)/[\w-]+", r"\1/ID", text)

    def form(self, error, results):
        """An error as JSON has it, and the results, in the form that is compared."""
        told = {"result": "CERTAUTO_OK", **self.error(error)}
        if results:
            told["outcomes"] = [one["outcome"] for one in results]
            told["errors"] = [self.error(one.get("error")) for one in results]
        return told

    def error(self, error):
        """An error as JSON has it, in the form that is compared."""
        if not error:
            return {}
        # Lua has no null: what is not known is not there.
        retry_at = error.get("retry_at")
        return {
            "result": error["code"],
            "message": self.plain(error["message"]),
            "object": self.plain(error.get("object") or ""),
            "problem": error.get("type") or "",
            "status": error.get("status") or 0,
            "advice": bool(error.get("advice")),
            "retry_in": round((retry_at - time.time()) / 3600) if retry_at else 0,
            "subproblems": sorted(
                (self.plain(one.get("name") or ""), one.get("type") or "")
                for one in error["subproblems"]
            ),
        }

    def told(self, lines):
        """What a runner has printed, in the same form."""
        words, lists = {}, {}
        for what, *fields in lines:
            words[what] = fields[0]
            lists.setdefault(what, []).append([self.plain(field) for field in fields])
        error = None
        if words["result"] != "CERTAUTO_OK":
            error = {
                "code": words["result"], "message": words["message"], "object": words["object"],
                "type": words["problem"], "status": int(words["status"]),
                "advice": words["advice"], "retry_at": int(words["retry_at"]),
                "subproblems": [dict(zip(("name", "type", "detail"), one))
                                for one in lists.get("subproblem", [])],
            }  # fmt: skip
        told = self.form(error, json.loads(words["results"]) if "results" in words else None)
        told["steps"] = sorted({tuple(one) for one in lists.get("step", [])})
        told["warnings"] = sorted(lists.get("warning", []))
        told["done"] = [one[0] for one in lists.get("done", [])]
        told["own"] = sorted(
            " ".join((what, *fields))
            for what in ("present", "cleanup", "sign")
            for fields in lists.get(what, [])
        )
        if "order" in words:
            told["order"] = int(words["order"])
            told["names"] = {one[0].split(".")[0]: one[1] for one in lists.get("name", [])}
            told["name_errors"] = [one[2:] for one in lists.get("name", [])]
        if "chain" in words:
            told["chain"] = words["chain"]
            told["certified"] = sorted(one[0] for one in lists["issued"])
        return told

    def seen(self):
        """What the servers have seen, and what is there now."""
        ca, answers = self.ca, self.servers.answers()
        issued = list(ca.certificates.values())
        seen = {
            "issued": ca.counts["certificates issued"],
            "orders": len(ca.orders),
            "revoked": sum(one.revoked for one in issued),
            "keys": len({one.key for one in issued}),
            "days": [round((one.not_after - one.not_before) / 86400) for one in issued],
            "left": sum((one.token or "none") in answers for one in ca.challenges.values()),
            "files": {name: oct(os.stat(os.path.join(self.out, name)).st_mode)[-3:]
                      for name in sorted(os.listdir(self.out))},
            "served": None,
            "fingerprints": [tls.Served(one.leaf).fingerprint for one in issued],
        }  # fmt: skip
        if self.scenario.deploy and self.scenario.target == "haproxy" and issued:
            served = tls.served(self.haproxy.tls_port, self.names[0]).fingerprint
            seen["served"] = seen["fingerprints"].index(served) + 1
        return seen
