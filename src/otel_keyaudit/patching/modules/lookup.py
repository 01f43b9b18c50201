"""Look up modules and names without importing anything."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from importlib import util
from pathlib import Path
from types import FunctionType
from typing import Any

from otel_keyaudit.guard.signals import expected

MISSING = object()
"""The value of a name that does not exist."""


def runs_as_main(main: object, module: str) -> bool:
    """Return whether a module is the program that was started, which is in ``sys.modules`` as ``__main__``."""
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return module in (spec.name, "__main__")
    file, names = getattr(main, "__file__", None), tuple(module.split("."))
    return names == ("__main__",) or (file is not None and Path(file).with_suffix("").parts[-len(names) :] == names)


class UnregisteredModule:
    """Stands for a module that is not in ``sys.modules``, and shares its names.

    Args:
        names: The names in the module.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__ = names


def unregistered(names: Iterable[str]) -> dict[str, list[UnregisteredModule]]:
    """Return the modules with these names that were executed but are not in ``sys.modules``.

    A plugin loader may execute a file with ``module_from_spec`` and ``exec_module``, and keep only a function of it.
    """
    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in names if name not in sys.modules}
    if found:  # looking at all objects takes long
        for function in [one for one in gc.get_objects() if type(one) is FunctionType]:
            name = dict.get(function.__globals__, "__name__")
            if type(name) is str and name in found:
                found[name][id(function.__globals__)] = function.__globals__
    return {name: [*map(UnregisteredModule, spaces.values())] for name, spaces in found.items()}


def is_initializing(module: object) -> bool:
    """Return whether the code of a module is still running, so that a missing name may be defined later."""
    return bool(getattr(namespace(module).get("__spec__"), "_initializing", False))


def is_unloaded(module: object) -> bool:
    """Return whether the code of a module runs on first use (``importlib.util.LazyLoader``), which has not happened."""
    return type(module) is util._LazyModule  # type: ignore[attr-defined]


def namespace(module: Any) -> dict[str, Any]:
    """Return the names in a module, without loading names that it loads on first use."""
    names: Any = None
    with expected(AttributeError):
        names = object.__getattribute__(module, "__dict__")
    return names if type(names) is dict else {}


def loads_names(module: object) -> bool:
    """Return whether a module may load names on first use (PEP 562, or a custom module class)."""
    return "__getattr__" in namespace(module) or any(
        name in vars(cls) for cls in type(module).__mro__[:-2] for name in ("__getattr__", "__getattribute__")
    )


def lookup(owner: Any, qualified_name: str) -> Any:
    """Return the value of a dotted name, or ``MISSING``. Names that a module loads on first use are loaded."""
    for name in qualified_name.split("."):
        owner = getattr(owner, name, MISSING)
        if owner is MISSING:
            break
    return owner
