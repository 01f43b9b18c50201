"""Render the doctor's report as lines for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from otel_keyaudit.cli.doctor.findings import Finding
from otel_keyaudit.cli.doctor.observations import Observations, TargetReport
from otel_keyaudit.cli.output import counted, line, stdout_console

_MEMBERS = ("target", "kind", "state", "reason", "preset", "calls", "outcomes", "unreadable", "last_member")
"""The members of a target in the JSON document."""

_STYLES = {"active": "green", "pending": "yellow", "wrong": "red"}


def as_document(observations: Observations, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the JSON document."""
    return {
        "format": "keyaudit-doctor/1",
        "processes": observations.processes,
        "targets": [{name: getattr(target, name) for name in _MEMBERS} for target in observations.targets],
        "findings": [finding._asdict() for finding in findings],
    }


def print_report(observations: Observations, findings: Sequence[Finding], *, has_run: bool) -> None:
    """Print each target and then the findings."""
    console = stdout_console()
    with_finding = {finding.target for finding in findings}
    for target in observations.targets:
        _print_target(target, console)
        if target.target not in with_finding and (target.state != "active" or not has_run):
            console.print(line(f"  {target.reason}"), soft_wrap=True)
        if has_run:
            _print_calls(target, console)
    if has_run:
        console.print(line(f"{counted(observations.processes, 'process')} with active targets"))
    if not findings:
        console.print(line(("no findings", "green")))
    for finding in findings:
        subject = "" if finding.target is None else f" {finding.target}"
        console.print(line((finding.finding, "bold red"), f"{subject}: {finding.detail}"), soft_wrap=True)
        console.print(line("  remedy: ", finding.remedy), soft_wrap=True)


def _print_target(target: TargetReport, console: Console) -> None:
    preset = "" if target.preset is None else f" (preset {target.preset})"
    console.print(
        line((target.state, _STYLES[target.state]), f" {target.kind} {target.target}{preset}"), soft_wrap=True
    )


def _print_calls(target: TargetReport, console: Console) -> None:
    console.print(line(f"  {counted(target.calls, 'call')}{_counts(': ', target.outcomes)}"))
    if target.unreadable:
        console.print(line(f"  unreadable{_counts(': ', target.unreadable)}"))
    if target.last_member is not None:
        console.print(line("  last member: ", json.dumps(target.last_member)), soft_wrap=True)


def _counts(start: str, counts: dict[str, int]) -> str:
    return start + ", ".join(f"{name} {count}" for name, count in counts.items()) if counts else ""
