"""The preset "celery" with real workers and a real server: rows of a task name the sender's key."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from otel_keyaudit.testing import Recorder
from presets.serving import serving_wsgi
from support.servers import broker

pytestmark = [
    pytest.mark.filterwarnings("default"),  # warnings of the libraries
    pytest.mark.unmutated,  # the library runs in other processes
]
FIRST, SECOND = ({name: f"celery-s3cret-{number}"} for name, number in (("X-API-Key", 1), ("X-Second-Key", 2)))
SNAPSHOT = {"id": "k1", "name": "loader", "detail": "full", "scopes": ["note:create"], "allow_list": []}
ROWS_OF = {
    "delay": ["delay"],
    "by name": ["by name"],
    "retry": ["retry 0", "retry 1"],
    "nested": ["nested", "nested inner"],
    "chain": ["chain 0", "chain 1"],
    "group": ["group 0", "group 1"],
    "chord": ["chord 0", "chord 1", "chord 2"],
    "link": ["link", "link inner"],
    "link_error": ["link_error", "link_error inner"],
}
ROWS_OF_KILLED = {name: [name, f"{name} error"] for name in ("overrun", "die")}
SECONDS = 60


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    """The service, whose module learns where the server is when it is imported."""
    with broker.serving() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEYAUDIT_TESTS_REDIS", url)
        sys.modules.pop("presets.apps.celery_app", None)
        from presets.apps import celery_app  # noqa: PLC0415 - not everywhere

        yield celery_app
        gc.collect()  # results ask their server once more when they go
        celery_app.celery.close()
        sys.modules.pop("presets.apps.celery_app", None)


@contextmanager
def _worker(service: Any, pool: str, **variables: str) -> Iterator[None]:
    """Run a worker under ``opentelemetry-instrument``, as its user would, until the end of the block."""
    program = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, "-m", "celery"]
    options = ["--pool", pool, "--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    env |= {"KEYAUDIT_TESTS_REDIS": service.URL, "OTEL_PYTHON_KEYAUDIT_PRESETS": "celery"}
    env |= {"OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "presets.apps.celery_app:record"}
    env |= {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    command = [*program, "-A", "presets.apps.celery_app:celery", "worker", *options]
    process = subprocess.Popen(command, env=env | variables)
    try:
        while not service.celery.control.ping(timeout=0.2):
            assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture
def recorder(keyaudit_recorder: Recorder, service: Any) -> Iterator[Recorder]:
    """The service, with spans of its requests and of the messages that it sends."""
    targets = {"auth_targets": ["presets.apps.celery_app:verify"], "audit_targets": ["presets.apps.celery_app:record"]}
    keyaudit_recorder.instrument(presets="celery", **targets)
    CeleryInstrumentor().instrument(tracer_provider=keyaudit_recorder.tracer_provider)
    try:
        yield keyaudit_recorder
    finally:
        CeleryInstrumentor().uninstrument()


def _send(recorder: Recorder, service: Any, way: str, headers: Mapping[str, str]) -> str | None:
    """Make a request that sends tasks; return the id of the last one, if it was allowed to."""
    with serving_wsgi(service.app, recorder) as address:
        answer: dict[str, str] = httpx.post(f"{address}/{way}", headers=dict(headers)).json()
        return answer.get("id")


def _rows(service: Any, way: str) -> dict[str, dict[str, Any]]:
    """Return the rows of tasks that were sent in some way, when all of them are there."""
    found: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + SECONDS
    expected = {**ROWS_OF, **ROWS_OF_KILLED}[way]
    while found.keys() < set(expected) and time.monotonic() < end:
        found |= {action: row for action, row in service.written().items() if action.startswith(way)}
        time.sleep(0.01)
    assert sorted(found) == expected
    return found


def _trace_id(recorder: Recorder) -> str:
    """Return the trace of the one request that there was."""
    (server_span,) = recorder.server_spans()
    return trace.format_trace_id(server_span.context.trace_id)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_however_a_task_is_sent_its_row_names_the_key(pool: str, recorder: Recorder, service: Any) -> None:
    """Rows of chains, chords, retries and nested tasks name the sender's key; the next task has its own or none."""
    with _worker(service, pool):
        for way in ROWS_OF:
            _send(recorder, service, way, FIRST)
            for row in _rows(service, way).values():
                assert SNAPSHOT.items() <= row["request_api_key"].items()
        _send(recorder, service, "delay", {"X-API-Key": "celery-s3cret-2"})
        assert _rows(service, "delay")["delay"]["request_api_key"]["id"] == "k2"
        for without_a_key in ({}, {**FIRST, **SECOND}):
            for _ in range(3):  # whichever process of the pool takes it
                _send(recorder, service, "delay", without_a_key)
                assert "request_api_key" not in _rows(service, "delay")["delay"]
        assert _send(recorder, service, "delay", {"X-API-Key": "wrong"}) is None

    assert recorder.degraded() == {}
    recorder.assert_no_secret(*service.KEYS)


def test_a_lost_process_of_the_pool(recorder: Recorder, service: Any) -> None:
    """The main process handles the failure of a task that was killed, with the key of that task."""
    with _worker(service, "prefork"):
        for way in ROWS_OF_KILLED:
            _send(recorder, service, way, FIRST)
            for row in _rows(service, way).values():
                assert SNAPSHOT.items() <= row["request_api_key"].items()
        _send(recorder, service, "delay", {})
        assert "request_api_key" not in _rows(service, "delay")["delay"]


def test_the_row_is_in_the_trace_of_the_request(recorder: Recorder, service: Any) -> None:
    """Spans lead from the row to the request, and nothing that leaves the task contains the key."""
    with _worker(service, "solo"):
        task_id = _send(recorder, service, "delay", FIRST)
        outgoing = service.celery.AsyncResult(task_id).get(timeout=SECONDS)
        row = _rows(service, "delay")["delay"]["request_api_key"]

    assert row["trace_id"] == _trace_id(recorder)
    assert outgoing["headers"].keys() == {"traceparent"}
    assert outgoing["baggage"] == {}
    assert "k1" not in str(outgoing)


def test_a_worker_without_spans(recorder: Recorder, service: Any) -> None:
    """Without Celery's instrumentation the row names the key in its own trace."""
    with _worker(service, "solo", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="celery"):
        _send(recorder, service, "delay", FIRST)
        row = _rows(service, "delay")["delay"]["request_api_key"]

    assert SNAPSHOT.items() <= row.items()
    assert row["trace_id"] != _trace_id(recorder)
