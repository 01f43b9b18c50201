"""Sets context variables, except where that would crash the process: during a collection of garbage before Python 3.12.

There any allocation may start a collection, one inside of ``ContextVar.set`` or ``copy_context`` as well. A finalizer
that it runs, of an abandoned generator or coroutine or of an object of the application, then finds its context halfway
through a change, and another change pulls away the memory that is in use. So meanwhile no variable is set or reset, and
what else is to be done is done in a copy of the context, which nobody is changing. Since Python 3.12 collections start
between instructions only (gh-97922).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from threading import get_ident
from typing import Any, Final, TypeVar

_INTERRUPTS_ANYTHING = sys.version_info < (3, 12)

Value = TypeVar("Value")
Result = TypeVar("Result")


class Collection:
    """Knows the thread that collects garbage, from one ``instrument()`` to the next."""

    thread: int | None = None
    """The thread, while it does; always ``None`` where collections interrupt nothing."""

    def watch(self) -> None:
        """Have the collector tell when it begins and ends."""
        if _INTERRUPTS_ANYTHING:
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
