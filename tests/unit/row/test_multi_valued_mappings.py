"""Mappings with several values for a name: no lookup finds a foreign member, and every value is kept."""

from typing import Any

import pytest
import starlette.datastructures as starlette
import werkzeug.datastructures as werkzeug

from otel_keyaudit.row.copies.mapping_copy import changeable_copy
from support.members import REQUEST, key_member, merge_of

MEMBER = key_member()
PAIRS = [(REQUEST, "root"), ("x", "1"), (REQUEST, "admin"), ("x", "2")]
QUERY = f"{REQUEST}=root&x=1&{REQUEST}=admin&x=2"


def _multidict(kind: str, pairs: list[tuple[str, str]] = PAIRS) -> Any:
    multidict = pytest.importorskip("multidict")
    made = (multidict.CIMultiDict if kind.startswith("CI") else multidict.MultiDict)(pairs)
    return getattr(multidict, kind)(made) if kind.endswith("Proxy") else made


def _django(kind: str, *, mutable: bool = False) -> Any:
    pytest.importorskip("django")
    from django.conf import settings  # noqa: PLC0415 - only where it is installed
    from django.http import QueryDict  # noqa: PLC0415
    from django.utils.datastructures import MultiValueDict  # noqa: PLC0415

    if not settings.configured:
        settings.configure()
    if kind == "QueryDict":
        return QueryDict(QUERY, mutable=mutable, encoding="utf-8")
    return MultiValueDict({REQUEST: ["root", "admin"], "x": ["1", "2"]})


class Reader(dict[str, list[str]]):
    """A dict of lists that also returns single values, as sanic's."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


MAPPINGS: dict[str, tuple[Any, str]] = {
    "multidict.MultiDict": (lambda: _multidict("MultiDict"), "MultiDict"),
    "multidict.MultiDictProxy": (lambda: _multidict("MultiDictProxy"), "MultiDict"),
    "multidict.CIMultiDict": (lambda: _multidict("CIMultiDict"), "CIMultiDict"),
    "multidict.CIMultiDictProxy": (lambda: _multidict("CIMultiDictProxy"), "CIMultiDict"),
    "werkzeug.MultiDict": (lambda: werkzeug.MultiDict(PAIRS), "MultiDict"),
    "werkzeug.ImmutableMultiDict": (lambda: werkzeug.ImmutableMultiDict(PAIRS), "MultiDict"),
    "werkzeug.CombinedMultiDict": (lambda: werkzeug.CombinedMultiDict([werkzeug.MultiDict(PAIRS)]), "MultiDict"),
    "starlette.MultiDict": (lambda: starlette.MultiDict(PAIRS), "MultiDict"),
    "starlette.ImmutableMultiDict": (lambda: starlette.ImmutableMultiDict(PAIRS), "dict"),
    "starlette.QueryParams": (lambda: starlette.QueryParams(QUERY), "dict"),
    "starlette.FormData": (lambda: starlette.FormData([*PAIRS]), "dict"),
    "django.QueryDict": (lambda: _django("QueryDict"), "QueryDict"),
    "django.QueryDict, mutable": (lambda: _django("QueryDict", mutable=True), "QueryDict"),
    "django.MultiValueDict": (lambda: _django("MultiValueDict"), "MultiValueDict"),
    "own": (lambda: Reader({REQUEST: ["root", "admin"], "x": ["1", "2"]}), "dict"),
}


def values(mapping: Any, name: str) -> list[Any]:
    """Return all values of a name."""
    for reader in ("getall", "getlist"):
        if hasattr(mapping, reader):
            return list(getattr(mapping, reader)(name))
    return list(mapping[name])


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_every_value_is_moved_aside(name: str, member: Any) -> None:
    """With and without a key; as its changeable kind or as a dict of lists; the given one is unchanged."""
    make, kind = MAPPINGS[name]
    fields = make()
    before = repr(fields)
    after, moved = merge_of(member).into(fields)
    assert type(after).__name__ == kind
    assert after.get(REQUEST) == (None if member is None else member.as_object())
    assert values(after, f"{REQUEST}_unverified") == ["root", "admin"]
    assert values(after, "x") == ["1", "2"]
    assert moved >= 1
    assert repr(fields) == before


@pytest.mark.parametrize("name", MAPPINGS)
def test_taken_names_stay(name: str) -> None:
    """The values of the first free name do not mix with others."""
    make, _ = MAPPINGS[name]
    changed: Any = changeable_copy(make())
    changed[f"{REQUEST}_unverified"] = ["taken"] if type(changed) is dict else "taken"
    after, _ = merge_of(MEMBER).into(changed)
    assert REQUEST in after
    assert values(after, f"{REQUEST}_unverified") == ["taken"]
    if type(after) is not dict:
        assert values(after, f"{REQUEST}_unverified_unverified") == ["root", "admin"]


@pytest.mark.parametrize("name", [name for name in MAPPINGS if name != "own"])
def test_a_copy_is_independent(name: str) -> None:
    """A change of the copy does not show in the original, however it is made."""
    fields = MAPPINGS[name][0]()
    before = repr(fields)
    copied: Any = changeable_copy(fields)
    for method, arguments in (("add", ("x", "3")), ("append", ("x", "3")), ("appendlist", ("x", "3"))):
        if hasattr(copied, method):
            getattr(copied, method)(*arguments)
    copied["y"] = "4"
    assert repr(fields) == before


def test_a_name_in_any_case_is_reserved_if_lookups_ignore_case() -> None:
    """In a ``CIMultiDict`` every spelling is found by a lookup."""
    fields = _multidict("CIMultiDict", [("Request_API_Key", "root"), ("x", "1")])
    after, moved = merge_of().into(fields)
    assert after.get(REQUEST) is None
    assert (after[f"{REQUEST}_unverified"], moved) == ("root", 1)
