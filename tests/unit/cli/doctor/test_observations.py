"""The observations of all processes are added up."""

import json
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit.cli.doctor.observations import read_observations
from support.commands.doctor import observed, report


def write(folder: Path, name: str, *lines: list[dict[str, Any]] | str) -> None:
    """Write the file of a process."""
    written = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines]
    (folder / name).write_text("".join(written), encoding="utf-8")


def test_processes_are_added_up(tmp_path: Path) -> None:
    """The last complete line of each process has its totals; a line that was cut is ignored."""
    write(
        tmp_path, "1.jsonl", [observed()], [observed(calls=3, outcomes={"none": 1, "attributed": 2})], '[{"target": "t'
    )
    write(tmp_path, "2.jsonl", [observed(calls=2, outcomes={"attributed": 2}, last_member={"id": "k"})])
    write(tmp_path, "3.jsonl", "{")
    write(tmp_path, "4.jsonl", [observed(calls=0, outcomes={"failed": 0}, unreadable={"id": 1}, excluded=1)])
    write(tmp_path, "5.jsonl", [observed(calls=0, excluded=2, earlier="facade:record")])
    observations = read_observations(tmp_path)
    assert observations.processes == 4
    assert observations.targets == [
        report(
            calls=5,
            outcomes={"none": 1, "attributed": 4},
            unreadable={"id": 1},
            last_member={"id": "k"},
            excluded=3,
            earlier="facade:record",
        )
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
    """A server's master does not import the application, so one active process is enough."""
    for number, state in enumerate(states):
        write(tmp_path, f"{number}.jsonl", [observed(state=state, reason=f"because {state}")])
    observations = read_observations(tmp_path)
    (target,) = observations.targets
    assert (target.state, target.reason) == (expected, f"because {expected}")
    assert observations.processes == states.count("active")
