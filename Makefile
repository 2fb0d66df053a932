# Everything is fetched by the first target that needs it, into this folder; `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := UV_PYTHON_DOWNLOADS=never .tools/bin/uv
RUN := .venv/bin/python
# Brownie writes to ~/.brownie and finds the compiler in ~/.solcx: both lie in the checkout.
BROWNIE := HOME=$(CURDIR)/.home .venv-contracts/bin/python
FORGE := node_modules/@foundry-rs/forge-linux-amd64/bin/forge
SUITES := lint abi-check gas test-contracts test-invariants test-indexer test-backend test-e2e
STAMPS := .venv/.stamp .venv-contracts/.stamp node_modules/.stamp .home/.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test $(SUITES) format abi verify clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch uv, both Python environments, forge, anvil and the compiler (once, then at once)
	@$(MAKE) --no-print-directory --silent -j2 $(STAMPS)

demo: setup build/brownie/.stamp ## a market of three sites over five days of chain time; ARGS="--json out.json" for the data
	@$(RUN) -m scripts.demo $(ARGS)

test: setup ## every suite and check, with the seconds of each
	@$(RUN) -m scripts.suites $(SUITES)

lint: setup ## ruff, its formatter and mypy
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/mypy

format: setup ## let ruff format and mend what it can
	@.venv/bin/ruff check --fix --quiet || true
	@.venv/bin/ruff format

abi: setup ## build the contracts, print their sizes and export their ABIs
	@$(RUN) -m scripts.build

abi-check: setup ## fail if the committed ABIs differ from the sources, or a contract is too large
	@$(RUN) -m scripts.build --check

test-contracts: setup build/brownie/.stamp ## Brownie's tests of the contracts on Anvil; ARGS="-k settle"
	@$(RUN) -m scripts.build --no-export
	@$(BROWNIE) -m pytest -c tests/contracts/pytest.ini tests/contracts $(ARGS)

test-invariants: setup ## forge's invariants, with the table of calls
	@$(FORGE) test -vv $(ARGS)

test-indexer: setup ## the mirror on PostgreSQL and Anvil
	@$(RUN) -m pytest tests/indexer $(ARGS)

test-backend: setup ## the API over HTTP
	@$(RUN) -m pytest tests/backend $(ARGS)

test-e2e: setup build/brownie/.stamp ## the whole story, from the demo to the books
	@$(RUN) -m pytest tests/e2e $(ARGS)

gas: setup ## gas of each operation against its budget
	@$(RUN) -m tests.gas $(ARGS)

verify: setup build/brownie/.stamp ## compare the mirror with its raw logs, the node and the contracts' storage
	@$(RUN) -m scripts.verify $(ARGS)

clean: ## remove all that setup, tests and demo made in this folder
	rm -rf .tools .venv .venv-contracts .home node_modules build deployments/31337.json \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/.stamp:
	@echo "fetching uv $(UV_VERSION)"
	@$(PYTHON) -m venv --clear .tools
	@.tools/bin/python -m pip install --quiet --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.stamp: uv.lock .tools/.stamp
	@echo "environment of the services: .venv"
	@$(UV) sync --quiet --frozen --python $(PYTHON) --extra server --group dev
	@touch $@

.venv-contracts/.stamp: uv.lock .tools/.stamp
	@echo "environment of Brownie: .venv-contracts"
	@UV_PROJECT_ENVIRONMENT=.venv-contracts $(UV) sync --quiet --frozen --python $(PYTHON) --group contracts
	@touch $@

node_modules/.stamp: package-lock.json
	@echo "forge, anvil, the compiler and OpenZeppelin: node_modules"
	@npm ci --no-audit --no-fund --ignore-scripts --no-update-notifier --loglevel=error
	@touch $@

.home/.stamp: Makefile
	@mkdir -p .home/.solcx build/brownie
	@ln -sf ../../scripts/solc.mjs .home/.solcx/solc-v0.8.34
	@touch $@

build/brownie/.stamp: $(shell find contracts -name '*.sol') brownie-config.yaml $(STAMPS)
	@echo "contracts, compiled by Brownie (a minute): build/brownie"
	@$(BROWNIE) -c 'from brownie import project; project.load()' > build/brownie/compile.log 2>&1 || { tail -n 20 build/brownie/compile.log; exit 1; }
	@touch $@
