"""Break a copy of the library, once for each entry of `sabotages.py`, and check that a test fails: `make sabotage`.

Arguments select sabotages by a part of their names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/otel_keyaudit")
AT_ONCE = 2
SECONDS = 300
"""Maximum duration of the tests of one sabotage in seconds."""

PYTEST = ("-m", "pytest", "-q", "-rfE", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider")
NO_PROPERTIES = ("-m", "not hypothesis")  # a property that fails is tried again and again, for the smallest example
FAILED_ASSERTION = re.compile(
    r"^(?:FAILED|ERROR) tests/(\S+?::\w+).* - (?:assert\b|AssertionError|Failed: )", re.MULTILINE
)
"""A summary line of pytest for a failed assertion, of a test or of a fixture that checks what the test has left."""


def main() -> int:
    """Run the sabotages and print the test that noticed each; return the exit status."""
    words = sys.argv[1:]
    chosen = [one for one in SABOTAGES if all(word in one.name for word in words)]
    if not chosen:
        known = ", ".join(one.name for one in SABOTAGES)
        print(
            f"sabotage: no sabotage has {' and '.join(map(repr, words))} in its name; known are {known}",
            file=sys.stderr,
        )
        return 2
    print(f"the tests that must notice {len(chosen)} sabotages, on the library as it is", flush=True)
    code, output = run_tests(None, sorted({path for one in chosen for path in one.tests}))
    if code:
        print(f"{output[-3000:]}\nsabotage: these tests fail already, so they cannot tell", file=sys.stderr)
        return 1
    caught = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one, (is_caught, outcome) in zip(chosen, pool.map(attempt, chosen), strict=True):
            caught += is_caught
            print(f"{one.name:<46} {'caught by' if is_caught else 'NOT CAUGHT:'} {outcome}", flush=True)
    print(f"{caught}/{len(chosen)} sabotages caught")
    return 0 if caught == len(chosen) else 1


def attempt(one: Sabotage) -> tuple[bool, str]:
    """Return whether a test noticed the sabotage, and the name of the test or the reason why no test did."""
    try:
        code, output = run_tests(one, one.tests)
    except (LookupError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    if code == 0:
        return False, f"{one.breaks} No test of {', '.join(one.tests)} fails"
    if failed := FAILED_ASSERTION.search(output):
        return True, failed[1]
    return False, f"no assertion failed, but pytest ended with {code}: {output[-500:]}"


def run_tests(one: Sabotage | None, tests: list[str] | tuple[str, ...]) -> tuple[int, str]:
    """Run tests on a copy of the checkout, sabotaged or not; return pytest's exit code and output."""
    with tempfile.TemporaryDirectory(prefix="keyaudit-sabotage-") as name:
        copy = Path(name)
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if one is not None:
            edit(copy / PACKAGE / one.folder, one)
        environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}
        command = [
            sys.executable,
            *PYTEST,
            *NO_PROPERTIES,
            *(["-x"] if one else ["-n", "2"]),
            *(f"tests/{path}" for path in tests),
        ]
        seconds = SECONDS if one else SECONDS * len(SABOTAGES)
        done = subprocess.run(
            command, cwd=copy, env=environment, timeout=seconds, capture_output=True, text=True, check=False
        )
    return done.returncode, done.stdout + done.stderr


def edit(folder: Path, one: Sabotage) -> None:
    """Apply a sabotage to the one place in its folder that its pattern matches.

    Raises:
        LookupError: The pattern does not match exactly once, because the source has changed.
    """
    pattern = re.compile(one.found, re.MULTILINE)
    matches = {path: len(pattern.findall(path.read_text(encoding="utf-8"))) for path in folder.rglob("*.py")}
    if sum(matches.values()) != 1:
        places = {path.name: count for path, count in matches.items() if count}
        message = (
            f"the pattern {one.found!r} must match once in {one.folder}/, not in {places}: adapt tools/sabotages.py"
        )
        raise LookupError(message)
    (path,) = (path for path, count in matches.items() if count)
    path.write_text(pattern.sub(one.replaced, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
