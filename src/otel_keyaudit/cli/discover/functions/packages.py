"""Distinguish the service's own code from its libraries."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

PACKAGES = "_OTEL_KEYAUDIT_PACKAGES"
"""Environment variable with the packages in the user's command."""

_PATHS = sysconfig.get_paths()
_INSTALLED = re.compile(r"[\\/](?:site|dist)-packages[\\/]([^\\/]+?)(?:\.py)?(?:[\\/]|$)")
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.\w+)*(?::[\w.()]+)?")
_SERVERS: Final = frozenset({
    "celery", "daphne", "django", "fastapi", "fastapi_cli", "flask", "granian", "gunicorn", "hypercorn", "litestar",
    "python", "starlette", "uvicorn", "waitress", "werkzeug", "opentelemetry", "ddtrace", "newrelic", "uv", "poetry",
})  # fmt: skip
"""Commands and packages that run an application but do not belong to it."""


def named_packages(command: Sequence[str]) -> list[str]:
    """Return the packages in a command: ``uvicorn shop.main:app``, ``-m shop``, or the package of a console script."""
    words = [match[1] for match in map(_MODULE.fullmatch, command[1:]) if match is not None]
    script = Path(command[0]).name
    words += [
        point.value.partition(":")[0].partition(".")[0] for point in entry_points(group="console_scripts", name=script)
    ]
    return [word for word in dict.fromkeys(words) if word not in _SERVERS]


def is_ignored(file: str) -> bool:
    """Check whether a file belongs to the standard library, OpenTelemetry or this library."""
    if file.startswith("<") or "/opentelemetry/" in file or "/otel_keyaudit/" in file:
        return True
    return file.startswith((_PATHS["stdlib"], _PATHS["platstdlib"])) and _INSTALLED.search(file) is None


def is_library(file: str) -> bool:
    """Check whether a file belongs to an installed package that is neither the service's own nor a plugin of it.

    The name of a plugin begins with that of the service, as in ``datasette_auth_tokens``.
    """
    installed = _INSTALLED.search(file)
    return installed is not None and not f"{installed[1]}_".startswith(_own_packages())


@cache
def _own_packages() -> tuple[str, ...]:
    """Return the names of the service's own packages, each with the ``_`` that follows it in the name of a plugin."""
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
    return tuple(f"{name}_" for name in {*os.environ.get(PACKAGES, "").split(","), settings} if name)
