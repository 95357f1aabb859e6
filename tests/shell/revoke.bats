#!/usr/bin/env bats
# revoke: what is refused before anything is asked. Nobody answers at the address of the CA.

load helper

SERVER=https://127.0.0.1:1/dir

setup_certificate() {
	certauto self-signed --cn shop.example.org --key-out key.pem --out cert.pem
	ended 0
}

config() {
	cat >certauto.json <<-END
		{ "state": "$PWD/state",
		  "accounts": { "le": { "server": "$SERVER" }, "other": { "server": "$SERVER" } },
		  "targets": { "web": { "type": "files", "directory": "$PWD/web",
			"webroot": "$PWD/web" } },
		  "certificates": { "shop": { "account": "le", "names": ["shop.example.org"],
			"challenge": { "type": "http-01", "target": "web" } } } }
	END
}

refused() {
	ended 2
	complains "$@"
	[ ! -e state ] || fail_run "it had begun"
}

@test "without a name: never everything" {
	config
	certauto -c certauto.json revoke
	refused NAME --cert
	certauto -c certauto.json revoke --reason superseded --by-key
	refused NAME
}

@test "a certificate that is not configured" {
	config
	certauto -c certauto.json revoke shpo
	refused shpo shop
}

@test "a reason that is none: those that are, are listed" {
	config
	for reason in "" keyCompromise 1 hold ca-compromise; do
		certauto -c certauto.json revoke shop --reason "$reason"
		refused unspecified key-compromise affiliation-changed superseded \
			cessation-of-operation
	done
}

@test "what does not go together" {
	config
	setup_certificate
	certauto -c certauto.json revoke shop --cert cert.pem
	refused exclude
	certauto -c certauto.json revoke --cert cert.pem --by-key --account le
	refused --key
	certauto -c certauto.json revoke shop --key key.pem
	refused --cert
	certauto -c certauto.json revoke shop --account le
	refused --cert
	certauto revoke shop --server $SERVER --state "$PWD/state"
	refused --cert
	certauto -c certauto.json revoke --cert cert.pem --server $SERVER
	refused exclude
	certauto -c certauto.json revoke --cert cert.pem --key key.pem --key key.pem --account le
	refused twice
	certauto -c certauto.json renew --reason superseded
	refused --reason
}

@test "--cert: whose CA is to be asked" {
	config
	setup_certificate
	certauto -c certauto.json revoke --cert cert.pem
	refused --account
	certauto -c certauto.json revoke --cert cert.pem --account ell
	refused ell "le, other"
	certauto revoke --cert cert.pem --server $SERVER
	refused --state
	certauto revoke --cert cert.pem --key key.pem --server http://127.0.0.1:1/dir
	refused https
}

@test "--cert: files that are none" {
	config
	setup_certificate
	for form in "-c certauto.json --account le" "--server $SERVER --key key.pem"; do
		# shellcheck disable=SC2086
		certauto revoke --cert none.pem $form
		refused none.pem
		# shellcheck disable=SC2086
		certauto revoke --cert key.pem $form
		refused key.pem
		head -c 300 cert.pem >cut.pem
		# shellcheck disable=SC2086
		certauto revoke --cert cut.pem $form
		refused cut.pem
		head -c 1100000 /dev/zero >big.pem
		# shellcheck disable=SC2086
		certauto revoke --cert big.pem $form
		refused big.pem
	done
	certauto -c certauto.json revoke --cert cert.pem --account le --key none.pem
	refused none.pem
	certauto -c certauto.json revoke --cert cert.pem --account le --key cert.pem
	refused cert.pem
	chmod 644 key.pem
	certauto -c certauto.json revoke --cert cert.pem --account le --key key.pem
	refused key.pem
}

@test "a key that is not the certificate's is refused before anything is sent" {
	setup_certificate
	certauto self-signed --cn other.example.org --key-out other.pem --out other.crt
	certauto revoke --cert cert.pem --key other.pem --server $SERVER --json
	json 'top["results"][0]["error"]["code"] == "CERTAUTO_EINVAL"'
}

@test "a certificate that was never issued has nothing to revoke" {
	config
	certauto -c certauto.json revoke shop --json
	[ "$status" -eq 1 ] || fail_run "status"
	json 'top["verb"] == "revoke" and top["results"][0]["name"] == "shop"'
	json 'top["results"][0]["outcome"] == "failed"'
}

@test "the certificate may come through a pipe that is still empty" {
	setup_certificate
	certauto revoke --server "$SERVER" --key key.pem --cert <(sleep 0.2; cat cert.pem)
	ended 1
	complains 127.0.0.1:1
}
