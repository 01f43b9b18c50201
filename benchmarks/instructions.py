"""Machine instructions of a call, counted by valgrind: they repeat where times do not.

As a program it makes requests and nothing else: ``python -m benchmarks.instructions SCENARIO VARIANT CALLS``. Two runs
with different numbers of calls are subtracted, which leaves the calls alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks import application
from benchmarks.calls import ROWS, SCENARIOS, VARIANTS, Bench
from benchmarks.children import ROOT, command, environ
from benchmarks.figures import Figure, Skipped
from benchmarks.measure import Effort

FEW, MANY = 50, 250
VALGRIND = ("valgrind", "--tool=callgrind", "--dump-instr=no")


def instruction_figures(effort: Effort) -> Iterator[Figure | Skipped]:
    """Count the instructions of the two scenarios with recorded spans."""
    if not effort.full:
        yield Skipped("instructions", "takes some minutes: only in the full form")
        return
    if shutil.which("valgrind") is None:
        yield Skipped("instructions", "valgrind is not installed")
        return
    run(_program(SCENARIOS[0].name, VARIANTS[0], 1))  # what is imported is compiled here, and not in what is counted
    for scenario in SCENARIOS[:2]:
        counted = {variant: per_call(scenario.name, variant) for variant in VARIANTS}
        hand, ours = (counted[variant] - counted["plain"] for variant in VARIANTS[1:])
        yield Figure(
            f"instructions.{scenario.name}",
            f"instructions: {scenario.title}",
            ours / hand,
            details={"by hand": round(hand), "ours": round(ours), "request alone": round(counted["plain"])},
        )


def per_call(scenario: str, variant: str) -> float:
    """Return the instructions of one request."""
    few, many = (_counted(scenario, variant, calls) for calls in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def _counted(scenario: str, variant: str, calls: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        done = run([*VALGRIND, f"--callgrind-out-file={folder}/out", *_program(scenario, variant, calls)])
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise AssertionError(f"valgrind did not say how many instructions there were: {done.stderr[-300:]}")
    return int(found[1])


def _program(scenario: str, variant: str, calls: int) -> list[str]:
    return command("benchmarks.instructions", scenario, variant, calls)


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(arguments, cwd=ROOT, env=environ(), check=True, capture_output=True, text=True)


def main(scenario: str, variant: str, calls: int) -> None:
    """Make requests, half of them with JSON text."""
    application.present(application.make_key())
    bench = Bench(next(one for one in SCENARIOS if one.name == scenario))
    requests = [bench.request(variant, rows) for rows in ROWS]
    with bench.switched(variant):
        for number in range(calls):
            requests[number % len(requests)]()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
