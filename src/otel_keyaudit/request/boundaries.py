"""Where requests begin and end: the entry points of ASGI and WSGI, and the server span, whoever opens it.

A server starts a connection's next request in the context of the previous one if that answered early (uvicorn), and an
application may call another one in-process. So a request is identified by its scope, not by the context.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.request import first_request
from otel_keyaudit.request.call_stack import task_or_thread
from otel_keyaudit.request.context import (
    CALL,
    SPAN_MARK,
    USED_KEY,
    Request,
    attribution_of,
    current_call,
    is_open,
    new_request,
    used_key,
)
from otel_keyaudit.request.entry_points import Arguments, EntryPoint
from otel_keyaudit.request.response_body import delimit_streaming, delimited_body, runs_code
from otel_keyaudit.request.running import await_inside, run_inside
from otel_keyaudit.request.server_span import ServerSpans
from otel_keyaudit.request.shared_workers import putting, putting_later, taking, taking_later

Handler = Callable[[Arguments, dict[str, Any]], Any]

_OPENED_MARK = "otel_keyaudit_opened"
"""Attribute of a span object whose end is the end of a request."""

_SERVER, _CONSUMER = SpanKind.SERVER, SpanKind.CONSUMER  # an enum finds its members slowly, and every span asks


class Boundaries:
    """Delimits requests while the library is on.

    Args:
        spans: Shows a request's state on its server span.
    """

    def __init__(self, spans: ServerSpans) -> None:
        self._request_spans = spans
        self._spans_make_requests = False

    def handler(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Return the handler for an entry point."""
        make: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
            "asgi": self._asgi,
            "asgi_call": self._asgi_call,
            "asgi_client": partial(self._client, self.delimited_asgi),
            "asgi_server": self._asgi_server,
            "bridge": self._bridge,
            "call": self._call,
            "put": lambda entry, original: putting(entry.subject, original),
            "put_later": lambda entry, original: putting_later(entry.subject, original),
            "span": self._span,
            "span_end": self._span_end,
            "take": lambda entry, original: taking(entry.subject, original),
            "take_later": lambda entry, original: taking_later(entry.subject, original),
            "wsgi": self._wsgi,
            "wsgi_client": partial(self._client, self.delimited_wsgi),
            "wsgi_server": self._wsgi_server,
        }
        return make[entry.protocol](entry, original)

    def begin(self, scope: Any) -> Request | None:
        """Return the state of a request that begins, ``None`` if the current one goes on."""
        if first_request.waiting:
            first_request.come_first()
        current = CALL.get()
        if current is not None and (current.scope is scope or (is_open(current) and _goes_on(current, scope))):
            return None
        return new_request(self._request_spans, scope)

    # ASGI

    def _asgi(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        scope_of = entry.subject

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            scope = scope_of(args)
            request = self.begin(scope) if _is_request(scope) else None
            return original(*args, **kwargs) if request is None else await_inside(request, original, *args, **kwargs)

        return handler

    def _asgi_server(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        handler = self._asgi(entry, original)

        def served(args: Arguments, kwargs: dict[str, Any]) -> Any:
            used = USED_KEY.get()
            return handler(args, kwargs) if used is None or used.request is None else unrelated(args, kwargs)

        async def unrelated(args: Arguments, kwargs: dict[str, Any]) -> Any:
            """Run in the context of a previous request, without the key that was set by hand in that one."""
            used = USED_KEY.get()
            try:
                USED_KEY.set(None)
                return await handler(args, kwargs)
            finally:
                USED_KEY.set(used)

        return served

    def _asgi_call(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        async def answer(request: Request, args: Arguments, kwargs: dict[str, Any]) -> Any:
            response = await original(*args, **kwargs)
            delimit_streaming(response, request)
            return response

        return self._around(entry, original, await_inside, answer)

    def delimited_asgi(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Return an ASGI application each of whose calls is a request."""
        handler = self._asgi(_APPLICATION, application)

        async def delimited(scope: Any, receive: Any, send: Any) -> Any:
            return await handler((scope, receive, send), {})

        return delimited

    def _call(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def answer(request: Request, args: Arguments, kwargs: dict[str, Any]) -> Any:
            response = original(*args, **kwargs)
            delimit_streaming(response, request)
            return response

        return self._around(entry, original, run_inside, answer)

    def _around(
        self, entry: EntryPoint, original: Callable[..., Any], run: Callable[..., Any], answer: Callable[..., Any]
    ) -> Handler:
        """Return a handler whose calls are requests: ``run`` calls ``answer`` inside each."""

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            request = self.begin(entry.subject(args))
            if request is None:
                return original(*args, **kwargs)
            return run(request, answer, request, args, kwargs)

        return handler

    def _client(self, delimit: Callable[[Any], Any], _: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Return a handler for a client that calls its ``app``: a copy with a delimited application takes its place."""

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            client = quietly(lambda: _with_app(args[0], delimit(args[0].app))) or args[0]
            return original(client, *args[1:], **kwargs)

        return handler

    @staticmethod
    def _bridge(_: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            environ = original(*args, **kwargs)
            call = current_call()
            if call is not None:
                call.aliases += (environ,)
            return environ

        return handler

    # WSGI

    def _wsgi(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def answer(request: Request, environ: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
            body = original(*args, **kwargs)
            request.lasts = runs_code(body, environ)
            return delimited_body(body, request) if request.lasts else body

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            environ = entry.subject(args)
            request = self.begin(environ)
            if request is None:
                return original(*args, **kwargs)
            return run_inside(request, answer, request, environ, args, kwargs)

        return handler

    def _wsgi_server(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        position = entry.position

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            application = args[position]
            if callable(application):
                args = (*args[:position], self.delimited_wsgi(application), *args[position + 1 :])
            return original(*args, **kwargs)

        return handler

    def delimited_wsgi(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Return a WSGI application each of whose calls is a request."""
        run = self._wsgi(_APPLICATION, application)

        def delimited(environ: Any, start_response: Any) -> Any:
            return run((environ, start_response), {})

        return delimited

    # Spans

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

    def _opened(self, span: Span, kind: SpanKind) -> None:
        if not (span.is_recording() or _is_of_its_own(span)):
            return
        call, used = current_call(), used_key()
        key = attribution_of(used) if used is not None and used.holds() else None
        if call is not None and kind is _SERVER:
            if call.server_span is None:
                call.opened(span, key)
            return
        first_request.come_first()
        if call is not None:
            call.is_divided = True
        request = new_request(self._request_spans)
        request.within, request.flow, request.used_before = call, task_or_thread(), used
        self._spans_make_requests = True
        setattr(span, SPAN_MARK, request)
        setattr(span, _OPENED_MARK, request)
        request.opened(span if kind is _SERVER else None, key)

    @staticmethod
    def _span_end(_: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            request = getattr(args[0], _OPENED_MARK, None)
            if request is not None:
                quietly(_end, request)
            return original(*args, **kwargs)

        return handler


def _application_scope(args: Arguments) -> Any:
    return args[0]


_APPLICATION = EntryPoint("an application", "", _application_scope)


def _end(request: Request) -> None:
    """End a request that a span began, and the key that was set by hand inside it."""
    used = USED_KEY.get()
    if used is not None and used.request is request and not used.is_job:
        USED_KEY.set(request.used_before)
    request.end()


def _is_of_its_own(span: Span) -> bool:
    """Say whether a span was started: a tracer that is off returns the parent."""
    context = span.get_span_context()
    return context.is_valid and not context.is_remote


def _inherit_mark(span: Span, context: Any) -> None:
    call = CALL.get()
    if call is not None and is_open(call) and not call.is_divided:
        return
    mark = getattr(trace.get_current_span(context), SPAN_MARK, None)
    if isinstance(mark, Request) and span.get_span_context().is_valid:
        setattr(span, SPAN_MARK, mark)


def _is_request(scope: Any) -> bool:
    return (type(scope) is dict or isinstance(scope, Mapping)) and scope.get("type") in ("http", "websocket")


def _goes_on(current: Request, scope: Any) -> bool:
    """Say whether a call belongs to the current request: it passes the same scope on, or a copy of it."""
    return any(known is scope or _is_copy(known, scope) for known in (current.scope, *current.aliases))


def _is_copy(known: Any, scope: Any) -> bool:
    """Say whether a scope is a copy of another one.

    The copy of an ASGI scope has the same headers object, unless that may be a constant of the program. The copy of a
    WSGI environ has the same input and equal headers.
    """
    if not (isinstance(known, Mapping) and isinstance(scope, Mapping)):
        return False
    headers = known.get("headers")
    if headers is not None:
        is_constant = isinstance(headers, tuple) and known.get("state") is not scope.get("state", headers)
        return headers is scope.get("headers") and not is_constant
    stream = known.get("wsgi.input")
    return stream is not None and stream is scope.get("wsgi.input") and _http(known) == _http(scope)


def _http(environ: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in environ.items() if isinstance(name, str) and name.startswith("HTTP_")}


def _with_app(client: Any, app: Callable[..., Any]) -> Any:
    """Return a copy of a client that calls another application."""
    other = copy.copy(client)
    other.app = app
    return other
