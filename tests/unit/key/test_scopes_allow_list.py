"""The algebra of allow lists: normal form and intersection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.key.scope_catalog import intersect, normalise

entries = st.sampled_from(
    [
        "w:1",
        "w:2",
        "w:*",
        "t:1",
        "t:*",
        "*:*",
        " w:1 ",
        "10.0.0.0/8",
        "2001:db8::/32",
        "https://a.example",
        "w",
        "t",
        "",
    ]
)
allow_lists = st.lists(entries, max_size=6)


@pytest.mark.parametrize(
    ("given_list", "expected"),
    [
        ([], ()),
        (["b:2", "a:1", "b:2"], ("a:1", "b:2")),
        ([" a:1", "a:1 "], ("a:1",)),
        (["a:1", "*:*", "10.0.0.0/8"], ("*:*",)),
        ([" *:* "], ("*:*",)),
        (["a:1", "a:*", "b:1"], ("a:*", "b:1")),
        (["a:1:2", "a:*"], ("a:*",)),
        (["ab:1", "a:*"], ("a:*", "ab:1")),
        (["a", "a:*"], ("a", "a:*")),
        (["10.0.0.0/8", "2001:db8::/32", "https://a.example"], ("10.0.0.0/8", "2001:db8::/32", "https://a.example")),
        (["*:1", "a:*"], ("*:1", "a:*")),
        (["*", "a:1"], ("*", "a:1")),
    ],
)
def test_normalise(given_list: list[str], expected: tuple[str, ...]) -> None:
    """Entries are trimmed and sorted, wildcards swallow what they cover, entries of another form stay as they are."""
    assert normalise(given_list) == expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([], [], ()),
        ([], ["*:*"], ()),
        ([], ["a:1"], ()),
        (["*:*"], ["*:*"], ("*:*",)),
        (["*:*"], ["a:1", "b:*"], ("a:1", "b:*")),
        (["a:*"], ["a:1", "b:1"], ("a:1",)),
        (["a:*", "b:1"], ["a:*"], ("a:*",)),
        (["a:1"], ["a:2"], ()),
        (["a:1"], ["b:*"], ()),
        (["10.0.0.0/8"], ["10.0.0.0/8", "a:1"], ("10.0.0.0/8",)),
        (["10.0.0.0/8"], ["10.1.0.0/16"], ()),
        (["a"], ["a:*"], ()),
    ],
)
def test_intersect(left: list[str], right: list[str], expected: tuple[str, ...]) -> None:
    """Both lists must allow it; no match, and an empty list, allow nothing."""
    assert intersect(left, right) == expected
    assert intersect(right, left) == expected


@given(allow_lists)
def test_normal_form_is_final(entries: list[str]) -> None:
    """The normal form is its own normal form, and does not depend on the order."""
    assert normalise(normalise(entries)) == normalise(entries) == normalise(entries[::-1])


@given(allow_lists, allow_lists)
def test_intersection_is_commutative(left: list[str], right: list[str]) -> None:
    """It does not matter which list comes first."""
    assert intersect(left, right) == intersect(right, left)


@given(allow_lists, allow_lists, allow_lists)
def test_intersection_is_associative(one: list[str], two: list[str], three: list[str]) -> None:
    """Nor how three lists are grouped."""
    assert intersect(intersect(one, two), three) == intersect(one, intersect(two, three))


@given(allow_lists)
def test_intersection_has_its_bounds(entries: list[str]) -> None:
    """Everything is neutral, nothing stays nothing, and a list met with itself is itself."""
    assert intersect(entries, ["*:*"]) == normalise(entries) == intersect(entries, entries)
    assert intersect(entries, []) == ()


@given(allow_lists, allow_lists, st.sampled_from(["w:1", "w:2", "w:9", "t:1", "10.0.0.0/8", "w", "x:1"]))
def test_intersection_fails_closed(left: list[str], right: list[str], thing: str) -> None:
    """What the intersection allows, both lists allow, and the other way round."""

    def allows(entries: tuple[str, ...]) -> bool:
        return "*:*" in entries or thing in entries or (":" in thing and f"{thing.partition(':')[0]}:*" in entries)

    assert allows(intersect(left, right)) == (allows(normalise(left)) and allows(normalise(right)))
