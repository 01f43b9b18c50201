"""Only declared fields of a key object are read, each on its own, and a key is converted once."""

import asyncio
import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Set
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest

from otel_keyaudit import ApiKey, AuthTarget
from otel_keyaudit.key.api_key import READERS
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_reader import KeyReader
from otel_keyaudit.targets.key_objects.key_source import KeySource
from otel_keyaudit.targets.key_objects.key_types import KeyTypes
from otel_keyaudit.testing import Recorder
from support.applications.stored_keys import Application, not_expected
from support.environment.garbage import garbage_after
from support.environment.instructions import count_instructions

FIELDS: dict[str, Any] = {"id": "k_1", "name": "ci-bot", "scopes": ["a", "b"], "allow_list": ["w:1"]}


class UnprintableError(Exception):
    """An exception whose ``str`` and ``repr`` raise."""

    def __str__(self) -> str:
        raise RuntimeError("do not look")

    __repr__ = __str__


ERRORS: list[Callable[[], Exception]] = [
    lambda: ValueError("s3cret"),
    lambda: KeyError("s3cret"),
    lambda: AttributeError("s3cret"),
    lambda: UnicodeDecodeError("utf-8", b"s3cret", 0, 1, "s3cret"),
    lambda: RecursionError("s3cret"),
    lambda: MemoryError("s3cret"),
    lambda: StopIteration("s3cret"),
    lambda: TimeoutError("s3cret"),
    UnprintableError,
]


@pytest.fixture
def app(recorder: Recorder, shop: Any) -> Application:
    """The shop, not instrumented yet."""
    return Application(recorder, shop)


def recorder(**fields: Any) -> Any:
    """Return a key object that takes note of every attribute somebody asks for, and invents none."""

    class Key:
        asked: ClassVar[list[str]] = []

        def __getattribute__(self, name: str) -> Any:
            if name.startswith("__"):
                return super().__getattribute__(name)
            Key.asked.append(name)
            if name in fields:
                return fields[name]
            raise AttributeError(name)

    return Key()


def inventor() -> Any:
    """Return a key object that has an answer to everything."""

    class Key:
        asked: ClassVar[list[str]] = []

        def __getattr__(self, name: str) -> Any:
            Key.asked.append(name)
            return f"invented {name}"

    return Key()


def test_only_declared_fields_are_read_and_each_once(app: Application) -> None:
    """A member that no target names is never read, and none is read twice."""
    app.instrument()
    key = recorder(id="k_1", name="ci-bot", scopes=["a"], allow_list=[], secret="s3cret", owner="o", key="s3cret")
    assert app.row(key)["scopes"] == ["a"]
    assert type(key).asked == ["id", "name", "scopes", "allow_list"]


def test_only_missing_fields_are_looked_up_under_other_names(app: Application) -> None:
    """Only the alternative names of missing fields are looked up."""
    app.instrument()
    key = recorder(id="k_1")
    assert list(app.row(key)) == ["id", "digest", "detail", "trace_id", "span_id"]
    assert type(key).asked == ["id", "name", "token_name", "scopes", "allow_list"]
    assert app.recorder.errors() == {}


def test_fields_that_are_configured_are_read_once(app: Application) -> None:
    """``when``, ``valid`` and further fields are declared too."""
    app.instrument("?id=public&owner=user.login&when=kind&valid=active&expires_at=until")
    user = recorder(login="ada", password="s3cret")
    key = recorder(public=7, name="n", scopes=(), allow_list=(), user=user, kind="api", active=True, until=None)
    assert app.row(key)["owner"] == "ada"
    assert sorted(type(key).asked) == ["active", "allow_list", "kind", "name", "public", "scopes", "until", "user"]
    assert type(user).asked == ["login"]


def test_a_subject_is_read_like_a_key(app: Application) -> None:
    """The declared fields of a subject are read once."""
    app.instrument(audit="?subject=args.subject&subject_id=uid")
    subject = recorder(uid="k_9", name="new", scopes=["a"], allow_list=None)
    app.shop.record("key.create", subject=subject)
    assert app.shop.ROWS[-1]["api_key"]["id"] == "k_9"
    assert sorted(type(subject).asked) == ["allow_list", "name", "scopes", "uid"]


def test_only_declared_attributes_are_requested_of_any_object(app: Application) -> None:
    """The object has any attribute, so only declared ones may be requested."""
    app.instrument()
    key = inventor()
    row = app.row(key)
    assert (row["id"], row["name"], row["scopes"]) == ("invented id", "invented name", ["invented scopes"])
    assert type(key).asked == list(FIELDS)


