#!/usr/bin/python3
"""make bench: what an issuance costs, beside what a user would pick instead, all in one run.

usage: bench.py [--write] BUILD-FOLDER     (where certauto, libcertauto.so.0 and python/ are)

The CA is Pebble without pauses, refused nonces and used authorizations; the challenge is answered
by nginx from a webroot, for all programs alike; all state is in memory (/dev/shm). With --write the
table goes into docs/bench.md. Exit status 1 when a goal is missed.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)

# The path above must be set first.
from real import ports  # noqa: E402
from real.certauto import write_config  # noqa: E402
from real.lab import Lab  # noqa: E402
from real.nginx import Nginx  # noqa: E402
from real.proc import Server, exit_on_sigterm, wait_until  # noqa: E402

from bench import binding, thousand  # noqa: E402

ROUNDS = 9
MIB = 1024  # in KiB
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

GATEWAY = """\
global
    log stdout format raw local0
defaults
    mode http
    log global
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend gateway
    bind 127.0.0.1:{port} ssl crt {bundle} alpn h2,http/1.1
    http-request set-var(txn.began) date(0,us)
    log-format "req %ci:%cp %HM %HU %[var(txn.began)] %[date(0,us)]"
    default_backend pebble
backend pebble
    server pebble 127.0.0.1:{pebble_port} ssl verify none
