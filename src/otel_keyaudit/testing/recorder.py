"""For the tests of a service that uses this package: records what comes out, and asserts things about it.

With pytest, ``from otel_keyaudit.testing import keyaudit_recorder`` in a ``conftest.py`` makes the fixture; without it,
``with Recorder() as recorder:`` is the same. ``examples/testing`` is a service tested in this way.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_keyaudit import names
from otel_keyaudit.instrumentor import KeyAuditInstrumentor
from otel_keyaudit.patching.patch import WrongTargetError
from otel_keyaudit.settings import resolve
from otel_keyaudit.testing import secret_search
from otel_keyaudit.testing.row_observer import RowObserver

_PLAIN_LOG_RECORD = vars(logging.makeLogRecord({})).keys()


def assert_names(row: Any, key_id: str, *, member: str = "request_api_key") -> Mapping[str, Any]:
    """Assert that a row names this key and no other one; return what it says of it.

    Args:
        row: Additional fields, as a mapping or as JSON; or a row that has them in ``additional_fields``.
        key_id: The id.
        member: ``api_key`` for the key that the row is about.
    """
    found = _fields_of(row).get(member)
    if not isinstance(found, Mapping) or found.get("id") != key_id:
        raise AssertionError(f"{member} does not name {key_id!r}: {found!r}")
    return found


def assert_names_no_key(row: Any, *, member: str = "request_api_key") -> None:
    """Assert that a row names no key, nor several; the arguments are those of :func:`assert_names`."""
    if member in _fields_of(row):
        raise AssertionError(f"{member} is there: {_fields_of(row)[member]!r}")


def _fields_of(row: Any) -> dict[str, Any]:
    fields = dict((json.loads(row or "{}") if isinstance(row, (str, bytes)) else row) or {})
    return _fields_of(fields["additional_fields"]) if "additional_fields" in fields else fields


class Recorder:
    """Instruments with telemetry of its own for one ``with`` block, and keeps what comes out.

    Attributes:
        rows: Additional fields as the audit targets received them (or built them, with ``fields=return``). Rows from
            elsewhere, such as a database, can be appended.
        logs: The log records that reached the root logger.
        tracer_provider: Where spans are recorded; HTTP instrumentations can be given it, too.
        meter_provider: Where metrics are recorded.
    """

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.logs: list[logging.LogRecord] = []
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self._undo = ExitStack()

    def __enter__(self) -> Recorder:
        """Begin to record what is logged."""
        handler = _LogHandler(self.logs)
        logging.getLogger().addHandler(handler)
        self._undo.callback(logging.getLogger().removeHandler, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Uninstrument; what was recorded can still be read."""
        self._undo.close()

    def instrument(self, **options: Any) -> None:
        """Instrument, strictly unless told otherwise: in a test, a target that cannot be found is an error.

        Args:
            **options: Those of ``KeyAuditInstrumentor().instrument()``. The modules of audit targets are imported.

        Raises:
            ConfigurationError: An option is wrong.
            RuntimeError: It is instrumented already.
        """
        instrumentor = KeyAuditInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            raise RuntimeError("keyaudit is instrumented already, so nothing would be recorded here")
        observers = [RowObserver(target, self.rows) for target in resolve(options, os.environ).audit_targets]
        self._install([observer for observer in observers if not observer.is_outside])
        providers = {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}
        instrumentor.instrument(**{"strict": True, **options, **providers})
        self._undo.callback(instrumentor.uninstrument)
        self._install([observer for observer in observers if observer.is_outside])

    def _install(self, observers: Iterable[RowObserver]) -> None:
        for observer in observers:
            with suppress(WrongTargetError):  # which instrument() reports
                self._undo.callback(observer.install().undo)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    @property
    def metrics(self) -> list[Metric]:
        """The metrics as they are now."""
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return [metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics]

    def writes(self) -> dict[str, int]:
        """Return the number of calls of audit targets: ``attributed``, ``ambiguous``, ``none``, ``failed``."""
        kinds = (names.ATTRIBUTED, names.AMBIGUOUS_REQUEST, names.NO_KEY, names.FAILED)
        return dict.fromkeys(kinds, 0) | self._counts(names.METRIC_WRITES, names.ATTRIBUTION)

    def authentications(self) -> dict[str, int]:
        """Return the number of authentications: ``accepted``, ``denied``."""
        return {names.ACCEPTED: 0, names.DENIED: 0} | self._counts(names.METRIC_AUTHENTICATIONS, names.OUTCOME)

    def degraded(self) -> dict[str, int]:
        """Return how often something went wrong, by stage; empty when nothing did."""
        return self._counts(names.METRIC_DEGRADED, names.STAGE)

    def _counts(self, metric: str, attribute: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for point in [point for found in self.metrics if found.name == metric for point in found.data.data_points]:
            value = str((point.attributes or {})[attribute])
            counts[value] = counts.get(value, 0) + int(cast("Any", point).value)
        return counts

    def assert_no_secret(self, *secrets: str | bytes) -> None:
        """Assert that no span, metric, log record or row holds a secret, in whatever form (see ``secret_search``).

        Args:
            *secrets: Of at least four bytes each. A failure names them by number.
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
    pass  # the recorder needs none
else:

    @pytest.fixture
    def keyaudit_recorder() -> Iterator[Recorder]:
        """A recorder for one test: call ``instrument()`` on it; it uninstruments in the end."""
        with Recorder() as recorder:
            yield recorder
