"""The audit span: its name, parent and attributes, and its relation to the server span."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.modules import LoadModule

APP = """
from enum import Enum
from opentelemetry import trace

class Key:
    def __init__(self, id, scopes=("a:read", "a:write"), owner=None, expires_at=None):
        self.id = id
        self.name = "ci-bot"
        self.scopes = scopes
        self.allow_list = ["a:1", "a:2", "a:3"]
        self.owner = owner
        self.expires_at = expires_at

class Action(Enum):
    CREATE = "create"

class Failed(Exception):
    pass

SPANS = []

class Forever:
    def __await__(self):
        yield

async def wait(action, additional_fields=None):
    await Forever()

def verify(key):
    return key

def record(action=None, resource_type=None, resource_id=None, outcome=None, additional_fields=None):
    SPANS.append(trace.get_current_span())
    if isinstance(outcome, BaseException):
        raise outcome
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application that looks at the current span while it writes."""
    return load_module(APP)


def instrument(recorder: Recorder, app: Any, **options: Any) -> None:
    """Instrument the application, owner and expiry included."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify?owner=owner&expires_at=expires_at"], audit_targets=[f"{name}:record"], **options
    )


def test_the_event_is_on_the_span(recorder: Recorder, app: Any) -> None:
    """The internal span is named after the action, has the event as strings, and is current during the write."""
    instrument(recorder, app)
    app.record(app.Action.CREATE, "workspace", 42, True)
    (span,) = recorder.audit_spans()
    assert span.name == "audit create"
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        "keyaudit.action": "create",
        "keyaudit.resource.type": "workspace",
        "keyaudit.resource.id": "42",
        "keyaudit.audit.outcome": "true",
    }
    assert app.SPANS[0].get_span_context() == span.context


def test_a_span_without_an_action(recorder: Recorder, app: Any) -> None:
    """Without an action the span is named ``audit``."""
    instrument(recorder, app)
    app.record()
    assert [span.name for span in recorder.audit_spans()] == ["audit"]


@pytest.mark.parametrize(("outcome", "shown"), [(False, "false"), (404, "404"), ("Denied", "Denied"), (1.5, "1.5")])
def test_an_outcome_is_text(recorder: Recorder, app: Any, outcome: object, shown: str) -> None:
    """The attribute is a string for any outcome."""
    instrument(recorder, app)
    app.record("create", outcome=outcome)
    assert keyaudit_attributes(recorder.audit_spans()[0])["keyaudit.audit.outcome"] == shown


def test_a_write_that_raises(recorder: Recorder, app: Any) -> None:
    """The span has the class of the exception and status ERROR, never its message; the server span has neither."""
    instrument(recorder, app)
    with recorder.request(), pytest.raises(app.Failed):
        app.record("create", outcome=app.Failed("secret text"))
    (span,) = recorder.audit_spans()
    assert (span.attributes or {})["error.type"] == f"{app.__name__}.Failed"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert not span.events
    (server,) = recorder.server_spans()
    assert "error.type" not in (server.attributes or {})


def test_the_names_and_types_of_all_key_attributes(recorder: Recorder, app: Any) -> None:
    """Every attribute of a key is on the server span, with the type of the documentation."""
    instrument(recorder, app, max_items=2)
    with recorder.request():
        app.verify(app.Key("k_1", ["a", "b", "c"], "u_1", "2026-11-23T17:00:00+01:00"))
        app.record("create", "workspace", "w_1", "ok")
    shown = recorder.server_span()
    digest = shown.pop("keyaudit.key.digest")
    assert len(digest) == 16
    assert shown == {
        "keyaudit.outcome": "accepted",
        "keyaudit.key.id": "k_1",
        "keyaudit.key.name": "ci-bot",
        "keyaudit.key.scopes": ("a", "b"),
        "keyaudit.key.scopes_count": 3,
        "keyaudit.key.allow_list": ("a:1", "a:2"),
        "keyaudit.key.allow_list_count": 3,
        "keyaudit.key.owner": "u_1",
        "keyaudit.key.expires_at": "2026-11-23T16:00:00Z",
        "keyaudit.detail": "full",
    }
    assert keyaudit_attributes(recorder.audit_spans()[0]) == {
        "keyaudit.action": "create",
        "keyaudit.resource.type": "workspace",
        "keyaudit.resource.id": "w_1",
        "keyaudit.audit.outcome": "ok",
        "keyaudit.key.id": "k_1",
        "keyaudit.key.name": "ci-bot",
        "keyaudit.key.digest": digest,
        "keyaudit.detail": "full",
    }


def test_without_a_server_span_the_lists_are_on_the_audit_span(recorder: Recorder, app: Any) -> None:
    """If no server span holds the lists, the audit span does."""
    instrument(recorder, app)
    with use_key(ApiKey("k_1", scopes=["a:read"])):
        app.record("create")
    assert keyaudit_attributes(recorder.audit_spans()[0])["keyaudit.key.scopes"] == ("a:read",)


@pytest.mark.parametrize("sampler", ["always_full", "always_minimal"])
@pytest.mark.parametrize("has_server_span", [True, False])
def test_event_is_recorded_without_a_complete_key(
    recorder: Recorder, app: Any, sampler: str, has_server_span: bool
) -> None:
    """The event is recorded with a partly known key too, and the next span has nothing of it."""
    instrument(recorder, app, sampler=sampler)
    with recorder.request() if has_server_span else nullcontext(), use_key(ApiKey("k_1", scopes=["a:read"])):
        app.record("create", "workspace", "w_1")
        app.record("delete")
    first, second = map(keyaudit_attributes, recorder.audit_spans())
    event = {"keyaudit.action": "create", "keyaudit.resource.type": "workspace", "keyaudit.resource.id": "w_1"}
    detail = sampler.removeprefix("always_")
    lists = {"keyaudit.key.scopes": ("a:read",)} if detail == "full" and not has_server_span else {}
    digest = ApiKey("k_1", scopes=["a:read"]).digest
    key = {"keyaudit.key.id": "k_1", "keyaudit.key.digest": digest, "keyaudit.detail": detail, **lists}
    assert first == {**event, **key}
    assert second == {"keyaudit.action": "delete", **key}


