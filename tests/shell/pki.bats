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
	for subject in CN=other 'O=Example, CN=other'; do
		certauto self-signed --cn a.example.org --key-out key.pem --subject "$subject"
		ended 2
		complains --cn --subject
	done
	certauto self-signed --cn a.example.org --key-out key2.pem --subject 'O=Example\, CN=x'
	ended 0
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

# ---- what is in it, for whom it is ----

nsx_certificate() {
	certauto self-signed --cn 192.0.2.10 --subject "C=US, ST=California, L=CA, O=NSX" \
		--san DNS:nsx.example.org,IP:192.0.2.10 --key rsa-2048 --key-out nsx.key \
		--out nsx.pem "$@"
}

@test "self-signed: as openssl would make it from a configuration file" {
	nsx_certificate
	ended 0
	[ "$(openssl x509 -noout -subject -nameopt RFC2253 -in nsx.pem)" = \
		"subject=CN=192.0.2.10,O=NSX,L=CA,ST=California,C=US" ]
	text=$(cert_text nsx.pem)
	[[ $text == *"DNS:nsx.example.org, IP Address:192.0.2.10"* ]]
	[[ $text == *CA:FALSE* ]]
	[[ $text == *sha256WithRSAEncryption* ]]
	[[ $text == *"(2048 bit)"* ]]
}

@test "self-signed --verify: tells what openssl tells" {
	nsx_certificate --verify
	ended 0
	openssl=$(openssl x509 -noout -serial -fingerprint -sha256 -in nsx.pem | tr -d : |
		tr A-F a-f | sed 's/.*=//')
	for one in $openssl CA:FALSE "RSA, 2048 bits" "RSA with SHA-256" "CN=192.0.2.10" \
		"O=NSX" "nsx.example.org, 192.0.2.10" "signed itself" "sha256//"; do
		grep -qF -- "$one" out || fail_run "not told: $one"
	done
	nsx_certificate --verify --json --force
	ended 2
	json '"export" in top["error"]["message"]'
	certauto self-signed --cn a.example.org --key-out key.pem --verify
	ended 2
	complains --out
}

@test "export --verify: a file, its chain, what has expired" {
	nsx_certificate
	certauto export --cert nsx.pem --verify
	ended 0
	cp out told
	grep -q "CA  *CA:FALSE" told
	refute grep -q EXPIRED told
	certauto export --cert nsx.pem --verify --json
	ended 0
	json 'top["verb"] == "export" and [(one["ca"], one["key"], one["key_bits"],
		one["self_signed"], one["signed_by_next"], one["names"])
		for one in top["certificates"]] ==
		[(False, "RSA", 2048, True, None, ["nsx.example.org", "192.0.2.10"])]'
	past_certificate
	certauto export --cert past.pem --verify
	ended 0
	says "2001-02-03 00:00:00 UTC: EXPIRED"
	cat nsx.pem past.pem >both.pem
	certauto export --cert both.pem --verify
	ended 0
	[ "$(grep -c EXPIRED out)" -eq 1 ] || fail_run "not one of them has expired"
}

# past.pem: a certificate of 2001.
past_certificate() {
	/usr/bin/python3 - <<-'END' >past.pem
		from datetime import datetime
		from cryptography import x509
		from cryptography.hazmat.primitives import hashes, serialization
		from cryptography.hazmat.primitives.asymmetric import ec

		key = ec.generate_private_key(ec.SECP256R1())
		name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "past.example.org")])
		made = x509.CertificateBuilder(name, name, key.public_key(), 1)
		made = made.not_valid_before(datetime(2001, 1, 1)).not_valid_after(datetime(2001, 2, 3))
		pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
		print(pem.decode(), end="")
	END
}

# root.pem, and leaf.pem with an intermediate, which root.pem has signed.
chain_of_three() {
	cat >openssl.cnf <<-'END'
		[req]
		distinguished_name = dn
		[dn]
		[ca]
		basicConstraints = critical,CA:TRUE
		[leaf]
		basicConstraints = CA:FALSE
		subjectAltName = DNS:leaf.example.org
	END
	for one in root intermediate leaf; do
		openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
			-keyout "$one.key" -out "$one.csr" -subj "/CN=$one" -config openssl.cnf
	done 2>/dev/null
	openssl x509 -req -in root.csr -signkey root.key -out root.pem -days 3 \
		-extfile openssl.cnf -extensions ca 2>/dev/null
	openssl x509 -req -in intermediate.csr -CA root.pem -CAkey root.key -CAcreateserial \
		-out intermediate.pem -days 3 -extfile openssl.cnf -extensions ca 2>/dev/null
	openssl x509 -req -in leaf.csr -CA intermediate.pem -CAkey intermediate.key \
		-CAcreateserial -out one.pem -days 3 -extfile openssl.cnf -extensions leaf \
		2>/dev/null
	cat one.pem intermediate.pem >leaf.pem
}

