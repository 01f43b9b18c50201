"""The encoded snapshot of a key: members of rows and attributes of spans."""

import json
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey, Detail
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog, load_catalog
from otel_keyaudit.key.snapshot import Snapshot, Snapshots
from otel_keyaudit.request.server_span import Location
from otel_keyaudit.row.members.snapshot_member import SnapshotMember

CATALOG = ScopeCatalog(
    version="2026-11",
    permissions={"a": ("a:read", "a:write", "a:drop"), "b": ("b:read",)},
    composites={},
    aliases={},
    all_scopes=frozenset({"all"}),
)
LOCATION = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
FULL_KEY = ApiKey("k_1", "ci", ["a:*", "x", "y"], ["w:1", "w:*", "v:1", "u:1"], "me", "2026-11-23T16:00:00Z")


def members(key: ApiKey, catalog: ScopeCatalog | None = CATALOG, max_items: int = 128) -> dict[str, Any]:
    """Return the members of a full row."""
    return Snapshot(key, catalog, max_items).full.copy()


def test_full_members() -> None:
    """A full row has all known fields, and their meaning under the catalog."""
    snapshot = Snapshot(FULL_KEY, CATALOG, 128)
    assert snapshot.full.copy() == {
        "id": "k_1",
        "name": "ci",
        "digest": snapshot.digest,
        "detail": "full",
        "scopes": ["a:*", "x", "y"],
        "allow_list": ["w:1", "w:*", "v:1", "u:1"],
        "owner": "me",
        "expires_at": "2026-11-23T16:00:00Z",
        "effective_scope": {
            "permissions": ["a:drop", "a:read", "a:write"],
            "allow_list": ["u:1", "v:1", "w:*"],
            "unknown_scopes": ["x", "y"],
            "catalog": "2026-11",
        },
    }


def test_minimal_members() -> None:
    """A minimal row has id, name, and the digest that refers to the full row."""
    snapshot = Snapshot(FULL_KEY, CATALOG, 1)
    full, minimal = snapshot.full.copy(), snapshot.minimal.copy()
    assert minimal == {"id": "k_1", "name": "ci", "digest": full["digest"], "detail": "minimal"}
    assert Snapshot(ApiKey("k_1"), None, 128).minimal.copy().keys() == {"id", "digest", "detail"}


def test_unknown_lists_are_absent() -> None:
    """An unknown list is absent; an empty list is recorded as such, and grants nothing."""
    assert members(ApiKey("k")).keys() == {"id", "digest", "detail"}
    nothing = members(ApiKey("k", scopes=[], allow_list=[]))
    assert (nothing["scopes"], nothing["allow_list"]) == ([], [])
    assert nothing["effective_scope"] == {"permissions": [], "allow_list": [], "catalog": "2026-11"}


def test_effective_scope_needs_scopes_and_a_catalog() -> None:
    """It is absent with unknown scopes or without a catalog; its allow list needs the allow list of the key."""
    assert "effective_scope" not in members(ApiKey("k", allow_list=["w:1"]))
    assert "effective_scope" not in members(FULL_KEY, None)
    assert members(ApiKey("k", scopes=["b:*"]))["effective_scope"] == {"permissions": ["b:read"], "catalog": "2026-11"}


def test_long_lists_are_cut() -> None:
    """The first elements are recorded with the full length beside them; a list that fits has no count."""
    cut = members(FULL_KEY, max_items=1)
    assert (cut["scopes"], cut["scopes_count"]) == (["a:*"], 3)
    assert (cut["allow_list"], cut["allow_list_count"]) == (["w:1"], 4)
    assert cut["effective_scope"] == {
        "permissions": ["a:drop"],
        "permissions_count": 3,
        "allow_list": ["u:1"],
        "allow_list_count": 3,
        "unknown_scopes": ["x"],
        "unknown_scopes_count": 2,
        "catalog": "2026-11",
    }
    fits = members(FULL_KEY, max_items=4)
    assert not [name for name in (*fits, *fits["effective_scope"]) if name.endswith("_count")]


def test_the_digest_does_not_depend_on_the_limit() -> None:
    """It is computed before lists are cut; the version of the catalog changes it."""
    assert Snapshot(FULL_KEY, CATALOG, 1).digest == Snapshot(FULL_KEY, CATALOG, 128).digest
    assert Snapshot(FULL_KEY, None, 1).digest != Snapshot(FULL_KEY, CATALOG, 1).digest


