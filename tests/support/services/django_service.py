"""The service in Django, with sync and async views, under WSGI and ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from support.services import bare


def set_up(middleware: tuple[str, ...] = ()) -> None:
    """Configure Django, once a process."""
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
        django.setup()
    settings.MIDDLEWARE = ["support.services.django_service.authenticate", *middleware]


def authenticate(get_response: Any) -> Any:
    """Authenticate in a middleware, which Django runs in a thread where it serves ASGI."""

    def middleware(request: HttpRequest) -> Any:
        bare.verify(request.headers.get("x-api-key", ""))
        return get_response(request)

    return middleware


def sync_view(request: HttpRequest, nonce: str) -> HttpResponse:
    """Write in the view."""
    bare.record(nonce)
    return HttpResponse("ok")


async def async_view(request: HttpRequest, nonce: str) -> HttpResponse:
    """Write in the view, and in a thread."""
    await asyncio.sleep(0)
    bare.record(nonce)
    await asyncio.to_thread(bare.record, f"{nonce}:thread")
    return HttpResponse("ok")


def stream(request: HttpRequest, nonce: str) -> StreamingHttpResponse:
    """Write while the body is read."""

    def body() -> Iterator[bytes]:
        yield b"o"
        bare.record(nonce)
        yield b"k"

    return StreamingHttpResponse(body())


async def async_stream(request: HttpRequest, nonce: str) -> StreamingHttpResponse:
    """Write while the asynchronous body is read."""

    async def body() -> AsyncIterator[bytes]:
        yield b"o"
        bare.record(nonce)
        yield b"k"

    return StreamingHttpResponse(body())


urlpatterns = [
    path("sync/<nonce>", sync_view),
    path("async/<nonce>", async_view),
    path("stream/<nonce>", stream),
    path("async-stream/<nonce>", async_stream),
]
