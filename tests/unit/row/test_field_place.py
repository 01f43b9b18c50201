"""Where additional fields can be: each place is found, given its members, and nothing of the caller's is changed."""

import copy
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from support.keyaudit import KeyAudit, LoadModule

APP = """
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType

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
"""
KEY = ApiKey("k_1")
OURS = "request_api_key"


class Application:
    """The application, one of whose functions is instrumented; calls are made with a key."""

    def __init__(self, keyaudit: KeyAudit, module: Any) -> None:
        self.keyaudit = keyaudit
        self.module = module

    def audit(self, target: str) -> None:
        """Instrument one function."""
        self.keyaudit.instrument(audit_targets=[f"{self.module.__name__}:{target}"])

    def row(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function with a key, and return what it wrote."""
        owner = self.module
        with use_key(KEY):
            getattr(owner, name)(*args, **kwargs)
        return owner.ROWS[-1]

    def wrote(self, kind: str) -> bool:
        """Say whether every write so far counts as this kind."""
        writes = self.keyaudit.writes()
        return writes[kind] == sum(writes.values()) > 0


@pytest.fixture
def app(keyaudit: KeyAudit, load_module: LoadModule) -> Application:
    """An application with audit functions of every shape."""
    return Application(keyaudit, load_module(APP))


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
    with app.keyaudit.request():
        assert app.row("write", event) is event
        assert names(event.details) == ["a", OURS]
        assert details == {"a": 1}
        if kind == "WithAttribute":
            assert event == {}
        assert names(app.row("write", event).details) == ["a", OURS]
        app.module.write(event)
        assert event.details == {"a": 1}
    assert app.keyaudit.degraded() == {}


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
    with app.keyaudit.request():
        for key in (KEY, ApiKey("k_2")):
            with use_key(key):
                writer.write("create")
            assert app.module.ROWS[-1] == {"a": 1, OURS: app.module.ROWS[-1][OURS]}
            assert app.module.ROWS[-1][OURS]["id"] == key.id
    assert app.keyaudit.degraded() == {}


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
    assert app.keyaudit.degraded() == {("merge", kind): 1}


def test_a_mapping_as_self_cannot_be_exchanged(app: Application) -> None:
    """The method would see the old one all the same."""
    app.audit("MappingWriter.write?fields=self.meta")
    writer = app.module.MappingWriter(meta={"a": 1})
    with use_key(KEY):
        writer.write("create")
    assert app.module.ROWS == [{"a": 1}]
    assert app.wrote("failed")
