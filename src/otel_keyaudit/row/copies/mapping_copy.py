"""Copy the application's mappings, so that they are never changed in place.

A copy has the class of the original. A mapping that is read-only, or has no independent copy, becomes a plain dict.
"""

from __future__ import annotations

import copy
from collections import ChainMap, OrderedDict, UserDict, deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from itertools import chain
from types import MemberDescriptorType
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.row.members.reserved_names import free_name

_READERS = ("getall", "getlist", "get_list")
"""Methods that return all values of a name: multidict, aiohttp, webob; werkzeug, Django, starlette; httpx."""

_CONTAINERS = (list, dict, set, deque)
"""Containers in which a mapping may keep its items or an index of them."""


def changeable_copy(mapping: Mapping[Any, Any]) -> MutableMapping[Any, Any]:
    """Return a changeable copy that is independent of the original.

    Returns:
        A mapping of the same class, or of its changeable counterpart; else a dict, with lists as values if the mapping
        has several values for a name.
    """
    if type(mapping) is dict:
        return mapping.copy()
    for make in (_chain_copy, _dict_copy, _own_copy, _store_copy, _rebuilt, _deep_copy):
        copied = quietly(_independent_copy, make, mapping)
        if copied is not None:
            return copied
    return plain_copy(mapping)


def plain_copy(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a dict with the same values; with lists as values if the mapping has several values for a name."""
    read = values_reader(mapping)
    return {name: mapping[name] if read is None else list(read(name)) for name in mapping}


def values_reader(mapping: Mapping[Any, Any]) -> Callable[[Any], Iterable[Any]] | None:
    """Return the method that returns all values of a name, ``None`` if a name has one value."""
    name = next((name for name in _READERS if hasattr(type(mapping), name)), None)
    return None if name is None else getattr(mapping, name)


def layers(mapping: Any) -> Iterable[Any]:
    """Return the mappings that hold the items of a copy: the maps of a ``ChainMap``, also nested, else the copy."""
    return chain.from_iterable(map(layers, mapping.maps)) if isinstance(mapping, ChainMap) else (mapping,)


def spellings(layer: Iterable[Any], name: str, *, ignores_case: bool) -> list[Any]:
    """Return the names in a mapping that are equal to a name."""
    if not ignores_case:
        return [name] if name in layer else []
    return [one for one in layer if isinstance(one, str) and one.lower() == name.lower()]


def pop_values(mapping: MutableMapping[Any, Any], name: Any) -> list[Any]:
    """Remove a name and return all of its values."""
    read = values_reader(mapping)
    values = [mapping[name]] if read is None else list(read(name))
    del mapping[name]
    return values


def put_values(mapping: MutableMapping[Any, Any], name: Any, values: list[Any]) -> None:
    """Set all values of a name that the mapping does not have."""
    if hasattr(mapping, "setlist"):
        mapping.setlist(name, values)
    elif len(values) > 1 and hasattr(mapping, "add"):
        for value in values:
            mapping.add(name, value)
    else:
        mapping[name] = values[0] if len(values) == 1 else values


def contents(mapping: Any) -> dict[Any, Any]:
    """Return the current items of a mapping as a dict, with tuples if it has several values for a name."""
    if type(mapping) is dict:
        return mapping.copy()
    read = values_reader(mapping)
    return {name: mapping[name] if read is None else tuple(read(name)) for name in mapping}


def _independent_copy(make: Callable[[Any], Any], mapping: Mapping[Any, Any]) -> MutableMapping[Any, Any] | None:
    copied: MutableMapping[Any, Any] | None = make(mapping)
    return copied if copied is not None and _is_independent(copied, mapping) else None


def _chain_copy(mapping: Any) -> Any:
    """Copy a ``ChainMap`` with all of its maps, because a name removed from one map may also be in the next."""
    return type(mapping)(*map(changeable_copy, mapping.maps)) if isinstance(mapping, ChainMap) else None


def _dict_copy(mapping: Any) -> Any:
    """Copy a dict whose class does not define ``__copy__``."""
    kind: Any = type(mapping)
    if not isinstance(mapping, dict) or hasattr(kind, "__copy__") or values_reader(mapping) is not None:
        return None
    if kind.__setitem__ is dict.__setitem__ or not _containers(mapping):
        return copy.copy(mapping)
    # ``copy`` would set the items by the method of the class, which may change an index that the original shares.
    plain: Any = OrderedDict if isinstance(mapping, OrderedDict) else dict
    copied: Any = kind.__new__(kind)
    for name, value in plain.items(mapping):
        plain.__setitem__(copied, name, value)
    for name, held in _attributes(mapping).items():
        object.__setattr__(copied, name, held)
    return _separated(copied, mapping)


def _own_copy(mapping: Any) -> Any:
    """Copy a mapping by its own ``__copy__`` or ``copy``, which may return a changeable copy of an immutable one."""
    if hasattr(type(mapping), "__copy__"):
        copied = copy.copy(mapping)
        if copied is not mapping:
            return _separated(copied, mapping) if isinstance(mapping, UserDict) else copied
    copied = mapping.copy() if hasattr(type(mapping), "copy") else None
    return _chain_copy(copied) or copied  # ``ChainMap.copy`` copies only the first map, also in a MappingProxyType


def _store_copy(mapping: Any) -> Any:
    """Copy an object that holds its items in a dict, which a shallow copy would share."""
    stores = [held for held in _containers(mapping).values() if type(held) is dict and held.keys() == mapping.keys()]
    if len(stores) != 1 or not isinstance(mapping, MutableMapping) or hasattr(type(mapping), "__copy__"):
        return None
    return _separated(copy.copy(mapping), mapping)


def _separated(copied: Any, mapping: Any) -> Any:
    """Copy the containers that a copy shares with its original, such as an index; ``None`` if one cannot be copied."""
    for name, held in _containers(mapping).items():
        if getattr(copied, name) is held:
            if type(held) not in _CONTAINERS:
                return None
            object.__setattr__(copied, name, copy.copy(held))
    return copied


def _containers(mapping: Any) -> dict[str, Any]:
    return {name: held for name, held in _attributes(mapping).items() if isinstance(held, _CONTAINERS)}


def _attributes(mapping: Any) -> dict[str, Any]:
    members = [(name, one) for base in type(mapping).__mro__ for name, one in vars(base).copy().items()]
    slots = [name for name, one in members if isinstance(one, MemberDescriptorType) and hasattr(mapping, name)]
    return {name: getattr(mapping, name) for name in slots} | getattr(mapping, "__dict__", {})


def _rebuilt(mapping: Any) -> Any:
    """Copy a mapping with several values for a name by passing its pairs to its class (starlette)."""
    if not hasattr(type(mapping), "multi_items") or not hasattr(type(mapping), "__setitem__"):
        return None
    return type(mapping)(list(mapping.multi_items()))


def _deep_copy(mapping: Any) -> Any:
    """Copy a mapping that offers no other copy, such as a ``Struct`` of protobuf."""
    return copy.deepcopy(mapping) if hasattr(type(mapping), "__deepcopy__") else None


def _is_independent(copied: MutableMapping[Any, Any], mapping: Mapping[Any, Any]) -> bool:
    """Return whether adding an item to the copy leaves the original unchanged; remove the item again."""
    if copied is mapping or len(copied) != len(mapping):
        return False
    if type(copied) is dict:
        return True
    probe = free_name("otel_keyaudit", mapping)
    copied[probe] = ""
    is_shared = probe in mapping
    del copied[probe]
    return not is_shared
