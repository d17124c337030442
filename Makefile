# What can be done here: `make` or `make help`. Everything lives in .venv; nothing outside this folder is touched.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV    := .venv
PY      := $(VENV)/bin/python
WORKERS ?= 2
SEEDS   ?= 2000
FIRST   ?= 0
STORIES ?= 10
STEPS   ?= 300
SECONDS ?= 60
ARGS    ?=

# An installation without bytecode starts slowly, and a benchmark of it measures the compiler.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(PY) -m piptools compile --quiet --strip-extras --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options \
	--unsafe-package fhir-gateway --unsafe-package pip --unsafe-package setuptools

.PHONY: help demo test test-system lint format types imports schemas simulate soak bench docs lock clean fuzz

help: ## this list
	@echo "Two commands do the whole job, set-up included:"
	@echo "  make demo    see the gateway keep two systems in step"
	@echo "  make test    run the test suite"
	@echo
	@echo "All of them:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

# --- environment ----------------------------------------------------------------------------------------------------
# Stamps live inside the environment, so that they go when it goes.

$(VENV)/.made: tools/make_venv.sh
	@sh tools/make_venv.sh "$(VENV)"
	@touch "$@"

$(VENV)/.run: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing what the gateway needs to run ..."
	@$(PY) -m pip install --quiet -r requirements.lock
	@$(PY) -m pip install --quiet --no-deps --editable .
	@touch "$@"

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "Installing what the tests and checks need ..."
	@$(PY) -m pip install --quiet -r requirements-dev.lock
	@touch "$@"

$(VENV)/.fuzz: $(VENV)/.dev
	@$(PY) -m pip install --quiet --only-binary atheris --constraint requirements-dev.lock --editable ".[fuzz]"
	@touch "$@"

# --- to see it work -------------------------------------------------------------------------------------------------

demo: $(VENV)/.run ## start the gateway and two partner systems, and check every step (ARGS="--serve" keeps them up)
	@$(PY) -m gateway demo $(ARGS)

# --- to check it ----------------------------------------------------------------------------------------------------

test: $(VENV)/.dev ## every test that needs nothing but pip, a real PostgreSQL included (ARGS="-k name" chooses)
	@$(PY) -m pytest -n $(WORKERS) -m "not system" $(ARGS)

test-system: $(VENV)/.dev ## the tests that need system packages (installs them with apt when it may)
	@sh tools/system_packages.sh
	@$(PY) -m pytest -m system $(ARGS) || { code=$$?; [ $$code -eq 5 ] && echo "No test needs a system package yet."; }

lint: $(VENV)/.dev ## ruff: mistakes and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(VENV)/.dev ## let ruff mend what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(VENV)/.dev ## mypy, strict
	@$(PY) -m mypy

imports: $(VENV)/.dev ## which package may import which
	@$(VENV)/bin/lint-imports

simulate: $(VENV)/.dev ## random stories of systems that disagree (SEEDS=2000 FIRST=0)
	@$(PY) -m tests.simulation --seeds $(SEEDS) --first $(FIRST)

soak: $(VENV)/.dev ## the real gateway under random edits, lost answers, outages and kill -9 (STORIES=10 STEPS=300)
	@SOAK_SEEDS=$(STORIES) SOAK_STEPS=$(STEPS) SOAK_FIRST=$(FIRST) $(PY) -m pytest tests/soak $(ARGS)

fuzz: $(VENV)/.fuzz ## look for a C-CDA document that breaks the converter (SECONDS=60, ARGS="--folder DIR" learns on)
	@$(PY) -m tests.fuzz --seconds $(SECONDS) $(ARGS)

bench: $(VENV)/.dev ## the figures, as ratios measured in one run
	@$(PY) -m bench $(ARGS)

# --- to keep it -----------------------------------------------------------------------------------------------------

schemas: $(VENV)/.dev ## make the schema gate's JSON Schemas again
	@$(PY) tools/make_schemas.py

docs: $(VENV)/.dev ## write the generated pages of docs/reference again
	@$(PY) -m tools.make_reference

lock: $(VENV)/.dev ## pin every dependency again (UPGRADE=--upgrade takes newer ones); run it with Python 3.11
	@$(PY) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "make lock needs Python 3.11, the oldest we support")'
	@$(LOCK) $(UPGRADE) --output-file requirements.lock pyproject.toml
	@$(LOCK) $(UPGRADE) --extra test --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## take away the environment and everything that was made
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
