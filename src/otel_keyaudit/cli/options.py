"""Read options that several commands share, from the command line or from the environment."""

from __future__ import annotations

import os
from collections.abc import Collection

from otel_keyaudit.cli.usage import WrongUseError
from otel_keyaudit.errors import hint, shown
from otel_keyaudit.key.permissions.scope_catalog import CatalogError, ScopeCatalog, load_catalog
from otel_keyaudit.names import VARIABLE_PREFIX


def from_environment(option: str) -> str | None:
    """Return the environment variable of an option; an empty one counts as unset."""
    return os.environ.get(VARIABLE_PREFIX + option.upper(), "").strip() or None


def read_names(option: str, text: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Read a comma-separated list of allowed names.

    Raises:
        WrongUseError: A name is not allowed.
    """
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    for name in names:
        if name not in allowed:
            raise WrongUseError(f"{option} has {shown(name)}; allowed are {', '.join(allowed)}{hint(name, allowed)}")
    return names


def read_catalog(path: str | None) -> ScopeCatalog | None:
    """Load a scope catalog, without a path the catalog that the environment names; ``None`` without either.

    Raises:
        WrongUseError: The catalog cannot be read.
    """
    path = path or from_environment("scope_catalog")
    try:
        return None if path is None else load_catalog(path)
    except CatalogError as error:
        raise WrongUseError(f"the scope catalog {shown(path)} {error}") from None
