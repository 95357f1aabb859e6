#!/usr/bin/env bats
# The form without a configuration file: what is missing, what is refused. No network is reached.

load helper

setup_file() {
	unset CERTAUTO_TEST_UNSET
}

# A command line that is complete up to the target; the address is one nobody answers at.
adhoc() {
	verb=$1
	shift
	certauto "$verb" --server https://127.0.0.1:1/dir --state "$PWD/state" \
		--domain shop.example.org "$@"
}

refused() {
	ended 2
	complains "$@"
	[ ! -e state ] || fail_run "it had begun"
}

@test "issue without NAME and without --domain" {
	certauto issue
	refused NAME --domain
}

@test "all that is missing is named at once, with an example" {
	certauto issue --agree-tos
	refused --server --state --domain --target "For example: certauto issue"
	certauto issue --state "$PWD/state"
	refused --server --domain --target
	[[ $stderr != *"missing: "*--state\ DIR* ]]
}

@test "account verbs need server and state only" {
	for verb in register show update rotate-key "deactivate --yes" orders; do
		# shellcheck disable=SC2086
		certauto account $verb --server https://127.0.0.1:1/dir
		refused --state
		[[ $stderr != *"--domain NAME"* ]]
		[[ $stderr != *"--target TYPE"* ]]
	done
}

@test "-c and the options exclude each other" {
	adhoc issue -c x.json --target files,directory=/srv
	refused "exclude each other"
}

@test "a name of a configuration has no place there" {
	adhoc renew shop --target files,directory=/srv
	refused shop
}

@test "an unknown type of target: the types are listed" {
	adhoc issue --target hapoxy,socket=/x
	refused hapoxy haproxy files
}

@test "an unknown option of a target: its options are listed" {
	adhoc issue --target haproxy,sokket=/x
	refused sokket socket crt map
}

@test "what is not OPTION=VALUE is refused" {
	adhoc issue --target haproxy,socket
	refused socket OPTION=VALUE
	adhoc issue --target haproxy,Password=hunter2
	refused Password OPTION=VALUE
	case $stderr in *hunter2*) fail_run "the value is repeated" ;; esac
	adhoc issue --target "netscaler,password hunter2"
	refused password OPTION=VALUE
	case $stderr in *hunter2*) fail_run "the value is repeated" ;; esac
}

@test "a value of the wrong kind is refused, with the option's name" {
	adhoc issue --target files,directory=/srv,webroot=/srv,timeout_ms=soon
	refused timeout_ms
	adhoc issue --target files,directory=/srv,webroot=/srv,insecure=perhaps
	refused insecure
	adhoc issue --target 'files,directory=/srv,webroot=/srv,reload=systemctl reload nginx'
	refused reload "JSON array"
}

@test "a target that can answer no challenge is refused" {
	adhoc issue --target files,directory=/srv
	refused http-01
}

@test "a name, key type or challenge that is none is refused" {
	target=files,directory=/srv,webroot=/srv
	certauto issue --server https://127.0.0.1:1/dir --state state --domain 'shop example' \
		--target $target
	refused "shop example"
	adhoc issue --key ecdsa-p257 --target $target
	refused ecdsa-p257
	adhoc issue --challenge http-02 --target $target
	refused http-02
	adhoc issue --name ../shop --target $target
	refused ../shop
	certauto issue --server http://127.0.0.1:1/dir --state "$PWD/state" --domain a.example.org \
		--target $target
	refused https
}

@test "names: none, too many, twice, bad labels" {
	target=files,directory=/srv,webroot=/srv
	certauto issue --server https://127.0.0.1:1/dir --state "$PWD/state" --target $target
	refused --domain
	adhoc issue --target $target --domain ''
	refused name
	many=()
	for i in $(seq 100); do many+=(--domain "n$i.example.org"); done
	adhoc issue --target $target "${many[@]}"
	refused 101 100
	label=$(printf '%064d' 0)
	for name in "$label.example.org" -shop.example.org shop-.example.org shop..example.org \
		.example.org 'a.*.example.org' 'shop.*' '*' münchen.example.org \
		"$(printf '%0250d' 0).de" 'https://shop.example.org' 'shop.example.org:443' $'shop\nexample.org'; do
		adhoc issue --target $target --domain "$name"
		refused name
	done
	adhoc issue --target $target --domain shop.example.org
	refused shop.example.org
}

@test "a wildcard with what cannot prove one, an address with what lives in the DNS" {
	for type in http-01 tls-alpn-01; do
		certauto issue --server https://127.0.0.1:1/dir --state "$PWD/state" \
			--challenge $type --domain '*.example.org' \
			--target files,directory=/srv,webroot=/srv,alpn_directory=/srv/alpn
		refused '*.example.org' $type
	done
	adhoc issue --challenge dns-persist-01 --domain 192.0.2.1
	refused 192.0.2.1 dns-persist-01
}

