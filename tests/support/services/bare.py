"""Targets without a framework around them, and the smallest applications of ASGI and WSGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from otel_keyaudit.testing import Recorder

AUTH_TARGETS = ["support.services.bare:verify"]
AUDIT_TARGETS = ["support.services.bare:record"]

rows: list[dict[str, Any]] = []


class Key:
    def __init__(self, id: str, scopes: tuple[str, ...] = ("read",)) -> None:  # noqa: A002
        self.id = id
        self.scopes = scopes


def instrument(recorder: Recorder, **options: Any) -> None:
    """Begin a test: without a row, with both targets on."""
    rows.clear()
    recorder.instrument(auth_targets=AUTH_TARGETS, audit_targets=AUDIT_TARGETS, **options)


def verify(credential: str) -> Key | None:
    """Authenticate."""
    if credential == "wrong":
        raise PermissionError
    return Key(credential) if credential else None


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Write an audit row."""
    rows.append({"action": action, **(additional_fields or {})})


def named() -> dict[str, str | None]:
    """Return the key that the last row of each action names."""
    return {row["action"]: row["request_api_key"].get("id", "?") if "request_api_key" in row else None for row in rows}


def scope(path: str = "/", credential: str = "", **others: Any) -> dict[str, Any]:
    """Return the scope of a new request."""
    headers = [(b"x-api-key", credential.encode())] if credential else []
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, **others}


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def receive() -> dict[str, Any]:
    """Receive an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def ignore(message: MutableMapping[str, Any]) -> None:
    """Send nowhere."""


async def answer(send: Send) -> None:
    """Answer a request."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def app(scope: Any, receive: Any, send: Send) -> None:
    """Write one row before and one after the answer, named by the path."""
    if scope["type"] != "http":
        return
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            verify(value.decode())
    record(scope["path"])
    await answer(send)
    await asyncio.sleep(0)
    record(f"{scope['path']}:after")


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Write a row while the body is read, and one when it is closed."""
    verify(environ.get("HTTP_X_API_KEY", ""))
    record(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body(environ["PATH_INFO"])


def body(path: str) -> Iterator[bytes]:
    """Write rows while a body is read and closed."""
    try:
        yield b"o"
        record(f"{path}:body")
        yield b"k"
    finally:
        record(f"{path}:closed")
