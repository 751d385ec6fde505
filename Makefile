# What can be made here: `make help` lists it. Nothing needs activation: everything runs from .venv/bin.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
CORES ?= 2
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -q

FAMILIES ?= fermi events nptf
SIMULATIONS ?= 1000

.PHONY: help .venv demo test test-slurm test-all calibrate benchmark lint format generated clean

help: ## list what can be made
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z.-]+):.*## (.*)/\1|\2/' \
		| awk -F '|' '{printf "  make %-11s%s\n", $$1, $$2}'

.venv: .venv/installed ## the environment: every package pinned by requirements.txt, and skysift itself, editable

.venv/installed: pyproject.toml requirements.txt
	@[[ -n "$(PYTHON)" ]] || { echo "skysift needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@[[ -x $(BIN)/python ]] || { echo "make: a new environment in .venv ($$($(PYTHON) --version))"; $(PYTHON) -m venv .venv; }
	@echo "make: torch, first and alone, so that another build of it can be put in its place beforehand"
	@$(BIN)/python -m pip install --quiet "$$(grep -E '^torch==' requirements.txt)"
	@echo "make: the other packages of requirements.txt"
	@$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@echo "make: skysift itself"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m pip check
	@touch $@

demo: .venv/installed ## the smallest real analysis, from a sky that skysift carries with it; says where the report is
	$(BIN)/snakemake --cores $(CORES) --quiet host rules
	@echo
	@echo "The report of the demonstration: $$(pwd)/results/demo/report.html"

test: .venv/installed ## all tests but the slow ones and those that need a Slurm cluster
	$(PYTEST) -n $(CORES) -m "not slow and not slurm"

test-slurm: .venv/installed ## tests on a Slurm cluster that they start on this machine (Debian, root); says why where they cannot
	$(PYTEST) -n 5 -m "slurm and not slow" tests/slurm

test-all: .venv/installed ## every test; those for Slurm start a cluster of their own
	$(PYTEST) -n $(CORES)

calibrate: .venv/installed ## every engine on SIMULATIONS=1000 data sets of its own model, two and a half hours on one core; tables of ranks
	for family in $(FAMILIES); do \
		$(BIN)/snakemake --cores $(CORES) --quiet host rules --configfile config/calibrate/$$family.yaml \
			--config 'calibrate={simulations: $(SIMULATIONS)}'; done
	@echo
	@for family in $(FAMILIES); do echo "Calibration of $$family: $$(pwd)/results/calibrate-$$family/report.html#calibration"; done

benchmark: .venv/installed ## how fast the hot functions are and how their cost grows, against the stored numbers
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py --compare

lint: .venv/installed ## style, types, rooms, workflow; the same as in the pre-commit hooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/skysift schema

format: .venv/installed ## rewrite code and rules in the common style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

generated: .venv/installed ## rewrite what is made from the types: schema, reference
	$(BIN)/skysift schema --write

clean: ## remove the environment and the caches of tools; never results
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache build dist
