"""Runs the benchmarks: ``python -m benchmarks [run|check|baseline|profile] [--quick] [--only GROUP ...]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import baseline, report
from benchmarks.audit_sql import sql_figures
from benchmarks.calls import call_figures
from benchmarks.day import day_figures
from benchmarks.figures import Figure, Group, Skipped
from benchmarks.floors import floor_figures
from benchmarks.instructions import instruction_figures
from benchmarks.measure import FULL, QUICK, TINY, Effort
from benchmarks.memory import memory_figures
from benchmarks.peers import peer_figures
from benchmarks.profile_calls import profile
from benchmarks.server import server_figures
from benchmarks.startup import startup_figures

GROUPS: dict[str, Group] = {
    "calls": call_figures,
    "server": server_figures,
    "day": day_figures,
    "startup": startup_figures,
    "memory": memory_figures,
    "instructions": instruction_figures,
    "peers": peer_figures,
    "sql": sql_figures,
    "floors": floor_figures,
}
COMPARED = ("calls", "server", "day")
"""The groups that ``check`` measures."""

FORMS = {"full": FULL, "quick": QUICK, "tiny": TINY}
RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Do what the command line says; 1 when something failed or became worse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", allow_abbrev=False)
    parser.add_argument("command", nargs="?", default="run", choices=("run", "check", "baseline", "profile"))
    parser.add_argument("--quick", dest="form", action="store_const", const="quick", help="under a minute, and rough")
    parser.add_argument("--form", choices=FORMS, help="how much is measured (check: quick, else: full)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="these groups of figures")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--baseline", type=Path, default=baseline.PATH, help="the ratios that are compared")
    options = parser.parse_args()
    if options.command == "profile":
        profile()
        return 0
    is_check = options.command == "check"
    form = options.form or ("quick" if is_check else "full")
    groups = options.only or (COMPARED if is_check else tuple(GROUPS))
    ratios = baseline.read(options.baseline, form) if is_check else {}
    if is_check and not ratios:
        make = f"make one with `python -m benchmarks baseline --form {form}`"
        print(f"there is no baseline for Python {baseline.PYTHON} in the {form} form: {make}")
        return 1
    figures, skipped, failed = measure(groups, FORMS[form])
    report.show(figures, skipped)
    report.write(options.json, form, figures, skipped)
    if options.command == "baseline":
        baseline.write(options.baseline, form, figures)
    if is_check and not failed:
        return check(figures, ratios, FORMS[form])
    return int(failed)


def measure(groups: Sequence[str], effort: Effort) -> tuple[list[Figure], list[Skipped], bool]:
    """Measure some groups; one that fails is said, and the others are measured all the same."""
    figures: list[Figure] = []
    skipped: list[Skipped] = []
    failed = False
    for name in groups:
        started = time.monotonic()
        print(f"==> {name}", end="", flush=True, file=sys.stderr)
        try:
            for one in GROUPS[name](effort):
                (figures if isinstance(one, Figure) else skipped).append(one)  # type: ignore[arg-type]
        except (AssertionError, OSError, subprocess.CalledProcessError) as error:
            failed = True
            skipped.append(Skipped(name, f"FAILED: {error}"))
        print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr)
    return figures, skipped, failed


def check(figures: Sequence[Figure], ratios: dict[str, float], effort: Effort) -> int:
    """Say what is more than ten per cent worse than the baseline; what seems to be is measured a second time."""
    suspects = {one.name for one in baseline.regressions(figures, ratios)}
    if suspects:
        print(f"measured again, since these seem worse: {', '.join(sorted(suspects))}")
        groups = [name for name in COMPARED if any(_group(suspect) == name for suspect in suspects)]
        again, _, _ = measure(groups, effort)
        worse = [one for one in baseline.regressions(again, ratios) if one.name in suspects]
        for one in worse:
            print(f"worse than the baseline: {one.name} is {one.value:.3f}, was {ratios[one.name]:.3f}")
        if worse:
            return 1
    print(f"nothing is more than ten per cent worse than the baseline ({len(ratios)} ratios)")
    return 0


def _group(name: str) -> str:
    first = name.partition(".")[0]
    return "calls" if first in ("call", "growth") else first


if __name__ == "__main__":
    sys.exit(main())
