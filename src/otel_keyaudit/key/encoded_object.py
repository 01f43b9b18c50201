"""An object that rows hold, encoded once: for rows that are mappings, for JSON text, and for telling it again."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import orjson


class Form:
    """What rows are given of one snapshot in one detail, without the ids of a span.

    Args:
        members: The object; the form keeps it.

    Attributes:
        json: The same as compact JSON text without the closing brace, so that more members can follow.
        fingerprint: What identifies the content in a few bytes.
    """

    __slots__ = ("_lists", "_members", "_objects", "fingerprint", "json")

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self._lists = [name for name, value in members.items() if type(value) is list]
        self._objects = {name: Form(value) for name, value in members.items() if type(value) is dict}
        self.json = _as_json(members)[:-1]
        self.fingerprint = fingerprint(members)

    def copy(self) -> dict[str, Any]:
        """Return the object, a copy of its own for every row, lists included: rows must never share a list."""
        copied = self._members.copy()
        for name in self._lists:
            copied[name] = copied[name].copy()
        for name, form in self._objects.items():
            copied[name] = form.copy()
        return copied


def _as_json(members: dict[str, Any]) -> str:
    """Return compact JSON text. What steers a terminal, breaks a line or turns the direction of writing is escaped."""
    text = orjson.dumps(members).decode()
    return text if text.isprintable() else json.dumps(members, separators=(",", ":"))


def fingerprint(content: dict[str, Any]) -> bytes:
    """Return what identifies a content in a few bytes, whatever the order of its members.

    Raises:
        TypeError: Something in it is not JSON.
    """
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
