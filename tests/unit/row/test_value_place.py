"""Places that belong to the library: a client's value is overwritten, with ``None`` if there is no key."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from otel_keyaudit.errors import MissingError, UnchangeableError
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.row.field_place import ValuePlace
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.expression import Expression, parse


class Event(NamedTuple):
    """A frozen event."""

    key_id: str | None = None


def record(action: str, key_id: str | None = None, event: Any = None, **more: Any) -> None:
    """Write a row."""


def place(expression: str, function: Any = record, *, has_self: bool = False) -> tuple[ValuePlace, Binding]:
    """Return a place in the calls of a function."""
    parsed = parse(expression, emitted=False)
    assert isinstance(parsed, Expression)
    binding = Binding(function, has_self=has_self)
    return ValuePlace(parsed.paths[0], binding), binding


def written(expression: str, value: str | None, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments by name after the place was set."""
    where, binding = place(expression)
    call = Call(binding, args, kwargs)
    where.set(call, value)
    return dict(call.args)


@pytest.mark.parametrize("value", ["k_1", None])
@pytest.mark.parametrize("given", [("forged",), ()])
def test_parameter_is_overwritten(value: str | None, given: tuple[str, ...]) -> None:
    """By position, and an omitted one is supplied."""
    assert written("args.key_id", value, "create", *given)["key_id"] == value


@pytest.mark.parametrize("value", ["k_1", None])
def test_keyword_is_overwritten(value: str | None) -> None:
    """Also one of ``**more``."""
    assert written("args.key_id", value, "create", key_id="forged")["key_id"] == value
    assert written("args.other", value, "create", other="forged")["other"] == value


@pytest.mark.parametrize("value", ["k_1", None])
def test_item_is_overwritten_in_a_copy(value: str | None) -> None:
    """Present or absent; the caller's mappings are unchanged."""
    event = {"meta": {"key_id": "forged", "a": 1}}
    assert written("args.event['meta'].key_id", value, "create", event=event)["event"]["meta"] == {
        "key_id": value,
        "a": 1,
    }
    assert event == {"meta": {"key_id": "forged", "a": 1}}
    empty: dict[str, Any] = {}
    after = written("args.event['meta']['key_id']", value, "create", event=empty)["event"]
    assert after == ({"meta": {"key_id": value}} if value else {})
    assert empty == {}


@pytest.mark.parametrize("value", ["k_1", None])
def test_attribute_is_set_on_the_object(value: str | None) -> None:
    """And a frozen object is replaced."""
    event = SimpleNamespace(key_id="forged")
    assert written("args.event.key_id", value, "create", event=event)["event"] is event
    assert event.key_id == value
    frozen = Event("forged")
    assert written("args.event.key_id", value, "create", event=frozen)["event"] == Event(value)
    assert frozen.key_id == "forged"


def test_each_element_is_overwritten() -> None:
    """Lists and iterators."""
    rows = [{"key_id": "forged"}, {}]
    assert written("args.event[].key_id", "k_1", "create", event=rows)["event"] == [{"key_id": "k_1"}] * 2
    assert next(written("args.event[].key_id", None, "create", event=iter(rows))["event"]) == {"key_id": None}
    assert rows == [{"key_id": "forged"}, {}]


def test_unknown_attribute_is_an_error() -> None:
    """A misspelt place is counted instead of inventing attributes."""
    with pytest.raises(MissingError):
        written("args.event.kye_id", "k_1", "create", event=SimpleNamespace())
    with pytest.raises(UnchangeableError):
        written("args.event.key_id", "k_1", "create")
    assert written("args.event.key_id", None, "create")["event"] is None


def test_own_attribute_is_set() -> None:
    """``self.key_id`` of a method."""

    class Row:
        key_id = "forged"

        def save(self) -> None: ...

    where, binding = place("self.key_id", Row.save, has_self=True)
    row = Row()
    where.set(Call(binding, (row,), {}), None)
    assert row.key_id is None


@pytest.mark.parametrize("result", [{"key_id": "forged"}, SimpleNamespace(key_id="forged"), Event("forged")])
def test_result_is_a_changed_copy(result: Any) -> None:
    """The application's own result is unchanged."""
    before = repr(result)
    where, binding = place("return.key_id")
    call = Call(binding, (), {})
    call.result = result
    after = where.set_result(call, "k_1")
    assert type(after) is type(result)
    assert repr(after) == before.replace("forged", "k_1")
    assert repr(result) == before


def test_changes_of_the_function_are_copied_back() -> None:
    """Without the library's value."""
    where, binding = place("args.event.key_id")
    event = {"a": 1}
    call = Call(binding, ("create",), {"event": event})
    after = where.set(call, "k_1")
    call.keywords["event"]["audit_id"] = 42
    assert after is not None
    after()
    assert event == {"a": 1, "audit_id": 42}
