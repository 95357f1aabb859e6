#!/bin/sh
# Each public header must compile alone, and when included twice, as strict C99 and as C++11.
#
# usage: tests/headers/check.sh INCLUDE-FOLDER       (CC and CXX name the compilers)
#
# CC and CXX may hold a command with arguments.
# shellcheck disable=SC2086
set -eu

CC=${CC:-cc}
CXX=${CXX:-c++}
WARNINGS="-Wall -Wextra -Wpedantic -Werror"

# compiles LANGUAGE COMPILER... : the program on standard input.
compiles() {
	language=$1
	shift
	"$@" $WARNINGS -I"$include" -fsyntax-only -x "$language" -
}

[ $# -eq 1 ] || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
include=$1
headers=$(cd "$include" && find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort)
[ -n "$headers" ]

cxx=yes
printf 'int main() { return 0; }\n' | ${CXX} -fsyntax-only -x c++ - 2>/dev/null || cxx=no
if [ $cxx = no ]; then
	echo "check-headers: C++ skipped: $CXX does not work here"
	[ "${CI:-}" != true ] || exit 1
fi

n=0
for header in $headers; do
	n=$((n + 1))
	text=$(printf '#include <%s>\n#include <%s>\nint main(void);\n' "$header" "$header")
	printf '%s\n' "$text" | compiles c $CC -std=c99 || { echo "check-headers: <$header> in C99"; exit 1; }
	[ $cxx = no ] || printf '%s\n' "$text" | compiles c++ $CXX -std=c++11 ||
		{ echo "check-headers: <$header> in C++11"; exit 1; }
done
# <certauto.h> is all that a program needs; sys/ is for people who write targets and stores.
for header in $headers; do
	case $header in
	certauto.h | certauto/sys/*) ;;
	*) grep -q "^#include <$header>" "$include/certauto.h" ||
		{ echo "check-headers: <certauto.h> lacks <$header>"; exit 1; } ;;
	esac
done
echo "check-headers: $n headers, C99$([ $cxx = no ] || echo ' and C++11')"
