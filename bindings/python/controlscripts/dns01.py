# SPDX-License-Identifier: Apache-2.0
"""ControlScript for Avi (NSX Advanced Load Balancer): certificates by dns-01, wildcards too.

dns_target is "TYPE,option=value,...": a type of the library, or acme-dns, which is written here:
"acme-dns,url=https://HOST,user=...,key=...,subdomain=...", with a CNAME from _acme-challenge.NAME
to that subdomain. acme-dns keeps two values of a subdomain: enough for a name and its wildcard.
"""

import concurrent.futures
import json
import os
import ssl
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.environ.get("CERTAUTO_BUNDLE", "/opt/certauto"), "python"))

import certauto  # noqa: E402
from certauto import controlscript  # noqa: E402

TAKEN = ("dryrun contact directory_url letsencrypt_key debug state ca_file eab_kid eab_hmac profile "
         "dns_target timeout")  # fmt: skip
PARAMETERS = {name: controlscript.PARAMETERS[name] for name in TAKEN.split()}


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key is for one host."""

    def redirect_request(self, *_):
        """What is told to go elsewhere fails."""


def update(call, txt, ca_file):
    """Has a value shown; an answer that does not repeat it comes from somebody else."""
    tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file))
    opener = urllib.request.build_opener(tls, NoRedirects, urllib.request.ProxyHandler({}))
    with opener.open(call, timeout=20) as answer:
        body = answer.read(65536)
        if answer.status != 200 or b'"%s"' % txt.encode() not in body:
            raise ValueError(f"HTTP status {answer.status}, and not the value that was sent")


class AcmeDns:
    """Puts TXT records into acme-dns. What waits for it is a thread: operations must not block."""

    type = "acme-dns"
    caps = certauto.Capability.DNS01
    options = [{"name": name, "required": True} for name in ("url", "user", "subdomain")]
    options.append({"name": "key", "required": True, "sensitive": True})

    def __init__(self):
        self.pool, self.calls = concurrent.futures.ThreadPoolExecutor(1), {}

    def present(self, work):
        """Shows a value; the next but one takes its place, so cleanup() has nothing to do."""
        body = json.dumps({"subdomain": work.option("subdomain"), "txt": work.value})
        headers = {"X-Api-User": work.option("user"), "X-Api-Key": work.option("key")}
        call = urllib.request.Request(work.option("url") + "/update", body.encode(), headers)
        if (answer := self.calls.get(work.value)) is None:
            answer = self.pool.submit(update, call, work.value, work.option("ca_file"))
            self.calls[work.value] = answer
        wait = None if answer.done() else 0.05
        if wait is None and answer.exception():
            raise certauto.Refused(f"acme-dns at {work.option('url')}: {answer.exception()}")
        return wait

    def cleanup(self, work):
        """Nobody can take a record away from acme-dns."""


def certificate_request(csr, common_name, args):
    """Called by the controller; returns certificate and chain in PEM."""
    return controlscript.request(
        csr, common_name, args, PARAMETERS, required=["dns_target"], targets=[AcmeDns()]
    )
