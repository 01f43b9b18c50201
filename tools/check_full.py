"""The checks that have a long form, in that form: what `make check-full` does."""

from __future__ import annotations

import os
import random
import sys
from functools import partial
from pathlib import Path

from dist import build
from environments import BUILD, PIP_INSTALL, StepError, main, run, say, tools_environment
from results import Results
from sabotage import sabotage

PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-n", "2")
MINUTES = 90
"""How long a step may take; the longest, isolation, needs about half of that on two cores."""

FUZZER = "tests/fuzz/fuzz_merge.py"
EXECUTIONS = 1_000_000
REPEATS = 3


def check_full() -> None:
    """Run every check, also when one has failed."""
    results = Results("make check-full")
    python = installed()
    tests = partial(run_tests, python)
    full = {"OTEL_KEYAUDIT_FULL": "1"}
    results.step("isolation, 20 seeds", partial(tests, "tests/isolation", "--durations=5", env=full))
    results.step("properties, 5,000 examples", partial(tests, "-m", "hypothesis", "--hypothesis-profile=full"))
    fuzz(results, python)
    results.step("sabotage", sabotage)
    for seed in random.sample(range(2**32), REPEATS):
        results.step(f"all tests in order {seed}", partial(tests, f"--randomly-seed={seed}"))
    results.close()


def installed() -> Path:
    """Return the Python of the virtualenv in which the wheel of this checkout is installed."""
    say("building and installing the wheel")
    python = tools_environment()
    wheel = build(python, BUILD / "dist")
    no_wheel = "the wheel could not be installed (see above)"
    run(python, *PIP_INSTALL, "--no-deps", "--force-reinstall", wheel, failure=no_wheel)
    return python


def run_tests(python: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run tests."""
    say(f"pytest {' '.join(arguments)}")
    run(python, *PYTEST, *arguments, failure="tests failed (see above)", env=env, minutes=MINUTES)


def fuzz(results: Results, python: Path) -> None:
    """Run the fuzzer where atheris is installed: there is none for every Python."""
    name = f"fuzzer, {EXECUTIONS:,} executions"
    say(name)
    try:
        run(python, "-c", "import atheris", failure="skipped: atheris cannot be imported, see tests/fuzz/fuzz_merge.py")
    except StepError as reason:
        results.note(f"{name:<32} {reason}")
        return
    failure = "the fuzzer found a difference, or stopped (see above)"
    results.step(name, partial(run, python, FUZZER, f"-runs={EXECUTIONS}", failure=failure, minutes=MINUTES))


if __name__ == "__main__":
    for variable in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[variable]  # the user's own telemetry settings are no part of the tests
    sys.exit(main("make check-full", check_full))
