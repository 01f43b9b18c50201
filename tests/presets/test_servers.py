"""Each application under its usual servers, as they are started: rows and spans of many requests at once are right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from presets.apps.audit_log import SERVED
from presets.served import Application, Keys, assert_served

pytestmark = pytest.mark.unmutated  # the library runs in other processes
FULL = os.environ.get("OTEL_KEYAUDIT_FULL") == "1"
SECRET = "long enough for HMAC with SHA-256, and made up"
EXPIRY = 4071006245  # in 2099
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "create", "arguments": {}}}
ASGI = ("uvicorn", "gunicorn-uvicorn", "granian", "hypercorn", "daphne")
WSGI = ("gunicorn", "gunicorn-threads", "granian-wsgi", "gunicorn-tornado", "hypercorn-wsgi", "cheroot")


def json_web_tokens() -> Keys:
    """Return headers by key id."""
    import jwt  # noqa: PLC0415 - not everywhere

    keys = {}
    for number in range(len(SERVED)):
        key_id = f"jti of {number}"
        claims = {"jti": key_id, "sub": "7", "type": "access", "fresh": False, "iat": 0, "exp": EXPIRY}
        keys[key_id] = {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    return keys


def bearer() -> Keys:
    """Return headers by key id."""
    return {f"id of {key[-1]}": {"Authorization": f"Bearer {key}"} for key in SERVED}


def x_api_key() -> Keys:
    """Return headers by key id."""
    return {f"id of {key[-1]}": {"X-API-Key": key} for key in SERVED}


def _with_preset(app: str, path: str, name: str, body: Any = None) -> Application:
    return Application(f"presets.apps.{app}", path, {"OTEL_PYTHON_KEYAUDIT_PRESETS": name, **RECORD}, body)


RECORD = {"OTEL_PYTHON_KEYAUDIT_AUDIT_TARGETS": "presets.apps.audit_log:record"}
VERIFY = {"OTEL_PYTHON_KEYAUDIT_AUTH_TARGETS": "presets.apps.bare_app:verify"}
BARE = Application("presets.apps.bare_app:wsgi", "", {**VERIFY, **RECORD}, is_traced=False)
BARE_ASGI = Application("presets.apps.bare_app:asgi", "", {**VERIFY, **RECORD}, is_traced=False)
APPLICATIONS: dict[str, tuple[Application, Callable[[], Keys]]] = {
    "fastapi": (_with_preset("fastapi_app:app", "pyjwt", "pyjwt"), json_web_tokens),
    "starlette": (_with_preset("starlette_app:traced", "starlette", "starlette"), x_api_key),
    "litestar": (_with_preset("litestar_app:traced", "litestar-jwt", "litestar-jwt"), json_web_tokens),
    "mcp": (_with_preset("mcp_app:traced", "mcp", "mcp", CALL), bearer),
    "fastmcp": (_with_preset("fastmcp_app:traced", "mcp", "fastmcp", CALL), bearer),
    "flask": (_with_preset("flask_app:traced", "flask-jwt-extended", "flask-jwt-extended"), json_web_tokens),
    "bare": (BARE, x_api_key),
    "bare-asgi": (BARE_ASGI, x_api_key),
}
USUAL = [
    ("fastapi", "gunicorn-uvicorn"),
    ("starlette", "uvicorn"),
    ("starlette", "hypercorn"),
    ("litestar", "granian"),
    ("mcp", "uvicorn"),
    ("flask", "gunicorn"),
    ("bare", "gunicorn"),
    ("bare", "granian-wsgi"),
    ("bare", "cheroot"),
    ("bare", "gunicorn-tornado"),
    ("bare-asgi", "granian"),
    ("bare-asgi", "daphne"),
]
ALL = [(name, server) for name in APPLICATIONS for server in (WSGI if name in ("flask", "bare") else ASGI)]


@pytest.mark.parametrize(("name", "server"), ALL if FULL else USUAL)
def test_rows_and_spans_name_their_own_requests_key(name: str, server: str, tmp_path: Path) -> None:
    """Concurrent requests are right, until each process of the server has answered some."""
    application, keys = APPLICATIONS[name]

    assert_served(application, server, keys(), tmp_path)
