"""Expressions are parsed, follow their paths, and report values that cannot be read."""

import sqlite3
from collections import ChainMap, UserDict, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.errors import ConfigurationError, MissingError, UnreadableError
from otel_keyaudit.targets.expressions.expression import Expression, ObjectReference, parse
from support.calls.paths import read


class Named:
    """Something with ``keys()`` and items that is not a mapping, such as a row of a database."""

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
    """``scope`` alone, and a longer name, are members of the object that the path starts from."""
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
    """A name is an item of a mapping, else an attribute, else an item; ``[]`` maps over lists, and two flatten."""
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
    [("[2]", (1, 2)), ("b()", {"b": len}), ("['x']", "text"), ("name", Named()), ("b", SimpleNamespace()),
     ("a.b", {"a": SimpleNamespace()}), ("a[].b", {"a": [SimpleNamespace(b=1), SimpleNamespace()]})],
)  # fmt: skip
def test_missing(text: str, base: object) -> None:
    """An absent item, attribute or position is missing."""
    with pytest.raises(MissingError):
        read(text, base)


@pytest.mark.parametrize(("text", "base"), [("a[]", {"a": "text"}), ("a[]", {"a": b"bytes"}), ("a[]", {"a": 5})])
def test_only_lists_are_mapped_over(text: str, base: object) -> None:
    """Strings, bytes and single values are no lists."""
    with pytest.raises(UnreadableError):
        read(text, base)


def test_nothing_is_added_while_reading() -> None:
    """Reading an absent member does not create it."""
    base: defaultdict[str, list[str]] = defaultdict(list)
    assert read("scopes", base) is read("['scopes']", base) is None
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
    """A property that raises is an error, for which no other alternative stands in."""
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
    """The first alternative that is not ``None`` counts, and filters belong to one alternative."""
    assert read(text, base) == expected


def test_no_alternative_leads_anywhere() -> None:
    """If every alternative is missing, so is the value, unless members of a default may be absent."""
    with pytest.raises(MissingError):
        read("a ?? b", SimpleNamespace())
    default = parse("a ?? b", emitted=True, is_default=True)
    assert isinstance(default, Expression)
    assert default.read(lambda path: SimpleNamespace()) is None


