#!/usr/bin/env bats
# The functions for hook scripts, in every shell that may run one.

load helper

HOOKS=$BATS_TEST_DIRNAME/../../bindings/shell/certauto-hooks.sh
# Each with the settings a script begins with, of which none may make a difference.
SHELLS=("dash|set -eu" "bash|" "bash --posix|set -eu" "zsh --emulate sh|" "zsh -f|set -eu")

# Runs the script in each shell: its status and output must be those.
in_each() {
	local shell
	for shell in "${SHELLS[@]}"; do
		status=0
		# shellcheck disable=SC2086
		CERTAUTO=${FAKE:-$CERTAUTO} PATH=$PWD/bin:$PATH ${shell%|*} -c ". '$HOOKS'; ${shell#*|}
			$1" script >out 2>err </dev/null || status=$?
		output=$(cat out) stderr=$(cat err)
		[ "$status" -eq "$2" ] || fail_run "$shell"
		[ "$output" = "$3" ] || fail_run "$shell"
	done
}

# A program below bin/, from standard input.
program() {
	mkdir -p bin
	cat >"bin/$1"
	chmod +x "bin/$1"
}

@test "the file is clean, and says nothing" {
	shellcheck "$HOOKS"
	in_each "" 0 ""
	[ -z "$stderr" ]
	[ "$(grep -c '.\{101\}' "$HOOKS")" -eq 0 ]
}

@test "every function is in the manual page, and none besides" {
	page=$BATS_TEST_DIRNAME/../../docs/man/certauto-hooks.7
	sed -n 's/^\([a-z][a-z_]*\)().*/\1/p' "$HOOKS" | sort >have
	sed -n 's/^\.It Fn \([a-z_]*\).*/\1/p' "$page" | sort >told
	[ "$(wc -l <have)" -ge 8 ]
	cmp have told
}

@test "nothing is left behind but functions" {
	program variables <<-'END'
	#!/bin/sh
	# What each shell changes by itself.
	grep -Ev '^(_|BASH_[A-Z]*|PIPESTATUS|[?!]|LINENO|RANDOM|SECONDS|TTYIDLE|EPOCH[A-Z]*|status)=' | sort
	END
	in_each 'echo $- >options; set | variables >before-it
		certauto_or_later true; certauto_retry 3 true
		certauto_results version >none || :
		certauto_lineage shop 2>none || :
		certauto_fingerprint /nonexistent 2>none || :
		certauto_served /nonexistent 2>none || :
		certauto_wait_served 127.0.0.1:1 /nonexistent a 0 2>none || :
		set | variables >after-it; echo $- >>options
		comm -3 before-it after-it; uniq -u options' 0 ""
}

@test "run: the command and the configuration that the environment says" {
	program show <<-'END'
	#!/bin/sh
	printf '<%s>' "$@"
	exit 3
	END
	FAKE=$PWD/bin/show
	in_each 'certauto_run renew "a b"' 3 "<renew><a b>"
	in_each 'CERTAUTO_CONFIG="/etc/my certauto.json"; certauto_run renew "a b"' 3 \
		"<--config=/etc/my certauto.json><renew><a b>"
}

@test "or_later: 75 counts as done, all else is what it is" {
	in_each 'ends() { echo "$@"; return "$1"; }; certauto_or_later ends 75 "a b"' 0 "75 a b"
	[[ $stderr == *"later run"* ]]
	in_each 'ends() { return "$1"; }
		for n in 0 1 2 3 130; do certauto_or_later ends $n || echo $?; done' 0 $'1\n2\n3\n130'
	[ -z "$stderr" ]
}

@test "retry: while it is 75, with longer and longer pauses, as long as told" {
	# How often it was called is told by the length of a file, as it is called in another shell.
	script='sleep() { echo "sleep $1"; }
		: >n
		ends() { echo "$*" >>n; n=$(wc -l <n); shift $((n - 1)); return "$1"; }'
	in_each "$script; certauto_retry 60 ends 75 75 75 0" 0 $'sleep 1\nsleep 2\nsleep 4'
	in_each "$script; certauto_retry 60 ends 75 1 0" 1 "sleep 1"
	in_each "$script; certauto_retry 60 ends 0" 0 ""
	in_each "$script; certauto_retry 0 ends 75 0" 75 ""
	in_each "$script; certauto_retry 100 ends 75 75 75 75 75 75 75 75 75 0" 75 \
		"$(printf 'sleep %s\n' 1 2 4 8 16 32 32 5)"
}

