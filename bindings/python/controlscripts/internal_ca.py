# SPDX-License-Identifier: Apache-2.0
"""ControlScript for Avi (NSX Advanced Load Balancer): certificates of an internal CA over ACME.

step-ca: directory_url https://HOST/acme/PROVISIONER/directory; ca_file: its root certificate.
Vault: directory_url https://HOST:8200/v1/PKI-MOUNT/acme/directory; ca_file: who signed the
certificate of its listener; eab_kid and eab_hmac from `vault write -f PKI-MOUNT/acme/new-eab`.

The CA must reach the virtual services at port 80. CERTAUTO_BUNDLE is the folder that `make bundle`
made; what the parameters mean is in letsencrypt.py and docs/controlscript.md.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("CERTAUTO_BUNDLE", "/opt/certauto"), "python"))

from certauto import controlscript  # noqa: E402

PARAMETERS = {
    "user": "",
    "password": "",  # sensitive
    "tenant": "admin",
    "directory_url": "",
    "ca_file": "",
    "eab_kid": "",
    "eab_hmac": "",  # sensitive
    "profile": "",
    "contact": "",
    "disable_check": "false",
    "overwrite_vs": "",
    "state": "",
    "api_version": "",
    "controller_ca_file": "",
    "controller_pin": "",
    "challenge_check": "",
    "timeout": "280",
    "debug": "false",
}
REQUIRED = ("user", "password", "directory_url", "ca_file")


def certificate_request(csr, common_name, args):
    """Called by the controller; returns certificate and chain in PEM."""
    return controlscript.request(csr, common_name, args, PARAMETERS, required=REQUIRED)
