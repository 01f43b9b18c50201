"""Static checks with the locked ruff and mypy: what `make check` and `make format` do."""

from __future__ import annotations

import sys

from environments import StepError, main, run, say, tools_environment

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "mypy of tools": ["mypy", "tools"],
}
TOOLS_PATH = {"MYPYPATH": "tools"}  # not in pyproject.toml: examples/quickstart has a demo.py, too


def check() -> None:
    """Run every check, also when one has failed."""
    python = tools_environment()
    failed = []
    for name, command in CHECKS.items():
        say(name)
        try:
            run(python, "-m", *command, failure=name, env=TOOLS_PATH if "tools" in command else None)
        except StepError:
            failed.append(name)
    if failed:
        message = f"{' and '.join(failed)} failed (see above; `make format` mends what it can)"
        raise StepError(message)


def mend() -> None:
    """Let ruff mend what it can."""
    python = tools_environment()
    run(python, "-m", "ruff", "check", "--fix-only", ".", failure="ruff check failed (see above)")
    run(python, "-m", "ruff", "format", ".", failure="ruff format failed (see above)")


if __name__ == "__main__":
    sys.exit(main("make format", mend) if "--mend" in sys.argv else main("make check", check))
