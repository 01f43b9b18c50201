"""Recognize a worker that was started in one request and serves others: it takes another request's item from a queue.

A mark on each queue records the request that puts items into it, or that several requests do. A task or thread of one
request that takes an item of another loses its key. The task that runs the request itself keeps it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.handlers import Handler
from otel_keyaudit.request.call_stack import is_run_by_pool_or_client
from otel_keyaudit.request.context import EndedRequest, Request, current_request, used_key

QueueOf = Callable[[tuple[Any, ...]], Any]
"""Returns the object that identifies the queue, from the arguments of a call."""

_MARK: Final = "_otel_keyaudit_request"
"""Attribute of a queue: a reference to the only request that has put items into it, or one of the two marks below."""


def _SEVERAL_REQUESTS() -> None:  # noqa: N802 - a constant, which is called like a reference
    """Mark a queue of several requests or of none, in place of a reference to a request."""


def _OF_A_POOL() -> None:  # noqa: N802 - a constant, too
    """Mark a queue into which a connection pool puts its connections, which are no jobs."""


def putting(queue_of: QueueOf, original: Callable[..., Any]) -> Handler:
    """Create the handler for a function or coroutine function that puts an item."""

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        quietly(note_put, queue_of(args))
        return original(*args, **kwargs)

    return handler


def taking(queue_of: QueueOf, original: Callable[..., Any]) -> Handler:
    """Create the handler for a function that takes an item."""

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        item = original(*args, **kwargs)
        quietly(note_taken, queue_of(args), item)
        return item

    return handler


def taking_later(queue_of: QueueOf, original: Callable[..., Any]) -> Handler:
    """Create the handler for a coroutine function that takes an item."""

    async def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        item = await original(*args, **kwargs)
        quietly(note_taken, queue_of(args), item)
        return item

    return handler


def note_put(queue: Any) -> None:
    """Mark a queue with the current request, which puts an item into it."""
    marks = vars(queue)
    known = marks.get(_MARK)
    if known is _SEVERAL_REQUESTS or known is _OF_A_POOL:
        return
    if known is None and is_run_by_pool_or_client():
        marks[_MARK] = _OF_A_POOL
        return
    request = _request_of_flow()
    if known is None and request is not None:
        marks[_MARK] = weakref.ref(request)
    elif known is None or known() is not request:
        marks[_MARK] = _SEVERAL_REQUESTS


def note_taken(queue: Any, item: Any) -> None:
    """Check whether the current task or thread takes an item of another request; if so, withdraw its key."""
    request = _request_of_flow()
    if request is None:
        return
    known = vars(queue).get(_MARK)
    if known is _OF_A_POOL:
        return
    is_foreign = (known is None or known() is not request) and not _is_asgi_event(item)
    if is_foreign and not _is_own(request) and not is_run_by_pool_or_client():
        _withdraw_key(request)


def _request_of_flow() -> Request | None:
    """Return the current request, or the request whose key the current job carries; ``None`` for a shared worker."""
    request = current_request()
    if request is not None:
        return None if type(request) is EndedRequest else request
    used = used_key()
    return None if used is None or used.is_withdrawn else used.request


def _is_own(request: Request) -> bool:
    used = used_key()
    return not (used is not None and used.is_job) and request.is_own_flow()


def _is_asgi_event(item: Any) -> bool:
    """Return whether an item is an event that a server passes to ``receive`` of the request itself."""
    kind = item.get("type") if type(item) is dict else None
    return isinstance(kind, str) and kind.startswith(("http.", "websocket."))


def _withdraw_key(request: Request) -> None:
    """Withdraw the key from a shared worker.

    A job with a key is a worker by itself. Otherwise the worker is unknown, because a helper may have taken the item
    for it (``wait_for`` starts a task before Python 3.12), so all tasks and threads of the request lose the key.
    """
    used = used_key()
    if used is not None and used.is_job:
        used.is_withdrawn = True
    request.has_shared_workers = request.is_divided = True
