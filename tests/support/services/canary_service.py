"""A service that handles secrets badly: ``python canary_service.py FOLDER on|off``. All of its output is in the folder.

Instrumented by contrib, logging at DEBUG, with and without this library.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import socket
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_keyaudit import AuditTarget, KeyAuditInstrumentor, current_key
from otel_keyaudit.request.context import current_request

logger = logging.getLogger("shop")
ROWS: list[Any] = []
MET: list[str] = []


@dataclass
class Entry:
    """An entry of an allow list with a secret attribute; its repr shows both."""

    secret: str


@dataclass
class Key:
    """A key object with the secret in every field that nobody declared, and in its texts."""

    secret: str
    id: Any = "k_1"
    scopes: list[str] = field(default_factory=lambda: ["a:read"])

    def __post_init__(self) -> None:
        self.key_hash = self.token = self.email = self.secret
        self.settings: dict[str, Any] = {"allow": ["a:1"], "secret": self.secret, self.secret: 1}

    @property
    def name(self) -> str:
        if self.scopes == ["trips"]:
            raise ValueError(self.secret)
        return "ci-bot"


async def verify(request: Request) -> Any:
    """Find the secret in the request and return the result that the path requests."""
    secret = await _secret(request)
    way = request.url.path.strip("/")
    logger.debug("verifying", extra={"presented": secret})
    if way == "denied":
        raise HTTPException(401, f"no such key: {secret}")
    if way == "refused":
        return Key(secret, id=Entry(secret), scopes=["trips"])
    key = Key(secret)
    if way == "fails":
        key.settings["allow"] = [Entry(secret)]
        key.scopes = ["trips"]
    return key


async def _secret(request: Request) -> str:
    place = request.headers["x-place"]
    if place == "header":
        return request.headers["x-api-key"].encode("latin-1").decode()
    if place == "query":
        return request.query_params["key"]
    if place == "body":
        return str((await request.json())["key"])
    if place == "cookie":
        return request.headers["cookie"].encode("latin-1").decode().partition("=")[2]
    if place == "basic":
        return base64.b64decode(request.headers["authorization"].split()[1]).decode().partition(":")[2]
    return "c4nary-1"


def record(action: Any, additional_fields: Any = None, subject: Any = None) -> None:
    """Write a row; the application's own additional fields hold the secret."""
    ROWS.append(additional_fields)
    if action == "fails":
        raise PermissionError(f"cannot write for {subject}")


def leaking(event: Any) -> Any:
    """A sampler that fails with all that it can reach."""
    raise LookupError(ROWS[-1:], vars(event), MET)


app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})


@app.post("/{way}")
async def write(way: str, key: Key = Depends(verify)) -> dict[str, str]:  # noqa: B008
    """Write rows of every kind."""
    found = current_key()
    MET.extend([repr(current_request()), str(current_request()), repr(found), str(found)])
    if found is not None:
        MET.extend([repr(vars(found)), repr(pickle.dumps(found)), repr(KeyAuditInstrumentor().status())])
    for fields in ({"payload": key.secret}, json.dumps({"request_api_key": {"id": key.secret}}), key.secret, [key]):
        record(way if way != "fails" else "create", fields, key if way == "subject" else None)
    record(Entry(key.secret), {"payload": key.secret})
    record("fails" if way == "fails" else "create", {}, key)
    return {}


def instrument(tracers: TracerProvider, meters: MeterProvider) -> None:
    """Switch this library on."""
    here = "__main__"
    target = AuditTarget(
        f"{here}:record", subject="args.subject", resource_id=lambda call: call.args["subject"].nothing
    )
    KeyAuditInstrumentor().instrument(
        auth_targets=[f"{here}:verify?allow_list=settings.allow&owner=nobody&valid={here}:valid"],
        audit_targets=[target],
        sampler=leaking,
        tracer_provider=tracers,
        meter_provider=meters,
    )


def valid(call: Any) -> bool:
    """Fail with all that a call has, for one kind of key."""
    if call.result is not None and call.result.scopes == ["trips"] and len(call.result.secret) % 2:
        raise LookupError(call.args, call.result)
    return True


class KeptLogs(logging.Handler):
    """Keeps the logger, the message with its exception, and every extra of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        plain = vars(logging.makeLogRecord({})).keys()
        extra = {name: repr(value) for name, value in vars(record).items() if name not in plain}
        text = logging.Formatter().format(record)
        self.kept.append(json.dumps({"logger": record.name, "body": text, "attributes": extra}))


def serve(folder: Path, *, is_on: bool) -> None:
    """Serve until it is told to stop, and write all outputs."""
    warnings.simplefilter("always")
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    kept, sent = KeptLogs(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(sent))
    bridge = LoggingHandler(logger_provider=logs)
    logging.getLogger().addHandler(kept)
    logging.getLogger().addHandler(bridge)
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader])
    trace.set_tracer_provider(tracers)
    if is_on:
        instrument(tracers, meters)
    traced = OpenTelemetryMiddleware(app, tracer_provider=tracers, meter_provider=meters)
    server = uvicorn.Server(uvicorn.Config(traced, log_config=None, access_log=True, lifespan="off", ws="none"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)
        with suppress(KeyboardInterrupt):
            server.run([listener])
    logging.getLogger().removeHandler(bridge)
    data = reader.get_metrics_data()
    rows = [row for row in ROWS if isinstance(row, dict)]
    rows += [json.loads(row) for row in ROWS if isinstance(row, str) and row.startswith("{")]
    outputs = {
        "metrics": [data.to_json(indent=None)] if data else [],
        "spans": [span.to_json(indent=None) for span in exporter.get_finished_spans()],
        "logs": kept.kept,
        "otel_logs": [one.to_json(indent=None) for one in sent.get_finished_logs()],
        "rows": [json.dumps(row) for row in rows],
        "texts": [json.dumps(text) for text in MET],
    }
    for name, lines in outputs.items():
        (folder / name).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for variable in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[variable]
    serve(Path(sys.argv[1]), is_on=sys.argv[2] == "on")
