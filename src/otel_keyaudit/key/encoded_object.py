"""A JSON object that many rows receive, encoded once as members and once as JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson


class EncodedObject:
    """The members of one snapshot in one detail, as rows receive them, without trace and span id.

    Each encoding is made at its first use because a service writes its rows either as mappings or as JSON text.

    Args:
        members: The members; nobody may change them afterwards. Lists are tuples.

    Attributes:
        members: The same object.
        json: Compact JSON without the closing brace, so that more members can follow.
    """

    __slots__ = ("_copiers", "json", "members")

    json: str

    def __init__(self, members: dict[str, Any]) -> None:
        self.members = members
        self._copiers = tuple((name, copy) for name, value in members.items() if (copy := _copier(value)) is not None)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Encode at first use. Python calls this for a slot that has no value yet."""
            if name == "json":
                self.json = to_json(self.copy())[:-1]
                return self.json
            raise AttributeError(name)

    def copy(self) -> dict[str, Any]:
        """Return the members as a dict that shares no list and no dict with any other row."""
        copied = self.members.copy()
        for name, copy in self._copiers:
            copied[name] = copy(copied[name])
        return copied


def _copier(value: object) -> Callable[[Any], Any] | None:
    """Return the function that copies a value, ``None`` for a value that cannot be changed."""
    if isinstance(value, tuple):
        return list
    return _copy if type(value) is dict else None


def _copy(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value if (copy := _copier(value)) is None else copy(value) for name, value in members.items()}


def cut(members: dict[str, Any], name: str, elements: Sequence[str], max_items: int) -> None:
    """Add a list as a tuple: its first elements, and ``<name>_count`` with the full length if some are left out."""
    members[name] = tuple(elements[:max_items])
    if len(elements) > max_items:
        members[f"{name}_count"] = len(elements)


def to_json(members: dict[str, Any]) -> str:
    """Return compact JSON, as ASCII if a character could control a terminal, break a line or change the direction.

    Args:
        members: The members. Their lists are of Python's own types, because a Python function that converts others for
            orjson would lose the exception of a signal handler.
    """
    text = orjson.dumps(members).decode()
    return text if text.isprintable() else json.dumps(members, separators=(",", ":"))
