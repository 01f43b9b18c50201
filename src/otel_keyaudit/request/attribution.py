"""Attribute rows to the keys that a request has accepted. The library never guesses."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple, Protocol

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey


class Delegation(NamedTuple):
    """The parties for which and through which a key acts.

    Attributes:
        on_behalf_of: The party on whose behalf the key acts.
        actors: The parties through which it acts, the current actor first.
        actors_count: Number of all actors, including those beyond the end of ``actors``.
    """

    on_behalf_of: str | None = None
    actors: tuple[str, ...] = ()
    actors_count: int = 0

    def updated_by(self, later: Delegation) -> Delegation:
        """Return a later delegation, with the missing fields of this one."""
        actors = later if later.actors else self
        return Delegation(later.on_behalf_of or self.on_behalf_of, actors.actors, actors.actors_count)

    def through(self, ids: list[str], count: int) -> Delegation:
        """Return the delegation with more actors before its own; ``count`` is the number of all ids."""
        if not ids:
            return self
        others = [actor for actor in self.actors if actor not in ids]
        count += self.actors_count - len(self.actors) + len(others)
        return Delegation(self.on_behalf_of, (*ids, *others), count)

    def members(self, max_items: int) -> dict[str, Any]:
        """Return the members of a row, with at most ``max_items`` actors."""
        members: dict[str, Any] = {}
        if self.on_behalf_of is not None:
            members["on_behalf_of"] = self.on_behalf_of
        actors = self.actors[:max_items]
        if actors:
            members["actors"] = actors
            if self.actors_count > len(actors):
                members["actors_count"] = self.actors_count
        return members


NO_DELEGATION = Delegation()


class Attribution(NamedTuple):
    """The attribution of a row.

    Attributes:
        kind: ``attributed``, ``ambiguous``, ``none`` or ``failed``.
        key: The key, if attributed.
        ids: The first ids, if ambiguous.
        ids_count: The number of all ids.
        delegation: The party on whose behalf the key acts, and its actors.
        has_ended: The request had a key, but has ended.
    """

    kind: str
    key: ApiKey | None = None
    ids: tuple[str, ...] = ()
    ids_count: int = 0
    delegation: Delegation = NO_DELEGATION
    has_ended: bool = False


UNATTRIBUTED = Attribution(names.NO_KEY)
"""The request has no key."""

UNNAMED = Attribution(names.FAILED)
"""The request has a key without a readable id."""

ENDED = Attribution(names.FAILED, has_ended=True)
"""The request had a key and has ended, so later rows do not receive it."""


class OpenAuthentication(Protocol):
    """An open call of an authentication target; nested calls may accept keys.

    Attributes:
        within: The outer authentication, which may still deny.
        source: The class of the key object, or the target for a mapping. Numeric ids are unique only within a source.
        accepted_id: The id of the key that this authentication accepted.
        accepted_inside: The keys that nested authentications accepted; a denial withdraws them. An ordered set.
    """

    accepted_id: str | None
    accepted_inside: dict[AcceptedKey, None] | None

    @property
    def within(self) -> OpenAuthentication | None:
        """The outer authentication."""

    @property
    def source(self) -> Any:
        """The source of the key."""


class AcceptedKey:
    """One key of a request, merged from the snapshots of all authentications that accepted it.

    Args:
        source: As in :class:`OpenAuthentication`.
    """

    __slots__ = ("_snapshots", "delegation", "id", "key", "source")

    def __init__(self, key_id: str, source: Any) -> None:
        self.id = key_id
        self.source = source
        self._snapshots: dict[OpenAuthentication | None, tuple[ApiKey, Delegation]] = {}

    def add(self, key: ApiKey, delegation: Delegation, within: OpenAuthentication | None) -> None:
        """Add a snapshot that was accepted within an open authentication, or outside of any."""
        earlier = self._snapshots.get(within)
        if earlier is not None:
            key, delegation = earlier[0].updated_by(key), earlier[1].updated_by(delegation)
        self._snapshots[within] = key, delegation
        self._merge()

    def move(self, inner: OpenAuthentication, outer: OpenAuthentication | None) -> None:
        """Move the snapshot of an authentication that did not deny to the outer one."""
        self.add(*self._snapshots.pop(inner), outer)

    def withdraw(self, denied: OpenAuthentication) -> bool:
        """Forget the snapshot of an authentication that denied; return whether any snapshot is left."""
        self._snapshots.pop(denied, None)
        if self._snapshots:
            self._merge()
        return bool(self._snapshots)

    def _merge(self) -> None:
        (self.key, self.delegation), *later = self._snapshots.values()
        for key, delegation in later:
            self.key, self.delegation = self.key.updated_by(key), self.delegation.updated_by(delegation)

    def is_same(self, key: ApiKey, source: Any) -> bool:
        """Return whether a key with the same id is the same key.

        Owners must not differ. A numeric id is unique only within a table, so the source must be the same, too.
        """
        owner = self.key.owner
        if owner is not None and key.owner is not None and key.owner != owner:
            return False
        return not key.id.isdigit() or source is self.source


def _put_inside(authentication: OpenAuthentication | None, accepted: AcceptedKey) -> None:
    if authentication is not None:
        if authentication.accepted_inside is None:
            authentication.accepted_inside = {}
        authentication.accepted_inside[accepted] = None


def _is_inside_of(key_id: str, authentication: OpenAuthentication) -> bool:
    """Return whether an outer authentication has already accepted the same id."""
    outer = authentication.within
    while outer is not None and outer.accepted_id != key_id:
        outer = outer.within
    return outer is not None


class AcceptedKeys:
    """The keys that a request has accepted. Adding a key takes constant time.

    Args:
        max_ids: Maximum number of ids in an ambiguous attribution.
    """

    def __init__(self, max_ids: int) -> None:
        self._max_ids = max_ids
        self._by_id: dict[str, list[AcceptedKey]] = {}
        self._count = 0
        self._unnamed: list[OpenAuthentication | None] = []

    def add(self, key: ApiKey | None, delegation: Delegation, authentication: OpenAuthentication) -> None:
        """Add a key that an authentication accepted, ``None`` if its id is unreadable."""
        within = authentication.within
        if key is None:
            if within not in self._unnamed:
                self._unnamed.append(within)
            return
        accepted = self._same(key, authentication)
        if accepted is None:
            accepted = AcceptedKey(key.id, authentication.source)
            self._by_id.setdefault(key.id, []).append(accepted)
            self._count += 1
        accepted.add(key, delegation, within)
        _put_inside(within, accepted)

    def settle(self, authentication: OpenAuthentication) -> None:
        """Keep the keys inside an authentication that did not deny. Only the outer authentication can withdraw them."""
        outer = authentication.within
        for accepted in authentication.accepted_inside or ():
            accepted.move(authentication, outer)
            _put_inside(outer, accepted)
        authentication.accepted_inside = None
        self._unnamed = list(dict.fromkeys(outer if one is authentication else one for one in self._unnamed))

    def withdraw(self, authentication: OpenAuthentication) -> ApiKey | None:
        """Forget the keys inside an authentication that denied, and return the last of these keys."""
        last = None
        for accepted in authentication.accepted_inside or ():
            if accepted in self._by_id.get(accepted.id, ()):
                last = accepted.key
                if not accepted.withdraw(authentication):
                    self._remove(accepted)
        self._unnamed = [within for within in self._unnamed if within is not authentication]
        return last

    def attribution(self, actors: AcceptedKeys | None = None) -> Attribution:
        """Return the attribution to the accepted keys.

        Args:
            actors: The keys of targets with ``role=actor``. Without other keys, the first is the key of the request.
        """
        if not self._count and not self._unnamed:
            return UNATTRIBUTED if actors is None else actors._attribution_of_actors()
        if not self._count:
            return UNNAMED
        if self._count > 1 or self._unnamed:
            return Attribution(names.AMBIGUOUS_REQUEST, None, self._ids(), len(self._by_id))
        ((accepted,),) = self._by_id.values()
        delegation = accepted.delegation
        if actors is not None:
            delegation = delegation.through(actors._latest_first(), len(actors._by_id))
        return Attribution(names.ATTRIBUTED, accepted.key, (), 0, delegation)

    def _attribution_of_actors(self) -> Attribution:
        """Return the attribution to the first of these actors, which acts through the later ones."""
        if not self._count:
            return self.attribution()
        accepted = next(iter(self._by_id.values()))[0]
        later = [actor for actor in self._latest_first() if actor != accepted.id]
        delegation = accepted.delegation.through(later, len(self._by_id) - 1)
        return Attribution(names.ATTRIBUTED, accepted.key, (), 0, delegation)

    def _ids(self) -> tuple[str, ...]:
        return tuple(islice(self._by_id, self._max_ids))

    def _latest_first(self) -> list[str]:
        return [*islice(reversed(self._by_id), self._max_ids)]

    def _same(self, key: ApiKey, authentication: OpenAuthentication) -> AcceptedKey | None:
        same_id = self._by_id.get(key.id, ())
        inside = authentication.accepted_inside or {}
        for accepted in same_id:
            if accepted in inside or accepted.is_same(key, authentication.source):
                return accepted
        return next(iter(same_id), None) if _is_inside_of(key.id, authentication) else None

    def _remove(self, accepted: AcceptedKey) -> None:
        same_id = self._by_id[accepted.id]
        same_id.remove(accepted)
        self._count -= 1
        if not same_id:
            del self._by_id[accepted.id]
