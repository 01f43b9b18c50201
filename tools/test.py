"""Everything, against the installed wheel, on each supported Python: what `make test` does.

    python tools/test.py [--wheel dist/name.whl] [--python 3.12 ...] [arguments of pytest]

The wheel is built unless one is named. With either of the last two the run is partial: no coverage limit, no static
checks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from check import check
from dist import build
from environments import (
    BUILD,
    VERSIONS,
    StepError,
    environment,
    forget_telemetry_settings,
    install_wheel,
    interpreter,
    main,
    run,
    say,
    tools_environment,
)
from results import Results

CI = bool(os.environ.get("CI"))
COVERAGE = BUILD / "coverage"
PYTEST = ["-m", "coverage", "run", "-m", "pytest", "-n", "2"]

SETS = {
    "dev": "newest set",
    "oldest": "oldest set",
    "presets": "libraries with presets",
    "presets_oldest": "the same, oldest",
}
PRESETS_VERSIONS = ("3.12", "3.13")
"""What all of these libraries have releases for."""

INSTALLED_WHEEL = """
import sys, pathlib, otel_keyaudit
found = pathlib.Path(otel_keyaudit.__file__)
sys.exit(None if pathlib.Path(sys.prefix) in found.parents else f"otel_keyaudit is imported from {found}")
"""
LOWER_BOUNDS = """
import sys
from importlib.metadata import requires, version
from packaging.requirements import Requirement
from packaging.version import Version
for requirement in map(Requirement, requires("otel-keyaudit")):
    (bound,) = (part.version for part in requirement.specifier if part.operator == ">=")
    if Version(bound) != Version(version(requirement.name)):
        sys.exit(f"the lower bound of {requirement} is not what is tested: {version(requirement.name)}")
"""


def test() -> None:
    """Run the whole, or the part that the command line asks for."""
    parser = argparse.ArgumentParser(prog="tools/test.py", allow_abbrev=False)
    parser.add_argument("--python", action="append", choices=VERSIONS)
    parser.add_argument("--wheel", type=Path)
    options, pytest_arguments = parser.parse_known_args()
    whole = not (options.python or pytest_arguments)
    results = Results("make test")
    if CI and whole:
        say("Jaeger, for the tests that need it")
        build_jaeger = partial(run, sys.executable, "examples/jaeger/build/build.py")
        results.step("Jaeger", partial(build_jaeger, failure="there is no Jaeger to test with (see above)"))

    wanted = [version for version in VERSIONS if version in (options.python or VERSIONS)]
    found = {version: python for version in wanted if (python := interpreter(version))}
    for version in wanted:
        if version not in found:
            results.note(f"Python {version:<25} {'MISSING' if CI else 'not found here: not tested'}", failed=CI)
    if not found:
        message = f"none of Python {', '.join(wanted)} was found on PATH or in pyenv: install one"
        raise StepError(message)

    wheel = options.wheel or built()
    shutil.rmtree(COVERAGE, ignore_errors=True)
    versions = list(found)
    oldest, newest = versions[0], versions[-1]
    runs = [(oldest, "dev"), (oldest, "oldest"), *((version, "dev") for version in versions[1:])]
    if newest in PRESETS_VERSIONS and not pytest_arguments:
        runs += [(newest, "presets"), (newest, "presets_oldest")]
    for version, lock in runs:
        run_tests = partial(tested, version, lock, found[version], wheel, pytest_arguments)
        results.step(f"Python {version}, {SETS[lock]}", run_tests)
    if whole:
        results.step("coverage of all runs together", lambda: covered(environment(f"py{newest}", "dev", found[newest])))
        results.step("ruff and mypy", check)
    results.close()


def built() -> Path:
    """Return a wheel of this checkout."""
    say("building the wheel")
    return build(tools_environment(), BUILD / "dist")


def tested(version: str, lock: str, interpreter: str, wheel: Path, pytest_arguments: list[str]) -> None:
    """Install the wheel beside one set of requirements, make sure that it is what is tested, and run the tests."""
    say(f"Python {version} with requirements/{lock}.txt")
    name = f"py{version}" if lock == "dev" else f"py{version}-{lock}"
    python = environment(name, lock, interpreter)
    install_wheel(python, wheel)
    outside = f"requirements/{lock}.txt is outside of the ranges in pyproject.toml (see above)"
    run(python, "-m", "pip", "check", failure=outside)
    run(python, "-c", INSTALLED_WHEEL, failure="the tests would not see the installed wheel (see above)")
    if lock == "oldest":
        run(python, "-c", LOWER_BOUNDS, failure="requirements/oldest.in and pyproject.toml disagree (see above)")
    env = {"COVERAGE_FILE": str(COVERAGE / f".coverage.{name}"), "PYTHONDONTWRITEBYTECODE": "1"}
    if lock.startswith("presets"):
        env["KEYAUDIT_PRESETS"] = "1"  # elsewhere these tests are left out without their libraries
        pytest_arguments = ["tests/presets", "tests/sql"]
    COVERAGE.mkdir(parents=True, exist_ok=True)
    run(python, *PYTEST, *pytest_arguments, failure="tests failed (see above)", env=env)


def covered(python: Path) -> None:
    """Put the coverage of all runs together and hold it against the limit in pyproject.toml."""
    say("coverage of all runs together")
    env = {"COVERAGE_FILE": str(COVERAGE / "all")}
    data = sorted(COVERAGE.glob(".coverage.*"))
    run(python, "-m", "coverage", "combine", "--quiet", "--keep", *data, failure="no coverage was measured", env=env)
    run(python, "-m", "coverage", "report", failure="too little is covered (see above)", env=env)


if __name__ == "__main__":
    forget_telemetry_settings()
    sys.exit(main("make test", test))
