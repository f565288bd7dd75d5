# Two commands do everything, each from a fresh clone with nothing but Python (3.11 or newer) and make:
#
#   make demo     compile and run two real models, check them and time them beside ONNX Runtime
#   make test     lint, types, layer contracts, unit and property tests, the ONNX conformance suite
#
# And one for whoever changes kernels:
#
#   make checked  the tests and the conformance suite once more, on code that tests each access to memory
#
# And one for whoever changes conversions:
#
#   make test-converters  the tests of conversions with every framework, in a virtual environment of its own (4 GB)
#
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers unit conformance checked test-converters format clean

help:
	@sed -n 's/^#  *make/  make/p' Makefile

$(BIN)/python:
	@echo "==> creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sardonyx needs Python 3.11 or newer, this is " + sys.version)'
	@$(PYTHON) -m venv $(VENV)

# A stamp per set of extras: the second start installs nothing.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "==> installing sardonyx[$*] into $(VENV) (once)"
	@$(PIP) --editable '.[$*]'
	@touch $@

demo: $(VENV)/.installed-demo
	@echo "==> running the demo"
	@$(BIN)/python -m sardonyx.demo

test: lint types layers unit conformance
	@echo "==> all checks passed"

lint: $(VENV)/.installed-dev
	@echo "==> ruff: lint and format"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	@echo "==> mypy --strict src"
	@$(BIN)/mypy

layers: $(VENV)/.installed-dev
	@echo "==> import-linter: the layers"
	@$(BIN)/lint-imports --no-logo

unit: $(VENV)/.installed-dev
	@echo "==> pytest on $(JOBS) processes, warnings are errors"
	@$(BIN)/python -m pytest -q -n $(JOBS)

conformance: $(VENV)/.installed-dev
	@echo "==> the ONNX conformance suite"
	@PYTHONPATH=tests $(BIN)/python -m conformance --jobs $(JOBS)

# Code that checks takes longer to compile: hence the timeout.
checked: $(VENV)/.installed-dev
	@echo "==> unit tests and the ONNX conformance suite, every access to memory tested"
	@SARDONYX_CHECK=1 $(BIN)/python -m pytest -q -n $(JOBS)
	@SARDONYX_CHECK=1 PYTHONPATH=tests $(BIN)/python -m conformance --jobs $(JOBS) --timeout 240

# What the frameworks need does not fit what the other tests need at every time: they get an environment of their own.
CONVERTERS := .venv-converters
EXTRAS := torch,tensorflow,sklearn,boosters,spark,jax

test-converters: $(CONVERTERS)/.installed
	@echo "==> environments of MXNet and Chainer, where a Python 3.8 is found"
	@$(CONVERTERS)/bin/python tools/isolated_environments.py
	@echo "==> conversions from every framework"
	@SARDONYX_EVERY_CASE=1 $(CONVERTERS)/bin/python -m pytest -q tests/conversion

$(CONVERTERS)/.installed: pyproject.toml
	@echo "==> installing sardonyx[test,$(EXTRAS)] into $(CONVERTERS) (once; some minutes)"
	@test -x $(CONVERTERS)/bin/python || $(PYTHON) -m venv $(CONVERTERS)
	@$(CONVERTERS)/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[test,$(EXTRAS)]'
	@touch $@

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(CONVERTERS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