@test "json_get, results: values, and what came of a verb" {
	in_each 'printf "{\"a\": [\"x y\", 2]}" | certauto_json_get "a.*"' 0 $'x y\n2'
	in_each 'echo "{}" | certauto_json_get a || echo none' 0 none
	program fake <<-'END'
	#!/bin/sh
	case $* in
	"json "*) exec "$REAL" "$@" ;;
	"--json renew --force") ;;
	*) exit 99 ;;
	esac
	echo '{"version": 1, "verb": "renew", "results": [
	  {"name": "shop", "key": "ecdsa-p256", "outcome": "done", "error": null},
	  {"name": "mail", "key": "rsa-2048", "outcome": "failed", "error": {"message": "CA says no"}}]}'
	exit 3
	END
	export REAL=$CERTAUTO
	FAKE=$PWD/bin/fake
	in_each 'certauto_results renew --force' 3 \
		$'shop\tecdsa-p256\tdone\t-\nmail\trsa-2048\tfailed\tCA says no'
	in_each 'certauto_results renew --force | while read -r name key outcome message; do
		[ "$outcome" = done ] || echo "$name: $message"; done' 0 "mail: CA says no"
	in_each 'certauto_results plan' 99 ""
}

@test "lineage: the folder of what was issued last" {
	program fake <<-'END'
	#!/bin/sh
	case $* in
	"json "*) exec "$REAL" "$@" ;;
	"--config=$CERTAUTO_CONFIG --json status") ;;
	*) exit 99 ;;
	esac
	echo '{"version": 1, "certificates": [
	  {"name": "shop", "lineages": [{"key": "rsa-2048"}, {"key": "ecdsa-p256"}]},
	  {"name": "mail", "lineages": [{"key": "ecdsa-p256"}]}]}'
	END
	export REAL=$CERTAUTO CERTAUTO_CONFIG=$PWD/c.json
	FAKE=$PWD/bin/fake
	echo "{ \"state\": \"$PWD/my state\", /* here */ \"certificates\": {} }" >c.json
	for key in rsa-2048 ecdsa-p256; do
		mkdir -p "my state/certs/shop/$key/current"
		touch "my state/certs/shop/$key/current/cert.pem"
	done
	in_each 'certauto_lineage shop; certauto_lineage shop ecdsa-p256' 0 \
		"$PWD/my state/certs/shop/rsa-2048/current
$PWD/my state/certs/shop/ecdsa-p256/current"
	in_each 'certauto_lineage mail || echo $?; certauto_lineage none || echo $?' 0 $'1\n1'
	[[ $stderr == *"no certificate mail ecdsa-p256"*"no certificate none"* ]]
	CERTAUTO_CONFIG=$PWD/none.json
	in_each 'certauto_lineage shop' 1 ""
	[[ $stderr == *none.json* ]]
}

@test "fingerprint, served, wait_served: of files and of what a server shows" {
	SHELLS=("dash|set -eu" "zsh -f|")
	for name in one two; do
		"$CERTAUTO" self-signed --cn $name.example --key-out $name.key --out $name.pem 2>/dev/null
	done
	wanted=$(openssl x509 -in one.pem -outform DER | sha256sum | cut -d' ' -f1)
	in_each 'certauto_fingerprint one.pem; certauto_fingerprint <one.pem
		certauto_fingerprint none.pem || echo $?' 0 "$wanted
$wanted
1"
	[[ $stderr == *none.pem* ]]
	openssl s_server -www -accept 127.0.0.1:0 -cert one.pem -key one.key -servername two.example \
		-cert2 two.pem -key2 two.key >server 2>&1 3>&- &
	server=$!
	for ((i = 0; i < 500; i++)); do
		where=$(sed -n 's/^ACCEPT //p' server)
		[ -z "$where" ] || break
		read -rt 0.02 <> <(:) || :
	done
	export WHERE=$where
	in_each 'certauto_served "$WHERE"; certauto_served "$WHERE" two.example' 0 \
		"$wanted"$'\n'"$(openssl x509 -in two.pem -outform DER | sha256sum | cut -d' ' -f1)"
	in_each 'certauto_wait_served "$WHERE" one.pem && certauto_wait_served "$WHERE" two.pem two.example' 0 ""
	in_each 'certauto_wait_served "$WHERE" one.pem two.example 0' 1 ""
	[[ $stderr == *"$WHERE serves "*", not $wanted"* ]]
	kill $server
	wait $server || :
	in_each 'certauto_served "$WHERE"' 1 ""
	[[ $stderr == *"$WHERE serves no certificate"* ]]
}
