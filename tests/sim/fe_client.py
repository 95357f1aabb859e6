"""A client of the simulated FlexibleEngine that does as it is told, right or wrong."""

import http.client
import json
import ssl
from urllib.parse import urlsplit

from .fe_sign import sign


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
        """(status, code) of a refusal, in whatever form it is."""
        told = self.json
        inner = told.get("error") or told.get("NeutronError") or told
        code = inner.get("error_code") or inner.get("code") or inner.get("type")
        return self.status, code

    @property
    def words(self):
        """What a refusal says."""
        told = self.json
        inner = told.get("error") or told.get("NeutronError") or told
        return inner.get("error_msg") or inner.get("message")


class FeClient:
    """Somebody with a password, or with an access key. headers: what each request carries."""

    def __init__(self, fe, user=None, password=None, login=True, key=None, project=None):
        self.fe, self.key, self.headers, self._links = fe, key, {}, {}
        self.user, self.password = user or fe.user, password or fe.password
        self.project = project or fe.project
        self.names = self.scope = None
        if login and not key:
            reply = self.login()
            self.headers["X-Auth-Token"] = reply.headers["X-Subject-Token"]

    def close(self):
        """End the connections."""
        for one in self._links.values():
            one.close()
        self._links.clear()

    def _link(self, url):
        parts = urlsplit(url)
        if parts.netloc not in self._links:
            if parts.scheme == "https":
                context = ssl.create_default_context(cafile=self.fe.ca_file)
                link = http.client.HTTPSConnection(parts.netloc, timeout=20, context=context)
            else:
                link = http.client.HTTPConnection(parts.netloc, timeout=20)
            self._links[parts.netloc] = link
        return self._links[parts.netloc]

    def raw(self, url, method, path, body=b"", headers=None):
        """One request; a header that is None is not sent."""
        headers = {name: value for name, value in (headers or {}).items() if value is not None}
        link = self._link(url)
        try:
            link.request(method, path, body, headers)
            return Reply(link.getresponse())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def identity(self, **user):
        """The body of a login."""
        user = {
            "name": self.user, "password": self.password, "domain": {"name": self.fe.domain}, **user
        }  # fmt: skip
        user = {name: value for name, value in user.items() if value is not None}
        identity = {"methods": ["password"], "password": {"user": user}}
        return {"auth": {"identity": identity, "scope": {"project": {"id": self.project}}}}

    def login(self, body=None, path="/v3/auth/tokens", **headers):
        """POST /v3/auth/tokens."""
        headers = {"Content-Type": "application/json;charset=utf8", **_named(headers)}
        data = json.dumps(self.identity() if body is None else body).encode()
        return self.raw(self.fe.iam_url, "POST", path, data, headers)

    def signed(self, url, method, path, body, **headers):
        """The headers of a signed request; X_Sdk_Date="..." and the like are taken as they are."""
        headers = {
            "Host": urlsplit(url).netloc, "X-Sdk-Date": self.fe.sdk_date(),
            "X-Project-Id": self.project, "Content-Type": "application/json", **_named(headers),
        }  # fmt: skip
        if self.key.token:
            headers.setdefault("X-Security-Token", self.key.token)
        headers = {name: value for name, value in headers.items() if value is not None}
        headers["Authorization"] = sign(
            method, path, headers, body, self.key.access, self.key.secret, self.names, self.scope
        )
        return headers

    def call(self, url, method, path, body=None, **headers):
        """A request with token or signature; X_Auth_Token="x" is a header, None leaves one out."""
        data = b"" if body is None else json.dumps(body).encode()
        if self.key:
            signed = self.signed(url, method, path, data, **headers)
            return self.raw(url, method, path, data, signed)
        kind = {"Content-Type": "application/json"}
        return self.raw(url, method, path, data, {**self.headers, **kind, **_named(headers)})

    def dns(self, method, path, body=None, **headers):
        """A request below /v2."""
        return self.call(self.fe.dns_url, method, "/v2/" + path, body, **headers)

    def elb(self, method, path, body=None, **headers):
        """A request below /v3/{project}/elb."""
        path = f"/v3/{self.project}/elb/{path}"
        return self.call(self.fe.elb_url, method, path, body, **headers)

    def old(self, method, path, body=None, **headers):
        """A request below /v2.0/lbaas."""
        return self.call(self.fe.vpc_url, method, "/v2.0/lbaas/" + path, body, **headers)


def _named(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}
