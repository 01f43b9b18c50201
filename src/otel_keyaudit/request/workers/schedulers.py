"""Start the jobs of a scheduler outside of the request in whose context it wakes up.

A request that adds a job wakes the scheduler up. An event loop then runs it, and all of its later timers, in the
context of this request, although the jobs that it starts belong to others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from opentelemetry import context, trace

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.handlers import Handler
from otel_keyaudit.request.context import CALL, SPAN_MARK, USED_KEY


def starting_jobs(original: Callable[..., Any]) -> Handler:
    """Create the handler for a function that starts the jobs that are due."""

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not quietly(_is_inside_request):
            return original(*args, **kwargs)
        return copy_context().run(_run_outside, original, args, kwargs)

    return handler


def _is_inside_request() -> bool:
    return CALL.get() is not None or _is_key_of_request() or hasattr(trace.get_current_span(), SPAN_MARK)


def _is_key_of_request() -> bool:
    used = USED_KEY.get()
    return used is not None and used.request is not None


def _run_outside(work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    quietly(_leave_request)
    return work(*args, **kwargs)


def _leave_request() -> None:
    CALL.set(None)
    if _is_key_of_request():
        USED_KEY.set(None)
    span = trace.get_current_span()
    if hasattr(span, SPAN_MARK):  # another object with the same ids keeps the trace without the request
        context.attach(trace.set_span_in_context(trace.NonRecordingSpan(span.get_span_context())))
