"""The body of a WSGI response: code of the application that runs when the server reads it, after the call returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from otel_keyaudit.request.context import CALL
from otel_keyaudit.request.state import RequestState


def runs_code(body: Any, environ: Any) -> bool:
    """Say whether code of the application may still run when the server reads a body: not for a list or a file."""
    if body is None or type(body) in (list, tuple):
        return False
    file_wrapper = environ.get("wsgi.file_wrapper") if isinstance(environ, dict) else None
    return not (isinstance(file_wrapper, type) and isinstance(body, file_wrapper))


def delimited_body(body: Any, state: RequestState) -> Any:
    """Return a body that is read, and closed, as part of its request."""
    if hasattr(body, "__next__"):
        return Chunks(body, state)
    return (SizedBody if hasattr(body, "__len__") else Body)(body, state)


def keeps_streaming(response: Any, state: RequestState) -> bool:
    """Let the body of a response that Django's test client got be read as part of the request; say if there is one."""
    if not getattr(response, "streaming", False):
        return False
    body = response.streaming_content
    is_async = hasattr(body, "__anext__")
    response.streaming_content = AsyncChunks(body, state) if is_async else delimited_body(body, state)
    return True


class Body:
    """The body of a WSGI response: the request goes on while it is read, and ends when it is closed.

    Otherwise it is what the application returned. Servers ask for the special methods of a body, so it must not have
    more of them than that, as a proxy of wrapt would.
    """

    __slots__ = ("_body", "_state")

    def __init__(self, body: Any, state: RequestState) -> None:
        object.__setattr__(self, "_body", body)
        object.__setattr__(self, "_state", state)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._body, name, value)

    def __iter__(self) -> Iterator[Any]:
        before = CALL.set(self._state)
        try:
            return Chunks(iter(self._body), self._state)
        finally:
            CALL.reset(before)

    def close(self) -> None:
        """Close the body, then end the request."""
        before = CALL.set(self._state)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._state.close()
            CALL.reset(before)


class SizedBody(Body):
    """A body with a length, from which a server may derive that of the content."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)


class Chunks(Body):
    """A body that is read chunk by chunk, each with its request as the current one."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        before = CALL.set(self._state)
        try:
            return next(self._body)
        finally:
            CALL.reset(before)


class AsyncChunks(Body):
    """The same for an asynchronous body."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        before = CALL.set(self._state)
        try:
            return await self._body.__anext__()
        finally:
            CALL.reset(before)
