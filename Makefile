# casekeeper: two commands matter, `make run` and `make test`. `make help` lists the others.

PYTHON ?= python3
BIN := .venv/bin
# Files of tests run side by side, one for each processor and four at most; each of these workers starts servers of its own.
# One that crashes ends the run: pytest-xdist may replace it and then wait for ever.
SIDE_BY_SIDE := -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0
.DEFAULT_GOAL := help
# Processes are started again and again: they are to find the modules compiled.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help run test test-faults check format bench bench-full clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.local ## start everything; Ctrl-C stops it (state in .casekeeper, or CASEKEEPER_HOME)
	@$(BIN)/casekeeper up

test: .venv/.dev ## run the tests that need no special hardware, on real Kafka and PostgreSQL
	@$(BIN)/python -m ops.tools_for_tests
	@$(BIN)/pytest $(SIDE_BY_SIDE) -m "not faults" --durations=40 --deselect tests/contract/

test-faults: .venv/.dev ## run the longer tests: faults and kills, attacks and races in their thousands
	@$(BIN)/pytest $(SIDE_BY_SIDE) -m faults --durations=40

check: .venv/.dev ## check format, lint, types, layers, and that documents match the code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q tests/contract

format: .venv/.dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.dev ## print a table of the main benchmarks (BENCH_JSON=FILE also writes them)
	@$(BIN)/python -m bench

bench-full: .venv/.dev ## print all benchmarks, and where the time of a command goes
	@$(BIN)/pip install -q -e '.[bench]' || echo 'extra bench not installed: what needs it is skipped'
	@$(BIN)/python -m bench --full
	@$(BIN)/python -m bench.stages

clean: ## remove .venv and caches; the state in .casekeeper stays
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.local: setup.cfg pyproject.toml
	@echo "setting up .venv (the first time takes a minute)"
	@$(PYTHON) -m ops.prepare local

.venv/.dev: setup.cfg pyproject.toml
	@echo "setting up .venv with what tests need (the first time takes a minute)"
	@$(PYTHON) -m ops.prepare dev
