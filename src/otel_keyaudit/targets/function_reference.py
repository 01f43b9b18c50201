"""Resolve a ``module:name.path`` of an option at first use; check it earlier as far as possible.

An import at ``instrument()`` could import the application before other instrumentors are ready.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from otel_keyaudit.errors import ConfigurationError, hint, shown
from otel_keyaudit.patching.modules.lookup import is_initializing, runs_as_main
from otel_keyaudit.patching.modules.search import explain_missing
from otel_keyaudit.targets.expressions.steps import apply, member

_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    type,
    functools.partial,
    type(functools.lru_cache(len)),
)
"""Classes of objects that are called. Any other object is the value, even if it is a callable proxy."""


class LazyObject:
    """An object that is resolved by its name at first use.

    Args:
        text: ``package.module:name.path``.
        deferred: The package need not be importable yet (``opentelemetry-instrument``).

    Raises:
        ConfigurationError: Its module does not exist, or is imported and has no such name.
    """

    _noun = ""

    def __init__(self, text: str, *, deferred: bool) -> None:
        self.text = text
        self._module, _, path = text.partition(":")
        self._first, *self._rest = path.split(".")
        module = sys.modules.get(self._module)
        if module is not None and not is_initializing(module) and self._module != "__main__":
            self._check(module)
        elif module is None and (reason := explain_missing(self._module.partition(".")[0], deferred=deferred)):
            raise ConfigurationError(f"{shown(text)}: {reason}")

    def find(self) -> Any:
        """Return the current object. The first use imports its module.

        Raises:
            MissingError: An object on the path lacks an attribute.
            ConfigurationError: The module has no such name.
        """
        module = self._loaded()
        if not hasattr(module, self._first):
            self._check(module)
        found = getattr(module, self._first)
        for name in self._rest:
            found = None if found is None else member(found, name)
        return found

    def _check(self, module: object) -> None:
        if not hasattr(module, self._first):
            near = hint(self._first, [name for name in dir(module) if not name.startswith("_")])
            raise ConfigurationError(
                f"{shown(self.text)}: module {self._module!r} has no {self._noun}{self._first!r}{near}"
            )

    def _loaded(self) -> object:
        """Return the module. A module that was started as a program is not imported again under its own name."""
        found = sys.modules.get(self._module)
        main = sys.modules.get("__main__")
        if found is None:
            return main if runs_as_main(main, self._module) else importlib.import_module(self._module)
        return found


class LazyFunction(LazyObject):
    """A function, such as a sampler, that is resolved by its name at its first call.

    Raises:
        ConfigurationError: Its module does not exist, or is imported and has no such function.
    """

    _noun = "function "
    _function: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Call the function; the first call imports its module."""
        if self._function is None:
            self._function = self._callable(self.find())
        return self._function(*args)

    def _check(self, module: object) -> None:
        super()._check(module)
        if not self._rest:
            self._callable(getattr(module, self._first))

    def _callable(self, found: Any) -> Callable[..., Any]:
        if not callable(found):
            path = ".".join((self._first, *self._rest))
            raise ConfigurationError(f"{shown(self.text)}: module {self._module!r} has no function {path!r}")
        return found  # type: ignore[no-any-return]


def is_function(found: object) -> bool:
    """Return whether an object is a function, a method, a class or a partial, without running code of the object."""
    return issubclass(type(found), _FUNCTIONS)


class LazyValue(LazyObject):
    """The value of ``module:name.path`` for a call: of a function, of a ``ContextVar``, or the object itself."""

    def read(self, call: Any) -> Any:
        """Return the value.

        Args:
            call: The argument of a function.

        Raises:
            MissingError: An object on the path lacks an attribute.
            UnreadableError: The value would have to be awaited, or can be read only once.
        """
        found = self.find()
        if type(found) is ContextVar:
            found = found.get(None)
        if not is_function(found):
            return apply(_identity, found)
        value = apply(found, call)
        return None if value is call else value  # the ``get`` of an unset ``ContextVar`` returns its argument


def _identity(found: Any) -> Any:
    return found
