"""Check whether a module exists, and suggest the nearest name, without importing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import iter_modules

from otel_keyaudit.errors import hint, shown
from otel_keyaudit.guard.guard import quietly


def explain_missing(module: str, *, deferred: bool = False) -> str | None:
    """Return why a module can never be imported, with the nearest existing name; ``None`` if it may exist.

    Args:
        module: The dotted name.
        deferred: A missing top-level package may become importable later (``opentelemetry-instrument``).
    """
    if module in sys.modules:
        return None
    parent, _, name = module.rpartition(".")
    if not parent:
        if deferred or _spec(module, None) is not None:
            return None
        return f"there is no package {shown(name)}{hint(name, _modules(None))}"
    reason = explain_missing(parent, deferred=deferred)
    if reason is not None:
        return reason
    path = _submodule_path(parent)
    if path is None or _spec(module, path) is not None or _portions(name, path):
        return None
    return f"package {parent!r} has no module {shown(name)}{hint(name, _modules(path))}"


def _submodule_path(package: str) -> Sequence[str] | None:
    """Return the search path for the submodules of a package, ``None`` if it is unknown."""
    imported = sys.modules.get(package)
    if imported is not None:
        return [*getattr(imported, "__path__", ())]
    parent, _, name = package.rpartition(".")
    path = _submodule_path(parent) if parent else None
    spec = _spec(package, path)
    if spec is None:
        return _portions(name, path or ()) or None
    return [*(spec.submodule_search_locations or ())]


def _portions(name: str, path: Sequence[str]) -> Sequence[str]:
    """Return the folders of a package without ``__init__.py``, which no finder knows before its parent is imported."""
    return [str(folder) for folder in _folders(path) if folder.name == name]


def _folders(path: Sequence[str]) -> Sequence[Path]:
    return [folder for entry in path for folder in quietly(_folders_in, Path(entry)) or ()]


def _folders_in(parent: Path) -> Sequence[Path]:
    return [folder for folder in parent.iterdir() if folder.is_dir()]


def _spec(module: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Return the spec from the first finder that knows the module. Unlike ``find_spec``, import no parent."""
    for finder in [*sys.meta_path]:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else quietly(find, module, path)
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _modules(path: Sequence[str] | None) -> Iterable[str]:
    if path is None:
        return {one.name for one in iter_modules()} | set(sys.modules)
    folders = [folder.name for folder in _folders(path) if folder.name.isidentifier()]
    return [*(one.name for one in iter_modules(path)), *folders]
