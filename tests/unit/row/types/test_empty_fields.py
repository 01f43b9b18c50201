"""``None`` in the place of additional fields becomes a string, bytes or a dict, whichever the place takes."""

import json
from typing import Any

import pytest

from otel_keyaudit import use_key
from otel_keyaudit.testing import Recorder
from support.applications.audited import KEY, OURS, Application
from support.environment.modules import LoadModule

APP = """
from __future__ import annotations
import functools, typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

if TYPE_CHECKING:
    from elsewhere import Hidden

ROWS = []

Text = Optional[str]
_save = ROWS.append

def record(action, extra=None):
    ROWS.append(extra)

def write(event):
    ROWS.append(event)

class Event:
    details = None

def optional_text(extra: Optional[str] = None): _save(extra)
def union_text(extra: Union[str, None] = None): _save(extra)
def string_text(extra: "str | None" = None): _save(extra)
def annotated_text(extra: Annotated[Optional[str], "json"] = None): _save(extra)
def aliased(extra: Text = None): _save(extra)
def hidden_text(extra: str | Hidden | None = None): _save(extra)
def optional_bytes(extra: bytes | None = None): _save(extra)
def optional_dict(extra: typing.Dict[str, Any] | None = None): _save(extra)
def any_mapping(extra: Mapping[str, Any] | None = None): _save(extra)
def either(extra: str | dict | None = None): _save(extra)
def unknown(extra: Hidden | None = None): _save(extra)
def nothing_said(extra=None): _save(extra)

def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

@traced
def wrapped(extra: str | None = None): _save(extra)

class TextEvent:
    details: str | None = None

    @classmethod
    def create(cls, **values):
        ROWS.append(values)

class InitEvent:
    def __init__(self, details: str | None = None):
        self.details = details

@dataclass
class DataEvent(TextEvent):
    more: int = 0

class PropertyEvent:
    _details = None
    @property
    def details(self) -> str | None:
        return self._details
    @details.setter
    def details(self, value):
        self._details = value

class Dao:
    @staticmethod
    def execute_static(sql, *params): ROWS.append(params)
    def execute(self, sql, *params): ROWS.append(params)
    def execute_list(self, sql, params): ROWS.append(params)
    def execute_many(self, sql, rows): ROWS.extend(rows)

class Details:
    pass

def model(extra: Details | None = None): _save(extra)
def numbers(extra: Optional[list[int]] = None): _save(extra)

class ModelEvent:
    details: Details | None = None

class DictEvent:
    details: dict[str, Any] | None = None
"""


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Application:
    """An application whose functions and events declare the kind of their additional fields."""
    return Application(recorder, load_module(APP))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("optional_text", str), ("union_text", str), ("string_text", str), ("annotated_text", str), ("aliased", str),
        ("hidden_text", str), ("optional_bytes", bytes), ("optional_dict", dict), ("any_mapping", dict),
        ("either", dict), ("unknown", dict), ("nothing_said", dict), ("wrapped", str),
    ],
)  # fmt: skip
def test_none_becomes_the_annotated_kind(app: Application, function: str, expected: type) -> None:
    """The kind is the same for a given ``None`` and an omitted argument, also with names for type checkers."""
    app.audit(f"{function}?fields=args.extra")
    for arguments in ((), (None,)):
        row: Any = app.row(function, *arguments)
        assert type(row).__name__ == expected.__name__
        assert OURS in (row if expected is dict else json.loads(row))
        getattr(app.module, function)(*arguments)
        assert app.module.ROWS[-1] is None
    assert app.recorder.errors() == {}


@pytest.mark.parametrize("function", ["model", "numbers"])
def test_none_stays_if_the_annotated_class_is_no_mapping(app: Application, function: str) -> None:
    """A function that takes a model or a list cannot take a dict, so the write counts as failed."""
    app.audit(f"{function}?fields=args.extra")
    assert app.row(function) is None
    assert app.recorder.writes()["failed"] == 1
    assert app.recorder.errors() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 1}
    assert type(app.row(function, {})) is dict
    assert type(app.row(function)) is dict  # the kind that it received last


def test_none_in_an_attribute_stays_if_its_annotated_class_is_no_mapping(app: Application) -> None:
    """An attribute that holds a model cannot take a dict."""
    app.audit("write?fields=args.event.details")
    assert app.row("write", app.module.ModelEvent()).details is None
    assert app.recorder.writes()["failed"] == 1


@pytest.mark.parametrize("word", ["text", "bytes", "dict"])
def test_fields_as_comes_first(app: Application, word: str) -> None:
    """``fields_as`` overrides the annotation."""
    app.audit(f"optional_text?fields=args.extra&fields_as={word}")
    assert type(app.row("optional_text")).__name__ == {"text": "str"}.get(word, word)


class Text(str):
    """A subclass of ``str``, such as a string that is safe in HTML."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("last", "expected"), [('{"a":1}', str), (Text("{}"), str), (b"{}", bytes), ({}, dict), (bytearray(), bytes)]
)
def test_none_becomes_the_kind_given_last(app: Application, last: Any, expected: type) -> None:
    """Without an annotation the place takes the kind that it received last."""
    app.audit("record?fields=args.extra")
    app.module.record("create", last)
    assert type(app.row("record", "create")) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("TextEvent", str),
        ("InitEvent", str),
        ("DataEvent", str),
        ("PropertyEvent", str),
        ("DictEvent", dict),
        ("Event", dict),
    ],
)
def test_none_in_an_attribute_becomes_the_annotated_kind(app: Application, kind: str, expected: type) -> None:
    """The class, its bases, a property or a parameter of ``__init__`` tells the kind."""
    app.audit("write?fields=args.event.details")
    event = getattr(app.module, kind)()
    assert type(app.row("write", event).details) is expected


def test_argument_of_a_method_becomes_the_kind_of_its_class(app: Application) -> None:
    """``create(**values)`` of a class takes the kind of its attribute."""
    app.audit("TextEvent.create?fields=args.details")
    app.module.TextEvent.create(action="create")
    with use_key(KEY):
        app.module.TextEvent.create(action="create")
    assert "details" not in app.module.ROWS[0]
    assert json.loads(app.module.ROWS[1]["details"]).keys() == {OURS}


@pytest.mark.parametrize(
    ("method", "place", "earlier", "arguments"),
    [
        ("execute_static", "params[1]", ["create", "{}"], ["create", None]),
        ("execute", "params[1]", ["create", "{}"], ["create", None]),
        ("execute", "params[0]", ["{}", "create"], [None, "create"]),
        ("execute_list", "params[1]", [["create", "{}"]], [["create", None]]),
        ("execute_many", "rows[][1]", [[("create", "{}")]], [[("create", None), ["delete", None]]]),
    ],
)
def test_none_among_the_parameters_of_a_statement(
    app: Application, method: str, place: str, earlier: list[Any], arguments: list[Any]
) -> None:
    """A position in a sequence is no column of the class whose method is called, so the last kind decides."""
    app.audit(f"Dao.{method}?fields=args.{place}")
    position = int(place[-2])
    with use_key(KEY):
        for given in (earlier, arguments):
            getattr(app.module.Dao(), method)("INSERT …", *given)
    assert all(OURS in json.loads(row[position]) for row in app.module.ROWS)
    assert app.wrote("attributed")
