"""An exception that a signal handler raises reaches the application, whenever the signal arrives."""

from __future__ import annotations

import gc
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextvars import copy_context
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from otel_keyaudit import ApiKey, current_key, use_key
from otel_keyaudit.testing import Recorder
from support.environment.effort import IS_FULL
from support.environment.modules import LoadModule
from support.environment.undisturbed import undisturbed
from support.environment.unseen import unseen_request

SIGNALS = 4_000 if IS_FULL else 400
LONGEST = 0.002
"""Seconds after which a signal arrives at the latest: longer than a request takes."""

APP = """
import asyncio
from functools import lru_cache

class Denied(Exception):
    status_code = 403

class Key:
    name = "ci"

    def __init__(self, id):
        self.id = id

    @property
    def scopes(self):
        return [f"a:{number}" for number in range(20)]

def verify(raw):
    return Key(raw)

async def averify(raw):
    await asyncio.sleep(0)
    return Key(raw)

def verify_all(raw):
    yield Key(raw)

@lru_cache
def verify_cached(raw):
    return Key(raw)

def require(permission):
    if permission == "b:read":
        raise Denied

def record(action, additional_fields=None):
    return additional_fields

async def arecord(action, rows, resource=None):
    await asyncio.sleep(0)
    return list(rows)

def build(action):
    return {"action": action}

def serve():
    verify("k_1")
    verify_cached("k_1")
    list(verify_all("k_1"))
    require("a:1")
    try:
        require("b:read")
    except Denied:
        pass
    record("create", {"a": 1})
    record("create", '{"a": 1}')
    record("create", ["no object"])
    build("create")

async def aserve():
    await averify("k_1")
    await arecord("create", ({"a": number} for number in range(3)))
"""

KINDS: list[type[Exception]] = [
    type(f"Limit{base.__name__}", (base,), {})
    for base in (Exception, ValueError, AttributeError, KeyError, TypeError, RuntimeError, OverflowError)
]


@pytest.fixture
def recorder() -> Recorder:
    """A recorder whose tracer drops all spans, because the SDK swallows exceptions in its span processors."""
    return Recorder(strict=False, keep_rows=False, trace_sampler=ALWAYS_OFF)


@pytest.fixture
def app(recorder: Recorder, load_module: LoadModule) -> Any:
    """An instrumented application with functions of each kind."""
    app = load_module(APP)
    name = app.__name__
    recorder.instrument(
        auth_targets=[f"{name}:{verify}" for verify in ("verify", "averify", "verify_all", "verify_cached")],
        authz_targets=[f"{name}:require"],
        audit_targets=[f"{name}:record", f"{name}:arecord?fields=args.rows[]", f"{name}:build?fields=return"],
        sampler="on_change",
    )
    return app


class Alarm:
    """Raises in the handler of a timer, and knows how often and where it did.

    Args:
        kind: The class of the exception.
    """

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind
        self.raised = 0
        self.place = ""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise."""
        self.raised += 1
        self.place = "".join(traceback.format_list(traceback.extract_stack(frame)[-4:]))
        raise self.kind


@pytest.fixture
def alarm(request: pytest.FixtureRequest) -> Iterator[Alarm]:
    """The handler of the timer during one test."""
    before = signal.getsignal(signal.SIGALRM)
    alarm = Alarm(request.param)
    signal.signal(signal.SIGALRM, alarm)
    with undisturbed():
        yield alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def storm(work: Callable[[], None], alarm: Alarm) -> list[str]:
    """Have a signal interrupt some work at random moments; return where an exception was lost."""
    choose, lost = random.Random(1), []

    def work_until_the_alarm() -> None:
        raised = alarm.raised
        signal.setitimer(signal.ITIMER_REAL, choose.uniform(0.00001, LONGEST))
        while alarm.raised == raised:
            work()

    def interrupted() -> None:
        try:
            work_until_the_alarm()  # a `try` around the loop would not cover its jump back since Python 3.13
        except alarm.kind:
            return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        lost.append(alarm.place)

    gc.collect()  # objects of earlier tests may have weak references with callbacks, which lose an exception
    copy_context().run(work)  # logs the messages about targets now, because logging loses an exception, too
    for _ in range(SIGNALS // len(KINDS)):
        copy_context().run(interrupted)  # an interrupted call changes only the copy of the context
    return lost


@pytest.mark.unmutated  # mutmut reads os.environ in each call, which replaces a handler's KeyError
@pytest.mark.parametrize("alarm", KINDS, indirect=True)
def test_no_exception_of_a_handler_is_lost_in_a_request(recorder: Recorder, app: Any, alarm: Alarm) -> None:
    """Each signal raises once, for every class of exception, and the context is as before."""

    def work() -> None:
        with unseen_request():
            app.serve()

    assert storm(work, alarm) == []
    with recorder.request():
        app.verify("k_2")
        assert app.record("create", {})["request_api_key"]["id"] == "k_2"


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("alarm", KINDS[:2], indirect=True)
def test_no_exception_of_a_handler_is_lost_in_a_coroutine(recorder: Recorder, app: Any, alarm: Alarm) -> None:
    """The test drives a coroutine by hand, so that only the library runs around it."""

    def work() -> None:
        with unseen_request():
            coroutine = app.aserve()
            try:
                while True:
                    coroutine.send(None)
            except StopIteration:
                pass
            finally:
                coroutine.close()

    assert storm(work, alarm) == []


@pytest.mark.parametrize("alarm", [KINDS[0], KINDS[2]], indirect=True)
def test_no_exception_of_a_handler_is_lost_beside_our_targets(recorder: Recorder, app: Any, alarm: Alarm) -> None:
    """Garbage collections, imports, `use_key` and spans run code of the library too, and lose no exception."""

    def work() -> None:
        with use_key(ApiKey("k_3")):
            current_key()
            cycle: list[Any] = []
            cycle.append(cycle)
            recorder.tracer.start_span("inner", kind=SpanKind.SERVER).end()
            __import__("json.decoder")

    assert storm(work, alarm) == []


def test_an_exception_of_the_keys_own_property_is_swallowed(recorder: Recorder, load_module: LoadModule) -> None:
    """The library failed to read the key, so the failure is counted and the application does not see it."""
    app = load_module(
        """
        class Key:
            id = "k_1"

            @property
            def scopes(self):
                raise TimeoutError

        def verify(number, frame):
            return Key()
        """
    )
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    with recorder.request():
        app.verify(14, None)
    assert recorder.errors() == {("authentication", "TimeoutError"): 1}


@pytest.mark.parametrize("alarm", KINDS[:1], indirect=True)
def test_a_soft_limit_in_a_slow_property_ends_the_job(
    recorder: Recorder, load_module: LoadModule, alarm: Alarm
) -> None:
    """The exception reaches the application although it arrives while the library reads the key."""
    app = load_module(
        """
        import time

        class Key:
            id = "k_1"

            @property
            def scopes(self):
                time.sleep(5)
                return []

        def verify(raw):
            return Key()
        """
    )
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])
    begin = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(KINDS[0]), recorder.request():
        app.verify("k_1")
    assert time.monotonic() - begin < 4
    assert recorder.errors() == {}
