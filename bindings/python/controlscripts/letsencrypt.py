# SPDX-License-Identifier: Apache-2.0
"""ControlScript for Avi (NSX Advanced Load Balancer): certificates of Let's Encrypt.

Its text goes into a ControlScript of the controller, the parameters into a certificate management
profile: `certauto target recipe avi` prints both. The controller answers the challenges (http-01)
for virtual services that serve the names. CERTAUTO_BUNDLE is the folder that `make bundle` made.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("CERTAUTO_BUNDLE", "/opt/certauto"), "python"))

from certauto import controlscript  # noqa: E402

# Empty: not set. (s): mark as sensitive; (d): dynamic, for each certificate if you like.
PARAMETERS = {
    "user": "",  # account on the controller
    "password": "",  # (s) its password
    "tenant": "admin",  # where the virtual services are
    "dryrun": "false",  # (d) "true": certificates of the staging environment, which nobody trusts
    "contact": "",  # e-mail address for the CA
    "disable_check": "false",  # (d) "true": the CA is told to look before we have looked
    "overwrite_vs": "",  # (d) name or uuid of the virtual service for all names; "": found by name
    "directory_url": "",  # another CA; wins over dryrun
    "letsencrypt_key": "",  # (s) account key, PEM; wins over the one in the state
    "debug": "false",  # "true": tell every step
    "state": "",  # folder of account key and unfinished orders; "": one of ours below /tmp
    "ca_file": "",  # certificates that the CA's server is verified by, PEM; "": the system's
    "eab_kid": "",  # external account binding: key id
    "eab_hmac": "",  # (s) and MAC key, base64url
    "profile": "",  # profile of the certificate, as the CA names it
    "api_version": "",  # of the controller; "": its own
    "dns_target": "",  # (s) "TYPE,option=value,...": dns-01 for all names, in place of http-01
    "controller_ca_file": "",  # the controller's certificate is verified by these, PEM
    "controller_pin": "",  # or by its key, sha256//BASE64; "": the same machine, not verified
    "challenge_check": "",  # (d) host:port where we look before the CA; "": port 80 of the name
    "timeout": "280",  # seconds for everything; less than the ControlScript's own limit
}


def certificate_request(csr, common_name, args):
    """Called by the controller; returns certificate and chain in PEM."""
    return controlscript.request(csr, common_name, args, PARAMETERS)
