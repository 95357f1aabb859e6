#!/bin/sh
# Runs unit test programs, all of them even when one fails. One line per program, and all it said
# when it fails, is killed, or takes longer than LIMIT_S. V=1 shows everything.
#
# usage: tests/unit/run.sh PROGRAM...
set -u

LIMIT_S=300

[ $# -gt 0 ] || { sed -n '5s/^# //p' "$0" >&2; exit 2; }
said=$(mktemp)
trap 'rm -f "$said"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
programs=0 tests=0 failed=
for program; do
	programs=$((programs + 1))
	status=0
	timeout $LIMIT_S "$program" >"$said" 2>&1 </dev/null || status=$?
	# cmocka ends each group with "[  PASSED  ] 12 test(s)."
	passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$said" | awk '{ n += $1 } END { print n + 0 }')
	tests=$((tests + passed))
	if [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; then
		cat "$said"
		failed="$failed ${program##*/}"
		[ "$status" -ne 124 ] || echo "${program##*/}: not done after $LIMIT_S s"
		echo "[  FAILED  ] ${program##*/}: exit status $status"
	else
		[ "${V:-0}" = 0 ] || cat "$said"
		printf '[  PASSED  ] %-28s %3d test(s)\n' "${program##*/}" "$passed"
	fi
done
if [ -n "$failed" ]; then
	echo "check-unit: FAILED:$failed"
	exit 1
fi
echo "check-unit: $tests passed, 0 failed, in $programs programs"
