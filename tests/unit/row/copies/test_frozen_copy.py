"""The function receives a changed copy of a frozen argument, and the caller's object is unchanged."""

from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

APP = """
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any, NamedTuple

EVENTS = []

@dataclass(frozen=True)
class Plain:
    payload: Any
    name: str = "n"
    made: int = field(default=0, init=False)

    def __post_init__(self):
        object.__setattr__(self, "made", self.made + 1)

@dataclass(frozen=True, slots=True)
class Slotted:
    payload: Any
    name: str = "n"

Pair = namedtuple("Pair", "payload name", defaults=["n"])

class Typed(NamedTuple):
    payload: Any
    name: str = "n"

@dataclass
class Outer:
    event: Any

def record(action, event):
    EVENTS.append(event)

class Writer:
    def __init__(self, event):
        self.event = event

    def write(self):
        EVENTS.append(self.event)
"""
MORE = {
    "attrs": """
import attrs

@attrs.frozen
class Attrs:
    payload: object
    name: str = "n"

@attrs.frozen(slots=False)
class AttrsDict:
    payload: object
    name: str = "n"
""",
    "msgspec": """
import msgspec

class Struct(msgspec.Struct, frozen=True):
    payload: object
    name: str = "n"
""",
    "pydantic": """
import pydantic

class Model(pydantic.BaseModel, frozen=True):
    payload: dict | None
    name: str = "n"

class FrozenField(pydantic.BaseModel):
    payload: dict | None = pydantic.Field(frozen=True)
    name: str = "n"

@pydantic.dataclasses.dataclass(frozen=True)
class PydanticData:
    payload: dict | None
    name: str = "n"
""",
}
CLASSES = {
    "Plain": None,
    "Slotted": None,
    "Pair": None,
    "Typed": None,
    "Attrs": "attrs",
    "AttrsDict": "attrs",
    "Struct": "msgspec",
    "Model": "pydantic",
    "FrozenField": "pydantic",
    "PydanticData": "pydantic",
}
KEY = ApiKey("k_1")
OURS = "request_api_key"


@pytest.fixture(params=CLASSES)
def frozen(request: pytest.FixtureRequest, load_module: LoadModule) -> Any:
    """An application, one of whose frozen classes is ``FROZEN``."""
    library = CLASSES[request.param]
    if library is not None:
        pytest.importorskip(library)
    app: Any = load_module(APP + (MORE[library] if library else ""))
    app.FROZEN = getattr(app, request.param)
    return app


def audit(recorder: Recorder, app: Any, target: str) -> None:
    """Instrument one function."""
    recorder.instrument(audit_targets=[f"{app.__name__}:{target}"])


@pytest.mark.parametrize("payload", [{"a": 1}, None], ids=["dict", "none"])
def test_argument_is_replaced_by_a_changed_copy(recorder: Recorder, frozen: Any, payload: Any) -> None:
    """The copy has the same class and the same other attributes."""
    audit(recorder, frozen, "record?fields=args.event.payload")
    event = frozen.FROZEN(payload=payload)
    with use_key(KEY):
        frozen.record("create", event)
    (seen,) = frozen.EVENTS
    assert type(seen) is frozen.FROZEN
    assert (list(seen.payload), seen.name) == ([*(payload or {}), OURS], "n")
    assert event.payload == payload
    assert recorder.writes()["attributed"] == 1
    assert recorder.errors() == {}


def test_nested_frozen_objects_are_copied(recorder: Recorder, frozen: Any) -> None:
    """Frozen objects in an attribute, a dict and a list are copied down to the fields."""
    audit(recorder, frozen, "record?fields=args.event.event.payload")
    inner = frozen.FROZEN(payload={"a": 1})
    outer = frozen.Outer(inner)
    with use_key(KEY):
        frozen.record("create", outer)
    assert frozen.EVENTS[0] is outer
    assert list(outer.event.payload) == ["a", OURS]
    assert inner.payload == {"a": 1}


def test_elements_of_a_list_are_copied(recorder: Recorder, frozen: Any) -> None:
    """Each element is copied, and the caller's list is unchanged."""
    audit(recorder, frozen, "record?fields=args.event['batch'][].payload")
    events = [frozen.FROZEN(payload={"a": 1}), frozen.FROZEN(payload={})]
    batch = {"batch": events}
    with use_key(KEY):
        frozen.record("create", batch)
    assert [list(event.payload) for event in frozen.EVENTS[0]["batch"]] == [["a", OURS], [OURS]]
    assert batch["batch"] is events
    assert [event.payload for event in events] == [{"a": 1}, {}]


def test_attribute_of_self_is_replaced(recorder: Recorder, frozen: Any) -> None:
    """The object whose method is called stays the same."""
    audit(recorder, frozen, "Writer.write?fields=self.event.payload")
    event = frozen.FROZEN(payload={"a": 1})
    writer = frozen.Writer(event)
    with use_key(KEY):
        writer.write()
    assert list(writer.event.payload) == ["a", OURS]
    assert event.payload == {"a": 1}


def test_nothing_is_copied_without_a_member(recorder: Recorder, frozen: Any) -> None:
    """Without a key the function receives the identical object."""
    audit(recorder, frozen, "record?fields=args.event.payload")
    event = frozen.FROZEN(payload={"a": 1})
    frozen.record("create", event)
    assert frozen.EVENTS[0] is event


def test_no_initializer_runs_again(recorder: Recorder, load_module: LoadModule) -> None:
    """``__post_init__`` has already run when the application made the object."""
    app = load_module(APP)
    audit(recorder, app, "record?fields=args.event.payload")
    with use_key(KEY):
        app.record("create", app.Plain({}))
    assert app.EVENTS[0].made == 1


def test_element_of_a_namedtuple_is_replaced(recorder: Recorder, load_module: LoadModule) -> None:
    """The element is found by name and by position."""
    app = load_module(APP)
    audit(recorder, app, "record?fields=args.event[0]")
    with use_key(KEY):
        app.record("create", app.Pair({"a": 1}))
    assert type(app.EVENTS[0]) is app.Pair
    assert list(app.EVENTS[0].payload) == ["a", OURS]
