"""Merge members into additional fields; every other byte and value stays as it was (docs/reference/row.md).

JSON is never serialized again. If orjson reads a string as an object without the reserved names, the members are
inserted before the last brace. If the object has reserved names, or orjson refuses it (``NaN``, for example), Python's
``json`` finds the positions of its members, and only the reserved names are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, KeysView, Mapping, MutableMapping
from itertools import repeat
from typing import Any, Literal

import orjson

from otel_keyaudit.errors import MaskedError, UnchangeableError
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.row.copies.mapping_copy import (
    changeable_copy,
    layers,
    plain_copy,
    pop_values,
    put_values,
    spellings,
)
from otel_keyaudit.row.json_object import MemberPosition, members_of
from otel_keyaudit.row.members.authorship import Authorship
from otel_keyaudit.row.members.reserved_names import FreeNames, free_name, quoted, spliced
from otel_keyaudit.row.members.snapshot_member import SnapshotMember
from otel_keyaudit.row.members.written_members import WrittenMembers
from otel_keyaudit.row.text_encoding import BOM, Bytes, Encoding

Kind = Literal["text", "bytes", "dict"]
"""The kind that ``None`` becomes: a JSON string, JSON bytes or a dict."""

_WHITE_SPACE = " \t\n\r"

_NONE: frozenset[str] = frozenset()


class Merge:
    """Merges the members of one write into its rows, and counts the rows.

    Args:
        members: The members by name.
        reserved: The names that only the library may write, first the name for the request's key. Not all of them need
            have a member in this write.
        written: Recognizes the members that the library wrote.
        request: Number of the request, unique in the process; ``None`` outside of every request.

    Attributes:
        rows: Number of rows.
        kept: Number of rows that keep a member for the request's key that another request wrote.
        failed: Number of elements of a list or iterator that could not be changed, and of masked members.
        moved: Number of foreign members with a reserved name that were renamed.
    """

    rows = kept = failed = moved = 0
    _json_cache: str | None = None
    _authorship: Authorship | None = None

    def __init__(
        self, members: Mapping[str, SnapshotMember], reserved: KeysView[str], written: WrittenMembers, request: Any
    ) -> None:
        self.members = members
        self.reserved = reserved
        self._written = written
        self._request = by = object() if request is None else request
        self._authors = dict.fromkeys(members, by)
        written.recent.extend(zip(repeat(by), members.values()))

    def again(self, members: Mapping[str, SnapshotMember]) -> Merge:
        """Return a merge of other members into the same rows."""
        other = Merge(members, self.reserved, self._written, self._request)
        other.moved = self.moved
        return other

    @property
    def names_every_row(self) -> bool:
        """Return whether every row has received, or keeps, a member for the request's key."""
        is_written = next(iter(self.reserved)) in self.members
        return not self.failed and (is_written or 0 < self.kept == self.rows)

    @property
    def replaces_full(self) -> bool:
        """Return whether a row had a full snapshot from the same request, to which other rows may refer."""
        return self._authorship is not None and self._authorship.found_full

    def masked(self, name: str) -> None:
        """Count a member that the function masked, so that the row does not name the key.

        Raises:
            MaskedError: Always.
        """
        self.failed += 1
        raise MaskedError(name)

    def into(self, fields: Any, kind: Callable[[], Kind] | None = None) -> Any:
        """Return additional fields with the members merged in.

        The given object is never changed. If there is nothing to change, it is returned itself.

        Args:
            fields: A mapping, a JSON object as string or bytes, or ``None``.
            kind: Returns the kind that ``None`` becomes; without it, ``None`` becomes a dict.

        Raises:
            UnchangeableError: The fields have another type, or cannot receive the members.
        """
        self.rows += 1
        if type(fields) is dict:
            return self._into_dict(fields)
        if type(fields) is str:
            return self._into_text(fields, fields)
        if fields is None:
            return self._into_none("dict" if kind is None or not self.members else kind())
        if isinstance(fields, str):
            text = str.__str__(fields)  # the plain string, because a subclass may override its methods
            merged = self._into_text(text, fields)
            return fields if merged is text else merged
        if isinstance(fields, (bytes, bytearray, memoryview)):
            return self._into_bytes(fields)
        if isinstance(fields, Mapping):
            return self._into_mapping(fields)
        raise UnchangeableError(
            f"the additional fields are a {type(fields).__name__}, not a mapping or JSON; nothing can be added"
        )

    # Mappings

    def _objects(self, without: Container[str] = _NONE) -> dict[str, Any]:
        objects: dict[str, Any] = {}
        for name, member in self.members.items():
            if name not in without:
                objects[name] = added = member.as_object()
                self._written.note(added, self._request)
        return objects

    def _into_none(self, kind: Kind) -> Any:
        if not self.members:
            return None
        if kind == "dict":
            return self._objects()
        text = f"{{{self._json()}}}"
        after = text if kind == "text" else text.encode()
        self._written.note(after, self._authors, len(after))
        return after

    def _into_dict(self, fields: dict[Any, Any]) -> dict[Any, Any]:
        if not self.reserved.isdisjoint(fields):
            return self._into_dict_with_reserved_names(fields)
        return {**fields, **self._objects()} if self.members else fields

    def _into_dict_with_reserved_names(self, fields: dict[Any, Any]) -> dict[Any, Any]:
        after: dict[Any, Any] = {}
        kept: set[str] = set()
        for name, value in fields.items():
            author = self._authorship_of_members().of_object(value) if name in self.reserved else None
            if author == "client":
                after[free_name(name, fields, after, self.reserved)] = value
                self.moved += 1
            elif author != "this request":
                after[name] = value
                if author is not None:
                    kept.add(name)
        self._count_kept(kept)
        added = self._objects(kept)
        is_same = not added and kept.issuperset(self.reserved & fields.keys())
        return fields if is_same else {**after, **added}

    def _into_mapping(self, fields: Mapping[Any, Any]) -> Mapping[Any, Any]:
        reserved = [name for name in self.reserved if name in fields]
        if not reserved and not self.members:
            return fields
        copied = changeable_copy(fields)
        moved = self.moved
        after = quietly(self._into_copy, fields, copied, reserved)
        if after is None:  # it refuses a name or a value, as mappings of HTTP headers do
            self.moved = moved
            after = self._into_copy(fields, plain_copy(fields), reserved)
        return after

    def _into_copy(
        self, fields: Mapping[Any, Any], copied: MutableMapping[Any, Any], reserved: list[str]
    ) -> Mapping[Any, Any]:
        kept = {name for name in reserved if self._clear(copied, name)}
        added = self._objects(kept)
        for name, value in added.items():
            copied[name] = value
            if not copied[name] == value:  # a Struct of protobuf defines equality only
                raise UnchangeableError(f"a {type(copied).__name__} changes the values that it receives")
        self._count_kept(kept)
        return copied if added or not kept.issuperset(reserved) else fields

    def _clear(self, copied: Any, name: str) -> bool:
        """Rename foreign members of a reserved name in a copy; return whether a member of another request stays."""
        stays = False
        ignores_case = name not in copied  # the original found it, and a plain dict does not
        found = [(layer, one) for layer in layers(copied) for one in spellings(layer, name, ignores_case=ignores_case)]
        for layer, spelled in found:
            values = pop_values(layer, spelled)
            authored = [(self._authorship_of_members().of_object(value), value) for value in values]
            foreign = [value for author, value in authored if author == "client"]
            if foreign:
                put_values(layer, free_name(name, copied, self.reserved), foreign)
                self.moved += len(foreign)
            kept = [value for author, value in authored if author == "another request"]
            if kept and not stays:
                layer[name] = kept[0]
                stays = True
        return stays

    def _authorship_of_members(self) -> Authorship:
        """Return what determines the authors of members. Few rows have a reserved name, so it is created late."""
        if self._authorship is None:
            self._authorship = Authorship(self._written, self._request)
        return self._authorship

    def _count_kept(self, kept: Container[str]) -> None:
        self.kept += next(iter(self.reserved)) in kept

    # JSON

    def _into_text(self, text: str, held: Any) -> str:
        if text.startswith(BOM):
            body = text[1:]
            merged, authors = self._text_with_members(body, held)
            after = text if merged is body else BOM + merged
        else:
            after, authors = self._text_with_members(text, held)
        if after is not text and authors:
            self._written.note(after, authors, len(after))
        return after

    def _into_bytes(self, fields: Bytes) -> Bytes:
        encoding = Encoding(fields)
        merged, authors = self._text_with_members(encoding.text, fields)
        if merged is encoding.text:
            return fields
        after = encoding.encode(merged)
        if authors:
            self._written.note(after, authors, len(after))
        return after

    def _text_with_members(self, text: str, held: Any) -> tuple[str, dict[str, Any]]:
        """Return the string with the members, and the request that wrote each member that is now in it.

        Args:
            text: The string.
            held: The string or bytes object of the application, by which earlier members are recognized.
        """
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            parsed = None
        if type(parsed) is dict and self.reserved.isdisjoint(parsed):
            return spliced(text, self._json(), bool(parsed)) if self.members else text, self._authors
        if text.strip(_WHITE_SPACE) in ("", "null"):
            before, _, after = text.partition("null")
            merged = f"{before}{{{self._json()}}}{after}" if self.members else text
            return merged, self._authors
        return self._rewritten_text(text, self._written.request_of(held) or {})

    def _rewritten_text(self, text: str, authors: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Merge into a string that has reserved names or that orjson refuses."""
        found = members_of(text)
        kept = {
            name: request for name, request in authors.items() if request != self._request and name in self.reserved
        }
        self._count_kept(kept)
        has_members = bool(found)
        if any(one.name in self.reserved and one.name not in kept for one in found):
            text, has_members = self._without_reserved_names(text, found, authors)
        return self._spliced(text, has_members, kept), {**self._authors, **authors, **kept}

    def _without_reserved_names(
        self, text: str, found: list[MemberPosition], authors: dict[str, Any]
    ) -> tuple[str, bool]:
        """Rename foreign members with a reserved name, and remove members that this request wrote."""
        aside = FreeNames({one.name for one in found}.union(self.reserved))
        position = found[0].start
        parts = [text[:position]]
        has_members = False
        for one in found:
            gap, position = text[position : one.start], one.end
            author = None
            if one.name in self.reserved:
                author = self._authorship_of_members().of_json(text[one.value : one.end], authors.get(one.name))
            is_removed = author == "this request"
            parts.append(gap if has_members and not is_removed else gap.replace(",", ""))
            if not is_removed:
                is_foreign = author == "client"
                name = json.dumps(aside.name_for(one.name)) if is_foreign else text[one.start : one.name_end]
                parts += (name, text[one.name_end : one.end])
                has_members = True
        self.moved += aside.moved
        return "".join(parts) + text[position:], has_members

    def _spliced(self, text: str, has_members: bool, without: Container[str] = _NONE) -> str:
        added = self._json(without)
        return spliced(text, added, has_members) if added else text

    def _json(self, without: Container[str] = _NONE) -> str:
        """Return the added members as JSON, without the braces of an object."""
        if without is _NONE and self._json_cache is not None:
            return self._json_cache
        added = [f"{quoted(name)}:{member.as_json()}" for name, member in self.members.items() if name not in without]
        joined = ",".join(added)
        if without is _NONE:
            self._json_cache = joined
        return joined
