"""The snapshot of a key: its canonical form, and its digest as the documentation describes it."""

import dataclasses
import hashlib
import json
import pickle
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey
from otel_keyaudit.key.api_key import digest

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = st.builds(
    ApiKey,
    id=texts.filter(bool),
    name=st.none() | texts,
    scopes=st.none() | st.lists(texts),
    allow_list=st.none() | st.lists(texts),
    owner=st.none() | texts,
    expires_at=st.none() | st.datetimes(),
)


def documented_digest(key: ApiKey, catalog: str | None) -> str:
    """Compute the digest from its description alone, with the standard library."""
    members: dict[str, Any] = {
        "id": key.id, "name": key.name, "owner": key.owner, "expires_at": key.expires_at, "catalog": catalog,
        "scopes": None if key.scopes is None else sorted(set(key.scopes)),
        "allow_list": None if key.allow_list is None else sorted(set(key.allow_list)),
    }  # fmt: skip
    known = {name: value for name, value in members.items() if value is not None}
    text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


@pytest.fixture
def catalog_in_force() -> Iterator[str]:
    """A catalog version as ``instrument()`` sets it."""
    ApiKey.catalog_version = "2026-11"
    yield "2026-11"
    ApiKey.catalog_version = None


def test_fields_have_one_form() -> None:
    """Every field is brought into the form in which it is written."""
    key = ApiKey(7, "ci", ["b", "a", "b"], {"w:2", "w:1"}, UUID(int=1), datetime(2026, 11, 23, 16, tzinfo=timezone.utc))
    assert key == ApiKey(
        id="7",
        name="ci",
        scopes=("b", "a"),
        allow_list=("w:1", "w:2"),
        owner="00000000-0000-0000-0000-000000000001",
        expires_at="2026-11-23T16:00:00Z",
    )
    assert ApiKey("k").scopes is None
    assert ApiKey("k", scopes=[]).scopes == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"id": None}, {"id": ""}, {"id": b"k"}, {"id": True}, {"id": "k", "name": ["n"]}, {"id": "k", "scopes": 5},
        {"id": "k", "allow_list": [None]}, {"id": "k", "owner": 1.5}, {"id": "k", "expires_at": 5},
    ],
)  # fmt: skip
def test_other_values_are_refused(fields: dict[str, Any]) -> None:
    """A value that is never written out is a ``ValueError``."""
    with pytest.raises(ValueError, match="expected"):
        ApiKey(**fields)


def test_a_key_is_frozen() -> None:
    """A snapshot cannot be changed, and survives pickling as it is."""
    key = ApiKey("k_1", "ci", ["a"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.id = "k_2"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301 - our own bytes
    assert len({key, ApiKey("k_1", "ci", ["a", "a"])}) == 1


def test_repr_shows_counts() -> None:
    """The repr has the id and the sizes of lists, nothing of their contents."""
    assert repr(ApiKey("k_1", "n", ["a:read", "b:*"], [], "o")) == "ApiKey('k_1', scopes=2, allow_list=0)"
    assert repr(ApiKey("k_1")) == "ApiKey('k_1')"


@given(keys, st.none() | texts.filter(bool))
def test_digest_is_as_documented(key: ApiKey, catalog: str | None) -> None:
    """Anyone can compute the digest with JSON and SHA-256."""
    assert digest(key, catalog) == documented_digest(key, catalog)


def test_digest_includes_the_catalog_in_force(catalog_in_force: str) -> None:
    """The version of the scope catalog is part of the digest, since scopes change their meaning with it."""
    key = ApiKey("k_1", scopes=["all"])
    assert key.digest == documented_digest(key, catalog_in_force) != digest(key, None)


def test_digest_tells_unknown_from_none() -> None:
    """Unknown, none and empty text are three things; order and duplicates are none."""
    different = [
        ApiKey("k"),
        ApiKey("k", scopes=[]),
        ApiKey("k", allow_list=[]),
        ApiKey("k", name=""),
        ApiKey("k", "n"),
    ]
    assert len({key.digest for key in different}) == len(different)
    assert ApiKey("k", scopes=["b", "a", "a"]).digest == ApiKey("k", scopes=["a", "b"]).digest


def test_digest_of_an_example() -> None:
    """A digest stays what it is from release to release: rows of years lead to each other."""
    text = '{"allow_list":["workspace:3f1c"],"id":"k_7Qm","name":"Zoë","scopes":["template:read","workspace:*"]}'
    key = ApiKey("k_7Qm", "Zoë", ["workspace:*", "template:read"], ["workspace:3f1c"])
    assert key.digest == hashlib.sha256(text.encode()).hexdigest()[:16]
    text = '{"catalog":"2","expires_at":"2026-11-23T16:00:00Z","id":"k_1","name":"ci","owner":"u_1"}'
    key = ApiKey("k_1", "ci", owner="u_1", expires_at="2026-11-23T16:00:00Z")
    assert digest(key, "2") == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_keys_are_told_apart_by_their_ids_at_once() -> None:
    """Snapshots of one key have the same hash, and those of others hardly ever have it."""
    assert hash(ApiKey("k_1")) == hash(ApiKey("k_1", "ci", ["a"])) != hash(ApiKey("k_2"))


def test_later_snapshot_keeps_what_it_does_not_know() -> None:
    """A later snapshot of the same key replaces what it knows, and only that."""
    earlier = ApiKey("k", "old", ["a"], ["w:1"], "me")
    later = ApiKey("k", "new", [])
    assert earlier.updated_by(later) == ApiKey("k", "new", [], ["w:1"], "me")
