# Every target does its own set-up; nothing needs to be installed first but Python 3.11 or later (and Go for OPA).
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OPA := .tools/bin/opa
DATA_DIR ?= var
# One lock for every Python that we support, so --universal; no index is named in it, so that any mirror serves.
COMPILE := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help demo lab serve topology test check lint types imports policies tools verifier vectors lock bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what Lockgate needs to run ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-dev.lock
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.runtime ## Run the main job on a throw-away gate; ends by itself
	@$(BIN)/lockgate demo

lab: $(VENV)/.development tools verifier ## Walk a model's life on a throw-away gate and a real MLflow; ends by itself
	@$(BIN)/python scripts/run-lab

serve: $(VENV)/.runtime ## Serve on 127.0.0.1:8080 with the data in ./var
	@$(BIN)/lockgate init --data-dir $(DATA_DIR) --origin localhost/lockgate
	@$(BIN)/lockgate serve --data-dir $(DATA_DIR)

topology: $(VENV)/.development tools ## Run docker-compose.yml as plain processes, walk one promotion through, end
	@$(BIN)/python scripts/run-topology --check

tools: ## Fetch what the tests run against: the pinned OPA, PostgreSQL, strace, MLflow
	@scripts/fetch-opa
	@scripts/postgresql >/dev/null || [ "$${CI:-}" != true ]
	@scripts/fetch-strace || [ "$${CI:-}" != true ]
	@PYTHON="$(PYTHON)" scripts/fetch-mlflow || [ "$${CI:-}" != true ]

test: $(VENV)/.development tools ## Run every test
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint types imports policies test ## Everything that CI runs

lint: $(VENV)/.development
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.development
	@$(BIN)/mypy

imports: $(VENV)/.development
	@$(BIN)/lint-imports

policies: $(VENV)/.runtime tools
	@$(OPA) fmt --fail --list policies deploy/opa
	@$(OPA) test deploy/opa
	@$(BIN)/lockgate policy check
	@scripts/lint-policies

bench: $(VENV)/.development tools ## Measure, as ratios to floors in the same run; BENCH=--quick only tries each
	@for file in benchmarks/bench_*.py; do echo; echo "$$file"; $(BIN)/python $$file $(BENCH); done

verifier: $(VENV)/.runtime ## Build dist/lockgate-verify.pyz, the auditor's verifier in one file
	@$(BIN)/python scripts/build-verifier

vectors: $(VENV)/.development ## Write the test vectors of the audit log's formats anew
	@$(BIN)/python scripts/make-vectors

lock: ## Write the hashed locks anew from pyproject.toml
	@test -x .tools/lock/bin/uv || { $(PYTHON) -m venv .tools/lock && .tools/lock/bin/python -m pip install --quiet uv; }
	@.tools/lock/bin/uv pip compile $(COMPILE) pyproject.toml -o requirements.lock
	@.tools/lock/bin/uv pip compile $(COMPILE) --extra dev --extra otel -c requirements.lock pyproject.toml -o requirements-dev.lock
	@.tools/lock/bin/uv pip compile $(COMPILE) requirements-mlflow.in -o requirements-mlflow.lock

clean: ## Remove everything that the targets made
	@rm -rf $(VENV) .tools var dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
