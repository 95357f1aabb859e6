#!/bin/sh
# Runs unit test programs, all of them even when one fails, twice as many at once as there are
# processors: much of the time is spent waiting, most by the last of the list, which thus come
# first. One line per program, and all it said when it fails, is killed, or takes longer than
# LIMIT_S. V=1 shows everything.
#
# usage: tests/unit/run.sh PROGRAM...
set -u

LIMIT_S=300

# The number of tests that passed, or nothing, goes into a file of the program's own.
run_one() {
	said=$results/${1##*/}.said
	status=0
	timeout $LIMIT_S "$1" >"$said" 2>&1 </dev/null || status=$?
	# cmocka ends each group with "[  PASSED  ] 12 test(s)."
	passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$said" | awk '{ n += $1 } END { print n + 0 }')
	if [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; then
		[ "$status" -ne 124 ] || echo "${1##*/}: not done after $LIMIT_S s" >>"$said"
		echo "[  FAILED  ] ${1##*/}: exit status $status" >>"$said"
		cat "$said"
		: >"$results/${1##*/}.failed"
	else
		[ "${V:-0}" = 0 ] || cat "$said"
		printf '[  PASSED  ] %-28s %3d test(s)\n' "${1##*/}" "$passed"
		echo "$passed" >"$results/${1##*/}.passed"
	fi
}

if [ "${1:-}" = --one ]; then
	results=$2
	run_one "$3"
	exit 0
fi
[ $# -gt 0 ] || { sed -n '7s/^# //p' "$0" >&2; exit 2; }
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
programs=$#
for program; do
	printf '%s\0' "$program"
done | sort -rz | xargs -0 -n 1 -P $((2 * $(nproc))) "$0" --one "$results"
set -- "$results"/*.failed
if [ -e "$1" ]; then
	echo "check-unit: FAILED:$(printf ' %s' "$@" | sed -e "s|$results/||g" -e 's/\.failed//g')"
	exit 1
fi
cat "$results"/*.passed | awk -v programs="$programs" '{ n += $1 } END {
	print "check-unit: " n " passed, 0 failed, in " NR " programs"
	if (NR != programs) { print "check-unit: FAILED: of " programs " programs"; exit 1 } }'
