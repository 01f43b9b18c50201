"""Keep the rows that an audit target receives after the library has changed them, for tests."""

from __future__ import annotations

import copy
import sys
from importlib import import_module
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.patch import Patch, resolve, wrap
from otel_keyaudit.patching.wrappers import Observation
from otel_keyaudit.targets.call import Call, reader
from otel_keyaudit.targets.expressions.expression import Expression
from otel_keyaudit.targets.target import DEFAULT_PLACE, AuditTarget


class RowObserver:
    """Keeps the additional fields of every call of an audit target.

    Args:
        target: The target.
        rows: Where they are kept, as copies.
    """

    def __init__(self, target: AuditTarget, rows: list[Any]) -> None:
        place = target.fields_place or DEFAULT_PLACE
        self.is_outside = target.builds_fields
        """The function builds the fields: it must be put on after the instrumentation, else before."""
        self._target = target
        self._rows = rows
        self._read = reader(Expression("", (place,)), deferred=False)
        self._is_list = any(step.kind == "each" for step in place.steps)

    def install(self) -> Patch:
        """Import the target's module and put this on.

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
        """Keep what was built."""
        self._rows.append(copy.copy(result))
        return result
