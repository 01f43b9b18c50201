"""The sabotages fit the source: each finds its line, and names tests that exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tools import sabotage as program
from tools.sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda one: one.name)
def test_sabotage_fits_the_source(sabotage: Sabotage) -> None:
    """The pattern matches once in its folder, the edit changes the line, and each named test exists."""
    sources = [
        path.read_text(encoding="utf-8") for path in (ROOT / "src/otel_keyaudit" / sabotage.folder).rglob("*.py")
    ]
    found = [match for source in sources for match in re.finditer(sabotage.found, source, re.MULTILINE)]

    assert len(found) == 1
    assert found[0].expand(sabotage.replaced) != found[0][0]
    assert [name for name in sabotage.tests if not (ROOT / "tests" / name).exists()] == []


def test_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without sabotages would prove nothing, so one line names the word and the known sabotages."""
    monkeypatch.setattr(sys, "argv", ["sabotage", "--quick"])

    assert program.main() == 2
    assert capsys.readouterr().err.startswith("sabotage: no sabotage has '--quick' in its name; known are ")
