"""The same work written by hand, as a good engineer would write it. All figures of the library are ratios to this code.

``F1`` sets exactly the attributes that the library sets, on the same spans, in as few calls as possible, and writes the
same row. ``F2`` also searches for the presented credential, renames a foreign member with the reserved name, and has
one ``try``. ``F3`` also counts with two OpenTelemetry counters. The digest is computed beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.metrics import Counter
from opentelemetry.trace import Span, Tracer

from benchmarks import application
from benchmarks.application import Key

Write = Callable[[Span, Key, tuple[str, str, str], Any], Any]


@dataclass(frozen=True)
class ByHand:
    """Authentication and audit write by hand.

    Attributes:
        tracer: Starts audit spans.
        audit_spans: Whether each write has a span.
        is_careful: Whether it does the work of F2: credential, reserved name, ``try``.
        counters: The counters of authentications and writes, for F3.
    """

    tracer: Tracer
    audit_spans: bool
    is_careful: bool = False
    counters: tuple[Counter, Counter] | None = None

    def handle(self, credential: str, action: tuple[str, str, str], fields: Any) -> Any:
        """Authenticate one request and write one row; return the row."""
        key = application.verify(credential)
        if key is None:
            return application.record(*action, fields)
        span = trace.get_current_span()
        if not self.is_careful:
            self._authenticated(span, key)
            return self._written(span, key, action, fields)
        try:
            if credential in key.name or credential in key.id:
                key = None
            else:
                self._authenticated(span, key)
        except Exception:  # noqa: BLE001 - as by hand
            key = None
        return application.record(*action, fields) if key is None else self._written(span, key, action, fields)

    def _authenticated(self, span: Span, key: Key) -> None:
        span.set_attributes(
            {
                "keyaudit.key.id": key.id,
                "keyaudit.key.name": key.name,
                "keyaudit.key.digest": key.digest,
                "keyaudit.key.scopes": key.scopes,
                "keyaudit.key.allow_list": key.allow_list,
                "keyaudit.detail": "full",
                "keyaudit.outcome": "accepted",
            }
        )
        if self.counters is not None:
            self.counters[0].add(1, {"keyaudit.outcome": "accepted"})

    def _written(self, span: Span, key: Key, action: tuple[str, str, str], fields: Any) -> Any:
        verb, resource_type, resource_id = action
        attributes = {
            "keyaudit.action": verb,
            "keyaudit.resource.type": resource_type,
            "keyaudit.resource.id": resource_id,
        }
        if self.counters is not None:
            self.counters[1].add(1, {"keyaudit.attribution": "attributed", "keyaudit.detail": "full"})
        if not self.audit_spans:
            span.set_attributes(attributes)
            return application.record(*action, self._with_key(span, key, fields))
        attributes |= {
            "keyaudit.key.id": key.id,
            "keyaudit.key.name": key.name,
            "keyaudit.key.digest": key.digest,
            "keyaudit.detail": "full",
        }
        with self.tracer.start_as_current_span(f"audit {verb}", attributes=attributes) as audit_span:
            return application.record(*action, self._with_key(audit_span, key, fields))

    def _with_key(self, span: Span, key: Key, fields: Any) -> Any:
        member: dict[str, Any] = {
            "id": key.id,
            "name": key.name,
            "digest": key.digest,
            "detail": "full",
            "scopes": list(key.scopes),
            "allow_list": list(key.allow_list),
        }
        context = span.get_span_context()
        if context.is_valid:
            member["trace_id"] = trace.format_trace_id(context.trace_id)
            member["span_id"] = trace.format_span_id(context.span_id)
        if isinstance(fields, str):
            return json.dumps(self._merged(json.loads(fields), member))
        return self._merged(dict(fields), member)

    def _merged(self, fields: dict[str, Any], member: dict[str, Any]) -> dict[str, Any]:
        if self.is_careful and "request_api_key" in fields:
            fields["request_api_key_unverified"] = fields.pop("request_api_key")
        fields["request_api_key"] = member
        return fields
