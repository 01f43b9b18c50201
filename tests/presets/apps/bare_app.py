"""Applications without any framework, for WSGI and ASGI, which nothing traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from presets.apps.audit_log import SERVED, record


@dataclass(frozen=True)
class Key:
    id: str


def verify(key: str | None) -> Key | None:
    if key is not None and key not in SERVED:
        raise PermissionError
    return None if key is None else Key(f"id of {key[-1]}")


def _status(key: str | None) -> str:
    try:
        return "401 Unauthorized" if verify(key) is None else "200 OK"
    except PermissionError:
        return "403 Forbidden"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Write the row while the body is read, which is after the application has returned."""
    status = _status(environ.get("HTTP_X_API_KEY"))
    start_response(status, [("Content-Length", "4")])
    return _body(is_allowed=status == "200 OK")


def _body(*, is_allowed: bool) -> Iterator[bytes]:
    if is_allowed:
        record("note.create", {"by": "application"})
    yield b"done"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Write the row between the beginning of the response and its body."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    key = dict(scope["headers"]).get(b"x-api-key")
    status = _status(None if key is None else key.decode())
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": []})
    await send({"type": "http.response.body", "body": b"".join(_body(is_allowed=status == "200 OK"))})
