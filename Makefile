# make setup | demo | test | quick | lint | docs: each works on a bare machine with Python 3.11, git and
# make, and is quick the second time.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test quick lint docs clean

setup: $(READY)

$(READY): cpu.lock dev.lock pyproject.toml tools/setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) sh tools/setup.sh
	touch $@

demo: setup
	$(BIN)/tts eval countdown --limit 100 --out runs/demo \
	  --preset single --preset self_consistency --preset weighted_vote --preset rebase
	@echo 'look at it: $(BIN)/tts view runs/demo'

# Two processes at once; the tests of one file stay together, as they share an engine.
test: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

# What a change usually breaks, in about two minutes: no engine starts, nothing takes long.
quick: setup
	$(BIN)/python -m pytest -q -m "not slow and not engine"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests examples

# The documentation site, in build/site; a link that leads nowhere is an error.
docs: setup
	$(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
