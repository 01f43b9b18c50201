"""Where the additional fields of a call are: read, merged and put back without changing what the caller owns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from otel_keyaudit.errors import MissingError, UnchangeableError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.row.mapping_copy import changeable_copy
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expression import Path
from otel_keyaudit.targets.steps import Step, attribute, item
from otel_keyaudit.targets.target import AuditTarget

Change = Callable[[Any], Any]
"""Takes additional fields, returns what is put in their place; returns the same object when there is nothing to do."""

Attempt = Callable[..., Any]
"""Returns what a function gives with its arguments; ``otherwise`` where it fails."""

Put = Callable[[Any, Any, Any], Any]
"""Puts something into a holder under a name; returns the holder, or what takes its place."""


class Place:
    """A path that additional fields are read from and written to.

    Args:
        path: ``args.<parameter>`` or ``self``, with steps; never ``return``.
        binding: The parameters of the function.

    Attributes:
        position: Where they are among the positional arguments of all calls, when they are one of these.
    """

    def __init__(self, path: Path, binding: Binding) -> None:
        self._steps = path.steps
        self._parameter = path.parameter
        self._read = binding.reader(path.parameter or "")
        self._write = binding.writer(path.parameter or "")
        self.position = None if path.steps else binding.position(path.parameter or "")
        self._left_out = binding.default(path.parameter or "")

    def change(self, call: Call, change: Change, attempt: Attempt) -> None:
        """Change the additional fields of a call, in copies of the mappings and lists on the way.

        An attribute is set on the object that is being written. Each element of a list is an attempt of its own.

        Raises:
            UnchangeableError: They are not there, or what holds them cannot be changed.
        """
        if self._parameter is None:
            if _changed(call.self, self._steps, change, attempt) is not call.self:
                raise UnchangeableError(f"the {type(call.self).__name__} itself cannot be exchanged")
            return
        value = self._read(call)
        if value is self._left_out and not self._steps and not isinstance(value, (str, bytes, Mapping)):
            value = None  # whatever the application marks with that, there is nothing to merge into
        changed = _changed(value, self._steps, change, attempt) if self._steps else change(value)
        if changed is not value:
            self._write(call, changed)


class PlacedTarget(AuditTarget):
    """A function whose additional fields are where no path leads: code of a preset's changes them there.

    Args:
        path: ``package.module:Qualified.name``.
        put: Gets the call and what changes additional fields; with ``fields="return"`` it returns the changed result.
        **fields: Those of an ``AuditTarget``.
    """

    has_fields = False
    put: Callable[[Call, Change], Any]

    def __init__(self, path: str, put: Callable[[Call, Change], Any], **fields: str | Callable[[Any], Any]) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "put", put)

    def change(self, call: Call, change: Change, _: Attempt) -> None:
        """Change the additional fields of a call, as a ``Place`` does."""
        self.put(call, change)


def _changed(value: Any, steps: tuple[Step, ...], change: Change, attempt: Attempt) -> Any:
    """Return a value with its part at the end of the steps changed."""
    if not steps:
        return change(value)
    step, rest = steps[0], steps[1:]
    if value is None:
        raise UnchangeableError(f"None stands where {step.operand or 'a list'!r} is looked for")
    if step.kind == "each":
        return _each_changed(value, rest, change, attempt)
    old, put = _part(value, step)
    new = _changed(old, rest, change, attempt)
    return value if new is old else put(value, step.operand, new)


def _each_changed(values: Any, rest: tuple[Step, ...], change: Change, attempt: Attempt) -> Any:
    if not isinstance(values, Collection) or isinstance(values, (str, bytes, bytearray, Mapping)):
        raise UnchangeableError(f"[] changes a list, not {type(values).__name__}")
    elements = list(values)
    changed = [attempt(_changed, element, rest, change, attempt, otherwise=element) for element in elements]
    if all(new is old for new, old in zip(changed, elements, strict=True)):
        return values
    return _of_kind(values, changed)


def _part(value: Any, step: Step) -> tuple[Any, Put]:
    """Return what a step leads to, read once, and how something else is put there.

    A mapping without such an item holds nothing yet.
    """
    name = step.operand
    if isinstance(value, Mapping) and (name in value or step.kind != "name" or type(value) is dict):
        return value.get(name), _put_into_copy
    if step.kind != "name":
        return item(value, name), _put_as_element
    try:
        return attribute(value, name), _put_as_attribute
    except MissingError:
        if not isinstance(value, Mapping):
            raise
        return None, _put_into_copy


def _put_into_copy(value: Any, name: Any, new: Any) -> Any:
    copied = changeable_copy(value)
    copied[name] = new
    return copied


def _put_as_attribute(value: Any, name: str, new: Any) -> Any:
    setattr(value, name, new)
    return value


def _put_as_element(value: Any, index: int, new: Any) -> Any:
    elements = list(value)
    elements[index] = new
    return _of_kind(value, elements)


def _of_kind(values: Any, elements: list[Any]) -> Any:
    """Return other elements in a list or tuple, as they came; other kinds are not made anew."""
    if type(values) is list:
        return elements
    if type(values) is tuple:
        return tuple(elements)
    raise UnchangeableError(f"a {type(values).__name__} cannot be given other elements")