def test_only_declared_items_are_requested_of_a_mapping(app: Application) -> None:
    """Only declared items of token claims are read."""
    app.instrument("?id=jti&scopes=scope|split")
    row = app.row({"jti": "t_1", "scope": "a b", "sub": "s3cret", "name": "n"})
    assert (row["id"], row["name"], row["scopes"]) == ("t_1", "n", ["a", "b"])
    assert "s3cret" not in str(row)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error()).__name__)
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_raises_costs_only_itself(
    app: Application, field: str, error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """The field is unknown, counted once and logged without the message; without an id there is no key."""
    app.instrument()

    class Key:
        id, name, scopes, allow_list = "k_1", "ci-bot", ["a"], ["b"]

    def fail(_: object) -> None:
        raise error()

    setattr(Key, field, property(fail))
    row = app.row(Key())
    if field == "id":
        assert row is None
    else:
        assert set(FIELDS) - set(row) == {field}
    kind = type(error())
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    assert app.recorder.errors() == {("authentication", name): 1}
    assert "s3cret" not in caplog.text
    assert len([record for record in caplog.records if record.name.startswith("otel_keyaudit")]) == 1


@pytest.mark.parametrize(
    "value", [object(), 1.5, True, b"k", {"a": 1}, [["a"]], [None], [object()], range(2), iter("ab")]
)
def test_field_of_another_type_is_unknown_and_never_shown(app: Application, value: object) -> None:
    """The value is never converted by ``repr``."""
    app.instrument("?scopes=wanted&allow_list=listed")

    class Key:
        id, name, wanted, listed = "k_1", value, value, ["ok"]

    row = app.row(Key())
    assert (row["id"], "name" in row, row["allow_list"]) == ("k_1", False, ["ok"])
    if value == range(2):
        assert row["scopes"] == ["0", "1"]
    else:
        assert "scopes" not in row
    assert sum(app.recorder.errors().values()) == 1


class Plain:
    """Has every field as an attribute of its own."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class Slotted:
    """Has no ``__dict__``."""

    __slots__ = ("allow_list", "id", "name", "scopes")

    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)


class Inherited(Plain):
    """Has some of its fields from its class."""

    name = "everybody"
    allow_list = ()


class Computed(Plain):
    """Has attributes that are worked out."""

    @property
    def name(self) -> str:
        """A name."""
        return f"name of {self.__dict__['id']}"


class Claims(dict[str, Any]):
    """A mapping, with attributes of the same names that are something else."""

    id = name = "attribute"
    scopes = allow_list = ("attribute",)


class Pretending:
    """Passes for a mapping, as a proxy of one does."""

    id = name = "attribute"
    scopes = allow_list = ("attribute",)
    __class__ = property(lambda self: dict)

    def __getitem__(self, name: str) -> Any:
        return FIELDS[name]

    def __contains__(self, name: str) -> bool:
        return name in FIELDS


class Heir(Pretending):
    """Inherits from the class above."""


KEYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "attributes": (Plain(**FIELDS), FIELDS),
    "slots": (Slotted(**FIELDS), FIELDS),
    "a mapping": (FIELDS, FIELDS),
    "a mapping with attributes": (Claims(FIELDS), FIELDS),
    "what passes for a mapping": (Pretending(), FIELDS),
    "what inherits from that": (Heir(), FIELDS),
    "from the class": (
        Inherited(id="k_1", scopes=["a"]),
        {"id": "k_1", "name": "everybody", "scopes": ["a"], "allow_list": []},
    ),
    "worked out": (
        Computed(id="k_1", scopes=["a"], allow_list=None),
        {"id": "k_1", "name": "name of k_1", "scopes": ["a"]},
    ),
    "some are missing": (Plain(id="k_1", token_name="ci-bot"), {"id": "k_1", "name": "ci-bot"}),
    "another name": (Plain(**{**FIELDS, "name": None, "token_name": "other"}), {**FIELDS, "name": "other"}),
    "a set": (Plain(**{**FIELDS, "scopes": {"b", "a"}}), FIELDS),
    "tuples and a number": (
        Plain(id=7, name=None, scopes=("b",), allow_list=(), token_name=None),
        {"id": "7", "scopes": ["b"], "allow_list": []},
    ),
}


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fields that were brought into their form, by name."""
    names: list[str] = []

    def counting(name: str, read: Any) -> Any:
        def convert(value: Any) -> Any:
            names.append(name)
            return read(value)

        return convert

    for name, read in READERS.items():
        monkeypatch.setitem(READERS, name, counting(name, read))
    return names


@pytest.mark.parametrize("query", ["", "?owner=args.name"], ids=["of the key alone", "of the call too"])
@pytest.mark.parametrize(("key", "fields"), KEYS.values(), ids=KEYS)
def test_the_same_key_is_converted_once(
    app: Application, converted: list[str], key: object, fields: dict[str, Any], query: str
) -> None:
    """The second request finds the converted key of the first."""
    app.instrument(query)
    expected = {**fields, "owner": "key"} if query else fields
    for times in ("first", "second"):
        row = app.row(key)
        assert {name: row[name] for name in (*FIELDS, "owner") if name in row} == expected
        assert (converted == []) is (times == "second")
        converted.clear()


def test_a_key_that_has_changed_is_read_as_it_is_now(app: Application, converted: list[str]) -> None:
    """Any change of scopes, name or order makes another snapshot."""
    app.instrument()
    key = Plain(id="k_1", name="ci-bot", scopes=["a", "b"], allow_list=[])
    rows = [app.row(key)]
    for name, value in (("scopes", ["b", "a"]), ("name", None), ("allow_list", None), ("id", "k_2")):
        converted.clear()
        setattr(key, name, value)
        rows.append(app.row(key))
        assert converted
    assert [[row.get(name) for name in FIELDS] for row in rows] == [
        ["k_1", "ci-bot", ["a", "b"], []],
        ["k_1", "ci-bot", ["b", "a"], []],
        ["k_1", None, ["b", "a"], []],
        ["k_1", None, ["b", "a"], None],
        ["k_2", None, ["b", "a"], None],
    ]


def test_values_with_equal_json_can_be_different_keys(app: Application) -> None:
    """A set is sorted and a list is not, and a number is another id than its string."""
    app.instrument()
    keys = [Plain(id="k", name=None, token_name=None, scopes=scopes, allow_list=None) for scopes in (["b"], {"b"})]
    keys += [Plain(id=one, name=None, token_name=None, scopes=[], allow_list=None) for one in (7, "7", True)]
    assert [(app.row(key) or {}).get("id") for key in keys] == ["k", "k", "7", "7", None]


def test_time_is_no_name_and_its_string_is(app: Application) -> None:
    """A time is refused as a name although its string is not."""
    app.instrument()
    for name in ("2026-11-24T00:00:00+00:00", datetime(2026, 11, 24, tzinfo=timezone.utc), "2026-11-24T00:00:00+00:00"):
        assert app.row(Plain(**{**FIELDS, "name": name})).get("name") == (name if isinstance(name, str) else None)


def test_a_field_that_cannot_be_read_costs_no_field_of_the_call(app: Application) -> None:
    """Fields of the call are read although a field of the key failed."""
    app.instrument("?owner=args.name")

    class Unreadable(Plain):
        @property
        def name(self) -> str:
            raise LookupError

    row = app.row(Unreadable(id="k_1", scopes=[], allow_list=[]))
    assert (row["id"], row["owner"], "name" in row) == ("k_1", "key", False)


def test_a_key_with_a_wrong_field_is_counted_each_time(app: Application) -> None:
    """The failure is counted in every request."""
    app.instrument()
    key = Plain(id="k_1", name=1.5, scopes=["a"], allow_list=None)
    for times in (1, 2):
        assert "name" not in app.row(key)
        assert app.recorder.count("keyaudit.degraded") == times


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": None}, ": the key has no id"),
        ({"name": 1.5}, ": field 'name': expected a string, an integer or a UUID, not float"),
    ],
)
def test_a_wrong_field_is_named_without_its_value(
    app: Application, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any], said: str
) -> None:
    """The line names the field and never its value."""
    app.instrument()
    app.row(Plain(**{**FIELDS, **wrong}))
    assert app.recorder.errors() == {("authentication", "otel_keyaudit.errors.UnreadableError"): 1}
    assert said in caplog.text


