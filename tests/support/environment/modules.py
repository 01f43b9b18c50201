"""Modules that last for one test."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType


class Modules:
    """Writes modules to disk that one test can import.

    Args:
        folder: A folder that is on ``sys.path``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: list[str] = []

    def write(self, source: str, name: str | None = None) -> str:
        """Write a module without importing it and return its name."""
        name = name or f"keyaudit_app_{len(self._names)}_{self.folder.parent.name}".replace("-", "_")
        path = self.folder.joinpath(*name.split(".")).with_suffix(".py")
        for package in [parent for parent in path.parents if parent.is_relative_to(self.folder)][:-1]:
            package.mkdir(exist_ok=True, parents=True)
            package.joinpath("__init__.py").touch()
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        self._names.append(name)
        importlib.invalidate_caches()
        return name

    def load(self, source: str, name: str | None = None) -> ModuleType:
        """Write a module and import it."""
        return importlib.import_module(self.write(source, name))

    def forget(self) -> None:
        """Remove the modules from ``sys.modules``."""
        packages = {name.partition(".")[0] for name in self._names}
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]


LoadModule = Callable[..., ModuleType]


def import_lazily(name: str) -> ModuleType:
    """Import a module whose code runs on first use, as the documentation of ``importlib`` shows it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
