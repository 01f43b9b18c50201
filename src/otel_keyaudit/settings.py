"""Resolve and validate the options: keywords override YAML, and YAML overrides the environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from otel_keyaudit.errors import ConfigurationError, hint, shown
from otel_keyaudit.key.permissions.scope_catalog import CatalogError, ScopeCatalog, load_catalog
from otel_keyaudit.names import VARIABLE_PREFIX
from otel_keyaudit.targets import target_string
from otel_keyaudit.targets.base_target import Target, parse_target
from otel_keyaudit.targets.function_reference import LazyObject
from otel_keyaudit.targets.target import AuditTarget, AuthTarget, AuthzTarget, SubjectTarget

EVENTS = ("denials", "audits", "usage")
"""The values of the option ``events``."""

PROVIDERS = ("tracer_provider", "meter_provider", "logger_provider")
"""Keywords of ``instrument()`` that are not options, because they have no environment variable."""

_DIGITS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class Settings:
    """The validated options. Presets and samplers are still names, which the session resolves.

    Attributes:
        auth_targets: Functions that authenticate.
        audit_targets: Functions that write an audit row.
        authz_targets: Functions that refuse.
        subject_targets: Functions that return a stored API key.
        presets: Names of ready-made targets.
        sampler: The name of a sampler, ``module:name``, or a callable; not validated yet.
        sampler_arg: The patterns, or for ``rules`` the path of the file; ``None`` if unset. Not validated yet, because
            the sampler decides which argument is allowed.
        request_field: Member of the additional fields for the request's key.
        subject_field: Member for a key that the row is about.
        scope_catalog: The catalog.
        audit_spans: Whether each write has a span.
        max_items: Maximum number of list elements that are written.
        events: Names of log events.
        strict: Whether a missing target is an error.
    """

    auth_targets: tuple[AuthTarget, ...] = ()
    audit_targets: tuple[AuditTarget, ...] = ()
    authz_targets: tuple[AuthzTarget, ...] = ()
    subject_targets: tuple[SubjectTarget, ...] = ()
    presets: tuple[str, ...] = ()
    sampler: object = "always_full"
    sampler_arg: object = None
    request_field: str = "request_api_key"
    subject_field: str = "api_key"
    scope_catalog: ScopeCatalog | None = None
    audit_spans: bool = True
    max_items: int = 128
    events: tuple[str, ...] = ()
    strict: bool = False

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets: authentication, authorization, audit and subject."""
        return (*self.auth_targets, *self.authz_targets, *self.audit_targets, *self.subject_targets)


@dataclass(init=False)
class FileOptions:
    """The options from the SDK's declarative configuration (``OTEL_CONFIG_FILE``), which passes them as one keyword.

    Attributes:
        declared: The options as written, not validated yet.
    """

    declared: Mapping[str, Any]

    def __init__(self, /, **options: Any) -> None:
        self.declared = options


def resolve(options: Mapping[str, Any], environment: Mapping[str, str], *, deferred: bool = False) -> Settings:
    """Resolve the settings from options and environment variables.

    Args:
        options: Option name to value; ``None`` counts as absent. They override the environment.
        environment: The environment variables; an empty one counts as unset.
        deferred: Packages of functions that are named as strings need not be importable yet.

    Raises:
        ConfigurationError: An option is unknown, or its value is not allowed.
    """
    for name in options.keys() - _READERS.keys():
        raise ConfigurationError(
            f"unknown option {shown(name)} has the value {shown(options[name])}; "
            f"allowed are {', '.join((*_READERS, *PROVIDERS[:-1]))} and {PROVIDERS[-1]}"
            f"{hint(name, (*_READERS, *PROVIDERS))}"
        )
    variables = {name: environment.get(VARIABLE_PREFIX + name.upper(), "").strip() for name in _READERS}
    given: dict[str, Any] = {name: value for name, value in variables.items() if value}
    given |= {name: value for name, value in options.items() if value is not None}
    settings = Settings(**{name: _READERS[name](name, value) for name, value in given.items()})
    if settings.request_field == settings.subject_field:
        name, other = _colliding(given)
        raise _wrong(name, settings.request_field, f"a name that {other!r} does not have")
    for target in settings.targets:
        for name, reference in target.functions.items():
            _check_reference(target, name, reference, deferred=deferred)
    return settings


def unknown_variables(environment: Mapping[str, str]) -> str | None:
    """Return a warning about variables with the prefix of options that are not options, with the nearest names.

    Args:
        environment: The environment variables; an empty one counts as unset.
    """
    known = [VARIABLE_PREFIX + name.upper() for name in _READERS]
    unknown = [name for name, value in environment.items() if name.startswith(VARIABLE_PREFIX) and value.strip()]
    parts = [f"{name}{hint(name, known)}" for name in sorted(unknown) if name not in known]
    if not parts:
        return None
    return f"unknown environment variable {', '.join(parts)}; allowed are {', '.join(known)}"


