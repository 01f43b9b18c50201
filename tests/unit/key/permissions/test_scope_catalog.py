"""The scope catalog: reading the file, and the meaning of scopes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.key.permissions.scope_catalog import CatalogError, ScopeCatalog, load_catalog
from otel_keyaudit.testing import Recorder

DOCUMENTED: dict[str, Any] = {
    "version": "2026-11",
    "resources": {"workspace": ["read", "create", "update", "delete"], "template": ["read", "use"]},
    "composites": {"ops:workspaces.operate": ["workspace:read", "workspace:update", "template:read"]},
    "aliases": {"all": "ops:all"},
    "all": ["ops:all"],
}
"""The catalog of the documentation."""

EVERY = (
    "template:read", "template:use", "workspace:create", "workspace:delete", "workspace:read", "workspace:update",
)  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a catalog file and return its path."""

    def written(content: Any) -> Path:
        path = tmp_path / "scopes.json"
        path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
        return path

    return written


@pytest.fixture
def catalog(write: Any) -> ScopeCatalog:
    """The documented catalog, read from a file."""
    return load_catalog(write(DOCUMENTED))


@pytest.mark.parametrize(
    ("scopes", "permissions", "unknown"),
    [
        ([], (), ()),
        (["workspace:read"], ("workspace:read",), ()),
        (["workspace:*"], ("workspace:create", "workspace:delete", "workspace:read", "workspace:update"), ()),
        (["ops:workspaces.operate"], ("template:read", "workspace:read", "workspace:update"), ()),
        (["ops:all"], EVERY, ()),
        (["all"], EVERY, ()),
        (["template:use", "workspace:read", "template:*"], ("template:read", "template:use", "workspace:read"), ()),
        (["workspace:fly", "template:read", "moon:*"], ("template:read",), ("workspace:fly", "moon:*")),
        (["workspace", "workspace:", ":read", ":", "*", "*:*", "*:read", " workspace:read", "WORKSPACE:read"], (), (
            "workspace", "workspace:", ":read", ":", "*", "*:*", "*:read", " workspace:read", "WORKSPACE:read",
        )),
    ],
)  # fmt: skip
def test_effective_permissions(
    catalog: ScopeCatalog, scopes: list[str], permissions: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    """Permissions are the sorted union of all expansions; unknown scopes grant nothing and are named in order."""
    assert catalog.effective(scopes) == (permissions, unknown)


def test_actions_may_have_colons(write: Any) -> None:
    """A scope is split once, at its first colon."""
    catalog = load_catalog(write({"version": "1", "resources": {"a": ["b:c", "d"]}}))
    assert catalog.effective(["a:b:c"]) == (("a:b:c",), ())
    assert catalog.effective(["a:*"]) == (("a:b:c", "a:d"), ())


def test_aliases_are_followed(write: Any) -> None:
    """An alias can lead to another one; a circle of aliases, or one without an end, is an unknown scope."""
    aliases = {"one": "two", "two": "a:read", "round": "about", "about": "round", "gone": "a:fly", "low": "a:*"}
    catalog = load_catalog(write({"version": "1", "resources": {"a": ["read", "write"]}, "aliases": aliases}))
    assert catalog.effective(["one"]) == (("a:read",), ())
    assert catalog.effective(["low"]) == (("a:read", "a:write"), ())
    assert catalog.effective(["round", "gone"]) == ((), ("round", "gone"))


def test_composites_may_hold_wildcards(write: Any) -> None:
    """A composite names single permissions, or every permission of a resource."""
    content = {"version": "1", "resources": {"a": ["x", "y"], "b": ["z"]}, "composites": {"c": ["a:*", "b:z"], "d": []}}
    assert load_catalog(write(content)).effective(["c"]) == (("a:x", "a:y", "b:z"), ())
    assert load_catalog(write(content)).effective(["d"]) == ((), ())


@given(st.lists(st.sampled_from([*EVERY, "workspace:*", "template:*", "all", "ops:workspaces.operate", "x"])))
def test_more_scopes_never_grant_less(scopes: list[str]) -> None:
    """The effective permissions are the union over single scopes, whatever their order."""
    catalog = ScopeCatalog(
        "1",
        {"workspace": EVERY[2:], "template": EVERY[:2]},
        {"ops:workspaces.operate": frozenset(EVERY[:1])},
        {"all": "ops:all"},
        frozenset({"ops:all"}),
    )
    together = set(catalog.effective(scopes)[0])
    assert together == {one for scope in scopes for one in catalog.effective([scope])[0]}
    assert together <= set(EVERY)
    assert catalog.effective(scopes[::-1])[0] == catalog.effective(scopes)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"version": NaN}', "is not JSON"),
        (b"[" * 5000, "is not JSON"),
        ([], "is not a JSON object"),
        ({}, "has no string 'version'"),
        ({"version": ""}, "has no string 'version'"),
        ({"version": 2026}, "has no string 'version'"),
        ({"version": "1", "resource": {}}, "has an unknown member 'resource'"),
        ({"version": "1", "resources": []}, "'resources' is not an object"),
        ({"version": "1", "resources": {"a": "read"}}, "'resources' does not hold lists of strings"),
        ({"version": "1", "resources": {"a": [1]}}, "'resources' does not hold lists of strings"),
        ({"version": "1", "resources": {"a": ["*"]}}, "'resources' has an invalid entry 'a'"),
        ({"version": "1", "resources": {"a": [""]}}, "'resources' has an invalid entry 'a'"),
        ({"version": "1", "resources": {"": ["read"]}}, "'resources' has an invalid entry ''"),
        ({"version": "1", "resources": {"a:b": ["read"]}}, "'resources' has an invalid entry 'a:b'"),
        ({"version": "1", "composites": {"c": ["a:read"]}}, "composite 'c' names 'a:read'"),
        ({"version": "1", "composites": {"c": ["c"]}}, "composite 'c' names 'c'"),
        ({"version": "1", "composites": {"c": "a:read"}}, "'composites' does not hold lists of strings"),
        ({"version": "1", "aliases": ["a"]}, "'aliases' is not an object of strings"),
        ({"version": "1", "aliases": {"a": None}}, "'aliases' is not an object of strings"),
        ({"version": "1", "all": "ops:all"}, "'all' does not hold lists of strings"),
    ],
)
def test_invalid_catalogs(write: Any, content: Any, message: str) -> None:
    """The error names the place and the reason in one line."""
    with pytest.raises(CatalogError) as wrong:
        load_catalog(write(content))
    assert str(wrong.value).startswith(message)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("path", ["missing.json", ".", "\0", "a\ud800"])
