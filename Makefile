# The only list of commands. `make` alone prints it.
# Each target does its own set-up, in .venv: no root, no compiler, no Redis; Docker for `containers`
# and for the compose group.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --only-binary :all:
PINS := requirements-dev.txt
BENCH_PINS := requirements-bench.txt
JOBS := 2
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)

# What the shell of the user has set up for another project must not leak into this one.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONWARNINGS
unexport PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER := 0

# A Python that was uninstalled leaves a .venv behind that looks complete: build it anew.
$(shell test -x $(PY) || rm -f $(VENV)/ready-*)

VENV_READY := $(VENV)/ready-python
DEMO_READY := $(VENV)/ready-demo
DEV_READY := $(VENV)/ready-dev
BENCH_READY := $(VENV)/ready-bench
NODE_READY := build/bench/node/ready

.PHONY: help demo test sim chaos soak bench bench-check containers up down logs ps lint type fmt \
	check pins dist clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO_READY) ## A real group loses its master, live; ARGS="--plain --seconds 10"
	@$(PY) -m sahool_cache demo $(ARGS)

# A file's tests stay together: they share servers.
test: $(DEV_READY) $(NODE_READY) ## All tests, with coverage; ARGS="-k failover -x", JOBS=0 in one process
	@$(PY) -m pytest -n $(JOBS) --dist loadfile --cov --cov-report= $(ARGS); status=$$?; \
	$(PY) -m coverage report; exit $$status

sim: $(DEV_READY) ## Explore the seeded simulation; SEED=123 replays one and prints its trace
	@$(PY) -m pytest tests/simulation $(if $(SEED),--sim-seed $(SEED) -s,--sim-count 3000) $(ARGS)

chaos: $(DEV_READY) ## Every fault against four clients, into build/chaos; ARGS="--scene kill"
	@$(PY) -m tests.chaos --out build/chaos $(ARGS)

soak: $(DEV_READY) ## Two minutes of mixed load and failovers: nothing may grow; ARGS="--seconds 600"
	@$(PY) -m tests.soak $(ARGS)

bench: $(BENCH_READY) $(NODE_READY) ## Ours against its peers, into build/bench; ARGS="growth", ARGS="--quick"
	@$(PY) -m tests.benchmarks $(ARGS)

bench-check: $(BENCH_READY) $(NODE_READY) ## The same, and it fails when a bar is missed
	@$(PY) -m tests.benchmarks table recipes memory profile --check $(ARGS)

containers: $(DEV_READY) ## The tests that need Docker or Prometheus; REDIS_IMAGE names the image, nothing is pulled
	@SAHOOL_REQUIRE_CONTAINERS=1 $(PY) -m pytest -m "container or monitoring" $(ARGS)

up: ## Start the compose group, and wait until it is healthy; WITHOUT="grafana" leaves services out
	@compose/group.sh up $(ARGS)

down: ## Stop it; its data stay, unless ARGS=--volumes
	@compose/group.sh down $(ARGS)

logs: ## What its services say; ARGS="--follow redis-master"
	@compose/group.sh logs $(ARGS)

ps: ## Which of its services run, and how well
	@compose/group.sh ps $(ARGS)

lint: $(DEV_READY) ## Style and common mistakes (ruff); changes nothing
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check

type: $(DEV_READY) ## Types (mypy strict, and pyright; the latter needs node, or fetches it)
	@$(PY) -m mypy
	@$(PY) -m pyright --pythonpath $(PY)

fmt: $(DEV_READY) ## Format, and repair what ruff can repair safely
	@$(PY) -m ruff format
	@$(PY) -m ruff check --fix

check: lint type test ## What must pass before a change lands: lint, type, test

pins: $(DEV_READY) ## Renew requirements-dev.txt: the newest releases that pyproject.toml allows
	@$(PIP) uv
	@$(PY) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--only-binary :all: --extra cli --extra embedded --extra prometheus --group dev \
		--custom-compile-command "make pins" --output-file $(PINS) pyproject.toml
	@$(PY) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--only-binary :all: --group bench --constraint $(PINS) \
		--custom-compile-command "make pins" --output-file $(BENCH_PINS)

dist: $(DEV_READY) ## Build the sdist and the wheel into dist/
	@rm -rf dist
	@$(PY) -m build

clean: ## Remove everything that make has made, .venv too
	rm -rf $(VENV) dist build .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find sahool_cache tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV_READY):
	@found=""; for python in $(PYTHONS); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
		then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "sahool-cache needs Python 3.11 or newer; tried: $(PYTHONS)." \
			"Install one, or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version) ..." >&2; \
	if ! "$$found" -m venv --clear $(VENV); then \
		echo "$$found cannot make virtual environments; on Debian and Ubuntu:" \
			"apt-get install python3-venv" >&2; \
		exit 1; \
	fi
	@touch $@

$(DEMO_READY): $(VENV_READY) pyproject.toml $(PINS)
	@echo "Installing what the demo needs (once, about 15 seconds) ..." >&2
	@$(PIP) --constraint $(PINS) --editable '.[cli,embedded]'
	@touch $@

$(DEV_READY): $(VENV_READY) pyproject.toml $(PINS)
	@echo "Installing what development needs (once, about a minute) ..." >&2
	@$(PIP) --requirement $(PINS) --editable .
	@touch $@ $(DEMO_READY)

$(BENCH_READY): $(DEV_READY) $(BENCH_PINS)
	@echo "Installing the clients to compare with (once, about 10 seconds) ..." >&2
	@$(PIP) --requirement $(BENCH_PINS) || echo "Left out: no wheel of them for this system." >&2
	@touch $@

# Without npm, or without a way to its registry, ioredis is left out.
$(NODE_READY):
	@mkdir -p $(@D)
	@if command -v npm >/dev/null; then \
		npm install --prefix $(@D) --no-audit --no-fund --silent ioredis@6 || \
		echo "Left out: ioredis cannot be installed." >&2; \
	fi
	@touch $@
