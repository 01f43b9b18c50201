"""What a finalizer must not touch: a collection of garbage may have interrupted anything, this library too.

What was interrupted may hold a lock, such as that of the SDK's spans, which its own thread does not get twice: during a
collection the server span is left to its next change.

Before Python 3.12 a collection may begin inside of an instruction (since then between two of them, gh-97922). If it
interrupts ``ContextVar.set`` or ``copy_context`` and changes the same context, it pulls away the memory that they use,
and the process crashes. There no context variable is touched during a collection, what is set is set for the collection
alone, and what else is to be done is done in a copy of the context, which nobody is changing.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from threading import get_ident
from typing import Any, Final, Generic, NamedTuple, TypeVar

_INSIDE_INSTRUCTIONS = sys.version_info < (3, 12)

Value = TypeVar("Value")
Result = TypeVar("Result")


class Collection:
    """Knows the thread that collects garbage, from one ``instrument()`` to the next.

    Attributes:
        thread: The thread, while it does.
        values: What variables were set to in this collection.
        variables: Those that must know of it.
    """

    def __init__(self) -> None:
        self.thread: int | None = None
        self.values: dict[Variable[Any], Any] = {}
        self.variables: list[Variable[Any]] = []

    def watch(self) -> None:
        """Have the collector tell when it begins and ends."""
        gc.callbacks.append(self._note)

    def unwatch(self) -> None:
        """Have it tell no more, not even of the end of a collection that is going on."""
        with suppress(ValueError):
            gc.callbacks.remove(self._note)
        self._note("stop")

    def is_here(self) -> bool:
        """Say whether this code is run by a collection: other threads go on beside it."""
        return self.thread is not None and self.thread == get_ident()

    def is_inside_an_instruction(self) -> bool:
        """Say whether it is run by one that may have interrupted a change of the context."""
        return _INSIDE_INSTRUCTIONS and self.is_here()

    def _note(self, phase: str, _: object = None) -> None:
        collects = phase == "start"
        self.thread = get_ident() if collects else None
        self.values = {}
        for variable in self.variables:
            variable.note(collects=collects)


collection: Final = Collection()


def apart(work: Callable[..., Result], *args: Any) -> Result:
    """Do some work in a copy of the context."""
    return copy_context().run(work, *args)


class Meanwhile(NamedTuple):
    """What a variable was before it was set in a collection.

    Attributes:
        values: Those of the collection.
        before: The value.
    """

    values: dict[Variable[Any], Any]
    before: Any


Setting = Token[Any] | Meanwhile
"""What a variable was before it was set."""


class Variable(Generic[Value]):
    """A context variable, ``None`` at first, that can be set in a finalizer, too: until the end of the collection.

    Where nothing is being collected, its methods are those of the context variable itself.

    Args:
        name: Its name.

    Attributes:
        get: Returns its value.
        set: Sets it; what is returned says what it was before.
    """

    __slots__ = ("_reset", "get", "in_context", "set")
    get: Callable[[], Value | None]
    set: Callable[[Value | None], Setting]
    _reset: Callable[[Any], None]

    def __init__(self, name: str) -> None:
        self.in_context: ContextVar[Value | None] = ContextVar(name, default=None)
        self.note(collects=False)
        if _INSIDE_INSTRUCTIONS:
            collection.variables.append(self)

    def note(self, *, collects: bool) -> None:
        """Take note that garbage is being collected, by whichever thread, or is not."""
        self.get = self._get if collects else self.in_context.get
        self.set = self._set if collects else self.in_context.set
        self._reset = self._reset_apart if collects else self.in_context.reset

    def _get(self) -> Value | None:
        if collection.is_here() and self in collection.values:
            found: Value | None = collection.values[self]
            return found
        return self.in_context.get()

    def _set(self, value: Value | None) -> Setting:
        if not collection.is_here():
            return self.in_context.set(value)
        setting = Meanwhile(collection.values, self._get())
        setting.values[self] = value
        return setting

    def reset(self, setting: Setting) -> None:
        """Set it to what it was before, if this is still the context in which it was set.

        It is another one where an abandoned coroutine or generator is cleaned up elsewhere: nothing to undo there.
        """
        try:
            self._reset(setting)
        except ValueError:
            pass
        except TypeError:  # it was set in a collection, which is over
            if not isinstance(setting, Meanwhile):
                raise

    def _reset_apart(self, setting: Setting) -> None:
        if isinstance(setting, Meanwhile):
            setting.values[self] = setting.before
        elif not collection.is_here():
            self.in_context.reset(setting)
