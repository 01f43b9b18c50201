"""Show the likely targets as text and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_keyaudit.cli.discover.candidates import Candidate
from otel_keyaudit.cli.output import line, stdout_console

_TITLES = {"auth": "functions that authenticate", "audit": "functions that write an audit row"}
_MAX_SHOWN = 5
_USER = "    rows would name the user; if a user can have several keys, name the function that finds the key, too"
_SEVERAL = "    if different requests use different functions of these, name each of them, separated by commas"


class Discovery(NamedTuple):
    """The result of ``discover``.

    Attributes:
        candidates: The likely targets.
        presets: Presets for the libraries in use.
        remark: The reason why no function of a kind was found, or ``None``.
    """

    candidates: Sequence[Candidate]
    presets: Sequence[str]
    remark: str | None


def as_document(found: Discovery) -> dict[str, Any]:
    """Return the JSON document."""
    return {
        "format": "keyaudit-discover/1",
        "targets": [
            {"kind": one.kind, "target": one.target, "returns": one.returns or None, "members": one.members}
            for one in found.candidates
        ],
        "presets": list(found.presets),
    }


def print_discovery(found: Discovery) -> None:
    """Print the likely targets in order, and the lines to copy."""
    console = stdout_console()
    exports = []
    for kind, title in _TITLES.items():
        shown = [one for one in found.candidates if one.kind == kind][:_MAX_SHOWN]
        console.print(line((f"{title}, most likely first", "bold")))
        if not shown:
            console.print("  none was recognized")
        for one in shown:
            console.print(line(f"  {one.target}"), soft_wrap=True)
            head = f"    returns {one.returns}" if one.returns else "    parameters"
            console.print(line(": ".join(filter(None, (head, ", ".join(_described(one.members)))))), soft_wrap=True)
            if one.returns.endswith("User"):
                console.print(line((_USER, "yellow")), soft_wrap=True)
        if sum(one.is_own and one.returns == shown[0].returns for one in shown) > 1:
            console.print(line((_SEVERAL, "yellow")), soft_wrap=True)
        if shown and not any(shown[0].is_known_to(preset) for preset in found.presets):
            exports.append(f"export OTEL_PYTHON_KEYAUDIT_{kind.upper()}_TARGETS={shlex.quote(shown[0].target)}")
    if found.presets:
        console.print(line(("presets for the libraries in use; they replace targets in these libraries", "bold")))
        console.print(line(f"  {', '.join(found.presets)}"), soft_wrap=True)
        exports.append(f"export OTEL_PYTHON_KEYAUDIT_PRESETS={','.join(found.presets)}")
    if found.remark is not None:
        console.print(line((found.remark, "bold red")), soft_wrap=True)
    for export in exports:
        console.print(line(export), soft_wrap=True)


def _described(members: dict[str, str]) -> list[str]:
    return [f"{name}: {kind}" if kind else name for name, kind in members.items()]
