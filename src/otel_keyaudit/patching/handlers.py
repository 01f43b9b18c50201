"""Call a handler in place of a Python function. The handler calls the original itself."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from types import FunctionType
from typing import Any

from otel_keyaudit.patching.code_exchange import Hook, duplicate, handled_code, hook_of

Handler = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""Called in place of the original with the positional and the keyword arguments, including defaults."""

LOCK = RLock()
"""Held while the code of a function is exchanged."""


class HandlerPatch:
    """Calls a handler in place of a Python function; the handler calls the original itself.

    Handlers enclose all observers, and the last handler is the outermost.

    Args:
        function: The function.
        make_handler: Gets the original function, returns the handler.
    """

    def __init__(self, function: FunctionType, make_handler: Callable[[FunctionType], Handler]) -> None:
        self.function = function
        with LOCK:
            original = duplicate(function)
            self._hook = Hook(make_handler(original))
            self._hook.original = original  # type: ignore[attr-defined]
            function.__code__ = handled_code(function.__code__, self._hook)

    def undo(self) -> None:
        """Remove the handler, unless other code has replaced it since."""
        with LOCK:
            holder: Any = self.function
            while (hook := hook_of(holder.__code__)) is not self._hook and hasattr(hook, "original"):
                holder = hook.original  # type: ignore[union-attr]
            if hook is self._hook:
                holder.__code__ = self._hook.original.__code__  # type: ignore[attr-defined]


def inside_handlers(function: FunctionType) -> FunctionType:
    """Return the function whose code has the observers: itself, or the original that the innermost handler calls."""
    while (inner := getattr(hook_of(function.__code__), "original", None)) is not None:
        function = inner
    return function
