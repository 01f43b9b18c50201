"""Changes that an audit function makes to the copies reach the caller's objects, without the library's members."""

import asyncio
import gc
import json
import weakref
from collections import OrderedDict, UserDict
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from otel_keyaudit import use_key
from otel_keyaudit.testing import Recorder
from support.applications.audited import KEY, OURS, audit
from support.environment.modules import LoadModule

APP = """
DO = None
OUTBOX = []

def record(action, additional_fields=None, fails=False):
    DO(additional_fields)
    if fails:
        raise LookupError

async def arecord(action, additional_fields=None, fails=False):
    DO(additional_fields)
    if fails:
        raise LookupError

def grecord(action, additional_fields=None, fails=False):
    DO(additional_fields)
    yield 1
    if fails:
        raise LookupError

def write(event):
    DO(event)

def write_all(records):
    for record in records:
        DO(record)

def flush(records):
    OUTBOX.extend(records)
    records.clear()

class Event:
    def __init__(self, details):
        self.details = details
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose audit function runs a function of the test."""
    return load_module(APP)


def _add(fields: Any) -> None:
    fields["audit_id"] = 42


def _change(fields: Any) -> None:
    fields["a"] = 2


def _remove(fields: Any) -> None:
    del fields["a"]


def _replace_all(fields: Any) -> None:
    fields.clear()
    fields["b"] = 3


def _sort(fields: Any) -> None:
    fields["a"] = fields.pop("a")


def _take_member(fields: Any) -> None:
    fields.pop(OURS, None)


CHANGES = [_add, _change, _remove, _replace_all, _sort, _take_member]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict])
@pytest.mark.parametrize("function", ["record", "arecord", "grecord"])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("key", [KEY, None], ids=["key", "none"])
def test_changes_reach_the_caller(
    recorder: Recorder, app: Any, change: Any, kind: Any, function: str, fails: bool, key: Any
) -> None:
    """Added, changed and removed members reach the caller, for every kind of function, also if it raises."""
    audit(recorder, app, function)
    app.DO = change
    fields, expected = kind({"a": 1}), {"a": 1}
    change(expected)
    with use_key(key):
        result = None
        try:
            result = getattr(app, function)("create", fields, fails)
            if function == "arecord":
                asyncio.run(result)
            elif function == "grecord":
                list(result)
        except LookupError:
            assert fails
    assert dict(fields) == expected
    assert recorder.errors() == {}


@pytest.mark.parametrize(
    ("place", "wrap"),
    [
        ("args.event['labels']['keyaudit']", lambda fields: {"labels": {"keyaudit": fields}, "a": 1}),
        ("args.event.details", lambda fields: OrderedDict(details=fields)),
        ("args.event[0].details", lambda fields: [{"details": fields}]),
        ("args.event[][0]", lambda fields: [[fields], [{}]]),
    ],
)
def test_changes_at_every_level_reach_the_caller(recorder: Recorder, app: Any, place: str, wrap: Any) -> None:
    """Changes of the fields and of every mapping and list on the path reach the caller."""
    audit(recorder, app, f"write?fields={place}")

    def change(event: Any) -> None:
        level = event
        while isinstance(level, (dict, list)):
            following = next(iter(level if isinstance(level, list) else level.values()), None)
            if isinstance(level, list):
                level.append("more")
            else:
                level["audit_id"] = 42
            level = following

    app.DO = change
    fields, expected = {"x": 1}, wrap({"x": 1})
    event = wrap(fields)
    change(expected)
    with use_key(KEY):
        app.write(event)
    assert event == expected
    assert fields == {"x": 1, "audit_id": 42}


def test_changes_of_an_attributes_dict_reach_its_owner(recorder: Recorder, app: Any) -> None:
    """The change reaches the dict that the application gave to the object."""
    audit(recorder, app, "write?fields=args.event.details")
    app.DO = lambda event: _add(event.details)
    details: dict[str, Any] = {}
    with use_key(KEY):
        app.write(app.Event(details))
    assert details == {"audit_id": 42}


@pytest.mark.parametrize("make", [list, tuple, iter, lambda records: (record for record in records)])
def test_changes_of_each_element_reach_the_caller(recorder: Recorder, app: Any, make: Any) -> None:
    """Changes in lists, tuples and iterators reach the caller."""
    audit(recorder, app, "write_all?fields=args.records[]")
    app.DO = _add
    records = [{"a": 1}, {}]
    with use_key(KEY):
        app.write_all(make(records))
    assert records == [{"a": 1, "audit_id": 42}, {"audit_id": 42}]


def test_a_buffer_that_the_function_empties_is_empty(recorder: Recorder, app: Any) -> None:
    """The caller's buffer is emptied, so that no row is written twice."""
    audit(recorder, app, "flush?fields=args.records[]")
    records = [{"a": 1}, {}]
    with use_key(KEY):
        app.flush(records)
    assert records == []
    assert [list(row) for row in app.OUTBOX] == [["a", OURS], [OURS]]