@pytest.mark.parametrize("text", ["m:f", "shop.keys:find", " shop.keys:Keys.find "])
def test_functions(text: str) -> None:
    """``module:function`` names a function."""
    assert parse(text, emitted=True) == ObjectReference(text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1a", "a b", "a.", "a..b", "a[", "a[b]", "a['b]", "a[0", "a()()", "a(1)", "return()", "args.a()",
        "a ??", "?? a", "a ?? ?? b", "a|", "a||split", "a ? b", "a;b", "a+b", "-a", "m:", "m:f:g", ":f",
        "a[99999999999]", "'a'", "a.b.", "a.0", "a[1.5]", "args.", "a.b()c",
    ],
)  # fmt: skip
def test_wrong_expressions(text: str) -> None:
    """A wrong expression is one line that quotes it as given."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(text, emitted=False)
    assert repr(text) in str(wrong.value)
    assert "\n" not in str(wrong.value)


@given(st.text(st.sampled_from("ab.[]()'|:?, 0é\n"), max_size=12))
def test_any_text_compiles_or_is_a_configuration_error(text: str) -> None:
    """No string makes the parser raise another error."""
    with suppress(ConfigurationError):
        parse(text, emitted=True)


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)))
def test_flattening_keeps_all_elements(value: Any) -> None:
    """Two maps give the elements of the lists in a list, in order."""
    base = {"a": [[value], [value, value]]}
    assert read("a[][]", base) == [element for element in [value] * 3 if element is not None]


ALLOWED = "allowed are .name, .name(), [0], ['item'], [] after a root or name, then |filter:argument, then ??"
SECRET = "allowed is only its hash (|sha256:16) or the last four characters of a string (|tail:4) at once"


class Unordered:
    """Has no order among its kind."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", f"expression 'a b' cannot be read from ' b' on; {ALLOWED}"),
        ("a ??", "expression 'a ??' has no path at ''; a path starts with a name"),
        ("a ?? -b", "expression 'a ?? -b' has no path at ' -b'; a path starts with a name"),
        ("['a'] ?? !", "expression \"['a'] ?? !\" has no path at ' !'; a path starts with a name"),
        ("a | upper", "expression 'a | upper' has an unknown filter 'upper'"),
        ("owner.Token", f"expression 'owner.Token' would record 'Token', which holds a secret; {SECRET}"),
    ],
)
def test_a_wrong_expression_is_explained(text: str, message: str) -> None:
    """The line has the whole expression, the wrong part, and the allowed values."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(text, emitted=True)
    assert str(wrong.value).startswith(message)
    assert "known are" in str(wrong.value) or str(wrong.value) == message


@pytest.mark.parametrize("name", ["X_key", "XX_XX_token", "Xkey"])
def test_only_underscores_before_a_name_are_overlooked(name: str) -> None:
    """Another name that ends like a secret is not a secret."""
    assert isinstance(parse(name, emitted=True), Expression)


def test_an_expression_shows_itself_as_written() -> None:
    """Errors and the status show the expression as written."""
    text = " name ?? token_name | str "
    expression = parse(text, emitted=True)
    assert isinstance(expression, Expression)
    assert expression.text == text


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("return.verb", object(), "object has no 'verb'"),
        ("return['verb']", 5, "int has no 'verb'"),
        ("return[3]", [1], "list has no '3'"),
        ("return.verb()", [], "list has no 'verb'"),
    ],
)
def test_missing_name_is_reported_with_its_owner(text: str, value: object, message: str) -> None:
    """The reason has the name and the type of its owner."""
    with pytest.raises(MissingError) as missing:
        read(text, result=value)
    assert str(missing.value) == message


@pytest.mark.parametrize(("value", "kind"), [("text", "str"), (b"bytes", "bytes"), (5, "int"), (iter([1]), "iterator")])
def test_only_a_list_can_be_mapped_over(value: Any, kind: str) -> None:
    """The reason names the type of the value."""
    with pytest.raises(UnreadableError) as refused:
        read("return[].id", result=value)
    assert str(refused.value).startswith("[] maps over a list, not over ")
    assert str(refused.value).endswith(kind)


def test_a_mapping_is_mapped_over_by_its_keys_where_a_path_begins() -> None:
    """``[]`` at the start maps over the starting value; an iterator there belongs to the application."""
    assert read("return[]", result={"b": 1, "a": 2}) == ["b", "a"]
    scopes = iter(["a"])
    for text in ("return[]", "return[].upper()"):
        with pytest.raises(UnreadableError):
            read(text, result=scopes)
    assert list(scopes) == ["a"]


def test_set_is_sorted_and_list_is_not() -> None:
    """A set is sorted, so that one key has one snapshot, and a list keeps its order."""
    names = [f"scope:{number}" for number in range(50)]
    assert read("return[]", result=set(names)) == sorted(names)
    assert read("return[]", result=names[::-1]) == names[::-1]


def test_a_set_without_an_order_is_read_all_the_same() -> None:
    """A set whose elements cannot be sorted keeps its order."""
    one, other = Unordered(), Unordered()
    assert set(read("return[]", result={one, other})) == {one, other}


class Keyed:
    """Has keys and items, and is not a mapping."""

    def keys(self) -> list[str]:
        return ["verb"]

    def __getitem__(self, name: str) -> str:
        return {"verb": "create"}[name]


@pytest.mark.parametrize("kind", [dict, UserDict, ChainMap])
def test_a_member_of_a_mapping_is_no_item_a_second_time(kind: Any) -> None:
    """A name that is neither item nor attribute is missing; an object with ``keys()`` is asked for an item last."""
    mapping = kind(verb="create") if kind is not ChainMap else ChainMap({"verb": "create"})
    assert read("return.noun", result=mapping) is read("return['noun']", result=mapping) is None
    assert read("return.verb", result=Keyed()) == "create"
    with pytest.raises(MissingError, match="Keyed has no 'noun'"):
        read("return.noun", result=Keyed())


@pytest.mark.parametrize("mapping", [{"a": 1}, UserDict(a=1), ChainMap({"a": 1}), defaultdict(int, a=1)])
@pytest.mark.parametrize("text", ["b", "['b']", "[0]", "b.c", "b[0]['c'].d", "b[].c", "b ?? c", "b | split"])
def test_a_missing_item_of_a_mapping_is_none(mapping: Any, text: str) -> None:
    """Claims are often optional, so an absent item is ``None`` in any field."""
    assert read(text, mapping) is None
    assert mapping == {"a": 1}


def test_a_missing_attribute_gives_way_to_another_alternative() -> None:
    """The expression is unreadable only if every alternative is missing."""
    assert read("b ?? a", SimpleNamespace(a=1)) == 1
    assert read("b ?? a", SimpleNamespace(a=None)) is None
    assert read("a ?? b", SimpleNamespace(a=None)) is None


@pytest.mark.parametrize(
    ("text", "root"), [("closure.scopes", "closure"), ("closure.scopes[0]", "closure"), ("closure", None)]
)
def test_closures(text: str, root: str | None) -> None:
    """A free variable is a root, and its name alone is a member."""
    expression = parse(text, emitted=True)
    assert isinstance(expression, Expression)
    assert expression.roots == {root}
    assert expression.free_variables == ({"scopes"} if root else frozenset())


@pytest.mark.parametrize(
    ("text", "nearest"), [("a|splt", "split"), ("a|tru_keys", "true_keys"), ("a|SHA256:8", "sha256"), ("a|xyzzy", None)]
)
def test_unknown_filter_gets_the_nearest_name(text: str, nearest: str | None) -> None:
    """If no filter is near, the message lists all filters only."""
    with pytest.raises(ConfigurationError, match="known are acts, head, if") as wrong:
        parse(text, emitted=True)
    assert str(wrong.value).endswith(f"; did you mean {nearest!r}?") is (nearest is not None)


@pytest.mark.parametrize("text", ["a" * 100_000 + "!", "a|" + "b" * 100_000, "a|head:" + "9" * 100_000, "!" * 100_000])
def test_a_long_expression_is_cut(text: str) -> None:
    """A long expression is cut in the message."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(text, emitted=True)
    assert len(str(wrong.value)) < 900
