"""What a NetScaler says when it does not do as it is told: its error codes, with its own words."""

# The words are the device's; a bracket with the argument they are about comes behind them.
MESSAGES = {
    0: "Done",
    257: "Operation not permitted",
    258: "No such resource",
    268: "Cannot allocate memory",
    272: "Device busy",
    273: "Resource already exists",
    278: "Invalid argument",
    283: "File too large",
    284: "No space left on device",
    291: "Resource temporarily unavailable",
    352: "Login is required",
    354: "Invalid username or password",
    355: "Invalid username or password",
    356: "Feature(s) not licensed",
    366: "Operation not possible now. Please wait for system to stabilize before retrying.",
    368: "Operation permitted only on primary node.",
    371: "No command policy defined, permission denied",
    444: "Session expired or killed. Please login again",
    445: "Session limit exceeded",
    446: "Connection limit to CFE exceeded",
    810: "Bound policy cannot be removed.",
    832: "Action bound to policy can not be deleted.",
    1027: "Not logged in or connection timed out",
    1028: "You are connected to a secondary node; configuration changes made in this session will "
    "not be propagated to, or saved on, other nodes",
    1067: "Feature(s) not enabled",
    1075: "Invalid name; names must begin with an alphanumeric character or underscore and must "
    "contain only alphanumerics, '_', '#', '.', ' ', ':', '@', '=' or '-'",
    1090: "No such argument",
    1092: "Arguments cannot both be specified",
    1093: "Argument pre-requisite missing",
    1095: "Required argument missing",
    1097: "Invalid argument value",
    1106: "String length exceeds maximum",
    1108: "Integer value exceeds maximum",
    1109: "Integer value below minimum",
    1115: "Unmatched quote",
    1203: "Operation not permitted in a read-only session",
    1204: "Configuration is being changed by another command",
    1208: "No such bind resource",
    1219: "Timeout value must be between 300 and 86400 seconds",
    1232: "Invalid object name",
    1233: "Invalid JSON input",
    1234: "Invalid JSON data type",
    1237: "Invalid method name. It should be either post, put, get, stat or delete",
    1238: "NITRO parse error",
    1239: "NITRO command Execution failed",
    1240: "Invalid nitro action or operation",
    1242: "Rollback is not supported for this command",
    1243: "Bulk operation failed",
    1244: "Basic authentication is disabled",
    1536: "Invalid certificate",
    1537: "Invalid private key, or PEM pass phrase required for this private key",
    1538: "Certificate and private key do not match",
    1540: "Certificate does not exist",
    1541: "Certificate is referenced by a CRL, OCSP responder, vserver, service, another "
    "certificate, or a policy expression using XML_ENCRYPT() or XML_DECRYPT()",
    1542: "Certificate binding does not exist",
    1543: "Certificate can't be linked to the same certificate",
    1544: "Object's protocol type is not SSL",
    1545: "Certificate does not have any CA link",
    1546: "Current certificate replaces the previous binding",
    1547: "Certificate is not a server certificate",
    1548: "Issuer certificate mismatch",
    1562: "Certificate with key size greater than RSA4096 or DSA2048 bits not supported",
    1587: "All incompatible CA links/Cert bindings were broken during the update operation",
    1588: "The specified certificate is not yet valid",
    1589: "The certificate has expired",
    1590: "All incompatible CA links were broken during the update operation. (Note: the "
    "certificate has expired)",
    1591: "All incompatible CA links were broken during the update operation. (Note: the "
    "certificate is not yet valid)",
    1613: "PEM pass phrase required for this private key",
    1614: "Invalid pass phrase",
    1642: "Output file already exists",
    1645: "File path is not valid in the current partition",
    1647: "Input file(s) not present or not accessible in current partition",
    1654: "Key size is below the minimum",
    1676: "EC curve is not supported",
    1677: "Certificates would be linked in a loop",
    2138: "Not authorized to execute this command",
    3041: "Priority already in use",
    3081: "Expression syntax error",
    3090: "Invalid policy priority",
    3093: "Policy is not bound",
    3094: "Policy cannot be bound to a vserver of this type",
    3440: "Directory does not exist",
    3441: "File does not exist",
    3442: "File extension is not allowed",
    3443: "File content is not base64",
    3444: "Encoding is not supported",
    3445: "File location is not allowed",
    3585: "Certificate is registered to a different domain; use the 'no domain check' option to "
    "force the operation",
    3627: "SNI is not enabled on the vserver",
    3628: "Certificate has no common name to be used for SNI",
    3629: "A certificate with the same common name is already bound for SNI",
}  # fmt: skip

# Anything else is "599 Netscaler specific error".
STATUSES = {
    257: 403, 258: 404, 273: 409, 352: 401, 354: 401, 355: 401, 371: 403, 444: 401, 1027: 401,
    1090: 400, 1092: 400, 1093: 400, 1095: 400, 1097: 400, 1232: 400, 1233: 400, 1234: 400,
    1237: 400, 1238: 400, 1240: 400, 1244: 401, 2138: 403, 3441: 404,
}  # fmt: skip


class NitroError(Exception):
    """A refusal. about: what the words are about; status: other than the usual one."""

    def __init__(self, code, about=None, status=None, words=None):
        self.code, self.status = code, status or STATUSES.get(code, 599)
        self.words = (words or MESSAGES[code]) + (f" [{about}]" if about else "")
        super().__init__(f"{code}: {self.words}")

    @property
    def document(self):
        """What is sent."""
        return {"errorcode": self.code, "message": self.words, "severity": "ERROR"}
