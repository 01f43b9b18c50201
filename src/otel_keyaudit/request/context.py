"""Find the request and the key that code runs with.

The state of a request is one mutable object. It travels in a ``ContextVar`` through tasks and the copied contexts of
worker threads, so that all of them see what one finds out. A context can outlive its request (a task, a pipelined
request, a worker that was started lazily), and a forked process inherits it, so the state knows when it has ended.
"""

from __future__ import annotations

import os
from typing import Any, Final

from opentelemetry import trace

from otel_keyaudit import names
from otel_keyaudit.guard.collection import Variable
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.request.attribution import ENDED, NO_DELEGATION, NOTHING, Attribution, Delegation
from otel_keyaudit.request.call_stack import is_run_by_framework, task_or_thread
from otel_keyaudit.request.reports import report_shared_worker
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.request.state import RequestState

SPAN_MARK: Final = "otel_keyaudit_request"
"""Attribute of a span object that belongs to a request which no ASGI or WSGI call delimits."""

SHARED: Final = Attribution(names.FAILED)
"""The answer for a worker that was started in a request and serves others too."""


class _Process:
    """The process that runs this code; a forked child has another one."""

    __slots__ = ()


_process = _Process()


def _after_fork() -> None:
    global _process  # noqa: PLW0603 - a comparison of two objects tells whether a request was inherited, without a lock
    _process = _Process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Request(RequestState):
    """The state of a request, and what its boundaries know about it.

    Attributes:
        process: The process in which it began.
        within: The request inside whose call a CONSUMER span began this one.
        is_divided: Code inside it may not be its own: CONSUMER spans have begun other requests, or the next is true.
        has_shared_workers: A task or thread that was started in it has taken another request's item from a queue.
        flow: The task or thread in which a span began it; an ASGI or WSGI call is on the stack.
        used_before: The ``use_key`` around it, if a span began it.
        used_inside: The ``use_key`` that is open in the body of its response.
    """

    process: _Process
    within: Request | None = None
    is_divided = False
    has_shared_workers = False
    flow: int | None = None
    used_before: UsedKey | None = None
    used_inside: UsedKey | None = None

    def is_served_by_shared_worker(self) -> bool:
        """Say whether this code runs in a task or thread that may serve other requests too."""
        return self.has_shared_workers and not self.is_own_flow()

    def is_own_flow(self) -> bool:
        """Say whether the task or thread is the request's own, and none that the application has started in it."""
        return self.flow == task_or_thread() or is_run_by_framework()

    def end(self) -> None:
        """Close the request in the process in which it began; in a child, its lock may be held by a lost thread."""
        if self.process is _process:
            self.close()


class Ended(Request):
    """Takes the place of a request where that has ended although its state is open.

    Args:
        attribution: The answer for rows that are written there.
    """

    def __init__(self, attribution: Attribution) -> None:
        super().__init__(None)
        self.close()
        self.attribution = attribution
        self.process = _process


def new_request(spans: ServerSpans | None, scope: Any = None) -> Request:
    """Return the state of a request that begins in this process."""
    request = Request(spans, scope)
    request.process = _process
    return request


class UsedKey:
    """A key set by hand.

    Args:
        key: The key.
        delegation: For whom and through whom it acts.
        request: The request in which it was set.
        is_job: It was set in a task or thread of its own, which may outlive the request; else it ends with the request.

    Attributes:
        is_left: Its block has been left before a later one, or in another context.
        outer: After that, the key around the block.
        is_withdrawn: The task or thread has turned out to serve other requests.
    """

    __slots__ = (
        "delegation", "is_job", "is_left", "is_withdrawn", "key", "outer", "process", "request",
    )  # fmt: skip

    def __init__(
        self,
        key: ApiKey,
        delegation: Delegation = NO_DELEGATION,
        *,
        request: Request | None = None,
        is_job: bool = False,
    ) -> None:
        self.key = key
        self.delegation = delegation
        self.request = request
        self.is_job = is_job
        self.process = _process
        self.is_left = self.is_withdrawn = False
        self.outer: UsedKey | None = None

    def holds(self) -> bool:
        """Say whether rows are given this key."""
        if self.process is not _process or self.is_shared():
            return False
        return not self.has_ended_with_request()

    def has_ended_with_request(self) -> bool:
        """Say whether the block is inside a request that has ended."""
        return not self.is_job and self.request is not None and not self.request.is_open

    def around_ended_request(self) -> UsedKey | None:
        """Return the key around the request that has ended the block, if there is one."""
        return self.request.used_before if self.request is not None and self.has_ended_with_request() else None

    def is_shared(self) -> bool:
        """Say whether a shared worker has the key."""
        if self.is_job or self.request is None:
            return self.is_withdrawn
        return self.request.is_served_by_shared_worker()

    def leave(self, outer: UsedKey | None) -> None:
        """End the block in every context that holds the key."""
        self.is_left = True
        self.outer = outer


