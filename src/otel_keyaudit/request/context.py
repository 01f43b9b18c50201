"""Find the current request and its key.

One mutable object holds the state of a request. A ``ContextVar`` carries it into tasks and into the copied contexts of
worker threads, so all of them share the state. A context can outlive its request: in a task, in a pipelined request, in
a worker that was started lazily. A forked process inherits it. So the state records the end of the request.
"""

from __future__ import annotations

import os
from typing import Any, Final

from opentelemetry import trace

from otel_keyaudit import names
from otel_keyaudit.guard.collection import Variable
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.request.attribution import ENDED, NO_DELEGATION, UNATTRIBUTED, Attribution, Delegation
from otel_keyaudit.request.call_stack import is_run_by_framework, task_or_thread
from otel_keyaudit.request.reports import report_shared_worker
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.request.state import RequestState

SPAN_MARK: Final = "otel_keyaudit_request"
"""Attribute of the span objects of a request that a span began, not an ASGI or WSGI call."""

SHARED_WORKER: Final = Attribution(names.FAILED)
"""The attribution of rows of a worker that was started in a request and serves other requests, too."""


class _Process:
    """Identifies the current process; a forked child creates another instance."""

    __slots__ = ()


_process = _Process()


def _after_fork() -> None:
    global _process  # noqa: PLW0603 - an identity check recognizes an inherited request without a lock
    _process = _Process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Request(RequestState):
    """The state of a request, with the process, task and spans in which it began.

    Attributes:
        process: The process in which the request began.
        within: The request inside which a CONSUMER span or a pushed context began this one.
        has_outer_key: The rows receive the key of the request ``within``.
        awaits_span: The request has begun before its SERVER span.
        is_divided: Not all code in the request's context belongs to it: CONSUMER spans began other requests in it, or
            it has shared workers.
        has_shared_workers: A task or thread of the request has taken another request's item from a queue.
        flow: The task or thread in which a span began the request; ``None`` for an ASGI or WSGI call.
        used_before: The ``use_key`` block around the request, if a span began it.
        used_inside: The ``use_key`` block that is open in the body of the response.
    """

    process: _Process
    within: Request | None = None
    has_outer_key = False
    awaits_span = False
    is_divided = False
    has_shared_workers = False
    flow: int | None = None
    used_before: UsedKey | None = None
    used_inside: UsedKey | None = None

    def __init__(self, spans: ServerSpans, scope: Any = None) -> None:
        RequestState.__init__(self, spans, scope)
        self.process = _process

    def is_served_by_shared_worker(self) -> bool:
        """Return whether this code runs in a task or thread that may serve other requests, too."""
        return self.has_shared_workers and not self.is_own_flow()

    def is_own_flow(self) -> bool:
        """Return whether the current task or thread runs the request itself, not work that the application started."""
        return self.flow == task_or_thread() or is_run_by_framework()

    def end(self) -> None:
        """Close the request, except in a forked child, where a thread of the parent may hold the lock forever."""
        if self.process is _process:
            self.close()


class EndedRequest(Request):
    """A substitute for a request in a forked process or a shared worker, which must not use the open request.

    Args:
        request: The request.
        attribution: The attribution of rows that are written there.
    """

    def __init__(self, request: Request, attribution: Attribution) -> None:
        super().__init__(request._spans)
        self.close()
        self.attribution = attribution


