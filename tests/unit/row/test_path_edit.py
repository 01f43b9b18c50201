"""Members are set at the end of a path, in every element of a list if it says so, in copies."""

import asyncio
import copy
import json
from collections import UserList, deque
from collections.abc import AsyncIterator, Iterator
from types import GeneratorType
from typing import Any

import pytest

from otel_keyaudit import use_key
from otel_keyaudit.testing import Recorder
from support.applications.audited import KEY, OURS, audit
from support.environment.modules import LoadModule

APP = """
ROWS = []

class Record:
    def __init__(self, extra):
        self.extra = extra

def many(records):
    ROWS.append(records)

def variadic(*records):
    ROWS.append(records)

def consume(records):
    ROWS.append(list(records))

def build(extra):
    row = Record(extra)
    ROWS.append(row)
    return row

class Mapped(Record):
    _meta = None

def build_mapped(extra):
    row = Mapped(extra)
    ROWS.append(row)
    return row
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that writes several records at once."""
    return load_module(APP)


@pytest.mark.parametrize("kind", [list, tuple])
def test_every_element_gets_members_of_its_own(recorder: Recorder, app: Any, kind: Any) -> None:
    """The write has one span, the caller's list is unchanged, and no two rows share an object."""
    audit(recorder, app, "many?fields=args.records[]")
    records = kind([{"a": 1}, None, '{"b":2}', {}])
    with use_key(KEY):
        app.many(records)
    (rows,) = app.ROWS
    assert type(rows) is kind
    assert records == kind([{"a": 1}, None, '{"b":2}', {}])
    assert [list(row) for row in (rows[0], rows[1], rows[3])] == [["a", OURS], [OURS], [OURS]]
    assert rows[2].startswith('{"b":2,"request_api_key":{"id":"k_1"')
    rows[0][OURS]["id"] = "changed"
    assert rows[1][OURS]["id"] == rows[3][OURS]["id"] == "k_1"
    assert len(recorder.audit_spans()) == 1
    assert recorder.writes() == {"attributed": 1, "ambiguous": 0, "none": 0, "failed": 0}


def test_a_member_of_every_element(recorder: Recorder, app: Any) -> None:
    """``args.records[].extra`` sets attributes and copies dicts, in one list."""
    audit(recorder, app, "many?fields=args.records[].extra")
    record, item = app.Record({"a": 1}), {"extra": {"b": 2}, "c": 3}
    records = [record, item, record]
    with use_key(KEY):
        app.many(records)
    (rows,) = app.ROWS
    assert rows[0] is rows[2] is record
    assert list(record.extra) == ["a", OURS]
    assert (list(rows[1]), list(rows[1]["extra"])) == (["extra", "c"], ["b", OURS])
    assert (records[1], item) == (item, {"extra": {"b": 2}, "c": 3})
    assert recorder.errors() == {}


def test_a_list_in_every_element_of_a_list(recorder: Recorder, app: Any) -> None:
    """A path can lead through two lists with mappings between."""
    audit(recorder, app, "many?fields=args.records[].parts[].extra")
    records = [{"parts": [{"extra": {}}, {}]}, {"parts": ()}]
    with use_key(KEY):
        app.many(records)
    (rows,) = app.ROWS
    assert [list(part["extra"]) for part in rows[0]["parts"]] == [[OURS], [OURS]]
    assert rows[1] is records[1]
    assert records == [{"parts": [{"extra": {}}, {}]}, {"parts": ()}]


def test_one_bad_element_costs_only_itself(recorder: Recorder, app: Any) -> None:
    """The element stays as it was and the write fails, but forged members in later elements are moved."""
    audit(recorder, app, "many?fields=args.records[].extra")
    with use_key(KEY):
        app.many([{"extra": [1]}, None, object(), {"extra": {OURS: {"id": "root"}}}])
    (rows,) = app.ROWS
    assert rows[:2] == [{"extra": [1]}, None]
    assert rows[3]["extra"][f"{OURS}_unverified"] == {"id": "root"}
    assert rows[3]["extra"][OURS]["id"] == "k_1"
    assert recorder.writes()["failed"] == 1
    assert {stage for stage, _ in recorder.errors()} == {"merge", "collision"}


class Related(list[Any]):
    """The related rows of a mapper."""


