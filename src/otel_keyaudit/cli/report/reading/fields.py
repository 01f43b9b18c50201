"""Parse and serialize the additional fields of a row as Python's ``json`` does."""

from __future__ import annotations

import json
from typing import Any

import orjson

_TEXT = (str, bytes, bytearray, memoryview)


def parse(fields: Any) -> dict[str, Any] | None:
    """Parse additional fields.

    Args:
        fields: A mapping, or a JSON object as string or bytes. A JSON column may hold such a string as a JSON string.

    Returns:
        The fields as a dict, which is empty if they are empty or not an object; ``None`` if they are not JSON.
    """
    if isinstance(fields, _TEXT):
        fields = _loaded(fields)
        if isinstance(fields, str):
            fields = _loaded(fields) or {}
        if fields is None:
            return None
    return fields if isinstance(fields, dict) else {}


def _loaded(text: Any) -> Any:
    try:
        found = orjson.loads(text)
        return {} if found is None else found
    except orjson.JSONDecodeError:
        return parse_as_python(text)


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
