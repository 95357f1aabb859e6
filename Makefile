# certauto
#
#   make                  build the library and the command
#   make demo             certificates on a real HAProxy, from nothing (installs what is missing);
#                         TARGET=netscaler, avi, nsx, flexibleengine: on a simulated one of these
#   make check            all tests, on real servers, and again under sanitizers (installs what is missing)
#   make check-unit       unit tests alone
#   make check-flow       the command against Pebble, HAProxy and nginx
#   make check-asan       both again under AddressSanitizer and UndefinedBehaviorSanitizer (FULL=1: all of it)
#   make python           the Python package, below build/python (make install-python installs it)
#   make check-python     it, its stubs, and the examples of its page
#   make lua              the Lua module for each Lua here, below build/lua (make install-lua installs it)
#   make check-lua        it, and the examples of its page
#   make check-scenarios  the same work through C, Python, Lua and the command
#   make bundle           library, Python package and ControlScripts in one folder that runs anywhere
#   make check-bundle     unpacks it elsewhere and gets a certificate
#   make check-shell      usage of the command
#   make check-kill       killed, starved of disk, cut off at every file and network call (minutes)
#   make check-sweep      every request to every device struck, every misbehaviour of a CA (an hour)
#   make check-headers    each public header alone, as C99 and C++
#   make check-abi        exported symbols == map == headers; constants unchanged (WRITE=1 adds new ones)
#   make check-install    make install DESTDIR=..., and a program built against it
#   make check-debian13   build, tests and demo in a Debian 13 below build/ (as root)
#   make lint             includes one way, function length, columns, comments, man pages
#   make bench            figures, beside other clients (WRITE=1 writes them into docs/bench.md)
#   make deps             install what build, demo and check need
#   make install          DESTDIR= PREFIX=; also uninstall
#   make dist             build/certauto-VERSION.tar.gz of the last commit
#   make clean            remove what was built
#   make help             this text
#
# CC CFLAGS CPPFLAGS LDFLAGS PREFIX DESTDIR are yours. DEVELOPER=1 adds warnings as errors. V=1 shows
# commands. SANITIZE=1 builds for the sanitizers. BUILD= is where everything goes. DEPS=no installs
# nothing: demo, check and bench then stop when something is missing.

VERSION := $(shell sed -n 's/^\#define CERTAUTO_VERSION "\(.*\)"/\1/p' include/certauto/version.h)
SOVERSION := 0

CC ?= cc
CXX ?= c++
# Small: what takes time is in mbedTLS and on the network, and the library lives in other programs.
CFLAGS ?= -Os -g
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
PKG_CONFIG ?= pkg-config
INSTALL ?= install
NM ?= nm
BUILD ?= build
DEVELOPER ?= 0
SANITIZE ?= 0
WRITE ?=
V ?= 0
FLOW_FLAGS ?=
FULL ?= 0
TARGET = haproxy

libdir ?= $(PREFIX)/lib
bindir ?= $(PREFIX)/bin
includedir ?= $(PREFIX)/include
pkgconfigdir ?= $(libdir)/pkgconfig
mandir ?= $(PREFIX)/share/man
docdir ?= $(PREFIX)/share/doc/certauto
unitdir ?= $(PREFIX)/lib/systemd/system
datadir ?= $(PREFIX)/share
libexecdir ?= $(PREFIX)/libexec
bashcompdir ?= $(PREFIX)/share/bash-completion/completions
zshcompdir ?= $(PREFIX)/share/zsh/site-functions

ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2);
endif

# A build with other flags goes into another folder, so that it does not spoil this one.
ifeq ($(SANITIZE),1)
OUT := $(BUILD)/asan
else
OUT := $(BUILD)
endif

CERTAUTO_CPPFLAGS := -Iinclude -Ilibcertauto -D_GNU_SOURCE
CERTAUTO_CFLAGS := -std=c99 -fPIC -fvisibility=hidden -fstack-protector-strong -fno-strict-aliasing
CERTAUTO_CFLAGS += -ffunction-sections -fdata-sections -Wall -Wextra
CERTAUTO_LDFLAGS := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections
ifneq ($(SANITIZE),1)
CERTAUTO_CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
CERTAUTO_CFLAGS += -fstack-clash-protection
# No exception passes through C: tables for it would be a fifth of the library. Debuggers have
# those of -g.
CERTAUTO_CFLAGS += -fno-asynchronous-unwind-tables -fno-unwind-tables
ifneq ($(filter x86_64 i686,$(shell uname -m)),)
CERTAUTO_CFLAGS += -fcf-protection
endif
# The sanitizers' symbols come from the program, so only this build can insist on all of them.
SHARED_LDFLAGS := -Wl,-z,defs
else
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CERTAUTO_CFLAGS += $(SANITIZERS)
CERTAUTO_LDFLAGS += $(SANITIZERS)
endif
ifeq ($(DEVELOPER),1)
CERTAUTO_CFLAGS += -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
endif

