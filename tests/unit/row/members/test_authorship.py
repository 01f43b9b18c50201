"""The author of a member with a reserved name is its client, the request of the row, or another request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_keyaudit.row.members.authorship import Authorship
from otel_keyaudit.row.members.written_members import WrittenMembers
from support.merges.members import key_member


@pytest.fixture
def written() -> WrittenMembers:
    """Members of the requests 1 and 2."""
    known = WrittenMembers()
    known.recent.extend([(1, key_member("k_1")), (2, key_member("k_2"))])
    return known


def test_content_identifies_a_member_only_in_its_own_request(written: WrittenMembers) -> None:
    """An equal member of another request may be a replay by a client."""
    member = key_member("k_1").as_object()
    assert [Authorship(written, request).of_object(member) for request in (1, 2)] == ["this request", "client"]
    assert [Authorship(written, request).of_json(json.dumps(member), None) for request in (1, 2)] == [
        "this request",
        "client",
    ]


def test_identity_identifies_a_member_in_every_request(written: WrittenMembers) -> None:
    """The application holds the very object that the library passed on."""
    member = {"id": "k_9"}
    written.note(member, 1)
    assert [Authorship(written, request).of_object(member) for request in (1, 2)] == [
        "this request",
        "another request",
    ]
    assert [Authorship(written, request).of_json('{"id":"k_9"}', 1) for request in (1, 2)] == [
        "this request",
        "another request",
    ]


@pytest.mark.parametrize("value", [None, "root", 1, ["k_1"], {"id": object()}, {"id": "root"}, {1: "k_1"}])
def test_anything_else_is_the_client_s(written: WrittenMembers, value: Any) -> None:
    """A member that the library cannot have written is foreign, whatever its type."""
    assert Authorship(written, 1).of_object(value) == "client"


@pytest.mark.parametrize("value", ['"root"', "NaN", '{"id":NaN}', '{"id":"root"}', "[1]"])
def test_any_other_json_is_the_client_s(written: WrittenMembers, value: str) -> None:
    """JSON that orjson refuses is foreign, too."""
    assert Authorship(written, 1).of_json(value, None) == "client"


@pytest.mark.parametrize(("detail", "found_full"), [("full", True), ("minimal", False)])
def test_full_snapshot_of_the_request_is_noticed(detail: str, found_full: bool) -> None:
    """Other rows may refer to it, so the caller must know."""
    written = WrittenMembers()
    member = {"id": "k_1", "detail": detail}
    written.note(member, 1)
    in_mapping, in_text = Authorship(written, 1), Authorship(written, 1)
    in_mapping.of_object(member)
    in_text.of_json(json.dumps(member), 1)
    assert (in_mapping.found_full, in_text.found_full) == (found_full, found_full)


def test_full_snapshot_of_another_request_is_not_noticed(written: WrittenMembers) -> None:
    """It stays in the row."""
    member = {"id": "k_9", "detail": "full"}
    written.note(member, 1)
    authorship = Authorship(written, 2)
    assert authorship.of_object(member) == "another request"
    assert authorship.of_json('{"id":"k_9","detail":"full"}', 1) == "another request"
    assert not authorship.found_full
