# certauto
#
#   make                  build the library and the command
#   make demo             one certificate through a real HAProxy, from nothing (installs what is missing)
#   make check            all tests, on real servers, and again under sanitizers (installs what is missing)
#   make check-unit       unit tests alone
#   make check-flow       the command against Pebble, HAProxy and nginx
#   make check-asan       both again under AddressSanitizer and UndefinedBehaviorSanitizer
#   make check-shell      usage of the command
#   make check-headers    each public header alone, as C99 and C++
#   make check-abi        exported symbols == map == headers; constants unchanged
#   make check-install    make install DESTDIR=..., and a program built against it
#   make check-debian13   build, tests and demo in a Debian 13 below build/
#   make lint             includes one way, function length, formatting, man pages
#   make bench            figures (docs/bench.md says how they are made)
#   make deps             install what build, demo and check need
#   make install          DESTDIR= PREFIX=
#   make dist clean help
#
# CC CFLAGS CPPFLAGS LDFLAGS PREFIX DESTDIR are yours. DEVELOPER=1 adds warnings as errors. V=1 shows
# commands. SANITIZE=1 builds for the sanitizers. BUILD= is where everything goes. DEPS=no installs nothing.

VERSION := $(shell sed -n 's/^\#define CERTAUTO_VERSION "\(.*\)"/\1/p' include/certauto/version.h)
SOVERSION := 0

CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
PKG_CONFIG ?= pkg-config
BUILD ?= build
DEVELOPER ?= 0
SANITIZE ?= 0
V ?= 0

libdir ?= $(PREFIX)/lib
bindir ?= $(PREFIX)/bin
includedir ?= $(PREFIX)/include
mandir ?= $(PREFIX)/share/man
docdir ?= $(PREFIX)/share/doc/certauto
unitdir ?= $(PREFIX)/lib/systemd/system

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

CERTAUTO_CPPFLAGS := -Iinclude -Ilibcertauto -D_GNU_SOURCE -MMD -MP
CERTAUTO_CFLAGS := -std=c99 -fPIC -fvisibility=hidden -fstack-protector-strong -fno-strict-aliasing
CERTAUTO_CFLAGS += -Wall -Wextra
CERTAUTO_LDFLAGS := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
ifneq ($(SANITIZE),1)
CERTAUTO_CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
CERTAUTO_CFLAGS += -fstack-clash-protection
ifneq ($(filter x86_64 i686,$(shell uname -m)),)
CERTAUTO_CFLAGS += -fcf-protection
endif
else
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CERTAUTO_CFLAGS += $(SANITIZERS) -O1
CERTAUTO_LDFLAGS += $(SANITIZERS)
endif
ifeq ($(DEVELOPER),1)
CERTAUTO_CFLAGS += -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
endif

# Libraries. Debian's mbedTLS 2.28 has no pkg-config file.
LIBS = $(shell $(PKG_CONFIG) --libs libcurl yajl) -lmbedx509 -lmbedcrypto -pthread
LIB_CPPFLAGS = $(shell $(PKG_CONFIG) --cflags libcurl yajl)

LIB_SOURCES := $(sort $(wildcard libcertauto/*/*.c))
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(OUT)/obj/%.o)
COMMAND_SOURCES := $(sort $(wildcard bindings/shell/*.c))
COMMAND_OBJECTS := $(COMMAND_SOURCES:%.c=$(OUT)/obj/%.o)
UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:tests/unit/%.c=$(OUT)/unit/%)

SONAME := libcertauto.so.$(SOVERSION)
SHARED := $(OUT)/$(SONAME)
STATIC := $(OUT)/libcertauto.a
COMMAND := $(OUT)/certauto

.PHONY: all demo check check-unit check-flow check-asan check-shell check-headers check-abi check-install \
	check-debian13 lint bench deps install uninstall dist clean help build-deps

all: $(SHARED) $(OUT)/libcertauto.so $(COMMAND)

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CERTAUTO_CPPFLAGS) $(LIB_CPPFLAGS) $(CPPFLAGS) $(CERTAUTO_CFLAGS) $(CFLAGS) -c -o $@ $<

$(STATIC): $(LIB_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) crs $@ $^

$(SHARED): $(LIB_OBJECTS) libcertauto/certauto.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=libcertauto/certauto.map \
		$(CERTAUTO_LDFLAGS) $(LDFLAGS) -o $@ $(LIB_OBJECTS) $(LIBS)

$(OUT)/libcertauto.so: $(SHARED)
	$(Q)ln -sf $(SONAME) $@

# $ORIGIN: the command in the build folder finds the library beside it; make install links it anew.
$(COMMAND): $(COMMAND_OBJECTS) $(OUT)/libcertauto.so
	$(call say,LD,$@)
	$(Q)$(CC) $(CERTAUTO_LDFLAGS) $(LDFLAGS) -Wl,-rpath,'$$ORIGIN' -o $@ $(COMMAND_OBJECTS) -L$(OUT) -lcertauto

$(OUT)/unit/%: tests/unit/%.c $(STATIC)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CERTAUTO_CPPFLAGS) $(LIB_CPPFLAGS) $(CPPFLAGS) $(CERTAUTO_CFLAGS) $(CFLAGS) \
		$(CERTAUTO_LDFLAGS) $(LDFLAGS) -o $@ $< $(STATIC) -lcmocka $(LIBS)

-include $(LIB_OBJECTS:.o=.d) $(COMMAND_OBJECTS:.o=.d) $(UNIT_PROGRAMS:=.d)
