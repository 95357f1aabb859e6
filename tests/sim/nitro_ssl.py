"""sslcertkey and what it is linked and bound to; keys and requests made on the device."""

import re
from ipaddress import ip_address

from . import nitro_certs as certs
from .nitro_config import check_name, choice, flag, number, verb
from .nitro_errors import NitroError
from .nitro_files import resolve, store
from .nitro_vservers import find_ssl_vserver

ADD = (
    "password passplain inform fipskey expirymonitor notificationperiod bundle "
    "deletecertkeyfilesonremoval"
)


def _input(call, name, label):
    path = resolve(name, call.partition)
    content = call.node.files.get(path)
    if content is None:
        raise NitroError(1647, f"{label}, {name}")
    return content


def load(read, args, nitro, key=None):
    """(certificate in PEM, key in PEM or None, warning) of the files that args name.

    read(name, label) gives what is in a file. key: the one in use, where args name none.
    """
    inform = choice(args, "inform", ("PEM", "DER", "PFX"), "PEM")
    password = args.get("passplain")
    if flag(args, "password") and password is None:
        raise NitroError(1093, "password, passplain")
    content = read(args["cert"], "cert")
    if inform == "PFX":
        cert, key = certs.from_pfx(content, password)
        return cert, key, certs.validity(certs.certificate(cert), nitro.now())[0]
    parsed = certs.certificate(content, inform)
    cert = parsed.public_bytes(certs.PEM)
    if args.get("key"):
        content = read(args["key"], "key")
        if not nitro.pkcs8 and b"BEGIN PRIVATE KEY" in content:
            raise NitroError(1537)
        key = certs.plain_pem(certs.private_key(content, password, inform))
    if key:
        certs.check_pair(cert, key)
    return cert, key, certs.validity(parsed, nitro.now())[0]


def parsed(pair):
    """The certificate of an object."""
    return certs.certificate(pair["_cert"])


def show_pair(call, pair):
    """Without what is the device's own."""
    result = {name: value for name, value in pair.items() if not name.startswith("_")}
    if call.nitro.absolute_paths:
        for name in ("cert", "key"):
            if name in result:
                result[name] = resolve(result[name], call.partition)
    if pair["_pass"]:
        result["passcrypt"] = "*" * 16
    return {**result, **certs.shown(pair["_cert"], call.nitro.now())}


def _check_pair_name(call, name):
    check_name(name)
    if len(name) > call.nitro.name_max:
        raise NitroError(1106, f"certkey, {call.nitro.name_max}")


@verb(
    "POST", "sslcertkey", "add ssl certKey", required="certkey cert", optional="key " + ADD,
    positional="certkey", status=201,
)  # fmt: skip
def add(call):
    """From files that are on the device."""
    args, pairs = call.args, call.table()
    name = args["certkey"]
    _check_pair_name(call, name)
    if name in pairs:
        raise NitroError(273, f"certkeyName, {name}")
    number(args, "notificationperiod", 10, 100)
    cert, key, warning = load(lambda f, label: _input(call, f, label), args, call.nitro)
    if not key:
        for other, pair in pairs.items():
            if pair["_cert"] == cert and not pair["_key"]:
                raise NitroError(273, f"certkeyName Contents, {other}")
    _warn(call, warning, name)
    pairs[name] = {
        "certkey": name, "cert": args["cert"], **({"key": args["key"]} if args.get("key") else {}),
        "inform": args.get("inform", "PEM"), "expirymonitor": args.get("expirymonitor", "ENABLED"),
        "notificationperiod": str(args.get("notificationperiod", 30)),
        "_cert": cert, "_key": key, "_pass": args.get("passplain"),
        "_remove": args.get("deletecertkeyfilesonremoval", "NO"),
    }  # fmt: skip


def _warn(call, code, name):
    if code:
        call.warn(code, name)


