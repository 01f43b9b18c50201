"""Report each execution of a module: import, second import or reload.

wrapt's post-import hooks are not suitable, because they fire once, cannot be removed, and make an import fail if they
raise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType

import wrapt

from otel_keyaudit.patching.modules.lookup import is_initializing, is_unloaded, namespace

Executed = Callable[[ModuleType], object]
"""Called with a module whose code has just run; must not raise."""


class ModuleWatch:
    """A finder that delegates to the other finders and wraps the loader that they return."""

    def __init__(self) -> None:
        self._watchers: dict[str, list[Executed]] = {}
        self._searches: set[tuple[int, str]] = set()

    def add(self, name: str, executed: Executed) -> None:
        """Report a module each time that it is executed from now on."""
        self._watchers.setdefault(name, []).append(executed)
        module = sys.modules.get(name)
        if is_unloaded(module):
            self._wrap_loader(namespace(module)["__spec__"])

    def tell(self, name: str, executed: Executed) -> None:
        """Report a module now if it has been executed already, and each time that it is executed from now on."""
        self.add(name, executed)
        module = sys.modules.get(name)
        if module is not None and not is_unloaded(module) and not is_initializing(module):
            executed(module)

    def start(self) -> None:
        """Insert this finder before all others."""
        sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Remove this finder. Nothing is reported any more, not even a module that is being imported."""
        self._watchers.clear()
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of the other finders, with a loader that reports the module."""
        search = (get_ident(), name)
        if name not in self._watchers or search in self._searches:
            return None
        self._searches.add(search)  # another delegating finder may ask all finders again
        try:
            spec = self._found_by_others(name, path, target)
        finally:
            self._searches.discard(search)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            self._wrap_loader(spec)
        return spec

    def _wrap_loader(self, spec: ModuleSpec) -> None:
        if not isinstance(spec.loader, _Loader):
            spec.loader = _Loader(spec.loader, self._executed)  # type: ignore[assignment]

    def _found_by_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None

    def _executed(self, module: ModuleType) -> None:
        for executed in list(self._watchers.get(module.__name__, ())):
            executed(module)


class _Loader(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """A loader that reports a module after executing it. The module's own attributes hold only the real loader."""

    def __init__(self, loader: object, executed: Executed) -> None:
        super().__init__(loader)
        self._self_executed = executed

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then report it."""
        loader = self.__wrapped__
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = loader
        if getattr(module.__spec__, "loader", None) is self:
            module.__spec__.loader = loader  # type: ignore[union-attr]
        loader.exec_module(module)
        self._self_executed(module)


# ``warnings`` finds the importing code by skipping frames whose file has this name.
_Loader.exec_module.__code__ = _Loader.exec_module.__code__.replace(
    co_filename="<importlib._bootstrap of otel_keyaudit>"
)
