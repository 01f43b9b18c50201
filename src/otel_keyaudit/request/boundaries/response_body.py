"""Keep a request open while the server reads the response body, which may run code of the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from otel_keyaudit.request.boundaries.running import await_inside, run_inside
from otel_keyaudit.request.context import Request


def runs_code(body: Any, environ: Any) -> bool:
    """Return whether reading a body may run code of the application. A list or a file runs none."""
    if body is None or type(body) in (list, tuple):
        return False
    file_wrapper = environ.get("wsgi.file_wrapper") if isinstance(environ, dict) else None
    return not (isinstance(file_wrapper, type) and isinstance(body, file_wrapper))


def delimited_body(body: Any, request: Request) -> Any:
    """Wrap a body so that it is read and closed inside its request."""
    if hasattr(body, "__next__"):
        return Chunks(body, request)
    return (SizedBody if hasattr(body, "__len__") else Body)(body, request)


def delimit_streaming(response: Any, request: Request) -> None:
    """Keep the request open until the streaming body of a Django response is closed, if it has one."""
    if not getattr(response, "streaming", False):
        return
    request.lasts = True
    body = response.streaming_content
    is_async = hasattr(body, "__anext__")
    response.streaming_content = AsyncChunks(body, request) if is_async else delimited_body(body, request)


class Body:
    """A proxy of a WSGI response body, which keeps the request open until the body is closed.

    Servers check which special methods a body has, so this class must not add any, as a proxy of wrapt would.
    """

    __slots__ = ("_body", "_request")

    def __init__(self, body: Any, request: Request) -> None:
        object.__setattr__(self, "_body", body)
        object.__setattr__(self, "_request", request)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._body, name, value)

    def __iter__(self) -> Iterator[Any]:
        return Chunks(run_inside(self._request, iter, self._body), self._request)

    def close(self) -> None:
        """Close the body, then end the request."""
        run_inside(self._request, _close, self._body, self._request)


def _close(body: Any, request: Request) -> None:
    try:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    finally:
        request.lasts = False


class SizedBody(Body):
    """A body with a length, from which a server may derive ``Content-Length``."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)


class Chunks(Body):
    """A body that is read chunk by chunk."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return run_inside(self._request, next, self._body)


class AsyncChunks(Body):
    """An asynchronous body that is read chunk by chunk."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await await_inside(self._request, self._body.__anext__)
