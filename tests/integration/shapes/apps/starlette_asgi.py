"""Starlette: a middleware without a base class stores the key in the scope and calls the application."""

from __future__ import annotations

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from integration.shapes.apps.common import KEYS, create_note


class KeyMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        presented = Headers(scope=scope).get("x-api-key")
        if presented is not None and presented not in KEYS:
            raise HTTPException(403)
        scope.setdefault("state", {})["api_key"] = None if presented is None else KEYS[presented]
        await self.app(scope, receive, send)


async def create(_: Request) -> Response:
    """Create a note."""
    return PlainTextResponse(create_note())


app = OpenTelemetryMiddleware(
    Starlette(
        routes=[Route("/notes", create, methods=["POST"])],
        middleware=[Middleware(ExceptionMiddleware), Middleware(KeyMiddleware)],
    )
)
