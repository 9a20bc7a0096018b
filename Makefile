# Two commands do everything, set-up included: make demo, make test.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
COMPILER := $(shell command -v $(or $(CXX),c++) 2>/dev/null)

.PHONY: demo test test-hosts install clean

demo: $(VENV)/ready
	$(BIN)/unstir demo

test: $(VENV)/ready-test
	scripts/check

# Ardour and melt play what sessions/ writes, Chromium shows the page of a comparison. Their Debian packages are installed where that is possible;
# tests whose program is missing are skipped, and listed.
HOSTS := ardour audacity chromium chromium-driver ffmpeg lua-check lua5.4 melt xvfb
test-hosts: $(VENV)/ready-test
	-@test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(HOSTS) >/dev/null 2>&1 || \
		echo "Debian packages could not be installed: $(HOSTS)"
	UNSTIR_HOSTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m hosts

install: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is wanted; set PYTHON=/path/to/it" >&2; exit 2; }
	@echo "setting up $(VENV) (once; a few minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
ifneq ($(COMPILER),)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[epochs]'
else
	@echo "no C++ compiler: pyreaper is left out, pitch is tracked by pYIN alone"
endif
	@touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo-stems .mypy_cache .ruff_cache .pytest_cache .hypothesis
