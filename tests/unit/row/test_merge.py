"""The merge into dicts and into ``None``, the outcome of a write, and refusals."""

import copy
import io
import json
from collections import OrderedDict, UserDict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import Detail
from otel_keyaudit.errors import MaskedError, UnchangeableError
from otel_keyaudit.row.members.snapshot_member import SnapshotMember
from otel_keyaudit.row.merge import Kind
from support.merges.members import (
    REQUEST,
    SUBJECT,
    CountedMerge,
    ambiguous_member,
    becomes,
    key_member,
    merge_of,
    merged,
    reserved,
)

NO_OBJECT = "the additional fields are not a JSON object"


def test_a_dict_gets_the_members_at_its_end() -> None:
    """The members follow the existing ones in a new dict, the request's key first."""
    request, subject = key_member(), key_member("k_2", span=None)
    fields = {"reason": "cleanup", "n": 1}
    after = merged(fields, request, subject)
    assert list(after.items()) == [*fields.items(), (REQUEST, request.as_object()), (SUBJECT, subject.as_object())]
    assert fields == {"reason": "cleanup", "n": 1}


@pytest.mark.parametrize("fields", [None, {}])
def test_none_and_an_empty_dict_become_a_dict(fields: dict[str, Any] | None) -> None:
    """``None`` and an empty dict both give a dict with the members only."""
    member = key_member()
    assert merged(fields, member) == {REQUEST: member.as_object()}


@pytest.mark.parametrize(("kind", "expected"), [("dict", dict), ("text", str), ("bytes", bytes)])
def test_none_becomes_the_kind_of_its_place(kind: Kind, expected: type) -> None:
    """``None`` becomes a dict, a JSON string or JSON bytes, and stays ``None`` without a member."""
    member = key_member()
    after: Any = merge_of(member).into(None, becomes(kind))[0]
    assert type(after).__name__ == expected.__name__
    assert (after if kind == "dict" else json.loads(after)) == {REQUEST: member.as_object()}
    assert merge_of().into(None, becomes(kind)) == (None, 0)


@pytest.mark.parametrize("fields", [None, {}, {"a": 1}, "", " ", "null", '{"a": NaN}', "{}", b"", b"null", b'{"a":1}'])
def test_without_a_member_fields_are_returned_themselves(fields: Any) -> None:
    """Without a member the result is the identical object."""
    after, moved = merge_of().into(fields)
    assert after is fields
    assert moved == 0


class Opaque:
    """An object without a known kind."""


