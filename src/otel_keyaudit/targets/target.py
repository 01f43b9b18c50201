"""The kinds of targets: functions that authenticate, return stored keys, check permissions or write audit rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from otel_keyaudit.errors import shown
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.expressions.expression import Expression, Path, Source, parse

KEY_FIELDS = ("id", "name", "scopes", "allow_list", "owner", "expires_at")
"""The fields of an ``ApiKey``."""

_SUBJECT_FIELDS = tuple(f"subject_{name}" for name in KEY_FIELDS)

_KEY_DEFAULTS: Mapping[str, Source] = {
    name: parse(text, emitted=True, is_default=name != "id")
    for name, text in {"id": "id", "name": "name ?? token_name", "scopes": "scopes", "allow_list": "allow_list"}.items()
}


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


DEFAULT_PLACE = Path("args", "additional_fields", ())
"""The place of the additional fields if a target does not name one."""
