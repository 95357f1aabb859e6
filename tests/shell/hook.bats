#!/usr/bin/env bats
# certauto hook: what certbot, dehydrated, lego and acme.sh give their hooks, and what they are told.
# The target is a folder, which tells all that is done to it.

load helper

WEB=web/.well-known/acme-challenge
HOOKS=$BATS_TEST_DIRNAME/../../bindings/shell/certauto-hooks.sh

folder_target() {
	mkdir -p certs web
	chmod 700 certs
	export CERTAUTO_TARGET="files,directory=$PWD/certs,webroot=$PWD/web,probe=no,challenge_check=no"
}

# A certificate for NAME as certbot keeps it, in the folder live/NAME.
lineage() {
	mkdir -p "live/$1"
	"$CERTAUTO" self-signed --cn "$1" --key-out "live/$1/privkey.pem" \
		--out "live/$1/fullchain.pem" 2>/dev/null
}

# What the last run has said: nothing at all.
silent() {
	[ -z "$output$stderr" ] || fail_run "it is not silent"
}

# The last run has put FILE there as NAME, without a word but that of probe=no.
deployed() {
	[ -z "$output$(grep -v "probe=no" err)" ] || fail_run "it is not silent"
	cmp "$1" "certs/$2.fullchain.pem"
	[ "$(mode_of "certs/$2.key.pem")" = 600 ]
}

# ---- certbot ----

@test "certbot: an answer is there from auth to cleanup, and nothing is said" {
	folder_target
	export CERTBOT_DOMAIN=shop.example.org CERTBOT_TOKEN=-to_ken CERTBOT_VALIDATION=-to_ken.thumb
	certauto hook certbot-auth
	ended 0
	silent
	[ "$(cat $WEB/-to_ken)" = -to_ken.thumb ]
	for time in first second; do
		certauto hook certbot-cleanup
		ended 0
		silent
		[ ! -e $WEB/-to_ken ]
	done
}

@test "certbot: without a token it is dns-01, which not every target can answer" {
	folder_target
	CERTBOT_DOMAIN=shop.example.org CERTBOT_VALIDATION=value certauto hook certbot-auth
	ended 2
	complains dns-01
}

@test "certbot: called by somebody else, the hooks say where they belong" {
	folder_target
	certauto hook certbot-auth
	ended 2
	complains CERTBOT_DOMAIN --manual-auth-hook
	certauto hook certbot-deploy
	ended 2
	complains RENEWED_LINEAGE
}

@test "certbot: what it has renewed is deployed, as often as it is told" {
	folder_target
	lineage shop.example.org
	for time in first second; do
		RENEWED_LINEAGE=$PWD/live/shop.example.org certauto hook certbot-deploy
		ended 0
		deployed live/shop.example.org/fullchain.pem shop.example.org
	done
	lineage mail.example.org
	certauto hook certbot-deploy live/shop.example.org live/mail.example.org/
	ended 0
	deployed live/mail.example.org/fullchain.pem mail.example.org
	certauto hook certbot-deploy --name=mine live/mail.example.org
	ended 0
	deployed live/mail.example.org/fullchain.pem mine
}

@test "certbot: one folder that cannot be deployed does not keep the others from it" {
	folder_target
	lineage shop.example.org
	certauto hook certbot-deploy live/nowhere live/shop.example.org
	ended 1
	complains live/nowhere/fullchain.pem
	cmp live/shop.example.org/fullchain.pem certs/shop.example.org.fullchain.pem
}

