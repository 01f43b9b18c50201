"""An MCP server whose only tool writes into the audit log, for the bearers of a token."""

from __future__ import annotations

from typing import Any

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from pydantic import AnyHttpUrl

TOKENS: dict[str, AccessToken] = {}


class Verifier:
    async def verify_token(self, token: str) -> AccessToken | None:
        return TOKENS.get(token)


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Stand for the application's audit log; the tests record what arrives here."""


def server() -> MCPServer:
    url = AnyHttpUrl("http://127.0.0.1/")
    made = MCPServer("depot", token_verifier=Verifier(), auth=AuthSettings(issuer_url=url, resource_server_url=url))

    @made.tool()
    def create() -> str:
        record("note.create", {"by": "application"})
        return "done"

    return made
