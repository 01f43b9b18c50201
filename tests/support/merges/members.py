"""Members and merges as an audit write makes them."""

from __future__ import annotations

from collections.abc import KeysView
from itertools import count
from typing import Any

from otel_keyaudit import ApiKey, Detail
from otel_keyaudit.key.snapshot import Snapshot
from otel_keyaudit.request.server_span import Location
from otel_keyaudit.row.members.snapshot_member import SnapshotMember, ambiguous
from otel_keyaudit.row.members.written_members import WrittenMembers
from otel_keyaudit.row.merge import Kind, Merge

REQUEST = "request_api_key"
SUBJECT = "api_key"

requests = count(1_000)
"""Numbers of requests that no test has used."""


def key_member(
    key_id: str = "k_1",
    *,
    detail: Detail = Detail.FULL,
    span: int | None = 1,
    scopes: tuple[str, ...] = ("a:read",),
    extra: dict[str, Any] | None = None,
) -> SnapshotMember:
    """Return the member for a key, in a span with that number."""
    key = ApiKey(key_id, name="ci-bot", scopes=scopes, allow_list=("a:1",))
    return SnapshotMember(Snapshot(key, None, 128).encoded(detail), extra, location(span))


def ambiguous_member(*ids: str, span: int | None = 1) -> SnapshotMember:
    """Return the member for a request that showed several keys."""
    return SnapshotMember(ambiguous(ids, len(ids)), None, location(span))


def location(span: int | None) -> Location | None:
    """Return a location in a trace; ``None`` for no span."""
    return None if span is None else (f"{span:032x}", f"{span:016x}")


class CountedMerge(Merge):
    """A merge that returns with each set of fields how many members it moved aside."""

    def into(self, fields: Any, kind: Any = None) -> tuple[Any, int]:
        """Return the fields after one write, and the number of members that were moved."""
        before = self.moved
        return super().into(fields, kind), self.moved - before

    @property
    def written(self) -> WrittenMembers:
        """The memory of written members."""
        return self._written

    @property
    def request(self) -> Any:
        """The request."""
        return self._request


def merge_of(
    request: SnapshotMember | None = None,
    subject: SnapshotMember | None = None,
    *,
    after: CountedMerge | None = None,
    in_request: int | None = None,
) -> CountedMerge:
    """Return a merge of these members, both names reserved.

    Args:
        request: The member of the request's key.
        subject: The member of the subject.
        after: A merge of the same request, done before.
        in_request: Another request, in which this merge is done.
    """
    written = WrittenMembers() if after is None else after.written
    number = in_request if in_request is not None else next(requests) if after is None else after.request
    members = {name: member for name, member in ((REQUEST, request), (SUBJECT, subject)) if member is not None}
    return CountedMerge(members, reserved(REQUEST, SUBJECT), written, number)


def reserved(*names: str) -> KeysView[str]:
    """Return reserved names, the one for the request's key first."""
    return dict.fromkeys(names).keys()


def merged(fields: Any, request: SnapshotMember | None = None, subject: SnapshotMember | None = None) -> Any:
    """Return the fields after one write."""
    return merge_of(request, subject).into(fields)[0]


def becomes(kind: Kind) -> Any:
    """Return the function that determines what ``None`` becomes in a merge."""
    return lambda: kind
