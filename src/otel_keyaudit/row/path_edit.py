"""Replace the value at the end of a path, and copy the mappings, lists and frozen objects along the path."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
    Set,
    ValuesView,
)  # fmt: skip
from functools import partial
from operator import is_
from types import CoroutineType
from typing import Any, ClassVar, Literal

from otel_keyaudit.errors import MissingError, UnchangeableError
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.signals import is_raised_by_signal_handler
from otel_keyaudit.row.copies.copy_back import copy_back, copy_list_back
from otel_keyaudit.row.copies.frozen_copy import is_frozen, with_attribute
from otel_keyaudit.row.copies.mapping_copy import changeable_copy, contents
from otel_keyaudit.row.merge import Merge
from otel_keyaudit.row.types.annotations import kind_of_attribute
from otel_keyaudit.row.types.column_types import key_of_column
from otel_keyaudit.targets.expressions.loaded_values import is_column, readable
from otel_keyaudit.targets.expressions.steps import Step, item, rereadable

Attempt = Callable[..., Any]
"""``attempt(work, *args, otherwise=value)`` returns the work's result, or ``otherwise`` if it fails."""

Replace = Callable[[Any, Any, Any], Any]
"""Returns the new value. It gets the old value, the object that has it as an attribute, and the attribute's name."""

Part = Literal["item", "attribute", "element"]

_FAILED = object()
"""Marker for an element that could not be changed."""


def quiet_attempt() -> Attempt:
    """Return an attempt that does not report failures."""
    return quietly


class PathEdit:
    """Replaces the value at the end of a path in one call.

    Args:
        replace: Returns the new value.
        has_value: Whether there is something to write, so that missing mappings along the path are created.
        attempt: Runs the change of one element of a list.
        merge: Counts failed elements and has the reserved names.
        later: Returns the attempt for the elements that an iterator yields after the call.
    """

    is_in_result = False

    def __init__(
        self,
        replace: Replace,
        has_value: bool,
        attempt: Attempt,
        merge: Merge | None = None,
        later: Callable[[], Attempt] = quiet_attempt,
    ) -> None:
        self._replace = replace
        self._has_value = has_value
        self._attempt = attempt
        self._merge = merge
        self._later = later
        self._copies: list[tuple[Any, Any, Any, Collection[str]]] = []
        self._originals: dict[int, Any] = {}
        self._elements: list[PathEdit] = []

    @property
    def has_copies(self) -> bool:
        """Whether :meth:`restore` may have to copy something back."""
        return bool(self._copies or self._elements)

    def release(self) -> None:
        """Drop the reference to the call, because the call's arguments refer to this object."""
        self._attempt = quietly

    def restore(self) -> None:
        """Copy the changes that the function made to the copies back to the caller's objects."""
        masked: list[str] = []
        for edit in self._elements:
            edit._attempt = self._later()
            edit.restore()
        while self._copies:
            original, copied, before, reserved = self._copies.pop()
            if type(copied) is list:
                copy_list_back(original, copied, before, self._originals)
            else:
                copy_back(original, copied, before, reserved, self._originals, masked=masked.append)
        if masked and self._merge is not None:
            self._merge.masked(masked[0])

    def changed(
        self, value: Any, steps: tuple[Step, ...], owner: Any = None, name: str | None = None, in_mapping: bool = False
    ) -> Any:
        """Return a value in which the part at the end of the steps is replaced; the value itself if nothing changes.

        Args:
            value: The value at which the steps begin.
            steps: The steps.
            owner: The object that has the value as an attribute.
            name: The attribute, or the item.
            in_mapping: Whether the value is an item of a mapping.
        """
        if not steps:
            new = self._replace(value, owner, name)
            if new is not value and isinstance(value, MutableMapping) and isinstance(new, Mapping):
                self._note_copy(value, new, self._merge.reserved if self._merge is not None else ())
            return new
        step, rest = steps[0], steps[1:]
        if value is None:
            is_mapping = in_mapping or (owner is not None and kind_of_attribute(type(owner), name or "") == "dict")
            return self._created_mapping(step, rest, is_mapping=is_mapping)
        if step.kind == "each":
            return self._changed_elements(value, rest)
        old, part, key = _part(value, step)
        if part == "attribute":
            new = self.changed(old, rest, value, step.operand)
        else:
            new = self.changed(old, rest, None, step.operand, in_mapping=part == "item")
        return value if new is old else self._put[part](self, value, key, new)

    def _created_mapping(self, step: Step, rest: tuple[Step, ...], *, is_mapping: bool) -> Any:
        """Create a mapping that is missing along the path, with the new value in it."""
        if not self._has_value:
            return None
        if step.kind == "item" or (step.kind == "name" and is_mapping):
            return {step.operand: self.changed(None, rest, None, step.operand, in_mapping=True)}
        raise UnchangeableError(f"cannot read {step.operand or 'a list'!r}: the value before it is None")

    # Elements

    def _changed_elements(self, values: Any, rest: tuple[Step, ...]) -> Any:
        if isinstance(values, (Iterator, AsyncIterator)):
            return self._changed_iterator(values, rest)
        kind = type(values)
        is_replaceable = kind in (list, tuple, deque) or isinstance(values, (Set, ValuesView))
        if not is_replaceable and (not isinstance(values, Sequence) or isinstance(values, (str, bytes))):
            raise _not_replaceable(kind)
        elements = list(values)
        changed = [self._element(element, rest) for element in elements]
        if all(map(is_, changed, elements)):  # attributes of the elements were set
            return values
        if not is_replaceable:
            raise _not_replaceable(kind)
        self._originals.update((id(new), old) for new, old in zip(changed, elements, strict=True))
        if kind is list and not self.is_in_result:
            self._copies.append((values, changed, changed.copy(), ()))
        return tuple(changed) if kind is tuple else changed

    def _element(self, element: Any, rest: tuple[Step, ...]) -> Any:
        changed = self._attempt(self.changed, element, rest, otherwise=_FAILED)
        if changed is not _FAILED:
            return changed
        if self._merge is not None:
            self._merge.failed += 1
        return element

    def _changed_iterator(self, values: Any, rest: tuple[Step, ...]) -> Any:
        """Return an iterator that changes each element as it yields it."""
        edit = PathEdit(self._replace, self._has_value, self._attempt, self._merge, self._later)
        self._elements.append(edit)
        change = partial(edit._next_element, rest)
        if isinstance(values, AsyncIterator):
            return _changed_async_generator(values, change)
        return _changed_generator(values, change) if isinstance(values, Generator) else map(change, values)

    def _next_element(self, rest: tuple[Step, ...], element: Any) -> Any:
        if self._copies:  # the function has finished with the previous element
            self._attempt(self.restore)
        self._originals.clear()
        return self._element(element, rest)

    # Parts

    def _put_item(self, value: Any, name: Any, new: Any) -> Any:
        copied = changeable_copy(value)
        copied[name] = new
        if isinstance(value, MutableMapping):
            self._note_copy(value, copied, ())
        return copied

    def _put_attribute(self, value: Any, name: str, new: Any) -> Any:
        kind = type(value)
        if is_frozen(kind, name):
            return with_attribute(value, name, new)
        if self.is_in_result and not _is_mapped(kind):
            copied = copy.copy(value)
            if copied is value:
                raise UnchangeableError(f"cannot copy the {kind.__name__} that the function returned")
            value = copied
        setattr(value, name, new)
        return value

    def _put_element(self, value: Any, index: int, new: Any) -> Any:
        kind = type(value)
        elements = list(value)
        elements[index] = new
        if kind is list:
            self._originals[id(new)] = value[index]
            if not self.is_in_result:
                self._copies.append((value, elements, elements.copy(), ()))
            return elements
        if kind is tuple:
            return tuple(elements)
        if kind is deque:
            return deque(elements, value.maxlen)
        if hasattr(kind, "_make"):  # a namedtuple
            return kind._make(elements)
        raise UnchangeableError(f"cannot write into a {kind.__name__}; pass a list or a tuple")

    def _note_copy(self, original: Any, copied: Any, reserved: Collection[str]) -> None:
        if not self.is_in_result:
            self._copies.append((original, copied, contents(copied), reserved))
            self._originals[id(copied)] = original

    _put: ClassVar[Mapping[Part, Callable[[PathEdit, Any, Any, Any], Any]]] = {
        "item": _put_item,
        "attribute": _put_attribute,
        "element": _put_element,
    }


