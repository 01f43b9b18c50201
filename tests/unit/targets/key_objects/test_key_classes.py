"""Classes of key objects: generic classes, members that are read at once, and public names."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import importlib
import sqlite3
import sys
import types
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import attrs
import pydantic
import pytest
import sqlalchemy.engine
import starlette.datastructures
import werkzeug.datastructures
from django.utils.functional import SimpleLazyObject
from werkzeug.local import LocalProxy

from otel_keyaudit.targets.key_objects.key_classes import (
    ABSENT,
    MAX_NAMES,
    is_generic_class,
    member_reader,
    plain_members,
    public_names,
)
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

NAMES = ("id", "name", "scopes")


class Plain:
    name = "of the class"

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("id", "name")


class Computed:
    id = "k_1"

    @property
    def name(self) -> str:
        return "n"

    def scopes(self) -> list[str]:
        return []


class Dynamic:
    def __getattr__(self, name: str) -> str:
        return name


class Watched:
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class Row(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Claims(dict[str, Any]):
    pass


class Defaults(collections.defaultdict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return "made up"


class Model(pydantic.BaseModel):
    id: str
    name: str | None = None


class OpenModel(pydantic.BaseModel, extra="allow"):
    id: str


class OwnModel(pydantic.BaseModel):
    id: str

    def __getattr__(self, name: str) -> str:
        return name


class HasKeys:
    def keys(self) -> list[str]:
        return ["id"]


class Pair(NamedTuple):
    id: str


@dataclass
class Data:
    id: str


@attrs.define
class Attrs:
    id: str


@pytest.mark.parametrize(
    "kind",
    [
        dict, str, int, object, tuple, type(None), types.SimpleNamespace, collections.OrderedDict, collections.UserDict,
        collections.ChainMap, collections.Counter, types.MappingProxyType, sqlite3.Row, uuid.UUID, datetime.datetime,
        decimal.Decimal, enum.Enum, sqlalchemy.engine.Row, sqlalchemy.engine.RowMapping,
        werkzeug.datastructures.ImmutableMultiDict, starlette.datastructures.QueryParams, LocalProxy, SimpleLazyObject,
    ],
)  # fmt: skip
def test_generic_classes(kind: type) -> None:
    """Objects of a generic class can be anything."""
    assert is_generic_class(kind)


@pytest.mark.parametrize(
    "module", ["psycopg.rows", "psycopg2.extras", "asyncpg", "asyncpg.protocol.record", "pyodbc", "multidict"]
)
def test_rows_of_drivers_are_generic(module: str) -> None:
    """The package of their class shows that rows are generic."""
    assert is_generic_class(type("Record", (tuple,), {"__module__": module}))


@pytest.mark.parametrize(
    "base", [dict, collections.UserDict, collections.abc.Mapping, HasKeys], ids=lambda base: base.__name__
)
def test_a_mapping_of_an_installed_library_is_generic(
    base: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapping class of a library is generic, unless the library is the application itself."""
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "bunch.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    monkeypatch.setitem(sys.modules, "bunch", importlib.import_module("bunch"))
    kind = type("Bunch", (base,), {"__module__": "bunch"})
    assert is_generic_class(kind)
    assert not is_generic_class(kind, "bunch")
    assert not is_generic_class(type("Record", (), {"__module__": "bunch"}))


@pytest.mark.parametrize("kind", [Plain, Row, Claims, Model, Pair, Data, Attrs, Computed])
def test_classes_of_an_application_are_not_generic(kind: type) -> None:
    """Classes of an application are not generic, even if they inherit from a generic class."""
    assert not is_generic_class(kind)
    assert not is_generic_class(type("Key", (sqlite3.Row,), {"__module__": "shop.keys"}))


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (Plain, ["id", "name", "scopes"]),
        (Slotted, ["id", "name", "scopes"]),
        (Data, ["id", "name", "scopes"]),
        (Attrs, ["id", "name", "scopes"]),
        (dict, ["id", "name", "scopes"]),
        (Claims, ["id", "name", "scopes"]),
        (Model, ["id", "name", "scopes"]),
        (Computed, ["id"]),
        (Pair, ["name", "scopes"]),
        (Dynamic, []),
        (Watched, []),
        (Row, []),
        (Defaults, []),
        (OpenModel, []),
        (OwnModel, []),
        (LocalProxy, []),
        (collections.UserDict, []),
        (sqlite3.Row, []),
    ],
)
def test_members_are_plain_if_reading_them_runs_no_code(kind: type, plain: list[str]) -> None:
    """Properties, methods, proxies and other mappings are read one by one."""
    assert plain_members(kind, NAMES) == plain


