"""An open SERVER or CONSUMER span is a request if no call of an application is."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request.boundaries.entry_points import EntryPoint
from otel_keyaudit.request.boundaries.spans import SpanBoundaries
from otel_keyaudit.request.context import current_request
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.environment.garbage import garbage_after
from support.environment.unseen import unseen_state
from support.services import bare

REQUESTS = pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


@REQUESTS
@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
def test_open_span_is_a_request(kind: SpanKind, sampler: Sampler) -> None:
    """Recorded or dropped, the span and spans inside it belong to the request until it ends."""
    tracer = Recorder(strict=False, keep_rows=False, trace_sampler=sampler).tracer
    with tracer.start_as_current_span("work", kind=kind) as span:
        bare.verify("k1")
        bare.record("same")
        with tracer.start_as_current_span("inner"):
            bare.record("inside")
        assert current_key() is not None
    bare.record("after")
    with trace.use_span(span):
        bare.record("ended")
    assert bare.named() == {"same": "k1", "inside": "k1", "after": None, "ended": None}
    trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    assert [row["request_api_key"]["trace_id"] for row in bare.rows[:2]] == [trace_id] * 2


@pytest.mark.parametrize("kind", [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER])
def test_other_spans_are_no_requests(kind: SpanKind, recorder: Recorder) -> None:
    """Outside of a request nothing is attributed."""
    with recorder.tracer.start_as_current_span("work", kind=kind):
        bare.verify("k1")
        bare.record("a")
    assert bare.named() == {"a": None}
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 1, "failed": 0}


@REQUESTS
def test_server_span_shows_the_key_and_consumer_span_does_not(kind: SpanKind, recorder: Recorder) -> None:
    """Only a SERVER span is a server span; without one the audit span has the lists."""
    with recorder.tracer.start_as_current_span("work", kind=kind):
        bare.verify("k1")
        bare.record("a")
    (audited,) = recorder.audit_spans()
    (span,) = [span for span in recorder.spans if span.kind is kind]
    is_server = kind is SpanKind.SERVER
    assert keyaudit_attributes(span).get("keyaudit.key.scopes") == (("read",) if is_server else None)
    assert keyaudit_attributes(audited).get("keyaudit.key.scopes") == (None if is_server else ("read",))


@REQUESTS
def test_siblings_that_are_open_at_once(kind: SpanKind, recorder: Recorder) -> None:
    """Spans of one trace that are open at the same time are requests of their own, whichever is current."""
    with recorder.tracer.start_as_current_span("batch"):
        spans = [recorder.tracer.start_span(f"message {number}", kind=kind) for number in range(3)]
        for number, span in enumerate(spans):
            with trace.use_span(span):
                bare.verify(f"k{number}")
        for number, span in reversed(list(enumerate(spans))):
            with trace.use_span(span, end_on_exit=True):
                bare.record(str(number))
        bare.record("outside")
    assert bare.named() == {"0": "k0", "1": "k1", "2": "k2", "outside": None}


@REQUESTS
def test_nested_spans(kind: SpanKind, recorder: Recorder) -> None:
    """A request inside another one has its own key or none, and the outer one goes on."""
    with recorder.tracer.start_as_current_span("outer", kind=kind):
        bare.verify("outer")
        with recorder.tracer.start_as_current_span("inner", kind=SpanKind.CONSUMER):
            bare.record("before")
            bare.verify("inner")
            bare.record("inner")
        bare.record("outer")
    assert bare.named() == {"before": None, "inner": "inner", "outer": "outer"}


def test_messages_in_tasks_and_threads(recorder: Recorder) -> None:
    """Concurrent messages keep their keys, also in copied contexts."""

    async def handle(number: int) -> None:
        with recorder.tracer.start_as_current_span("message", kind=SpanKind.CONSUMER):
            await asyncio.sleep(0)
            await asyncio.to_thread(bare.verify, f"k{number}")
            await asyncio.sleep(0)
            await asyncio.gather(asyncio.to_thread(bare.record, f"{number}"), asyncio.sleep(0))

    async def run() -> None:
        await asyncio.gather(*[handle(number) for number in range(50)])

    asyncio.run(run())
    assert bare.named() == {str(number): f"k{number}" for number in range(50)}


def _in_call(app: Any) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")

    asyncio.run(run())


def test_server_span_inside_a_call_belongs_to_it(recorder: Recorder) -> None:
    """The outermost SERVER span shows the key of the call, and inner spans begin no request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("k1")
        with recorder.tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            with recorder.tracer.start_as_current_span("inner", kind=SpanKind.SERVER):
                bare.record("a")
            bare.verify("k1")
        bare.record("b")
        await bare.answer(send)

    _in_call(app)
    inner, outer = recorder.server_spans()
    assert keyaudit_attributes(inner) == {}
    assert keyaudit_attributes(outer)["keyaudit.key.id"] == "k1"
    assert set(bare.named().values()) == {"k1"}


