SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
STACK ?= dev
PLAN ?= .perene/plan.json
EVIDENCE ?= .perene/evidence
UV := 0.13.9

.PHONY: help lock up down destroy workflows declared previewed comment approve apply evidence promote drift test fresh e2e e2e-systems record bench chaos lint clean
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements.lock requirements-installer.txt pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (found $$(python3 --version)). Fix: apt-get install python3"; exit 3; }
	@# An installation that was interrupted is begun anew: half a package counts as installed.
	@test -e $@ || { echo "installing into $(VENV) (about 300 MB to fetch, once)"; python3 -m venv $$(test ! -e $(VENV)/pyvenv.cfg || echo --clear) $(VENV); }
	@rm -f $@
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-installer.txt
	@$(VENV)/bin/uv pip install -q --python $(PY) --require-hashes --no-build -r requirements.lock
	@$(VENV)/bin/uv pip install -q --python $(PY) --no-deps --no-build-isolation -e .
	@touch $@

lock: $(VENV)/.ready ## write the hash-locked files anew after a change of requirements*.txt or of UV
	@echo uv==$(UV) | $(VENV)/bin/uv pip compile -q --no-header --no-annotate --generate-hashes - -o requirements-installer.txt
	@$(VENV)/bin/uv pip compile -q --no-header --no-annotate --generate-hashes --universal --python-version 3.11 requirements-dev.txt -o requirements.lock

up: $(VENV)/.ready ## bring up the dev tier: engine, cluster, images, secrets, stack, proof; first backup and drill (UP=--no-first-backup: without)
	@$(PY) -m perene up $(STACK) $(UP)

down: $(VENV)/.ready ## stop the local cluster; the data stays
	@$(PY) -m perene down

destroy: $(VENV)/.ready ## remove the dev tier and its data (asks for the name)
	@$(PY) -m perene destroy $(STACK)

lint: $(VENV)/.ready ## ruff and mypy --strict
	@$(PY) -m ruff check -q . && $(PY) -m ruff format --check -q . && $(PY) -m mypy

test: lint ## everything that needs no root and no cluster (under 3 minutes)
	@$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow"

workflows: $(VENV)/.ready ## the workflows through zizmor and actionlint
	@$(PY) -m pytest -q tests/workflows

declared: $(VENV)/.ready ## CHANGE=DIR OUT=DIR: what another checkout declares, judged by this one
	@mkdir -p $(OUT); $(PY) -m perene plan $(STACK) --change $(CHANGE) > $(OUT)/$(STACK).md; code=$$?; \
		cat $(OUT)/$(STACK).md >> "$${GITHUB_STEP_SUMMARY:-/dev/null}"; exit $$code

previewed: $(VENV)/.ready ## CHANGE=DIR OUT=DIR: what the engine would do there, by this checkout's gate, policy and waivers
	@mkdir -p $(OUT); judge=$(CURDIR); cd $(CHANGE) && { pulumi preview --json --show-replacement-steps --show-sames --non-interactive --color never \
		--policy-pack $$judge/policy -s $(STACK) > $(OUT)/preview.json; code=$$?; cd $$judge; \
		$(PY) -m perene gate $(OUT)/preview.json --engine-exit $$code --waivers waivers --keys keys --format markdown > $(OUT)/$(STACK).md; }

comment: ## VERDICTS=DIR PULL_REQUEST=N: one comment, edited in place
	@.ci/comment $(VERDICTS) $(PULL_REQUEST)

approve: $(VENV)/.ready ## APPROVER=NAME KEY=REFERENCE: sign exactly one previewed change
	@$(PY) -m perene approve $(STACK) --out $(PLAN) --as $(APPROVER) --key $(KEY)

apply: $(VENV)/.ready ## PLAN=FILE: apply what was approved, or nothing
	@$(PY) -m perene apply $(PLAN)

evidence: $(VENV)/.ready ## what a promotion may rest on, gathered and signed
	@$(PY) -m perene evidence $(STACK) --out $(EVIDENCE)/$(STACK).json --as $(APPROVER) --key $(KEY) --drills $(DRILLS) --sets $(SETS) --prometheus $(PROMETHEUS)

promote: $(VENV)/.ready ## SOURCE=staging STACK=prod EVIDENCE=DIR PLAN=FILE: may this commit go on
	@cp promotion/rules.json $(EVIDENCE)/rules.json; $(PY) -m perene promote $(SOURCE) $(STACK) --commit $$(git rev-parse HEAD) --evidence $(EVIDENCE) --approval $(PLAN)

drift: $(VENV)/.ready ## what the cloud changed by itself
	@$(PY) -m perene drift $(STACK) --known .perene/drift-$(STACK)

fresh: ## both commands of the README on a Debian 12 that has nothing, cold, with the times of each step (needs root; half an hour)
	@.ci/fresh --user 'make -s test' && .ci/fresh 'make -s up; code=$$?; make -s down; exit $$code'

e2e: $(VENV)/.ready ## the real thing: cluster, databases, backups (needs root); NOT_RUN=FILE: first the tests that PERENE_NOT_RUN=FILE make test listed
	@test ! -s "$(NOT_RUN)" || $(PY) -m pytest -q -n 2 --dist loadfile @$(NOT_RUN)
	@$(PY) -m pytest -q -n 2 --dist loadfile -m slow tests
	@$(PY) -m pytest -q tests/e2e

e2e-systems: $(VENV)/.ready ## all five systems: lost whole and restored, with the times of each step (needs root)
	@PERENE_SYSTEMS=all $(PY) -m pytest -q -ra tests/e2e/test_systems.py tests/e2e/test_cloud_engine.py tests/e2e/test_direito_lux_stages.py

record: $(VENV)/.ready ## what the real engine registers for STACK, as a golden (needs the CLI)
	@$(PY) -m tests.recordings $(STACK)

bench: $(VENV)/.ready ## the numbers, as ratios against the plain tool in the same run
	@$(PY) -m bench

chaos: $(VENV)/.ready ## long fault runs
	@$(PY) -m pytest -q tests/chaos