@verb(
    "POST", "sslcertkey", "update ssl certKey", "update", required="certkey",
    optional="cert key password passplain inform fipskey nodomaincheck", positional="certkey",
)  # fmt: skip
def update(call):
    """In place: bindings stay, links only where they still fit."""
    args = call.args
    pair = call.find(args["certkey"], code=1540, label="certkeyName")
    merged = {"cert": pair["cert"], "inform": pair["inform"], **args}
    cert, key, warning = load(
        lambda f, label: _input(call, f, label), merged, call.nitro, pair["_key"]
    )
    old, new = parsed(pair), certs.certificate(cert)
    if certs.common_name(old) != certs.common_name(new) and not flag(args, "nodomaincheck"):
        raise NitroError(3585, args["certkey"])
    pair.update(cert=merged["cert"], inform=merged["inform"], _cert=cert, _key=key)
    if args.get("key"):
        pair.update(key=args["key"], _pass=args.get("passplain"))
    if _break_links(call, pair):
        call.warn({1589: 1590, 1588: 1591}.get(warning, 1587), args["certkey"])
    else:
        _warn(call, warning, args["certkey"])


def _break_links(call, changed):
    """Drop the links from and to a pair that do not hold any more."""
    broken = False
    for pair in call.table().values():
        above = pair.get("linkcertkeyname")
        if above and changed in (pair, call.table()[above]):
            if not certs.issued(parsed(call.table()[above]), parsed(pair)):
                del pair["linkcertkeyname"]
                broken = True
    return broken


@verb(
    "PUT", "sslcertkey", "set ssl certKey", required="certkey",
    optional="expirymonitor notificationperiod", positional="certkey",
)  # fmt: skip
def change(call):
    """Not the certificate: that is an update."""
    pair = call.find(call.args["certkey"], code=1540, label="certkeyName")
    number(call.args, "notificationperiod", 10, 100)
    pair.update({name: str(value) for name, value in call.args.items()})


@verb(
    "POST", "sslcertkey", "link ssl certKey", "link", required="certkey linkcertkeyname",
    positional="certkey linkcertkeyname",
)  # fmt: skip
def link(call):
    """To the certificate that issued it."""
    name, above = call.args["certkey"], call.args["linkcertkeyname"]
    pair = call.find(name, code=1540, label="certkeyName")
    issuer = call.find(above, code=1540, label="linkCertKeyName")
    if pair is issuer:
        raise NitroError(1543)
    if pair.get("linkcertkeyname"):
        raise NitroError(273, f"linkCertKeyName, {pair['linkcertkeyname']}")
    at = issuer
    while at.get("linkcertkeyname"):
        at = call.table()[at["linkcertkeyname"]]
        if at is pair:
            raise NitroError(1677)
    if not certs.issued(parsed(issuer), parsed(pair)):
        raise NitroError(1548)
    pair["linkcertkeyname"] = above


@verb(
    "POST", "sslcertkey", "unlink ssl certKey", "unlink", required="certkey", positional="certkey"
)
def unlink(call):
    """From whatever it is linked to."""
    pair = call.find(call.args["certkey"], code=1540, label="certkeyName")
    if not pair.pop("linkcertkeyname", None):
        raise NitroError(1545)


def referenced(call, name):
    """Is it bound, or linked to?"""
    bindings = call.table("sslvserver_sslcertkey_binding").values()
    return any(one["certkeyname"] == name for one in bindings) or any(
        pair.get("linkcertkeyname") == name for pair in call.table("sslcertkey").values()
    )


@verb("DELETE", "sslcertkey", "rm ssl certKey")
def remove(call):
    """Not while something refers to it. A link of its own goes with it."""
    pair = call.find(call.name, code=1540, label="certkeyName")
    if referenced(call, call.name):
        raise NitroError(1541, call.name)
    del call.table()[call.name]
    if pair["_remove"] == "ALWAYS":
        for name in ("cert", "key"):
            if name in pair:
                call.node.files.pop(resolve(pair[name], call.partition), None)


