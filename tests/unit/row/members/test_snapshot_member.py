"""The members that rows receive."""

import json
from typing import Any

import pytest

from otel_keyaudit.key.encoded_object import EncodedObject
from otel_keyaudit.row.members.snapshot_member import SnapshotMember, ambiguous
from support.merges.members import key_member, location


@pytest.mark.parametrize(
    ("count", "expected"),
    [(2, {"ambiguous": True, "ids": ("a", "b")}), (3, {"ambiguous": True, "ids": ("a", "b"), "ids_count": 3})],
)
def test_ambiguous_member_has_the_number_of_all_ids(count: int, expected: dict[str, Any]) -> None:
    """The number is left out if all ids are there, as with every list."""
    assert ambiguous(("a", "b"), count).members == expected


@pytest.mark.parametrize("extra", [None, {}, {"on_behalf_of": "user:7", "actors": ["job"]}])
@pytest.mark.parametrize("span", [None, 1])
def test_both_encodings_have_the_same_members_in_the_same_order(extra: dict[str, Any] | None, span: int | None) -> None:
    """The snapshot comes first, and the ids of the trace last."""
    member = SnapshotMember(EncodedObject({"id": "k_1", "scopes": ("a",)}), extra, location(span))
    ids = {} if span is None else {"trace_id": f"{1:032x}", "span_id": f"{1:016x}"}
    expected = {"id": "k_1", "scopes": ["a"], **(extra or {}), **ids}
    assert list(member.as_object().items()) == list(expected.items())
    assert list(json.loads(member.as_json()).items()) == list(expected.items())


def test_objects_share_nothing() -> None:
    """A change of one row reaches no other row."""
    member = key_member(extra={"decisions": [{"required": ["a"]}]})
    first, second = member.as_object(), member.as_object()
    first["scopes"].append("forged")
    first["decisions"][0]["required"].append("forged")
    assert second == member.as_object() == key_member(extra={"decisions": [{"required": ["a"]}]}).as_object()
