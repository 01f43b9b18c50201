"""Measure what the library costs: what `make bench` and `make bench-check` do."""

from __future__ import annotations

import sys
from pathlib import Path

from environments import environment, main, run, tools_environment

SHORTER = {"check", "profile", "--quick", "--form"}
"""With any of these, peers and PostgreSQL are left out."""


def bench() -> None:
    """Hand over to benchmarks/, which measures the checkout's own sources."""
    command = ("-m", "benchmarks", *sys.argv[1:])
    run(python(), *command, failure="the benchmarks failed (see above)", env={"PYTHONPATH": "src"})


def python() -> Path:
    """Return the Python to measure with: the tools' own, and in the full form one that has everything beside it."""
    tools = tools_environment()
    return tools if SHORTER & {*sys.argv[1:]} else environment("bench", "bench", tools)


if __name__ == "__main__":
    sys.exit(main("make bench", bench))
