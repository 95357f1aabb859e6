"""A client of the simulated NSX Manager that does as it is told, right or wrong."""

import base64
import http.client
import json
from urllib.parse import urlencode

from real import tls
from real.proc import wait_until

MP, POLICY = "/api/v1/", "/policy/api/v1/infra/"
TRUST, CERTS = MP + "trust-management/", MP + "trust-management/certificates"
HTTP = {"Content-Type": "application/json"}
LOOK_ONLY = tls.context()


class Reply:
    """What came back."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()

    @property
    def json(self):
        """The body, when it is JSON."""
        return json.loads(self.text)

    @property
    def error(self):
        """(status, code, words) of a refusal."""
        try:
            return self.status, self.json["error_code"], self.json["error_message"]
        except (ValueError, KeyError, TypeError):
            return self.status, None, self.text

    @property
    def results(self):
        """What a list has."""
        return self.json["results"]


class NsxClient:
    """One who asks a manager, by its number from 1, or the VIP (0).

    scheme: Basic or Remote, or session; headers: what each request carries.
    """

    def __init__(self, nsx, where=1, user="admin", password="admin", scheme="Basic"):
        self.nsx, self.where, self.headers, self.login_reply = nsx, where, {}, None
        self._link = None
        if scheme == "session":
            self.login_reply = self.login(user, password)
        elif user:
            text = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers["Authorization"] = f"{scheme} {text}"

    @property
    def host(self):
        """The address that is asked."""
        return self.nsx.nodes[self.where - 1].ip if self.where else self.nsx.vip_ip

    def close(self):
        """End the connection."""
        if self._link:
            self._link.close()
            self._link = None

    def _connect(self):
        return http.client.HTTPSConnection(self.host, self.nsx.port, timeout=10, context=LOOK_ONLY)

    def raw(self, method, path, body=b"", headers=None):
        """One request."""
        self._link = self._link or self._connect()
        try:
            self._link.request(method, path, body, headers or {})
            reply = Reply(self._link.getresponse())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        return reply

    def login(self, user, password):
        """POST /api/session/create; cookie and token go with each request from then on."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"j_username": user, "j_password": password}).encode()
        reply = self.raw("POST", "/api/session/create", body, form)
        if reply.status == 200:
            self.headers = {
                "Cookie": reply.headers["Set-Cookie"].partition(";")[0],
                "X-XSRF-TOKEN": reply.headers["X-XSRF-TOKEN"],
            }
        return reply

    def call(self, method, path, body=None, **headers):
        """A request; X_Allow_Overwrite="x" is a header, None leaves one out."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        data = b"" if body is None else json.dumps(body).encode()
        found = {**self.headers, **(HTTP if body is not None else {}), **more}
        found = {name: value for name, value in found.items() if value is not None}
        return self.raw(method, path, data, found)

    def get(self, path, **headers):
        """GET"""
        return self.call("GET", path, **headers)

    def post(self, path, body=None, **headers):
        """POST"""
        return self.call("POST", path, body, **headers)

    def put(self, path, body, **headers):
        """PUT"""
        return self.call("PUT", path, body, **headers)

    def patch(self, path, body, **headers):
        """PATCH"""
        return self.call("PATCH", path, body, **headers)

    def delete(self, path, **headers):
        """DELETE"""
        return self.call("DELETE", path, **headers)

    # ---- what belongs together ----

    def upload(self, cert, key=None, name="new", **more):
        """Import a certificate."""
        body = {"display_name": name, "pem_encoded": cert, **more}
        body.update({"private_key": key} if key else {})
        return self.post(CERTS + "?action=import", body)

    def apply(self, ident, service="API", node=None):
        """Apply one; node: by its number."""
        where = f"&node_id={self.nsx.nodes[node - 1].uuid}" if node else ""
        return self.post(f"{CERTS}/{ident}?action=apply_certificate&service_type={service}{where}")

    def is_back(self):
        """Is the manager healthy?"""
        try:
            return self.get(MP + "reverse-proxy/node/health").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait(self):
        """Until the manager is healthy again."""
        wait_until(self.is_back, self.host)

    def served(self, name=None):
        """The fingerprint of what is presented there; OSError: nothing."""
        return tls.served(self.nsx.port, name, host=self.host).fingerprint