def test_the_callers_own_elements_stay_in_its_list(recorder: Recorder, app: Any) -> None:
    """A list that the function changes holds the caller's objects, not the copies."""
    audit(recorder, app, "write?fields=args.event[]")
    first: dict[str, Any] = {"a": 1}
    second: dict[str, Any] = {}
    app.DO = lambda event: event.reverse()
    records = [first, second]
    with use_key(KEY):
        app.write(records)
    assert records[0] is second
    assert records[1] is first
    assert first == {"a": 1}


def test_a_copy_that_the_function_puts_elsewhere_is_the_callers(recorder: Recorder, app: Any) -> None:
    """The caller finds its own mapping where the function has put the copy."""
    audit(recorder, app, "write?fields=args.event.details")

    def change(event: Any) -> None:
        event["again"] = event["details"]

    app.DO = change
    event: dict[str, Any] = {"details": {"a": 1}}
    with use_key(KEY):
        app.write(event)
    assert event["again"] is event["details"]
    assert event["details"] == {"a": 1}


def test_values_are_compared_by_identity(recorder: Recorder, app: Any) -> None:
    """No method of the application's values is called."""

    class Touchy:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise AssertionError

    audit(recorder, app, "record")
    app.DO = lambda fields: fields.update(b=Touchy())
    fields: dict[str, Any] = {"a": Touchy(), "b": Touchy()}
    old = fields["b"]
    with use_key(KEY):
        app.record("create", fields)
    assert fields["b"] is not old
    assert OURS not in fields


def _mask(fields: Any) -> None:
    """Mask the names that contain ``api_key``, as applications do with secrets."""
    for name in fields:
        if "api_key" in name:
            fields[name] = "********"


def _mask_everywhere(value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        _mask(one)
        for inner in one.values():
            if isinstance(inner, (dict, list)):
                _mask_everywhere(inner)


@pytest.mark.parametrize(
    ("target", "make"),
    [
        ("record", lambda fields: ("create", fields)),
        ("arecord", lambda fields: ("create", fields)),
        ("record?fields=args.additional_fields", lambda fields: ("create", MultiDict(fields))),
        ("write?fields=args.event.details", lambda fields: ({"details": fields},)),
        ("write_all?fields=args.records[]", lambda fields: ([fields, {}],)),
        ("write_all?fields=args.records[]", lambda fields: (iter([fields]),)),
    ],
)
def test_a_masked_member_counts_as_failed(
    recorder: Recorder, app: Any, target: str, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A function that replaces the member by asterisks writes a row without a key, which one warning reports."""
    audit(recorder, app, target)
    app.DO = _mask_everywhere
    arguments = make({"a": 1, "api_key_id": "k_2"})
    with use_key(KEY):
        done = getattr(app, target.partition("?")[0])(*arguments)
        if done is not None:
            asyncio.run(done)
    assert {kind: count for kind, count in recorder.writes().items() if count} == {"failed": 1}
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.MaskedError"): 1}
    assert "choose others with request_field and subject_field" in caplog.text


@pytest.mark.parametrize("convert", [dict, json.dumps, str, lambda member: json.dumps(member).encode()])
def test_a_member_in_another_form_is_attributed(recorder: Recorder, app: Any, convert: Any) -> None:
    """A function that converts its values, as to JSON, writes the key."""
    audit(recorder, app, "record")
    app.DO = lambda fields: fields.update({OURS: convert(fields[OURS])})
    with use_key(KEY):
        app.record("create", {"a": 1})
    assert recorder.writes()["attributed"] == 1
    assert recorder.errors() == {}


def test_the_callers_value_is_masked_too(recorder: Recorder, app: Any) -> None:
    """Changes of other members reach the caller, even if the function masks a member of the library."""
    audit(recorder, app, "record")
    app.DO = _mask
    fields = {"a": 1, "api_key_id": "k_2"}
    with use_key(KEY):
        app.record("create", fields)
    assert fields == {"a": 1, "api_key_id": "********"}


class Marker(dict[str, Any]):
    """A mapping that can be referenced weakly."""


@pytest.mark.parametrize(
    ("target", "make"),
    [
        ("record?fields=args.additional_fields", lambda marker: ("create", {"a": marker})),
        ("write?fields=args.event.details", lambda marker: ({"details": {"a": marker}},)),
        ("write_all?fields=args.records[]", lambda marker: ([{"a": marker}],)),
        ("write_all?fields=args.records[]", lambda marker: (iter([{"a": marker}]),)),
        ("write_all?fields=args.records[]", lambda marker: (({"a": one} for one in [marker]),)),
        ("write?fields=args.event[]", lambda marker: (iter([{"a": marker}]),)),
    ],
    ids=["dict", "nested", "list", "iter", "generator", "not consumed"],
)
def test_nothing_of_a_call_is_left_in_a_cycle(recorder: Recorder, app: Any, target: str, make: Any) -> None:
    """With the garbage collector off, everything is freed at the end of the call."""
    audit(recorder, app, target)
    app.DO = lambda _: None
    gc.collect()
    gc.disable()
    try:
        with use_key(KEY):
            marker = Marker()
            alive = weakref.ref(marker)
            arguments = make(marker)
            getattr(app, target.partition("?")[0])(*arguments)
            del marker, arguments
        assert alive() is None
    finally:
        gc.enable()
