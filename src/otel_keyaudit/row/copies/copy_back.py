"""Copy the changes that a function made to its copied arguments back to the caller's objects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import is_
from typing import Any

from otel_keyaudit.row.copies.mapping_copy import contents, pop_values, put_values, values_reader

_NO_COPIES: Mapping[int, Any] = {}


def copy_back(
    original: Any,
    copied: Any,
    before: dict[Any, Any],
    reserved: Collection[str],
    originals: Mapping[int, Any] = _NO_COPIES,
    *,
    masked: Callable[[str], object],
) -> None:
    """Copy items that were added to a copied mapping, changed or removed back to the original.

    Args:
        original: The caller's mapping.
        copied: The copy, after the call.
        before: The items of the copy before the call.
        reserved: Names that are not copied back, because they are the library's.
        originals: The caller's objects by the id of their copies.
        masked: Called at the end with the name of a member of the library that the function masked.
    """
    now = copied if type(copied) is dict else contents(copied)
    if len(now) == len(before) and all(map(is_, now, before)) and all(map(is_, now.values(), before.values())):
        return
    is_same = is_ if now is copied else _is_same
    for name in before:
        if name not in now and name not in reserved and name in original:
            del original[name]
    for name, value in now.items():
        if name not in reserved and (name not in before or not is_same(value, before[name])):
            _put_back(original, name, originals.get(id(value), value))
    for name in reserved:
        if name in before and name in now and not is_same(now[name], before[name]) and _is_masked(now[name]):
            masked(name)


def _is_masked(value: Any) -> bool:
    """Return whether the value of a member is not an object in any form, as after ``fields[name] = "***"``."""
    if type(value) is tuple:  # the values of a name in a mapping with several
        return all(map(_is_masked, value))
    return not isinstance(value, Mapping) and not (isinstance(value, (str, bytes)) and value[:1] in ("{", b"{"))


def _put_back(original: Any, name: Any, value: Any) -> None:
    if values_reader(original) is None:
        original[name] = value
        return
    if name in original:
        pop_values(original, name)
    put_values(original, name, list(value))


def _is_same(value: Any, before: Any) -> bool:
    """Return whether two values are the same object, or tuples of the same objects."""
    if type(value) is tuple is type(before):
        return len(value) == len(before) and all(map(is_, value, before))
    return value is before


def copy_list_back(original: list[Any], copied: list[Any], before: list[Any], originals: Mapping[int, Any]) -> None:
    """Copy elements that were added to a copied list, moved or removed back to the original."""
    if len(copied) != len(before) or not all(map(is_, copied, before)):
        original[:] = [originals.get(id(element), element) for element in copied]
