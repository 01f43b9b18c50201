"""Finds every place that holds an object, so that another one can be put there: for what has no code to exchange."""

from __future__ import annotations

import gc
import inspect
from collections import deque
from collections.abc import Collection
from types import BuiltinMethodType, CellType, FrameType
from typing import Any, NamedTuple

import wrapt


class Place(NamedTuple):
    """Where an object is held.

    Attributes:
        kind: ``item`` of a dict or list, ``element`` of a set, ``cell`` of a closure, ``slot`` of an instance,
            ``class`` for an attribute of one, ``proxy`` for what another instrumentation wraps.
        holder: The container.
        key: Where in it.
    """

    kind: str
    holder: Any
    key: Any = None

    def put(self, value: Any, *, expected: Any) -> bool:
        """Put a value there, if the place still holds what is expected; say that it could be done."""
        if self.kind == "item" and _item(self.holder, self.key) is expected:
            _builtin(self.holder).__setitem__(self.holder, self.key, value)
        elif self.kind == "element" and any(element is expected for element in set.copy(self.holder)):
            set.discard(self.holder, expected)
            set.add(self.holder, value)
        elif self.kind == "cell" and self.holder.cell_contents is expected:
            self.holder.cell_contents = value
        elif self.kind == "slot" and _slot(self.holder, self.key) is expected:
            object.__setattr__(self.holder, self.key, value)
        elif self.kind == "class" and vars(self.holder).get(self.key) is expected:
            type.__setattr__(self.holder, self.key, value)
        elif self.kind == "proxy" and self.holder.__wrapped__ is expected:
            self.holder.__wrapped__ = value
        return True


def places_of(wanted: Any, *, besides: Collection[object]) -> tuple[list[Place], int]:
    """Return every place that holds an object.

    Args:
        wanted: The object.
        besides: Instances that do not count.

    Returns:
        The places, and the number of holders through which it can be called and which cannot be changed (tuples, frozen
        sets, partials, suspended generators, compiled objects).
    """
    places: list[Place] = []
    fixed = 0
    for holder in gc.get_referrers(wanted):
        if type(holder) is FrameType or holder is besides or _is_one_of(holder, besides):
            continue
        found = _places(holder, wanted)
        fixed += not found and not _is_harmless(holder, wanted)
        places += found
    return places, fixed


def _is_one_of(holder: object, instances: Collection[object]) -> bool:
    return any(holder is one or holder is _slot(one, "__dict__") for one in instances)


def _places(holder: Any, wanted: Any) -> list[Place]:
    kind = type(holder)
    if issubclass(kind, dict):
        named = [_named(holder, key, wanted) for key, value in list(dict.items(holder)) if value is wanted]
        return [place for place in named if place is not None]
    if issubclass(kind, (list, deque)):
        held = list(_builtin(holder).__iter__(holder))
        return [Place("item", holder, index) for index, value in enumerate(held) if value is wanted]
    if issubclass(kind, (set, CellType)):
        return [Place("cell" if kind is CellType else "element", holder)]
    if issubclass(kind, wrapt.BaseObjectProxy):
        return [Place("proxy", holder)] if holder.__wrapped__ is wanted else []
    return _places_in_instance(holder, wanted)


def _places_in_instance(holder: Any, wanted: Any) -> list[Place]:
    attributes = _slot(holder, "__dict__")
    in_attributes = _places(attributes, wanted) if issubclass(type(attributes), dict) else []
    in_slots = [Place("slot", holder, name) for name in _slots(holder) if _slot(holder, name) is wanted]
    return in_attributes + in_slots


def _named(namespace: dict[Any, Any], key: Any, wanted: Any) -> Place | None:
    """Return a place in a dict; a class's own dict is changed through the class, whose caches must take note.

    A class that the garbage collector does not show, as after ``gc.freeze()``, is left alone: changed behind its back,
    it would go on to use what is no longer there. Else only what wraps something has a ``__module__`` in its dict.
    """
    if "__module__" in namespace:
        for owner in gc.get_referrers(namespace):
            if issubclass(type(owner), type) and vars(owner).get(key) is wanted:
                return Place("class", owner, key)
        if "__wrapped__" not in namespace:
            return None
    return Place("item", namespace, key)


def _is_harmless(holder: Any, wanted: Any) -> bool:
    """Say whether it is the key of a dict, which a proxy equals, or held for a method of its own (``cache_clear``)."""
    return issubclass(type(holder), dict) or (type(holder) is BuiltinMethodType and holder.__self__ is wanted)


def _builtin(holder: Any) -> Any:
    """Return the builtin class of a container: methods of its own class are the application's code."""
    return next(kind for kind in (dict, list, deque) if issubclass(type(holder), kind))


def _item(holder: Any, key: Any) -> Any:
    if _builtin(holder) is dict:
        return dict.get(holder, key)
    return _builtin(holder).__getitem__(holder, key) if key < _builtin(holder).__len__(holder) else None


def _slots(holder: Any) -> list[str]:
    """Return the names of an instance's slots; members of compiled objects, a method's ``__func__``, cannot be set."""
    classes = [cls for cls in type(holder).__mro__ if "__slots__" in vars(cls)]
    return [name for cls in classes for name, value in vars(cls).items() if inspect.ismemberdescriptor(value)]


def _slot(holder: Any, name: str) -> Any:
    try:
        return object.__getattribute__(holder, name)
    except AttributeError:
        return None
