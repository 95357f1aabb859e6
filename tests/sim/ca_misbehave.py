"""What a CA can do wrong, by name: MISBEHAVIOURS.

Each row is switched on with ca.misbehave(NAME) and off with ca.behave(). An argument `times` limits
the rows about a request to its first so many occurrences; `seconds` bounds the rows that stall;
`text`, `url` and `retry_after` take the place of what hostile, foreign and busy rows send.
Rows named PLACE-PROBLEM hold for one endpoint or document; rows in the group "harmless" are odd but
allowed: a client must get its certificate nevertheless.
"""

import functools
import json
import time
from dataclasses import dataclass

from . import ca_wrong_chain
from .ca_http import PROBLEM, Answer, Fault, problem

FOREVER = 10**9

ENDPOINTS = {
    "directory": "directory",
    "nonce": "newNonce",
    "new-account": "newAccount",
    "new-order": "newOrder",
    "order": "order",
    "authz": "authz",
    "challenge": "challenge",
    "finalize": "finalize",
    "certificate": "certificate",
    "revoke": "revokeCert",
    "key-change": "keyChange",
    "renewal-info": "renewalInfo",
}
POSTS = [name for name in ENDPOINTS if name not in ("directory", "nonce", "renewal-info")]
ORDERS = ("newOrder", "order", "finalize")

HOSTILE = {
    "shell": "$(touch owned);`touch owned`;touch owned|'\"&&\\",
    "path": "../../../../../../../../etc/passwd",
    "control": "\x1b[2J\x1b]0;owned\x07\r\nInjected: yes\r\n\r\n\x9b31m",
    "bidi": "\u202egpj.exe\u2066\u2069\ufeff",
    "long": "A" * 65536,
    "nul": "before\0after",
    "utf8": "\udcff\udcfe\udcc3(",  # sent as the bytes ff fe c3 28
    "surrogate": "\ud800 alone",
    "format": "%s%n%1000000d{0}${jndi:ldap://x}",
}
FOREIGN = {
    "host": "https://evil.example/stolen",
    "http": "http://127.0.0.1:1/plain",
    "userinfo": "https://user:password@evil.example/x",
    "private": "https://169.254.169.254/latest/meta-data",
    "file": "file:///etc/passwd",
    "control": "https://127.0.0.1/\r\nInjected: yes",
    "nothing": "",
}


@dataclass(frozen=True)
class Misbehaviour:
    """A row: apply(ca, **args) switches it on."""

    description: str
    apply: object
    group: str


MISBEHAVIOURS = {}


def _row(group, name, description, apply):
    if name in MISBEHAVIOURS:
        raise ValueError(f"{name} twice")
    MISBEHAVIOURS[name] = Misbehaviour(description, apply, group)


# ---- the pieces rows are made of ----


def _limited(function, times):
    """The function for its first so many effects, then nothing."""
    left = [times]

    def limited(request, answer):
        if left[0] == 0:
            return None
        found = function(request, answer)
        if found is not None and left[0] is not None:
            left[0] -= 1
        return found

    return limited


def _instead(endpoint, make, times=None):
    """Answer without acting."""

    def apply(ca, times=times, **args):
        ca.on(endpoint, _limited(lambda request, _: make(ca, request, **args), times), before=True)

    return apply


def _after(endpoints, change, times=None, **options):
    """Change the answers to requests that were acted on: change(ca, request, answer)."""

    def apply(ca, times=times, **args):
        ca.change(**options)

        def good(request, answer):
            return change(ca, request, answer, **args) if answer.status < 400 else None

        limited = _limited(good, times)
        for endpoint in [endpoints] if isinstance(endpoints, str) else endpoints:
            ca.on(endpoint, limited)

    return apply


def _wire(endpoint, kind, times=None, **options):
    """A fault on the way back, after acting."""

    def change(_ca, _request, answer, seconds=30.0):
        answer.fault = Fault(kind, seconds)
        return answer

    if kind == "lost-request":
        return _instead(endpoint, lambda *_: Answer(fault=Fault(kind)), times)
    return _after(endpoint, change, times, **options)


def _members(endpoints, times=None, remove=(), **members):
    """Members of the JSON document set or removed."""

    def change(_ca, _request, answer):
        for name in remove:
            answer.body.pop(name, None)
        answer.body.update(members)
        return answer

    return _after(endpoints, change, times)


