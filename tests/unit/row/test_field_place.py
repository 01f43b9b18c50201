"""Additional fields are found in every place and receive the members, and the caller's data is unchanged."""

import copy
import gc
import json
from collections import OrderedDict, UserDict
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import ref

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.errors import MissingError, UnchangeableError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.row.field_place import ValuePlace
from otel_keyaudit.row.path_edit import quiet_attempt
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.expression import Expression, parse
from otel_keyaudit.testing import Recorder
from support.applications.audited import KEY, OURS, Application, names
from support.environment.modules import LoadModule

APP = """
from __future__ import annotations
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Optional

ROWS = []
UNSET = object()
SHARED_WORKER = {"default": True}

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

def shared(action, extra=SHARED_WORKER):
    ROWS.append(extra)

def required(action, extra):
    ROWS.append(extra)

def positional_only(action, extra=None, /):
    ROWS.append(extra)

def extend(extra):
    ROWS.append(extra)
    extra["id"] = 7

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

    def close(self) -> dict[str, str]:
        ROWS.append(self.meta)
        return {}

class MappingWriter(dict):
    def write(self, action):
        ROWS.append(self["meta"])

class Labeled:
    labels: Optional[dict[str, str]] = None

class WithDetails(dict):
    __getattr__ = dict.__getitem__

def annotated(attributes: dict[str, Any] | None = None):
    ROWS.append(attributes)

def build():
    return MAKE()

def build_mapping() -> dict[str, Any] | None:
    return MAKE()

def pass_on(rows):
    return rows

def build_text() -> Optional[str]:
    return MAKE()

class Unmapped:
    def in_context(self, context, **more):
        ROWS.append((context, more))

def replace_member(extra):
    extra["request_api_key"] = "replaced"
"""

MAPPED = """
from sqlalchemy import Text
from sqlalchemy.orm import declarative_base, mapped_column

ROWS = []

class Log(declarative_base()):
    __tablename__ = "log"
    id = mapped_column(Text, primary_key=True)
    extra = mapped_column(Text)

    @classmethod
    def insert(cls, row=None, **columns):
        ROWS.append((row and dict(row), columns))
        if row is not None:
            row["id"] = "assigned"

    @classmethod
    def insert_declared(cls, row, extra=None):
        ROWS.append((row, extra))
"""


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Application:
    """An application with audit functions of every shape."""
    return Application(recorder, load_module(APP))


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
    """The parameter is found by position and by keyword, and the caller's containers are unchanged."""
    app.audit(f"{function}?fields=args.extra")
    before = copy.deepcopy((arguments, keywords))
    row = app.row(function, *arguments, **keywords)
    assert names(row["extra"] if function == "any_keyword" else row) == ["a", OURS]
    assert (arguments, keywords) == before
    assert app.wrote("attributed")


@pytest.mark.parametrize("function", ["record", "keyword_only", "positional_only", "sentinel", "any_keyword"])
def test_a_left_out_argument_is_supplied(app: Application, function: str) -> None:
    """An argument with a default of ``None`` or a sentinel is supplied if there is a key."""
    app.audit(f"{function}?fields=args.extra")
    row = app.row(function, "create")
    assert names(row["extra"] if function == "any_keyword" else row) == [OURS]
    getattr(app.module, function)("create")
    assert app.module.ROWS[-1] == {"sentinel": "unset", "any_keyword": {}}.get(function)


def test_a_default_is_merged_into_and_never_changed(app: Application) -> None:
    """A mutable default dict and a default string are copied like any other."""
    app.audit("shared?fields=args.extra")
    assert names(app.row("shared", "create")) == ["default", OURS]
    assert app.module.SHARED_WORKER == {"default": True}


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict])
def test_additions_of_the_function_reach_the_fields_of_the_caller(app: Application, kind: Any) -> None:
    """The member of the key does not."""
    app.audit("extend?fields=args.extra")
    fields: Any = kind(a=1)
    assert names(app.row("extend", fields)) == ["a", OURS, "id"]
    assert dict(fields) == {"a": 1, "id": 7}


def test_member_that_the_function_changes_does_not_reach_the_caller(app: Application) -> None:
    """The caller did not pass it."""
    app.audit("replace_member?fields=args.extra")
    fields = {"a": 1}
    with use_key(KEY):
        app.module.replace_member(fields)
    assert fields == {"a": 1}
    assert app.recorder.errors() == {("merge", "otel_keyaudit.errors.MaskedError"): 1}