@test "export: the chain, its root, from a file where it is not there" {
	chain_of_three
	certauto export --cert leaf.pem
	ended 0
	cmp out leaf.pem
	certauto export --cert leaf.pem --root
	ended 2
	complains CN=root --ca-file
	nsx_certificate
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout o.key \
		-subj /CN=root -days 3 -out other.pem 2>/dev/null
	cat nsx.pem other.pem intermediate.pem >bundle.pem
	certauto export --cert leaf.pem --root --ca-file bundle.pem
	ended 2
	complains bundle.pem
	cat root.pem >>bundle.pem
	certauto export --cert leaf.pem --root --ca-file bundle.pem --out found.pem
	ended 0
	cmp found.pem root.pem
	cat leaf.pem root.pem >whole.pem
	certauto export --cert whole.pem --root
	ended 0
	cmp out root.pem
	certauto export --cert whole.pem --verify --json
	ended 0
	json '[(one["self_signed"], one["signed_by_next"], one["ca"])
		for one in top["certificates"]] ==
		[(False, True, False), (False, True, True), (True, None, True)]'
}

@test "export --ops-manager: the certificate, and that it is looked at" {
	nsx_certificate
	certauto export --cert nsx.pem --ops-manager
	ended 0
	json '{name.rpartition(".")[2]: one["value"] for name, one in top.items()} ==
		{"nsx-t-ca-cert": open("nsx.pem").read(), "nsx-t-insecure": False}'
}

@test "export: of the configuration, and what is wrong with the command line" {
	printf '{"state": "%s/state", "certificates": {}}\n' "$PWD" >c.json
	certauto -c c.json export shop
	ended 2
	complains shop
	printf '{"state": "%s/state", "accounts": {"le": {"server": "https://ca.example.org/dir"}},
		"certificates": {"shop": {"account": "le", "names": ["shop.example.org"], "challenge":
		{"type": "dns-persist-01"}}}}\n' "$PWD" >issued.json
	certauto -c issued.json export shop
	ended 1
	complains "shop ecdsa-p256 was never issued" "certauto issue shop"
	certauto export
	ended 2
	complains NAME --cert
	nsx_certificate
	certauto export --cert nsx.pem shop
	ended 2
	complains "exclude each other"
	certauto export --cert none.pem
	ended 2
	complains none.pem
	certauto export --cert nsx.key
	ended 2
	complains nsx.key
	certauto export --cert nsx.pem --ca-file nsx.pem
	ended 2
	complains --root
	certauto export --cert nsx.pem --json
	ended 2
	certauto export --cert nsx.pem --out nsx.key
	ended 1
	complains nsx.key --force
}

# ---- to targets ----

@test "self-signed --target: one command makes it and takes it there" {
	mkdir disk
	nsx_certificate --target "files,directory=$PWD/disk,probe=no" --name vip
	ended 0
	grep -q "vip: deployed to files" out
	find disk -name '*.pem' | grep -q .
	nsx_certificate --force --name vip
	ended 2
	complains --target
	certauto self-signed --cn a.example.org --key-out key.pem --target "files,directory=$PWD"
	ended 2
	complains --out
}

@test "self-signed --target: a mistake about it is told before a file is written" {
	for target in avi nope,x=1 files files,directory=rel rfc2136,key_file=/x; do
		certauto self-signed --cn a.example.org --key-out k.pem --out n.pem \
			--target "files,directory=$PWD,probe=no" --target "$target"
		ended 2
		[ ! -e k.pem ]
		[ ! -e n.pem ]
	done
	certauto self-signed --cn a.example.org --key-out k.pem --out n.pem --name ../x \
		--target "files,directory=$PWD,probe=no"
	ended 2
	complains --name ../x
	left=$(ls)
	[ "$left" = $'err\nout' ] || fail_run "something is left: $left"
}

@test "deploy --cert: nothing is deployed when one of the targets is a mistake" {
	nsx_certificate
	mkdir disk
	for target in files rfc2136,key_file=/x; do
		certauto deploy --cert nsx.pem --key nsx.key \
			--target "files,directory=$PWD/disk,probe=no" --target "$target"
		ended 2
		[ -z "$(ls disk)" ]
	done
}

@test "deploy --cert: what is in files" {
	mkdir disk
	nsx_certificate
	certauto deploy --json --cert nsx.pem --key nsx.key \
		--target "files,directory=$PWD/disk,probe=no"
	ended 0
	json 'top["results"] == [{"name": "nsx.example.org", "key": "rsa-2048",
		"outcome": "done", "error": None}]'
	certauto deploy --cert nsx.pem --key nsx.key
	ended 2
	complains --target
	certauto deploy shop --cert nsx.pem --target "files,directory=$PWD"
	ended 2
	certauto deploy --cert nsx.pem --domain a.example.org --target "files,directory=$PWD"
	ended 2
	complains --domain
	certauto deploy --cert nsx.pem --key none.key --target "files,directory=$PWD"
	ended 2
	complains none.key
}

@test "deploy --cert: a target of the configuration, which may be called as its type is" {
	mkdir disk
	nsx_certificate
	printf '{"state": "%s/state", "certificates": {}, "targets": {"files": {"type": "files",
		"directory": "%s/disk", "probe": "no"}}}' "$PWD" "$PWD" >c.json
	certauto -c c.json deploy --cert nsx.pem --key nsx.key --target files --name vip
	ended 0
	cmp disk/vip.fullchain.pem nsx.pem
}
