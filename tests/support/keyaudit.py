"""The names of the harness before the recorder, for tests that do not use ``otel_keyaudit.testing`` yet."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanKind

from otel_keyaudit import KeyAuditInstrumentor
from otel_keyaudit.testing import Recorder, keyaudit_attributes
from support.modules import LoadModule, Modules

__all__ = ["KeyAudit", "LoadModule", "Modules", "keyaudit_attributes"]


class KeyAudit(Recorder):
    """A recorder with the methods of its predecessor."""

    def __init__(self, trace_sampler: Sampler | None = None) -> None:
        super().__init__(strict=False, keep_rows=False, trace_sampler=trace_sampler)

    def instrument(self, **options: Any) -> None:
        """Instrument, also a second time."""
        providers = {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}
        KeyAuditInstrumentor().instrument(**{**providers, **options})

    def uninstrument(self) -> None:
        """Uninstrument, also a second time."""
        KeyAuditInstrumentor().uninstrument()

    @property
    def exporter(self) -> InMemorySpanExporter:
        """The exporter of spans."""
        return self.span_exporter

    @property
    def reader(self) -> InMemoryMetricReader:
        """The reader of metrics."""
        return self.metric_reader

    @reader.setter
    def reader(self, reader: InMemoryMetricReader) -> None:
        self.metric_reader = reader

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan]:  # type: ignore[override]
        """Return the spans that have ended."""
        return [span for span in self.span_exporter.get_finished_spans() if kind is None or span.kind is kind]

    def server_span(self) -> dict[str, Any]:
        """Return our attributes of the server span."""
        (span,) = self.spans(SpanKind.SERVER)
        return keyaudit_attributes(span)

    def audit_spans(self) -> list[ReadableSpan]:
        """Return the spans of audit writes."""
        return [span for span in self.spans() if span.name.split()[0] == "audit"]

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], int]:  # type: ignore[override]
        """Return the counters."""
        return self.counters()

    def counters(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], int]:
        """Return the counters of the reader."""
        return Recorder.counters(_Metrics(self))  # type: ignore[arg-type]

    def degraded(self) -> dict[tuple[str, str], int]:  # type: ignore[override]
        """Return the failures by stage and error."""
        return self.errors()


class _Metrics:
    def __init__(self, recorder: KeyAudit) -> None:
        self.metrics = Recorder.metrics.fget(recorder)  # type: ignore[attr-defined]
