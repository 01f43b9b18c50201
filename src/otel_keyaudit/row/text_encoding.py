"""Detect the encoding of JSON bytes as ``json.loads`` does, and encode the result in the same encoding."""

from __future__ import annotations

import codecs
import json

from otel_keyaudit.errors import UnchangeableError

Bytes = bytes | bytearray | memoryview
"""The types in which JSON bytes are accepted."""

BOM = "\ufeff"
"""The byte order mark, at the beginning of a string."""

# UTF-32 first, because the mark of UTF-32-LE begins with the mark of UTF-16-LE.
_MARKS = (
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF8, "utf-8"),
)


class Encoding:
    """The encoding of some JSON bytes: UTF-8, UTF-16 or UTF-32 in either byte order, with or without a mark.

    Args:
        fields: The bytes.

    Attributes:
        text: The decoded string, without the mark.

    Raises:
        UnchangeableError: The bytes cannot be decoded.
    """

    def __init__(self, fields: Bytes) -> None:
        raw = memoryview(fields).tobytes()  # not ``bytes()``, which a subclass may override
        self._kind = type(fields)
        self._mark, self._name = next(
            ((mark, name) for mark, name in _MARKS if raw.startswith(mark)), (b"", json.detect_encoding(raw))
        )
        try:
            self.text = raw[len(self._mark) :].decode(self._name, "surrogatepass")
        except UnicodeDecodeError:
            raise UnchangeableError(f"the additional fields are bytes that are not {self._name.upper()}") from None

    def encode(self, text: str) -> Bytes:
        """Encode another string in the same encoding, with the same mark, as an object of the same type."""
        raw = self._mark + text.encode(self._name, "surrogatepass")
        if issubclass(self._kind, bytearray):
            return bytearray(raw)
        return memoryview(raw) if self._kind is memoryview else raw