class UsedKey:
    """A key set by hand.

    Args:
        key: The key.
        delegation: The party on whose behalf the key acts, and its actors.
        request: The request in which the key was set.
        is_job: The key was set in a task or thread that may outlive the request. Any other key ends with the request.
        is_propagated: A preset propagated the key to a job. It does not belong to requests that begin inside the job.

    Attributes:
        is_left: The ``use_key`` block was left before an inner block was, or in another context.
        outer: The key of the outer block, if ``is_left``.
        is_withdrawn: The task or thread serves other requests, too.
    """

    __slots__ = (
        "delegation", "is_job", "is_left", "is_propagated", "is_withdrawn", "key", "outer", "process", "request",
    )  # fmt: skip

    def __init__(
        self,
        key: ApiKey,
        delegation: Delegation = NO_DELEGATION,
        *,
        request: Request | None = None,
        is_job: bool = False,
        is_propagated: bool = False,
    ) -> None:
        self.key = key
        self.delegation = delegation
        self.request = request
        self.is_job = is_job or is_propagated
        self.is_propagated = is_propagated
        self.process = _process
        self.is_left = self.is_withdrawn = False
        self.outer: UsedKey | None = None

    def is_in_force(self) -> bool:
        """Return whether rows receive this key."""
        if self.process is not _process or self.is_shared():
            return False
        return not self.has_ended_with_request()

    def has_ended_with_request(self) -> bool:
        """Return whether the key has ended because its request has."""
        return not self.is_job and self.request is not None and not self.request.is_open

    def outer_of_ended_request(self) -> UsedKey | None:
        """Return the key that was set around the ended request, ``None`` without one."""
        return self.request.used_before if self.request is not None and self.has_ended_with_request() else None

    def is_shared(self) -> bool:
        """Return whether a shared worker holds the key."""
        if self.is_job or self.request is None:
            return self.is_withdrawn
        return self.request.is_served_by_shared_worker()

    def leave(self, outer: UsedKey | None) -> None:
        """Mark the block as left, for every context that still holds the key."""
        self.is_left = True
        self.outer = outer


CALL: Final[Variable[Request]] = Variable("otel_keyaudit_call")
"""The ASGI or WSGI call of the current context; it may have ended."""

USED_KEY: Final[Variable[UsedKey]] = Variable("otel_keyaudit_used_key")
"""The last key that :class:`otel_keyaudit.use_key` set; see :func:`used_key`."""


def used_key() -> UsedKey | None:
    """Return the key of the innermost ``use_key`` block; it may have ended with its request."""
    used = USED_KEY.get()
    while used is not None:
        around = used.outer if used.is_left else used.outer_of_ended_request()
        if around is None:
            return None if used.is_left else used
        used = around
    return None


def current_request() -> Request | None:
    """Return the open request of the current context, else the ended request to which the context still refers."""
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
    """Return whether a request is open in this process."""
    return request.is_open and request.process is _process


def _or_ended(request: Request) -> Request:
    """Return the request, in a forked process or a shared worker its substitute."""
    if request.process is not _process:
        return EndedRequest(request, UNATTRIBUTED if request.attribution is UNATTRIBUTED else ENDED)
    if request.is_open and request.is_served_by_shared_worker():
        return EndedRequest(request, SHARED_WORKER)
    return request


def current_call() -> Request | None:
    """Return the open ASGI or WSGI call of the current context."""
    call = CALL.get()
    return call if call is not None and call.is_open and call.process is _process else None


def current_attribution(request: Request | None) -> Attribution:
    """Return the attribution of a row that is written now.

    Args:
        request: The current request, if there is one.
    """
    used = used_key()
    if used is not None:
        if used.is_in_force():
            return attribution_of(used)
        if used.is_shared():
            report_shared_worker()
            return SHARED_WORKER
        if request is None or not request.is_open:
            return ENDED
    if request is None:
        return UNATTRIBUTED
    attribution = request.latest_attribution()
    if attribution is SHARED_WORKER:
        report_shared_worker()
    return attribution


def attribution_of(used: UsedKey) -> Attribution:
    """Return the attribution to a key set by hand."""
    return Attribution(names.ATTRIBUTED, used.key, (), 0, used.delegation)


def current_key() -> ApiKey | None:
    """Return the key of the current request.

    Returns:
        The key set by ``use_key``, else the key of the request. ``None`` if the request has no key, has several keys,
        or has ended.
    """
    used = used_key()
    if used is not None and used.is_in_force():
        return used.key
    request = current_request()
    if request is None or (used is not None and used.is_shared()):
        return None
    return request.latest_attribution().key


def used_for_job(request: Request | None) -> UsedKey | None:
    """Return the current key for a job that a request starts, ``None`` if the request has no key or several.

    Args:
        request: The current request, if there is one.
    """
    used = used_key()
    if used is not None and used.is_in_force():
        return UsedKey(used.key, used.delegation, request=request or used.request, is_propagated=True)
    if request is None or request.has_outer_key or (used is not None and used.is_shared()):
        return None
    attribution = request.latest_attribution()
    key = attribution.key
    return None if key is None else UsedKey(key, attribution.delegation, request=request, is_propagated=True)