@test "what a certificate is called by itself: a path takes it" {
	adhoc status --json --challenge dns-persist-01
	json 'top["certificates"][0]["name"] == "shop.example.org"'
	certauto status --json --server https://127.0.0.1:1/dir --state state \
		--domain '*.example.org' --challenge dns-persist-01
	json 'top["certificates"][0]["name"] == "_wildcard.example.org"'
	certauto status --json --server https://127.0.0.1:1/dir --state state \
		--domain 2001:db8::1 --target files,directory=/srv,webroot=/srv
	json 'top["certificates"][0]["name"] == "2001-db8--1"'
}

@test "dns-persist-01 needs no target, the other types do" {
	adhoc status --challenge dns-persist-01
	ended 0
	for type in dns-01 dns-account-01 tls-alpn-01; do
		adhoc status --challenge $type
		refused --target
		adhoc status --challenge $type --target files,directory=/srv,webroot=/srv
		refused $type
	done
}

@test "a profile: one of two options, and not empty" {
	target=files,directory=/srv,webroot=/srv
	adhoc issue --profile a --preferred-profile b --target $target
	refused --profile --preferred-profile exclude
	for option in --profile --preferred-profile; do
		adhoc issue $option '' --target $target
		refused empty
		adhoc status $option shortlived --target $target
		ended 0
	done
}

@test "a preferred chain that can be none" {
	target=files,directory=/srv,webroot=/srv
	for chain in '' sha256: sha256:xyz sha256:12 keyid: keyid:0g; do
		adhoc issue --preferred-chain "$chain" --target $target
		refused chain
	done
	for chain in "Example Root X1" shortest keyid:0a1b \
		sha256:$(printf x | sha256sum | cut -c1-64); do
		adhoc status --preferred-chain "$chain" --target $target
		ended 0
	done
}

@test "--eab-hmac is pointed to, never written" {
	for value in c2VjcmV0 file: fd:x env: 'literal:hunter2' ''; do
		adhoc issue --eab-kid kid-1 --eab-hmac "$value" \
			--target files,directory=/srv,webroot=/srv
		refused --eab-hmac file:PATH
		[[ -z $value || $stderr != *"$value "* ]]
		[[ $stderr != *hunter2* && $stderr != *c2VjcmV0* ]]
	done
}

@test "an external account binding that is incomplete or wrong" {
	target=files,directory=/srv,webroot=/srv
	adhoc issue --eab-kid kid-1 --target $target
	refused --eab-kid --eab-hmac
	adhoc issue --eab-hmac env:EAB --target $target
	refused --eab-kid --eab-hmac
	adhoc issue --eab-alg HS384 --target $target
	refused --eab-kid --eab-hmac
	adhoc issue --eab-kid kid-1 --eab-hmac env:CERTAUTO_TEST_UNSET --target $target
	refused CERTAUTO_TEST_UNSET
	adhoc issue --eab-kid kid-1 --eab-hmac "file:$PWD/none" --target $target
	refused "$PWD/none"
	umask 077
	printf 'c2VjcmV0LXNlY3JldC1zZWNyZXQ\n' >hmac
	printf 'not*base64' >bad
	: >empty
	adhoc issue --eab-kid kid-1 --eab-hmac "file:$PWD/hmac" --eab-alg HS1 --target $target
	refused HS256 HS384 HS512
	adhoc issue --eab-kid kid-1 --eab-hmac "file:$PWD/bad" --target $target
	refused "MAC key"
	[[ $stderr != *"not*base64"* ]]
	adhoc issue --eab-kid kid-1 --eab-hmac "file:$PWD/empty" --target $target
	refused hmac empty
	adhoc status --eab-kid kid-1 --eab-hmac "file:$PWD/hmac" --eab-alg HS512 --target $target
	ended 0
}

@test "--account-key is a type of key" {
	adhoc issue --account-key ed25519 --target files,directory=/srv,webroot=/srv
	refused ed25519 ecdsa-p256 rsa-4096
	adhoc status --account-key rsa-3072 --target files,directory=/srv,webroot=/srv
	ended 0
}

# A signing request for shop.example.org and www.shop.example.org.
make_csr() {
	certauto csr --key ecdsa-p256 --key-out key.pem --out r.csr --domain shop.example.org \
		--domain www.shop.example.org
	ended 0
}

with_csr() {
	verb=$1
	shift
	certauto "$verb" --server https://127.0.0.1:1/dir --state "$PWD/state" \
		--target files,directory=/srv,webroot=/srv "$@"
}

@test "--csr: names and name of the certificate are those of the request" {
	make_csr
	with_csr status --json --csr r.csr
	ended 0
	json '[c["name"] for c in top["certificates"]] == ["shop.example.org"]'
	json 'top["certificates"][0]["names"] == ["shop.example.org", "www.shop.example.org"]'
	json '[l["key"] for l in top["certificates"][0]["lineages"]] == ["csr"]'
	with_csr status --json --csr r.csr --name mine
	json 'top["certificates"][0]["name"] == "mine"'
	openssl req -in r.csr -outform DER -out r.der
	with_csr status --json --csr r.der
	ended 0
}

