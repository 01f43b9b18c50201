"""The usual authentication and the usual write are done in one step each: with what the many steps would have done."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.observers import audit_steps, authentication
from support.keyaudit import KeyAudit, LoadModule, keyaudit_attributes

APP = """
class Key:
    def __init__(self, id, name="ci-bot", scopes=("a:read", "a:write"), allow_list=("a:1",), kind="api"):
        self.id = id
        self.kind = kind
        self.is_valid = True
        self.name = name
        self.scopes = list(scopes)
        self.allow_list = list(allow_list)

    @property
    def owner(self):
        raise LookupError("secret")

class Text(str):
    pass

class Object(dict):
    pass

ROWS = []
CALLS = []

def verify(key, api_key="k"):
    CALLS.append(key)
    return key

def verify_valid(key):
    return key

def verify_kind(key):
    return key

def verify_inside(key):
    return {"key": key}

def verify_parent(key):
    return key

class Counting:
    reads = 0
    name = scopes = allow_list = None

    def __init__(self, id):
        self._id = id

    @property
    def id(self):
        Counting.reads += 1
        return self._id

async def averify(key, api_key="k"):
    return key

def record(action, resource_type=None, resource_id=None, outcome=None, subject=None, additional_fields=None, *more):
    CALLS.append(action)
    ROWS.append(additional_fields)
    if action == "raise":
        raise OSError("secret")
    return more or "stored"

def record_when(action, is_meant, additional_fields=None):
    ROWS.append(additional_fields)

def record_about(action, event, additional_fields=None):
    ROWS.append(additional_fields)

async def arecord(action, resource_type=None, *, additional_fields=None):
    ROWS.append(additional_fields)

def build(action, resource_type=None):
    return {"action": action}
"""
SECRET, OTHER_SECRET, IN_HEADER = "kq_0123456789abcdef", "kq_fedcba9876543210", "kq_another_credential"
OPTIONS = {
    "full": {},
    "minimal": {"sampler": "always_minimal"},
    "actions": {"sampler": "actions", "sampler_arg": "create,a.delete"},
    "on_change": {"sampler": "on_change"},
    "no_span": {"audit_spans": False},
    "actions_no_span": {"sampler": "actions", "sampler_arg": "create", "audit_spans": False},
    "renamed": {"request_field": 'by "key"', "subject_field": "about", "max_items": 1},
}


class Ids(IdGenerator):
    """Gives out one number after the other, so that two runs have the same ids."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def generate_span_id(self) -> int:
        return next(self._numbers)

    def generate_trace_id(self) -> int:
        return next(self._numbers)


def usually(app: Any) -> None:
    """A key that comes by again, and rows of every kind."""
    for _ in range(3):
        app.verify(app.Key("k_1"))
    app.record("create", "a", "1", None, None, {"n": 1})
    app.record("update", "a", "1", "success", None, '{"n": 1.50, "list": [1e400, {"a": {}}]}')
    app.record("delete", resource_type="a", additional_fields="{}")
    app.record("delete", additional_fields=" { } ")


def others(app: Any) -> None:
    """What is not usual: in the event, in the fields, in how the function is called."""
    app.verify(app.Key("k_1"))
    for action, outcome in (("löschen", "Fehler"), (app.Text("create"), app.Text("ok")), (7, 404), (None, False)):
        app.record(action, "a", outcome=outcome, additional_fields={})
    for action in (object(), "x" * 20_000, "\ud800", "a\nb"):
        app.record(action, "a", additional_fields={"a": 1})
    forged = {"id": "k_0"}
    for fields in (
        None, "", "null", b"{}", "[1]", "no JSON", "{", '{"a": NaN}', '{"a": 1, "a": 2}', app.Text("{}"), 7,
        {"request_api_key": forged}, json.dumps({"request_api_key": forged}), {'by "key"': forged}, {"api_key": forged},
        '{"request_api_\\u006bey": 1}', {"about": 1}, "[" * 5000, {1: 2}, app.Object(a=1), app.ROWS[-1],
    ):  # fmt: skip
        app.record("create", "a", additional_fields=fields)
    with pytest.raises(OSError, match="secret"):
        app.record("raise", "a", additional_fields={})
    with pytest.raises(TypeError):
        app.record()


def subjects(app: Any) -> None:
    """Rows about a key, and about something else."""
    app.verify(app.Key("k_1"))
    for subject in (app.Key("k_2"), ApiKey("k_3", scopes=["b:read"]), object(), "text", None):
        app.record("create", "a", subject=subject, additional_fields={})


