"""From a key object to an :class:`ApiKey`: only declared fields are read, each on its own, so a failure costs one.

What was read is looked up by its content, so that a key which comes by again is brought into its canonical form once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import orjson

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.guard.guard import run_silently
from otel_keyaudit.key.api_key import READERS, ApiKey
from otel_keyaudit.key.cache import Cache
from otel_keyaudit.targets.call import Call, MemberReader, Reader

Readers = Mapping[str, Reader]

Content = tuple[bytes, Any]
"""What was read of a key object: as bytes, and the values."""

_PLAIN = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""Values of other kinds have no content: two of them may be the same as JSON and not as a key."""


class KeyReader:
    """Reads the key objects of one class.

    Args:
        kind: The class.
        readers: Field name to how it is read.

    Attributes:
        known: Returns the key that has come by with a content, ``None`` for one that is not remembered.
    """

    def __init__(self, kind: type, readers: Readers) -> None:
        self._is_snapshot = issubclass(kind, ApiKey)  # a proxy only says that it is one, and may lead to another key
        self._names = tuple(readers)
        self._readers = () if self._is_snapshot else tuple(readers.values())
        self._known: Cache[bytes, ApiKey] = Cache(lambda key: len(key.emitted))
        self.known: Callable[[bytes], ApiKey | None] = self._known.get
        members = [read for read in self._readers if isinstance(read, MemberReader)]
        self._members = [read.name for read in members]
        self._otherwise = [(place, read) for place, read in enumerate(members) if not read.is_all]
        self._is_undecided = 1 < len(members) == len(readers) and _is_plain(kind)
        self._attributes: Callable[[Any], Sequence[Any]] | None = None

    def read(self, moment: GuardedCall, stage: str, call: Call, key: Any) -> ApiKey | None:
        """Return the snapshot of a key object.

        Args:
            moment: Counts what cannot be read.
            stage: As what it is counted.
            call: The call, for fields that start from it.
            key: The key object.

        Returns:
            The snapshot, in which a field that cannot be read is unknown; ``None`` when the id cannot be read.
        """
        content = run_silently(self.content, call, key)
        known = None if content is None else self.known(content[0])
        return known or self.canonical(moment, stage, call, key, content)

    def content(self, call: Call, key: Any) -> Content:
        """Return what is read of a key object, and in front of it the same as bytes: equal when it is the same.

        Raises:
            Exception: A field cannot be read, or is of a kind that no key has.
        """
        if self._attributes is None:
            values = self._first_values(call, key)
        else:
            values = self._attributes(key)
            for place, read in self._otherwise:
                if values[place] is None:
                    values = [*values[:place], read(call, key), *values[place + 1 :]]
        return orjson.dumps(values, _set, _PLAIN), values

    def _first_values(self, call: Call, key: Any) -> Sequence[Any]:
        if self._is_undecided:
            self._decide(key)
        return [read(call, key) for read in self._readers]

    def _decide(self, key: Any) -> None:
        """Read the objects of this class by their attributes, all at once, if the first one has them all."""
        self._is_undecided = False
        own = getattr(key, "__dict__", ())
        if all(name in own or hasattr(type(key), name) for name in self._members):
            self._attributes = attrgetter(*self._members)

    def canonical(
        self, moment: GuardedCall, stage: str, call: Call, key: Any, content: Content | None
    ) -> ApiKey | None:
        """Return the snapshot of a key object that is not known; it is known when nothing is wrong with any field.

        Args:
            moment: Counts what cannot be read.
            stage: As what it is counted.
            call: The call, for fields that start from it.
            key: The key object.
            content: What was read of it; ``None`` when not all of it could be read.
        """
        if self._is_snapshot:
            snapshot: ApiKey = key
            return snapshot
        values = [moment.guarded(stage, read, call, key) for read in self._readers] if content is None else content[1]
        given = [(name, value) for name, value in zip(self._names, values, strict=True) if value is not None]
        read = [(name, moment.guarded(stage, _converted, name, value)) for name, value in given]
        fields = {name: value for name, value in read if value is not None}
        if "id" not in fields:
            moment.report(stage, UnreadableError("the key has no id"))
            return None
        found = ApiKey(**fields)
        if content is not None and len(fields) == len(given):
            # a copy, because the bytes from orjson can hold on to a buffer of 8 kB
            self._known.keep(bytes(bytearray(content[0])), found)
        return found


def _is_plain(kind: type) -> bool:
    """Say whether objects of a class are no mappings and cannot pass for one."""
    return not issubclass(kind, Mapping) and not any("__class__" in vars(one) for one in kind.__mro__[:-1])


def _set(value: Any) -> Any:
    """Return what stands for a set, which is written in another order than a list."""
    if isinstance(value, (set, frozenset)):
        return {"set": sorted(value)}
    raise TypeError


def _converted(name: str, value: Any) -> Any:
    try:
        return READERS[name](value)
    except UnreadableError as error:
        raise UnreadableError(f"field {name!r}: {error}") from None
