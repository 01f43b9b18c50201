"""Observe an event of an SQLAlchemy model, because a model has no method of its own that saves a row."""

from __future__ import annotations

import weakref
from importlib import import_module
from types import FunctionType
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary


def before_insert(mapper: Any, connection: Any, target: Any) -> None:
    """Do nothing before a row is inserted; each listener is a function like this one."""


BEFORE_INSERT = cast("FunctionType", before_insert)


class ModelEvent(NamedTuple):
    """The event ``before_insert`` of a model, found under ``Model.before_insert``."""

    model: Any


def has_event(owner: type, name: str) -> bool:
    """Return whether a name that a class does not define is an event of a mapped class."""
    return name == before_insert.__name__ and hasattr(owner, "__mapper__")


_LISTENERS: WeakKeyDictionary[type, Listener] = WeakKeyDictionary()


def listener_of(event: ModelEvent) -> Listener:
    """Return the listener of a model's event, which is added if there is none."""
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
        """Let SQLAlchemy call the function no more."""
        model = self._model()
        if model is not None and _LISTENERS.pop(model, None) is self:
            self._events.remove(model, before_insert.__name__, self.function)
