#!/bin/sh
# make check: its parts one after another, up to the first that fails, and what each took.
#
# usage: tools/check.sh PART...       (each is a target of the Makefile; MAKE is the make to call)
#
# MAKE holds a command with its arguments.
# shellcheck disable=SC2086
set -u

seconds() {
	date +%s
}

[ $# -gt 0 ] || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
summary=
for part; do
	printf '\n== make %s\n' "$part"
	began=$(seconds)
	if ! ${MAKE:-make} "$part"; then
		printf '\ncheck: make %s FAILED after %d s\n' "$part" $(($(seconds) - began)) >&2
		exit 1
	fi
	summary="$summary$(printf '  passed  %-14s %4d s' "$part" $(($(seconds) - began)))
"
done
printf '\ncheck: all parts passed\n%s' "$summary"
