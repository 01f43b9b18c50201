"""Members and merges as an audit write makes them."""

from __future__ import annotations

from typing import Any

from otel_keyaudit import ApiKey, Detail
from otel_keyaudit.member import AmbiguousMember, KeyMember, Location, Member
from otel_keyaudit.merge import Merge
from otel_keyaudit.provenance import Provenance
from otel_keyaudit.snapshot import Snapshot

REQUEST = "request_api_key"
SUBJECT = "api_key"


def key_member(
    key_id: str = "k_1", *, detail: Detail = Detail.FULL, span: int | None = 1, scopes: tuple[str, ...] = ("a:read",)
) -> KeyMember:
    """Return the member for a key, in a span with that number."""
    key = ApiKey(key_id, name="ci-bot", scopes=scopes, allow_list=("a:1",))
    return KeyMember(Snapshot(key, None, 128), detail, location(span))


def ambiguous_member(*ids: str, span: int | None = 1) -> AmbiguousMember:
    """Return the member for a request that showed several keys."""
    return AmbiguousMember(ids, 128, location(span))


def location(span: int | None) -> Location | None:
    """Return a place in a trace; ``None`` stands for no span."""
    return None if span is None else Location(f"{span:032x}", f"{span:016x}")


def merge_of(
    request: Member | None = None, subject: Member | None = None, *, provenance: Provenance | None = None
) -> Merge:
    """Return a merge of these members, both names reserved, as one audit write makes it."""
    known = provenance or Provenance()
    for member in (request, subject):
        if member is not None:
            known.remember(member)
    return Merge({REQUEST: request, SUBJECT: subject}, known)


def merged(fields: Any, request: Member | None = None, subject: Member | None = None) -> Any:
    """Return the fields after one write."""
    return merge_of(request, subject).into(fields)[0]
