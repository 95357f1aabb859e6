"""What the simulated Avi controller keeps: types, their fields, and what a value must look like.

Only what certificates and challenges touch is here. A field that a real controller has and this one
has not is refused as an unknown one, unless the option unknown_fields says otherwise.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

TEXT, INT, BOOL, REF, OBJECT = "text", "int", "bool", "ref", "object"
# What every object has and the controller alone says; those who write whole objects send it back.
ALWAYS_TOLD = ("url", "uuid", "_last_modified", "tenant_ref")


class AviError(Exception):
    """A refusal."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status, self.text = status, text

    @property
    def document(self):
        """What is sent."""
        return {"error": self.text}


@dataclass(frozen=True)
class Field:
    """One field. told: only the controller says it; secret: it is never said."""

    kind: str
    many: bool = False
    to: str = None
    fields: dict = None
    default: object = None
    required: bool = False
    since: str = None
    values: tuple = None
    longest: object = None  # a number, or the option that says it
    told: bool = False
    secret: bool = False


def _text(**more):
    return Field(TEXT, **more)


def _name():
    return _text(required=True, longest="name_max")


def _int(**more):
    return Field(INT, **more)


def _bool(default=False, **more):
    return Field(BOOL, default=default, **more)


def _ref(to, **more):
    return Field(REF, to=to, **more)


def _object(fields, **more):
    return Field(OBJECT, fields=fields, **more)


def _told(**names):
    """Fields that the controller alone says."""
    return {name: Field(kind, told=True) for name, kind in names.items()}


def _one_of(words, **more):
    return _text(values=tuple(words.split()), **more)


def _some_of(words, **more):
    return _text(many=True, values=tuple(words.split()), **more)


# ---- matches and rules of an HTTP policy set ----

_STRING_MATCH = (
    "BEGINS_WITH DOES_NOT_BEGIN_WITH CONTAINS DOES_NOT_CONTAIN ENDS_WITH DOES_NOT_END_WITH EQUALS "
    "DOES_NOT_EQUAL REGEX_MATCH REGEX_DOES_NOT_MATCH"
)
_HEADER_MATCH = (
    "HDR_EXISTS HDR_DOES_NOT_EXIST HDR_BEGINS_WITH HDR_DOES_NOT_BEGIN_WITH HDR_CONTAINS "
    "HDR_DOES_NOT_CONTAIN HDR_ENDS_WITH HDR_DOES_NOT_END_WITH HDR_EQUALS HDR_DOES_NOT_EQUAL"
)
_CASE = _one_of("SENSITIVE INSENSITIVE", default="INSENSITIVE")
_IS_IN = _one_of("IS_IN IS_NOT_IN", required=True)
PATH_MATCH = _object(
    {
        "match_criteria": _one_of(_STRING_MATCH, required=True),
        "match_case": _CASE,
        "match_str": _text(many=True),
        "match_decoded_string": _bool(True, since="20.1.3"),
    }
)
HOST_MATCH = _object(
    {
        "match_criteria": _one_of(_HEADER_MATCH, required=True),
        "match_case": _CASE,
        "value": _text(many=True),
    }
)
MATCH = _object(
    {
        "path": PATH_MATCH,
        "host_hdr": HOST_MATCH,
        "vs_port": _object({"match_criteria": _IS_IN, "ports": _int(many=True, required=True)}),
        "protocol": _object(
            {"match_criteria": _IS_IN, "protocols": _one_of("HTTP HTTPS", required=True)}
        ),
        "method": _object({"match_criteria": _IS_IN, "methods": _text(many=True, required=True)}),
    }
)
_STATUS = "HTTP_LOCAL_RESPONSE_STATUS_CODE_"
_SECURITY = "HTTP_SECURITY_ACTION_"
_LOCAL_FILE = _object(
    {
        "content_type": _text(required=True),
        "file_content": _text(required=True, longest="file_max"),
        "file_length": Field(INT, told=True),
    }
)
SECURITY_RULE = {
    "name": _name(),
    "index": _int(required=True),
    "enable": _bool(required=True, default=None),
    "match": MATCH,
    "log": _bool(),
    "action": _object(
        {
            "action": _one_of(
                " ".join(
                    _SECURITY + one
                    for one in "CLOSE_CONN SEND_RESPONSE ALLOW REDIRECT_TO_HTTPS".split()
                ),
                required=True,
            ),
            "status_code": _one_of(
                " ".join(_STATUS + one for one in "200 204 403 404 429 501".split())
            ),
            "file": _LOCAL_FILE,
            "https_port": _int(),
        }
    ),
}
REQUEST_RULE = {
    "name": _name(),
    "index": _int(required=True),
    "enable": _bool(required=True, default=None),
    "match": MATCH,
    "redirect_action": _object(
        {
            "protocol": _one_of("HTTP HTTPS", required=True),
            "port": _int(),
            "status_code": _one_of(
                " ".join(f"HTTP_REDIRECT_STATUS_CODE_{one}" for one in "301 302 307 308".split()),
                default="HTTP_REDIRECT_STATUS_CODE_302",
            ),
            "keep_query": _bool(True),
        }
    ),
}
_RULES = {"rules": _object(REQUEST_RULE, many=True)}
_SECURITY_RULES = {"rules": _object(SECURITY_RULE, many=True)}