def _colliding(given: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of both fields, first the one that the error message names, because the user has set it."""
    return ("subject_field", "request_field") if "subject_field" in given else ("request_field", "subject_field")


def _check_reference(target: Target, name: str, reference: str, *, deferred: bool) -> None:
    """Check a ``module:name.path`` of a target now, even if the target's own module is not imported yet."""
    try:
        LazyObject(reference, deferred=deferred)
    except ConfigurationError as error:
        raise target.wrong(f"field {name!r}: {error}") from None


def check_provider(name: str, value: object) -> Any:
    """Return an OpenTelemetry provider, or ``None`` for the global one.

    Raises:
        ConfigurationError: The value is not a provider of this kind.
    """
    method = f"get_{name.removesuffix('_provider')}"
    if value is not None and not hasattr(value, method):
        raise _wrong(name, value, f"an OpenTelemetry provider, which has a method {method}")
    return value


def _wrong(name: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"option {name!r} has the value {shown(value)}; allowed is {allowed}")


_COMMA: Final = "; a comma separates targets: inside a target, write %2C for the comma"


def _items(name: str, value: object, allowed: str) -> tuple[object, ...]:
    """Return the elements of a list or of a comma-separated string; refuse empty elements."""
    if isinstance(value, str):
        elements: tuple[object, ...] = tuple(part.strip() for part in value.split(","))
    elif isinstance(value, (list, tuple)):
        elements = tuple(part.strip() if isinstance(part, str) else part for part in value)
    else:
        raise _wrong(name, value, allowed)
    if "" in elements:
        advice = _COMMA if isinstance(value, str) and "?" in value else ""
        raise _wrong(name, value, f"{allowed}, without empty elements{advice}")
    return elements


def _strings(name: str, value: object) -> tuple[str, ...]:
    allowed = "a list of strings, or one comma-separated string"
    elements = _items(name, value, allowed)
    if not all(isinstance(element, str) for element in elements):
        raise _wrong(name, value, allowed)
    return tuple(str(element) for element in elements)


def _events(name: str, value: object) -> tuple[str, ...]:
    events = _strings(name, value)
    for event in events:
        if event not in EVENTS:
            raise _wrong(name, event, f"{', '.join(EVENTS)}{hint(event, EVENTS)}")
    return tuple(dict.fromkeys(events))


def _targets(kind: type[Target], name: str, value: object) -> tuple[Target, ...]:
    allowed = f"a list of {kind.__name__} or of strings package.module:name?field=expression"
    elements = _items(name, (value,) if isinstance(value, kind) else value, allowed)
    is_split = isinstance(value, str) and not all(_is_target(str(element)) for element in elements[1:])
    targets = []
    for element in elements:
        target = _parsed(name, kind, element, is_split=is_split) if isinstance(element, str) else element
        if not isinstance(target, kind):
            raise _wrong(name, target, allowed)
        targets.append(target)
    return tuple(dict.fromkeys(targets))


def _parsed(name: str, kind: type[Target], string: str, *, is_split: bool) -> Target:
    try:
        return parse_target(kind, string)
    except ConfigurationError as error:
        raise ConfigurationError(f"option {name!r}: {error}{_COMMA if is_split else ''}") from None


def _is_target(string: str) -> bool:
    """Return whether a string begins like a target. Otherwise it may be the rest of a target with a comma in it."""
    return target_string.is_path(string.partition("?")[0].strip())


def _string(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, value, "a string that is not empty")
    return value.strip()


def _stripped(_: str, value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _bool(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _wrong(name, value, "true or false")


def _positive(name: str, value: object) -> int:
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value.strip()) else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _wrong(name, value, "a whole number of at least 1")
    return number


def _catalog(name: str, value: object) -> ScopeCatalog:
    if not isinstance(value, (str, Path)) or not str(value).strip():
        raise _wrong(name, value, "the path of a JSON file")
    try:
        return load_catalog(value)
    except CatalogError as error:
        raise ConfigurationError(
            f"option {name!r} has the value {shown(str(value))}, a file that {error}; "
            "allowed is a scope catalog in JSON"
        ) from None


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "auth_targets": partial(_targets, AuthTarget),
    "audit_targets": partial(_targets, AuditTarget),
    "authz_targets": partial(_targets, AuthzTarget),
    "subject_targets": partial(_targets, SubjectTarget),
    "presets": _strings,
    "sampler": _stripped,
    "sampler_arg": _stripped,
    "request_field": _string,
    "subject_field": _string,
    "scope_catalog": _catalog,
    "audit_spans": _bool,
    "max_items": _positive,
    "events": _events,
    "strict": _bool,
}
