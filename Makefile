# Sandwright. Every target readies what it needs by itself and is quick the second time. `make help` lists them.
SHELL := /bin/sh
PY := .venv/bin/python
PROMPT ?= a landing page for a bakery in Lisbon
KEEP ?= 0
# Files whose tests run; for example `make test TESTS=tests/unit`.
TESTS ?= tests
WORKERS ?= 2
.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-11s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup-run setup-dev
setup-run:
	@tools/setup.sh run
setup-dev:
	@tools/setup.sh dev

.PHONY: run
run: setup-run ## Starts the whole platform on this machine; Ctrl-C stops it
	@$(PY) -m local.stack run

.PHONY: demo
demo: setup-run ## Makes a website from a prompt: make demo PROMPT="…" (KEEP=1 leaves it up)
	@PROMPT='$(subst ','\'',$(PROMPT))' KEEP='$(KEEP)' $(PY) -m local.stack demo

.PHONY: test
test: setup-dev ## Runs all tests
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup $(TESTS)

.PHONY: check
check: setup-dev ## Formatting, lint, types, import rules, generated files
	@$(PY) -m tools.check

.PHONY: format
format: setup-dev ## Formats the code
	@$(PY) -m ruff format -q . && $(PY) -m ruff check -q --fix .

.PHONY: protos
protos: setup-dev ## Generates stubs, descriptors and the API reference from the protos
	@$(PY) -m tools.protos

.PHONY: bench
bench: setup-dev ## Measures what the README's figures say
	@$(PY) -m bench

.PHONY: verify-e2b
verify-e2b: setup-run ## Tests the connection to E2B, or to the local engine where no key is set
	@$(PY) -m local.stack verify-e2b

.PHONY: e2b-template
e2b-template: setup-run ## Builds the sandboxes' template at E2B (needs E2B_API_KEY)
	@$(PY) deploy/e2b-template/build.py

.PHONY: up
up: ## Starts the platform in containers (docker compose)
	@tools/up.sh

.PHONY: lock
lock: setup-dev ## Resolves the dependencies again
	@tools/lock.sh

.PHONY: clean
clean: ## Removes .venv and caches; your data in .sandwright stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
