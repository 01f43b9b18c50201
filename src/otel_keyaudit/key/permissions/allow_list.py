"""Allow lists: normal form, the resources that an entry covers, and entries of other forms."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from otel_keyaudit.guard.signals import expected

ANYTHING: Final = "*:*"
"""The entry that covers every resource."""


def normalize(allow_list: Iterable[str]) -> tuple[str, ...]:
    """Return the normal form: trimmed, sorted, without duplicates and without entries that a wildcard covers.

    ``*:*`` replaces the whole list; ``type:*`` replaces every ``type:id``. Entries of another form, such as an IP
    network or an origin, are compared as strings.
    """
    entries = {entry.strip() for entry in allow_list}
    if ANYTHING in entries:
        return (ANYTHING,)
    wild_types = {entry[:-1] for entry in entries if _is_wildcard(entry)}
    return tuple(sorted(entry for entry in entries if _is_wildcard(entry) or _type(entry) not in wild_types))


def allows(allow_list: Iterable[str], resource: str) -> bool:
    """Check whether a list covers a resource ``type:id``, or an entry of another list. The entries are trimmed."""
    resource_type = _type(resource)
    covering = {resource, ANYTHING, f"{resource_type}*"} if resource_type else {resource, ANYTHING}
    return not covering.isdisjoint(allow_list)


def is_resource(entry: str) -> bool:
    """Check whether an entry is ``type:id``, ``type:*`` or ``*:*``.

    Entries of another form are an address, a network, an origin or a single word. One of them can include another
    without an equal string, so they cannot be compared.
    """
    resource_type, _, resource_id = entry.partition(":")
    return bool(resource_type and resource_id) and not resource_id.startswith("//") and not _is_network(entry)


def _is_network(entry: str) -> bool:
    with expected(ValueError):
        ip_network(entry, strict=False)
        return True
    return False


def _type(entry: str) -> str:
    """Return the type of an entry with its colon; an entry without a colon has none."""
    return entry[: entry.find(":") + 1]


def _is_wildcard(entry: str) -> bool:
    """Check whether an entry is ``type:*``: the star is the whole id, and the type has no colon."""
    return entry.endswith(":*") and entry.count(":") == 1
