"""In a forked child an inherited request or ``use_key`` has ended, and the child begins its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import httpx
import pytest
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.testing import Recorder
from support.environment.unseen import unseen_request
from support.services import bare

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]
FORK: Any = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
SECONDS = 30
Named = dict[str, str | None]

_keyaudit: Recorder


@pytest.fixture(autouse=True)
def _instrumented(recorder: Recorder) -> None:
    global _keyaudit  # noqa: PLW0603 - children inherit it
    _keyaudit = recorder
    bare.instrument(recorder)


def job(action: str) -> tuple[str | None, Named, float]:
    """Write a row, then one in a request of the child's own; return the current key, the rows and the failures."""
    bare.rows.clear()
    failed = _keyaudit.writes()["failed"]
    key = current_key()
    bare.record(action)
    with _keyaudit.request():
        bare.verify("child")
        bare.record("own")
    with use_key(ApiKey("hand")):
        bare.record("hand")
    bare.record("end")
    named = bare.named()
    return None if key is None else key.id, named, _keyaudit.writes()["failed"] - failed


RIGHT = (None, {"job": None, "own": "child", "hand": "hand", "end": None}, 2)


def _by_os_fork() -> Any:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        try:
            os.write(writing, pickle.dumps(job("job")))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        found = file.read()
    os.waitpid(pid, 0)
    return pickle.loads(found)  # noqa: S301 - from our own child


def _put_job(results: Any) -> None:
    results.put(job("job"))


def _by_process() -> Any:
    results = FORK.SimpleQueue()
    process = FORK.Process(target=_put_job, args=(results,))
    process.start()
    found = results.get()
    process.join(SECONDS)
    return found


def _by_pool() -> Any:
    with FORK.Pool(1) as pool:
        return pool.apply_async(job, ("job",)).get(SECONDS)


def _by_executor() -> Any:
    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        return pool.submit(job, "job").result(SECONDS)


FORKS = pytest.mark.parametrize("run", [_by_os_fork, _by_process, _by_pool, _by_executor])


@FORKS
def test_call_has_ended_in_the_child(run: Callable[[], Any]) -> None:
    """A request that began with a call has ended in the child."""
    with unseen_request():
        bare.verify("parent")
        assert run() == RIGHT
        bare.record("afterwards")
    assert bare.named() == {"afterwards": "parent"}


@FORKS
@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_request_by_span_has_ended_in_the_child(kind: SpanKind, run: Callable[[], Any], recorder: Recorder) -> None:
    """A request that began with a span has ended in the child, in the span and in inner ones."""
    with recorder.tracer.start_as_current_span("request", kind=kind):
        bare.verify("parent")
        assert run() == RIGHT
        with recorder.tracer.start_as_current_span("inner"):
            assert run() == RIGHT
        bare.record("afterwards")
    assert bare.named() == {"afterwards": "parent"}


@FORKS
def test_use_key_has_ended_in_the_child(run: Callable[[], Any]) -> None:
    """A key that the parent set by hand has ended in the child, inside and outside of a request."""
    with use_key(ApiKey("parent")):
        assert run() == RIGHT
        with unseen_request():
            assert run() == RIGHT
        bare.record("afterwards")
    assert bare.named() == {"afterwards": "parent"}


def test_pool_that_the_first_request_forks_serves_all() -> None:
    """KeyHandover of later requests do not name the request that started the pool."""
    pools: list[ProcessPoolExecutor] = []
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify(dict(scope["headers"])[b"x-api-key"].decode())
        if not pools:
            pools.append(ProcessPoolExecutor(1, mp_context=FORK))
        found.append(await asyncio.get_running_loop().run_in_executor(pools[0], job, "job"))
        bare.record("request")
        await bare.answer(send)

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for key in ("alice", "bob", "carol"):
                await client.get("/", headers={"x-api-key": key})

    asyncio.run(run())
    pools[0].shutdown()
    assert found == [RIGHT] * 3
    assert [row["request_api_key"]["id"] for row in bare.rows] == ["alice", "bob", "carol"]


def test_child_that_goes_on_with_the_request(recorder: Recorder) -> None:
    """A child that leaves its parent's blocks waits for no lock and names no key."""
    reading, writing = os.pipe()
    with unseen_request() as request:
        bare.verify("parent")
        with request._lock:
            pid = os.fork()
            if pid == 0:
                signal.alarm(SECONDS)
        with use_key(ApiKey("hand")):
            bare.record("inside")
    if pid == 0:
        os.write(writing, pickle.dumps(bare.named()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert pickle.loads(file.read()) == {"inside": "hand"}  # noqa: S301 - from our own child
    os.waitpid(pid, 0)
    assert bare.named() == {"inside": "hand"}


def test_lock_that_another_thread_holds_is_not_waited_for() -> None:
    """The child never takes the lock of an inherited request, whose owner is gone."""
    import threading  # noqa: PLC0415 - for this test

    held, done = threading.Event(), threading.Event()
    with unseen_request() as request:
        bare.verify("parent")

        def hold() -> None:
            with request._lock:
                held.set()
                done.wait(SECONDS)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(SECONDS)
        pid = os.fork()
        if pid == 0:
            signal.alarm(SECONDS)
            bare.verify("child")
            bare.record("child")
        else:
            done.set()
            holder.join()
    if pid == 0:
        os._exit(0 if bare.named() == {"child": None} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