"""

HOOK = """\
#!/bin/sh
# uacme's hook: begin|done|failed METHOD NAME TOKEN KEY-AUTHORIZATION
[ "$2" = http-01 ] || exit 1
case $1 in
begin) printf %s "$5" >"{challenges}/$4" ;;
*) rm -f "{challenges}/$4" ;;
esac
"""


# What, its name in binding.py, unit, goal.
PYTHON_GOALS = [
    ("import certauto", "import_ms", "ms", 50),
    ("import certauto, memory above a bare interpreter", "import_mib", "MiB", 11),
    ("an open context, the same", "context_mib", "MiB", 13),
    ("reading a property across the binding", "property_us", "us", 2),
    ("the same through the package", "facade_us", "us", 2),
    ("91 bytes out", "bytes_us", "us", 2),
    ("a list of one text", "list_us", "us", 2),
    ("an error raised and caught", "error_us", "us", None),
]


@dataclass
class Cost:
    """What one run of a program cost."""

    wall_s: float
    cpu_s: float
    rss_kib: int


@dataclass
class Figure:
    """One line of the table."""

    what: str
    value: str
    goal: str
    met: bool

    def verdict(self):
        """The last column."""
        if not self.goal:
            return ""
        return "met" if self.met else "**missed**"


def middle(costs, what):
    """The median of one cost over several runs."""
    return statistics.median(getattr(cost, what) for cost in costs)


def cpu(costs):
    """The CPU time of the quietest run: what else the machine does can only add to it."""
    return min(cost.cpu_s for cost in costs)


def in_words(costs):
    """Wall time, CPU time and memory of several runs."""
    return (
        f"{middle(costs, 'wall_s'):.3f} s, {cpu(costs):.3f} s, "
        f"{middle(costs, 'rss_kib') / MIB:.1f} MiB"
    )


class Gateway(Server):
    """HAProxy before the CA: it ends TLS, so it sees each request, its connection and its time."""

    def __init__(self, lab):
        folder = lab.new_folder("gateway")
        self.port = ports.free_port()
        cert, key = lab.ca.issue(os.path.join(folder, "gateway"))
        bundle = os.path.join(folder, "bundle.pem")
        with open(bundle, "wb") as out:
            for part in (cert, key):
                with open(part, "rb") as file:
                    out.write(file.read())
        config = os.path.join(folder, "gateway.cfg")
        with open(config, "w", encoding="ascii") as file:
            file.write(GATEWAY.format(port=self.port, bundle=bundle, pebble_port=lab.pebble.port))
        super().__init__("gateway", ["haproxy", "-db", "-f", config], folder)

    def ready(self):
        return ports.answers(self.port)

    def seen(self):
        """Each request so far: (client connection, method, path, began, ended), times in us."""
        return [
            (connection, method, path, int(began), int(ended))
            for connection, method, path, began, ended in re.findall(
                r"^req (\S+) (\S+) (\S+) (\d+) (\d+)$", self.log(), re.M
            )
        ]


def counted(requests):
    """The number of requests, of the polls of one object the first only.

    An authorization is read once before its challenge is answered, an order only to poll it.
    """
    paths = Counter(path for _, _, path, _, _ in requests)
    spare = sum(max(0, n - 2) for path, n in paths.items() if "/authZ/" in path)
    spare += sum(max(0, n - 1) for path, n in paths.items() if "/my-order/" in path)
    return len(requests) - spare


def in_flight(requests):
    """The largest number of requests under way at one time."""
    events = sorted(
        [(began, 1) for *_, began, _ in requests] + [(ended, -1) for *_, ended in requests]
    )
    most = now = 0
    for _, step in events:
        now += step
        most = max(most, now)
    return most


class Bench:
    """The servers, the programs, and the figures."""

    def __init__(self, lab, build):
        self.lab = lab
        self.build = os.path.abspath(build)
        self.figures = []
        self.n_results = 0
        self.challenges = os.path.join(lab.front.webroot, ".well-known", "acme-challenge")
        os.makedirs(self.challenges)
        self.measure_program = self.compile("measure", "-O2")
        curl = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libcurl"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        self.bare_program = self.compile("bare", "-O2", *curl)

    def compile(self, program, *flags):
        """Build one of our own small programs."""
        out = os.path.join(self.lab.folder, program)
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), program + ".c")
        subprocess.run([os.environ.get("CC", "cc"), "-o", out, source, *flags], check=True)
        return out

    def add(self, what, value, goal, met):
        """One more line."""
        self.figures.append(Figure(what, value, goal, met))

    def measured(self, argv, env=None, prefix=()):
        """Run a program to its successful end; returns its Cost."""
        self.n_results += 1
        result = os.path.join(self.lab.folder, f"result-{self.n_results}")
        done = subprocess.run(
            [*prefix, self.measure_program, result, *argv],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **(env or {})},
            cwd=self.lab.folder,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"{os.path.basename(argv[0])} ended with status {done.returncode}:\n"
                f"{done.stdout}{done.stderr}"
            )
        with open(result, encoding="ascii") as file:
            wall, cpu, rss = (int(number) for number in file.read().split())
        return Cost(wall / 1e6, cpu / 1e6, rss)

    def config(self, server, certificates, deploy=("web",)):
        """A configuration with an existing account; certificates is {name: names}."""
        folder = self.lab.new_folder("config")
        path = write_config(
            os.path.join(folder, "certauto.json"),
            {
                "state": os.path.join(folder, "state"),
                "accounts": {"ca": self.lab.account(server=server)},
                "targets": {
                    "web": {
                        "type": "files",
                        "directory": self.lab.new_folder("out"),
                        "webroot": self.lab.front.webroot,
                        "probe": "no",
                        "challenge_check": f"127.0.0.1:{self.lab.front.http_port}",
                    }
                },
                "certificates": {
                    name: {
                        "account": "ca",
                        "names": names,
                        "key": "ecdsa-p256",
                        "challenge": {"type": "http-01", "target": "web"},
                        "deploy": list(deploy),
                    }
                    for name, names in certificates.items()
                },
            },
        )
        self.measured(self.certauto(path, "account", "register"))
        return path

    def certauto(self, config, *args):
        """The command line of certauto."""
        return [os.path.join(self.build, "certauto"), "-c", config, *args]

    def requests(self):
        """Requests and connections for one name, requests in flight for a hundred."""
        gateway = Gateway(self.lab)
        with gateway:
            config = self.config(
                f"https://127.0.0.1:{gateway.port}/dir",
                {"one": ["one.example.org"], "hundred": [f"h{i}.example.org" for i in range(100)]},
            )
            seen = {}
            for name in ("one", "hundred"):
                before = len(gateway.seen())
                self.measured(self.certauto(config, "issue", name))
                # A line is written when its answer has left, which the client may not wait for.
                wait_until(
                    lambda: any("/certZ/" in path for _, _, path, _, _ in gateway.seen()[before:]),
                    "the gateway's log",
                )
                seen[name] = gateway.seen()[before:]
        one, hundred = seen["one"], seen["hundred"]
        self.add(
            "requests for one name, repeated polls not counted",
            str(counted(one)),
            "at most 9",
            counted(one) <= 9,
        )
        self.add("the same with repeated polls", str(len(one)), "", True)
        for what, requests in (("one name", one), ("100 names", hundred)):
            connections = len({connection for connection, *_ in requests})
            self.add(f"TLS connections to the CA, {what}", str(connections), "1", connections == 1)
        self.add("requests for 100 names", str(len(hundred)), "", True)
        self.add(
            "requests in flight at most, 100 names",
            str(in_flight(hundred)),
            "more than 1",
            in_flight(hundred) > 1,
        )

    def many_names(self):
        """CPU time for ten and for a hundred names."""
        names = {
            f"{n}-{i}": [f"n{n}-{i}-{j}.example.org" for j in range(n)]
            for n in (10, 100)
            for i in range(ROUNDS)
        }
        config = self.config(self.lab.pebble.directory, names)
        cost = {
            n: [self.measured(self.certauto(config, "issue", f"{n}-{i}")) for i in range(ROUNDS)]
            for n in (10, 100)
        }
        ratio = cpu(cost[100]) / cpu(cost[10])
        for n in (10, 100):
            self.add(f"{n} names: wall, CPU, peak memory", in_words(cost[n]), "", True)
        self.add("CPU, 100 names to 10 names", f"{ratio:.1f} x", "at most 11 x", ratio <= 11)

    def uacme(self):
        """The command line of uacme for one name as a function, or None and why not."""
        if not shutil.which("uacme"):
            return None, "uacme is not installed"
        # uacme cannot be given a CA file: ours takes the place of the system's, for it alone.
        prefix = [
            "unshare",
            "-m",
            "sh",
            "-c",
            f'mount --bind "$0" {SYSTEM_BUNDLE} && exec "$@"',
            self.lab.pebble.ca_file,
        ]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
            return None, "uacme needs a mount of its own, which is not permitted here"
        folder = self.lab.new_folder("uacme")
        hook = os.path.join(folder, "hook")
        with open(hook, "w", encoding="ascii") as file:
            file.write(HOOK.format(challenges=self.challenges))
        os.chmod(hook, 0o755)
        base = ["uacme", "-y", "-a", self.lab.pebble.directory, "-c", folder]
        self.measured([*base, "new"], prefix=prefix)
        return (
            lambda name: self.measured(
                [*base, "-h", hook, "-t", "EC", "issue", name], prefix=prefix
            ),
            None,
        )

    def lego(self):
        """The same for lego."""
        if not shutil.which("lego"):
            return None, "lego is not installed"
        folder = self.lab.new_folder("lego")
        env = {"LEGO_CA_CERTIFICATES": self.lab.pebble.ca_file}

        def issue(name):
            return self.measured(
                [
                    "lego",
                    "-s",
                    self.lab.pebble.directory,
                    "-a",
                    "-m",
                    "ops@example.org",
                    "--path",
                    folder,
                    "--http",
                    "--http.webroot",
                    self.lab.front.webroot,
                    "-d",
                    name,
                    "run",
                ],
                env=env,
            )

        issue("first.lego.example.org")  # makes the account
        return issue, None

    def side_by_side(self):
        """One name by each program, in turn; each time the only certificate there is."""
        # Kept, not deployed: so do the others.
        configs = [
            self.config(
                self.lab.pebble.directory, {"shop": [f"s{i}.certauto.example.org"]}, deploy=()
            )
            for i in range(ROUNDS)
        ]
        others = {"uacme": self.uacme(), "lego": self.lego()}
        costs = {"bare libcurl": [], "certauto": []}
        for i in range(ROUNDS):
            costs["bare libcurl"].append(
                self.measured(
                    [self.bare_program, self.lab.pebble.directory, self.lab.pebble.ca_file]
                )
            )
            costs["certauto"].append(self.measured(self.certauto(configs[i], "issue", "shop")))
            for name, (issue, _) in others.items():
                if issue:
                    costs.setdefault(name, []).append(issue(f"s{i}.{name}.example.org"))
        for name, each in costs.items():
            what = "one TLS request" if name == "bare libcurl" else "one name"
            self.add(f"{name}, {what}: wall, CPU, peak memory", in_words(each), "", True)
        for name, (_, why) in others.items():
            if why:
                self.add(f"{name}, one name", f"skipped: {why}", "", True)
        self.compare(costs)

    def compare(self, costs):
        """The ratios of one run."""
        ours = costs["certauto"]
        above = (middle(ours, "rss_kib") - middle(costs["bare libcurl"], "rss_kib")) / MIB
        self.add(
            "peak memory above bare libcurl", f"{above:.1f} MiB", "at most 2.5 MiB", above <= 2.5
        )
        if "uacme" in costs:
            ratio = middle(ours, "wall_s") / middle(costs["uacme"], "wall_s")
            self.add(
                "wall time, certauto to uacme", f"{ratio:.2f} x", "under 0.33 x", ratio < 1 / 3
            )
        if "lego" in costs:
            ratio = cpu(ours) / cpu(costs["lego"])
            self.add("CPU time, certauto to lego", f"{ratio:.2f} x", "at most 1 x", ratio <= 1)

    def thousand(self):
        """A thousand orders started together."""
        got = thousand.run(self.lab.new_folder("thousand"), self.build)
        each = got.memory_kib / thousand.ORDERS
        asked = f"{thousand.ORDERS} orders at once"
        self.add(f"{asked}: issued", str(got.issued), "all", got.failed == 0)
        self.add(f"{asked}: wall, CPU", f"{got.wall_s:.2f} s, {got.cpu_s:.2f} s", "", True)
        needed = f"{got.server_s:.2f} s, {got.own_s:.2f} s"
        self.add(f"{asked}: the CA alone; our keys and signatures alone", needed, "", True)
        self.add(
            f"{asked}: wall to the larger of both",
            f"{got.ratio:.2f} x",
            "at most 1.3 x",
            got.ratio <= 1.3,
        )
        self.add(
            f"{asked}: the same, verifying the CA's signatures ({got.verifying_s:.2f} s) being our own",
            f"{got.ratio_with_verifying:.2f} x",
            "",
            True,
        )
        most = got.counts["connections_max"]
        self.add(f"{asked}: connections at most", str(most), "at most 8", most <= 8)
        self.add(f"{asked}: memory for each", f"{each:.1f} KiB", "under 64 KiB", each < 64)
        leaked = str(got.descriptors)
        self.add(f"{asked}: descriptors left open", leaked, "0", got.descriptors == 0)

    def library(self):
        """Size of the library without its symbols for debuggers."""
        stripped = os.path.join(self.lab.folder, "stripped.so")
        subprocess.run(
            [
                "strip",
                "--strip-unneeded",
                "-o",
                stripped,
                os.path.join(self.build, "libcertauto.so.0"),
            ],
            check=True,
        )
        size = os.path.getsize(stripped) / 1024
        self.add("libcertauto.so, stripped", f"{size:.0f} KiB", "under 400 KiB", size < 400)

    def python(self):
        """What a program pays for `import certauto`, and for each call."""
        package = os.path.join(self.build, "python")
        got = binding.measure(sys.executable, package)
        for what, name, unit, most in PYTHON_GOALS:
            goal = f"under {most} {unit}" if most else ""
            # Below a microsecond two digits are needed.
            value = f"{got[name]:.2f} {unit}" if unit == "us" else f"{got[name]:.1f} {unit}"
            self.add(f"Python: {what}", value, goal, not most or got[name] < most)

    def table(self):
        """The figures as a Markdown table."""
        lines = ["| figure | measured | goal | |", "| --- | --- | --- | --- |"]
        lines += [f"| {f.what} | {f.value} | {f.goal} | {f.verdict()} |" for f in self.figures]
        return "\n".join(lines)


def first_line(*argv):
    """The first line a program prints."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def machine():
    """What it was measured on, in a line."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/etc/os-release", encoding="utf-8") as file:
        system = re.search(r'PRETTY_NAME="(.*)"', file.read())
    model, system = (found[1] if found else "unknown" for found in (model, system))
    return f"{os.cpu_count()} cores ({model}), {system}"


PAGE = """\
# What an issuance costs

