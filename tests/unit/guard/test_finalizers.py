"""What a finalizer must not touch is left alone, for it may have interrupted anything; what is to be done is done."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.guard import collection as finalizers
from otel_keyaudit.guard.collection import Variable, collection
from otel_keyaudit.guard.guard import Guard
from support import abandoned
from support.keyaudit import KeyAudit, LoadModule
from support.unseen import unseen_request

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
    """An attribute's value that has garbage collected while a span takes it over."""

    def __iter__(self) -> Iterator[str]:
        gc.collect()
        return super().__iter__()


@pytest.fixture
def app(keyaudit: KeyAudit, load_module: LoadModule) -> Any:
    """An application with an object that writes a row when it goes, instrumented."""
    app = load_module(APP)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])
    return app


@pytest.mark.parametrize("name", ["generator", "coroutine", "authentication", "finalizer"])
def test_a_process_survives_calls_that_are_abandoned(name: str) -> None:
    """They are cleaned up in the middle of anything. Before Python 3.12 most of these were a segmentation fault."""
    command = [sys.executable, "-X", "faulthandler", "-m", "support.abandoned", name]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environ = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=300)
    writes = 0 if name == "authentication" else CALLS
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{writes} {writes} {{}}\n", "")


def in_a_collection(work: Callable[[], object]) -> None:
    """Have a finalizer do something."""

    class Finalized:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            work()

    Finalized()
    gc.collect()


@pytest.fixture(params=[True, False], ids=["inside an instruction", "between two"])
def _wherever(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector interrupts instructions, as before Python 3.12, or comes between two, as it may on any."""
    monkeypatch.setattr(finalizers, "_INSIDE_INSTRUCTIONS", request.param)


@pytest.fixture
def _inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector interrupts instructions."""
    monkeypatch.setattr(finalizers, "_INSIDE_INSTRUCTIONS", True)


@pytest.fixture
def _watched() -> Iterator[None]:
    """The collector tells."""
    collection.watch()
    yield
    collection.unwatch()


@pytest.mark.usefixtures("_watched", "_inside")
def test_what_is_set_in_a_collection_is_set_for_the_collection() -> None:
    """The context variable is not touched, and afterwards it is what it was."""
    variable: Variable[str] = Variable("variable")
    seen: list[object] = []

    def work() -> None:
        seen.append(variable.get())
        outer = variable.set("outer")
        inner = variable.set("inner")
        seen.extend([variable.get(), variable.in_context.get()])
        variable.reset(inner)
        seen.append(variable.get())
        variable.reset(outer)
        seen.append(variable.get())
        variable.reset(before)
        seen.append(variable.get())
        variable.set(None)
        seen.append(variable.get())

    before = variable.set("before")
    in_a_collection(work)
    assert seen == ["before", "inner", "before", "outer", "before", "before", None]
    assert variable.get() == "before"
    in_a_collection(lambda: seen.append(variable.get()))
    assert seen[-1] == "before"
    variable.reset(before)
    assert variable.get() is None


@pytest.mark.usefixtures("_watched", "_inside")
def test_other_work_is_done_in_a_copy_of_the_context() -> None:
    """What a span processor or a sampler sets there, nobody sees."""
    variable: ContextVar[str] = ContextVar("variable", default="before")
    seen: list[object] = []

    def work() -> str:
        variable.set("in a collection")
        return variable.get()

    in_a_collection(lambda: seen.extend([Guard().guarded("", work), variable.get()]))
    assert [*seen, variable.get()] == ["in a collection", "before", "before"]
    assert [Guard().guarded("", work), variable.get()] == ["in a collection"] * 2


@pytest.mark.usefixtures("_watched", "_inside")
def test_other_threads_go_on_beside_a_collection() -> None:
    """What they set is set."""
    seen: list[object] = []
    variable: Variable[str] = Variable("variable")

    def elsewhere() -> None:
        Guard().guarded("", variable.set, "elsewhere")
        seen.append((collection.is_here(), variable.get(), variable.in_context.get()))

    def during(phase: str, _: object) -> None:
        if phase == "start":
            assert collection.is_here()
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()

    gc.callbacks.append(during)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(during)
    assert seen == [(False, "elsewhere", "elsewhere")]


@pytest.mark.usefixtures("_inside")
def test_a_write_in_a_collection_is_one_like_any_other(keyaudit: KeyAudit, app: Any) -> None:
    """It has its key, its row and its span; that is no current span, there or afterwards."""
    with keyaudit.request() as span:
        app.verify({"id": "k_1"})
        app.Finalized()
        gc.collect()
    (fields, current), (written,) = app.ROWS[0], keyaudit.audit_spans()
    assert fields["request_api_key"]["id"] == "k_1"
    assert fields["request_api_key"]["span_id"] == format(written.context.span_id, "016x")
    assert written.parent == span.get_span_context()
    assert current is span
    assert keyaudit.writes()["attributed"] == 1
    assert keyaudit.degraded() == {}


@pytest.mark.usefixtures("_wherever")
def test_a_key_set_by_hand_in_a_finalizer_wins(keyaudit: KeyAudit, app: Any) -> None:
    """The request that was interrupted has nothing to do with the row; its other rows have its own key."""

    def work() -> None:
        with use_key(ApiKey("k_2")):
            app.record("close", {})

    with keyaudit.request():
        app.verify({"id": "k_1"})
        in_a_collection(work)
        app.record("create", {})
    assert [fields["request_api_key"]["id"] for fields, _ in app.ROWS] == ["k_2", "k_1"]
    assert keyaudit.writes()["attributed"] == 2


@pytest.mark.usefixtures("_wherever")
def test_a_request_in_a_finalizer_is_one_of_its_own(keyaudit: KeyAudit, app: Any) -> None:
    """Its key is its own, and the request that was interrupted keeps the one it has."""

    def work() -> None:
        with unseen_request():
            app.verify({"id": "k_2"})
            app.record("close", {})

    with keyaudit.request():
        app.verify({"id": "k_1"})
        in_a_collection(work)
        app.record("create", {})
    assert [fields["request_api_key"]["id"] for fields, _ in app.ROWS] == ["k_2", "k_1"]


@pytest.mark.usefixtures("_wherever")
def test_a_collection_that_interrupts_a_span_does_not_wait_for_it(keyaudit: KeyAudit, app: Any) -> None:
    """The SDK holds the span's lock while it takes a value over; what is to be shown is shown by the next change."""

    def request() -> None:
        with keyaudit.request() as span:
            app.Finalized()
            span.set_attribute("numbers", Collecting("12"))
            app.verify({"id": "k_1"})

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert keyaudit.writes()["none"] == 1
    shown = keyaudit.server_span()
    assert (shown["keyaudit.action"], shown["keyaudit.key.id"]) == ("create", "k_1")


def test_the_collector_tells_only_while_instrumented(keyaudit: KeyAudit, load_module: LoadModule) -> None:
    """Nothing is left in its list."""
    before = list(gc.callbacks)
    app = load_module(APP)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    assert len(gc.callbacks) == len(before) + 1
    keyaudit.uninstrument()
    assert gc.callbacks == before


def test_unwatched_in_the_middle_of_a_collection_it_has_ended() -> None:
    """Nobody tells of its end."""
    seen: list[bool] = []

    def work() -> None:
        seen.append(collection.is_here())
        collection.unwatch()

    collection.watch()
    in_a_collection(work)
    assert (seen, collection.is_here()) == ([True], False)
    collection.unwatch()
