"""The library's own members are replaced or kept, and any other member of a reserved name is moved and not believed."""

import copy
import gc
import json
import pickle
from collections import OrderedDict
from itertools import count
from typing import Any

import pytest

from otel_keyaudit import Detail
from otel_keyaudit.row.members import written_members
from otel_keyaudit.row.members.snapshot_member import SnapshotMember
from otel_keyaudit.row.members.written_members import WrittenMembers
from otel_keyaudit.row.merge import Kind
from otel_keyaudit.row.text_encoding import BOM
from support.merges.members import (
    REQUEST,
    SUBJECT,
    ambiguous_member,
    becomes,
    key_member,
    location,
    merge_of,
    merged,
    reserved,
)

FORGED = '{"id": "root", "detail":"full"}'
NEW = key_member("k_2", span=2)
KINDS: list[Any] = [
    dict,
    OrderedDict,
    json.dumps,
    lambda fields: json.dumps(fields).encode(),
    lambda fields: bytearray(json.dumps(fields), "utf-8"),
    lambda fields: BOM + json.dumps(fields),
]


def content(row: Any) -> dict[str, Any]:
    """Return a row as a dict."""
    if isinstance(row, str):
        row = row.removeprefix(BOM)
    return json.loads(row) if isinstance(row, (str, bytes, bytearray)) else dict(row)


@pytest.mark.parametrize("new", [None, NEW], ids=["nothing", "member"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f'{{"request_api_key": {FORGED}}}', f'{{"request_api_key_unverified": {FORGED}%}}'),
        (f'{{"a":1, "request_api_key" :{FORGED} }}', f'{{"a":1, "request_api_key_unverified" :{FORGED} %}}'),
        (rf'{{"request\u005fapi_key":{FORGED}}}', f'{{"request_api_key_unverified":{FORGED}%}}'),
        (rf'{{"\u0072equest_api_\u006bey":{FORGED}}}', f'{{"request_api_key_unverified":{FORGED}%}}'),
        (
            f'{{"request_api_key":1,"request_api_key":{FORGED}}}',
            f'{{"request_api_key_unverified":1,"request_api_key_unverified_unverified":{FORGED}%}}',
        ),
        (
            '{"request_api_key_unverified":0,"request_api_key":1}',
            '{"request_api_key_unverified":0,"request_api_key_unverified_unverified":1%}',
        ),
        (
            '{"request_api_key":1,"request_api_key_unverified":0}',
            '{"request_api_key_unverified_unverified":1,"request_api_key_unverified":0%}',
        ),
        ('{"request_api_key":1,"api_key":2}', '{"request_api_key_unverified":1,"api_key_unverified":2%}'),
        ('{"request_api_key":{"id":NaN}}', '{"request_api_key_unverified":{"id":NaN}%}'),
        ('{"request_api_key":null}', '{"request_api_key_unverified":null%}'),
        ('{"request_api_key":1e400,"x":NaN}', '{"request_api_key_unverified":1e400,"x":NaN%}'),
        ('{"a":{"request_api_key":1},"b":[{"api_key":2}]}', '{"a":{"request_api_key":1},"b":[{"api_key":2}]%}'),
        ('{"Request_Api_Key":1,"request_api_key ":2}', '{"Request_Api_Key":1,"request_api_key ":2%}'),
        ('\ufeff{"request_api_key":1}', '\ufeff{"request_api_key_unverified":1%}'),
    ],
)
def test_a_forged_member_is_kept_under_another_name(before: str, after: str, new: Any) -> None:
    """Plain, escaped and repeated members are renamed, with and without a key, and nested ones stay."""
    ours = "" if new is None else f',"{REQUEST}":{new.as_json()}'
    assert merged(before, new) == after.replace("%", ours)
    assert merged(before.encode(), new) == after.replace("%", ours).encode()


def test_forged_members_of_a_dict_are_kept_in_their_position() -> None:
    """Every value stays the identical object, and only the names change."""
    request, subject = {"id": "root"}, object()
    fields = {REQUEST: request, f"{REQUEST}_unverified": 1, SUBJECT: subject, "z": 2}
    after, moved = merge_of(NEW).into(fields)
    names = [f"{REQUEST}_unverified_unverified", f"{REQUEST}_unverified", f"{SUBJECT}_unverified", "z", REQUEST]
    assert (list(after), moved) == (names, 2)
    assert list(after.values())[:2] == [request, 1]
    assert after[f"{SUBJECT}_unverified"] is subject
    assert after[REQUEST] == NEW.as_object()


