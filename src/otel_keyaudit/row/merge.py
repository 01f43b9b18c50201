"""Adds members to additional fields and loses nothing: every other byte and value stays (docs/reference.md, section 4).

JSON text is never written anew. orjson proves quickly that a text is an object without the reserved names; then the
members are spliced in before the last brace. What orjson refuses or would change (``NaN``, long numbers, duplicate
members) is read by Python's ``json``, member by member, and only names of ours are exchanged.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from functools import lru_cache
from typing import Any

import orjson

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.names import UNVERIFIED
from otel_keyaudit.row.json_object import Found, members_of
from otel_keyaudit.row.mapping_copy import changeable_copy
from otel_keyaudit.row.snapshot_member import Member
from otel_keyaudit.row.written_members import Provenance

_WHITE_SPACE = " \t\n\r"
_BOM = b"\xef\xbb\xbf"
_READ_VALUE = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 16 else digits).raw_decode

_NAMES_ASIDE = 16
"""How many names of their own duplicates of a reserved name get: with one for each, names would outgrow the text."""


class Merge:
    """What one write adds.

    Args:
        members: By reserved name, what is put there; ``None`` when the name is reserved and there is nothing to put.
        provenance: Tells members that this library wrote from those of anybody else.

    Attributes:
        moved: How many members of a reserved name were moved away.
    """

    def __init__(self, members: Mapping[str, Member | None], provenance: Provenance) -> None:
        self.members = members
        self.provenance = provenance
        self.moved = 0
        for member in members.values():
            if member is not None:
                provenance.remember(member)

    def into(self, fields: Any) -> Any:
        """Return additional fields with the members.

        What is given is never changed; where there is nothing to do, it is returned itself.

        Args:
            fields: A mapping, a JSON object as ``str`` or ``bytes``, or ``None``.

        Raises:
            UnchangeableError: It is anything else, or cannot be changed.
        """
        if type(fields) is dict:
            return self._into_dict(fields)
        if type(fields) is str:
            return self._into_text(fields)
        if fields is None:
            return self._objects() or None
        if isinstance(fields, str):
            text = str.__str__(fields)  # the text itself, whatever the methods of its class make of it
            merged = self._into_text(text)
            return fields if merged is text else merged
        if isinstance(fields, bytes):
            return self._into_bytes(fields)
        if isinstance(fields, Mapping):
            return self._into_mapping(fields)
        raise UnchangeableError(f"additional fields are {type(fields).__name__}, not an object")

    def _objects(self) -> dict[str, Any]:
        objects: dict[str, Any] = {}
        for name, member in self.members.items():
            if member is not None:
                objects[name] = member.as_object()
        return objects

    def _into_dict(self, fields: dict[Any, Any]) -> dict[Any, Any]:
        added = self._objects()
        if self.members.keys().isdisjoint(fields):
            return {**fields, **added} if added else fields
        kept: dict[Any, Any] = {}
        for name, value in fields.items():
            if name not in self.members:
                kept[name] = value
            elif not self.provenance.is_ours(value):
                kept[_free(name, fields, kept, self.members)] = value
                self.moved += 1
        return {**kept, **added}

    def _into_mapping(self, fields: Mapping[Any, Any]) -> Mapping[Any, Any]:
        taken = [name for name in self.members if name in fields]
        added = self._objects()
        if not taken and not added:
            return fields
        copied = changeable_copy(fields)
        for name in taken:
            value = copied.pop(name)
            if not self.provenance.is_ours(value):
                copied[_free(name, copied, self.members)] = value
                self.moved += 1
        for name, value in added.items():
            copied[name] = value
        return copied

    def _into_bytes(self, fields: bytes) -> bytes:
        mark = _BOM if fields.startswith(_BOM) else b""
        try:
            text = fields[len(mark) :].decode("utf-8")
        except UnicodeDecodeError:
            raise UnchangeableError("additional fields are bytes that are not UTF-8") from None
        merged = self._into_text(text)
        return fields if merged is text else mark + merged.encode("utf-8")

    def _into_text(self, text: str) -> str:
        try:
            content = orjson.loads(text)
        except (orjson.JSONDecodeError, RecursionError):
            content = None
        if type(content) is dict and self.members.keys().isdisjoint(content):
            return self._spliced(text, bool(content))
        if text.strip(_WHITE_SPACE) in ("", "null"):
            before, _, after = text.partition("null")
            added = self._json()
            return f"{before}{{{added}}}{after}" if added else text
        return self._into_unusual_text(text)

    def _into_unusual_text(self, text: str) -> str:
        """Merge into a text with reserved names in it, or one that orjson does not read as Python's ``json`` does."""
        found = members_of(text)
        if all(one.name not in self.members for one in found):
            return self._spliced(text, bool(found))
        aside = _Aside({one.name for one in found}.union(self.members))
        position = found[0].start
        parts = [text[:position]]
        has_members = False
        for one in found:
            gap, position = text[position : one.start], one.end
            reserved = one.name in self.members
            removed = reserved and self._is_ours(text, one)
            parts.append(gap if has_members and not removed else gap.replace(",", ""))
            if not removed:
                name = json.dumps(aside.name_for(one.name)) if reserved else text[one.start : one.name_end]
                parts += (name, text[one.name_end : one.end])
                has_members = True
        self.moved += aside.moved
        return self._spliced("".join(parts) + text[position:], has_members)

    def _is_ours(self, text: str, one: Found) -> bool:
        return text[one.value] == "{" and self.provenance.is_ours(_READ_VALUE(text, one.value)[0])

    def _spliced(self, text: str, has_members: bool) -> str:
        added = self._json()
        return spliced(text, added, has_members) if added else text

    def _json(self) -> str:
        """Return what is added as text: the members, without braces around them."""
        added = []
        for name, member in self.members.items():
            if member is not None:
                added.append(f"{quoted(name)}:{member.as_json()}")
        return ",".join(added)


def spliced(text: str, added: str, has_members: bool) -> str:
    """Return the text of an object with more members at its end, whether it has some or not."""
    brace = text.rindex("}")
    return f"{text[:brace]}{',' if has_members else ''}{added}{text[brace:]}"


@lru_cache
def quoted(name: str) -> str:
    """Return a reserved name as JSON."""
    return orjson.dumps(name).decode()


class _Aside:
    """Gives the members of reserved names in one text other names, each its own while that stays short."""

    def __init__(self, taken: set[str]) -> None:
        self.moved = 0
        self._taken = taken
        self._given: dict[str, str] = {}

    def name_for(self, name: str) -> str:
        """Return the name under which one more member of a reserved name is kept."""
        self.moved += 1
        if self.moved <= _NAMES_ASIDE or name not in self._given:
            self._given[name] = _free(self._given.get(name, name), self._taken)
            self._taken.add(self._given[name])
        return self._given[name]


def _free(name: str, *taken: Container[Any]) -> str:
    """Return the name under which a member of a reserved name is kept."""
    while True:
        name += UNVERIFIED
        if not any(name in names for names in taken):
            return name