@pytest.mark.parametrize("kind", [deque, set, lambda records: dict.fromkeys(records).keys(), UserList, Related])
def test_objects_in_any_collection(recorder: Recorder, app: Any, kind: Any) -> None:
    """If only attributes are set, the collection need not be copied."""
    audit(recorder, app, "many?fields=args.records[].extra")
    records = kind([app.Record({"a": 1})])
    with use_key(KEY):
        app.many(records)
    assert app.ROWS[-1] is records
    assert [list(record.extra) for record in records] == [["a", OURS]]


@pytest.mark.parametrize(
    "records", [None, 7, "text", {"a": {}}, b"{}", range(3), UserList([{}]), Related([{}])], ids=repr
)
def test_only_lists_are_changed(recorder: Recorder, app: Any, records: Any) -> None:
    """Strings, mappings, ``None`` and collections that cannot be copied stay as they are."""
    audit(recorder, app, "many?fields=args.records[]")
    with use_key(KEY):
        app.many(records)
    assert app.ROWS[-1] is records
    assert recorder.writes()["failed"] == 1


def generated(records: list[Any]) -> Iterator[Any]:
    """Yield the records and note each step."""
    for record in records:
        STEPS.append("yield")
        yield record
    STEPS.append("end")


STEPS: list[str] = []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (iter, map),
        (generated, GeneratorType),
        (lambda records: map(dict, records), map),
        (zip, None),
    ],
    ids=["iter", "generator", "map", "zip"],
)
def test_an_iterator_stays_lazy(recorder: Recorder, app: Any, make: Any, kind: Any) -> None:
    """The iterator changes each element when it yields it, and runs once."""
    audit(recorder, app, f"many?fields=args.records[]{'' if kind else '[0]'}")
    STEPS.clear()
    records: list[Any] = [{"a": 1}, {OURS: "forged"}, {}]
    with use_key(KEY):
        app.many(make(records))
    rows = app.ROWS[-1]
    assert kind is None or type(rows) is kind
    assert STEPS == []
    found = [row if kind else row[0] for row in rows]
    assert [list(row) for row in found] == [["a", OURS], [f"{OURS}_unverified", OURS], [OURS]]
    assert len({id(row[OURS]) for row in found}) == 3
    assert records == [{"a": 1}, {OURS: "forged"}, {}]
    assert STEPS in ([], ["yield", "yield", "yield", "end"])
    assert len(recorder.audit_spans()) == 1


def test_closing_the_iterator_closes_the_generator(recorder: Recorder, app: Any) -> None:
    """The generator is closed as without the library."""
    audit(recorder, app, "many?fields=args.records[]")
    source: Any = generated([{}, {}])
    with use_key(KEY):
        app.many(source)
    next(app.ROWS[-1])
    app.ROWS[-1].close()
    assert source.gi_frame is None


def test_an_error_of_the_generator_is_the_applications(recorder: Recorder, app: Any) -> None:
    """The error reaches the consumer unchanged."""

    def failing() -> Iterator[Any]:
        yield {}
        raise LookupError("own")

    audit(recorder, app, "many?fields=args.records[]")
    with use_key(KEY):
        app.many(failing())
    rows = app.ROWS[-1]
    assert list(next(rows)) == [OURS]
    with pytest.raises(LookupError, match="own"):
        next(rows)


def test_one_bad_element_of_an_iterator_costs_only_itself(recorder: Recorder, app: Any) -> None:
    """The element is yielded as it was and counted once, although the function has returned."""
    audit(recorder, app, "many?fields=args.records[]")
    with use_key(KEY):
        app.many(iter([{}, 5, {}, 6]))
        first, second, third, fourth = app.ROWS[-1]
    assert (list(first), second, list(third), fourth) == ([OURS], 5, [OURS], 6)
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 1}


def test_one_bad_element_of_an_iterator_fails_the_write_that_consumes_it(recorder: Recorder, app: Any) -> None:
    """The function reads all elements in its call, so the write knows that one has no member."""
    audit(recorder, app, "consume?fields=args.records[]")
    with recorder.request(), use_key(KEY):
        app.consume(iter([{}, 5]))
    assert [list(app.ROWS[-1][0]), app.ROWS[-1][1]] == [[OURS], 5]
    assert recorder.writes()["failed"] == 1