def test_no_moved_member_takes_the_other_reserved_name() -> None:
    """No value is lost if one reserved name is the other followed by ``_unverified``."""
    merge = merge_of()
    names = reserved("key", "key_unverified")
    merge = type(merge)(dict.fromkeys(names, NEW), names, merge.written, merge.request)
    forged = {"key": 1, "key_unverified": 2}
    kept = {"key_unverified_unverified": 1, "key_unverified_unverified_unverified": 2}
    ours = {name: NEW.as_object() for name in names}
    assert merge.into(forged) == ({**kept, **ours}, 2)
    assert merge.into(OrderedDict(forged)) == ({**kept, **ours}, 2)
    assert json.loads(merge.into(json.dumps(forged))[0]) == {**kept, **ours}


def test_thousands_of_duplicates_do_not_make_the_names_grow() -> None:
    """After a hundred names, duplicates stay duplicates, so that a client cannot enlarge a row."""
    members = ",".join(f'"{REQUEST}":{number}' for number in range(5000))
    text = f"{{{members}}}"
    after, moved = merge_of(NEW).into(text)
    pairs = json.loads(after, object_pairs_hook=list)
    assert (moved, len(pairs)) == (5000, 5001)
    assert [value for _, value in pairs[:-1]] == list(range(5000))
    assert [name for name, _ in pairs].count(REQUEST) == 1
    assert len(after) < 60 * len(text)


def _json_and_back(fields: Any) -> Any:
    return json.loads(json.dumps(fields, sort_keys=True, indent=1))


def _as_text(fields: Any) -> Any:
    return json.dumps(fields, indent=2, sort_keys=True)


@pytest.mark.parametrize("between", [lambda fields: fields, copy.deepcopy, _json_and_back, _as_text, OrderedDict])
@pytest.mark.parametrize(
    "old",
    [
        key_member(), key_member(detail=Detail.MINIMAL), key_member(span=None), key_member(scopes=()),
        key_member(scopes=tuple(f"s:{number}" for number in range(300))), ambiguous_member("k_1", "k_2"),
        key_member(extra={"decisions": [{"required": ["a:read"]}]}), ambiguous_member("k_1", span=None),
    ],
    ids=["full", "minimal", "no span", "no scopes", "cut", "ambiguous", "decisions", "ambiguous without a span"],
)  # fmt: skip
def test_a_member_of_the_same_request_is_replaced_or_removed(old: Any, between: Any) -> None:
    """The member is recognized as written, copied, or converted to JSON, sorted and indented."""
    first = merge_of(old, key_member("k_3", span=None))
    again = between(first.into({"a": 1})[0])
    ours = NEW.as_object()
    for fields in (again, again.encode()) if isinstance(again, str) else (again,):
        replaced, moved = merge_of(NEW, after=first).into(fields)
        assert (content(replaced), moved) == ({"a": 1, REQUEST: ours}, 0)
        removed, moved = merge_of(after=first).into(fields)
        assert (content(removed), moved) == ({"a": 1}, 0)


def test_each_member_of_a_request_is_recognized_by_its_content() -> None:
    """Without audit spans all rows of a request are in one span, and rows may be flushed after later writes."""
    members = [key_member(), key_member(detail=Detail.MINIMAL), key_member(extra={"decisions": []}), key_member("k_2")]
    first = merge_of(members[0])
    rows = [copy.deepcopy(merge_of(member, after=first).into({})[0]) for member in members]
    assert [merge_of(NEW, after=first).into(row) for row in rows] == [({REQUEST: NEW.as_object()}, 0)] * 4


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_json_that_was_none_is_recognized(kind: Kind) -> None:
    """The library remembers the request of the string or bytes object that it returned."""
    first = merge_of(key_member())
    row = first.into(None, becomes(kind))[0]
    flush = merge_of(NEW, after=first, in_request=7)
    assert flush.into(row) == (row, 0)
    assert flush.kept == 1


@pytest.mark.parametrize("as_fields", KINDS)
def test_a_row_with_our_member_alone_gets_the_new_one_alone(as_fields: Any) -> None:
    """Nothing is left of the old member, not even a comma."""
    first = merge_of(key_member())
    new = key_member("k_2")
    after, moved = merge_of(new, after=first).into(first.into(as_fields({}))[0])
    assert (content(after), moved) == ({REQUEST: new.as_object()}, 0)


@pytest.mark.parametrize("name", ["id", "name", "digest", "detail", "scopes", "allow_list", "trace_id", "span_id"])
def test_a_member_with_anything_changed_is_foreign(name: str) -> None:
    """A member with one changed, missing or additional value is foreign, also in the same request."""
    first = merge_of(key_member())
    written = first.into({})[0]
    for changed in (
        {**written[REQUEST], name: "other"},
        {**written[REQUEST], name: [written[REQUEST][name]]},
        {key: value for key, value in written[REQUEST].items() if key != name},
        {**written[REQUEST], f"{name}2": 1},
    ):
        for fields in ({REQUEST: changed}, json.dumps({REQUEST: changed})):
            after, moved = merge_of(NEW, after=first).into(fields)
            assert (content(after), moved) == ({f"{REQUEST}_unverified": changed, REQUEST: NEW.as_object()}, 1)


