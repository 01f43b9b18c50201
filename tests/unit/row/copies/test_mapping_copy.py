"""The merge copies mappings of other classes as their kind or as a plain dict, and keeps every value of a name."""

import copy
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
import starlette.datastructures as starlette
import werkzeug.datastructures as werkzeug

from otel_keyaudit.row.copies.mapping_copy import changeable_copy, put_values
from support.merges.members import REQUEST, SUBJECT, key_member, merge_of, merged

MEMBER = key_member()


class Holding(MutableMapping[str, Any]):
    """Keeps its items in an attribute, so that a plain copy shares them."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self.items_held = dict(items)

    def __getitem__(self, name: str) -> Any:
        return self.items_held[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.items_held[name] = value

    def __delitem__(self, name: str) -> None:
        del self.items_held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_held)

    def __len__(self) -> int:
        return len(self.items_held)


class Sharing(Holding):
    """Every copy is a view of the same items."""

    def __copy__(self) -> "Sharing":
        view = Sharing({})
        view.items_held = self.items_held
        return view


class Slotted(MutableMapping[str, Any]):
    """Keeps its items in a slot, so that a plain copy shares them."""

    __slots__ = ("held",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        self.held = dict(items)

    __getitem__ = Holding.__getitem__
    __len__ = Holding.__len__
    __iter__ = Holding.__iter__
    __setitem__ = Holding.__setitem__
    __delitem__ = Holding.__delitem__

    @property
    def items_held(self) -> dict[str, Any]:
        return self.held


class Part(dict[str, Any]):
    """A part of a record, which defines equality only."""

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = None


class Record(MutableMapping[str, Any]):
    """Keeps its items in an attribute and offers a deep copy only, as a ``Struct`` of protobuf."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self.pairs = [*items.items()]

    def __getitem__(self, name: str) -> Any:
        return dict(self.pairs)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        kept = Part(value) if name == REQUEST and type(value) is dict else value
        self.pairs = [*{**dict(self.pairs), name: kept}.items()]

    def __delitem__(self, name: str) -> None:
        self[name]
        self.pairs[:] = [pair for pair in self.pairs if pair[0] != name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def __deepcopy__(self, memo: Any) -> "Record":
        return Record(dict(self.pairs))


class CopyOfAnotherKind(Holding):
    def __copy__(self) -> dict[str, Any]:
        return dict(self)


class Itself(Holding):
    def __copy__(self) -> "Itself":
        return self


class Frozen(Mapping[str, Any]):
    """Cannot be changed."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._held = dict(items)

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


class Locked(dict[str, Any]):
    """A dict that refuses changes."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError("locked")

    def __delitem__(self, name: str) -> None:
        raise TypeError("locked")


class Upper(dict[str, Any]):
    """A dict with attributes and a way of its own to take items."""

    label = "none"

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self.label = "set"


def _default_dict(items: Mapping[str, Any]) -> "defaultdict[str, Any]":
    return defaultdict(list, items)


class Index:
    """Keeps the order of the names in a list, and the changes in a deque."""

    __slots__ = ()
    order: list[str]
    changes: "deque[str]"

    def __init__(self, items: Mapping[str, Any]) -> None:
        super().__init__()
        self.order, self.changes = [], deque()  # type: ignore[misc]
        for name, value in items.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.order:
            self.order.append(name)
        self.changes.append(name)
        super().__setitem__(name, value)  # type: ignore[misc]

    def __delitem__(self, name: str) -> None:
        self.order.remove(name)
        super().__delitem__(name)  # type: ignore[misc]

    def __iter__(self) -> Iterator[str]:
        return iter(self.order)


class IndexedDict(Index, dict[str, Any]):
    pass


class IndexedInSlots(Index, dict[str, Any]):
    __slots__ = ("changes", "order")


class IndexedOrderedDict(Index, OrderedDict[str, Any]):
    pass


class IndexedUserDict(Index, UserDict[str, Any]):
    pass


class EmptyHolding(Holding):
    def __init__(self) -> None:
        super().__init__({})


class IndexedHolding(Index, EmptyHolding):
    pass


class LinkedIndex(dict[str, Any]):
    """A dict whose index is an instance of the same class, so that it cannot be copied."""

    def __init__(self, items: Mapping[str, Any], inverse: Any = None) -> None:
        super().__init__(items)
        self.inverse = LinkedIndex({str(value): name for name, value in items.items()}, self) if inverse is None else {}

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        dict.__setitem__(self.inverse, str(value), name)


INDEXED = [IndexedDict, IndexedInSlots, IndexedOrderedDict, IndexedUserDict, IndexedHolding]
CHANGEABLE = [OrderedDict, _default_dict, UserDict, Holding, Record, Slotted, Upper, Counter, ChainMap, *INDEXED]
BECOME_DICTS = [MappingProxyType, Frozen, Locked, Sharing, CopyOfAnotherKind, Itself, LinkedIndex]


@pytest.mark.parametrize("kind", [*INDEXED, LinkedIndex], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_an_index_of_the_original_is_not_changed(kind: Any, member: Any) -> None:
    """Attributes in which a mapping keeps an index of its items are copied, too."""
    fields = kind({REQUEST: "root", "a": 1})
    names = ("order", "changes", "inverse")
    before = [repr(getattr(fields, name, None)) for name in names]
    merge_of(member).into(fields)
    assert [repr(getattr(fields, name, None)) for name in names] == before
    assert dict(fields) == {REQUEST: "root", "a": 1}


@pytest.mark.parametrize("kind", CHANGEABLE, ids=lambda kind: kind.__name__)
def test_a_mapping_is_copied_as_its_kind(kind: Any) -> None:
    """The copy has the same class and values, with the library's member last."""
    value = object()
    fields = kind({"a": value, "b": 2})
    after, moved = merge_of(MEMBER).into(fields)
    assert type(after) is type(fields)
    assert (dict(after), moved) == ({"a": value, "b": 2, REQUEST: MEMBER.as_object()}, 0)
    assert dict(fields) == {"a": value, "b": 2}
    after["c"] = 3
    assert "c" not in fields


@pytest.mark.parametrize("kind", CHANGEABLE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_a_forged_member_is_moved_in_the_copy_only(kind: Any, member: Any) -> None:
    """A value under a reserved name is moved in the copy, with or without a key, and stays in the original."""
    forged = {"id": "root"}
    fields = kind({REQUEST: forged, "a": 1})
    after, moved = merge_of(member).into(fields)
    expected = {"a": 1, f"{REQUEST}_unverified": forged} | ({} if member is None else {REQUEST: member.as_object()})
    assert (dict(after), moved) == (expected, 1)
    assert after[f"{REQUEST}_unverified"] is forged
    assert dict(fields) == {REQUEST: forged, "a": 1}


@pytest.mark.parametrize("kind", CHANGEABLE, ids=lambda kind: kind.__name__)
def test_ours_is_replaced_and_removed(kind: Any) -> None:
    """A mapping of the same request gets the new member, or loses the old one."""
    merge = merge_of(MEMBER)
    once, _ = merge.into(kind({"a": 1}))
    again, moved = merge_of(key_member("k_2"), after=merge).into(once)
    assert (dict(again), moved) == ({"a": 1, REQUEST: key_member("k_2").as_object()}, 0)
    emptied, moved = merge_of(after=merge).into(again)
    assert (dict(emptied), moved) == ({"a": 1}, 0)


@pytest.mark.parametrize("kind", [*CHANGEABLE, *BECOME_DICTS], ids=lambda kind: kind.__name__)
def test_a_mapping_without_anything_to_do_is_returned_itself(kind: Any) -> None:
    """Without a key and a reserved name the mapping is not copied."""
    fields = kind({"a": 1})
    assert merge_of().into(fields) == (fields, 0)
    assert merge_of().into(fields)[0] is fields


@pytest.mark.parametrize("kind", BECOME_DICTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_a_mapping_without_a_changeable_copy_is_passed_on_as_a_dict(kind: Any, member: Any) -> None:
    """Read-only mappings and mappings with shared copies become a dict in the same order."""
    items = {REQUEST: {"id": "root"}, SUBJECT: 1, "a": 1}
    fields = kind(items)
    after, moved = merge_of(member).into(fields)
    ours = {} if member is None else {REQUEST: member.as_object()}
    assert type(after) is dict
    assert after == {"a": 1, f"{REQUEST}_unverified": {"id": "root"}, f"{SUBJECT}_unverified": 1, **ours}
    assert moved == 2
    assert list(fields.items()) == list(items.items())


class Stored(MutableMapping[str, Any]):
    """Keeps its items outside of the process, as a mapping of a database does."""

    ITEMS: ClassVar[dict[str, Any]] = {}
    writes = 0

    def __getitem__(self, name: str) -> Any:
        return self.ITEMS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ITEMS)

    def __len__(self) -> int:
        return len(self.ITEMS)

    def __setitem__(self, name: str, value: Any) -> None:
        type(self).writes += 1

    def __delitem__(self, name: str) -> None:
        type(self).writes += 1


def test_a_mapping_of_a_database_is_not_written_to() -> None:
    """The mapping of a database is passed on as a dict, without trying to write to it."""
    Stored.ITEMS.update(a=1)
    assert merge_of(MEMBER).into(Stored())[0] == {"a": 1, REQUEST: MEMBER.as_object()}
    assert Stored.writes == 0


@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
@pytest.mark.parametrize("same", [False, True])
def test_every_mapping_of_a_chain_is_cleared(member: Any, same: bool) -> None:
    """No look-up in the chain or its parents finds a foreign member, and every value has a free name."""
    client = {REQUEST: {"id": "root"}, "a": 1}
    other = client if same else {REQUEST: "second"}
    read_only: Any = MappingProxyType(client)
    chains: list[ChainMap[str, Any]] = [ChainMap({}, client), ChainMap(other, client), ChainMap({}, read_only)]
    for fields in chains:
        before = [dict(one) for one in fields.maps]
        after, moved = merge_of(member).into(fields)
        assert after.get(REQUEST) == (None if member is None else member.as_object())
        assert REQUEST not in after.parents
        forged = [one[REQUEST] for one in before if REQUEST in one]
        kept = [value for one in after.maps for name, value in one.items() if name.startswith(f"{REQUEST}_unverified")]
        assert (kept, moved) == (forged, len(forged))
        assert len({name for name in after if name.endswith("_unverified")}) == len(forged)
        assert [dict(one) for one in fields.maps] == before


def test_a_default_dict_keeps_its_factory_and_makes_nothing() -> None:
    """Looking for reserved names creates no items."""
    fields: defaultdict[str, Any] = defaultdict(list, a=1)
    after, _ = merge_of(MEMBER).into(fields)
    assert after.default_factory is list
    assert list(fields) == ["a"]


def test_a_dict_subclass_takes_its_items_in_its_own_way() -> None:
    """The class of the application sets the item, and its attributes are copied."""
    fields = Upper(a=1)
    after, _ = merge_of(MEMBER).into(fields)
    assert (after.label, fields.label) == ("set", "none")


def test_copy_keeps_items_with_the_names_used_for_trying() -> None:
    """A mapping that holds the names used for trying keeps all of them with their values."""
    names = ["otel_keyaudit" + "_unverified" * length for length in range(4)]
    assert list(merged(OrderedDict.fromkeys(names, 1), MEMBER)) == [*names, REQUEST]


def test_a_copy_has_no_trace_of_how_it_was_tried() -> None:
    """The copy has only the original items and the library's member."""
    names = ["otel_keyaudit", "otel_keyaudit_unverified"]
    fields = Holding(dict.fromkeys(names, 1))
    after, _ = merge_of(MEMBER).into(fields)
    assert list(after) == [*names, REQUEST]
    assert list(fields) == names


def test_values_are_shared_with_the_given_mapping_and_not_copied() -> None:
    """A copy is shallow, so values need not be copyable."""

    class Uncopyable:
        def __copy__(self) -> "Uncopyable":
            raise TypeError

        def __deepcopy__(self, memo: Any) -> "Uncopyable":
            raise TypeError

    value = Uncopyable()
    with pytest.raises(TypeError):
        copy.copy(value)
    assert merge_of(MEMBER).into(UserDict(a=value))[0]["a"] is value


class HasEverything(dict[str, Any]):
    """Says that it has every name."""

    def __contains__(self, name: object) -> bool:
        return True


class StringsOnly(UserDict[str, Any]):
    """Refuses values that are not strings, as the headers of HTTP libraries do."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value.lower())


class Converting(UserDict[str, Any]):
    """Makes strings of its values, as cookies do."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, str(value))


class Failing(UserDict[str, Any]):
    """Fails with an exception of its own."""

    def __delitem__(self, name: str) -> None:
        raise Exception("no")  # noqa: TRY002 - the application's classes are unknown


@pytest.mark.parametrize("kind", [StringsOnly, Converting, Failing], ids=lambda kind: kind.__name__)
def test_a_mapping_that_does_not_take_a_value_is_passed_on_as_a_dict(kind: Any) -> None:
    """The row has the member, and the client's value has another name."""
    fields = kind({REQUEST: "root", "a": "1"})
    after, moved = merge_of(MEMBER).into(fields)
    assert dict(after) == {"a": "1", f"{REQUEST}_unverified": "root", REQUEST: MEMBER.as_object()}
    assert (type(after), moved) == (dict, 1)
    assert dict(fields) == {REQUEST: "root", "a": "1"}


@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_a_mapping_that_has_every_name_is_copied_in_the_end(member: Any) -> None:
    """The search for a free name ends."""
    fields = HasEverything(a=1)
    after, _ = merge_of(member).into(fields)
    assert {name: after[name] for name in after} == {
        "a": 1,
        **({} if member is None else {REQUEST: MEMBER.as_object()}),
    }
    assert list(fields) == ["a"]


@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
@pytest.mark.parametrize(
    "around", [MappingProxyType, lambda chained: ChainMap({}, chained), lambda chained: ChainMap(chained, {"b": 2})]
)
def test_a_chain_inside_another_mapping_is_cleared_in_the_copy_only(member: Any, around: Any) -> None:
    """Copies of a chain share all mappings but the first."""
    client = {REQUEST: {"id": "root"}, "a": 1}
    after, moved = merge_of(member).into(around(ChainMap({}, client)))
    assert after.get(REQUEST) == (None if member is None else member.as_object())
    assert after[f"{REQUEST}_unverified"] == {"id": "root"}
    assert moved == 1
    assert client == {REQUEST: {"id": "root"}, "a": 1}


class AnyCase(Frozen):
    """A read-only mapping whose look-ups ignore case, as Django's headers."""

    def __getitem__(self, name: str) -> Any:
        return next((value for key, value in self._held.items() if key.lower() == name.lower()))

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in map(str.lower, self._held)


@pytest.mark.parametrize("member", [None, MEMBER], ids=["nothing", "member"])
def test_a_name_in_any_case_is_moved_where_look_ups_ignore_case(member: Any) -> None:
    """In the dict that is passed on, the client's spelling would look like the member."""
    after, moved = merge_of(member).into(AnyCase({"Request_API_Key": "root", "a": 1}))
    ours = {} if member is None else {REQUEST: member.as_object()}
    assert after == {"a": 1, f"{REQUEST}_unverified": "root", **ours}
    assert moved == 1


PAIRS = [(REQUEST, "root"), ("x", "1"), (REQUEST, "admin"), ("x", "2")]
QUERY = f"{REQUEST}=root&x=1&{REQUEST}=admin&x=2"


def _multidict(kind: str, pairs: list[tuple[str, str]] = PAIRS) -> Any:
    multidict = pytest.importorskip("multidict")
    made = (multidict.CIMultiDict if kind.startswith("CI") else multidict.MultiDict)(pairs)
    return getattr(multidict, kind)(made) if kind.endswith("Proxy") else made


def _django(kind: str, *, mutable: bool = False) -> Any:
    pytest.importorskip("django")
    from django.http import QueryDict  # noqa: PLC0415 - only where it is installed
    from django.utils.datastructures import MultiValueDict  # noqa: PLC0415

    from support.services.django_service import set_up  # noqa: PLC0415

    set_up()
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
    """Every value of the name is moved, in a copy of its kind or in a dict of lists."""
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
    """The values of a free name do not mix with others."""
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
    """A change of the copy is not in the original."""
    fields = MAPPINGS[name][0]()
    before = repr(fields)
    copied: Any = changeable_copy(fields)
    for method, arguments in (("add", ("x", "3")), ("append", ("x", "3")), ("appendlist", ("x", "3"))):
        if hasattr(copied, method):
            getattr(copied, method)(*arguments)
    copied["y"] = "4"
    assert repr(fields) == before


def test_a_name_in_any_case_is_reserved_if_lookups_ignore_case() -> None:
    """Every spelling in a ``CIMultiDict`` is found by a look-up."""
    fields = _multidict("CIMultiDict", [("Request_API_Key", "root"), ("x", "1")])
    after, moved = merge_of().into(fields)
    assert after.get(REQUEST) is None
    assert (after[f"{REQUEST}_unverified"], moved) == ("root", 1)


@pytest.mark.parametrize(("values", "expected"), [([1], 1), ([1, 2], [1, 2])])
def test_no_value_of_a_name_is_lost(values: list[int], expected: object) -> None:
    """A mapping that cannot hold several values for a name receives their list."""
    mapping: dict[str, object] = {}
    put_values(mapping, "key_unverified", values)
    assert mapping == {"key_unverified": expected}
