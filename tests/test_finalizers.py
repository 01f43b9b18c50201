"""What a finalizer must not touch is left alone, for it may have interrupted anything; what is to be done is done."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit.finalizers import assign, collection, reset
from support import abandoned
from support.keyaudit import KeyAudit, LoadModule

VARIABLE: ContextVar[str] = ContextVar("variable", default="before")
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
    assert (ended.returncode, ended.stdout) == (0, f"{writes} {writes} {{}}\n"), ended.stderr


def test_in_a_collection_nothing_is_set() -> None:
    """And nothing reset."""
    seen: list[object] = []

    class Finalized:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            seen.append((assign(VARIABLE, "in a finalizer"), VARIABLE.get()))
            reset(VARIABLE, token)
            seen.append(VARIABLE.get())

    token = assign(VARIABLE, "set")
    collection.watch()
    try:
        Finalized()
        gc.collect()
    finally:
        collection.unwatch()
    assert seen == [(None, "set"), "set"]
    reset(VARIABLE, token)
    assert VARIABLE.get() == "before"


def test_other_threads_go_on_beside_a_collection() -> None:
    """What they set is set."""
    seen: list[object] = []

    def elsewhere() -> None:
        seen.append((collection.is_here(), assign(VARIABLE, "elsewhere") is None, VARIABLE.get()))

    def during(phase: str, _: object) -> None:
        if phase == "start":
            assert collection.is_here()
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()

    collection.watch()
    gc.callbacks.append(during)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(during)
        collection.unwatch()
    assert seen == [(False, False, "elsewhere")]


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
