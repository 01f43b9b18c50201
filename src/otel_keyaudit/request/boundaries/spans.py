"""Delimit requests by their SERVER or CONSUMER span, for frameworks without an entry point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.handlers import Handler
from otel_keyaudit.request import first_request
from otel_keyaudit.request.boundaries.entry_points import Arguments, EntryPoint
from otel_keyaudit.request.call_stack import running_task, task_or_thread
from otel_keyaudit.request.context import (
    CALL,
    SPAN_MARK,
    USED_KEY,
    Request,
    attribution_of,
    current_call,
    is_open,
    used_key,
)
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.request.state import END_MARK

_SERVER, _CONSUMER = SpanKind.SERVER, SpanKind.CONSUMER  # looking up a member of an enum is slow, and every span does


class SpanBoundaries:
    """Creates the handlers of the entry points that open and end a span.

    Args:
        spans: Shows the state of a request on its server span.
    """

    def __init__(self, spans: ServerSpans) -> None:
        self._request_spans = spans
        self._spans_make_requests = False
        self.handlers: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
            "before_span": self._before_span,
            "span": self._span,
            "span_end": self._span_end,
        }

    def _span(self, _: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            span = original(*args, **kwargs)
            kind = args[3]
            if kind is _SERVER or kind is _CONSUMER:
                quietly(self._opened, span, kind)
            elif self._spans_make_requests:
                quietly(_inherit_mark, span, args[2])
            return span

        return handler

    def _before_span(self, _: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            quietly(self._begin_early, args[0], args[2])
            return original(*args, **kwargs)

        return handler

    def _begin_early(self, interceptor: Any, details: Any) -> None:
        """Begin a request in the context of an RPC, whose interceptors may authenticate before its span is opened."""
        call, excluded = current_call(), getattr(interceptor, "_filter", None)
        if (call is not None and not call.awaits_span) or (excluded is not None and not excluded(details)):
            return
        first_request.prepare_first_request()
        request = Request(self._request_spans)
        request.awaits_span = request.is_divided = True
        CALL.set(request)
        task = running_task()
        if hasattr(task, "add_done_callback"):  # in case that no span is opened
            task.add_done_callback(lambda _: request.end())

    def _opened(self, span: Span, kind: SpanKind) -> None:
        if not (span.is_recording() or _was_started(span)):
            return
        call, used = current_call(), used_key()
        key = attribution_of(used) if used is not None and used.is_in_force() else None
        if call is not None and kind is _SERVER and not call.awaits_span:
            if call.server_span is None:
                call.opened(span, key)
            return
        first_request.prepare_first_request()
        request = call if call is not None and kind is _SERVER else self._request_inside(call)
        request.awaits_span = False
        request.flow, request.used_before = task_or_thread(), used
        self._spans_make_requests = True
        setattr(span, SPAN_MARK, request)
        setattr(span, END_MARK, request)
        request.opened(span if kind is _SERVER else None, key)

    def _request_inside(self, call: Request | None) -> Request:
        if call is not None:
            call.is_divided = True
        request = Request(self._request_spans)
        request.within = call
        return request

    @staticmethod
    def _span_end(_: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            request = getattr(args[0], END_MARK, None)
            if request is not None:
                quietly(_end if getattr(args[0], SPAN_MARK, None) is request else _read_open_keys, request)
            return original(*args, **kwargs)

        return handler


def _end(request: Request) -> None:
    """End a request that a span began, and the ``use_key`` block inside it."""
    used = USED_KEY.get()
    if used is not None and used.request is request and not used.is_job:
        USED_KEY.set(request.used_before)
    request.end()


def _read_open_keys(call: Request) -> None:
    """Read the keys of a call that is still open after its server span."""
    if is_open(call):
        call.read_open_keys()


def _was_started(span: Span) -> bool:
    """Return whether a span was started. A disabled tracer returns the parent span."""
    context = span.get_span_context()
    return context.is_valid and not context.is_remote


def _inherit_mark(span: Span, context: Any) -> None:
    call = CALL.get()
    if call is not None and is_open(call) and not call.is_divided:
        return
    mark = getattr(trace.get_current_span(context), SPAN_MARK, None)
    if isinstance(mark, Request) and span.get_span_context().is_valid:
        setattr(span, SPAN_MARK, mark)