# ---- certificates ----

_DN = {
    **{
        name: _text()
        for name in (
            "common_name", "email_address", "organization_unit", "organization", "locality",
            "state", "country",
        )
    },
    **_told(distinguished_name=TEXT),
}  # fmt: skip
_CERTIFICATE = {
    "certificate": _text(longest="pem_max"),
    "certificate_signing_request": _text(),
    "subject": _object(_DN),
    "subject_alt_names": _text(many=True),
    "self_signed": _bool(default=None),
    "days_until_expire": _int(),
    "issuer": _object(_DN, told=True),
    **_told(
        version=TEXT, serial_number=TEXT, signature_algorithm=TEXT, not_before=TEXT, not_after=TEXT,
        fingerprint=TEXT, expiry_status=TEXT, chain_verified=BOOL, signature=TEXT, public_key=TEXT,
        text=TEXT,
    ),
}  # fmt: skip
_KEY_SIZES = " ".join(f"SSL_KEY_{bits}_BITS" for bits in (1024, 2048, 3072, 4096))
_KEY_PARAMS = {
    "algorithm": _one_of("SSL_KEY_ALGORITHM_RSA SSL_KEY_ALGORITHM_EC", required=True),
    "rsa_params": _object({
        "key_size": _one_of(_KEY_SIZES, default="SSL_KEY_2048_BITS"),
        "exponent": _int(default=65537),
    }),
    "ec_params": _object({"curve": _one_of(
        "SSL_KEY_EC_CURVE_SECP256R1 SSL_KEY_EC_CURVE_SECP384R1 SSL_KEY_EC_CURVE_SECP521R1",
        default="SSL_KEY_EC_CURVE_SECP256R1",
    )}),
}  # fmt: skip

# ---- virtual services ----

_SERVICE = {
    "port": _int(required=True),
    "port_range_end": _int(),
    "enable_ssl": _bool(),
    "enable_http2": _bool(since="20.1.1"),
}
_VH_RULE = {"name": _name(), "matches": MATCH}
_MARKER = {"key": _text(required=True), "values": _text(many=True)}
_MARKERS = _object(_MARKER, many=True, since="20.1.5")
_ACCESS = ("NO_ACCESS", "READ_ACCESS", "WRITE_ACCESS")


@dataclass(frozen=True)
class Type:
    """One type of objects. shared: those of the tenant admin are seen in every tenant."""

    label: str  # as the controller calls it in its refusals
    permission: str
    fields: dict = field(default_factory=dict)
    scoped: bool = True
    shared: bool = False
    single: bool = False


def _plain(label, permission, shared=True, scoped=True, **fields):
    return Type(
        label, "PERMISSION_" + permission, {"name": _name(), **fields}, scoped=scoped, shared=shared
    )


