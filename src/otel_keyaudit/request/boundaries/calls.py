"""Delimit requests by a call: of an ASGI or WSGI application, a server, a client or a framework."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.handlers import Handler
from otel_keyaudit.request import first_request
from otel_keyaudit.request.boundaries.entry_points import Arguments, EntryPoint
from otel_keyaudit.request.boundaries.response_body import delimit_streaming, delimited_body, runs_code
from otel_keyaudit.request.boundaries.running import await_inside, run_inside
from otel_keyaudit.request.boundaries.same_request import is_inner_request, is_request, is_same_request
from otel_keyaudit.request.context import CALL, USED_KEY, Request, current_call, is_open
from otel_keyaudit.request.server_span import ServerSpans

Begin = Callable[[Any], Request | None]
"""Creates the state of a request from its scope, if it begins a request."""


class CallBoundaries:
    """Creates the handlers of entry points whose calls are requests.

    Args:
        spans: Shows the state of a request on its server span.
    """

    def __init__(self, spans: ServerSpans) -> None:
        self._request_spans = spans
        self.handlers: dict[str, Callable[[EntryPoint, Callable[..., Any]], Handler]] = {
            "asgi": self._asgi,
            "asgi_application": partial(self._with_application, self.delimited_asgi),
            "asgi_call": partial(self._asgi_call, self.begin),
            "asgi_client": partial(self._client, self.delimited_asgi),
            "asgi_server": self._asgi_server,
            "bridge": self._bridge,
            "call": partial(self._call, self.begin),
            "inner_asgi_call": partial(self._asgi_call, self._begin_inner),
            "inner_call": partial(self._call, self._begin_inner),
            "wsgi": self._wsgi,
            "wsgi_application": partial(self._with_application, self.delimited_wsgi),
            "wsgi_client": partial(self._client, self.delimited_wsgi),
        }

    def begin(self, scope: Any) -> Request | None:
        """Create the state of a new request, ``None`` if the scope belongs to the current request."""
        if first_request.pending:
            first_request.prepare_first_request()
        current = CALL.get()
        if current is not None and (current.scope is scope or (is_open(current) and is_same_request(current, scope))):
            return None
        return Request(self._request_spans, scope)

    def _begin_inner(self, scope: Any) -> Request | None:
        """Create the state of a request that begins inside another request, ``None`` in any other case."""
        return Request(self._request_spans, scope) if is_inner_request(scope) else None

    # ASGI

    def _asgi(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        scope_of = entry.subject

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            scope = scope_of(args)
            request = self.begin(scope) if is_request(scope) else None
            return original(*args, **kwargs) if request is None else await_inside(request, original, *args, **kwargs)

        return handler

    def _asgi_server(self, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        handler = self._asgi(entry, original)

        def served(args: Arguments, kwargs: dict[str, Any]) -> Any:
            used = USED_KEY.get()
            return handler(args, kwargs) if used is None or used.request is None else unrelated(args, kwargs)

        async def unrelated(args: Arguments, kwargs: dict[str, Any]) -> Any:
            """Serve a request in the context of a previous request, without the key that was set there."""
            used = USED_KEY.get()
            try:
                USED_KEY.set(None)
                return await handler(args, kwargs)
            finally:
                USED_KEY.set(used)

        return served

    def _asgi_call(self, begin: Begin, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        async def answer(request: Request, args: Arguments, kwargs: dict[str, Any]) -> Any:
            response = await original(*args, **kwargs)
            delimit_streaming(response, request)
            return response

        return _around(begin, entry, original, await_inside, answer)

    def delimited_asgi(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap an ASGI application so that each call is a request."""
        handler = self._asgi(_APPLICATION, application)

        async def delimited(scope: Any, receive: Any, send: Any) -> Any:
            return await handler((scope, receive, send), {})

        return delimited

    def _call(self, begin: Begin, entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        def answer(request: Request, args: Arguments, kwargs: dict[str, Any]) -> Any:
            response = original(*args, **kwargs)
            delimit_streaming(response, request)
            return response

        return _around(begin, entry, original, run_inside, answer)

    def _client(self, delimit: Callable[[Any], Any], _: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Create a handler for a client: the call receives a copy of the client with a delimited ``app``."""

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            client = quietly(lambda: _with_app(args[0], delimit(args[0].app))) or args[0]
            return original(client, *args[1:], **kwargs)

        return handler

    @staticmethod
    def _with_application(delimit: Callable[[Any], Any], entry: EntryPoint, original: Callable[..., Any]) -> Handler:
        """Create a handler for a function that receives the application: it receives the delimited application."""
        position = entry.position

        def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
            if callable(args[position]):
                args = (*args[:position], delimit(args[position]), *args[position + 1 :])
            return original(*args, **kwargs)

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

    def delimited_wsgi(self, application: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a WSGI application so that each call is a request."""
        run = self._wsgi(_APPLICATION, application)

        def delimited(environ: Any, start_response: Any) -> Any:
            return run((environ, start_response), {})

        return delimited


def _around(
    begin: Begin,
    entry: EntryPoint,
    original: Callable[..., Any],
    run: Callable[..., Any],
    answer: Callable[..., Any],
) -> Handler:
    """Create a handler whose calls are requests: ``run`` calls ``answer`` inside each request."""

    def handler(args: Arguments, kwargs: dict[str, Any]) -> Any:
        request = begin(entry.subject(args))
        return original(*args, **kwargs) if request is None else run(request, answer, request, args, kwargs)

    return handler


def _application_scope(args: Arguments) -> Any:
    return args[0]


_APPLICATION = EntryPoint("an application", "", _application_scope)


def _with_app(client: Any, app: Callable[..., Any]) -> Any:
    """Copy a client, with another application."""
    other = copy.copy(client)
    other.app = app
    return other
