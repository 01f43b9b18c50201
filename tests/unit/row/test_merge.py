"""The merge into dicts and into nothing, and what it refuses."""

import copy
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import Detail
from otel_keyaudit.errors import UnchangeableError
from support.members import REQUEST, SUBJECT, CountedMerge, ambiguous_member, key_member, merge_of, merged


def test_a_dict_gets_the_members_at_its_end() -> None:
    """The request's key, then the subject, behind what was there, in a dict of its own."""
    request, subject = key_member(), key_member("k_2", span=None)
    fields = {"reason": "cleanup", "n": 1}
    after = merged(fields, request, subject)
    assert list(after.items()) == [*fields.items(), (REQUEST, request.as_object()), (SUBJECT, subject.as_object())]
    assert fields == {"reason": "cleanup", "n": 1}


@pytest.mark.parametrize("fields", [None, {}])
def test_nothing_yet_becomes_a_dict(fields: dict[str, Any] | None) -> None:
    """``None`` and an empty dict both give a dict with the members only."""
    member = key_member()
    assert merged(fields, member) == {REQUEST: member.as_object()}


@pytest.mark.parametrize("fields", [None, {}, {"a": 1}, "", " ", "null", '{"a": NaN}', "{}", b"", b"null", b'{"a":1}'])
def test_without_a_member_fields_are_returned_themselves(fields: Any) -> None:
    """Where there is nothing to do the result is the identical object."""
    after, moved = merge_of().into(fields)
    assert after is fields
    assert moved == 0


class Opaque:
    """Says nothing about itself."""


def _elements() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "fields",
    [
        [], [{}], (), 0, 1, 1.5, True, False, {1}, frozenset(), object(), Opaque(), bytearray(b"{}"), memoryview(b"{}"),
        Decimal(1), io.StringIO("{}"), range(3), _elements(), Opaque, [("a", 1)],
    ],
    ids=lambda fields: type(fields).__name__,
)  # fmt: skip
@pytest.mark.parametrize("member", [None, key_member()], ids=["nothing", "member"])
def test_what_is_no_object_is_refused(fields: Any, member: Any) -> None:
    """Anything but a mapping, JSON text or nothing is refused with its type, never with its value."""
    with pytest.raises(UnchangeableError, match=f"are {type(fields).__name__}, not an object"):
        merge_of(member).into(fields)


def test_values_are_kept_as_they_are() -> None:
    """Values of any kind stay the identical objects, and keys of any kind stay keys."""
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
    """The given dict stays equal; the result has every value of it and our members; twice is the same as once."""
    merge = merge_of(key_member() if with_request else None, key_member("k_2", span=None) if with_subject else None)
    before = copy.deepcopy(fields)
    after, moved = merge.into(fields)
    assert fields == before
    ours = {name: member.as_object() for name, member in merge.members.items() if member is not None}
    assert {name: after[name] for name in merge.members if name in after} == ours
    assert [value for name, value in after.items() if name not in ours] == list(before.values())
    assert moved == len({REQUEST, SUBJECT} & before.keys())
    assert merge.into(after) == (after, 0)


def test_rows_share_nothing_of_ours() -> None:
    """Two rows from the same fields and key can be changed independently, however deep."""
    merge = merge_of(key_member())
    first, second = merge.into({})[0], merge.into({})[0]
    first[REQUEST]["scopes"].append("forged")
    first[REQUEST]["id"] = "other"
    assert second[REQUEST] == key_member().as_object()
    assert merge.into(None)[0][REQUEST] == key_member().as_object()


@pytest.mark.parametrize("detail", Detail)
def test_text_and_dict_get_the_same_member(detail: Detail) -> None:
    """A member is the same whether it is written as an object or as text."""
    member = key_member(detail=detail)
    assert json.loads(merged("{}", member)) == merged({}, member)


def test_an_ambiguous_request_names_its_keys() -> None:
    """The ids and the place in the trace, and no other member."""
    after = merged({}, ambiguous_member("k_1", "k_2", span=3))
    assert after[REQUEST] == {
        "ambiguous": True,
        "ids": ["k_1", "k_2"],
        "trace_id": f"{3:032x}",
        "span_id": f"{3:016x}",
    }


def test_only_reserved_names_are_looked_at() -> None:
    """A target without a subject reserves one name; the other is the application's."""
    merge = CountedMerge({REQUEST: key_member()}, merge_of().provenance)
    assert merge.into({SUBJECT: 1})[0][SUBJECT] == 1
    assert merge.into('{"api_key":1}')[0].startswith('{"api_key":1,')


def test_other_names_can_be_reserved() -> None:
    """The names are options; the default ones mean nothing then."""
    merge = CountedMerge({"actor": key_member()}, merge_of().provenance)
    after, moved = merge.into({"actor": 1, REQUEST: 2})
    assert (after["actor_unverified"], after[REQUEST], moved) == (1, 2, 1)
