"""Serves a WSGI application by ``wsgiref``: ``python -m integration.shapes.wsgi_server MODULE:NAME PORT``."""

from __future__ import annotations

import importlib
import signal
import sys
from wsgiref.simple_server import WSGIServer, make_server


def main(path: str, port: str) -> None:
    """Serve until SIGTERM."""
    module, _, name = path.partition(":")
    application = getattr(importlib.import_module(module), name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server: WSGIServer
    with make_server("127.0.0.1", int(port), application) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
