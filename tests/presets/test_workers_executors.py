"""The preset "executors": a job that is given to a pool names the key that gave it, and no other job does."""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from threading import Event
from typing import Any

import httpx
import pytest
from opentelemetry import trace

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.presets import _registry as presets
from otel_keyaudit.request.context import used_key
from otel_keyaudit.request.workers.message import encode_key
from otel_keyaudit.request.workers.propagation import HandoverPoint, KeyHandover, wrap
from otel_keyaudit.testing import Recorder
from support.clients.testclient import TestClient
from support.environment.modules import Modules
from support.services import bare

NOTE: ContextVar[str] = ContextVar("note", default="")


@pytest.fixture(autouse=True)
def _instrumented(lenient_recorder: Recorder) -> None:
    bare.instrument(lenient_recorder, presets="executors")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A pool of one thread, which is started by its first job."""
    with ThreadPoolExecutor(1) as started:
        yield started


def _by_submit(pool: ThreadPoolExecutor, action: str) -> None:
    pool.submit(bare.record, action=action).result()


def _by_map(pool: ThreadPoolExecutor, action: str) -> None:
    list(pool.map(bare.record, [action]))


def _by_run_in_executor(pool: ThreadPoolExecutor, action: str) -> None:
    async def run() -> None:
        await asyncio.get_running_loop().run_in_executor(pool, bare.record, action)

    asyncio.run(run())


def _by_to_thread(pool: ThreadPoolExecutor, action: str) -> None:
    asyncio.run(asyncio.to_thread(bare.record, action=action))


WAYS = [_by_submit, _by_map, _by_run_in_executor, _by_to_thread]


@pytest.mark.parametrize("hand_over", WAYS)
def test_a_job_names_the_key_that_gave_it(
    hand_over: Callable[[ThreadPoolExecutor, str], None], pool: ThreadPoolExecutor, lenient_recorder: Recorder
) -> None:
    """Each way of submitting gives the row the request's key and trace, and the next job its own or none."""
    with lenient_recorder.request() as server_span:
        bare.verify("k1")
        hand_over(pool, "first")
    with lenient_recorder.request():
        hand_over(pool, "keyless")
    hand_over(pool, "outside")
    with lenient_recorder.request():
        bare.verify("k2")
        hand_over(pool, "second")

    assert bare.named() == {"first": "k1", "keyless": None, "outside": None, "second": "k2"}
    trace_id = trace.format_trace_id(server_span.get_span_context().trace_id)
    assert bare.rows[0]["request_api_key"]["trace_id"] == trace_id
    assert lenient_recorder.writes() == {"attributed": 2, "ambiguous": 0, "none": 2, "failed": 0}
    assert lenient_recorder.errors() == {}


def _by_wsgi_client(credential: str) -> None:
    with httpx.Client(transport=httpx.WSGITransport(bare.wsgi_app), base_url="http://test") as client:
        client.get(f"/{credential}", headers={"x-api-key": credential})


def _by_asgi_client(credential: str) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(bare.app), base_url="http://test") as client:
            await client.get(f"/{credential}", headers={"x-api-key": credential})

    asyncio.run(run())


def _by_test_client(credential: str) -> None:
    TestClient(bare.app).get(f"/{credential}", headers={"x-api-key": credential})


@pytest.mark.parametrize("call", [_by_wsgi_client, _by_asgi_client, _by_test_client])
def test_a_request_inside_a_job_names_its_own_key(
    call: Callable[[str], None], pool: ThreadPoolExecutor, lenient_recorder: Recorder
) -> None:
    """The key of the job does not belong to requests of an in-process client, and the job keeps it after them."""

    def job() -> None:
        for credential in ("ka", "kb"):
            call(credential)
            bare.record(f"job after {credential}")

    with lenient_recorder.request():
        bare.verify("outer")
        pool.submit(job).result()
    named = bare.named()
    assert (named["/ka"], named["/kb"]) == ("ka", "kb")
    assert (named["job after ka"], named["job after kb"]) == ("outer", "outer")


@pytest.mark.parametrize("is_traced", [True, False])
def test_a_job_that_outlives_its_request(is_traced: bool, pool: ThreadPoolExecutor, lenient_recorder: Recorder) -> None:
    """The job still names the key in the trace of the request, or in its own trace if there was none."""
    ended = Event()

    def work() -> None:
        ended.wait(30)
        bare.record("late")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("k1")
        jobs.append(pool.submit(work))
        await bare.answer(send)

    async def call() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")

    jobs: list[Future[None]] = []
    if is_traced:
        with lenient_recorder.request():
            asyncio.run(call())
    else:
        asyncio.run(call())
    ended.set()
    jobs[0].result(30)

    assert bare.named() == {"late": "k1"}
    (audit_span,) = lenient_recorder.audit_spans()
    parents = [span.context.span_id for span in lenient_recorder.spans if span is not audit_span and span.context]
    assert [audit_span.parent.span_id] == parents if audit_span.parent else not is_traced