def several(app: Any) -> None:
    """A key that changes, denials, and another key."""
    app.record("before", additional_fields={})
    key = app.Key("k_1")
    app.verify(key)
    app.record("create", additional_fields={})
    key.scopes.append("a:more")
    app.verify(key)
    app.record("create", additional_fields={})
    app.verify(None)
    app.verify(False)
    app.verify(object())
    app.record("create", additional_fields={})
    app.verify(app.Key("k_1"))
    app.verify(app.Key("k_2"))
    app.record("create", additional_fields={})


def several_again(app: Any) -> None:
    """The same with keys that are known."""
    app.verify(app.Key("k_1"))
    app.verify(app.Key("k_1", name="other"))
    app.record("create", additional_fields={})
    app.verify(app.Key("k_2"))
    app.record("create", additional_fields={})


def credentials(app: Any) -> None:
    """What was presented is in the key, and in the event."""
    app.verify(app.Key("k_1", name="plain"), SECRET)
    for _ in range(2):
        app.verify(app.Key("k_1", name=f"name of {SECRET}"), SECRET)
    app.record(f"use {SECRET}", "a", additional_fields={"kept": SECRET})
    app.record("create", additional_fields={})
    for _ in range(2):
        app.verify(app.Key(SECRET), SECRET)
    app.record("create", additional_fields={})


def credentials_again(app: Any) -> None:
    """The same with a key that is known."""
    app.verify(app.Key("k_1", name="plain"), SECRET)
    app.record(f"use {SECRET}", "a", additional_fields={})
    app.verify(app.Key("k_1", name="plain"), OTHER_SECRET)
    for secret in (SECRET, OTHER_SECRET, IN_HEADER):
        app.record(f"use {secret}", "a", additional_fields={})


def conditions(app: Any) -> None:
    """A key that is known, and then is valid or meant no more, or is somewhere in what is returned."""
    key = app.Key("k_1")
    for verify in (app.verify_valid, app.verify_kind, app.verify_inside):
        verify(key)
        verify(key)
        app.record("create", "a", additional_fields={})
    key.is_valid, key.kind = False, "session"
    app.verify_valid(key)
    app.record("create", "a", additional_fields={})


def conditions_apart(app: Any) -> None:
    """The same in requests that show no other key."""
    app.verify_kind(app.Key("k_1", kind="session"))
    app.record("create", "a", additional_fields={})


def parents(app: Any) -> None:
    """The key is another one of the same class than what is returned."""
    first, second, third = (app.Key(f"p_{number}") for number in range(3))
    first.parent, second.parent = second, third
    app.verify_parent(first)
    app.verify_parent(second)
    app.record("create", "a", additional_fields={})


def parents_again(app: Any) -> None:
    """What was the key is now what is returned."""
    second, third = app.Key("p_1"), app.Key("p_2")
    second.parent = third
    app.verify_parent(second)
    app.record("create", "a", additional_fields={})


def conditions_of_nothing(app: Any) -> None:
    """A key that is not there where it is looked for."""
    app.verify_inside(None)
    app.record("create", "a", additional_fields={})


def outcomes(app: Any) -> None:
    """The last write has an outcome, which the server span does not show."""
    app.verify(app.Key("k_1"))
    app.record("create", "a", "1", "success", None, {})


def by_hand(app: Any) -> None:
    """A key that is set by hand wins."""
    app.verify(app.Key("k_1"))
    with use_key(ApiKey("k_9")):
        app.record("create", additional_fields={})
        app.verify(app.Key("k_2"))
    app.record("create", additional_fields={})


def conditions_of_writes(app: Any) -> None:
    """A write that is not meant, and one about a key that is no argument itself."""
    app.verify(app.Key("k_1"))
    for is_meant in (True, False):
        app.record_when("create", is_meant, {})
    for subject in (app.Key("k_2"), None):
        app.record_about("create", {"key": subject}, {})


def anonymous(app: Any) -> None:
    """Nobody has shown a key."""
    app.record("create", "a", "1", None, None, {})
    app.record("create", "a", "1", None, None, '{"request_api_key": 1}')


def asynchronous(app: Any) -> None:
    """The same in coroutines."""

    async def both() -> None:
        await app.averify(app.Key("k_1"))
        await app.arecord("create", "a", additional_fields={})

    for _ in range(2):
        run(both())


SCENARIOS = (
    usually,
    others,
    subjects,
    several,
    several_again,
    credentials,
    credentials_again,
    conditions,
    conditions_apart,
    conditions_of_nothing,
    parents,
    parents_again,
    outcomes,
    by_hand,
    conditions_of_writes,
    anonymous,
    asynchronous,
    lambda app: app.build("create"),
)


