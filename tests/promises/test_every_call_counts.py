"""Every call of an audit target is counted once, however it ends, and no ending loses a row."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

from otel_keyaudit.testing import Recorder
from support.applications.writers import APP, instrument
from support.environment.modules import LoadModule

FIELDS = ("{}", b'{"a": 1}', None, ["no object"], "no json", 7)
KEYS = ((), ("k_1",), ("k_1", "k_2"), (None,))
"""The keys that requests present: none, one, two, and a key without a readable id."""

SEEDS = 5
REQUESTS = 700


@pytest.fixture
def app(load_module: LoadModule) -> Any:
    """An application whose writes return, raise, hang, and are abandoned."""
    return load_module(APP)


async def write(app: Any, chance: random.Random) -> None:
    """Write one row in a way that chance decides."""
    fields = chance.choice(FIELDS)
    how = chance.choice(["record", "arecord", "build", "brecord", "cancelled"])
    with suppress(LookupError):
        if how == "record":
            app.record(fields, fails=chance.random() < 0.3)
        elif how == "build":
            app.build(fails=chance.random() < 0.3)
        elif how == "brecord":
            rows = app.brecord(fields)
            next(rows)
            chance.choice([rows.close, lambda: list(rows)])()
        elif how == "arecord":
            await app.arecord(fields, chance.choice(["returns", "raises"]))
        else:
            task = asyncio.ensure_future(app.arecord(fields, "hangs"))
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def serve(recorder: Recorder, app: Any, chance: random.Random) -> None:
    """Serve a request of a few writes."""
    with recorder.request():
        for key_id in chance.choice(KEYS):
            app.verify(app.Unnamed() if key_id is None else app.Key(key_id))
        for _ in range(chance.randrange(5)):
            await write(app, chance)


async def serve_all(recorder: Recorder, app: Any, chance: random.Random) -> None:
    """Serve requests, some at a time; every fourth client goes away at some await."""
    for _ in range(REQUESTS // 10):
        tasks = [asyncio.create_task(serve(recorder, app, chance)) for _ in range(10)]
        for task in tasks:
            if chance.random() < 0.25:
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_four_attributions_are_the_calls(recorder: Recorder, app: Any, seed: int) -> None:
    """Over 5,000 calls that return, raise, hang or are cancelled or abandoned are all counted."""
    instrument(recorder, app)
    asyncio.run(serve_all(recorder, app, random.Random(seed)))
    writes = recorder.writes()
    assert sum(writes.values()) == len(app.CALLS) > 5_000 / SEEDS
    assert all(writes.values())


def test_disconnected_client_loses_no_row(recorder: Recorder, app: Any) -> None:
    """The same requests, cancelled at the same awaits, write the same number of rows as without the library."""
    asyncio.run(serve_all(recorder, app, random.Random(1)))
    rows, calls = len(app.ROWS), len(app.CALLS)
    app.ROWS.clear()
    app.CALLS.clear()
    instrument(recorder, app)
    asyncio.run(serve_all(recorder, app, random.Random(1)))
    assert (len(app.ROWS), len(app.CALLS)) == (rows, calls)


def test_hanging_write_delays_no_other_request(recorder: Recorder, app: Any) -> None:
    """Other requests continue, ``uninstrument()`` does not wait, and the write is counted when it ends."""
    instrument(recorder, app)
    entered, released = threading.Semaphore(0), threading.Event()

    class Waiting:
        def wait(self) -> None:
            entered.release()
            released.wait(60)

    def hang() -> None:
        with recorder.request():
            app.verify(app.Key("k_1"))
            app.record({}, waits=Waiting())

    threads = [threading.Thread(target=hang) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        assert all(entered.acquire(timeout=60) for _ in threads)
        with recorder.request():
            app.verify(app.Key("k_2"))
            app.record({})
        assert recorder.writes()["attributed"] == 1
        assert app.ROWS[0]["request_api_key"]["id"] == "k_2"
        recorder.uninstrument()
    finally:
        released.set()
        for thread in threads:
            thread.join()
    assert recorder.writes() == {"attributed": 4, "ambiguous": 0, "none": 0, "failed": 0}
    assert [row["request_api_key"]["id"] for row in app.ROWS] == ["k_2", "k_1", "k_1", "k_1"]


def test_an_authentication_that_ends_after_uninstrument_is_counted(recorder: Recorder, load_module: LoadModule) -> None:
    """It was observed from its beginning, so its end is counted; a later call is not."""
    app = load_module("async def verify(key, pause):\n    await pause()\n    return {'id': key}\n")
    recorder.instrument(auth_targets=[f"{app.__name__}:verify"])

    async def off() -> None:
        recorder.uninstrument()

    async def nothing() -> None: ...

    async def run() -> None:
        with recorder.request():
            await app.verify("k_1", off)
            await app.verify("k_1", nothing)

    asyncio.run(run())
    assert recorder.authentications() == {"accepted": 1, "denied": 0}


class DownSpans(SpanExporter):
    """Reaches nobody."""

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.raises:
            raise ConnectionRefusedError
        return SpanExportResult.FAILURE


class DownMetrics(MetricExporter):
    """Reaches nobody, either."""

    def export(self, *args: Any, **kwargs: Any) -> MetricExportResult:
        raise ConnectionRefusedError

    def shutdown(self, *args: Any, **kwargs: Any) -> None: ...

    def force_flush(self, *args: Any, **kwargs: Any) -> bool:
        return False


@contextmanager
def meters_to_nowhere(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    """Yield a meter provider with an exporter that is down, beside a reader that works."""
    down = PeriodicExportingMetricReader(DownMetrics(), export_interval_millis=5)
    provider = MeterProvider([reader, down], shutdown_on_exit=False)
    try:
        yield provider
    finally:
        provider.shutdown()


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
@pytest.mark.parametrize("raises", [True, False])
def test_an_exporter_that_is_down_changes_nothing(app: Any, processor: Any, raises: bool) -> None:
    """Rows and counts are the same although spans and metrics reach nobody, and no failure is counted."""
    recorder = Recorder(strict=False, keep_rows=False)
    recorder.tracer_provider.add_span_processor(processor(DownSpans(raises=raises)))
    reader = InMemoryMetricReader()
    with meters_to_nowhere(reader) as provider:
        recorder.metric_reader = reader
        instrument(recorder, app, meter_provider=provider)
        for number in range(100):
            with recorder.request():
                app.verify(app.Key(f"k_{number}"))
                app.record({})
        assert [row["request_api_key"]["id"] for row in app.ROWS] == [f"k_{number}" for number in range(100)]
        assert recorder.writes() == {"attributed": 100, "ambiguous": 0, "none": 0, "failed": 0}
        assert recorder.errors() == {}
        recorder.tracer_provider.shutdown()


STOPPING = """
import json, os, signal, sys
from types import SimpleNamespace
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from otel_keyaudit import KeyAuditInstrumentor

def verify(key):
    return key

def record(number, additional_fields=None):
    with open(sys.argv[1], "a") as rows:
        rows.write(json.dumps(additional_fields) + "\\n")
        rows.flush()
        if number == 20:
            os._exit(3) if sys.argv[2] == "exit" else os.kill(os.getpid(), signal.SIGKILL)

tracer = TracerProvider().get_tracer("app")
KeyAuditInstrumentor().instrument(auth_targets="__main__:verify", audit_targets="__main__:record")
for number in range(1, 100):
    with tracer.start_as_current_span("GET /", kind=trace.SpanKind.SERVER):
        verify(SimpleNamespace(id=f"k_{number}"))
        record(number, {})
"""


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_process_that_stops_in_the_middle_of_a_write_has_written_the_same_rows(tmp_path: Path, how: str) -> None:
    """Rows that were written before the process stopped have their keys, because nothing is held back."""
    rows = tmp_path / "rows"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", STOPPING, rows, how],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == (3 if how == "exit" else -signal.SIGKILL), done.stderr
    lines = rows.read_text().splitlines()
    assert [line.count(f'"id": "k_{number}"') for number, line in enumerate(lines, 1)] == [1] * 20
    assert done.stderr == ""
