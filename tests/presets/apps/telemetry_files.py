"""Exporters that ``opentelemetry-instrument`` finds by the name ``file``: lines of JSON, with their process."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData, Sum
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class SpanFile(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append a line for each span."""
        _append("SPAN_FILE", "".join(map(_line, spans)))
        return SpanExportResult.SUCCESS


class CounterFile(MetricExporter):
    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: object) -> MetricExportResult:
        """Append a line with the values of the library's counters so far."""
        scopes = [scope for resource in metrics_data.resource_metrics for scope in resource.scope_metrics]
        counters = [
            (metric.name, dict(point.attributes or {}), point.value)
            for scope in scopes
            if scope.scope.name == "otel_keyaudit"
            for metric in scope.metrics
            if isinstance(metric.data, Sum)
            for point in metric.data.data_points
        ]
        _append("COUNTER_FILE", json.dumps({"process": os.getpid(), "counters": counters}) + "\n")
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        """Nothing is kept back."""
        return True

    def shutdown(self, timeout_millis: float = 0, **_: object) -> None:
        """Nothing is open."""


def _append(variable: str, lines: str) -> None:
    """Append lines in one piece to the file that a variable names."""
    file = os.open(os.environ[variable], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, lines.encode())
    os.close(file)


def _line(span: ReadableSpan) -> str:
    said = {
        "process": os.getpid(),
        "name": span.name,
        "kind": span.kind.name,
        "is_outermost": span.parent is None,
        "trace_id": f"{span.context.trace_id:032x}",
        "attributes": dict(span.attributes or {}),
        "status": span.status.description,
        "events": [(event.name, dict(event.attributes or {})) for event in span.events],
    }
    return json.dumps(said, default=str) + "\n"
