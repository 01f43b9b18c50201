"""Many calls leave no object, no memory and no thread behind."""

import gc
import os
import sys
import threading
import tracemalloc
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otel_keyaudit.row.members import written_members
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

APP = """
class Key:
    def __init__(self, id):
        self.id = id
        self.name = "ci-bot"
        self.scopes = ["a:read"]

def verify(key_id):
    if key_id == "k_0":
        raise PermissionError
    return Key(key_id)

def record(action, additional_fields=None):
    if action == "fails":
        raise LookupError
"""
FULL = os.environ.get("OTEL_KEYAUDIT_FULL") == "1"
CALLS = 50_000 if FULL else 2_000
REMEMBERED = 10_000 if FULL else 100
"""Number of latest members that are recognized by content: after so many rows all is as it was."""

_module_of = type.__dict__["__module__"].__get__  # whatever the metaclass says
"""Returns the module of a class."""


def live() -> Counter[str]:
    """Count the objects of the library's classes."""
    gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    return Counter(kind.__qualname__ for kind in kinds if str(_module_of(kind)).startswith("otel_keyaudit"))


def use(app: Any, tracer: trace.Tracer, calls: int) -> None:
    """Make requests with writes: denied, with one key, with two, with a failing one, and without a request."""
    for number in range(calls // 4):
        with tracer.start_as_current_span("GET /", kind=trace.SpanKind.SERVER):
            for key_id in (number % 7, number % 5):
                with suppress(PermissionError):
                    app.verify(f"k_{key_id}")
            app.record("create", {"a": 1})
            app.record("update", '{"a": 1}')
            with suppress(LookupError):
                app.record("fails", {})
        app.record("create", {})


@pytest.mark.parametrize("sampler", ["on_change", "always_full"][: 2 if FULL else 1])
def test_many_calls_leave_nothing_behind(
    recorder: Recorder, load_module: LoadModule, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    """There are as many objects and threads as before, and less than 64 KiB more memory."""
    monkeypatch.setattr(written_members, "MAX_RECENT", REMEMBERED)
    monkeypatch.setattr(written_members, "SWEEP_THRESHOLD", 4 * 1024)  # else what awaits a sweep counts as a leak
    app = load_module(APP)
    provider = TracerProvider(shutdown_on_exit=False)
    threads = threading.enumerate()
    recorder.instrument(
        auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"], sampler=sampler,
        tracer_provider=provider,
    )  # fmt: skip
    tracer = provider.get_tracer("tests")
    tracemalloc.start()
    try:
        use(app, tracer, 4 * REMEMBERED)
        before, held = live(), tracemalloc.get_traced_memory()[0]
        use(app, tracer, CALLS)
        assert live() - before == Counter()  # objects of earlier tests may disappear meanwhile
        assert tracemalloc.get_traced_memory()[0] - held < 64 * 1024
    finally:
        tracemalloc.stop()
    assert set(threading.enumerate()) <= {*threads}  # threads of earlier tests may end meanwhile
    assert recorder.writes()["none"] > CALLS // 4


@pytest.mark.skipif(
    sys.version_info >= (3, 14) and sys.monitoring.get_tool(sys.monitoring.COVERAGE_ID) is not None,
    reason="coverage keeps each code alive that has run, also one that has been exchanged",
)
def test_nothing_is_left_after_uninstrument(recorder: Recorder, load_module: LoadModule) -> None:
    """Everything of a session ends with it, except the counters, which belong to the meter provider."""
    app = load_module(APP)
    provider = TracerProvider(shutdown_on_exit=False)

    def session() -> Counter[str]:
        recorder.instrument(
            auth_targets=[f"{app.__name__}:verify"], audit_targets=[f"{app.__name__}:record"], tracer_provider=provider
        )
        use(app, provider.get_tracer("tests"), 400)
        recorder.uninstrument()
        return live()

    counts = [session() for _ in range(4)]
    # objects that other tests have left may come and go; what a session leaves behind is more after each
    grown = [later - earlier for earlier, later in pairwise(counts)]
    assert set.intersection(*({*kinds} for kinds in grown)) == set()
