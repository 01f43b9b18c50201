"""No context variable is touched in a finalizer where that would crash the process; what is to be done is done."""

import gc
import os
import subprocess
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import context_variables
from otel_keyaudit.context_variables import Collection, assign, reset
from support import abandoned
from support.keyaudit import KeyAudit, LoadModule

VARIABLE: ContextVar[str] = ContextVar("variable", default="before")
CALLS = len(abandoned.THRESHOLDS) * abandoned.CALLS


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Collection:
    """The collection, as it is where it may interrupt anything."""
    monkeypatch.setattr(context_variables, "_INTERRUPTS_ANYTHING", True)
    return context_variables.collection


@pytest.mark.parametrize("name", ["generator", "coroutine", "authentication", "finalizer"])
def test_a_process_survives_calls_that_are_abandoned(name: str) -> None:
    """They are cleaned up in the middle of anything. Before Python 3.12 most of these were a segmentation fault."""
    command = [sys.executable, "-X", "faulthandler", "-m", "support.abandoned", name]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environ = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=300)
    writes = 0 if name == "authentication" else CALLS
    assert (ended.returncode, ended.stdout) == (0, f"{writes} {writes} {{}}\n"), ended.stderr


def test_in_a_collection_nothing_is_set(interrupted: Collection) -> None:
    """And nothing reset. Other threads do not mind."""
    seen: list[object] = []

    class Finalized:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            seen.append((assign(VARIABLE, "in a finalizer"), VARIABLE.get()))
            reset(VARIABLE, token)
            seen.append(VARIABLE.get())

    token = assign(VARIABLE, "set")
    interrupted.watch()
    try:
        Finalized()
        gc.collect()
    finally:
        interrupted.unwatch()
    assert seen == [(None, "set"), "set"]
    reset(VARIABLE, token)
    assert VARIABLE.get() == "before"


def test_a_write_in_a_collection_is_one_like_any_other(
    interrupted: Collection, keyaudit: KeyAudit, load_module: LoadModule
) -> None:
    """It has its key, its row and its span; that is no current span, there or afterwards."""
    app = load_module("""
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
    """)
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"])
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


def test_the_collector_tells_only_while_instrumented(
    interrupted: Collection, keyaudit: KeyAudit, load_module: LoadModule
) -> None:
    """Nothing is left in its list."""
    before = list(gc.callbacks)
    app: Any = load_module("def verify(key): ...")
    keyaudit.instrument(auth_targets=[f"{app.__name__}:verify"])
    assert len(gc.callbacks) == len(before) + 1
    keyaudit.uninstrument()
    assert gc.callbacks == before
