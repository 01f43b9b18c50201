"""Make one request, as a server does. Every measured call is a separate request.

A request is an ASGI call that passes a framework's entry point, opens a SERVER span as tracing middleware does, and
runs the endpoint. The whole request is measured, and the plain request is subtracted. So the cost of the library
includes its work at the beginning and the end of requests and at the opening of spans.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from opentelemetry.trace import SpanKind, Tracer
from starlette.applications import Starlette

from benchmarks.application import CREDENTIAL

Endpoint = Callable[[], Any]
Request = Callable[[], Any]
"""Runs one request and returns the row that its endpoint wrote."""

_SCOPE = {"type": "http", "method": "POST", "path": "/workspaces", "query_string": b"", "http_version": "1.1"}
_HEADERS = [(b"host", b"localhost"), (b"x-api-key", CREDENTIAL.encode()), (b"content-type", b"application/json")]


def asgi_request(tracer: Tracer, endpoint: Endpoint) -> Request:
    """Return a request that is an ASGI call with a server span in it."""

    async def middleware(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("POST /workspaces", kind=SpanKind.SERVER):
            scope["row"] = endpoint()

    async def channel(*_: Any) -> Any:
        """Receive and send nothing."""

    application = Starlette()
    application.middleware_stack = middleware  # without routing, whose cost the library does not change

    def request() -> Any:
        scope: dict[str, Any] = {**_SCOPE, "headers": _HEADERS.copy()}
        run(application(scope, channel, channel))
        return scope["row"]

    return request


def run(coroutine: Any) -> None:
    """Run a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the request waited for something")
