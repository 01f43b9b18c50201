"""Requests to the Django project, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from opentelemetry.trace import SpanKind

from otel_keyaudit.testing import Recorder
from presets.serving import serving_wsgi

ABOUT_THE_ROW = {"digest", "detail", "trace_id", "span_id"}
"""Members of a row that are no fields of the key."""


def requests(recorder: Recorder, path: str, *headers: Mapping[str, str]) -> list[int]:
    """Send requests to the project, one after the other, each over a connection of its own; return the answers."""
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - not everywhere

    with serving_wsgi(get_wsgi_application(), recorder) as address:
        return [httpx.post(f"{address}/{path}", headers=dict(one)).status_code for one in headers]


def server_spans(recorder: Recorder) -> list[dict[str, Any]]:
    """Return our attributes on each server span."""
    spans = [span for span in recorder.spans if span.kind is SpanKind.SERVER]
    return [
        {name: value for name, value in (span.attributes or {}).items() if name.startswith("keyaudit.")}
        for span in sorted(spans, key=lambda span: span.start_time or 0)
    ]


def expected_attributes(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server span shows of a key."""
    return {
        f"keyaudit.key.{name}": tuple(value) if isinstance(value, list) else value for name, value in snapshot.items()
    }