def run(coroutine: Any) -> None:
    """Run a coroutine that never waits."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


@contextmanager
def by_span(keyaudit: KeyAudit) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Make requests by their server span alone."""

    def request(endpoint: Callable[[], None]) -> None:
        with keyaudit.request():
            endpoint()

    yield request


@contextmanager
def by_call(keyaudit: KeyAudit) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Make requests by an ASGI call with a server span in it."""
    app = Starlette()

    async def middleware(scope: Any, *_: Any) -> None:
        with keyaudit.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
            scope["endpoint"]()

    app.middleware_stack = middleware

    def request(endpoint: Callable[[], None]) -> None:
        headers = [(b"host", b"localhost"), (b"x-api-key", IN_HEADER.encode())]
        run(app({"type": "http", "headers": headers, "endpoint": endpoint}, middleware, middleware))  # type: ignore[arg-type]

    yield request


def observed(app: Any, options: dict[str, Any], requests: Any, sampler: Any, caplog: Any) -> dict[str, Any]:
    """Return everything that can be seen of all scenarios."""
    keyaudit = KeyAudit(sampler)
    keyaudit.tracer_provider = TracerProvider(sampler, id_generator=Ids(), shutdown_on_exit=False)
    keyaudit.tracer_provider.add_span_processor(SimpleSpanProcessor(keyaudit.exporter))
    keyaudit.tracer = keyaudit.tracer_provider.get_tracer("tests")
    app.ROWS.clear(), app.CALLS.clear(), caplog.clear()
    name = app.__name__
    keyaudit.instrument(
        auth_targets=[
            f"{name}:{target}"
            for target in (
                "verify",
                "averify",
                "verify_valid?valid=is_valid",
                "verify_kind?when=kind|is:api",
                "verify_inside?key=return.key",
                "verify_parent?key=return.parent",
            )
        ],
        audit_targets=[
            f"{name}:{target}"
            for target in (
                "record?subject=args.subject",
                "record_when?when=args.is_meant",
                "record_about?subject=args.event.key",
                "arecord",
                "build?fields=return",
            )
        ],
        **options,
    )
    with requests(keyaudit) as request:
        for scenario in SCENARIOS:
            request(partial(scenario, app))
    keyaudit.uninstrument()
    return {
        "rows": [repr(row) for row in app.ROWS],
        "calls": len(app.CALLS),
        "spans": [(span.name, span.status.status_code, keyaudit_attributes(span)) for span in keyaudit.spans()],
        "metrics": keyaudit.metrics(),
        "log": caplog.messages.copy(),
    }


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["recorded", "dropped"])
@pytest.mark.parametrize("requests", [by_span, by_call])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_one_step_does_what_many_do(
    load_module: LoadModule,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    requests: Any,
    sampler: Any,
) -> None:
    """Rows, spans, metrics and log lines are the same with and without the quick steps, and these are taken."""
    caplog.set_level(logging.DEBUG, "otel_keyaudit")
    app = load_module(APP)
    taken = {"authentication": 0, "audit": 0}

    def counted(module: Any, name: str, kind: str) -> None:
        make = getattr(module, name)

        def made(plan: Any) -> Any:
            step = make(plan)

            def take(moment: Any) -> Any:
                is_done = step(moment)
                taken[kind] += is_done
                return is_done

            return None if step is None else take

        monkeypatch.setattr(module, name, made)

    counted(authentication, "usual_authentication", "authentication")
    counted(audit_steps, "usual_write", "audit")
    quick = observed(app, options, requests, sampler, caplog)
    other_names = "request_field" in options  # what is forged under the default names is no forgery then
    assert taken == {"authentication": 14, "audit": 25 + (requests is by_span) + 3 * other_names}
    monkeypatch.setattr(authentication, "usual_authentication", lambda plan: None)
    monkeypatch.setattr(audit_steps, "usual_write", lambda plan: None)
    slow = observed(app, options, requests, sampler, caplog)
    assert quick.keys() == slow.keys()
    for name, value in slow.items():
        assert quick[name] == value, name
    assert len(slow["rows"]) >= 40


def test_a_field_is_read_once_of_a_key_that_is_not_known(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """What the quick step has read is not read again by the others; of one that is known, it is all that is read."""
    app = load_module(APP)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    for number, key_id in enumerate(["k_1", "k_2", "k_2"]):
        with keyaudit.request():
            app.Counting.reads = 0
            app.verify(app.Counting(key_id))
        assert app.Counting.reads == 1, number
