"""Code runs inside a request, and an interrupt at any instruction leaves the context as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request.boundaries.calls import CallBoundaries
from otel_keyaudit.request.boundaries.running import AUDIT_SPAN_MARK, run_inside
from otel_keyaudit.request.context import CALL, USED_KEY
from otel_keyaudit.testing import Recorder
from support.environment.instructions import interrupt
from support.environment.unseen import unseen_state
from support.services import bare


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    bare.verify("k1")
    bare.record("a")


def _by_asgi() -> None:
    call = DELIMITED["asgi"](bare.scope(), bare.receive, bare.ignore)
    with closing(call), suppress(StopIteration):
        call.send(None)


def _by_wsgi() -> None:
    DELIMITED["wsgi"]({"wsgi.input": object(), "HTTP_X_API_KEY": "k1", "PATH_INFO": "/"}, lambda *_: None)


DELIMITED: dict[str, Any] = {}
MODULES = ("otel_keyaudit.request.boundaries.running", "otel_keyaudit.request.boundaries.calls")


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")  # one that an interrupt has kept from being awaited
@pytest.mark.parametrize("request_by", [_by_asgi, _by_wsgi])
def test_interrupt_at_any_instruction_leaves_nothing_current(request_by: Callable[[], None]) -> None:
    """Neither a request nor a key set by hand is current after an interrupt."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        bare.verify("k1")
        use_key(ApiKey("hand")).__enter__()
        return [b""]

    boundaries = CallBoundaries(unseen_state()._spans)
    DELIMITED.update(asgi=boundaries.delimited_asgi(_app), wsgi=boundaries.delimited_wsgi(app))
    total = interrupt(-1, request_by, MODULES)
    assert total > 100
    left = []
    for at in range(1, total + 1):
        interrupt(at, request_by, MODULES)
        if CALL.get() is not None or USED_KEY.get() is not None or current_key() is not None:
            left.append(at)
            CALL.set(None)
            USED_KEY.set(None)
    assert left == []


def test_interrupt_of_a_request_by_span(recorder: Recorder) -> None:
    """A server span that is interrupted while it opens or ends is no request afterwards."""

    def request() -> None:
        with recorder.request():
            bare.verify("k1")

    modules = (*MODULES, "otel_keyaudit.request.boundaries.spans")
    total = interrupt(-1, request, modules)
    assert total > 50
    for at in range(1, total + 1):
        interrupt(at, request, modules)
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert current_key() is None


def test_audit_span_that_is_still_current_at_the_end(recorder: Recorder) -> None:
    """The context of OpenTelemetry is restored, unless the application has changed it itself."""
    before = otel_context.get_current()
    span = recorder.tracer.start_span("audit")
    setattr(span, AUDIT_SPAN_MARK, True)
    run_inside(unseen_state(), lambda: otel_context.attach(trace.set_span_in_context(span)))
    assert otel_context.get_current() is before

    other = trace.set_span_in_context(recorder.tracer.start_span("other", kind=SpanKind.CLIENT))
    token = run_inside(unseen_state(), otel_context.attach, other)
    assert otel_context.get_current() is other
    otel_context.detach(token)


def test_request_ends_when_its_work_raises() -> None:
    """The exception passes through, and the context is as before."""
    request = unseen_state()
    with pytest.raises(ZeroDivisionError):
        run_inside(request, lambda: 1 / 0)
    assert not request.is_open
    assert CALL.get() is None
