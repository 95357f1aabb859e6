#!/bin/sh
# Install those Debian packages that building, the demo or the tests need and that are missing.
#
# usage: tools/deps.sh [--list] PURPOSE...       PURPOSE: build python demo check bench debian13
#
# --list prints the packages and does nothing else. DEPS=no in the environment forbids installing:
# what is missing is printed and the exit status is 1. Not root: through sudo. No service is
# started.
#
# Lists of packages are meant to be split into words.
# shellcheck disable=SC2086
set -eu

POLICY=/usr/sbin/policy-rc.d

# libc-ares-dev for what it brings: the library alone is called differently in Debian 12 and 13.
packages_for() {
	case $1 in
	build)	  echo gcc libc6-dev make pkgconf libmbedtls-dev libcurl4-openssl-dev libyajl-dev ;;
	python)	  packages_for build; echo swig python3 python3-dev ;;
	demo)	  packages_for build; echo libc-ares-dev pebble haproxy openssl python3 python3-cryptography ;;
	check)	  packages_for demo; echo g++ binutils curl libcmocka-dev libuv1-dev nginx-light libnginx-mod-stream python3-pytest \
			python3-pytest-xdist bats zsh shellcheck mandoc certbot dehydrated lego uacme bind9 bind9-dnsutils swig python3-dev mypy python3-mypy \
			lua5.1 liblua5.1-0-dev lua5.3 liblua5.3-dev lua5.4 liblua5.4-dev luarocks ;;
	bench)	  packages_for check ;;
	debian13) echo debootstrap debian-archive-keyring ;;
	*)	  echo "deps.sh: no such purpose: $1" >&2; exit 2 ;;
	esac
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
}

# haproxy and nginx would take ports 80 and 443 of a machine that only wants to run a test.
forbid_services() {
	[ ! -e $POLICY ] || return 0
	trap 'as_root rm -f $POLICY' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	printf '#!/bin/sh\nexit 101\n' | as_root tee $POLICY >/dev/null
	as_root chmod 755 $POLICY
}

install_missing() {
	# Package lists that are absent or old show as a package without candidate or a file that is gone.
	apt install --simulate --no-install-recommends "$@" >/dev/null 2>&1 || apt update
	apt install -y --no-install-recommends "$@" || {
		apt update
		apt install -y --no-install-recommends "$@"
	}
}

main() {
	list=no
	if [ "${1:-}" = --list ]; then
		list=yes
		shift
	fi
	[ $# -gt 0 ] || { sed -n '4s/^# //p' "$0" >&2; exit 2; }
	wanted=
	for purpose in "$@"; do
		wanted="$wanted $(packages_for "$purpose")"
	done
	wanted=$(printf '%s\n' $wanted | sort -u | tr '\n' ' ')
	if [ $list = yes ]; then
		echo "$wanted"
		return 0
	fi
	if ! command -v dpkg-query >/dev/null; then
		echo "deps.sh: not a Debian system; needed are what Debian calls: $wanted" >&2
		return 0
	fi
	# One query for all: this runs before each make demo and make check.
	present=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' $wanted 2>/dev/null || true)"
	missing=
	for package in $wanted; do
		case $present in
		*" $package=installed "*) ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	if [ "${DEPS:-yes}" = no ]; then
		echo "deps.sh: missing, and DEPS=no forbids to install:$missing" >&2
		return 1
	fi
	echo "installing:$missing"
	forbid_services
	install_missing $missing
}

main "$@"
