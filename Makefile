# The workshop of shiftboss.  A machine needs Python 3.11 or newer and make; everything else is put into .venv.

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?=
ARGS ?=

# pip is silent unless something is wrong; its own configuration (proxy, index, certificates) holds.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
NO_PIP := { echo "pip could not install it (above is what pip says).  It needs PyPI, or an index or wheels named in pip's own" \
	"settings (PIP_INDEX_URL, PIP_FIND_LINKS); then run the same command again." >&2; exit 1; }
# Files of tests beside each other (tests/conftest.py says how many); ARGS="-n 0" for one process.  Each process has a
# PostgreSQL of its own.
BESIDE := -n auto --dist loadfile --no-loadscope-reorder
# `make test` and `make quick` keep their temporary files in memory where there are 4 GB of it, so a commit waits for no
# disk; those of tests that pass are removed at once.  `make cases` and `make chaos` use the disk.
MEMORY = $(shell grep -qs '^[^ ]* /dev/shm .*noexec' /proc/mounts || df -Pk /dev/shm 2>/dev/null | \
	awk '$$1 == "tmpfs" && $$4 > 4000000 { print "TMPDIR=/dev/shm" }')
IN_MEMORY = $(if $(TMPDIR),,$(MEMORY))
BRIEFLY := -o tmp_path_retention_policy=failed
# Left out of `make quick`: what starts the command as a process, or a server.
PROCESSES := dev exits_of_stores faces on_postgres one_line probe processes terminal token
QUICK := tests/core tests/engine tests/stores/conformance tests/cli -k "not sqlite and not postgres" \
	$(PROCESSES:%=--ignore tests/cli/test_%.py)
# Tried with more examples by `make chaos`.
DRAWN := tests/core/test_schedule.py tests/properties/test_small_worlds.py tests/properties/test_values.py \
	tests/stores/conformance/test_model.py tests/web/test_fuzz.py
MAKEFLAGS += --no-print-directory
# A thousand processes are started by the tests: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help

# ── to look at ───────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.demo ## run the worked example on this machine's own telemetry (ARGS="--for 30s")
	@$(MAKE) dashboard || echo "the demo runs without the dashboard" >&2
	@$(BIN)/shiftboss demo $(ARGS)

# ── to work ──────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: test
test: $(VENV)/.dev $(VENV)/.chromium dashboard ## run the tests, all but those marked cases, chaos or soak (ARGS="-k breaker")
	@$(BIN)/python tools/dashboard.py test
	@$(IN_MEMORY) $(BIN)/python -m pytest $(BESIDE) $(BRIEFLY) -m "not cases and not chaos and not soak" $(ARGS)

.PHONY: quick
quick: $(VENV)/.dev ## the tests of core, engine and command that need no server and no process of their own (40 s)
	@$(IN_MEMORY) $(BIN)/python -m pytest $(BESIDE) $(BRIEFLY) -n logical -m "not cases and not chaos and not soak" $(QUICK) $(ARGS)

.PHONY: dashboard
dashboard: $(VENV)/.node ## build the dashboard, where its sources have changed
	@$(BIN)/python tools/dashboard.py

.PHONY: check
check: lint types docs-check ## everything that needs no test run: format, lint, types, import layers, docs

.PHONY: lint
lint: $(VENV)/.dev ## formatting and lint rules, changing nothing
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@echo "ruff: formatted, no findings"

.PHONY: types
types: $(VENV)/.dev $(VENV)/.node ## strict types, Python's and the dashboard's, and the layers of imports
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/dashboard.py check

.PHONY: format
format: $(VENV)/.dev ## format the code and mend what can be mended by itself
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: docs
docs: $(VENV)/.dev ## write anew what the code itself can tell: parts of the docs, the dashboard's types
	@$(BIN)/python tools/reference.py
	@$(BIN)/python tools/rules.py
	@$(BIN)/python tools/api_types.py

.PHONY: docs-check
docs-check: $(VENV)/.dev ## links, generated parts and the rules without a test
	@$(BIN)/python tools/links.py
	@$(BIN)/python tools/reference.py --check
	@$(BIN)/python tools/rules.py --check
	@$(BIN)/python tools/api_types.py --check

.PHONY: advisories
advisories: $(VENV)/.made ## known vulnerabilities and withdrawn releases among pinned packages, as the index says (20 s at most)
	@$(BIN)/python tools/advisories.py

# ── long runs ────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: bench
bench: $(VENV)/.dev ## measure beside a limit of this machine (BENCH=durable_runs for one, ARGS are passed on)
	@for bench in benchmarks/$(or $(BENCH),[!_]*).py; do \
		echo "── $$bench"; $(BIN)/python "$$bench" $(ARGS) || exit 1; done

.PHONY: bench-peers
bench-peers: $(VENV)/.dev ## the same work through other libraries and through this one, in one table (ARGS="huey procrastinate")
	@$(BIN)/python benchmarks/peers/run.py $(ARGS)

.PHONY: matrix
matrix: $(VENV)/.dev ## core, engine, app and cases on each Python from 3.11 to 3.14 that this machine has (ARGS="3.12")
	@$(BIN)/python tools/matrix.py $(ARGS)

.PHONY: cases
cases: $(VENV)/.dev ## what others ran into, the slow ones too: processes that end, forks, signals, full disks
	@$(BIN)/python -m pytest tests/cases -m "not chaos and not soak" $(ARGS)

.PHONY: mutants
mutants: $(VENV)/.dev ## do the tests of core and engine notice a sample of small mistakes? (ARGS="--only core/settle.py")
	@$(BIN)/python tools/mutants.py $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev $(VENV)/.chromium dashboard ## the long tests: processes killed, disks filled, systems made up at random
	@$(BIN)/python -m pytest -m chaos $(ARGS)
	@EXAMPLES=all $(BIN)/python -m pytest $(DRAWN) $(ARGS)

# ── the room ─────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: clean
clean: ## remove caches and build products
	@rm -rf build dist src/shiftboss/web/static dashboard/node_modules tests/browser/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .mutants.json
	@find src tests tools benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## remove the virtual environment as well
	@rm -rf "$(VENV)"

# Stamps: a second call finds them newer than what they depend on and does nothing.  The package is installed so that
# it follows the tree; only a changed pyproject.toml (dependencies, the command) asks for it again.

$(VENV)/.made: always
	@sh tools/venv.sh "$(VENV)" $(PYTHON)

.PHONY: always
always:

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "installing shiftboss and what the demo needs into $(VENV) …"
	@$(PIP) --editable '.[demo]' || $(NO_PIP)
	@touch $@

$(VENV)/.dev: pyproject.toml requirements-dev.txt | $(VENV)/.made
	@echo "installing the workshop's tools into $(VENV) …"
	@$(PIP) --requirement requirements-dev.txt || $(NO_PIP)
	@$(PIP) --no-deps --no-build-isolation --editable . || $(NO_PIP)
	@touch $@ $(VENV)/.demo

$(VENV)/.node: tools/dashboard.py | $(VENV)/.made
	@needed=$$($(BIN)/python tools/dashboard.py requirement); \
	if [ -n "$$needed" ]; then echo "installing Node into $(VENV) …"; $(PIP) "$$needed" || $(NO_PIP); fi
	@touch $@

$(VENV)/.chromium: tools/chromium.py | $(VENV)/.node
	@if $(BIN)/python tools/chromium.py; then touch $@; fi
