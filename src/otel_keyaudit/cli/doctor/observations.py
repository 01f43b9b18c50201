"""Add up the observations of all processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otel_keyaudit.cli.records import read_records

_RANK = {"active": 0, "wrong": 1, "pending": 2}
"""Precedence of states. A target that is active in one process can be pending in another, such as a server's master."""


@dataclass
class TargetReport:
    """One target in all processes.

    Attributes:
        target: The target as written.
        kind: ``auth``, ``audit``, ``authz`` or ``subject``.
        state: ``active``, ``pending`` or ``wrong``.
        reason: A sentence that explains the state.
        preset: The preset that it belongs to.
        calls: Number of observed calls.
        outcomes: Number of calls by outcome.
        unreadable: Number of failures by field or error.
        last_member: The last member that a row received.
        excluded: Number of calls that ``when`` excluded.
        earlier: The earlier target that names the same function, ``None`` without one.
    """

    target: str
    kind: str
    state: str
    reason: str
    preset: str | None = None
    calls: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    last_member: Any = None
    excluded: int = 0
    earlier: str | None = None

    def add(self, observed: dict[str, Any]) -> None:
        """Add the totals of one process."""
        if _RANK[observed["state"]] < _RANK[self.state]:
            self.state, self.reason = observed["state"], observed["reason"]
        self.calls += observed["calls"]
        self.excluded += observed["excluded"]
        self.earlier = self.earlier or observed["earlier"]
        for totals, counts in ((self.outcomes, observed["outcomes"]), (self.unreadable, observed["unreadable"])):
            for name, count in counts.items():
                if count:
                    totals[name] = totals.get(name, 0) + count
        if observed["last_member"] is not None:
            self.last_member = observed["last_member"]


@dataclass
class Observations:
    """The observations of a command.

    Attributes:
        processes: Number of processes that ran the application, which are those with an active target.
        targets: The targets in the order of the options.
    """

    processes: int
    targets: list[TargetReport]


def read_observations(directory: Path) -> Observations:
    """Add up the records of all processes."""
    targets: dict[tuple[str, str, str | None], TargetReport] = {}
    processes = 0
    for record in read_records(directory):
        # the master of a server and the resource tracker of multiprocessing load the library but not the application
        processes += any(observed["state"] == "active" for observed in record)
        for observed in record:
            identity = observed["target"], observed["kind"], observed["preset"]
            if identity not in targets:
                state, reason = observed["state"], observed["reason"]
                targets[identity] = TargetReport(*identity[:2], state, reason, observed["preset"])
            targets[identity].add(observed)
    return Observations(processes, list(targets.values()))
