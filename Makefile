# Needs make and Python 3.10 or newer with venv and pip. Installs nox and uv into .venv/tools/, which do everything else
# (noxfile.py). `make PYTHON=/path/to/python3 ...` selects another interpreter.

PYTHON ?= $(shell for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$python" && break; done)
TOOLS := $(CURDIR)/.venv/tools
NOX := PATH="$(TOOLS)/bin:$$PATH" "$(TOOLS)/bin/nox"

# ARGS: arguments of the command, as in `make test ARGS="-k merge"`. PYTHONS="3.12 3.13": `make test` runs only on these.
# WHEEL=dist/name.whl: `make test` tests this wheel instead of building one.
ARGS ?=
PYTHONS ?=
QUICK ?=
WHEEL ?=
TESTS := $(if $(PYTHONS),$(foreach python,$(PYTHONS),tests-$(python)),$(if $(ARGS),tests,$(if $(CI),jaeger promtool) tests oldest-3.10 presets coverage check))

.DEFAULT_GOAL := help
.PHONY: help test clean demo jaeger promtool tiers check check-full sabotage mutation format dist bench bench-check supply-chain lock docs \
	foreign-suites

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

demo: .venv/tools/ready ## run the example service and show its rows and spans (a minute)
	@$(NOX) -s demo -- $(ARGS)

test: .venv/tools/ready ## test everything, against the installed wheel, on each Python found (half an hour with six)
	@WHEEL="$(WHEEL)" $(NOX) -s $(TESTS) $(if $(ARGS),-- $(ARGS))

jaeger: .venv/tools/ready ## build Jaeger into the user's cache, once (needs Go); its tests are skipped without it
	@$(NOX) -s jaeger

promtool: .venv/tools/ready ## unpack promtool into the user's cache, once (needs apt); its tests are skipped without it
	@$(NOX) -s promtool

tiers: jaeger ## run collectors, Kafka, ingesters and storage on this machine until Ctrl-C (needs Go, Java, Maven)
	@"$(PYTHON)" examples/tiers/run.py $(ARGS)

check: .venv/tools/ready ## check lint, formatting, types and the direction of imports
	@$(NOX) -s check

format: .venv/tools/ready ## fix lint and formatting
	@$(NOX) -s format

check-full: .venv/tools/ready ## run the long forms of the tests, three quarters of an hour (QUICK=1: half an hour)
	@QUICK="$(QUICK)" $(NOX) -s check-full

sabotage: .venv/tools/ready ## break the library in twenty ways, and check that a test fails each time
	@$(NOX) -s sabotage -- $(ARGS)

mutation: .venv/tools/ready ## count the mutants of the library that the tests notice (ARGS="row guard": folders)
	@$(NOX) -s mutation -- $(ARGS)

foreign-suites: .venv/tools/ready ## run other projects' own tests without and with the library (ARGS="flask httpx": these)
	@$(NOX) -s foreign-suites -- $(ARGS)

bench: .venv/tools/ready ## measure the cost of the library, compared with code by hand (ARGS=--quick: two minutes)
	@$(NOX) -s bench -- $(ARGS)

bench-check: .venv/tools/ready ## compare with benchmarks/baseline.json
	@$(NOX) -s bench -- check $(ARGS)

dist: .venv/tools/ready ## build wheel and sdist into dist/, twice, and check them
	@$(NOX) -s dist

supply-chain: .venv/tools/ready ## check builds, contents, dependencies, SBOM, bandit, zizmor
	@$(NOX) -s supply-chain

docs: .venv/tools/ready ## build the documentation into build/docs/
	@$(NOX) -s docs -- $(ARGS)

lock: .venv/tools/ready ## compile requirements/ from the groups in pyproject.toml (UPGRADE=1: the newest versions)
	@UPGRADE=$(UPGRADE) $(NOX) -s lock

clean: ## remove virtualenvs, builds and caches
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/tools/ready: requirements/tools.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.10 or newer found: install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) is not Python 3.10 or newer: name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' || { echo "make: $(PYTHON) has no venv and pip modules: install them (on Debian: apt install python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venv/tools
	@.venv/tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@
