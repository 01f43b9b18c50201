"""Describe likely targets as JSON: their path, their score, and the names and types of members and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from otel_keyaudit.cli.discover.watching.credentials import DIRECT
from otel_keyaudit.cli.discover.watching.functions import Function
from otel_keyaudit.cli.discover.watching.values import declared, members, type_name
from otel_keyaudit.cli.discover.watching.words import (
    EVENT_PARAMETERS,
    IDS,
    KEY_MEMBERS,
    OTHER_KEY_MEMBERS,
    PLACES,
    audit_weight,
    first_of,
)

_THRESHOLD = 6
"""Lowest score of an audit writer: a place for fields and an action, or a name that speaks of an audit log."""


def describe_key(function: Function, value: Any, given: int) -> dict[str, Any] | None:
    """Return the description of a function that returned a key, alone or in a tuple."""
    if not isinstance(value, tuple) or hasattr(value, "_fields"):
        return _key(function, value, given, "return")
    keys = [_key(function, element, given, f"return[{position}]") for position, element in enumerate(value[:3])]
    return max(filter(None, keys), key=itemgetter("score"), default=None)


def _key(function: Function, value: Any, given: int, source: str) -> dict[str, Any] | None:
    """Return the description of an authentication function that returned a key."""
    found = members(value)
    key_id = first_of(IDS, found)
    if key_id is None or type(value).__name__.endswith(("Response", "Request")):
        return None
    fields = {"id": key_id}
    for field, names in KEY_MEMBERS.items():
        name = first_of(names, found)
        if name is not None:
            fields[field] = name
    likeness = len(fields) + len(OTHER_KEY_MEMBERS & found.keys())
    score = 10 * given + likeness - (20 if function.is_library else 0)
    if given < DIRECT and likeness < 3:
        return None
    return {
        "path": function.path,
        "score": score,
        "key": source,
        "fields": {field: name for field, name in fields.items() if name != field},
        "types": {name: found[name] for name in fields.values()},
        "returns": type(value).__name__,
        "members": found,
    }


def describe_writer(function: Function, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the description of a function with a place for additional fields."""
    place, likeness = _place(function, values)
    if place is None:
        return None
    events = {field: first_of(names, function.parameters) for field, names in EVENT_PARAMETERS.items()}
    events = {field: name for field, name in events.items() if name is not None and f"args.{name}" != place}
    score = function.audit_weight + likeness + 2 * ("action" in events) + len(events.keys() - {"action"})
    if score < _THRESHOLD or not (function.audit_weight or likeness > 2):
        return None
    return {
        "path": function.path,
        "score": score,
        "place": place,
        "events": {field: f"args.{name}" for field, name in events.items() if name != field},
        "members": {name: type_name(value) for name, value in values.items() if name not in ("self", "cls")},
    }


def _place(function: Function, values: Mapping[str, Any]) -> tuple[str | None, int]:
    """Return the expression of the additional fields, and how likely it is."""
    name = first_of(PLACES, (name for name in function.parameters if _can_hold_fields(values[name])))
    if name is not None:
        return f"args.{name}", 4 if name == PLACES[0] else 2
    if function.audit_weight > 2:
        for parameter in function.parameters:
            member = first_of(PLACES, members(values[parameter]))
            if member is not None:
                root = "self" if parameter == "self" else f"args.{parameter}"
                return f"{root}.{member}", 2
    return None, 0


def _can_hold_fields(value: object) -> bool:
    return value is None or isinstance(value, Mapping) or (isinstance(value, str) and value.startswith("{"))


def describe_builder(function: Function, value: object) -> dict[str, Any] | None:
    """Return the description of a function that builds the additional fields or the row."""
    found = members(value)
    member = first_of(PLACES, found)
    if function.audit_weight < 4 and member is None:
        return None
    return {
        "path": function.path,
        "score": function.audit_weight + (2 if member else 0),
        "place": "return" if member is None else f"return.{member}",
        "events": {},
        "members": found,
    }


def describe_model(kind: type) -> dict[str, Any] | None:
    """Return the description of a model of SQLAlchemy or Django whose rows are an audit log."""
    is_sqlalchemy, is_django = hasattr(kind, "__mapper__"), hasattr(kind, "_meta") and hasattr(kind, "_save_table")
    path = f"{kind.__module__}:{kind.__qualname__}"
    columns = [name for name in declared(kind) if name not in ("metadata", "registry")]  # of every SQLAlchemy model
    place, weight = first_of(PLACES, columns), audit_weight(path)
    if not (is_sqlalchemy or is_django) or place is None or weight < 3:
        return None
    root = "args.target" if is_sqlalchemy else "self"
    events = {field: first_of(names, columns) for field, names in EVENT_PARAMETERS.items()}
    known = {field: f"{root}.{name}" for field, name in events.items() if name is not None}
    return {
        "path": f"{path}.{'before_insert' if is_sqlalchemy else '_save_table'}",
        "score": weight + 2 + 2 * ("action" in known) + len(known.keys() - {"action"}),
        "place": f"{root}.{place}",
        "events": known,
        "members": dict.fromkeys(columns, ""),
    }