CALL: Final[Variable[Request]] = Variable("otel_keyaudit_call")
"""The ASGI or WSGI call that code runs in, or the one that it was started in and that has ended."""

USED_KEY: Final[Variable[UsedKey]] = Variable("otel_keyaudit_used_key")
"""The key that :class:`otel_keyaudit.use_key` set last; see :func:`used_key`."""


def used_key() -> UsedKey | None:
    """Return the innermost key set by hand; it may have ended with its request."""
    used = USED_KEY.get()
    while used is not None:
        around = used.outer if used.is_left else used.around_ended_request()
        if around is None:
            return None if used.is_left else used
        used = around
    return None


def current_request() -> Request | None:
    """Return the request this code runs in: an open one, else one that has ended but whose context is still around."""
    call = CALL.get()
    if call is not None and call.is_open and call.process is _process and not call.is_divided:
        return call
    return _of_context(call)


def _of_context(call: Request | None) -> Request | None:
    mark = getattr(trace.get_current_span(), SPAN_MARK, None)
    by_span = mark if isinstance(mark, Request) else None
    if call is None:
        found = by_span
    elif is_open(call):
        found = by_span if by_span is not None and by_span.within is call else call
    else:
        found = by_span if by_span is not None and is_open(by_span) else call
    return None if found is None else _or_ended(found)


def is_open(request: Request) -> bool:
    """Say whether a request is open in this process."""
    return request.is_open and request.process is _process


def _or_ended(request: Request) -> Request:
    """Return the request, or its substitute in a forked process or in a shared worker."""
    if request.process is not _process:
        return Ended(NOTHING if request.attribution is NOTHING else ENDED)
    if request.is_open and request.is_served_by_shared_worker():
        return Ended(SHARED)
    return request


def current_call() -> Request | None:
    """Return the open ASGI or WSGI call this code runs in."""
    call = CALL.get()
    return call if call is not None and call.is_open and call.process is _process else None


def is_any_open() -> bool:
    """Say whether this code runs in an open request."""
    request = current_request()
    return request is not None and request.is_open


def current_attribution(request: Request | None) -> Attribution:
    """Return the answer for a row that is written now.

    Args:
        request: The current request, if there is one.
    """
    used = used_key()
    if used is not None:
        if used.holds():
            return attribution_of(used)
        if used.is_shared():
            report_shared_worker()
            return SHARED
        if request is None or not request.is_open:
            return ENDED
    if request is None:
        return NOTHING
    if request.open_authentications:
        request.read_open_keys()
    if request.attribution is SHARED:
        report_shared_worker()
    return request.attribution


def attribution_of(used: UsedKey) -> Attribution:
    """Return the answer that a key set by hand gives."""
    return Attribution(names.ATTRIBUTED, used.key, (), 0, used.delegation)


def current_key() -> ApiKey | None:
    """Return the key of the request this code runs in.

    Returns:
        The key set by ``use_key``, else the request's own; ``None`` if the request has no key or several, and
        after its end.
    """
    used = used_key()
    if used is not None and used.holds():
        return used.key
    request = current_request()
    if request is None or (used is not None and used.is_shared()):
        return None
    if request.open_authentications:
        request.read_open_keys()
    return request.attribution.key


def used_for_job(request: Request | None) -> UsedKey | None:
    """Return the current key for a job that a request hands to a worker, ``None`` if there is none or several.

    Args:
        request: The current request, if there is one.
    """
    used = used_key()
    if used is not None and used.holds():
        return UsedKey(used.key, used.delegation, request=request or used.request, is_job=True)
    if request is None or (used is not None and used.is_shared()):
        return None
    if request.open_authentications:
        request.read_open_keys()
    attribution = request.attribution
    key = attribution.key
    return None if key is None else UsedKey(key, attribution.delegation, request=request, is_job=True)
