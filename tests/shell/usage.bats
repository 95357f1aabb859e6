#!/usr/bin/env bats
# How the command takes its command line: what it lists, what it refuses, and in which words.

load helper

ERROR_KEYS='{"code", "message", "advice", "object", "type", "status", "retry_at", "subproblems"}'

@test "version: command and library agree" {
	certauto version
	ended 0
	[[ $output =~ ^certauto\ ([0-9.]+),\ libcertauto\ ([0-9.]+)$ ]]
	[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
	certauto --version
	ended 0
	says libcertauto
	certauto --json version
	json 'top["version"] == 1 and top["certauto"] == top["library"]'
}

@test "help: lists every verb, and every verb has help" {
	certauto help
	ended 0
	verbs=$(sed -n 's/^  \([a-z][a-z -]*[a-z]\)   *[a-z].*/\1/p' out)
	[ "$(wc -l <<<"$verbs")" -ge 15 ]
	while read -r verb; do
		# shellcheck disable=SC2086 # a verb may be two words
		certauto help $verb
		ended 0
		says "usage: certauto $verb"
		before=$output
		# shellcheck disable=SC2086
		certauto $verb --help
		ended 0
		[ "$output" = "$before" ]
	done <<<"$verbs"
}

@test "help: says the same by --help, -h and help" {
	certauto help
	before=$output
	certauto --help
	ended 0
	[ "$output" = "$before" ]
	certauto -h
	[ "$output" = "$before" ]
}

@test "help: of the first word of two is that of all" {
	certauto account --help
	ended 0
	says "usage: certauto account register" "usage: certauto account show"
}

@test "help: names only options that the verb takes" {
	certauto help status
	[[ $output != *--force* ]]
	[[ $output != *--days* ]]
	certauto help self-signed
	says --days --san --key-out
	[[ $output != *--server* ]]
}

@test "help: every option in it is taken by the command" {
	for verb in issue renew deploy plan status check gc revoke csr self-signed; do
		certauto help $verb
		[[ $output == *--json* ]]
		# The first that it does not know is the one it complains of.
		mapfile -t options < <(sed -nE 's/^  (-., |    )(--[a-z-]+).*/\2/p' out)
		[ "${#options[@]}" -gt 5 ]
		certauto $verb $(printf '%s x ' "${options[@]}") --nonsense
		complains "no option --nonsense"
	done
}

@test "no verb at all: usage, status 2" {
	certauto
	ended 2
	complains usage
	[ -z "$output" ]
}

@test "an unknown verb: status 2, and the list" {
	certauto isssue shop
	ended 2
	complains isssue issue renew self-signed
}

@test "verbs that do not exist are not known" {
	for verb in unrevoke "account delete" "target remove" "hook traefik"; do
		# shellcheck disable=SC2086
		certauto $verb
		ended 2
		complains "there is no"
	done
}

@test "an unknown second word: status 2, and the list" {
	certauto account dance
	ended 2
	complains dance register show update rotate-key deactivate orders
	certauto target
	ended 2
	complains list options test renew recipe
}

@test "an unknown option is named" {
	certauto renew --nonsense
	ended 2
	complains --nonsense
	certauto -x renew
	ended 2
	complains -x
}

@test "an option of another verb is refused" {
	certauto status --force
	ended 2
	complains status --force
	certauto renew --days 3
	ended 2
	complains renew --days
}

@test "an option without its value, with one too many, given twice" {
	certauto renew --timeout
	ended 2
	complains "--timeout SECONDS"
	certauto renew --dry-run=yes
	ended 2
	complains "--dry-run takes no value"
	certauto -c a -c b renew
	ended 2
	complains "--config is given twice"
}

@test "--timeout takes seconds" {
	for value in soon 0 -1 1.5 99999999 ""; do
		certauto renew --timeout "$value"
		ended 2
		complains --timeout
	done
}

@test "--must-renew-before takes a time" {
	for value in "" soon 14 d 14m -3d 1.5d 2026-13-01 2026-02-30 2026-12-24T08:00 \
		2026-12-24T25:00:00Z 2026-12-24T08:00:00 "2026-12-24 08:00:00Z" \
		2026-12-24T08:00:00+25:00 9999999d 2026-12-24x 14dd; do
		for verb in renew plan "issue shop"; do
			# shellcheck disable=SC2086
			certauto -c "$PWD/none.json" $verb --must-renew-before "$value"
			ended 2
			complains --must-renew-before "\"$value\"" 14d 2026-12-24
		done
	done
	# These are times: what is missing then is the configuration.
	for value in 0d 14d 36h 2020-01-01 2028-02-29 2026-12-24T08:00:00Z 2026-12-24t08:00:00z \
		2026-12-24T08:00:00.25Z 2026-12-24T08:00:00+01:00 2026-12-24T08:00:00-09:30; do
		certauto -c "$PWD/none.json" plan --must-renew-before "$value"
		ended 2
		complains none.json
	done
	certauto deploy --must-renew-before 14d
	ended 2
	complains "takes no option"
}

@test "words too many are refused" {
	certauto status shop
	ended 2
	complains shop
	certauto target options files haproxy
	ended 2
	complains haproxy
}

@test "a mistake is JSON under --json, wherever that stands" {
	certauto --json isssue
	ended 2
	json "top['version'] == 1 and set(top['error']) == $ERROR_KEYS"
	json 'top["error"]["code"] == "CERTAUTO_EINVAL" and "isssue" in top["error"]["message"]'
	certauto renew --nonsense --json
	ended 2
	json '"--nonsense" in top["error"]["message"]'
}

@test "invalid UTF-8 does not spoil the JSON, nor control characters the terminal" {
	certauto --json $'is\xffsue\e[2J'
	ended 2
	json '"\ufffd" in top["error"]["message"]'
	[[ $stderr != *$'\e'* ]]
	[[ $stderr != *$'\xff'* ]]
}

@test "a configuration that is not there is named, and nothing is made" {
	for verb in "issue shop" renew deploy plan status check gc "revoke shop" \
		"account register" "account show" "account update" "account rotate-key" \
		"account deactivate le --yes" "account orders" "target test x" \
		"target renew x"; do
		# shellcheck disable=SC2086
		certauto -c "$PWD/none.json" $verb
		ended 2
		complains "$PWD/none.json"
	done
	certauto --json renew -c "$PWD/none.json"
	ended 2
	json "set(top['error']) == $ERROR_KEYS"
}

@test "a broken configuration: file and line" {
	printf '{\n "state": "/nonexistent",\n "nonsense": 1 }\n' >bad.json
	certauto -c bad.json renew
	ended 2
	complains bad.json:3 nonsense
	[ ! -e /nonexistent ]
}

@test "output that cannot be written is a failure" {
	[ -e /dev/full ] || skip "there is no /dev/full"
	run bash -c '"$0" help >/dev/full' "$CERTAUTO"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot write"* ]]
}

without_configuration() {
	[ ! -e /etc/certauto/certauto.json ] || skip "this machine has a configuration"
}

@test "without a configuration: a verb is told of the options it takes" {
	without_configuration
	for verb in check gc plan "target test edge"; do
		# shellcheck disable=SC2086 # a verb may be several words
		certauto $verb
		ended 2
		complains "there is no configuration" /etc/certauto/certauto.json -c
		[[ $stderr != *--server* ]]
	done
	certauto renew
	ended 2
	complains "(--server, --state, --domain, --target)"
	certauto account show
	ended 2
	complains "(--server, --state)"
}

@test "without a configuration: a lone word that is a type, or no type, is told so" {
	without_configuration
	certauto target recipe nope
	ended 2
	complains "there is no target type nope; there are:" netscaler
	for verb in "hook certbot-auth" "csr --domain a.example.org" \
		"self-signed --cn a.example.org --key-out k.pem --out n.pem"; do
		# shellcheck disable=SC2086
		CERTBOT_DOMAIN=a.example.org CERTBOT_VALIDATION=x certauto $verb --target rfc2136
		ended 2
		complains "a type needs its options: rfc2136,key_file=...," \
			"certauto target options rfc2136"
	done
}

@test "without a configuration: what is missing is shown by an example of the same verb" {
	certauto status --state "$PWD"
	ended 2
	complains --server --domain --target "certauto status --server letsencrypt --state"
	certauto account show --state "$PWD"
	ended 2
	complains "--server" "For example: certauto account show --server"
	[[ $stderr != *--domain* ]]
}

@test "a second word that is no verb is told as one" {
	for word in target account hook; do
		certauto $word foo
		ended 2
		complains "there is no verb $word foo; there are:"
	done
}

@test "help: a verb without operands has no blank at the end of its usage" {
	certauto help status
	[[ $output == "usage: certauto status [OPTION...]"$'\n'* ]]
}
