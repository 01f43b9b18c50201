"""Find presets by name. Each public module of this package is a preset: ``some_name`` is the preset ``some-name``."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from logging import WARNING

import otel_keyaudit.presets as presets_package
from otel_keyaudit.errors import ConfigurationError, shown
from otel_keyaudit.guard.guard import log
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.workers.propagation import HandoverPoint
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.key_objects.key_types import KeyType, KeyTypes

_NO_PRESETS = {
    "fastapi": "the security classes of FastAPI return the secret before it is checked; "
    "name your own dependency in 'auth_targets'",
}
"""Names that are not presets although users may expect them, with the advice for each."""

_ALIASES = {"postgresql-audit-flask": "postgresql-audit"}
"""Other names of presets."""

_KEY_TYPE_PRESETS = {
    "apikeyauth": "apikeyauth",
    "authlib": "authlib",
    "authx": "authx",
    "django_tenant_apikeys": "tenant-apikeys",
    "drf_scoped_permissions": "drf-scoped-permissions",
    "fastapi_users_db_sqlalchemy": "fastapi-users",
    "keygate": "keygate",
    "keyshield": "keyshield",
    "keysmith": "keysmith",
    "knox": "knox",
    "litestar": "litestar-jwt",
    "litestar_api_auth": "litestar-api-auth",
    "mcp": "mcp",
    "oauth2_provider": "oauth-toolkit",
    "otel_keyaudit": "pyjwt",
    "rest_framework": "drf-token",
    "rest_framework_api_key": "drf-api-key",
    "rest_framework_simplejwt": "simplejwt",
    "starlette": "starlette",
}
"""The preset with the key types of each package, so that no other preset is imported. A test compares the two."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    found = (module.name for module in pkgutil.iter_modules(presets_package.__path__))
    modules = sorted(name for name in found if not name.startswith("_"))
    return tuple(name.replace("_", "-") for name in modules)


def presets() -> dict[str, Preset]:
    """Import all presets and return them by name, sorted."""
    return {name: preset(name) for name in names()}


def preset(name: str) -> Preset:
    """Return a preset. No other preset is imported.

    Raises:
        ConfigurationError: There is no such preset. The message lists all names and the nearest one.
    """
    own_name = _ALIASES.get(name, name)
    if own_name in names():
        found: Preset = import_module(f"{presets_package.__name__}.{own_name.replace('-', '_')}").PRESET
        return found
    known = presets()
    raise ConfigurationError(
        f"option 'presets': there is no preset {shown(name)}; known are {', '.join(known)}{_hint(name.lower(), known)}"
    )


def usable(names: Iterable[str], *, strict: bool) -> dict[str, Preset]:
    """Return the named presets whose libraries are installed, and warn of the others.

    Raises:
        ConfigurationError: With ``strict``, a library is not installed.
    """
    found = {}
    for name, one in {name: preset(name) for name in names}.items():
        problem = one.missing_requirement()
        if problem is None:
            found[name] = one
        elif strict:
            raise ConfigurationError(f"preset {name!r} can never work: {problem}")
        else:
            log(WARNING, "preset %s is off: %s", name, problem)
    return found


def targets(chosen: Mapping[str, Preset]) -> list[tuple[Target, str]]:
    """Return the distinct targets of presets, each with the name of the first preset that has it."""
    found: dict[Target, str] = {}
    for name, one in chosen.items():
        for target in one.installed_targets():
            found.setdefault(target, name)
    return list(found.items())


def handover_points(chosen: Mapping[str, Preset]) -> tuple[HandoverPoint, ...]:
    """Return the distinct hooks of presets that carry keys into jobs."""
    return tuple(dict.fromkeys(point for one in chosen.values() for point in one.handover_points))


def key_types(chosen: Mapping[str, Preset]) -> KeyTypes:
    """Return the key types of all libraries. The classes of the chosen presets are in use."""
    return KeyTypes(key_type, [name for one in chosen.values() for name in one.key_types])


def key_type(name: str) -> KeyType | None:
    """Return the key type of the class ``module:Class``. The first use imports its preset."""
    package = name.partition(":")[0].partition(".")[0]
    return preset(_KEY_TYPE_PRESETS[package]).key_types.get(name) if package in _KEY_TYPE_PRESETS else None


def _hint(name: str, known: dict[str, Preset]) -> str:
    if name in _NO_PRESETS:
        return f"; {_NO_PRESETS[name]}"
    near = _nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def _nearest(name: str, known: dict[str, Preset]) -> str | None:
    """Return the preset whose name or library has the nearest name."""
    spellings = {one.library.lower(): preset_name for preset_name, one in known.items()}
    spellings |= {preset_name: preset_name for preset_name in known}
    from difflib import get_close_matches  # noqa: PLC0415 - for an error that hardly anybody ever sees

    matches = get_close_matches(name.replace("_", "-"), spellings, 1)
    return spellings[matches[0]] if matches else None
