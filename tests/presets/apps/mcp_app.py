"""An MCP server whose only tool writes into the audit log, for the bearers of a token."""

from __future__ import annotations

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from pydantic import AnyHttpUrl

from presets.apps.audit_log import SERVED, record

TOKENS = {key: AccessToken(token=key, client_id=f"id of {key[-1]}", scopes=["note:create"]) for key in SERVED}


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        return TOKENS.get(token)


def server(required_scopes: list[str] | None = None) -> MCPServer:
    url = AnyHttpUrl("http://127.0.0.1/")
    auth = AuthSettings(issuer_url=url, resource_server_url=url, required_scopes=required_scopes)
    made = MCPServer("depot", token_verifier=Verifier(), auth=auth)

    @made.tool()
    def create() -> str:
        record("note.create", {"by": "application"})
        return "done"

    return made


traced = OpenTelemetryMiddleware(server().streamable_http_app(json_response=True, stateless_http=True))
