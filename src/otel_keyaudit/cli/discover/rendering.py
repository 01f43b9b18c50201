"""The likely targets as lines for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from otel_keyaudit.cli.discover.candidates import Candidate
from otel_keyaudit.cli.output import line, people

_TITLES = {"auth": "functions that authenticate", "audit": "functions that write an audit row"}
_MAX_SHOWN = 5


def as_document(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return the JSON document."""
    return {
        "format": "keyaudit-discover/1",
        "targets": [
            {"kind": one.kind, "target": one.target, "returns": one.returns or None, "members": one.members}
            for one in candidates
        ],
    }


def print_candidates(candidates: Sequence[Candidate]) -> None:
    """Print the likely targets in order, and the lines to copy."""
    console = people()
    exports = []
    for kind, title in _TITLES.items():
        shown = [one for one in candidates if one.kind == kind][:_MAX_SHOWN]
        console.print(line((f"{title}, the likeliest first", "bold")))
        if not shown:
            console.print("  none was called")
        for one in shown:
            console.print(line(f"  {one.target}"), soft_wrap=True)
            what = f"    returns {one.returns}: " if one.returns else "    parameters: "
            console.print(line(what, ", ".join(_described(one.members))), soft_wrap=True)
        if shown:
            exports.append(f"export OTEL_PYTHON_KEYAUDIT_{kind.upper()}_TARGETS={shlex.quote(shown[0].target)}")
    for export in exports:
        console.print(line(export), soft_wrap=True)


def _described(members: dict[str, str]) -> list[str]:
    return [f"{name}: {kind}" if kind else name for name, kind in members.items()]
