"""A logger provider that keeps its records in memory, for every supported SDK."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

try:
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
except ImportError:  # its name before SDK 1.43
    from opentelemetry.sdk._logs.export import InMemoryLogExporter as InMemoryLogRecordExporter


def recording_provider() -> tuple[LoggerProvider, Any]:
    """Return a logger provider, and the exporter that keeps its records."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider, exporter
