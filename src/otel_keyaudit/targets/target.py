"""What the user names: functions that authenticate and functions that write audit rows, with where their values are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.targets.expression import Expression, FunctionReference, parse

Source = Expression | FunctionReference | Callable[[Any], Any]
"""Where a value comes from: a path into the call, or a function that gets the call."""

_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_ESCAPE = re.compile("%(2C|26|3F|25)", re.IGNORECASE)
_KEY_FIELDS = ("id", "name", "scopes", "allow_list", "owner", "expires_at")
_KEY_DEFAULTS = {"id": "id", "name": "name ?? token_name", "scopes": "scopes", "allow_list": "allow_list"}


@dataclass(frozen=True, init=False, repr=False)
class Target:
    """A function of the application, and where its values are found.

    Attributes:
        path: ``package.module:Qualified.name``.
        sources: Field name to source, as given; defaults are not among them.
        written: The target as the user wrote it.
    """

    kind: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    hidden: ClassVar[frozenset[str]]

    path: str
    sources: Mapping[str, Source]
    written: str

    def __init__(self, path: str, **fields: str | Callable[[Any], Any]) -> None:
        self._fill(path, fields, _written(path, fields))

    def _fill(self, path: object, fields: Mapping[str, Any], written: str) -> None:
        object.__setattr__(self, "written", written)
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise self.wrong(f"{path!r} is not of the form package.module:Qualified.name")
        object.__setattr__(self, "path", path)
        sources = {name: self._compile(name, value) for name, value in fields.items()}
        object.__setattr__(self, "sources", MappingProxyType(sources))
        self._check()

    def __hash__(self) -> int:
        """Return the hash of the target as written: two of the same text are one."""
        return hash((self.kind, self.written))

    def __repr__(self) -> str:
        """Show the target as written."""
        return f"{type(self).__name__}({self.written!r})"

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.path.partition(":")[0]

    @property
    def qualified_name(self) -> str:
        """Name inside the module."""
        return self.path.partition(":")[2]

    @property
    def functions(self) -> Mapping[str, str]:
        """Functions of the user's that are only named, by the field that names them."""
        return {name: source.text for name, source in self.sources.items() if isinstance(source, FunctionReference)}

    def wrong(self, reason: str) -> ConfigurationError:
        """Return the error for this target."""
        return ConfigurationError(f"target {self.written!r}: {reason}")

    def _compile(self, name: str, value: object) -> Source:
        if name not in self.fields:
            raise self.wrong(f"unknown field {name!r}; known are {', '.join(self.fields)}")
        if callable(value):
            return value
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"field {name!r} takes an expression or a function, not {value!r}")
        try:
            return parse(value, emitted=name not in self.hidden)
        except ConfigurationError as error:
            raise self.wrong(f"field {name!r}: {error}") from None

    def _check(self) -> None:
        """Check what only the fields together tell."""
        raise NotImplementedError

    def _check_rooted(self, names: Iterable[str]) -> None:
        for name in names:
            source = self.sources.get(name)
            if isinstance(source, Expression) and None in source.roots:
                raise self.wrong(
                    f"field {name!r}: {source.text!r} must begin with return, args.<parameter>, self, scope or exc"
                )


class AuthTarget(Target):
    """A function that authenticates.

    Args:
        path: ``package.module:Qualified.name``.
        **fields: ``key``, ``id``, ``name``, ``scopes``, ``allow_list``, ``owner``, ``expires_at``, ``valid``, ``when``:
            an expression, or a function that gets the call (docs/reference.md, section 3).

    Raises:
        ConfigurationError: A field is unknown, an expression is wrong or would write out a secret.
    """

    kind = "auth"
    fields = ("key", *_KEY_FIELDS, "valid", "when")
    hidden = frozenset({"key", "valid", "when"})

    def _check(self) -> None:
        self._check_rooted(["key"])

    def key_sources(self) -> dict[str, Source]:
        """Return where the fields of a key are, defaults included."""
        return _key_sources(self.sources)


