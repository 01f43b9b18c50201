"""Split and join target strings: ``package.module:Qualified.name?field=expression&field=expression``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from otel_keyaudit.errors import ConfigurationError, shown
from otel_keyaudit.targets.expressions.expression import decode

_MODULE = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PATH = re.compile(rf"{_MODULE}:[^\W\d]\w*(?:\.(?:<locals>\.)?[^\W\d]\w*|\.<locals>\.<lambda>)*")

_SUPERFLUOUS = " \"'`()[]"


def is_path(path: object) -> bool:
    """Return whether a value has the form ``package.module:Qualified.name``, which may include ``<locals>``."""
    return isinstance(path, str) and _PATH.fullmatch(path) is not None


def form_hint(path: object) -> str:
    """Return the end of a message about a path with quotes, spaces, brackets or other separators than dots and a colon.

    Quotes are a part of the value in the ``env_file`` of a container, for example.
    """
    if not isinstance(path, str):
        return ""
    bare = "".join(char for char in path if char.isprintable() and char not in _SUPERFLUOUS)
    bare = re.sub(r"(?:\.py)?:+", ":", bare.replace("/", "."))
    candidates = (bare, ":".join(bare.rsplit(".", 1)))
    return next((f"; did you mean {shown(one)}?" for one in candidates if is_path(one)), "")


def split(string: str) -> tuple[str, dict[str, str]]:
    """Split a target string into its path and the expression of each field, in which ``%XX`` is not decoded yet.

    Args:
        string: The target string.

    Raises:
        ConfigurationError: A part is not ``field=expression``, or a field is given twice.
    """
    path, query, rest = string.partition("?")
    fields: dict[str, str] = {}
    for part in rest.split("&") if query else []:
        name, equals, expression = part.partition("=")
        name = decode(string, name.strip())
        if not equals:
            raise ConfigurationError(
                f"target {shown(string)}: {shown(part)} is not of the form field=expression; write %26 for a '&'"
            )
        if name in fields:
            raise ConfigurationError(f"target {shown(string)}: field {shown(name)} is given twice")
        fields[name] = expression
    return decode(string, path.strip()), fields


def join(path: object, fields: Mapping[str, object]) -> str:
    """Join the target string of a typed target. A function is represented by its name."""
    parts = [
        f"{name}={value if isinstance(value, str) else getattr(value, '__qualname__', type(value).__name__)}"
        for name, value in fields.items()
    ]
    return f"{path}?{'&'.join(parts)}" if parts else str(path)
