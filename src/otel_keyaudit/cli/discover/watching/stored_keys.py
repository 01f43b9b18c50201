"""Find keys that a middleware, a decorator or a hook stores for the rest of the request."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

from otel_keyaudit.cli.discover.watching.credentials import is_request
from otel_keyaudit.cli.discover.watching.keys import PossibleKey
from otel_keyaudit.cli.discover.watching.values import attributes, is_plain

_OF_SERVERS: Final = frozenset({
    "app", "router", "endpoint", "route", "state", "extensions", "headers", "path_params", "asgi", "session",
    "resolver_match", "route_handler", "litestar_app", "_", "environ", "scope", "META", "GET", "POST", "COOKIES",
    "_messages", "litestar",
})  # fmt: skip
"""Members of a request that are stored by the server or the framework."""


_CONTAINERS: Final = frozenset({"ctx", "context"})
"""Members of a request of Sanic and Falcon that hold values of the application."""


def stored_keys(values: Mapping[str, Any], variables: Mapping[str, ContextVar[Any]]) -> Iterator[PossibleKey]:
    """Yield the objects that are stored on a request or on ``self``, in a scope, an environ, a context or ``flask.g``.

    Args:
        values: The arguments of the function.
        variables: The context variables that the function may set, by expression.
    """
    for parameter, value in values.items():
        root = f"args.{parameter}"
        if is_request(value):
            stored = attributes(value)
            scope = stored.get("scope")
            if type(scope) is dict:
                yield from _in_scope(scope, root)
            else:
                yield from _in(stored, root)
                if type(stored.get("_state")) is dict:  # of aiohttp
                    yield from _in(stored["_state"], root)
                for name in _CONTAINERS & stored.keys():
                    yield from _in(attributes(stored[name]), f"{root}.{name}")
        elif parameter == "self":
            yield from _in(attributes(value), "self")
        elif parameter == "scope" and type(value) is dict:
            yield from _in_scope(value, root)
        elif parameter == "environ" and type(value) is dict:
            yield from _in(value, root)
    yield from _in_flask()
    yield from in_context(variables)


def in_context(variables: Mapping[str, ContextVar[Any]]) -> Iterator[PossibleKey]:
    """Yield the objects in context variables."""
    for expression, variable in variables.items():
        value = variable.get(None)
        if not is_plain(value):
            yield PossibleKey(expression, value, 1)


def _in_scope(scope: dict[str, Any], root: str) -> Iterator[PossibleKey]:
    state = scope.get("state")
    if type(state) is dict:
        yield from _in(state, f"{root}.state")
    yield from _in(scope, root)


def in_flask() -> bool:
    """Check whether a Flask request is open."""
    return _flask_context() is not None


def _flask_context() -> Any:
    flask: Any = sys.modules.get("flask.globals")
    variable = getattr(flask, "_cv_app", None)
    return None if variable is None else variable.get(None)


def _in_flask() -> Iterator[PossibleKey]:
    context = _flask_context()
    if context is not None and hasattr(context, "g"):
        yield from _in(attributes(context.g), "flask:g")


def _in(stored: Mapping[Any, Any], root: str) -> Iterator[PossibleKey]:
    for name, value in list(stored.items()):
        is_public = isinstance(name, str) and name.isidentifier() and not name.startswith("_")
        if is_public and name not in _OF_SERVERS and not is_plain(value):
            yield PossibleKey(f"{root}.{name}", value, 1)
