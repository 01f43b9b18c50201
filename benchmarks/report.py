"""The results as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Skipped


def show(figures: Sequence[Figure], skipped: Sequence[Skipped]) -> None:
    """Print a table: rich in a terminal, plain text in a pipe."""
    rows = [(one.title, _value(one), _goal(one), _verdict(one), _details(one)) for one in figures]
    if sys.stdout.isatty():
        table = Table("figure", "value", "goal", "", "details")
        for row in rows:
            table.add_row(*row, style="red" if row[3] == "missed" else None)
        Console().print(table)
    else:
        width = max((len(row[0]) for row in rows), default=0)
        for title, value, goal, verdict, details in rows:
            print(f"{title:<{width}}  {value:>10}  {goal:>8}  {verdict:<6}  {details}".rstrip())
    for one in skipped:
        print(f"not measured: {one.name}: {one.reason}")


def write(path: Path, form: str, figures: Sequence[Figure], skipped: Sequence[Skipped]) -> None:
    """Write the results as JSON."""
    content = {
        "form": form,
        **machine(),
        "figures": [one.as_object() for one in figures],
        "skipped": {one.name: one.reason for one in skipped},
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written to {path}")


def machine() -> dict[str, Any]:
    """Return what the absolute times belong to; the ratios hardly depend on it."""
    return {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}


def _value(figure: Figure) -> str:
    return f"{figure.value:.3g} {figure.unit}" if figure.unit else f"{figure.value:.3f}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'≥' if figure.higher_is_better else '≤'} {figure.goal:.4g}"


def _verdict(figure: Figure) -> str:
    return {None: "", True: "met", False: "missed"}[figure.is_met]


def _details(figure: Figure) -> str:
    return ", ".join(f"{name} {value}" for name, value in figure.details.items() if not isinstance(value, dict))
