"""Recognize a worker that was started in a request and serves others: it takes an item that another request put.

A queue remembers which request puts items into it, and that several do. A task or thread that was started in a request
and takes an item from a queue of others names no key from then on. The request's own task is not affected.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.request.call_stack import is_run_by_pool
from otel_keyaudit.request.context import Ended, Request, current_request, used_key

Handler = Callable[[tuple[Any, ...], dict[str, Any]], Any]
QueueOf = Callable[[tuple[Any, ...]], Any]
"""Returns the object that stands for the queue, from the arguments of a call."""

_MARK: Final = "_otel_keyaudit_request"
"""Attribute of a queue: a reference to the only request that has put items into it, or ``_OTHERS``."""


def _OTHERS() -> None:  # noqa: N802 - a constant, which is called like a reference
    """Take the place of a reference to a request, for several requests or none."""


def putting(queue_of: QueueOf, original: Callable[..., Any]) -> Handler:
    """Return the handler for a function that puts an item."""

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        quietly(note_put, queue_of(args))
        return original(*args, **kwargs)

    return handler


putting_later = putting
"""The same for a coroutine function: the handler returns its coroutine."""


def taking(queue_of: QueueOf, original: Callable[..., Any]) -> Handler:
    """Return the handler for a function that takes an item."""

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        item = original(*args, **kwargs)
        quietly(note_taken, queue_of(args), item)
        return item

    return handler


def taking_later(queue_of: QueueOf, original: Callable[..., Any]) -> Handler:
    """Return the handler for a coroutine function that takes an item."""

    async def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        item = await original(*args, **kwargs)
        quietly(note_taken, queue_of(args), item)
        return item

    return handler


def note_put(queue: Any) -> None:
    """Remember on a queue that the current request puts an item into it."""
    marks = vars(queue)
    known = marks.get(_MARK)
    if known is _OTHERS:
        return
    request = _request_of_flow()
    if known is None and request is not None:
        marks[_MARK] = weakref.ref(request)
    elif known is None or known() is not request:
        marks[_MARK] = _OTHERS


def note_taken(queue: Any, item: Any) -> None:
    """Note that this task or thread takes an item from a queue, which shows whether it serves other requests too."""
    request = _request_of_flow()
    if request is None:
        return
    known = vars(queue).get(_MARK)
    is_foreign = (known is None or known() is not request) and not _is_asgi_event(item)
    if is_foreign and not _is_own(request) and not is_run_by_pool():
        _serve_others(request)


def _request_of_flow() -> Request | None:
    """Return the request in which this code runs, or from which it was given a key; ``None`` for a shared worker."""
    request = current_request()
    if request is not None:
        return None if type(request) is Ended else request
    used = used_key()
    return None if used is None or used.is_withdrawn else used.request


def _is_own(request: Request) -> bool:
    used = used_key()
    return not (used is not None and used.is_job) and request.is_own_flow()


def _is_asgi_event(item: Any) -> bool:
    """Say whether an item is an event that a server passes to the request's own ``receive``."""
    kind = item.get("type") if type(item) is dict else None
    return isinstance(kind, str) and kind.startswith(("http.", "websocket."))


def _serve_others(request: Request) -> None:
    """Take the key from the worker.

    A job that carries a key is one worker. Otherwise the worker is unknown, because a helper may have taken the item
    for it (``wait_for`` starts a task before Python 3.12), so all tasks and threads that were started in the request
    lose the key.
    """
    used = used_key()
    if used is not None and used.is_job:
        used.is_withdrawn = True
    request.has_shared_workers = request.is_divided = True
