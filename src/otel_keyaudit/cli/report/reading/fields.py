"""Parse and serialize the additional fields of a row as Python's ``json`` does."""

from __future__ import annotations

import json
from typing import Any

import orjson

_TEXT = (str, bytes, bytearray, memoryview)


def parse(fields: Any) -> dict[str, Any] | None:
    """Parse additional fields.

    Args:
        fields: A mapping, or a JSON object as string or bytes.

    Returns:
        The fields as a dict, which is empty if they are empty or not an object; ``None`` if they are not JSON.
    """
    if isinstance(fields, _TEXT):
        try:
            fields = orjson.loads(fields)
        except orjson.JSONDecodeError:
            fields = parse_as_python(fields)
            if fields is None:
                return None
    return fields if isinstance(fields, dict) else {}


def parse_as_python(text: Any) -> object:
    """Parse JSON that orjson refuses: other encodings, byte order marks, ``NaN``, lone surrogates.

    Returns:
        The value, ``{}`` for an empty string, ``None`` if it is not JSON.
    """
    try:
        text = text.removeprefix("\ufeff") if isinstance(text, str) else bytes(text)
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None


def serialize(value: Any) -> bytes:
    """Serialize parsed JSON, so that equal parts of rows are recognized quickly."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # lone surrogates, and numbers of more than 64 bits
        return json.dumps(value).encode()
