# Everything runs from the checkout; the only thing made is .venv. Another Python: make PYTHON=python3.13 run

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/requirements
SOURCES := deploy migrations services shared tests
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run up down test check chaos scale-test bench lock clean
.DELETE_ON_ERROR:

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/local.stamp ## run all of Qhronos here, with its own PostgreSQL and Valkey, until Ctrl-C
	@exec env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m deploy.local

up: $(VENV)/local.stamp ## run all of it in containers; ARGS go to Compose: make up ARGS="--scale api=2"
	@exec $(BIN)/python -m deploy.compose up $(ARGS)

down: $(VENV)/local.stamp ## stop the containers; their data stays, unless ARGS=--volumes
	@exec $(BIN)/python -m deploy.compose down $(ARGS)

test: $(VENV)/dev.stamp ## run the tests; ARGS go to pytest: make test ARGS="-k signing"
	@exec $(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev.stamp ## lint, formatting, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports

chaos: $(VENV)/dev.stamp ## break one thing after the other under load, for two minutes; make chaos ARGS="--seed 1"
	@exec $(BIN)/python -m tests.chaos $(ARGS)

scale-test: $(VENV)/dev.stamp ## replace each of eight processes under load: make scale-test ARGS="--deliveries 5000"
	@exec $(BIN)/python -m tests.scale $(ARGS)

bench: $(VENV)/dev.stamp ## measure it all, beside baselines, in about eight minutes: make bench ARGS=--quick
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

lock: $(VENV)/made.stamp ## write deploy/requirements/*.txt anew; ARGS=--upgrade takes the newest versions
	@test -x $(BIN)/uv || $(PIP) install --quiet uv
	@$(COMPILE) $(ARGS) --all-extras --output-file $(LOCKS)/dev.txt
	@for service in api scheduler dispatcher; do \
		$(COMPILE) --extra $$service --constraints $(LOCKS)/dev.txt --output-file $(LOCKS)/$$service.txt || exit; \
	done
	@$(COMPILE) --extra api --extra scheduler --extra dispatcher --extra local \
		--constraints $(LOCKS)/dev.txt --output-file $(LOCKS)/local.txt
	@$(COMPILE) --extra traces --constraints $(LOCKS)/dev.txt --output-file $(LOCKS)/traces.txt
	@! grep -nE '://|file:|^-| @ ' $(LOCKS)/*.txt || { echo "a lock file names a place instead of a version"; exit 1; }

clean: ## remove .venv and caches; the data of the local run (.qhronos) stays
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Qhronos needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1)."; \
		echo "Name another one: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/%.stamp: $(LOCKS)/%.txt $(VENV)/made.stamp
	@echo "installing $< into $(VENV)"
	@$(PIP) install --quiet --require-hashes --requirement $<
	@touch $@
