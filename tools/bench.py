"""Measure what the library costs: what `make bench` and `make bench-check` do, with the Python of the baseline."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from environments import ROOT, VERSIONS, environment, main, run, tools_environment

SHORTER = {"check", "profile", "--quick", "--form"}
"""With any of these, peers and PostgreSQL are left out."""


def bench() -> None:
    """Hand over to benchmarks/, which measures the checkout's own sources."""
    command = ("-m", "benchmarks", *sys.argv[1:])
    run(python(), *command, failure="the benchmarks failed (see above)", env={"PYTHONPATH": "src"})


def python() -> Path:
    """Return the Python to measure with; in the full form it has peers and a PostgreSQL beside it."""
    measured = json.loads((ROOT / "benchmarks" / "baseline.json").read_text())
    development = tools_environment((*measured, *VERSIONS))
    return development if SHORTER & {*sys.argv[1:]} else environment("bench", "bench", development)


if __name__ == "__main__":
    sys.exit(main("make bench", bench))