@verb("GET", "sslcertkey", "show ssl certKey")
def show(call):
    """One or all."""
    if call.name is not None:
        return [show_pair(call, call.find(call.name, code=1540, label="certkeyName"))]
    return [show_pair(call, pair) for pair in call.table().values()]


@verb("GET", "sslcertlink", "show ssl certLink")
def show_links(call):
    """All links."""
    return [
        {"certkeyname": name, "linkcertkeyname": pair["linkcertkeyname"]}
        for name, pair in call.table("sslcertkey").items()
        if pair.get("linkcertkeyname")
    ]


@verb("GET", "sslcertchain_binding", "show ssl certChain")
def show_chain(call):
    """What is sent along with a certificate."""
    pair = call.find(call.name, "sslcertkey", 1540, "certkeyName")
    chain = []
    while above := pair.get("linkcertkeyname"):
        pair = call.table("sslcertkey")[above]
        chain.append(
            {
                "certkeyname": call.name, "linkcertkeyname": above, "islinked": True, "isca": True,
                "addsubject": certs.shown(pair["_cert"], call.nitro.now())["subject"],
            }
        )  # fmt: skip
    found = {"sslcertchain_sslcertkey_binding": chain} if chain else {}
    return [{"certkeyname": call.name, **found}]


@verb("GET", "sslcertkey_sslvserver_binding", "show ssl certKey")
def show_users(call):
    """Where a pair is bound."""
    call.find(call.name, "sslcertkey", 1540, "certkeyName")
    return [
        {"certkey": call.name, "servername": one["vservername"], "data": 0, "version": 0}
        for one in call.table("sslvserver_sslcertkey_binding").values()
        if one["certkeyname"] == call.name
    ]


# ---- bindings to SSL vservers ----


@verb(
    "PUT", "sslvserver_sslcertkey_binding", "bind ssl vserver", required="vservername certkeyname",
    optional="snicert ca crlcheck ocspcheck skipcaname", positional="vservername",
)  # fmt: skip
def bind(call):
    """As the default one of its key type, for SNI, or as a CA for clients."""
    args, table = call.args, call.table()
    name, pair_name = args["vservername"], args["certkeyname"]
    vserver = find_ssl_vserver(call, name)
    pair = call.find(pair_name, "sslcertkey", 1540, "certkeyName")
    sni, client_ca = flag(args, "snicert"), flag(args, "ca")
    if sni and client_ca:
        raise NitroError(1092, "snicert, ca")
    if not client_ca and {"crlcheck", "ocspcheck", "skipcaname"} & set(args):
        raise NitroError(1093, "crlcheck, ca")
    if not client_ca and not pair["_key"]:
        raise NitroError(1547, pair_name)
    if sni:
        _check_sni(call, vserver, pair)
    elif not client_ca:
        _replace(call, name, pair)
    _warn(call, certs.validity(parsed(pair), call.nitro.now())[0], pair_name)
    binding = {"vservername": name, "certkeyname": pair_name, "snicert": sni, "ca": client_ca}
    for more in ("crlcheck", "ocspcheck"):
        if more in args:
            binding[more] = args[more]
    table[name, pair_name, sni, client_ca] = binding


def _of(call, name, sni):
    """(key, pair) of the server certificates on a vserver."""
    pairs = call.table("sslcertkey")
    return [
        (key, pairs[one["certkeyname"]])
        for key, one in call.table("sslvserver_sslcertkey_binding").items()
        if one["vservername"] == name and one["snicert"] == sni and not one["ca"]
    ]


def _check_sni(call, vserver, pair):
    if vserver["snienable"] != "ENABLED":
        raise NitroError(3627, vserver["vservername"])
    cert = parsed(pair)
    if not certs.common_name(cert):
        raise NitroError(3628, pair["certkey"])
    for _, other in _of(call, vserver["vservername"], True):
        theirs = parsed(other)
        same = certs.common_name(theirs) == certs.common_name(cert)
        if other is not pair and same and certs.key_type(theirs) == certs.key_type(cert):
            raise NitroError(3629, other["certkey"])


