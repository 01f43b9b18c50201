"""Tells in JSON which mutants of a module survived; tools/mutation.py runs it where mutmut is installed."""

from __future__ import annotations

import json
import sys

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

KILLED = {"killed", "timeout", "segfault"}


def survivors(path: str) -> dict[str, object]:
    """Return how many mutants there are, and of each that survived its name, the line and what became of it."""
    data = SourceFileMutationData(path=path)
    data.load()
    alive = [name for name, code in data.exit_code_by_key.items() if status_by_exit_code[code] not in KILLED]
    return {"mutants": len(data.exit_code_by_key), "survivors": [(name, *change(name, path)) for name in alive]}


def change(name: str, path: str) -> tuple[str, str]:
    """Return what a mutant takes away and what it puts there, each in one line."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    removed, added = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return removed, added


if __name__ == "__main__":
    json.dump(survivors(sys.argv[1]), sys.stdout)
