"""Run code inside a request, and leave the context as it was before.

An interrupt can arrive at any instruction, in our own lines too. So what restores the context stands in two nested
``finally`` blocks, and running it twice does no harm: one interrupt leaves nothing current.
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
    """Return the result of some work, with the request as the current one; end the request unless it lasts longer."""
    call, used, context = CALL.get(), USED_KEY.get(), get_current()
    try:
        try:
            CALL.set(request)
            if request.used_inside is not None:
                USED_KEY.set(request.used_inside)
            result = work(*args)
        finally:
            leave(request, call, used, context)
    finally:
        if CALL.get() is request:
            leave(request, call, used, context)
    return result


async def await_inside(request: Request, work: Callable[..., Awaitable[Result]], *args: Any, **kwargs: Any) -> Result:
    """Do the same with work that is awaited."""
    call, used, context = CALL.get(), USED_KEY.get(), get_current()
    try:
        try:
            CALL.set(request)
            if request.used_inside is not None:
                USED_KEY.set(request.used_inside)
            result = await work(*args, **kwargs)
        finally:
            leave(request, call, used, context)
    finally:
        if CALL.get() is request:
            leave(request, call, used, context)
    return result


def leave(request: Request, call: Request | None, used: UsedKey | None, context: Context) -> None:
    """Restore the context, and end the request unless it lasts longer.

    An abandoned coroutine is closed in another context, which is left alone.

    Args:
        request: The request.
        call: The call around it.
        used: The key that was set by hand around it. A key set inside ends with the request; the body of a response
            finds its own again.
        context: The OpenTelemetry context around it.
    """
    if CALL.get() is not request:
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


def _is_audit_span_current() -> bool:
    return hasattr(trace.get_current_span(), AUDIT_SPAN_MARK)
