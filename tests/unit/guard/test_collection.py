"""Code that the garbage collector runs is recognized and does not change the context that it interrupted."""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from _thread import _count
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.guard import collection
from otel_keyaudit.guard.collection import (
    Variable,
    _VariableBefore312,
    current_collection,
    isolated,
    outside_collection,
)
from otel_keyaudit.testing import Recorder
from support.applications import abandoned
from support.environment.concurrency import in_a_collection
from support.environment.eventually import eventually
from support.environment.log_events import recording_provider
from support.environment.modules import LoadModule
from support.environment.undisturbed import undisturbed
from support.environment.unseen import unseen_request

READ_IN_COLLECTIONS = """
import gc
from contextvars import ContextVar
from otel_keyaudit.guard.collection import Variable, watch_collections

variable = Variable("variable")
for number in range(60):
    ContextVar(f"variable {number}").set(number)
gc.callbacks.append(lambda *_: variable.get())
watch_collections()
gc.set_threshold(1)
for _ in range(1_000):
    variable.reset(variable.set([]))
    assert variable.get() is None
"""
"""Reads a variable at any moment of its change, and keeps other variables as many applications do."""

CALLS = len(abandoned.THRESHOLDS) * abandoned.CALLS

APP = """
from opentelemetry import trace

ROWS = []

def verify(key):
    return key

def record(action, additional_fields=None):
    ROWS.append((additional_fields, trace.get_current_span()))

class Finalized:
    def __init__(self):
        self.cycle = self

    def __del__(self):
        record("create", {})
"""


class Collecting(list[str]):
    """An attribute's value that runs the collector while a span takes it over."""

    def __iter__(self) -> Iterator[str]:
        gc.collect()
        return super().__iter__()


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Any:
    """An instrumented application with an object that writes a row when it is collected."""
    app = load_module(APP)
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])
    return app


@pytest.fixture
def _watched() -> Iterator[None]:
    """The collector reports its collections."""
    with undisturbed():
        collection.watch_collections()
        yield
        collection.unwatch_collections()


@pytest.mark.parametrize("name", ["generator", "coroutine", "authentication", "finalizer", "callback"])
def test_a_process_survives_abandoned_calls(name: str) -> None:
    """The collector runs code of the application at any moment, which crashed most of these programs before 3.12."""
    tests = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "support.applications.abandoned", name],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    writes = CALLS if name in ("generator", "coroutine", "finalizer") else 0
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{writes} {writes} {{}}\n", "")


def test_a_process_survives_a_read_in_a_collection_that_interrupts_a_reset() -> None:
    """A variable that is read then would keep a deleted value before Python 3.12."""
    ended = subprocess.run([sys.executable, "-c", READ_IN_COLLECTIONS], check=False, capture_output=True, timeout=300)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_callbacks_of_the_collector_are_c_functions(recorder: Recorder, load_module: LoadModule) -> None:
    """A Python callback would lose the exception of a signal handler, and none is left after ``uninstrument()``."""
    before = list(gc.callbacks)
    recorder.instrument(auth_targets=[f"{load_module(APP).__name__}:verify"])
    added = [callback for callback in gc.callbacks if callback not in before]
    assert added != []
    assert all(type(callback.func) is type(setattr) for callback in added)  # type: ignore[attr-defined]
    recorder.uninstrument()
    assert gc.callbacks == before


@pytest.mark.usefixtures("_watched")
def test_a_collection_is_recognized_by_the_code_that_it_runs() -> None:
    """The collection is current only while it runs code."""
    seen: list[bool] = [current_collection() is not None]
    in_a_collection(lambda: seen.append(current_collection() is not None))
    seen.append(current_collection() is not None)
    assert seen == [False, True, False]