def test_to_thread_in_a_task_that_outlives_its_request(lenient_recorder: Recorder) -> None:
    """The write comes after the request of the copied context has ended, and still names the key."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        bare.verify("k1")
        tasks.append(asyncio.create_task(asyncio.to_thread(work)))
        await asyncio.sleep(0)
        await bare.answer(send)

    def work() -> None:
        ended.wait(30)
        bare.record("late")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")
        ended.set()
        await tasks[0]

    ended, tasks = Event(), list[asyncio.Task[None]]()
    asyncio.run(run())

    assert bare.named() == {"late": "k1"}


def test_without_the_preset_jobs_have_no_key(pool: ThreadPoolExecutor, lenient_recorder: Recorder) -> None:
    """A thread of a pool is outside of every request, and work that outlives its request counts as failed."""
    lenient_recorder.uninstrument()
    lenient_recorder.instrument(auth_targets=bare.AUTH_TARGETS, audit_targets=bare.AUDIT_TARGETS)

    with lenient_recorder.request():
        bare.verify("k1")
        _by_submit(pool, "submitted")
        _by_to_thread(pool, "during")

    assert bare.named() == {"submitted": None, "during": "k1"}


@pytest.mark.parametrize("credentials", [["k1", "k2"], [""]])
def test_several_keys_or_none_are_not_handed_over(
    credentials: list[str], pool: ThreadPoolExecutor, lenient_recorder: Recorder
) -> None:
    """A job receives no key if the request is ambiguous or anonymous."""
    with lenient_recorder.request():
        for credential in credentials:
            bare.verify(credential)
        _by_submit(pool, "job")

    assert bare.named() == {"job": None}


def test_submitting_a_job_does_not_show_a_denied_key(lenient_recorder: Recorder) -> None:
    """Submitting a job in the middle of an authentication does not accept the key."""
    lenient_recorder.uninstrument()
    lenient_recorder.instrument(
        auth_targets=[*bare.AUTH_TARGETS, "presets.test_workers_executors:check"],
        audit_targets=bare.AUDIT_TARGETS,
        presets="executors",
    )
    with lenient_recorder.request(), pytest.raises(PermissionError):
        check("k1")

    shown = lenient_recorder.server_span()
    assert (shown["keyaudit.denied.key.id"], shown["keyaudit.key.id"]) == ("k1", "")


def check(credential: str) -> None:
    """Find a key, compare it in a thread, refuse it."""
    bare.verify(credential)
    asyncio.run(asyncio.to_thread(bare.record, "compared"))
    raise PermissionError


def test_results_and_exceptions_of_a_job_are_unchanged(pool: ThreadPoolExecutor, lenient_recorder: Recorder) -> None:
    """Arguments, results, exceptions, the context and wrong arguments of the pool are as before."""

    def fail() -> None:
        NOTE.set("left in the thread")
        raise LookupError("its own")

    with lenient_recorder.request():
        bare.verify("k1")
        assert pool.submit(int, "11", base=2).result() == 3
        with pytest.raises(LookupError, match="its own"):
            pool.submit(fail).result()
        with pytest.raises(TypeError, match="'int' object is not callable"):
            pool.submit(5).result()  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"submit\(\) missing 1 required positional argument"):
            pool.submit()  # type: ignore[call-arg]
        assert pool.submit(NOTE.get).result() == "left in the thread"


def test_uninstrument_restores_the_functions(lenient_recorder: Recorder, pool: ThreadPoolExecutor) -> None:
    """``uninstrument()`` restores the code of the functions, and waiting jobs still run."""
    go_on = Event()
    with lenient_recorder.request():
        bare.verify("k1")
        pool.submit(go_on.wait, 30)
        waiting = pool.submit(bare.record, "waiting")
    observed = ThreadPoolExecutor.submit.__code__, asyncio.to_thread.__code__
    lenient_recorder.uninstrument()
    go_on.set()
    waiting.result(30)

    codes = ThreadPoolExecutor.submit.__code__, asyncio.to_thread.__code__
    assert not set(codes) & set(observed)
    assert [code.co_filename.rpartition("/")[2] for code in codes] == ["thread.py", "threads.py"]
    assert bare.named() == {"waiting": None}


def test_a_failure_of_ours_is_counted_and_the_job_is_done(
    pool: ThreadPoolExecutor,
    lenient_recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The job runs without a key, and the failure is logged once."""
    monkeypatch.setattr("otel_keyaudit.request.workers.propagation.used_for_job", lambda _: 1 / 0)
    with lenient_recorder.request():
        bare.verify("k1")
        _by_submit(pool, "one")
        _by_submit(pool, "two")

    assert bare.named() == {"one": None, "two": None}
    assert lenient_recorder.errors() == {("authentication", "ZeroDivisionError"): 2}
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["keyaudit: a job: authentication failed with ZeroDivisionError"]


