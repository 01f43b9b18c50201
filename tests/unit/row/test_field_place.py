"""Where additional fields can be: each place is found, given its members, and nothing of the caller's is changed."""

import copy
import json
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.modules import LoadModule

APP = """
from __future__ import annotations
import functools, typing
from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

if TYPE_CHECKING:
    from elsewhere import Hidden

ROWS = []
UNSET = object()
SHARED = {"default": True}

class Event:
    def __init__(self, details=None, **more):
        self.details = details
        vars(self).update(more)

class Slotted:
    __slots__ = ("details",)

@dataclass(frozen=True)
class Frozen:
    details: dict = field(default_factory=dict)

Pair = namedtuple("Pair", "name details")

class ReadOnly:
    @property
    def details(self):
        return {"a": 1}

class Counting:
    reads = writes = 0
    @property
    def details(self):
        self.reads += 1
        return self.held
    @details.setter
    def details(self, value):
        self.writes += 1
        self.held = value

class WithAttribute(dict):
    details = None

class Row:
    '''Items by name, no mapping, no attributes.'''
    def __init__(self, **items):
        self.items = items
    def keys(self):
        return self.items.keys()
    def __getitem__(self, name):
        return self.items[name]

def record(action, extra=None):
    ROWS.append(extra)
    return len(ROWS)

def write(event):
    ROWS.append(event)

def sentinel(action, extra=UNSET):
    ROWS.append("unset" if extra is UNSET else extra)

def shared(action, extra=SHARED):
    ROWS.append(extra)

def required(action, extra):
    ROWS.append(extra)

def positional_only(action, extra=None, /):
    ROWS.append(extra)

def keyword_only(action, *, extra=None):
    ROWS.append(extra)

def any_keyword(action, **more):
    ROWS.append(more)

def text(action, extra=""):
    ROWS.append(extra)

class Writer:
    def __init__(self, meta):
        self.meta = meta
    def write(self, action):
        ROWS.append(self.meta)

class MappingWriter(dict):
    def write(self, action):
        ROWS.append(self["meta"])

class Labelled:
    labels: Optional[dict[str, str]] = None

class WithDetails(dict):
    __getattr__ = dict.__getitem__

Text = Optional[str]
_save = ROWS.append

def annotated(attributes: dict[str, Any] | None = None):
    ROWS.append(attributes)

def build():
    return MAKE()

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

class DictEvent:
    details: dict[str, Any] | None = None
"""
KEY = ApiKey("k_1")
OURS = "request_api_key"


class Application:
    """The application, one of whose functions is instrumented; calls are made with a key."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        self.recorder = recorder
        self.module = module

    def audit(self, target: str) -> None:
        """Instrument one function."""
        self.recorder.instrument(audit_targets=[f"{self.module.__name__}:{target}"])

    def row(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function with a key, and return what it wrote."""
        owner = self.module
        with use_key(KEY):
            getattr(owner, name)(*args, **kwargs)
        return owner.ROWS[-1]

    def wrote(self, kind: str) -> bool:
        """Say whether every write so far counts as this kind."""
        writes = self.recorder.writes()
        return writes[kind] == sum(writes.values()) > 0


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Application:
    """An application with audit functions of every shape."""
    return Application(recorder, load_module(APP))


def names(fields: Any) -> list[Any]:
    """Return the names in additional fields, our member checked."""
    assert fields[OURS]["id"] == "k_1"
    return list(fields)


@pytest.mark.parametrize(
    ("function", "arguments", "keywords"),
    [
        ("record", ("create", {"a": 1}), {}),
        ("record", ("create",), {"extra": {"a": 1}}),
        ("record", (), {"extra": {"a": 1}, "action": "create"}),
        ("keyword_only", ("create",), {"extra": {"a": 1}}),
        ("positional_only", ("create", {"a": 1}), {}),
        ("required", ("create", {"a": 1}), {}),
        ("any_keyword", ("create",), {"extra": {"a": 1}}),
    ],
)
def test_a_parameter(app: Application, function: str, arguments: Any, keywords: Any) -> None:
    """By position or by keyword; the caller's own containers stay as they are."""
    app.audit(f"{function}?fields=args.extra")
    before = copy.deepcopy((arguments, keywords))
    row = app.row(function, *arguments, **keywords)
    assert names(row["extra"] if function == "any_keyword" else row) == ["a", OURS]
    assert (arguments, keywords) == before
    assert app.wrote("attributed")


