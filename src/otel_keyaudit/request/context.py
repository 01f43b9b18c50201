"""Which request does this code run in: the context variables, and what reads and sets them.

A request's state is one mutable object. It travels in a ``ContextVar`` through tasks and the copied contexts of worker
threads; what those threads find out is written into the object, where the rest of the request sees it. A context
outlives its request (a task, a pipelined request, a lazily started worker), so the object knows whether it has ended.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from opentelemetry import trace

from otel_keyaudit import names
from otel_keyaudit.guard.collection import Setting, Variable
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.request.attribution import NOTHING, Attribution
from otel_keyaudit.request.first_request import come_first
from otel_keyaudit.request.state import RequestState

SPAN_MARK: Final = "otel_keyaudit_request"
"""Attribute of a span object that belongs to a request which no ASGI or WSGI call delimits."""


CALL: Final[Variable[RequestState]] = Variable("otel_keyaudit_call")
"""The ASGI or WSGI call that code runs in, or the one that it was started in and that has ended."""

USED_KEY: Final[Variable[ApiKey]] = Variable("otel_keyaudit_used_key")
"""The key that an enclosing :class:`use_key` set."""


class running:  # noqa: N801 - a context manager, named like those of contextlib
    """Make a request the current one for the block, and end it afterwards unless it lasts longer than its call."""

    __slots__ = ("_before", "_state")

    def __init__(self, state: RequestState) -> None:
        self._state = state

    def __enter__(self) -> None:
        self._before = CALL.set(self._state)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._state.lasts:
            self._state.close()
        CALL.reset(self._before)


def current_request() -> RequestState | None:
    """Return the request this code runs in: an open one, else one that has ended but whose context is still around."""
    call = CALL.get()
    if call is not None and call.is_open and not call.has_consumers:
        return call
    mark = getattr(trace.get_current_span(), SPAN_MARK, None)
    made_by_span = mark if isinstance(mark, RequestState) else None
    if call is not None and call.is_open:
        return made_by_span if made_by_span is not None and made_by_span.within is call else call
    if made_by_span is not None and made_by_span.is_open:
        return made_by_span
    return call or made_by_span


def current_call() -> RequestState | None:
    """Return the open ASGI or WSGI call this code runs in."""
    call = CALL.get()
    return call if call is not None and call.is_open else None


def leave_used_key() -> Setting:
    """Leave a key that was set by hand behind, where a server starts a request in the context of the previous one."""
    return USED_KEY.set(USED_KEY.get() if CALL.get() is None else None)


def set_used_key(key: ApiKey) -> Setting:
    """Set a key as :class:`use_key` does, but show it on no span around."""
    return USED_KEY.set(key)


def restore_used_key(before: Setting) -> None:
    """Undo :func:`leave_used_key` or :func:`set_used_key`."""
    USED_KEY.reset(before)


def current_attribution(request: RequestState | None) -> Attribution:
    """Return whose a row is that is written now.

    Args:
        request: The request around, if there is one.
    """
    used = USED_KEY.get()
    if used is not None:
        return Attribution(names.ATTRIBUTED, used)
    return NOTHING if request is None else request.attribution


def current_key() -> ApiKey | None:
    """Return the key of the request this code runs in.

    Returns:
        The key set by :class:`use_key`, else the request's own; ``None`` when there is no key, when the request showed
        several, and after its end.
    """
    used = USED_KEY.get()
    if used is not None:
        return used
    request = current_request()
    return request.attribution.key if request is not None else None


class use_key:  # noqa: N801 - a context manager, named like those of contextlib
    """Set the key by hand for a block: in a worker, a script, a test. It wins over the request's own.

    Args:
        key: The key; ``None`` sets nothing.

    Example:
        ``with use_key(current_key()):`` around work that outlives the request.
    """

    def __init__(self, key: ApiKey | None) -> None:
        if key is not None and not isinstance(key, ApiKey):
            raise TypeError(f"use_key takes an ApiKey or None, not {type(key).__name__}")
        self._key = key
        self._before: list[Setting] = []

    def __enter__(self) -> ApiKey | None:
        """Set the key, and show it on the server span around."""
        come_first()
        if self._key is not None:
            self._before.append(USED_KEY.set(self._key))
            request = current_request()
            if request is not None and request.is_open:
                request.use(self._key)
        return self._key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Set what was there before."""
        if self._before:
            USED_KEY.reset(self._before.pop())