@pytest.mark.parametrize("as_fields", KINDS)
@pytest.mark.parametrize("new", [None, NEW], ids=["nothing", "member"])
def test_a_member_of_another_request_stays(as_fields: Any, new: Any) -> None:
    """A buffered row belongs to the request that made it, so the identical object is passed on."""
    first = merge_of(key_member(), key_member("k_3", span=None))
    row = first.into(as_fields({"a": 1}))[0]
    flush = merge_of(new, new, after=first, in_request=7)
    again, moved = flush.into(row)
    assert again is row
    assert (moved, flush.kept, flush.names_every_row) == (0, 1, True)


@pytest.mark.parametrize("as_fields", KINDS)
def test_a_subject_is_added_to_a_row_of_another_request(as_fields: Any) -> None:
    """Each of the two members has its own author, also at the third write."""
    first = merge_of(key_member())
    row = first.into(as_fields({"a": 1}))[0]
    second = merge_of(NEW, NEW, after=first, in_request=7)
    row = second.into(row)[0]
    expected = {"a": 1, REQUEST: key_member().as_object(), SUBJECT: NEW.as_object()}
    assert content(row) == expected
    third = merge_of(after=first, in_request=7)
    row = third.into(row)[0]
    assert content(row) == {"a": 1, REQUEST: key_member().as_object()}
    assert (second.moved, third.moved, second.kept, third.kept) == (0, 0, 1, 1)


@pytest.mark.parametrize("as_fields", KINDS)
@pytest.mark.parametrize("between", [copy.deepcopy, lambda row: pickle.loads(pickle.dumps(row))])  # noqa: S301
def test_equal_content_in_another_request_is_foreign(as_fields: Any, between: Any) -> None:
    """A client can send a whole row again."""
    first = merge_of(key_member())
    row: Any = first.into(as_fields({"a": 1}))[0]
    equal = between(row) if isinstance(row, (dict, bytearray)) else row[:1] + row[1:]
    after, moved = merge_of(NEW, after=first, in_request=7).into(equal)
    expected = {"a": 1, f"{REQUEST}_unverified": key_member().as_object(), REQUEST: NEW.as_object()}
    assert (content(after), moved) == (expected, 1)


def test_content_without_a_request_is_foreign() -> None:
    """Outside of every request no member is of the same request."""
    first = type(merge_of())({REQUEST: key_member()}, reserved(REQUEST), WrittenMembers(), None)
    row = first.into({})[0]
    second = type(first)({REQUEST: NEW}, first.reserved, first.written, None)
    assert second.into(row) == (row, 0)
    assert second.into(copy.deepcopy(row))[1] == 1


def test_rows_of_another_process_are_foreign() -> None:
    """Only members that this process wrote are recognized."""
    written = merge_of(key_member()).into({})[0]
    assert merge_of(NEW).into(written)[1] == 1


@pytest.mark.parametrize(
    "value",
    [
        None, 1, "text", [], {}, {1: 2}, {"trace_id": []}, {"span_id": {}}, {"id": object()}, {"id": b""},
        {"id": 1 << 70}, {"id": float("nan")}, {"id": "\ud800"}, {"\ud800": 1}, {"scopes": {1}}, {"digest": []},
    ],
)  # fmt: skip
def test_recognition_never_fails(value: Any) -> None:
    """A value that cannot be JSON is foreign."""
    assert merge_of(NEW).into({REQUEST: value})[1] == 1


def test_a_value_that_contains_itself_is_foreign() -> None:
    """The value is kept as it is."""
    value: dict[str, Any] = {"span_id": location(2)}
    value["self"] = value
    assert merge_of(NEW).into({REQUEST: value})[0][f"{REQUEST}_unverified"] is value


def test_members_whose_lists_are_in_another_order_are_both_recognized() -> None:
    """Both members have the same digest and different contents."""
    one, other = (key_member(span=number, scopes=scopes) for number, scopes in ((1, ("a", "b")), (2, ("b", "a"))))
    first = merge_of(one, other)
    assert one.as_object()["digest"] == other.as_object()["digest"]
    assert first.into(copy.deepcopy(first.into({})[0]))[1] == 0


def test_a_write_inside_a_write_leaves_one_member() -> None:
    """The inner write replaces the outer member, so merging twice equals merging once."""
    outer = merge_of(key_member(span=1))
    fields: Any = {"a": 1}
    for span in (2, 2, 3):
        fields, moved = merge_of(key_member(span=span), after=outer).into(outer.into(fields)[0])
        assert moved == 0
    assert fields == {"a": 1, REQUEST: key_member(span=3).as_object()}


