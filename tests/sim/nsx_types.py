"""What the simulated NSX Manager takes and says: refusals, the members of documents, the calls.

A member that a real manager has and this one has not is refused as an unknown one, unless the
option unknown_fields says otherwise.
"""

from dataclasses import dataclass

NAMES = {
    400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT", 412: "PRECONDITION_FAILED", 415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS", 500: "INTERNAL_SERVER_ERROR", 503: "SERVICE_UNAVAILABLE",
}  # fmt: skip
# Codes in error bodies. Those of 1000 and more are the simulator's own: nobody may rely on them.
UNKNOWN_MEMBER, NO_JSON, REQUIRED, NO_RIGHT, PROTECTED = 287, 286, 255, 401, 289
GONE, STALE, RATE, CONCURRENCY = 600, 604, 98, 99
BAD_PEM, BAD_KEY, KEY_MISMATCH, REFUSED, IN_USE, BUSY, UNKNOWN_CALL, EXISTS, DANGLING = range(
    1001, 1010
)


class NsxError(Exception):
    """A refusal. related: refusals that led to it."""

    def __init__(self, status, code, text, module="common-services", details=None, related=()):
        super().__init__(f"{status}, {code}: {text}")
        self.status, self.code, self.text, self.module = status, code, text, module
        self.details, self.related = details, related

    def document(self, form=int):
        """What is sent; form: of the code."""
        found = {
            "httpStatus": NAMES.get(self.status, "INTERNAL_SERVER_ERROR"),
            "error_code": form(self.code),
            "module_name": self.module,
            "error_message": self.text,
        }
        if self.details:
            found["details"] = self.details
        if self.related:
            found["related_errors"] = [one.document(form) for one in self.related]
        return found


def refused(text, code=REFUSED, status=400, **more):
    """What the trust management says no to."""
    return NsxError(status, code, text, "internal-framework", **more)


def version_of(text):
    """"4.2.0" as numbers, to compare."""
    return tuple(int(one) for one in text.split("."))


# ---- documents ----

ANY = object()
TEXT, NUMBER, TRUTH = str, int, bool
TAGS = [{"scope": TEXT, "tag": TEXT}]
MANAGED = {
    "id": TEXT, "display_name": TEXT, "description": TEXT, "tags": TAGS, "resource_type": TEXT,
    "_revision": NUMBER, "_create_time": NUMBER, "_create_user": TEXT,
    "_last_modified_time": NUMBER, "_last_modified_user": TEXT, "_system_owned": TRUTH,
    "_protection": TEXT, "_schema": TEXT, "_self": ANY, "_links": ANY,
}  # fmt: skip
POLICY = {
    **MANAGED, "path": TEXT, "relative_path": TEXT, "parent_path": TEXT, "remote_path": TEXT,
    "unique_id": TEXT, "realization_id": TEXT, "owner_id": TEXT, "marked_for_delete": TRUTH,
    "overridden": TRUTH,
}  # fmt: skip
_PEM = {"pem_encoded": TEXT, "private_key": TEXT, "passphrase": TEXT, "key_algo": TEXT}
TRUST_OBJECT = {**MANAGED, **_PEM, "purpose": TEXT}
CSR_IMPORT = {**MANAGED, "pem_encoded": TEXT, "purpose": TEXT, "key_algo": TEXT}
CSR = {
    **MANAGED, "subject": {"attributes": [{"key": TEXT, "value": TEXT}]}, "key_size": TEXT,
    "algorithm": TEXT, "is_ca": TRUTH,
}  # fmt: skip
CSR_EXTENDED = {
    **CSR,
    "extensions": {"subject_alt_names": {"dns_names": [TEXT], "ip_addresses": [TEXT]}},
}
POLICY_CERTIFICATE = {**POLICY, **_PEM, "purpose": TEXT}
_AUTH = {
    "certificate_chain_depth": NUMBER, "ssl_profile_path": TEXT,
}  # fmt: skip
VIRTUAL_SERVER = {
    **POLICY, "ip_address": TEXT, "ports": [TEXT], "enabled": TRUTH,
    "application_profile_path": TEXT, "lb_service_path": TEXT, "pool_path": TEXT,
    "sorry_pool_path": TEXT, "lb_persistence_profile_path": TEXT, "rules": [ANY],
    "access_log_enabled": TRUTH, "log_significant_event_only": TRUTH,
    "max_concurrent_connections": NUMBER, "max_new_connection_rate": NUMBER,
    "default_pool_member_ports": [TEXT], "access_list_control": ANY,
    "client_ssl_profile_binding": {
        **_AUTH, "default_certificate_path": TEXT, "sni_certificate_paths": [TEXT],
        "client_auth": TEXT, "client_auth_ca_paths": [TEXT], "client_auth_crl_paths": [TEXT],
    },
    "server_ssl_profile_binding": {
        **_AUTH, "client_certificate_path": TEXT, "server_auth": TEXT,
        "server_auth_ca_paths": [TEXT], "server_auth_crl_paths": [TEXT],
    },
}  # fmt: skip
SECURITY = {
    **POLICY, "crl_checking_enabled": TRUTH, "ca_signed_only": TRUTH,
    "eku_checking_enabled": TRUTH, "automatic_appliance_certificate_renewal_enabled": TRUTH,
    "automatic_appliance_certificate_renewal_lead_time": NUMBER,
}  # fmt: skip


def check(spec, value, name="", unknown="refuse"):
    """400 unless a value of a document is of its form; null is as good as nothing."""
    if spec is ANY or value is None:
        return
    kind = {dict: dict, list: list}.get(type(spec), spec)
    if type(value) is not kind:  # True is no number
        raise NsxError(
            400, NO_JSON, f"Json de-serialization error: property {name} is of the wrong type."
        )
    if kind is list:
        for one in value:
            check(spec[0], one, name, unknown)
    elif kind is dict:
        for member, one in value.items():
            if member in spec:
                check(spec[member], one, member, unknown)
            elif unknown == "refuse":
                raise NsxError(
                    400, UNKNOWN_MEMBER,
                    f"Json de-serialization error: property {member} is unrecognized.",
                )  # fmt: skip


def required(given, *names):
    """400 unless they are there."""
    for name in names:
        if given.get(name) in (None, ""):
            raise NsxError(400, REQUIRED, f"Field level validation errors: {name} is required.")


# ---- calls ----

PAGING = ("page_size", "cursor", "sort_by", "sort_ascending", "included_fields")
CALLS = {}


@dataclass(frozen=True)
class Call:
    """What a method of a path does, and what it takes. until: the first version without it."""

    function: object
    feature: str = None
    level: str = "read"
    since: str = None
    until: str = None
    params: tuple = ()
    body: object = None
    open: bool = False  # nobody has to log in


def call(key, feature=None, level="read", **more):
    """For a function(nsx, request, given): it is what key asks for.

    key: "METHOD KIND", with "/*" for one object, "/*/PART" for a part of it, "?ACTION" at the end.
    since, until and feature may name an option that says it: "=option".
    """

    def keep(function):
        CALLS[key] = Call(function, feature, level, **more)
        return function

    return keep
