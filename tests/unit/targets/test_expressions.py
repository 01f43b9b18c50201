"""The path language: where a path leads, and what cannot be read."""

import sqlite3
from collections import UserDict, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.errors import ConfigurationError, MissingError, UnreadableError
from otel_keyaudit.targets.expression import Expression, FunctionReference, parse
from support.paths import read


class Named:
    """Something with ``keys()`` and items that is no mapping, such as a row of a database."""

    def keys(self) -> list[str]:
        return ["id"]

    def __getitem__(self, name: str) -> str:
        return {"id": "k_1"}[name]


class Raising:
    @property
    def broken(self) -> str:
        raise RuntimeError("s3cret")

    @property
    def inner(self) -> str:
        raise AttributeError("s3cret")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return", "the result"),
        ("return.upper()", "THE RESULT"),
        ("args.extra", {"a": [1, 2]}),
        ("args.extra.a[1]", 2),
        ("args.extra['a'][0]", 1),
        ('args.extra["a"][-1]', 2),
        ("self.meta", "of self"),
        ("scope.path", "/x"),
        ("scope['path']", "/x"),
        ("exc.code", 7),
        (" args.extra.a ", [1, 2]),
    ],
)
def test_roots(text: str, expected: object) -> None:
    """A path starts at the result, a parameter, the object, the scope or the exception."""
    self_, exc = SimpleNamespace(meta="of self"), SimpleNamespace(code=7)
    args = {"extra": {"a": [1, 2]}}
    assert read(text, result="the result", args=args, self_=self_, scope={"path": "/x"}, exc=exc) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("scope", "s"), ("scope|split", ["s"]), ("returned", "r"), ("selfish", "f"), ("args", "a"), ("exception", "e")],
)
def test_names_that_are_no_roots(text: str, expected: object) -> None:
    """``scope`` alone, and a longer name, is a member of the object that a path is read from."""
    base = {"scope": "s", "returned": "r", "selfish": "f", "args": "a", "exception": "e"}
    assert read(text, base) == expected


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("a", {"a": 1}, 1),
        ("a", UserDict({"a": 1}), 1),
        ("a", SimpleNamespace(a=1), 1),
        ("id", Named(), "k_1"),
        ("items", {"items": 1}, 1),
        ("a.b.c", {"a": SimpleNamespace(b={"c": 1})}, 1),
        ("a.b.c", {"a": None}, None),
        ("a[0].b", {"a": None}, None),
        ("a[].b", {"a": None}, None),
        ("a.b()", {"a": None}, None),
        ("[1]", ("x", "y"), "y"),
        ("['a b|c??d']", {"a b|c??d": 1}, 1),
        ("get()", SimpleNamespace(get=lambda: "got"), "got"),
        ("get().a[0]", SimpleNamespace(get=lambda: {"a": [5]}), 5),
        ("a[].b", {"a": [{"b": 1}, {"b": 2}]}, [1, 2]),
        ("a[]", {"a": (1, 2)}, [1, 2]),
        ("a[].b[]", {"a": [{"b": [1, 2]}, {"b": []}, {"b": [3]}]}, [1, 2, 3]),
        ("a[][]", {"a": [[1], [2, 3]]}, [1, 2, 3]),
        ("a[].b[].c", {"a": [{"b": [{"c": 1}]}, {"b": [{"c": 2}]}]}, [1, 2]),
        ("a[]", {"a": {3, 1, 2}}, [1, 2, 3]),
        ("a[].upper()", {"a": ["x"]}, ["X"]),
    ],
)
def test_steps(text: str, base: object, expected: object) -> None:
    """A name is an item of a mapping, else an attribute, else an item of what has keys; ``[]`` maps, twice flattens."""
    assert read(text, base) == expected


