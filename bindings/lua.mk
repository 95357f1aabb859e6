# Lua; included by the Makefile, after bindings.mk.
#
# What is written in Lua serves all versions, and so does what SWIG writes; that is compiled once for
# each Lua whose headers are there. In the build folder:
#
#   LUA_PATH='build/lua/?.lua' LUA_CPATH='build/lua/5.4/?.so' lua5.4 ...
#
# LUA_VERSIONS names those to build for; LUA_RPATH is where the extension looks for libcertauto
# besides the system's folders.

LUA_VERSIONS ?= $(foreach version,5.1 5.3 5.4,$(shell $(PKG_CONFIG) --exists lua$(version) && echo $(version)))
LUA_RPATH ?= $$ORIGIN/../../..
LUA_TEST_FLAGS ?= -n 2
LUAROCKS ?= luarocks

LUA_FILES := $(sort $(wildcard bindings/lua/*.lua bindings/lua/certauto/*.lua))
LUA_OUT := $(OUT)/lua
LUA_WRAP := $(LUA_OUT)/swig/certauto_wrap.c
LUA_COPIES := $(LUA_FILES:bindings/lua/%=$(LUA_OUT)/%)
LUA_MODULES = $(LUA_VERSIONS:%=$(LUA_OUT)/%/certauto/core.so)
LUA_LINK = $(CC) $(PYTHON_CFLAGS) $(CFLAGS) -shared $(CERTAUTO_LDFLAGS) $(LDFLAGS)

# Where Lua looks, if nobody has told it otherwise.
LUA_DIR ?= $(PREFIX)/share/lua
LUA_LIBDIR ?= $(PREFIX)/lib/lua

.PHONY: lua check-lua install-lua rock install-rock
.PRECIOUS: $(LUA_OUT)/%/core.o

# Asked twice, so that the versions are looked for only when they are needed.
.SECONDEXPANSION:
lua: $(LUA_COPIES) $$(LUA_MODULES)
	$(if $(LUA_VERSIONS),,@echo 'no Lua to build for: there are no headers of 5.1, 5.3 or 5.4')

$(LUA_WRAP): $(SWIG_FILES) $(PYTHON_OUT)/swig/certauto_calls.i $(HEADERS)
	@mkdir -p $(@D)
	$(call say,SWIG,$@)
	$(Q)$(SWIG) -lua -nomoduleglobal -Wall -Iinclude -Ibindings/swig -I$(PYTHON_OUT)/swig -o $@ \
		bindings/swig/certauto.i

$(LUA_COPIES): $(LUA_OUT)/%: bindings/lua/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

# $(1): the version; flags of a Lua that is not the system's go into LUA_CPPFLAGS.
lua_cppflags = $(or $(LUA_CPPFLAGS),$(shell $(PKG_CONFIG) --cflags lua$(1)))

$(LUA_OUT)/%/core.o: $(LUA_WRAP) $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -Iinclude $(call lua_cppflags,$*) $(CPPFLAGS) $(PYTHON_CFLAGS) $(CFLAGS) -c -o $@ $<

$(LUA_OUT)/%/certauto/core.so: $(LUA_OUT)/%/core.o $(OUT)/libcertauto.so
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LUA_LINK) -Wl,-rpath,'$(LUA_RPATH)' -o $@ $< -L$(OUT) -lcertauto

check-lua: all lua
	@CC='$(CC)' CERTAUTO_BIN='$(abspath $(COMMAND))' CERTAUTO_LUA='$(abspath $(LUA_OUT))' LUAROCKS='$(LUAROCKS)' \
		$(PYTHON) -B -m pytest -q $(LUA_TEST_FLAGS) tests/lua

# What is installed finds the library where the system has its libraries.
install-lua: lua
	$(Q)for version in $(LUA_VERSIONS); do \
		dir='$(DESTDIR)$(LUA_DIR)'/$$version libdir='$(DESTDIR)$(LUA_LIBDIR)'/$$version/certauto && \
		$(INSTALL) -d "$$dir/certauto" "$$libdir" && \
		$(INSTALL) -m 644 bindings/lua/certauto.lua "$$dir" && \
		$(INSTALL) -m 644 bindings/lua/certauto/*.lua "$$dir/certauto" && \
		$(LUA_LINK) -o "$$libdir/core.so" $(LUA_OUT)/$$version/core.o -L$(OUT) -lcertauto || exit 1; done

# For luarocks, which says where its Lua is, where an installed libcertauto is, and where things go:
# LUA_INCDIR CERTAUTO_INCDIR CERTAUTO_LIBDIR LUADIR LIBDIR.
rock: $(LUA_WRAP)
	$(Q)$(CC) -I'$(CERTAUTO_INCDIR)' -I'$(LUA_INCDIR)' $(CPPFLAGS) $(PYTHON_CFLAGS) $(CFLAGS) -shared $(LDFLAGS) \
		-o $(LUA_OUT)/core.so $(LUA_WRAP) -L'$(CERTAUTO_LIBDIR)' -Wl,-rpath,'$(CERTAUTO_LIBDIR)' -lcertauto

install-rock:
	$(Q)$(INSTALL) -d '$(LUADIR)/certauto' '$(LIBDIR)/certauto'
	$(Q)$(INSTALL) -m 644 bindings/lua/certauto.lua '$(LUADIR)'
	$(Q)$(INSTALL) -m 644 bindings/lua/certauto/*.lua '$(LUADIR)/certauto'
	$(Q)$(INSTALL) -m 755 $(LUA_OUT)/core.so '$(LIBDIR)/certauto'
