"""An MCP server: an allowed, a denied and an anonymous call of a tool over a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder
from presets.credential import EXPIRES_AT, EXPIRY, Credential, authorization
from presets.requests import assert_key_is_recorded
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "create", "arguments": {}}}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def _credential(service: Any) -> Credential:
    service.TOKENS["mcp-s3cret-1"] = service.AccessToken(
        token="mcp-s3cret-1",
        client_id="loader",
        scopes=["note:create"],
        expires_at=int(EXPIRY.timestamp()),
        resource="http://127.0.0.1/",
        subject="7",
        claims={"token": "mcp-s3cret-1"},
    )
    snapshot = {
        "id": "loader",
        "owner": "7",
        "scopes": ["note:create"],
        "allow_list": ["http://127.0.0.1/"],
        "expires_at": EXPIRES_AT,
    }
    return Credential(*authorization("Bearer", "mcp-s3cret-1", "mcp-s3cret-x"), snapshot, ["mcp-s3cret"], "valid")


def test_the_key_is_on_the_row_of_a_tool_and_on_the_span(keyaudit_recorder: Recorder) -> None:
    """The tool's row names the client, although the tool runs in a task of the session."""
    from presets.apps import mcp_app  # noqa: PLC0415 - not everywhere

    credential = _credential(mcp_app)
    keyaudit_recorder.instrument(presets="mcp", audit_targets=["presets.apps.mcp_app:record"])

    app = mcp_app.server().streamable_http_app(json_response=True, stateless_http=True)
    with serving_asgi(app, keyaudit_recorder, lifespan="on") as address:
        answers = [
            httpx.post(f"{address}/mcp", json=CALL, headers={**ACCEPT, **headers}).status_code
            for headers in (credential.allowed, credential.denied, {})
        ]

    assert_key_is_recorded(keyaudit_recorder, credential, answers)