@pytest.mark.usefixtures("_watched")
@pytest.mark.parametrize("position", [0, 2, 99])
def test_callbacks_of_the_application_belong_to_the_collection(position: int) -> None:
    """They run while the collector interrupts other code, also those that were registered after the library's."""
    seen: list[object] = []

    def callback(phase: str, _: object) -> None:
        seen.append((phase, current_collection() is not None))

    gc.callbacks.insert(position, callback)
    try:
        collection.watch_collections()
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert seen == [("start", True), ("stop", True)]
    assert current_collection() is None


def test_callbacks_are_enclosed_at_the_first_request(recorder: Recorder, app: Any) -> None:
    """The application may register callbacks after ``instrument()``."""
    seen: list[object] = []

    def callback(_: str, __: object) -> None:
        seen.append(current_collection() is not None)

    gc.callbacks.append(callback)
    try:
        with recorder.request():
            app.verify({"id": "k_1"})
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert seen == [True, True]


@pytest.mark.usefixtures("_watched")
@pytest.mark.parametrize("generation", [0, 1, 2])
def test_each_generation_is_recognized(generation: int) -> None:
    """Each collection has its own information."""
    seen: list[Any] = []

    class Finalized:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            seen.append(current_collection())

    for _ in range(2):
        Finalized()
        gc.collect(generation)
    gc.collect()
    assert len(seen) == 2
    assert None not in seen
    assert seen[0] is not seen[1]


@pytest.mark.usefixtures("_watched")
def test_other_threads_go_on_beside_a_collection() -> None:
    """Other threads set their variables as usual."""
    variable: Any = _VariableBefore312("variable")
    seen: list[object] = []

    def elsewhere() -> None:
        variable.set("elsewhere")
        seen.extend([current_collection(), variable.get(), variable._variable.get()])

    def during() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        seen.append(current_collection() is not None)

    in_a_collection(during)
    assert seen == [None, "elsewhere", "elsewhere", True]


@pytest.mark.usefixtures("_watched")
def test_a_value_set_during_a_collection_ends_with_it() -> None:
    """The value does not change the context, which the collection may have interrupted before Python 3.12."""
    variable: Any = _VariableBefore312("variable")
    seen: list[object] = []

    def work() -> None:
        seen.append(variable.get())
        outer = variable.set("outer")
        inner = variable.set("inner")
        seen.extend([variable.get(), variable._variable.get()])
        variable.reset(inner)
        seen.append(variable.get())
        variable.reset(outer)
        seen.append(variable.get())
        variable.reset(before)
        variable.set("left behind")
        seen.append(variable.get())

    before = variable.set("before")
    in_a_collection(work)
    assert seen == ["before", "inner", "before", "outer", "before", "left behind"]
    assert variable.get() == "before"
    in_a_collection(lambda: seen.append(variable.get()))
    assert seen[-1] == "before"
    variable.reset(before)
    assert variable.get() is None


@pytest.mark.usefixtures("_watched")
def test_isolated_work_changes_a_copy_of_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Span processors set context variables in a copy during a collection, and as usual otherwise."""
    monkeypatch.setattr(collection, "_CHANGES_IN_COLLECTION", False)
    variable: ContextVar[str] = ContextVar("variable", default="before")
    seen: list[object] = []

    def work(value: str, *, suffix: str) -> str:
        variable.set(value + suffix)
        return variable.get()

    in_a_collection(lambda: seen.extend([isolated(work)("inside", suffix="."), variable.get()]))
    assert [*seen, variable.get()] == ["inside.", "before", "before"]
    assert [isolated(work)("outside", suffix="."), variable.get()] == ["outside.", "outside."]


@pytest.mark.usefixtures("_watched")
def test_work_that_may_wait_runs_at_once_outside_of_a_collection() -> None:
    """During a collection it runs in another thread, in a copy of the context; both receive all arguments."""
    variable: ContextVar[str] = ContextVar("variable", default="elsewhere")
    seen: list[object] = []

    def work(value: str, *, suffix: str) -> None:
        seen.append((value + suffix, variable.get(), threading.current_thread() is threading.main_thread()))

    variable.set("here")
    outside_collection(work, "outside", suffix=".")
    in_a_collection(lambda: outside_collection(work, "inside", suffix="."))
    assert eventually(lambda: len(seen) == 2)
    assert seen == [("outside.", "here", True), ("inside.", "here", False)]


@pytest.mark.usefixtures("_watched")
def test_failure_of_work_that_may_wait_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporters report their failures themselves."""
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    ended = threading.Event()

    def work() -> None:
        ended.set()
        raise OSError

    before = _count()
    in_a_collection(lambda: outside_collection(work))
    assert ended.wait(60)
    assert eventually(lambda: _count() <= before)
    assert reported == []


