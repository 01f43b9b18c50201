"""The fields with which presets read the key objects of their libraries, by class."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from otel_keyaudit.targets.call import reader
from otel_keyaudit.targets.expressions.expression import Expression, Source, parse
from otel_keyaudit.targets.expressions.steps import apply
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.key_objects.key_reader import Field, Fields


class KeyType:
    """The fields with which a preset reads the key objects of its library.

    Args:
        hidden: Members that hold a secret although their names do not suggest it, such as ``pk``.
        **fields: The fields of a key: an expression that starts at the object, or a function that takes the object.
    """

    def __init__(self, *, hidden: Collection[str] = (), **fields: str | Callable[[Any], Any]) -> None:
        self.hidden = frozenset(hidden)
        self.fields: Fields = {name: _field(name, source) for name, source in fields.items()}

    def hides(self, source: Source) -> bool:
        """Return whether a source would record one of the hidden members."""
        if not isinstance(source, Expression):
            return False
        for path in source.paths:
            members = [step.operand for step in path.steps if step.kind in ("name", "item", "call")]
            is_hashed = path.filters and path.filters[0].for_secret() is not None
            if len(members) == 1 and members[0] in self.hidden and not is_hashed:
                return True
        return False


class KeyTypes:
    """The key types of all presets.

    Args:
        known: Returns the key type of the class ``module:Class``.
        in_use: Names of classes whose objects are API keys even before one of them has authenticated.
    """

    def __init__(self, known: Callable[[str], KeyType | None] = lambda _: None, in_use: Collection[str] = ()) -> None:
        self._known = known
        self._in_use = frozenset(in_use)

    def of(self, kind: type) -> KeyType | None:
        """Return the key type of a class or of its nearest base class."""
        return next(filter(None, map(self._known, class_names(kind))), None)

    def is_in_use(self, kind: type) -> bool:
        """Return whether objects of a class are API keys."""
        return not self._in_use.isdisjoint(class_names(kind))


def _field(name: str, source: str | Callable[[Any], Any]) -> Field:
    if callable(source):
        return Field(source, lambda call, key: apply(source, key))
    expression = parse(source, emitted=True, is_default=name != "id")
    return Field(expression, reader(expression, deferred=True))