def test_none_becomes_the_kind_of_the_fields_before(app: Application) -> None:
    """Without any before, it becomes a dict."""
    app.audit("record?fields=args.extra")
    given: list[Any] = [None, {}, None, "{}", None, b"{}", None, None, {}, None]
    rows = [app.row("record", "create", fields) for fields in given]
    assert [type(row) for row in rows] == [dict, dict, dict, str, str, bytes, bytes, bytes, dict, dict]


def test_class_of_the_fields_is_not_kept_alive(app: Application) -> None:
    """An application may create classes at run time."""

    class Fields(OrderedDict[str, Any]):
        """Additional fields."""

    app.audit("record?fields=args.extra")
    app.row("record", "create", Fields())
    app.module.ROWS.clear()
    kind = ref(Fields)
    del Fields
    gc.collect()
    assert kind() is None


def test_default_string_becomes_an_object(app: Application) -> None:
    """An omitted empty string becomes a JSON object."""
    app.audit("text?fields=args.extra")
    assert app.row("text", "create").startswith('{"request_api_key":{"id":"k_1"')


@pytest.mark.parametrize("function", ["required", "record"])
def test_a_call_that_fails_by_itself_still_fails(app: Application, function: str) -> None:
    """A missing required argument is not supplied."""
    app.audit(f"{function}?fields=args.extra")
    with pytest.raises(TypeError, match="missing 1 required positional argument"), use_key(KEY):
        getattr(app.module, function)(*(["create"] if function == "required" else []))
    assert app.module.ROWS == []


def test_all_further_keywords_can_be_the_fields(app: Application) -> None:
    """``**more`` can be the fields: the members become keywords, and declared parameters are not part of it."""
    app.audit("any_keyword?fields=args.more")
    assert names(app.row("any_keyword", action="create", a=1)) == ["a", OURS]
    assert names(app.row("any_keyword", "create")) == [OURS]
    assert app.wrote("attributed")


@pytest.mark.parametrize("path", ["details", "a.details", "a['details']", "a.b.details", "a[1].details", "a[-1]['b']"])
@pytest.mark.parametrize("content", [None, {"x": 1}, '{"x":1}'], ids=["nothing", "dict", "text"])
def test_members_of_mappings_and_lists(app: Application, path: str, content: Any) -> None:
    """Mappings and lists on the path are copied down to the fields."""
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


def test_missing_item_is_created(app: Application) -> None:
    """A mapping without the item gets it."""
    app.audit("write?fields=args.event.details")
    assert names(app.row("write", {"a": 1})["details"]) == [OURS]
    row = app.row("write", app.module.OrderedDict(a=1))
    assert type(row) is app.module.OrderedDict
    assert names(row["details"]) == [OURS]


@pytest.mark.parametrize("kind", ["Event", "Slotted", "WithAttribute"])
def test_an_attribute_is_set_on_the_object(app: Application, kind: str) -> None:
    """The caller's own object gets new fields, and its old fields are unchanged."""
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
    """The property is read and written once per write."""
    app.audit("write?fields=args.event.details")
    event = app.module.Counting()
    event.held = None
    app.row("write", event)
    assert (event.reads, event.writes, list(event.held)) == (1, 1, [OURS])


def test_attributes_inside_mappings_and_mappings_inside_attributes(app: Application) -> None:
    """Dicts on the path are copied, and objects are kept."""
    app.audit("write?fields=args.event.context.payload['meta']")
    payload = {"meta": {"a": 1}}
    event = app.module.Event(context={"payload": payload, "b": 2})
    context = event.context
    assert names(app.row("write", event).context["payload"]["meta"]) == ["a", OURS]
    assert context == {"payload": {"meta": {"a": 1}}, "b": 2}
    assert payload == {"meta": {"a": 1}}


def test_an_attribute_of_the_object_itself(app: Application) -> None:
    """``self.meta`` of a method gets the member, which is replaced by the next call."""
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
def test_unchangeable_fields_stay_untouched(app: Application, event: str, kind: str) -> None:
    """The write receives the caller's own argument and counts as failed."""
    app.audit("write?fields=args.event.details")
    given = eval(event, vars(app.module))  # noqa: S307
    before = repr(given)
    assert app.row("write", given) is given
    assert repr(given) == before
    assert app.wrote("failed")
    assert app.recorder.errors() == {("merge", kind): 1}


