#!/bin/sh
# make check-shell: files of bats side by side, twice as many as there are processors; only what
# fails shows its tests, unless V=1. CERTAUTO_BIN is the command to test.
#
# usage: tests/shell/run.sh FILE...
set -u

# A file of its own for each: what two say at once must not mix.
run_one() {
	said=$results/${1##*/}.said
	status=0
	bats "$1" >"$said" 2>&1 || status=$?
	passed=$(grep -c '^ok ' "$said")
	if [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; then
		cat "$said"
		echo "FAILED: ${1##*/}: exit status $status"
		: >"$results/${1##*/}.failed"
	else
		[ "${V:-0}" = 0 ] || cat "$said"
		printf 'passed: %-18s %3d test(s)\n' "${1##*/}" "$passed"
		echo "$passed" >"$results/${1##*/}.passed"
	fi
}

if [ "${1:-}" = --one ]; then
	results=$2
	run_one "$3"
	exit 0
fi
[ $# -gt 0 ] || { sed -n '5s/^# //p' "$0" >&2; exit 2; }
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
for file; do
	printf '%s\0' "$file"
done | xargs -0 -n 1 -P $((2 * $(nproc))) "$0" --one "$results"
cat "$results"/*.passed 2>/dev/null | awk -v files=$# '{ n += $1 } END {
	print "check-shell: " n + 0 " passed, in " NR " of " files " files"
	exit NR != files }'
