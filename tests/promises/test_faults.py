"""No failure of the library shows in the application: every hook fails in every way."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from otel_keyaudit.testing import Recorder
from support.applications.broken import APP, FAULTS, POINTS
from support.environment.modules import LoadModule

RAW = b"\xff\xfe%ff"


class Tripping(SpanProcessor):
    """A span processor that fails on the library's spans."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if span.name.startswith("audit"):
            self.app.trip("on_start")

    def on_end(self, span: Any) -> None:
        if span.name.startswith("audit"):
            self.app.trip("on_end")


@pytest.fixture
def app(load_module: LoadModule, recorder: Recorder) -> Any:
    """The application, not instrumented yet."""
    module = load_module(APP)
    vars(module).update(TRACER=recorder.tracer)
    recorder.tracer_provider.add_span_processor(Tripping(module))
    return module


def instrument(recorder: Recorder, app: Any) -> None:
    """Instrument the application with functions in every field that takes one."""
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:verify?valid={name}:is_valid&when={name}:when"],
        audit_targets=[f"{name}:record?fields=args.fields&action=args.event.verb&subject=args.event.key"],
        sampler=f"{name}:sampler",
    )


def respond(app: Any, query: bytes = b"a=" + RAW) -> list[dict[str, Any]]:
    """Return all messages of the application for a request with raw bytes in every place."""
    app.ROWS.clear()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/\ufffd\u2028\x00",
        "raw_path": b"/" + RAW,
        "query_string": query,
        "headers": [(b"x-api-key", RAW), (RAW, b"\x00"), (b"host", b"test")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": RAW, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app.app(scope, receive, send))
    return sent


@contextmanager
def fault(app: Any, point: str, kind: str) -> Iterator[None]:
    """Make the application fail somewhere for the time of a block."""
    app.FAULT.update(point=point, make=FAULTS[kind])
    try:
        yield
    finally:
        app.FAULT.update(point=None)


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("point", POINTS)
def test_a_fault_changes_nothing(
    recorder: Recorder, app: Any, point: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is the application's; each fault is counted and logged once."""
    expected = respond(app)
    instrument(recorder, app)
    with fault(app, point, kind):
        assert respond(app) == expected
        assert respond(app) == expected
    assert recorder.errors() == {(POINTS[point], kind): 2}
    assert len(caplog.records) == 1
    for record in caplog.records:
        assert (record.name, record.levelname) == ("otel_keyaudit", "WARNING")
        assert kind in record.getMessage()
        assert "secret text" not in record.getMessage()


def test_without_a_fault_nothing_is_degraded(recorder: Recorder, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The same request, with nothing failing, is not degraded and logs nothing."""
    expected = respond(app)
    assert expected[0]["status"] == 200
    instrument(recorder, app)
    assert respond(app) == expected
    assert recorder.errors() == {}
    assert recorder.writes()["attributed"] == 1
    assert app.ROWS[0]["request_api_key"]["id"] == "k_1"
    assert not caplog.records


def test_a_denial_of_the_application_is_its_own(recorder: Recorder, app: Any) -> None:
    """An HTTPException of an authentication function gives the same response."""
    expected = respond(app, b"deny")
    assert expected[0]["status"] == 401
    recorder.clear()
    instrument(recorder, app)
    assert respond(app, b"deny") == expected
    assert recorder.server_span()["keyaudit.denied.reason"] == "fastapi.exceptions.HTTPException"


@pytest.mark.parametrize("kind", FAULTS)
def test_a_logging_handler_that_raises_changes_nothing(recorder: Recorder, app: Any, kind: str) -> None:
    """A fault is counted although it cannot be logged."""

    class Handler(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise FAULTS[kind]()

    expected = respond(app)
    instrument(recorder, app)
    logger, handler = logging.getLogger("otel_keyaudit"), Handler()
    logger.addHandler(handler)
    try:
        with fault(app, "name", "ValueError"):
            assert respond(app) == expected
    finally:
        logger.removeHandler(handler)
    assert recorder.errors() == {("authentication", "ValueError"): 1}


@pytest.mark.parametrize("point", ["sampler", "server span", "on_start", "on_end", "action", "subject"])
def test_a_fault_beside_the_row_leaves_it_whole(recorder: Recorder, app: Any, point: str) -> None:
    """A failure elsewhere does not cost the row its key, and after a failing sampler the row is full."""
    instrument(recorder, app)
    with fault(app, point, "ValueError"):
        respond(app)
    assert app.ROWS[0]["request_api_key"]["id"] == "k_1"
    assert app.ROWS[0]["request_api_key"]["detail"] == ("full" if point == "sampler" else "minimal")
    assert recorder.writes()["attributed"] == 1


def test_two_spans_that_fail_are_one_degraded_call(recorder: Recorder, app: Any) -> None:
    """Each stage counts once per call, although a write sets attributes on two spans."""
    instrument(recorder, app)
    app.FAULT.update(also="on_end")
    with fault(app, "server span", "ValueError"):
        respond(app)
    app.FAULT.update(also=None)
    assert recorder.errors() == {("telemetry", "ValueError"): 2}


@pytest.mark.parametrize("field", ["name", "scopes", "allow list"])
def test_an_unreadable_field_is_unknown(recorder: Recorder, app: Any, field: str) -> None:
    """A field that fails costs that field alone."""
    instrument(recorder, app)
    app.DETAIL = app.Detail.FULL
    with fault(app, field, "ValueError"):
        respond(app)
    missing = {"name", "scopes", "allow_list"} - app.ROWS[0]["request_api_key"].keys()
    assert missing == {field.replace(" ", "_")}


def test_a_merge_that_fails_gives_the_original_fields(recorder: Recorder, app: Any) -> None:
    """The writer gets the caller's own mapping, and the write counts as failed."""
    instrument(recorder, app)
    with fault(app, "merge", "ValueError"):
        respond(app)
    assert app.ROWS[0].content.keys() == {"path"}
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 1}
