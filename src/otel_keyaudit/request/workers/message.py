"""Write a key into the header of a message, and read it from there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.key.api_key import READERS, ApiKey
from otel_keyaudit.request.attribution import Delegation
from otel_keyaudit.request.context import UsedKey

MAX_BYTES = 32_768
"""Maximum length of the header in bytes: a broker may limit all headers of a message to 128 KiB."""

_DELEGATION = ("on_behalf_of", "actors")


def packed(used: UsedKey, names: Iterable[str] = READERS) -> str:
    """Return a key, or some of its fields, as a string; it holds what its rows hold, and never a secret.

    Raises:
        UnreadableError: The string is too long.
    """
    known: dict[str, Any] = {name: value for name in names if (value := getattr(used.key, name)) is not None}
    known |= {name: value for name in _DELEGATION if (value := getattr(used.delegation, name))}
    text = orjson.dumps(known)
    if len(text) > MAX_BYTES:
        raise UnreadableError(f"a key of more than {MAX_BYTES:,} bytes is not handed over as a whole")
    return text.decode()


def unpacked(text: object) -> UsedKey:
    """Return the key in a string that :func:`packed` has written.

    Raises:
        ValueError: The string is not one that :func:`packed` writes.
    """
    if not isinstance(text, str) or len(text) > MAX_BYTES:
        raise UnreadableError("a key is a string of limited length")
    members = orjson.loads(text)
    if not isinstance(members, dict) or not {"id"} <= members.keys() <= {*READERS, *_DELEGATION}:
        raise UnreadableError("a key is an object with the fields of a key")
    on_behalf_of, actors = members.pop("on_behalf_of", None), members.pop("actors", [])
    if not _is_string(on_behalf_of, None) or not isinstance(actors, list) or not all(map(_is_string, actors)):
        raise UnreadableError("on_behalf_of is a string, and actors are a list of strings")
    used = UsedKey(ApiKey(**members), Delegation(on_behalf_of, tuple(actors), len(actors)), is_job=True)
    if packed(used) != text:
        raise UnreadableError("a key has the form in which it was handed over")
    return used


def _is_string(value: object, *others: object) -> bool:
    return isinstance(value, str) or value in others
