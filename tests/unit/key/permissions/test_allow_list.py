"""Allow lists: the normal form and the resources that it covers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.key.permissions.allow_list import allows, is_resource, normalize

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
def test_normalize(given_list: list[str], expected: tuple[str, ...]) -> None:
    """Entries are trimmed and sorted, wildcards replace entries that they cover, other forms stay as they are."""
    assert normalize(given_list) == expected


@given(allow_lists)
def test_normal_form_is_final(entries: list[str]) -> None:
    """The normal form is its own normal form, and does not depend on the order."""
    assert normalize(normalize(entries)) == normalize(entries) == normalize(entries[::-1])


@pytest.mark.parametrize(
    ("allow_list", "resource", "is_allowed"),
    [
        ([], "a:1", False),
        (["a:1"], "a:1", True),
        (["a:1"], "a:2", False),
        (["a:*"], "a:2", True),
        (["a:*"], "b:2", False),
        (["a:*"], "ab:2", False),
        (["*:*"], "a:1", True),
        (["*:*"], "anything", True),
        (["a:*"], "a:1:2", True),
        (["*:1"], "a:1", False),
        (["*"], "a:1", False),
        (["*"], "10.0.0.0/8", False),
        (["10.0.0.0/8"], "a:1", False),
        (["a:*"], "a:*", True),
        (["a:1"], "a:*", False),
        (["a:*"], "*:*", False),
    ],
)
def test_allows(allow_list: list[str], resource: str, is_allowed: bool) -> None:
    """An entry covers the same resource, ``type:*`` every resource of the type, and ``*:*`` every resource."""
    assert allows(allow_list, resource) is is_allowed


@given(allow_lists, st.sampled_from(["w:1", "w:2", "w:9", "t:1", "x:1"]))
def test_the_normal_form_allows_the_same_resources(entries: list[str], resource: str) -> None:
    """Removing covered entries does not change which resources a list allows."""
    assert allows(normalize(entries), resource) == allows([entry.strip() for entry in entries], resource)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("a:1", True), ("a:*", True), ("*:*", True), ("a:1:2", True), ("a:f81d4fae-7dec-11d0", True), ("a", False),
        ("*", False), ("", False), ("a:", False), (":1", False), ("10.0.0.0/8", False), ("10.0.0.1", False),
        ("2001:db8::/32", False), ("fe80::1", False), ("https://a.example", False), ("https://a.example:8443", False),
        ("fe80::1/64", False),
    ],
)  # fmt: skip
def test_entries_of_other_forms(entry: str, expected: bool) -> None:
    """Addresses, networks, origins and single words are not ``type:id``."""
    assert is_resource(entry) is expected
