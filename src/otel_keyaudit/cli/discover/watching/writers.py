"""Describe functions that write or build an audit row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from otel_keyaudit.cli.discover.functions.function import Function
from otel_keyaudit.cli.discover.functions.words import (
    EVENT_PARAMETERS,
    KEYWORDS,
    NO_KEYS,
    NO_WRITERS,
    PLACE_WORDS,
    PLACES,
    audit_weight,
    first_of,
    words,
)
from otel_keyaudit.cli.discover.watching.values import (
    DECLARED,
    content,
    is_a,
    is_plain,
    is_standard,
    members,
    type_name,
)

_THRESHOLD: Final = 6
"""Lowest score of an audit writer: additional fields plus an action, or a name that suggests an audit log."""

_DEFAULT: Final = 4
_LIKELY: Final = 2
_IN_OBJECT: Final = 2
_KEYWORDS: Final = 1
_ASGI_MESSAGES: Final = ("http.", "websocket.", "lifespan.")
"""Prefixes of the types of ASGI messages."""

_OF_REQUESTS: Final = frozenset({"asgi", "wsgi.version"})
"""Members of an ASGI scope and of a WSGI environ."""


def describe_writer(function: Function, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe a function whose arguments can hold additional fields, or return ``None``."""
    if function.path is None or not NO_WRITERS.isdisjoint(words(function.name)[:1]):
        return None
    place, likeness, holder = _place(function, values)
    if place is None:
        return None
    events = events_of((name for name in function.parameters if is_plain(values[name])), "args")
    if holder is not None:
        is_row = type(holder) is dict and place.count(".") == 1
        root = place if is_row else place.rpartition(".")[0]
        events = {**events_of(members(holder), root), **events}
    events = {field: source for field, source in events.items() if source != place}
    weight = _weight(function, holder)
    score = weight + likeness + 2 * ("action" in events) + len(events.keys() - {"action"})
    if score < _THRESHOLD or not (weight or likeness > _LIKELY):
        return None
    return {
        "path": function.path,
        "score": 2 * score + _preference(function, holder),
        "place": place,
        "events": {field: source for field, source in events.items() if source != f"args.{field}"},
        "members": {name: type_name(value) for name, value in values.items() if name not in ("self", "cls")},
    }


def _preference(function: Function, holder: object) -> int:
    """Return points for a public function that is named after the audit log and takes the fields themselves."""
    return (audit_weight(function.name) > _LIKELY) - function.name.startswith("_") - (holder is not None)


def events_of(names: Iterable[str], root: str) -> dict[str, str]:
    """Return the expressions of the event's fields that are among the members of a root."""
    names = list(names)
    found = {field: first_of(candidates, names) for field, candidates in EVENT_PARAMETERS.items()}
    return {field: f"{root}.{name}" for field, name in found.items() if name is not None}


def _place(function: Function, values: Mapping[str, Any]) -> tuple[str | None, int, object]:
    """Return the expression of the additional fields, its likelihood, and the object that has them."""
    name = place_of(name for name in function.parameters if _can_hold_fields(values[name]))
    if name is None and function.keywords is not None and function.audit_weight > _LIKELY:
        name = place_of([function.keywords])  # as in ``record(action, **details)``
    if name is not None:
        return f"args.{name}", _DEFAULT if name == PLACES[0] else _LIKELY, None
    for parameter in function.parameters:
        root = parameter if parameter == "self" else f"args.{parameter}"
        holder = values[parameter]
        if type(holder) in (list, tuple) and holder:
            root, holder = f"{root}[]", holder[0]
        found = _members_of_entry(holder)
        known = events_of(found, root)
        if _weight(function, holder) > _LIKELY - _names_action_and_resource(known):
            member = place_of(name for name, one in found.items() if one is DECLARED or _can_hold_fields(one))
            if member is not None:
                return f"{root}.{member}", _IN_OBJECT, holder
            if type(holder) is dict and "action" in known:
                return root, _IN_OBJECT, holder  # the row itself
    if function.keywords in KEYWORDS and function.audit_weight > _LIKELY:
        return f"args.{function.keywords}", _KEYWORDS, None
    return None, 0, None


def _names_action_and_resource(events: Mapping[str, str]) -> bool:
    """Check whether an event, which may be any message, has the members of an audit entry."""
    return "action" in events and not events.keys().isdisjoint({"resource_type", "resource_id"})


def _weight(function: Function, holder: object) -> int:
    """Rate how strongly the name of a function, or of the class of its argument, suggests an audit log."""
    return max(function.audit_weight, audit_weight(type(holder).__name__))


def _members_of_entry(value: object) -> dict[str, Any]:
    """Return the members of an object that can be an audit entry, unlike a request, a response or a date."""
    if (
        is_plain(value)
        or (_is_of_protocol(value) if type(value) is dict else is_standard(type(value)))
        or type(value).__name__.endswith(NO_KEYS)
    ):
        return {}
    found = content(value)
    return {} if "status_code" in found else found


def _is_of_protocol(value: Mapping[str, Any]) -> bool:
    """Check whether a dict is an ASGI message, an ASGI scope or a WSGI environ."""
    return str(value.get("type")).startswith(_ASGI_MESSAGES) or not _OF_REQUESTS.isdisjoint(value)


def place_of(names: Iterable[str]) -> str | None:
    """Return the name that most likely holds the additional fields."""
    names = list(names)
    found = first_of(PLACES, names)
    return found or next((name for name in names if words(name)[-1:] and words(name)[-1] in PLACE_WORDS), None)


def _can_hold_fields(value: object) -> bool:
    return value is None or is_a(value, Mapping) or (is_a(value, str) and value.startswith("{"))


def describe_builder(function: Function, value: object) -> dict[str, Any] | None:
    """Describe a function that builds the additional fields or the row, or return ``None``."""
    found = members(value)
    member = place_of(found)
    if function.audit_weight < _DEFAULT and member is None:
        return None
    return {
        "path": function.path,
        "score": 2 * (function.audit_weight + (_IN_OBJECT if member else 0)),
        "place": "return" if member is None else f"return.{member}",
        "events": {},
        "members": found,
    }