def test_a_list_that_changes_while_it_is_read_is_unknown(app: Application) -> None:
    """A set that grows during reading is neither an error nor half recorded."""
    app.instrument()

    class Growing(Set[str]):
        held: ClassVar[set[str]] = {"a", "b"}

        def __contains__(self, element: object) -> bool:
            return element in self.held

        def __len__(self) -> int:
            return len(self.held)

        def __iter__(self) -> Iterator[str]:
            for element in self.held:
                self.held.add(element + "x")
                yield element

    class Key:
        id = "k_1"
        scopes = Growing()

    assert "scopes" not in app.row(Key())
    assert app.recorder.errors() == {("authentication", "RuntimeError"): 1}


def test_a_key_that_is_never_the_same_twice_is_one_snapshot(app: Application) -> None:
    """Row and server span show the same reading."""
    app.instrument()

    class Key:
        id = "k_1"
        count = 0

        @property
        def scopes(self) -> list[str]:
            self.count += 1
            return [f"s:{self.count}"]

    key = Key()
    row = app.row(key)
    assert row["scopes"] == ["s:1"]
    assert app.recorder.server_span()["keyaudit.key.scopes"] == ("s:1",)
    assert key.count == 1


def test_the_snapshot_does_not_change_with_the_key(app: Application) -> None:
    """Later changes of the application's lists do not change the snapshot."""
    app.instrument()

    class Key:
        id = "k_1"
        scopes: ClassVar[list[str]] = ["a"]

    app.shop.KEYS["key"] = Key()
    with app.recorder.request():
        app.shop.load("key")
        Key.scopes.append("b")
        app.shop.record("create")
    assert app.shop.ROWS[-1]["request_api_key"]["scopes"] == ["a"]


