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

@test "account register needs server and state only" {
	certauto account register --agree-tos
	refused --server --state
	[[ $stderr != *"--domain NAME"* ]]
	[[ $stderr != *"--target TYPE"* ]]
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
	[ ! -e /srv/.well-known ]
	[ ! -e state/certs/shop.example.org/ecdsa-p256/current ]
}