@pytest.mark.parametrize("function", ["record", "keyword_only", "positional_only", "sentinel", "any_keyword"])
def test_a_left_out_argument_is_supplied(app: Application, function: str) -> None:
    """With a default of ``None`` or a sentinel, or where any keyword is taken; without a key nothing is supplied."""
    app.audit(f"{function}?fields=args.extra")
    row = app.row(function, "create")
    assert names(row["extra"] if function == "any_keyword" else row) == [OURS]
    getattr(app.module, function)("create")
    assert app.module.ROWS[-1] == {"sentinel": "unset", "any_keyword": {}}.get(function)


def test_a_default_is_merged_into_and_never_changed(app: Application) -> None:
    """A mutable default dict and a default text are copied like any other."""
    app.audit("shared?fields=args.extra")
    assert names(app.row("shared", "create")) == ["default", OURS]
    assert app.module.SHARED == {"default": True}


def test_a_default_text_becomes_an_object(app: Application) -> None:
    """An empty text that was left out is an object as text."""
    app.audit("text?fields=args.extra")
    assert app.row("text", "create").startswith('{"request_api_key":{"id":"k_1"')


@pytest.mark.parametrize("function", ["required", "record"])
def test_a_call_that_fails_by_itself_still_fails(app: Application, function: str) -> None:
    """An argument that the function requires is not supplied in the caller's place."""
    app.audit(f"{function}?fields=args.extra")
    with pytest.raises(TypeError, match="missing 1 required positional argument"), use_key(KEY):
        getattr(app.module, function)(*(["create"] if function == "required" else []))
    assert app.module.ROWS == []


def test_all_further_keywords_can_be_the_fields(app: Application) -> None:
    """``**more`` itself: the members become keywords, the declared parameters are none of them."""
    app.audit("any_keyword?fields=args.more")
    assert names(app.row("any_keyword", action="create", a=1)) == ["a", OURS]
    assert names(app.row("any_keyword", "create")) == [OURS]
    assert app.wrote("attributed")


@pytest.mark.parametrize("path", ["details", "a.details", "a['details']", "a.b.details", "a[1].details", "a[-1]['b']"])
@pytest.mark.parametrize("content", [None, {"x": 1}, '{"x":1}'], ids=["nothing", "dict", "text"])
def test_members_of_mappings_and_lists(app: Application, path: str, content: Any) -> None:
    """Items of mappings and lists on the way: all are copied down to the fields."""
    app.audit(f"write?fields=args.event.{path}")
    held = {"details": content, "b": content}
    event: dict[str, Any] = {
        "details": content,
        "a": [0, held] if "1]" in path else {**held, "b": {"details": content}},
    }
    before = copy.deepcopy(event)
    row = app.row("write", event)
    assert event == before
    assert row != before
    assert str(row).count("'id': 'k_1'") + str(row).count('"id":"k_1"') == 1
    assert app.wrote("attributed")


def test_a_missing_member_is_nothing_yet(app: Application) -> None:
    """A mapping without the item gets it."""
    app.audit("write?fields=args.event.details")
    assert names(app.row("write", {"a": 1})["details"]) == [OURS]
    row = app.row("write", app.module.OrderedDict(a=1))
    assert type(row) is app.module.OrderedDict
    assert names(row["details"]) == [OURS]


@pytest.mark.parametrize("kind", ["Event", "Slotted", "WithAttribute"])
def test_an_attribute_is_set_on_the_object(app: Application, kind: str) -> None:
    """The object that is written is the caller's own, with new fields; its old fields are as they were."""
    app.audit("write?fields=args.event.details")
    event = getattr(app.module, kind)()
    event.details = details = {"a": 1}
    with app.recorder.request():
        assert app.row("write", event) is event
        assert names(event.details) == ["a", OURS]
        assert details == {"a": 1}
        if kind == "WithAttribute":
            assert event == {}
        assert names(app.row("write", event).details) == ["a", OURS]
        app.module.write(event)
        assert event.details == {"a": 1}
    assert app.recorder.errors() == {}


