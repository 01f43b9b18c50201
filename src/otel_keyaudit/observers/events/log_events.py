"""Log events: denials, audit writes, and the use of each key, through the OpenTelemetry Logs API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, SeverityNumber, get_logger_provider
from opentelemetry.trace import Span

from otel_keyaudit import names
from otel_keyaudit.errors import class_name
from otel_keyaudit.guard.collection import outside_collection
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.observers.events.termination import Termination
from otel_keyaudit.observers.events.usage import Usage
from otel_keyaudit.request.context import current_request
from otel_keyaudit.request.decisions import decision_attributes
from otel_keyaudit.version import __version__


class EventLogger:
    """Emits log records with an event name.

    Args:
        provider: The logger provider; ``None`` for the global provider.
        faults: Warns once about a missing provider, and counts failures outside of calls of targets.
    """

    def __init__(self, provider: LoggerProvider | None, faults: Faults) -> None:
        self._provider = provider
        self.faults = faults

    def emit(
        self, event_name: str, severity: SeverityNumber, attributes: Mapping[str, Any], span: Span | None = None
    ) -> None:
        """Emit an event in the trace context of a span, by default of the server span."""
        provider = self._provider or get_logger_provider()
        if type(provider).__module__.startswith("opentelemetry._logs"):  # the provider of the API does nothing
            self.faults.warn_once(("events",), "no logger provider is configured, so no event is sent")
            return
        span = span or _server_span()
        context = None if span is None else trace.set_span_in_context(span)
        outside_collection(
            _emit,
            provider,
            event_name=event_name,
            severity_number=severity,
            severity_text=severity.name,
            attributes=dict(attributes),
            context=context,
        )

    def flush(self) -> None:
        """Make the provider export its buffered records."""
        provider = self._provider or get_logger_provider()
        if hasattr(provider, "force_flush"):  # only the provider of the SDK has it
            provider.force_flush()


def _emit(provider: LoggerProvider, **record: Any) -> None:
    """Emit a log record. Already looking up the logger waits for a lock of the provider."""
    provider.get_logger("otel_keyaudit", __version__).emit(**record)


def _server_span() -> Span | None:
    """Return the server span of the request, ``None`` if the current span belongs to its trace."""
    request = current_request()
    server_span = None if request is None else request.server_span
    if server_span is None:
        return None
    current = trace.get_current_span().get_span_context()
    return None if current.trace_id == server_span.get_span_context().trace_id else server_span


class Events:
    """Sends the configured events.

    Args:
        kinds: ``denials``, ``audits``, ``usage``.
        logger: Emits the events.
        max_items: Maximum length of a list in an event.
    """

    def __init__(self, kinds: tuple[str, ...], logger: EventLogger, max_items: int) -> None:
        self._has_denials, self._has_audits = "denials" in kinds, "audits" in kinds
        self._logger = logger
        self._max_items = max_items
        self._usage = Usage(self._used) if "usage" in kinds else None
        self._termination = Termination(self._flush)

    def before_serving(self) -> None:
        """Prepare for SIGTERM in this process, which a server may have forked."""
        self._termination.watch()

    def close(self) -> None:
        """Send the remaining usage, and stop."""
        self._termination.close()
        if self._usage is not None:
            self._usage.close()

    def _flush(self) -> None:
        if self._usage is not None:
            self._usage.flush()
        self._logger.flush()

    def used(self, key: ApiKey) -> None:
        """Count an accepted authentication."""
        if self._usage is not None:
            self._usage.authenticated(key)

    def denied(self, reason: str, refused: ApiKey | None) -> None:
        """Send the denial of an authentication."""
        if self._has_denials:
            attributes = {names.OUTCOME: names.DENIED, names.DENIED_REASON: reason}
            if refused is not None:
                attributes[names.DENIED_KEY_ID] = refused.id
            self._logger.emit(names.EVENT_DENIAL, SeverityNumber.WARN, attributes)

    def decided(self, decision: Decision, key: ApiKey | None, *, is_refused: bool) -> None:
        """Count a decision, and send it if it is a denial or an error.

        Args:
            decision: The decision.
            key: The key that explains it.
            is_refused: An authentication inside the check refused or withdrew the key.
        """
        if self._usage is not None and key is not None:
            self._usage.decided(key, decision)
        if self._has_denials and decision.outcome != names.GRANTED:
            attributes = {} if key is None else {names.DENIED_KEY_ID: key.id} if is_refused else _identity(key)
            attributes |= decision_attributes(decision.members(self._max_items))
            severity = SeverityNumber.ERROR if decision.outcome == names.ERROR else SeverityNumber.WARN
            self._logger.emit(names.EVENT_DENIAL, severity, attributes)

    def written(self, attributes: Mapping[str, Any], error: BaseException | None, span: Span | None) -> None:
        """Send an audit write that ended.

        Args:
            attributes: The attributes of the audit span, with the lists for a full row.
            error: The exception that the write raised.
            span: The audit span.
        """
        if self._has_audits:
            severity = SeverityNumber.INFO if error is None else SeverityNumber.ERROR
            if error is not None:
                attributes = {**attributes, names.ERROR_TYPE: class_name(error)}
            self._logger.emit(names.EVENT_AUDIT, severity, attributes, span)

    def _used(self, key: ApiKey, usage: Mapping[str, Any]) -> None:
        attributes = {**_identity(key), names.KEY_DIGEST: key.digest, **usage}
        guard = GuardedCall(self._logger.faults, "usage events")
        event = names.EVENT_USAGE, SeverityNumber.INFO, attributes, trace.INVALID_SPAN
        guard.guarded(names.STAGE_TELEMETRY, self._logger.emit, *event)


def _identity(key: ApiKey) -> dict[str, Any]:
    return {names.KEY_ID: key.id} if key.name is None else {names.KEY_ID: key.id, names.KEY_NAME: key.name}
