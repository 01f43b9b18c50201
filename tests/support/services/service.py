"""A service that authenticates API keys and writes audit rows in every usual way, without importing the library.

A request names its own nonce, which appears in each row and in the path, so that a test can join rows and spans with
requests.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import ASGIApp, Receive, Scope, Send

AUTH_TARGETS = [f"support.services.service:{name}" for name in ("verify", "averify", "verify_open", "averify_open")]
AUDIT_TARGETS = ["support.services.service:record"]

UNKNOWN_PLACES = ("executor", "thread")
"""Where no context is inherited: a row that is written there cannot know its request."""


@dataclass(frozen=True)
class Key:
    id: str
    name: str
    scopes: tuple[str, ...] = ("read",)
    allow_list: tuple[str, ...] = ()


@dataclass
class Row:
    nonce: str
    fields: dict[str, Any]

    @property
    def key_id(self) -> str | None:
        found = self.fields.get("request_api_key")
        return None if found is None else str(found.get("id", "ambiguous"))


rows: list[Row] = []
pool = ThreadPoolExecutor(2)


def record(resource_id: str, additional_fields: dict[str, Any] | None = None, action: str = "do") -> None:
    """Write an audit row."""
    rows.append(Row(resource_id, additional_fields or {}))


def _key(credential: str) -> Key | None:
    if credential == "wrong":
        raise HTTPException(401)
    return Key(credential, credential.upper()) if credential else None


def verify(x_api_key: str = Header("")) -> Key | None:
    """Authenticate, in a worker thread."""
    time.sleep(0)
    return _key(x_api_key)


async def averify(x_api_key: str = Header("")) -> Key | None:
    """Authenticate, in the request's task."""
    await asyncio.sleep(0)
    return _key(x_api_key)


def verify_open(x_api_key: str = Header("")) -> Iterator[Key | None]:
    """Authenticate, with something to clean up."""
    yield _key(x_api_key)


async def averify_open(x_api_key: str = Header("")) -> AsyncIterator[Key | None]:
    """Authenticate in the request's task, with something to clean up."""
    await asyncio.sleep(0)
    yield _key(x_api_key)


async def pause(steps: int = 1) -> None:
    """Let others run."""
    for _ in range(steps):
        await asyncio.sleep(0)


async def arecord(nonce: str) -> None:
    """Write an audit row a little later."""
    await pause()
    record(nonce)


class AuthenticatingMiddleware:
    """Authenticates before the framework, in pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if b"x-early-key" in headers:
            await averify(headers[b"x-early-key"].decode())
        await self.app(scope, receive, send)


class RecordingMiddleware(BaseHTTPMiddleware):
    """Writes a row after the endpoint has answered, outside of the task it ran in."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        if "/dispatch/" in request.url.path:
            record(request.url.path.rpartition("/")[2])
        return response


Place = Callable[[str, BackgroundTasks], Awaitable[Response | None]]


async def _endpoint(nonce: str, tasks: BackgroundTasks) -> Response | None:
    await pause()
    record(nonce)
    return None


async def _dispatch(nonce: str, tasks: BackgroundTasks) -> Response | None:
    return None


async def _background(nonce: str, tasks: BackgroundTasks) -> Response | None:
    tasks.add_task(arecord, nonce)
    return None


async def _background_sync(nonce: str, tasks: BackgroundTasks) -> Response | None:
    tasks.add_task(record, nonce)
    return None


async def _stream(nonce: str, tasks: BackgroundTasks) -> Response | None:
    async def body() -> AsyncIterator[bytes]:
        yield b"1"
        await arecord(nonce)
        yield b"2"

    return StreamingResponse(body())


async def _stream_sync(nonce: str, tasks: BackgroundTasks) -> Response | None:
    def body() -> Iterator[bytes]:
        yield b"1"
        record(nonce)
        yield b"2"

    return StreamingResponse(body())


async def _to_thread(nonce: str, tasks: BackgroundTasks) -> Response | None:
    await asyncio.to_thread(record, nonce)
    return None


async def _gather(nonce: str, tasks: BackgroundTasks) -> Response | None:
    await asyncio.gather(arecord(nonce), arecord(nonce))
    return None


async def _create_task(nonce: str, tasks: BackgroundTasks) -> Response | None:
    await asyncio.create_task(arecord(nonce))
    return None


async def _executor(nonce: str, tasks: BackgroundTasks) -> Response | None:
    await asyncio.get_running_loop().run_in_executor(pool, record, nonce)
    return None


async def _thread(nonce: str, tasks: BackgroundTasks) -> Response | None:
    thread = threading.Thread(target=record, args=(nonce,))
    thread.start()
    await asyncio.to_thread(thread.join)
    return None


PLACES: dict[str, Place] = {
    "endpoint": _endpoint,
    "dispatch": _dispatch,
    "background": _background,
    "background_sync": _background_sync,
    "stream": _stream,
    "stream_sync": _stream_sync,
    "to_thread": _to_thread,
    "gather": _gather,
    "create_task": _create_task,
    "executor": _executor,
    "thread": _thread,
}

DEPENDENCIES: dict[str, Callable[..., Any]] = {
    "sync": verify,
    "async": averify,
    "sync_yield": verify_open,
    "async_yield": averify_open,
}


def _no_dependency() -> None:
    """The dependency of routes whose middleware authenticates."""


def _router() -> APIRouter:
    router = APIRouter()
    for dependency_name, dependency in {**DEPENDENCIES, "middleware": _no_dependency}.items():
        path = f"/{dependency_name}/{{place}}/{{nonce}}"
        router.add_api_route(path, _route(dependency), methods=["POST"], response_model=None)
    return router


def _route(dependency: Callable[..., Any]) -> Callable[..., Any]:
    async def route(place: str, nonce: str, tasks: BackgroundTasks, key: Any = Depends(dependency)) -> Any:  # noqa: B008
        return await PLACES[place](nonce, tasks)

    return route


def build(**options: Any) -> FastAPI:
    """Return the service; a mounted application has the same routes under ``/mounted``."""
    quiet: dict[str, Any] = {"telemetry": {"tracing": False, "metrics": False, "logs": False}}
    app = FastAPI(**{**quiet, **options})
    mounted = FastAPI(**quiet)
    mounted.include_router(_router())
    app.include_router(_router())
    app.mount("/mounted", mounted)
    app.add_middleware(RecordingMiddleware)
    app.add_middleware(AuthenticatingMiddleware)
    return app


def headers(dependency: str, credential: str) -> dict[str, str]:
    """Return the headers that show a credential to a route of :func:`build`."""
    if not credential:
        return {}
    return {"x-early-key" if dependency == "middleware" else "x-api-key": credential}
