"""A key set by hand, for a worker, a script, a test."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request.context import USED_KEY
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.services import bare

HAND = ApiKey("hand", "by hand", ["write"], ["w1"])


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


def test_outside_of_any_request(recorder: Recorder) -> None:
    """A script's rows name the key, and the audit span has its lists."""
    with use_key(HAND) as used:
        assert used is HAND
        assert current_key() is HAND
        bare.record("a")
    bare.record("b")
    assert bare.named() == {"a": "hand", "b": None}
    assert current_key() is None
    assert keyaudit_attributes(recorder.audit_spans()[0])["keyaudit.key.scopes"] == ("write",)


def test_wins_inside_its_block_only(recorder: Recorder) -> None:
    """The key is current inside the block, and the request's own is current before and after it."""
    with recorder.request():
        bare.verify("own")
        bare.record("before")
        with use_key(HAND):
            bare.record("inside")
            bare.verify("own")
            assert current_key() is HAND
        bare.record("after")
    assert bare.named() == {"before": "own", "inside": "hand", "after": "own"}


def test_wins_over_ambiguity(recorder: Recorder) -> None:
    """A key that is set by hand ends the ambiguity."""
    with recorder.request():
        bare.verify("k1")
        bare.verify("k2")
        assert current_key() is None
        with use_key(HAND):
            bare.record("inside")
        bare.record("outside")
    assert bare.named() == {"inside": "hand", "outside": "?"}
    assert bare.rows[1]["request_api_key"]["ids"] == ["k1", "k2"]


def test_nested_blocks() -> None:
    """The innermost key is current, and each block restores the one before."""
    with use_key(HAND):
        with use_key(ApiKey("inner")):
            bare.record("inner")
        with use_key(None):
            bare.record("outer")
    assert bare.named() == {"inner": "inner", "outer": "hand"}


def test_none_sets_nothing(recorder: Recorder) -> None:
    """``use_key(current_key())`` is right where there is no key, too."""
    with recorder.request():
        bare.verify("own")
        with use_key(None) as used:
            assert used is None
            bare.record("a")
    with recorder.request(), use_key(current_key()):
        bare.record("b")
    assert bare.named() == {"a": "own", "b": None}


def test_an_exception_goes_through() -> None:
    """The exception passes through the block, and the key ends."""
    with pytest.raises(ZeroDivisionError), use_key(HAND):
        raise ZeroDivisionError
    assert current_key() is None


@pytest.mark.parametrize("wrong", ["k1", 7, {"id": "k1"}])
def test_only_keys_are_taken(wrong: Any) -> None:
    """Anything but an ``ApiKey`` is an error at once, without its value."""
    with pytest.raises(TypeError, match=rf"takes an ApiKey or None, not {type(wrong).__name__}$"):
        use_key(wrong)


def test_one_object_can_be_used_again() -> None:
    """One object can be used again, also inside its own block."""
    using = use_key(HAND)
    with using, using:
        bare.record("a")
    with using:
        bare.record("b")
    assert current_key() is None
    assert bare.named() == {"a": "hand", "b": "hand"}


def test_works_without_the_instrumentation(recorder: Recorder) -> None:
    """``use_key`` works while the library is not instrumented."""
    recorder.uninstrument()
    with use_key(HAND):
        assert current_key() is HAND
    assert current_key() is None


def test_shows_on_the_server_span_around(recorder: Recorder) -> None:
    """If the request has no key, its server span shows the one set by hand, and the audit span omits the lists."""
    with recorder.request(), use_key(HAND):
        bare.record("a")
    shown = recorder.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.key.scopes"]) == ("hand", ("write",))
    assert (shown["keyaudit.detail"], "keyaudit.outcome" in shown) == ("full", False)
    assert "keyaudit.key.scopes" not in keyaudit_attributes(recorder.audit_spans()[0])


