"""The snapshot of a key: its canonical form and its documented digest."""

import copy
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


def test_fields_are_converted() -> None:
    """Every field is converted into its canonical form."""
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
def test_other_types_are_refused(fields: dict[str, Any]) -> None:
    """A value of a type that is never recorded raises ``ValueError``."""
    with pytest.raises(ValueError, match="expected"):
        ApiKey(**fields)


def test_a_key_is_frozen() -> None:
    """A snapshot cannot be changed, and pickling keeps it as it is."""
    key = ApiKey("k_1", "ci", ["a"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.id = "k_2"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301 - our own bytes
    assert len({key, ApiKey("k_1", "ci", ["a", "a"])}) == 1


def test_repr_shows_counts() -> None:
    """The repr has the id and the lengths of the lists, and none of their elements."""
    assert repr(ApiKey("k_1", "n", ["a:read", "b:*"], [], "o")) == "ApiKey('k_1', scopes=2, allow_list=0)"
    assert repr(ApiKey("k_1")) == "ApiKey('k_1')"


@given(keys, st.none() | texts.filter(bool))
def test_digest_is_as_documented(key: ApiKey, catalog: str | None) -> None:
    """The digest can be computed from its description with JSON and SHA-256."""
    assert digest(key, catalog) == documented_digest(key, catalog)


def test_digest_includes_the_catalog_in_force(catalog_in_force: str) -> None:
    """The version of the scope catalog is part of the digest, because scopes change their meaning with it."""
    key = ApiKey("k_1", scopes=["all"])
    assert key.digest == documented_digest(key, catalog_in_force) != digest(key, None)


def test_digest_tells_unknown_from_none() -> None:
    """Unknown, an empty list and an empty string differ; order and duplicates of a list do not count."""
    different = [
        ApiKey("k"),
        ApiKey("k", scopes=[]),
        ApiKey("k", allow_list=[]),
        ApiKey("k", name=""),
        ApiKey("k", "n"),
    ]
    assert len({key.digest for key in different}) == len(different)
    assert ApiKey("k", scopes=["b", "a", "a"]).digest == ApiKey("k", scopes=["a", "b"]).digest


def test_digest_does_not_change_between_releases() -> None:
    """Rows of many years refer to each other by it."""
    text = '{"allow_list":["workspace:3f1c"],"id":"k_7Qm","name":"Zoë","scopes":["template:read","workspace:*"]}'
    key = ApiKey("k_7Qm", "Zoë", ["workspace:*", "template:read"], ["workspace:3f1c"])
    assert key.digest == hashlib.sha256(text.encode()).hexdigest()[:16]
    text = '{"catalog":"2","expires_at":"2026-11-23T16:00:00Z","id":"k_1","name":"ci","owner":"u_1"}'
    key = ApiKey("k_1", "ci", owner="u_1", expires_at="2026-11-23T16:00:00Z")
    assert digest(key, "2") == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_snapshots_are_hashed_by_their_id() -> None:
    """Snapshots of one key have the same hash."""
    assert hash(ApiKey("k_1")) == hash(ApiKey("k_1", "ci", ["a"])) != hash(ApiKey("k_2"))


def test_a_later_snapshot_keeps_fields_that_it_does_not_know() -> None:
    """A later snapshot of the same key replaces only the fields that it knows."""
    earlier = ApiKey("k", "old", ["a"], ["w:1"], "me")
    later = ApiKey("k", "new", [])
    assert earlier.updated_by(later) == ApiKey("k", "new", [], ["w:1"], "me")


def test_digest_follows_the_catalog(catalog_in_force: str) -> None:
    """The cached digest is computed again when another catalog is in force."""
    key = ApiKey("k_1", "ci", ["a"])
    before = [key.digest, key.digest]
    ApiKey.catalog_version = "2027-01"
    assert before == [digest(key, catalog_in_force)] * 2
    assert key.digest == digest(key, "2027-01") != before[0]


def test_emitted_strings_are_joined() -> None:
    """All strings that rows and spans can show are searched at once; a time can hold no credential."""
    key = ApiKey("k_1", "ci", ["a", "b"], ["w:1"], "o_1", "2026-11-23T16:00:00Z")
    assert key.emitted == key.emitted == "k_1\nci\no_1\na\nb\nw:1"
    assert ApiKey("k_1").emitted == "k_1\n\n"


def test_cached_values_are_not_part_of_a_key() -> None:
    """A key whose digest was computed equals one whose digest was not, also after pickling and copying."""
    used, fresh = ApiKey("k_1", scopes=["a"]), ApiKey("k_1", scopes=["a"])
    assert used.digest
    assert used.emitted
    assert used == fresh == pickle.loads(pickle.dumps(used)) == copy.deepcopy(used)  # noqa: S301 - our own bytes
    assert dataclasses.asdict(used) == dataclasses.asdict(fresh)
    assert dataclasses.replace(used, scopes=("b",)).digest == ApiKey("k_1", scopes=["b"]).digest