def test_message_inside_a_call_is_its_own(recorder: Recorder) -> None:
    """A CONSUMER span of a call never gets the key of the call, not even after its end."""
    left: list[trace.Span] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("k1")
        with recorder.tracer.start_as_current_span("message", kind=SpanKind.CONSUMER) as span:
            bare.record("keyless")
            left.append(span)
        with trace.use_span(left[0]):
            bare.record("ended")
        bare.record("call")
        await bare.answer(send)

    _in_call(app)
    assert bare.named() == {"keyless": None, "ended": None, "call": "k1"}


class Interceptor:
    """As the interceptor of an instrumentation of gRPC: it opens a span in the handler that it returns.

    Args:
        is_excluded: The calls have no span.
    """

    def __init__(self, recorder: Recorder, *, is_excluded: bool = False) -> None:
        self._recorder = recorder
        self._filter = (lambda details: False) if is_excluded else None
        self._intercept = SpanBoundaries(unseen_state()._spans).handlers["before_span"](
            EntryPoint("", "before_span"), Interceptor._handler
        )

    def _handler(self, continuation: Callable[[str], Callable[[], None]], details: str) -> Callable[[], None]:
        handle = continuation(details)

        def handle_in_span() -> None:
            with self._recorder.request():
                handle()

        return handle if self._filter else handle_in_span

    def rpc(self, credential: str) -> None:
        """Handle one RPC, whose other interceptor authenticates."""
        handler = self._intercept((self, _authenticating, credential), {})
        handler()
        bare.record(f"{credential} after")


def _authenticating(credential: str) -> Callable[[], None]:
    bare.verify(credential)
    bare.record(f"{credential} before")
    return lambda: bare.record(credential)


def _in_turn(rpc: Callable[[str], None]) -> None:
    for credential in ("ka", "kb"):
        contextvars.copy_context().run(rpc, credential)


def _in_tasks(rpc: Callable[[str], None]) -> None:
    async def run(credential: str) -> None:
        await asyncio.sleep(0)
        rpc(credential)

    async def serve() -> None:
        await asyncio.gather(run("ka"), run("kb"))

    asyncio.run(serve())


@pytest.mark.parametrize("serve", [_in_turn, _in_tasks])
def test_interceptor_that_authenticates_before_the_span_is_opened(
    serve: Callable[[Callable[[str], None]], None], recorder: Recorder
) -> None:
    """The request begins with the interceptors and ends with its span, which shows the key."""
    serve(Interceptor(recorder).rpc)
    assert bare.named() == {
        "ka before": "ka", "ka": "ka", "ka after": None, "kb before": "kb", "kb": "kb", "kb after": None,
    }  # fmt: skip
    assert [keyaudit_attributes(span)["keyaudit.key.id"] for span in recorder.server_spans()] == ["ka", "kb"]
    assert current_request() is None


def test_row_in_a_thread_that_knows_only_the_span_of_an_early_request(recorder: Recorder) -> None:
    """The span leads to the request, as it does for a request that begins with it."""

    def work(context: Any) -> None:
        token = attach(context)
        bare.record("thread")
        detach(token)

    def handle() -> None:
        with recorder.tracer.start_as_current_span("inner"):
            thread = threading.Thread(target=work, args=(get_current(),))
            thread.start()
            thread.join()

    def rpc() -> None:
        interceptor = Interceptor(recorder)
        interceptor._intercept((interceptor, lambda _: bare.verify("ka") and handle, ""), {})()

    contextvars.copy_context().run(rpc)
    assert bare.named() == {"thread": "ka"}


def test_excluded_call_has_no_early_request(recorder: Recorder) -> None:
    """A call that the instrumentation excludes has no span, so it is no request."""
    contextvars.copy_context().run(Interceptor(recorder, is_excluded=True).rpc, "ka")
    assert set(bare.named().values()) == {None}


