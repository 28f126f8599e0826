# graphnn's commands. Needed: GNU make and Python >= 3.11. `demo` and `test` set up .venv by themselves, once.
#
#   make test PYTHON=python3.12     another Python (after `make clean`)
#   make test JOBS=8                more test processes
#   make array-api EXAMPLES=1000    more random examples

VENV := .venv
BIN := $(VENV)/bin
ORACLES := .venv-oracles
PEERS := .venv-peers
JOBS ?= 2
EXAMPLES ?= 100
PYTHON ?=
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint slow stress oracles array-api bench peers conformance fuzz clean FORCE

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  \1	\2/p' Makefile

demo: $(VENV)/.core ## train a network on handwritten digits, print its summary and trace, draw it into out/
	@$(BIN)/graphnn demo

test: lint ## everything that must be green: lint, then all tests and doctests
	$(BIN)/pytest -n $(JOBS)

lint: $(VENV)/.dev ## style, format, types and the floors of the architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

slow: $(VENV)/.dev ## the tests of operations and graphs with 500 random examples each instead of 20
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest -n $(JOBS) tests/backend tests/ops tests/ir tests/transform tests/compile tests/testing

stress: $(VENV)/.dev ## 10,000 random graphs, 16 threads with 100,000 calls each, 100 forks: the native backend under load
	HYPOTHESIS_PROFILE=nightly GRAPHNN_CACHE=off $(BIN)/pytest -n $(JOBS) tests/backend/test_native_graphs.py
	$(BIN)/python -W ignore tests/stress/calls.py

oracles: $(ORACLES)/.made ## values and gradients against PyTorch and JAX, which go into an environment of their own
	$(ORACLES)/bin/python -m pytest -m "oracles or not oracles" tests/oracles

array-api: $(VENV)/.dev ## the public test suite of the Array API standard; EXAMPLES=1000 for more than 100 each
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check ndindex pytest-json-report
	@$(BIN)/python tests/array_api/suite.py -n $(JOBS) --max-examples $(EXAMPLES)

bench: $(VENV)/.dev ## how fast: the scripts in benchmarks/, then graphnn beside its peers (BENCH='--quick --only mlp')
	@for script in benchmarks/[!_]*.py; do \
	    [ -e "$$script" ] || { echo "There is no script in benchmarks/."; exit 1; }; \
	    echo "== $$script"; $(BIN)/python "$$script" $(filter --quick,$(BENCH)) || exit 1; \
	done
	@echo "== benchmarks/suite"; PYTHONPATH=benchmarks $(BIN)/python -m suite $(BENCH)

peers: $(PEERS)/.made ## the libraries that graphnn is compared with, in an environment of their own for `make bench`

conformance: $(VENV)/.conformance ## the ONNX node suite: values, derivatives, and the way back through onnxruntime
	$(BIN)/python tests/conformance/onnx_conformance.py

fuzz: $(VENV)/.dev ## 3,000 damaged ONNX models against the loader
	$(BIN)/python tests/conformance/onnx_fuzz.py

clean: ## remove .venv, out/ and all caches
	rm -rf $(VENV) $(ORACLES) $(PEERS) .cache out benchmarks/results build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment. It is made anew when its folder was moved or its Python is gone; graphnn is installed into
# it (editable) again when pyproject.toml has changed.

STALE := $(shell [ -x $(BIN)/python ] && [ "$$(cat $(VENV)/.made 2>/dev/null)" = "$$(pwd -P)" ] || echo FORCE)

$(VENV)/.made: $(STALE)
	@python=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",$(CANDIDATES)); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "graphnn needs Python 3.11 or newer. Tried without success: $(or $(PYTHON),$(CANDIDATES))."; \
	    echo "Install one, or name it: make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/python3"; \
	    exit 1; \
	fi >&2; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments: its modules venv and ensurepip are missing."; \
	    echo "On Debian and Ubuntu: apt install python3-venv"; \
	    echo "Or name another Python: make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/python3"; \
	    exit 1; \
	fi >&2; \
	echo "Making $(VENV) with $$("$$python" -c 'import sys; print("Python", sys.version.split()[0], "at", sys.executable)')"; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV) || { echo "Making $(VENV) failed; the reason stands above." >&2; exit 1; }; \
	pwd -P > $@

$(VENV)/.core: pyproject.toml $(VENV)/.made
	$(call install,graphnn,.)
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.made
	$(call install,graphnn and its test tools,.[dev])
	@touch $@ $(VENV)/.core

# The suite whose counts are in docs/onnx-conformance.md, and the runtime that exported models are run by.
$(VENV)/.conformance: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1
	@touch $@

# PyTorch for the CPU alone comes from its own index: the usual one has gigabytes of CUDA with it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

$(ORACLES)/.made: pyproject.toml $(VENV)/.made
	@rm -rf $(ORACLES) && $(BIN)/python -m venv $(ORACLES)
	@$(ORACLES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --retries 1 \
	    --extra-index-url $(TORCH_INDEX) "$$(sed -n 's/^oracles = \["\(torch==[0-9.]*\)".*/\1/p' pyproject.toml)"
	$(call install,PyTorch$(comma) JAX and the test tools,.[dev$(comma)oracles],$(ORACLES))
	@touch $@

# Each for itself: a peer that does not install here is told and left out. tinygrad needs clang on the path when it runs.
$(PEERS)/.made: $(VENV)/.made
	@rm -rf $(PEERS) && $(BIN)/python -m venv $(PEERS)
	@for peer in 'torch==2.13.0 --extra-index-url $(TORCH_INDEX)' jax 'pytensor numba' tinygrad; do \
	    echo "Installing $${peer%% --*} into $(PEERS) ..."; \
	    $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $$peer || \
	        echo "$$peer could not be installed; make bench goes on without it. What pip says about it stands above."; \
	done
	@command -v clang >/dev/null || echo "There is no clang, so tinygrad will be left out (Debian and Ubuntu: apt install clang)."
	@touch $@

comma := ,

# $(call install,WHAT,REQUIREMENT[,VENV])
define install
	@echo "Installing $(1) into $(or $(3),$(VENV)); the first time takes a minute or two ..."
	@$(or $(3),$(VENV))/bin/python -m pip install --quiet --disable-pip-version-check --editable '$(2)' || { \
	    echo; \
	    echo "The installation failed; what pip says about it stands above. Usual reasons:"; \
	    echo "  - no network, or a proxy that pip does not know (set HTTPS_PROXY)"; \
	    echo "  - less than 1 GB of free disk space"; \
	    echo "  - a Python too new or a machine too rare for a package to have a ready-made wheel:"; \
	    echo "    make clean, then make $(or $(MAKECMDGOALS),test) PYTHON=/path/to/another/python3"; \
	    echo "Then run make again."; \
	    exit 1; \
	} >&2
endef