def test_a_name_that_is_an_attribute_of_dict_is_not_plain() -> None:
    """An item precedes an attribute, so both must be looked up."""
    assert plain_members(dict, ["items", "id", "keys"]) == ["id"]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        (Plain(id="k_1"), ["k_1", "of the class", ABSENT]),
        (Data("k_1"), ["k_1", None, ABSENT]),
        (Attrs("k_1"), ["k_1", None, ABSENT]),
        (Model(id="k_1"), ["k_1", None, ABSENT]),
        ({"id": "k_1"}, ["k_1", None, None]),
        (Claims(id="k_1", scopes=[]), ["k_1", None, []]),
    ],
)
def test_plain_members_are_read_at_once(key: Any, values: list[Any]) -> None:
    """A missing member has its default, and a missing item of a mapping is ``None``."""
    assert member_reader(type(key), NAMES, (ABSENT, None, ABSENT))(key) == values


def test_nothing_is_read_without_names() -> None:
    """Without names even an object without members can be read."""
    assert member_reader(object, (), ())(object()) == []


class Described:
    kind: ClassVar[str] = "ci"
    label = "x"
    _hidden = "s3cret"

    def __init__(self) -> None:
        self.permissions, self.__private, self._own = ["a"], "s3cret", "s3cret"

    @property
    def computed(self) -> str:
        raise RuntimeError

    def method(self) -> None: ...

    @classmethod
    def made(cls) -> None: ...


class Inherited(Described):
    extra = 1


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (Described(), ["computed", "kind", "label", "permissions"]),
        (Inherited(), ["computed", "extra", "kind", "label", "permissions"]),
        (Slotted(), ["id", "name"]),
        (Model(id="k_1"), ["id", "name"]),
        (Pair("k_1"), ["id"]),
        ({"id": 1, "a b": 2, "_x": 3, 4: 5}, ["id"]),
        (object(), []),
    ],
)
def test_public_names(key: object, names: list[str]) -> None:
    """The names of items or attributes are listed without reading their values."""
    assert public_names(key) == names


def test_only_so_many_names_are_listed() -> None:
    """The list is cut so that the line stays readable."""
    assert len(public_names({f"name_{number}": 1 for number in range(500)})) == MAX_NAMES


def make_row(**columns: Any) -> Any:
    """Return a row of sqlite3."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    names = ", ".join(f":{name} AS {name}" for name in columns)
    row = connection.execute(f"SELECT {names}", columns).fetchone()
    connection.close()
    return row


@pytest.mark.parametrize("make", [make_row, types.SimpleNamespace, dict, collections.OrderedDict, collections.UserDict])
def test_a_generic_object_is_no_key_because_another_one_was(recorder: Recorder, shop: Any, make: Any) -> None:
    """A row about a workspace must not say that it is about a key."""
    shop.instrument(recorder, audit="?subject=args.subject")
    with recorder.request():
        shop.verify(make(id="k_1", name="ci", scopes="a"))
        row = shop.record("delete", subject=make(id="ws_9", name="search"))
    assert row["request_api_key"]["id"] == "k_1"
    assert "api_key" not in row


def test_an_object_of_the_applications_own_class_is_a_key(recorder: Recorder, shop: Any) -> None:
    """Objects of the class are keys after an authentication has returned one."""
    shop.instrument(recorder, audit="?subject=args.subject")
    with recorder.request():
        shop.verify(Plain(id="k_1"))
        assert shop.record("delete", subject=Plain(id="k_2"))["api_key"]["id"] == "k_2"


def test_a_key_of_a_class_without_hash_is_read(recorder: Recorder, load_module: LoadModule) -> None:
    """A metaclass that defines only equality does not stop key and subject from being named."""
    app = load_module(
        """
        class Meta(type):
            def __eq__(cls, other):
                return True

        class Key(metaclass=Meta):
            def __init__(self, id):
                self.id, self.name, self.scopes, self.allow_list = id, "ci", ["a:read"], []

        def verify(key):
            return key

        def record(action, subject=None, additional_fields=None):
            return additional_fields
        """
    )
    name = app.__name__
    recorder.instrument(auth_targets=[f"{name}:verify"], audit_targets=[f"{name}:record?subject=args.subject"])
    with recorder.request():
        app.verify(app.Key("k_1"))
        row = app.record("update", app.Key("k_2"))
    assert (row["request_api_key"]["id"], row["api_key"]["id"]) == ("k_1", "k_2")
    assert recorder.errors() == {}
