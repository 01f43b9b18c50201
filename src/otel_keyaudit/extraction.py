"""From a key object to an :class:`ApiKey`: only declared fields are read, each on its own, so a failure costs one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from otel_keyaudit.api_key import READERS, ApiKey
from otel_keyaudit.calls import Call, Reader
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard import GuardedCall
from otel_keyaudit.snapshot import CACHED_SNAPSHOTS


def read_key(moment: GuardedCall, stage: str, readers: Mapping[str, Reader], call: Call, key: Any) -> ApiKey | None:
    """Return the snapshot of a key object.

    Args:
        moment: Counts what cannot be read.
        stage: As what it is counted.
        readers: Field name to how it is read.
        call: The call, for fields that start from it.
        key: The key object.

    Returns:
        The snapshot, in which a field that cannot be read is unknown; ``None`` when the id cannot be read.
    """
    if issubclass(type(key), ApiKey):  # a proxy only says that it is one, and may lead to another key tomorrow
        return cast("ApiKey", key)
    fields: dict[str, Any] = {}
    remaining = iter(readers.items())
    for _ in readers:  # at most one of them fails at a time, which is counted, and the others are still to come
        if moment.guarded(stage, _read_fields, fields, remaining, call, key):
            break
    return None if fields.get("id") is None else _key(**fields)


@lru_cache(CACHED_SNAPSHOTS)
def _key(**fields: Any) -> ApiKey:
    """Return the key with these fields, which are in canonical form: the same object for the same content."""
    return ApiKey(**fields)


def _read_fields(fields: dict[str, Any], remaining: Iterator[tuple[str, Reader]], call: Call, key: Any) -> bool:
    for name, read in remaining:
        fields[name] = _read_field(name, read, call, key)
    return True


def _read_field(name: str, read: Reader, call: Call, key: Any) -> Any:
    value = read(call, key)
    if value is None:
        if name == "id":
            raise UnreadableError("the key has no id")
        return None
    try:
        return READERS[name](value)
    except UnreadableError as error:
        raise UnreadableError(f"field {name!r}: {error}") from None
