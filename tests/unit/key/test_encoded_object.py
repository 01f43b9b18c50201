"""The members of a snapshot, encoded once as a dict and as JSON."""

import json
from typing import Any

import pytest

from otel_keyaudit.key.encoded_object import EncodedObject, cut
from otel_keyaudit.key.snapshot import ListAttribute


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "{"),
        ({"id": "k_1", "scopes": ["a", "b"]}, '{"id":"k_1","scopes":["a","b"]'),
        ({"id": "é☃", "n": 1}, '{"id":"é☃","n":1'),
        ({"id": "é\u2028", "n": [1, 2]}, r'{"id":"\u00e9\u2028","n":[1,2]'),
        ({"id": "\u202e\x1b"}, r'{"id":"\u202e\u001b"'),
    ],
    ids=["nothing", "ascii", "printable", "line", "direction"],
)
def test_json_is_compact_and_printable(members: dict[str, Any], text: str) -> None:
    """If any character is not printable, everything but ASCII is escaped. The closing brace is left out."""
    encoded = EncodedObject(members)
    assert encoded.json == text
    assert json.loads(encoded.json + "}") == members
    assert encoded.copy() == members


def test_lists_of_span_attributes_are_lists_in_json() -> None:
    """At any depth; orjson itself refuses a subclass of ``tuple``."""
    scopes = ListAttribute(["a"])
    encoded = EncodedObject({"scopes": scopes, "effective_scope": {"permissions": scopes, "catalog": "1"}})
    assert encoded.json == '{"scopes":["a"],"effective_scope":{"permissions":["a"],"catalog":"1"}'


def test_rows_share_no_list_and_no_dict() -> None:
    """Tuples are copied as lists at any depth; the encoded object does not change."""
    members = {"scopes": ("a",), "effective_scope": {"permissions": ("a:read",), "catalog": "1"}}
    encoded = EncodedObject(members)
    first = encoded.copy()
    first["scopes"].append("forged")
    first["effective_scope"]["permissions"].append("forged")
    first["effective_scope"]["catalog"] = "forged"
    assert encoded.copy() == {"scopes": ["a"], "effective_scope": {"permissions": ["a:read"], "catalog": "1"}}


def test_long_lists_are_cut() -> None:
    """The first elements are kept, and if some are left out, the full length is beside them."""
    members: dict[str, Any] = {}
    cut(members, "fits", ("a", "b"), 2)
    cut(members, "long", ["a", "b", "c"], 2)
    assert members == {"fits": ("a", "b"), "long": ("a", "b"), "long_count": 3}


def test_encodings_are_made_once() -> None:
    """Each is the same object at every use; other names are unknown."""
    encoded = EncodedObject({"id": "k_1"})
    assert encoded.json is encoded.json
    assert not hasattr(encoded, "xml")
