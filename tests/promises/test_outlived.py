"""After its end, the key of a request is not used again."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.request import context as request_state
from otel_keyaudit.testing import Recorder
from support.services import bare


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    bare.instrument(recorder)


def _call(handle: Callable[[], Awaitable[None]], then: Callable[[], Awaitable[None]]) -> None:
    """Make one request, and do something after it in the same event loop."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handle()
        await bare.answer(send)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")
        await then()

    asyncio.run(run())


async def _nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("credential", ["k1", ""])
def test_task_that_outlives_its_request(credential: str, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Its writes count as failed if there was a key, and one log line names the remedy."""
    ended = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def late() -> None:
        await ended.wait()
        for number in range(3):
            assert current_key() is None
            bare.record(f"late {number}")

    async def handle() -> None:
        bare.verify(credential)
        tasks.append(asyncio.create_task(late()))

    async def then() -> None:
        ended.set()
        await tasks[0]

    _call(handle, then)
    assert set(bare.named().values()) == {None}
    kind = "failed" if credential else "none"
    assert recorder.writes() == {"attributed": 0, "ambiguous": 0, "none": 0, "failed": 0} | {kind: 3}
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (1 if credential else 0)
    assert all("use_key(current_key())" in warning for warning in warnings)


def test_remedy_of_the_log_line(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """With ``use_key(current_key())`` around it, work that outlives its request names the key."""
    ended = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def late() -> None:
        with use_key(current_key()):
            await ended.wait()
            bare.record("late")
            await asyncio.to_thread(bare.record, "thread")

    async def handle() -> None:
        bare.verify("k1")
        tasks.append(asyncio.create_task(late()))
        await asyncio.sleep(0)

    async def then() -> None:
        ended.set()
        await tasks[0]

    _call(handle, then)
    assert bare.named() == {"late": "k1", "thread": "k1"}
    assert caplog.records == []


def test_worker_started_lazily_in_a_request(recorder: Recorder) -> None:
    """A worker that the first request starts does not name that request's key in other rows."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    workers: list[asyncio.Task[None]] = []

    async def work() -> None:
        while True:
            action = await queue.get()
            if action.startswith("message"):
                with recorder.tracer.start_as_current_span("message", kind=SpanKind.CONSUMER):
                    bare.record(f"{action} keyless")
                    bare.verify(action)
                    bare.record(action)
            else:
                bare.record(action)
            queue.task_done()

    async def handle() -> None:
        bare.verify("first")
        workers.append(asyncio.create_task(work()))

    async def then() -> None:
        for action in ("late", "message 1", "later", "message 2"):
            queue.put_nowait(action)
        await queue.join()
        workers[0].cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    _call(handle, then)
    assert bare.named() == {
        "late": None, "message 1 keyless": None, "message 1": "message 1",
        "later": None, "message 2 keyless": None, "message 2": "message 2",
    }  # fmt: skip
    assert recorder.writes() == {"attributed": 2, "ambiguous": 0, "none": 2, "failed": 2}


def test_pool_started_in_a_request() -> None:
    """A pool whose threads keep the context of an ended request names no key."""
    pools: list[ThreadPoolExecutor] = []
    contexts: list[contextvars.Context] = []

    async def handle() -> None:
        bare.verify("first")
        contexts.append(contextvars.copy_context())
        pools.append(ThreadPoolExecutor(1))
        pools[0].submit(contexts[0].run, bare.record, "during").result()

    async def then() -> None:
        pools[0].submit(contexts[0].run, bare.record, "after").result()
        pools[0].shutdown()

    _call(handle, then)
    assert bare.named() == {"during": "first", "after": None}


def test_request_made_in_the_context_of_an_ended_one() -> None:
    """A client that outlives its request makes new requests."""
    inner = Starlette(routes=[Mount("/m", bare.app)])
    contexts: list[contextvars.Context] = []

    async def handle() -> None:
        bare.verify("first")
        contexts.append(contextvars.copy_context())

    async def then() -> None:
        for path, credential in (("/m/a", ""), ("/m/b", "k2")):
            call = inner(bare.scope(path, credential), bare.receive, bare.ignore)
            await contexts[0].run(asyncio.ensure_future, call)

    _call(handle, then)
    assert set(bare.named().values()) == {None, "k2"}


def test_authentication_after_the_end(recorder: Recorder) -> None:
    """A key that is found after the end is counted and belongs to no request."""
    contexts: list[contextvars.Context] = []

    async def handle() -> None:
        contexts.append(contextvars.copy_context())

    _call(handle, _nothing)
    contexts[0].run(bare.verify, "late")
    contexts[0].run(bare.record, "late")
    assert bare.named() == {"late": None}
    assert recorder.count("keyaudit.authentications") == 1
    assert recorder.writes()["none"] == 1


def test_an_unreadable_key_still_counts_after_the_end(recorder: Recorder) -> None:
    """The write counts as failed, because there was a key although it has no name."""
    recorder.uninstrument()
    recorder.instrument(auth_targets=["support.services.bare:verify?id=missing"], audit_targets=bare.AUDIT_TARGETS)
    contexts: list[contextvars.Context] = []

    async def handle() -> None:
        bare.verify("k1")
        contexts.append(contextvars.copy_context())

    _call(handle, _nothing)
    contexts[0].run(bare.record, "late")
    assert recorder.writes()["failed"] == 1


def test_an_ended_request_keeps_nothing_alive(recorder: Recorder) -> None:
    """A context that outlives its request holds neither scope, span nor key of it."""
    contexts: list[contextvars.Context] = []
    states: list[Any] = []

    async def handle() -> None:
        bare.verify("k1")
        contexts.append(contextvars.copy_context())
        states.append(contexts[0][request_state.CALL._variable])

    _call(handle, _nothing)
    (state,) = states
    assert (state.scope, state.server_span, state.attribution.key, state.used_key) == (None, None, None, None)
    assert repr(state) == "<RequestState ended>"


def test_states_are_freed() -> None:
    """Nothing keeps the state of a request after its last context is gone."""
    states: list[weakref.ref[Any]] = []

    async def handle() -> None:
        bare.verify("k1")
        bare.record("a")
        states.append(weakref.ref(contextvars.copy_context()[request_state.CALL._variable]))

    _call(handle, _nothing)
    gc.collect()
    assert states[0]() is None


def test_abandoned_coroutine_is_cleaned_up_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine that is closed in another context logs nothing and leaves nothing."""
    app = Starlette(routes=[Mount("/m", _stuck)])
    call: Any = app(bare.scope("/m/"), bare.receive, bare.ignore)
    contextvars.copy_context().run(call.send, None)
    with use_key(ApiKey("other")):
        call.close()
    assert request_state.CALL.get() is None
    assert caplog.records == []


async def _stuck(scope: Any, receive: Any, send: Any) -> None:
    bare.verify("k1")
    await asyncio.sleep(0)
