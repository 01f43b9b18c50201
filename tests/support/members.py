"""Members and merges as an audit write makes them."""

from __future__ import annotations

from typing import Any

from otel_keyaudit import ApiKey, Detail
from otel_keyaudit.key.snapshot import Snapshot
from otel_keyaudit.row.merge import Merge
from otel_keyaudit.row.snapshot_member import Location, Member, ambiguous
from otel_keyaudit.row.written_members import Provenance

REQUEST = "request_api_key"
SUBJECT = "api_key"


def key_member(
    key_id: str = "k_1", *, detail: Detail = Detail.FULL, span: int | None = 1, scopes: tuple[str, ...] = ("a:read",)
) -> Member:
    """Return the member for a key, in a span with that number."""
    key = ApiKey(key_id, name="ci-bot", scopes=scopes, allow_list=("a:1",))
    return Member(Snapshot(key, None, 128).form(detail), location(span))


def ambiguous_member(*ids: str, span: int | None = 1) -> Member:
    """Return the member for a request that showed several keys."""
    return Member(ambiguous(ids, 128), location(span))


def location(span: int | None) -> Location | None:
    """Return a place in a trace; ``None`` stands for no span."""
    return None if span is None else (f"{span:032x}", f"{span:016x}")


class CountedMerge(Merge):
    """A merge that says for each set of fields how many members it moved away."""

    def into(self, fields: Any) -> tuple[Any, int]:
        """Return the fields after one write, and how many members of a reserved name were moved."""
        before = self.moved
        return super().into(fields), self.moved - before


def merge_of(
    request: Member | None = None, subject: Member | None = None, *, provenance: Provenance | None = None
) -> CountedMerge:
    """Return a merge of these members, both names reserved, as one audit write makes it."""
    return CountedMerge({REQUEST: request, SUBJECT: subject}, provenance or Provenance())


def merged(fields: Any, request: Member | None = None, subject: Member | None = None) -> Any:
    """Return the fields after one write."""
    return merge_of(request, subject).into(fields)[0]
