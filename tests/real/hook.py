"""Hook programs as the users of other clients have written them, and a note of each run.

Each takes its contract at its word and knows nothing of certauto. Where the DNS is changed it is by
nsupdate at a real BIND, where a web server is, by its folder. What they were given is appended to
"calls" in their folder: a line of JSON for each run, written by a helper they source or call.
"""

import json
import os

# Appends what the caller was given. No secrets of ours: the tests look for these in what is shown.
NOTE = """#!/usr/bin/python3 -ISB
import fcntl, json, os, sys
with open("{calls}", "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
"""

# The manual auth and cleanup hooks in the style of certbot's own documentation: the identifier of
# what was made goes from one to the other by standard output, chatter to standard error.
CERTBOT_AUTH = """#!/bin/bash
{note} auth
echo "talking to the DNS" >&2
nsupdate -k {key} <<END || exit 1
server 127.0.0.1 {port}
update add _acme-challenge.$CERTBOT_DOMAIN. 60 TXT "$CERTBOT_VALIDATION"
send
END
echo "  record-$CERTBOT_DOMAIN  "
"""

CERTBOT_CLEANUP = """#!/bin/bash
{note} cleanup
[ "$CERTBOT_AUTH_OUTPUT" = "record-$CERTBOT_DOMAIN" ] || {{ echo "which record?" >&2; exit 1; }}
nsupdate -k {key} <<END
server 127.0.0.1 {port}
update delete _acme-challenge.$CERTBOT_DOMAIN. TXT "$CERTBOT_VALIDATION"
send
END
"""

# The web root variant.
CERTBOT_HTTP_AUTH = """#!/bin/bash
{note} auth
mkdir -p {webroot}/.well-known/acme-challenge
echo -n "$CERTBOT_VALIDATION" > {webroot}/.well-known/acme-challenge/$CERTBOT_TOKEN
"""

CERTBOT_HTTP_CLEANUP = """#!/bin/bash
{note} cleanup
rm -f {webroot}/.well-known/acme-challenge/$CERTBOT_TOKEN
"""

# A deploy hook: a bundle for the server that serves it, then what makes it read that.
CERTBOT_DEPLOY = """#!/bin/sh
set -e
{note} deploy
umask 077
cat "$RENEWED_LINEAGE/fullchain.pem" "$RENEWED_LINEAGE/privkey.pem" > {bundle}.new
mv {bundle}.new {bundle}
{reload}
"""

# The shape of dehydrated's example hook.
DEHYDRATED = """#!/usr/bin/env bash
deploy_challenge() {{
    local DOMAIN="${{1}}" TOKEN_FILENAME="${{2}}" TOKEN_VALUE="${{3}}"
    case "$CHALLENGETYPE" in
    dns-01)
        printf 'server 127.0.0.1 {port}\\nupdate add _acme-challenge.%s 300 TXT "%s"\\nsend\\n' \\
            "${{DOMAIN}}" "${{TOKEN_VALUE}}" | nsupdate -k {key}
        ;;
    http-01)
        mkdir -p {webroot}/.well-known/acme-challenge
        printf '%s' "${{TOKEN_VALUE}}" > "{webroot}/.well-known/acme-challenge/${{TOKEN_FILENAME}}"
        ;;
    esac
}}

clean_challenge() {{
    local DOMAIN="${{1}}" TOKEN_FILENAME="${{2}}" TOKEN_VALUE="${{3}}"
    case "$CHALLENGETYPE" in
    dns-01)
        printf 'server 127.0.0.1 {port}\\nupdate delete _acme-challenge.%s TXT "%s"\\nsend\\n' \\
            "${{DOMAIN}}" "${{TOKEN_VALUE}}" | nsupdate -k {key}
        ;;
    http-01) rm -f "{webroot}/.well-known/acme-challenge/${{TOKEN_FILENAME}}" ;;
    esac
}}

deploy_cert() {{
    local DOMAIN="${{1}}" KEYFILE="${{2}}" CERTFILE="${{3}}" FULLCHAINFILE="${{4}}"
    umask 077
    cat "${{FULLCHAINFILE}}" "${{KEYFILE}}" > {bundle}.new && mv {bundle}.new {bundle} && {reload}
}}

{note} "$@"
HANDLER="$1"; shift
if [[ "${{HANDLER}}" =~ ^(deploy_challenge|clean_challenge|deploy_cert)$ ]]; then
    "$HANDLER" "$@"
fi
"""

# The shape of the example in lego's page of the provider exec.
LEGO = """#!/usr/bin/env bash
set -eu
{note} "$@"
case "$1" in
present) action=add; value="60 TXT \\"$3\\"" ;;
cleanup) action=delete; value="TXT \\"$3\\"" ;;
*) echo "unknown action" >&2; exit 1 ;;
esac
nsupdate -k {key} <<END
server 127.0.0.1 {port}
update $action $2 $value
send
END
"""