def test_blocking_key_delays_no_other_request(app: Application) -> None:
    """While one key is being read, other requests authenticate and write."""
    app.instrument()
    entered, go_on = threading.Event(), threading.Event()

    class Slow:
        id = "k_slow"

        @property
        def scopes(self) -> list[str]:
            entered.set()
            assert go_on.wait(30)
            return ["a"]

    rows: list[Any] = []
    app.shop.KEYS.update(slow=Slow(), fast=ApiKey("k_fast"))

    def request(name: str) -> None:
        with app.recorder.request():
            app.shop.load(name)
            fields: dict[str, Any] = {"for": name}
            app.shop.record("create", fields)

    slow = threading.Thread(target=request, args=("slow",))
    slow.start()
    try:
        assert entered.wait(30)
        request("fast")
        rows.extend(app.shop.ROWS)
    finally:
        go_on.set()
        slow.join(30)
    assert [row["request_api_key"]["id"] for row in rows] == ["k_fast"]
    assert {row["for"]: row["request_api_key"]["id"] for row in app.shop.ROWS} == {"fast": "k_fast", "slow": "k_slow"}


def test_an_api_key_is_taken_as_it_is(app: Application) -> None:
    """An ``ApiKey`` needs no reading."""
    app.instrument("?id=no_such_field")
    assert app.row(ApiKey("k_1", scopes=["a"]))["scopes"] == ["a"]


def test_a_proxy_of_an_api_key_is_read_at_once(app: Application) -> None:
    """A proxy may lead to another key in the next request, so each snapshot is of its current object."""
    app.instrument()
    now = [ApiKey("k_1", scopes=["a"])]

    class Proxy:
        @property  # type: ignore[misc]
        def __class__(self) -> type[ApiKey]:  # type: ignore[override]
            return ApiKey

        def __getattr__(self, name: str) -> Any:
            return getattr(now[0], name)

    proxy = Proxy()
    app.shop.KEYS["key"] = proxy
    with app.recorder.request():
        assert app.shop.load("key") is proxy
        now[0] = ApiKey("k_2")
        app.shop.record("create")
    assert app.shop.ROWS[-1]["request_api_key"]["id"] == "k_1"


def test_every_form_of_a_field_is_read_of_every_key_of_a_class(app: Application) -> None:
    """Filters, items, methods and alternatives are read for the second key of a class as for the first."""
    app.instrument("?id=number&name=label??title??id&scopes=scope|split&allow_list=limits['allow']&owner=account()")

    class Key:
        def __init__(self, number: int, label: str | None, title: str | None, scope: str) -> None:
            self.number, self.label, self.title, self.scope = number, label, title, scope
            self.id = "never"
            self.limits = {"allow": [f"w:{number}"]}

        def account(self) -> str:
            return f"a_{self.number}"

    members = ("id", "name", "scopes", "allow_list", "owner")
    rows = [app.row(Key(1, "one", "x", "a b")), app.row(Key(2, None, "two", "c")), app.row(Key(3, None, None, ""))]
    assert [[row[name] for name in members] for row in rows] == [
        ["1", "one", ["a", "b"], ["w:1"], "a_1"],
        ["2", "two", ["c"], ["w:2"], "a_2"],
        ["3", "never", [], ["w:3"], "a_3"],
    ]