@test "certbot: a folder is called what it is called, however it is written" {
	folder_target
	lineage shop.example.org
	cd live/shop.example.org
	for folder in . ./ ../shop.example.org/. sub/..; do
		mkdir -p sub
		rm -f ../../certs/*
		certauto hook certbot-deploy "$folder"
		ended 0
		cmp fullchain.pem ../../certs/shop.example.org.fullchain.pem
	done
}

@test "deploy: keys of every format, none that others can read, none of another certificate" {
	folder_target
	lineage ec.example.org
	openssl ec -in live/ec.example.org/privkey.pem -out sec1.pem 2>none
	grep -q 'BEGIN EC PRIVATE' sec1.pem
	cp sec1.pem live/ec.example.org/privkey.pem
	certauto hook certbot-deploy live/ec.example.org
	ended 0
	mkdir live/rsa.example.org
	openssl genrsa -traditional -out live/rsa.example.org/privkey.pem 2048 2>none
	grep -q 'BEGIN RSA PRIVATE' live/rsa.example.org/privkey.pem
	chmod 600 live/rsa.example.org/privkey.pem
	"$CERTAUTO" self-signed --cn rsa.example.org --key live/rsa.example.org/privkey.pem \
		--out live/rsa.example.org/fullchain.pem
	certauto hook certbot-deploy live/rsa.example.org
	ended 0
	chmod 640 live/rsa.example.org/privkey.pem
	certauto hook certbot-deploy live/rsa.example.org
	ended 1
	complains 0640 "chmod 600"
	lineage other.example.org
	cp -p live/ec.example.org/privkey.pem live/other.example.org
	certauto hook certbot-deploy live/other.example.org
	[ "$status" -ne 0 ]
	complains "not that of the certificate"
	[ ! -e certs/other.example.org.fullchain.pem ]
}

# ---- dehydrated ----

@test "dehydrated: what is not known, and what needs nothing, goes well without a word" {
	unset CERTAUTO_TARGET CERTAUTO_CONFIG
	for operation in this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore \
		invalid_challenge request_failure sync_cert deploy_ocsp exit_hook generate_csr; do
		certauto hook dehydrated $operation --one -two "three  four" ""
		ended 0
		silent
	done
	certauto hook dehydrated
	ended 2
	complains OPERATION
}

@test "dehydrated: one answer for each call, or all in one" {
	folder_target
	export CHALLENGETYPE=http-01
	certauto hook dehydrated deploy_challenge a.example.org -token --value.thumb
	ended 0
	silent
	[ "$(cat $WEB/-token)" = --value.thumb ]
	certauto hook dehydrated clean_challenge a.example.org -token --value.thumb
	ended 0
	[ ! -e $WEB/-token ]
	set -- a.example.org t1 v1.x b.example.org t2 v2.x c.example.org t3 v3.x
	certauto hook dehydrated deploy_challenge "$@"
	ended 0
	[ "$(cat $WEB/t1 $WEB/t2 $WEB/t3)" = v1.xv2.xv3.x ]
	certauto hook dehydrated clean_challenge "$@"
	ended 0
	[ -z "$(ls $WEB 2>none)" ]
	for n in 0 1 2 4 5; do
		certauto hook dehydrated deploy_challenge "${@:1:n}"
		ended 2
		complains "DOMAIN TOKEN VALUE"
	done
}

@test "dehydrated: when one answer of several fails, none stays, for nobody would clean up" {
	folder_target
	certauto hook dehydrated deploy_challenge a.example.org t1 v1.x b.example.org not/a/token v2.x \
		c.example.org t3 v3.x
	ended 2
	complains token
	[ -z "$(ls $WEB)" ]
}

# A hook of others, which writes down what it is asked for; for b.example.org it hangs.
hanging_target() {
	cat >hangs <<-END
		#!/bin/sh
		echo "\$1 \$2" >>"$PWD/asked"
		[ "\$1 \$2" != "deploy_challenge b.example.org" ] || exec sleep 60
	END
	chmod 755 hangs
	export CERTAUTO_TARGET="hook,program=[\"$PWD/hangs\"],style=dehydrated,dns_check=no" CHALLENGETYPE=dns-01
}

@test "dehydrated: interrupted, it takes back the answers that are there already" {
	hanging_target
	"$CERTAUTO" hook dehydrated deploy_challenge a.example.org t1 v1 b.example.org t2 v2 2>err &
	pid=$!
	for _ in $(seq 200); do
		[ "$(sort -u asked 2>none | wc -l)" -lt 2 ] || break
		sleep 0.05
	done
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	ended 143
	for name in a b; do
		grep -qx "clean_challenge $name.example.org" asked || fail_run "$name stays"
	done
}

@test "dehydrated: what it serves itself is left to it, what only a hook can do is not" {
	export CERTAUTO_TARGET="files,directory=$PWD/certs,probe=no"
	mkdir certs
	CHALLENGETYPE=http-01 certauto hook dehydrated deploy_challenge a.example.org t v.x
	ended 0
	CHALLENGETYPE=tls-alpn-01 certauto hook dehydrated deploy_challenge a.example.org t v.x
	ended 0
	CHALLENGETYPE=dns-01 certauto hook dehydrated deploy_challenge a.example.org t v
	ended 2
	complains dns-01
}

@test "dehydrated: deploys by the name of the folder, and again what was not deployed" {
	folder_target
	lineage shop-rsa
	dir=$PWD/live/shop-rsa
	cp "$dir/fullchain.pem" "$dir/cert.pem"
	set -- shop.example.org "$dir/privkey.pem" "$dir/cert.pem" "$dir/fullchain.pem" "$dir/chain.pem"
	certauto hook dehydrated deploy_cert "$@" 1700000000
	ended 0
	deployed "$dir/fullchain.pem" shop-rsa
	rm certs/*
	certauto hook dehydrated unchanged_cert "$@"
	ended 0
	deployed "$dir/fullchain.pem" shop-rsa
	# A request beside it, but the key is here: it counts. If not, one that makes keys must have it.
	touch "$dir/certauto.csr"
	certauto hook dehydrated deploy_cert "$@" 1700000000
	ended 0
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/privkey.pem" 2>none
	certauto hook dehydrated deploy_cert "$@" 1700000000
	ended 2
	complains "no target here makes keys"
	rm "$dir/certauto.csr"
	rm "$dir/privkey.pem"
	certauto hook dehydrated deploy_cert "$@" 1700000000
	[ "$status" -ne 0 ]
	complains privkey.pem
	certauto hook dehydrated deploy_cert shop.example.org
	ended 2
	complains FULLCHAINFILE
}

@test "dehydrated: startup finds out what is wrong with the target" {
	CERTAUTO_TARGET="files,directory=relative" certauto hook dehydrated startup_hook
	ended 2
	complains directory
	CERTAUTO_TARGET=edge CERTAUTO_CONFIG=$PWD/none.json certauto hook dehydrated startup_hook
	ended 2
	complains none.json
	folder_target
	certauto hook dehydrated startup_hook
	ended 0
	silent
}

# ---- lego ----

@test "lego: deploys what the variables of either version say, with the issuer beside it" {
	folder_target
	mkdir lego
	"$CERTAUTO" self-signed --cn "*.example.org" --key-out lego/_.example.org.key --out leaf 2>none
	"$CERTAUTO" self-signed --cn issuer.example.org --key-out none.key --out lego/_.example.org.issuer.crt \
		2>none
	cat leaf lego/_.example.org.issuer.crt >lego/_.example.org.crt
	LEGO_CERT_DOMAIN="*.example.org" LEGO_CERT_PATH=lego/_.example.org.crt \
		LEGO_CERT_KEY_PATH=lego/_.example.org.key certauto hook lego deploy
	ended 0
	deployed lego/_.example.org.crt _wildcard.example.org
	cp lego/_.example.org.crt both
	cp leaf lego/_.example.org.crt
	LEGO_CERT_DOMAIN="*.example.org" LEGO_CERT_PATH=lego/_.example.org.crt \
		LEGO_CERT_KEY_PATH=lego/_.example.org.key certauto hook lego deploy
	ended 0
	deployed both _wildcard.example.org
	LEGO_HOOK_CERT_NAME=wild LEGO_HOOK_CERT_PATH=leaf LEGO_HOOK_CERT_KEY_PATH=lego/_.example.org.key \
		LEGO_HOOK_ISSUER_CERT_PATH=lego/_.example.org.issuer.crt certauto hook lego deploy
	ended 0
	deployed both wild
	mv lego/_.example.org.issuer.crt elsewhere.pem
	LEGO_CERT_DOMAIN=four LEGO_CERT_PATH=lego/_.example.org.crt LEGO_CERT_KEY_PATH=lego/_.example.org.key \
		LEGO_ISSUER_CERT_PATH=elsewhere.pem certauto hook lego deploy
	ended 0
	deployed both four
	certauto hook lego deploy
	ended 2
	complains LEGO_CERT_PATH
}

@test "deploy: two runs with one certificate do not take back what the other has done" {
	mkdir one
	chmod 700 one
	lineage shop.example.org
	printf '#!/bin/sh\nexec sleep 0.3\n' >reload
	chmod 755 reload
	printf '{"state": "%s/state", "certificates": {}, "targets": {"edge": {"type": "files", "probe": "no",
		"directory": "%s/one", "reload": ["%s/reload"]}}}' "$PWD" "$PWD" "$PWD" >c.json
	export CERTAUTO_CONFIG=$PWD/c.json CERTAUTO_TARGET=edge
	pids=()
	for _ in 1 2 3; do
		"$CERTAUTO" hook certbot-deploy live/shop.example.org 2>>err &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	cmp live/shop.example.org/fullchain.pem one/shop.example.org.fullchain.pem
}

@test "deploy: the time it has is that for all targets, and no more" {
	mkdir one two
	chmod 700 one two
	lineage shop.example.org
	# Every other time it hangs: never on the way back.
	printf '#!/bin/sh\nif mkdir "%s"; then exec sleep 60; fi\nrmdir "%s"\n' "$PWD/hung" "$PWD/hung" >reload
	chmod 755 reload
	options="probe=no,reload=[\"$PWD/reload\"]"
	SECONDS=0
	certauto hook certbot-deploy --timeout 2 --target "files,directory=$PWD/one,$options" \
		--target "files,directory=$PWD/two,$options" live/shop.example.org
	ended 1
	complains reload "not deployed to files"
	[ "$SECONDS" -lt 6 ] || fail_run "$SECONDS s"
	[ -z "$(ls one two | grep pem)" ]
}

@test "lego: present and cleanup are of the DNS, in both modes" {
	folder_target
	for verb in present cleanup; do
		certauto hook lego $verb _acme-challenge.a.example.org. -value
		ended 2
		complains dns-01
		certauto hook lego $verb -- a.example.org -token -token.thumb
		ended 2
		complains dns-01
		certauto hook lego $verb _acme-challenge.a.example.org.
		ended 2
		complains "FQDN VALUE"
		certauto hook lego $verb a b c d
		ended 2
		complains "FQDN VALUE"
	done
	certauto hook lego timeout
	ended 2
	complains "present FQDN VALUE"
}

# ---- acme.sh ----

# Runs the script as acme.sh does, which sources hooks in a subshell of a shell of any kind.
as_acme_sh() {
	local shell
	for shell in dash bash "bash --posix"; do
		status=0
		PATH=$PWD/bin:$PATH $shell -c "_exists() { command -v \"\$1\" >/dev/null; }
			. '$HOOKS'; $1" >out 2>err </dev/null || status=$?
		output=$(cat out) stderr=$(cat err)
		[ "$status" -eq "$2" ] || fail_run "$shell"
		[ "$output" = "$3" ] || fail_run "$shell"
	done
}

@test "acme.sh: its functions are there, hand on what they are given, and leave the shell as it is" {
	mkdir bin
	printf '#!/bin/sh\nprintf "<%%s>" "$CERTAUTO_TARGET" "$@"\nexit ${ENDS:-0}\n' >bin/certauto
	chmod +x bin/certauto
	export CERTAUTO=certauto CERTAUTO_TARGET=edge
	as_acme_sh '(_exists dns_certauto_add && dns_certauto_add _acme-challenge.a.example.org -value) || exit 9' \
		0 "<edge><hook><acme-sh><add><_acme-challenge.a.example.org><-value>"
	as_acme_sh 'dns_certauto_rm name value; echo " $?"' 0 "<edge><hook><acme-sh><rm><name><value> 0"
	as_acme_sh 'certauto_deploy "a b" k c ca f; echo " $?"' 0 \
		"<edge><hook><acme-sh><deploy><a b><k><c><ca><f> 0"
	export ENDS=1
	as_acme_sh 'set -e; if dns_certauto_add n v; then exit 9; fi; echo " on"' 0 \
		"<edge><hook><acme-sh><add><n><v> on"
}

@test "acme.sh: keeps which target it was, for its renewals" {
	mkdir bin
	printf '#!/bin/sh\necho "$CERTAUTO_TARGET $CERTAUTO_ENV_FILE"\n' >bin/certauto
	chmod +x bin/certauto
	# As acme.sh has them.
	helpers='_saveaccountconf_mutable() { echo "$2" >"account-$1"; }
		_readaccountconf_mutable() { cat "account-$1" 2>/dev/null; }
		_savedeployconf() { echo "$2" >"domain-$1"; }
		_getdeployconf() { eval "_had=\${$1-}"
			[ -n "$_had" ] || [ ! -e "domain-$1" ] || eval "$1=\$(cat domain-$1); export $1"; }'
	as_acme_sh "$helpers
		CERTAUTO_TARGET=dns dns_certauto_add n v; unset CERTAUTO_TARGET; dns_certauto_rm n v
		CERTAUTO_TARGET=edge CERTAUTO_ENV_FILE=/f certauto_deploy d k c ca f
		unset CERTAUTO_TARGET CERTAUTO_ENV_FILE
		certauto_deploy d k c ca f; rm -f account-* domain-*" 0 $'dns \ndns \nedge /f\nedge /f'
}

@test "acme.sh: its deploy hook deploys, the DNS ones need a target that can" {
	folder_target
	lineage shop.example.org
	export CERTAUTO
	as_acme_sh 'cd live/shop.example.org; certauto_deploy shop.example.org privkey.pem fullchain.pem \
		none.pem fullchain.pem' 0 ""
	cmp live/shop.example.org/fullchain.pem certs/shop.example.org.fullchain.pem
	as_acme_sh 'dns_certauto_add _acme-challenge.shop.example.org value' 2 ""
	[[ $stderr == *dns-01* ]]
}

# ---- target and variables ----

@test "the target: none, one that is not there, a secret that is not pointed to" {
	unset CERTAUTO_TARGET
	certauto hook dehydrated startup_hook
	ended 2
	complains CERTAUTO_TARGET
	echo '{"state": "/nonexistent", "targets": {"edge": {"type": "files", "directory": "/nonexistent"},
		"web": {"type": "files", "directory": "/nonexistent"}}, "certificates": {}}' >c.json
	CERTAUTO_CONFIG=$PWD/c.json CERTAUTO_TARGET="edge  web" certauto hook dehydrated startup_hook
	ended 0
	CERTAUTO_CONFIG=$PWD/c.json CERTAUTO_TARGET="edge else" certauto hook dehydrated startup_hook
	ended 2
	complains else edge web
	CERTAUTO_CONFIG=/nonexistent certauto hook dehydrated -c c.json --target=web startup_hook
	ended 0
	certauto hook dehydrated --target=netscaler,url=https://adc,user=u,password=geheim startup_hook
	ended 2
	complains file:PATH
	[[ $stderr != *geheim* ]]
}

@test "several targets: the first that can answers, all that can are deployed to" {
	mkdir one two web
	chmod 700 one two
	options=probe=no,challenge_check=no
	CERTBOT_DOMAIN=a.example.org CERTBOT_TOKEN=t CERTBOT_VALIDATION=t.v \
		certauto hook certbot-auth --target "files,directory=$PWD/one,$options" \
		--target "files,directory=$PWD/two,webroot=$PWD/web,$options"
	ended 0
	[ -e $WEB/t ]
	lineage a.example.org
	certauto hook certbot-deploy --target "files,directory=$PWD/one,$options" \
		--target "files,directory=$PWD/two,$options" live/a.example.org
	ended 0
	cmp one/a.example.org.fullchain.pem two/a.example.org.fullchain.pem
}

env_file() {
	cat >e.env
	chmod "${1:-600}" e.env
}

@test "env-file: quotes, comments and export as a shell has them, and nothing is evaluated" {
	mkdir 'a b'
	chmod 700 'a b'
	printf '%s\r\n' '#!/bin/bash' '' '  # comment' \
		"export CERTAUTO_TARGET='files,directory=$PWD/'\"a b\",probe=no # the rest" \
		'UNUSED="say \"x\" and \$y"' >win.env
	chmod 600 win.env
	lineage shop.example.org
	certauto hook certbot-deploy --env-file win.env live/shop.example.org
	ended 0
	[ -e 'a b/shop.example.org.key.pem' ]
	rm 'a b'/*
	CERTAUTO_ENV_FILE=win.env certauto hook certbot-deploy live/shop.example.org
	ended 0
	[ -e 'a b/shop.example.org.key.pem' ]
}

@test "env-file: what it does not say as plain text is refused, by its line, without repeating it" {
	for line in 'A=$(touch geheim)' 'A=`touch geheim`' 'A="$geheim"' 'A=one geheim' "A='geheim" 'A="geheim' \
		'set -e geheim' '1A=geheim' 'A B=geheim' 'A=geheim\' 'A=geheim\\\r' 'A=geheim&x' 'A=x|geheim' \
		'A=x>geheim' 'A=x<geheim' 'A=(geheim)' 'A=~geheim' 'A=x:~/geheim'; do
		printf '# first\n%b\n' "$line" | env_file
		certauto hook certbot-deploy --env-file e.env .
		ended 2
		complains e.env:2:
		[[ $stderr != *geheim* ]] || fail_run "it is repeated"
	done
	[ ! -e geheim ]
}

@test "env-file: a file of one's own that nobody else can read" {
	folder_target
	lineage shop.example.org
	for mode in 640 604 622; do
		echo "CERTAUTO_TARGET=none" | env_file $mode
		certauto hook certbot-deploy --env-file e.env live/shop.example.org
		ended 2
		complains e.env "chmod 600"
	done
	printf 'UNUSED=geheim\0\nCERTAUTO_TARGET=none\n' | env_file
	certauto hook certbot-deploy --env-file e.env live/shop.example.org
	ended 2
	complains e.env "zero byte"
	[[ $stderr != *geheim* ]]
	certauto hook certbot-deploy --env-file none.env live/shop.example.org
	ended 2
	complains none.env
	certauto hook certbot-deploy --env-file . live/shop.example.org
	ended 2
}

@test "env-file: what the caller has set counts more, of two lines the last" {
	folder_target
	lineage shop.example.org
	printf 'CERTAUTO_TARGET=none\n' | env_file
	certauto hook certbot-deploy --env-file e.env live/shop.example.org
	ended 0
	printf 'CERTAUTO_TARGET=none\nCERTAUTO_TARGET="%s"\n' "$CERTAUTO_TARGET" | env_file
	unset CERTAUTO_TARGET
	certauto hook certbot-deploy --env-file e.env live/shop.example.org
	ended 0
}

@test "FlexibleEngine's variables: what is missing, empty or unknown is named" {
	unset CERTAUTO_TARGET
	printf '%s\n' 'REGION=eu-west-0' 'USER_NAME=u' "USER_PASSWORD='ge,heim'" 'DNS_ZONE_ID=' \
		'LISTENERID=x' 'CERTIFICATE_NAME="a,b=c"' 'CERTAUTO_OPTIONS=elb_api=v3' | env_file
	certauto hook certbot-deploy --env-file e.env .
	ended 2
	complains "DOMAIN_NAME is missing" "PROJECT_ID is missing" "DNS_ZONE_ID is empty" \
		"LISTENERID is not known" "CERTIFICATE_NAME has a comma"
	[[ $stderr != *heim* && $stderr != *REGION* && $stderr != *CERTAUTO_OPTIONS* ]] || fail_run "too much"
}

@test "FlexibleEngine's variables: they are a target, with the options one adds" {
	unset CERTAUTO_TARGET
	printf '%s\n' REGION=eu-west-0 DOMAIN_NAME=OCB0001 USER_NAME=u USER_PASSWORD=p PROJECT_ID=0af \
		LISTENER_ID=0be "BASE_ENDPOINT='base endpoint'" ELB_EIP=192.0.2.1 \
		DNS_DOMAIN=shop.example.org 'TOKEN_HEADER_PREFIX="X-Subject-Token: "' | env_file
	certauto hook dehydrated --env-file e.env startup_hook
	ended 2
	complains '"https://iam.eu-west-0.base endpoint"' flexibleengine
	CERTAUTO_OPTIONS=iam_url=https://iam.example.org,probe=192.0.2.2:8443 \
		certauto hook dehydrated --env-file e.env startup_hook
	ended 0
	silent
	CERTAUTO_OPTIONS=iam_url=https://iam.example.org,nonsense=1 \
		certauto hook dehydrated --env-file e.env startup_hook
	ended 2
	complains nonsense
}

# ---- faces ----

@test "faces: a single path for each client" {
	folder_target
	ln -s "$CERTAUTO" hook-dehydrated
	ln -s "$CERTAUTO" hook-lego
	ln -s "$CERTAUTO" hook-certbot-auth
	ln -s "$CERTAUTO" hook-nobody
	./hook-dehydrated this_hookscript_is_broken
	./hook-dehydrated deploy_challenge a.example.org -t -v.x
	[ -e $WEB/-t ]
	PATH=$PWD:$PATH CERTBOT_DOMAIN=b.example.org CERTBOT_TOKEN=u CERTBOT_VALIDATION=u.x hook-certbot-auth
	[ -e $WEB/u ]
	status=0
	./hook-lego present 2>err || status=$?
	[ "$status" -eq 2 ]
	grep -q 'certauto hook lego present FQDN VALUE' err
	status=0
	./hook-nobody 2>err || status=$?
	[ "$status" -eq 2 ]
	grep -q certbot-auth err
}
