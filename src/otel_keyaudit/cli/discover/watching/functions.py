"""The functions that are watched, with everything that is the same for all their calls."""

from __future__ import annotations

import sysconfig
from inspect import CO_COROUTINE, CO_VARARGS, CO_VARKEYWORDS
from types import FrameType
from typing import Any

from otel_keyaudit.cli.discover.watching.naming import target_path
from otel_keyaudit.cli.discover.watching.words import audit_weight

_PATHS = sysconfig.get_paths()
_SITE_PACKAGES = ("site-packages", "dist-packages")


class Function:
    """The parts of a function that are the same for all its calls.

    Args:
        frame: A call of the function.
    """

    def __init__(self, frame: FrameType) -> None:
        code = frame.f_code
        extra = bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
        count = code.co_argcount + code.co_kwonlyargcount
        self.parameters = code.co_varnames[:count]
        self.arguments = code.co_varnames[: count + extra]
        self.is_coroutine = bool(code.co_flags & CO_COROUTINE)
        self.is_library = any(part in code.co_filename for part in _SITE_PACKAGES)
        self.request_parameter = next((name for name in ("scope", "environ") if name in self.parameters), None)
        self.path = target_path(frame)
        self.audit_weight = 0 if self.path is None else audit_weight(self.path)
        self.found: dict[str, Any] | None = None
        self.audit: dict[str, Any] | None = None


def is_ignored(file: str) -> bool:
    """Check for the standard library, for OpenTelemetry and for the library itself."""
    if file.startswith("<") or "/opentelemetry/" in file or "/otel_keyaudit/" in file:
        return True
    is_standard = file.startswith((_PATHS["stdlib"], _PATHS["platstdlib"]))
    return is_standard and not any(part in file for part in _SITE_PACKAGES)
