"""Foreign members with a reserved name get a free one."""

import json

import pytest

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.row.members.reserved_names import FreeNames, free_name, quoted, spliced


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], "key_unverified"),
        ([{"key"}], "key_unverified"),
        ([{"key_unverified"}], "key_unverified_unverified"),
        ([{"key_unverified"}, {"key_unverified_unverified": 1}], "key_unverified_unverified_unverified"),
    ],
)
def test_name_is_free_in_all_containers(taken: list[set[str]], expected: str) -> None:
    """A name that any of them has is not chosen."""
    assert free_name("key", *taken) == expected


def test_mapping_that_claims_every_name_is_refused() -> None:
    """The search ends."""

    class Everything:
        def __contains__(self, name: object) -> bool:
            return True

    with pytest.raises(UnchangeableError) as refused:
        free_name("key", Everything())
    assert str(refused.value) == "a mapping claims to have every name, so no name is free"


def test_duplicates_get_separate_names_up_to_a_limit() -> None:
    """Then they share the last one, and each name has its first one in any case."""
    names = FreeNames({"a", "b"})
    given = [names.name_for("a") for _ in range(102)]
    assert (len(set(given)), given[99], given[100:]) == (100, "a" + "_unverified" * 100, [given[99]] * 2)
    assert [names.name_for("b") for _ in range(2)] == ["b_unverified"] * 2
    assert names.moved == 104


@pytest.mark.parametrize("name", ["key", 'k"ey', "kéy"])
def test_quoted_name_is_json(name: str) -> None:
    """Options can set any name."""
    assert json.loads(quoted(name)) == name


def test_members_are_inserted_before_the_last_brace() -> None:
    """A comma comes first if there are members."""
    assert spliced('{"a":{}} ', '"b":1', True) == '{"a":{},"b":1} '
    assert spliced("{}", '"b":1', False) == '{"b":1}'
