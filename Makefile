# Two commands on a machine with nothing but Python >= 3.11, git and make:
#   make demo    installs into .venv and runs the main job on an embedded data set
#   make test    installs into .venv and passes the tests
# And one that needs 1 GB of disk and some minutes the first time:
#   make test-sdk    installs the official Supervisely SDK into .venv-sdk and passes projects to it and back
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SDK_STAMP := .venv-sdk/.installed
DEMO := demo
# a file's tests stay together: they share what they prepare
PARALLEL := -n logical --maxprocesses 4 --dist loadfile

.PHONY: setup demo test test-all test-sdk lint bench ui clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Segsweep needs Python 3.11 or later; this is %s. Name another one: make PYTHON=python3.12 …" % sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/segsweep run experiments=vessels_quick workspace=$(DEMO)
	@echo "Look at it with: make ui"

ui: setup
	$(BIN)/segsweep ui workspace=$(DEMO)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -q $(PARALLEL)

test-all: lint
	$(BIN)/python -m pytest -q $(PARALLEL) -m "slow or not slow" --ignore tests/benchmarks
	$(BIN)/python -m pytest -q -s tests/benchmarks -m "slow or not slow"

$(SDK_STAMP): tests/sdk/requirements.txt
	test -x .venv-sdk/bin/python || $(PYTHON) -m venv .venv-sdk
	.venv-sdk/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

test-sdk: setup $(SDK_STAMP)
	$(BIN)/python -m pytest -q tests/sdk

bench: setup
	$(BIN)/python -m pytest -q -s tests/benchmarks -m "slow or not slow"

clean:
	rm -rf .venv .venv-sdk .pytest_cache .mypy_cache .ruff_cache $(DEMO)
