# One command for each purpose. `make setup` needs Python >= 3.11, git and a network, nothing else.

BIN := .venv/bin
# what the environment was made from; it is made again only when that changes
INPUTS := requirements.lock pyproject.toml hatch_build.py
STAMP := .venv/.made-from
# tests wait more than they compute; the tests of a file stay in one process, as they share its
# servers, and files keep their order: the longest ones have one test and would come last
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup install binaries run static check test lock record-history

help:
	@echo "make setup     make .venv from the lock; does nothing when it is up to date"
	@echo "make run       run the example, with an embedded Temporal server"
	@echo "make check     formatting, lint, types, arrows and the tests that need no server"
	@echo "make test      all of that and the tests on real servers; what CI runs"
	@echo "make binaries  get the Temporal CLI and the time-skipping server into the cache"
	@echo "make record-history NAME=…  record a golden history (without NAME: those that are missing)"
	@echo "make lock      write requirements.lock anew from pyproject.toml"

setup:
	@cat $(INPUTS) | cmp -s - $(STAMP) || $(MAKE) --no-print-directory install

install:
	@for python in python3 python3.13 python3.12 python3.11; do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  test -x $(BIN)/python || $$python -m venv .venv; exit; \
	done; echo "xworkflow needs Python 3.11 or newer (python3, python3.13, python3.12 or python3.11)" >&2; exit 1
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@cat $(INPUTS) > $(STAMP)

# at a desk the tests that need a missing binary are skipped with the reason; CI fails here
binaries: setup
	@$(BIN)/python -m xworkflow.embedded || test -z "$$CI"

run: setup
	@$(BIN)/python examples/run.py

static: setup
	@status=0; for check in "ruff format --check" "ruff check" "pyright" "lint-imports"; do \
	  echo "== $$check"; $(BIN)/$$check || status=1; \
	done; exit $$status

check: static
	@$(BIN)/python -m pytest -m "not temporal and not conformance and not slow"

# the tests run also when a static check has failed: one run shows all that is wrong
test: binaries
	@status=0; $(MAKE) --no-print-directory static || status=1; $(BIN)/python -m pytest $(SIDE_BY_SIDE) || status=1; exit $$status

lock: setup
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --upgrade --output-file requirements.lock pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint requirements.lock \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --output-file requirements-worker.lock pyproject.toml

record-history: binaries
	@$(BIN)/python -m tests.histories.record $(NAME)