def _not_replaceable(kind: type) -> UnchangeableError:
    return UnchangeableError(f"cannot write into the elements of a {kind.__name__}; pass a list")


def _part(value: Any, step: Step) -> tuple[Any, Part, Any]:
    """Return the part of a value that a step names, its kind, and its key. A missing item of a mapping is ``None``."""
    name = step.operand
    is_mapping = isinstance(value, Mapping)
    if is_mapping:
        key = key_of_column(value, name)
        if key in value or step.kind != "name" or type(value) is dict:
            return value.get(key), "item", key
    elif step.kind != "name":
        return item(value, name), "element", name
    if is_column(type(value), name):
        getattr(readable(value), name)  # raises NotLoadedError instead of running SQL
    try:
        return _attribute(value, name), "attribute", name
    except AttributeError as error:
        if is_raised_by_signal_handler(error):
            raise
        if is_mapping:
            return None, "item", name
        if hasattr(type(value), name):
            raise
        raise MissingError(name, value) from None


def _attribute(value: Any, name: str) -> Any:
    found = getattr(value, name)
    if type(found) is CoroutineType:
        return rereadable(found, is_created=False, is_used=True)  # closes the coroutine and raises UnreadableError
    return found


def _is_mapped(kind: type) -> bool:
    """Return whether objects of a class are rows of a database, so that a copy would be another row."""
    return hasattr(kind, "_sa_class_manager") or hasattr(kind, "_meta")


def _changed_generator(source: Any, change: Callable[[Any], Any]) -> Iterator[Any]:
    try:
        for element in source:
            yield change(element)
    finally:
        source.close()


async def _changed_async_generator(source: Any, change: Callable[[Any], Any]) -> AsyncIterator[Any]:
    try:
        async for element in source:
            yield change(element)
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()
