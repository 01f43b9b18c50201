"""A WSGI application on a free loopback port, in threads of this process, under a server span."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from otel_keyaudit.testing import Recorder


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Write nothing to stderr."""


@contextmanager
def serving_wsgi(application: Callable[..., Any], recorder: Recorder) -> Iterator[str]:
    """Serve an application; yield its address. Afterwards every request has ended."""
    traced = OpenTelemetryMiddleware(application, tracer_provider=recorder.tracer_provider)
    with make_server("127.0.0.1", 0, traced, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
