"""Finds every place that holds an object, and puts another one there: for callables whose code cannot be exchanged."""

from __future__ import annotations

import gc
import inspect
from dataclasses import dataclass
from types import CellType, FrameType
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where an object is held.

    Attributes:
        kind: ``item`` of a dict or list, ``element`` of a set, ``cell`` of a closure, ``slot`` of an instance.
        holder: The container.
        key: Where in it.
    """

    kind: str
    holder: Any
    key: Any = None

    def put(self, value: Any, *, expected: Any) -> None:
        """Put a value there, if the place still holds what is expected."""
        if self.kind == "item" and _item(self.holder, self.key) is expected:
            self.holder[self.key] = value
        elif self.kind == "element" and any(element is expected for element in self.holder):
            self.holder.discard(expected)
            self.holder.add(value)
        elif self.kind == "cell" and self.holder.cell_contents is expected:
            self.holder.cell_contents = value
        elif self.kind == "slot" and _slot(self.holder, self.key) is expected:
            object.__setattr__(self.holder, self.key, value)


def places_of(wanted: Any, *, besides: Any) -> tuple[list[Place], int]:
    """Return every place that holds an object.

    Args:
        wanted: The object.
        besides: One holder that does not count.

    Returns:
        The places, and the number of holders in which nothing can be exchanged (tuples, frozen sets, compiled objects).
    """
    places: list[Place] = []
    fixed = 0
    for holder in gc.get_referrers(wanted):
        if isinstance(holder, FrameType) or holder is besides or holder is vars(besides):
            continue
        found = _places(holder, wanted)
        fixed += not found
        places += found
    return places, fixed


def _item(holder: Any, key: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(key)
    return holder[key] if key < len(holder) else None


def _places(holder: Any, wanted: Any) -> list[Place]:
    if isinstance(holder, dict):
        return [Place("item", holder, key) for key, value in holder.items() if value is wanted]
    if isinstance(holder, list):
        return [Place("item", holder, key) for key, value in enumerate(holder) if value is wanted]
    if isinstance(holder, set):
        return [Place("element", holder)]
    if isinstance(holder, CellType):
        return [Place("cell", holder)]
    attributes = getattr(holder, "__dict__", None)
    if isinstance(attributes, dict) and (found := _places(attributes, wanted)):
        return found
    return [Place("slot", holder, name) for name in _slots(holder) if _slot(holder, name) is wanted]


def _slots(holder: Any) -> list[str]:
    return [
        name for cls in type(holder).__mro__ for name, value in vars(cls).items() if inspect.ismemberdescriptor(value)
    ]


def _slot(holder: Any, name: str) -> Any:
    try:
        return object.__getattribute__(holder, name)
    except AttributeError:
        return None
