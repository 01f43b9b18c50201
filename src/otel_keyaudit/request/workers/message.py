"""Encode a key for the header of a message, and decode it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.key.api_key import READERS, ApiKey
from otel_keyaudit.request.attribution import Delegation
from otel_keyaudit.request.context import UsedKey

MAX_BYTES = 32_768
"""Maximum length of the header in bytes. A broker may limit all headers of a message to 128 KiB."""

_DELEGATION = Delegation._fields


def encode_key(used: UsedKey, names: Iterable[str] = READERS) -> str:
    """Encode a key, or some of its fields, as a string. It holds only fields of rows, so never a secret.

    Raises:
        UnreadableError: The string is too long.
    """
    known: dict[str, Any] = {name: value for name in names if (value := getattr(used.key, name)) is not None}
    known |= {name: value for name, value in used.delegation._asdict().items() if value}
    if known.get("actors_count") == len(used.delegation.actors):
        del known["actors_count"]
    text = orjson.dumps(known)
    if len(text) > MAX_BYTES:
        raise UnreadableError(f"a key of more than {MAX_BYTES:,} bytes is too large for a message header")
    return text.decode()


def decode_key(text: object) -> UsedKey:
    """Decode a key that :func:`encode_key` encoded.

    Raises:
        ValueError: :func:`encode_key` cannot have written the string.
    """
    if not isinstance(text, str) or len(text) > MAX_BYTES:
        raise UnreadableError(f"the header of the key is not a string of at most {MAX_BYTES:,} bytes")
    members = orjson.loads(text)
    if not isinstance(members, dict) or not {"id"} <= members.keys() <= {*READERS, *_DELEGATION}:
        raise UnreadableError("the header of the key is not a JSON object with the fields of a key")
    on_behalf_of, actors = members.pop("on_behalf_of", None), members.pop("actors", [])
    if not _is_string(on_behalf_of, None) or not isinstance(actors, list) or not all(map(_is_string, actors)):
        raise UnreadableError("on_behalf_of must be a string, and actors a list of strings")
    count = members.pop("actors_count", len(actors))
    used = UsedKey(ApiKey(**members), Delegation(on_behalf_of, tuple(actors), count), is_propagated=True)
    if not isinstance(count, int) or count < len(actors) or encode_key(used) != text:
        raise UnreadableError("the header of the key is not in the form in which the library writes it")
    return used


def _is_string(value: object, *others: object) -> bool:
    return isinstance(value, str) or value in others
