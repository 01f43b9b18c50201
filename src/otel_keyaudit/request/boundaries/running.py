"""Run code inside a request, and restore the context afterwards.

An interrupt can arrive at any instruction, also in this module. So two nested ``finally`` blocks restore the context:
restoring it twice is harmless, and a single interrupt cannot prevent both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current

from otel_keyaudit.request.context import CALL, USED_KEY, Request, UsedKey

AUDIT_SPAN_MARK = "otel_keyaudit_audit"
"""Attribute of an audit span object."""

Result = TypeVar("Result")


def run_inside(request: Request, work: Callable[..., Result], *args: Any) -> Result:
    """Call a function inside a request. End the request afterwards, unless its response body is still being read."""
    call, used, context = CALL.get(), USED_KEY.get(), get_current()
    try:
        try:
            CALL.set(request)
            if used is not None or request.used_inside is not None:
                use_inside(request, used)
            result = work(*args)
        finally:
            leave(request, call, used, context)
    finally:
        if CALL.get() is request:
            leave(request, call, used, context)
    return result


async def await_inside(request: Request, work: Callable[..., Awaitable[Result]], *args: Any, **kwargs: Any) -> Result:
    """Await a function inside a request, as :func:`run_inside` calls one."""
    call, used, context = CALL.get(), USED_KEY.get(), get_current()
    try:
        try:
            CALL.set(request)
            if used is not None or request.used_inside is not None:
                use_inside(request, used)
            result = await work(*args, **kwargs)
        finally:
            leave(request, call, used, context)
    finally:
        if CALL.get() is request:
            leave(request, call, used, context)
    return result


def use_inside(request: Request, used: UsedKey | None) -> None:
    """Make a ``use_key`` block current that is open in the response body.

    Args:
        request: The request.
        used: The outer ``use_key`` block. The key of a job does not belong to a request that begins inside the job.
    """
    if request.used_inside is not None:
        USED_KEY.set(request.used_inside)
    elif used is not None and used.is_propagated:
        USED_KEY.set(None)


def leave(request: Request, call: Request | None, used: UsedKey | None, context: Context) -> None:
    """Restore the context, and end the request unless its response body is still being read.

    Python closes an abandoned coroutine in another context, which stays unchanged.

    Args:
        request: The request.
        call: The outer call.
        used: The outer ``use_key`` block. A block that was entered inside the request ends with it, and is current
            again while the response body is read.
        context: The outer OpenTelemetry context.
    """
    if CALL.get() is not request and not _end_inner(request):
        if not request.lasts:
            request.end()
        return
    used_inside = USED_KEY.get()
    if used_inside is not used:
        request.used_inside = used_inside if request.lasts else None
        USED_KEY.set(used)
    elif request.used_inside is not None:
        request.used_inside = None
    if get_current() is not context and _is_audit_span_current():
        attach(context)
    if not request.lasts:
        request.end()
    CALL.set(call)


def _end_inner(request: Request) -> bool:
    """End the requests of contexts that were pushed inside a request and never popped; return whether there are any."""
    unpopped = []
    inner = CALL.get()
    while inner is not None and inner is not request:
        unpopped.append(inner)
        inner = inner.within
    if inner is None:
        return False
    for each in unpopped:
        each.end()
    CALL.set(request)
    return True


def _is_audit_span_current() -> bool:
    return hasattr(trace.get_current_span(), AUDIT_SPAN_MARK)
