"""Flask: a function before each request stores the key in ``g``."""

from __future__ import annotations

from flask import Flask, abort, g, request
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from integration.shapes.apps.common import KEYS, create_note

app = Flask(__name__)


@app.before_request
def authenticate() -> None:
    """Find the key of the request."""
    presented = request.headers.get("X-API-Key")
    g.api_key = None if presented is None else KEYS.get(presented)
    if presented is not None and g.api_key is None:
        abort(403)


@app.post("/notes")
def create() -> str:
    """Create a note."""
    return create_note()


app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
