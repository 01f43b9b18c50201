"""The watched functions, with the data that all calls of a function share."""

from __future__ import annotations

from contextvars import ContextVar
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_VARARGS, CO_VARKEYWORDS
from types import FrameType
from typing import Any, Final

from otel_keyaudit.cli.discover.functions.naming import target_path
from otel_keyaudit.cli.discover.functions.packages import is_library
from otel_keyaudit.cli.discover.functions.statements import inserted_tables
from otel_keyaudit.cli.discover.functions.words import (
    audit_weight,
    auth_weight,
    is_container,
    is_identifier,
    is_parser,
)

SCOPES: Final = ("scope", "environ", "env", "request", "req", "handler_call_details", "context", "event")
"""Parameter names of ASGI and WSGI applications, and of handlers of other servers, gRPC and AWS Lambda."""

_MAX_CALLS: Final = 1000
_MAX_LIBRARY_CALLS: Final = 50
"""Number of calls without a credential after which a function is no longer watched."""


class Function:
    """A watched function.

    Args:
        frame: A call of the function.

    Attributes:
        auth: The best description of the keys that the function returns or stores, if there is one.
        audit: The description of the rows that it writes or builds, if there is one.
    """

    def __init__(self, frame: FrameType) -> None:
        code = frame.f_code
        extra = bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
        count = code.co_argcount + code.co_kwonlyargcount
        self.code = code
        self.parameters = code.co_varnames[:count]
        self.arguments = code.co_varnames[: count + extra]
        self.keywords = self.arguments[-1] if code.co_flags & CO_VARKEYWORDS else None
        self.is_coroutine = bool(code.co_flags & CO_COROUTINE)
        self.is_async_generator = bool(code.co_flags & CO_ASYNC_GENERATOR)
        self.is_library = is_library(code.co_filename)
        self.request_parameters = [name for name in SCOPES if name in self.parameters]
        self.path = target_path(frame)
        self.variables = _context_variables(frame, self.path or "")
        path = self.path or ""  # an empty name suggests nothing
        self.auth_weight = auth_weight(path)
        self.audit_weight = _audit_weight(path, frame, self.is_library)
        self.is_parser, self.is_container = is_parser(path), is_container(path)
        self.is_identifier = not self.is_library and is_identifier(path)
        self._calls = 0
        self.auth: dict[str, Any] | None = None
        self.audit: dict[str, Any] | None = None

    def count_call(self, is_holder: bool) -> bool:
        """Count a call without a credential; return whether there were so many that the function can be ignored."""
        self._calls = 0 if is_holder else self._calls + 1
        return self._calls > (_MAX_LIBRARY_CALLS if self.is_library else _MAX_CALLS) and self.audit is None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return "" if self.path is None else self.path.rpartition(":")[2].rpartition(".")[2]

    @property
    def package(self) -> str:
        """The name of the top-level package."""
        return "" if self.path is None else self.path.partition(":")[0].partition(".")[0]

    def keep(self, found: dict[str, Any] | None) -> None:
        """Keep the best description of the keys that the function returns."""
        if found is not None and (self.auth is None or found["score"] > self.auth["score"]):
            self.auth = found


def _context_variables(frame: FrameType, path: str) -> dict[str, ContextVar[Any]]:
    """Return the context variables of the module that a function may set, by expression."""
    names = frame.f_code.co_names
    if "set" not in names:
        return {}
    found = {name: frame.f_globals.get(name) for name in names}
    module = path.partition(":")[0]
    return {f"{module}:{name}": value for name, value in found.items() if type(value) is ContextVar}


def _audit_weight(path: str, frame: FrameType, is_library: bool) -> int:
    """Rate how strongly the name of a function, or of all tables of its SQL, suggests an audit log."""
    tables = set() if is_library else inserted_tables(frame)
    return max(audit_weight(path), min(map(audit_weight, tables), default=0))
