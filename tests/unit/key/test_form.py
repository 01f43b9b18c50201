"""What rows are given of a snapshot, encoded once: as an object, as JSON text, and as what tells it again."""

import json
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey, Detail
from otel_keyaudit.key.encoded_object import Form, fingerprint
from otel_keyaudit.key.scope_catalog import load_catalog
from otel_keyaudit.key.snapshot import Snapshots


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
def test_text_is_compact_and_shows_nothing_that_steers(members: dict[str, Any], text: str) -> None:
    """Printable text stays as it is; where anything else is in it, all beyond ASCII is escaped. The brace is open."""
    form = Form(members)
    assert form.json == text
    assert json.loads(form.json + "}") == members == form.copy()


def test_no_two_rows_share_anything() -> None:
    """Lists and objects are copied, however deep; the form itself stays as it was."""
    members = {"scopes": ["a"], "effective_scope": {"permissions": ["a:read"], "catalog": "1"}}
    form = Form(members)
    first = form.copy()
    first["scopes"].append("forged")
    first["effective_scope"]["permissions"].append("forged")
    first["effective_scope"]["catalog"] = "forged"
    assert form.copy() == {"scopes": ["a"], "effective_scope": {"permissions": ["a:read"], "catalog": "1"}}


def test_a_fingerprint_is_of_the_content_alone() -> None:
    """The order of members does not matter; any other difference does."""
    content: dict[str, Any] = {"id": "k_1", "scopes": ["a", "b"]}
    assert fingerprint(content) == fingerprint({"scopes": ["a", "b"], "id": "k_1"}) == Form(content).fingerprint
    others: list[dict[str, Any]] = [
        {},
        {"id": "k_2", "scopes": ["a", "b"]},
        {"id": "k_1", "scopes": ["b", "a"]},
        {"id": "k_1"},
    ]
    assert len({fingerprint(one) for one in [content, *others]}) == 5


def test_what_is_no_json_has_no_fingerprint() -> None:
    """Nobody wrote it."""
    with pytest.raises(TypeError):
        fingerprint({"id": object()})


def test_snapshots_are_under_the_catalog_and_the_limit(tmp_path: Path) -> None:
    """Each detail has a form of its own, and the whole one says what the scopes come to."""
    path = tmp_path / "catalog.json"
    path.write_text('{"version": "1", "resources": {"a": ["read", "write"]}}')
    snapshots = Snapshots(load_catalog(path), 1)
    snapshot = snapshots.of(ApiKey("k_1", scopes=["a:*"]))
    assert snapshots.of(ApiKey("k_1", scopes=["a:*"])) is snapshot
    assert snapshots.max_items == 1
    full, minimal = (snapshot.form(detail).copy() for detail in (Detail.FULL, Detail.MINIMAL))
    assert full["effective_scope"] == {"permissions": ["a:read"], "permissions_count": 2, "catalog": "1"}
    assert minimal == {"id": "k_1", "digest": snapshot.digest, "detail": "minimal"}
