"""Where the merge stops: what a refusal says, word by word, and texts and names at the limits."""

import json
from collections import OrderedDict, UserDict
from types import MappingProxyType
from typing import Any

import pytest

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.row.json_object import members_of
from otel_keyaudit.row.snapshot_member import Member
from otel_keyaudit.row.written_members import REMEMBERED_MEMBERS, Provenance
from support.members import REQUEST, CountedMerge, key_member, location, merge_of, merged


class Itself(UserDict[str, Any]):
    """A mapping whose copies are itself."""

    def __copy__(self) -> "Itself":
        return self


NO_OBJECT = "additional fields are not a JSON object"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "additional fields are list, not an object"),
        (b"\xff", "additional fields are bytes that are not UTF-8"),
        ("[]", NO_OBJECT),
        ("{a:1}", NO_OBJECT),
        ('{"a" 1}', NO_OBJECT),
        ('{"a":1 "b":2}', NO_OBJECT),
        ('{"a":tru}', NO_OBJECT),
        ('{"a":' + "[" * 100_000, "additional fields are nested too deeply"),
        (MappingProxyType({"a": 1}), "a mappingproxy cannot be changed"),
        (Itself(a=1), "a Itself cannot be copied"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_says_what_the_fields_are(fields: Any, reason: str) -> None:
    """The reason stands in the log, so it names the kind and what is wrong with it, and no value."""
    with pytest.raises(UnchangeableError) as refused:
        merge_of(key_member()).into(fields)
    assert str(refused.value) == reason


@pytest.mark.parametrize("text", ["{}", " {\n} "])
def test_an_object_without_members_has_none(text: str) -> None:
    """However it is spaced, and also where it is read member by member."""
    assert members_of(text) == []


@pytest.mark.parametrize("as_fields", [json.dumps, lambda fields: json.dumps(fields).encode(), dict, OrderedDict])
def test_a_row_that_holds_our_member_alone_gets_the_new_one_alone(as_fields: Any) -> None:
    """Nothing is left of the old one, no comma either."""
    first = merge_of(key_member())
    fields = as_fields({REQUEST: key_member().as_object()})
    new = key_member("k_2")
    after, moved = merge_of(new, provenance=first.provenance).into(fields)
    content = json.loads(after) if isinstance(after, (str, bytes)) else dict(after)
    assert (content, moved) == ({REQUEST: new.as_object()}, 0)


@pytest.mark.parametrize("as_fields", [json.dumps, dict, OrderedDict])
def test_a_member_never_goes_where_one_of_ours_will_stand(as_fields: Any) -> None:
    """Where the other reserved name is free but reserved, the member that is moved aside goes past it."""
    member = key_member()
    merge = CountedMerge(dict.fromkeys(["key", "key_unverified"], member), Provenance())
    after, moved = merge.into(as_fields({"key": "forged"}))
    content = json.loads(after) if isinstance(after, str) else dict(after)
    ours = dict.fromkeys(["key", "key_unverified"], member.as_object())
    assert (content, moved) == ({"key_unverified_unverified": "forged", **ours}, 1)


@pytest.mark.parametrize("as_fields", [json.dumps, dict, OrderedDict])
def test_members_that_were_moved_are_counted_over_a_whole_write(as_fields: Any) -> None:
    """The elements of a list are merged one by one, and what was forged in any of them counts."""
    merge = merge_of(key_member())
    for number in range(1, 4):
        merge.into(as_fields({REQUEST: "forged"}))
        assert merge.moved == number


def test_a_copy_has_nothing_of_the_trial_where_its_name_is_taken_twice() -> None:
    """A mapping that holds the names for trying, up to any length, keeps all of them with their values."""
    names = ["otel_keyaudit" + "_" * length for length in range(4)]
    fields = OrderedDict.fromkeys(names, 1)
    assert list(merged(fields, key_member())) == [*names, REQUEST]


def test_sixteen_duplicates_have_names_of_their_own() -> None:
    """What comes behind them shares the last name."""
    text = "{" + ",".join(f'"{REQUEST}":{number}' for number in range(40)) + "}"
    pairs = json.loads(merged(text), object_pairs_hook=list)
    assert len({name for name, _ in pairs}) == 16
    assert [value for _, value in pairs] == list(range(40))


def test_no_more_than_twice_as_many_members_are_remembered() -> None:
    """What was written longest ago is forgotten as soon as that many have come after it."""
    provenance, form = Provenance(), key_member().form
    members = [Member(form, location(span)) for span in range(1, 2 * REMEMBERED_MEMBERS + 3)]
    for member in members:
        provenance.remember(member)
    known = sum(provenance.is_ours(member.as_object()) for member in members)
    assert REMEMBERED_MEMBERS <= known <= 2 * REMEMBERED_MEMBERS