def test_a_property_is_read_and_written_once(app: Application) -> None:
    """What reading does happens as often as without lists of alternatives: once per write."""
    app.audit("write?fields=args.event.details")
    event = app.module.Counting()
    event.held = None
    app.row("write", event)
    assert (event.reads, event.writes, list(event.held)) == (1, 1, [OURS])


def test_attributes_inside_mappings_and_mappings_inside_attributes(app: Application) -> None:
    """A mix: the dicts are copied, the objects are kept."""
    app.audit("write?fields=args.event.context.payload['meta']")
    payload = {"meta": {"a": 1}}
    event = app.module.Event(context={"payload": payload, "b": 2})
    context = event.context
    assert names(app.row("write", event).context["payload"]["meta"]) == ["a", OURS]
    assert context == {"payload": {"meta": {"a": 1}}, "b": 2}
    assert payload == {"meta": {"a": 1}}


def test_an_attribute_of_the_object_itself(app: Application) -> None:
    """``self.meta`` of a method, ours exchanged when it comes by again."""
    app.audit("Writer.write?fields=self.meta")
    writer = app.module.Writer({"a": 1})
    with app.recorder.request():
        for key in (KEY, ApiKey("k_2")):
            with use_key(key):
                writer.write("create")
            assert app.module.ROWS[-1] == {"a": 1, OURS: app.module.ROWS[-1][OURS]}
            assert app.module.ROWS[-1][OURS]["id"] == key.id
    assert app.recorder.errors() == {}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("ReadOnly()", "AttributeError"),
        ("Row(details={'a': 1})", "otel_keyaudit.errors.MissingError"),
        ("Event([1])", "otel_keyaudit.errors.UnchangeableError"),
        ("{'details': [1]}", "otel_keyaudit.errors.UnchangeableError"),
        ("{'details': 'no JSON'}", "otel_keyaudit.errors.UnchangeableError"),
        ("object()", "otel_keyaudit.errors.MissingError"),
        ("None", "otel_keyaudit.errors.UnchangeableError"),
        ("7", "otel_keyaudit.errors.MissingError"),
    ],
)
def test_what_cannot_be_changed_stays_untouched(app: Application, event: str, kind: str) -> None:
    """Read-only objects and what is no object: the write happens with the caller's own argument, and is counted."""
    app.audit("write?fields=args.event.details")
    given = eval(event, vars(app.module))  # noqa: S307
    before = repr(given)
    assert app.row("write", given) is given
    assert repr(given) == before
    assert app.wrote("failed")
    assert app.recorder.errors() == {("merge", kind): 1}


def test_a_mapping_as_self_cannot_be_exchanged(app: Application) -> None:
    """The method would see the old one all the same."""
    app.audit("MappingWriter.write?fields=self.meta")
    writer = app.module.MappingWriter(meta={"a": 1})
    with use_key(KEY):
        writer.write("create")
    assert app.module.ROWS == [{"a": 1}]
    assert app.wrote("failed")


@pytest.mark.parametrize(
    ("place", "given", "expected"),
    [
        ("args.event['labels']['keyaudit']", {}, ["labels", "keyaudit"]),
        ("args.event['labels']['keyaudit']", None, ["labels", "keyaudit"]),
        ("args.event['labels']['keyaudit']", {"labels": None}, ["labels", "keyaudit"]),
        ("args.event.labels.keyaudit", {}, ["labels", "keyaudit"]),
        ("args.event['labels']", None, ["labels"]),
        ("args.event['a'].b['c']", None, ["a", "b", "c"]),
    ],
)
def test_missing_mappings_are_made(app: Application, place: str, given: Any, expected: list[str]) -> None:
    """On the way, for a ``None`` argument too; the caller's are unchanged, and without a key nothing is made."""
    app.audit(f"write?fields={place}")
    before = copy.deepcopy(given)
    row = app.row("write", given)
    for name in expected:
        assert list(row) == [name]
        row = row[name]
    assert names(row) == [OURS]
    assert given == before
    app.module.write(given)
    assert app.module.ROWS[-1] is given
    assert app.recorder.errors() == {}


