# The one entry for people and for CI. It needs make and Python 3.11 or newer; everything else goes into $(VENV).
#
#   VENV=...    where the virtual environment is made          (.venv)
#   PYTHON=...  the interpreter that it is made with           (the first that works of python3.13 ... python3)
#   WORKERS=... how many tests are run at once            (as many as there are processors; 0: in one process)
#   ARGS=...    more for pytest, the demo or the benchmarks, as in make test ARGS="-k reaper"

VENV ?= .venv
PYTHON ?= python3.13 python3.12 python3.11 python3 python
WORKERS ?= auto
ARGS ?=

PY := $(VENV)/bin/python
QUICK := $(addprefix tests/,conformance core codec updates concurrency demo docs)
PYTEST := $(PY) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --editable

# What leaks in from the caller's shell must not decide which code is run.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test quick check frameworks bench soak format clean

help: ## List what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.run-time ## Replay conversations against a store and show what came of them
	$(VENV)/bin/sessionstore demo $(ARGS)

test: $(VENV)/.dev ## Run all tests, on memory, SQLite and PostgreSQL, and through PgBouncer where it is installed
	$(PYTEST) $(ARGS)

quick: $(VENV)/.dev ## Run the tests that start no server and are not slow, on memory and SQLite, within a minute
	$(PYTEST) -m "not postgresql and not slow" $(QUICK) $(ARGS)

# Cheap checks first, and one after the other also under `make -j`.
check: $(VENV)/.dev ## Run what CI runs: lint, types, import rules, all tests with coverage
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m mypy
	$(PY) -m basedpyright --warnings
	$(PYTEST) --cov $(ARGS)

frameworks: $(VENV)/.dev ## Run the adapters' tests and the frameworks' own, each in an environment of its own
	$(PY) -m tests.integrations $(ARGS)

bench: $(VENV)/.bench ## Measure the library beside others and write docs/benchmarks.md; or with ARGS=--full at length
	$(PY) -m benchmarks $(ARGS)

soak: $(VENV)/.dev ## Break servers, connections and clients under load, for half an hour; see ARGS=--help
	$(PY) -m tests.faults $(ARGS)

format: $(VENV)/.dev ## Write the faces of sessionstore.sync, sort imports and format the code
	$(PY) -m tests.sync
	$(PY) -m ruff check --select I --fix
	$(PY) -m ruff format

clean: ## Remove the virtual environment, caches and build results
	@if [ -f "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	rm -rf .frameworks build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A stamp per set of packages, inside the environment, so that it is gone when the environment is.
$(VENV)/.run-time: pyproject.toml $(PY)
	$(PIP_INSTALL) .
	@touch $@

$(VENV)/.dev: pyproject.toml $(PY)
	$(PIP_INSTALL) '.[dev]'
	@touch $(VENV)/.run-time $@

$(VENV)/.bench: pyproject.toml $(PY)
	$(PIP_INSTALL) '.[bench]'
	@touch $(VENV)/.run-time $@

# A command of the right name need not work (version managers leave such shims) and need not be able to make
# an environment (Debian ships that apart), so each candidate is asked. An environment whose interpreter is gone
# is made anew; nothing is ever cleared that is no virtual environment.
$(PY):
	@found=; bare=; \
	for python in $(PYTHON); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1 || continue; \
	    if "$$python" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1; then found=$$python; break; fi; \
	    bare="$${bare:-$$python}"; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	    echo "$$bare cannot make a virtual environment: install its venv module" >&2; \
	    echo "(Debian and Ubuntu: apt-get install python3-venv), or name another one with PYTHON=..." >&2; \
	    exit 1; \
	elif [ -z "$$found" ]; then \
	    echo "no Python 3.11 or newer among: $(PYTHON)" >&2; \
	    echo "install one, or name it with PYTHON=/path/to/python" >&2; \
	    exit 1; \
	fi; \
	clear=; if [ -f "$(VENV)/pyvenv.cfg" ]; then clear=--clear; fi; \
	echo "making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $$clear "$(VENV)" || { rm -f $(PY); exit 1; }
