"""Record rows, spans, metrics and logs in the tests of a service, and assert that they name the right key."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, Sum
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Span, SpanKind

from otel_keyaudit import names
from otel_keyaudit.errors import WrongTargetError
from otel_keyaudit.installation.status import TargetStatus
from otel_keyaudit.instrumentor import KeyAuditInstrumentor
from otel_keyaudit.settings import PROVIDERS, resolve
from otel_keyaudit.targets.target import AuditTarget
from otel_keyaudit.testing import secret_search
from otel_keyaudit.testing.row_observer import RowObserver

_PLAIN_LOG_RECORD = vars(logging.makeLogRecord({})).keys()


def assert_names(row: Any, key_id: str, *, member: str = "request_api_key") -> Mapping[str, Any]:
    """Assert that a row names this key and no other; return the member with its snapshot.

    Args:
        row: Additional fields, as a mapping or as JSON, or a row that has them in ``additional_fields``.
        key_id: The id of the key.
        member: The member of the additional fields; ``api_key`` for the key that is the subject.

    Raises:
        AssertionError: The row names no key or another one.
    """
    found = _fields_of(row).get(member)
    if not isinstance(found, Mapping) or found.get("id") != key_id:
        raise AssertionError(f"{member} does not name {key_id!r}: {found!r}")
    return found


def assert_names_no_key(row: Any, *, member: str = "request_api_key") -> None:
    """Assert that a row names no key and is not ambiguous.

    Args:
        row: Additional fields, as in ``assert_names``.
        member: The member of the additional fields.

    Raises:
        AssertionError: The row has the member.
    """
    if member in _fields_of(row):
        raise AssertionError(f"{member} is present: {_fields_of(row)[member]!r}")


def _fields_of(row: Any) -> dict[str, Any]:
    fields = dict((json.loads(row or "{}") if isinstance(row, (str, bytes)) else row) or {})
    return _fields_of(fields["additional_fields"]) if "additional_fields" in fields else fields


class Recorder:
    """Instruments for one ``with`` block, with its own providers, and records rows, spans, metrics and logs.

    Attributes:
        rows: Additional fields as the audit targets received them, or built them (``fields=return``). Rows from
            elsewhere, such as a database, can be appended.
        logs: The log records that reached the root logger.
        tracer_provider: The provider of spans. Pass it to HTTP instrumentations, too.
        meter_provider: The provider of metrics.
        span_exporter: The exporter in memory that receives the spans.
        metric_reader: The reader in memory that receives the metrics.

    Args:
        strict: Whether a target that cannot be found is an error. ``instrument(strict=…)`` overrides it.
        keep_rows: Whether to import the modules of audit targets and record their additional fields.
        trace_sampler: The sampler of the tracer provider; by default every span is recorded.
    """

    def __init__(self, *, strict: bool = True, keep_rows: bool = True, trace_sampler: Sampler | None = None) -> None:
        self.rows: list[Any] = []
        self.logs: list[logging.LogRecord] = []
        self.tracer_provider = TracerProvider(trace_sampler, shutdown_on_exit=False)
        self.span_exporter = InMemorySpanExporter()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.span_exporter))
        self.metric_reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.metric_reader], shutdown_on_exit=False)
        self.tracer = self.tracer_provider.get_tracer("otel_keyaudit.testing")
        self._strict = strict
        self._keep_rows = keep_rows
        self._log_handler = _LogHandler(self.logs)
        self._undo = ExitStack()  # of the last call of instrument()

    def __enter__(self) -> Recorder:
        """Start recording log records."""
        logging.getLogger().addHandler(self._log_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Uninstrument; the records remain readable."""
        try:
            self._undo.close()
        finally:
            logging.getLogger().removeHandler(self._log_handler)

    def instrument(self, **options: Any) -> None:
        """Call ``KeyAuditInstrumentor().instrument()`` with these options and the recorder's providers.

        Args:
            **options: The options of ``KeyAuditInstrumentor().instrument()``.

        Raises:
            ConfigurationError: An option is wrong.
            RuntimeError: The library is instrumented already.
        """
        instrumentor = KeyAuditInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            raise RuntimeError("keyaudit is instrumented already, so nothing would be recorded here")
        self._undo.close()  # so that no row is recorded twice after an uninstrument()
        observers = [RowObserver(target, self.rows) for target in self._audit_targets(options)]
        self._install([observer for observer in observers if not observer.is_outside])
        providers = {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}
        instrumentor.instrument(**{"strict": self._strict, **providers, **options})
        self._undo.callback(self.uninstrument)
        self._install([observer for observer in observers if observer.is_outside])

    def uninstrument(self) -> None:
        """Restore the application before the end of the block."""
        instrumentor = KeyAuditInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()

    def _audit_targets(self, options: Mapping[str, Any]) -> Iterable[AuditTarget]:
        if not self._keep_rows:
            return ()
        without_providers = {name: value for name, value in options.items() if name not in PROVIDERS}
        return resolve(without_providers, os.environ).audit_targets

    def _install(self, observers: Iterable[RowObserver]) -> None:
        for observer in observers:
            with suppress(WrongTargetError):  # instrument() reports it
                self._undo.callback(observer.install().undo)

    def status(self) -> dict[str, TargetStatus]:
        """Return the status of each target, by the target as written."""
        return {status.target: status for status in KeyAuditInstrumentor().status()}

    @contextmanager
    def request(self, name: str = "GET /") -> Iterator[Span]:
        """Run a block as a request, inside a server span, for code that no server calls.

        Args:
            name: The name of the span.
        """
        with self.tracer.start_as_current_span(name, kind=SpanKind.SERVER) as span:
            yield span

    @property
    def spans(self) -> list[ReadableSpan]:
        """The ended spans, in the order in which they ended."""
        return list(self.span_exporter.get_finished_spans())

    def server_spans(self) -> list[ReadableSpan]:
        """Return the server spans that have ended."""
        return [span for span in self.spans if span.kind is SpanKind.SERVER]

    def server_span(self) -> dict[str, Any]:
        """Return this library's attributes on the server span.

        Raises:
            AssertionError: Not exactly one server span has ended.
        """
        spans = self.server_spans()
        if len(spans) != 1:
            raise AssertionError(f"{len(spans)} server spans have ended, not one")
        return keyaudit_attributes(spans[0])

    def audit_spans(self) -> list[ReadableSpan]:
        """Return the spans of audit writes that have ended."""
        return [span for span in self.spans if span.name.split()[0] == "audit"]

    @property
    def metrics(self) -> list[Metric]:
        """The current metrics."""
        data = self.metric_reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return [metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics]

    def counters(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], int]:
        """Return the value of each counter by its name and attributes."""
        return {
            (metric.name, frozenset((point.attributes or {}).items())): int(cast("Any", point).value)
            for metric in self.metrics
            if isinstance(metric.data, Sum)
            for point in metric.data.data_points
        }

    def count(self, metric: str, attributes: Mapping[str, Any] | None = None) -> int:
        """Return the sum of a counter over all points that have at least these attributes."""
        wanted = set((attributes or {}).items())
        return sum(value for (name, found), value in self.counters().items() if name == metric and wanted <= found)

    def writes(self) -> dict[str, int]:
        """Return the number of calls of audit targets: ``attributed``, ``ambiguous``, ``none``, ``failed``."""
        kinds = (names.ATTRIBUTED, names.AMBIGUOUS_REQUEST, names.NO_KEY, names.FAILED)
        return dict.fromkeys(kinds, 0) | self._counts(names.METRIC_WRITES, names.ATTRIBUTION)

    def authentications(self) -> dict[str, int]:
        """Return the number of authentications: ``accepted``, ``denied``."""
        return {names.ACCEPTED: 0, names.DENIED: 0} | self._counts(names.METRIC_AUTHENTICATIONS, names.OUTCOME)

    def degraded(self) -> dict[str, int]:
        """Return the number of failures by stage; an empty dict if there were none."""
        return self._counts(names.METRIC_DEGRADED, names.STAGE)

    def errors(self) -> dict[tuple[str, str], int]:
        """Return the number of failures by stage and ``error.type``."""
        points = [
            (dict(found), value) for (name, found), value in self.counters().items() if name == names.METRIC_DEGRADED
        ]
        return {(found[names.STAGE], found[names.ERROR_TYPE]): value for found, value in points}

    def clear(self) -> None:
        """Forget the rows, spans and log records so far. Counters keep their values."""
        self.rows.clear()
        self.logs.clear()
        self.span_exporter.clear()

    def _counts(self, metric: str, attribute: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for (name, attributes), value in self.counters().items():
            if name == metric:
                kind = str(dict(attributes)[attribute])
                counts[kind] = counts.get(kind, 0) + value
        return counts

    def assert_no_secret(self, *secrets: str | bytes) -> None:
        """Assert that no span, metric, log record or row contains a secret, plain or encoded (see ``secret_search``).

        Args:
            *secrets: Secrets of at least four bytes each. A failure shows only their numbers.

        Raises:
            AssertionError: An output contains a secret.
        """
        outputs = [
            *((f"span {span.name!r}", _parts_of_span(span)) for span in self.spans),
            *((f"metric {metric.name!r}", metric) for metric in self.metrics),
            *((f"a record of the logger {record.name!r}", _parts_of_log(record)) for record in self.logs),
            *((f"row {number}", row) for number, row in enumerate(self.rows)),
        ]
        texts = [(where, text) for where, output in outputs for text in secret_search.texts(output)]
        for number, form_in in enumerate(map(secret_search.finder, secrets)):
            for where, text in texts:
                if form := form_in(text):
                    raise AssertionError(f"secret {number} is in {where}, {form}")


def keyaudit_attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return this library's attributes of a span."""
    return {name: value for name, value in (span.attributes or {}).items() if name.startswith("keyaudit.")}


def _parts_of_span(span: ReadableSpan) -> list[Any]:
    inner = [(event.name, event.attributes) for event in span.events] + [("", link.attributes) for link in span.links]
    return [span.name, span.attributes, span.status.description, span.resource.attributes, inner]


def _parts_of_log(record: logging.LogRecord) -> list[Any]:
    extra = {name: value for name, value in vars(record).items() if name not in _PLAIN_LOG_RECORD}
    return [logging.Formatter().format(record), extra]


class _LogHandler(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._records.append(record)


try:
    import pytest
except ModuleNotFoundError:
    pass  # the recorder does not need pytest
else:

    @pytest.fixture
    def keyaudit_recorder() -> Iterator[Recorder]:
        """Provide a recorder for one test: call its ``instrument()``. It uninstruments at the end of the test."""
        with Recorder() as recorder:
            yield recorder