@test "--csr: a file that is none, other names, a type of key" {
	make_csr
	with_csr issue --csr none.csr
	refused none.csr
	: >empty.csr
	with_csr issue --csr empty.csr
	refused empty.csr
	head -c 200 r.csr >cut.csr
	with_csr issue --csr cut.csr
	refused cut.csr
	with_csr issue --csr key.pem
	refused key.pem
	head -c 70000 /dev/zero >big.csr
	with_csr issue --csr big.csr
	refused big.csr 65536
	openssl req -new -subj /O=x -key key.pem -out nameless.csr
	with_csr issue --csr nameless.csr
	refused nameless.csr
	sed 's/^M/N/' r.csr >forged.csr
	with_csr issue --csr forged.csr
	refused forged.csr
	with_csr issue --csr r.csr --domain shop.example.org
	refused www.shop.example.org
	with_csr issue --csr r.csr --domain shop.example.org --domain www.shop.example.org \
		--domain other.example.org
	refused other.example.org
	with_csr issue --csr r.csr --key rsa-2048
	refused --csr --key
}

@test "its mistakes do not speak of lines of a file that is not there" {
	adhoc issue --key ecdsa-p257 --target files,directory=/srv,webroot=/srv
	refused ecdsa-p257
	[[ $stderr != *config:* ]]
}

@test "a comma ends a value only when NAME= follows" {
	# Were the list cut at its comma, "b.example:443" would be refused as not OPTION=VALUE.
	target=files,directory=/srv,webroot=/srv
	adhoc status --target $target,probe=a.example:443,b.example:443,timeout_ms=2000
	ended 0
	adhoc status --target $target',reload=["systemctl", "reload", "nginx"],timeout_ms=2000'
	ended 0
}

@test "a wildcard needs another challenge" {
	certauto issue --server https://127.0.0.1:1/dir --state state --domain '*.example.org' \
		--target files,directory=/srv,webroot=/srv
	refused '*.example.org' http-01
}

@test "what is wrong with an option is not said of a configuration that nobody wrote" {
	adhoc issue --target files,directory=/srv,webroot=/srv --contact nobody
	refused '"nobody"'
	[[ $stderr != *"this is about"* ]]
	adhoc issue --target files,directory=/srv,webroot=/srv --profile ''
	[[ $stderr != *"this is about"* ]]
}

@test "what is wrong with a target of a configuration is said with its name" {
	config() {
		printf '{"state": "%s/state", "targets": {"edge": %s}}' "$PWD" "$1" >c.json
		certauto -c c.json check
		ended 2
	}
	config '{"type": "avii"}'
	complains 'c.json:1: target "edge": there is no target type "avii"'
	config '{"type": "avi", "password": {"env": "THERE_IS_NONE"}}'
	complains "c.json:1: edge: password: the environment has no variable THERE_IS_NONE"
	config '{"type": "avi", "url": {}}'
	complains "c.json:1: edge: url must be"
}

@test "status: a certificate not issued yet; relative paths are taken from here" {
	certauto status --json --server https://127.0.0.1:1/dir --state state \
		--domain shop.example.org --key ecdsa-p256 --key rsa-2048 \
		--target files,directory=/srv,webroot=/srv
	ended 0
	json '[c["name"] for c in top["certificates"]] == ["shop.example.org"]'
	json '[l["key"] for l in top["certificates"][0]["lineages"]] == ["ecdsa-p256", "rsa-2048"]'
	json 'all(l["issued"] is None for l in top["certificates"][0]["lineages"])'
}

@test "--dry-run says what would be done, and changes nothing" {
	adhoc issue --dry-run --target files,directory=/srv,webroot=/srv
	ended 0
	says shop.example.org ecdsa-p256 issue
	adhoc deploy --dry-run --target files,directory=/srv,webroot=/srv
	ended 0
	says "not issued yet"
	adhoc renew --json --dry-run --target files,directory=/srv,webroot=/srv
	json 'top["plan"][0]["name"] == "shop.example.org" and top["plan"][0]["action"] == "issue"'
	# What failed has to wait, but not where it is asked for.
	adhoc issue --target files,directory=/srv,webroot=/srv
	ended 1
	adhoc issue --dry-run --target files,directory=/srv,webroot=/srv
	says "issue: never issued"
	adhoc renew --dry-run --target files,directory=/srv,webroot=/srv
	says "nothing: it must wait until"
	[ ! -e /srv/.well-known ]
	[ ! -e state/certs/shop.example.org/ecdsa-p256/current ]
}

@test "a hook's variables are named, not told" {
	hook="hook,style=lego,program=[\"/bin/true\"]"
	for value in TOKEN=canary NAME,TOKEN=canary; do
		adhoc issue --target "$hook,environment=$value"
		refused "--target hook" environment=NAME
		[[ $stderr != *canary* && $output != *canary* ]]
	done
	adhoc issue --dry-run --target "$hook,environment=TOKEN,dns_check=no" --challenge dns-01
	ended 0
}