# Libraries; asked for at their first use, which is after `make deps`, and only once. Debian's
# mbedTLS 2.28 has no pkg-config file.
LIBS = $(eval LIBS := $(shell $(PKG_CONFIG) --libs libcurl yajl) -lmbedx509 -lmbedcrypto -pthread)$(LIBS)
LIB_CPPFLAGS = $(eval LIB_CPPFLAGS := $(shell $(PKG_CONFIG) --cflags libcurl yajl))$(LIB_CPPFLAGS)

COMPILE = $(CC) $(CERTAUTO_CPPFLAGS) $(LIB_CPPFLAGS) $(CPPFLAGS) $(CERTAUTO_CFLAGS) $(CFLAGS)
LINK = $(CC) $(CERTAUTO_CFLAGS) $(CFLAGS) $(CERTAUTO_LDFLAGS) $(LDFLAGS)

LIB_SOURCES := $(sort $(wildcard libcertauto/*/*.c))
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(OUT)/obj/%.o)
COMMAND_SOURCES := $(sort $(wildcard bindings/shell/*.c))
COMMAND_OBJECTS := $(COMMAND_SOURCES:%.c=$(OUT)/obj/%.o)
HEADERS := $(sort $(wildcard include/*.h include/*/*.h include/*/*/*.h))
MAN_PAGES := $(sort $(wildcard docs/man/*.[1-8]))
UNIT_FILES := bindings/shell/certauto.service bindings/shell/certauto.timer
CRON_FILE := bindings/shell/certauto.cron
HOOK_FILE := bindings/shell/certauto-hooks.sh
# For programs that want a hook to be a single path: the command under a name that tells the verb.
HOOK_FACES := certbot-auth certbot-cleanup certbot-deploy dehydrated lego
DOC_FILES := README.md CHANGELOG LICENSE $(sort $(wildcard docs/*.md docs/examples/*.c))
DOC_TARGETS := $(sort $(wildcard docs/targets/*.md))
INSTALLED_TEXTS := $(MAN_PAGES) $(UNIT_FILES) $(CRON_FILE) $(HOOK_FILE) $(DOC_FILES) $(DOC_TARGETS) pkgconfig/libcertauto.pc.in
UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:tests/unit/%.c=$(OUT)/unit/%)

SONAME := libcertauto.so.$(SOVERSION)
LIBFILE := libcertauto.so.$(VERSION)
SHARED := $(OUT)/$(SONAME)
STATIC := $(OUT)/libcertauto.a
COMMAND := $(OUT)/certauto
INSTALLED_COMMAND := $(OUT)/install-certauto
SHIM := $(OUT)/fault.so
EXAMPLES := $(patsubst docs/examples/%.c,$(OUT)/examples/%,$(sort $(wildcard docs/examples/*.c)))
STAGE := $(OUT)/stage
STAGED := $(OUT)/staged

.PHONY: all demo check check-build check-unit check-flow check-asan check-shell check-headers check-abi \
	check-kill check-sweep check-install check-debian13 check-scenarios lint bench deps install uninstall dist clean help FORCE

all: $(SHARED) $(OUT)/libcertauto.so $(COMMAND)

# What the tests run.
check-build: all $(UNIT_PROGRAMS) $(EXAMPLES) $(SHIM)

# Other flags than those of the last build: everything is built again.
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(COMPILE) $(CERTAUTO_LDFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
		printf '%s\n' '$(COMPILE) $(CERTAUTO_LDFLAGS) $(LDFLAGS)' >$@

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(STATIC): $(LIB_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) crs $@ $^

$(SHARED): $(LIB_OBJECTS) libcertauto/certauto.map
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=libcertauto/certauto.map \
		$(SHARED_LDFLAGS) -o $@ $(LIB_OBJECTS) $(LIBS)

$(OUT)/libcertauto.so: $(SHARED)
	$(Q)ln -sf $(SONAME) $@

# $ORIGIN: the command in the build folder finds the library beside it. The one that is installed
# finds it where the system has its libraries.
$(COMMAND): $(COMMAND_OBJECTS) $(OUT)/libcertauto.so
	$(call say,LD,$@)
	$(Q)$(LINK) -Wl,-rpath,'$$ORIGIN' -o $@ $(COMMAND_OBJECTS) -L$(OUT) -lcertauto

$(INSTALLED_COMMAND): $(COMMAND_OBJECTS) $(OUT)/libcertauto.so
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $(COMMAND_OBJECTS) -L$(OUT) -lcertauto

# The command says itself how it is completed.
$(OUT)/completion/%: $(INSTALLED_COMMAND)
	@mkdir -p $(@D)
	$(Q)LD_LIBRARY_PATH='$(OUT)' $< completion $* >$@.new && mv $@.new $@

# Visible symbols: a test may put its own calloc() before the one mbedTLS calls.
$(OUT)/unit/%: tests/unit/%.c $(STATIC)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(COMPILE) -fvisibility=default -MMD -MP -MF $@.d -MT $@ $(CERTAUTO_LDFLAGS) $(LDFLAGS) -o $@ $< \
		$(STATIC) -lcmocka $(LIBS)

# Loaded into the command by the tests. It stands in for functions that FORTIFY_SOURCE would replace.
$(SHIM): tests/fault/shim.c $(OUT)/flags
	$(call say,CC,$@)
	$(Q)$(CC) -D_GNU_SOURCE $(CPPFLAGS) $(filter-out $(SANITIZERS),$(CERTAUTO_CFLAGS)) -fvisibility=default $(CFLAGS) \
		-U_FORTIFY_SOURCE -shared -o $@ $< -ldl

# An installation below $(STAGE), and the programs of docs/examples/ built against it as users would,
# except that they look for the library in the build folder.
$(STAGED): $(SHARED) $(OUT)/libcertauto.so $(INSTALLED_COMMAND) $(HEADERS) $(INSTALLED_TEXTS) Makefile
	$(call say,INSTALL,$(STAGE))
	$(Q)rm -rf $(STAGE)
	+$(Q)$(AGAIN) -s install DESTDIR='$(abspath $(STAGE))' PREFIX=/usr
	@touch $@

# What an example needs besides.
$(OUT)/examples/uv: EXAMPLE_PACKAGES := libuv

$(OUT)/examples/%: docs/examples/%.c $(STAGED) $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)flags=$$(PKG_CONFIG_SYSROOT_DIR='$(abspath $(STAGE))' PKG_CONFIG_PATH='$(STAGE)/usr/lib/pkgconfig' \
		PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 \
		$(PKG_CONFIG) --cflags --libs libcertauto $(EXAMPLE_PACKAGES)) && \
		$(CC) -std=c99 -Wall -Wextra $(CPPFLAGS) $(CFLAGS) $(SANITIZERS) $(LDFLAGS) -o $@ $< $$flags \
		-Wl,-rpath,'$$ORIGIN/..'

# Tests. Those that install what is missing must do so before anything is compiled, so they call make
# again, on all processors unless told otherwise.
AGAIN = $(MAKE) --no-print-directory
PARALLEL = $(AGAIN) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

CHECKS := lint check-headers check-build check-abi check-shell check-unit check-install check-bundle check-python check-lua \
	check-scenarios check-flow check-asan

# Both sanitizers stop the program at the first finding; leaks are found at its end.
SANITIZER_ENV := ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
	UBSAN_OPTIONS=print_stacktrace=1

DEMOS := haproxy netscaler avi nsx flexibleengine
# What one shows besides the command.
DEMO_OF_avi := python

demo:
	$(if $(filter $(DEMOS),$(TARGET)),,$(error there is no demo for TARGET=$(TARGET), only for: $(DEMOS)))
	@tools/deps.sh demo $(DEMO_OF_$(TARGET))
	+@$(PARALLEL) all $(DEMO_OF_$(TARGET))
	@$(PYTHON) -B 'tests/demo/$(TARGET).py' $(COMMAND)

check:
	@tools/deps.sh check
	+@MAKE='$(PARALLEL)' tools/check.sh $(CHECKS)

check-unit: $(UNIT_PROGRAMS)
	@CC='$(CC)' PYTHON='$(PYTHON)' V=$(V) tests/unit/run.sh $(UNIT_PROGRAMS)

check-flow: all $(EXAMPLES) $(SHIM)
	@CC='$(CC)' CERTAUTO_BIN='$(abspath $(COMMAND))' CERTAUTO_EXAMPLE='$(abspath $(OUT)/examples/issue)' \
		$(PYTHON) -B -m pytest -q $(FLOW_FLAGS) tests/flow

# Not once more: what tests the simulators. FULL=1: all else; a check leaves out what goes through the
# same code again and again, to be struck somewhere else or to be told in other words, and takes every
# tenth test of the rest.
NOT_ASAN := sim_* $(if $(filter 1,$(FULL)),,kill backup acceptance netscaler_sweep netscaler_back nsx_sweep nsx_back fe_sweep account order issue \
	verbs hook_verbs)
ASAN_FLAGS := $(foreach file,$(NOT_ASAN),--ignore-glob='*/test_$(file).py')

check-asan:
	+@$(PARALLEL) SANITIZE=1 check-build
	+@$(SANITIZER_ENV) $(AGAIN) SANITIZE=1 check-unit
	+@$(SANITIZER_ENV) $(AGAIN) SANITIZE=1 FLOW_FLAGS="$(ASAN_FLAGS)" \
		CERTAUTO_SAMPLE=$(if $(filter 1,$(FULL)),1,10) check-flow

check-scenarios: all python lua
	@CC='$(CC)' CERTAUTO_BIN='$(abspath $(COMMAND))' CERTAUTO_PYTHON='$(abspath $(PYTHON_OUT))' \
		CERTAUTO_LUA='$(abspath $(LUA_OUT))' $(PYTHON) -B -m pytest -q -n 2 tests/scenarios

check-shell: all
	@CERTAUTO_BIN='$(abspath $(COMMAND))' V=$(V) tests/shell/run.sh tests/shell/*.bats

# What a check takes a sample of: every request to every device struck, every misbehaviour of a CA.
# An hour.
check-sweep: all $(EXAMPLES) $(SHIM)
	@CC='$(CC)' CERTAUTO_SWEEP=full CERTAUTO_BIN='$(abspath $(COMMAND))' \
		CERTAUTO_EXAMPLE='$(abspath $(OUT)/examples/issue)' $(PYTHON) -B -m pytest -q $(FLOW_FLAGS) \
		$(sort $(wildcard tests/flow/test_*_sweep.py)) tests/flow/test_storm.py tests/flow/test_sim_trouble.py

check-kill: all $(SHIM)
	@$(PYTHON) -B tests/fault/sweep.py $(COMMAND)

check-headers:
	@CC='$(CC)' CXX='$(CXX)' tests/headers/check.sh include

check-abi: $(SHARED)
	@CC='$(CC)' NM='$(NM)' $(PYTHON) -B tests/abi/check.py $(if $(WRITE),--write) $(SHARED)

check-install: $(STAGED) $(EXAMPLES)
	@MAKE='$(AGAIN)' tests/install/check.sh '$(STAGE)' '$(OUT)/uninstall' '$(OUT)/examples'

check-debian13:
	@tests/debian13/run.sh $(BUILD)

lint:
	@$(PYTHON) -B tools/lint.py

bench:
	@tools/deps.sh bench
	+@$(PARALLEL) all python
	@$(PYTHON) -B tests/bench/bench.py $(if $(WRITE),--write) $(OUT)

deps:
	@tools/deps.sh check demo

# Installation. Nothing is enabled: the service, the timer and the cron example wait for their user.
install: $(SHARED) $(INSTALLED_COMMAND) $(OUT)/completion/bash $(OUT)/completion/zsh
	$(Q)$(INSTALL) -d $(foreach dir,$(libdir) $(pkgconfigdir) $(bindir) $(includedir)/certauto/sys $(unitdir) \
		$(datadir)/certauto $(libexecdir)/certauto $(bashcompdir) $(zshcompdir) \
		$(docdir)/targets $(sort $(foreach page,$(MAN_PAGES),$(mandir)/man$(patsubst .%,%,$(suffix $(page))))),\
		'$(DESTDIR)$(dir)')
	$(Q)$(INSTALL) -m 644 $(SHARED) '$(DESTDIR)$(libdir)/$(LIBFILE)'
	$(Q)ln -sf $(LIBFILE) '$(DESTDIR)$(libdir)/$(SONAME)'
	$(Q)ln -sf $(SONAME) '$(DESTDIR)$(libdir)/libcertauto.so'
	$(Q)$(INSTALL) -m 755 $(INSTALLED_COMMAND) '$(DESTDIR)$(bindir)/certauto'
	$(Q)for header in $(HEADERS:include/%=%); do \
		$(INSTALL) -m 644 include/$$header '$(DESTDIR)$(includedir)'/$$header || exit 1; done
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(libdir)|' -e 's|@INCLUDEDIR@|$(includedir)|' \
		-e 's|@VERSION@|$(VERSION)|' pkgconfig/libcertauto.pc.in | \
		$(INSTALL) -m 644 /dev/stdin '$(DESTDIR)$(pkgconfigdir)/libcertauto.pc'
	$(Q)for page in $(MAN_PAGES); do \
		$(INSTALL) -m 644 $$page '$(DESTDIR)$(mandir)'/man$${page##*.}/ || exit 1; done
	$(Q)for unit in $(UNIT_FILES); do \
		sed 's|@bindir@|$(bindir)|' $$unit | \
		$(INSTALL) -m 644 /dev/stdin '$(DESTDIR)$(unitdir)'/$${unit##*/} || exit 1; done
	$(Q)$(INSTALL) -m 644 $(filter-out README.md,$(DOC_FILES)) $(CRON_FILE) '$(DESTDIR)$(docdir)'
	$(Q)sed -e 's|](docs/examples/|](|g' -e 's|](docs/|](|g' -e 's|](include/|]($(includedir)/|g' README.md | \
		$(INSTALL) -m 644 /dev/stdin '$(DESTDIR)$(docdir)/README.md'
	$(Q)$(INSTALL) -m 644 $(DOC_TARGETS) '$(DESTDIR)$(docdir)/targets'
	$(Q)$(INSTALL) -m 644 $(HOOK_FILE) '$(DESTDIR)$(datadir)/certauto'
	$(Q)for face in $(HOOK_FACES); do \
		ln -sfr '$(DESTDIR)$(bindir)/certauto' '$(DESTDIR)$(libexecdir)/certauto/hook-'$$face || exit 1; done
	$(Q)$(INSTALL) -m 644 $(OUT)/completion/bash '$(DESTDIR)$(bashcompdir)/certauto'
	$(Q)$(INSTALL) -m 644 $(OUT)/completion/zsh '$(DESTDIR)$(zshcompdir)/_certauto'
	$(if $(DESTDIR),,$(Q)ldconfig 2>/dev/null || echo 'the linker has to be told of $(libdir): ldconfig, or LD_LIBRARY_PATH')

uninstall:
	$(Q)rm -f '$(DESTDIR)$(libdir)/$(LIBFILE)' '$(DESTDIR)$(libdir)/$(SONAME)' '$(DESTDIR)$(libdir)/libcertauto.so' \
		'$(DESTDIR)$(bindir)/certauto' '$(DESTDIR)$(pkgconfigdir)/libcertauto.pc' \
		'$(DESTDIR)$(datadir)/certauto/$(notdir $(HOOK_FILE))' \
		$(foreach face,$(HOOK_FACES),'$(DESTDIR)$(libexecdir)/certauto/hook-$(face)') \
		'$(DESTDIR)$(bashcompdir)/certauto' '$(DESTDIR)$(zshcompdir)/_certauto' \
		$(foreach header,$(HEADERS:include/%=%),'$(DESTDIR)$(includedir)/$(header)') \
		$(foreach page,$(MAN_PAGES),'$(DESTDIR)$(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page))') \
		$(foreach unit,$(UNIT_FILES),'$(DESTDIR)$(unitdir)/$(notdir $(unit))') \
		$(foreach text,$(DOC_FILES) $(CRON_FILE),'$(DESTDIR)$(docdir)/$(notdir $(text))') \
		$(foreach text,$(DOC_TARGETS),'$(DESTDIR)$(docdir)/targets/$(notdir $(text))')
	$(Q)for dir in '$(DESTDIR)$(includedir)/certauto/sys' '$(DESTDIR)$(includedir)/certauto' \
		'$(DESTDIR)$(datadir)/certauto' '$(DESTDIR)$(libexecdir)/certauto' '$(DESTDIR)$(docdir)/targets' '$(DESTDIR)$(docdir)'; do \
		[ ! -d "$$dir" ] || rmdir --ignore-fail-on-non-empty "$$dir"; done

dist:
	@mkdir -p $(BUILD)
	$(Q)git archive --prefix=certauto-$(VERSION)/ -o $(BUILD)/certauto-$(VERSION).tar.gz HEAD
	@echo $(BUILD)/certauto-$(VERSION).tar.gz

# By name: BUILD= may be a folder with other things in it.
clean:
	rm -rf --one-file-system $(foreach thing,obj unit examples completion stage staged uninstall asan debian13 python lua bundle flags certauto \
		install-certauto fault.so libcertauto.a libcertauto.so $(SONAME) certauto-$(VERSION).tar.gz,$(BUILD)/$(thing))
	@[ ! -d $(BUILD) ] || rmdir --ignore-fail-on-non-empty $(BUILD)

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

include bindings/bindings.mk
include bindings/bundle.mk
include bindings/lua.mk

-include $(LIB_OBJECTS:.o=.d) $(COMMAND_OBJECTS:.o=.d) $(UNIT_PROGRAMS:=.d)
