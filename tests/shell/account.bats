#!/usr/bin/env bats
# account register, show, update, rotate-key, deactivate, orders: what is refused before anything is
# asked, and what a broken account key ends in. Nobody answers at the address of the CA.

load helper

SERVER=https://127.0.0.1:1/dir

account() {
	certauto account "$@" --server $SERVER --state "$PWD/state"
}

config() {
	cat >certauto.json <<-END
		{ "state": "$PWD/state",
		  "accounts": { "le": { "server": "$SERVER" }, "other": { "server": "$SERVER" } } }
	END
}

@test "an account that is not configured: those that are, are listed" {
	config
	for verb in register show update rotate-key "deactivate --yes" orders; do
		# shellcheck disable=SC2086
		certauto -c certauto.json account $verb ell
		ended 2
		complains "no account ell" "le, other"
	done
	[ ! -e state ]
}

@test "deactivate: only what is named, and only with --yes" {
	config
	certauto -c certauto.json account deactivate --yes
	ended 2
	complains ACCOUNT
	certauto -c certauto.json account deactivate le
	ended 2
	complains --yes
	account deactivate
	ended 2
	complains --yes
	[ ! -e state ]
}

@test "--yes and --online belong to one verb each" {
	account register --yes
	ended 2
	complains --yes
	account orders --online
	ended 2
	complains --online
}

@test "show: an account nobody has registered, without and with --json" {
	account show
	ended 0
	says "default: not registered yet" $SERVER
	account show --json
	ended 0
	json 'set(top) == {"version", "verb", "accounts"} and top["verb"] == "account show"'
	json 'top["accounts"] == [{"name": "default", "server": "'$SERVER'", "url": None,
		"status": None, "contacts": None, "terms": None, "profiles": None, "error": None}]'
}

@test "a CA that cannot be reached: the reason in each form" {
	account show --online
	ended 1
	complains 127.0.0.1
	account show --online --json
	ended 1
	json 'top["accounts"][0]["contacts"] is None'
	json 'top["accounts"][0]["error"]["code"] in ("CERTAUTO_ENET", "CERTAUTO_EAUTH")'
	account orders --json
	ended 1
	json 'top["accounts"][0]["orders"] is None and top["accounts"][0]["error"]["code"]'
	account update --json
	ended 1
	json 'top["verb"] == "account update" and top["results"][0]["outcome"] == "failed"'
}

# Where the account of these options has its key.
key_folder() {
	echo "$PWD/state/accounts/default-$(printf %s $SERVER | sha256sum | cut -c1-8)"
}

# Every verb that needs the key fails and says which one it is about, and leaves it alone.
refuses_key() {
	before=$(sha256sum "$folder/key.pem")
	for verb in register update rotate-key "deactivate --yes" orders "show --online"; do
		# shellcheck disable=SC2086
		account $verb
		[ "$status" -eq 1 ] || [ "$status" -eq 2 ] || fail_run "status"
		complains 'default' key
	done
	account register --json
	json 'top["results"][0]["error"]["code"] in ("CERTAUTO_EINVAL", "CERTAUTO_EIO",
		"CERTAUTO_EPERM")'
	[ "$(sha256sum "$folder/key.pem")" = "$before" ]
}

@test "an account key that is truncated, empty, of another kind, or readable for others" {
	umask 077
	folder=$(key_folder)
	mkdir -p "$folder"
	openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out whole.pem
	head -c 100 whole.pem >"$folder/key.pem"
	refuses_key
	: >"$folder/key.pem"
	refuses_key
	openssl pkey -in whole.pem -pubout -out "$folder/key.pem"
	refuses_key
	openssl genpkey -quiet -algorithm ed25519 -out "$folder/key.pem"
	refuses_key
	openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out "$folder/key.pem"
	refuses_key
	certauto self-signed --cn a.example.org --key whole.pem --out "$folder/key.pem" --force
	chmod 600 "$folder/key.pem"
	refuses_key
	cp whole.pem "$folder/key.pem"
	chmod 644 "$folder/key.pem"
	refuses_key
}
