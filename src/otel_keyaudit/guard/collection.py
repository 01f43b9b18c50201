"""Tells whether the garbage collector runs this code, and holds context variables that may be changed there.

A finalizer may call a target. What the collector interrupted may hold a lock (that of an SDK span, which its own thread
does not get twice), so nothing of ours takes such a lock during a collection.

The collector's callbacks are C callables: a Python function there would lose the exception of a signal handler.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from functools import partial
from threading import local
from typing import Any, Generic, TypeVar

from otel_keyaudit.guard.signals import is_raised_by_signal_handler

Value = TypeVar("Value")


class _LastEvent:
    """Keeps the information that the collector passed to its last callback, whichever event that was.

    ``start`` and ``stop`` are the same slot: the collector's event names are the attribute names that are set.
    """

    __slots__ = ("info",)


_LastEvent.start = _LastEvent.stop = _LastEvent.info  # type: ignore[attr-defined]

_last_event = _LastEvent()
_last_event.info = None  # type: ignore[attr-defined]


class _ThisThread(local):
    """Keeps the information on the last collection that this thread has started."""

    start: dict[str, Any] | None = None


_this_thread = _ThisThread()
_CALLBACKS = (partial(setattr, _last_event), partial(setattr, _this_thread))


def watch_collections() -> None:
    """Have the collector report when it starts and stops."""
    gc.callbacks.extend(_CALLBACKS)


def unwatch_collections() -> None:
    """Undo :func:`watch_collections`."""
    for callback in _CALLBACKS:
        with suppress(ValueError):
            gc.callbacks.remove(callback)
    _last_event.info = None  # type: ignore[attr-defined]


def current_collection() -> dict[str, Any] | None:
    """Return the collector's information on the collection that runs this code, ``None`` outside of one.

    The last event in the process is the start of a collection in this thread: other threads go on beside it.
    """
    info: dict[str, Any] | None = _last_event.info  # type: ignore[attr-defined]
    return info if info is _this_thread.start else None


class _Variable(Generic[Value]):
    """A context variable with the value ``None`` at first.

    Args:
        name: Its name, for debugging.
    """

    __slots__ = ("_variable", "get", "set")

    def __init__(self, name: str) -> None:
        self._variable: ContextVar[Value | None] = ContextVar(name, default=None)
        self.get = self._variable.get
        self.set = self._variable.set

    def reset(self, token: Any) -> None:
        """Restore the value before a ``set``, in the context of that ``set`` only.

        An abandoned coroutine or generator is cleaned up in another context, where there is nothing to restore.
        """
        try:
            self._variable.reset(token)
        except ValueError as error:
            if is_raised_by_signal_handler(error):
                raise


class _VariableBefore312(_Variable[Value]):
    """The same before Python 3.12, where a collection may interrupt a change of the context itself.

    Changing the same context then pulls away the memory that the interrupted change uses, and the process crashes. A
    value that is set during a collection therefore lasts for that collection, beside the context (gh-97922).
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
        self.get = self._get  # type: ignore[assignment] # from now on: few processes set a value during a collection
        info[self] = value  # type: ignore[index]
        return info, before

    def reset(self, token: Any) -> None:
        """Restore the value before a ``set``; one that was set during a collection ends with it."""
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

Setting = Any
"""What ``Variable.set`` returns, for ``Variable.reset``."""


def may_change_context() -> bool:
    """Say whether the context may be changed here: before Python 3.12, not during a collection."""
    return _CHANGES_IN_COLLECTION or current_collection() is None


def isolated(work: Callable[..., Value]) -> Callable[..., Value]:
    """Return some work, such that it cannot change the context where that would crash the process.

    Span processors and log processors set context variables. During a collection they do so in a copy.
    """
    return work if may_change_context() else partial(copy_context().run, work)
