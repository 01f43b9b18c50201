"""Count the mutants of the library that its tests notice: `make mutation`, with folders as arguments.

mutmut creates and tests the mutants. The tests mirror the folders of the package, so the mutants of a folder are tested
by the unit tests of that folder, those of its integrations, and the tests of the promises. A line whose mutants no test
can notice has a `# pragma: no mutate` with the reason. Each folder has a copy of the checkout in build/mutation/ with
mutmut's results.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIES = ROOT / "build" / "mutation"
PACKAGE = Path("src/otel_keyaudit")
COPIED = ("src", "tests", "examples", "docs")

FACE = "face"
"""The modules outside of the folders: instrumentor, settings, errors and so on."""
FOLDERS = ("guard", "key", "patching", "request", "targets", "row", "observers", "installation", "presets", "testing")

GUARDED = (
    "guard/*",
    "request/attribution.py",
    "request/request_keys.py",
    "request/state.py",
    "row/members/authorship.py",
    "row/field_place.py",
    "row/merge.py",
    "row/json_object.py",
    "row/members/reserved_names.py",
    "row/members/snapshot_member.py",
    "row/text_encoding.py",
    "row/members/written_members.py",
    "observers/sampling/*",
)
"""Modules that protect the application, name the key, merge and sample."""
INTEGRATIONS = {"row": ["tests/integration/rows"], "presets": ["tests/presets"]}
"""Tests of a folder with real libraries."""

GUARDED_FLOOR = 95.0
OVERALL_FLOOR = 85.0
"""Percentage of the mutants that the tests must notice."""

TIMED_OUT = {24, 36, -24, 152, 255}
NOTICED = {1, 3, -11, *TIMED_OUT}
"""Exit codes by which mutmut reports a mutant as killed, timed out or crashed."""

# unraisableexception collects garbage after each test, and Hypothesis runs a failing property repeatedly
CONFIGURATION = """
[tool.mutmut]
source_paths = ["src/"]
only_mutate = {modules}
also_copy = ["examples", "docs"]
pytest_add_cli_args = [
    "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:unraisableexception",
    "-m", "not hypothesis and not unmutated",
]
pytest_add_cli_args_test_selection = {tests}
timeout_constant = 2.0
timeout_multiplier = 6.0
use_git_change_detection = false
"""


def main() -> int:
    """Test the mutants of the folders and compare the scores with the floors; return the exit status."""
    chosen = sys.argv[1:] or [*FOLDERS, FACE]
    if unknown := {*chosen} - {*FOLDERS, FACE}:
        print(
            f"mutation: no such folder: {', '.join(unknown)} (there are {', '.join(FOLDERS)}, {FACE})", file=sys.stderr
        )
        return 2
    scores: dict[str, tuple[int, int]] = {}
    for folder in chosen:
        print(f"==> {folder}", flush=True)
        scores |= tested(folder)
    for module, (noticed, mutants) in sorted(scores.items()):
        print(f"{module:<40} {noticed:>5} of {mutants:>5} noticed {percentage(noticed, mutants):6.1f} %")
    guarded = {name: score for name, score in scores.items() if any(fnmatch(name, area) for area in GUARDED)}
    below = [name for name, score in guarded.items() if percentage(*score) < GUARDED_FLOOR]
    overall = percentage(sum(score[0] for score in scores.values()), sum(score[1] for score in scores.values()))
    print(
        f"overall {overall:.1f} % (at least {OVERALL_FLOOR} %); below {GUARDED_FLOOR} %: {', '.join(below) or 'none'}"
    )
    print(f"a survivor: cd {COPIES.relative_to(ROOT)}/FOLDER, then mutmut results, mutmut show NAME")
    return 1 if below or overall < OVERALL_FLOOR else 0


def tested(folder: str) -> dict[str, tuple[int, int]]:
    """Test the mutants of a folder; return the numbers of noticed and of all mutants by module."""
    copy = COPIES / folder
    update(copy)
    modules = [f"{PACKAGE}/{folder}/*"] if folder != FACE else [str(path) for path in PACKAGE.glob("*.py")]
    tests = [
        "tests/promises",
        *INTEGRATIONS.get(folder, ()),
        *(map(str, Path("tests/unit").glob("*.py")) if folder == FACE else [f"tests/unit/{folder}"]),
    ]
    own = CONFIGURATION.format(modules=json.dumps(modules), tests=json.dumps(tests))
    (copy / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8") + own, encoding="utf-8")
    # Python ignores folders of PYTHONPATH that do not exist when it starts
    (copy / "mutants" / "src").mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(copy / "mutants" / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["mutmut", "run", "--max-children", "2"], cwd=copy, env=environment, check=True)
    scores = {}
    for path in (copy / "mutants" / PACKAGE).rglob("*.meta"):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].values()
        if codes:
            module = str(path.relative_to(copy / "mutants" / PACKAGE)).removesuffix(".meta")
            scores[module] = (sum(code in NOTICED for code in codes), len(codes))
            if late := sum(code in TIMED_OUT for code in codes):  # many: a test hangs in the processes of mutmut
                print(f"{module}: {late} mutants timed out")
    return scores


def update(copy: Path) -> None:
    """Update the copy of the checkout, without touching unchanged files and mutmut's results."""
    for part in COPIED:
        current = {path for path in (ROOT / part).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        for path in current:
            target = copy / path.relative_to(ROOT)
            if not target.exists() or target.read_bytes() != path.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        for target in list((copy / part).rglob("*")):
            if target.is_file() and ROOT / target.relative_to(copy) not in current:
                target.unlink()


def percentage(noticed: int, mutants: int) -> float:
    """Return the share of noticed mutants in per cent."""
    return 100 * noticed / mutants if mutants else 100.0


if __name__ == "__main__":
    sys.exit(main())
