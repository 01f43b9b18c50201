"""A thin FastAPI service with contrib's tracing: called in this process, or served by uvicorn in another process.

As a program: ``python -m benchmarks.service VARIANT PORT_FILE DATABASE``. It writes its port into the file.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Header
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks import application
from benchmarks.by_hand import ByHand
from benchmarks.requests import Request, run
from benchmarks.variants import ACTION, instrumented

Store = Callable[[str], object]
"""Writes a row to the database."""


class Nowhere(SpanExporter):
    """An exporter that drops all spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop spans."""
        return SpanExportResult.SUCCESS


def make_service(variant: str, provider: TracerProvider, store: Store = len) -> FastAPI:
    """Return the service. The variants differ only in the code that puts the key into row and span."""
    app = FastAPI()
    by_hand = ByHand(trace.get_tracer("benchmarks", tracer_provider=provider), audit_spans=True)

    @app.post("/workspaces")
    async def create(x_api_key: Annotated[str, Header()]) -> dict[str, int]:
        if variant == "F1":
            row = by_hand.handle(x_api_key, ACTION, application.TEXT)
        else:
            application.verify(x_api_key)
            row = application.record(*ACTION, application.TEXT)
        store(row)
        return {"bytes": len(row)}

    @app.get("/cpu")
    async def cpu() -> dict[str, float]:
        return {"seconds": time.process_time()}

    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls="cpu")
    return app


@contextmanager
def request(variant: str) -> Iterator[Request]:
    """Yield a request to the service in this process."""
    provider = TracerProvider(shutdown_on_exit=False)
    app = make_service(variant, provider)
    headers = [(b"host", b"localhost"), (b"x-api-key", application.CREDENTIAL.encode())]
    scope = {"type": "http", "method": "POST", "path": "/workspaces", "query_string": b"", "http_version": "1.1"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message  # noqa: S101 - else an error would be measured

    def call() -> None:
        run(app({**scope, "headers": headers.copy()}, receive, send))

    with instrumented(provider) if variant == "ours" else nullcontext():
        yield call


def main(variant: str, port_file: str, database: str) -> None:
    """Serve until the process is ended. Each row is committed to SQLite separately."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    application.present(application.make_key())
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE audit_log (time REAL, additional_fields TEXT)")

    def store(row: str) -> None:
        with connection:
            connection.execute("INSERT INTO audit_log VALUES (?, ?)", (time.time(), row))

    with instrumented(provider) if variant == "ours" else nullcontext():
        app = make_service(variant, provider, store)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # for asyncio's TCP_NODELAY
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        unfinished = Path(f"{port_file}.partial")
        unfinished.write_text(str(listener.getsockname()[1]))
        os.replace(unfinished, port_file)  # noqa: PTH105 - the port appears at once or not at all
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
