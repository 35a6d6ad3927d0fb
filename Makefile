# Set-up, the main job, tests. `make run` and `make test` are all that a fresh clone needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEC ?= experiments/width.yaml
# A file of tests stays on one process, which shares what the file trains; conftest.py puts the longest first.
PYTEST := $(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder

.PHONY: run results test lint types units check prove bench throughput install dev clean

run: $(VENV)/.installed ## train what is missing of SPEC (default: width) and write its report
	@$(BIN)/mlpbench run $(SPEC)

results: $(VENV)/.installed ## train what is missing of all reference results (hours), then their index; resumable
	@for spec in experiments/*.yaml; do \
		$(BIN)/mlpbench run $$spec --results results/reference --numerics portable || exit $$?; done
	@$(BIN)/mlpbench trim $$(dirname results/reference/*/spec.yaml)
	@$(BIN)/mlpbench index results/reference

test: lint ## lint, imports, tests, and types beside the tests
	@$(MAKE) --no-print-directory --jobs=2 types units

lint: $(VENV)/.dev ## lint, format, directions of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo --no-cache

types: $(VENV)/.dev
	@$(BIN)/mypy

units: $(VENV)/.dev
	@$(PYTEST) -m "not slow and not prove"

check: $(VENV)/.dev ## the slower tests; those that measure time or memory come last, one at a time
	@$(PYTEST) -m "slow and not alone"; beside=$$?; $(BIN)/pytest -q -m "slow and alone" && exit $$beside

prove: $(VENV)/.dev ## what takes long and seldom changes its answer, before a release (an hour or two on two cores)
	@$(PYTEST) -m "prove and not alone"; beside=$$?; $(BIN)/pytest -q -m "prove and alone" && exit $$beside

bench: $(VENV)/.dev ## time the kernels on one thread (about a minute), report in results/bench
	@mkdir -p results/bench
	@$(BIN)/pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-quiet \
		--benchmark-json=results/bench/kernels.json -q
	@$(BIN)/mlpbench report results/bench

throughput: $(VENV)/.dev ## time training against its products alone and against a plain loop (ten minutes)
	@for width in 32 256; do for what in phase whole; do \
		$(BIN)/python tests/benchmarks/throughput.py $$what --width $$width; done; done

install: $(VENV)/.installed
dev: $(VENV)/.dev

$(VENV)/bin/python:
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Debian has venv in the package python3-venv" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing mlpbench"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "installing development tools"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