def _replace(call, name, pair):
    for key, other in _of(call, name, False):
        if other is not pair and certs.key_type(parsed(other)) == certs.key_type(parsed(pair)):
            del call.table("sslvserver_sslcertkey_binding")[key]
            call.warn(1546, other["certkey"])


@verb("DELETE", "sslvserver_sslcertkey_binding", "unbind ssl vserver")
def unbind(call):
    """Which one: its name, and whether it is for SNI or a CA."""
    find_ssl_vserver(call, call.name)
    if not call.given.get("certkeyname"):
        raise NitroError(1095, "certkeyname")
    name = call.given["certkeyname"]
    flags = [flag(call.given, one) for one in ("snicert", "ca")]
    if not call.table().pop((call.name, name, *flags), None):
        raise NitroError(1542, name)


@verb("GET", "sslvserver_sslcertkey_binding", "show ssl vserver")
def show_bindings(call):
    """Of one vserver."""
    if call.name is None:
        raise NitroError(1095, "vservername")
    find_ssl_vserver(call, call.name)
    return [
        {"crlcheck": "Optional", "ocspcheck": "Optional", "cleartextport": 0, **one}
        for one in call.table().values()
        if one["vservername"] == call.name
    ]


# ---- made on the device ----


def _output(call, name, content):
    store(call.node, resolve(name, call.partition), content)


@verb(
    "POST", "sslrsakey", "create ssl rsakey", "create", required="keyfile bits",
    optional="exponent keyform password pkcs8 des des3 aes256", positional="keyfile bits",
)  # fmt: skip
def create_rsa(call):
    """The key never leaves the device unless somebody reads the file."""
    bits = number(call.args, "bits", 512, 4096)
    exponent = choice(call.args, "exponent", ("F4", "3"), "F4")
    resolve(call.args["keyfile"], call.partition)
    key = certs.new_rsa(max(bits, 1024), 65537 if exponent == "F4" else 3)
    _output(call, call.args["keyfile"], certs.plain_pem(key))


@verb(
    "POST", "sslecdsakey", "create ssl ecdsakey", "create", required="keyfile curve",
    optional="keyform password pkcs8 des des3 aes256", positional="keyfile",
)  # fmt: skip
def create_ec(call):
    """P_256 or P_384."""
    curve = choice(call.args, "curve", tuple(certs.CURVES), "P_256")
    _output(call, call.args["keyfile"], certs.plain_pem(certs.new_ec(curve)))


@verb(
    "POST", "sslcertreq", "create ssl certreq", "create",
    required="reqfile countryname statename organizationname",
    optional="keyfile fipskeyname keyform pempassphrase localityname organizationunitname "
    "commonname emailaddress challengepassword companyname subjectaltname digestmethod",
    positional="reqfile",
)  # fmt: skip
def create_request(call):
    """For a key that is on the device."""
    args = call.args
    if not args.get("keyfile"):
        raise NitroError(1095, "keyfile")
    if not re.fullmatch(r"[A-Za-z]{2}", args["countryname"]):
        raise NitroError(1097, f"countryname, {args['countryname']}")
    digest = choice(args, "digestmethod", ("SHA1", "SHA256"), "SHA256")
    names = []
    for word in args.get("subjectaltname", "").replace(",", " ").split():
        kind, _, value = word.partition(":")
        if kind.upper() not in ("DNS", "IP") or not value:
            raise NitroError(1097, f"subjectaltname, {word}")
        try:
            names.append(ip_address(value) if kind.upper() == "IP" else value)
        except ValueError:
            raise NitroError(1097, f"subjectaltname, {word}") from None
    key = certs.private_key(_input(call, args["keyfile"], "keyfile"), args.get("pempassphrase"))
    _output(call, args["reqfile"], certs.request(key, args, names, digest))
