"""The library is instrumented and uninstrumented beside running requests: both are atomic."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections import Counter
from types import CodeType
from typing import Any

import pytest

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.testing import Recorder
from support.environment.effort import IS_FULL
from support.environment.modules import LoadModule
from support.environment.unseen import unseen_request

CYCLES = 1_000 if IS_FULL else 12
THREADS = 8

APP = """
from functools import lru_cache, partial

class Key:
    def __init__(self, id):
        self.id, self.name, self.scopes, self.allow_list = id, "ci", ["a:read"], []

def verify(raw):
    return Key(raw)

@lru_cache
def cached(raw):
    return Key(raw)

def factory():
    def check(permission):
        return True
    return check

check = factory()

class Log:
    def write(self, action, additional_fields=None):
        return additional_fields

    entry = write

def record(action, additional_fields=None):
    return additional_fields

async def arecord(action, additional_fields=None):
    return additional_fields
"""


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application with functions that are observed in each way."""
    return load_module(APP)


def options(app: Any) -> dict[str, Any]:
    """Return targets for all functions, two of which reach the same one."""
    name = app.__name__
    return {
        "auth_targets": [f"{name}:verify", f"{name}:cached"],
        "authz_targets": [f"{name}:factory.<locals>.check?required=args.permission"],
        "audit_targets": [f"{name}:{target}" for target in ("Log.write", "Log.entry", "record", "arecord")],
    }


def codes(app: Any) -> list[CodeType]:
    """Return the code of each function."""
    return [function.__code__ for function in (app.verify, app.check, app.Log.write, app.record, app.arecord)]


class Requests:
    """Threads that serve requests all the time.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self.wrong: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        self.served = 0
        self._app = app
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=(f"k_{number}",)) for number in range(THREADS)]

    def __enter__(self) -> Requests:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _serve(self, key: str) -> None:
        app = self._app
        try:
            while not self._stop.is_set():
                with unseen_request():
                    app.verify(key)
                    app.cached(key)
                    app.check("a:read")
                    rows = [app.Log().write("a", {}), app.Log().entry("a", {}), app.record("a", {"b": 1})]
                    coroutine = app.arecord("a", {})
                    try:
                        coroutine.send(None)
                    except StopIteration as stop:
                        rows.append(stop.value)
                for row in rows:
                    found = row.get("request_api_key")
                    if found is not None and found.get("id") != key:
                        self.wrong[found.get("id", "ambiguous")] += 1
                self.served += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.errors.append(error)


def test_cycles_beside_requests_restore_everything(
    recorder: Recorder, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """No request fails or names another key, each session is active at once, and nothing stays wrapped."""
    caplog.set_level(logging.WARNING)
    before, cached, instances = codes(app), app.cached, vars(app).copy()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        with Requests(app) as requests:
            for _ in range(CYCLES):
                recorder.instrument(**options(app))
                assert {status.state for status in KeyAuditInstrumentor().status()} == {"active"}
                recorder.uninstrument()
                assert codes(app) == before
                assert app.cached is cached
    finally:
        sys.setswitchinterval(interval)
    assert requests.errors == []
    assert requests.wrong == {}
    assert requests.served > CYCLES
    assert vars(app) == instances
    # Each running call may hold a cached function in a tuple of its own, which cannot be changed.
    assert [message for message in caplog.messages if "earlier reference" not in message] == []


def test_cycles_leave_no_reference_to_a_cached_function(recorder: Recorder, app: Any) -> None:
    """Replacements of earlier sessions do not count as references that stay, even without the collector."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(4):
            recorder.instrument(auth_targets=[f"{app.__name__}:cached"])
            (status,) = KeyAuditInstrumentor().status()
            assert status.reason == "all of its calls are observed"
            recorder.uninstrument()
    finally:
        gc.enable()


def test_functions_are_observed_once_after_many_cycles(recorder: Recorder, app: Any) -> None:
    """A call is counted once after many sessions."""
    with Requests(app):
        for _ in range(CYCLES // 2):
            recorder.instrument(**options(app))
            recorder.uninstrument()
    fresh = Recorder(strict=False, keep_rows=False)
    fresh.instrument(**options(app))
    with fresh.request():
        app.verify("k_1")
        app.check("a:read")
        app.record("a", {})
        app.Log().entry("a", {})
    assert fresh.authentications() == {"accepted": 1, "denied": 0}
    assert fresh.count("keyaudit.decisions") == 1
    assert fresh.writes() == {"attributed": 2, "ambiguous": 0, "none": 0, "failed": 0}
    assert len(fresh.audit_spans()) == 2


def test_threads_that_instrument_at_once_take_turns(app: Any) -> None:
    """After four threads instrument and uninstrument at once, everything is restored."""
    before = codes(app)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(CYCLES // 4):
                KeyAuditInstrumentor().instrument(**options(app))
                KeyAuditInstrumentor().status()
                KeyAuditInstrumentor().uninstrument()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    with Requests(app) as requests:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (errors, requests.errors) == ([], [])
    assert codes(app) == before


def test_sessions_begin_beside_a_thread_that_imports(recorder: Recorder, app: Any) -> None:
    """Modules, classes and namespaces that change meanwhile do not stop a session from starting and ending."""
    stop, interval = threading.Event(), sys.getswitchinterval()

    def change() -> None:
        while not stop.is_set():
            for number in range(50):
                sys.modules[f"keyaudit_imported_{number}"] = app
                setattr(app.Log, f"method_{number}", app.record)
                setattr(app, f"function_{number}", app.record)
            for number in range(50):
                del sys.modules[f"keyaudit_imported_{number}"]
                delattr(app.Log, f"method_{number}")
                delattr(app, f"function_{number}")

    changing = threading.Thread(target=change)
    sys.setswitchinterval(1e-6)
    changing.start()
    try:
        for _ in range(CYCLES):
            recorder.instrument(**options(app))
            assert {status.state for status in KeyAuditInstrumentor().status()} == {"active"}
            recorder.uninstrument()
        for missing in ("recrod", "Log.wirte"):
            recorder.instrument(strict=False, audit_targets=[f"{app.__name__}:{missing}"])
            (status,) = KeyAuditInstrumentor().status()
            assert status.state == "wrong"
            recorder.uninstrument()
    finally:
        stop.set()
        changing.join()
        sys.setswitchinterval(interval)