def test_missing_mapping_of_an_attribute_is_made(app: Application) -> None:
    """If its annotation says so, or an item is looked for."""
    app.audit("write?fields=args.event.labels.keyaudit")
    row = app.row("write", app.module.Labelled())
    assert names(row.labels["keyaudit"]) == [OURS]
    assert app.wrote("attributed")


def test_parameter_annotated_as_a_mapping_is_made(app: Application) -> None:
    """Also for a path that could lead to an attribute."""
    app.audit("annotated?fields=args.attributes.keyaudit")
    assert names(app.row("annotated")["keyaudit"]) == [OURS]


def test_object_is_not_replaced_by_a_mapping(app: Application) -> None:
    """``None`` where an object may be expected stays ``None``, and the write counts as failed."""
    app.audit("write?fields=args.event.details")
    assert app.row("write", None) is None
    assert app.wrote("failed")


@pytest.mark.parametrize(
    ("build", "read"),
    [
        ("lambda: Event({'a': 1})", lambda result: result.details),
        ("lambda: {'details': {'a': 1}}", lambda result: result["details"]),
        ("lambda: Frozen({'a': 1})", lambda result: result.details),
        ("lambda: Pair('n', {'a': 1})", lambda result: result.details),
        ("lambda: WithDetails(a=Event({'a': 1})).a", lambda result: result.details),
    ],
)
def test_result_has_the_key(app: Application, build: str, read: Any) -> None:
    """``return.details``: the result is a changed copy; the application's own result and details are unchanged."""
    app.audit("build?fields=return.details")
    kept: list[Any] = []
    made = eval(build, vars(app.module))  # noqa: S307

    def make() -> Any:
        kept.append(made())
        return kept[-1]

    app.module.MAKE = make
    with use_key(KEY):
        result = app.module.build()
    assert names(read(result)) == ["a", OURS]
    assert type(result) is type(kept[0])
    assert read(kept[0]) == {"a": 1}
    assert app.wrote("attributed")
    app.module.build()
    assert read(kept[-1]) == {"a": 1}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("optional_text", str), ("union_text", str), ("string_text", str), ("annotated_text", str), ("aliased", str),
        ("hidden_text", str), ("optional_bytes", bytes), ("optional_dict", dict), ("any_mapping", dict),
        ("either", dict), ("unknown", dict), ("nothing_said", dict), ("wrapped", str),
    ],
)  # fmt: skip
def test_none_becomes_the_annotated_kind(app: Application, function: str, expected: type) -> None:
    """Given or omitted; a name that only a type checker imports is no obstacle."""
    app.audit(f"{function}?fields=args.extra")
    for arguments in ((), (None,)):
        row: Any = app.row(function, *arguments)
        assert type(row).__name__ == expected.__name__
        assert OURS in (row if expected is dict else json.loads(row))
        getattr(app.module, function)(*arguments)
        assert app.module.ROWS[-1] is None
    assert app.recorder.errors() == {}


@pytest.mark.parametrize("word", ["text", "bytes", "dict"])
def test_fields_as_comes_first(app: Application, word: str) -> None:
    """Before any annotation."""
    app.audit(f"optional_text?fields=args.extra&fields_as={word}")
    assert type(app.row("optional_text")).__name__ == {"text": "str"}.get(word, word)


class Text(str):
    """A string of a class of its own, such as one that is safe in HTML."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("last", "expected"), [('{"a":1}', str), (Text("{}"), str), (b"{}", bytes), ({}, dict), (bytearray(), bytes)]
)
def test_none_becomes_the_kind_given_last(app: Application, last: Any, expected: type) -> None:
    """If nothing else is known, the place takes what it took before."""
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
    """By the class, its bases, a property, or the parameter of ``__init__``."""
    app.audit("write?fields=args.event.details")
    event = getattr(app.module, kind)()
    assert type(app.row("write", event).details) is expected


def test_argument_of_a_method_becomes_the_kind_of_its_class(app: Application) -> None:
    """``create(**values)`` of a class whose attribute of that name takes a string."""
    app.audit("TextEvent.create?fields=args.details")
    app.module.TextEvent.create(action="create")
    with use_key(KEY):
        app.module.TextEvent.create(action="create")
    assert "details" not in app.module.ROWS[0]
    assert json.loads(app.module.ROWS[1]["details"]).keys() == {OURS}
