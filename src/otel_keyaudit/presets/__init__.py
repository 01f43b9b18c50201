"""Ready-made targets for libraries. Each module here is a preset: ``some_name`` the preset ``some-name``."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module

from otel_keyaudit.errors import ConfigurationError
from otel_keyaudit.guard import logger, run_silently
from otel_keyaudit.jobs import Carrier
from otel_keyaudit.key_types import KeyType, KeyTypes
from otel_keyaudit.preset import Preset
from otel_keyaudit.targets import Target

_NO_PRESETS = {
    "fastapi": "FastAPI's security classes return the secret itself, before anybody has checked it: "
    "name your own dependency in 'auth_targets'",
}
"""Names that are sensible, and what to do in their place."""


@cache
def presets() -> dict[str, Preset]:
    """Return all presets by name, sorted."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name.replace("_", "-"): import_module(f"{__name__}.{name}").PRESET for name in modules}


def preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        ConfigurationError: There is none of that name; it says which there are, and which was probably meant.
    """
    known = presets()
    if name in known:
        return known[name]
    raise ConfigurationError(f"there is no preset {name!r}; known are {', '.join(known)}{_hint(name.lower(), known)}")


def usable(names: Iterable[str], *, strict: bool) -> dict[str, Preset]:
    """Return the presets of some names whose libraries are there; a warning says which are not.

    Raises:
        ConfigurationError: With ``strict``, a library is not there.
    """
    found = {}
    for name in names:
        one = preset(name)
        shortcoming = one.shortcoming()
        if shortcoming is None:
            found[name] = one
        elif strict:
            raise ConfigurationError(f"preset {name!r} can never work: {shortcoming}")
        else:
            run_silently(logger.warning, "keyaudit preset %s is off: %s", name, shortcoming)
    return found


def targets(chosen: Mapping[str, Preset]) -> tuple[Target, ...]:
    """Return the targets of some presets, each once."""
    return tuple(dict.fromkeys(target for one in chosen.values() for target in one.targets))


def carriers(chosen: Mapping[str, Preset]) -> tuple[Carrier, ...]:
    """Return where some presets hand jobs over, each once."""
    return tuple(dict.fromkeys(carrier for one in chosen.values() for carrier in one.carriers))


def key_types(chosen: Mapping[str, Preset]) -> KeyTypes:
    """Return the key types of all libraries; those of some presets are in use."""
    return KeyTypes(_known(), [name for one in chosen.values() for name in one.key_types])


@cache
def _known() -> dict[str, KeyType]:
    return {name: kind for one in presets().values() for name, kind in one.key_types.items()}


def _hint(name: str, known: dict[str, Preset]) -> str:
    if name in _NO_PRESETS:
        return f"; {_NO_PRESETS[name]}"
    near = _nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def _nearest(name: str, known: dict[str, Preset]) -> str | None:
    """Return the preset whose name, or whose library's name, is nearest."""
    spellings = {one.library.lower(): preset_name for preset_name, one in known.items()}
    spellings |= {preset_name: preset_name for preset_name in known}
    from difflib import get_close_matches  # noqa: PLC0415 - for an error that hardly anybody ever sees

    matches = get_close_matches(name.replace("_", "-"), spellings, 1)
    return spellings[matches[0]] if matches else None