def _headers(endpoint, headers):
    """Headers set; None for none."""

    def change(_ca, _request, answer):
        answer.headers.update(headers)
        return answer

    return _after(endpoint, change)


def _raw(answer):
    """The document as bytes: hostile text goes out as it is, not as \\u escapes."""
    text = json.dumps(answer.body, ensure_ascii=False)
    try:
        answer.body = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate can only be sent escaped
        answer.body = json.dumps(answer.body).encode()
    return answer


def _text(endpoints, put, kind, **options):
    """Hostile text at the place put(document, text) knows."""

    def change(_ca, _request, answer, text=HOSTILE[kind]):
        put(answer.body, text)
        return _raw(answer)

    return _after(endpoints, change, **options)


def _options(**options):
    """Nothing but other options."""
    return lambda ca, **_args: ca.change(**options)


def _both(*parts):
    """Several at once."""

    def apply(ca, **args):
        for part in parts:
            part(ca, **args)

    return apply


# ---- what is lost or broken on the wire ----


def _wire_rows():
    row = functools.partial(_row, "wire")
    for name in POSTS:
        endpoint, options = ENDPOINTS[name], {"order_async": True} if name == "order" else {}
        for word, times in (("", 1), ("-twice", 2)):
            row(
                f"{name}-reply-lost{word}", "acted on, the answer is lost" + word.replace("-", " "),
                _wire(endpoint, "lost-reply", times, **options),
            )  # fmt: skip
    for name in ("directory", "nonce"):
        row(f"{name}-reply-lost", "the answer is lost", _wire(ENDPOINTS[name], "lost-reply", 1))
    for name in ("new-account", "new-order", "challenge", "finalize", "certificate"):
        row(
            f"{name}-request-lost", "closed before it is acted on",
            _wire(ENDPOINTS[name], "lost-request", 1),
        )  # fmt: skip
    for name in ("directory", "new-order", "finalize", "certificate"):
        row(f"{name}-stalls", "never answered", _wire(ENDPOINTS[name], "stall"))
    row("new-order-reply-always-lost", "acted on each time, never told", _wire(
        "newOrder", "lost-reply"))  # fmt: skip
    row("finalize-reset", "acted on, then RST", _wire("finalize", "reset", 1))
    row("new-order-reset", "acted on, then RST", _wire("newOrder", "reset", 1))
    row("certificate-body-reset", "half a chain, then RST", _wire("certificate", "reset-body", 1))
    row("new-order-body-stalls", "half an order, then silence", _wire("newOrder", "stall-body"))
    for name in ("directory", "new-order", "authz", "finalize", "certificate"):
        row(
            f"{name}-truncated", "half of the body, then closed, each time",
            _wire(ENDPOINTS[name], "truncate"),
        )  # fmt: skip
    row("content-length-too-long", "more is promised than sent", _wire("newOrder", "long-length"))
    row("content-length-too-short", "less than is sent", _wire("newOrder", "short-length"))
    row("content-length-no-number", "Content-Length: twelve", _wire("newOrder", "bad-length"))
    row("chunk-size-no-number", "a chunk of size zz", _wire("newOrder", "bad-chunk"))
    row("answer-not-http", "bytes that are no HTTP", _wire("newOrder", "garbage"))
    row("connection-dies-always", "each answer is lost", _wire("*", "lost-reply"))


# ---- busy, broken ----


def _busy(status, retry_after=None):
    kind = "rateLimited" if status == 429 else "serverInternal"
    headers = {"Link": '<https://ca.example.net/limits>;rel="help"'} if status == 429 else {}
    if retry_after is not None:
        headers["Retry_After"] = retry_after

    def make(_ca, _request, **args):
        more = {"Retry_After": args["retry_after"]} if "retry_after" in args else {}
        return problem(kind, "come back later", status, **{**headers, **more})

    return make


def _edge(_ca, _request):
    """What a load balancer says when the CA behind it is gone."""
    return Answer("<html><h1>503</h1></html>", 503, {"Retry-After": "3600"}, "text/html")


