# SPDX-License-Identifier: BSD-3-Clause
# Two commands matter to a newcomer: `make demo` and `make test`. Each installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# of pytest: tests often wait for something else than a processor
WORKERS ?= $(shell expr $$(nproc) + 1)
WORKFLOWS := $(VENV)/share/slidegate/workflows
PAGES := src/slidegate/api/pages/index.html
ELEMENTS := omero_web/omero_slidegate/static/omero_slidegate/slidegate.js
WEB := $(shell find web/src web/index.html web/package-lock.json web/tsconfig.json web/vite.config.ts web/vite.omero.config.ts -type f 2>/dev/null)
SOURCES := $(shell find analysis/slidegate_analysis workflows -type f -not -name '*.pyc' 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install install-dev wheels demo demo-cluster demo-omero test test-fast lint audit bench bench-readers proof clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("slidegate needs Python 3.11 or later, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: run scripts/system-packages"; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml gate/pyproject.toml analysis/pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --progress-bar on -e gate -e analysis -e '.[pages]'
	@touch $@

# What OMERO's own clients speak with. Some minutes, once for this computer; it says what it lacks.
$(VENV)/.zeroc-ice: $(VENV)/.python scripts/build-zeroc-ice $(wildcard scripts/zeroc-ice/*)
	$(BIN)/python scripts/build-zeroc-ice --install
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(VENV)/.zeroc-ice pocket_omero/pyproject.toml \
  omero_web/pyproject.toml
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --progress-bar on -e gate -e analysis \
	  -e 'pocket_omero[web,tables,clients]' -e omero_web -e '.[pages,omero,dev]'
	@touch $@

# What a site installs without internet: the workflow's files and every wheel of its Runtime, hashed.
$(WORKFLOWS)/.bundled: $(VENV)/.installed scripts/bundle-workflow $(SOURCES)
	$(BIN)/python scripts/bundle-workflow nuclei $(WORKFLOWS)/nuclei
	@touch $@

# What the pages are built with: Node comes from PyPI, the rest from npm, each package by its hash.
web/node_modules/.installed: web/package.json web/package-lock.json | $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGES): web/node_modules/.installed $(WEB)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web run --silent build
	@touch $@

$(ELEMENTS): web/node_modules/.installed $(WEB)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web run --silent build:omero
	@touch $@

install: $(VENV)/.installed $(WORKFLOWS)/.bundled $(PAGES)  ## the slidegate command, in .venv
	@echo "installed: $(BIN)/slidegate"

install-dev: install $(VENV)/.installed-dev $(ELEMENTS)  ## and what the tests need
	@:

wheels: install $(ELEMENTS)  ## what is installed elsewhere, in dist/
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist ./gate ./analysis ./pocket_omero ./omero_web .

demo: install  ## find nuclei on a real image and on a synthetic slide, and show the results
	$(BIN)/python scripts/demo $(ARGS)

demo-cluster: install  ## the same on a Slurm cluster behind sshd, started here (needs root or subordinate ids)
	scripts/system-packages
	$(BIN)/python scripts/demo-cluster $(ARGS)

demo-omero: install-dev  ## choose images in OMERO.web, click, and find the results beside them, on this computer
	$(BIN)/python scripts/demo-omero $(ARGS)

test: install-dev  ## everything, from nothing
	scripts/system-packages
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-fast: install-dev  ## the part that takes under a minute
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow' $(ARGS)

lint: install-dev web/node_modules/.installed  ## formatting, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web run --silent lint
	PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web run --silent types

audit: install-dev  ## ask whether a dependency has a known vulnerability (needs the internet)
	$(BIN)/python scripts/audit-dependencies $(ARGS)

bench: install-dev  ## every figure, full size; each is a ratio measured in one run
	$(BIN)/python benchmarks/all.py $(ARGS)

bench-readers: install-dev  ## what 1, 10 and 100 jobs that read planes mean for those who use OMERO.web meanwhile
	$(BIN)/python benchmarks/readers.py --full $(ARGS)

proof: install-dev  ## the long forms of the proofs
	scripts/system-packages
	$(BIN)/python benchmarks/all.py --proof $(ARGS)

clean:  ## remove what was built (not your runs)
	rm -rf $(VENV) build dist web/node_modules src/slidegate/api/pages $(dir $(ELEMENTS))slidegate.js $(dir $(ELEMENTS))assets .pytest_cache .mypy_cache .ruff_cache .hypothesis
