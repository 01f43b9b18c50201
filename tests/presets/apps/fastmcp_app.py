"""A fastmcp server whose only tool writes into the audit log, for the bearers of a token."""

from __future__ import annotations

from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

TOKENS: dict[str, dict[str, Any]] = {}
server = FastMCP("depot", auth=StaticTokenVerifier(TOKENS))


def record(action: str, additional_fields: dict[str, Any] | None = None) -> None:
    """Stand for the application's audit log; the tests record what arrives here."""


@server.tool
def create() -> str:
    record("note.create", {"by": "application"})
    return "done"