def test_a_mapping_as_self_cannot_be_exchanged(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """The method would still see the old mapping."""
    app.audit("MappingWriter.write?fields=self.meta")
    writer = app.module.MappingWriter(meta={"a": 1})
    with use_key(KEY):
        writer.write("create")
    assert app.module.ROWS == [{"a": 1}]
    assert app.wrote("failed")
    assert "cannot replace the MappingWriter whose method is called" in caplog.text


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
    """Mappings on the path are made, also for ``None``; the caller's stay, and without a key none is made."""
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
    """The mapping is made if the annotation says so or an item is needed."""
    app.audit("write?fields=args.event.labels.keyaudit")
    row = app.row("write", app.module.Labeled())
    assert names(row.labels["keyaudit"]) == [OURS]
    assert app.wrote("attributed")


def test_parameter_annotated_as_a_mapping_is_made(app: Application) -> None:
    """The mapping is made although the path could lead to an attribute."""
    app.audit("annotated?fields=args.attributes.keyaudit")
    assert names(app.row("annotated")["keyaudit"]) == [OURS]


def test_object_is_not_replaced_by_a_mapping(app: Application) -> None:
    """``None`` stays if an object may be expected, and the write counts as failed."""
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
    """``return.details`` is in a changed copy, and the application's own result is unchanged."""
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


@pytest.mark.parametrize(("function", "is_made"), [("build_mapping", True), ("build", False)])
def test_result_that_is_annotated_as_a_mapping_is_made(app: Application, function: str, is_made: bool) -> None:
    """Without the annotation the result could be an object, so ``None`` stays and the write counts as failed."""
    app.audit(f"{function}?fields=return.details")
    app.module.MAKE = lambda: None
    with use_key(KEY):
        result = getattr(app.module, function)()
    assert (result and names(result["details"])) == ([OURS] if is_made else None)
    assert app.wrote("attributed" if is_made else "failed")


def test_result_of_none_becomes_its_annotated_kind(app: Application) -> None:
    """A result that is annotated as a string becomes JSON."""
    app.audit("build_text?fields=return")
    app.module.MAKE = lambda: None
    with use_key(KEY):
        result = app.module.build_text()
    assert names(json.loads(result)) == [OURS]


def test_annotation_of_the_result_says_nothing_about_attributes(app: Application) -> None:
    """``self.meta`` is no part of the result."""
    app.audit("Writer.close?fields=self.meta")
    with use_key(KEY):
        app.module.Writer(None).close()
    assert names(app.module.ROWS[-1]) == [OURS]


@pytest.mark.parametrize("place", ["args.rows[].details", "return[].details"])
def test_element_that_cannot_be_changed_leaves_the_others(app: Application, place: str) -> None:
    """Only that element is without the key."""
    app.audit(f"pass_on?fields={place}")
    with use_key(KEY):
        first, second, third = app.module.pass_on([{"details": {}}, 7, {"details": None}])
    assert (names(first["details"]), second, names(third["details"])) == ([OURS], 7, [OURS])
    assert app.wrote("failed")
    assert app.recorder.errors() == {("merge", "otel_keyaudit.errors.MissingError"): 1}


def test_element_of_an_iterator_is_counted_when_it_fails_after_the_call(app: Application) -> None:
    """The elements are changed as they are read."""
    app.audit("pass_on?fields=args.rows[].details")
    with use_key(KEY):
        elements = app.module.pass_on(iter([7, {"details": {}}]))
    assert app.recorder.errors() == {}
    assert [next(elements), names(next(elements)["details"])] == [7, [OURS]]
    assert app.recorder.errors() == {("merge", "otel_keyaudit.errors.MissingError"): 1}


def test_mapping_with_the_name_of_a_keyword_is_no_row(app: Application) -> None:
    """Only the methods of mapped classes take their columns in a mapping."""
    app.audit("Unmapped.in_context?fields=args.extra")
    context = {"extra": 1}
    with use_key(KEY):
        app.module.Unmapped().in_context(context)
    ((row, more),) = app.module.ROWS
    assert row is context
    assert names(more["extra"]) == [OURS]
    assert context == {"extra": 1}


def test_row_of_a_mapped_class_is_a_mapping_or_keywords(recorder: Recorder, load_module: LoadModule) -> None:
    """The column gets a string where the row has it, and changes of the mapping reach the caller."""
    module = load_module(MAPPED)
    app = Application(recorder, module)
    app.audit("Log.insert?fields=args.extra")
    given = {"extra": None}
    with use_key(KEY):
        module.Log.insert(given)
        module.Log.insert(extra=None)
        module.Log.insert({"other": 1})
    (mapping, no_columns), (no_mapping, columns), (other, added) = module.ROWS
    assert given == {"extra": None, "id": "assigned"}
    assert (no_columns, no_mapping, other) == ({}, None, {"other": 1})
    assert [names(json.loads(row["extra"])) for row in (mapping, columns, added)] == [[OURS]] * 3
    assert app.wrote("attributed")


def test_declared_parameter_wins_over_the_row(recorder: Recorder, load_module: LoadModule) -> None:
    """A parameter of the method receives the members, not the column of the same name."""
    module = load_module(MAPPED)
    app = Application(recorder, module)
    app.audit("Log.insert_declared?fields=args.extra")
    with use_key(KEY):
        module.Log.insert_declared({"extra": None})
    ((row, extra),) = module.ROWS
    assert row == {"extra": None}
    assert names(json.loads(extra)) == [OURS]


class FrozenEvent(NamedTuple):
    """A frozen event."""

    key_id: str | None = None


def record_row(action: str, key_id: str | None = None, event: Any = None, **more: Any) -> None:
    """Write a row."""


def place(
    expression: str, function: Any = record_row, *, has_self: bool = False, later: Any = quiet_attempt
) -> tuple[ValuePlace, Binding]:
    """Return a place in the calls of a function."""
    parsed = parse(expression, emitted=False)
    assert isinstance(parsed, Expression)
    binding = Binding(function, has_self=has_self)
    return ValuePlace(parsed.paths[0], binding, later), binding


def arguments_with(expression: str, value: str | None, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments by name after the place was set."""
    where, binding = place(expression)
    call = Call(binding, args, kwargs)
    where.set(call, value, Attempts())
    return dict(call.args)


@pytest.mark.parametrize("value", ["k_1", None])
@pytest.mark.parametrize("given", [("forged",), ()])
def test_parameter_is_overwritten(value: str | None, given: tuple[str, ...]) -> None:
    """The value is overwritten by position, and an omitted parameter is supplied."""
    assert arguments_with("args.key_id", value, "create", *given)["key_id"] == value


@pytest.mark.parametrize(
    ("expression", "position"),
    [("args.key_id", 1), ("args.action", 0), ("args.event.key_id", None), ("args.other", None), ("return", None)],
)
def test_whole_argument_has_a_position(expression: str, position: int | None) -> None:
    """A part of an argument, a further keyword and a result have none."""
    assert place(expression)[0].position == position


def test_parameter_without_steps_needs_no_copying_back() -> None:
    """Nothing of the caller was copied."""
    where, binding = place("args.key_id")
    assert where.set(Call(binding, ("create",), {}), "k_1", Attempts()) is None


@pytest.mark.parametrize("value", ["k_1", None])
def test_keyword_is_overwritten(value: str | None) -> None:
    """A keyword in ``**more`` is overwritten too."""
    assert arguments_with("args.key_id", value, "create", key_id="forged")["key_id"] == value
    assert arguments_with("args.other", value, "create", other="forged")["other"] == value


@pytest.mark.parametrize("value", ["k_1", None])
def test_item_is_overwritten_in_a_copy(value: str | None) -> None:
    """A present or absent item is set in a copy, and the caller's mappings are unchanged."""
    event = {"meta": {"key_id": "forged", "a": 1}}
    assert arguments_with("args.event['meta'].key_id", value, "create", event=event)["event"]["meta"] == {
        "key_id": value,
        "a": 1,
    }
    assert event == {"meta": {"key_id": "forged", "a": 1}}
    empty: dict[str, Any] = {}
    after = arguments_with("args.event['meta']['key_id']", value, "create", event=empty)["event"]
    assert after == ({"meta": {"key_id": value}} if value else {})
    assert empty == {}


@pytest.mark.parametrize("value", ["k_1", None])
def test_attribute_is_set_on_the_object(value: str | None) -> None:
    """The attribute is set on the object, and a frozen object is replaced."""
    event = SimpleNamespace(key_id="forged")
    assert arguments_with("args.event.key_id", value, "create", event=event)["event"] is event
    assert event.key_id == value
    frozen = FrozenEvent("forged")
    assert arguments_with("args.event.key_id", value, "create", event=frozen)["event"] == FrozenEvent(value)
    assert frozen.key_id == "forged"


def test_each_element_is_overwritten() -> None:
    """Each element of lists and iterators is overwritten."""
    rows = [{"key_id": "forged"}, {}]
    assert arguments_with("args.event[].key_id", "k_1", "create", event=rows)["event"] == [{"key_id": "k_1"}] * 2
    assert next(arguments_with("args.event[].key_id", None, "create", event=iter(rows))["event"]) == {"key_id": None}
    assert rows == [{"key_id": "forged"}, {}]


class Attempts:
    """Runs the change of elements, and remembers the errors."""

    def __init__(self) -> None:
        self.errors: list[type] = []

    def __call__(self, work: Any, *args: Any, otherwise: Any) -> Any:
        """Return the result of the work, or the given value if it fails."""
        try:
            return work(*args)
        except MissingError as error:
            self.errors.append(type(error))
            return otherwise


def test_element_that_cannot_be_overwritten_leaves_the_others() -> None:
    """In arguments and in a result, its failure is reported and the others are overwritten."""
    rows = [object(), {"key_id": "forged"}]
    where, binding = place("args.event[].key_id")
    call, attempts = Call(binding, ("create",), {"event": rows}), Attempts()
    where.set(call, "k_1", attempts)
    assert call.keywords["event"] == [rows[0], {"key_id": "k_1"}]
    where, binding = place("return[].key_id")
    call.result = rows
    assert where.set_result(call, "k_1", attempts) == [rows[0], {"key_id": "k_1"}]
    assert attempts.errors == [MissingError] * 2


def test_element_that_is_yielded_after_the_call_fails_on_its_own() -> None:
    """The call has ended, so another attempt reports its failure."""
    early, late = Attempts(), Attempts()
    where, binding = place("args.event[].key_id", later=lambda: late)
    call = Call(binding, ("create",), {"event": iter([object(), object(), {}])})
    after = where.set(call, "k_1", early)
    elements = call.keywords["event"]
    assert after is not None
    after()
    assert list(elements)[2] == {"key_id": "k_1"}
    assert (early.errors, late.errors) == ([], [MissingError] * 2)


def test_unknown_attribute_is_an_error() -> None:
    """A misspelt attribute is counted and not created."""
    with pytest.raises(MissingError):
        arguments_with("args.event.kye_id", "k_1", "create", event=SimpleNamespace())
    with pytest.raises(UnchangeableError):
        arguments_with("args.event.key_id", "k_1", "create")
    assert arguments_with("args.event.key_id", None, "create")["event"] is None


def test_own_attribute_is_set() -> None:
    """``self.key_id`` of a method is set."""

    class Row:
        key_id = "forged"

        def save(self) -> None: ...

    where, binding = place("self.key_id", Row.save, has_self=True)
    row = Row()
    where.set(Call(binding, (row,), {}), None, Attempts())
    assert row.key_id is None


@pytest.mark.parametrize("result", [{"key_id": "forged"}, SimpleNamespace(key_id="forged"), FrozenEvent("forged")])
def test_result_is_a_changed_copy(result: Any) -> None:
    """The application's own result is unchanged."""
    before = repr(result)
    where, binding = place("return.key_id")
    call = Call(binding, (), {})
    call.result = result
    after = where.set_result(call, "k_1", Attempts())
    assert type(after) is type(result)
    assert repr(after) == before.replace("forged", "k_1")
    assert repr(result) == before


def test_changes_of_the_function_are_copied_back() -> None:
    """Changes are copied back without the library's value."""
    where, binding = place("args.event.key_id")
    event = {"a": 1}
    call = Call(binding, ("create",), {"event": event})
    after = where.set(call, "k_1", Attempts())
    call.keywords["event"]["audit_id"] = 42
    assert after is not None
    after()
    assert event == {"a": 1, "audit_id": 42}
