"""A fastmcp server: an allowed, a denied and an anonymous call of a tool over a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder, assert_names
from presets.credential import EXPIRES_AT, EXPIRY, Credential, authorization
from presets.requests import assert_key_is_recorded
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "create", "arguments": {}}}
BEGIN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}
BEGUN = {"jsonrpc": "2.0", "method": "notifications/initialized"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def service() -> Any:
    """The module of the server."""
    from presets.apps import fastmcp_app  # noqa: PLC0415 - not everywhere

    return fastmcp_app


def _credential(service: Any, number: int) -> Credential:
    token = f"fastmcp-s3cret-{number}"
    service.TOKENS[token] = {
        "client_id": f"loader-{number}",
        "scopes": ["note:create"],
        "expires_at": int(EXPIRY.timestamp()),
    }
    snapshot = {"id": f"loader-{number}", "scopes": ["note:create"], "expires_at": EXPIRES_AT}
    return Credential(*authorization("Bearer", token, "fastmcp-s3cret-x"), snapshot, ["fastmcp-s3cret"], "valid")


def test_the_key_is_on_the_row_of_a_tool_and_on_the_span(service: Any, keyaudit_recorder: Recorder) -> None:
    """The tool's row names the client, although the tool runs in its own task."""
    credential = _credential(service, 1)
    keyaudit_recorder.instrument(presets="fastmcp", audit_targets=["presets.apps.fastmcp_app:record"])

    app = service.server.http_app(json_response=True, stateless_http=True)
    with serving_asgi(app, keyaudit_recorder, lifespan="on") as address:
        answers = [
            httpx.post(f"{address}/mcp", json=CALL, headers={**ACCEPT, **headers}).status_code
            for headers in (credential.allowed, credential.denied, {})
        ]

    assert_key_is_recorded(keyaudit_recorder, credential, answers)


def test_client_of_one_of_several_verifiers_has_its_own_name(service: Any, keyaudit_recorder: Recorder) -> None:
    """``MultiAuth`` replaces the id of a client, because two verifiers may know clients of the same id."""
    from fastmcp import FastMCP  # noqa: PLC0415 - not everywhere
    from fastmcp.server.auth import AccessToken, MultiAuth  # noqa: PLC0415
    from fastmcp.server.auth.providers.jwt import StaticTokenVerifier  # noqa: PLC0415

    if "original_client_id" not in AccessToken.model_fields:
        pytest.skip("this release of fastmcp does not replace the id")
    credential = _credential(service, 1)
    server = FastMCP("depot", auth=MultiAuth(verifiers=[StaticTokenVerifier(service.TOKENS)]))
    server.tool(service.create)
    keyaudit_recorder.instrument(presets="fastmcp", audit_targets=["presets.apps.fastmcp_app:record"])
    app = server.http_app(json_response=True, stateless_http=True)
    with serving_asgi(app, keyaudit_recorder, lifespan="on") as address:
        httpx.post(f"{address}/mcp", json=CALL, headers={**ACCEPT, **credential.allowed}).raise_for_status()

    key = keyaudit_recorder.rows[0]["request_api_key"]
    assert key["name"] == "loader-1"
    assert '"loader-1"' in key["id"]


def test_each_session_keeps_to_its_client(service: Any, keyaudit_recorder: Recorder) -> None:
    """Long sessions that take turns keep the keys of their own clients."""
    keyaudit_recorder.instrument(presets="fastmcp", audit_targets=["presets.apps.fastmcp_app:record"])

    with serving_asgi(service.server.http_app(json_response=True), keyaudit_recorder, lifespan="on") as address:
        clients = [_begun(f"{address}/mcp", _credential(service, number)) for number in (1, 2)]
        for client in clients * 2:
            assert client.post("", json=CALL).status_code == 200
        for client in clients:
            client.close()

    ids = [f"loader-{number}" for number in (1, 2, 1, 2)]
    rows = [assert_names(row, key_id) for row, key_id in zip(keyaudit_recorder.rows, ids, strict=True)]
    assert len({row["trace_id"] for row in rows}) == len(rows)
    keyaudit_recorder.assert_no_secret("fastmcp-s3cret")


def _begun(address: str, credential: Credential) -> httpx.Client:
    """Return a client whose session has begun."""
    client = httpx.Client(base_url=address, headers={**ACCEPT, **credential.allowed}, follow_redirects=True)
    client.headers["mcp-session-id"] = client.post("", json=BEGIN).headers["mcp-session-id"]
    client.post("", json=BEGUN)
    return client
