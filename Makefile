# Needs make and Python 3.10 or newer with venv and pip; everything else is installed into .venv/ from the locks in
# requirements/. `make PYTHON=/path/to/python3 ...` names another interpreter.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$python" && break; done)

# for `make test`: PYTHONS="3.12 3.13" tests on these only, ARGS="-k name" goes to pytest; for `make demo`: ARGS
PYTHONS ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test jaeger check check-full sabotage mutation format dist bench bench-check supply-chain lock clean python

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 16

demo: python ## run the example service, send it requests, show rows and spans
	@"$(PYTHON)" tools/demo.py $(ARGS)

test: python ## test everything, against the installed wheel, on each Python here
	@"$(PYTHON)" tools/test.py $(foreach version,$(PYTHONS),--python $(version)) $(ARGS)

jaeger: python ## build Jaeger into the user's cache, once (needs Go); its tests are skipped without it
	@"$(PYTHON)" examples/jaeger/build/build.py

check: python ## ruff and mypy
	@"$(PYTHON)" tools/check.py

check-full: python ## the long forms of the checks, three quarters of an hour (ARGS=--quick: fewer seeds, half an hour)
	@"$(PYTHON)" tools/check_full.py $(ARGS)

sabotage: python ## break the library in twenty ways, each of which a test must notice
	@"$(PYTHON)" tools/sabotage.py

mutation: python ## change the library in thousands of small ways; how many do the tests notice (ARGS="guard merge": these)
	@"$(PYTHON)" tools/mutation.py $(ARGS)

format: python ## let ruff mend the form
	@"$(PYTHON)" tools/check.py --mend

dist: python ## build wheel and sdist into dist/, twice, and check them
	@"$(PYTHON)" tools/dist.py

bench: python ## measure what the library costs, against code by hand (ARGS=--quick: two minutes)
	@"$(PYTHON)" tools/bench.py $(ARGS)

bench-check: python ## fail when a ratio is more than 10 % worse than benchmarks/baseline.json
	@"$(PYTHON)" tools/bench.py check $(ARGS)

supply-chain: python ## what is published and how: builds, contents, dependencies, SBOM, bandit, zizmor
	@"$(PYTHON)" tools/supply_chain.py

lock: python ## compile requirements/*.in again (needs uv); UPGRADE=1 moves to the newest versions
	@"$(PYTHON)" tools/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove virtualenvs, builds and caches
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.10 or newer found: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) is not Python 3.10 or newer: say make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) has no venv and pip modules: install them (on Debian: apt install python3-venv)" >&2; exit 1; }
