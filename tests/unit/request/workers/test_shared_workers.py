"""A worker that was started in a request names no key once it takes another request's item from a queue."""

import asyncio
import contextvars
import logging
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse
from starlette.routing import Route

from otel_keyaudit import current_key, use_key
from otel_keyaudit.testing import Recorder
from support.clients.testclient import TestClient
from support.environment.modules import LoadModule
from support.environment.unseen import unseen_request
from support.services import bare


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


class Stream:
    """An anyio stream with the methods of a queue."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[str](10)

    def put_nowait(self, item: str) -> None:
        self._send.send_nowait(item)

    async def get(self) -> str:
        return await self._receive.receive()

    def get_nowait(self) -> str:
        return self._receive.receive_nowait()

    def close(self) -> None:
        self._send.close()
        self._receive.close()


class Own(asyncio.Queue[str]):
    """A subclass that stores its items in its own way."""

    def _put(self, item: str) -> None:
        self._queue.appendleft(item)  # type: ignore[attr-defined]


ASYNC_QUEUES = pytest.mark.parametrize(
    "make", [asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue, Own, Stream], ids=lambda made: str(made.__name__)
)
Get = Callable[[Any], Awaitable[str]]


async def _got(items: Any) -> str:
    return str(await items.get())


async def _got_in_time(items: Any) -> str:
    return str(await asyncio.wait_for(items.get(), 10))


async def _wrapped(items: Any) -> str:
    return str(await items.get())


async def _got_by_wrapper(items: Any) -> str:
    return str(await asyncio.wait_for(_wrapped(items), 10))


async def _got_by_task(items: Any) -> str:
    return str(await asyncio.create_task(items.get()))


async def _polled(items: Any) -> str:
    while True:
        with suppress(asyncio.QueueEmpty, anyio.WouldBlock):
            return str(items.get_nowait())
        await asyncio.sleep(0.001)


WAYS_TO_GET = pytest.mark.parametrize("get", [_got, _got_in_time, _got_by_wrapper, _got_by_task, _polled])


async def _rereadable() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


def _close(items: Any) -> None:
    if isinstance(items, Stream):
        items.close()


def _asgi(handle: Callable[[str], Awaitable[None]]) -> Any:
    """Return an application that authenticates, and then handles the path."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify(dict(scope["headers"]).get(b"x-api-key", b"").decode())
        await handle(scope["path"])
        await bare.answer(send)

    return app


async def _request(app: Any, path: str, credential: str = "") -> None:
    headers = {"x-api-key": credential} if credential else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        await client.get(path, headers=headers)


