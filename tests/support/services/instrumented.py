"""The service under each instrumentation that opens server spans."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from support.services import service

Instrumented = Callable[[TracerProvider], ASGIApp]


def nothing(provider: TracerProvider) -> ASGIApp:
    """There is no server span."""
    return service.build()


def contrib_asgi(provider: TracerProvider) -> ASGIApp:
    """The contrib middleware, outside of the application."""
    return OpenTelemetryMiddleware(service.build(), tracer_provider=provider)


def contrib_asgi_inside(provider: TracerProvider) -> ASGIApp:
    """The server span is opened after a middleware has authenticated."""
    app = service.build()
    app.user_middleware.append(Middleware(OpenTelemetryMiddleware, tracer_provider=provider))
    return app


def contrib_fastapi(provider: TracerProvider) -> ASGIApp:
    """The contrib instrumentor of FastAPI."""
    app = service.build()
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def restore() -> None:
    """Uninstrument Starlette, which the contrib instrumentor of FastAPI patches globally."""
    FastAPIInstrumentor.uninstrument_app(service.build())


def native_fastapi(provider: TracerProvider) -> FastAPI:
    """FastAPI's own telemetry."""
    pytest.importorskip("fastapi.telemetry")
    return service.build(telemetry={"tracer_provider": provider, "metrics": False, "logs": False})


def native_starlette(provider: TracerProvider) -> ASGIApp:
    """Starlette's own middleware."""
    middleware = pytest.importorskip("starlette.middleware.opentelemetry")
    app = service.build()
    app.add_middleware(middleware.OpenTelemetryMiddleware, tracer_provider=provider)
    return app


def two(provider: TracerProvider) -> ASGIApp:
    """Two server spans in two traces."""
    return OpenTelemetryMiddleware(native_fastapi(provider), tracer_provider=provider)


INSTRUMENTED: list[Instrumented] = [
    contrib_asgi,
    contrib_asgi_inside,
    contrib_fastapi,
    native_fastapi,
    native_starlette,
    two,
]
