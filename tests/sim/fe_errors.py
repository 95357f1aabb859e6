"""Refusals of the simulated FlexibleEngine, each in the form of the service it comes from."""

import secrets

# code -> (status, what it says unless something better is known).
CODES = {
    "APIGW.0101": (404, "The API does not exist or has not been published in the environment"),
    "APIGW.0301": (401, "Incorrect IAM authentication information"),
    "APIGW.0302": (403, "The IAM user is not authorized to access the API"),
    "APIGW.0308": (429, "The throttling threshold has been reached"),
    "APIGW.0401": (415, "Unsupported media type"),
    "DNS.0000": (500, "The system is busy. Try again later."),
    "DNS.0001": (500, "Internal error."),
    "DNS.0002": (400, "Invalid request."),
    "DNS.0005": (401, "Authentication required."),
    "DNS.0006": (400, "The limit parameter is invalid."),
    "DNS.0007": (400, "The marker parameter is invalid."),
    "DNS.0008": (400, "The zone of this type is not supported now."),
    "DNS.0013": (403, "You do not have the permission to perform this operation using the API."),
    "DNS.0014": (403, "Request forbidden by flow control."),
    "DNS.0016": (400, "The resource already exists."),
    "DNS.0021": (409, "The resource is locked. Try again later."),
    "DNS.0030": (403, "Policy doesn't allow the operation to be performed."),
    "DNS.0209": (400, "The status of the zone is not steady."),
    "DNS.0302": (404, "The zone does not exist."),
    "DNS.0303": (400, "Attribute 'ttl' is invalid."),
    "DNS.0304": (400, "Attribute 'name' is invalid."),
    "DNS.0305": (400, "Attribute 'description' is invalid."),
    "DNS.0307": (400, "Attribute 'type' is invalid."),
    "DNS.0308": (400, "Attribute 'records' is invalid."),
    "DNS.0312": (400, "Attribute 'name' conflicts with Record Set."),
    "DNS.0313": (404, "The Record Set does not exist."),
    "DNS.0314": (400, "The status of the Record Set is not steady."),
    "DNS.0317": (403, "A default Record Set cannot be deleted."),
    "DNS.0318": (403, "A default Record Set cannot be changed."),
    "DNS.0403": (403, "The quota is not enough."),
    "ELB.1102": (403, "Token is required."),
    "ELB.1103": (401, "Invalid token."),
    "ELB.5013": (400, "The certificate or the private key is not valid."),
    "ELB.5040": (400, "The certificate does not exist."),
    "ELB.5151": (409, "The certificate quota is used up."),
    "ELB.8902": (400, "Invalid input."),
    "ELB.8904": (404, "Resource not found."),
    "ELB.8905": (409, "Quota exceeded for resources: ['certificate']."),
    "ELB.8906": (500, "Internal error."),
    "ELB.8907": (409, "The resource is in use."),
    "ELB.8909": (400, "A certificate with several domains is not supported."),
    "ELB.9802": (403, "Policy doesn't allow the operation to be performed."),
    "ELB.9807": (400, "Quota exceeded for resources: ['certificate']."),
    "ELB.9899": (400, "Attribute 'default_tls_container_ref' cannot be None."),
    "IAM.0001": (401, "The request you have made requires authentication."),
    "IAM.0003": (403, "You are not authorized to perform the requested action."),
    "IAM.0011": (400, "Request body is invalid."),
    "IAM.0012": (429, "The throttling threshold has been reached."),
    "IAM.0061": (401, "The account is locked. Try again later."),
    "IAM.0062": (401, "The username or password is wrong."),
    "IAM.0066": (401, "The token has expired."),
    "IAM.0067": (401, "Invalid token."),
    "IAM.1101": (413, "The request body is too large."),
    "IAM.1109": (404, "Could not find the project."),
}  # fmt: skip
TITLES = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    413: "Request Entity Too Large", 429: "Too Many Requests",
}  # fmt: skip
# What v2.0 of the load balancers calls it.
NEUTRON = {
    "ELB.1102": "Unauthorized", "ELB.1103": "Unauthorized", "ELB.8904": "NotFound",
    "ELB.8905": "OverQuota", "ELB.8907": "Conflict", "ELB.9802": "PolicyNotAuthorized",
    "ELB.5013": "InvalidCertificate", "ELB.5040": "CertificateNotFound",
    "ELB.9899": "ListenerProtocolTERMINATEDHTTPSNeedCertID",
}  # fmt: skip


def request_id():
    """What support asks for."""
    return secrets.token_hex(16)


class FeError(Exception):
    """A refusal. code says which service it is of; more: further members of the document."""

    def __init__(self, code, text=None, status=None, **more):
        known, words = CODES[code] if code in CODES else (status or 400, "trouble")
        self.code, self.text, self.status = code, text or words, status or known
        self.more = more
        super().__init__(f"{code}: {self.text}")

    def document(self, form=None):
        """The body; form: "keystone" or "neutron" where a service has more than one."""
        if form == "neutron" and self.code.startswith("ELB."):
            kind = NEUTRON.get(self.code, "BadRequest")
            error = {"message": self.text, "type": kind, "detail": ""}
            return {"NeutronError": error, **self.more}
        if form == "keystone" and self.code.startswith("IAM."):
            title = TITLES.get(self.status, "Error")
            return {"error": {"code": self.status, "message": self.text, "title": title}}
        if self.code.startswith("DNS."):
            return {"code": self.code, "message": self.text, **self.more}
        words = {"error_code": self.code, "error_msg": self.text}
        return {**words, "request_id": request_id(), **self.more}
