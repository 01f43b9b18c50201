"""Recognize the scope or environ of a request that is being handled already, also in a copy.

A server starts a connection's next request in the context of the previous one if that answered early (uvicorn), and an
application may call another one in-process. So a request is identified by its scope, not by the context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_keyaudit.request.context import Request


def is_request(scope: Any) -> bool:
    """Say whether an ASGI scope is that of a request."""
    return (type(scope) is dict or isinstance(scope, Mapping)) and scope.get("type") in ("http", "websocket")


def ends_later(current: Request, scope: Any) -> bool:
    """Say whether a call belongs to the current request: it passes the same scope on, or a copy of it."""
    return any(known is scope or _is_copy(known, scope) for known in (current.scope, *current.aliases))


def _is_copy(known: Any, scope: Any) -> bool:
    """Say whether a scope is a copy of another one.

    The copy of an ASGI scope has the same headers object, unless that may be a constant of the program. The copy of a
    WSGI environ has the same input and equal headers.
    """
    if not (isinstance(known, Mapping) and isinstance(scope, Mapping)):
        return False
    headers = known.get("headers")
    if headers is not None:
        is_constant = isinstance(headers, tuple) and known.get("state") is not scope.get("state", headers)
        return headers is scope.get("headers") and not is_constant
    stream = known.get("wsgi.input")
    return stream is not None and stream is scope.get("wsgi.input") and _http(known) == _http(scope)


def _http(environ: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in environ.items() if isinstance(name, str) and name.startswith("HTTP_")}
