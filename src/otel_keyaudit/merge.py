"""Adds members to additional fields and loses nothing: every other byte and value is as it was (interface.md, section 4).

JSON text is never written anew. orjson proves quickly that a text is an object without the reserved names; then the
members are spliced in before the last brace. What orjson refuses or would change (``NaN``, long numbers, duplicate
members) is read by Python's ``json``, member by member, and only names of ours are exchanged.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.member import Member
from otel_keyaudit.names import UNVERIFIED
from otel_keyaudit.provenance import Provenance

_WHITE_SPACE = " \t\n\r"
_BOM = b"\xef\xbb\xbf"
_READ = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode
_READ_VALUE = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 16 else digits).raw_decode


@dataclass(frozen=True)
class Merge:
    """What one write adds.

    Attributes:
        members: By reserved name, what is put there; ``None`` when the name is reserved and there is nothing to put.
        provenance: Tells members that this library wrote from those of anybody else.
    """

    members: Mapping[str, Member | None]
    provenance: Provenance

    def into(self, fields: Any) -> tuple[Any, int]:
        """Return additional fields with the members, and how many members of a reserved name were moved away.

        What is given is never changed; where there is nothing to do, it is returned itself.

        Args:
            fields: A mapping, a JSON object as ``str`` or ``bytes``, or ``None``.

        Raises:
            UnchangeableError: It is anything else, or cannot be changed.
        """
        if fields is None:
            added = self._objects()
            return (added or None), 0
        if isinstance(fields, dict) and type(fields) is dict:
            return self._into_dict(fields)
        if isinstance(fields, str):
            return self._into_text(fields)
        if isinstance(fields, bytes):
            return self._into_bytes(fields)
        if isinstance(fields, Mapping):
            return self._into_mapping(fields)
        raise UnchangeableError(f"additional fields are {type(fields).__name__}, not an object")

    def _objects(self) -> dict[str, Any]:
        return {name: member.as_object() for name, member in self.members.items() if member is not None}

    def _into_dict(self, fields: dict[Any, Any]) -> tuple[dict[Any, Any], int]:
        if self.members.keys().isdisjoint(fields):
            added = self._objects()
            return ({**fields, **added} if added else fields), 0
        kept, moved = {}, 0
        for name, value in fields.items():
            if name not in self.members:
                kept[name] = value
            elif not self.provenance.is_ours(value):
                kept[_free(name, fields.keys() | kept.keys())] = value
                moved += 1
        return {**kept, **self._objects()}, moved

    def _into_mapping(self, fields: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], int]:
        taken = [name for name in self.members if name in fields]
        added = self._objects()
        if not taken and not added:
            return fields, 0
        copied = _copied(fields)
        moved = 0
        for name in taken:
            value = copied.pop(name)
            if not self.provenance.is_ours(value):
                copied[_free(name, copied)] = value
                moved += 1
        for name, value in added.items():
            copied[name] = value
        if any(name in fields and fields[name] is value for name, value in added.items()):
            for name in added:
                del copied[name]
            raise UnchangeableError(f"a {type(fields).__name__} shares its items with its copy")
        return copied, moved

    def _into_bytes(self, fields: bytes) -> tuple[bytes, int]:
        try:
            text = fields.decode("utf-8")
        except UnicodeDecodeError:
            raise UnchangeableError("additional fields are bytes that are not UTF-8") from None
        mark = _BOM if fields.startswith(_BOM) else b""
        content = text[1:] if mark else text
        merged, moved = self._into_text(content)
        return (fields if merged is content else mark + merged.encode("utf-8")), moved

    def _into_text(self, text: str) -> tuple[str, int]:
        if not text.strip(_WHITE_SPACE) or text.strip(_WHITE_SPACE) == "null":
            added = self._json()
            return (f"{{{added}}}" if added else text), 0
        try:
            content = orjson.loads(text)
        except (orjson.JSONDecodeError, RecursionError):
            return self._into_unusual_text(text)
        if not isinstance(content, dict):
            raise UnchangeableError("additional fields are JSON, but not an object")
        if not self.members.keys().isdisjoint(content):
            return self._into_unusual_text(text)
        return self._spliced(text, bool(content)), 0

    def _into_unusual_text(self, text: str) -> tuple[str, int]:
        """Merge into a text with reserved names in it, or one that orjson does not read as Python's ``json`` does."""
        found = _members(text)
        kept = [one for one in found if one.name not in self.members or not self._is_ours(text, one)]
        names = {one.name for one in kept}
        parts: list[str] = [text[: found[0].start]] if found else []
        moved = 0
        for number, one in enumerate(kept):
            if number:
                parts.append(text[found[found.index(one) - 1].end : one.start])
            if one.name in self.members:
                name = _free(one.name, names)
                names.add(name)
                moved += 1
                parts.append(json.dumps(name))
            else:
                parts.append(text[one.start : one.name_end])
            parts.append(text[one.name_end : one.end])
        parts.append(text[found[-1].end :] if found else text)
        return self._spliced("".join(parts), bool(kept)), moved

    def _is_ours(self, text: str, one: _Found) -> bool:
        return text[one.value] == "{" and self.provenance.is_ours(_READ_VALUE(text, one.value)[0])

    def _spliced(self, text: str, has_members: bool) -> str:
        added = self._json()
        if not added:
            return text
        brace = text.rindex("}")
        return f"{text[:brace]}{',' if has_members else ''}{added}{text[brace:]}"

    def _json(self) -> str:
        """Return what is added as text: the members, without braces around them."""
        return ",".join(
            f"{orjson.dumps(name).decode()}:{member.as_json()}"
            for name, member in self.members.items()
            if member is not None
        )


@dataclass(frozen=True)
class _Found:
    """A member of a JSON object: its name, and where in the text the name and the value begin and end."""

    name: str
    start: int
    name_end: int
    value: int
    end: int


def _members(text: str) -> list[_Found]:
    """Return the members of a JSON object, as Python's ``json`` reads it."""
    found: list[_Found] = []
    try:
        position = _expect(text, _skip(text, 0), "{")
        position = _skip(text, position)
        while text[position : position + 1] != "}" or found:
            start = position
            _expect(text, start, '"')
            name, name_end = _READ(text, start)
            value = _skip(text, _expect(text, _skip(text, name_end), ":"))
            _, end = _READ(text, value)
            found.append(_Found(name, start, name_end, value, end))
            position = _skip(text, end)
            if text[position : position + 1] == "}":
                break
            position = _skip(text, _expect(text, position, ","))
        if _skip(text, position + 1) != len(text):
            raise UnchangeableError("additional fields are JSON with something behind it")
    except (json.JSONDecodeError, StopIteration):
        raise UnchangeableError("additional fields are not a JSON object") from None
    except RecursionError:
        raise UnchangeableError("additional fields are nested too deeply") from None
    return found


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise UnchangeableError("additional fields are not a JSON object")
    return position + 1


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _WHITE_SPACE:
        position += 1
    return position


def _free(name: str, taken: Collection[Any]) -> str:
    """Return the name under which a member of a reserved name is kept."""
    name += UNVERIFIED
    while name in taken:
        name += UNVERIFIED
    return name


def _copied(fields: Mapping[Any, Any]) -> MutableMapping[Any, Any]:
    """Return a copy of the same kind that can be changed."""
    copied = copy.copy(fields)
    if copied is fields or type(copied) is not type(fields) or not isinstance(copied, MutableMapping):
        raise UnchangeableError(f"a {type(fields).__name__} cannot be changed")
    return copied