# RAW: the digest is made by the program.
LEGO_RAW = """#!/usr/bin/env bash
set -eu
{note} "$@"
[ "$2" = "--" ]
case "$1" in
present) action=add; ttl=60 ;;
cleanup) action=delete; ttl= ;;
esac
digest=$(printf %s "$5" | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d '=')
nsupdate -k {key} <<END
server 127.0.0.1 {port}
update $action _acme-challenge.$3. $ttl TXT "$digest"
send
END
"""

LEGO_DEPLOY = """#!/bin/sh
set -e
{note} deploy
umask 077
cat "$LEGO_HOOK_CERT_PATH" "${{LEGO_CERT_KEY_PATH}}" > {bundle}.new
mv {bundle}.new {bundle}
{reload}
"""

# dnsapi/dns_local.sh: two functions, and the helpers of acme.sh.
ACMESH_DNS = """#!/usr/bin/env sh
# shellcheck disable=SC2034
dns_local_add() {{
  fulldomain=$1
  txtvalue=$2
  {note} dns_local_add "$@"
  LOCAL_Key="${{LOCAL_Key:-$(_readaccountconf_mutable LOCAL_Key)}}"
  if [ -z "$LOCAL_Key" ]; then
    _err "You didn't specify the key file LOCAL_Key."
    return 1
  fi
  _saveaccountconf_mutable LOCAL_Key "$LOCAL_Key"
  _info "Adding $fulldomain"
  _debug fulldomain "$fulldomain"
  _local_update add "$fulldomain. 60 TXT \\"$txtvalue\\""
}}

dns_local_rm() {{
  {note} dns_local_rm "$@"
  LOCAL_Key="${{LOCAL_Key:-$(_readaccountconf_mutable LOCAL_Key)}}"
  _local_update delete "$1. TXT \\"$2\\""
}}

_local_update() {{
  nsupdate -k "$LOCAL_Key" <<END
server 127.0.0.1 {port}
update $1 $2
send
END
}}
"""

ACMESH_DEPLOY = """#!/usr/bin/env sh
local_deploy() {{
  _cdomain="$1"
  _ckey="$2"
  _ccert="$3"
  _cca="$4"
  _cfullchain="$5"
  {note} local_deploy "$@"
  _debug _cdomain "$_cdomain"
  _getdeployconf DEPLOY_LOCAL
  (umask 077; cat "$_cfullchain" "$_ckey" > {bundle}.new && mv {bundle}.new {bundle}) || return 1
  {reload}
}}
"""

# What matters of acme.sh: it is made to be sourced as well, and runs its last line then.
ACMESH = """#!/usr/bin/env sh
_info() {{ printf '%s\\n' "$1"; }}
_err() {{ printf '%s\\n' "$1" >&2; return 1; }}
_debug() {{ :; }}
_startswith() {{ echo "$1" | grep -- "^$2" >/dev/null 2>&1; }}
_initpath() {{
  [ "$LE_WORKING_DIR" ] || LE_WORKING_DIR="$HOME/.acme.sh"
  ACCOUNT_CONF_PATH="$LE_WORKING_DIR/account.conf"
  DOMAIN_CONF="$LE_WORKING_DIR/${{1:-none}}.conf"
}}
_saveaccountconf_mutable() {{ echo "SAVED_$1='$2'" >> "$ACCOUNT_CONF_PATH"; }}
_readaccountconf_mutable() {{
  [ ! -f "$ACCOUNT_CONF_PATH" ] || (. "$ACCOUNT_CONF_PATH"; eval "echo \\$SAVED_$1")
}}
_getdeployconf() {{ echo "$1" >> "$DOMAIN_CONF"; }}
main() {{
  [ -z "$1" ] && echo "help" && return
  if _startswith "$1" '-'; then exit 1; else "$@"; fi
}}
main "$@"
"""


class Hooks:
    """A folder of such programs. more: what is filled in: port, key, webroot, bundle, reload."""

    def __init__(self, folder, **more):
        self.folder = folder
        self.calls_file = os.path.join(folder, "calls")
        self.note = self.write("note", NOTE.format(calls=self.calls_file))
        # A file of its own, for it is renamed over: never that of a device.
        bundle = os.path.join(folder, "bundle.pem")
        self.words = {"note": self.note, "reload": "true", "bundle": bundle, **more}

    def write(self, name, text, mode=0o755):
        """A file of that name; returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def make(self, name, template, **more):
        """The program of a template above."""
        return self.write(name, template.format(**{**self.words, **more}))

    def calls(self):
        """(arguments, environment) of each run so far."""
        try:
            with open(self.calls_file, encoding="utf-8") as file:
                return [tuple(json.loads(line)) for line in file]
        except FileNotFoundError:
            return []

    def verbs(self):
        """The first argument of each run."""
        return [argv[0] for argv, _environment in self.calls()]
