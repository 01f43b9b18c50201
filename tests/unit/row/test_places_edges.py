"""Places where nothing can be put, with what the log says; names that a mapping has as attributes, too."""

from collections import OrderedDict, UserDict, deque
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.row.fields_place import Change, PlacedTarget
from otel_keyaudit.targets.call import Call
from support.keyaudit import KeyAudit, LoadModule

APP = """
ROWS = []

class Pair(tuple):
    def save(self):
        ROWS.append(self)

class Batch:
    def __init__(self, records):
        self.records = records

    def save(self):
        ROWS.append(self.records)

class Row(dict):
    def save(self):
        ROWS.append(self)

def write(event):
    ROWS.append(event)

def record(action, *rest):
    ROWS.append((action, *rest))
"""
KEY = ApiKey("k_1")
OURS = "request_api_key"


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose rows have their fields in odd places."""
    return load_module(APP)


@pytest.mark.parametrize(
    ("place", "event", "reason"),
    [
        ("args.event[]", None, "None stands where 'a list' is looked for"),
        ("args.event.details", None, "None stands where 'details' is looked for"),
        ("args.event[]", {"a": 1}, "[] changes a list, not dict"),
        ("args.event[]", deque([{}]), "a deque cannot be given other elements"),
        ("args.event[0]", deque([{}]), "a deque cannot be given other elements"),
    ],
)
def test_the_log_says_why_nothing_could_be_put(
    keyaudit: KeyAudit, app: Any, caplog: pytest.LogCaptureFixture, place: str, event: Any, reason: str
) -> None:
    """The write happens with the argument as it was, and counts as failed."""
    target = f"{app.__name__}:write?fields={place}"
    keyaudit.instrument(audit_targets=[target])
    with use_key(KEY):
        app.write(event)
    (row,) = app.ROWS
    assert row is event
    assert caplog.messages == [f"{target}: merge degraded by otel_keyaudit.errors.UnchangeableError ({reason})"]
    assert keyaudit.writes()["failed"] == 1


def test_the_object_that_is_written_is_never_another_one(
    keyaudit: KeyAudit, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A method runs on the object it was called on, so what cannot be changed in it stays."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:Pair.save?fields=self[0]"])
    pair = app.Pair(({"a": 1}, 2))
    with use_key(KEY):
        pair.save()
    assert app.ROWS[0] is pair
    assert pair == ({"a": 1}, 2)
    assert caplog.messages[0].endswith("(a Pair cannot be given other elements)")


def test_a_mapping_that_writes_itself_is_never_another_one(
    keyaudit: KeyAudit, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy of it with the members would be another row than the one that is written."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:Row.save?fields=self['extra']"])
    row = app.Row(extra={"a": 1})
    with use_key(KEY):
        row.save()
    assert app.ROWS[0] is row
    assert row == {"extra": {"a": 1}}
    assert caplog.messages[0].endswith("(the Row itself cannot be exchanged)")


def test_every_element_of_an_own_list_gets_the_members(keyaudit: KeyAudit, app: Any) -> None:
    """The list is that of the object; an element that cannot be changed is as it was."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:Batch.save?fields=self.records[]"])
    with use_key(KEY):
        app.Batch([{"a": 1}, 5, {}]).save()
    first, second, third = app.ROWS[0]
    assert (list(first), second, list(third)) == (["a", OURS], 5, [OURS])
    assert keyaudit.writes()["failed"] == 1


def test_an_item_of_a_dict_may_be_named_like_a_method(keyaudit: KeyAudit, app: Any) -> None:
    """What a plain dict does not hold is put there, also when dicts have an attribute of that name."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:write?fields=args.event.values"])
    with use_key(KEY):
        app.write({"a": 1})
    assert list(app.ROWS[0]) == ["a", "values"]
    assert list(app.ROWS[0]["values"]) == [OURS]


def test_an_item_of_a_mapping_comes_before_its_attribute(keyaudit: KeyAudit, app: Any) -> None:
    """A mapping that holds an item of that name has it changed in a copy, and keeps its attribute."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:write?fields=args.event.data"])
    event = UserDict({"data": {"a": 1}})
    with use_key(KEY):
        app.write(event)
    assert dict(event) == {"data": {"a": 1}}
    assert list(app.ROWS[0]["data"]) == ["a", OURS]


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_an_item_that_is_not_there_yet_is_put(keyaudit: KeyAudit, app: Any, kind: Any) -> None:
    """By its name in brackets, which is no attribute in any case."""
    keyaudit.instrument(audit_targets=[f"{app.__name__}:write?fields=args.event['keys']"])
    with use_key(KEY):
        app.write(kind(a=1))
    assert list(app.ROWS[0]["keys"]) == [OURS]


def test_code_may_put_the_fields_where_no_path_leads(keyaudit: KeyAudit, app: Any) -> None:
    """It gets the call and what merges, and the other fields of the target are as of any."""

    def put(call: Call, change: Change) -> None:
        call.positional = (*call.positional[:-1], change(call.positional[-1]))

    target = PlacedTarget(f"{app.__name__}:record", put, action="args.action")
    assert target.written == f"{app.__name__}:record?action=args.action"
    keyaudit.instrument(audit_targets=[target])
    with use_key(KEY):
        app.record("create", 1, {"a": 1})
    action, one, fields = app.ROWS[0]
    assert (action, one, list(fields)) == ("create", 1, ["a", OURS])
    assert [span.name for span in keyaudit.audit_spans()] == ["audit create"]
    assert keyaudit.writes()["attributed"] == 1