def test_unreadable_catalogs(tmp_path: Path, path: str) -> None:
    """A missing file, a folder and an invalid path cannot be read."""
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(f"{tmp_path}/{path}")


def test_unknown_permissions(catalog: ScopeCatalog) -> None:
    """The catalog knows single permissions and the wildcards of its resources, but no other scope as a permission."""
    known = ["workspace:read", "template:*"]
    unknown = ["workspace:fly", "mars:*", "mars:read", "ops:workspaces.operate", "ops:all", "all", "*", "*:*", ""]
    assert [name for name in known + unknown if catalog.has_permission(name)] == known


@pytest.mark.parametrize(
    ("permission", "scopes"),
    [
        ("workspace:read", {"workspace:read", "workspace:*", "ops:workspaces.operate", "ops:all", "all"}),
        ("workspace:delete", {"workspace:delete", "workspace:*", "ops:all", "all"}),
        ("workspace:fly", {"workspace:fly", "workspace:*", "ops:all", "all"}),
        ("workspace:*", {"workspace:*", "ops:all", "all"}),
        ("mars:read", {"mars:read", "ops:all", "all"}),
        ("*", {"*", "ops:all", "all"}),
        ("ops:workspaces.operate", {"ops:workspaces.operate", "ops:all", "all"}),
    ],
)
def test_covering_scopes(catalog: ScopeCatalog, permission: str, scopes: set[str]) -> None:
    """A wildcard also covers actions that the catalog does not list, because an action can be added."""
    assert catalog.covering(permission) == scopes
    assert catalog.covering(permission) is catalog.covering(permission)


