#!/usr/bin/env bats
# TAB, in a real bash and a real zsh on a terminal: what is offered is what help lists and what the
# command takes.

load helper

SHELLS="bash zsh"

# Types each TEXT into the shell: ${line[n]} is what the line is after TAB, ${offered[n]} what was
# offered.
typed() {
	local n=0
	"$BATS_TEST_DIRNAME/typed.py" "$1" "$CERTAUTO" "${@:2}" >typed || return
	line=() offered=()
	while IFS= read -r line[n] && IFS= read -r offered[n]; do n=$((n + 1)); done <typed
	[ "$n" -eq $(($# - 1)) ]
}

# typed SHELL TEXT becomes LINE [OFFERED]
becomes() {
	[ "${line[$1]}" = "$2" ] || { echo "line ${line[$1]} is not $2" >&2; return 1; }
	[ $# -lt 3 ] || [ "${offered[$1]}" = "$3" ] || { echo "offered ${offered[$1]}, not $3" >&2; return 1; }
}

sorted() {
	LC_ALL=C sort -u | tr '\n' ' ' | sed 's/ $//'
}

# The options in help's text.
options_of() {
	"$CERTAUTO" "$@" | sed -nE 's/^  (-.), (--[a-z-]+).*/\1\n\2/p; s/^      (--[a-z-]+).*/\1/p' | sorted
}

verbs() {
	"$CERTAUTO" help | sed -n 's/^  \([a-z][a-z -]*[a-z]\)   *[a-z].*/\1/p'
}

configuration() {
	cat >c.json <<-'END'
	{ // only its names count
	  "state": "/nonexistent", "nonsense": 1, /* it need not be right */
	  "accounts": {"le": {"server": "letsencrypt"}, "test": {"server": "letsencrypt-staging"}},
	  "targets": {"edge": {"type": "haproxy", "password": {"file": "/nonexistent"}},
	              "web": {"type": "files"}},
	  "certificates": {"shop": {"account": "le"}, "mail.example.org": {"account": "test"}} }
	END
}

@test "every verb is offered, and nothing else" {
	for shell in $SHELLS; do
		typed $shell "certauto " "certauto account " "certauto target " "certauto help " \
			"certauto help target "
		firsts=$(verbs | sed 's/ .*//' | sorted)
		[ "${offered[0]}" = "$firsts" ]
		[ "${offered[1]}" = "$(verbs | sed -n 's/^account //p' | sorted)" ]
		[ "${offered[2]}" = "$(verbs | sed -n 's/^target //p' | sorted)" ]
		[ "${offered[3]}" = "$firsts" ]
		[ "${offered[4]}" = "${offered[2]}" ]
	done
}

@test "every option that help lists is offered, and nothing else, for each verb" {
	mapfile -t all < <(verbs)
	[ "${#all[@]}" -ge 20 ]
	all=("" "${all[@]}")
	texts=() options=()
	for verb in "${all[@]}"; do
		texts+=("certauto $verb -")
		# shellcheck disable=SC2086 # a verb may be two words
		options+=("$(options_of help $verb)")
	done
	for shell in $SHELLS; do
		typed $shell "${texts[@]}"
		for i in "${!all[@]}"; do
			[ "${offered[i]}" = "${options[i]}" ] ||
				{ echo "$shell: ${all[i]}: ${offered[i]}" >&2; return 1; }
		done
	done
}

@test "words are completed, wherever options and the cursor stand" {
	configuration
	for shell in $SHELLS; do
		typed $shell "certauto self" "certauto --json -c c.json acc" "certauto account -q rot" \
			"certauto ren^ --force" "certauto issue --chall" "certauto issue --force --for" \
			"certauto issue --domain a.example --dom" "certauto -- sel" "$CERTAUTO sel"
		becomes 0 "certauto self-signed "
		becomes 1 "certauto --json -c c.json account "
		becomes 2 "certauto account -q rotate-key "
		[[ ${line[3]} =~ ^certauto\ renew\ +--force$ ]]
		becomes 4 "certauto issue --challenge "
		# Once is enough, unless it may be repeated.
		becomes 5 "certauto issue --force --for" ""
		becomes 6 "certauto issue --domain a.example --domain "
		becomes 7 "certauto -- self-signed "
		becomes 8 "$CERTAUTO self-signed "
	done
}

@test "values that are known are offered, in both ways to write them" {
	for shell in $SHELLS; do
		typed $shell "certauto issue --key ecdsa-p3" "certauto issue --key=ecdsa-p3" \
			"certauto issue --key " "certauto issue --challenge=" "certauto revoke --reason su" \
			"certauto issue --server letsencrypt-" "certauto issue --eab-alg=HS5" \
			"certauto account register --account-key rsa-4" "certauto completion z" \
			"certauto issue --eab-hmac e"
		becomes 0 "certauto issue --key ecdsa-p384 "
		becomes 1 "certauto issue --key=ecdsa-p384 "
		becomes 2 "certauto issue --key " "ecdsa-p256 ecdsa-p384 rsa-2048 rsa-3072 rsa-4096"
		becomes 3 "certauto issue --challenge=" \
			"dns-01 dns-account-01 dns-persist-01 http-01 tls-alpn-01"
		becomes 4 "certauto revoke --reason superseded "
		becomes 5 "certauto issue --server letsencrypt-staging "
		becomes 6 "certauto issue --eab-alg=HS512 "
		becomes 7 "certauto account register --account-key rsa-4096 "
		becomes 8 "certauto completion zsh "
		becomes 9 "certauto issue --eab-hmac env:"
	done
}

@test "every key type, challenge and reason that is offered is taken" {
	certauto completion words -- issue --key ""
	for type in $(sed 1d out | cut -f1); do
		case $type in rsa-[34]*) continue ;; esac # they take their time
		certauto self-signed --cn a.example --key "$type" --key-out "$type.pem"
		ended 0
	done
	certauto completion words -- revoke --reason ""
	for reason in $(sed 1d out | cut -f1); do
		certauto -c none.json revoke shop --reason "$reason"
		complains none.json
	done
	certauto completion words -- issue --challenge ""
	for challenge in $(sed 1d out | cut -f1); do
		certauto issue --server http://ca.invalid --state "$PWD/s" --domain a.example \
			--challenge "$challenge" --target files,directory=relative
		complains relative
	done
}

@test "types of targets, their options and what these take, as the library has them" {
	for shell in $SHELLS; do
		typed $shell "certauto issue --target hap" "certauto issue --target=haproxy,so" \
			"certauto issue --target haproxy,socket=/run/x,so" \
			"certauto issue --target haproxy,insecure=y" \
			"certauto issue --target haproxy,probe=192.0.2.1:443,192.0.2.2:443,insec" \
			"certauto target recipe netscaler,password=en" "certauto target options hap" \
			"certauto issue --target nonsense," "certauto issue '--target=haproxy,so"
		becomes 0 "certauto issue --target haproxy,"
		becomes 1 "certauto issue --target=haproxy,socket="
		becomes 2 "certauto issue --target haproxy,socket=/run/x,so" ""
		becomes 3 "certauto issue --target haproxy,insecure=yes "
		becomes 4 "certauto issue --target haproxy,probe=192.0.2.1:443,192.0.2.2:443,insecure="
		becomes 5 "certauto target recipe netscaler,password=env:"
		becomes 6 "certauto target options haproxy "
		becomes 7 "certauto issue --target nonsense," ""
		[[ ${line[8]} == "certauto issue '--target=haproxy,socket="* ]]
	done
	for type in $("$CERTAUTO" target list | cut -d' ' -f1); do
		certauto completion words -- issue --target "$type,"
		sed 1d out | cut -f1 | tr -d = | sort >offered
		"$CERTAUTO" --json target options "$type" | "$CERTAUTO" json 'options.*.name' | sort |
			cmp - offered
	done
}

@test "names are those of the configuration, whatever else it has" {
	configuration
	for shell in $SHELLS; do
		typed $shell "certauto -c c.json issue " "certauto --config=c.json issue shop " \
			"certauto -cc.json target test " "certauto target renew -c c.json w" \
			"certauto account show -c c.json " "certauto revoke -c c.json --account te" \
			"certauto csr -c c.json --target ed" "certauto -c none.json issue s" \
			"certauto -c c.json target test edge w"
		becomes 0 "certauto -c c.json issue " "mail.example.org shop"
		becomes 1 "certauto --config=c.json issue shop mail.example.org "
		becomes 2 "certauto -cc.json target test " "edge web"
		becomes 3 "certauto target renew -c c.json web "
		becomes 4 "certauto account show -c c.json " "le test"
		becomes 5 "certauto revoke -c c.json --account test "
		becomes 6 "certauto csr -c c.json --target edge "
		becomes 7 "certauto -c none.json issue s" ""
		becomes 8 "certauto -c c.json target test edge w" ""
	done
}

@test "files where a file is wanted, folders where a folder is" {
	mkdir -p dir/sub
	touch dir/one.pem 'dir/two words.pem'
	for shell in $SHELLS; do
		typed $shell "certauto issue --ca-file dir/on" "certauto issue --ca-file=dir/tw" \
			"certauto issue --state di" "certauto issue --state dir/o" \
			"certauto issue --target files,directory=dir/s" \
			"certauto issue --target netscaler,password=file:dir/on" \
			"certauto issue --eab-hmac file:dir/on" "certauto revoke --key dir/on" \
			"certauto csr --key dir/on" "certauto issue --key dir/on" "certauto -cdir/on"
		becomes 0 "certauto issue --ca-file dir/one.pem "
		becomes 1 "certauto issue --ca-file=dir/two\\ words.pem "
		becomes 2 "certauto issue --state dir/"
		becomes 3 "certauto issue --state dir/o" ""
		becomes 4 "certauto issue --target files,directory=dir/sub/"
		becomes 5 "certauto issue --target netscaler,password=file:dir/one.pem "
		becomes 6 "certauto issue --eab-hmac file:dir/one.pem "
		becomes 7 "certauto revoke --key dir/one.pem "
		becomes 8 "certauto csr --key dir/one.pem "
		becomes 9 "certauto issue --key dir/on" ""
		becomes 10 "certauto -cdir/one.pem "
	done
}

@test "what the configuration points to is not read, and nothing it says is obeyed" {
	mkfifo secret
	printf '{"targets": {"a": {"type": "x\\u001b[2J\\tz\\ny"}, "e": {"password": {"file": "%s"}}}}' \
		"$PWD/secret" >c.json
	timeout 10 "$CERTAUTO" completion words -- -c c.json target test "" >out
	[ "$(wc -l <out)" -eq 3 ]
	[[ $(cat out) != *$'\e'* ]]
	mkfifo fifo
	timeout 10 "$CERTAUTO" completion words -- -c fifo target test x >out
	[ "$(wc -l <out)" -eq 1 ]
}

@test "nothing that is typed, in a name or in a file is run, and no name that a shell would obey is offered" {
	mkdir here && cd here
	cat >c.json <<-'END'
	{ "targets": {"$(touch RUN)": {"type": "`touch RUN`"}, "a b": {}, "*": {}, "x;touch RUN": {}, "ok": {}} }
	END
	mkdir '$(touch RUN)'
	touch '`touch RUN`.pem' 'do$HOME.pem' "q'u;.pem" 'st*r.pem'
	for shell in $SHELLS; do
		# Where the cursor stands, zsh by itself runs what is in $(): elsewhere nobody does.
		typed $shell "certauto -c c.json target test " "certauto -c c.json target test x" \
			'certauto --name $(touch RUN) -c c.json target test o' \
			'certauto --name=`touch RUN` -c "$(touch RUN)" issue --forc' \
			'$(touch RUN)/certauto self' 'certauto issue --state \$' \
			'certauto issue --ca-file \`' 'certauto issue --ca-file=d' 'certauto issue --ca-file q' \
			'certauto issue --ca-file st\*'
		becomes 0 "certauto -c c.json target test ok "
		becomes 1 "certauto -c c.json target test x" ""
		becomes 2 'certauto --name $(touch RUN) -c c.json target test ok '
		becomes 3 'certauto --name=`touch RUN` -c "$(touch RUN)" issue --force '
		becomes 4 '$(touch RUN)/certauto self'
		becomes 5 'certauto issue --state \$\(touch\ RUN\)/'
		becomes 6 'certauto issue --ca-file \`touch\ RUN\`.pem '
		becomes 7 'certauto issue --ca-file=do\$HOME.pem '
		becomes 8 "certauto issue --ca-file q\\'u\\;.pem "
		becomes 9 'certauto issue --ca-file st\*r.pem '
	done
	typed bash 'certauto target test $(touch RUN)' 'certauto issue --ca-file=`touch RUN`' \
		'certauto issue --ca-file "$(touch RUN)' 'certauto issue --target files,$(touch RUN)'
	[ ! -e RUN ]
}

@test "the scripts: for bash and zsh, clean, and zsh takes its from a folder, too" {
	"$CERTAUTO" completion bash >certauto.bash
	shellcheck -s bash certauto.bash
	bash -n certauto.bash
	mkdir functions
	"$CERTAUTO" completion zsh >functions/_certauto
	zsh -n functions/_certauto
	zsh -f -c 'fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -D -u
		[[ $_comps[certauto] == _certauto ]]'
	for wrong in "" fish "bash zsh"; do
		# shellcheck disable=SC2086
		certauto completion $wrong
		ended 2
		complains "bash|zsh"
	done
}
