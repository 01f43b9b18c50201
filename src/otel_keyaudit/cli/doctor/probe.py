"""Record the totals of each target in a process, for the doctor that started the process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from otel_keyaudit.cli.records import RecordWriter, directory_of_records

IMPORT_ERRORS = "errors.json"
"""Name of the file with the modules that could not be imported, and the classes of their exceptions."""

_COUNTS = ("outcomes", "unreadable")


def start() -> None:
    """Start recording. ``opentelemetry-instrument`` calls this in every process of the command."""
    directory = directory_of_records()
    if directory is not None:
        Probe(directory).begin()


class Probe(RecordWriter):
    """Records the totals of every target.

    Args:
        directory: Directory of the files.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._inherited: list[dict[str, Any]] = []

    def totals(self) -> list[dict[str, Any]]:
        """Return the totals of every target since the start of this process."""
        return [_since(target, self._inherited) for target in observed_targets()]

    def forked(self) -> None:
        """Restart the totals from zero."""
        self._inherited = observed_targets()


def observed_targets() -> list[dict[str, Any]]:
    """Return the totals of every target, without importing anything."""
    module: Any = sys.modules.get("otel_keyaudit.instrumentor")
    instrumentor = getattr(getattr(module, "KeyAuditInstrumentor", None), "_instance", None)  # the singleton, if made
    session = None if instrumentor is None else instrumentor._session
    return [] if session is None else [_totals(installed) for installed in session.targets]


def _totals(installed: Any) -> dict[str, Any]:
    """Return the totals of a target, summed over all functions that it names."""
    totals = {**installed.status._asdict(), "outcomes": {}, "unreadable": {}, "last_member": None}
    totals |= {"excluded": installed.excluded, "earlier": installed.earlier}
    for compiled in installed.compiled:
        for name in _COUNTS:
            for key, count in dict(getattr(compiled, name)).items():
                totals[name][key] = totals[name].get(key, 0) + count
        member = compiled.last_member
        if member is not None:
            totals["last_member"] = member.as_object() if hasattr(member, "as_object") else member
    return totals


def _since(target: dict[str, Any], inherited: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the totals of a target since the fork."""
    identity = target["target"], target["kind"], target["preset"]
    for before in inherited:
        if (before["target"], before["kind"], before["preset"]) == identity:
            for name in ("calls", "excluded"):
                target[name] -= before[name]
            for name in _COUNTS:
                target[name] = {key: count - before[name].get(key, 0) for key, count in target[name].items()}
            if target["last_member"] == before["last_member"]:
                target["last_member"] = None
    return target
