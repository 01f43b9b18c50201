"""``module:function`` in an option: checked at once as far as possible, imported at first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.patching.modules import is_initialising, lookup, package_exists, runs_as_main


class LazyFunction:
    """A function by its name, imported at the first call: not earlier, which could import the application too soon.

    Args:
        text: ``package.module:name``.
        deferred: Its package need not be importable yet (``opentelemetry-instrument``).

    Raises:
        ConfigurationError: Its package does not exist, or its module is imported and has no such function.
    """

    def __init__(self, text: str, *, deferred: bool) -> None:
        self.text = text
        self._module, _, self._name = text.partition(":")
        self._function: Callable[..., Any] | None = None
        module = sys.modules.get(self._module)
        if module is not None and not is_initialising(module) and self._module != "__main__":
            self._find(module)
        elif module is None and not deferred and not package_exists(self._module):
            raise ConfigurationError(f"{text!r}: there is no package {self._module.partition('.')[0]!r}")

    def __call__(self, *args: Any) -> Any:
        """Call the function; the first call imports its module."""
        if self._function is None:
            self._find(self._loaded())
        return self._function(*args)  # type: ignore[misc]  # _find has set it

    def _loaded(self) -> object:
        """Return the module; the one that was started is not imported a second time under its own name."""
        main = sys.modules.get("__main__")
        if self._module not in sys.modules and runs_as_main(main, self._module):
            return main
        return importlib.import_module(self._module)

    def _find(self, module: object) -> None:
        function = lookup(module, self._name)
        if not callable(function):
            raise ConfigurationError(f"{self.text!r}: module {self._module!r} has no function {self._name!r}")
        self._function = function
