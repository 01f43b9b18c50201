"""Whose is it: what the keys that a request showed come to. One, several, or none that can be named; never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey


class Attribution(NamedTuple):
    """What a row can be given.

    Attributes:
        kind: ``attributed``, ``ambiguous``, ``none`` or ``failed``.
        key: The key, when attributed.
        ids: The ids that the request showed.
        has_ended: The request had a key, but has ended.
    """

    kind: str
    key: ApiKey | None = None
    ids: tuple[str, ...] = ()
    has_ended: bool = False

    @property
    def is_ambiguous(self) -> bool:
        """Say whether the request showed several keys."""
        return self.kind == names.AMBIGUOUS_REQUEST

    def failed(self) -> Attribution:
        """Return what counts when the row could not be given what it should have."""
        return self if self.kind == names.NO_KEY else self._replace(kind=names.FAILED)


NOTHING = Attribution(names.NO_KEY)
"""No key was shown."""

UNNAMED = Attribution(names.FAILED)
"""A key was shown, and nobody can say which."""

ENDED = Attribution(names.FAILED, has_ended=True)
"""A key was shown in a request that has ended: it is given to nothing new."""


class Acceptance(NamedTuple):
    """A key that an authentication returned; ``key`` is ``None`` when its id could not be read.

    Attributes:
        within: The authentication inside which it was returned, linked outwards, as long as that may still deny.
    """

    key: ApiKey | None
    within: Any

    @property
    def identity(self) -> tuple[str | None, Any]:
        """What it has in common with an earlier one that it replaces."""
        return (None if self.key is None else self.key.id), self.within

    def is_within(self, authentication: object) -> bool:
        """Say whether it was returned inside a given authentication."""
        enclosing = self.within
        while enclosing is not None and enclosing is not authentication:
            enclosing = enclosing.within
        return enclosing is not None

    def after(self, authentication: Any) -> Acceptance:
        """Return what it is when an authentication has accepted: what it found inside counts like what it returned."""
        return self._replace(within=authentication.within) if self.within is authentication else self

    def updated_by(self, later: Acceptance) -> Acceptance:
        """Return the later one, with what only the earlier one knew of the same key."""
        return later if self.key is None or later.key is None else self._replace(key=self.key.updated_by(later.key))


def with_one_more(acceptances: Sequence[Acceptance], key: ApiKey | None, authentication: Any) -> list[Acceptance]:
    """Return what has been accepted after one more authentication has accepted a key."""
    gathered: dict[Any, Acceptance] = {}
    for one in (*acceptances, Acceptance(key, authentication)):
        acceptance = one.after(authentication)
        earlier = gathered.get(acceptance.identity)
        gathered[acceptance.identity] = acceptance if earlier is None else earlier.updated_by(acceptance)
    return list(gathered.values())


def attribution_of(acceptances: Sequence[Acceptance]) -> Attribution:
    """Return what accepted keys come to; the same id with another snapshot is the same key."""
    merged: dict[str, ApiKey] = {}
    for acceptance in acceptances:
        key = acceptance.key
        if key is not None:
            earlier = merged.get(key.id)
            merged[key.id] = key if earlier is None else earlier.updated_by(key)
    ids = tuple(merged)
    if not ids:
        return UNNAMED if acceptances else NOTHING
    if len(ids) > 1 or any(acceptance.key is None for acceptance in acceptances):
        return Attribution(names.AMBIGUOUS_REQUEST, None, ids)
    return Attribution(names.ATTRIBUTED, merged[ids[0]], ids)
