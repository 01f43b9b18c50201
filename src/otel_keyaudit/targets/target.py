"""The targets: functions that the user names, with the sources of their values. There is one class for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from otel_keyaudit.errors import ConfigurationError, hint, shown
from otel_keyaudit.targets import target_string
from otel_keyaudit.targets.expressions.expression import Expression, ObjectReference, Path, parse

Source = Expression | ObjectReference | Callable[[Any], Any]
"""The source of a value: an expression, the name of an object, or a function that takes the call."""

KEY_FIELDS = ("id", "name", "scopes", "allow_list", "owner", "expires_at")
"""The fields of an ``ApiKey``."""

_SUBJECT_FIELDS = tuple(f"subject_{name}" for name in KEY_FIELDS)

_KEY_DEFAULTS: Mapping[str, Source] = {
    name: parse(text, emitted=True, is_default=name != "id")
    for name, text in {"id": "id", "name": "name ?? token_name", "scopes": "scopes", "allow_list": "allow_list"}.items()
}
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


class AuthTarget(Target):
    """A function that authenticates.

    Args:
        path: ``package.module:Qualified.name``.
        **fields: ``key``, ``id``, ``name``, ``scopes``, ``allow_list``, ``owner``, ``expires_at``, ``valid``,
            ``on_behalf_of``, ``actors``, ``when``: an expression, or a function that takes the call. ``role``: ``key``
            (default) or ``actor``.

    Raises:
        ConfigurationError: A field is unknown, or an expression is wrong or would record a secret.
    """

    kind = "auth"
    fields = ("key", *KEY_FIELDS, "valid", "on_behalf_of", "actors", "role", "when")
    rooted = ("key",)
    choice_fields: ClassVar[Mapping[str, tuple[str, ...]]] = {"role": ("key", "actor")}

    @property
    def is_actor(self) -> bool:
        """Whether its key only acts for the request's key (``role=actor``)."""
        return self.choices.get("role") == "actor"

    def key_sources(self) -> dict[str, Source]:
        """Return the sources of a key's fields, with the defaults."""
        return _key_sources(self.sources)


class SubjectTarget(Target):
    """A function that returns a stored API key, which may be the subject of later rows in the request.

    Args:
        path: ``package.module:Qualified.name``.
        **fields: ``key``, ``id``, ``name``, ``scopes``, ``allow_list``, ``owner``, ``expires_at``, ``when``: an
            expression, or a function that takes the call.

    Raises:
        ConfigurationError: A field is unknown, or an expression is wrong or would record a secret.
    """

    kind = "subject"
    fields = ("key", *KEY_FIELDS, "when")
    rooted = ("key",)

    def key_sources(self) -> dict[str, Source]:
        """Return the sources of a key's fields, with the defaults."""
        return _key_sources(self.sources)


class AuthzTarget(Target):
    """A function that refuses an action for lack of permission.

    Args:
        path: ``package.module:Qualified.name``.
        **fields: ``required``, ``resource_type``, ``resource_id``, ``action``, ``any_of``, ``granted``, ``denied``,
            ``when``: an expression, or a function that takes the call.

    Raises:
        ConfigurationError: A field is unknown, or an expression is wrong or would record a secret.
    """

    kind = "authz"
    fields = ("required", "resource_type", "resource_id", "action", "any_of", "granted", "denied", "when")
    rooted = fields

    is_decided: ClassVar[bool] = False
    """Whether the decision has been made when the function is called, so that the call itself is no check."""
    is_part: ClassVar[bool] = False
    """Whether a call counts only as a part of another check."""


class AuditTarget(Target):
    """A function that writes an audit row.

    Args:
        path: ``package.module:Qualified.name``.
        **fields: ``fields``, ``id_to``, ``name_to``, ``digest_to``, ``trace_id_to``: a place in the row, for ``fields``
            also ``none``. ``fields_as``: ``text``, ``bytes`` or ``dict``. ``action``, ``resource_type``,
            ``resource_id``, ``outcome``, ``subject``, ``subject_before``, ``subject_id`` and the other fields of a key,
            ``when``: an expression, or a function that takes the call.

    Raises:
        ConfigurationError: A field is unknown, or an expression is wrong or would record a secret.
    """

    kind = "audit"
    place_fields = ("fields", "id_to", "name_to", "digest_to", "trace_id_to")
    fields = (
        "fields", "fields_as", *place_fields[1:], "action", "resource_type", "resource_id", "outcome", "subject",
        *_SUBJECT_FIELDS, "subject_before", "when",
    )  # fmt: skip
    rooted = ("action", "resource_type", "resource_id", "outcome", "subject", "subject_before", "when")
    choice_fields: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "fields_as": ("text", "bytes", "dict"),
        "fields": ("none",),
    }

    has_fields: ClassVar[bool] = True
    """Whether the rows have additional fields."""

    @property
    def fields_place(self) -> Path | None:
        """The place of the additional fields, ``None`` if the row has none."""
        return None if "fields" in self.choices or not self.has_fields else self.places.get("fields", DEFAULT_PLACE)

    @property
    def builds_fields(self) -> bool:
        """Whether the additional fields are the function's result or a member of it."""
        place = self.places.get("fields")
        return place is not None and place.root == "return"

    @property
    def changes_arguments(self) -> bool:
        """Whether the function is called with changed arguments."""
        return any(place.root == "args" for place in (self.fields_place, *self.places.values()) if place is not None)

    @property
    def subject_sources_given(self) -> bool:
        """Whether the target names a ``subject_…`` field, which makes the subject an API key."""
        return not self.sources.keys().isdisjoint(_SUBJECT_FIELDS)

    def subject_sources(self) -> dict[str, Source]:
        """Return the sources of the subject's fields, with the defaults."""
        return _key_sources(self.sources, "subject_")

    def _check(self) -> None:
        if self.subject_sources_given and "subject" not in self.sources:
            raise self.wrong("subject_... fields need a field 'subject'")
        if "subject_before" in self.sources and "subject" not in self.sources:
            raise self.wrong("field 'subject_before' needs a field 'subject'")
        if "fields" in self.choices and "fields_as" in self.choices:
            raise self.wrong("field 'fields_as' has no meaning with fields=none")
        self._check_known_in_time()

    def _check_known_in_time(self) -> None:
        """Refuse sources that are known only after the write, although they are needed before it."""
        too_late = {"exc"} if self.builds_fields else {"exc", "return"}
        for name in ("when", "subject", "subject_before", *_SUBJECT_FIELDS):
            source = self.sources.get(name)
            if isinstance(source, Expression) and source.roots & too_late:
                raise self.wrong(
                    f"field {name!r}: {shown(source.text)} is known only after the write; allowed are "
                    "args.<parameter>, self, closure.<name> and scope, and return only with fields=return"
                )


def _key_sources(sources: Mapping[str, Source], prefix: str = "") -> dict[str, Source]:
    given = {name: sources[prefix + name] for name in KEY_FIELDS if prefix + name in sources}
    return {**_KEY_DEFAULTS, **given}


def _is_place(path: Path) -> bool:
    """Return whether the value at the end of a path can be replaced."""
    if path.filters or any(step.kind == "call" for step in path.steps):
        return False
    return path.root in ("args", "return") or (path.root == "self" and bool(path.steps))


DEFAULT_PLACE = Path("args", "additional_fields", ())
"""The place of the additional fields if a target does not name one."""
