"""Describe functions that return or store a key: path, score, and the names and types of the key's members."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from otel_keyaudit.cli.discover.functions.function import Function
from otel_keyaudit.cli.discover.functions.words import (
    IDS,
    KEY_MEMBERS,
    NO_KEYS,
    OTHER_IDS,
    OTHER_KEY_MEMBERS,
    auth_weight,
    first_of,
    is_key_id,
    is_reference,
)
from otel_keyaudit.cli.discover.watching.credentials import DIRECT, INDIRECT, LOCAL, holds
from otel_keyaudit.cli.discover.watching.values import (
    DECLARED,
    attributes,
    content,
    is_a,
    is_infrastructure,
    is_plain,
    type_name,
)
from otel_keyaudit.targets.expressions.loaded_values import is_computed, is_mapped
from otel_keyaudit.targets.expressions.secret_names import is_secret


class PossibleKey(NamedTuple):
    """An object that may be a key, or its id.

    Attributes:
        expression: The expression that reads it.
        value: The object.
        discount: The points that are subtracted, because it is less likely there.
    """

    expression: str
    value: Any
    discount: int


_POINTS: Final[Mapping[int, int]] = {DIRECT: 30, LOCAL: 26, INDIRECT: 10}
_LIBRARY: Final = 20
_LIBRARY_WITH_KEYS: Final = 5
_CONTAINER: Final = 15
_OUTER: Final = 5
_PARSER: Final = 8
_INSIDE: Final = 6
_INSIDE_WITH_NAME: Final = 2
_CHECK: Final = 15
_MAX_INSIDE: Final = 20
_MIN_EVIDENCE: Final = 4
_ONLY_ID: Final = 6
_MAX_ID_LENGTH: Final = 64
"""Maximum length of a string that may be an id. A longer one is likely to be another credential."""


def possible_keys(value: object, root: str = "return") -> Iterator[PossibleKey]:
    """Yield the objects in a result that may be a key."""
    if type(value) is tuple:
        for position, element in enumerate(value[:3]):
            if not is_plain(element):
                yield PossibleKey(f"{root}[{position}]", element, 0)
    elif may_be_id(value):
        yield PossibleKey(root, value, _ONLY_ID)
    elif not is_plain(value):
        yield PossibleKey(root, value, 0)
        stored = value if type(value) is dict else attributes(value)
        for name, element in list(stored.items())[:_MAX_INSIDE]:
            if isinstance(name, str) and name.isidentifier() and not name.startswith("_") and not is_plain(element):
                discount = _INSIDE_WITH_NAME if auth_weight(name) > 0 else _INSIDE
                yield PossibleKey(f"{root}.{name}", element, discount)


def describe_key(
    function: Function, found: Iterable[PossibleKey], strength: int, credentials: Collection[str], *, is_outer: bool
) -> dict[str, Any] | None:
    """Describe the most likely key.

    Args:
        function: The function.
        found: The objects that may be a key.
        strength: ``DIRECT``, ``LOCAL`` or ``INDIRECT``: how directly the function has the credential.
        credentials: The credentials of the requests.
        is_outer: Whether a function that this one called also returned a key.
    """
    found = list(found)
    described = (_key(function, one, strength, credentials, _OUTER * is_outer) for one in found)
    best = max(filter(None, described), key=itemgetter("score"), default=None)
    if best is not None and best["key"].endswith("]"):
        _add_scopes_beside(best, found)
    return best


def _add_scopes_beside(described: dict[str, Any], found: Iterable[PossibleKey]) -> None:
    """Add the scopes from another element of a tuple such as ``(AuthCredentials, user)``."""
    names = KEY_MEMBERS["scopes"]
    if first_of(names, described["members"]) is None:
        for source, value, _ in found:
            stored = content(value)
            name = first_of(names, stored)
            if name is not None:
                described["fields"]["scopes"] = f"{source}.{_list_expression(name, stored[name])}"


def _key(
    function: Function, possible: PossibleKey, strength: int, credentials: Collection[str], discount: int
) -> dict[str, Any] | None:
    source, value, less = possible
    kind = type(value)
    if may_be_id(value):
        return _only_id(function, possible, strength, credentials, discount)
    if kind.__name__.endswith(NO_KEYS) or is_infrastructure(kind):
        return None
    stored = content(value)
    usable = {name: one for name, one in stored.items() if not _is_secret(name, one, kind, credentials)}
    key_id, id_points = _id_member(usable)
    if key_id is None or _is_response(stored):
        return None
    fields = {"id": _id_expression(key_id, usable[key_id]), **_other_fields(key_id, _loaded(usable, kind))}
    likeness = id_points + len(fields) - 1 + len(OTHER_KEY_MEMBERS & stored.keys())
    weight = auth_weight(kind.__name__) if kind is not dict else 0
    if not _is_likely(function, likeness, weight, strength):
        return None
    penalty = _penalty(function, kind) + discount
    return _description(
        function,
        score=_POINTS[strength] + likeness + weight + function.auth_weight - penalty - less,
        key=source,
        is_own=not penalty,
        fields={field: name for field, name in fields.items() if name != field},
        returns=kind.__name__,
        classes=[f"{one.__module__}:{one.__qualname__}" for one in kind.__mro__[:-1]],
        members={name: type_name(one) for name, one in stored.items()},
    )


def _description(function: Function, **found: Any) -> dict[str, Any]:
    """Return the description of a function, as JSON for the process that ranks the functions."""
    return {"path": function.path, "classes": [], "members": {}, **found}


def may_be_id(value: object) -> bool:
    """Check whether a value without members may be the id of a key."""
    return type(value) is UUID or (type(value) is str and 0 < len(value) <= _MAX_ID_LENGTH)


def _only_id(
    function: Function, possible: PossibleKey, strength: int, credentials: Collection[str], discount: int
) -> dict[str, Any] | None:
    """Describe a function that returns only the id of a key."""
    source, value, less = possible
    if strength < LOCAL or not function.is_identifier or holds(value, credentials):
        return None
    score = _POINTS[strength] + function.auth_weight - less - discount
    return _description(function, score=score, key=source, fields={"id": source}, returns=type(value).__name__)


def describe_check(
    function: Function, arguments: Mapping[str, Any], credentials: Collection[str]
) -> dict[str, Any] | None:
    """Describe a function that has checked a credential and returned ``True``; an argument is the id of the key."""
    given = {name: arguments.get(name) for name in function.parameters}
    ids = [name for name, one in given.items() if _is_id(one) and not holds(one, credentials)]
    name = first_of((*IDS, *OTHER_IDS), ids)
    if name is None or function.auth_weight <= 0:
        return None
    fields = {"id": f"args.{name}", "valid": "return"}
    score = _POINTS[DIRECT] + function.auth_weight - _CHECK
    return _description(function, score=score, key="return", fields=fields, returns="bool")


def _is_id(value: object) -> bool:
    return may_be_id(value) or type(value) is int


def _is_response(stored: Mapping[str, Any]) -> bool:
    return "status_code" in stored or "headers" in stored


def _id_member(usable: Mapping[str, Any]) -> tuple[str | None, int]:
    """Return the name of the member that is the id, and its points. The usual names have more points."""
    names = [name for name, one in usable.items() if _can_be_id(one)]
    usual = first_of(IDS, names) or next(filter(is_key_id, names), None)
    return (usual, 2) if usual else (first_of(OTHER_IDS, names) or next(filter(is_reference, names), None), 1)


def _loaded(usable: Mapping[str, Any], kind: type) -> Mapping[str, Any]:
    """Return the members that a target can read: no columns and relations of a mapped object that are not loaded."""
    if not is_mapped(kind):
        return usable
    return {name: one for name, one in usable.items() if one is not DECLARED or is_computed(kind, name)}


def _other_fields(key_id: str, usable: Mapping[str, Any]) -> dict[str, str]:
    """Return the expressions of the fields beside the id."""
    fields = {}
    for field, names in KEY_MEMBERS.items():
        # an empty member with another name is too weak a hint
        named = (name for name, one in usable.items() if name != key_id and (one is not None or name == field))
        name = first_of(names, named)
        if name is not None:
            fields[field] = name if field == "name" else _list_expression(name, usable[name])
    return fields


def _is_likely(function: Function, likeness: int, weight: int, strength: int) -> bool:
    """Return whether the members, the name of the class and the name of the function are enough evidence for a key."""
    evidence = likeness + max(weight, 0) + (max(function.auth_weight, 0) if strength == LOCAL else 0)
    if strength < DIRECT and evidence < _MIN_EVIDENCE:
        return False
    return likeness >= 2 or weight + function.auth_weight >= 3


def _penalty(function: Function, kind: type) -> int:
    if function.is_container:
        return _CONTAINER
    if not function.is_library:
        return _PARSER * function.is_parser
    defines_key = kind.__module__.partition(".")[0] == function.package
    return _LIBRARY_WITH_KEYS if defines_key else _LIBRARY


def _can_be_id(value: object) -> bool:
    return value is not None and not is_a(value, (bool, list, tuple, set, frozenset, dict, type))


def _is_secret(name: str, value: object, kind: type, credentials: Collection[str]) -> bool:
    """Check whether a member is a secret, or the secret primary key of a Django model."""
    if name == "pk":
        name = str(getattr(getattr(getattr(kind, "_meta", None), "pk", None), "attname", name))
    return is_secret(name) or (value is not DECLARED and holds(value, credentials))


def _id_expression(name: str, value: object) -> str:
    """Return the expression of an id, which is a string, an integer or a UUID."""
    if value is DECLARED or is_a(value, (str, int, UUID)):
        return name
    if is_a(value, bytes):
        return f"{name}.hex()"
    member = first_of(("id", "value"), (inner for inner, one in content(value).items() if is_a(one, (str, int, UUID))))
    return f"{name}|str" if member is None else f"{name}.{member}"


def _list_expression(name: str, value: object) -> str:
    """Return the expression of a list, according to its type."""
    if is_a(value, str):
        separator = ":%2C" if "," in value else ""
        return f"{name}|split{separator}"
    if type(value) is dict:
        return f"{name}|true_keys" if value and all(type(one) is bool for one in value.values()) else f"{name}|keys"
    if is_a(value, (list, tuple, set, frozenset)) and value:
        element = next(iter(value))
        if is_a(element, Enum):
            return f"{name}[].value"
        member = first_of(("name", "scope", "code", "value", "id"), content(element))
        return name if member is None else f"{name}[].{member}"
    return name
