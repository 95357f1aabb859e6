# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Functions for scripts around certauto(1): see certauto-hooks(7). To be sourced, by any sh:
#
#	. /usr/share/certauto/certauto-hooks.sh
#
# CERTAUTO is the command (certauto), CERTAUTO_CONFIG its configuration file. Nothing here exits or
# changes a setting of the shell, and but for the names of these functions nothing is left behind:
# those with variables run in a shell of their own.

# VERB [ARG...]: certauto as CERTAUTO and CERTAUTO_CONFIG say.
certauto_run() {
	"${CERTAUTO:-certauto}" ${CERTAUTO_CONFIG:+"--config=$CERTAUTO_CONFIG"} "$@"
}

# COMMAND [ARG...]: status 75, something must wait, counts as 0: for callers that take all but 0 for
# a failure, where a later run goes on anyway.
certauto_or_later() (
	rc=0
	"$@" || rc=$?
	[ "$rc" -eq 75 ] || return "$rc"
	echo "certauto: it must wait, and is left to a later run" >&2
)

# SECONDS COMMAND [ARG...]: again and again while its status is 75, as when another run is at work,
# for so long at most.
certauto_retry() (
	patience=${1:?certauto_retry: SECONDS COMMAND ...} pause=1
	shift
	while :; do
		rc=0
		"$@" || rc=$?
		[ "$rc" -eq 75 ] && [ "$patience" -gt 0 ] || return "$rc"
		[ "$pause" -le "$patience" ] || pause=$patience
		sleep "$pause"
		patience=$((patience - pause))
		[ "$pause" -ge 30 ] || pause=$((pause * 2))
	done
)

# PATH [FIELD...]: values of the JSON document on standard input, as certauto json prints them.
certauto_json_get() {
	"${CERTAUTO:-certauto}" json "$@"
}

# VERB [ARG...]: what came of it: a line for each result, its name, key, outcome and message with
# tabs between, - for what there is not. The status is that of the verb.
certauto_results() (
	rc=0
	json=$(certauto_run --json "$@") || rc=$?
	printf '%s\n' "$json" | certauto_json_get 'results.*' name key outcome error.message || :
	return "$rc"
)

# NAME [KEY]: the folder with key.pem, cert.pem, chain.pem and fullchain.pem of what certauto has
# issued last; KEY: the type of its key, by default the first one that is configured.
certauto_lineage() (
	name=${1:?certauto_lineage: NAME [KEY]} key=${2-} tab=$(printf '\t')
	config=${CERTAUTO_CONFIG:-/etc/certauto/certauto.json}
	[ -r "$config" ] || { echo "certauto: cannot read $config" >&2; return 1; }
	[ -n "$key" ] || key=$(certauto_run --json status |
		certauto_json_get 'certificates.*' name lineages.0.key |
		while IFS=$tab read -r one its_key; do
			[ "$one" != "$name" ] || printf '%s\n' "$its_key"
		done)
	folder=$(certauto_json_get state <"$config") || folder=/var/lib/certauto
	folder=$folder/certs/$name/$key/current
	[ -e "$folder/cert.pem" ] || {
		echo "certauto: there is no certificate $name${key:+ $key}" >&2
		return 1
	}
	printf '%s\n' "$folder"
)

# [FILE]: fingerprint of the first certificate in it, or on standard input, in the form of
# certauto --json status. Needs openssl(1).
certauto_fingerprint() (
	[ $# -eq 0 ] || [ -r "$1" ] || { echo "certauto: cannot read $1" >&2; return 1; }
	[ $# -eq 0 ] || exec <"$1"
	hex=$(openssl x509 -noout -fingerprint -sha256) || return 1
	printf '%s\n' "${hex#*=}" | tr -d : | tr ABCDEF abcdef
)

# HOST:PORT [NAME]: fingerprint of what is served there to those who ask for NAME, by default HOST.
# Needs openssl(1).
certauto_served() (
	where=${1:?certauto_served: HOST:PORT [NAME]}
	set -- openssl s_client -connect "$where" ${2:+"-servername"} ${2:+"$2"}
	! command -v timeout >/dev/null || set -- timeout 10 "$@"
	pem=$("$@" </dev/null 2>/dev/null) || :
	printf '%s\n' "$pem" | certauto_fingerprint 2>/dev/null && return
	echo "certauto: $where serves no certificate" >&2
	return 1
)

# HOST:PORT FILE [NAME [SECONDS]]: waits until the certificate in FILE is served there, at most so
# long (60).
certauto_wait_served() (
	where=${1:?certauto_wait_served: HOST:PORT FILE [NAME [SECONDS]]}
	wanted=$(certauto_fingerprint "${2:?certauto_wait_served: HOST:PORT FILE}") || return 1
	end=$(($(date +%s) + ${4:-60}))
	while :; do
		served=$(certauto_served "$where" "${3-}" 2>/dev/null) || served=nothing
		[ "$served" != "$wanted" ] || return 0
		[ "$(date +%s)" -lt "$end" ] || break
		sleep 1
	done
	echo "certauto: $where serves $served, not $wanted" >&2
	return 1
)

# VERB [ARG...]: what the functions of acme.sh below ask for. Which target is saved where acme.sh
# saves such things, so that its renewals know it too.
_certauto_acme_sh() (
	verb=$1
	for name in CERTAUTO_TARGET CERTAUTO_CONFIG CERTAUTO_ENV_FILE; do
		eval "value=\${$name-}"
		if [ "$verb" = deploy ] && command -v _getdeployconf >/dev/null; then
			_getdeployconf "$name"
			eval "value=\${$name-}"
			[ -z "$value" ] || _savedeployconf "$name" "$value"
		elif [ "$verb" != deploy ] && command -v _readaccountconf_mutable >/dev/null; then
			[ -n "$value" ] || value=$(_readaccountconf_mutable "$name") || :
			[ -z "$value" ] || _saveaccountconf_mutable "$name" "$value"
		fi
		[ -z "$value" ] || export "$name=$value"
	done
	"${CERTAUTO:-certauto}" hook acme-sh "$@"
)

# FULLDOMAIN VALUE: the DNS hook of acme.sh (--dns dns_certauto), with this file in its dnsapi
# folder as dns_certauto.sh.
dns_certauto_add() {
	_certauto_acme_sh add "$@"
}

dns_certauto_rm() {
	_certauto_acme_sh rm "$@"
}

# DOMAIN KEYFILE CERTFILE CAFILE FULLCHAINFILE: its deploy hook (--deploy-hook certauto), with this
# file in its deploy folder as certauto.sh.
certauto_deploy() {
	_certauto_acme_sh deploy "$@"
}
