"""The explanation of an authorization check, against examples and against a second implementation of its table."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_keyaudit import ApiKey
from otel_keyaudit.key.permissions.coverage import Explanation, allows_resource, covering_scope, explain
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog

CATALOG = ScopeCatalog(
    version="1",
    permissions={"a": ("a:read", "a:write"), "b": ("b:read",)},
    composites={"reader": frozenset({"a:read", "b:read"}), "none": frozenset()},
    aliases={"all": "ops:all", "r": "reader", "wide": "a:*", "x": "y", "y": "x", "gone": "a:fly"},
    all_scopes=frozenset({"ops:all"}),
)
SCOPES = [
    "a:read", "a:write", "b:read", "a:*", "b:*", "*", "*:*", "c:*", "c:read", "reader", "none", "all", "ops:all", "r",
    "wide", "x", "gone", "a:fly",
]  # fmt: skip
PERMISSIONS = ["a:read", "a:write", "b:read", "a:fly", "c:read", "a:*", "c:*", "reader", "admin", "*"]


@pytest.mark.parametrize(
    ("scopes", "permission", "scope"),
    [
        ([], "a:read", None),
        (["a:read"], "a:read", "a:read"),
        (["a:write"], "a:read", None),
        (["a:*", "a:read"], "a:read", "a:*"),
        (["a:read", "a:*"], "a:read", "a:read"),
        (["*"], "a:read", "*"),
        (["*:*"], "a:read", "*:*"),
        (["ab:*"], "a:read", None),
        (["a:read"], "a:*", None),
        (["a:*"], "a:*", "a:*"),
        (["*"], "a:*", "*"),
        (["a:b:*"], "a:b:c", None),
        (["a:*"], "a:b:c", "a:*"),
        (["a:*"], "a", None),
        (["A:READ", " a:read"], "a:read", None),
        (["all"], "a:read", None),
    ],
)
def test_covering_without_a_catalog(scopes: list[str], permission: str, scope: str | None) -> None:
    """The same name and wildcards cover; the first covering scope decides."""
    assert covering_scope(scopes, permission, None) == scope


@pytest.mark.parametrize(
    ("scopes", "permission", "scope"),
    [
        (["reader"], "a:read", "reader"),
        (["r"], "b:read", "r"),
        (["reader"], "a:write", None),
        (["all"], "a:write", "all"),
        (["ops:all"], "a:*", "ops:all"),
        (["a:read", "a:write"], "a:*", None),
        (["a:*"], "a:fly", "a:*"),
        (["c:*", "c:read"], "c:read", "c:read"),
        (["c:*"], "c:*", "c:*"),
        (["*", "*:*"], "a:read", None),
        (["gone"], "a:fly", "gone"),
        (["x", "none"], "a:read", None),
    ],
)
def test_covering_with_a_catalog(scopes: list[str], permission: str, scope: str | None) -> None:
    """Scopes cover their expansion; a scope that the catalog does not know covers only the permission of its name."""
    assert covering_scope(scopes, permission, CATALOG) == scope


@pytest.mark.parametrize(
    ("allow_list", "resource", "is_allowed"),
    [
        (None, "a:1", True), (["a:1"], None, True), ([], None, True), ([], "a:1", False), ([" a:1 "], "a:1", True),
        (["a:*"], "a:1", True), (["*:*"], "a:1", True), (["b:*"], "a:1", False),
    ],
)  # fmt: skip
def test_allowed_resources(allow_list: list[str] | None, resource: str | None, is_allowed: bool) -> None:
    """An unknown list or resource counts as allowed; an empty list allows nothing."""
    assert allows_resource(ApiKey("k", allow_list=allow_list), resource) is is_allowed


@pytest.mark.parametrize(
    ("outcome", "scopes", "allow_list", "catalog", "explanation"),
    [
        ("granted", ["a:*"], ["a:1"], None, Explanation("scope", ("a:*",))),
        ("granted", ["a:*"], ["a:2"], None, Explanation("other")),
        ("granted", ["b:*"], None, None, Explanation("unknown")),
        ("granted", ["b:*"], None, CATALOG, Explanation("other", (), ("a:read",))),
        ("granted", ["b:*", "mars:read"], None, CATALOG, Explanation("unknown")),
        ("denied", ["a:*"], ["a:1"], None, Explanation("other")),
        ("denied", ["a:*"], ["a:2"], None, Explanation("allow_list")),
        ("denied", ["b:*"], ["a:2"], None, Explanation("scope", (), ("a:read",))),
        ("denied", [], None, CATALOG, Explanation("scope", (), ("a:read",))),
        ("denied", None, None, None, Explanation("unknown")),
        ("granted", None, None, CATALOG, Explanation("unknown")),
        ("error", ["a:*"], ["a:1"], None, Explanation(None)),
    ],
)
def test_causes(
    outcome: str,
    scopes: list[str] | None,
    allow_list: list[str] | None,
    catalog: ScopeCatalog | None,
    explanation: Explanation,
) -> None:
    """Each cell of the documented table, for the permission ``a:read`` of the resource ``a:1``."""
    key = ApiKey("k", scopes=scopes, allow_list=allow_list)
    assert explain(outcome, ("a:read",), False, "a:1", key, catalog) == explanation


@pytest.mark.parametrize("outcome", ["granted", "denied"])
def test_without_key_or_requirement_the_cause_is_unknown(outcome: str) -> None:
    """Without a key or a requirement there is nothing to compare."""
    assert explain(outcome, ("a:read",), False, None, None, CATALOG) == Explanation("unknown")
    assert explain(outcome, (), False, None, ApiKey("k", scopes=["*"]), None) == Explanation("unknown")


def test_several_permissions() -> None:
    """Each permission has its first covering scope, listed in the order of the key; ``any_of`` needs only one."""
    key = ApiKey("k", scopes=["b:read", "a:*", "a:read"])
    assert explain("granted", ("a:read", "b:read"), False, None, key, None) == Explanation("scope", ("b:read", "a:*"))
    required = ("c:read", "a:read", "d:read")
    assert explain("denied", required, False, None, key, None) == Explanation("scope", (), ("c:read", "d:read"))
    assert explain("granted", required, True, None, key, None) == Explanation("scope", ("a:*",))
    assert explain("denied", required[::2], True, None, key, None) == Explanation("scope", (), ("c:read", "d:read"))


def test_catalog_decides_which_scopes_cover() -> None:
    """A scope of the catalog can include a permission of another name."""
    catalog = ScopeCatalog("1", {"a": ("a:read",)}, composites={"admin": frozenset({"a:read"})})
    key = ApiKey("k", scopes=["admin"])
    assert explain("granted", ("a:read",), False, None, key, catalog) == Explanation("scope", ("admin",))
    assert explain("granted", ("a:read",), False, None, key, None) == Explanation("unknown")


def plain_covers(scope: str, permission: str, catalog: ScopeCatalog | None) -> bool:
    """Return whether a scope covers a permission, written down from the sentences of the reference."""
    if scope == permission:
        return True
    if catalog is not None:
        for _ in catalog.aliases:
            scope = catalog.aliases.get(scope, scope)
        if scope in catalog.all_scopes or scope == permission:
            return True
        if scope in catalog.composites:
            return permission in catalog.composites[scope]
        if not any(scope == f"{resource}:*" or scope in actions for resource, actions in catalog.permissions.items()):
            return False
    return scope in ("*", "*:*") or (scope.endswith(":*") and permission.startswith(scope[:-1]))


def plain_explanation(
    outcome: str,
    required: tuple[str, ...],
    any_of: bool,
    resource: str | None,
    key: ApiKey | None,
    catalog: ScopeCatalog | None,
) -> Explanation:
    """Return the explanation, written down from the table of the reference."""
    if outcome == "error":
        return Explanation(None)
    if key is None or key.scopes is None or required == ():
        return Explanation("unknown")
    firsts, missing = [], []
    for permission in dict.fromkeys(required):
        covering = [scope for scope in key.scopes if plain_covers(scope, permission, catalog)]
        if covering:
            firsts.append(covering[0])
        else:
            missing.append(permission)
    covered = bool(firsts) if any_of else not missing
    allowed = True
    if resource is not None and key.allow_list is not None:
        entries = [entry.strip() for entry in key.allow_list]
        allowed = resource in entries or resource.split(":")[0] + ":*" in entries or "*:*" in entries
    all_known = catalog is not None and all(plain_known(name, catalog) for name in (*key.scopes, *required))
    all_known = all_known and not {*required} & {"reader", "admin", "*"}
    table = {
        ("granted", True, True): "scope",
        ("granted", True, False): "other",
        ("denied", True, True): "other",
        ("denied", True, False): "allow_list",
        ("granted", False, True): "other" if all_known else "unknown",
        ("granted", False, False): "other" if all_known else "unknown",
        ("denied", False, True): "scope",
        ("denied", False, False): "scope",
    }
    cause = table[outcome, covered, allowed]
    scopes = tuple(scope for scope in key.scopes if scope in firsts) if (outcome, cause) == ("granted", "scope") else ()
    return Explanation(cause, scopes, tuple(missing) if not covered and cause != "unknown" else ())


def plain_known(name: str, catalog: ScopeCatalog) -> bool:
    """Return whether the test's catalog knows a scope: everything but these."""
    return name not in {"*", "*:*", "c:*", "c:read", "x", "gone", "a:fly", "admin"}


cases: dict[str, Any] = {
    "outcome": st.sampled_from(["granted", "denied", "error"]),
    "required": st.lists(st.sampled_from(PERMISSIONS), max_size=3).map(tuple),
    "any_of": st.booleans(),
    "resource": st.none() | st.sampled_from(["a:1", "a:2", "b:1"]),
    "key": st.none()
    | st.builds(
        ApiKey,
        id=st.just("k"),
        scopes=st.none() | st.lists(st.sampled_from(SCOPES), max_size=4),
        allow_list=st.none()
        | st.lists(st.sampled_from(["a:1", " a:2", "a:*", "b:*", "*:*", "10.0.0.0/8"]), max_size=3),
    ),
    "catalog": st.none() | st.just(CATALOG),
}


@settings(max_examples=2_000)
@given(**cases)
def test_a_plain_implementation_agrees(**case: Any) -> None:
    """Random catalogs, scopes, allow lists, requirements and outcomes have the same explanation."""
    assert explain(**case) == plain_explanation(**case)