def test_a_composite_is_no_wildcard(write: Any) -> None:
    """A composite covers its expansion only, even if it lists a whole resource or has the name of a wildcard."""
    content = {"version": "1", "resources": {"a": ["x"]}, "composites": {"c": ["a:*"], "a:*": ["a:x"]}}
    catalog = load_catalog(write(content))
    assert catalog.covering("a:x") == {"a:x", "a:*", "c"}
    assert catalog.covering("a:y") == {"a:y"}


def test_an_alias_of_a_wildcard_is_a_wildcard(write: Any) -> None:
    """Aliases are resolved before scopes are compared."""
    content = {"version": "1", "resources": {"a": ["x"]}, "aliases": {"wide": "a:*", "old": "a:x"}}
    catalog = load_catalog(write(content))
    assert catalog.covering("a:*") == {"a:*", "wide"}
    assert catalog.covering("a:x") == {"a:x", "a:*", "wide", "old"}


SERVICE_CATALOG = {
    "version": "2026-11",
    "resources": {"workspace": ["read", "create", "update"], "template": ["read", "use"]},
    "composites": {"ops:workspaces.operate": ["workspace:read", "workspace:update"]},
    "aliases": {"all": "ops:all"},
    "all": ["ops:all"],
}
KEY = ApiKey("k_1", scopes=["template:use", "ops:workspaces.operate", "mars:read"], allow_list=["workspace:3f1c"])
PERMISSIONS = ["template:use", "workspace:read", "workspace:update"]


@pytest.fixture
def catalog_path(tmp_path: Path) -> str:
    """The path of the catalog."""
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(SERVICE_CATALOG), encoding="utf-8")
    return str(path)


def row(shop: Any) -> Any:
    """Write a row with the key, and return its member."""
    with use_key(KEY):
        shop.record("create", {})
    return shop.ROWS[-1]["request_api_key"]


def test_a_row_has_the_effective_scope(recorder: Recorder, shop: Any, catalog_path: str) -> None:
    """It has single permissions, the allow list, the version and the unknown scopes."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"], scope_catalog=catalog_path)
    assert row(shop)["effective_scope"] == {
        "permissions": PERMISSIONS,
        "allow_list": ["workspace:3f1c"],
        "catalog": "2026-11",
        "unknown_scopes": ["mars:read"],
    }


def test_the_server_span_has_the_permissions(recorder: Recorder, shop: Any, catalog_path: str) -> None:
    """They are a list beside the scopes, cut like them, with the full length."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"], scope_catalog=catalog_path, max_items=2)
    with recorder.request():
        row(shop)
    shown = recorder.server_span()
    assert shown["keyaudit.key.permissions"] == tuple(PERMISSIONS[:2])
    assert shown["keyaudit.key.permissions_count"] == 3
    assert shown["keyaudit.key.digest"] == shop.ROWS[0]["request_api_key"]["digest"]


def test_the_version_is_part_of_the_digest(recorder: Recorder, shop: Any, catalog_path: str) -> None:
    """The digest has the version as long as the catalog is in force, because scopes can change their meaning."""
    before = KEY.digest
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"], scope_catalog=catalog_path)
    content = {
        "allow_list": ["workspace:3f1c"], "catalog": "2026-11", "id": "k_1",
        "scopes": ["mars:read", "ops:workspaces.operate", "template:use"],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:16]
    assert digest != before
    assert (row(shop)["digest"], KEY.digest) == (digest, digest)
    recorder.uninstrument()
    assert KEY.digest == before


def test_without_a_catalog_there_are_no_permissions(recorder: Recorder, shop: Any) -> None:
    """Neither rows nor spans have them."""
    recorder.instrument(audit_targets=[f"{shop.__name__}:record"])
    with recorder.request():
        assert "effective_scope" not in row(shop)
    assert "keyaudit.key.permissions" not in recorder.server_span()
