"""The preset "threads": a thread that a request starts names its key, and a worker of all requests names none."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from queue import Queue
from threading import Event, Thread, Timer
from typing import Any

import pytest
from opentelemetry import trace

from otel_keyaudit import current_key
from otel_keyaudit.testing import Recorder
from support.services import bare


@pytest.fixture(autouse=True)
def _instrumented(lenient_recorder: Recorder) -> None:
    bare.instrument(lenient_recorder, presets="executors,threads")


class Recording(Thread):
    """A thread with a method of its own in place of a function."""

    def run(self) -> None:
        """Write a row."""
        bare.record("thread")


def _timer() -> Thread:
    return Timer(0, bare.record, ["thread"])


@pytest.mark.parametrize(
    "make", [lambda: Thread(target=bare.record, args=("thread",)), Recording, _timer], ids=["target", "class", "timer"]
)
def test_a_thread_names_the_key_of_the_request_that_started_it(make: Any, lenient_recorder: Recorder) -> None:
    """The row has the key and the trace of the request."""
    with lenient_recorder.request() as server_span:
        bare.verify("k1")
        thread = make()
        thread.start()
        thread.join()

    assert bare.named() == {"thread": "k1"}
    trace_id = trace.format_trace_id(server_span.get_span_context().trace_id)
    assert bare.rows[0]["request_api_key"]["trace_id"] == trace_id


def test_a_thread_that_outlives_its_request(lenient_recorder: Recorder) -> None:
    """The thread, and a thread that it starts itself, still name the key after the request."""
    ended = Event()

    def work() -> None:
        ended.wait(30)
        bare.record("late")
        inner = Thread(target=bare.record, args=("inner",))
        inner.start()
        inner.join()

    with lenient_recorder.request():
        bare.verify("k1")
        thread = Thread(target=work)
        thread.start()
    ended.set()
    thread.join()

    assert bare.named() == {"late": "k1", "inner": "k1"}


def test_a_thread_that_no_request_or_one_without_a_key_started(lenient_recorder: Recorder) -> None:
    """Such a thread names no key, nor does one that failed to start in a request and was started later."""
    threads = [Thread(target=bare.record, args=(action,)) for action in ("keyless", "outside", "again")]
    with lenient_recorder.request():
        threads[0].start()
    threads[1].start()
    with lenient_recorder.request(), pytest.MonkeyPatch.context() as patch:
        bare.verify("k1")
        patch.setattr(threading, "_start_joinable_thread", _no_thread, raising=False)
        patch.setattr(threading, "_start_new_thread", _no_thread, raising=False)
        with pytest.raises(RuntimeError, match="no thread"):
            threads[2].start()
    threads[2].start()
    for thread in threads:
        thread.join()

    assert bare.named() == {"keyless": None, "outside": None, "again": None}


def _no_thread(*_: Any, **__: Any) -> None:
    message = "no thread can be started"
    raise RuntimeError(message)


def test_a_worker_that_the_first_request_starts(lenient_recorder: Recorder) -> None:
    """A worker thread takes items of any request from its queue, so it names no key from the first job on."""
    jobs: Queue[str | None] = Queue()

    def work() -> None:
        bare.record("before any job")
        while action := jobs.get():
            bare.record(action)

    with lenient_recorder.request():
        bare.verify("first")
        worker = Thread(target=work)
        worker.start()
        jobs.put("one")
    with lenient_recorder.request():
        bare.verify("second")
        jobs.put("two")
    jobs.put(None)
    worker.join()

    assert bare.named() == {"before any job": "first", "one": None, "two": None}


def test_pools_that_the_first_request_starts(lenient_recorder: Recorder) -> None:
    """Threads of a pool serve all requests; an executor's job has only the key that came with it."""
    with lenient_recorder.request():
        bare.verify("first")
        executor, pool = ThreadPoolExecutor(2), ThreadPool(1)
        executor.submit(bare.record, "one").result()
        pool.apply(bare.record, ["uncarried"])
    assert executor.submit(current_key).result() is None
    assert pool.apply(current_key) is None
    with lenient_recorder.request():
        bare.verify("second")
        executor.submit(bare.record, "two").result()
    executor.shutdown()
    pool.close()
    pool.join()

    assert bare.named() == {"one": "first", "uncarried": None, "two": "second"}


def test_queue_in_a_job_of_a_pool_keeps_its_key(lenient_recorder: Recorder) -> None:
    """The key of the job still ends with the job."""
    results: Queue[str] = Queue()

    def work() -> None:
        results.get(timeout=30)
        bare.record("job")

    with lenient_recorder.request(), ThreadPoolExecutor(1) as pool:
        bare.verify("k1")
        job = pool.submit(work)
        results.put("")
        job.result(30)

    assert bare.named() == {"job": "k1"}


def test_a_thread_that_raises(lenient_recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception reaches the same hook as before."""
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    with lenient_recorder.request():
        bare.verify("k1")
        thread = Thread(target=_no_thread)
        thread.start()
        thread.join()

    assert [(one.exc_type, one.thread) for one in raised] == [(RuntimeError, thread)]


def test_uninstrument_ends_the_inheritance(lenient_recorder: Recorder) -> None:
    """After ``uninstrument()`` a thread that a request starts names no key."""
    functions = Thread.start, Thread._bootstrap_inner, Queue.get  # type: ignore[attr-defined]
    observed = [function.__code__ for function in functions]
    lenient_recorder.uninstrument()

    assert all(function.__code__ is not code for function, code in zip(functions, observed, strict=True))
    with lenient_recorder.request():
        thread = Thread(target=bare.record, args=("off",))
        thread.start()
        thread.join()
    assert bare.named() == {"off": None}


@pytest.mark.parametrize("comes_first", [True, False])
def test_with_the_instrumentation_of_threads(comes_first: bool, lenient_recorder: Recorder) -> None:
    """OpenTelemetry's instrumentation makes the request's span current in the thread; row and trace are the same."""
    threads = pytest.importorskip("opentelemetry.instrumentation.threading", reason="not for the newest SDK")
    if comes_first:
        lenient_recorder.uninstrument()
    threads.ThreadingInstrumentor().instrument()
    try:
        if comes_first:
            options = {"auth_targets": bare.AUTH_TARGETS, "audit_targets": bare.AUDIT_TARGETS}
            lenient_recorder.instrument(presets="threads", **options)
        with lenient_recorder.request() as server_span, ThreadPoolExecutor(1) as pool:
            bare.verify("k1")
            pool.submit(bare.record, "job").result()
            thread = Thread(target=bare.record, args=("thread",))
            thread.start()
            thread.join()
            pool.submit(pool.submit, bare.record, "inner").result().result()
        keyless = ThreadPoolExecutor(1)
        keyless.submit(bare.record, "outside").result()
        keyless.shutdown()
    finally:
        threads.ThreadingInstrumentor().uninstrument()

    assert bare.named() == {"job": "k1", "thread": "k1", "inner": "k1", "outside": None}
    named = [row["request_api_key"]["trace_id"] for row in bare.rows if "request_api_key" in row]
    assert set(named) == {trace.format_trace_id(server_span.get_span_context().trace_id)}


def test_threads_that_manage_a_pool_are_no_shared_workers(lenient_recorder: Recorder) -> None:
    """A request may use a pool of ``multiprocessing``, whose threads pass items on, and still has its key."""
    with lenient_recorder.request():
        bare.verify("k_1")
        with ThreadPool(1) as pool:
            pool.apply(bare.record, ("pooled",))
        asyncio.run(asyncio.to_thread(bare.record, "later"))
    assert bare.named() == {"pooled": None, "later": "k_1"}
