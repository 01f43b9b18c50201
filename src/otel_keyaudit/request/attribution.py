"""Which key is a row's: the keys that a request has accepted, and the one answer that they give. Never a guess."""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple, Protocol

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey


class Delegation(NamedTuple):
    """For whom and through whom a key acts.

    Attributes:
        on_behalf_of: For whom.
        actors: Through whom, the current actor first.
        actors_count: Number of actors, also of those that are not in ``actors``.
    """

    on_behalf_of: str | None = None
    actors: tuple[str, ...] = ()
    actors_count: int = 0

    def updated_by(self, later: Delegation) -> Delegation:
        """Return the later delegation, completed by this one."""
        actors = later if later.actors else self
        return Delegation(later.on_behalf_of or self.on_behalf_of, actors.actors, actors.actors_count)

    def through(self, ids: list[str]) -> Delegation:
        """Return the delegation with further actors in front."""
        return Delegation(self.on_behalf_of, (*ids, *self.actors), len(ids) + self.actors_count) if ids else self


NO_DELEGATION = Delegation()


class Attribution(NamedTuple):
    """The answer for a row.

    Attributes:
        kind: ``attributed``, ``ambiguous``, ``none`` or ``failed``.
        key: The key, if attributed.
        ids: The first ids, if ambiguous.
        ids_count: The number of all ids.
        delegation: For whom and through whom the key acts.
        has_ended: The request had a key, but has ended.
    """

    kind: str
    key: ApiKey | None = None
    ids: tuple[str, ...] = ()
    ids_count: int = 0
    delegation: Delegation = NO_DELEGATION
    has_ended: bool = False


NOTHING = Attribution(names.NO_KEY)
"""The request has no key."""

UNNAMED = Attribution(names.FAILED)
"""The request has a key without a readable id."""

ENDED = Attribution(names.FAILED, has_ended=True)
"""The request had a key and has ended: its key is given to nothing new."""


class OpenAuthentication(Protocol):
    """The call of an authentication target, inside which other calls may accept keys.

    Attributes:
        within: The authentication around it that may still deny.
        source: The class of its key object, or the target for a mapping: ids of digits only are unique within it.
        accepted_id: The id of the key that it has accepted itself.
        accepted_inside: The keys accepted inside it, which are withdrawn if it denies; an ordered set.
    """

    accepted_id: str | None
    accepted_inside: dict[AcceptedKey, None] | None

    @property
    def within(self) -> OpenAuthentication | None:
        """As above."""

    @property
    def source(self) -> Any:
        """As above."""


class AcceptedKey:
    """One key of a request, as all authentications that accepted it describe it.

    Args:
        source: As in :class:`OpenAuthentication`.
    """

    __slots__ = ("_snapshots", "delegation", "id", "key", "source")

    def __init__(self, key_id: str, source: Any) -> None:
        self.id = key_id
        self.source = source
        self._snapshots: dict[OpenAuthentication | None, tuple[ApiKey, Delegation]] = {}

    def add(self, key: ApiKey, delegation: Delegation, within: OpenAuthentication | None) -> None:
        """Add a snapshot that was accepted within an open authentication, or in none."""
        earlier = self._snapshots.get(within)
        if earlier is not None:
            key, delegation = earlier[0].updated_by(key), earlier[1].updated_by(delegation)
        self._snapshots[within] = key, delegation
        self._merge()

    def move(self, inner: OpenAuthentication, outer: OpenAuthentication | None) -> None:
        """Keep the snapshot of an authentication that has ended without a denial."""
        self.add(*self._snapshots.pop(inner), outer)

    def withdraw(self, denied: OpenAuthentication) -> bool:
        """Forget the snapshot of an authentication that denied; say whether any is left."""
        self._snapshots.pop(denied, None)
        if self._snapshots:
            self._merge()
        return bool(self._snapshots)

    def _merge(self) -> None:
        (self.key, self.delegation), *later = self._snapshots.values()
        for key, delegation in later:
            self.key, self.delegation = self.key.updated_by(key), self.delegation.updated_by(delegation)

    def is_same(self, key: ApiKey, source: Any) -> bool:
        """Say whether a key of the same id is the same key.

        Owners must not differ. An id of digits only is unique within a table, so there the class must be the same, too.
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
    """Say whether an authentication happens inside another one that has accepted the same id already."""
    outer = authentication.within
    while outer is not None and outer.accepted_id != key_id:
        outer = outer.within
    return outer is not None


class AcceptedKeys:
    """The keys that a request has accepted. Adding one takes the same time however many there are.

    Args:
        max_ids: The most ids that an ambiguous attribution names.
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
        """Keep the keys inside an authentication that has ended without a denial: only the one around it may deny."""
        outer = authentication.within
        for accepted in authentication.accepted_inside or ():
            accepted.move(authentication, outer)
            _put_inside(outer, accepted)
        authentication.accepted_inside = None
        self._unnamed = list(dict.fromkeys(outer if one is authentication else one for one in self._unnamed))

    def withdraw(self, authentication: OpenAuthentication) -> ApiKey | None:
        """Forget the keys inside an authentication that denied, and return the last one of them."""
        last = None
        for accepted in authentication.accepted_inside or ():
            last = accepted.key
            if not accepted.withdraw(authentication):
                self._remove(accepted)
        authentication.accepted_inside = None
        self._unnamed = [within for within in self._unnamed if within is not authentication]
        return last

    def attribution(self, actors: AcceptedKeys | None = None) -> Attribution:
        """Return the answer that the keys give.

        Args:
            actors: The keys of targets with ``role=actor``; while there are no others, they are the request's keys.
        """
        if not self._count and not self._unnamed:
            return NOTHING if actors is None else actors.attribution()
        if not self._count:
            return UNNAMED
        if self._count > 1 or self._unnamed:
            return Attribution(names.AMBIGUOUS_REQUEST, None, self._ids(), len(self._by_id))
        ((accepted,),) = self._by_id.values()
        delegation = accepted.delegation if actors is None else accepted.delegation.through(actors._latest_first())
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
