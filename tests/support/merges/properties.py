"""Properties of every merge into JSON, checked against Python's ``json``.

The quick tests and the fuzzer share them.
"""

from __future__ import annotations

import json
from typing import Any

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.names import UNVERIFIED
from support.merges.members import CountedMerge

ODD_VALUES = [
    "null", "true", "1", "-0", "1e400", "12345678901234567890123", "0.10", "NaN", "Infinity", "-Infinity", r'"\ud800"',
    '"é\U0001f600"', "[]", "{}",
]  # fmt: skip
"""Values that other readers of JSON refuse or change."""

TOKENS = [
    "{", "}", "[", "]", ":", ",", '"a"', '"request_api_key"', '"api_key"', r'"\u0061pi_key"', '"api_key_unverified"',
    "\ufeff", "\x00", " ", "\n", '"', "\\", '{"a":1', '{"request_api_key":', ',"api_key":', *ODD_VALUES,
]  # fmt: skip
"""Parts of valid and invalid JSON texts."""

Pairs = list[tuple[str, Any]]

_READ = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=tuple)


class NotAnObjectError(ValueError):
    """A value that Python's ``json`` does not read as an object."""


def check(fields: str | bytes, merge: CountedMerge) -> str:
    """Merge, compare with Python's ``json``, and return the kind of the input: object, empty or other."""
    try:
        before = _pairs(fields)
    except NotAnObjectError:
        _check_untouched(fields, merge)
        return "other"
    after, moved = merge.into(fields)
    assert type(after) is type(fields)
    added = [(name, member.as_object()) for name, member in merge.members.items()]
    reserved = [name for name, _ in before or () if name in merge.reserved]
    assert moved == len(reserved)
    if not added and not reserved:
        assert after is fields
        return "nothing"
    _check_content(before or [], _pairs(after) or [], merge, added)
    if not reserved:
        _check_bytes(fields, after, merge)
    assert merge.into(after) == (after, 0)
    _check_again(after, merge, len(added))
    return "nothing" if before is None else "object"


def _check_untouched(fields: str | bytes, merge: CountedMerge) -> None:
    try:
        merge.into(fields)
    except UnchangeableError:
        return
    raise AssertionError("a member was merged into a string that is not an object")


def _check_content(before: Pairs, after: Pairs, merge: CountedMerge, added: Pairs) -> None:
    kept = after[: len(after) - len(added)]
    assert [value for _, value in kept] == [value for _, value in before]
    for (old, _), (new, _) in zip(before, kept, strict=True):
        if old in merge.reserved:
            assert new.startswith(old + UNVERIFIED)
            assert not new[len(old) :].replace(UNVERIFIED, "")
        else:
            assert new == old
    assert not {name for name, _ in kept} & merge.reserved
    names = [name for name, _ in before]
    moved_to = [new for (old, _), (new, _) in zip(before, kept, strict=True) if old in merge.reserved]
    assert not set(moved_to) & set(names)
    assert [(name, _plain(value)) for name, value in after[len(kept) :]] == added


def _check_bytes(fields: str | bytes, after: str | bytes, merge: CountedMerge) -> None:
    """Without a reserved name there is one insertion, directly before the last brace."""
    inserted = ",".join(f'"{name}":{member.as_json()}' for name, member in merge.members.items())
    text, result = _text(fields), _text(after)
    brace = text.rfind("}")
    if brace >= 0:
        comma = "," if _pairs(fields) else ""
        assert result == text[:brace] + comma + inserted + text[brace:]
    else:
        before, _, behind = text.partition("null")
        assert result == f"{before}{{{inserted}}}{behind}"


def _check_again(after: str | bytes, merge: CountedMerge, added: int) -> None:
    """Merge the result again with further members; the library's member is replaced or removed."""
    text = _text(after)
    brace = text.rindex("}")
    kept = (_pairs(after) or [])[: -added or None]
    changed = text[:brace] + (',"behind":0' if _pairs(after) else '"behind":0') + text[brace:]
    again = changed if isinstance(after, str) else changed.encode()
    replaced, moved = merge.into(again)
    assert (_pairs(replaced), moved) == ([*kept, ("behind", "0"), *(_pairs(after) or [])[len(kept) :]], 0)
    emptied, moved = CountedMerge({}, merge.reserved, merge.written, merge.request).into(again)
    assert (_pairs(emptied), moved) == ([*kept, ("behind", "0")], 0)


def _text(fields: str | bytes) -> str:
    """Return the string; bytes are decoded as ``json.loads`` does, which removes their byte order mark."""
    return fields if isinstance(fields, str) else fields.decode(json.detect_encoding(fields), "surrogatepass")


def _pairs(fields: str | bytes) -> Pairs | None:
    """Return the members of an object in order, or ``None`` for an empty string and ``null``."""
    try:
        text = fields.removeprefix("\ufeff") if isinstance(fields, str) else _text(fields)
        if not text.strip(" \t\n\r"):
            return None
        content = _READ.decode(text)
    except (ValueError, RecursionError):
        raise NotAnObjectError from None
    if content is None:
        return None
    if not isinstance(content, tuple) or text.lstrip(" \t\n\r")[0] != "{":
        raise NotAnObjectError
    return list(content)


def _plain(value: Any) -> Any:
    """Return an object of the library as ``json`` reads it without hooks."""
    if isinstance(value, tuple):
        return {name: _plain(element) for name, element in value}
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return value
