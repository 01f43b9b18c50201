"""Render the presets as a table, one preset as a page, and both as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.padding import Padding

from otel_keyaudit.cli.output import line, stdout_console, table
from otel_keyaudit.errors import printable
from otel_keyaudit.presets._definition import Preset


def as_document(presets: Mapping[str, Preset]) -> dict[str, Any]:
    """Return the JSON document."""
    return {
        "format": "keyaudit-presets/1",
        "presets": [
            {
                "name": name,
                "library": preset.library,
                "oldest": preset.oldest,
                "fits": preset.missing_requirement() is None,
                "reason": preset.missing_requirement(),
                "records": preset.records,
                "never": preset.never,
                "targets": [{"kind": target.kind, "target": target.target_string} for target in preset.targets],
            }
            for name, preset in presets.items()
        ],
    }


def print_list(presets: Mapping[str, Preset]) -> None:
    """Print all presets, beginning with those that fit."""
    made = table("preset", "library", "since", "fits")
    missing = {name: preset.missing_requirement() for name, preset in presets.items()}
    for name in sorted(presets, key=lambda name: (missing[name] is not None, name)):
        fits = line(("yes", "green") if missing[name] is None else ("no", "dim"))
        made.add_row(name, printable(presets[name].library), presets[name].oldest, fits)
    stdout_console().print(made)


def print_preset(name: str, preset: Preset) -> None:
    """Print one preset with its targets."""
    console = stdout_console()
    problem = preset.missing_requirement()
    console.print(line((name, "bold"), f": {preset.library} {preset.oldest} or newer"))
    console.print(line(("fits", "green") if problem is None else (f"does not fit: {problem}", "yellow")))
    for title, sentence in (("records", preset.records), ("never", preset.never)):
        console.print(line((title, "bold")))
        console.print(Padding(line(sentence), (0, 0, 0, 2)))
    console.print(line(("targets", "bold")))
    for target in preset.targets:
        # one line, so that it can be copied
        console.print(line(f"  {target.kind}  {target.target_string}"), soft_wrap=True)
    console.print(line(("use", "bold")))
    console.print(f"  export OTEL_PYTHON_KEYAUDIT_PRESETS={name}", soft_wrap=True)
