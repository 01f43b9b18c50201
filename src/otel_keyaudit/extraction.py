"""From a key object to an :class:`ApiKey`: only declared fields are read, each on its own, so a failure costs one."""

from __future__ import annotations

from collections.abc import Mapping
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
    fields: dict[str, Any] = {
        name: moment.guarded(stage, _read_field, name, read, call, key) for name, read in readers.items()
    }
    return None if fields.get("id") is None else _key(**fields)


@lru_cache(CACHED_SNAPSHOTS)
def _key(**fields: Any) -> ApiKey:
    """Return the key with these fields, which are in canonical form: the same object for the same content."""
    return ApiKey(**fields)


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
