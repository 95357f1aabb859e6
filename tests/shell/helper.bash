# What the tests of the command share. CERTAUTO_BIN is the program to test: build/certauto.

setup() {
	CERTAUTO=${CERTAUTO_BIN:-$BATS_TEST_DIRNAME/../../build/certauto}
	CERTAUTO=$(realpath -e "$CERTAUTO")
	cd "$BATS_TEST_TMPDIR" || return
	umask 022
}

# Runs the command with standard output and error apart: $status, $output, $stderr.
certauto() {
	status=0
	"$CERTAUTO" "$@" >out 2>err </dev/null || status=$?
	output=$(cat out)
	stderr=$(cat err)
}

# Fails with what the last run said.
fail_run() {
	printf '%s\nstatus %s\nstdout: %s\nstderr: %s\n' "$1" "$status" "$output" "$stderr" >&2
	return 1
}

# It ended with that status.
ended() {
	[ "$status" -eq "$1" ] || fail_run "not status $1"
}

# All words are on standard output, or on standard error.
says() {
	for word; do
		case $output in *"$word"*) ;; *) fail_run "stdout lacks: $word"; return 1 ;; esac
	done
}

complains() {
	for word; do
		case $stderr in *"$word"*) ;; *) fail_run "stderr lacks: $word"; return 1 ;; esac
	done
}

# The command fails: a leading "!" would not end a test.
refute() {
	if "$@"; then
		echo "did not fail: $*" >&2
		return 1
	fi
}

# Standard output is JSON of which the Python expression is true; "top" is the document.
json() {
	/usr/bin/python3 -c 'import json, sys
top = json.load(sys.stdin)
sys.exit(not eval(f"({sys.argv[1]})"))' "$1" <out || fail_run "not so: $1"
}

mode_of() {
	stat -c %a "$1"
}
