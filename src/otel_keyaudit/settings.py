"""Options in, one frozen :class:`Settings` out: a keyword beats YAML, YAML beats the environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.key.scope_catalog import CatalogError, ScopeCatalog, load_catalog
from otel_keyaudit.observers.sampling import Sampler, build_sampler
from otel_keyaudit.presets._registry import preset
from otel_keyaudit.targets.function_reference import LazyFunction
from otel_keyaudit.targets.target import AuditTarget, AuthTarget, Target, parse_target

_PREFIX = "OTEL_PYTHON_KEYAUDIT_"
_DIGITS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class Settings:
    """What is configured; the meaning of each option is that of docs/reference.md, section 2.

    Attributes:
        sampler: Chooses the detail of each row; it has its argument already.
        auth_targets: Functions that authenticate.
        audit_targets: Functions that write an audit row.
        presets: Names of ready-made targets.
        request_field: Member that names the request's key.
        subject_field: Member for a key that the row is about.
        scope_catalog: The catalog, already read.
        audit_spans: Whether each write has a span.
        max_items: Longest list written out.
        strict: A target that cannot be found is an error.
    """

    sampler: Sampler
    auth_targets: tuple[AuthTarget, ...] = ()
    audit_targets: tuple[AuditTarget, ...] = ()
    presets: tuple[str, ...] = ()
    request_field: str = "request_api_key"
    subject_field: str = "api_key"
    scope_catalog: ScopeCatalog | None = None
    audit_spans: bool = True
    max_items: int = 128
    strict: bool = False

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, those of authentication first."""
        return (*self.auth_targets, *self.audit_targets)


@dataclass(init=False)
class FileOptions:
    """The options as the SDK's declarative configuration passes them on (``OTEL_CONFIG_FILE``): as one keyword.

    Attributes:
        declared: The options as written, none of them checked yet.
    """

    declared: Mapping[str, Any]

    def __init__(self, **options: Any) -> None:
        self.declared = options


def resolve(options: Mapping[str, Any], environment: Mapping[str, str], *, deferred: bool = False) -> Settings:
    """Return the settings for some options; what is not among them comes from the environment.

    Args:
        options: Option name to value; ``None`` is as good as absent.
        environment: The environment variables; an empty one is an unset one.
        deferred: The packages of functions that are only named need not be importable yet.

    Raises:
        ConfigurationError: An option is unknown or its value is not allowed.
    """
    for name in options.keys() - _READERS.keys():
        raise ConfigurationError(
            f"unknown option {name!r} has the value {options[name]!r}; allowed are {', '.join(_READERS)}, "
            "tracer_provider and meter_provider"
        )
    variables = {name: environment.get(_PREFIX + name.upper(), "").strip() for name in _READERS}
    given = {name: value for name, value in variables.items() if value}
    given |= {name: value for name, value in options.items() if value is not None}
    read = {name: _READERS[name](name, value) for name, value in given.items()}
    sampler = build_sampler(read.pop("sampler", "always_full"), read.pop("sampler_arg", None), deferred=deferred)
    settings = Settings(sampler, **read)
    if settings.request_field == settings.subject_field:
        raise _wrong("subject_field", settings.subject_field, "another name than that of 'request_field'")
    for target in settings.targets:
        for name, function in target.functions.items():
            _check_function(target, name, function, deferred=deferred)
    return settings


def _check_function(target: Target, name: str, function: str, *, deferred: bool) -> None:
    """Check a function that a target names at once, not only when the target's own module is there."""
    try:
        LazyFunction(function, deferred=deferred)
    except ConfigurationError as error:
        raise target.wrong(f"field {name!r}: {error}") from None


def _wrong(name: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"option {name!r} has the value {value!r}; allowed is {allowed}")


def _items(name: str, value: object, allowed: str) -> tuple[object, ...]:
    """Return the elements of a list, or of a text with commas between; an empty element is wrong."""
    if isinstance(value, str):
        elements: tuple[object, ...] = tuple(part.strip() for part in value.split(","))
    elif isinstance(value, (list, tuple)):
        elements = tuple(part.strip() if isinstance(part, str) else part for part in value)
    else:
        raise _wrong(name, value, allowed)
    if "" in elements:
        raise _wrong(name, value, f"{allowed}, none of them empty")
    return elements


def _texts(name: str, value: object) -> tuple[str, ...]:
    allowed = "a list of texts, or one text with commas between"
    elements = _items(name, value, allowed)
    if not all(isinstance(element, str) for element in elements):
        raise _wrong(name, value, allowed)
    return tuple(str(element) for element in elements)


def _presets(name: str, value: object) -> tuple[str, ...]:
    presets = _texts(name, value)
    try:
        for element in presets:
            preset(element)
    except ConfigurationError as error:
        raise ConfigurationError(f"option {name!r}: {error}") from None
    return presets


def _targets(kind: type[Target]) -> Callable[[str, object], tuple[Target, ...]]:
    allowed = f"a list of {kind.__name__} or of texts package.module:name?field=expression"

    def read(name: str, value: object) -> tuple[Target, ...]:
        single = (value,) if isinstance(value, kind) else value
        targets = []
        for element in _items(name, single, allowed):
            if isinstance(element, str):
                targets.append(_parsed(name, kind, element))
            elif isinstance(element, kind):
                targets.append(element)
            else:
                raise _wrong(name, element, allowed)
        return tuple(dict.fromkeys(targets))

    return read


def _parsed(name: str, kind: type[Target], written: str) -> Target:
    try:
        return parse_target(kind, written)
    except ConfigurationError as error:
        raise ConfigurationError(f"option {name!r}: {error}") from None


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, value, "a text that is not empty")
    return value.strip()


def _sampler(name: str, value: object) -> str | Callable[..., object]:
    return value if callable(value) else _text(name, value)


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
            f"option {name!r} has the value {str(value)!r}, a file that {error}; allowed is a scope catalog in JSON"
        ) from None


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "auth_targets": _targets(AuthTarget),
    "audit_targets": _targets(AuditTarget),
    "presets": _presets,
    "sampler": _sampler,
    "sampler_arg": _texts,
    "request_field": _text,
    "subject_field": _text,
    "scope_catalog": _catalog,
    "audit_spans": _bool,
    "max_items": _positive,
    "strict": _bool,
}