TYPES = {
    "virtualservice": _plain(
        "VirtualService",
        "VIRTUALSERVICE",
        shared=False,
        description=_text(),
        markers=_MARKERS,
        enabled=_bool(True),
        traffic_enabled=_bool(True),
        type=_one_of("VS_TYPE_NORMAL VS_TYPE_VH_PARENT VS_TYPE_VH_CHILD", default="VS_TYPE_NORMAL"),
        vh_type=_one_of("VS_TYPE_VH_SNI VS_TYPE_VH_ENHANCED", since="20.1.3"),
        vh_parent_vs_ref=_ref("virtualservice"),
        vh_domain_name=_text(many=True),
        vh_matches=_object(
            {"host": _text(required=True), "rules": _object(_VH_RULE, many=True)},
            many=True,
            since="20.1.3",
        ),
        vsvip_ref=_ref("vsvip"),
        cloud_ref=_ref("cloud"),
        application_profile_ref=_ref("applicationprofile"),
        ssl_profile_ref=_ref("sslprofile"),
        pool_ref=_ref("pool"),
        ssl_key_and_certificate_refs=_ref("sslkeyandcertificate", many=True),
        services=_object(_SERVICE, many=True),
        http_policies=_object(
            {
                "http_policy_set_ref": _ref("httppolicyset", required=True),
                "index": _int(required=True),
            },
            many=True,
        ),
    ),
    "vsvip": _plain(
        "VsVip",
        "VIRTUALSERVICE",
        shared=False,
        cloud_ref=_ref("cloud"),
        vip=_object(
            {
                "vip_id": _text(required=True),
                "enabled": _bool(True),
                "ip_address": _object(
                    {
                        "addr": _text(required=True),
                        "type": _one_of("V4 V6 DNS", required=True),
                    }
                ),
            },
            many=True,
        ),
        dns_info=_object(
            {
                "fqdn": _text(),
                "type": _one_of("DNS_RECORD_A DNS_RECORD_AAAA", default="DNS_RECORD_A"),
                "ttl": _int(),
            },
            many=True,
        ),
    ),
    "httppolicyset": _plain(
        "HTTPPolicySet",
        "HTTPPOLICYSET",
        shared=False,
        is_internal_policy=_bool(),
        created_by=_text(),
        description=_text(),
        markers=_MARKERS,
        http_security_policy=_object(_SECURITY_RULES),
        http_request_policy=_object(_RULES),
    ),
    "sslkeyandcertificate": _plain(
        "SSLKeyAndCertificate",
        "SSLKEYANDCERTIFICATE",
        type=_one_of(
            " ".join(f"SSL_CERTIFICATE_TYPE_{one}" for one in "VIRTUALSERVICE SYSTEM CA".split()),
            default="SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        ),
        certificate=_object(_CERTIFICATE, required=True),
        key=_text(secret=True, longest="pem_max"),
        key_passphrase=_text(secret=True),
        key_params=_object(_KEY_PARAMS),
        certificate_base64=_bool(),
        key_base64=_bool(),
        enable_ocsp_stapling=_bool(),
        format=_one_of("SSL_PEM SSL_PKCS12", default="SSL_PEM"),
        ca_certs=_object({"name": _text(), "ca_ref": _ref("sslkeyandcertificate")}, many=True),
        certificate_management_profile_ref=_ref("certificatemanagementprofile"),
        dynamic_params=_object(
            {
                "name": _text(required=True),
                "value": _text(),
                "is_sensitive": _bool(),
                "is_dynamic": _bool(),
            },
            many=True,
        ),
        created_by=_text(),
        markers=_MARKERS,
        status=Field(TEXT, told=True),
    ),
    "certificatemanagementprofile": _plain(
        "CertificateManagementProfile",
        "CERTIFICATEMANAGEMENTPROFILE",
        shared=False,
        run_script_ref=_ref("alertscriptconfig", required=True, since="20.1.3"),
        script_params=_object(
            {
                "name": _text(required=True),
                "value": _text(),
                "is_sensitive": _bool(),
                "is_dynamic": _bool(),
            },
            many=True,
        ),
    ),
    "alertscriptconfig": _plain(
        "AlertScriptConfig",
        "ALERTCONFIG",
        shared=False,
        action_script=_text(required=True, longest="script_max"),
        timeout=_int(since="22.1.6"),
    ),
    "applicationprofile": _plain(
        "ApplicationProfile",
        "APPLICATIONPROFILE",
        type=_one_of(
            " ".join(f"APPLICATION_PROFILE_TYPE_{one}" for one in "HTTP L4 SSL DNS".split()),
            required=True,
        ),
        http_profile=_object({"http_to_https": _bool()}),
    ),
    "sslprofile": _plain("SSLProfile", "SSLPROFILE"),
    "pool": _plain("Pool", "POOL", shared=False),
    "cloud": _plain("Cloud", "CLOUD", vtype=_text(default="CLOUD_NONE")),
    "tenant": _plain("Tenant", "TENANT", scoped=False, description=_text(), local=_bool(True)),
    "role": _plain(
        "Role",
        "ROLE",
        allow_unlabelled_access=_bool(True, since="20.1.3"),
        privileges=_object(
            {
                "resource": _text(required=True),
                "type": _one_of(" ".join(_ACCESS), required=True),
            },
            many=True,
        ),
    ),
    "user": _plain(
        "User",
        "USER",
        scoped=False,
        username=_text(required=True),
        password=_text(secret=True),
        is_superuser=_bool(),
        local=_bool(True),
        service_user=_bool(since="22.1.3"),
        default_tenant_ref=_ref("tenant"),
        access=_object(
            {
                "tenant_ref": _ref("tenant"),
                "role_ref": _ref("role"),
                "all_tenants": _bool(),
            },
            many=True,
        ),
    ),
    "systemconfiguration": Type(
        "SystemConfiguration",
        "PERMISSION_SYSTEMCONFIGURATION",
        {
            "portal_configuration": _object(
                {
                    "sslkeyandcertificate_refs": _ref("sslkeyandcertificate", many=True),
                    "allow_basic_authentication": _bool(),
                }
            )
        },
        scoped=False,
        single=True,
    ),
}


# ---- versions ----


def version_of(text):
    """A version as something that can be compared; None: that is none."""
    if not re.fullmatch(r"\d+\.\d+(\.\d+){0,2}", text):
        return None
    return tuple(int(part) for part in text.split("."))


def underscored(version):
    """As the controller writes it."""
    return version.replace(".", "_")


def is_newer(one, version):
    """Is a field newer than what the client speaks?"""
    return bool(one.since) and version_of(one.since) > version_of(version)


# ---- values ----


class Reader:
    """Makes stored values of what a client sends.

    find(type, uuid or None, name or None) looks a reference up, and says its uuid or refuses.
    """

    def __init__(self, options, version, find):
        self._options, self._version, self._find = options, version, find
        self.refs = set()  # what was referred to: (type, uuid)

    def whole(self, fields, given, at=""):
        """An object with all its defaults."""
        if not isinstance(given, dict):
            raise AviError(400, f"{at or 'body'}: an object is expected")
        result = {}
        for name in given:
            if name not in fields:
                self._unknown(fields, name, at)
        for name, one in fields.items():
            value = given.get(name)
            if value is None or one.told:
                if one.required and value is None:
                    raise AviError(400, f"{at}{name}: this field is required")
                if one.default is not None:
                    result[name] = one.default
                continue
            result[name] = self.value(one, value, at + name)
        return result

    def _unknown(self, fields, name, at):
        if name in ALWAYS_TOLD and not at:
            return
        if name.endswith("_name") and name[:-5] + "_ref" in fields:
            return  # a helper of old clients; controllers do not look at it
        if self._options.unknown_fields == "refuse":
            raise AviError(400, f"Unknown field in request: {at}{name}")

    def value(self, one, value, at):
        """The value of a field."""
        if is_newer(one, self._version):
            name = at.rpartition(".")[2]
            raise AviError(
                400,
                f"Incoming request (v{underscored(self._version)}) has field ({name}) introduced "
                f"in later versions(v{underscored(one.since)}).",
            )
        if not one.many:
            return self._single(one, value, at)
        if not isinstance(value, list):
            raise AviError(400, f"{at}: a list is expected")
        return [self._single(one, item, at) for item in value]

    def _single(self, one, value, at):
        if one.kind == OBJECT:
            return self.whole(one.fields, value, at + ".")
        if one.kind == REF:
            return self.reference(one.to, value, at)
        wanted = {TEXT: str, INT: int, BOOL: bool}[one.kind]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise AviError(400, f"{at}: {one.kind} is expected")
        if one.values and value not in one.values:
            raise AviError(400, f"{at}: invalid value {value[:60]}")
        longest = one.longest
        if isinstance(longest, str):
            longest = getattr(self._options, longest)
        if longest is not None and len(value) > longest:
            raise AviError(400, f"{at}: longer than {longest} characters")
        return value

    def reference(self, type_, value, at):
        """/api/TYPE/UUID, whatever way a client wrote it."""
        if not isinstance(value, str):
            raise AviError(400, f"{at}: a reference is expected")
        parts = urlsplit(value)
        path = parts.path.strip("/").split("/")
        if path[:2] != ["api", type_] or len(path) > 3:
            raise AviError(400, f"{at}: no reference to a {type_}: {value[:120]}")
        name = dict(parse_qsl(parts.query)).get("name")
        if (len(path) == 3) == bool(name):
            raise AviError(400, f"{at}: no reference: {value[:120]}")
        uuid = self._find(type_, path[2] if len(path) == 3 else None, name)
        self.refs.add((type_, uuid))
        return f"/api/{type_}/{uuid}"


def uuid_of(reference):
    """What a stored reference points to."""
    return reference.rpartition("/")[2] if reference else None


def references(value, key=""):
    """All stored references in a value."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from references(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from references(one, key)
    elif key.endswith(("_ref", "_refs")) and isinstance(value, str):
        yield value


def shown(fields, value, version, told):
    """What is said of an object: no secrets, nothing newer than the client.

    told(reference) writes a reference.
    """
    result = {}
    for name, item in value.items():
        one = fields.get(name)
        if one is None:
            result[name] = item
        elif not one.secret and not is_newer(one, version):
            items = [_shown(one, each, version, told) for each in (item if one.many else [item])]
            result[name] = items if one.many else items[0]
    return result


def _shown(one, value, version, told):
    if one.kind == OBJECT:
        return shown(one.fields, value, version, told)
    return told(value) if one.kind == REF else value