def test_another_key_than_the_server_spans_has_its_lists_on_the_audit_span(recorder: Recorder, app: Any) -> None:
    """A key set by hand inside a request of another key does not change the server span."""
    instrument(recorder, app)
    with recorder.request():
        app.verify(app.Key("k_1"))
        with use_key(ApiKey("k_2", scopes=["b:read"])):
            app.record("create")
    assert recorder.server_span()["keyaudit.key.id"] == "k_1"
    shown = keyaudit_attributes(recorder.audit_spans()[0])
    assert shown["keyaudit.key.id"] == "k_2"
    assert shown["keyaudit.key.scopes"] == ("b:read",)


def test_lists_come_with_the_first_full_write(recorder: Recorder, app: Any) -> None:
    """With a sampler, the server span has the lists as soon as one write is full."""
    instrument(recorder, app, sampler="actions", sampler_arg="delete")
    seen: list[bool] = []
    with recorder.request() as span:
        app.verify(app.Key("k_1"))
        for action in ("create", "delete", "create"):
            app.record(action)
            shown: dict[str, Sequence[str]] = span.attributes  # type: ignore[attr-defined]
            seen.append("keyaudit.key.scopes" in shown)
    assert seen == [False, True, True]
    assert recorder.server_span()["keyaudit.detail"] == "full"
    details = [keyaudit_attributes(span)["keyaudit.detail"] for span in recorder.audit_spans()]
    assert details == ["minimal", "full", "minimal"]


def test_the_last_write_is_on_the_server_span(recorder: Recorder, app: Any) -> None:
    """Without audit spans the server span shows the last write, and values that it lacks are overwritten."""
    instrument(recorder, app, audit_spans=False)
    with recorder.request():
        app.record("create", "workspace", "w_1")
        app.record("list")
    assert recorder.server_span() == {
        "keyaudit.action": "list",
        "keyaudit.resource.type": "",
        "keyaudit.resource.id": "",
    }


def test_an_ambiguous_request(recorder: Recorder, app: Any) -> None:
    """Both spans have the ids and no detail, and attributes of the first key are overwritten."""
    instrument(recorder, app)
    with recorder.request():
        app.verify(app.Key("k_1"))
        app.verify(app.Key("k_2"))
        app.record("create")
    shown = recorder.server_span()
    assert shown["keyaudit.ambiguous"] is True
    assert shown["keyaudit.key.ids"] == ("k_1", "k_2")
    assert shown["keyaudit.key.id"] == ""
    assert shown["keyaudit.key.scopes"] == ()
    assert shown["keyaudit.detail"] == ""
    assert keyaudit_attributes(recorder.audit_spans()[0]) == {
        "keyaudit.action": "create",
        "keyaudit.ambiguous": True,
        "keyaudit.key.ids": ("k_1", "k_2"),
    }


def test_an_audit_span_is_a_child_of_the_span_around_it(recorder: Recorder, app: Any) -> None:
    """The span is where the write happens, in the request's trace."""
    instrument(recorder, app)
    with recorder.request(), recorder.tracer.start_as_current_span("inner") as inner:
        app.record("create")
    assert recorder.audit_spans()[0].parent == inner.get_span_context()


def test_an_audit_span_after_the_server_span_is_in_its_trace(recorder: Recorder, app: Any) -> None:
    """A background task runs after its server span has ended, and that span keeps the lists."""
    instrument(recorder, app)

    async def respond(*_: Any) -> None:
        with recorder.tracer.start_as_current_span("GET /", kind=SpanKind.SERVER):
            app.verify(app.Key("k_1"))
        app.record("create")

    starlette = Starlette()
    starlette.middleware_stack = respond
    nothing: Any = None  # is received or sent
    asyncio.run(starlette({"type": "http"}, nothing, nothing))
    (server_span,), (audit_span,) = (
        recorder.server_spans(),
        recorder.audit_spans(),
    )
    assert audit_span.parent == server_span.get_span_context()
    assert keyaudit_attributes(audit_span)["keyaudit.key.id"] == "k_1"
    assert "keyaudit.key.scopes" not in keyaudit_attributes(audit_span)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_abandoned_write_leaves_the_current_span_as_it_was(
    recorder: Recorder, app: Any, caplog: pytest.LogCaptureFixture, elsewhere: bool
) -> None:
    """The write can be closed in another context, in which there is nothing to restore."""
    recorder.instrument(audit_targets=[f"{app.__name__}:wait"])
    writing = app.wait("create")
    if elsewhere:
        copy_context().run(writing.send, None)
    else:
        writing.send(None)
    with recorder.tracer.start_as_current_span("other") if elsewhere else nullcontext(trace.INVALID_SPAN) as around:
        writing.close()
        assert trace.get_current_span() is around
    assert [span.name for span in recorder.audit_spans()] == ["audit create"]
    assert caplog.records == []


def test_a_wide_event_has_no_control_over_the_span_name(recorder: Recorder, app: Any) -> None:
    """An action of control characters and lone surrogates becomes a string that an exporter can encode."""
    instrument(recorder, app)
    app.record("a\x00\r\n\u2028\ud800%s{}")
    name = recorder.audit_spans()[0].name
    assert name.startswith("audit a")
    name.encode("utf-8")
