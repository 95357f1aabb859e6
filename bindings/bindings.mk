# The bindings; included by the Makefile.
#
# The Python package is put together in $(OUT)/python/certauto, from where it can be imported: what is
# written by hand, what is made from the headers, and the extension. PYTHON_ABI3=1 builds that for
# all Pythons from 3.8 on, for which SWIG 4.2 or later is needed. PYTHON_RPATH is where the extension
# looks for libcertauto besides the system's folders; beside it, as the build folder has it, by
# default.

SWIG ?= swig
MYPY ?= mypy
STUBTEST ?= stubtest
PYTHON_ABI3 ?= 0
PYTHON_RPATH ?= $$ORIGIN/../..
PYTHON_TEST_FLAGS ?= -n 2

PYTHON_FILES := $(sort $(wildcard bindings/python/certauto/*.py) bindings/python/certauto/py.typed)
SWIG_FILES := $(sort $(wildcard bindings/swig/*.i))
GENERATE := bindings/swig/generate.py

PYTHON_OUT := $(OUT)/python
PYTHON_PACKAGE := $(PYTHON_OUT)/certauto
PYTHON_WRAP := $(PYTHON_OUT)/swig/certauto_wrap.c
PYTHON_MADE := $(PYTHON_PACKAGE)/_errors.py $(PYTHON_PACKAGE)/_enums.py $(PYTHON_PACKAGE)/_certauto.pyi
PYTHON_COPIES := $(PYTHON_FILES:bindings/python/%=$(PYTHON_OUT)/%)

# Asked once, at the first use: there may be no Python to build without it.
PYTHON_CPPFLAGS = $(eval PYTHON_CPPFLAGS := $(shell $(PYTHON) -c \
	'import sysconfig; print("-I" + sysconfig.get_paths()["include"])'))$(PYTHON_CPPFLAGS)
ifeq ($(PYTHON_ABI3),1)
PYTHON_SUFFIX := .abi3.so
PYTHON_ABI_FLAGS := -DPy_LIMITED_API=0x03080000
else
PYTHON_SUFFIX = $(eval PYTHON_SUFFIX := $(shell $(PYTHON) -c \
	'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'))$(PYTHON_SUFFIX)
PYTHON_ABI_FLAGS :=
endif
# Another name with another Python: the file that says it was built is what make looks at.
PYTHON_BUILT := $(PYTHON_OUT)/built

# What SWIG writes is not written to our rules: no warnings of ours.
PYTHON_CFLAGS = $(filter-out -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror,\
	$(CERTAUTO_CFLAGS)) -Wno-unused

PYTHON_OBJECT := $(PYTHON_OUT)/swig/certauto_wrap.o
PYTHON_LINK = $(CC) $(PYTHON_CFLAGS) $(CFLAGS) -shared $(CERTAUTO_LDFLAGS) $(LDFLAGS)

.PHONY: python check-python

python: $(PYTHON_BUILT) $(PYTHON_COPIES) $(PYTHON_MADE)

$(PYTHON_OUT)/swig/certauto_calls.i: $(GENERATE) tools/api.py $(HEADERS)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) -B $(GENERATE) swig >$@.new && mv $@.new $@

$(PYTHON_WRAP): $(SWIG_FILES) $(PYTHON_OUT)/swig/certauto_calls.i $(HEADERS)
	$(call say,SWIG,$@)
	$(Q)$(SWIG) -python -Wall -Iinclude -Ibindings/swig -I$(@D) -outdir $(@D) -o $@ bindings/swig/certauto.i

$(PYTHON_PACKAGE)/%: bindings/python/certauto/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(PYTHON_PACKAGE)/_certauto.pyi: WHAT := stubs
$(PYTHON_PACKAGE)/_errors.py: WHAT := errors
$(PYTHON_PACKAGE)/_enums.py: WHAT := enums
$(PYTHON_MADE): $(GENERATE) tools/api.py $(HEADERS)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) -B $(GENERATE) $(WHAT) >$@.new && mv $@.new $@

$(PYTHON_OUT)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(PYTHON) $(PYTHON_CPPFLAGS) $(PYTHON_ABI_FLAGS) $(PYTHON_RPATH) $(PYTHON_CFLAGS) $(CFLAGS)' | \
		cmp -s - $@ || printf '%s\n' \
		'$(PYTHON) $(PYTHON_CPPFLAGS) $(PYTHON_ABI_FLAGS) $(PYTHON_RPATH) $(PYTHON_CFLAGS) $(CFLAGS)' >$@

$(PYTHON_OBJECT): $(PYTHON_WRAP) $(PYTHON_OUT)/flags
	$(call say,CC,$@)
	$(Q)$(CC) -Iinclude $(PYTHON_CPPFLAGS) $(PYTHON_ABI_FLAGS) $(CPPFLAGS) $(PYTHON_CFLAGS) $(CFLAGS) -c -o $@ $<

$(PYTHON_BUILT): $(PYTHON_OBJECT) $(OUT)/libcertauto.so
	@mkdir -p $(PYTHON_PACKAGE)
	$(call say,LD,$(PYTHON_PACKAGE)/_certauto$(PYTHON_SUFFIX))
	$(Q)rm -f $(PYTHON_PACKAGE)/_certauto*.so
	$(Q)$(PYTHON_LINK) -Wl,-rpath,'$(PYTHON_RPATH)' -o $(PYTHON_PACKAGE)/_certauto$(PYTHON_SUFFIX) \
		$(PYTHON_OBJECT) -L$(OUT) -lcertauto
	@touch $@

# CERTAUTO_ABI3=FILE: an extension built elsewhere with PYTHON_ABI3=1, tried with every Python here.
check-python: all python
	@MYPY='$(MYPY)' STUBTEST='$(STUBTEST)' CERTAUTO_BIN='$(abspath $(COMMAND))' PYTHONPATH='$(abspath $(PYTHON_OUT))' \
		CERTAUTO_PYTHON='$(abspath $(PYTHON_OUT))' $(PYTHON) -B -m pytest -q $(PYTHON_TEST_FLAGS) tests/python

# What is installed finds the library where the system has its libraries.
PYTHON_DIR ?= $(PREFIX)/lib/python3/dist-packages

.PHONY: install-python
install-python: python
	$(Q)$(INSTALL) -d '$(DESTDIR)$(PYTHON_DIR)/certauto'
	$(Q)$(INSTALL) -m 644 $(PYTHON_COPIES) $(PYTHON_MADE) '$(DESTDIR)$(PYTHON_DIR)/certauto'
	$(Q)$(PYTHON_LINK) -o '$(DESTDIR)$(PYTHON_DIR)/certauto/_certauto$(PYTHON_SUFFIX)' $(PYTHON_OBJECT) -L$(OUT) -lcertauto