@ASYNC_QUEUES
@WAYS_TO_GET
def test_task_that_takes_the_item_of_another_request(
    make: Any, get: Get, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the key for the request's own items, and no key for any row after a foreign item."""
    keys: list[object] = []

    async def run() -> None:
        items, stop = make(), asyncio.Event()
        workers: list[asyncio.Task[None]] = []

        async def write() -> None:
            for _ in range(3):
                bare.record(await get(items))
            keys.append(current_key())

        async def handle(path: str) -> None:
            if path == "/a":
                workers.append(asyncio.create_task(write()))
                items.put_nowait("own")
                await _rereadable()
                await stop.wait()
                bare.record("stream")
            else:
                items.put_nowait("other")
                await _rereadable()

        app = _asgi(handle)
        first = asyncio.create_task(_request(app, "/a", "AAA"))
        await _rereadable()
        await _request(app, "/b", "BBB")
        items.put_nowait("nobody")
        await workers[0]
        stop.set()
        await first
        _close(items)

    asyncio.run(run())
    assert bare.named() == {"own": "AAA", "other": None, "nobody": None, "stream": "AAA"}
    assert recorder.writes() == {"attributed": 2, "ambiguous": 0, "none": 0, "failed": 2}
    assert keys == [None]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "use_key(key)" in warnings[0]


@ASYNC_QUEUES
def test_task_that_authenticates_for_others(make: Any, recorder: Recorder) -> None:
    """A key that a shared worker accepts belongs to no request, even if the request had none."""

    async def run() -> None:
        items, stop = make(), asyncio.Event()

        async def check() -> None:
            bare.verify(await items.get())
            stop.set()

        async def handle(path: str) -> None:
            if path == "/stream":
                worker = asyncio.create_task(check())
                await stop.wait()
                await worker
                bare.record("stream")
            else:
                items.put_nowait("BBB")

        app = _asgi(handle)
        stream = asyncio.create_task(_request(app, "/stream"))
        await _rereadable()
        await _request(app, "/item", "CCC")
        await stream
        _close(items)

    asyncio.run(run())
    assert bare.named() == {"stream": None}
    assert recorder.writes()["none"] == 1


def test_task_of_a_request_by_span(recorder: Recorder) -> None:
    """The same holds for a request by span, and a request that the worker begins is a new one."""

    async def run() -> None:
        items: asyncio.Queue[str] = asyncio.Queue()

        async def write() -> None:
            bare.record(await items.get())
            with recorder.request():
                bare.verify("inner")
                bare.record("inner")

        with recorder.request():
            bare.verify("AAA")
            worker = asyncio.create_task(write())
            await asyncio.sleep(0)
            await asyncio.create_task(_as_message(items.put_nowait, recorder))
            await worker
            bare.record("own")

    asyncio.run(run())
    assert bare.named() == {"other": None, "inner": "inner", "own": "AAA"}


async def _as_message(put: Callable[[str], None], recorder: Recorder) -> None:
    with recorder.tracer.start_as_current_span("message", kind=SpanKind.CONSUMER):
        put("other")


def test_remedy() -> None:
    """A shared worker that sets the key of each item by hand names it."""

    async def run() -> None:
        items: asyncio.Queue[Any] = asyncio.Queue()

        async def write() -> None:
            for _ in range(2):
                action, key = await items.get()
                with use_key(key):
                    bare.record(action)
            bare.record("afterwards")

        async def handle(path: str) -> None:
            if path == "/a":
                worker = asyncio.create_task(write())
                await worker
            else:
                items.put_nowait((path, current_key()))

        app = _asgi(handle)
        first = asyncio.create_task(_request(app, "/a", "AAA"))
        await _rereadable()
        await _request(app, "/b", "BBB")
        await _request(app, "/c", "CCC")
        await first

    asyncio.run(run())
    assert bare.named() == {"/b": "BBB", "/c": "CCC", "afterwards": None}


def test_key_that_a_worker_set_before_it_took_the_item() -> None:
    """``use_key(current_key())`` around the loop of a shared worker names no other request's rows."""

    async def run() -> None:
        items: asyncio.Queue[str] = asyncio.Queue()

        async def write() -> None:
            with use_key(current_key()):
                bare.record("before")
                bare.record(await items.get())

        with unseen_request():
            bare.verify("AAA")
            worker = asyncio.create_task(write())
            await asyncio.sleep(0)
        items.put_nowait("other")
        await worker

    asyncio.run(run())
    assert bare.named() == {"before": "AAA", "other": None}


THREAD_QUEUES = pytest.mark.parametrize("name", ["Queue", "PriorityQueue", "LifoQueue", "SimpleQueue"])
"""By name, since the class of simple queues is replaced during a test."""


def _in_a_thread(work: Callable[[], None]) -> Any:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
    thread.start()
    return thread


def _in_a_pool(work: Callable[[], None]) -> Any:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(contextvars.copy_context().run, work)
    pool.shutdown(wait=False)
    return future


def _end(started: Any) -> None:
    (started.join if isinstance(started, threading.Thread) else started.result)(10)


@THREAD_QUEUES
@pytest.mark.parametrize("start", [_in_a_thread, _in_a_pool])
def test_thread_with_a_copied_context(name: str, start: Callable[[Callable[[], None]], Any]) -> None:
    """A thread that runs in a copy of the request's context is a worker like a task."""
    items = getattr(queue, name)()

    def work() -> None:
        for _ in range(2):
            bare.record(items.get(timeout=10))

    with unseen_request():
        bare.verify("AAA")
        started = start(work)
        items.put("own")
        while not bare.rows:
            pass
        with unseen_request():
            bare.verify("BBB")
            items.put("other")
        _end(started)
        bare.record("after")

    assert bare.named() == {"own": "AAA", "other": None, "after": "AAA"}


@THREAD_QUEUES
def test_thread_that_was_given_a_key(name: str, recorder: Recorder) -> None:
    """With the presets, a thread and a job of a pool lose the key with the first foreign item."""
    recorder.uninstrument()
    bare.instrument(recorder, presets="threads")
    items = [getattr(queue, name)(), getattr(queue, name)()]

    def work(number: int) -> None:
        bare.record(f"{number} {items[number].get(timeout=10)}")
        bare.record(f"{number} {items[number].get(timeout=10)}")

    with recorder.request():
        bare.verify("AAA")
        thread = threading.Thread(target=work, args=(0,))
        thread.start()
        pool = ThreadPoolExecutor(1)
        job = pool.submit(work, 1)
        for waiting in items:
            waiting.put("own")
        while len(bare.rows) < 2:
            pass
    with recorder.request():
        bare.verify("BBB")
        for waiting in items:
            waiting.put("other")
        thread.join()
        job.result(10)
        assert pool.submit(current_key).result(10).id == "BBB"  # type: ignore[union-attr]
    pool.shutdown()

    assert bare.named() == {"0 own": "AAA", "1 own": "AAA", "0 other": None, "1 other": None}
    assert recorder.writes()["failed"] == 2


def test_requests_own_task_takes_from_any_queue() -> None:
    """A call that reads items of others, as server-sent events do, keeps its key."""

    async def run() -> None:
        items: asyncio.Queue[str] = asyncio.Queue()
        items.put_nowait("one")
        items.put_nowait("two")

        async def handle(path: str) -> None:
            bare.record(await items.get())
            bare.record(await asyncio.wait_for(items.get(), 10))

        await _request(_asgi(handle), "/", "AAA")

    asyncio.run(run())
    assert bare.named() == {"one": "AAA", "two": "AAA"}


def test_framework_runs_the_request_in_tasks_of_its_own() -> None:
    """A streaming body, and an endpoint in a task of a middleware, belong to the request."""
    items: Any = None

    async def endpoint(request: Any) -> StreamingResponse:
        bare.verify(request.headers["x-api-key"])
        bare.record(await items.get())

        async def body() -> AsyncIterator[str]:
            bare.record(await items.get())
            yield "ok"

        return StreamingResponse(body())

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)])

    async def run() -> None:
        nonlocal items
        items = asyncio.Queue()
        items.put_nowait("endpoint")
        items.put_nowait("body")
        await _request(app, "/", "AAA")

    asyncio.run(run())
    assert bare.named() == {"endpoint": "AAA", "body": "AAA"}