@pytest.mark.parametrize("as_fields", [dict, json.dumps])
def test_ten_thousand_buffered_rows_are_recognized(as_fields: Any) -> None:
    """Each row is recognized, however many others are written and dropped meanwhile."""
    first = merge_of(NEW)
    rows = []
    for _ in range(10_000):
        rows.append(first.into(as_fields({}))[0])
        first.into(as_fields({"dropped": 1}))
    flush = merge_of(after=first, in_request=7)
    assert all(flush.into(row)[0] is row for row in rows)
    assert flush.kept == 10_000


def test_a_row_that_the_application_dropped_is_not_kept_alive() -> None:
    """Entries of dropped rows are removed soon, without the garbage collector."""
    gc.disable()
    try:
        first = merge_of(NEW)
        for number in range(5_000):
            first.into({"a": number})
            first.into(json.dumps({"a": "x" * 1_000}))
        held = first.written._held.values()
        assert sum(size for _, _, size in held) <= 3 * written_members.SWEEP_THRESHOLD
        for _ in range(20):
            first.into(json.dumps({"a": "x" * 1_000_000}))
        assert sum(size for _, _, size in held) <= 3 * 1_000_000
    finally:
        gc.enable()


def test_entries_are_checked_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of checks is proportional to the number of rows that the application holds."""
    checked: list[object] = []

    def references(entry: object) -> int:
        checked.append(entry)
        return 100

    monkeypatch.setattr(written_members, "_references", references)
    written, rows = WrittenMembers(), [object() for _ in range(2_000)]
    for row in rows:
        written.note(row, 1)
    assert len(checked) <= 2 * len(rows)


def test_dropped_rows_take_no_more_room_than_those_that_the_application_holds() -> None:
    """Beside them, there is room for 64 kB."""
    written, rows = WrittenMembers(), [object() for _ in range(200)]
    for row in rows:
        written.note(row, 1)
    sizes = []
    for _ in range(1_000):
        written.note(object(), 1)
        sizes.append(sum(size for _, _, size in written._held.values()))
    assert max(sizes) <= 2 * 1_000 * len(rows) + written_members.SWEEP_THRESHOLD + 2_000


def test_entries_are_checked_above_the_threshold() -> None:
    """Up to it, even rows that nobody holds are kept."""
    written = WrittenMembers()
    written.note(object(), 1, written_members.SWEEP_THRESHOLD)
    assert len(written._held) == 1
    latest = object()
    written.note(latest, 1, 1)
    assert [held for held, _, _ in written._held.values()] == [latest]


def test_entries_that_another_thread_has_dropped_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no lock, so two threads may check the same entries."""
    written = WrittenMembers()

    def drop_all(entry: object) -> int:
        written._held.clear()
        return 0

    monkeypatch.setattr(written_members, "_references", drop_all)
    written.note(object(), 1, 2 * written_members.SWEEP_THRESHOLD)
    assert written._held == {}


def test_size_of_a_member_in_a_mapping_is_estimated() -> None:
    """Its real size would cost time."""
    first = merge_of(NEW)
    row = first.into({})[0]
    assert [(held, size) for held, _, size in first.written._held.values()] == [(row[REQUEST], 1_000)]


@pytest.mark.parametrize("fields", ['{"a":1}', b'{"a":1}', f"{BOM}{{}}", None])
def test_size_of_a_string_is_its_length(fields: Any) -> None:
    """Long strings are dropped as soon as many short ones."""
    first = merge_of(NEW)
    rows = [first.into(fields, becomes("text"))[0] for _ in range(3)]
    assert [size for _, _, size in first.written._held.values()] == [len(row) for row in rows]


def test_memory_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest rows above the limit are forgotten, although the application holds them."""
    monkeypatch.setattr(written_members, "MAX_HELD", 100)
    first = merge_of(NEW)
    rows = [first.into({"a": number})[0] for number in range(2_000)]
    assert len(first.written._held) < 1_000
    flush = merge_of(after=first, in_request=7)
    assert all(flush.into(row)[0] is row for row in rows[-100:])
    assert flush.into(rows[0])[1] == 1


def test_content_is_remembered_for_the_last_members_only() -> None:
    """Only a fixed number of contents is remembered, of all requests together."""
    written = WrittenMembers()
    for span in count(1):
        written.recent.append((1, SnapshotMember(NEW.encoded, None, location(span))))
        if span == 2 * written_members.MAX_RECENT:
            break
    assert len(written.contents(1)) == written_members.MAX_RECENT
    assert written.contents(2) == {}