class AuditTarget(Target):
    """A function that writes an audit row.

    Args:
        path: ``package.module:Qualified.name``.
        **fields: ``fields`` (a path only), ``action``, ``resource_type``, ``resource_id``, ``outcome``, ``subject``,
            ``subject_id`` and the other fields of a key, ``when``: an expression, or a function that gets the call.

    Raises:
        ConfigurationError: A field is unknown, an expression is wrong or would write out a secret.
    """

    kind = "audit"
    fields = (
        "fields", "action", "resource_type", "resource_id", "outcome", "subject",
        *(f"subject_{name}" for name in _KEY_FIELDS), "when",
    )  # fmt: skip
    hidden = frozenset({"fields", "subject", "when"})
    has_fields: ClassVar[bool] = True
    """Its row has a place for additional fields."""

    def _check(self) -> None:
        self._check_rooted(["fields", "action", "resource_type", "resource_id", "outcome", "subject", "when"])
        if self.subject_sources_given and "subject" not in self.sources:
            raise self.wrong("subject_... fields need a field 'subject'")
        fields = self.sources.get("fields")
        if fields is not None and not (isinstance(fields, Expression) and _is_place(fields)):
            raise self.wrong(
                f"field 'fields' takes a place that can be written: args.<parameter>, a member or attribute of one, "
                f"args.<parameter>[], self.<attribute> or return, not {getattr(fields, 'text', fields)!r}"
            )
        self._check_known_in_time(builds_fields=isinstance(fields, Expression) and "return" in fields.roots)

    def _check_known_in_time(self, *, builds_fields: bool) -> None:
        """Check that what must be known before the row is written can be known then."""
        too_late = {"exc"} if builds_fields else {"exc", "return"}
        for name in ("when", "subject", *(f"subject_{name}" for name in _KEY_FIELDS)):
            source = self.sources.get(name)
            if isinstance(source, Expression) and source.roots & too_late:
                raise self.wrong(
                    f"field {name!r}: {source.text!r} is known only after the write; "
                    "allowed are args.<parameter>, self and scope, and return only with fields=return"
                )

    @property
    def subject_sources_given(self) -> bool:
        """Say whether any field of a subject was named, which makes it a key."""
        return any(name.startswith("subject_") for name in self.sources)

    def subject_sources(self) -> dict[str, Source]:
        """Return where the fields of a subject are, defaults included."""
        given = {name: self.sources.get(f"subject_{name}") for name in _KEY_FIELDS}
        return _key_sources({name: source for name, source in given.items() if source is not None})


def _key_sources(given: Mapping[str, Source]) -> dict[str, Source]:
    sources: dict[str, Source] = {
        name: parse(text, emitted=True, lenient=name != "id") for name, text in _KEY_DEFAULTS.items()
    }
    return sources | {name: source for name, source in given.items() if name in _KEY_FIELDS}


def _is_place(expression: Expression) -> bool:
    if len(expression.paths) != 1 or expression.paths[0].filters:
        return False
    path = expression.paths[0]
    if path.root == "return":
        return not path.steps
    if path.root not in ("args", "self") or any(step.kind == "call" for step in path.steps):
        return False
    return path.root == "args" or bool(path.steps)


def parse_target(kind: type[Target], written: str) -> Target:
    """Parse ``package.module:Qualified.name?field=expression&field=expression``.

    Args:
        kind: ``AuthTarget`` or ``AuditTarget``.
        written: The target; ``%2C``, ``%26``, ``%3F`` and ``%25`` stand for ``,``, ``&``, ``?`` and ``%``.

    Raises:
        ConfigurationError: What is wrong with it.
    """
    written = written.strip()
    path, query, rest = written.partition("?")
    fields: dict[str, str] = {}
    for part in rest.split("&") if query else []:
        name, equals, expression = part.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigurationError(f"target {written!r}: {part!r} is not of the form field=expression")
        if name in fields:
            raise ConfigurationError(f"target {written!r}: field {name!r} stands there twice")
        fields[name] = _unescape(expression)
    target = kind.__new__(kind)
    target._fill(path.strip(), fields, written)
    return target


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _written(path: object, fields: Mapping[str, object]) -> str:
    """Return a typed target as a string; a function of the user's is shown by its name."""
    shown = [
        f"{name}={value if isinstance(value, str) else getattr(value, '__qualname__', type(value).__name__)}"
        for name, value in fields.items()
    ]
    return f"{path}?{'&'.join(shown)}" if shown else str(path)
