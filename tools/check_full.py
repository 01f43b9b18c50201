"""The checks that have a long form, in that form: what `make check-full` does.

    python tools/check_full.py [--quick]

The quick form has 4 seeds of the isolation tests in place of 20, and fits in half an hour on two cores.
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

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
from sabotage import sabotage

PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-o", f"faulthandler_timeout={30 * 60}")
MINUTES = 90
"""How long a step may take; the longest, isolation, needs about half of that on two cores."""

ISOLATION = "tests/isolation"
SEEDS = 20
QUICK_SEEDS = 4
FULL = {"OTEL_KEYAUDIT_FULL": "1"}
EXAMPLES = "--hypothesis-profile=full"

FUZZER = "tests/fuzz/fuzz_merge.py"
EXECUTIONS = 1_000_000
REPEATS = 3


def check_full() -> None:
    """Run every check, also when one has failed."""
    quick = sys.argv[1:] == ["--quick"]
    results = Results("make check-full")
    python = tools_environment()
    wheel = build(python, BUILD / "dist")
    install_wheel(python, wheel)
    tests = partial(run_tests, python)
    # the short steps first, so that a failure shows early
    results.step("leaks, 50,000 calls", partial(tests, "tests/test_leaks.py", env=FULL))
    results.step("transparency, 1,000 of each kind", partial(tests, "tests/test_transparency.py", EXAMPLES))
    results.step("properties, up to 5,000 examples", partial(tests, "-m", "hypothesis", EXAMPLES))
    with_vendors(results, wheel)
    results.step("sabotage", sabotage)
    for seed in random.sample(range(2**32), REPEATS):
        results.step(f"all tests in order {seed}", partial(tests, f"--randomly-seed={seed}"))
    seeds = QUICK_SEEDS if quick else SEEDS
    results.step(f"isolation, {seeds} seeds of 10,000", partial(tests, *isolation(seeds), "--durations=5", env=FULL))
    results.close()


def isolation(seeds: int) -> list[str]:
    """Return the tests for some of the seeds, by what stands behind each test's name."""
    others = [f"{seed}]" for seed in range(seeds, SEEDS)]
    return [ISOLATION, "-k", " and ".join(f"not [{other}" for other in others)] if others else [ISOLATION]


def run_tests(python: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run tests."""
    say(f"pytest {' '.join(arguments)}")
    run(python, *PYTEST, *arguments, failure="tests failed (see above)", env=env, minutes=MINUTES)


def with_vendors(results: Results, wheel: Path) -> None:
    """Run what needs more than the development tools, on the newest Python here: the fuzzer, and vendors' scrubbers."""
    newest = next((found for version in reversed(VERSIONS) if (found := interpreter(version))), sys.executable)
    python = environment("check_full", "check_full", newest)
    install_wheel(python, wheel)
    results.step("scrubbers of vendors", partial(run_tests, python, "tests/test_scrubbers.py", "-p", "no:logfire"))
    name = f"fuzzer, {EXECUTIONS:,} executions"
    say(name)
    try:
        run(python, "-c", "import atheris", failure="skipped: there is no atheris for this Python and machine")
    except StepError as reason:
        results.note(f"{name:<32} {reason}")
        return
    failure = "the fuzzer found a difference, or stopped (see above)"
    results.step(name, partial(run, python, FUZZER, f"-runs={EXECUTIONS}", failure=failure, minutes=MINUTES))


if __name__ == "__main__":
    forget_telemetry_settings()
    sys.exit(main("make check-full", check_full))
