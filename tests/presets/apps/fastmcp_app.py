"""A fastmcp server whose only tool writes into the audit log, for the bearers of a token."""

from __future__ import annotations

from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from presets.apps.audit_log import SERVED, record

TOKENS: dict[str, dict[str, Any]] = {
    key: {"client_id": f"id of {key[-1]}", "scopes": ["note:create"]} for key in SERVED
}
server = FastMCP("depot", auth=StaticTokenVerifier(TOKENS))


@server.tool
def create() -> str:
    record("note.create", {"by": "application"})
    return "done"


traced = OpenTelemetryMiddleware(server.http_app(json_response=True, stateless_http=True))
