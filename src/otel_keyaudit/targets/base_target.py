"""The base class of all targets, which validates the fields of a target and parses their expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from otel_keyaudit.errors import ConfigurationError, hint, shown
from otel_keyaudit.targets import target_string
from otel_keyaudit.targets.expressions.expression import Expression, ObjectReference, Path, Source, parse

_HIDDEN = frozenset({"key", "when", "valid", "any_of", "granted", "denied", "subject", "subject_before"})
"""Fields whose values are not recorded, so that they may read secrets."""

AnyTarget = TypeVar("AnyTarget", bound="Target")


@dataclass(frozen=True, init=False, repr=False)
class Target:
    """A function of the application, with the sources of its values.

    Attributes:
        path: ``package.module:Qualified.name``.
        sources: The source of each field that the target names and that is read.
        places: The path of each field that names a place in the audit row.
        choices: The value of each field that takes one of a few strings, such as ``role``.
        target_string: The target as written.
    """

    kind: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    rooted: ClassVar[tuple[str, ...]]
    """Fields that are not read from a key object, so that their paths begin with a root."""
    place_fields: ClassVar[tuple[str, ...]] = ()
    choice_fields: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    path: str
    sources: Mapping[str, Source]
    places: Mapping[str, Path]
    choices: Mapping[str, str]
    target_string: str

    def __init__(self, path: str, **fields: str | Callable[[Any], Any]) -> None:
        self._fill(path, fields, target_string.join(path, fields))

    def _fill(self, path: object, fields: Mapping[str, Any], string: str) -> None:
        object.__setattr__(self, "target_string", string)
        if not target_string.is_path(path):
            raise self.wrong(
                f"{shown(path)} is not of the form package.module:Qualified.name{target_string.form_hint(path)}"
            )
        object.__setattr__(self, "path", path)
        for name in fields:
            if name not in self.fields:
                raise self.wrong(
                    f"unknown field {shown(name)}; known are {', '.join(self.fields)}{hint(name, self.fields)}"
                )
        choices = {name: self._choice(name, value) for name, value in fields.items() if self._is_choice(name, value)}
        object.__setattr__(self, "choices", MappingProxyType(choices))
        given = {name: value for name, value in fields.items() if name not in choices}
        places = {name: self._place(name, value) for name, value in given.items() if name in self.place_fields}
        object.__setattr__(self, "places", MappingProxyType(places))
        sources = {name: self._compile(name, value) for name, value in given.items() if name not in places}
        object.__setattr__(self, "sources", MappingProxyType(sources))
        self._check_rooted()
        self._check()

    def __hash__(self) -> int:
        """Return the hash of the target string: targets with the same string are equal."""
        return hash((self.kind, self.target_string))

    def __deepcopy__(self, memo: dict[int, object]) -> Target:
        """Return the target itself, because nothing of it can change."""
        return self

    def __repr__(self) -> str:
        """Show the target string."""
        return f"{type(self).__name__}({self.target_string!r})"

    @property
    def module(self) -> str:
        """The name of the module."""
        return self.path.partition(":")[0]

    @property
    def qualified_name(self) -> str:
        """The qualified name inside the module."""
        return self.path.partition(":")[2]

    @property
    def functions(self) -> Mapping[str, str]:
        """The ``module:name.path`` of each field that names an object."""
        return {name: source.text for name, source in self.sources.items() if isinstance(source, ObjectReference)}

    @property
    def free_variables(self) -> frozenset[str]:
        """The free variables of the function that ``closure.<name>`` reads. An unknown one makes the target wrong."""
        found = [source.free_variables for source in self.sources.values() if isinstance(source, Expression)]
        return frozenset[str]().union(*found)

    def wrong(self, reason: str) -> ConfigurationError:
        """Return the error that this target is wrong."""
        return ConfigurationError(f"target {shown(self.target_string)}: {reason}")

    def _is_choice(self, name: str, value: object) -> bool:
        """Return whether a field takes a choice. A field that also takes a place does if the value is a choice."""
        if name in self.place_fields:
            return isinstance(value, str) and value.strip() in self.choice_fields.get(name, ())
        return name in self.choice_fields

    def _choice(self, name: str, value: object) -> str:
        allowed = self.choice_fields[name]
        if not isinstance(value, str) or value.strip() not in allowed:
            near = hint(value, allowed) if isinstance(value, str) else ""
            raise self.wrong(f"field {name!r} has the value {shown(value)}; allowed are {', '.join(allowed)}{near}")
        return value.strip()

    def _parse(self, name: str, value: str, *, emitted: bool) -> Source:
        try:
            return parse(value, emitted=emitted)
        except ConfigurationError as error:
            raise self.wrong(f"field {name!r}: {error}") from None

    def _compile(self, name: str, value: object) -> Source:
        if callable(value):
            return value
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"field {name!r} takes an expression or a function, not {shown(value)}")
        return self._parse(name, value, emitted=name not in _HIDDEN)

    def _place(self, name: str, value: object) -> Path:
        source = self._parse(name, value, emitted=False) if isinstance(value, str) and value.strip() else None
        if isinstance(source, Expression) and len(source.paths) == 1 and _is_place(source.paths[0]):
            path = source.paths[0]
            if name == "fields" or path.root != "return" or path.steps:
                return path
        raise self.wrong(
            f"field {name!r} takes a place that can be written: args.<parameter>, a member or attribute of one, "
            "args.<parameter>[], self.<attribute>, "
            + ("return, a member of it, or none" if name == "fields" else "or a member of return")
            + f", not {shown(value)}"
        )

    def _check_rooted(self) -> None:
        for name in self.rooted:
            source = self.sources.get(name)
            if isinstance(source, Expression) and None in source.roots:
                raise self.wrong(
                    f"field {name!r}: {shown(source.text)} must begin with return, args.<parameter>, self, "
                    f"closure.<name>, scope or exc{hint(source.text.partition('.')[0], ('return', 'args', 'closure'))}"
                )

    def _check(self) -> None:
        """Check rules that involve several fields."""


def parse_target(kind: type[AnyTarget], string: str) -> AnyTarget:
    """Parse a target string.

    Args:
        kind: ``AuthTarget``, ``AuditTarget``, ``AuthzTarget`` or ``SubjectTarget``.
        string: The target string.

    Raises:
        ConfigurationError: The target string is wrong.
    """
    string = string.strip()
    path, fields = target_string.split(string)
    target = kind.__new__(kind)
    target._fill(path, fields, string)
    return target


def _is_place(path: Path) -> bool:
    """Return whether the value at the end of a path can be replaced."""
    if path.filters or any(step.kind == "call" for step in path.steps):
        return False
    return path.root in ("args", "return") or (path.root == "self" and bool(path.steps))
