"""Recognize attributes whose mapping refuses a dict as value, because a database or a class checks the values.

The annotation ``dict[str, str]`` alone refuses nothing. pydantic and msgspec check it, and a column of type ``HSTORE``
stores nothing but strings.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.row.types.annotated_paths import refuses_dict_in_attribute
from otel_keyaudit.row.types.column_types import kind_of_column, takes_strings_only

_OF_CHECKED_CLASSES = ("__pydantic_fields__", "__struct_config__")
"""Attributes of the classes of pydantic and msgspec."""


class CheckedValues:
    """Remembers whether the attribute that a place names refuses a dict in its mapping."""

    def __init__(self) -> None:
        self._known: tuple[ref[type], str, bool] | None = None

    def check(self, owner: Any, name: str, member: str) -> None:
        """Check that the mapping in an attribute can hold a member with a dict.

        Args:
            owner: The object that has the attribute.
            name: The attribute.
            member: The name of the member.

        Raises:
            UnchangeableError: It cannot.
        """
        known, kind = self._known, type(owner)
        if known is None or known[0]() is not kind or known[1] != name:
            known = self._known = ref(kind), name, _refuses_dict(kind, name, member)
        if known[2]:
            raise UnchangeableError(f"a mapping in {name!r} takes no dict as value; use fields=none with id_to")


def _refuses_dict(kind: type, name: str, member: str) -> bool:
    if kind_of_column(kind, name) is not None:  # SQLModel checks no rows of a table
        return takes_strings_only(kind, name)
    is_checked = any(hasattr(kind, mark) for mark in _OF_CHECKED_CLASSES)
    return is_checked and refuses_dict_in_attribute(kind, name, member)