def test_early_request_without_a_span_ends_with_its_task() -> None:
    """A task that outlives an RPC without a span has no key."""
    rows: list[Any] = []

    async def outlive() -> None:
        await asyncio.sleep(0.01)
        rows.append(current_key())

    async def rpc(boundaries: SpanBoundaries) -> asyncio.Task[None]:
        intercept = boundaries.handlers["before_span"](EntryPoint("", "before_span"), lambda *_: bare.verify("ka"))
        intercept((None, None, ""), {})
        rows.append(current_key())
        return asyncio.create_task(outlive())

    async def serve() -> None:
        await (await asyncio.create_task(rpc(SpanBoundaries(unseen_state()._spans))))

    asyncio.run(serve())
    assert [key and key.id for key in rows] == ["ka", None]


def test_call_inside_a_span_is_its_own(recorder: Recorder) -> None:
    """An in-process call from a message handler and the handler have their own keys."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.record("keyless")
        bare.verify("inner")
        bare.record("inner")
        await bare.answer(send)

    with recorder.tracer.start_as_current_span("message", kind=SpanKind.CONSUMER):
        bare.verify("outer")
        _in_call(app)
        bare.record("outer")
    assert bare.named() == {"keyless": None, "inner": "inner", "outer": "outer"}


def test_key_set_by_hand_shows_on_spans_around_and_inside(recorder: Recorder) -> None:
    """The server spans around the block and inside it show the key, and a later one does not."""
    with recorder.request("around"), use_key(ApiKey("k1")):
        pass
    with use_key(ApiKey("k2")), recorder.request("inside"):
        pass
    with recorder.request("after"):
        pass
    keys = {span.name: keyaudit_attributes(span).get("keyaudit.key.id") for span in recorder.spans}
    assert keys == {"around": "k1", "inside": "k2", "after": None}


def test_tracer_that_is_off_makes_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer that returns the caller's span or an invalid one begins no request."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    disabled = Recorder(strict=False, keep_rows=False).tracer
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    for context in (None, trace.set_span_in_context(remote)):
        with disabled.start_as_current_span("x", context=context, kind=SpanKind.SERVER):
            bare.verify("k1")
            bare.record("a")
    assert bare.named() == {"a": None}


def test_tracer_that_is_off_takes_no_place(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    """The span that such a tracer returns is not the server span of a call."""
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    disabled = Recorder(strict=False, keep_rows=False).tracer
    monkeypatch.setattr(disabled, "_is_enabled", lambda: False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with disabled.start_as_current_span("x", context=trace.set_span_in_context(remote), kind=SpanKind.SERVER):
            bare.verify("k1")
        with recorder.request():
            await bare.answer(send)

    _in_call(app)
    assert recorder.server_span()["keyaudit.key.id"] == "k1"


def test_key_set_by_hand_before_the_server_span_does_not_show(recorder: Recorder) -> None:
    """A span that is opened after the block does not show the key, in a call either."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with use_key(ApiKey("k1")):
            pass
        with recorder.request():
            await bare.answer(send)

    _in_call(app)
    assert recorder.server_span() == {}


def test_thread_without_context_is_outside(recorder: Recorder) -> None:
    """A plain thread inherits no context, so its rows name no key."""
    with recorder.request():
        bare.verify("k1")
        thread = threading.Thread(target=bare.record, args=("thread",))
        thread.start()
        thread.join()
    assert bare.named() == {"thread": None}


@REQUESTS
@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
def test_ended_request_is_no_reference_cycle(kind: SpanKind, sampler: Sampler) -> None:
    """Without the garbage collector, nothing of a request is left after its end."""
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    tracer = provider.get_tracer("tests")

    def request() -> None:
        with tracer.start_as_current_span("request", kind=kind), use_key(ApiKey("hand")):
            bare.verify("k1")
            bare.record("a")
            with tracer.start_as_current_span("inner"):
                bare.record("b")

        bare.rows.clear()

    assert garbage_after(request, rounds=20) == []


def test_span_keeps_its_own_end(recorder: Recorder) -> None:
    """The library replaces no method of a span."""
    span: Any = recorder.tracer.start_span("request", kind=SpanKind.SERVER)
    assert "end" not in vars(span)
    span.end()
    span.end()
    assert len(recorder.spans) == 1
