# One command each; `make` alone lists them. Settings, on the command line or in the
# environment:
#   PYTHON       the Python for .venv; without it the first that answers, as below
#   PIP_ARGS     more arguments for pip, such as another index
#   PYTEST_ARGS  more arguments for pytest, such as --cov
#   BENCH_ARGS   more arguments for the benchmark, such as --parts loading

VENV := .venv
BIN := $(VENV)/bin
# Written after the last step, so a half-finished install is never taken for a whole one.
STAMP := $(VENV)/installed

# Version managers leave commands on the PATH that only say that they cannot run, and
# Debian's Python has no venv until it is installed: what counts is the answer.
ASK := -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))'
ASK += </dev/null >/dev/null 2>&1
PYTHONS := python3.13 python3.12 python3.14 python3
EXPECTED := Expected Python 3.12 or newer with venv (Debian: python3-venv)

ifneq ($(PYTHON),)
CHOSEN = $(shell '$(PYTHON)' $(ASK) && echo '$(PYTHON)')
MISSING = $(EXPECTED), got PYTHON=$(PYTHON), which does not answer so
else
# Each name in each folder of the PATH, since a command that fails may hide one that
# works.
CHOSEN = $(shell IFS=:; for name in $(PYTHONS); do for folder in $$PATH; do \
	"$$folder/$$name" $(ASK) && echo "$$folder/$$name" && exit; done; done)
MISSING = $(EXPECTED), but none of $(PYTHONS) on the PATH answers so: \
	install one, or name yours (make install PYTHON=/path/to/python)
endif
# Found when a recipe asks for it, and once.
python = $(eval CHOSEN := $$(CHOSEN))$(or $(CHOSEN),$(error $(MISSING)))

# A process of tests takes 1 to 2 GB, and few tests are left for a fifth one to shorten.
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-all test-fast lint bench python clean FORCE

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

install: $(STAMP) ## make a complete .venv with all that is needed (6 GB with CUDA)

demo: install ## train, score and map on demo data; results go to demo/
	$(BIN)/dfc2020-geo demo

test: install ## run the tests (13 minutes on two cores)
	$(PYTEST) -m 'not exhaustive' $(PYTEST_ARGS)

test-all: install ## run the tests, and those that take minutes each
	$(PYTEST) $(PYTEST_ARGS)

test-fast: install ## run the tests that take seconds
	$(PYTEST) -m 'not slow and not exhaustive' $(PYTEST_ARGS)

lint: install ## check style, types and imports
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ty check --python $(VENV)
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/shellcheck .ci/run scripts/*.sh

bench: install ## time loading and training beside the baseline and others (half an hour)
	$(BIN)/python scripts/benchmark.py --json bench.json --plot bench.png $(BENCH_ARGS)

python: ## say which Python .venv is made with
	@echo '$(python)'

clean: ## remove .venv, demo/ and everything else that these commands made
	rm -rf $(VENV) demo bench.json bench.png build dist .pytest_cache .ruff_cache .hypothesis .coverage*

# PYTHON was named, and the environment is another's: make it anew.
ifneq ($(PYTHON),)
ifneq ($(PYTHON),$(file <$(STAMP)))
$(STAMP): FORCE
endif
endif

# What is there stays, unless it is of another version of Python or does not run.
VERSION := -c 'import sys; print(sys.version)'
$(STAMP): pyproject.toml constraints.txt Makefile
	@echo 'Installing into $(VENV) with $(python)'
	@rm -f $@
	@test "$$($(BIN)/python $(VERSION) 2>/dev/null)" = "$$('$(python)' $(VERSION))" \
		|| rm -rf $(VENV)
	'$(python)' -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@echo '$(python)' >$@
