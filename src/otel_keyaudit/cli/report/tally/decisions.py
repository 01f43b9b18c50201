"""Decisions of rows and events, added up by kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from otel_keyaudit.cli.report.reading.times import EARLIEST
from otel_keyaudit.cli.report.tally.occurrences import Occurrences
from otel_keyaudit.key.permissions.decision import BY_OTHER, DENIED, GRANTED


@dataclass(eq=False, slots=True)
class DecisionKind:
    """Equal decisions. All keys share one object for each kind, so kinds are compared by identity.

    Attributes:
        outcome: ``granted``, ``denied`` or ``error``; ``None`` while the check was open.
        cause: The cause.
        required: Permissions that the check required.
        missing: Permissions that no scope covers.
        scopes: Deciding scopes.
    """

    outcome: str | None
    cause: str | None
    required: tuple[str, ...]
    missing: tuple[str, ...]
    scopes: tuple[str, ...]

    @property
    def is_remarkable(self) -> bool:
        """Whether decisions of this kind are a finding."""
        return self.outcome == DENIED or (self.outcome == GRANTED and self.cause == BY_OTHER)


@dataclass(slots=True)
class DecisionUse:
    """The decisions of one kind and one key.

    Attributes:
        is_remarkable: Whether they are a finding.
        last: Time of the last decision; :data:`EARLIEST` if unknown.
        occurrences: The rows or events if they are a finding, each decision once per request.
    """

    is_remarkable: bool
    last: datetime = EARLIEST
    occurrences: Occurrences = field(default_factory=Occurrences)


class DecisionUses(dict[DecisionKind, DecisionUse]):
    """The decisions of one key by kind."""

    def __missing__(self, kind: DecisionKind) -> DecisionUse:
        """Return the use of a kind that the key did not have before."""
        use = self[kind] = DecisionUse(kind.is_remarkable)
        return use


class DecisionKinds(dict[bytes, DecisionKind]):
    """Maps the JSON of decisions, without the resource, which differs from row to row, to their kinds."""

    def __init__(self) -> None:
        super().__init__()
        self._by_members: dict[tuple[object, ...], DecisionKind] = {}

    def __missing__(self, content: bytes) -> DecisionKind:
        """Return the kind of a decision that was not seen before in this form."""
        members = _members(json.loads(content))
        kind = self[content] = self._by_members.setdefault(members, DecisionKind(*members))
        return kind


def _members(decision: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the members of a :class:`DecisionKind`."""
    single = (None if decision.get(name) is None else str(decision[name]) for name in ("outcome", "cause"))
    return (*single, *(strings(decision.get(name)) for name in ("required", "missing", "scopes")))


def strings(value: object) -> tuple[str, ...]:
    """Return the strings of a list without duplicates."""
    return tuple(dict.fromkeys(one for one in value if isinstance(one, str))) if isinstance(value, list) else ()