`make bench` measures this, everything in one run, and `make bench WRITE=yes` writes this page. The
CA is Pebble with its pauses, refused nonces and used authorizations off, over loopback; the account
exists; all state is in memory (`/dev/shm`). Each program gets a certificate for one name by http-01
from a webroot that nginx serves, the programs in turn, {rounds} rounds; wall times and memory are
medians, CPU times those of the quietest round. Compare the ratios: seconds depend on the machine.

Measured on {machine}, with {curl}.

{table}

How to read it:

- *Requests*: the directory, a nonce, the order, the authorization, the challenge, the authorization
  again, finalize, the order again, the certificate. A poll that has to be repeated is not counted
  in the first line.
- *Requests in flight*: the authorizations of one order are worked on side by side, over one
  connection.
- *Bare libcurl* is a program of 25 lines that fetches the directory (`tests/bench/bare.c`):
  start-up, TLS and its memory are the floor for everybody who uses libcurl.
- *CPU*: half of the instructions certauto runs for one name are mbedTLS computing ECDSA: the new
  key, and a signature for each of seven requests and for the CSR. The other half is, for the most
  part, loading libraries and TLS, as in the bare program; its own code is a hundredth or two.
- Side by side each program issues and keeps what it got in a folder of its own; none deploys. The
  rows above them include certauto's deployment to a directory.