def _busy_rows():
    row = functools.partial(_row, "busy")
    for name, endpoint in ENDPOINTS.items():
        options = _options(order_async=True) if name == "order" else _options()
        for status in (503, 429):
            row(
                f"{name}-{status}-later", f"{status}, Retry-After: 3600",
                _both(options, _instead(endpoint, _busy(status, 3600))),
            )  # fmt: skip
    for name in ("new-order", "challenge", "finalize", "certificate"):
        endpoint = ENDPOINTS[name]
        row(f"{name}-503-once", "503 without Retry-After, once", _instead(endpoint, _busy(503), 1))
        row(f"{name}-500", "500, always", _instead(endpoint, _busy(500)))
    row("new-order-429", "429 without Retry-After, always", _instead("newOrder", _busy(429)))
    row("new-order-503-twice", "503, Retry-After: 1, twice", _instead(
        "newOrder", _busy(503, 1), 2))  # fmt: skip
    row("everything-500", "500 for each request", _instead("*", _busy(500)))
    row("everything-503", "503 for each request", _instead("*", _busy(503)))
    row("edge-503", "503 in HTML without a problem document", _instead("newOrder", _edge))
    for word, value in (
        ("huge", "99999999999999999999"),
        ("negative", "-5"),
        ("zero", "0"),
        ("past", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("nonsense", "tomorrow, perhaps"),
    ):
        row(
            f"new-order-429-retry-after-{word}", f"429, Retry-After: {value}",
            _instead("newOrder", _busy(429, value)),
        )  # fmt: skip
        row(
            f"poll-retry-after-{word}", f"polls three times, Retry-After: {value}",
            _options(processing=3, retry_after=value),
        )  # fmt: skip
    row("authz-processing-forever", "never decided", _options(processing=FOREVER))
    row(
        "order-processing-forever", "never issued",
        lambda ca: (
            ca.change(order_async=True),
            ca.on("finalize", lambda request, _: _never(ca, request)),
        ),
    )  # fmt: skip
    row("order-processing-long", "issued after 4 polls", lambda ca: (
        ca.change(order_async=True),
        ca.on("finalize", lambda request, _: _never(ca, request, 4))))  # fmt: skip


def _never(ca, request, polls=FOREVER):
    order = ca.orders.get(request.url.replace("/finalize/", "/order/"))
    if order:
        order.polls = polls


# ---- nonces ----


def _nonce_rows():
    row = functools.partial(_row, "nonce")
    row("nonce-rejected-always", "badNonce for each request", _options(nonce_reject=1.0))
    row("nonce-rejected-mostly", "badNonce nine times of ten", _options(nonce_reject=0.9))
    row("nonce-missing", "no answer has a nonce, newNonce neither", _headers(
        "*", {"Replay-Nonce": None}))  # fmt: skip
    row("nonce-only-from-new-nonce", "answers to POST have no nonce", lambda ca: ca.on(
        "*", lambda request, answer: _bare(request, answer)))  # fmt: skip
    row("nonce-rejected-bare", "badNonce without a fresh nonce, half of the time", lambda ca: (
        ca.change(nonce_reject=0.5), ca.on("*", _bare_error)))  # fmt: skip
    row("nonce-repeated", "the same nonce in each answer", _repeat)
    for word, value in (
        ("bad-alphabet", "not+base64/url=="),
        ("empty", ""),
        ("huge", "A" * 60000),
        ("hostile", '"},"x":{"\x01\x7f'),
    ):
        row(f"nonce-{word}", "a nonce that cannot be used", _headers("*", {"Replay-Nonce": value}))


def _bare(request, answer):
    if request.method == "POST":
        answer.headers["Replay-Nonce"] = None
    return answer


def _bare_error(request, answer):
    return _bare(request, answer) if answer.status == 400 else None


def _repeat(ca):
    nonce = ca.nonce()
    ca.on("*", lambda request, answer: answer.headers.update({"Replay-Nonce": nonce}))


# ---- certificates ----


def _certificate_rows():
    for name, (description, change, options) in ca_wrong_chain.LEAVES.items():
        _row("certificate", name, description, _leaf(change, options))
    for name, (description, change, options) in ca_wrong_chain.CHAINS.items():
        _row("certificate", name, description, _chain(change, options))


def _leaf(change, options):
    def apply(ca):
        ca.change(**options)
        ca.on_leaf(lambda order, leaf: change(ca, leaf))

    return apply


def _chain(change, options):
    def chain(ca, request, answer):
        url, _, number = request.url.partition("/alternate/")
        cert = ca.certificates[url]
        ders = [cert.leaf, *cert.authority.chains[int(number or 0)]]
        found = change(ca, ders, cert)
        if not isinstance(found, Answer):
            found = Answer(found, 200, answer.headers, answer.type)
        return found

    return _after("certificate", chain, **options)


# ---- hostile text ----


def _into_challenges(member):
    def put(document, text):
        for challenge in document["challenges"]:
            challenge[member] = text

    return put


def _into_member(*path):
    """Puts the text at a member of a member."""

    def put(document, text):
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = text

    return put


def _into_profiles(document, text):
    document["meta"]["profiles"] = {text: text, "classic": text}


def _more_challenge(document, text):
    document["challenges"].insert(0, {"type": text, "url": text, "status": text, "token": text})


def _refusal(member, text):
    def make(_ca, _request, text=text):
        answer = problem("rejectedIdentifier", "no", 403)
        if member == "subproblems":
            answer.body["subproblems"] = [
                {"type": text, "detail": text, "identifier": {"type": text, "value": text}}
            ]
        else:
            answer.body[member] = text
        return _raw(answer)

    return make


def _hostile_rows():
    row = functools.partial(_row, "hostile")
    for kind in HOSTILE:
        row(f"token-{kind}", f"token: {kind}", _text("authz", _into_challenges("token"), kind))
        row(
            f"detail-{kind}", f"a refusal with detail: {kind}",
            _instead("newOrder", _refusal("detail", HOSTILE[kind])),
        )  # fmt: skip
    for member in ("type", "title", "instance", "subproblems"):
        row(
            f"{member}-control", f"a refusal with control characters in {member}",
            _instead("newOrder", _refusal(member, HOSTILE["control"])),
        )  # fmt: skip
    row(
        "subproblems-bidi", "a refusal with bidirectional marks in its subproblems",
        _instead("newOrder", _refusal("subproblems", HOSTILE["bidi"])),
    )  # fmt: skip
    status = _into_member("status")
    row("order-status-hostile", "status: control", _text(ORDERS, status, "control"))
    row("authz-status-hostile", "status: control", _text("authz", status, "control"))
    row("challenge-type-hostile", "one more, of a type with control characters", _text(
        "authz", _more_challenge, "control"))  # fmt: skip
    for kind in ("path", "control", "utf8"):
        row(f"identifier-{kind}", f"identifier: {kind}", _text(
            "authz", _into_member("identifier", "value"), kind))  # fmt: skip
    row("terms-control", "termsOfService: control", _text(
        "directory", _into_member("meta", "termsOfService"), "control"))  # fmt: skip
    row("profiles-control", "profiles: control", _text("directory", _into_profiles, "control"))
    row("explanation-control", "explanationURL: control", _text(
        "renewalInfo", _into_member("explanationURL"), "control"))  # fmt: skip
    for header, endpoint in (("Link", "certificate"), ("Location", "newOrder")):
        for kind in ("control", "path", "long"):
            value = HOSTILE[kind].replace("\r", " ").replace("\n", " ").replace("long", "x")
            value = f"<{value}>;rel=alternate" if header == "Link" else value
            row(
                f"{header.lower()}-{kind}", f"{header} of {endpoint}: {kind}",
                _headers(endpoint, {header: value[:60000]}),
            )  # fmt: skip
    row("header-injected", "a header with a bare CR and a NUL", _headers(
        "newOrder", {"X-Odd": b"a\rb\0c"}))  # fmt: skip


# ---- URLs that lead elsewhere ----


def _foreign(endpoints, put):
    def make(url):
        def change(_ca, _request, answer, url=url):
            put(answer, url)
            return answer

        return _after(endpoints, change)

    return make


def _into(member):
    return lambda answer, url: answer.body.update({member: url})


def _certificate_url(answer, url):
    if "certificate" in answer.body:
        answer.body["certificate"] = url


def _challenge_urls(answer, url):
    for challenge in answer.body["challenges"]:
        challenge["url"] = url


def _foreign_rows():
    places = {
        f"directory-{name}": ("directory", _into(ENDPOINTS[name]))
        for name in ("nonce", "new-account", "new-order", "revoke", "key-change", "renewal-info")
    }
    places.update({
        "account-location": ("newAccount", _location),
        "order-location": ("newOrder", _location),
        "finalize-url": (ORDERS, _into("finalize")),
        "authz-url": (
            ORDERS, lambda answer, url: answer.body.update(authorizations=[url])),
        "certificate-url": (ORDERS, _certificate_url),
        "challenge-url": ("authz", _challenge_urls),
        "alternate-url": ("certificate", _alternate),
    })  # fmt: skip
    for place, (endpoints, put) in places.items():
        whole = place in ("finalize-url", "directory-new-order", "order-location")
        for kind in FOREIGN if whole else ("host", "http"):
            _row(
                "foreign", f"{place}-{kind}", f"leads to {FOREIGN[kind]!r}",
                _foreign(endpoints, put)(FOREIGN[kind]),
            )  # fmt: skip


def _location(answer, url):
    answer.headers["Location"] = url.replace("\r", " ").replace("\n", " ")


def _alternate(answer, url):
    answer.headers["Link"] = [f'<{url}>;rel="alternate"']


# ---- floods ----


def _big(count):
    return {f"member{number}": number for number in range(count)}


def _deep(levels):
    return b'{"status":' + b"[" * levels + b"]" * levels + b"}"


def _body(make):
    """The answer with another body."""

    def change(_ca, _request, answer):
        answer.body = make(answer.body)
        return answer

    return change


def _many_challenges(_ca, _request, answer):
    found = answer.body["challenges"]
    answer.body["challenges"] = [{**found[0], "type": f"odd-{n:03}"} for n in range(300)] + found
    return answer


def _many_authzs(ca, _request, answer):
    answer.body["authorizations"] = [f"{ca.base}/authz/{n}" for n in range(1, 1001)]
    return answer


def _many_alternates(ca, request, answer):
    links = [f"<{request.url}/alternate/{n}>;rel=alternate" for n in range(1, 501)]
    answer.headers["Link"] = [", ".join(links)]
    return answer


def _twin(body):
    return json.dumps(body)[:-1].encode() + b',"status":"valid","status":"ready"}'


def _many_subproblems(_ca, _request):
    one = {"type": "x", "detail": "d" * 50, "identifier": {"type": "dns", "value": "a.example"}}
    return problem("rejectedIdentifier", "many", 403, {"subproblems": [one] * 10000})


def _flood_rows():
    row = functools.partial(_row, "flood")
    for name, endpoint in (("directory", "directory"), ("order", ORDERS), ("authz", "authz")):
        row(f"{name}-16-mib", "16 MiB of JSON", _after(
            endpoint, _body(lambda body: {**body, "padding": "p" * (16 << 20)})))  # fmt: skip
        row(f"{name}-deep", "100,000 arrays in each other", _after(
            endpoint, _body(lambda body: _deep(100_000))))  # fmt: skip
        row(f"{name}-100000-members", "100,000 members", _after(
            endpoint, _body(lambda body: {**body, **_big(100_000)})))  # fmt: skip
        row(f"{name}-twin-members", "a member twice", _after(endpoint, _body(_twin)))
    flood = {f"X-Flood-{number}": "f" * 20 for number in range(10_000)}
    row("headers-10000", "10,000 headers", _headers("newOrder", flood))
    links = [f"<https://ca.example.net/{n}>;rel=x" for n in range(1000)]
    row("links-1000", "1,000 Link headers", _headers("newOrder", {"Link": links}))
    row("header-1-mib", "one header of 1 MiB", _headers("newOrder", {"X-Big": "h" * (1 << 20)}))
    row("alternates-500", "500 alternate chains are offered", _after(
        "certificate", _many_alternates))  # fmt: skip
    row("authorizations-1000", "1,000 authorizations for an order", _after(ORDERS, _many_authzs))
    row("challenges-300", "300 challenges", _after("authz", _many_challenges))
    row("subproblems-10000", "a refusal with 10,000 subproblems", _instead(
        "newOrder", _many_subproblems))  # fmt: skip
    row("detail-1-mib", "a refusal with 1 MiB of detail", _instead(
        "newOrder", lambda *_: problem("malformed", "d" * (1 << 20))))  # fmt: skip


# ---- states and documents that cannot be ----


def _gone(endpoint, status=404):
    return _instead(endpoint, lambda *_: problem("malformed", "no such resource", status))


def _challenges(remove=None, **members):
    """All challenges with other members, or without one."""

    def change(_ca, _request, answer):
        for challenge in answer.body["challenges"]:
            challenge.pop(remove, None)
            challenge.update(members)
        return answer

    return _after("authz", change)


def _changing_token(_ca, _request, answer):
    for challenge in answer.body["challenges"]:
        if "token" in challenge:
            challenge["token"] = f"{time.monotonic_ns():030}aaaaaaaaaaaaa"
    return answer


def _other_location(ca, _request, answer):
    answer.headers["Location"] = f"{ca.base}/account/{time.monotonic_ns()}"
    return answer


def _status(status):
    def change(_ca, _request, answer):
        answer.status = status
        return answer

    return change


def _invalid_order(ca):
    """An order that is reused although it is invalid."""

    def change(request, answer):
        order = ca.orders.get(answer.headers.get("Location"))
        if order:
            order.status = answer.body["status"] = "invalid"
        return answer

    ca.on("newOrder", change)


def _lost_accounts(ca):
    """The database of the CA was restored from before the account was made."""
    ca.on("newAccount", lambda *_: ca.forget_accounts())


_not_ready = _instead("finalize", lambda *_: problem("orderNotReady", "not yet", 403))


def _order_rows():
    row = functools.partial(_row, "state")
    row("order-status-unknown", "status frozen", _members(ORDERS, status="frozen"))
    row("order-status-number", "status 7", _members(ORDERS, status=7))
    row("order-valid-without-certificate", "valid at once, no URL", _members(
        ORDERS, remove=["certificate"], status="valid"))  # fmt: skip
    row("order-without-finalize", "no finalize URL", _members(ORDERS, remove=["finalize"]))
    row("order-without-authorizations", "no authorizations", _members(
        ORDERS, remove=["authorizations"]))  # fmt: skip
    row("order-without-identifiers", "no identifiers", _members(ORDERS, remove=["identifiers"]))
    row("order-without-status", "no status", _members(ORDERS, remove=["status"]))
    row("order-for-other-names", "identifiers of another order", _members(
        ORDERS, identifiers=[{"type": "dns", "value": "other.example"}]))  # fmt: skip
    row("order-expired", "expires in the past", _members(ORDERS, expires="2001-01-01T00:00:00Z"))
    row("order-expires-nonsense", "expires: soon", _members(ORDERS, expires="soon"))
    row("order-pending-forever", "never ready", _both(
        _members(("newOrder", "order"), status="pending"), _not_ready))  # fmt: skip
    row("order-ready-again", "ready after finalize, without end", _members(
        ("order", "finalize"), status="ready", remove=["certificate"]))  # fmt: skip
    row("order-invalid-without-error", "invalid, nothing is said", _members(
        ("order", "finalize"), status="invalid", remove=["error"]))  # fmt: skip
    row("order-reused-invalid", "newOrder gives an order that is invalid", _invalid_order)
    row("order-gone", "404 when it is asked for", _both(_options(order_async=True), _gone("order")))
    row("new-order-not-json", "201 with text", _after(
        "newOrder", lambda *_: Answer("thank you", 201, type="text/plain")))  # fmt: skip
    row("new-order-array", "201 with an array", _after("newOrder", _body(lambda body: [body])))
    row("new-order-html-type", "an order as text/html", _after(
        "newOrder", lambda ca, request, answer: Answer(
            answer.body, 201, answer.headers, "text/html")))  # fmt: skip
    row("new-order-204", "204 without a body", _after(
        "newOrder", lambda ca, request, answer: Answer(b"", 204, answer.headers)))  # fmt: skip
    row("new-order-redirected", "a POST is redirected", _instead(
        "newOrder", lambda ca, _: Answer(b"", 307, {"Location": ca.base + "/new-order"})))
    row("new-order-without-location", "201 without Location", _headers(
        "newOrder", {"Location": None}))  # fmt: skip


def _account_rows():
    row = functools.partial(_row, "state")
    row("account-without-location", "201 without Location", _headers(
        "newAccount", {"Location": None}))  # fmt: skip
    row("account-moves", "another account URL each time", _after("newAccount", _other_location))
    row("account-revoked", "made with status revoked", _members("newAccount", status="revoked"))
    row("account-forgotten", "made, then not known", _lost_accounts)
    row("account-refused", "unauthorized for each new account", _instead(
        "newAccount", lambda *_: problem("unauthorized", "go away", 403)))  # fmt: skip


def _authz_rows():
    row = functools.partial(_row, "state")
    row("authz-for-other-name", "the authorization of another name", _members(
        "authz", identifier={"type": "dns", "value": "other.example"}))  # fmt: skip
    row("authz-without-identifier", "no identifier", _members("authz", remove=["identifier"]))
    row("authz-wildcard-lie", "wildcard: true for a plain name", _members("authz", wildcard=True))
    row("authz-status-unknown", "status undecided", _members("authz", status="undecided"))
    row("authz-without-challenges", "no member challenges", _members(
        "authz", remove=["challenges"]))  # fmt: skip
    row("authz-no-challenges", "an empty list", _members("authz", challenges=[]))
    row("authz-revoked", "revoked before it was tried", _members("authz", status="revoked"))
    row("authz-gone", "404", _gone("authz"))
    row("challenge-gone", "404 when it is answered", _gone("challenge"))
    row("challenge-refused", "malformed when it is answered", _gone("challenge", 400))
    row("challenge-without-token", "no token", _challenges(remove="token"))
    row("challenge-token-short", "a token of 8 characters", _challenges(token="short-ab"))
    row("challenge-token-changes", "another token each time", _after("authz", _changing_token))
    row("challenge-without-url", "no url", _challenges(remove="url"))
    row("challenge-types-unknown", "only types nobody knows", _challenges(type="odd-01"))
    row("validation-fails", "each answer is found wrong", _options(validate=lambda _: False))


def _refusal_rows():
    row = functools.partial(_row, "state")
    row("finalize-bad-csr", "badCSR, always", _instead(
        "finalize", lambda *_: problem("badCSR", "we do not like it")))  # fmt: skip
    row("finalize-not-ready", "orderNotReady, always", _not_ready)
    row("finalize-certificate-gone", "valid, but the certificate is 404", _gone("certificate"))
    row("problem-html", "a refusal as HTML", _instead(
        "newOrder", lambda *_: Answer("<h1>no</h1>", 403, type="text/html")))  # fmt: skip
    row("problem-empty", "403 without a body", _instead(
        "newOrder", lambda *_: Answer(b"", 403, type=PROBLEM)))  # fmt: skip
    row("problem-broken-json", "403 with half a problem document", _instead(
        "newOrder", lambda *_: Answer('{"type":"urn:', 403, type=PROBLEM)))  # fmt: skip
    row("problem-nulls", "a problem document of nulls", _instead(
        "newOrder", lambda *_: Answer(
            {"type": None, "detail": None, "subproblems": None}, 400, type=PROBLEM)))  # fmt: skip
    row("status-600", "a status that is none", _instead("newOrder", lambda *_: Answer("x", 600)))


# ---- the directory, alternates, renewal information ----


def _without(member):
    return _members("directory", remove=[member])


def _redirect(where):
    return _instead("directory", lambda ca, _: Answer(b"", 302, {"Location": where}))


def _renewal(body, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return _after("renewalInfo", lambda *_: Answer(body, 200, headers))


def _window(start, end):
    return {"suggestedWindow": {"start": start, "end": end}}


def _other_rows():
    row = functools.partial(_row, "directory")
    row("directory-html", "a page", _after(
        "directory", lambda *_: Answer("<html>hello</html>", type="text/html")))  # fmt: skip
    row("directory-empty", "{}", _after("directory", lambda *_: Answer({})))
    row("directory-array", "[]", _after("directory", lambda *_: Answer("[]")))
    row("directory-null-urls", "null for newOrder", _members("directory", newOrder=None))
    row("directory-404", "404", _gone("directory"))
    row("directory-without-new-order", "no newOrder", _without("newOrder"))
    row("directory-without-new-nonce", "no newNonce", _without("newNonce"))
    row("directory-without-new-account", "no newAccount", _without("newAccount"))
    row("directory-redirect-loop", "302 to itself", _redirect("/directory"))
    row("directory-redirect-http", "302 to http", _redirect("http://127.0.0.1:1/directory"))
    row("directory-redirect-foreign", "302 elsewhere", _redirect("https://evil.example/dir"))
    row = functools.partial(_row, "renewal")
    row("renewal-info-html", "a page", _after(
        "renewalInfo", lambda *_: Answer("<html>", type="text/html")))  # fmt: skip
    row("renewal-info-reversed", "end before start", _renewal(
        _window("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z")))  # fmt: skip
    row("renewal-info-nonsense", "no dates", _renewal(_window("soon", "later"), Retry_After="60"))
    row("renewal-info-empty", "{}", _renewal({}))
    row("renewal-info-past", "a window in 1990, always", _renewal(
        _window("1990-01-01T00:00:00Z", "1990-01-02T00:00:00Z"), Retry_After="0"))  # fmt: skip
    row("renewal-info-retry-huge", "Retry-After of a century", _renewal(
        _window("2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"), Retry_After="3153600000"))
    row("renewal-info-404", "404", _gone("renewalInfo"))
    row("renewal-info-replaced", "newOrder with replaces: alreadyReplaced", _refuse_replaces(409))
    row("renewal-info-not-yours", "newOrder with replaces: unauthorized", _refuse_replaces(403))


def _refuse_replaces(status):
    def make(_ca, request):
        if b'"replaces"' not in request.payload:
            return None
        return problem({409: "alreadyReplaced"}.get(status, "unauthorized"), "replaces", status)

    return _instead("newOrder", make)


# ---- odd, but allowed ----


def _redirect_once(_ca, request):
    return None if request.query else Answer(b"", 302, {"Location": "/directory?once"})


def _nulls(_ca, _request, answer):
    answer.body["meta"] = None
    return answer


def _harmless_rows():
    row = functools.partial(_row, "harmless")
    row("answers-dribble", "one byte at a time", _wire("*", "dribble"))
    row("connection-closed-each-time", "keep-alive in name only", _wire("*", "close"))
    row("chunked", "chunked bodies with chunk extensions", _options(chunked=True))
    row("directory-redirect-once", "302 to a directory", _instead("directory", _redirect_once))
    row("directory-meta-null", "meta: null", _after("directory", _nulls, terms=None))
    row("new-order-200", "200 instead of 201", _after("newOrder", _status(200)))
    row("new-account-200", "200 instead of 201", _after("newAccount", _status(200)))
    row("finalize-201", "201 instead of 200", _after("finalize", _status(201)))
    row("authz-valid-already", "nothing is left to prove", _valid_already)
    row("order-slow", "processing for two polls", _options(order_async=True, processing=2))
    row("poll-retry-after-alternates", "Retry-After as seconds and as dates", _options(
        processing=2, retry_after="alternate"))  # fmt: skip
    row("alternates-3", "three more chains", _options(alternates=3))
    row("alternate-500", "alternates that cannot be had", _both(
        _options(alternates=2), _instead("certificate", _no_alternates)))  # fmt: skip
    row("chain-of-4", "leaf and three intermediates", _options(chain_length=3))
    row("chain-rsa", "an RSA issuer", _options(key_type="rsa"))
    row("order-null-members", "null for what may be missing", _members(
        ORDERS, error=None, notBefore=None, profile=None))  # fmt: skip
    row("order-100-kib", "100 KiB of JSON nobody knows", _after(
        ORDERS, _body(lambda body: {**body, "padding": ["p" * 500] * 200})))  # fmt: skip
    row("order-reused", "an equal open order is given back", _options(order_reuse=True))


def _no_alternates(_ca, request):
    return problem("serverInternal", "broken", 500) if "/alternate/" in request.url else None


def _valid_already(ca):
    def change(_request, answer):
        order = ca.orders.get(answer.headers.get("Location"))
        if order and order.status == "pending":
            for authz in order.authzs:
                authz.status = authz.challenges[0].status = "valid"
            answer.body = ca.advance(order).document()
        return answer

    ca.on("newOrder", change)


for _make in (
    _wire_rows, _busy_rows, _nonce_rows, _certificate_rows, _hostile_rows, _foreign_rows,
    _flood_rows, _order_rows, _account_rows, _authz_rows, _refusal_rows, _other_rows,
    _harmless_rows,
):  # fmt: skip
    _make()
