"""Follow the steps of a path without consuming iterators, awaiting or loading anything."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Set
from datetime import datetime
from itertools import islice
from types import CoroutineType
from typing import Any, NamedTuple
from uuid import UUID

from otel_keyaudit.errors import MissingError, UnreadableError
from otel_keyaudit.guard.signals import is_raised_by_signal_handler
from otel_keyaudit.patching.results.class_members import is_row
from otel_keyaudit.targets.expressions import loaded_values

MAX_ELEMENTS = 100_000
"""Maximum number of elements that are read from an iterator, because a longer one may be endless."""

_REREADABLE = frozenset({type(None), str, int, bool, float, bytes, list, tuple, dict, set, frozenset, datetime, UUID})
"""Classes of values that can be read repeatedly, so that they need no further check."""


class Step(NamedTuple):
    """One step of a path: ``kind`` is ``name``, ``call``, ``index``, ``item``, ``each`` or ``apply``."""

    kind: str
    operand: Any = None


def follow(value: Any, steps: tuple[Step, ...]) -> Any:
    """Return the value at the end of the steps, ``None`` if a value along the path is ``None``.

    In place of a proxy, the path continues with the object behind it.

    Raises:
        MissingError: An object along the path lacks an attribute or an element.
        UnreadableError: The value is an iterator or an awaitable.
    """
    if steps:
        value = loaded_values.behind(value)
    for position, step in enumerate(steps):
        if value is None:
            return None
        if step.kind == "each":
            return _map(value, steps[position + 1 :])
        value = _READ[step.kind](value, step.operand)
        if type(value) not in _REREADABLE:
            is_used = position + 1 == len(steps) or steps[position + 1].kind == "each"
            value = loaded_values.behind(value)
            value = rereadable(value, is_created=step.kind in _CREATES, is_used=is_used)
    return value


def member(value: Any, name: str) -> Any:
    """Return an item of a mapping, else an attribute, else an item of anything with ``keys()``.

    A missing item of a mapping is ``None``.

    Raises:
        MissingError: The member does not exist. If an attribute exists and raises, its own exception is passed on.
    """
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        return attribute(value, name) if hasattr(type(value), name) else getattr(value, name, None)
    try:
        return attribute(value, name)
    except MissingError:
        if not hasattr(type(value), "keys"):
            raise
    return item(value, name)


def attribute(value: Any, name: str) -> Any:
    """Return an attribute, of a mapped object only a loaded one.

    Raises:
        MissingError: The attribute does not exist. If it exists and raises, its own exception is passed on.
    """
    try:
        return getattr(loaded_values.readable(value), name)
    except AttributeError as error:
        if hasattr(type(value), name) or is_raised_by_signal_handler(error):
            raise
        raise MissingError(name, value) from None


def item(value: Any, name: str | int) -> Any:
    """Return an item of a mapping by name, or of a sequence by position. A missing item of a mapping is ``None``.

    Raises:
        MissingError: A sequence has no such element.
    """
    if isinstance(value, Mapping) and name not in value:
        return None
    try:
        return value[name]
    except (LookupError, TypeError) as error:
        if is_raised_by_signal_handler(error):
            raise
        raise MissingError(str(name), value) from None


def apply(function: Callable[[Any], Any], argument: Any) -> Any:
    """Call a function and return its result, which must be neither an iterator nor an awaitable.

    Raises:
        UnreadableError: The result is one. A coroutine that the function created is closed.
    """
    return follow(function, (Step("apply", argument),))


_READ: dict[str, Callable[[Any, Any], Any]] = {
    "name": member,
    "call": lambda value, name: attribute(value, name)(),
    "index": item,
    "item": item,
    "apply": lambda function, argument: function(argument),
}

_CREATES = frozenset({"call", "apply"})
"""Kinds of steps that call a function, which may create a new iterator."""


def _map(values: Any, steps: tuple[Step, ...]) -> list[Any]:
    """Follow the rest of the path from each element. A second ``[]`` in the rest flattens the lists."""
    if isinstance(values, (str, bytes, Iterator)) or not isinstance(values, Iterable):
        raise UnreadableError(f"[] maps over a list, not over {type(values).__name__}")
    results = [result for value in loaded_values.elements(values) if (result := follow(value, steps)) is not None]
    if any(step.kind == "each" for step in steps):
        results = [element for result in results for element in result]
    return _sorted(results) if isinstance(values, Set) else results


def _sorted(values: list[Any]) -> list[Any]:
    """Sort the elements of a set, so that equal keys have equal snapshots. Elements without an order stay unsorted."""
    try:
        return sorted(values)
    except TypeError as error:
        if is_raised_by_signal_handler(error):
            raise
        return values


def rereadable(value: Any, *, is_created: bool, is_used: bool) -> Any:
    """Return a value that can be read repeatedly: the value itself, or the elements of a newly created iterator.

    Args:
        value: The value.
        is_created: Whether a function that the expression called returned it.
        is_used: Whether it is the value of the whole path, or ``[]`` follows. Otherwise only a member of it is read.

    Raises:
        UnreadableError: Reading would consume an iterator or require awaiting.
    """
    kind = type(value)
    if kind is loaded_values.LoadedView or (is_used and kind is loaded_values.Prefetched):
        return loaded_values.original(value)
    if is_used and issubclass(kind, Iterator):
        if is_created and sys.getrefcount(value) <= _our_references:
            return _elements(value)
        raise UnreadableError(f"{kind.__name__} can be read only once, by the application")
    if kind is CoroutineType or (is_used and issubclass(kind, (Awaitable, AsyncIterator)) and not is_row(kind)):
        if kind is CoroutineType and sys.getrefcount(value) <= _our_references:
            value.close()  # nobody else can await it, and Python would warn about that
        raise UnreadableError(f"{kind.__name__} would have to be awaited")
    return value


def _elements(iterator: Iterator[Any]) -> list[Any]:
    found = list(islice(iterator, MAX_ELEMENTS + 1))
    if len(found) > MAX_ELEMENTS:
        raise UnreadableError(f"{type(iterator).__name__} has more than {MAX_ELEMENTS:,} elements")
    return found


_our_references = 0
"""Number of references to an object in ``rereadable`` if nobody else holds it. Python versions differ."""


def _recognizes_new_objects() -> bool:
    try:
        return bool(apply(iter, (None,)))
    except UnreadableError:
        return False


while not _recognizes_new_objects():
    _our_references += 1
