"""The table of functions through which requests enter: servers, in-process clients, frameworks, spans, and workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class EntryPoint:
    """A function through which requests enter.

    Attributes:
        path: ``package.module:Qualified.name``.
        protocol: One of these:

            * ``asgi``, ``wsgi``: an application;
            * ``asgi_call``: an ASGI application that returns its response;
            * ``asgi_server``: runs an ASGI application, possibly in the context of a previous request;
            * ``asgi_client``, ``wsgi_client``: a method that calls the application in the attribute ``app``;
            * ``asgi_application``, ``wsgi_application``: a function with the application as an argument;
            * ``call``: handles a whole request;
            * ``inner_call``, ``inner_asgi_call``: handle a request, which is separate only inside another request;
            * ``bridge``: derives an environ from the current scope;
            * ``push``, ``pop``: push and pop a request context; ``pop_later`` marks coroutine functions;
            * ``before_span``: an interceptor that opens the span of an RPC after the other interceptors have run;
            * ``span``, ``span_end``: open and end a span;
            * ``jobs``: starts jobs of several requests, in the context of any of them;
            * ``put``, ``take``: put an item into a queue, or take one; ``_later`` marks coroutine functions.
        subject: Returns the ASGI scope, the WSGI environ, or the object that identifies the queue, from the arguments.
        position: Position of the application among the arguments, for ``asgi_application`` and ``wsgi_application``.
    """

    path: str
    protocol: str
    subject: Callable[[Arguments], Any] = itemgetter(1)
    position: int = 0


def _own_scope(args: Arguments) -> Any:
    return args[0].scope


def _own_environ(args: Arguments) -> Any:
    return args[0].environ


def _django_scope(args: Arguments) -> Any:
    """Return the scope or the environ of a request of Django that no middleware has changed yet."""
    scope = getattr(args[1], "scope", None)
    return getattr(args[1], "META", None) if scope is None else scope


def _original_django_scope(args: Arguments) -> Any:
    """Return the scope or the environ of a request of Django, although a middleware may have replaced ``META``."""
    environ = getattr(args[1], "environ", None)
    return _django_scope(args) if environ is None else environ


def _pushed_environ(args: Arguments) -> Any:
    """Return the environ of a request context of Flask."""
    return args[0].request.environ


def _environ_if_any(args: Arguments) -> Any:
    """Return the environ of a context of Flask, which may be the context of an application."""
    request = getattr(args[0], "_request", None)
    return None if request is None else request.environ


def _pushed_scope(args: Arguments) -> Any:
    """Return the scope of a context of Quart, ``None`` for the context of an application."""
    known = vars(args[0])
    request = known.get("_request") or known.get("_websocket") or known.get("request_websocket")
    return None if request is None else request.scope


def _stream(args: Arguments) -> Any:
    """Return the state that both ends of a stream share."""
    return args[0]._state


_UVICORN = (
    "http.h11_impl:RequestResponseCycle",
    "http.httptools_impl:RequestResponseCycle",
    "http.zttp_impl:RequestResponseCycle",
    "http.zttp_h2_impl:RequestResponseCycle",
    "websockets.websockets_impl:WebSocketProtocol",
    "websockets.websockets_sansio_impl:WebSocketsSansIOProtocol",
    "websockets.wsproto_impl:WSProtocol",
)

_GUNICORN = (  # with the position of the request, because the function itself builds the environ
    ("sync:SyncWorker.handle_request", 2),
    ("gthread:ThreadWorker.handle_request", 1),
    ("gthread:ThreadWorker.handle_http2_request", 1),
    ("base_async:AsyncWorker.handle_request", 2),
    ("base_async:AsyncWorker.handle_http2_request", 2),
)

_QUART_CONTEXTS = ("RequestContext", "WebsocketContext", "AppContext")  # newer releases have only the last

_ANYIO = "anyio.streams.memory:MemoryObject"
_SYNC_AND_ASYNC = (("_nowait", ""), ("", "_later"))

_HTTPX = ("httpx", "httpx2")

ENTRY_POINTS = (
    # Servers, which run before any middleware.
    *(EntryPoint(f"uvicorn.protocols.{name}.run_asgi", "asgi_server", _own_scope) for name in _UVICORN),
    EntryPoint("hypercorn.app_wrappers:ASGIWrapper.__call__", "asgi_server"),
    EntryPoint("hypercorn.app_wrappers:WSGIWrapper.run_app", "call"),
    EntryPoint("wsgiref.handlers:BaseHandler.run", "wsgi_application", position=1),
    *(EntryPoint(f"gunicorn.workers.{name}", "call", itemgetter(position)) for name, position in _GUNICORN),
    EntryPoint("gunicorn.http.wsgi:default_environ", "bridge"),
    EntryPoint("granian.asgi:_callback_wrapper", "asgi_application"),
    EntryPoint("granian.wsgi:_callback_wrapper", "wsgi_application"),
    EntryPoint("daphne.server:Server.__init__", "asgi_application", position=1),
    EntryPoint("waitress.server:create_server", "wsgi_application"),
    EntryPoint("tornado.wsgi:WSGIContainer.__init__", "wsgi_application", position=1),
    EntryPoint("twisted.web.wsgi:WSGIResource.__init__", "wsgi_application", position=3),
    EntryPoint("cheroot.wsgi:Gateway.respond", "call", lambda args: args[0].env),
    EntryPoint("eventlet.wsgi:HttpProtocol.handle_one_response", "call", _own_environ),
    EntryPoint("gevent.pywsgi:WSGIHandler.run_application", "call", _own_environ),
    EntryPoint("werkzeug.serving:WSGIRequestHandler.run_wsgi", "call", itemgetter(0)),
    EntryPoint("werkzeug.serving:WSGIRequestHandler.make_environ", "bridge"),
    # In-process clients: the only entry points of an application without a framework.
    *(EntryPoint(f"{name}._transports.asgi:ASGITransport.handle_async_request", "asgi_client") for name in _HTTPX),
    *(EntryPoint(f"{name}._transports.wsgi:WSGITransport.handle_request", "wsgi_client") for name in _HTTPX),
    EntryPoint("starlette.testclient:_TestClientTransport.handle_request", "asgi_client"),
    EntryPoint("werkzeug.test:run_wsgi_app", "wsgi_application"),
    EntryPoint("webob.request:BaseRequest.call_application", "wsgi_application", position=1),
    EntryPoint("django.test.client:ClientHandler.__call__", "call"),
    EntryPoint("django.test.client:AsyncClientHandler.__call__", "asgi_call"),
    # Frameworks.
    EntryPoint("fastapi.applications:FastAPI.__call__", "asgi"),
    EntryPoint("starlette.applications:Starlette.__call__", "asgi"),
    EntryPoint("starlette.routing:Router.__call__", "asgi"),
    EntryPoint("litestar.app:Litestar.__call__", "asgi"),
    EntryPoint("django.core.handlers.asgi:ASGIHandler.__call__", "asgi"),
    EntryPoint("quart.app:Quart.__call__", "asgi"),
    EntryPoint("quart.app:Quart.asgi_app", "asgi"),
    EntryPoint("falcon.asgi.app:App.__call__", "asgi"),
    EntryPoint("django.core.handlers.wsgi:WSGIHandler.__call__", "wsgi"),
    EntryPoint("flask.app:Flask.__call__", "wsgi"),
    EntryPoint("flask.app:Flask.wsgi_app", "wsgi"),
    EntryPoint("falcon.app:App.__call__", "wsgi"),
    EntryPoint("bottle:Bottle.__call__", "wsgi"),
    EntryPoint("pyramid.router:Router.__call__", "wsgi"),
    EntryPoint("pyramid.router:Router.invoke_subrequest", "call", lambda args: args[1].environ),
    # Functions that an application calls for the items of a batch.
    EntryPoint("django.core.handlers.base:BaseHandler.get_response", "inner_call", _django_scope),
    EntryPoint("django.core.handlers.base:BaseHandler.get_response_async", "inner_asgi_call", _django_scope),
    EntryPoint("rest_framework.views:APIView.dispatch", "inner_call", _original_django_scope),
    EntryPoint("ninja.operation:Operation.run", "inner_call", _original_django_scope),
    EntryPoint("ninja.operation:AsyncOperation.run", "inner_asgi_call", _original_django_scope),
    # Request contexts that an application pushes for the items of a batch.
    EntryPoint("flask.ctx:RequestContext.push", "push", _pushed_environ),  # before Flask 3.2
    EntryPoint("flask.ctx:RequestContext.pop", "pop"),
    EntryPoint("flask.ctx:AppContext.push", "push", _environ_if_any),
    EntryPoint("flask.ctx:AppContext.pop", "pop"),
    *(EntryPoint(f"quart.ctx:{name}.push", "push", _pushed_scope) for name in _QUART_CONTEXTS),
    *(EntryPoint(f"quart.ctx:{name}.pop", "pop_later") for name in _QUART_CONTEXTS),
    # A WSGI application mounted in an ASGI application.
    EntryPoint("a2wsgi.wsgi:build_environ", "bridge"),
    EntryPoint("asgiref.wsgi:WsgiToAsgiInstance.build_environ", "bridge"),
    EntryPoint("starlette.middleware.wsgi:build_environ", "bridge"),
    # Middleware that opens the server span.
    EntryPoint("opentelemetry.instrumentation.asgi:OpenTelemetryMiddleware.__call__", "asgi"),
    EntryPoint("opentelemetry.instrumentation.falcon:_InstrumentedFalconAPI.__call__", "wsgi"),
    EntryPoint("opentelemetry.instrumentation.wsgi:OpenTelemetryMiddleware.__call__", "wsgi"),
    EntryPoint("starlette.middleware.opentelemetry:OpenTelemetryMiddleware.__call__", "asgi"),
    EntryPoint(
        "opentelemetry.instrumentation.grpc._server:OpenTelemetryServerInterceptor.intercept_service", "before_span"
    ),
    EntryPoint(
        "opentelemetry.instrumentation.grpc._aio_server:OpenTelemetryAioServerInterceptor.intercept_service",
        "before_span",
    ),
    # Spans, recorded or dropped, of the SDK and of ddtrace, which implements the API itself.
    EntryPoint("opentelemetry.sdk.trace:Tracer.start_span", "span"),
    EntryPoint("opentelemetry.sdk.trace:Span.end", "span_end"),
    EntryPoint("opentelemetry.trace.span:NonRecordingSpan.end", "span_end"),
    EntryPoint("ddtrace.internal.opentelemetry.trace:Tracer.start_span", "span"),
    EntryPoint("ddtrace.internal.opentelemetry.span:Span.end", "span_end"),
    # A scheduler, whose timers have the context of the request that added a job.
    EntryPoint("apscheduler.schedulers.base:BaseScheduler._process_jobs", "jobs"),
    # Queues. Their other methods call these.
    EntryPoint("asyncio.queues:Queue.put_nowait", "put", itemgetter(0)),
    EntryPoint("asyncio.queues:Queue.get_nowait", "take", itemgetter(0)),
    EntryPoint("queue:Queue.put", "put", itemgetter(0)),
    EntryPoint("queue:Queue.get", "take", itemgetter(0)),
    *(EntryPoint(f"{_ANYIO}SendStream.send{how}", f"put{later}", _stream) for how, later in _SYNC_AND_ASYNC),
    *(EntryPoint(f"{_ANYIO}ReceiveStream.receive{how}", f"take{later}", _stream) for how, later in _SYNC_AND_ASYNC),
)

START_POINTS = (
    "asyncio.base_events:BaseEventLoop.run_forever",
    "asyncio.runners:Runner.run",  # also with the event loops of others
    "socketserver:BaseServer.serve_forever",
    "grpc._server:_Server.start",
    "sanic.server.runners:serve",
    "sanic.worker.serve:worker_serve",
)
"""Functions that start to serve requests. When they are called, a script has defined its functions."""
