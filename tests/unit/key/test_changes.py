"""The differences between two snapshots of one key, against examples and against a second implementation."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_keyaudit import ApiKey
from otel_keyaudit.key.changes import changes
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog

CATALOG = ScopeCatalog(
    version="1",
    permissions={"a": ("a:read", "a:write"), "b": ("b:read",)},
    composites={"reader": frozenset({"a:read", "b:read"})},
    aliases={"all": "ops:all", "r": "reader"},
    all_scopes=frozenset({"ops:all"}),
)


def changed(before: dict[str, Any], after: dict[str, Any], catalog: ScopeCatalog | None = None) -> dict[str, Any]:
    """Return the members of the changes between two keys of the same id, without ``from``."""
    members = changes(ApiKey("k", **before), ApiKey("k", **after), catalog).members(128)
    del members["from"]
    return members


def test_equal_snapshots() -> None:
    """If nothing differs, there are two members; order, duplicates and covered entries do not count."""
    before = ApiKey("k", "ci", ["a", "b"], ["w:*", "v:1"])
    after = ApiKey("k", "ci", ["b", "a", "a"], ["v:1", "w:1", " w:* "])
    unchanged = changes(before, after, None)
    assert unchanged.members(128) == {"from": before.digest, "power": "unchanged"}
    assert (unchanged.gained, unchanged.lost) == ((), ())
    assert changes(ApiKey("k"), ApiKey("k"), CATALOG).power == "unchanged"


def test_all_members() -> None:
    """Every list has both sides, sorted, in the documented order; the digest is the earlier one under the catalog."""
    before = ApiKey("k", "ci", ["a:read", "b:read"], ["w:2", "w:1"], "o_1", "2026-11-23T16:00:00Z")
    after = ApiKey("k", "bot", ["a:write", "a:read"], ["w:*"], "o_1")
    compared = changes(before, after, CATALOG)
    members = compared.members(128)
    assert members == {
        "from": before.digest_under("1"),
        "power": "both",
        "scopes": {"added": ("a:write",), "removed": ("b:read",)},
        "allow_list": {"added": ("w:*",), "removed": ("w:1", "w:2")},
        "permissions": {"gained": ("a:write",), "lost": ("b:read",)},
        "fields": ("expires_at", "name"),
    }
    assert list(members) == ["from", "power", "scopes", "allow_list", "permissions", "fields"]
    assert (compared.gained, compared.lost) == (("a:write", "w:*"), ("b:read",))


def test_long_lists_are_cut() -> None:
    """A cut list has its full length beside it."""
    many = [f"a:{number}" for number in range(9)]
    members = changes(ApiKey("k", scopes=[]), ApiKey("k", scopes=many), None).members(2)
    assert members["scopes"] == {"added": ("a:0", "a:1"), "added_count": 9, "removed": ()}


@pytest.mark.parametrize(
    ("before", "after", "power"),
    [
        (["a:read"], ["a:read", "a:write"], "widened"),
        (["a:read", "a:write"], ["a:read"], "narrowed"),
        (["a:read"], ["a:write"], "both"),
        (["a:read"], ["a:*"], "widened"),
        (["a:*"], ["a:read"], "narrowed"),
        (["a:*"], ["a:*", "a:read"], "unchanged"),
        (["a:*", "b:read"], ["*"], "widened"),
        (["*"], ["*:*"], "unchanged"),
        ([], ["x"], "widened"),
        (None, [], "unknown"),
        ([], None, "unknown"),
        (None, None, "unchanged"),
    ],
)
def test_scopes_without_a_catalog(before: list[str] | None, after: list[str] | None, power: str) -> None:
    """A scope is gained if no earlier scope covers it."""
    assert changed({"scopes": before}, {"scopes": after})["power"] == power


@pytest.mark.parametrize(
    ("before", "after", "power"),
    [
        (["a:read", "b:read"], ["reader"], "unchanged"),
        (["reader"], ["all"], "widened"),
        (["a:*"], ["a:read", "a:write"], "unchanged"),
        (["r"], ["reader"], "unchanged"),
        (["a:read"], ["a:read", "mars:read"], "unchanged"),
        (["a:read"], ["mars:read"], "narrowed"),
        (["a:read"], ["b:read"], "both"),
        (["a:read"], None, "unknown"),
    ],
)
def test_permissions_with_a_catalog(before: list[str], after: list[str] | None, power: str) -> None:
    """Only effective permissions are compared; scopes that differ are listed anyway."""
    members = changed({"scopes": before}, {"scopes": after}, CATALOG)
    assert members["power"] == power
    assert ("scopes" in members) == (after is not None)
    assert ("permissions" in members) == (power in ("widened", "narrowed", "both"))


@pytest.mark.parametrize(
    ("before", "after", "power"),
    [
        (["w:1"], ["w:1", "w:2"], "widened"),
        (["w:*"], ["w:1"], "narrowed"),
        (["w:1"], ["v:*"], "both"),
        (["w:1", "v:1"], ["*:*"], "widened"),
        (["*:*"], ["10.0.0.0/8"], "narrowed"),
        (["10.0.0.0/8"], ["*:*"], "widened"),
        (["10.0.0.0/8"], ["10.1.0.0/16"], "unknown"),
        (["2001:db8::/32"], ["2001:db8:1::/48"], "unknown"),
        (["https://a.example"], ["https://b.example"], "unknown"),
        (["10.0.0.0/8"], ["w:1"], "both"),
        (["10.0.0.0/8"], ["10.0.0.0/8", "10.1.0.0/16"], "widened"),
        (None, ["w:1"], "unknown"),
        (["w:1"], None, "unknown"),
        ([], ["w:1"], "widened"),
    ],
)
def test_allow_lists(before: list[str] | None, after: list[str] | None, power: str) -> None:
    """An entry is gained if no earlier entry covers it; networks and origins that came and went are not comparable."""
    assert changed({"allow_list": before}, {"allow_list": after})["power"] == power


@pytest.mark.parametrize("field", ["name", "owner", "expires_at"])
def test_other_fields(field: str) -> None:
    """They are named if they differ, and do not change the power of a key."""
    first, second = "2026-11-23T16:00:00Z", "2027-11-23T16:00:00Z"
    for before, after in itertools.permutations([None, first, second], 2):
        assert changed({field: before}, {field: after}) == {"power": "unchanged", "fields": (field,)}


def plain_changes(  # noqa: C901 - one sentence of the reference after the other
    before: ApiKey, after: ApiKey, catalog: ScopeCatalog | None
) -> dict[str, Any]:
    """Return the members, written down from the sentences of the reference."""
    members: dict[str, Any] = {"from": before.digest_under(None if catalog is None else catalog.version), "power": None}
    gained, lost = set(), set()

    def covers(wide: str, narrow: str) -> bool:
        wildcards = {narrow.partition(":")[0] + ":*"} if ":" in narrow else set()
        return wide in ({narrow, "*", "*:*"} | wildcards)

    def normal(entries: tuple[str, ...]) -> set[str]:
        kept = {entry.strip() for entry in entries}
        return {one for one in kept if not any(other != one and entry_covers(other, one) for other in kept)}

    def entry_covers(wide: str, narrow: str) -> bool:
        return wide in (narrow, "*:*") or (wide.endswith(":*") and wide != "*:*" and narrow.startswith(wide[:-1]))

    def add(name: str, old: set[str], new: set[str], labels: tuple[str, str]) -> None:
        if old != new:
            members[name] = dict(zip(labels, (tuple(sorted(new - old)), tuple(sorted(old - new))), strict=True))

    if before.scopes is not None and after.scopes is not None:
        add("scopes", {*before.scopes}, {*after.scopes}, ("added", "removed"))
        if catalog is None:
            gained |= {one for one in after.scopes if not any(covers(other, one) for other in before.scopes)}
            lost |= {one for one in before.scopes if not any(covers(other, one) for other in after.scopes)}
    if before.allow_list is not None and after.allow_list is not None:
        old, new = normal(before.allow_list), normal(after.allow_list)
        add("allow_list", old, new, ("added", "removed"))
        entries = (
            {one for one in new if not any(entry_covers(other, one) for other in old)},
            {one for one in old if not any(entry_covers(other, one) for other in new)},
        )
        gained |= entries[0]
        lost |= entries[1]
    if catalog is not None and before.scopes is not None and after.scopes is not None:
        old, new = ({*catalog.effective(scopes)[0]} for scopes in (before.scopes, after.scopes))
        add("permissions", old, new, ("gained", "lost"))
        gained |= new - old
        lost |= old - new
    names = [name for name in ("expires_at", "name", "owner") if getattr(before, name) != getattr(after, name)]
    if names:
        members["fields"] = tuple(names)
    one_sided = any((getattr(before, n) is None) != (getattr(after, n) is None) for n in ("scopes", "allow_list"))
    networks = {"10.0.0.0/8", "10.1.0.0/16", "https://a.example"}
    if one_sided or (gained & networks and lost & networks):
        members["power"] = "unknown"
    else:
        members["power"] = ["unchanged", "widened", "narrowed", "both"][bool(gained) + 2 * bool(lost)]
    return members


SCOPES = ["a:read", "a:write", "a:*", "b:read", "*", "reader", "all", "mars:read"]
ENTRIES = ["w:1", "w:2", "w:*", "v:1", "*:*", "10.0.0.0/8", "10.1.0.0/16", "https://a.example", " w:1 "]
keys = st.builds(
    ApiKey,
    id=st.just("k"),
    name=st.none() | st.sampled_from(["x", "y"]),
    scopes=st.none() | st.lists(st.sampled_from(SCOPES), max_size=4),
    allow_list=st.none() | st.lists(st.sampled_from(ENTRIES), max_size=3),
    owner=st.none() | st.just("o"),
)


@settings(max_examples=2_000)
@given(keys, keys, st.none() | st.just(CATALOG))
def test_a_plain_implementation_agrees(before: ApiKey, after: ApiKey, catalog: ScopeCatalog | None) -> None:
    """Random pairs of snapshots have the same changes."""
    assert changes(before, after, catalog).members(128) == plain_changes(before, after, catalog)


@pytest.mark.parametrize("catalog", [None, CATALOG])
def test_all_pairs_of_small_lists(catalog: ScopeCatalog | None) -> None:
    """Every pair of lists of at most two elements agrees, for scopes and for allow lists."""
    for field, elements in (("scopes", SCOPES), ("allow_list", ENTRIES)):
        lists = [None, [], *([one] for one in elements), *map(list, itertools.combinations(elements, 2))]
        for one, other in itertools.product(lists, repeat=2):
            before, after = ApiKey("k", **{field: one}), ApiKey("k", **{field: other})  # type: ignore[arg-type]
            assert changes(before, after, catalog).members(128) == plain_changes(before, after, catalog)


def test_gained_and_lost_swap() -> None:
    """Comparing in the other direction exchanges gained and lost."""
    one, other = ApiKey("k", scopes=["a:read"], allow_list=["w:*"]), ApiKey("k", scopes=["b:*"], allow_list=["w:1"])
    there, back = changes(one, other, None), changes(other, one, None)
    assert (there.gained, there.lost) == (("b:*",), ("a:read", "w:*")) == (back.lost, back.gained)
