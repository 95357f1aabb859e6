"""Pebble, the ACME test server, and pebble-challtestsrv, the DNS server it asks.

Works with Debian 12's 2.4 and Debian 13's 2.6.
"""

import json
import os
import re
import ssl
import subprocess
import urllib.request

from . import ports
from .proc import Server


class Dns(Server):
    """pebble-challtestsrv as a DNS server: each name is 127.0.0.1 unless told otherwise."""

    def __init__(self, folder):
        self.port = ports.free_port()
        self.management = ports.free_port()
        # The DNS switch was renamed after 2.4, and DNS over HTTPS came with 2.5.
        usage = subprocess.run(
            ["pebble-challtestsrv", "-h"], capture_output=True, text=True, check=False
        ).stderr
        dns_switch = "-dnsserver" if "-dnsserver" in usage else "-dns01"
        argv = [
            "pebble-challtestsrv",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            f"127.0.0.1:{self.management}",
            dns_switch,
            f"127.0.0.1:{self.port}",
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
        ]
        if "-doh" in usage:
            argv += ["-doh", ""]
        super().__init__("challtestsrv", argv, folder)

    def ready(self):
        return ports.answers(self.management) and ports.answers(self.port)

    def _post(self, verb, **body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management}/{verb}",
            data=json.dumps(body).encode(),
            method="POST",
        )
        urllib.request.urlopen(request, timeout=5).close()

    def set_address(self, name, address):
        """Let name lead to address."""
        self._post("add-a", host=name, addresses=[address])

    def clear_address(self, name):
        """Let name lead to the default address again."""
        self._post("clear-a", host=name)

    def set_servfail(self, name):
        """Let each question about name fail."""
        self._post("set-servfail", host=name)

    def clear_servfail(self, name):
        """Answer questions about name again."""
        self._post("clear-servfail", host=name)


class Pebble(Server):
    """The CA. http_port and tls_port are where it validates: those of the balancer under test.

    nonce_reject and authz_reuse are percentages; a functional test leaves nonce rejection on.
    """

    def __init__(
        self,
        folder,
        ca,
        dns,
        http_port,
        *,
        tls_port=None,
        nonce_reject=50,
        authz_reuse=0,
        sleep=False,
        validity_s=None,
        chain_length=1,
        alternate_roots=0,
        eab=None,
        blocked=(),
    ):
        self.port = ports.free_port()
        self.management = ports.free_port()
        self.ca_file = ca.file
        cert, key = ca.issue(os.path.join(folder, "pebble"))
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": cert,
            "privateKey": key,
            "httpPort": http_port,
            "tlsPort": tls_port or http_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(eab),
            "externalAccountMACKeys": eab or {},
            "domainBlocklist": list(blocked),
        }
        if validity_s:
            config["certificateValidityPeriod"] = validity_s
        config_file = os.path.join(folder, "pebble.json")
        with open(config_file, "w", encoding="utf-8") as file:
            json.dump({"pebble": config}, file, indent=2)
        env = {
            "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
            "PEBBLE_AUTHZREUSE": str(authz_reuse),
            "PEBBLE_CHAIN_LENGTH": str(chain_length),
            "PEBBLE_ALTERNATE_ROOTS": str(alternate_roots),
        }
        if not sleep:
            env["PEBBLE_VA_NOSLEEP"] = "1"
        dns_server = getattr(dns, "address", None) or f"127.0.0.1:{dns.port}"
        super().__init__(
            "pebble",
            ["pebble", "-config", config_file, "-strict", "-dnsserver", dns_server],
            folder,
            env,
        )

    @property
    def directory(self):
        """The directory URL, as an ACME client wants it."""
        return f"https://127.0.0.1:{self.port}/dir"

    def ready(self):
        return ports.answers(self.port) and ports.answers(self.management)

    def roots(self):
        """The PEM of the root that signs this CA's certificates; a new one at each start."""
        tls = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(
            f"https://127.0.0.1:{self.management}/roots/0", context=tls, timeout=5
        ) as got:
            return got.read().decode()

    def requests(self):
        """Every ACME request so far, as (method, path), retries after a refused nonce included."""
        return re.findall(r"(GET|HEAD|POST) (/\S*) -> calling handler", self.log())

    def has_renewal_information(self):
        """Pebble 2.6 has; its moment is anywhere within a day around the usual one."""
        context = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(self.directory, timeout=5, context=context) as answer:
            return "renewalInfo" in json.load(answer)

    def orders(self):
        """How many orders it has taken."""
        return self.log().count("Added order ")

    def issued(self):
        """How many certificates it has issued."""
        return self.log().count("Issued certificate serial ")
