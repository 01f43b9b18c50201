"""An MCP server: an allowed, a denied and an anonymous call of a tool over a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder
from presets.credential import EXPIRES_AT, EXPIRY, Credential, authorization
from presets.mcp_sessions import ACCEPT, CALL, client
from presets.requests import assert_key_is_recorded, server_spans
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


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


@pytest.mark.parametrize("stateless", [True, False])
def test_scopes_that_the_server_requires_are_decisions(*, stateless: bool, keyaudit_recorder: Recorder) -> None:
    """The row of an allowed request has the decision, and the server span of a refused request shows the missing scope.

    The server answers the refused request itself, and the server span ends with the answer.
    """
    from mcp.server.auth.provider import AccessToken  # noqa: PLC0415 - not everywhere

    from presets.apps import mcp_app  # noqa: PLC0415

    for token, scopes in (("mcp-s3cret-1", ["note:create", "mcp"]), ("mcp-s3cret-2", ["note:create"])):
        mcp_app.TOKENS[token] = AccessToken(token=token, client_id="loader", scopes=scopes)
    keyaudit_recorder.instrument(presets="mcp", audit_targets=["presets.apps.mcp_app:record"])

    app = mcp_app.server(required_scopes=["mcp"]).streamable_http_app(json_response=True, stateless_http=stateless)
    with serving_asgi(app, keyaudit_recorder, lifespan="on") as address:
        allowed, refused, unknown = (authorization("Bearer", f"mcp-s3cret-{one}", "")[0] for one in (1, 2, "x"))
        with client(f"{address}/mcp", allowed, stateless=stateless) as session:
            assert session.post("", json=CALL).status_code == 200
        answers = [httpx.post(f"{address}/mcp", json=CALL, headers={**ACCEPT, **one}) for one in (refused, unknown)]

    assert [answer.status_code for answer in answers] == [403, 401]
    granted = {"required": ["mcp"], "outcome": "granted", "cause": "scope", "scopes": ["mcp"]}
    assert [row["request_api_key"]["decisions"] for row in keyaudit_recorder.rows] == [[granted]]
    denied, unknown_span = server_spans(keyaudit_recorder)[-2:]
    assert (
        denied.items()
        >= {
            "keyaudit.outcome": "accepted",
            "keyaudit.key.id": "loader",
            "keyaudit.decision.outcome": "denied",
            "keyaudit.decision.cause": "scope",
            "keyaudit.decision.missing": ("mcp",),
        }.items()
    )
    assert unknown_span["keyaudit.outcome"] == "denied"
    assert "keyaudit.decision.outcome" not in unknown_span
    assert keyaudit_recorder.degraded() == {}
