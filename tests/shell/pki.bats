#!/usr/bin/env bats
# csr and self-signed, looked at with openssl.

load helper

cert_text() {
	openssl x509 -noout -text -in "$1"
}

csr_text() {
	openssl req -noout -text -verify -in "$1" 2>&1
}

same_key() {
	[ "$(openssl x509 -noout -pubkey -in "$1")" = "$(openssl pkey -pubout -in "$2")" ]
}

@test "csr: a new key, names in the extension only, an empty subject" {
	certauto csr --key ecdsa-p256 --key-out key.pem --out r.csr --domain shop.example.org \
		--domain '*.shop.example.org'
	ended 0
	[ "$(mode_of key.pem)" = 600 ]
	[ "$(mode_of r.csr)" = 644 ]
	text=$(csr_text r.csr)
	[[ $text == *"DNS:shop.example.org, DNS:*.shop.example.org"* ]]
	[[ $text =~ Subject:\ *$'\n' ]]
	[[ $text == *prime256v1* ]]
	[[ $text != *"Extended Key Usage"* ]]
	[ "$(openssl req -noout -pubkey -in r.csr)" = "$(openssl pkey -pubout -in key.pem)" ]
}

@test "csr: goes to standard output, by an existing key, with a subject" {
	umask 077
	openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
	certauto csr --key rsa.pem --domain vip.example.org --subject 'O=Example\, Ltd, C=FR'
	ended 0
	text=$(csr_text out)
	[[ $text == *"Example, Ltd"* ]]
	[[ $text == *"C = FR"* || $text == *"C=FR"* ]]
	[ "$(openssl req -noout -pubkey -in out)" = "$(openssl pkey -pubout -in rsa.pem)" ]
}

@test "csr: a key others may read is refused" {
	openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
	chmod 640 key.pem
	certauto csr --key key.pem --domain a.example.org
	ended 2
	complains key.pem
}

@test "csr: what is wrong with the command line" {
	certauto csr --domain a.example.org
	ended 2
	complains --key-out
	certauto csr --key ecdsa-p256 --key-out key.pem
	ended 2
	complains --domain
	certauto csr --key none.pem --key-out key.pem --domain a.example.org
	ended 2
	complains none.pem ecdsa-p384
	certauto csr --key ecdsa-p256 --key-out key.pem --domain 'a b'
	ended 2
	complains "a b"
	certauto csr --key ecdsa-p256 --key-out same --out same --domain a.example.org
	ended 2
	complains same
	certauto csr --key ecdsa-p256 --key rsa-2048 --key-out key.pem --domain a.example.org
	ended 2
	complains twice
	certauto --json csr --key ecdsa-p256 --key-out key.pem --domain a.example.org
	ended 2
	json '"--out" in top["error"]["message"]'
	[ ! -e key.pem ]
	[ ! -e same ]
}

@test "csr: a key file that is not there is named" {
	certauto csr --key none.pem --domain a.example.org
	ended 2
	complains none.pem
}

@test "self-signed: one command, key and certificate belong together" {
	certauto self-signed --cn vip.example.org --key-out key.pem --out cert.pem
	ended 0
	same_key cert.pem key.pem
	[ "$(mode_of key.pem)" = 600 ]
	text=$(cert_text cert.pem)
	[[ $text == *DNS:vip.example.org* ]]
	[[ $text == *"CN = vip.example.org"* || $text == *"CN=vip.example.org"* ]]
	openssl verify -CAfile cert.pem -check_ss_sig cert.pem
	openssl x509 -noout -checkend $((364 * 86400)) -in cert.pem
	refute openssl x509 -noout -checkend $((366 * 86400)) -in cert.pem
}

