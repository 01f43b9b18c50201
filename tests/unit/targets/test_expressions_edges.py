"""The path language at its limits, and what a refusal says, word by word."""

from collections import ChainMap, UserDict
from typing import Any

import pytest

from otel_keyaudit.errors import ConfigurationError, MissingError, UnreadableError
from otel_keyaudit.targets.expression import Expression, parse
from support.paths import read

ALLOWED = "allowed are .name, .name(), [0], ['item'], [] after a root or name, then |filter:argument, then ??"
SECRET = "allowed is only its hash (|sha256:16) or the last four characters of a text (|tail:4) at once"


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
        ("owner.Token", f"expression 'owner.Token' would write out 'Token', which holds a secret; {SECRET}"),
    ],
)
def test_a_wrong_expression_is_explained(text: str, message: str) -> None:
    """The whole expression, where it goes wrong, and what is allowed there."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(text, emitted=True)
    assert str(wrong.value).startswith(message)
    assert "known are" in str(wrong.value) or str(wrong.value) == message


@pytest.mark.parametrize("name", ["X_key", "XX_XX_token", "Xkey"])
def test_only_underscores_before_a_name_are_overlooked(name: str) -> None:
    """Another name that ends like that of a secret is another name."""
    assert isinstance(parse(name, emitted=True), Expression)


def test_an_expression_shows_itself_as_written() -> None:
    """That is what errors and the status name it by."""
    text = " name ?? token_name | str "
    expression = parse(text, emitted=True)
    assert isinstance(expression, Expression)
    assert expression.text == text


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("return.verb", object(), "object has no 'verb'"),
        ("return.verb", {"a": 1}, "dict has no 'verb'"),
        ("return['verb']", {"a": 1}, "dict has no 'verb'"),
        ("return['verb']", 5, "int has no 'verb'"),
        ("return[3]", [1], "list has no '3'"),
        ("return[3]", {"a": 1}, "dict has no '3'"),
        ("return.verb()", [], "list has no 'verb'"),
    ],
)
def test_what_is_missing_is_named_with_where_it_was_looked_for(text: str, value: object, message: str) -> None:
    """By its name and the kind of its owner."""
    with pytest.raises(MissingError) as missing:
        read(text, result=value)
    assert str(missing.value) == message


@pytest.mark.parametrize(("value", "kind"), [("text", "str"), (b"bytes", "bytes"), (5, "int"), (iter([1]), "iterator")])
def test_only_a_list_is_mapped_over(value: Any, kind: str) -> None:
    """The reason names the kind of what is none."""
    with pytest.raises(UnreadableError) as refused:
        read("return[].id", result=value)
    assert str(refused.value).startswith("[] maps over a list, not over ")
    assert str(refused.value).endswith(kind)


def test_a_mapping_is_mapped_over_by_its_keys_where_a_path_begins() -> None:
    """``[]`` at the very start is over what the path starts from; an iterator there is the application's to read."""
    assert read("return[]", result={"b": 1, "a": 2}) == ["b", "a"]
    scopes = iter(["a"])
    for text in ("return[]", "return[].upper()"):
        with pytest.raises(UnreadableError):
            read(text, result=scopes)
    assert list(scopes) == ["a"]


def test_what_comes_from_a_set_is_sorted_and_a_list_is_not() -> None:
    """One key has one snapshot, whatever order its set has at the moment; a list has the application's order."""
    names = [f"scope:{number}" for number in range(50)]
    assert read("return[]", result=set(names)) == sorted(names)
    assert read("return[]", result=names[::-1]) == names[::-1]


def test_a_set_without_an_order_is_read_all_the_same() -> None:
    """It keeps whatever order it has."""
    one, other = Unordered(), Unordered()
    assert set(read("return[]", result={one, other})) == {one, other}


class Keyed:
    """Has keys and items, and is no mapping."""

    def keys(self) -> list[str]:
        return ["verb"]

    def __getitem__(self, name: str) -> str:
        return {"verb": "create"}[name]


@pytest.mark.parametrize("kind", [dict, UserDict, ChainMap])
def test_a_member_of_a_mapping_is_no_item_a_second_time(kind: Any) -> None:
    """What is neither item nor attribute is missing; anything with ``keys()`` is asked for an item last."""
    with pytest.raises(MissingError, match=f"{kind.__name__} has no 'noun'"):
        read("return.noun", result=kind(verb="create") if kind is not ChainMap else ChainMap({"verb": "create"}))
    assert read("return.verb", result=Keyed()) == "create"
    with pytest.raises(MissingError, match="Keyed has no 'noun'"):
        read("return.noun", result=Keyed())
