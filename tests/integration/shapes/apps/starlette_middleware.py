"""Starlette: a middleware stores the key in the request's state and calls the application."""

from __future__ import annotations

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from integration.shapes.apps.common import KEYS, create_note


class KeyMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        presented = request.headers.get("x-api-key")
        if presented is not None and presented not in KEYS:
            raise HTTPException(403)
        request.state.api_key = None if presented is None else KEYS[presented]
        return await call_next(request)


async def create(_: Request) -> Response:
    """Create a note."""
    return PlainTextResponse(create_note())


app = OpenTelemetryMiddleware(
    Starlette(
        routes=[Route("/notes", create, methods=["POST"])],
        middleware=[Middleware(ExceptionMiddleware), Middleware(KeyMiddleware)],
    )
)
