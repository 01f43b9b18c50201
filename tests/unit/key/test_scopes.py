"""What scopes mean under a catalog."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.key.scope_catalog import CatalogError, ScopeCatalog, load_catalog

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
def test_effective(
    catalog: ScopeCatalog, scopes: list[str], permissions: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    """Permissions are the sorted union of all expansions; what nobody knows grants nothing and is named in order."""
    assert catalog.effective(scopes) == (permissions, unknown)


def test_actions_may_have_colons(write: Any) -> None:
    """A scope is split once, at its first colon."""
    catalog = load_catalog(write({"version": "1", "resources": {"a": ["b:c", "d"]}}))
    assert catalog.effective(["a:b:c"]) == (("a:b:c",), ())
    assert catalog.effective(["a:*"]) == (("a:b:c", "a:d"), ())


def test_aliases_are_followed(write: Any) -> None:
    """An alias may lead to another one; what leads nowhere, or in a circle, is an unknown scope."""
    aliases = {"one": "two", "two": "a:read", "round": "about", "about": "round", "gone": "a:fly", "low": "a:*"}
    catalog = load_catalog(write({"version": "1", "resources": {"a": ["read", "write"]}, "aliases": aliases}))
    assert catalog.effective(["one"]) == (("a:read",), ())
    assert catalog.effective(["low"]) == (("a:read", "a:write"), ())
    assert catalog.effective(["round", "gone"]) == ((), ("round", "gone"))


def test_composites_may_hold_wildcards(write: Any) -> None:
    """A composite names single permissions, or every one of a resource."""
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
        ({}, "has no text 'version'"),
        ({"version": ""}, "has no text 'version'"),
        ({"version": 2026}, "has no text 'version'"),
        ({"version": "1", "resource": {}}, "has an unknown member 'resource'"),
        ({"version": "1", "resources": []}, "'resources' is not an object"),
        ({"version": "1", "resources": {"a": "read"}}, "'resources' does not hold lists of texts"),
        ({"version": "1", "resources": {"a": [1]}}, "'resources' does not hold lists of texts"),
        ({"version": "1", "resources": {"a": ["*"]}}, "'resources' has a wrong entry 'a'"),
        ({"version": "1", "resources": {"a": [""]}}, "'resources' has a wrong entry 'a'"),
        ({"version": "1", "resources": {"": ["read"]}}, "'resources' has a wrong entry ''"),
        ({"version": "1", "resources": {"a:b": ["read"]}}, "'resources' has a wrong entry 'a:b'"),
        ({"version": "1", "composites": {"c": ["a:read"]}}, "composite 'c' names 'a:read'"),
        ({"version": "1", "composites": {"c": ["c"]}}, "composite 'c' names 'c'"),
        ({"version": "1", "composites": {"c": "a:read"}}, "'composites' does not hold lists of texts"),
        ({"version": "1", "aliases": ["a"]}, "'aliases' is not an object of texts"),
        ({"version": "1", "aliases": {"a": None}}, "'aliases' is not an object of texts"),
        ({"version": "1", "all": "ops:all"}, "'all' does not hold lists of texts"),
    ],
)
def test_wrong_catalogs(write: Any, content: Any, message: str) -> None:
    """A catalog that is wrong says in one sentence what is wrong with it."""
    with pytest.raises(CatalogError) as wrong:
        load_catalog(write(content))
    assert str(wrong.value).startswith(message)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("path", ["missing.json", ".", "\0", "a\ud800"])
def test_unreadable_catalogs(tmp_path: Path, path: str) -> None:
    """A file that is not there, a folder and an impossible path cannot be read."""
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(f"{tmp_path}/{path}")
