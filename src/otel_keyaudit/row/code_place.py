"""A place that no path can describe, so that a function of a preset writes the additional fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.row.field_place import After
from otel_keyaudit.row.merge import Merge
from otel_keyaudit.row.path_edit import Attempt
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget

Change = Callable[[Any], Any]
"""Merges members into additional fields and returns them: :meth:`Merge.into`."""


class CodePlace:
    """The additional fields of a target whose preset writes them by a function.

    Args:
        put: Called with the call and the function that merges the members into additional fields. For a target that
            builds the fields, it returns the changed result.
    """

    def __init__(self, put: Callable[[Call, Change], Any]) -> None:
        self._put = put

    def put(self, call: Call, merge: Merge, _: Attempt) -> After | None:
        """Merge the members into the additional fields of a call; see :meth:`FieldPlace.put`."""
        self._put(call, merge.into)
        return None

    def put_result(self, call: Call, merge: Merge, _: Attempt) -> Any:
        """Return the result of a call, with the members merged into its additional fields."""
        return self._put(call, merge.into)


class PlacedTarget(AuditTarget):
    """An audit target whose additional fields are in a :class:`CodePlace`.

    Args:
        path: ``package.module:Qualified.name``.
        put: See :class:`CodePlace`. With ``fields="return"`` it returns the changed result.
        **fields: The fields of an ``AuditTarget``.
    """

    has_fields = False
    place: CodePlace

    def __init__(
        self,
        path: str,
        put: Callable[[Call, Change], Any],
        **fields: str | Callable[[Any], Any],
    ) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "place", CodePlace(put))
