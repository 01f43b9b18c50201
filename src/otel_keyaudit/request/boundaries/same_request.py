"""Recognize the scope or environ of the current request, and copies of it.

A request is identified by its scope, not by its context. Uvicorn starts the next request of a connection in the context
of the previous request if that answered early, and an application may call another application in-process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_keyaudit.request.attribution import UNATTRIBUTED
from otel_keyaudit.request.context import USED_KEY, Request, current_request


def is_request(scope: Any) -> bool:
    """Return whether an ASGI scope belongs to a request."""
    return (type(scope) is dict or isinstance(scope, Mapping)) and scope.get("type") in ("http", "websocket")


def is_same_request(current: Request, scope: Any) -> bool:
    """Return whether a scope belongs to the current request: it is the same object or a copy."""
    return any(known is scope or _is_copy(known, scope) for known in (current.scope, *current.aliases))


def is_inner_request(scope: Any) -> bool:
    """Return whether a scope belongs to another request than the current request or job; ``False`` outside of both."""
    outer = current_request()
    if outer is not None and (outer.scope is scope or _is_handled_by_framework(outer)):
        return False
    if outer is None or not outer.is_open:
        used = USED_KEY.get()
        if used is None or not (used.is_propagated and used.is_in_force()):
            return False
        outer = used.request
    return isinstance(scope, Mapping) and (outer is None or not is_same_request(outer, scope))


def _is_handled_by_framework(span_request: Request) -> bool:
    """Return whether a request has only its server span so far, so that the framework now handles this request."""
    has_only_span = span_request.scope is None and span_request.server_span is not None
    return has_only_span and span_request.attribution is UNATTRIBUTED


def _is_copy(known: Any, scope: Any) -> bool:
    """Return whether a scope is a copy of a known scope.

    A copy of an ASGI scope shares its headers object. A tuple, which may be a constant, counts only with a shared
    ``state``. A copy of a WSGI environ shares the input, and has equal headers.
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
