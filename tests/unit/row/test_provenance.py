"""Reserved names: ours is recognised wherever it comes by again, anybody else's is moved away and never believed."""

import copy
import json
from collections import OrderedDict
from typing import Any

import pytest

from otel_keyaudit import Detail
from otel_keyaudit.row.snapshot_member import Member
from otel_keyaudit.row.written_members import REMEMBERED_MEMBERS, Provenance
from support.members import REQUEST, SUBJECT, ambiguous_member, key_member, location, merge_of, merged

FORGED = '{"id": "root", "detail":"full"}'
NEW = key_member("k_2", span=2)


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
        ('{"request_api_key":null}', '{"request_api_key_unverified":null%}'),
        ('{"request_api_key":1e400,"x":NaN}', '{"request_api_key_unverified":1e400,"x":NaN%}'),
        ('{"a":{"request_api_key":1},"b":[{"api_key":2}]}', '{"a":{"request_api_key":1},"b":[{"api_key":2}]%}'),
        ('{"Request_Api_Key":1,"request_api_key ":2}', '{"Request_Api_Key":1,"request_api_key ":2%}'),
    ],
)
def test_a_forged_member_is_kept_under_another_name(before: str, after: str, new: Any) -> None:
    """Plain, with escapes, twice, beside its new name; nested ones stay. With and without a key."""
    ours = "" if new is None else f',"{REQUEST}":{new.as_json()}'
    assert merged(before, new) == after.replace("%", ours)
    assert merged(before.encode(), new) == after.replace("%", ours).encode()


def test_forged_members_of_a_dict_are_kept_in_their_place() -> None:
    """Every value stays the identical object; only the two names change."""
    request, subject = {"id": "root"}, object()
    fields = {REQUEST: request, f"{REQUEST}_unverified": 1, SUBJECT: subject, "z": 2}
    after, moved = merge_of(NEW).into(fields)
    names = [f"{REQUEST}_unverified_unverified", f"{REQUEST}_unverified", f"{SUBJECT}_unverified", "z", REQUEST]
    assert (list(after), moved) == (names, 2)
    assert list(after.values())[:2] == [request, 1]
    assert after[f"{SUBJECT}_unverified"] is subject
    assert after[REQUEST] == NEW.as_object()


def test_no_moved_member_takes_the_other_reserved_name() -> None:
    """Where one reserved name is the other with ``_unverified`` behind it, nothing is lost."""
    merge = merge_of()
    names = dict.fromkeys(["key", "key_unverified"], NEW)
    merge = type(merge)(names, merge.provenance)
    forged = {"key": 1, "key_unverified": 2}
    kept = {"key_unverified_unverified": 1, "key_unverified_unverified_unverified": 2}
    ours = {name: NEW.as_object() for name in names}
    assert merge.into(forged) == ({**kept, **ours}, 2)
    assert merge.into(OrderedDict(forged)) == ({**kept, **ours}, 2)
    assert json.loads(merge.into(json.dumps(forged))[0]) == {**kept, **ours}


def test_thousands_of_duplicates_do_not_make_the_names_grow() -> None:
    """After some names of their own, further duplicates stay duplicates: no client can blow up a row."""
    members = ",".join(f'"{REQUEST}":{number}' for number in range(5000))
    text = f"{{{members}}}"
    after, moved = merge_of(NEW).into(text)
    pairs = json.loads(after, object_pairs_hook=list)
    assert (moved, len(pairs)) == (5000, 5001)
    assert [value for _, value in pairs[:-1]] == list(range(5000))
    assert [name for name, _ in pairs].count(REQUEST) == 1
    assert len(after) < 20 * len(text)


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
        ambiguous_member("é\u2028", "b", span=None),
    ],
    ids=["full", "minimal", "no span", "no scopes", "cut", "ambiguous", "ambiguous, no span"],
)  # fmt: skip
def test_ours_is_replaced_or_removed_when_it_comes_by_again(old: Any, between: Any) -> None:
    """As it was written, copied, or turned into JSON by the application in between, sorted and indented."""
    first = merge_of(old, old)
    again = between(first.into({"a": 1})[0])
    ours = NEW.as_object()
    for fields in (again, again.encode()) if isinstance(again, str) else (again,):
        replaced, moved = merge_of(NEW, provenance=first.provenance).into(fields)
        content = replaced if isinstance(replaced, dict) else json.loads(replaced)
        assert (content, moved) == ({"a": 1, REQUEST: ours}, 0)
        removed, moved = merge_of(provenance=first.provenance).into(fields)
        content = removed if isinstance(removed, dict) else json.loads(removed)
        assert (content, moved) == ({"a": 1}, 0)


