"""A client of the simulated Avi controller that does as it is told, right or wrong."""

import http.client
import json
import ssl
from urllib.parse import urlsplit


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
        """What a refusal says, with its status."""
        try:
            return self.status, self.json["error"]
        except (ValueError, KeyError):
            return self.status, self.text

    @property
    def results(self):
        """The names in a list."""
        return [one["name"] for one in self.json["results"]]


class AviClient:
    """A session. headers: what each request carries; tests change it as they like."""

    def __init__(self, avi, user="admin", password="admin", tenant="admin", version="30.2.2"):
        self.avi, self.cookies = avi, {}
        self.headers = {"X-Avi-Version": version, "X-Avi-Tenant": tenant, "Referer": avi.url}
        self._link = None
        self.login_reply = self.login(user, password) if user else None

    def close(self):
        """End the connection."""
        if self._link:
            self._link.close()
            self._link = None

    def _connect(self):
        parts = urlsplit(self.avi.url)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.avi.ca_file)
            return http.client.HTTPSConnection(parts.netloc, timeout=20, context=context)
        return http.client.HTTPConnection(parts.netloc, timeout=20)

    def raw(self, method, path, body=b"", headers=None):
        """One request; cookies that come are kept, the CSRF token goes into the next header."""
        headers = {name: value for name, value in (headers or {}).items() if value is not None}
        if self.cookies:
            text = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers.setdefault("Cookie", text)
        self._link = self._link or self._connect()
        try:
            self._link.request(method, path, body, headers)
            reply = Reply(self._link.getresponse())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        for line in reply.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return reply

    def login(self, user, password, **more):
        """POST /login with JSON."""
        body = json.dumps({"username": user, "password": password, **more}).encode()
        return self.raw("POST", "/login", body, {"Content-Type": "application/json"})

    def call(self, method, path, body=None, **headers):
        """A request to /api; X_Avi_Tenant="x" is a header, None leaves one out."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        token = {"X-CSRFToken": self.cookies["csrftoken"]} if "csrftoken" in self.cookies else {}
        data = b"" if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        return self.raw(method, "/api/" + path, data, {**self.headers, **token, **kind, **more})

    def get(self, path, **headers):
        """GET"""
        return self.call("GET", path, **headers)

    def post(self, path, body, **headers):
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
