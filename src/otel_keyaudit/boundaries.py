"""Where requests begin and end: the entry points of ASGI and WSGI, and the server span whoever opens it.

A server starts a connection's next request in the context of the previous one when that answered early (uvicorn), and an
application may call another one in-process. So a request begins at its entry point and is known by the identity of its
scope, not by what the context happens to hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import wrapt
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from otel_keyaudit.guard import run_silently
from otel_keyaudit.request_state import (
    SPAN_MARK,
    RequestState,
    current_call,
    enter_call,
    leave_call,
    used_key,
)

Arguments = tuple[Any, ...]
Handler = Callable[[Arguments, dict[str, Any]], Any]


@dataclass(frozen=True)
class EntryPoint:
    """A function through which requests come.

    Attributes:
        path: ``package.module:Qualified.name``.
        protocol: ``asgi`` or ``wsgi`` for an application; ``asgi_client`` or ``wsgi_client`` for a method that calls the
            application in its attribute ``app``; ``wsgi_server`` for a function that is given the application; ``call``
            for one that runs a whole request; ``span`` for one that opens a span.
        subject: Returns from the arguments the ASGI scope, the WSGI environ, or the application that is given.
    """

    path: str
    protocol: str
    subject: Callable[[Arguments], Any] = lambda args: args[1]


def _own_scope(args: Arguments) -> Any:
    return args[0].scope


_UVICORN = (
    "http.h11_impl:RequestResponseCycle",
    "http.httptools_impl:RequestResponseCycle",
    "http.zttp_impl:RequestResponseCycle",
    "http.zttp_h2_impl:RequestResponseCycle",
    "websockets.websockets_impl:WebSocketProtocol",
    "websockets.websockets_sansio_impl:WebSocketsSansIOProtocol",
    "websockets.wsproto_impl:WSProtocol",
)

ENTRY_POINTS = (
    # Servers: they come first, before any middleware.
    *(EntryPoint(f"uvicorn.protocols.{name}.run_asgi", "asgi", _own_scope) for name in _UVICORN),
    EntryPoint("hypercorn.app_wrappers:ASGIWrapper.__call__", "asgi"),
    EntryPoint("wsgiref.handlers:BaseHandler.run", "wsgi_server"),
    # In-process clients: the only entry of an application without a framework.
    EntryPoint("httpx._transports.asgi:ASGITransport.handle_async_request", "asgi_client"),
    EntryPoint("httpx._transports.wsgi:WSGITransport.handle_request", "wsgi_client"),
    EntryPoint("starlette.testclient:_TestClientTransport.handle_request", "asgi_client"),
    EntryPoint("werkzeug.test:run_wsgi_app", "wsgi_server", lambda args: args[0]),
    EntryPoint("django.test.client:ClientHandler.__call__", "call"),
    EntryPoint("django.test.client:AsyncClientHandler.__call__", "asgi"),
    # Frameworks.
    EntryPoint("fastapi.applications:FastAPI.__call__", "asgi"),
    EntryPoint("starlette.applications:Starlette.__call__", "asgi"),
    EntryPoint("litestar.app:Litestar.__call__", "asgi"),
    EntryPoint("django.core.handlers.asgi:ASGIHandler.__call__", "asgi"),
    EntryPoint("quart.app:Quart.__call__", "asgi"),
    EntryPoint("falcon.asgi.app:App.__call__", "asgi"),
    EntryPoint("django.core.handlers.wsgi:WSGIHandler.__call__", "wsgi"),
    EntryPoint("flask.app:Flask.__call__", "wsgi"),
    EntryPoint("falcon.app:App.__call__", "wsgi"),
    EntryPoint("bottle:Bottle.__call__", "wsgi"),
    EntryPoint("pyramid.router:Router.__call__", "wsgi"),
    # Middleware that opens the server span.
    EntryPoint("opentelemetry.instrumentation.asgi:OpenTelemetryMiddleware.__call__", "asgi"),
    EntryPoint("opentelemetry.instrumentation.wsgi:OpenTelemetryMiddleware.__call__", "wsgi"),
    EntryPoint("starlette.middleware.opentelemetry:OpenTelemetryMiddleware.__call__", "asgi"),
    # The server span, recorded or dropped.
    EntryPoint("opentelemetry.sdk.trace:Tracer.start_span", "span"),
)


class Boundaries:
    """Delimits requests while the library is on.

    Args:
        on_change: Shows a request's state on its server span.
        on_first_request: Called once, before anything of the first request runs.
    """

    def __init__(self, on_change: Callable[[RequestState], object], on_first_request: Callable[[], object]) -> None:
        self._on_change = on_change
        self._on_first_request: Callable[[], object] | None = on_first_request
        self._spans_make_requests = False

    def handler(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Return what stands around an entry point."""
        make: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
            "asgi": self._asgi,
            "asgi_client": partial(self._client, _delimited_asgi),
            "call": self._call,
            "span": self._span,
            "wsgi": self._wsgi,
            "wsgi_client": partial(self._client, _delimited_wsgi),
            "wsgi_server": self._wsgi_server,
        }
        return make[entry.protocol](entry, original)

    def begin(self, scope: Any) -> RequestState | None:
        """Return the state of a request that begins, ``None`` when the current one goes on."""
        self._come_first()
        current = current_call()
        if current is not None and _goes_on(current, scope):
            return None
        return RequestState(self._on_change, scope)

    def _come_first(self) -> None:
        if self._on_first_request is not None:
            first, self._on_first_request = self._on_first_request, None
            run_silently(first)

    # ASGI

    def _asgi(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        async def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            return await self.run_asgi(original, entry.subject(args), args, kwargs)

        return handler

    async def run_asgi(
        self, application: Callable[..., Any], scope: Any, args: Arguments, kwargs: dict[str, Any]
    ) -> Any:
        """Run an ASGI application for one scope."""
        state = self.begin(scope) if _is_request(scope) else None
        if state is None:
            return await application(*args, **kwargs)
        token = enter_call(state)
        try:
            return await application(*args, **kwargs)
        finally:
            state.close()
            leave_call(token)

    def _call(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            state = self.begin(entry.subject(args))
            if state is None:
                return original(*args, **kwargs)
            token = enter_call(state)
            try:
                return original(*args, **kwargs)
            finally:
                state.close()
                leave_call(token)

        return handler

    def _client(
        self, delimit: Callable[[Boundaries, Any], Any], entry: EntryPoint, original: Callable[..., Any]
    ) -> Handler:
        """Stand around a client that calls its ``app``: it runs as a copy whose application is delimited."""

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            client = copy.copy(args[0])
            client.app = delimit(self, client.app)
            return original(client, *args[1:], **kwargs)

        return handler

    # WSGI

    def _wsgi(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            return self.run_wsgi(original, entry.subject(args), args, kwargs)

        return handler

    def _wsgi_server(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            application = entry.subject(args)
            delimited = _delimited_wsgi(self, application)
            return original(*[delimited if argument is application else argument for argument in args], **kwargs)

        return handler

    def run_wsgi(self, application: Callable[..., Any], environ: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
        """Run a WSGI application for one environ."""
        state = self.begin(environ)
        if state is None:
            return application(*args, **kwargs)
        token = enter_call(state)
        body = None
        try:
            body = application(*args, **kwargs)
            return _Body(body, state) if _runs_code(body, environ) else body
        finally:
            leave_call(token)
            if not _runs_code(body, environ):
                state.close()

    # Spans

    def _span(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            span = original(*args, **kwargs)
            kind = args[3]
            if kind is SpanKind.SERVER or kind is SpanKind.CONSUMER:
                run_silently(self._opened, span, kind)
            elif self._spans_make_requests:
                run_silently(_inherit_mark, span, args[2])
            return span

        return handler

    def _opened(self, span: Span, kind: SpanKind) -> None:
        call = current_call()
        if call is not None and kind is SpanKind.SERVER:
            if call.server_span is None:
                call.change(server_span=span, used_key=used_key() or call.used_key)
            return
        if not span.get_span_context().is_valid:
            return
        self._come_first()
        if call is not None:
            call.has_consumers = True
        state = RequestState(self._on_change, within=call)
        self._spans_make_requests = True
        setattr(span, SPAN_MARK, state)
        span.end = partial(_end, span.end, state)  # type: ignore[method-assign]
        server_span = span if kind is SpanKind.SERVER else None
        state.change(server_span=server_span, used_key=used_key())


def _end(end: Callable[..., None], state: RequestState, *args: Any, **kwargs: Any) -> None:
    state.close()
    end(*args, **kwargs)


def _inherit_mark(span: Span, context: Any) -> None:
    mark = getattr(trace.get_current_span(context), SPAN_MARK, None)
    if isinstance(mark, RequestState) and span.get_span_context().is_valid:
        setattr(span, SPAN_MARK, mark)


def _is_request(scope: Any) -> bool:
    return isinstance(scope, Mapping) and scope.get("type") in ("http", "websocket")


def _goes_on(current: RequestState, scope: Any) -> bool:
    """Say whether a call belongs to the current request: it passes the same scope on, or a copy of it."""
    return current.scope is scope or any(_same_item(current.scope, scope, name) for name in ("headers", "wsgi.input"))


def _same_item(one: Any, other: Any, name: str) -> bool:
    try:
        return bool(one[name]) and one[name] is other[name]
    except (KeyError, TypeError):
        return False


def _delimited_asgi(boundaries: Boundaries, application: Callable[..., Any]) -> Callable[..., Any]:
    async def delimited(scope: Any, receive: Any, send: Any) -> Any:
        return await boundaries.run_asgi(application, scope, (scope, receive, send), {})

    return delimited


def _delimited_wsgi(boundaries: Boundaries, application: Callable[..., Any]) -> Callable[..., Any]:
    def delimited(environ: Any, start_response: Any) -> Any:
        return boundaries.run_wsgi(application, environ, (environ, start_response), {})

    return delimited


def _runs_code(body: Any, environ: Any) -> bool:
    """Say whether code of the application may still run when the server reads a body: not for a list or a file."""
    if body is None or type(body) in (list, tuple):
        return False
    file_wrapper = environ.get("wsgi.file_wrapper") if isinstance(environ, dict) else None
    return not (isinstance(file_wrapper, type) and isinstance(body, file_wrapper))


class _Body(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The body of a WSGI response: the request goes on while it is read, and ends when it is closed."""

    def __init__(self, body: Any, state: RequestState) -> None:
        super().__init__(body)
        self._self_state = state

    def __iter__(self) -> Iterator[Any]:
        return _Chunks(iter(self.__wrapped__), self._self_state)

    def close(self) -> None:
        """Close the body, then end the request."""
        token = enter_call(self._self_state)
        try:
            close = getattr(self.__wrapped__, "close", None)
            if close is not None:
                close()
        finally:
            leave_call(token)
            self._self_state.close()


class _Chunks:
    """Reads a body with its request as the current one, a chunk at a time."""

    def __init__(self, chunks: Iterator[Any], state: RequestState) -> None:
        self._chunks = chunks
        self._state = state

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> Any:
        token = enter_call(self._state)
        try:
            return next(self._chunks)
        finally:
            leave_call(token)
