# colab-run for its developers. Needs Python 3.10 or newer and nothing else: every target makes its own set-up
# in .venv. What is tested, and what the example runs, is the built wheel, never the source tree.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/pip --disable-pip-version-check -qq
EXAMPLE := examples/digits

# Folders too: a file that was removed leaves its trace only there.
SOURCES := $(shell find launcher configs -name __pycache__ -prune -o -print) pyproject.toml README.md LICENSE

.DELETE_ON_ERROR:
.PHONY: help example test lint format screens fuzz chaos kills bench replay messages errors wheel clean
.DEFAULT_GOAL := help

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

example: $(VENV)/installed ## Train a real model in a few seconds, under colab-run, and show what it left
	@rm -rf $(EXAMPLE)/results $(EXAMPLE)/output
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/colab-run $(EXAMPLE)/job.yaml
	@echo
	@echo "Left in $(EXAMPLE)/output:"
	@cd $(EXAMPLE)/output && find . -type f -exec ls -l {} +

# What starts no run and no notebook kernel, beside what does: that waits for half of its time.
BESIDE := $(wildcard tests/advice tests/catalog tests/converting tests/helpers_selftest tests/lang tests/ledger) \
	tests/project tests/report tests/spec tests/verdict tests/test_values.py \
	$(filter-out tests/idle/test_watch% tests/idle/test_scenes.py tests/idle/test_beats.py \
	  tests/idle/test_kernels.py tests/idle/test_processes.py,$(wildcard tests/idle/test_*.py))
# Two halves of what does, each apart from the other: they would see each other's runs.
FIRST := tests/guard tests/release tests/gpu tests/docs

test: $(VENV)/developing ## Everything that CI runs: lint, and all tests against the installed wheel
	@$(MAKE) --no-print-directory -k -j2 $(if $(ARGS),lint tested,first lint second beside)

.PHONY: tested first second beside
tested: $(VENV)/developing
	$(BIN)/pytest $(ARGS)

first: $(VENV)/developing
	.ci/apart $(BIN)/pytest -q -p no:cacheprovider $(FIRST)

second: $(VENV)/developing
	.ci/apart $(BIN)/pytest -q -p no:cacheprovider $(FIRST:%=--ignore=%) $(BESIDE:%=--ignore=%)

beside: $(VENV)/developing
	$(BIN)/pytest -q -p no:cacheprovider $(BESIDE)

lint: $(VENV)/developing ## ruff and mypy, on the source
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/developing ## Let ruff repair what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

screens: $(VENV)/developing ## Write the screens in README, docs/ and tests/assets/screens anew, by running
	$(BIN)/python tests/docs/screens.py --write
	TERM=xterm-256color $(BIN)/python tests/docs/pictures.py --write

messages: $(VENV)/developing ## Collect sentences into launcher/locale, keep what is translated, compile
	$(BIN)/python tests/lang/catalogues.py --write

fuzz: $(VENV)/built $(VENV)/developing ## Read N damaged job files (N=100000 unless told)
	COLAB_RUN_FUZZ=$(or $(N),100000) $(BIN)/pytest -q tests/spec/test_fuzz.py

chaos: $(VENV)/built $(VENV)/developing ## Kill N runs at random moments (N=5000 unless told; SEED=… repeats them)
	COLAB_RUN_CHAOS=$(or $(N),5000) COLAB_RUN_CHAOS_SEED=$(SEED) $(BIN)/pytest -q \
	    -o faulthandler_timeout=0 tests/chaos/test_chaos.py

kills: $(VENV)/built $(VENV)/developing ## Kill N runs while they save (N=200 unless told; SEED=… repeats them)
	COLAB_RUN_SAVE_KILLS=$(or $(N),200) COLAB_RUN_SAVE_KILLS_SEED=$(SEED) $(BIN)/pytest -q \
	    -o faulthandler_timeout=0 tests/saving/test_killed_while_saving.py

bench: $(VENV)/installed ## Measure beside script, tee and timeout: 4 minutes, or 40 seconds with BENCH=quick
	$(BIN)/python -m benchmarks $(if $(filter quick,$(BENCH)),--quick) --json $(VENV)/bench.json $(ARGS)

replay: $(VENV)/installed ## Idle policies over recorded sessions, ours beside others (TRACES=folder for more of them)
	$(BIN)/python benchmarks/replay.py $(TRACES)

errors: $(VENV)/developing ## Write docs/errors.md anew, from the table that `colab-run explain` shows
	$(BIN)/python tests/docs/errors.py --write

wheel: $(VENV)/built ## Build the wheel and the source distribution into dist/
	@ls -l dist

clean: ## Remove what these targets made
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache $(EXAMPLE)/results $(EXAMPLE)/output
	find launcher tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# The files below are stamps; each says that the step of its name is done for the sources as they are.

$(VENV)/tools: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no '$(PYTHON)' on PATH. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "colab-run needs Python 3.10 or newer; '$(PYTHON)' is" "$$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Name another one, for example: make PYTHON=python3.12 $(or $(MAKECMDGOALS),test)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "No virtual environment could be made (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo "installing build tools into $(VENV)"
	@$(PIP) install 'build>=1' 'hatchling>=1.27'
	@touch $@

$(VENV)/built: $(VENV)/tools $(SOURCES)
	@rm -rf dist
	@# Not `python -m build`: a folder of that name in the working folder would be run instead.
	@$(BIN)/pyproject-build --no-isolation --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/built
	@echo "installing $$(echo dist/*.whl)"
	@$(PIP) install dist/*.whl
	@# The same version number again: without this, pip would keep the wheel that it has.
	@$(PIP) install --force-reinstall --no-deps dist/*.whl
	@touch $@

$(VENV)/developing: $(VENV)/installed pyproject.toml
	@echo "installing what the tests need"
	@$(PIP) install "$$(echo dist/*.whl)[dev]"
	@touch $@
