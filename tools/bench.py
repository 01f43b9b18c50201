"""Measure what the library costs: what `make bench` and `make bench-check` do."""

from __future__ import annotations

import sys

from environments import main, run, tools_environment


def bench() -> None:
    """Hand over to benchmarks/, which measures the checkout's own sources."""
    command = ("-m", "benchmarks", *sys.argv[1:])
    run(tools_environment(), *command, failure="the benchmarks failed (see above)", env={"PYTHONPATH": "src"})


if __name__ == "__main__":
    sys.exit(main("make bench", bench))
