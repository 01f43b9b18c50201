"""Copies of the application's own mappings: what the caller owns is never changed in place."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping
from typing import Any

from otel_keyaudit.errors import UnchangeableError


def changeable_copy(mapping: Mapping[Any, Any]) -> MutableMapping[Any, Any]:
    """Return a copy of the same kind, with the same values, that can be changed and shares no item with the original.

    Raises:
        UnchangeableError: There is no such copy.
    """
    if type(mapping) is dict:
        return mapping.copy()
    if not isinstance(mapping, MutableMapping):
        raise UnchangeableError(f"a {type(mapping).__name__} cannot be changed")
    copied = copy.copy(mapping)
    if copied is not mapping and type(copied) is type(mapping):
        if not hasattr(type(mapping), "__copy__"):
            _separate(copied)
        if not _shares_items(copied, mapping):
            return copied
    raise UnchangeableError(f"a {type(mapping).__name__} cannot be copied")


def _separate(copied: MutableMapping[Any, Any]) -> None:
    """Copy the mapping in which a class of the application keeps its items: a plain copy shares it."""
    attributes: dict[str, Any] = getattr(copied, "__dict__", {})
    for name, held in attributes.items():
        if isinstance(held, MutableMapping):
            attributes[name] = copy.copy(held)


def _shares_items(copied: MutableMapping[Any, Any], mapping: Mapping[Any, Any]) -> bool:
    """Try it with an item that neither has; it is taken out again."""
    probe = "otel_keyaudit"
    while probe in mapping:
        probe += "_"
    copied[probe] = None
    shared = probe in mapping
    del copied[probe]
    return shared
