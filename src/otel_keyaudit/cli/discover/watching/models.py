"""Describe models of audit logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_keyaudit.cli.discover.functions.naming import module_name
from otel_keyaudit.cli.discover.functions.words import audit_weight, is_log
from otel_keyaudit.cli.discover.watching.writers import events_of, place_of

LIKELY: Final = 2
_IN_OBJECT: Final = 2


class _Orm(NamedTuple):
    """How an object-relational mapper writes a row.

    Attributes:
        columns: Returns the names of a model's columns, without relations, whose values are objects.
        method: Method that writes a new row.
        row: Expression of the row.
        when: Condition under which the method inserts a row, if it also updates rows.
    """

    columns: Callable[[Any], Sequence[str]]
    method: str
    row: str = "self"
    when: str | None = None


_ORMS: Final[Mapping[str, _Orm]] = {
    "django": _Orm(
        lambda model: [field.name for field in model._meta.concrete_fields if not field.is_relation],
        "_save_table",
        when="self._state.adding",
    ),
    "peewee": _Orm(lambda model: model._meta.sorted_field_names, "save"),
    "piccolo": _Orm(lambda model: [column._meta.name for column in model._meta.columns], "insert", "args.rows[]"),
    "sqlalchemy": _Orm(lambda model: model.__mapper__.columns.keys(), "before_insert", "args.target"),
    "tortoise": _Orm(lambda model: list(model._meta.fields_map), "save", when="self._saved_in_db|if:%2Cnew"),
}
"""ORMs by package."""


def packages_of(model: type) -> set[str]:
    """Return the packages of the classes of a model, none for another class."""
    is_model = hasattr(model, "__mapper__") or hasattr(model, "_meta")
    return {base.__module__.partition(".")[0] for base in model.__mro__[:-1]} if is_model else set()


def describe_model(kind: type) -> dict[str, Any] | None:
    """Describe a model whose rows are an audit log, or return ``None``."""
    orm = _orm_of(kind)
    if orm is None:
        return None
    columns, path = orm.columns(kind), f"{_module_of(kind)}:{kind.__qualname__}"
    place, weight = place_of(columns), audit_weight(path)
    known = events_of(columns, orm.row)
    if place is None or not (weight > LIKELY or ("action" in known and is_log(kind.__name__))):
        return None
    return {
        "path": f"{path}.{orm.method}",
        "score": 2 * score_of(weight, known) - 1,
        "place": f"{orm.row}.{place}",
        "events": known if orm.when is None else {**known, "when": orm.when},
        "members": dict.fromkeys(columns, ""),
    }


def _orm_of(kind: type) -> _Orm | None:
    if hasattr(kind, "__mapper__"):  # its base class belongs to the application
        return _ORMS["sqlalchemy"]
    packages = packages_of(kind)
    found = (orm for package, orm in _ORMS.items() if package in packages and hasattr(kind, orm.method))
    return next(found, None)  # a form of Django has `_meta`, too, and no such method


def _module_of(kind: type) -> str:
    module = sys.modules.get(kind.__module__)
    return (None if module is None else module_name(vars(module))) or kind.__module__


def score_of(weight: int, known: Mapping[str, str]) -> int:
    """Return the points for the name of an audit log and for the event's fields in its rows."""
    return weight + _IN_OBJECT + 2 * ("action" in known) + len(known.keys() - {"action"})
