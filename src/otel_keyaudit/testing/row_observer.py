"""Record the rows of an audit target as the library has changed them, for tests."""

from __future__ import annotations

import copy
import sys
from importlib import import_module
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.patch import Patch, wrap
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.patching.wrappers import Observation
from otel_keyaudit.targets.call import Call, reader
from otel_keyaudit.targets.expressions.expression import Expression
from otel_keyaudit.targets.target import DEFAULT_PLACE, AuditTarget


class RowObserver:
    """Records copies of the additional fields of every call of an audit target.

    Args:
        target: The target.
        rows: The list to which the copies are appended.
    """

    def __init__(self, target: AuditTarget, rows: list[Any]) -> None:
        place = target.fields_place or DEFAULT_PLACE
        self.is_outside = target.builds_fields
        """Whether the function builds the fields, so that this observer must be installed after the library's."""
        self._target = target
        self._rows = rows
        self._read = reader(Expression("", (place,)), deferred=False)
        self._is_list = any(step.kind == "each" for step in place.steps)

    def install(self) -> Patch:
        """Import the target's module and observe its function.

        Raises:
            WrongTargetError: There is no such function.
        """
        found = resolve(import_module(self._target.module), self._target.qualified_name)
        binding = found.binding()

        def observe(args: tuple[Any, ...], kwargs: dict[str, Any], _: object) -> _Building | None:
            if self.is_outside:
                return _Building(self._rows, args, kwargs)
            quietly(self._keep, Call(binding, args, kwargs))
            return None

        return wrap(found, observe, rank=-sys.maxsize if self.is_outside else sys.maxsize)

    def _keep(self, call: Call) -> None:
        fields = self._read(call, None)
        self._rows += map(copy.copy, fields if self._is_list else [fields])


class _Building(Observation):
    """One call of a function that builds the fields."""

    def __init__(self, rows: list[Any], positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._rows = rows
        self.positional = positional
        self.keywords = keywords

    def returned(self, result: Any) -> Any:
        """Record the built fields."""
        self._rows.append(copy.copy(result))
        return result
