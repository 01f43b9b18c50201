"""Detect code that runs inside a garbage collection, and provide context variables that are safe to change there.

A finalizer may call a target. The interrupted code may hold a lock that its own thread cannot acquire again, such as
the lock of an SDK span, so the library acquires no such lock during a collection.

The collector's callbacks are C callables, because an exception that a signal handler raises in a Python callback would
be lost.
"""

from __future__ import annotations

import gc
import sys
from _thread import start_new_thread  # threading.Thread waits for a lock that the interrupted code may hold
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from functools import partial
from threading import local
from typing import Any, Generic, TypeVar

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.signals import is_raised_by_signal_handler

Value = TypeVar("Value")


class _LastEvent:
    """Holds the information dict of the collector's latest event.

    ``start`` and ``stop`` are the same slot, because the collector's callback sets an attribute with the event's name.
    """

    __slots__ = ("info",)


_LastEvent.start = _LastEvent.stop = _LastEvent.info  # type: ignore[attr-defined]

_last_event = _LastEvent()
_last_event.info = None  # type: ignore[attr-defined]


class _ThisThread(local):
    """Holds the information dict of the latest collection that this thread started."""

    start: dict[str, Any] | None = None


_this_thread = _ThisThread()
_CALLBACKS = (partial(setattr, _last_event), partial(setattr, _this_thread))


def watch_collections() -> None:
    """Register the callbacks that record when a collection starts and stops."""
    gc.callbacks.extend(_CALLBACKS)


def unwatch_collections() -> None:
    """Remove the callbacks."""
    for callback in _CALLBACKS:
        with suppress(ValueError):
            gc.callbacks.remove(callback)
    _last_event.info = None  # type: ignore[attr-defined]


def current_collection() -> dict[str, Any] | None:
    """Return the information dict of the collection that runs this code, ``None`` outside of a collection.

    The code runs in a collection if the latest event of the process is a start, and this thread caused it.
    """
    info: dict[str, Any] | None = _last_event.info  # type: ignore[attr-defined]
    return info if info is _this_thread.start else None


class _Variable(Generic[Value]):
    """A context variable whose default is ``None``.

    Args:
        name: Its name, for debugging.
    """

    __slots__ = ("_variable", "get", "set")

    def __init__(self, name: str) -> None:
        self._variable: ContextVar[Value | None] = ContextVar(name, default=None)
        self.get = self._variable.get
        self.set = self._variable.set

    def reset(self, token: Any) -> None:
        """Restore the value before a ``set``, unless this is another context.

        An abandoned coroutine or generator is closed in another context, where there is nothing to restore.
        """
        try:
            self._variable.reset(token)
        except ValueError as error:
            if is_raised_by_signal_handler(error):
                raise


class _VariableBefore312(_Variable[Value]):
    """A context variable for Python before 3.12, where a collection may interrupt a change of the context itself.

    A second change of the same context would free memory that the interrupted change still uses, and the process would
    crash (gh-97922). So a value that is set during a collection is kept outside the context, until the collection ends.
    """

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.set = self._set  # type: ignore[assignment]

    def _get(self) -> Value | None:
        info = current_collection()
        return self._variable.get() if info is None else info.get(self, self._variable.get())  # type: ignore[call-overload]

    def _set(self, value: Value | None) -> Token[Value | None] | tuple[Any, ...]:
        info = current_collection()
        if info is None:
            return self._variable.set(value)
        before = self._get()
        self.get = self._get  # type: ignore[assignment] # only now, because few processes need the slower getter
        info[self] = value  # type: ignore[index]
        return info, before

    def reset(self, token: Any) -> None:
        """Restore the value before a ``set``. A value set during a collection is dropped when the collection ends."""
        if type(token) is tuple:
            info, before = token
            info[self] = before
        elif current_collection() is None:
            super().reset(token)


_CHANGES_IN_COLLECTION = sys.version_info >= (3, 12)

if sys.version_info >= (3, 12):
    Variable = _Variable
else:
    Variable = _VariableBefore312

ResetToken = Any
"""The token that ``Variable.set`` returns and ``Variable.reset`` takes."""


def may_change_context() -> bool:
    """Return whether the context may be changed here. Before Python 3.12 it may not during a collection."""
    return _CHANGES_IN_COLLECTION or current_collection() is None


def isolated(work: Callable[..., Value]) -> Callable[..., Value]:
    """Return a function that runs in a copy of the context where changing the context would crash the process.

    It is for calls of span processors, which set context variables.
    """
    return work if may_change_context() else partial(copy_context().run, work)


def outside_collection(work: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Call a function that may wait for a lock. During a collection, call it in a new thread.

    The interrupted code may hold the lock of an exporter, for example, and continues only after the collection. A
    failure in the thread is not reported; the SDK logs failures of its exporters.
    """
    if current_collection() is None:
        work(*args, **kwargs)
    else:
        start_new_thread(copy_context().run, (partial(quietly, partial(work, *args, **kwargs)),))
