# The front door. Bare `make` lists the targets; `make demo` and `make test` need nothing but python3 >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(abspath $(VENV))/pycache PYTHONWARNDEFAULTENCODING=1 $(BIN)/python  # compiled once, not in every worker
ARGS ?=
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(VENV)/ready: pyproject.toml setup.py clients/pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 2; }
	@rm -f $@
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) && \
		VIRTUAL_ENV=$(VENV) uv pip sync --quiet --require-hashes requirements.lock && \
		VIRTUAL_ENV=$(VENV) uv pip install --quiet --no-deps -e . -e clients; \
	else \
		{ $(PYTHON) -m venv --clear $(VENV) || { echo "install python3-venv, or uv"; exit 2; }; } && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e . -e clients; \
	fi
	@$(PY) -m compileall -q -j 0 $(VENV)/lib gateway servers clients tests || true
	@touch $@

setup: $(VENV)/ready ## make the virtual environment

demo: $(VENV)/ready ## leads routed through the gateway; ARGS=--once ends by itself
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/ready ## the quick rings: unit, wire, docs
	$(PY) -m pytest -q -n auto --dist worksteal -m "not full and not hosts and not conformance" $(ARGS)

test-all: $(VENV)/ready ## everything that is installed here, in full
	$(PY) -m pytest -q -n auto --dist worksteal -m "not conformance" $(ARGS)

check: $(VENV)/ready ## format, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

fix: $(VENV)/ready ## repair what can be repaired by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready ## CPU and latency per governed call beside a direct one
	PYTHONPATH=tests $(PY) -m tests.bench.overhead $(ARGS)
	PYTHONPATH=tests $(PY) -m tests.bench.servers $(ARGS)
	PYTHONPATH=tests $(PY) -m tests.bench.policy $(ARGS)
	PYTHONPATH=tests $(PY) -m tests.bench.verify

conformance: $(VENV)/ready ## the MCP conformance suite against the gateway (Node from the environment)
	$(PY) tests/wire/conformance/run.py $(ARGS)

mutants: $(VENV)/ready ## switch every guard off once; a test must fail each time
	$(PY) tests/mutants.py $(ARGS)

hosts: $(VENV)/ready ## real LLM hosts, installed from npm, driven by a scripted model
	sh tests/hosts/install.sh
	$(PY) -m pytest -q -m hosts -rs tests/hosts $(ARGS)

shape: ## the longest files and functions, for a look
	@git ls-files 'gateway/*.py' 'servers/*.py' 'clients/*.py' | xargs wc -l | sort -rn | sed -n '2,11p'

lock: ## pin every version with its hashes, without addresses
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--group dev --output-file requirements.lock pyproject.toml clients/pyproject.toml

clean: ## start over
	rm -rf $(VENV) build dist *.egg-info gateway/*.egg-info clients/*.egg-info .pytest_cache .ruff_cache .hypothesis node_modules

.PHONY: help setup demo test test-all check fix bench conformance mutants hosts shape lock clean
