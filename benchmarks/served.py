"""The service under load, in a process of its own: a thin FastAPI endpoint on uvicorn with contrib's tracing.

As a program: ``python -m benchmarks.served VARIANT PORT_FILE DATABASE``. It writes its port into the file.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks import application, by_hand
from benchmarks.calls import ACTION
from otel_keyaudit import KeyAuditInstrumentor


class Nowhere(SpanExporter):
    """An exporter that costs nothing: what export costs is the same for all."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Forget the spans."""
        return SpanExportResult.SUCCESS


async def authenticated(x_api_key: Annotated[str, Header()]) -> application.Key | None:
    """Authenticate a request; what it calls is the authentication target."""
    return application.verify(x_api_key)


async def authenticated_by_hand(x_api_key: Annotated[str, Header()]) -> application.Key | None:
    """Authenticate a request, and show the key on the server span."""
    return by_hand.authenticate(x_api_key)


def service(variant: str, database: str) -> FastAPI:
    """Return the service; the variants differ in nothing but how the key gets into row and span."""
    app = FastAPI()
    is_by_hand = variant == "hand"
    verified = Depends(authenticated_by_hand if is_by_hand else authenticated)
    tracer = trace.get_tracer("benchmarks")
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE audit_log (time REAL, action TEXT, additional_fields TEXT)")
    connection.commit()

    def write(key: application.Key | None) -> Any:
        if is_by_hand:
            return by_hand.record_in_span(tracer, key, *ACTION, application.TEXT)
        return application.record(*ACTION, application.TEXT)

    @app.post("/workspaces")
    async def create(key: Any = verified) -> dict[str, int]:
        return {"bytes": len(write(key))}

    @app.post("/stored")
    async def store(key: Any = verified) -> dict[str, int]:
        # on the event loop, by one connection: threads that wait for SQLite's lock would be most of what is measured
        row = write(key)
        connection.execute("INSERT INTO audit_log VALUES (?, ?, ?)", (time.time(), ACTION[0], row))
        connection.commit()
        return {"bytes": len(row)}

    @app.get("/cpu")
    async def cpu() -> dict[str, float]:
        return {"seconds": time.process_time()}

    @app.get("/row")
    async def row(key: Any = verified) -> Any:
        return json.loads(write(key))

    FastAPIInstrumentor.instrument_app(app, excluded_urls="cpu")
    return app


def main(variant: str, port_file: str, database: str) -> None:
    """Serve until the process is ended."""
    trace.set_tracer_provider(TracerProvider())
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    application.present(application.make_key())
    app = service(variant, database)
    if variant == "ours":
        KeyAuditInstrumentor().instrument(
            auth_targets=["benchmarks.application:verify"], audit_targets=["benchmarks.application:record"]
        )
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio sets no TCP_NODELAY
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    partial = Path(f"{port_file}.partial")
    partial.write_text(str(listener.getsockname()[1]))
    os.replace(partial, port_file)  # noqa: PTH105 - the port is there at once or not at all
    server.run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
