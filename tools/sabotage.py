"""Breaks the library on purpose, each time in a copy, and requires its tests to notice: what `make sabotage` does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from environments import ROOT, StepError, environ, main, say, tools_environment
from results import Results
from sabotages import SABOTAGES, Sabotage

AT_ONCE = 2
SECONDS = 120
"""How long the tests of one sabotage may take; most end within a few seconds."""

PYTEST = ("-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:randomly", "-p", "no:cacheprovider")
EXAMPLES_ONLY = ("-m", "not hypothesis")  # a property that fails is tried again and again, for the smallest example
FAILED_ASSERTION = re.compile(r"^FAILED tests/(\S+?::\w+).* - (?:assert\b|AssertionError|Failed: )", re.MULTILINE)
"""A line of pytest's summary about an assertion of a test: not an error of its set-up, nor a failure to start."""


def sabotage() -> None:
    """Try every sabotage, and say which test caught it."""
    python = tools_environment()
    results = Results("make sabotage")
    say(f"the tests that must notice {len(SABOTAGES)} sabotages, on the library as it is")
    files = {name for one in SABOTAGES for name in one.tests}
    code, _ = run_tests(python, None, sorted(files))
    if code:
        raise StepError("they fail already, so they cannot tell")
    say(f"{len(SABOTAGES)} sabotages, {AT_ONCE} at once")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pending = {pool.submit(caught_by, python, one): one for one in SABOTAGES}
        outcomes = {}
        for done in as_completed(pending):
            one = pending[done]
            outcomes[one] = done.exception() or done.result()
            print(f"{len(outcomes):>3}  {one.name}", flush=True)
    for one in SABOTAGES:
        outcome = outcomes[one]
        is_caught = isinstance(outcome, str)
        results.note(f"{one.name:<46} {'' if is_caught else 'NOT '}caught: {outcome}", failed=not is_caught)
    say(f"{len(SABOTAGES) - results.failed}/{len(SABOTAGES)} sabotages caught")
    results.close()


def caught_by(python: Path, one: Sabotage) -> str:
    """Return the test that fails first under a sabotage.

    Raises:
        StepError: There is none, or the sabotage cannot be tried.
    """
    code, output = run_tests(python, one, one.tests)
    failed = FAILED_ASSERTION.search(output)
    if code == 0:
        message = f"{one.breaks} No test of {', '.join(one.tests)} fails"
        raise StepError(message)
    if code != 1 or failed is None:
        message = f"no assertion of a test failed, but pytest ended with {code}: {output[-500:]}"
        raise StepError(message)
    return failed[1]


def run_tests(python: Path, one: Sabotage | None, files: Iterable[str]) -> tuple[int, str]:
    """Run test files on a copy of the checkout, sabotaged or not; return pytest's exit code and output."""
    with tempfile.TemporaryDirectory(prefix="keyaudit-sabotage-") as name:
        copy = Path(name)
        copied(copy)
        if one is not None:
            edit(copy / "src" / "otel_keyaudit" / one.module, one)
        command = [str(python), *PYTEST, *EXAMPLES_ONLY, *(f"tests/{file}" for file in files)]
        env = environ({"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"})
        seconds = SECONDS if one is not None else len(SABOTAGES) * SECONDS
        try:
            done = subprocess.run(
                command, cwd=copy, env=env, timeout=seconds, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            message = f"the tests did not end within {seconds} seconds"
            raise StepError(message) from None
    return done.returncode, done.stdout + done.stderr


def copied(folder: Path) -> None:
    """Copy what the tests need."""
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def edit(path: Path, one: Sabotage) -> None:
    """Make the edit.

    Raises:
        StepError: Its text is not there exactly once: the source has changed, and the sabotage must follow.
    """
    source = path.read_text(encoding="utf-8")
    if (count := source.count(one.found)) != 1:
        message = f"{one.found!r} is {count} times in {path.name}, not once"
        raise StepError(message)
    path.write_text(source.replace(one.found, one.replaced), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main("make sabotage", sabotage))