def _elements() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "fields",
    [
        [], [{}], (), 0, 1, 1.5, True, False, {1}, frozenset(), object(), Opaque(), Decimal(1), io.StringIO("{}"),
        range(3), _elements(), Opaque, [("a", 1)],
    ],
    ids=lambda fields: type(fields).__name__,
)  # fmt: skip
@pytest.mark.parametrize("member", [None, key_member()], ids=["nothing", "member"])
def test_anything_but_an_object_is_refused(fields: Any, member: Any) -> None:
    """The refusal names the type and never the value."""
    with pytest.raises(UnchangeableError, match=f"are a {type(fields).__name__}, not a mapping or JSON"):
        merge_of(member).into(fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "the additional fields are a list, not a mapping or JSON; nothing can be added"),
        (b"\xff", "the additional fields are bytes that are not UTF-8"),
        (b"\x00\x00\x00{\x00\x00\xd8", "the additional fields are bytes that are not UTF-32-BE"),
        ("[]", NO_OBJECT),
        ("\u00a0", NO_OBJECT),
        ("\u2003null", NO_OBJECT),
        ("{a:1}", NO_OBJECT),
        ('{"a" 1}', NO_OBJECT),
        ('{"a":1 "b":2}', NO_OBJECT),
        ('{"a":tru}', NO_OBJECT),
        ('{"a":' + "[" * 100_000, NO_OBJECT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refusal_names_the_kind(fields: Any, reason: str) -> None:
    """The reason has no value, because it is logged."""
    with pytest.raises(UnchangeableError) as refused:
        merge_of(key_member()).into(fields)
    assert str(refused.value) == reason


def test_values_are_kept_as_they_are() -> None:
    """Values stay the identical objects, and keys of any type stay keys."""
    fields: dict[Any, Any] = {1: Opaque(), None: [Opaque()], ("a", 2): {"b": Opaque()}, "c": float("nan")}
    after = merged(fields, key_member())
    assert list(after)[:-1] == list(fields)
    assert all(after[name] is value for name, value in fields.items())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from([REQUEST, SUBJECT, f"{REQUEST}_unverified", f"{SUBJECT}_unverified"]) | st.text(max_size=3)


@given(fields=st.dictionaries(NAMES, JSON_VALUES, max_size=4), with_request=st.booleans(), with_subject=st.booleans())
def test_dicts_are_never_changed_and_lose_nothing(
    fields: dict[str, Any], with_request: bool, with_subject: bool
) -> None:
    """The given dict is unchanged, nothing is lost, and merging twice equals merging once."""
    merge = merge_of(key_member() if with_request else None, key_member("k_2", span=None) if with_subject else None)
    before = copy.deepcopy(fields)
    after, moved = merge.into(fields)
    assert fields == before
    ours = {name: member.as_object() for name, member in merge.members.items()}
    assert {name: after[name] for name in merge.reserved if name in after} == ours
    assert [value for name, value in after.items() if name not in ours] == list(before.values())
    assert moved == len({REQUEST, SUBJECT} & before.keys())
    assert merge.into(after) == (after, 0)


def test_rows_share_no_member() -> None:
    """Rows of the same fields and key can be changed independently at any depth."""
    decisions = {"decisions": [{"required": ["a:read"], "outcome": "granted"}]}
    merge = merge_of(key_member(extra=decisions))
    first, second = merge.into({})[0], merge.into({})[0]
    first[REQUEST]["scopes"].append("forged")
    first[REQUEST]["decisions"][0]["required"].append("forged")
    first[REQUEST]["id"] = "other"
    assert second[REQUEST] == key_member(extra=decisions).as_object()
    assert merge.into(None)[0][REQUEST] == key_member(extra=decisions).as_object()


@pytest.mark.parametrize("detail", Detail)
def test_text_and_dict_get_the_same_member(detail: Detail) -> None:
    """A member is the same as an object and as JSON."""
    member = key_member(detail=detail, extra={"decisions": [{"required": ["a:read"]}], "decisions_count": 9})
    assert json.loads(merged("{}", member)) == merged({}, member)


def test_member_becomes_json_once_for_all_rows_of_a_write() -> None:
    """A bulk write of many strings costs little more than one of them."""

    class Counted(SnapshotMember):
        __slots__ = ("calls",)
        calls: int

        def as_json(self) -> str:
            self.calls += 1
            return super().as_json()

    member = Counted(key_member().encoded)
    member.calls = 0
    merge = merge_of(member)
    rows = [merge.into(fields)[0] for fields in ('{"a":1}', b"{}", "null")]
    assert [json.loads(row)[REQUEST] for row in rows] == [member.as_object()] * 3
    assert member.calls == 1


def test_row_of_another_request_among_rows_of_this_one() -> None:
    """In any order of a bulk write, that row keeps its member and receives the other one."""
    first, subject = merge_of(key_member()), key_member("k_2", span=None)
    kept = first.into("{}")[0]
    for is_first in (True, False):
        flush = merge_of(key_member(span=2), subject, after=first, in_request=7)
        rows = [json.loads(flush.into(row)[0]) for row in ((kept, "{}") if is_first else ("{}", kept))]
        own, other = reversed(rows) if is_first else rows
        assert own == {REQUEST: key_member(span=2).as_object(), SUBJECT: subject.as_object()}
        assert other == {REQUEST: key_member().as_object(), SUBJECT: subject.as_object()}


def test_mapping_that_refuses_its_own_content_is_returned_itself() -> None:
    """If it keeps the member of another request, nothing changes."""

    class Sealed(UserDict[str, Any]):
        is_sealed = False

        def __setitem__(self, name: str, value: Any) -> None:
            if self.is_sealed and not isinstance(value, str):
                raise TypeError
            super().__setitem__(name, value)

    first = merge_of(key_member())
    fields = first.into(Sealed())[0]
    fields.is_sealed = True
    flush = merge_of(after=first, in_request=7)
    assert flush.into(fields)[0] is fields
    assert (flush.kept, flush.moved) == (1, 0)


def test_an_ambiguous_request_names_its_keys() -> None:
    """The ids and the location in the trace, and no other member."""
    after = merged({}, ambiguous_member("k_1", "k_2", span=3))
    assert after[REQUEST] == {
        "ambiguous": True,
        "ids": ["k_1", "k_2"],
        "trace_id": f"{3:032x}",
        "span_id": f"{3:016x}",
    }


def test_only_the_reserved_names_are_reserved() -> None:
    """A target without a subject reserves one name."""
    merge = CountedMerge({REQUEST: key_member()}, reserved(REQUEST), merge_of().written, 1)
    assert merge.into({SUBJECT: 1})[0][SUBJECT] == 1
    assert merge.into('{"api_key":1}')[0].startswith('{"api_key":1,')


def test_other_names_can_be_reserved() -> None:
    """Options change the reserved names, and the default names are free then."""
    merge = CountedMerge({"actor": key_member()}, reserved("actor"), merge_of().written, 1)
    after, moved = merge.into({"actor": 1, REQUEST: 2})
    assert (after["actor_unverified"], after[REQUEST], moved) == (1, 2, 1)


@pytest.mark.parametrize("as_fields", [json.dumps, dict, OrderedDict])
def test_a_foreign_member_never_takes_a_reserved_name(as_fields: Any) -> None:
    """If the new name is reserved too, the next one is used."""
    member = key_member()
    names = reserved("key", "key_unverified")
    merge = CountedMerge(dict.fromkeys(names, member), names, merge_of().written, 1)
    after, moved = merge.into(as_fields({"key": "forged"}))
    content = json.loads(after) if isinstance(after, str) else dict(after)
    ours = dict.fromkeys(["key", "key_unverified"], member.as_object())
    assert (content, moved) == ({"key_unverified_unverified": "forged", **ours}, 1)


@pytest.mark.parametrize("as_fields", [json.dumps, dict, OrderedDict])
def test_moved_members_are_counted_over_a_whole_write(as_fields: Any) -> None:
    """Each forged member in the elements of a list counts."""
    merge = merge_of(key_member())
    for number in range(1, 4):
        merge.into(as_fields({REQUEST: "forged"}))
        assert (merge.moved, merge.rows) == (number, number)


def test_a_hundred_duplicates_have_names_of_their_own() -> None:
    """Further duplicates share the last name, so that a client cannot enlarge a row."""
    text = "{" + ",".join(f'"{REQUEST}":{number}' for number in range(140)) + "}"
    pairs = json.loads(merged(text), object_pairs_hook=list)
    assert len({name for name, _ in pairs}) == 100
    assert [value for _, value in pairs] == list(range(140))


def test_write_names_every_row_that_received_or_keeps_a_member() -> None:
    """With a key every row that did not fail is named; without one only if each row keeps a member."""
    first = merge_of(key_member())
    assert first.names_every_row
    buffered = [first.into({})[0], first.into("{}")[0]]
    flush = merge_of(after=first, in_request=7)
    assert not flush.names_every_row
    assert [flush.into(row) for row in buffered] == [(row, 0) for row in buffered]
    assert (flush.kept, flush.rows, flush.names_every_row) == (2, 2, True)
    flush.into({})
    assert not flush.names_every_row
    first.failed += 1
    assert not first.names_every_row


@pytest.mark.parametrize("as_fields", [dict, OrderedDict, json.dumps, lambda fields: json.dumps(fields).encode()])
def test_merge_knows_that_it_replaces_a_full_snapshot(as_fields: Any) -> None:
    """It knows it also after further rows, because other rows may refer to any of the snapshots."""
    reference = key_member(detail=Detail.MINIMAL)
    first = merge_of(key_member())
    full, minimal = first.into(as_fields({}))[0], merge_of(reference, after=first).into(as_fields({}))[0]
    again = full if isinstance(full, dict) else json.dumps(json.loads(full), indent=1)
    for rows, replaces in (([minimal], False), ([full], True), ([again], True), ([full, minimal, as_fields({})], True)):
        merge = merge_of(reference, after=first)
        assert [merge.into(row)[1] for row in rows] == [0] * len(rows)
        assert merge.replaces_full is replaces


@pytest.mark.parametrize("as_fields", [dict, json.dumps])
def test_foreign_snapshot_and_snapshot_of_another_request_are_not_replaced(as_fields: Any) -> None:
    """A client cannot have a row made full by a forged member."""
    first = merge_of(key_member())
    kept = first.into(as_fields({}))[0]
    merge = merge_of(key_member(detail=Detail.MINIMAL), after=first, in_request=7)
    merge.into(as_fields({REQUEST: {"detail": "full"}}))
    merge.into(kept)
    assert not merge.replaces_full


@pytest.mark.parametrize("as_fields", [dict, json.dumps])
def test_other_members_go_into_the_same_rows_again(as_fields: Any) -> None:
    """The second merge replaces the members of the first, and renamed members are counted once."""
    first = merge_of(key_member(detail=Detail.MINIMAL))
    row, moved = first.into(as_fields({REQUEST: "forged"}))
    assert moved == 1
    again = first.again({REQUEST: key_member()})
    after = again.into(row)
    content = json.loads(after) if isinstance(after, str) else after
    assert content == {f"{REQUEST}_unverified": "forged", REQUEST: key_member().as_object()}
    assert (again.moved, again.rows) == (1, 1)


def test_member_that_the_application_changed_is_of_the_same_request() -> None:
    """The library recognizes the very dict that it wrote, so the changed member is replaced."""
    first = merge_of(key_member())
    row = first.into({"a": 1})[0]
    row[REQUEST]["note"] = "by the application"
    assert merge_of(after=first).into(row) == ({"a": 1}, 0)


def test_each_masked_member_counts_as_failed() -> None:
    """A row whose member the function has masked does not name the key."""
    merge = merge_of(key_member())
    for number in (1, 2):
        with pytest.raises(MaskedError, match=REQUEST):
            merge.masked(REQUEST)
        assert merge.failed == number
    assert not merge.names_every_row
