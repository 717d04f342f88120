# Two commands are all a newcomer needs: `make run` and `make test`. Both set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help run test slow lint model lock clean

help:  ## What there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/run.stamp  ## A virtual station and the agent; the console is at http://127.0.0.1:8080
	$(BIN)/cane-sim demo

test: $(VENV)/test.stamp lint  ## All quick tests
	$(BIN)/python -m pytest -m "not slow"

slow: $(VENV)/test.stamp  ## The long tests
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/test.stamp  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

WEIGHTS ?= hub
model: $(VENV)/test.stamp  ## Make the demo model again: make model [WEIGHTS=FILE PIXELS=KIND]
	PATH="$(CURDIR)/$(BIN):$$PATH" sh deploy/models/make-model.sh "$(WEIGHTS)" $(PIXELS)

lock: $(VENV)/test.stamp  ## Pin all packages again; needs pip-tools in the environment
	sh requirements/lock.sh

clean:  ## Remove the environment
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --require-hashes -r requirements/run.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/test.stamp: requirements/dev.txt requirements/debian.txt pyproject.toml | $(VENV)/bin/python
	sh requirements/debian.sh
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/run.stamp