@pytest.mark.parametrize("kind", [Variable, _VariableBefore312])
def test_a_variable_is_restored_in_the_context_of_its_set_only(kind: Any) -> None:
    """An abandoned generator is cleaned up in another context, where the value stays."""
    variable = kind("variable")
    token = copy_context().run(variable.set, "elsewhere")
    variable.set("here")
    variable.reset(token)
    assert variable.get() == "here"
    variable.set(None)


def test_unwatched_during_a_collection_it_has_ended() -> None:
    """The end of an unwatched collection is not reported, so it counts as ended."""
    seen: list[bool] = []

    def work() -> None:
        seen.append(current_collection() is not None)
        collection.unwatch_collections()
        seen.append(current_collection() is not None)

    collection.watch_collections()
    in_a_collection(work)
    assert (seen, current_collection()) == ([True, False], None)
    collection.unwatch_collections()


def test_a_write_in_a_collection_has_its_key_its_row_and_its_span(recorder: Recorder, app: Any) -> None:
    """The audit span is a child of the server span, which stays the current one afterwards."""
    with recorder.request() as span:
        app.verify({"id": "k_1"})
        app.Finalized()
        gc.collect()
        assert current_collection() is None
    assert eventually(lambda: bool(recorder.audit_spans()))
    ((fields, current),), (written,) = app.ROWS, recorder.audit_spans()
    assert fields["request_api_key"]["id"] == "k_1"
    assert fields["request_api_key"]["span_id"] == format(written.context.span_id, "016x")
    assert written.parent == span.get_span_context()
    is_current = collection._CHANGES_IN_COLLECTION
    assert current.get_span_context() == (written.context if is_current else span.get_span_context())
    assert recorder.writes()["attributed"] == 1
    assert recorder.errors() == {}


def test_a_collection_that_interrupts_an_exporter_does_not_wait_for_its_lock(
    recorder: Recorder, load_module: LoadModule
) -> None:
    """The span of an abandoned write and its log event reach the exporters after the collection."""
    app = load_module(APP)
    spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    logger_provider, records = recording_provider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    recorder.instrument(
        audit_targets=[f"{app.__name__}:record"], events="audits", tracer_provider=provider,
        logger_provider=logger_provider,
    )  # fmt: skip

    def interrupted() -> None:
        with spans._lock, records._lock:
            app.Finalized()
            gc.collect()

    export = threading.Thread(target=interrupted, daemon=True)
    export.start()
    export.join(30)
    assert not export.is_alive()
    assert eventually(lambda: bool(spans.get_finished_spans() and records.get_finished_logs()))
    (record,) = records.get_finished_logs()
    assert record.log_record.span_id == spans.get_finished_spans()[0].context.span_id


class LockedProvider(LoggerProvider):
    """A logger provider that looks up its loggers under a lock, and that a collection interrupts there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.provider, self.records = recording_provider()

    def get_logger(self, *args: Any, **kwargs: Any) -> Any:
        """Return a logger."""
        with self.lock:
            gc.collect()
            return self.provider.get_logger(*args, **kwargs)


def test_a_collection_that_interrupts_the_provider_of_events_does_not_wait_for_its_lock(
    recorder: Recorder, load_module: LoadModule
) -> None:
    """The event of the finalizer's write is sent from another thread."""
    app, provider = load_module(APP), LockedProvider()
    recorder.instrument(audit_targets=[f"{app.__name__}:record"], events="audits", logger_provider=provider)

    def interrupted() -> None:
        app.Finalized()
        app.record("create", {})

    write = threading.Thread(target=interrupted, daemon=True)
    write.start()
    write.join(30)
    assert not write.is_alive()
    assert eventually(lambda: len(provider.records.get_finished_logs()) == 2)
    assert recorder.errors() == {}


