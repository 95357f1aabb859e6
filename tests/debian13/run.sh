#!/bin/sh
# make check-debian13: build, unit tests, flow tests and demo in a Debian 13, on any Debian; and the
# bindings and the bundle for all Pythons there, of which Python's one extension for all versions is
# then tried with every Python here.
#
# usage: tests/debian13/run.sh BUILD-FOLDER        (run from the top of the sources)
#
# The Debian 13 is made once by debootstrap, from the mirror this machine's apt uses, and kept below
# BUILD-FOLDER/debian13 until the list of packages changes. Needs root. Where it cannot be made this
# says "skipped" and why, with exit status 0; with CI=true in the environment that is a failure.
#
# A list of packages is meant to be split into words, and the child shell to read its own "$1".
# shellcheck disable=SC2086,SC2016
set -eu

SUITE=trixie
CLEAN_PATH=/usr/sbin:/usr/bin:/sbin:/bin
TARGETS="all check-unit check-flow demo"
BINDING_TARGETS="check-python check-lua check-scenarios check-bundle"
# By the SWIG of Debian 13: that of Debian 12 does not know the stable ABI.
BINDING_OPTIONS="PYTHON_ABI3=1 BUNDLE_ABI3=1 CERTAUTO_STRESS_S=10"

skip() {
	echo "check-debian13: skipped: $*"
	[ "${CI:-}" != true ] || exit 1
	exit 0
}

# The URI of the machine's own Debian mirror; the security archive has another label.
mirror() {
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk -F'|' '$1 == "Debian" { print $2; exit } $1 == "" && $2 !~ /security/ { print $2; exit }'
}

# What this machine's apt was told about proxies and about clocks holds in there too.
apt_settings() {
	apt-config dump --format '%f "%v";%n' Acquire::http::Proxy Acquire::https::Proxy \
		Acquire::Check-Valid-Until Acquire::Check-Date | grep -v ' "";$' || true
}

in_root() {
	env -i PATH=$CLEAN_PATH HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" chroot "$ROOT" "$@"
}

fill_root() {
	debootstrap --variant=minbase --include=ca-certificates \
		--keyring=/usr/share/keyrings/debian-archive-keyring.gpg $SUITE "$ROOT" "$MIRROR" || return 1
	printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
	chmod 755 "$ROOT/usr/sbin/policy-rc.d"
	apt_settings >"$ROOT/etc/apt/apt.conf.d/90host"
	in_root apt-get -q update || return 1
	in_root apt-get -q install -y --no-install-recommends $PACKAGES || return 1
	in_root apt-get -q clean
}

make_root() {
	echo "making a Debian 13 below $ROOT (once)"
	rm -rf --one-file-system "$ROOT" "$STAMP"
	mkdir -p "$ROOT"
	if ! fill_root >"$BASE/make.log" 2>&1; then
		tail -n 5 "$BASE/make.log"
		skip "it could not be made from this machine's mirror; the whole story is in $BASE/make.log"
	fi
	printf '%s' "$WANTED" >"$STAMP"
}

# The sources as git would commit them now, so that nothing built outside gets in.
copy_sources() {
	rm -rf --one-file-system "$ROOT/src"
	mkdir "$ROOT/src"
	git ls-files -z --cached --others --exclude-standard --exclude="/$1/" |
		tar -cf - --null --ignore-failed-read -T - 2>/dev/null | tar -xf - -C "$ROOT/src"
}

# In namespaces of its own: the mounts vanish, and every process is killed, however the run ends.
run_targets() {
	unshare --mount --pid --fork --kill-child sh -eu -c '
		mount -t proc proc "$1/proc"
		mount --rbind /dev "$1/dev"
		mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
		root=$1 path=$2
		shift 2
		exec env -i PATH="$path" HOME=/root LC_ALL=C.UTF-8 DEPS=no chroot "$root" "$@"
	' sh "$ROOT" $CLEAN_PATH make -C /src -j"$(nproc)" --no-print-directory "$@"
}

run() {
	echo "== Debian 13: make $*"
	run_targets "$@" 9>&- || { echo "check-debian13: make $* failed"; exit 1; }
}

# What is newer than this machine came from there; library and package are this machine's own.
try_everywhere() {
	extension=$ROOT/src/build/python/certauto/_certauto.abi3.so
	echo "== that extension with every Python here"
	tools/deps.sh check
	make --no-print-directory -j"$(nproc)" BUILD="$1" all python
	CERTAUTO_ABI3=$extension CERTAUTO_PYTHON=$1/python CERTAUTO_BIN=$1/certauto \
		/usr/bin/python3 -B -m pytest -q -rs tests/python/test_versions.py -k one_build
}

[ $# -eq 1 ] || { sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || skip "debootstrap and chroot need root"
tools/deps.sh debian13 || skip "debootstrap is not installed"
command -v debootstrap >/dev/null || skip "there is no debootstrap here"
unshare --mount --pid --fork true 2>/dev/null || skip "mounts are not permitted here"
MIRROR=$(mirror)
[ -n "$MIRROR" ] || skip "apt on this machine has no Debian mirror"

mkdir -p "$1/debian13"
BASE=$(cd "$1/debian13" && pwd)
ROOT=$BASE/root
STAMP=$BASE/stamp
PACKAGES=$(tools/deps.sh --list check)
WANTED="$SUITE $MIRROR $PACKAGES"

# One run at a time: they share the root.
exec 9>"$BASE/lock"
flock 9
began=$(date +%s)
[ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ] || make_root
cp /etc/hosts "$ROOT/etc/hosts"
copy_sources "$1"
for target in $TARGETS; do
	run "$target"
done
for target in $BINDING_TARGETS; do
	run "$target" $BINDING_OPTIONS
done
try_everywhere "$(dirname "$BASE")" 9>&- || { echo "check-debian13: the extension failed here"; exit 1; }
echo "check-debian13: passed, in $(($(date +%s) - began)) s"
