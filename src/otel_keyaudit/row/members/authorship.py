"""Determine who wrote a member with a reserved name: the client, the request of the row, or another request."""

from __future__ import annotations

from typing import Any, Literal

import orjson

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.row.members.written_members import WrittenMembers, content

Author = Literal["client", "this request", "another request"]


class Authorship:
    """Determines the authors of the members in the rows of one write.

    Args:
        written: Recognizes the members that the library wrote.
        request: The request of the rows.

    Attributes:
        found_full: A member of the request of the rows was a full snapshot.
    """

    found_full = False
    _contents: dict[bytes | None, dict[str, Any]] | None = None

    def __init__(self, written: WrittenMembers, request: Any) -> None:
        self._written = written
        self._request = request

    def of_object(self, value: Any) -> Author:
        """Return the author of a member in a mapping."""
        request = self._written.request_of(value)
        if self._is_content_of_request(value) if request is None else request == self._request:
            self.found_full |= isinstance(value, dict) and value.get("detail") == "full"
            return "this request"
        return "client" if request is None else "another request"

    def of_json(self, value: str, request: Any) -> Author:
        """Return the author of a member in a string.

        Args:
            value: The member as JSON.
            request: The request that wrote it, if the library passed this very string on; else ``None``.
        """
        if self._is_json_of_request(value) if request is None else request == self._request:
            self.found_full |= '"detail":"full"' in value.replace(" ", "")
            return "this request"
        return "client" if request is None else "another request"

    def _is_content_of_request(self, value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        if self._contents is None:
            self._contents = self._written.contents(self._request)
        return self._contents.get(quietly(content, value)) == value

    def _is_json_of_request(self, value: str) -> bool:
        try:
            return value[0] == "{" and self._is_content_of_request(orjson.loads(value))
        except orjson.JSONDecodeError:  # Python's json reads more than the library writes
            return False