# Costs and leaks.


class Ordinary:
    """A key without an allow list, as many are."""

    def __init__(self, id_: Any = "k_1", **attributes: Any) -> None:
        self.id, self.name, self.scopes = id_, "ci", ["a:read"]
        vars(self).update(attributes)


class Asynchronous:
    id = "k_1"

    def __init__(self) -> None:
        self.held = self.later()

    @property
    async def name(self) -> str:
        return "ci"

    async def later(self) -> list[str]:
        return ["a"]

    def held_scopes(self) -> Any:
        return self.held


def key_reader(kind: type, **fields: str) -> KeyReader:
    """Return the reader of a class for a target with these fields."""
    target = AuthTarget("m:f", **fields)
    return KeySource(target.key_sources(), target.sources, KeyTypes(), deferred=False).reader_for(kind)


def read_with(reader: KeyReader, key: Any) -> tuple[ApiKey | None, list[str]]:
    """Return the snapshot and the classes of the errors that were reported."""
    errors: list[str] = []
    call = Call(Binding(len), ("x",), {})
    return reader.read(call, key, lambda _, error: errors.append(type(error).__name__)), errors


@pytest.mark.unmutated  # mutmut adds instructions to each call
@pytest.mark.parametrize(
    ("key", "fields"),
    [
        (Ordinary(), {}),
        (Ordinary(allow_list=[]), {}),
        ({"id": "k_1", "scope": "a b"}, {"scopes": "scope|split"}),
        (Ordinary(until=datetime(2027, 1, 1)), {"expires_at": "until"}),  # noqa: DTZ001 - without a zone on purpose
        (Ordinary(tags={"b", "a"}), {"allow_list": "tags"}),
        (Ordinary(team="t"), {"owner": "team ?? name"}),
        (Ordinary(), {"owner": "team ?? name"}),
    ],
)
def test_a_known_key_is_looked_up_in_a_few_instructions(key: Any, fields: dict[str, str]) -> None:
    """The number of fields and of missing ones makes no difference."""
    reader = key_reader(type(key), **fields)
    first = read_with(reader, key)
    call = Call(Binding(len), ("x",), {})
    assert count_instructions(lambda: reader.read(call, key, not_expected)) < 130
    assert reader.read(call, key, not_expected) is first[0]
    assert first[1] == []


@pytest.mark.parametrize(
    "values",
    [({"a"}, {"b"}), (frozenset("a"), frozenset("b")), ({"a"}, ["set"]), ({"a", "b"}, {"a"})],
)
def test_keys_that_differ_in_a_set_have_their_own_snapshots(values: tuple[Any, Any]) -> None:
    """A known key is recognized by all of its values, also by those that JSON lacks."""
    reader = key_reader(Ordinary, allow_list="tags")
    for _ in range(2):
        for tags in values:
            snapshot, errors = read_with(reader, Ordinary(tags=tags))
            assert errors == []
            assert snapshot is not None
            assert snapshot.allow_list == tuple(sorted(tags))


def test_a_missing_default_raises_nothing() -> None:
    """An exception for each call would cost more than everything else."""
    reader = key_reader(Ordinary)
    raised = []
    read_with(reader, Ordinary())
    before = sys.gettrace()

    call = Call(Binding(len), ("x",), {})

    def watch(frame: Any, event: str, argument: Any) -> Any:
        if event == "exception":
            raised.append(argument[0])
        return watch

    sys.settrace(watch)
    try:
        reader.read(call, Ordinary(), not_expected)
    finally:
        sys.settrace(before)
    assert raised == []


def test_long_contents_are_converted_once(converted: list[str]) -> None:
    """A key with 5,000 scopes would cost milliseconds in each request otherwise."""
    reader = key_reader(Ordinary)
    key = Ordinary(scopes=[f"workspace:{number}" for number in range(5_000)])
    first = read_with(reader, key)[0]
    converted.clear()
    assert read_with(reader, Ordinary(scopes=[*key.scopes]))[0] is first
    assert converted == []


def test_many_keys_are_remembered(converted: list[str]) -> None:
    """None of a service's thousands of keys is converted again."""
    reader = key_reader(Ordinary)
    keys = [Ordinary(f"k_{number}") for number in range(8_192)]
    snapshots = [read_with(reader, key)[0] for key in keys]
    converted.clear()
    assert all(read_with(reader, key)[0] is snapshot for key, snapshot in zip(keys, snapshots, strict=True))
    assert converted == []


