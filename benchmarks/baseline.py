"""The committed ratios that a change is held against: ``baseline.json``, by version of Python, form and name."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.figures import Figure

PATH = Path(__file__).with_name("baseline.json")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""A ratio is worth nothing under another one: what Python functions cost has changed with each."""


def read(path: Path, form: str) -> dict[str, float]:
    """Return the ratios of a form by name; there are none for a Python under which nobody has measured."""
    ratios: dict[str, float] = json.loads(path.read_text()).get(PYTHON, {}).get(form, {})
    return ratios


def write(path: Path, form: str, figures: Iterable[Figure]) -> None:
    """Put the ratios of a form in the place of those that are there; ratios that were not measured stay."""
    content = json.loads(path.read_text()) if path.exists() else {}
    forms = content.setdefault(PYTHON, {})
    forms[form] = forms.get(form, {}) | {one.name: round(one.value, 4) for one in figures if one.is_compared}
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def regressions(figures: Iterable[Figure], baseline: Mapping[str, float]) -> list[Figure]:
    """Return the figures that are more than ten per cent worse than the baseline."""
    return [
        one for one in figures if one.is_compared and one.name in baseline and one.is_worse_than(baseline[one.name])
    ]
