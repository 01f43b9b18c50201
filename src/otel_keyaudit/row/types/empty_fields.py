"""Determine the kind that ``None`` becomes in the place of additional fields: a JSON string, JSON bytes or a dict.

The first of these that is known decides: ``fields_as``; the annotation of the parameter or attribute; the type of the
mapped column; the kind that the target received last; else a dict. A text column never gets a dict.
"""

from __future__ import annotations

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
        self._class: tuple[ref[type], str, str | None] | None = None

    def note(self, fields: Any) -> None:
        """Remember the kind of the additional fields that the target received."""
        kind = type(fields)
        if issubclass(kind, str):
            self._last = "text"
        else:
            self._last = "bytes" if issubclass(kind, (bytes, bytearray, memoryview)) else "dict"

    def kind(self, owner: Any = None, name: str | None = None) -> Any:
        """Return the kind: ``text``, ``bytes`` or ``dict``.

        Args:
            owner: The object whose attribute the fields are; for a parameter, the object or class of the method.
            name: The attribute.

        Raises:
            UnchangeableError: The place is a column that may take a string.
        """
        if self._known is not None:
            return self._known
        found = None if owner is None else self._kind_in_class(owner, name or self._parameter or "")
        if found is not None and found != UNKNOWN:
            return found
        if self._last is None and found == UNKNOWN:
            raise UnchangeableError(
                f"the additional fields are None, and the type of the column {name or self._parameter!r} does not tell "
                "what it takes; add fields_as=text or fields_as=dict to the target"
            )
        return self._last or "dict"

    def _kind_in_class(self, owner: Any, name: str) -> str | None:
        found = self._kind_of(owner if isinstance(owner, type) else type(owner), name)
        model = getattr(owner, "model", None) if found is None and name == self._parameter else None
        return (
            self._kind_of(model, name) if isinstance(model, type) else found
        )  # the method belongs to a Django manager

    def _kind_of(self, kind: type, name: str) -> str | None:
        known = self._class
        if known is None or known[0]() is not kind or known[1] != name:
            known = self._class = ref(kind), name, _kind_in(kind, name)
        return known[2]


def _kind_in(kind: type, name: str) -> str | None:
    annotated, stored = kind_of_attribute(kind, name), kind_of_column(kind, name)
    if annotated == "dict" and stored in ("text", "bytes"):
        return UNKNOWN  # the column would get a dict that it cannot store
    return annotated or stored
