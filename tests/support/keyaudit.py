"""The library under test with telemetry of its own, and modules that last for one test."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Span, SpanKind

from otel_keyaudit import KeyAuditInstrumentor, TargetStatus

Counts = dict[tuple[str, frozenset[tuple[str, Any]]], int | float]


class KeyAudit:
    """Instruments with providers of its own, and says what arrived there.

    Args:
        trace_sampler: The sampler of the tracer provider, for what must not depend on it.
    """

    def __init__(self, trace_sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(trace_sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracer = self.tracer_provider.get_tracer("tests")

    def instrument(self, **options: Any) -> None:
        """Instrument with these options and our providers."""
        providers = {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}
        KeyAuditInstrumentor().instrument(**{**providers, **options})

    def uninstrument(self) -> None:
        """Restore everything."""
        KeyAuditInstrumentor().uninstrument()

    def status(self) -> dict[str, TargetStatus]:
        """Return the status of each target by the target as written."""
        return {status.target: status for status in KeyAuditInstrumentor().status()}

    @contextmanager
    def request(self, name: str = "GET /") -> Iterator[Span]:
        """Run a block as a request of its own, by a server span."""
        with self.tracer.start_as_current_span(name, kind=SpanKind.SERVER) as span:
            yield span

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan]:
        """Return the spans that have ended, in the order of their ends."""
        return [span for span in self.exporter.get_finished_spans() if kind is None or span.kind is kind]

    def server_span(self) -> dict[str, Any]:
        """Return our attributes on the one server span that has ended."""
        (span,) = self.spans(SpanKind.SERVER)
        return keyaudit_attributes(span)

    def audit_spans(self) -> list[ReadableSpan]:
        """Return the spans of audit writes that have ended."""
        return [span for span in self.spans() if span.name.split()[0] == "audit"]

    def metrics(self) -> Counts:
        """Return every counter value by name and attributes."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            (metric.name, frozenset((point.attributes or {}).items())): point.value
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if isinstance(metric.data, Sum)
            for point in metric.data.data_points
        }

    def count(self, metric: str, attributes: Mapping[str, Any] | None = None) -> int | float:
        """Return a counter's sum over all points that have at least these attributes."""
        wanted = set((attributes or {}).items())
        return sum(value for (name, found), value in self.metrics().items() if name == metric and wanted <= found)

    def writes(self) -> dict[str, int | float]:
        """Return how many writes there were of each attribution."""
        kinds = ("attributed", "ambiguous", "none", "failed")
        return {kind: self.count("keyaudit.audit.writes", {"keyaudit.attribution": kind}) for kind in kinds}

    def degraded(self) -> dict[tuple[str, str], int | float]:
        """Return how often each stage was degraded, by stage and kind of error."""
        return {
            (dict(attributes)["keyaudit.stage"], dict(attributes)["error.type"]): value
            for (name, attributes), value in self.metrics().items()
            if name == "keyaudit.degraded"
        }


def keyaudit_attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return our attributes of a span."""
    return {name: value for name, value in (span.attributes or {}).items() if name.startswith("keyaudit.")}


class Modules:
    """Makes modules on disk that can be imported during one test.

    Args:
        folder: A folder that is on ``sys.path``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: list[str] = []

    def write(self, source: str, name: str | None = None) -> str:
        """Write a module without importing it; return its name."""
        name = name or f"keyaudit_app_{len(self._names)}_{self.folder.parent.name}".replace("-", "_")
        path = self.folder.joinpath(*name.split(".")).with_suffix(".py")
        for package in [parent for parent in path.parents if parent.is_relative_to(self.folder)][:-1]:
            package.mkdir(exist_ok=True, parents=True)
            package.joinpath("__init__.py").touch()
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        self._names.append(name)
        importlib.invalidate_caches()
        return name

    def load(self, source: str, name: str | None = None) -> ModuleType:
        """Write a module and import it."""
        return importlib.import_module(self.write(source, name))

    def forget(self) -> None:
        """Make Python forget all of them."""
        packages = {name.partition(".")[0] for name in self._names}
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]


LoadModule = Callable[..., ModuleType]
