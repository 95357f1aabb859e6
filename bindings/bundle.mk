# One folder for machines without compiler and without root, such as controllers; included by the
# Makefile behind bindings.mk. It has libcertauto, the libraries that it needs, the Python package
# and the ControlScripts; tools/bundle.py says how libraries are kept apart from those of the system.
#
#   make bundle           $(OUT)/bundle/certauto-VERSION-..., and its tarball
#   make check-bundle     unpacks that elsewhere and gets a certificate with it
#
# Where SWIG can (4.2 or later) the extension is for all Pythons from 3.8 on, else for PYTHON.

# Asked once, at the first use.
SWIG_VERSION = $(eval SWIG_VERSION := $(shell $(SWIG) -version 2>/dev/null | sed -n 's/^SWIG Version //p'))$(SWIG_VERSION)
BUNDLE_ABI3 ?= $(eval BUNDLE_ABI3 := $(shell printf '4.2\n%s\n' '$(SWIG_VERSION)' | sort -CV && echo 1 || echo 0))$(BUNDLE_ABI3)
BUNDLE_PYTHON = $(if $(filter 1,$(BUNDLE_ABI3)),py3,$(shell $(PYTHON) -c \
	'import sys; print("cp%d%d" % sys.version_info[:2])'))
BUNDLE_WORDS = $(if $(filter 1,$(BUNDLE_ABI3)),Python 3.8 or newer,$(shell $(PYTHON) -c \
	'import sys; print("Python %d.%d" % sys.version_info[:2])'))
BUNDLE_SUFFIX = $(if $(filter 1,$(BUNDLE_ABI3)),.abi3.so,$(shell $(PYTHON) -c \
	'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'))
BUNDLE_FLAGS = $(if $(filter 1,$(BUNDLE_ABI3)),-DPy_LIMITED_API=0x03080000)

BUNDLE_OUT := $(OUT)/bundle
BUNDLE_WORK := $(BUNDLE_OUT)/work
# That of the package, if it is made for the same Pythons.
BUNDLE_OBJECT = $(if $(filter x$(BUNDLE_FLAGS),x$(PYTHON_ABI_FLAGS)),$(PYTHON_OBJECT),$(BUNDLE_WORK)/certauto_wrap.o)
BUNDLE_NAME = certauto-$(VERSION)-$(BUNDLE_PYTHON)-$(shell uname -m)
CONTROLSCRIPTS := $(sort $(wildcard bindings/python/controlscripts/*.py))
BUNDLE_TEXTS := LICENSE docs/controlscript.md

# RPATH, not RUNPATH: it counts for the libraries of libraries too, and before LD_LIBRARY_PATH.
BUNDLE_LDFLAGS := -Wl,--disable-new-dtags -s

.PHONY: bundle check-bundle

$(BUNDLE_WORK)/$(SONAME): $(LIB_OBJECTS) libcertauto/certauto.map
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=libcertauto/certauto.map \
		$(SHARED_LDFLAGS) $(BUNDLE_LDFLAGS) -Wl,-rpath,'$$ORIGIN' -o $@ $(LIB_OBJECTS) $(LIBS)

$(BUNDLE_WORK)/certauto_wrap.o: $(PYTHON_WRAP) $(PYTHON_OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -Iinclude $(PYTHON_CPPFLAGS) $(BUNDLE_FLAGS) $(CPPFLAGS) $(PYTHON_CFLAGS) $(CFLAGS) -c -o $@ $<

# Expanded twice, so that SWIG is asked for its version only when it is needed.
.SECONDEXPANSION:
$(BUNDLE_WORK)/_certauto.so: $$(BUNDLE_OBJECT) $(BUNDLE_WORK)/$(SONAME)
	$(call say,LD,$@)
	$(Q)$(PYTHON_LINK) $(BUNDLE_LDFLAGS) -Wl,-rpath,'$$ORIGIN/../../lib' -o $@ $< \
		$(BUNDLE_WORK)/$(SONAME)

bundle: $(BUNDLE_WORK)/_certauto.so $(PYTHON_COPIES) $(PYTHON_MADE)
	$(if $(filter 1,$(SANITIZE)),$(error a bundle for the sanitizers makes no sense))
	$(Q)$(PYTHON) -B tools/bundle.py '$(BUNDLE_OUT)/$(BUNDLE_NAME)' --version '$(VERSION)' \
		--python '$(BUNDLE_WORDS)' --library '$(BUNDLE_WORK)/$(SONAME)' --loaded libcares.so.2 \
		--file 'python/certauto/_certauto$(BUNDLE_SUFFIX)=$(BUNDLE_WORK)/_certauto.so' \
		$(foreach file,$(PYTHON_COPIES) $(PYTHON_MADE),--file 'python/certauto/$(notdir $(file))=$(file)') \
		$(foreach file,$(CONTROLSCRIPTS),--file 'controlscripts/$(notdir $(file))=$(file)') \
		$(foreach file,$(BUNDLE_TEXTS),--file '$(notdir $(file))=$(file)')

check-bundle: bundle
	@$(PYTHON) -B tests/install/bundle.py '$(BUNDLE_OUT)/$(BUNDLE_NAME).tar.gz' '$(PYTHON)'
