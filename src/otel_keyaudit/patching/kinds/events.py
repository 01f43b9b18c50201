"""Observe the event ``before_insert`` of an SQLAlchemy model, because a model has no method that saves a row."""

from __future__ import annotations

import weakref
from importlib import import_module
from types import FunctionType
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary


def before_insert(mapper: Any, connection: Any, target: Any) -> None:
    """Do nothing before a row is inserted. Each listener is a copy of this function."""


BEFORE_INSERT = cast("FunctionType", before_insert)


class ModelEvent(NamedTuple):
    """The event ``before_insert`` of a model, which a target names as ``Model.before_insert``."""

    model: Any


def has_event(owner: type, name: str) -> bool:
    """Return whether a class is mapped and a name is an event that the library can observe."""
    return name == before_insert.__name__ and hasattr(owner, "__mapper__")


_LISTENERS: WeakKeyDictionary[type, Listener] = WeakKeyDictionary()


def listener_of(event: ModelEvent) -> Listener:
    """Return the listener of a model's event; add one if there is none."""
    listener = _LISTENERS.get(event.model)
    if listener is None:
        listener = _LISTENERS[event.model] = Listener(event)
    return listener


class Listener:
    """A function that SQLAlchemy calls before it inserts a row of a model."""

    def __init__(self, event: ModelEvent) -> None:
        self.function = FunctionType(BEFORE_INSERT.__code__, BEFORE_INSERT.__globals__, before_insert.__name__)
        self._model = weakref.ref(event.model)
        self._events = import_module("sqlalchemy.event")
        self._events.listen(event.model, before_insert.__name__, self.function, propagate=True)

    def remove(self) -> None:
        """Remove the listener from SQLAlchemy."""
        model = self._model()
        if model is not None and _LISTENERS.pop(model, None) is self:
            self._events.remove(model, before_insert.__name__, self.function)
