"""The simulated CA on a bad day, as a program, and with clients that others wrote."""

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from struck import sampled

from real import ports
from real.proc import Server
from sim import ca_pki
from sim.acme_client import (  # noqa: F401
    Client,
    Key,
    links,
    make_csr,
    revocation,
    rollover,
    ca_fixture,
    client_fixture,
    pair_fixture,
    tls_fixture,
    web_fixture,
)
from sim.ca import CA, MISBEHAVIOURS, Answer, Fault, problem
from sim.ca_jws import public_bytes

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# ---- trouble on demand ----


def test_nonce_reject__refuses_good_nonces(ca, client):
    ca.nonce_reject = 0.9
    replies = [client.post(client.kid) for _ in range(100)]
    refused = [reply for reply in replies if reply.error == (400, "badNonce")]
    assert 75 < len(refused) < 100 and all(reply.headers["Replay-Nonce"] for reply in refused)


def test_rate_limit__passes_so_many(ca, client):
    ca.rate_limits = {"newOrder": (2, 30)}
    replies = [client.order("www.example.org") for _ in range(4)]
    assert [reply.status for reply in replies] == [201, 201, 429, 429]
    assert replies[2].error == (429, "rateLimited") and replies[2].headers["Retry-After"] == "30"
    assert links(replies[2], "help") == ["https://ca.example.net/limits"]
    clock = time.time() + 31
    ca.now = lambda: clock
    assert client.order("www.example.org").status == 201


def test_chunked__bodies(ca, client):
    ca.chunked = True
    reply = client.get(ca.directory)
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert reply.json["newOrder"].startswith(ca.base)


def test_delay__of_each_answer(ca, client):
    ca.delay_ms = 100
    started = time.monotonic()
    assert client.post(client.kid).status == 200
    assert time.monotonic() - started >= 0.1


def test_connections__are_dropped_and_counted(ca, client):
    ca.drop_connections()
    with pytest.raises(NOTHING):
        client.post(client.kid)
    client.close()
    assert client.post(client.kid).status == 200
    other = Client(ca)
    other.close()
    assert ca.counts["connections"] == 3 and ca.connections_max == 2


def test_misbehave__takes_arguments(ca, client):
    ca.misbehave("detail-shell", text="other words", times=1)
    assert client.order("a.example.org").json["detail"] == "other words"
    assert client.order("a.example.org").status == 201
    ca.misbehave("finalize-url-host", url="https://127.0.0.1:1/")
    assert client.order("b.example.org").json["finalize"] == "https://127.0.0.1:1/"
    ca.misbehave("new-order-429-later", retry_after=7)
    assert client.order("c.example.org").headers["Retry-After"] == "7"


def test_script__answers_in_place_or_on_top(ca, client):
    ca.script["newOrder"] = [
        problem("serverInternal", "no", 500, Retry_After=5),
        None,
        lambda regular: Answer({**regular.body, "odd": 1}, 200),
    ]
    first = client.order("a.example.org")
    assert first.error == (500, "serverInternal") and first.headers["Retry-After"] == "5"
    assert client.order("a.example.org").status == 201
    for _ in range(2):
        reply = client.order("a.example.org")
        assert reply.status == 200 and reply.json["odd"] == 1
    assert ca.counts["orders made"] == 3 and ca.counts["newOrder"] == 4


def test_hooks__before_and_after(ca, client):
    ca.on("newOrder", lambda request, _: problem("dns"), before=True)
    assert client.order("a.example.org").error == (400, "dns")
    assert ca.counts["orders made"] == 0
    ca.behave()
    ca.on("*", lambda request, answer: Answer(answer.body, 299) if request.account else None)
    assert client.order("a.example.org").status == 299 and ca.counts["orders made"] == 1
    ca.behave()
    assert client.order("a.example.org").status == 201


NOTHING = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError)
WIRE = {
    # What the client sees, whether the CA acted.
    "lost-request": (NOTHING, 0),
    "lost-reply": (NOTHING, 1),
    "reset": (NOTHING, 1),
    "reset-body": ((ConnectionError, http.client.IncompleteRead), 1),
    "stall": (TimeoutError, 1),
    "stall-body": (TimeoutError, 1),
    "truncate": (http.client.IncompleteRead, 1),
    "long-length": (TimeoutError, 1),
    "bad-chunk": (http.client.HTTPException, 1),
    "garbage": (http.client.BadStatusLine, 1),
}


