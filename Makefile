# Set-up, the main job, tests. `make run` and `make test` are all that a fresh clone needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEC ?= experiments/width.yaml
# A file of tests stays on one process, which shares what the file trains; conftest.py puts the longest first.
PYTEST := $(BIN)/pytest -q -n auto --dist loadfile --no-loadscope-reorder
# Where nothing else may run, none of the other files is looked through either.
ALONE = $$(grep -rl --include='test_*.py' 'mark\.alone' tests)

# Every file that is installed has a digest in locks/, made from the versions of constraints.txt by `make lock`. Where another
# build of a package is meant, `make HASHES=` installs the versions alone.
HASHES ?= yes
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKED := $(PIP) install --quiet --require-hashes --no-deps
OTHER_BUILD := { echo "where another build of a package is meant: make HASHES= (see CONTRIBUTING.md)" >&2; exit 1; }
UV := 0.13.9
COMPILE := ../$(BIN)/uv pip compile --quiet --no-config --universal --generate-hashes --no-annotate --no-header \
	--python-version 3.11 --constraints ../constraints.txt
# The build of torch without CUDA for Linux on x86-64 and Python 3.11, taken where pip finds it (PIP_FIND_LINKS, another index).
TORCH_CPU := torch==2.13.0+cpu --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

.PHONY: run results docs test lint types units check audit prove bench throughput gpu install dev lock release clean

run: $(VENV)/.installed ## train what is missing of SPEC (default: width) and write its report
	@$(BIN)/mlpbench run $(SPEC)

results: $(VENV)/.installed ## train what is missing of all reference results (hours), then their index; resumable
	@for spec in experiments/*.yaml; do \
		$(BIN)/mlpbench run $$spec --results results/reference --numerics portable || exit $$?; done
	@$(BIN)/mlpbench trim --others $$(dirname results/reference/*/spec.yaml)
	@$(BIN)/mlpbench index results/reference

docs: $(VENV)/.dev ## the documentation site, into build/site; without network, and a warning ends it
	@$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/site
	@echo "site: build/site/index.html"

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

check: $(VENV)/.dev audit ## the slower tests; those that measure time or memory come last, one at a time
	@$(PYTEST) -m "slow and not prove and not alone"; beside=$$?; $(BIN)/pytest -q -m "slow and not prove and alone" $(ALONE) && exit $$beside

audit: ## what is known against the locked versions, where pip-audit and its data can be had: told, never a failure
	@if command -v pip-audit >/dev/null; then \
		cat locks/run.txt locks/dev.txt locks/build.txt | timeout 120 pip-audit --disable-pip --no-deps -r /dev/stdin \
			|| echo "pip-audit names advisories above, or could not look them up: neither fails this check"; \
	else echo "pip-audit is not installed: advisories about the locked versions are not looked up"; fi

prove: $(VENV)/.dev ## what takes long and seldom changes its answer, before a release (an hour or two on two cores)
	@$(PYTEST) -m "prove and not alone"; beside=$$?; $(BIN)/pytest -q -m "prove and alone" $(ALONE) && exit $$beside

bench: $(VENV)/.dev ## time the kernels on one thread (about a minute), report in results/bench
	@mkdir -p results/bench
	@$(BIN)/pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-quiet \
		--benchmark-json=results/bench/kernels.json -q
	@$(BIN)/mlpbench report results/bench

throughput: $(VENV)/.dev ## time training against its products alone, a plain loop and other stacked ones (twenty minutes)
	@for peers in "" --peers; do $(BIN)/python tests/benchmarks/throughput_table.py $$peers; done
	@for width in 32 256; do for what in phase whole; do \
		$(BIN)/python tests/benchmarks/throughput.py $$what --width $$width; done; done

gpu: $(VENV)/.dev ## what needs a GPU: its tests, bits, and rates, as one JSON object (five minutes)
	@mkdir -p results/bench
	@$(BIN)/python tests/benchmarks/gpu_session.py | tee results/bench/gpu.json

install: $(VENV)/.installed
dev: $(VENV)/.dev

$(VENV)/bin/python:
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Debian has venv in the package python3-venv" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt $(wildcard locks/*.txt) | $(VENV)/bin/python
	@echo "installing mlpbench"
ifneq ($(HASHES),)
	@$(LOCKED) -r locks/torch-cpu.txt 2>/dev/null || echo "no torch without CUDA is at hand: installing the usual one"
	@$(LOCKED) -r locks/build.txt -r locks/run.txt || $(OTHER_BUILD)
	@if $(BIN)/python -c "import sys, importlib.metadata as m; sys.exit('nvidia' not in str(m.requires('torch')))"; then \
		echo "installing the CUDA libraries of torch"; $(LOCKED) -r locks/cuda.txt || $(OTHER_BUILD); fi
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
else
	@$(PIP) install --quiet -c constraints.txt -e .
endif
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "installing development tools"
ifneq ($(HASHES),)
	@$(LOCKED) -r locks/dev.txt || $(OTHER_BUILD)
else
	@$(PIP) install --quiet -c constraints.txt -e ".[dev]"
endif
	@touch $@

# A package of CUDA or of a development tool has a file of its own: a block of the lock begins with a name and a version.
lock: | $(VENV)/bin/python ## digests of all files of the versions in constraints.txt, for every platform, anew
	@$(PIP) install --quiet uv==$(UV)
	@mkdir -p locks && cd locks && rm -f *.txt && set -e && \
		{ sed -n 's/^requires = \["\(hatchling.*\)"\]$$/\1/p' ../pyproject.toml; echo editables; } >build.in && \
		$(COMPILE) build.in -o build.txt && $(COMPILE) ../pyproject.toml -o run.all && \
		$(COMPILE) ../pyproject.toml --extra dev -o dev.all && \
		echo "$(TORCH_CPU)" >torch-cpu.txt && \
		awk '/^[a-z]/ { cuda = /^(cuda-|nvidia-|triton)/ } !cuda' run.all >run.txt && \
		awk '/^[a-z]/ { cuda = /^(cuda-|nvidia-|triton)/ } cuda' run.all >cuda.txt && \
		awk 'NR == FNR { run[$$1]; next } /^[a-z]/ { dev = !($$1 in run) } dev' run.all dev.all >dev.txt && \
		rm build.in *.all

release: $(VENV)/.dev ## both distributions in dist/, tried in an empty environment, and what changed; nothing is uploaded (DRAFT=yes: of any tree)
	@$(BIN)/python release/build.py $(if $(DRAFT),--draft) $(foreach p,$(or $(PYTHONS),$(PYTHON)),--python $(p))

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
