"""Convert a key object into an :class:`ApiKey`. Only declared fields are read; an unreadable one affects no other.

The serialized values are the cache key of the snapshot, so that each key is converted once and then only looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from otel_keyaudit.errors import MissingError, UnreadableError
from otel_keyaudit.guard.guard import FieldGuard, quietly
from otel_keyaudit.guard.signals import is_raised_by_signal_handler
from otel_keyaudit.key.api_key import READERS, ApiKey
from otel_keyaudit.key.cache import Cache
from otel_keyaudit.targets.call import Call, Reader
from otel_keyaudit.targets.expressions.expression import Expression, Source
from otel_keyaudit.targets.key_objects.key_classes import (
    ABSENT,
    UNKNOWN,
    is_generic_class,
    is_mapping_class,
    member_reader,
    plain_members,
)

Report = Callable[[str, BaseException], object]
"""Called with the name and the error of each field that cannot be read, in order to count it."""


class Field(NamedTuple):
    """One field of a key.

    Attributes:
        source: The source of its value.
        read: The reader of the source.
    """

    source: Source
    read: Reader


Fields = Mapping[str, Field]

_OPTIONS = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""orjson must not serialize subclasses, dataclasses and times, because distinct fields could become equal JSON."""


class KeyReader:
    """Reads the key objects of one class.

    Args:
        kind: The class.
        fields: The fields by name.
        notice: Called with each key object that was converted, the fields, and its snapshot.

    Attributes:
        is_generic: Whether the class is a mapping or another class of which any target may return objects.
    """

    def __init__(
        self, kind: type, fields: Fields, notice: Callable[[Any, Fields, ApiKey | None], object] | None = None
    ) -> None:
        self.is_generic = is_mapping_class(kind) or bool(quietly(is_generic_class, kind))
        self._is_snapshot = issubclass(kind, ApiKey)  # not ``isinstance``: a proxy may refer to another key later
        self._fields = fields
        self._notice = notice
        self._known: Cache[bytes, ApiKey] = Cache(lambda key: len(key.emitted))
        members = {name: _members(field.source) for name, field in fields.items()}
        plain = {*plain_members(kind, {one for names in members.values() for one in names})}
        self._plain = {name for name, names in members.items() if names and plain.issuperset(names)}
        self._names = tuple(dict.fromkeys(one for name in fields if name in self._plain for one in members[name]))
        required = {one for name in self._plain if not _is_default(fields[name].source) for one in members[name]}
        defaults = tuple(ABSENT if name in required else None for name in self._names)
        self._read_members = member_reader(kind, self._names, defaults)
        self._others = [(name, field.read) for name, field in fields.items() if name not in self._plain]

    def read(self, call: Call, key: Any, report: Report) -> ApiKey | None:
        """Return the snapshot of a key object.

        Args:
            call: The call, for fields whose paths start from it.
            key: The key object.
            report: Called with the name and the error of each field that cannot be read.

        Returns:
            The snapshot, in which unreadable fields are unknown; ``None`` if the id cannot be read.
        """
        if self._is_snapshot:
            return key  # type: ignore[no-any-return]
        values = self._read_members(key)
        if self._others:
            guard = FieldGuard(report)
            values += [guard.guarded(name, read, call, key, otherwise=UNKNOWN) for name, read in self._others]
        content = _serialized(values)
        return self._known.get(content) or self._convert(call, key, values, content, report)  # type: ignore[arg-type]

    def _convert(self, call: Call, key: Any, values: list[Any], content: bytes | None, report: Report) -> ApiKey | None:
        """Create a snapshot, and cache it if every field could be read."""
        guard = FieldGuard(report)
        members = dict(zip(self._names, values, strict=False))
        others = iter(values[len(self._names) :])
        fields: dict[str, Any] = {}
        for name, field in self._fields.items():
            if name in self._plain:
                value = guard.guarded(name, self._value, field, members, call, key, otherwise=UNKNOWN)
            else:
                value = next(others)
            if value is not None and value is not UNKNOWN:
                value = guard.guarded(name, _converted, name, value, otherwise=UNKNOWN)
            if value is None and name == "id":
                report("id", UnreadableError("the key has no id"))
            elif value is not None and value is not UNKNOWN:
                fields[name] = value
        snapshot = ApiKey(**fields) if "id" in fields else None
        if snapshot is not None and content is not None and not guard.has_failed and _serialized(values) == content:
            # Serialized twice, because another thread may have changed a list. Copied, because orjson may have
            # allocated a buffer of 8 kB.
            self._known.keep(bytes(bytearray(content)), snapshot)
        if self._notice is not None:
            self._notice(key, self._fields, snapshot)
        return snapshot

    def _value(self, field: Field, members: Mapping[str, Any], call: Call, key: Any) -> Any:
        """Return the value of a field from the members that were read."""
        if not isinstance(field.source, Expression) or any(members[name] is UNKNOWN for name in _members(field.source)):
            return field.read(call, key)  # raises the reason
        return field.source.first(lambda path: path.filtered(_present(members, path.member or "", key)))


def _members(source: Source) -> Sequence[str]:
    """Return the members of the key object that a source reads; none if it also reads anything else."""
    if not isinstance(source, Expression):
        return ()
    names = [path.member for path in source.paths]
    return [name for name in names if name is not None] if None not in names else ()


def _is_default(source: Source) -> bool:
    return isinstance(source, Expression) and source.is_default


def _present(members: Mapping[str, Any], name: str, key: Any) -> Any:
    if members[name] is ABSENT:
        raise MissingError(name, key)
    return members[name]


def _serialized(values: list[Any]) -> bytes | None:
    """Serialize values; return ``None`` if one of them has a type that is never recorded or never cached."""
    try:
        return orjson.dumps(values, _tagged, _OPTIONS)
    except TypeError as error:
        if is_raised_by_signal_handler(error):
            raise
        if error.__cause__ is not None and _is_signal_or_interrupt(error.__cause__):
            raise error.__cause__ from None
        return None


def _is_signal_or_interrupt(cause: BaseException) -> bool:
    """Return whether an exception in orjson's callback is an interrupt or was raised by a signal handler."""
    return not isinstance(cause, Exception) or is_raised_by_signal_handler(cause)


def _tagged(value: Any) -> orjson.Fragment:
    """Serialize a value that JSON lacks, in a form that differs from every JSON value."""
    if isinstance(value, (set, frozenset)):
        return orjson.Fragment(b"set" + orjson.dumps(sorted(value), option=_OPTIONS))
    if type(value) is datetime:
        return orjson.Fragment(b"time" + value.isoformat().encode())
    if value is ABSENT:
        return orjson.Fragment(b"absent")
    raise TypeError


def _converted(name: str, value: Any) -> Any:
    try:
        return READERS[name](value)
    except UnreadableError as error:
        raise UnreadableError(f"field {name!r}: {error}") from None
