"""The body of a WSGI response: code of the application that runs when the server reads it, after the call returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import wrapt

from otel_keyaudit.request_state import RequestState, enter_call, leave_call


def runs_code(body: Any, environ: Any) -> bool:
    """Say whether code of the application may still run when the server reads a body: not for a list or a file."""
    if body is None or type(body) in (list, tuple):
        return False
    file_wrapper = environ.get("wsgi.file_wrapper") if isinstance(environ, dict) else None
    return not (isinstance(file_wrapper, type) and isinstance(body, file_wrapper))


def delimited_body(body: Any, state: RequestState) -> Any:
    """Return a body that is read, and closed, as part of its request."""
    return (Chunks if hasattr(body, "__next__") else Body)(body, state)


def keeps_streaming(response: Any, state: RequestState) -> bool:
    """Let the body of a response that Django's test client got be read as part of the request; say if there is one."""
    if not getattr(response, "streaming", False):
        return False
    body = response.streaming_content
    is_async = hasattr(body, "__anext__")
    response.streaming_content = AsyncChunks(body, state) if is_async else delimited_body(body, state)
    return True


class Body(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The body of a WSGI response: the request goes on while it is read, and ends when it is closed."""

    def __init__(self, body: Any, state: RequestState) -> None:
        super().__init__(body)
        self._self_state = state

    def __iter__(self) -> Iterator[Any]:
        token = enter_call(self._self_state)
        try:
            return Chunks(iter(self.__wrapped__), self._self_state)
        finally:
            leave_call(token)

    def close(self) -> None:
        """Close the body, then end the request."""
        token = enter_call(self._self_state)
        try:
            close = getattr(self.__wrapped__, "close", None)
            if close is not None:
                close()
        finally:
            self._self_state.close()
            leave_call(token)


class Chunks(Body):
    """A body that is read chunk by chunk, each with its request as the current one."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        token = enter_call(self._self_state)
        try:
            return next(self.__wrapped__)
        finally:
            leave_call(token)


class AsyncChunks(Body):
    """The same for an asynchronous body."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        token = enter_call(self._self_state)
        try:
            return await self.__wrapped__.__anext__()
        finally:
            leave_call(token)