- *1000 orders at once*: on one thread, driven by poll(2) on the context's one descriptor
  (`tests/bench/thousand.c`), each with a new key, against `tests/sim/ca.py` in a process of its
  own; 16 are under way at a time, the others wait in line. "The CA alone" is that process's CPU
  time for the same requests, "our keys and signatures" what mbedTLS needs in that very run for a
  key and seven signatures for each order. Half of what is above the larger of both is one more piece
  of arithmetic: the CA's signature on each certificate is verified before it is accepted, which
  costs as much as two signatures. The line after the ratio counts that as our own work too. The
  rest, about a millisecond for the six requests of an order, is libcurl, TLS and the kernel.
- *Python*: Debian's interpreter, each figure the best of ten fresh ones. libcurl and mbedTLS alone,
  which come with the library, take 6 MiB. An error has all that the C library knows of it.
- uacme opens a connection for each request; lego waits seconds between its polls. Their wall times
  say so; the fair comparison with lego is its CPU time.
"""


def main():
    """Measure, print, perhaps write; returns the exit status."""
    args = [arg for arg in sys.argv[1:] if arg != "--write"]
    if len(args) != 1:
        print(__doc__.strip().splitlines()[2], file=sys.stderr)
        return 2
    exit_on_sigterm()
    if os.path.isdir("/dev/shm"):
        tempfile.tempdir = "/dev/shm"
    with Lab(
        front=lambda lab: Nginx(lab.new_folder("nginx")),
        pebble={"nonce_reject": 0, "authz_reuse": 0},
    ) as lab:
        bench = Bench(lab, args[0])
        bench.requests()
        bench.many_names()
        bench.side_by_side()
        bench.thousand()
        bench.library()
        bench.python()
    print(bench.table())
    if "--write" in sys.argv:
        with open(
            os.path.join(os.path.dirname(TESTS), "docs", "bench.md"), "w", encoding="utf-8"
        ) as file:
            file.write(
                PAGE.format(
                    rounds=ROUNDS,
                    machine=machine(),
                    curl=first_line("curl", "--version").split(" (")[0],
                    table=bench.table(),
                )
            )
    missed = [figure.what for figure in bench.figures if not figure.met]
    for what in missed:
        print(f"missed: {what}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
