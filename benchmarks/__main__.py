"""Run the benchmarks: ``python -m benchmarks [run|check|baseline] [--quick] [--only NAME ...]``."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    bytecodes,
    compiled_targets,
    cpu,
    day,
    decisions,
    keys_and_scopes,
    memory,
    peers,
    report,
    server,
    sql,
    startup,
)
from benchmarks.figure import Figure, table

MEASURES: Final[dict[str, Callable[..., Iterator[Figure]]]] = {
    "bytecodes": bytecodes.figures,
    "decisions": decisions.figures,
    "cpu": cpu.figures,
    "growth": keys_and_scopes.figures,
    "memory": memory.figures,
    "compiled": compiled_targets.figures,
    "day": day.figures,
    "server": server.figures,
    "startup": startup.figures,
    "peers": peers.figures,
    "sql": sql.figures,
    "report": report.figures,
}
BASELINE: Final = Path(__file__).with_name("baseline.json")
PYTHON: Final = ".".join(platform.python_version_tuple()[:2])
TOLERANCE: Final = 1.05
"""Maximum ratio of a count to the baseline; a higher one fails the check."""


def main(arguments: Iterable[str]) -> int:
    """Run a command; return 1 if the check fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", allow_abbrev=False)
    parser.add_argument(
        "command", nargs="?", default="run", choices=("run", "check", "baseline"),
        help="measure everything; compare the bytecodes with the baseline; write the baseline",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="less of everything: rough figures")
    parser.add_argument("--only", nargs="+", choices=MEASURES, help="measure these only")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="another baseline file")
    options = parser.parse_args([*arguments])
    if options.command == "run":
        show(options.only or MEASURES, quick=options.quick)
        return 0
    counts = {figure.name: figure.value for figure in show(["bytecodes", "decisions"], quick=options.quick)}
    return write(counts, options.baseline) if options.command == "baseline" else check(counts, options.baseline)


def show(names: Iterable[str], *, quick: bool) -> list[Figure]:
    """Measure and print."""
    figures: list[Figure] = []
    for name in names:
        print(f"==> {name}", file=sys.stderr)
        figures += MEASURES[name](quick=quick)
    print(table(figures))
    return figures


def write(counts: dict[str, float], path: Path) -> int:
    """Write the baseline of this Python."""
    path.write_text(json.dumps({**_read(path), PYTHON: counts}, indent=1) + "\n")
    return 0


def check(counts: dict[str, float], path: Path) -> int:
    """Compare counts with the baseline; return 1 if one is too high, or if there is none to compare with."""
    baseline = _read(path).get(PYTHON)
    if not baseline:
        print(f"there is no baseline for Python {PYTHON}; make one with `python -m benchmarks baseline`")
        return 1
    worse = [name for name, count in counts.items() if count > TOLERANCE * baseline.get(name, 0)]
    for name in worse:
        print(f"worse than the baseline: {name} is {counts[name]:,g}, was {baseline.get(name, 'not measured')}")
    if not worse:
        print(f"no count is more than {TOLERANCE - 1:.0%} above the baseline")
    return int(bool(worse))


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
