"""Where requests begin and end: the entry points of ASGI and WSGI, and the server span whoever opens it.

A server starts a connection's next request in the context of the previous one when that answered early (uvicorn), and
an application may call another one in-process. So a request begins at its entry point and is known by the identity of
its scope, not by what the context happens to hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from otel_keyaudit.guard.guard import SILENT, Guard, run_silently
from otel_keyaudit.request.context import (
    CALL,
    SPAN_MARK,
    USED_KEY,
    current_call,
    leave_used_key,
    restore_used_key,
    running,
)
from otel_keyaudit.request.entry_points import Arguments, EntryPoint
from otel_keyaudit.request.first_request import come_first
from otel_keyaudit.request.response_body import delimited_body, keeps_streaming, runs_code
from otel_keyaudit.request.state import RequestState, Spans

Handler = Callable[[Arguments, dict[str, Any]], Any]

_APPLICATION = EntryPoint("an application", "", lambda args: args[0])
_QUIET = Guard()
_SERVER, _CONSUMER = SpanKind.SERVER, SpanKind.CONSUMER  # an enum is slow to tell its members, and every span asks


class Boundaries:
    """Delimits requests while the library is on.

    Args:
        spans: Shows a request's state on its server span.
    """

    def __init__(self, spans: Spans) -> None:
        self._request_spans = spans
        self._spans_make_requests = False

    def handler(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Return what stands around an entry point."""
        make: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
            "asgi": self._asgi,
            "asgi_server": self._asgi_server,
            "asgi_client": partial(self._client, self.delimited_asgi),
            "bridge": self._bridge,
            "call": self._call,
            "span": self._span,
            "wsgi": self._wsgi,
            "wsgi_client": partial(self._client, self.delimited_wsgi),
            "wsgi_server": self._wsgi_server,
        }
        return make[entry.protocol](entry, original)

    def begin(self, scope: Any) -> RequestState | None:
        """Return the state of a request that begins, ``None`` when the current one goes on."""
        come_first()
        current = CALL.get()
        if current is not None and current.is_open and _goes_on(current, scope):
            return None
        return RequestState(self._request_spans, scope)

    # ASGI

    def _asgi(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        scope_of = entry.subject

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            scope = scope_of(args)
            call = CALL.get()
            if (call is not None and call.scope is scope) or not _is_request(scope):
                return original(*args, **kwargs)
            state = self.begin(scope)
            return original(*args, **kwargs) if state is None else _run(state, original, args, kwargs)

        return handler

    def _asgi_server(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        handler = self._asgi(entry, original)

        async def served(args: Arguments, kwargs: dict[str, Any]) -> Any:
            before = leave_used_key()
            try:
                return await handler(args, kwargs)
            finally:
                restore_used_key(before)

        return served

    def delimited_asgi(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Return an ASGI application each of whose calls is a request."""
        handler = self._asgi(_APPLICATION, application)

        async def delimited(scope: Any, receive: Any, send: Any) -> Any:
            return await handler((scope, receive, send), {})

        return delimited

    def _call(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            state = self.begin(entry.subject(args))
            if state is None:
                return original(*args, **kwargs)
            with running(state):
                response = original(*args, **kwargs)
                state.lasts = keeps_streaming(response, state)
                return response

        return handler

    def _client(self, delimit: Callable[[Any], Any], _: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Stand around a client that calls its ``app``: it runs as a copy whose application is delimited."""

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            clients = [args[0]]
            run_silently(lambda: clients.append(_with_app(args[0], delimit(args[0].app))))
            return original(clients[-1], *args[1:], **kwargs)

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
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            environ = entry.subject(args)
            state = self.begin(environ)
            if state is None:
                return original(*args, **kwargs)
            with running(state):
                body = original(*args, **kwargs)
                state.lasts = runs_code(body, environ)
                return delimited_body(body, state) if state.lasts else body

        return handler

    def _wsgi_server(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            application = entry.subject(args)
            delimited = self.delimited_wsgi(application)
            return original(*[delimited if argument is application else argument for argument in args], **kwargs)

        return handler

    def delimited_wsgi(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Return a WSGI application each of whose calls is a request."""
        run = self._wsgi(_APPLICATION, application)

        def delimited(environ: Any, start_response: Any) -> Any:
            return run((environ, start_response), {})

        return delimited

    # Spans

    def _span(self, _: EntryPoint, original: Callable[..., Any]) -> Handler:
        opened = ((SILENT, self._opened),)

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            span = original(*args, **kwargs)
            kind = args[3]
            if kind is _SERVER or kind is _CONSUMER:
                _QUIET.run(opened, span, kind)
            elif self._spans_make_requests:
                run_silently(_inherit_mark, span, args[2])
            return span

        return handler

    def _opened(self, span: Span, kind: SpanKind) -> None:
        if not (span.is_recording() or _is_of_its_own(span)):
            return
        call = current_call()
        if call is not None and kind is _SERVER:
            if call.server_span is None:
                call.opened(span, USED_KEY.get())
            return
        come_first()
        if call is not None:
            call.has_consumers = True
        state = RequestState(self._request_spans, within=call)
        self._spans_make_requests = True
        setattr(span, SPAN_MARK, state)
        span.end = partial(_end, span.end, state)  # type: ignore[method-assign]
        server_span = span if kind is _SERVER else None
        state.opened(server_span, USED_KEY.get())


async def _run(state: RequestState, application: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]) -> Any:
    with running(state):
        response = await application(*args, **kwargs)
        if response is not None:
            state.lasts = keeps_streaming(response, state)
        return response


def _end(end: Callable[..., None], state: RequestState, *args: Any, **kwargs: Any) -> None:
    state.close()
    end(*args, **kwargs)


def _is_of_its_own(span: Span) -> bool:
    """Say whether a span was started: a tracer that is off hands its parent out."""
    context = span.get_span_context()
    return context.is_valid and not context.is_remote


def _inherit_mark(span: Span, context: Any) -> None:
    mark = getattr(trace.get_current_span(context), SPAN_MARK, None)
    if isinstance(mark, RequestState) and span.get_span_context().is_valid:
        setattr(span, SPAN_MARK, mark)


def _is_request(scope: Any) -> bool:
    return (type(scope) is dict or isinstance(scope, Mapping)) and scope.get("type") in ("http", "websocket")


def _goes_on(current: RequestState, scope: Any) -> bool:
    """Say whether a call belongs to the current request: it passes the same scope on, or a copy of it."""
    return any(
        known is scope or any(_same_item(known, scope, name) for name in ("headers", "state", "wsgi.input"))
        for known in (current.scope, *current.aliases)
    )


def _same_item(one: Any, other: Any, name: str) -> bool:
    """Say whether two scopes share an item by identity; a tuple does not count, as it may be a constant of a client."""
    try:
        return one[name] is other[name] and not isinstance(one[name], (tuple, type(None)))
    except (KeyError, TypeError):
        return False


def _with_app(client: Any, app: Callable[..., Any]) -> Any:
    """Return a copy of a client that calls another application."""
    other = copy.copy(client)
    other.app = app
    return other
