"""Read rows and events from JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from otel_keyaudit.cli.report.reading.entries import Entry, Unreadable
from otel_keyaudit.cli.report.reading.events import OTLP, read_events
from otel_keyaudit.cli.report.reading.fields import parse_as_python

_UNREADABLE = Unreadable()


def read_lines(lines: Iterable[bytes], request_field: str) -> Iterator[Entry]:
    """Read the entries of JSON lines, each of which is a row or a line of OTLP JSON.

    A row has the columns as members. In a line without ``additional_fields``, the other members are the fields, as a
    logging library writes them.

    Args:
        lines: The lines, with or without line breaks. Empty lines are skipped.
        request_field: Name of the member that names the key of the request.
    """
    for line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            if not line.strip():
                continue
            row = parse_as_python(line)
        if not isinstance(row, dict):
            yield _UNREADABLE
            continue
        read = row.get
        if "additional_fields" in row or not any(name in row for name in OTLP):
            fields = read("additional_fields", row)
            yield (
                read("at"), read("action"), read("resource_type"), read("resource_id"), read("outcome"), fields
            )  # fmt: skip
        else:
            yield from read_events(row, request_field)
