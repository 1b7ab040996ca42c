# Every target sets itself up. PYTHON picks the interpreter, VENV the environment's place.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= train,deploy,ingest,adapt,cluster,dev
EDITABLE ?= -e
OUT ?= demo

BIN := $(VENV)/bin
# The stamp is named after what it stands for, so that an unchanged environment is used again.
KEY := $(shell cat constraints.txt pyproject.toml | cksum | cut -d ' ' -f 1)
STAMP := $(VENV)/.installed-$(EXTRAS)-$(KEY)
# One thread in every library: the tests and the demo start processes of their own.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help install demo test slow check bench

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: $(STAMP) ## make the environment, unless it is up to date

$(STAMP):
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt $(EDITABLE) '.[$(EXTRAS)]'
	rm -f $(VENV)/.installed-*
	touch '$(STAMP)'

demo: $(STAMP) ## run every step on a made-up programme, into OUT (demo)
	$(BIN)/mim demo out=$(OUT)

test: $(STAMP) ## run the default tests
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadgroup

slow: $(STAMP) ## run the slow tests
	$(ONE_THREAD) $(BIN)/python -m pytest -q -m 'slow and not gpu'

check: $(STAMP) ## lint, format, types, import floors, then the default tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(MAKE) test

bench: $(STAMP) ## run the benchmarks in scripts/bench
	@for script in scripts/bench/*.py; do \
		test -e "$$script" || continue; echo "$$script"; $(BIN)/python "$$script" || exit 1; \
	done
