"""Agents with their own implementation of the OpenTelemetry API, whose spans are not those of the SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.environment.installed import need_package

DATADOG = """
import asyncio, json
from types import SimpleNamespace

import httpx
from ddtrace.opentelemetry import TracerProvider
from ddtrace.trace import TraceFilter, tracer
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from otel_keyaudit import KeyAuditInstrumentor

spans, rows = [], []

class Collect(TraceFilter):
    def process_trace(self, found):
        spans.extend({"name": span.resource, **span.get_tags()} for span in found)

def verify(key):
    return SimpleNamespace(id=key, name="ci", scopes=["a:read"], allow_list=[]) if key else None

def record(action, additional_fields=None):
    rows.append(additional_fields)

async def app(scope, receive, send):
    verify(dict(scope["headers"]).get(b"x-id", b"").decode())
    record(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def main():
    transport = httpx.ASGITransport(OpenTelemetryMiddleware(app, exclude_spans=["send", "receive"]))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for key in ("k_1", "k_2", ""):
            await client.get(f"/{key or 'nobody'}", headers={"x-id": key})

tracer.configure(trace_processors=[Collect()])
trace.set_tracer_provider(TracerProvider())
KeyAuditInstrumentor().instrument(auth_targets=["__main__:verify"], audit_targets=["__main__:record"])
asyncio.run(main())
print(json.dumps([rows, spans]))
"""


def test_server_spans_of_datadog_name_the_key(tmp_path: Path) -> None:
    """The server span and the row of each request have its key."""
    need_package("ddtrace")
    rows, spans = _run(tmp_path, DATADOG)
    assert [row and row["request_api_key"]["id"] for row in rows] == ["k_1", "k_2", None]
    servers = [span for span in spans if span.get("span.kind") == "server"]
    assert [span.get("keyaudit.key.id") for span in servers] == ["k_1", "k_2", None]
    assert [span.get("keyaudit.outcome") for span in servers] == ["accepted", "accepted", None]
    assert [span["keyaudit.action"] for span in spans if span not in servers] == ["k_1", "k_2", "nobody"]


def _run(folder: Path, source: str) -> Any:
    """Run a program without an agent to send spans to, and return its output."""
    file = folder / "program.py"
    file.write_text(source, encoding="utf-8")
    environment = {**os.environ, "DD_TRACE_OTEL_ENABLED": "true", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, str(file)], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
