.PHONY: demo test setup unit lint types bench-small
VENV ?= .venv
PY := $(VENV)/bin/python

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -e '.[dev,postgres,debug,metrics,otel]'
	touch $@

test: setup
	$(VENV)/bin/ruff check src tests
	$(VENV)/bin/ruff format --check src tests
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest tests
