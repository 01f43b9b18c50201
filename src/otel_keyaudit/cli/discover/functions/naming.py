"""Derive the target string of a function from its running code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from inspect import unwrap
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

_MAX_DEPTH = 5


def target_path(frame: FrameType) -> str | None:
    """Return the ``module:qualified.name`` of a frame's function; ``None`` if it has no name."""
    module = module_name(frame.f_globals)
    code = frame.f_code
    name = getattr(code, "co_qualname", None) or _qualified_name(frame.f_globals, code)  # co_qualname is new in 3.11
    if module is None or name is None or "<lambda>" in name or name.endswith((">", "comp")):
        return None
    return f"{module}:{name}"


def module_name(variables: dict[str, Any]) -> str | None:
    """Return the importable name of a module, also of the module that was started."""
    name = variables.get("__name__")
    if name != "__main__":
        return name
    specification = variables.get("__spec__")
    if specification is not None:
        return str(specification.name).removesuffix(".__main__")
    file = variables.get("__file__")
    return Path(file).stem if file else None


def _qualified_name(variables: dict[str, Any], code: CodeType) -> str | None:
    for name, value in list(variables.items()):
        found = next(_paths(value, name, code, _MAX_DEPTH), None)
        if found is not None:
            return found
    return None


def _paths(value: Any, path: str, code: CodeType, depth: int) -> Iterator[str]:
    """Yield the path of a code object inside a function or a class."""
    kind = type(value)  # the proxies of Werkzeug and Django compute their attributes, also `__class__`
    if issubclass(kind, (staticmethod, classmethod)):
        value = value.__func__
        kind = type(value)
    own = None
    if issubclass(kind, FunctionType):
        with suppress(ValueError):  # a function that wraps itself
            value = unwrap(value)
        own = getattr(value, "__code__", None)
    if isinstance(own, CodeType):
        yield from _paths_in_code(own, path, code, depth)
    elif issubclass(kind, type) and depth:
        for name, member in list(vars(value).items()):
            yield from _paths(member, f"{path}.{name}", code, depth - 1)


def _paths_in_code(own: CodeType, path: str, code: CodeType, depth: int) -> Iterator[str]:
    if own is code:
        yield path
    elif depth:
        for constant in own.co_consts:
            if isinstance(constant, CodeType):
                yield from _paths_in_code(constant, f"{path}.<locals>.{constant.co_name}", code, depth - 1)
