"""Observe ``queue.SimpleQueue``, whose methods are written in C, by a subclass that replaces it.

Existing instances, and modules that import the class under another name, are not observed.
"""

from __future__ import annotations

import queue
import sys
from types import ModuleType
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.request.workers.shared_workers import note_put, note_taken

_Original: Any = queue.SimpleQueue

_SKIPPED_MODULES = frozenset({"_queue", __name__})
"""The modules that define the two classes, which keep their references."""


class _LikeOriginal(type):
    """Makes instances of the original class count as instances of the subclass."""

    def __instancecheck__(cls, instance: object) -> bool:
        return issubclass(type(instance), _Original if cls is SimpleQueue else cls)


class SimpleQueue(_Original, metaclass=_LikeOriginal):  # type: ignore[misc]
    """A ``SimpleQueue`` that records puts and gets."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item."""
        quietly(note_put, self)
        _Original.put(self, item, block, timeout)

    def put_nowait(self, item: Any) -> None:
        """Put an item."""
        quietly(note_put, self)
        _Original.put_nowait(self, item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an item."""
        item = _Original.get(self, block, timeout)
        quietly(note_taken, self, item)
        return item

    def get_nowait(self) -> Any:
        """Take an item."""
        item = _Original.get_nowait(self)
        quietly(note_taken, self, item)
        return item


for name in ("__module__", "__qualname__", "__doc__"):
    setattr(SimpleQueue, name, getattr(_Original, name))


def observe_simple_queues() -> None:
    """Replace the class by the subclass in every module that has it under its name."""
    _replace(_Original, SimpleQueue)


def restore_simple_queues() -> None:
    """Restore the class."""
    _replace(SimpleQueue, _Original)


def _replace(old: type, new: type) -> None:
    for module in list(sys.modules.values()):
        is_searched = type(module) is ModuleType and module.__name__ not in _SKIPPED_MODULES
        if is_searched and vars(module).get("SimpleQueue") is old:
            vars(module)["SimpleQueue"] = new
