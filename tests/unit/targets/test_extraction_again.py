"""A key that comes by again: it is brought into its form once, as long as it is the same key."""

from datetime import datetime, timezone
from typing import Any

import pytest

from otel_keyaudit.key.api_key import READERS
from support.keyaudit import KeyAudit, LoadModule
from support.reading import APP, Application


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
    """Passes for one as what it inherits from does."""


FIELDS: dict[str, Any] = {"id": "k_1", "name": "ci-bot", "scopes": ["a", "b"], "allow_list": ["w:1"]}

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
def app(keyaudit: KeyAudit, load_module: LoadModule) -> Application:
    """The application, not instrumented yet."""
    return Application(keyaudit, load_module(APP))


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
def test_the_same_key_is_brought_into_its_form_once(
    app: Application, converted: list[str], key: object, fields: dict[str, Any], query: str
) -> None:
    """The second request finds it as the first one left it."""
    app.instrument(query)
    expected = {**fields, "owner": "key"} if query else fields
    for times in ("first", "second"):
        row = app.row(key)
        assert {name: row[name] for name in (*FIELDS, "owner") if name in row} == expected
        assert (converted == []) is (times == "second")
        converted.clear()


def test_a_key_that_has_changed_is_read_as_it_is_now(app: Application, converted: list[str]) -> None:
    """Its scopes, its name, the order of its list: whatever changes makes it another snapshot."""
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


def test_what_is_the_same_as_json_need_not_be_the_same_key(app: Application) -> None:
    """A set is sorted and a list is not; a number is an id, and its text another key's."""
    app.instrument()
    keys = [Plain(id="k", name=None, token_name=None, scopes=scopes, allow_list=None) for scopes in (["b"], {"b"})]
    keys += [Plain(id=one, name=None, token_name=None, scopes=[], allow_list=None) for one in (7, "7", True)]
    assert [(app.row(key) or {}).get("id") for key in keys] == ["k", "k", "7", "7", None]


def test_a_time_is_no_name_and_its_text_is(app: Application) -> None:
    """Though both are the same as JSON."""
    app.instrument()
    for name in ("2026-11-24T00:00:00+00:00", datetime(2026, 11, 24, tzinfo=timezone.utc), "2026-11-24T00:00:00+00:00"):
        assert app.row(Plain(**{**FIELDS, "name": name})).get("name") == (name if isinstance(name, str) else None)


def test_a_field_that_cannot_be_read_costs_no_field_of_the_call(app: Application) -> None:
    """What does not come from the key is read all the same."""
    app.instrument("?owner=args.name")

    class Unreadable(Plain):
        @property
        def name(self) -> str:
            raise LookupError

    row = app.row(Unreadable(id="k_1", scopes=[], allow_list=[]))
    assert (row["id"], row["owner"], "name" in row) == ("k_1", "key", False)


def test_a_key_with_a_wrong_field_is_counted_each_time(app: Application) -> None:
    """What is wrong with it is not forgotten with the first request."""
    app.instrument()
    key = Plain(id="k_1", name=1.5, scopes=["a"], allow_list=None)
    for times in (1, 2):
        assert "name" not in app.row(key)
        assert app.keyaudit.count("keyaudit.degraded") == times


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": None}, ": the key has no id"),
        ({"name": 1.5}, ": field 'name': expected a string, an integer or a UUID, not float"),
    ],
)
def test_what_is_wrong_is_said_by_field(
    app: Application, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any], said: str
) -> None:
    """What it holds is not."""
    app.instrument()
    app.row(Plain(**{**FIELDS, **wrong}))
    assert app.keyaudit.degraded() == {("authentication", "otel_keyaudit.errors.UnreadableError"): 1}
    assert said in caplog.text