@pytest.mark.parametrize(("function", "is_copied"), [("build", True), ("build_mapped", False)])
def test_a_result_is_copied_unless_it_is_a_mapped_row(
    recorder: Recorder, app: Any, function: str, is_copied: bool
) -> None:
    """The application may keep the object that it returns; a copy of a mapped row would be another row."""
    audit(recorder, app, f"{function}?fields=return.extra")
    with use_key(KEY):
        row = getattr(app, function)({"a": 1})
    assert list(row.extra) == ["a", OURS]
    assert (row is not app.ROWS[-1]) is is_copied
    assert list(app.ROWS[-1].extra) == (["a"] if is_copied else ["a", OURS])


@pytest.mark.parametrize(
    ("path", "problem"), [("record.extra", "Plain has no 'extra'"), ("record.parts[2]", "list has no '2'")]
)
def test_a_missing_part_is_reported_with_its_owner(
    recorder: Recorder, load_module: LoadModule, caplog: pytest.LogCaptureFixture, path: str, problem: str
) -> None:
    """The line has the class and the name, and no value."""
    module = load_module("class Plain:\n    parts = [1]\ndef record(record):\n    return record\n")
    audit(recorder, module, f"record?fields=args.{path}")
    with recorder.request(), use_key(KEY):
        module.record(module.Plain())
    assert problem in caplog.text


def test_an_asynchronous_generator_stays_lazy(recorder: Recorder, app: Any) -> None:
    """Elements are changed as they are yielded, and closing the generator closes its source."""
    ended = []

    async def generated_later() -> AsyncIterator[Any]:
        try:
            yield {"a": 1}
            yield {}
        finally:
            ended.append(True)

    async def consume() -> Any:
        first = await anext(app.ROWS[-1])
        await app.ROWS[-1].aclose()
        return first

    audit(recorder, app, "many?fields=args.records[]")
    with use_key(KEY):
        app.many(generated_later())
    assert list(asyncio.run(consume())) == ["a", OURS]
    assert ended == [True]


@pytest.mark.parametrize(
    "make",
    [
        deque,
        lambda records: dict(enumerate(records)).values(),
        lambda records: {json.dumps(record) for record in records},
        lambda records: dict.fromkeys(map(json.dumps, records)).keys(),
        lambda records: frozenset(map(json.dumps, records)),
    ],
    ids=["deque", "values", "set", "keys", "frozenset"],
)
def test_a_collection_is_passed_on_as_a_list(recorder: Recorder, app: Any, make: Any) -> None:
    """Deques, sets and views become lists, and the caller's own are unchanged."""
    audit(recorder, app, "many?fields=args.records[]")
    records = make([{"a": 1}, {"b": 2}])
    before = copy.copy(records) if isinstance(records, (deque, set)) else list(records)
    with use_key(KEY):
        app.many(records)
    rows = app.ROWS[-1]
    assert type(rows) is list
    assert [OURS in row for row in rows] == [True, True]
    assert list(records) == list(before)
    assert recorder.writes()["attributed"] == 1


def test_all_positional_arguments(recorder: Recorder, app: Any) -> None:
    """Each argument of ``*records`` is an element."""
    audit(recorder, app, "variadic?fields=args.records[]")
    with use_key(KEY):
        app.variadic({"a": 1}, {})
    assert [list(row) for row in app.ROWS[-1]] == [["a", OURS], [OURS]]
    assert recorder.writes()["attributed"] == 1


def test_without_a_key_the_list_is_the_callers(recorder: Recorder, app: Any) -> None:
    """Without a member the identical list is passed on."""
    audit(recorder, app, "many?fields=args.records[].extra")
    records = [{"extra": {"a": 1}}, app.Record(None)]
    app.many(records)
    assert app.ROWS[-1] is records
    assert records[0] == {"extra": {"a": 1}}
    assert records[1].extra is None


class Lazy:
    """Has an attribute that is computed asynchronously."""

    @property
    async def extra(self) -> dict[str, Any]:
        """Return a new coroutine each time."""
        return {}


def test_the_coroutine_of_an_attribute_is_closed_unless_the_application_holds_it(recorder: Recorder, app: Any) -> None:
    """Python does not warn of one that only the library has made, and another one can still be awaited."""
    audit(recorder, app, "many?fields=args.records[].extra")
    record, other = Lazy(), app.Record(None)
    other.extra = Lazy().extra
    with recorder.request(), use_key(KEY):
        app.many([record, other])
    assert asyncio.run(other.extra) == {}
    assert recorder.writes()["failed"] == 1
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.UnreadableError"): 1}
