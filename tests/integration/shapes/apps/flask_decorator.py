"""Flask: a decorator factory checks the key and stores it in ``g``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, abort, g, request
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from integration.shapes.apps.common import KEYS, create_note

View = Callable[..., Any]
app = Flask(__name__)


def require_api_key(scope: str) -> Callable[[View], View]:
    """Return a decorator that checks the key."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            presented = request.headers.get("X-API-Key")
            g.api_key = None if presented is None else KEYS.get(presented)
            if presented is not None and (g.api_key is None or scope not in g.api_key.scopes):
                abort(403)
            return view(*args, **kwargs)

        return wrapper

    return decorate


@app.post("/notes")
@require_api_key("note:create")
def create() -> str:
    """Create a note."""
    return create_note()


app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]