def test_rows_of_a_database() -> None:
    """A row of sqlite3 is read by its column names."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row = connection.execute("SELECT 'k_1' AS id").fetchone()
    connection.close()
    assert read("id", row) == "k_1"
    with pytest.raises(MissingError):
        read("name", row)


@pytest.mark.parametrize(
    ("text", "base"),
    [("b", {"a": 1}), ("a.b", {"a": 1}), ("[2]", (1, 2)), ("['b']", {"a": 1}), ("[0]", {"a": 1}), ("b()", {"b": len}),
     ("['x']", "text"), ("name", Named()), ("b", SimpleNamespace()), ("a[].b", {"a": [{"b": 1}, {}]})],
)  # fmt: skip
def test_missing(text: str, base: object) -> None:
    """What is not there is missing: no item, attribute or position of that name."""
    with pytest.raises(MissingError):
        read(text, base)


@pytest.mark.parametrize(("text", "base"), [("a[]", {"a": "text"}), ("a[]", {"a": b"bytes"}), ("a[]", {"a": 5})])
def test_only_lists_are_mapped_over(text: str, base: object) -> None:
    """Text, bytes and single values are no lists."""
    with pytest.raises(UnreadableError):
        read(text, base)


def test_nothing_is_added_while_reading() -> None:
    """Reading a member that is not there does not create it."""
    base: defaultdict[str, list[str]] = defaultdict(list)
    with pytest.raises(MissingError):
        read("scopes", base)
    assert not base


def test_iterators_of_the_application_are_left_alone() -> None:
    """An iterator is only read when a method has just made it."""
    taken: Iterator[int] = iter([1, 2])
    with pytest.raises(UnreadableError):
        read("a[]", {"a": taken})
    assert list(taken) == [1, 2]
    assert read("make()[]", SimpleNamespace(make=lambda: iter([1, 2]))) == [1, 2]


@pytest.mark.parametrize(("text", "kind"), [("broken ?? a", RuntimeError), ("inner ?? a", AttributeError)])
def test_errors_of_the_object_are_not_missing(text: str, kind: type[Exception]) -> None:
    """A property that raises is an error, not an absent member that another alternative could stand in for."""
    with pytest.raises(kind):
        read(text, Raising())


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("a ?? b", {"a": 1, "b": 2}, 1),
        ("a ?? b", {"a": None, "b": 2}, 2),
        ("a ?? b", {"b": 2}, 2),
        ("a??b??c", {"c": 3}, 3),
        ("a ?? b", {"a": 0, "b": 2}, 0),
        ("a ?? b", {"a": None}, None),
        ("a ?? b", {"b": None}, None),
        ("a | split ?? b", {"a": "x y", "b": 2}, ["x", "y"]),
        ("a ?? b|split", {"a": "x y", "b": 2}, "x y"),
        ("a|prefix:x ?? b", {"a": None, "b": 2}, 2),
        ("a|if:x ?? b", {"a": False, "b": 2}, 2),
    ],
)
def test_alternatives(text: str, base: object, expected: object) -> None:
    """The first alternative that is not ``None`` counts; filters belong to one alternative."""
    assert read(text, base) == expected


def test_no_alternative_leads_anywhere() -> None:
    """Where every alternative is missing the value is, unless it is a default, whose members may be absent."""
    with pytest.raises(MissingError):
        read("a ?? b", {})
    default = parse("a ?? b", emitted=True, lenient=True)
    assert isinstance(default, Expression)
    assert default.read(lambda path: {}) is None


@pytest.mark.parametrize("text", ["m:f", "shop.keys:find", " shop.keys:Keys.find "])
def test_functions(text: str) -> None:
    """``module:function`` names a function."""
    assert parse(text, emitted=True) == FunctionReference(text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1a", "a b", "a.", "a..b", "a[", "a[b]", "a['b]", "a[0", "a()()", "a(1)", "return()", "args.a()",
        "a ??", "?? a", "a ?? ?? b", "a|", "a||split", "a ? b", "a;b", "a+b", "-a", "m:", "m:f:g", ":f",
        "a[99999999999]", "'a'", "a.b.", "a.0", "a[1.5]", "args.", "a.b()c",
    ],
)  # fmt: skip
def test_wrong_expressions(text: str) -> None:
    """What is no expression is one error of one line that names it as given."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(text, emitted=False)
    assert repr(text) in str(wrong.value)
    assert "\n" not in str(wrong.value)


@given(st.text(st.sampled_from("ab.[]()'|:?, 0é\n"), max_size=12))
def test_any_text_compiles_or_is_a_configuration_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    with suppress(ConfigurationError):
        parse(text, emitted=True)


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_flattening_keeps_all_elements(value: Any) -> None:
    """Two maps give the elements of the lists in a list, in order."""
    base = {"a": [[value], [value, value]]}
    assert read("a[][]", base) == [element for element in [value] * 3 if element is not None]
