"""A key that comes by again: it is brought into its form once, as long as it is the same key."""

from typing import Any

import pytest

from otel_keyaudit.api_key import READERS
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


FIELDS = {"id": "k_1", "name": "ci-bot", "scopes": ["a", "b"], "allow_list": ["w:1"]}

KEYS: dict[str, Any] = {
    "attributes": Plain(**FIELDS),
    "slots": Slotted(**FIELDS),
    "a mapping": FIELDS,
    "from the class": Inherited(id="k_1", scopes=["a"]),
    "worked out": Computed(id="k_1", scopes=["a"], allow_list=None),
    "some are missing": Plain(id="k_1", token_name="ci-bot"),
    "another name": Plain(**{**FIELDS, "name": None, "token_name": "other"}),
    "a set": Plain(**{**FIELDS, "scopes": {"b", "a"}}),
    "tuples and a number": Plain(id=7, name=None, scopes=("b",), allow_list=(), token_name=None),
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
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_same_key_is_brought_into_its_form_once(
    app: Application, converted: list[str], key: object, query: str
) -> None:
    """The second request finds it as the first one left it."""
    app.instrument(query)
    first = app.row(key)
    assert "id" in converted
    converted.clear()
    second = app.row(key)
    assert converted == []
    of_a_request = {"trace_id", "span_id"}
    assert {name: first[name] for name in first.keys() - of_a_request} == {
        name: second[name] for name in second.keys() - of_a_request
    }


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


def test_a_key_with_a_wrong_field_is_counted_each_time(app: Application) -> None:
    """What is wrong with it is not forgotten with the first request."""
    app.instrument()
    key = Plain(id="k_1", name=1.5, scopes=["a"], allow_list=None)
    for times in (1, 2):
        assert "name" not in app.row(key)
        assert app.keyaudit.count("keyaudit.degraded") == times