@test "self-signed: names and addresses, each key type, days" {
	for type in ecdsa-p256 ecdsa-p384 rsa-2048 rsa-3072; do
		certauto self-signed --san DNS:a.example.org,IP:192.0.2.1 \
			--san 2001:db8::1 --san b.example.org --days 30 \
			--key $type --key-out $type.key --out $type.pem
		ended 0
		same_key $type.pem $type.key
		text=$(cert_text $type.pem)
		[[ $text == *"DNS:a.example.org"* && $text == *"DNS:b.example.org"* ]]
		[[ $text == *"IP Address:192.0.2.1"* ]]
		[[ $text == *"IP Address:2001:DB8:0:0:0:0:0:1"* ]]
		refute openssl x509 -noout -checkend $((31 * 86400)) -in $type.pem
	done
}

@test "self-signed: files that exist are kept, unless forced" {
	echo precious >key.pem
	certauto self-signed --cn a.example.org --key-out key.pem --out cert.pem
	ended 1
	complains key.pem --force
	[ "$(cat key.pem)" = precious ]
	[ ! -e cert.pem ]
	certauto self-signed --cn a.example.org --key-out key.pem --out cert.pem --force
	ended 0
	same_key cert.pem key.pem
	[ "$(mode_of key.pem)" = 600 ]
	left=$(ls)
	[ "$left" = $'cert.pem\nerr\nkey.pem\nout' ] || fail_run "something is left: $left"
}

@test "self-signed: a link is not written through" {
	ln -s elsewhere key.pem
	certauto self-signed --cn a.example.org --key-out key.pem --out cert.pem
	ended 1
	[ ! -e elsewhere ]
	certauto self-signed --cn a.example.org --key-out key.pem --out cert.pem --force
	ended 0
	[ ! -e elsewhere ]
	[ ! -L key.pem ]
}

@test "self-signed: a folder that is not there is a failure, with its reason" {
	certauto self-signed --cn a.example.org --key-out none/key.pem --out cert.pem
	ended 1
	complains none/key.pem "No such file"
	[ ! -e cert.pem ]
}

@test "self-signed: what is wrong with the command line" {
	certauto self-signed --key-out key.pem
	ended 2
	complains --cn --san
	for days in 0 -1 soon 99999999; do
		certauto self-signed --cn a.example.org --key-out key.pem --days $days
		ended 2
		complains --days
	done
	certauto self-signed --cn a.example.org --key-out key.pem --subject nonsense
	ended 2
	complains subject
	[ ! -e key.pem ]
}

@test "self-signed --json: the result" {
	certauto self-signed --json --cn a.example.org --key-out key.pem --out cert.pem
	ended 0
	json 'top == {"version": 1, "verb": "self-signed", "results":
		[{"name": "a.example.org", "key": "ecdsa-p256", "outcome": "done", "error": None}]}'
}

@test "csr --target: makes no sense with a key of ours, or of a target that makes none" {
	certauto csr --target "files,directory=$PWD" --domain a.example.org
	ended 1
	complains files
	certauto csr --target "files,directory=$PWD" --domain a.example.org --key-out key.pem
	ended 2
	complains --key-out
	certauto csr --target "files,directory=$PWD" --domain a.example.org --subject O=Example
	ended 2
	complains --subject
	certauto csr --target "files,directory=$PWD" --domain a.example.org --key key.pem
	ended 2
	complains key.pem type
	certauto csr --target "files,directory=$PWD"
	ended 2
	complains --domain
	certauto csr --target none,a=b --domain a.example.org
	ended 2
	complains none files
	certauto csr --key ecdsa-p256 --key-out key.pem --name shop --domain a.example.org
	ended 2
	complains --name --target
	[ ! -e key.pem ]
}

@test "csr --target: of a target of the configuration" {
	printf '{"state": "%s/state", "targets": {"disk": {"type": "files", "directory": "%s"}}}\n' \
		"$PWD" "$PWD" >c.json
	certauto -c c.json csr --target disk --domain a.example.org
	ended 1
	complains disk
	certauto -c c.json csr --target dusk --domain a.example.org
	ended 2
	complains dusk disk
}
