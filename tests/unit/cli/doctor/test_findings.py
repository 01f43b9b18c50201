"""The findings of the doctor, and the sum over processes."""

import json
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit.cli.doctor.findings import FINDINGS, REMEDIES, find
from otel_keyaudit.cli.doctor.observations import TargetReport, read_observations


def observed(target: str = "shop:record", **more: Any) -> dict[str, Any]:
    """Return the totals of a target in one process."""
    return {
        "target": target, "kind": "audit", "state": "active", "reason": "its calls are observed", "preset": None,
        "calls": 1, "outcomes": {}, "unreadable": {}, "last_member": None, **more,
    }  # fmt: skip


def names(*targets: TargetReport, has_run: bool = True) -> list[tuple[str, str | None]]:
    """Return the findings with their targets."""
    return [(one.finding, one.target) for one in find(targets, has_run=has_run)]


def report(**more: Any) -> TargetReport:
    """Return a target over all processes."""
    return TargetReport(**observed(**more))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (report(), []),
        (report(state="pending", calls=0), ["pending"]),
        (report(state="wrong", calls=0), ["wrong"]),
        (report(calls=0), ["silent"]),
        (report(outcomes={"ambiguous": 1, "attributed": 2}), ["ambiguous"]),
        (report(outcomes={"failed": 1}), ["failed"]),
        (report(unreadable={"name": 2}), ["degraded"]),
        (report(kind="auth", unreadable={"NoRequestError": 2}), ["outside"]),
        (report(kind="auth", unreadable={"NoRequestError": 2, "name": 1}), ["outside", "degraded"]),
        (report(kind="authz", outcomes={"denied": 5}), []),
    ],
)
def test_findings(target: TargetReport, expected: list[str]) -> None:
    """Each kind of finding has its condition."""
    assert names(target) == [(name, "shop:record") for name in expected]


def test_without_a_command_no_target_is_silent() -> None:
    """Nothing can have been called then."""
    assert names(report(calls=0), has_run=False) == []


def test_a_preset_is_silent_as_a_whole() -> None:
    """An application uses some functions of a library: a preset is a finding if none was called."""
    first, second = report(target="a:f", preset="x", calls=0), report(target="a:g", preset="x", calls=0)
    assert names(first, second) == [("silent", "a:f")]
    assert names(first, report(target="a:g", preset="x", calls=1)) == []


def test_every_finding_has_a_remedy() -> None:
    """The documented names are all of them."""
    assert tuple(REMEDIES) == FINDINGS == (
        "pending", "wrong", "silent", "outside", "ambiguous", "failed", "degraded",
    )  # fmt: skip


def write(folder: Path, name: str, *lines: list[dict[str, Any]] | str) -> None:
    """Write the file of a process."""
    written = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines]
    (folder / name).write_text("".join(written), encoding="utf-8")


def test_processes_are_added_up(tmp_path: Path) -> None:
    """The last complete line of each process has its totals; a line that was cut by the end of a process is ignored."""
    write(
        tmp_path, "1.jsonl", [observed()], [observed(calls=3, outcomes={"none": 1, "attributed": 2})], '[{"target": "t'
    )
    write(tmp_path, "2.jsonl", [observed(calls=2, outcomes={"attributed": 2}, last_member={"id": "k"})])
    write(tmp_path, "3.jsonl", "{")
    write(tmp_path, "4.jsonl", [observed(calls=0, outcomes={"failed": 0}, unreadable={"id": 1})])
    observations = read_observations(tmp_path)
    assert observations.processes == 3
    assert observations.targets == [
        report(calls=5, outcomes={"none": 1, "attributed": 4}, unreadable={"id": 1}, last_member={"id": "k"})
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["pending", "active"], "active"),
        (["active", "wrong"], "active"),
        (["pending", "wrong"], "wrong"),
        (["pending"], "pending"),
    ],
)
def test_a_target_is_active_if_it_is_active_anywhere(tmp_path: Path, states: list[str], expected: str) -> None:
    """The master of a server does not import the application; the reason is that of the process with the state."""
    for number, state in enumerate(states):
        write(tmp_path, f"{number}.jsonl", [observed(state=state, reason=f"because {state}")])
    observations = read_observations(tmp_path)
    (target,) = observations.targets
    assert (target.state, target.reason) == (expected, f"because {expected}")
    assert observations.processes == states.count("active")


@pytest.mark.parametrize(("version", "is_named"), [("0.62b0", True), ("0.63b1", False), ("0.66b2", False)])
def test_an_instrumentation_that_skips_new_processes_is_named(version: str, is_named: bool) -> None:
    """Its workers do not load the library, and the remedy is another version."""
    (finding,) = find([report(state="pending", calls=0)], has_run=True, version=version)
    assert (f"opentelemetry-instrumentation {version} does not instrument" in finding.remedy) == is_named
    assert ("upgrade it to 0.63b1" in finding.remedy) == is_named