@pytest.mark.parametrize("name", ["id", "name", "digest", "detail", "scopes", "allow_list", "trace_id", "span_id"])
def test_ours_with_anything_changed_is_not_ours(name: str) -> None:
    """One changed, missing or additional member, and it is somebody else's."""
    first = merge_of(key_member())
    written = first.into({})[0]
    for changed in (
        {**written[REQUEST], name: "other"},
        {**written[REQUEST], name: [written[REQUEST][name]]},
        {key: value for key, value in written[REQUEST].items() if key != name},
        {**written[REQUEST], f"{name}2": 1},
    ):
        for fields in ({REQUEST: changed}, json.dumps({REQUEST: changed})):
            after, moved = merge_of(NEW, provenance=first.provenance).into(fields)
            content = after if isinstance(after, dict) else json.loads(after)
            assert (content, moved) == ({f"{REQUEST}_unverified": changed, REQUEST: NEW.as_object()}, 1)


def test_what_another_process_wrote_is_not_ours() -> None:
    """Only what was written here is known; everything else is not believed."""
    written = merge_of(key_member()).into({})[0]
    assert merge_of(NEW).into(written)[1] == 1


@pytest.mark.parametrize(
    "value",
    [
        None, 1, "text", [], {}, {1: 2}, {"trace_id": []}, {"span_id": {}}, {"id": object()}, {"id": b""},
        {"id": 1 << 70}, {"id": float("nan")}, {"id": "\ud800"}, {"\ud800": 1}, {"scopes": {1}},
    ],
)  # fmt: skip
def test_no_value_fails_the_recognition(value: Any) -> None:
    """What cannot be JSON, nor be looked up, is not ours."""
    assert not Provenance().is_ours(value)


def test_a_value_that_holds_itself_is_not_ours() -> None:
    """Nor is one nested without end."""
    value: dict[str, Any] = {}
    value["self"] = value
    assert not Provenance().is_ours(value)


def test_keys_whose_lists_come_in_another_order_are_both_recognised() -> None:
    """Their digest is the same, their members are not."""
    one, other = (key_member(span=None, scopes=scopes) for scopes in (("a", "b"), ("b", "a")))
    first = merge_of(one, other)
    assert one.as_object()["digest"] == other.as_object()["digest"]
    assert first.into(first.into({})[0])[1] == 0


def _at(span: int) -> Member:
    return Member(NEW.form, location(span))


def test_the_last_members_are_remembered_and_no_more_than_that() -> None:
    """At least so many as promised, at most twice as many."""
    provenance = Provenance()
    for span in range(1, REMEMBERED_MEMBERS * 3):
        provenance.remember(_at(span))
    assert not provenance.is_ours(_at(1).as_object())
    assert all(
        provenance.is_ours(_at(span).as_object()) for span in range(2 * REMEMBERED_MEMBERS, 3 * REMEMBERED_MEMBERS)
    )
    assert len(provenance._younger) + len(provenance._older) <= 2 * REMEMBERED_MEMBERS


def test_a_write_inside_a_write_leaves_one_member() -> None:
    """The inner write sees the outer one's member and puts its own in its place; twice is the same as once."""
    outer = merge_of(key_member(span=1))
    fields: Any = {"a": 1}
    for span in (2, 2, 3):
        fields, moved = merge_of(key_member(span=span), provenance=outer.provenance).into(outer.into(fields)[0])
        assert moved == 0
    assert fields == {"a": 1, REQUEST: key_member(span=3).as_object()}
