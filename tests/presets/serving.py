"""An application on a free loopback port, in a thread of this process, under a server span."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry.instrumentation import asgi, wsgi

from otel_keyaudit.testing import Recorder
from support.servers import uvicorn_thread as server


class Quiet(WSGIRequestHandler):
    """Writes nothing to stderr."""

    def log_message(self, *args: object) -> None:
        """Write nothing to stderr."""


@contextmanager
def serving_wsgi(application: Callable[..., Any], recorder: Recorder) -> Iterator[str]:
    """Serve an application; yield its address. Afterwards every request has ended."""
    traced = wsgi.OpenTelemetryMiddleware(application, tracer_provider=recorder.tracer_provider)
    with make_server("127.0.0.1", 0, traced, handler_class=Quiet) as wsgi_server:
        thread = threading.Thread(target=wsgi_server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{wsgi_server.server_port}"
        finally:
            wsgi_server.shutdown()
            thread.join()


@contextmanager
def serving_asgi(application: Callable[..., Any], recorder: Recorder, **options: Any) -> Iterator[str]:
    """Serve an ASGI application by uvicorn; the same."""
    traced = asgi.OpenTelemetryMiddleware(application, tracer_provider=recorder.tracer_provider)
    with server.serving(traced, **options) as port:
        yield f"http://127.0.0.1:{port}"
