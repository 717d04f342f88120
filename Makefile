# Two commands are all a newcomer needs: `make run` and `make test`. Both set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Another build of torch than the pinned one: make test TORCH=any
TORCH ?= pinned
TORCH_pinned := --require-hashes --no-deps -r requirements/torch.txt
TORCH_any = $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements/torch.txt)
TORCH_HELP := torch: the pinned build (CPU, CPython 3.11, Linux x86_64) cannot be had here. \
	"make test TORCH=any" takes the one that your pip finds; see "Setting up" in README.md

.PHONY: help run test slow lint model lock clean

help:  ## What there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/run.stamp  ## A virtual station and the agent; the console is at http://127.0.0.1:8080
	$(BIN)/cane-sim demo

# A thread each: with more they wait for each other. Three workers, as many tests wait for a station.
test: $(VENV)/test.stamp lint  ## All quick tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 3 --dist loadfile --durations 10

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
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'on Debian: apt install python3-venv' >&2; exit 1; }

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	sh requirements/debian.sh "plates and pages may lack Thai letters" fonts-noto-core
	$(PIP) install --quiet --require-hashes -r requirements/run.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/test.stamp: requirements/dev.txt requirements/torch.txt requirements/debian.txt pyproject.toml \
		| $(VENV)/bin/python
	sh requirements/debian.sh "some tests will be skipped" $$(cat requirements/debian.txt)
	$(PIP) install --quiet --require-hashes --no-deps -r requirements/dev.txt
	$(PIP) install --quiet $(TORCH_$(TORCH)) || { echo '$(TORCH_HELP)' >&2; exit 1; }
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/run.stamp