@pytest.mark.parametrize("name", ["hand_over", "missing"])
def test_a_library_that_is_imported_later(
    name: str, lenient_recorder: Recorder, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that is imported later is instrumented; a release without the function is counted and still imports."""
    written = modules.write("def hand_over(work): return work()")
    lenient_recorder.uninstrument()
    handover_point = HandoverPoint(
        written, lambda module, handover: wrap(module, name, partial(_handed_over, handover))
    )
    monkeypatch.setattr(presets, "handover_points", lambda chosen: (handover_point,))
    lenient_recorder.instrument(auth_targets=bare.AUTH_TARGETS, audit_targets=bare.AUDIT_TARGETS)

    with lenient_recorder.request():
        bare.verify("k1")
        job = importlib.import_module(written).hand_over(lambda: current_key)
    assert job() == (ApiKey("k1", scopes=["read"]) if name == "hand_over" else None)
    assert sum(lenient_recorder.errors().values()) == (0 if name == "hand_over" else 1)


def _handed_over(handover: KeyHandover, original: Any, args: Any, kwargs: Any) -> Any:
    return handover.with_key(original(*args, **kwargs))


def test_hundreds_of_requests_and_one_pool(lenient_recorder: Recorder) -> None:
    """Every row names the key of the request that submitted its job, however requests and threads mix."""
    choose = random.Random(5)
    credentials = {f"r{number}": f"k{number}" if choose.random() < 0.8 else "" for number in range(500)}
    jobs: list[Future[None]] = []

    async def request(name: str, credential: str) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            bare.verify(credential)
            for part in "ab":
                await asyncio.sleep(0)
                jobs.append(shared.submit(bare.record, name + part))
            await asyncio.get_running_loop().run_in_executor(shared, bare.record, f"{name}c")
            await asyncio.to_thread(bare.record, f"{name}d")
            await bare.answer(send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/")

    async def run() -> None:
        await asyncio.gather(*[request(name, credential) for name, credential in credentials.items()])

    with ThreadPoolExecutor(8) as shared:
        asyncio.run(run())
        for job in jobs:
            job.result(30)
        left = [shared.submit(trace.get_current_span).result() for _ in range(8)]

    assert bare.named() == {name + part: key or None for name, key in credentials.items() for part in "abcd"}
    assert set(left) == {trace.INVALID_SPAN}
    assert lenient_recorder.writes()["failed"] == 0


def test_key_that_a_job_sets_by_hand_and_does_not_leave(pool: ThreadPoolExecutor, lenient_recorder: Recorder) -> None:
    """The key ends with the job, so the next job of the thread does not have it."""

    def leaves_behind() -> None:
        use_key(ApiKey("left")).__enter__()

    pool.submit(leaves_behind).result()
    assert pool.submit(current_key).result() is None
    with lenient_recorder.request():
        bare.verify("k1")
        pool.submit(leaves_behind).result()
    assert pool.submit(current_key).result() is None


def test_delegation_goes_with_the_job(pool: ThreadPoolExecutor) -> None:
    """The job knows for whom and through whom its key acts."""
    with use_key(ApiKey("k1"), on_behalf_of="user:7", actors=["gateway"]):
        used = pool.submit(used_key).result()
    assert used is not None
    assert encode_key(used) == '{"id":"k1","on_behalf_of":"user:7","actors":["gateway"]}'


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
def test_jobs_in_other_interpreters_are_passed_on_as_they_are(lenient_recorder: Recorder) -> None:
    """Their functions are pickled, so they cannot carry a key."""
    futures: Any = importlib.import_module("concurrent.futures")
    with lenient_recorder.request(), futures.InterpreterPoolExecutor(1) as pool:
        bare.verify("k_1")
        assert pool.submit(abs, -1).result() == 1
        assert list(pool.map(abs, [-2])) == [2]
    assert lenient_recorder.errors() == {}
