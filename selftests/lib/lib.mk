# SPDX-License-Identifier: GPL-2.0-only
# The part of kselftest's lib.mk that these tests need: all, run_tests, install, clean.
CC ?= gcc
OUTPUT ?= $(CURDIR)
TEST_GEN_PROGS := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_PROGS))
TEST_GEN_PROGS_EXTENDED := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_PROGS_EXTENDED))

all: $(TEST_GEN_PROGS) $(TEST_GEN_PROGS_EXTENDED)

run_tests: all
	@sh $(CURDIR)/run_tests.sh $(OUTPUT)

install: all
	@test -n "$(INSTALL_PATH)" || { echo "set INSTALL_PATH" >&2; exit 1; }
	@for f in $(TEST_GEN_PROGS) $(TEST_GEN_PROGS_EXTENDED); do \
		install -D $$f $(INSTALL_PATH)/$${f#$(OUTPUT)/} || exit 1; \
	done
	install -m 755 $(TEST_PROGS_EXTENDED) $(INSTALL_PATH)
	install -m 644 $(TEST_FILES) $(INSTALL_PATH)

clean:
	$(RM) $(TEST_GEN_PROGS) $(TEST_GEN_PROGS_EXTENDED) $(EXTRA_CLEAN)

.DEFAULT_GOAL := all
.PHONY: all run_tests install clean
