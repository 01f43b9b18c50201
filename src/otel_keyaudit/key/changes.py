"""Compare two snapshots of one key: its lists, its permissions, and whether it was widened or narrowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.encoded_object import cut
from otel_keyaudit.key.permissions.allow_list import allows, is_resource, normalize
from otel_keyaudit.key.permissions.coverage import covering_scopes
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog

WIDENED: Final = "widened"
NARROWED: Final = "narrowed"
BOTH: Final = "both"
UNCHANGED: Final = "unchanged"
UNKNOWN: Final = "unknown"

_POWER = {(False, False): UNCHANGED, (True, False): WIDENED, (False, True): NARROWED, (True, True): BOTH}


class ListChange(NamedTuple):
    """The elements that only one of two lists has, both sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Changes(NamedTuple):
    """The differences between two snapshots of one key. A list is ``None`` if it is equal or unknown on either side.

    Attributes:
        earlier_digest: Digest of the earlier snapshot.
        power: ``widened``, ``narrowed``, ``both``, ``unchanged`` or ``unknown``.
        scopes: Difference between the scopes.
        allow_list: Difference between the allow lists in normal form.
        permissions: Difference between the effective permissions; ``None`` without a catalog.
        fields: Names of the other fields that differ: ``name``, ``owner``, ``expires_at``.
        gained: Permissions (without a catalog: scopes) and then allow-list entries that nothing earlier covers.
        lost: Permissions or scopes and then allow-list entries that nothing later covers.
    """

    earlier_digest: str
    power: str
    scopes: ListChange | None
    allow_list: ListChange | None
    permissions: ListChange | None
    fields: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    def members(self, max_items: int) -> dict[str, Any]:
        """Return the member ``changes`` of a row. Lists are tuples, and long ones are cut."""
        members: dict[str, Any] = {"from": self.earlier_digest, "power": self.power}
        for name, change, labels in (
            ("scopes", self.scopes, ("added", "removed")),
            ("allow_list", self.allow_list, ("added", "removed")),
            ("permissions", self.permissions, ("gained", "lost")),
        ):
            if change is not None:
                members[name] = lists = dict[str, Any]()
                for label, elements in zip(labels, change, strict=True):
                    cut(lists, label, elements, max_items)
        if self.fields:
            members["fields"] = self.fields
        return members


def changes(before: ApiKey, after: ApiKey, catalog: ScopeCatalog | None) -> Changes:
    """Compare two snapshots of one key.

    Args:
        before: The earlier snapshot.
        after: The later snapshot.
        catalog: The scope catalog in force; ``None`` without one.
    """
    rights = _compare_rights(before, after, catalog)
    entries = _compare_entries(_normal(before), _normal(after))
    gained, lost = rights.added + entries.added, rights.removed + entries.removed
    is_certain = _are_comparable(before, after) and not all(map(_has_other_forms, entries))
    return Changes(
        earlier_digest=before.digest_under(None if catalog is None else catalog.version),
        power=_POWER[bool(gained), bool(lost)] if is_certain else UNKNOWN,
        scopes=_difference(before.scopes, after.scopes),
        allow_list=_difference(_normal(before), _normal(after)),
        permissions=None if catalog is None else _difference(_effective(before, catalog), _effective(after, catalog)),
        fields=tuple(name for name in ("expires_at", "name", "owner") if getattr(before, name) != getattr(after, name)),
        gained=gained,
        lost=lost,
    )


def _compare_rights(before: ApiKey, after: ApiKey, catalog: ScopeCatalog | None) -> ListChange:
    """Compare effective permissions; without a catalog compare scopes, and skip those that the other side covers."""
    if catalog is not None:
        return _difference(_effective(before, catalog), _effective(after, catalog)) or ListChange()
    change = _difference(before.scopes, after.scopes) or ListChange()
    return ListChange(_uncovered(change.added, before.scopes or ()), _uncovered(change.removed, after.scopes or ()))


def _uncovered(scopes: Iterable[str], others: Collection[str]) -> tuple[str, ...]:
    return tuple(scope for scope in scopes if not any(other in covering_scopes(scope, None) for other in others))


def _compare_entries(before: Collection[str] | None, after: Collection[str] | None) -> ListChange:
    """Compare allow lists in normal form, and skip entries that the other side covers."""
    change = _difference(before, after) or ListChange()
    return ListChange(
        tuple(entry for entry in change.added if not allows(before or (), entry)),
        tuple(entry for entry in change.removed if not allows(after or (), entry)),
    )


def _difference(before: Collection[str] | None, after: Collection[str] | None) -> ListChange | None:
    """Return the difference of two lists; ``None`` if they have the same elements or one of them is unknown."""
    if before is None or after is None:
        return None
    change = ListChange(tuple(sorted({*after} - {*before})), tuple(sorted({*before} - {*after})))
    return change if change != ListChange() else None


def _normal(key: ApiKey) -> tuple[str, ...] | None:
    return None if key.allow_list is None else normalize(key.allow_list)


def _effective(key: ApiKey, catalog: ScopeCatalog) -> tuple[str, ...] | None:
    return None if key.scopes is None else catalog.effective(key.scopes)[0]


def _are_comparable(before: ApiKey, after: ApiKey) -> bool:
    """Check that neither scopes nor allow list are known on one side only."""
    return (before.scopes is None) == (after.scopes is None) and (
        (before.allow_list is None) == (after.allow_list is None)
    )


def _has_other_forms(entries: Iterable[str]) -> bool:
    """Check for entries such as IP networks, one of which can include another without an equal string."""
    return not all(map(is_resource, entries))