@pytest.mark.parametrize("kind", WIRE)
def test_fault__on_the_wire(ca, client, kind):
    error, made = WIRE[kind]
    ca.script["newOrder"] = [Fault(kind), None]
    if error is TimeoutError:
        client.link.sock.settimeout(0.3)
    with pytest.raises(error):
        client.order("a.example.org")
    assert ca.counts["orders made"] == made
    client.close()
    client.nonces.clear()
    assert client.order("a.example.org").status == 201


def test_fault__that_still_answers(ca, client):
    ca.script["newOrder"] = [Fault("dribble"), Fault("close"), Fault("short-length"), None]
    assert client.order("a.example.org").status == 201
    assert client.order("a.example.org").status == 201
    client.close()
    with pytest.raises(json.JSONDecodeError):
        client.order("a.example.org").json  # pylint: disable=expression-not-assigned
    client.close()
    assert client.order("a.example.org").status == 201


def test_fault__of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError):
        Fault("odd")


def test_misbehaviours__are_many_and_described():
    assert len(MISBEHAVIOURS) >= 80
    certificates = [row for row in MISBEHAVIOURS.values() if row.group == "certificate"]
    assert len(certificates) >= 20
    for name, row in MISBEHAVIOURS.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert row.description and "\n" not in row.description


def life(cert):
    """From when to when; newer versions of the library warn about the older names."""
    if hasattr(cert, "not_valid_before_utc"):
        return cert.not_valid_before_utc, cert.not_valid_after_utc
    return cert.not_valid_before, cert.not_valid_after


