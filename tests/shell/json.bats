#!/usr/bin/env bats
# certauto json: what scripts take out of documents.

load helper

# Prints what the command finds in the document: $output, $status.
found() {
	status=0
	output=$(printf '%s' "$1" | "$CERTAUTO" json "${@:2}" 2>err) || status=$?
	stderr=$(cat err)
}

DOCUMENT='{"version": 1, "ok": true, "none": null, "empty": "", "list": ["a", {"b": [2.5, -3e2]}, []],
 "results": [{"name": "shop", "error": {"message": "no \"way\"", "status": 403}},
             {"name": "mail", "error": null}, "odd"], "dé": "ünï"}'

@test "json: a path leads to a value" {
	while read -r path value; do
		found "$DOCUMENT" "$path"
		ended 0
		[ "$output" = "$value" ] || fail_run "$path"
	done <<-'END'
	version 1
	ok true
	list.0 a
	list.1.b.1 -3e2
	results.0.error.message no "way"
	results.1.name mail
	dé ünï
	END
	found "$DOCUMENT" empty
	ended 0
	[ -z "$output" ]
}

@test "json: a star is everything" {
	found "$DOCUMENT" 'results.*.name'
	[ "$output" = $'shop\nmail' ]
	found "$DOCUMENT" 'list.1.b.*'
	[ "$output" = $'2.5\n-3e2' ]
	found "$DOCUMENT" '*'
	[ "$output" = $'1\ntrue\n\nünï' ] || fail_run "null, lists and objects are no values"
	found '[["a", "b"], ["c"]]' '*.*'
	[ "$output" = $'a\nb\nc' ]
}

@test "json: fields in columns, none of them empty" {
	found "$DOCUMENT" 'results.*' name error.status error.message
	ended 0
	[ "$output" = $'shop\t403\tno "way"\nmail\t-\t-\n-\t-\t-' ] || fail_run columns
	found "$DOCUMENT" 'list.1' 'b.*' nothing
	[ "$output" = $'2.5\t-' ]
	found '{"a": {"b": ""}}' a b
	[ "$output" = - ]
}

@test "json: what is not there is status 1, and silent" {
	for path in nothing none list results results.1.error results.3.name results.-1 list.0.a \
		list.00x list.99999999999999999999 version.0 results.name "" . results. .results; do
		found "$DOCUMENT" "$path"
		ended 1
		[ -z "$output$stderr" ] || fail_run "$path"
	done
	found "$DOCUMENT" 'nothing.*' name
	ended 1
}

@test "json: what is not JSON is told" {
	for text in "" "{" "nonsense" '{"a": 1} {"a": 2}' '{"a": "x}' '/* {"a": 1}' '{"a": 01x}' '{"a" 1}' \
		'["\ud800"]' "$(printf '[%.0s' {1..100})"; do
		found "$text" a
		ended 1
		complains "not JSON"
		[ -z "$output" ]
	done
	certauto json
	ended 2
	complains "PATH"
}

@test "json: comments, as in configurations" {
	found $'{ // one\n "a": "x//y", /* two\n */ "b": "/*", "c": [1, /**/ 2] }\n// end' '*'
	[ "$output" = $'x//y\n/*' ]
}

@test "json: no line is more than one value, and no terminal obeys it" {
	found '{"a": "x\ny\t\u001b[2J\u0007z", "b": "q"}' '*'
	[ "$output" = $'x?y??[2J?z\nq' ]
	printf '{"a": "x\377y"}' | "$CERTAUTO" json a >out
	[ "$(cat out)" = 'x?y' ]
}

@test "json: what the command prints" {
	"$CERTAUTO" --json version | "$CERTAUTO" json verb >out
	[ "$(cat out)" = version ]
	[ "$("$CERTAUTO" --json isssue 2>/dev/null | "$CERTAUTO" json error.code)" = CERTAUTO_EINVAL ]
	"$CERTAUTO" --json target list | "$CERTAUTO" json 'targets.*' type capabilities.0 >out
	grep -qx $'haproxy\thttp-01' out
}