def test_does_not_show_where_the_request_has_its_own(recorder: Recorder) -> None:
    """The server span keeps the request's key, and the audit span has the lists of the key set by hand."""
    with recorder.request():
        bare.verify("own")
        with use_key(HAND):
            bare.record("inside")
        bare.record("after")
    assert recorder.server_span()["keyaudit.key.id"] == "own"
    assert recorder.server_span()["keyaudit.key.scopes"] == ("read",)
    inside, after = (keyaudit_attributes(span) for span in recorder.audit_spans())
    assert (inside["keyaudit.key.id"], inside["keyaudit.key.scopes"]) == ("hand", ("write",))
    assert after["keyaudit.key.id"] == "own"
    assert "keyaudit.key.scopes" not in after


def test_gives_way_to_the_requests_own_key(recorder: Recorder) -> None:
    """A key that the request authenticates later replaces it on the server span."""
    with recorder.request():
        with use_key(HAND):
            pass
        bare.verify("own")
    shown = recorder.server_span()
    assert (shown["keyaudit.key.id"], shown["keyaudit.key.name"], shown["keyaudit.key.allow_list"]) == ("own", "", ())


def test_lists_stay_with_the_key_whose_row_was_full(recorder: Recorder) -> None:
    """A full row of another key neither adds nor removes the lists of the request's key."""
    recorder.uninstrument()
    recorder.instrument(
        auth_targets=bare.AUTH_TARGETS, audit_targets=bare.AUDIT_TARGETS, sampler="actions", sampler_arg="full*"
    )
    for name, own, other in (
        ("both", "full", "full"),
        ("own", "full", "x"),
        ("other", "x", "full"),
        ("none", "x", "x"),
    ):
        with recorder.request(name):
            bare.verify("own")
            bare.record(own)
            with use_key(HAND):
                bare.record(other)
    shown = {span.name: keyaudit_attributes(span) for span in recorder.spans if span.parent is None}
    scopes = {name: attributes.get("keyaudit.key.scopes") for name, attributes in shown.items()}
    assert scopes == {"both": ("read",), "own": ("read",), "other": None, "none": None}
    details = {name: attributes["keyaudit.detail"] for name, attributes in shown.items()}
    assert details == {"both": "full", "own": "full", "other": "minimal", "none": "minimal"}


def test_concurrent_blocks() -> None:
    """Tasks and threads inherit only the key of the block in which they were started."""

    async def work(number: int) -> None:
        with use_key(ApiKey(f"k{number}")):
            await asyncio.sleep(0)
            await asyncio.gather(asyncio.to_thread(bare.record, f"{number}"), asyncio.sleep(0))

    async def run() -> None:
        await asyncio.gather(*[work(number) for number in range(30)])

    asyncio.run(run())
    assert bare.named() == {str(number): f"k{number}" for number in range(30)}


def test_abandoned_generator() -> None:
    """A generator that is closed in another context does not change its key."""

    async def numbers() -> AsyncIterator[int]:
        with use_key(HAND):
            yield 1

    generator = numbers()
    step = generator.__anext__()
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(step.send, None)  # type: ignore[attr-defined]
    with use_key(ApiKey("outer")), pytest.raises(StopIteration):
        generator.aclose().send(None)  # type: ignore[attr-defined]
    assert current_key() is None


def _in_a_copied_context(work: Callable[..., Any], *args: Any) -> Any:
    return contextvars.copy_context().run(work, *args)


def test_block_of_a_synchronous_dependency_is_reported(recorder: Recorder) -> None:
    """A framework enters and leaves it in copies of the context, so the rows of the endpoint miss the key."""
    with recorder.request():
        block = use_key(HAND)
        _in_a_copied_context(block.__enter__)
        assert current_key() is None
        _in_a_copied_context(block.__exit__, None, None, None)
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.ForeignContextError"): 1}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_blocks_left_in_their_own_context_are_not_reported(recorder: Recorder, order: tuple[int, int]) -> None:
    """Neither the order nor the end of the request makes a block foreign."""
    with recorder.request():
        blocks = [use_key(HAND), use_key(ApiKey("second"))]
        left_later = use_key(ApiKey("third"))
        for block in (*blocks, left_later):
            block.__enter__()
        for number in order:
            blocks[number].__exit__(None, None, None)
    left_later.__exit__(None, None, None)
    assert recorder.errors() == {}


