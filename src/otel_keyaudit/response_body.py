"""The body of a WSGI response: code of the application that runs when the server reads it, after the call returned."""

from __future__ import annotations

from collections.abc import Iterator
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


class Body(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The body of a WSGI response: the request goes on while it is read, and ends when it is closed."""

    def __init__(self, body: Any, state: RequestState) -> None:
        super().__init__(body)
        self._self_state = state

    def __iter__(self) -> Iterator[Any]:
        return Chunks(iter(self.__wrapped__), self._self_state)

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
