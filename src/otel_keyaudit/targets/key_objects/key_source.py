"""Choose the fields with which a target reads key objects: its own, a preset's for their class, or the defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from logging import INFO
from typing import Any

from otel_keyaudit.guard.guard import log, logger
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.targets.call import reader
from otel_keyaudit.targets.expressions.expression import Expression, Source
from otel_keyaudit.targets.key_objects.class_map import ClassMap
from otel_keyaudit.targets.key_objects.key_classes import has_member, public_names
from otel_keyaudit.targets.key_objects.key_reader import Field, Fields, KeyReader
from otel_keyaudit.targets.key_objects.key_types import KeyTypes

MAX_CLASSES = 64
"""Number of classes for which a target keeps a reader."""


class KeySource:
    """Provides the readers for the key objects of one target, one for each class.

    Args:
        sources: The source of each field, with defaults.
        named: The fields that the target names.
        types: The key types of presets.
        deferred: The package of a referenced object need not be importable yet.
        target: The target string, for the log line about defaults that do not match.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        named: Collection[str],
        types: KeyTypes,
        *,
        deferred: bool,
        target: str = "",
    ) -> None:
        self._fields = {name: Field(source, reader(source, deferred=deferred)) for name, source in sources.items()}
        self._named = frozenset(named)
        self._types = types
        self._target = target
        self._readers: ClassMap[KeyReader] = ClassMap(MAX_CLASSES)
        self._learned: ClassMap[tuple[KeySource, KeyReader]] = ClassMap(MAX_CLASSES)

    def reader_for(self, kind: type, learned: KeySource | None = None) -> KeyReader:
        """Return the reader for the key objects of a class.

        Args:
            kind: The class.
            learned: The key source of the authentication target that has returned objects of this class. Its relative
                paths are used for the fields that this target does not name.
        """
        if learned is None:
            return self._readers.get(kind) or self._new_reader(kind)
        source, found = self._learned.get(kind) or (None, None)
        if found is None or source is not learned:
            found = KeyReader(kind, {**self.fields(kind), **learned._relative(kind), **self._own(kind)})
            self._learned.keep(kind, (learned, found))
        return found

    def fields(self, kind: type) -> Fields:
        """Return the fields for the objects of a class."""
        known = self._types.of(kind)
        defaults = {name: field for name, field in self._fields.items() if name not in self._named}
        return {**(defaults if known is None else known.fields), **self._own(kind)}

    def _new_reader(self, kind: type) -> KeyReader:
        has_defaults = self._types.of(kind) is None
        notice = _DefaultsNotice(self._target, kind, self._named) if has_defaults else None
        found = KeyReader(kind, self.fields(kind), notice)
        self._readers.keep(kind, found)
        return found

    def _own(self, kind: type) -> Fields:
        """Return the fields that the target names, without fields that would record a hidden member of the class."""
        known = self._types.of(kind)
        return {
            name: self._fields[name]
            for name in self._fields
            if name in self._named and (known is None or not known.hides(self._fields[name].source))
        }

    def _relative(self, kind: type) -> Fields:
        """Return the fields that can be read from an object that another target has returned."""
        known = self._types.of(kind)
        own = {name: field for name, field in self._own(kind).items() if is_relative(field.source)}
        return own if known is None else {**known.fields, **own}


class _DefaultsNotice:
    """Logs one line about defaults that do not match the key objects of a class.

    Args:
        target: The target string.
        kind: The class.
        named: The fields that the target names, which have no defaults.
    """

    def __init__(self, target: str, kind: type, named: Collection[str]) -> None:
        self._target = target
        self._class = kind.__qualname__
        self._named = named
        self._is_done = False

    def __call__(self, key: Any, fields: Fields, snapshot: ApiKey | None) -> None:
        """Log the line if a default does not match this key object."""
        if self._is_done or not logger.isEnabledFor(INFO):
            return
        parts = [*self._missing(key, fields, snapshot), *_several_scopes(fields, snapshot)]
        if parts:
            self._is_done = True
            log(INFO, "%s: %s", self._target, "; ".join(parts))

    def _missing(self, key: Any, fields: Fields, snapshot: ApiKey | None) -> list[str]:
        defaults = [name for name in fields if name not in self._named and getattr(snapshot, name, None) is None]
        missing = [name for name in defaults if not _has_value(key, fields[name].source)]
        if not missing:
            return []
        lost = "it" if len(missing) == 1 else "them"
        return [
            f"{self._class} has no {', '.join(missing)}, so rows and spans lack {lost}",
            f"add {'&'.join(f'{name}=…' for name in missing)} to the target if the key has them under other names",
            f"{self._class} has {', '.join(public_names(key)) or 'no public attribute'}",
        ]


def _has_value(key: Any, source: Source) -> bool:
    paths = source.paths if isinstance(source, Expression) else ()
    return any(has_member(key, path.member) for path in paths if path.member is not None)


def _several_scopes(fields: Fields, snapshot: ApiKey | None) -> list[str]:
    """Return a hint if the scopes are one string that contains several scopes."""
    source = fields["scopes"].source if "scopes" in fields else None
    if snapshot is None or not isinstance(source, Expression) or len(snapshot.scopes or ()) != 1:
        return []
    (scope,) = snapshot.scopes or ("",)
    split = "split:%2C" if "," in scope else "split" if len(scope.split()) > 1 else None
    if split is None:
        return []
    return [f"its scopes are one string that contains several; write scopes={source.text}|{split} to separate them"]


def is_relative(source: Source | None) -> bool:
    """Return whether a source starts at the key object."""
    return isinstance(source, Expression) and source.roots == {None}
