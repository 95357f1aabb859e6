#!/bin/bash
# What make install puts in place, that a program builds against it, and that uninstall takes all of
# it away again.
#
# usage: tests/install/check.sh STAGE SCRATCH PROGRAMS       (MAKE is the make to call)
#
# STAGE is a finished `make install DESTDIR=STAGE PREFIX=/usr`, SCRATCH a folder to install into and
# uninstall from, PROGRAMS the folder of the programs of docs/examples/ that were built against STAGE.
#
# MAKE holds a command with its arguments.
# shellcheck disable=SC2086
set -eu

fail() {
	echo "check-install: $*" >&2
	exit 1
}

files_below() {
	(cd "$1" && find . \( -type f -o -type l \) | LC_ALL=C sort)
}

there() {
	[ -e "$stage$1" ] || fail "$1 is not installed"
}

check_files() {
	local file
	for file in bin/certauto lib/libcertauto.so lib/libcertauto.so.0 lib/pkgconfig/libcertauto.pc \
		include/certauto.h include/certauto/sys/target.h share/man/man1/certauto.1 \
		share/man/man5/certauto.json.5 lib/systemd/system/certauto.service \
		lib/systemd/system/certauto.timer share/doc/certauto/README.md \
		share/doc/certauto/certauto.cron share/doc/certauto/targets/haproxy.md \
		share/man/man7/certauto-hooks.7 share/certauto/certauto-hooks.sh \
		libexec/certauto/hook-dehydrated libexec/certauto/hook-certbot-deploy \
		share/bash-completion/completions/certauto share/zsh/site-functions/_certauto; do
		there "/usr/$file"
	done
	# In place, not enabled: nothing in /etc, no wants-link.
	[ -z "$(cd "$stage" && find . -path './etc*' -o -path '*.wants/*')" ] || fail "something is enabled"
	[ -z "$(find "$stage" -type f -perm /022)" ] || fail "others may write to $(find "$stage" -perm /022)"
	for file in lib/pkgconfig lib/systemd; do
		! grep -rF "$stage" "$stage/usr/$file" || fail "the staging folder is named"
		! grep -r '@[A-Za-z]*@' "$stage/usr/$file" || fail "a word was not replaced"
	done
	grep -q '^ExecStart=/usr/bin/certauto ' "$stage/usr/lib/systemd/system/certauto.service" ||
		fail "the service does not start the installed command"
}

# Pages lead to pages: those that are installed, where they are installed.
check_links() {
	local page link
	while read -r page; do
		while read -r link; do
			case $link in
			*://* | mailto:*) ;;
			/*) there "$link" ;;
			*) [ -e "$(dirname "$page")/$link" ] || fail "$page leads to $link" ;;
			esac
		done < <(grep -o '](\([^)#]*\)' "$page" | sed 's/^](//; /^$/d')
	done < <(find "$stage/usr/share/doc/certauto" -name '*.md')
}

check_command() {
	local dynamic file
	dynamic=$(readelf -d "$stage/usr/bin/certauto")
	[[ $dynamic != *RPATH* && $dynamic != *RUNPATH* ]] || fail "the command has a path of the build in it"
	[[ $dynamic == *'[libcertauto.so.0]'* ]] || fail "the command does not use libcertauto.so.0"
	[[ $(readelf -d "$stage/usr/lib/libcertauto.so.0") == *'soname: [libcertauto.so.0]'* ]] || fail "soname"
	LD_LIBRARY_PATH=$stage/usr/lib "$stage/usr/bin/certauto" version >/dev/null || fail "the command does not run"
	LD_LIBRARY_PATH=$stage/usr/lib "$stage/usr/libexec/certauto/hook-dehydrated" no_such_operation ||
		fail "the hook of dehydrated does not run"
	for file in bash-completion/completions/certauto zsh/site-functions/_certauto; do
		LD_LIBRARY_PATH=$stage/usr/lib "$stage/usr/bin/certauto" completion "${file%%[-/]*}" |
			cmp - "$stage/usr/share/$file" || fail "$file is not what the command prints"
	done
}

# Without arguments an example says how it is used: it found its library and runs.
check_programs() {
	local source program status text
	for source in docs/examples/*.c; do
		[ "$(wc -l <"$source")" -lt 60 ] || fail "$source has 60 lines or more"
		program=$programs/$(basename "$source" .c)
		status=0
		text=$("$program" 2>&1) || status=$?
		[[ $status:$text == [12]:*usage* ]] || fail "$program: status $status: $text"
	done
}

check_uninstall() {
	local other=$scratch/usr/share/doc/certauto/others
	rm -rf "$scratch"
	${MAKE:-make} -s install DESTDIR="$scratch" PREFIX=/usr
	[ "$(files_below "$scratch")" = "$(files_below "$stage")" ] || fail "two installations differ"
	echo kept >"$other"
	${MAKE:-make} -s uninstall DESTDIR="$scratch" PREFIX=/usr
	[ "$(files_below "$scratch")" = ./usr/share/doc/certauto/others ] ||
		fail "uninstall left, or took what is not ours: $(files_below "$scratch")"
	rm -rf "$scratch"
}

[ $# -eq 3 ] || { sed -n '5s/^# //p' "$0" >&2; exit 2; }
stage=$(realpath -e "$1")
mkdir -p "$2"
scratch=$(realpath -e "$2")
programs=$(realpath -e "$3")
check_files
check_links
check_command
check_programs
check_uninstall
echo "check-install: $(files_below "$stage" | wc -l) files, examples built through pkg-config, uninstalled"
