"""Search recorded output for a secret: plain, escaped, or encoded as base64 (also within other data), URL or hex.

ASGI and WSGI decode header bytes as Latin-1, so a secret that is not ASCII is searched for in that form, too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

_MIN_LENGTH = 4


def texts(value: Any) -> Iterator[str]:
    """Yield every string in a value: names and values of mappings, elements of lists, fields of dataclasses."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (bytes, bytearray)):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping):
        yield from texts([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple, set, frozenset)):
        for element in value:
            yield from texts(element)
    elif is_dataclass(value):
        yield from texts([getattr(value, field.name) for field in fields(value)])
    else:
        yield str(value)


def finder(secret: str | bytes) -> Callable[[str], str | None]:
    """Return a function that returns the form in which a string contains a secret, ``None`` if it does not.

    Raises:
        ValueError: The secret is so short that it would be found by chance.
    """
    raw = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else bytes(secret)
    if len(raw) < _MIN_LENGTH:
        raise ValueError(f"a secret of fewer than {_MIN_LENGTH} bytes would be found by chance")
    plain = raw.decode("utf-8", "replace") if isinstance(secret, bytes) else secret
    escaped = {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], repr(plain)[1:-1]}
    encoded = {form for offset in range(3) for form in _base64(raw, offset)}
    searches: dict[str, Callable[[str], bool]] = {
        "as it is": lambda text: plain in text,
        "escaped": lambda text: any(form in text for form in escaped),
        "in base64": lambda text: any(form in text for form in encoded),
        "read as Latin-1": lambda text: raw.decode("latin-1") in text,
        "in URL form": lambda text: plain in unquote(text) or plain in unquote_plus(text),
        "in hex": lambda text: raw.hex() in text.lower(),
    }
    return lambda text: next((form for form, holds in searches.items() if holds(text)), None)


def _base64(raw: bytes, offset: int) -> tuple[str, str]:
    """Encode a secret in both base64 alphabets at an offset in a group of three bytes, without shared characters."""
    first, end = (offset * 8 + 5) // 6, (offset + len(raw)) * 8 // 6
    padded = bytes(offset) + raw
    return base64.b64encode(padded).decode()[first:end], base64.urlsafe_b64encode(padded).decode()[first:end]