def test_flask_view_takes_from_any_queue() -> None:
    """A call of WSGI keeps its key."""
    flask: Any = pytest.importorskip("flask")
    app = flask.Flask(__name__)
    items: queue.Queue[str] = queue.Queue()
    items.put("other")

    @app.get("/")  # type: ignore[untyped-decorator]
    def view() -> str:
        bare.verify("AAA")
        bare.record(items.get())
        return "ok"

    assert app.test_client().get("/").text == "ok"
    assert bare.named() == {"other": "AAA"}


def test_events_of_the_connection_are_the_requests_own() -> None:
    """A task that receives messages of a websocket through the server's queue keeps the key."""
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        bare.verify("AAA")
        await websocket.accept()
        events: asyncio.Queue[Any] = asyncio.Queue()
        contextvars.Context().run(events.put_nowait, {"type": "websocket.receive", "text": "queued"})

        async def read() -> None:
            bare.record((await events.get())["text"])
            bare.record(await websocket.receive_text())

        await asyncio.create_task(read())
        await websocket.close()

    with TestClient(app).websocket_connect("/") as session:
        session.send_text("received")
    assert bare.named() == {"queued": "AAA", "received": "AAA"}


@pytest.mark.unmutated  # mutmut has frames of its own between those of the library
def test_connection_of_a_pool_is_no_job(load_module: LoadModule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that takes a connection out of a pool's queue serves no other request."""
    source = "def acquire(queue):\n    return queue.get_nowait()\n"
    pool = load_module(source)
    monkeypatch.setattr(pool, "__name__", "urllib3.connectionpool")
    connections: queue.LifoQueue[str] = queue.LifoQueue()
    for _ in range(2):
        connections.put("connection")

    async def run() -> None:
        async def work() -> None:
            pool.acquire(connections)
            bare.record("pool")
            connections.get_nowait()
            bare.record("job")

        await _request(_asgi(lambda path: asyncio.create_task(work())), "/", "AAA")

    asyncio.run(run())
    assert bare.named() == {"pool": "AAA", "job": None}


@pytest.mark.unmutated  # mutmut has frames of its own between those of the library
@pytest.mark.parametrize("take", ["take", "wait", "wait_in_a_task"])
def test_connection_that_a_pool_has_put_is_no_job(
    take: str, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task takes a connection that another request has returned to the pool, also where it has to wait for it."""
    pool = load_module("""\
        import asyncio

        def put(queue):
            queue.put_nowait("connection")

        async def take(queue):
            return queue.get_nowait()

        async def wait(queue):
            return await asyncio.wait_for(queue.get(), 10)

        async def wait_in_a_task(queue):
            return await asyncio.create_task(queue.get())
    """)
    monkeypatch.setattr(pool, "__name__", "sqlalchemy.util.queue")

    async def run() -> None:
        connections: asyncio.LifoQueue[str] = asyncio.LifoQueue()

        async def put(_: str) -> None:
            pool.put(connections)

        async def work() -> None:
            await getattr(pool, take)(connections)
            bare.record("row")

        await _request(_asgi(put), "/", "BBB")
        await _request(_asgi(lambda _: asyncio.create_task(work())), "/", "AAA")

    asyncio.run(run())
    assert bare.named() == {"row": "AAA"}


def test_queue_keeps_nothing_of_a_request_alive() -> None:
    """A queue has only a weak reference to the request."""
    items: queue.Queue[str] = queue.Queue()
    with unseen_request():
        items.put("own")
        mark = vars(items)["_otel_keyaudit_request"]
    assert mark() is None


def test_simple_queues_behave_like_themselves(recorder: Recorder) -> None:
    """The replacing class has the same name and methods, and is removed with the library."""
    replaced = queue.SimpleQueue
    old: Any = replaced.__mro__[1]()
    assert isinstance(old, queue.SimpleQueue)
    assert not isinstance(queue.Queue(), queue.SimpleQueue)
    new: queue.SimpleQueue[int] = queue.SimpleQueue()
    new.put(1, timeout=1)
    new.put_nowait(2)
    assert (new.qsize(), new.get(timeout=1), new.get_nowait(), new.empty()) == (2, 1, 2, True)
    with pytest.raises(queue.Empty):
        new.get(block=False)
    assert repr(new).startswith("<_queue.SimpleQueue object")
    recorder.uninstrument()
    assert queue.SimpleQueue is replaced.__mro__[1]
    new.put(3)
    assert new.get() == 3
