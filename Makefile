# Everything runs in .venv, which is made from requirements-dev.lock and remade when the lock changes.
# Needs Python 3.11 or newer and make; nothing else has to be installed for `make run`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALLED := $(VENV)/.installed
LOCKED := $(VENV)/.locked
WORKERS ?= 4
TESTS ?= tests
FRAMES ?= 1000000
EXAMPLES ?= 50000

# Compiled modules are kept whatever the environment says: tests start a hundred processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test check cover bench fuzz lock clean setup units

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(INSTALLED) ## Make .venv (every other target does so by itself)

$(LOCKED): requirements-dev.lock
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml
	@$(PIP) install --no-index --no-deps --no-build-isolation -e .
	@touch $@

run: $(INSTALLED) ## Run a whole pharmacy: simulated machines, the daemon, a day's work
	@$(BIN)/python -m simulators.pharmacy

test: $(INSTALLED) ## Run every test
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --benchmark-disable $(TESTS)

check: $(INSTALLED) units ## Format, lint, layers, types, tidiness
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -n 0 tests/arch

# A unit file is checked with its program replaced, because it is not installed here.
units:
	@if command -v systemd-analyze >/dev/null; then \
	  folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  for unit in systemd/*.service; do \
	    sed 's|^\(Exec[A-Za-z]*=[-+!@:]*\)/[^ ]*|\1/bin/true|' "$$unit" > "$$folder/$${unit##*/}"; \
	  done && systemd-analyze verify "$$folder"/*.service; \
	fi

cover: $(INSTALLED) ## Run all but the slow tests with branch coverage; fails under the limits
	@$(BIN)/coverage erase
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --benchmark-disable -m "not slow" \
	  --cov --cov-report= $(TESTS)
	@$(BIN)/coverage report --skip-covered --fail-under=90
	@$(BIN)/coverage report --fail-under=100 \
	  --include='dispensed/model/*,dispensed/ledger/*,drivers/*/codec.py,drivers/framing.py'

bench: $(INSTALLED) ## Measure postings and dispenses per second
	@$(BIN)/python -m tests.benchmarks

fuzz: $(INSTALLED) ## Damage frames of every codec (FRAMES=1000000); 50,000 lives of a pharmacy (EXAMPLES)
	@$(BIN)/python -m tests.fuzz --frames $(FRAMES) --json fuzz.json
	@$(BIN)/python -m tests.fuzz --examples $(EXAMPLES)

# Only releases that are at least two weeks old are taken; the files name no host.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
  --generate-hashes --no-header --no-strip-extras --no-emit-index-url --no-emit-find-links \
  --exclude-newer $$($(BIN)/python -c 'import datetime as d; print(d.datetime.now(d.UTC).date() - d.timedelta(14))')

lock: $(INSTALLED) ## Bring both lock files up to date
	@$(COMPILE) --extra postgres -o requirements.lock
	@$(COMPILE) --extra postgres --extra test --extra lint --extra build -o requirements-dev.lock

clean: ## Remove everything that was made here
	rm -rf $(VENV) .demo fuzz.json .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache \
	  .import_linter_cache .coverage .coverage.* htmlcov dist build tests/peers/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
