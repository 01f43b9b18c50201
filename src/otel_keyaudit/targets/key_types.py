"""How the keys of known libraries are read, wherever they come from: by the names of their classes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from otel_keyaudit.key.cache import Memo
from otel_keyaudit.targets.call import Reader, reader
from otel_keyaudit.targets.expression import Expression, parse
from otel_keyaudit.targets.key_reader import KeyReader, Readers
from otel_keyaudit.targets.target import Source

CLASSES = 64
"""How many classes of key objects a target knows at a time."""


class KeyType:
    """What is read of a library's key object.

    Args:
        hidden: Its members that hold a secret although nothing in their names says so, such as ``pk``.
        **fields: The fields of a key: an expression that starts at the object, or a function that gets the object.
    """

    def __init__(self, *, hidden: Collection[str] = (), **fields: str | Callable[[Any], Any]) -> None:
        self.hidden = frozenset(hidden)
        self.readers: Readers = {name: _compiled(name, source) for name, source in fields.items()}

    def hides(self, source: Source) -> bool:
        """Say whether a source would write out one of the hidden members."""
        if not isinstance(source, Expression):
            return False
        for path in source.paths:
            members = [step.operand for step in path.steps if step.kind in ("name", "item", "call")]
            is_hashed = path.filters and path.filters[0].for_secret() is not None
            if len(members) == 1 and members[0] in self.hidden and not is_hashed:
                return True
        return False


class KeyTypes:
    """The key types of all libraries that are known.

    Args:
        known: Returns what is known of a class, by ``module:Class``.
        in_use: Those whose objects are API keys here, also before one of them was seen to authenticate.
    """

    def __init__(self, known: Callable[[str], KeyType | None] = lambda _: None, in_use: Collection[str] = ()) -> None:
        self._known = known
        self._in_use = frozenset(in_use)

    def of(self, kind: type) -> KeyType | None:
        """Return what is known of a class, or of the nearest class that it inherits from."""
        return next(filter(None, map(self._known, class_names(kind))), None)

    def is_in_use(self, kind: type) -> bool:
        """Say whether objects of a class are API keys here."""
        return not self._in_use.isdisjoint(class_names(kind))


class KeyFields:
    """How a target's keys are read: as the target says, else as their class is known, else by the defaults.

    Args:
        sources: All fields of the target's keys, defaults included.
        given: Names of those that the target names itself.
        types: The classes that are known.
        deferred: The package of a referenced function need not be importable yet.
    """

    def __init__(
        self, sources: Mapping[str, Source], given: Collection[str], types: KeyTypes, *, deferred: bool
    ) -> None:
        self._sources = sources
        self._given = given
        self._types = types
        self._readers = {name: reader(source, deferred=deferred) for name, source in sources.items()}
        self._of_class: Memo[type, KeyReader] = Memo(
            lambda kind: KeyReader(kind, self.readers(kind)), lambda _: 1, entries=CLASSES
        )
        self.of = self._of_class.__getitem__
        self.reader_of_class = self._of_class.get

    def readers(self, kind: type) -> Readers:
        """Return the readers for a key object of a class."""
        return {**self._without(kind), **self.given(kind)}

    def of_object(self, kind: type) -> Readers:
        """Return the readers for such an object wherever it is met: those that start at it."""
        relative = {name: read for name, read in self.given(kind).items() if is_relative(self._sources[name])}
        return {**self._without(kind), **relative}

    def given(self, kind: type) -> Readers:
        """Return those that the target names itself, less what must not be written of such an object."""
        known = self._types.of(kind)
        return {
            name: self._readers[name] for name in self._given if known is None or not known.hides(self._sources[name])
        }

    def _without(self, kind: type) -> Readers:
        known = self._types.of(kind)
        if known is not None:
            return known.readers
        return {name: read for name, read in self._readers.items() if name not in self._given}


def class_names(kind: type) -> Iterator[str]:
    """Yield the names of a class and of those that it inherits from, as ``module:Class``."""
    return (f"{one.__module__}:{one.__qualname__}" for one in kind.__mro__)


def is_relative(source: Source | None) -> bool:
    """Say whether a source starts at the key object."""
    return isinstance(source, Expression) and source.roots == {None}


def _compiled(name: str, source: str | Callable[[Any], Any]) -> Reader:
    if callable(source):
        return lambda call, key: source(key)
    return reader(parse(source, emitted=True, lenient=name != "id"), deferred=True)
