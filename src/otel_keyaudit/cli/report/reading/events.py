"""Read the library's log events from OTLP-JSON lines, as ``opentelemetry-exporter-otlp-json-file`` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from otel_keyaudit import names
from otel_keyaudit.cli.report.reading.entries import Entry, Refusal, Usage
from otel_keyaudit.cli.report.reading.times import read_time

OTLP = ("resourceLogs", "resourceSpans", "resourceMetrics")
"""Members that distinguish a line of OTLP JSON from a row."""

_INTEGER = re.compile("-?[0-9]{1,19}")
_KEY = "keyaudit.key."
_DECISION = "keyaudit.decision."
_USAGE = "keyaudit.usage."


def read_events(line: Mapping[str, Any], request_field: str) -> Iterator[Entry]:
    """Read the library's events from one line of OTLP JSON, and skip spans, metrics and other records.

    Args:
        line: The parsed line.
        request_field: Name of the member that names the key of the request.
    """
    for resource in _list(line.get("resourceLogs")):
        for scope in _list(resource.get("scopeLogs")):
            for record in _list(scope.get("logRecords")):
                if read := _READERS.get(_string(record.get("eventName"))):
                    yield from read(record, _attributes(record), request_field)


def _attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        attribute["key"]: _value(attribute.get("value"))
        for attribute in _list(record.get("attributes"))
        if isinstance(attribute.get("key"), str)
    }


def _value(value: object) -> Any:
    """Return the value of an attribute. 64-bit integers are strings in OTLP JSON."""
    if not isinstance(value, Mapping):
        return None
    for kind, content in value.items():
        if kind == "arrayValue":
            return [_value(element) for element in _list(content.get("values"))] if isinstance(content, Mapping) else []
        if kind == "intValue":
            return _integer(content)
        return content
    return None


def _list(value: object) -> list[Any]:
    return [element for element in value if isinstance(element, Mapping)] if isinstance(value, list) else []


def _integer(value: object) -> int | None:
    """Return a number of at most 64 bits, which OTLP JSON writes as a string of digits or as a number."""
    digits = str(value)
    return int(digits) if _INTEGER.fullmatch(digits) else None


def _at(record: Mapping[str, Any]) -> datetime | None:
    nanoseconds = _integer(record.get("timeUnixNano")) or _integer(record.get("observedTimeUnixNano"))
    return read_time(nanoseconds) if nanoseconds else None


def _audit(record: Mapping[str, Any], attributes: Mapping[str, Any], request_field: str) -> Iterator[Entry]:
    """Convert the event of an audit write into the row that was written."""
    member = _member(record, attributes)
    read = attributes.get
    yield (
        _at(record),
        read(names.ACTION),
        read(names.RESOURCE_TYPE),
        read(names.RESOURCE_ID),
        read(names.AUDIT_OUTCOME),
        {request_field: member} if member else {},
    )


def _member(record: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    location = {"trace_id": record.get("traceId") or None, "span_id": record.get("spanId") or None}
    if attributes.get(names.AMBIGUOUS) is True:
        return {"ambiguous": True, "ids": attributes.get(names.KEY_IDS), **location}
    if not attributes.get(names.KEY_ID):
        return None
    member = {name[len(_KEY) :]: value for name, value in attributes.items() if name.startswith(_KEY)}
    member |= {"detail": attributes.get(names.DETAIL), **location}
    permissions = member.pop("permissions", None)
    if permissions is not None:
        member["effective_scope"] = {"permissions": permissions}
    if decision := _decision(attributes):
        member["decisions"] = [decision]
    return member


def _decision(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name[len(_DECISION) :]: value for name, value in attributes.items() if name.startswith(_DECISION)}


def _denial(record: Mapping[str, Any], attributes: Mapping[str, Any], _: str) -> Iterator[Entry]:
    yield Refusal(
        time=_at(record),
        key_id=_string(attributes.get(names.KEY_ID)) or _string(attributes.get(names.DENIED_KEY_ID)),
        name=_string(attributes.get(names.KEY_NAME)),
        decision=_decision(attributes) or None,
        reason=_string(attributes.get(names.DENIED_REASON)),
        trace_id=_string(record.get("traceId")),
    )


def _usage(record: Mapping[str, Any], attributes: Mapping[str, Any], _: str) -> Iterator[Entry]:
    key_id = _string(attributes.get(names.KEY_ID))
    if key_id is None:
        return
    columns = [attributes.get(_USAGE + name) for name in ("permissions", "outcomes", "counts", "last")]
    lists = [column if isinstance(column, list) else [] for column in columns]
    requests = attributes.get(_USAGE + "requests")
    yield Usage(
        key_id=key_id,
        name=_string(attributes.get(names.KEY_NAME)),
        digest=_string(attributes.get(names.KEY_DIGEST)),
        start=read_time(attributes.get(_USAGE + "from")),
        end=read_time(attributes.get(_USAGE + "to")) or _at(record),
        requests=requests if isinstance(requests, int) else 0,
        decisions=tuple(
            (permission, outcome, count, read_time(last))
            for permission, outcome, count, last in zip(*lists, strict=False)
            if isinstance(permission, str) and isinstance(outcome, str) and isinstance(count, int)
        ),
    )


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


_READERS: Final[Mapping[str | None, Callable[[Mapping[str, Any], Mapping[str, Any], str], Iterator[Entry]]]] = {
    "keyaudit.audit": _audit,
    "keyaudit.denial": _denial,
    "keyaudit.usage": _usage,
}