def test_attributes() -> None:
    """Spans have the identity, with or without the lists, and a count only if a list was cut."""
    snapshot = Snapshot(FULL_KEY, CATALOG, 3)
    identity = {
        "keyaudit.key.id": "k_1",
        "keyaudit.key.name": "ci",
        "keyaudit.key.digest": snapshot.digest,
    }
    assert snapshot.shown_minimal == {**identity, "keyaudit.detail": "minimal"}
    assert snapshot.shown_without_lists == {**identity, "keyaudit.detail": "full"}
    assert snapshot.shown_full == {
        **snapshot.shown_without_lists,
        "keyaudit.key.scopes": ("a:*", "x", "y"),
        "keyaudit.key.allow_list": ("w:1", "w:*", "v:1"),
        "keyaudit.key.allow_list_count": 4,
        "keyaudit.key.permissions": ("a:drop", "a:read", "a:write"),
        "keyaudit.key.owner": "me",
        "keyaudit.key.expires_at": "2026-11-23T16:00:00Z",
    }
    cut = Snapshot(FULL_KEY, CATALOG, 2).shown_full
    assert (cut["keyaudit.key.permissions"], cut["keyaudit.key.permissions_count"]) == (("a:drop", "a:read"), 3)
    assert cut["keyaudit.key.scopes_count"] == 3
    unknown = Snapshot(ApiKey("k"), CATALOG, 2)
    assert unknown.shown_full == unknown.shown_without_lists


def test_rows_share_nothing() -> None:
    """A change to the members of one row does not reach another row, on any level."""
    snapshot = Snapshot(FULL_KEY, CATALOG, 128)
    before = orjson.dumps(snapshot.full.copy())
    row = snapshot.full.copy()
    row["scopes"].append("more")
    row["effective_scope"]["permissions"].clear()
    row["effective_scope"]["catalog"] = "other"
    del row["id"]
    assert orjson.dumps(snapshot.full.copy()) == before


@given(
    st.builds(ApiKey, id=st.text(min_size=1), name=st.none() | st.text(), scopes=st.none() | st.lists(st.text())),
    st.sampled_from(Detail),
    st.none() | st.just(LOCATION),
    st.integers(1, 3),
)
def test_json_equals_the_object(key: ApiKey, detail: Detail, location: Location | None, max_items: int) -> None:
    """The JSON of a member is compact and printable, whatever characters it holds."""
    member = SnapshotMember(Snapshot(key, CATALOG, max_items).encoded(detail), None, location)
    assert json.loads(member.as_json()) == member.as_object()
    forms = [json.dumps(member.as_object(), separators=(",", ":"), ensure_ascii=escaped) for escaped in (False, True)]
    assert member.as_json() == next(form for form in forms if form.isprintable())


def test_location() -> None:
    """The trace ids come last; a subject has none."""
    snapshot = Snapshot(FULL_KEY, None, 128)
    located = SnapshotMember(snapshot.minimal, None, LOCATION).as_object()
    assert list(located)[-2:] == ["trace_id", "span_id"]
    assert (located["trace_id"], located["span_id"]) == LOCATION
    assert SnapshotMember(snapshot.minimal).as_object() == snapshot.minimal.copy()


def test_equal_keys_share_a_snapshot() -> None:
    """Each content is encoded once while it is cached, and each encoding is made once."""
    snapshots = Snapshots(None, 128)
    first = snapshots.of(ApiKey("k_1", scopes=["a"]))
    assert snapshots.of(ApiKey("k_1", scopes=["a"])) is first
    assert first.full is first.full
    assert first.shown_full is first.shown_full
    assert snapshots.of(ApiKey("k_1", scopes=["b"])) is not first
    assert not hasattr(first, "shown")


def test_members_are_in_the_documented_order() -> None:
    """The order of section 4 of the reference is the order of a row's members."""
    full = members(FULL_KEY, max_items=1)
    assert list(full) == [
        "id", "name", "digest", "detail", "scopes", "scopes_count", "allow_list", "allow_list_count", "owner",
        "expires_at", "effective_scope",
    ]  # fmt: skip


def test_snapshots_are_under_the_catalog_and_the_limit(tmp_path: Path) -> None:
    """A full row has the permissions of its scopes, and a minimal row does not."""
    path = tmp_path / "catalog.json"
    path.write_text('{"version": "1", "resources": {"a": ["read", "write"]}}')
    snapshots = Snapshots(load_catalog(path), 1)
    snapshot = snapshots.of(ApiKey("k_1", scopes=["a:*"]))
    assert snapshots.of(ApiKey("k_1", scopes=["a:*"])) is snapshot
    assert snapshots.max_items == 1
    full, minimal = (snapshot.encoded(detail).copy() for detail in (Detail.FULL, Detail.MINIMAL))
    assert full["effective_scope"] == {"permissions": ["a:read"], "permissions_count": 2, "catalog": "1"}
    assert minimal == {"id": "k_1", "digest": snapshot.digest, "detail": "minimal"}
