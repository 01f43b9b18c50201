"""Annotations tell the kind of additional fields, and are never evaluated."""

# ruff: noqa: UP007, UP045 - every way to write an annotation

import sys
import types
import typing
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from dataclasses import InitVar
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional, TypedDict, TypeVar, Union

import pytest

from otel_keyaudit.row.types.annotations import kind_of_annotation, kind_of_attribute, kind_of_parameter
from support.environment.modules import LoadModule

Json = NewType("Json", str)
Alias = Optional[str]
Unset = TypeVar("Unset")


class Fields(TypedDict):
    """A mapping."""

    a: int


class Own(str):
    """A string."""

    __slots__ = ()


class JsonObject:
    """A type that stands for any JSON value."""


class Closed(typing.Protocol):
    """A protocol with which ``issubclass`` raises."""

    a: int


NAMESPACE = {
    **vars(typing),
    "types": types,
    "typing": typing,
    "Json": Json,
    "Alias": Alias,
    "Fields": Fields,
    "Own": Own,
}


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, "text"), (bytes, "bytes"), (bytearray, "bytes"), (memoryview, "bytes"), (dict, "dict"), (Own, "text"),
        (Optional[str], "text"), (str | None, "text"), (Union[bytes, None], "bytes"), (dict[str, Any], "dict"),
        (Mapping[str, Any] | None, "dict"), (MutableMapping, "dict"), (OrderedDict[str, int], "dict"), (Fields, "dict"),
        (Annotated[str | None, "json"], "text"), (ClassVar[bytes | None], "bytes"), (Json, "text"),
        (Optional[Json], "text"), (InitVar[str], "text"), (Alias, "text"), (str | bytes, "text"),
        (str | int, "text"), (typing.Dict[str, Any], "dict"), (typing.Final[str], "text"),  # noqa: UP006
        (TypeVar("T", bound=str), "text"), (TypeVar("T", bytes, bytearray), "bytes"), (TypeVar("T", str, dict), None),
        (TypeVar("T"), None), (TypeVar("T", bound="str | None"), "text"),
        (str | dict | None, None), (bytes | Mapping, None), (Any, None), (object, None), (int, "unknown"), (None, None),
        (list[str], "unknown"), (Literal["a"], None), (Unset, None), ([], None), (int | dict | None, "dict"),
        (Optional["Json"], "text"), (Annotated["Fields | None", 1], "dict"),
        (TypeVar("T", bound=Optional["Own"]), "text"),
        (typing.Callable[[str], str], "unknown"), (typing.Sized | None, None), (JsonObject, None), (Closed, None),
    ],
)  # fmt: skip
def test_objects(annotation: Any, kind: str | None) -> None:
    """Classes, unions, aliases and generic types are objects."""
    assert kind_of_annotation(annotation, NAMESPACE) == kind


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("str", "text"), ("str | None", "text"), ("Optional[str]", "text"), ("typing.Optional[bytes]", "bytes"),
        ("Mapped[Optional[str]]", "text"), ("orm.Mapped[str]", "text"), ("Mapped['str | None']", "text"),
        ("Annotated[str, Field(max_length=3)]", "text"), ("dict[str, Any] | None", "dict"), ("t.Mapping", "dict"),
        ("Union[str, None]", "text"), ("Union[Hidden, bytes]", "bytes"), ("Hidden | str", "text"), ("Json", "text"),
        ("Alias", "text"), ("Fields | None", "dict"), ("Own", "text"), ("'str'", "text"),
        ("str | dict[str, Any]", None), ("Hidden", None), ("Hidden[str]", None), ("list[str]", "unknown"),
        ("Any", None), ("None", None), ("", None), ("1 +", None), ("boom()", None), ("x.y.z", None),
        ("Literal['str']", None),
        ("\x00", None), ("LiteralString | None", "text"), ("types.ModuleType", "unknown"), ("typing.Text", "text"),
    ],
)  # fmt: skip
def test_strings(annotation: str, kind: str | None) -> None:
    """Annotations that are strings are parsed, and unknown names do not matter."""
    assert kind_of_annotation(annotation, NAMESPACE) == kind


def test_nothing_is_evaluated() -> None:
    """Neither calls nor subscripts of the application's objects run."""

    class Loud:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError

        def __class_getitem__(cls, name: str) -> Any:
            raise AssertionError

    assert kind_of_annotation("Loud[str] | loud.x | loud() | str", {"Loud": Loud, "loud": Loud()}) == "text"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")
def test_literal_string() -> None:
    """It is a string for type checkers, and no class."""
    assert kind_of_annotation(typing.LiteralString, {}) == "text"
    assert kind_of_annotation(Optional[typing.LiteralString], {}) == "text"


@pytest.mark.parametrize("alias", ["A", "'A'", "A | None", "Optional[A]", "B"])
def test_an_alias_that_leads_to_itself_ends(alias: str) -> None:
    """An alias that refers to itself has no kind, and hides no other part."""
    namespace = {"A": alias, "B": "A"}
    assert kind_of_annotation("A", namespace) is None
    assert kind_of_annotation("str | A", namespace) == "text"


def test_parameter_behind_decorators() -> None:
    """The wrapped function's annotation counts."""

    def function(extra: "str | None") -> None: ...

    wrapper = types.FunctionType(test_nothing_is_evaluated.__code__, {})
    wrapper.__wrapped__ = function  # type: ignore[attr-defined]
    assert kind_of_parameter(wrapper, "extra") == "text"
    assert kind_of_parameter(wrapper, "other") is None
    assert kind_of_parameter(None, "extra") is None


def test_names_behind_a_decorator_are_those_of_the_function(load_module: LoadModule) -> None:
    """The module of the decorator may have other names, or the same names for other types."""
    decorators = load_module("""
import functools

class Json(str): ...

def checked(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
""")
    module = load_module(f"""
from {decorators.__name__} import checked

class Json(dict): ...
class Text(str): ...

@checked
def record(extra: "Json | None" = None): ...

@checked
@checked
def write(extra: "Text | None" = None): ...
""")
    assert kind_of_parameter(module.record, "extra") == "dict"
    assert kind_of_parameter(module.write, "extra") == "text"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
def test_type_parameters_and_generic_aliases(load_module: LoadModule) -> None:
    """The syntax of Python 3.12 is read."""
    module = load_module("""
type Json[T] = str | None

def bound[T: str](extra: T | None = None): ...

def aliased(extra: Json[int] = None): ...

def constrained[T: (bytes, bytearray)](extra: T | None = None): ...
""")
    assert kind_of_parameter(module.bound, "extra") == "text"
    assert kind_of_parameter(module.constrained, "extra") == "bytes"
    assert kind_of_parameter(module.aliased, "extra") == "text"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated with the definition")
def test_names_for_type_checkers_are_not_needed(load_module: LoadModule) -> None:
    """Since Python 3.14 annotations are evaluated lazily, and their values are not requested."""
    module = load_module("""
from typing import TYPE_CHECKING, Annotated, Optional

if TYPE_CHECKING:
    from elsewhere import Hidden

def boom():
    raise AssertionError

type Alias = str | Hidden

def record(extra: Annotated[Optional[str], boom(), Hidden] = None): ...

def aliased(extra: Alias = None): ...

class Event:
    details: Hidden | bytes
    other: boom()
""")
    assert kind_of_parameter(module.record, "extra") == "text"
    assert kind_of_parameter(module.aliased, "extra") == "text"
    assert kind_of_attribute(module.Event, "details") == "bytes"
    assert kind_of_attribute(module.Event, "other") is None
