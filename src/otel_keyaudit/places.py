"""Where the additional fields of a call are: read there, merged, and written back without changing what the caller owns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from otel_keyaudit.calls import Binding, Call
from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.expressions import Path, Step, item, member

Change = Callable[[Any], Any]
"""Takes additional fields, returns what is put in their place; returns the same object when there is nothing to do."""


class Place:
    """A path that additional fields are read from and written to.

    Args:
        path: ``args.<parameter>`` or ``self``, with steps; never ``return``.
        binding: The parameters of the function.
    """

    def __init__(self, path: Path, binding: Binding) -> None:
        self._path = path
        self._binding = binding

    def change(self, call: Call, change: Change) -> None:
        """Change the additional fields of a call, in copies of the mappings and lists on the way.

        An attribute is set on the object that is being written.

        Raises:
            UnchangeableError: They are not there, or what holds them cannot be changed.
        """
        name = self._path.parameter
        if name is None:
            _changed(call.self, self._path.steps, change)
            return
        value = call.argument(name)
        left_out = self._binding.is_left_out(name, value)
        if left_out and not self._path.steps:
            value = None
        changed = _changed(value, self._path.steps, change)
        if changed is not value:
            self._binding.write(call, name, changed)


def _changed(value: Any, steps: tuple[Step, ...], change: Change) -> Any:
    """Return a value with its part at the end of the steps changed."""
    if not steps:
        return change(value)
    step, rest = steps[0], steps[1:]
    if value is None:
        raise UnchangeableError(f"None stands where {step.operand or 'a list'!r} is looked for")
    if step.kind == "each":
        return _each_changed(value, rest, change)
    old = _part(value, step)
    new = _changed(old, rest, change)
    return value if new is old else _put(value, step, new)


def _each_changed(values: Any, rest: tuple[Step, ...], change: Change) -> Any:
    if type(values) not in (list, tuple):
        raise UnchangeableError(f"[] changes a list, not {type(values).__name__}")
    changed = [_changed(value, rest, change) for value in values]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return values
    return changed if isinstance(values, list) else tuple(changed)


def _part(value: Any, step: Step) -> Any:
    """Return what a step leads to; a mapping without such an item holds nothing yet."""
    if isinstance(value, Mapping) and step.operand not in value:
        return None
    return member(value, step.operand) if step.kind == "name" else item(value, step.operand)


def _put(value: Any, step: Step, new: Any) -> Any:
    if isinstance(value, Mapping):
        return _copy_with(value, step.operand, new)
    if step.kind == "index" and type(value) in (list, tuple):
        elements = list(value)
        elements[step.operand] = new
        return elements if isinstance(value, list) else tuple(elements)
    if step.kind != "name":
        raise UnchangeableError(f"an item of {type(value).__name__} cannot be changed")
    setattr(value, step.operand, new)
    return value


def _copy_with(value: Mapping[Any, Any], name: Any, new: Any) -> Mapping[Any, Any]:
    if type(value) is dict:
        return {**value, name: new}
    copied = copy.copy(value)
    if copied is value or not isinstance(copied, MutableMapping):
        raise UnchangeableError(f"a {type(value).__name__} cannot be changed")
    copied[name] = new
    return copied
