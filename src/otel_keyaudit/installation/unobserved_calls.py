"""Describe the calls of a target's function that cannot be observed, for the status of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType

from otel_keyaudit.patching.patch import Patch

_MAX_METHODS = 3
"""Maximum number of methods that are described."""


def unobserved_calls(patch: Patch, is_target: Callable[[FunctionType], bool] | None) -> Iterator[str]:
    """Yield a description of each kind of call that cannot be observed, with the remedy.

    Args:
        patch: The patch of the function.
        is_target: Returns whether an override is a target itself. ``None`` skips overrides, because presets name
            methods of libraries, whose own classes override them.
    """
    yield from patch.limits
    if is_target is None:
        return
    for cls, function in patch.overrides[:_MAX_METHODS]:
        if not is_target(function):
            yield f"calls of {_path(cls, function)}, which overrides it, are not recorded; name that method, too"
    for cls, function in patch.assigning[:_MAX_METHODS]:
        yield (
            f"{_path(cls, function)} gives instances another function of this name, whose calls are not recorded; "
            "name that function, or one that calls it"
        )


def _path(cls: type, method: FunctionType) -> str:
    return f"{cls.__module__}:{cls.__qualname__}.{method.__name__}"
