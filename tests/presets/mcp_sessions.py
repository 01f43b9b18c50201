"""Messages of an MCP client, and its session over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

ACCEPT = {"Accept": "application/json, text/event-stream"}
_BEGIN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}
_BEGUN = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def message(method: str, **params: Any) -> dict[str, Any]:
    """Return a request of a client."""
    return {"jsonrpc": "2.0", "id": 2, "method": method, "params": params}


CALL = message("tools/call", name="create", arguments={})
"""A call of the tool ``create``."""


@contextmanager
def client(address: str, headers: Mapping[str, str], *, stateless: bool = False) -> Iterator[httpx.Client]:
    """Provide a client, whose session has begun unless the server is stateless."""
    with httpx.Client(base_url=address, headers={**ACCEPT, **headers}, follow_redirects=True) as made:
        if not stateless:
            made.headers["mcp-session-id"] = made.post("", json=_BEGIN).headers["mcp-session-id"]
            made.post("", json=_BEGUN)
        yield made
