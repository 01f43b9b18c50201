"""Tells in JSON which mutants of a module survived; tools/mutation.py runs it where mutmut is installed.

python survivors.py src/otel_keyaudit/module.py TESTS ...
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.state import state
from mutmut.stats import load_stats, status_by_exit_code

COLLECT = ("--collect-only", "-q", "-p", "no:cacheprovider")
KILLED = {"killed", "timeout", "segfault"}


def survivors(path: str, tests: list[str]) -> dict[str, object]:
    """Return how many mutants there are, and of each that survived its name, the line and what became of it."""
    data = SourceFileMutationData(path=path)
    data.load()
    alive = [name for name, code in data.exit_code_by_key.items() if status_by_exit_code[code] not in KILLED]
    found = [(name, *change(name, path)) for name in alive]
    early = early_functions(tests)
    check_ids()
    early_ones = [name for name in alive if re.sub(r"__mutmut_\d+$", "", name) in early]
    return {"mutants": len(data.exit_code_by_key), "survivors": found, "early": early_ones}


def change(name: str, path: str) -> tuple[str, str]:
    """Return what a mutant takes away and what it puts there, each in one line."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    removed, added = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return removed, added


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """Run a block in a folder, and with its output among the errors."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.chdir(before)


def early_functions(tests: list[str]) -> set[str]:
    """Return the functions that are called while the library and its tests are imported."""
    os.environ["MUTANT_UNDER_TEST"] = "stats"
    with inside("mutants"):
        pytest.main([*COLLECT, *tests])
    return set(state()._stats)


def check_ids() -> None:
    """Check that tests can be chosen by their ids, as mutmut does in a process that has collected them before.

    Where one cannot, mutmut takes that for a test that fails. It happens to ids with a backslash.
    """
    load_stats()
    by_function = state().tests_by_mangled_function_name.values()
    with inside("mutants"):
        code = pytest.main([*COLLECT, *sorted(set().union(*by_function))])
    if code:
        sys.exit("a test cannot be chosen by its id (see above): give it another one with ids=")


if __name__ == "__main__":
    json.dump(survivors(sys.argv[1], sys.argv[2:]), sys.stdout)
