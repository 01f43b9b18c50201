"""The files of tests/unit mirror the modules of src."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
PACKAGE = ROOT / "src" / "otel_keyaudit"


def stray(unit: Path, package: Path) -> list[str]:
    """Return the test files that name no module.

    ``test_<module>_<behavior>.py`` may stand beside ``test_<module>.py``, so that no file becomes too long.
    """
    return [
        str(file.relative_to(unit))
        for file in sorted(unit.rglob("test_*.py"))
        if not any(_is_for(module, file) for module in (package / file.parent.relative_to(unit)).glob("*.py"))
    ]


def _is_for(module: Path, file: Path) -> bool:
    mirror = f"test_{module.stem.lstrip('_')}"
    return file.stem == mirror or (file.stem.startswith(f"{mirror}_") and file.with_stem(mirror).exists())


def test_each_unit_test_names_a_module() -> None:
    """A test of a promise or of a whole path lies in tests/promises or tests/integration."""
    assert stray(UNIT, PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "is_stray"),
    [
        ("row/test_merge.py", False),
        ("row/test_merge_of_lists.py", False),
        ("row/test_definition.py", False),
        ("row/test_merging.py", True),
        ("row/test_other_of_lists.py", True),
        ("test_merge.py", True),
        ("rows/test_merge.py", True),
    ],
)
def test_stray_file_is_found(tmp_path: Path, file: str, is_stray: bool) -> None:
    """A file is stray unless it has the folder and the name of a module, or a longer name beside such a file."""
    package, unit = tmp_path / "package", tmp_path / "unit"
    for path in (package / "row/merge.py", package / "row/other.py", package / "row/_definition.py"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for path in (unit / "row/test_merge.py", unit / file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert stray(unit, package) == ([file] if is_stray else [])
