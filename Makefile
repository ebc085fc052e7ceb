SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
STACK ?= dev

.PHONY: help up down destroy test e2e record bench chaos lint clean
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements.txt requirements-ops.txt requirements-dev.txt pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (found $$(python3 --version)). Fix: apt-get install python3"; exit 3; }
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

up: $(VENV)/.ready ## bring up the dev tier: engine, cluster, images, secrets, stack, proof
	@$(PY) -m perene up $(STACK)

down: $(VENV)/.ready ## stop the local cluster; the data stays
	@$(PY) -m perene down

destroy: $(VENV)/.ready ## remove the dev tier and its data (asks for the name)
	@$(PY) -m perene destroy $(STACK)

lint: $(VENV)/.ready ## ruff and mypy --strict
	@$(PY) -m ruff check -q . && $(PY) -m ruff format --check -q . && $(PY) -m mypy

test: lint ## everything that needs no root and no cluster (under 3 minutes)
	@$(PY) -m pytest -q

e2e: $(VENV)/.ready ## the real thing: cluster, databases, backups (needs root)
	@$(PY) -m pytest -q tests/e2e

record: $(VENV)/.ready ## what the real engine registers for STACK, as a golden (needs the CLI)
	@$(PY) -m tests.recordings $(STACK)

bench: $(VENV)/.ready ## the numbers, as ratios against the plain tool in the same run
	@$(PY) -m bench

chaos: $(VENV)/.ready ## long fault runs
	@$(PY) -m pytest -q tests/chaos