def test_of_too_many_keys_the_oldest_are_forgotten() -> None:
    """The memory is bounded, and the newest keys are still known."""
    reader = key_reader(Ordinary)
    first = read_with(reader, Ordinary("k_0"))[0]
    last = first
    for number in range(1, 20_000):
        last = read_with(reader, Ordinary(f"k_{number}"))[0]
    assert read_with(reader, Ordinary("k_19999"))[0] is last
    assert read_with(reader, Ordinary("k_0"))[0] is not first


def test_a_remembered_key_is_small() -> None:
    """Content and snapshot of a key with six scopes and four entries are measured."""
    reader = key_reader(Ordinary)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1_000):
            scopes = [f"workspace{scope}:read" for scope in range(6)]
            allowed = [f"workspace:{number:04}{entry}" for entry in range(4)]
            read_with(reader, Ordinary(f"k_{number}", scopes=scopes, allow_list=allowed))
        gc.collect()
        assert (tracemalloc.get_traced_memory()[0] - before) / 1_000 < 2_000
    finally:
        tracemalloc.stop()


def test_a_list_that_changes_between_serializing_and_converting_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread may change the list, and a wrong snapshot must not be cached for the content."""
    reader, key = key_reader(Ordinary), Ordinary()
    convert = READERS["scopes"]

    def converting(value: Any) -> Any:
        key.scopes.append("later")
        return convert(value)

    monkeypatch.setitem(READERS, "scopes", converting)
    read_with(reader, key)
    monkeypatch.setitem(READERS, "scopes", convert)
    found = read_with(reader, Ordinary())[0]
    assert found is not None
    assert found.scopes == ("a:read",)


def test_values_of_different_kinds_are_different_contents() -> None:
    """A set, a list, a mapping and a time of the same string are different contents."""
    reader = key_reader(Ordinary, expires_at="until")
    found = [
        read_with(reader, Ordinary(scopes=scopes))[0]
        for scopes in ({"b", "a"}, ["b", "a"], {"set": ["a", "b"]}, ["set", "a", "b"], "a", ["a"])
    ]
    assert [None if key is None else key.scopes for key in found] == [
        ("a", "b"), ("b", "a"), None, ("set", "a", "b"), ("a",), ("a",),
    ]  # fmt: skip
    zone = timezone(timedelta(hours=1))
    times = [datetime(2027, 1, 1), datetime(2027, 1, 1, tzinfo=zone), "2027-01-01T00:00:00Z"]  # noqa: DTZ001
    expiry = [read_with(reader, Ordinary(until=time))[0] for time in (*times, *times)]
    assert [key and key.expires_at for key in expiry] == [
        "2027-01-01T00:00:00Z", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z",
    ] * 2  # fmt: skip


def test_asynchronous_values_are_refused_and_nothing_warns() -> None:
    """A coroutine that reading made is closed, and the application's own is left alone."""
    key = Asynchronous()
    reader = key_reader(Asynchronous, scopes="later()", allow_list="held_scopes()", owner="held")
    for _ in range(50):
        snapshot, errors = read_with(reader, key)
        assert snapshot == ApiKey("k_1")
        assert errors == ["UnreadableError"] * 4
    gc.collect()
    assert asyncio.run(key.held) == ["a"]


def test_an_asynchronous_property_is_counted_once_a_call(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """The row has the other fields, and Python does not warn."""
    app.instrument("?scopes=later()")
    key = Asynchronous()
    for _ in range(3):
        assert app.row(key)["id"] == "k_1"
    gc.collect()
    assert app.recorder.errors() == {("authentication", "otel_keyaudit.errors.UnreadableError"): 3}
    assert "would have to be awaited" in caplog.text
    key.held.close()


class Failing(Ordinary):
    @property
    def owner(self) -> str:
        raise LookupError("s3cret")


@pytest.mark.parametrize(
    "fields", [{}, {"owner": "owner"}, {"owner": "nothing"}, {"owner": "scopes"}, {"id": "nothing"}]
)
def test_reading_leaves_nothing_for_the_garbage_collector(fields: dict[str, str]) -> None:
    """An open upload of the request would stay open until the collector runs."""
    reader, call = key_reader(Failing, **fields), Call(Binding(len), ("x",), {})
    alive: list[weakref.ref[Failing]] = []

    def read() -> None:
        key = Failing("k_1")
        alive.append(weakref.ref(key))
        reader.read(call, key, lambda *_: None)

    assert garbage_after(read, rounds=20) == []
    assert [one for one in alive if one() is not None] == []