def described(chain):
    """What a chain says, without what differs each time."""
    shown = []
    if len(chain) > 1 << 20:
        return "giant"
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----\n[^:]*?-----END CERTIFICATE-----\n", chain)
    try:
        certs = [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError:
        return "broken"
    for cert, above in zip(certs, [*certs[1:], None]):
        signed = True
        try:
            if above:
                ca_pki.check_signature(cert, above.public_key())
        except InvalidSignature:
            signed = False
        ours = public_bytes(cert.public_key()) == public_bytes(WALK_KEY.public_key())
        names = {type(one.value).__name__: one.critical for one in cert.extensions}
        san = re.findall("DNSName[^)]*", repr(cert.extensions))
        shown.append((
            cert.issuer.rfc4514_string(), cert.subject.rfc4514_string(), life(cert),
            cert.signature_algorithm_oid.dotted_string, signed, names, san,
            ours, "ca=True" in repr(cert.extensions),
            "clientAuth" in repr(cert.extensions),
        ))  # fmt: skip
    outside = re.sub(rb"(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", b"", chain)
    return outside, shown


class Walker(Client):
    """A client that does all there is to do once and writes down what it sees."""

    def __init__(self, ca):
        self.seen, self.used = [], {None}
        super().__init__(ca)

    def raw(self, method, url, body=None, headers=None):
        self.link.timeout = 0.15  # for those that stall
        reply = super().raw(method, url, body, headers)
        nonce = reply.headers["Replay-Nonce"]
        kind = nonce and bool(re.fullmatch(r"[A-Za-z0-9_-]{22}", nonce))
        shown = reply.body
        if reply.headers["Content-Type"] == "application/pem-certificate-chain":
            shown = described(reply.body)
        headers = [
            one for one in reply.headers.items()
            if one[0] not in ("Date", "Content-Length", "Replay-Nonce")
        ]  # fmt: skip
        length = reply.headers["Content-Length"]
        framing = length and length.isdigit()
        self.seen.append((reply.status, headers, kind, nonce in self.used, framing, shown))
        self.used.add(nonce)
        return reply

    def walk(self):
        """From the account to the revocation."""
        self.register()
        order = self.order("www.example.org", "two.example.org")
        self.order("www.example.org", "two.example.org")
        assert order.json["status"] == "pending"
        for url in order.json["authorizations"]:
            self.post(self.challenge(url)["url"], {})
            self.post(url)
        key = WALK_KEY
        self.finalize(order, make_csr(["www.example.org", "two.example.org"], key=key))
        done = self.post(order.location).json
        self.post(done["certificate"])
        cert = self.ca.certificates[done["certificate"]]
        self.get(f"{self.urls['renewalInfo']}/{cert.id}")
        self.order("www.example.org", replaces=cert.id)
        self.post(self.urls["revokeCert"], revocation(cert))
        rollover(self, Key())


WALK_KEY = ca_pki.new_key()


def walked(ca):
    """What a walk saw, up to the first surprise, without what differs each time."""
    ca.now = lambda: 1.8e9
    seen, walker = [], None
    try:
        walker = Walker(ca)
        seen = walker.seen
        walker.walk()
    except Exception as error:  # pylint: disable=broad-except
        seen.append(type(error))
    if walker:
        walker.close()
    text = repr(seen).replace(ca.base, "BASE")
    tokens = {}
    text = re.sub(
        r'(?<="token": ")[A-Za-z0-9_-]{43}(?=")',
        lambda found: f"TOKEN {tokens.setdefault(found[0], len(tokens))}",
        text,
    )
    return re.sub(r'"replaces": "[^"]*"', "REPLACES", text)


# Seen only by a client that looks at how bytes come.
UNSEEN = {"answers-dribble": "test_fault__that_still_answers"}


@pytest.fixture(scope="module", name="usual")
def _usual(tls, pair, tmp_path_factory):
    """Two walks where nothing is wrong: they must be equal, or the next test proves nothing."""
    seen = []
    for _ in range(2):
        with CA(str(tmp_path_factory.mktemp("usual")), tls, *pair, validate=False) as ca:
            seen.append(walked(ca))
    assert seen[0] == seen[1]
    assert seen[0].count("b'{") > 10 and "REPLACES" in seen[0]
    return seen[0]


@pytest.mark.parametrize(
    "name", sampled((name for name in MISBEHAVIOURS if name not in UNSEEN), 5)
)
def test_misbehaviour__is_seen(ca, usual, name):
    ca.misbehave(name)
    assert walked(ca) != usual


def test_misbehave__is_switched_off_again(ca, usual):
    for name in MISBEHAVIOURS:
        ca.misbehave(name)
    ca.behave()
    assert walked(ca) == usual


# ---- as a program, and for others ----


class Program(Server):
    """tests/sim/ca.py in a process of its own."""

    def __init__(self, folder, **options):
        argv = [
            sys.executable, "-B", os.path.join(TESTS, "sim", "ca.py"), "--folder", folder,
            "--options", json.dumps(options),
        ]  # fmt: skip
        super().__init__("ca", argv, folder)

    def ready(self):
        found = re.search(r"^\{.*\}$", self.log(), re.M)
        if found:
            self.said = json.loads(found[0])
        return bool(found)

    @property
    def directory(self):
        """As CA has it."""
        return self.said["directory"]

    @property
    def ca_file(self):
        """As CA has it."""
        return self.said["ca_file"]


def test_program__serves_counts_and_ends(tmp_path):
    with Program(str(tmp_path), validate=False) as program:
        client = Client(program)
        client.register()
        order = client.ready("www.example.org")
        assert client.finalize(order, make_csr(["www.example.org"])).json["status"] == "valid"
        base = program.directory.rpartition("/")[0]
        counts = client.get(base + "/counts").json
        assert counts["certificates issued"] == 1 and counts["connections_max"] == 1
        cpu = client.get(base + "/cpu").json
        assert 0 < cpu["busy_s"] < cpu["cpu_s"]
        client.close()
        process = program.process
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def run(argv, folder, **env):
    """Another ACME client; returns what it printed."""
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(name="strict")
def _strict(tmp_path, tls, pair):
    """A CA that really validates, with a port for the client's own web server."""
    port = ports.free_port()
    with CA(str(tmp_path), tls, *pair, http_address=f"127.0.0.1:{port}") as ca:
        ca.port = port
        yield ca


def one_certificate(ca, path, *names):
    """The CA has issued this file, after it looked."""
    with open(path, "rb") as file:
        leaf = x509.load_pem_x509_certificate(file.read())
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(found.get_values_for_type(x509.DNSName)) == set(names)
    assert ca.counts["certificates issued"] == ca.counts["orders made"] == 1
    assert ca.counts["challenges validated"] == len(names) and ca.counts["accounts made"] == 1
    refused = {name: n for name, n in ca.counts.items() if name.startswith("problem ")}
    # uacme asks first whether it has an account.
    assert refused.keys() <= {"problem badNonce", "problem accountDoesNotExist"}, refused


@pytest.mark.skipif(not shutil.which("lego"), reason="lego is not installed")
def test_lego__gets_a_certificate(strict, tmp_path):
    run(
        [
            "lego", "--server", strict.directory, "--accept-tos", "--email", "a@example.org",
            "--path", str(tmp_path / "lego"), "--http", "--http.port",
            f"127.0.0.1:{strict.port}", "--domains", "a.example.org", "--domains",
            "b.example.org", "run",
        ],
        tmp_path, LEGO_CA_CERTIFICATES=strict.ca_file,
    )  # fmt: skip
    path = tmp_path / "lego" / "certificates" / "a.example.org.crt"
    one_certificate(strict, path, "a.example.org", "b.example.org")


@pytest.mark.skipif(not shutil.which("certbot"), reason="certbot is not installed")
def test_certbot__gets_a_certificate(strict, tmp_path):
    folders = [f"--{kind}-dir={tmp_path}/{kind}" for kind in ("config", "work", "logs")]
    run(
        [
            "certbot", "certonly", "--standalone", "--server", strict.directory, *folders,
            "--http-01-port", str(strict.port), "--http-01-address", "127.0.0.1", "--agree-tos",
            "-m", "a@example.org", "--no-eff-email", "--non-interactive", "-d", "a.example.org",
            "-d", "b.example.org",
        ],
        tmp_path, REQUESTS_CA_BUNDLE=strict.ca_file,
    )  # fmt: skip
    path = tmp_path / "config" / "live" / "a.example.org" / "cert.pem"
    one_certificate(strict, path, "a.example.org", "b.example.org")


HOOK = """#!/bin/sh
# uacme's hook: begin|done|failed METHOD NAME TOKEN KEY-AUTHORIZATION
[ "$2" = http-01 ] || exit 1
case $1 in
begin) printf %s "$5" >"{folder}/$4" ;;
*) rm -f "{folder}/$4" ;;
esac
"""
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.mark.skipif(not shutil.which("uacme"), reason="uacme is not installed")
def test_uacme__gets_a_certificate(strict, tmp_path, web):
    # uacme cannot be given a CA file: ours takes the place of the system's, for it alone.
    prefix = [
        "unshare", "-m", "sh", "-c", f'mount --bind "$0" {SYSTEM_BUNDLE} && exec "$@"',
        strict.ca_file,
    ]  # fmt: skip
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("uacme needs a mount of its own, which is not permitted here")
    folder = tmp_path / "challenges"
    folder.mkdir()
    hook = tmp_path / "hook"
    hook.write_text(HOOK.format(folder=folder), encoding="ascii")
    hook.chmod(0o755)
    strict.http_address = web.address
    web.pages = Folder(folder)
    base = [*prefix, "uacme", "-y", "-a", strict.directory, "-c", str(tmp_path / "uacme")]
    run([*base, "new", "a@example.org"], tmp_path)
    run([*base, "-h", str(hook), "-t", "EC", "issue", "a.example.org", "b.example.org"], tmp_path)
    path = tmp_path / "uacme" / "a.example.org" / "cert.pem"
    one_certificate(strict, path, "a.example.org", "b.example.org")


class Folder:
    """Pages that are files."""

    def __init__(self, path):
        self.path = path

    def get(self, path, otherwise):
        """The page, or otherwise."""
        file = self.path / path.rpartition("/")[2]
        return (200, {}, file.read_bytes()) if file.is_file() else otherwise
