"""Describe functions of libraries that insert rows into audit logs, for services without a function for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from otel_keyaudit.cli.discover.functions.statements import insertions
from otel_keyaudit.cli.discover.functions.words import audit_weight
from otel_keyaudit.cli.discover.watching.models import LIKELY, score_of
from otel_keyaudit.cli.discover.watching.values import attributes, is_a, type_name
from otel_keyaudit.cli.discover.watching.writers import events_of, place_of

_INSERT: Final = "sqlalchemy.sql.dml:ValuesBase.values"
"""Path of the function that adds a row to a statement of SQLAlchemy, as in ``insert(table).values(details={})``."""

_DRIVERS: Final[Mapping[str, tuple[str, str]]] = {
    "aiosqlite.core:Connection.execute": ("sql", "parameters"),
    "asyncpg.connection:Connection.execute": ("query", "args"),
    "asyncpg.connection:Connection.fetchrow": ("query", "args"),
    "asyncpg.connection:Connection.fetchval": ("query", "args"),
    "psycopg.cursor:Cursor.execute": ("query", "params"),
    "psycopg.cursor_async:AsyncCursor.execute": ("query", "params"),
}
"""Functions of database drivers, with their parameters for the statement and for its values."""

_SPECIAL: Final = re.compile(r"[^\w. ]")
"""A character that has a meaning in a pattern or a shell, or a line break."""

STATEMENTS: Final = frozenset({_INSERT, *_DRIVERS})
"""Paths of functions that insert rows."""


def describe_statement(path: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe a statement that inserts a row with additional fields into an audit log, or return ``None``."""
    return _insert(arguments) if path == _INSERT else _executed(path, arguments, *_DRIVERS[path])


def _executed(path: str, arguments: Mapping[str, Any], query: str, parameter: str) -> dict[str, Any] | None:
    statement, values = arguments[query], arguments[parameter]
    found = insertions(statement) if is_a(statement, str) else []
    place = next(_json_objects(values), None)
    if len(found) != 1 or audit_weight(found[0][0]) <= LIKELY or place is None:
        return None
    table, beginning = found[0]
    is_simple = not _SPECIAL.search(beginning)
    selected = beginning if is_simple else _SPECIAL.split(table)[-1]
    return {
        "path": path,
        "score": audit_weight(table),
        "place": f"args.{parameter}{place}",
        "events": {"when": f"args.{query}|is:*{selected}*"},
        "members": {name: type_name(one) for name, one in arguments.items() if name != "self"},
    }


def _json_objects(values: Any) -> Iterator[str]:
    """Yield the places of values that are JSON objects, mappings, or wrappers of a driver around a mapping."""
    if is_a(values, (list, tuple)):
        items: Iterable[tuple[str, Any]] = ((f"[{position}]", one) for position, one in enumerate(values))
    else:
        items = ((f"['{name}']", one) for name, one in values.items()) if type(values) is dict else ()
    for place, one in items:
        if type(one) is dict or (is_a(one, str) and one.startswith("{")):
            yield place
        elif type(attributes(one).get("obj")) is dict:
            yield f"{place}.obj"


def _insert(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe the values of an INSERT statement of SQLAlchemy into an audit log, or return ``None``."""
    root, rows = "args.kwargs", values["kwargs"] or values["args"]
    while type(rows) in (tuple, list) and rows:
        root, rows = ("args.args[0]" if type(rows) is tuple else f"{root}[]"), rows[0]
    name = str(attributes(attributes(values["self"]).get("table")).get("name"))
    place = place_of(rows) if type(rows) is dict else None
    weight = audit_weight(name)
    if place is None or weight <= LIKELY:
        return None
    known = events_of(rows, root)
    return {
        "path": _INSERT,
        "score": score_of(weight, known),
        "place": f"{root}.{place}",
        "events": {**known, "when": f"self.table.name|is:{name}"},
        "members": {column: type_name(one) for column, one in rows.items()},
    }