def test_a_collection_that_interrupts_a_log_handler_does_not_wait_for_its_lock(recorder: Recorder, app: Any) -> None:
    """The line about a failure in a finalizer is logged by another thread."""
    lock, lines = threading.Lock(), []

    class Handler(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            with lock:
                lines.append(record.getMessage())
            return True

    def interrupted() -> None:
        with lock:
            in_a_collection(lambda: app.record("create", object()))

    handler = Handler()
    logging.getLogger("otel_keyaudit").addHandler(handler)
    try:
        with recorder.request():
            app.verify({"id": "k_1"})
            write = threading.Thread(target=copy_context().run, args=(interrupted,), daemon=True)
            write.start()
            write.join(30)
        assert not write.is_alive()
        assert eventually(lambda: any("cannot" in line or "nothing can be added" in line for line in lines))
    finally:
        logging.getLogger("otel_keyaudit").removeHandler(handler)


def test_a_key_set_by_hand_in_a_finalizer_wins(recorder: Recorder, app: Any) -> None:
    """The write names the key of the finalizer, and the interrupted request keeps its own."""

    def work() -> None:
        with use_key(ApiKey("k_2")):
            app.record("close", {})

    with recorder.request():
        app.verify({"id": "k_1"})
        in_a_collection(work)
        app.record("create", {})
    assert [fields["request_api_key"]["id"] for fields, _ in app.ROWS] == ["k_2", "k_1"]
    assert recorder.writes()["attributed"] == 2


def test_a_request_in_a_finalizer_is_one_of_its_own(recorder: Recorder, app: Any) -> None:
    """The request in the finalizer has its own key, and the interrupted request keeps its own."""

    def work() -> None:
        with unseen_request():
            app.verify({"id": "k_2"})
            app.record("close", {})

    with recorder.request():
        app.verify({"id": "k_1"})
        in_a_collection(work)
        app.record("create", {})
    assert [fields["request_api_key"]["id"] for fields, _ in app.ROWS] == ["k_2", "k_1"]


@pytest.mark.parametrize("moment", ["authentication", "write"])
def test_a_collection_that_interrupts_a_span_does_not_wait_for_its_lock(
    moment: str, recorder: Recorder, app: Any
) -> None:
    """The SDK holds the span's lock, so the attributes are set with the next change."""

    def finalize() -> None:
        if moment == "authentication":
            app.verify({"id": "k_1"})
        else:
            app.record("create", {})

    def request() -> None:
        class Finalized:
            def __init__(self) -> None:
                self.cycle = self

            def __del__(self) -> None:
                finalize()

        with recorder.request() as span:
            Finalized()
            span.set_attribute("numbers", Collecting("12"))
            app.verify({"id": "k_1"})
            app.record("create", {})

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert recorder.server_span()["keyaudit.key.id"] == "k_1"
    assert sum(recorder.writes().values()) == (1 if moment == "authentication" else 2)


@pytest.mark.usefixtures("_watched")
def test_a_signal_during_a_collection_is_not_lost() -> None:
    """Its exception arrives at the next instruction of the application, not in a callback of the collector."""

    class LimitError(Exception):
        pass

    def raise_limit(number: int, frame: object) -> None:
        raise LimitError

    before = signal.signal(signal.SIGALRM, raise_limit)
    heap = [[number] for number in range(200_000)]
    gc.collect()
    caught = 0
    try:
        for _ in range(20):
            with suppress(LimitError):
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                gc.collect()  # it takes longer than that
                time.sleep(0.1)
                caught -= 1
            caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (caught, len(heap)) == (20, 200_000)
