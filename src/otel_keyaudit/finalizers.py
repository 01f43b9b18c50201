"""What is left undone in a finalizer: a collection of garbage may have interrupted anything, this library too.

What was interrupted may hold a lock, such as that of the SDK's spans, which its own thread does not get twice. Before
Python 3.12 it may also be in the middle of ``ContextVar.set`` or ``copy_context`` (since then collections start between
instructions only, gh-97922): another change of its context pulls away the memory that it uses, and the process crashes.
So during a collection no context variable is set or reset, the server span is not touched, and what else is to be done
is done in a copy of the context, which nobody is changing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from threading import get_ident
from typing import Any, Final, TypeVar

Value = TypeVar("Value")
Result = TypeVar("Result")


class Collection:
    """Knows the thread that collects garbage, from one ``instrument()`` to the next."""

    thread: int | None = None
    """The thread, while it does."""

    def watch(self) -> None:
        """Have the collector tell when it begins and ends."""
        gc.callbacks.append(self._note)

    def unwatch(self) -> None:
        """Have it tell no more."""
        with suppress(ValueError):
            gc.callbacks.remove(self._note)

    def is_here(self) -> bool:
        """Say whether this code is run by a collection: other threads go on beside it."""
        return self.thread is not None and self.thread == get_ident()

    def _note(self, phase: str, _: dict[str, int]) -> None:
        self.thread = get_ident() if phase == "start" else None


collection: Final = Collection()


def apart(work: Callable[..., Result], *args: Any) -> Result:
    """Do some work in a copy of the context."""
    return copy_context().run(work, *args)


def assign(variable: ContextVar[Value], value: Value) -> Token[Value] | None:
    """Set a context variable; ``None`` where that cannot be done."""
    return None if collection.is_here() else variable.set(value)


def reset(variable: ContextVar[Value], token: Token[Value] | None) -> None:
    """Reset a context variable, if it was set and this is still the context in which that was done.

    It is another one where an abandoned coroutine or generator is cleaned up elsewhere: nothing to undo there.
    """
    if token is None or collection.is_here():
        return
    try:  # noqa: SIM105 - suppress() costs more than the reset
        variable.reset(token)
    except ValueError:
        pass