def _not_left() -> None:
    use_key(HAND).__enter__()


def _left_out_of_order() -> None:
    first, second = use_key(HAND), use_key(ApiKey("second"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)


def _both_left_out_of_order() -> None:
    first, second = use_key(HAND), use_key(ApiKey("second"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert current_key() != HAND


LEAVING = pytest.mark.parametrize("enter", [_not_left, _left_out_of_order, _both_left_out_of_order])


def _by_asgi(work: Callable[[], None]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        work()
        await bare.answer(send)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")

    loop.run_until_complete(run())


def _by_asgi_in_one_task(work: Callable[[], None]) -> None:
    """All requests are served by the same task, and so in the same context."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        work()

    application: Any = Starlette(routes=[Mount("/", app)])
    call = application(bare.scope(), bare.receive, bare.ignore)
    with pytest.raises(StopIteration):
        call.send(None)


def _wsgi_app(work: Callable[[], None], body: Iterable[bytes]) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        work()
        start_response("200 OK", [])
        return body

    return app


def _by_wsgi(work: Callable[[], None]) -> None:
    with httpx.Client(transport=httpx.WSGITransport(_wsgi_app(work, [b"ok"])), base_url="http://test") as client:
        assert client.get("/").text == "ok"


def _by_wsgi_with_a_body(work: Callable[[], None]) -> None:
    app = _wsgi_app(work, iter([b"o", b"k"]))
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        assert client.get("/").text == "ok"


def _in_a_body(work: Callable[[], None]) -> None:
    def body() -> Iterator[bytes]:
        work()
        yield b"ok"

    app = _wsgi_app(lambda: None, body())
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        assert client.get("/").text == "ok"


def _by_flask(work: Callable[[], None]) -> None:
    flask: Any = pytest.importorskip("flask")
    app = flask.Flask(__name__)

    def view() -> str:
        work()
        return "ok"

    app.add_url_rule("/", view_func=view)
    assert app.test_client().get("/").text == "ok"


def _by_span(kind: SpanKind) -> Callable[[Callable[[], None]], None]:
    def run(work: Callable[[], None]) -> None:
        with TRACER.start_as_current_span("request", kind=kind):
            work()

    return run


def _by_span_ended_elsewhere(work: Callable[[], None]) -> None:
    span = TRACER.start_span("request", kind=SpanKind.CONSUMER)
    with trace.use_span(span, end_on_exit=False):
        work()
    contextvars.Context().run(span.end)


@pytest.fixture
def _context_restored() -> Iterator[None]:
    """Reset the variables that a request leaves when it ends in another context."""
    before = USED_KEY.get()
    yield
    USED_KEY.set(before)


TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
loop = asyncio.new_event_loop()
REQUESTS = pytest.mark.parametrize(
    "request_by",
    [
        _by_asgi, _by_asgi_in_one_task, _by_wsgi, _by_wsgi_with_a_body, _in_a_body, _by_flask,
        _by_span(SpanKind.SERVER), _by_span(SpanKind.CONSUMER), _by_span_ended_elsewhere,
    ],
)  # fmt: skip


@pytest.mark.usefixtures("_context_restored")
@LEAVING
@REQUESTS
def test_ends_with_its_request(request_by: Callable[[Callable[[], None]], None], enter: Callable[[], None]) -> None:
    """Later requests of the worker, and code between them, have their own key or none."""
    request_by(enter)
    assert current_key() is None
    bare.record("between")
    request_by(lambda: bare.record("keyless"))

    def own() -> None:
        bare.verify("own")
        bare.record("own")

    request_by(own)
    assert bare.named() == {"between": None, "keyless": None, "own": "own"}


@pytest.mark.usefixtures("_context_restored")
@LEAVING
@REQUESTS
def test_key_around_a_server_is_the_key_again(
    request_by: Callable[[Callable[[], None]], None], enter: Callable[[], None]
) -> None:
    """A block around all requests continues after a request that set another key and did not leave it."""
    with use_key(ApiKey("outer")):
        request_by(enter)
        bare.record("between")
        request_by(lambda: bare.record("request"))
    bare.record("after")
    assert bare.named() == {"between": "outer", "request": "outer", "after": None}


@pytest.mark.parametrize("enter", [_left_out_of_order, _both_left_out_of_order])
def test_block_left_out_of_order_has_no_key(enter: Callable[[], None], recorder: Recorder) -> None:
    """A key whose block has been left is never the key again."""
    with recorder.request():
        bare.verify("own")
        enter()
        bare.record("a")
    assert bare.named() == {"a": "own" if enter is _both_left_out_of_order else "second"}


def test_block_that_lasts_between_the_chunks_of_a_body() -> None:
    """The body has its own key again at each chunk, and the server does not see it in between."""

    def body() -> Iterator[bytes]:
        with use_key(HAND):
            yield b"1"
            bare.record("inside")
            yield b"2"
        bare.record("outside")
        yield b"3"

    app = _wsgi_app(lambda: bare.verify("own"), body())  # type: ignore[arg-type]
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    chunks = OpenTelemetryMiddleware(app, tracer_provider=TracerProvider(shutdown_on_exit=False))(environ, _ignore)
    for _ in range(3):
        next(chunks)
        assert current_key() is None
    chunks.close()
    assert bare.named() == {"inside": "hand", "outside": "own"}


def _ignore(*_: Any) -> Callable[[bytes], object]:
    """Ignore the head of a response."""
    return len


def test_task_that_inherited_the_key_of_a_block_of_the_request() -> None:
    """The task has the key while the request is open; afterwards the row fails, as without the block."""
    tasks: list[asyncio.Task[None]] = []

    async def late(ended: asyncio.Event) -> None:
        bare.record("open")
        await ended.wait()
        bare.record("late")

    async def run() -> None:
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            with use_key(HAND):
                tasks.append(asyncio.create_task(late(ended)))
            bare.record("own")
            await asyncio.sleep(0)
            await bare.answer(send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")
        ended.set()
        await tasks[0]

    asyncio.run(run())
    assert bare.named() == {"own": None, "open": "hand", "late": None}


async def _as_service(items: list[int]) -> AsyncIterator[int]:
    with use_key(HAND):
        for item in items:
            yield item


@pytest.mark.parametrize("waits", [0, 3])
def test_async_generator_that_is_left_by_break(
    waits: int, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """After the event loop has closed it, the request's key is current again, and the failure is logged."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("own")
        async for _ in _as_service([1, 2]):
            break
        for _ in range(waits):
            await asyncio.sleep(0)
        bare.record("after")
        await asyncio.sleep(0.01)
        bare.record("later")
        await bare.answer(send)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")

    asyncio.run(run())
    named = bare.named()
    assert named["later"] == "own"
    assert named["after"] == ("own" if waits else "hand")
    assert recorder.errors() == {("authentication", "otel_keyaudit.errors.ForeignContextError"): 1}
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert message.startswith("keyaudit: use_key: ")
    assert "contextlib.aclosing()" in message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"on_behalf_of": 7}, "on_behalf_of takes a string or None, not int"),
        ({"actors": "gateway"}, "actors takes a list of strings or None, not str"),
        ({"actors": 7}, "actors takes a list of strings or None, not int"),
        ({"actors": ["a", None]}, "actors takes a list of strings, not of NoneType"),
    ],
)
def test_delegation_of_a_wrong_type(wrong: dict[str, Any], message: str) -> None:
    """The error comes at once, without the value."""
    with pytest.raises(TypeError) as caught:
        use_key(HAND, **wrong)
    assert str(caught.value) == message


def test_shows_on_spans_that_are_opened_inside(recorder: Recorder) -> None:
    """A server span that is opened in the block of a request without a key shows the key."""
    with use_key(HAND), recorder.request():
        bare.record("a")
    assert recorder.server_span()["keyaudit.key.id"] == "hand"
    assert bare.named() == {"a": "hand"}
