"""The same work written by hand, as a good engineer would: what every figure of ours is held against.

It does no more than it must. The digest comes with the key, the attributes of the audit span are given at its start,
and there is nothing of what the library does beside (guards, bounds, forged members, several keys, metrics).
"""

from __future__ import annotations

import json
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Tracer

from benchmarks import application
from benchmarks.application import Key


def authenticate(api_key: str) -> Key | None:
    """Authenticate, and show the key on the server span."""
    key = application.verify(api_key)
    if key is not None:
        span = trace.get_current_span()
        span.set_attribute("keyaudit.key.id", key.id)
        span.set_attribute("keyaudit.key.name", key.name)
        span.set_attribute("keyaudit.key.scopes", key.scopes)
        span.set_attribute("keyaudit.key.allow_list", key.allow_list)
    return key


def record(key: Key | None, action: str, resource_type: str, resource_id: str, additional_fields: Any) -> Any:
    """Write an audit row that holds the key."""
    if key is not None:
        additional_fields = with_key(additional_fields, key)
    return application.record(action, resource_type, resource_id, additional_fields)


def record_in_span(
    tracer: Tracer, key: Key | None, action: str, resource_type: str, resource_id: str, additional_fields: Any
) -> Any:
    """Write an audit row that holds the key, in a span of its own."""
    attributes = {
        "keyaudit.action": action,
        "keyaudit.resource.type": resource_type,
        "keyaudit.resource.id": resource_id,
    }
    if key is not None:
        attributes["keyaudit.key.id"] = key.id
        attributes["keyaudit.key.name"] = key.name
        attributes["keyaudit.key.digest"] = key.digest
        attributes["keyaudit.detail"] = "full"
    with tracer.start_as_current_span(f"audit {action}", attributes=attributes):
        return record(key, action, resource_type, resource_id, additional_fields)


def with_key(additional_fields: Any, key: Key) -> Any:
    """Return additional fields, JSON text or a dict, with the key in them."""
    member: dict[str, Any] = {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "detail": "full",
        "scopes": list(key.scopes),
        "allow_list": list(key.allow_list),
    }
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        member["trace_id"] = trace.format_trace_id(context.trace_id)
        member["span_id"] = trace.format_span_id(context.span_id)
    if isinstance(additional_fields, str):
        decoded = json.loads(additional_fields)
        decoded["request_api_key"] = member
        return json.dumps(decoded)
    return {**additional_fields, "request_api_key": member}
