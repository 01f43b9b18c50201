"""Determine the kind that ``None`` becomes in the place of additional fields: a JSON string, JSON bytes or a dict.

The first of these that is known decides: ``fields_as``; the annotation of the parameter or attribute; the type of the
mapped column; the kind that the target received last; else a dict. A text column never gets a dict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.row.types.annotations import kind_of_attribute
from otel_keyaudit.row.types.column_types import UNKNOWN, kind_of_column


class EmptyFields:
    """The kind that ``None`` becomes in one place.

    Args:
        known: The kind given by the target or by the annotation of its parameter, if any.
        parameter: The parameter, if the place is one.
    """

    def __init__(self, known: str | None, parameter: str | None) -> None:
        self._known = known
        self._parameter = parameter
        self._last: str | None = None
        self._class: tuple[ref[type], str, object, str | None] | None = None

    def note(self, fields: Any) -> None:
        """Remember the kind of the additional fields that the target received."""
        kind = type(fields)
        if issubclass(kind, str):
            self._last = "text"
        else:
            self._last = "bytes" if issubclass(kind, (bytes, bytearray, memoryview)) else "dict"

    def kind(self, owner: Any = None, name: Any = None, receiver: Any = None) -> Any:
        """Return the kind: ``text``, ``bytes`` or ``dict``.

        Args:
            owner: The object whose attribute the fields are; for a parameter, the object or class of the method.
            name: The attribute; without an owner, the item of a mapping or sequence.
            receiver: The object or class whose method is called: a mapped class takes rows as mappings.

        Raises:
            UnchangeableError: The annotation or column allows none of these.
        """
        found = self._known
        if found is None or found == UNKNOWN:
            found = self._kind_in_class(owner, name, receiver) or found
        if found is not None and found != UNKNOWN:
            return found
        if self._last is None and found == UNKNOWN:
            raise UnchangeableError(
                f"the additional fields are None, and the type of {name or self._parameter!r} does not determine their "
                "kind; add fields_as=text or fields_as=dict to the target"
            )
        return self._last or "dict"

    def is_column(self, receiver: Any) -> bool:
        """Return whether the parameter is a column of the class, or of the manager, whose method is called."""
        return self._kind_in_rows_of(receiver, self._parameter or "") is not None

    def _kind_in_class(self, owner: Any, name: Any, receiver: Any) -> str | None:
        if owner is None:
            has_column = receiver is not None and isinstance(name, str)
            return self._kind_in_rows_of(receiver, name) if has_column else None
        found = self._kind_of(_class_of(owner), name or self._parameter or "", _of_attribute)
        if found is None and name is None and self._parameter is not None:
            return self._kind_in_rows_of(owner, self._parameter)
        return found

    def _kind_in_rows_of(self, receiver: Any, name: str) -> str | None:
        """Return the kind of a column in the rows that a mapped class or a Django manager takes."""
        model = getattr(receiver, "model", None)
        return self._kind_of(model if isinstance(model, type) else _class_of(receiver), name, kind_of_column)

    def _kind_of(self, kind: type, name: str, read: Callable[[type, str], str | None]) -> str | None:
        known = self._class
        if known is None or known[0]() is not kind or known[1:3] != (name, read):
            known = self._class = ref(kind), name, read, read(kind, name)
        return known[3]


def _of_attribute(kind: type, name: str) -> str | None:
    """Return the kind of an attribute by its annotation or its column."""
    annotated, stored = kind_of_attribute(kind, name), kind_of_column(kind, name)
    if annotated == "dict" and stored in ("text", "bytes"):
        return UNKNOWN  # the column would get a dict that it cannot store
    return stored or annotated if annotated == UNKNOWN else annotated or stored


def _class_of(value: Any) -> type:
    return value if isinstance(value, type) else type(value)
