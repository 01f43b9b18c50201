"""Detect code that runs inside a garbage collection, and provide context variables that are safe to change there.

A finalizer, or a callback of the collector, may call a target. The interrupted code may hold a lock that its own thread
cannot acquire again, such as the lock of an SDK span, so the library acquires no such lock during a collection.

The collector's callbacks are C callables, because an exception that a signal handler raises in a Python callback would
be lost.
"""

from __future__ import annotations

import gc
import sys
from _thread import start_new_thread  # threading.Thread waits for a lock that the interrupted code may hold
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, ContextVar, Token, copy_context
from functools import partial
from operator import is_
from threading import local
from typing import Any, Generic, TypeVar

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.signals import is_raised_by_signal_handler

Value = TypeVar("Value")


_running: dict[int, dict[str, Any]] = {}
"""The information dict of the collection that is running, under the key 0; empty outside of a collection."""


class _First(int):
    """The target of the first callback. Setting its attribute ``start`` notes a collection."""

    start = property(None, _running.__setitem__)


class _Last(int):
    """The target of the last callback. Setting its attribute ``stop`` forgets the collection."""

    stop = property(None, _running.pop)  # type: ignore[arg-type]


class _ThisThread(local):
    """Holds the information dict of the latest collection that this thread started."""

    start: dict[str, Any] | None = None


_CHANGES_IN_COLLECTION = sys.version_info >= (3, 12)

_this_thread = _ThisThread()
_FIRST = [partial(setattr, _this_thread), partial(setattr, _First())]  # set an attribute with the name of the phase
_LAST = [partial(setattr, _Last())]
if not _CHANGES_IN_COLLECTION:
    # A collection may interrupt the reset of a variable. If the variable is read then, Python before 3.12 caches the
    # value that the reset frees. To enter and leave any context discards all cached values.
    _LAST.append(partial(Context().run, is_))  # type: ignore[arg-type,call-arg]


def watch_collections() -> None:
    """Register the callbacks that record when a collection starts and stops.

    They enclose the callbacks of the application, which may call targets, too. A second call encloses also the
    callbacks that the application has registered meanwhile.
    """
    if gc.callbacks[: len(_FIRST)] != _FIRST or gc.callbacks[-len(_LAST) :] != _LAST:
        _remove_callbacks()
        gc.callbacks[:0] = _FIRST
        gc.callbacks.extend(_LAST)


def unwatch_collections() -> None:
    """Remove the callbacks."""
    _remove_callbacks()
    _running.clear()


def _remove_callbacks() -> None:
    for callback in (*_FIRST, *_LAST):
        with suppress(ValueError):
            gc.callbacks.remove(callback)


def current_collection() -> dict[str, Any] | None:
    """Return the information dict of the collection that runs this code, ``None`` outside of a collection.

    Only the thread that caused the collection runs code in it.
    """
    if not _running:
        return None
    info = _running.get(0)
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
