"""A fastmcp server: an allowed, a denied and an anonymous call of a tool over a socket."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otel_keyaudit.testing import Recorder, assert_names
from presets.credential import EXPIRES_AT, EXPIRY, Credential, authorization
from presets.mcp_sessions import ACCEPT, CALL, client, message
from presets.requests import assert_key_is_recorded, server_spans
from presets.serving import serving_asgi

pytestmark = pytest.mark.filterwarnings("default")  # warnings of the libraries


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

    with (
        serving_asgi(service.server.http_app(json_response=True), keyaudit_recorder, lifespan="on") as address,
        client(f"{address}/mcp", _credential(service, 1).allowed) as first,
        client(f"{address}/mcp", _credential(service, 2).allowed) as second,
    ):
        for one in [first, second] * 2:
            assert one.post("", json=CALL).status_code == 200

    ids = [f"loader-{number}" for number in (1, 2, 1, 2)]
    rows = [assert_names(row, key_id) for row, key_id in zip(keyaudit_recorder.rows, ids, strict=True)]
    assert len({row["trace_id"] for row in rows}) == len(rows)
    keyaudit_recorder.assert_no_secret("fastmcp-s3cret")


COMPONENTS = [
    message("tools/call", name="erase", arguments={}),
    message("tools/call", name="inner_erase", arguments={}),
    message("resources/read", uri="data://notes"),
    message("resources/read", uri="data://1/note"),
    message("prompts/get", name="ask"),
]


def _server(service: Any) -> Any:
    """Return a server with components that require a scope of their own."""
    from fastmcp import Context, FastMCP  # noqa: PLC0415 - not everywhere
    from fastmcp.server.auth import require_scopes  # noqa: PLC0415
    from fastmcp.server.auth.providers.jwt import StaticTokenVerifier  # noqa: PLC0415

    async def find(ctx: Context) -> str:
        tools = await ctx.fastmcp.list_tools()
        service.record("note.find")
        return str(len(tools))

    def erase() -> str:
        return str(service.create())

    def note(number: str) -> str:
        return erase()

    find.__annotations__["ctx"] = Context
    server = FastMCP("depot", auth=StaticTokenVerifier(service.TOKENS))
    inner = FastMCP("inner")
    erasing = require_scopes("note:erase")
    server.tool(find)
    for one in (server, inner):
        one.tool(erase, auth=erasing)
    server.resource("data://notes", auth=erasing)(erase)
    server.resource("data://{number}/note", auth=erasing)(note)
    server.prompt(erase, name="ask", auth=erasing)
    server.mount(inner, namespace="inner")
    return server


@pytest.mark.parametrize("call", COMPONENTS, ids=lambda call: str(next(iter(call["params"].values()))))
def test_scopes_of_a_component_are_a_decision(call: dict[str, Any], service: Any, keyaudit_recorder: Recorder) -> None:
    """The row inside the component has the decision, and the server span of a refused call the missing scope."""
    weak, strong = _credential(service, 1), _credential(service, 2)
    service.TOKENS["fastmcp-s3cret-2"]["scopes"] = ["note:create", "note:erase"]
    keyaudit_recorder.instrument(presets="fastmcp", audit_targets=["presets.apps.fastmcp_app:record"])

    app = _server(service).http_app(json_response=True, stateless_http=True)
    with serving_asgi(app, keyaudit_recorder, lifespan="on") as address:
        for credential in (weak, strong):
            headers = {**ACCEPT, **credential.allowed}
            httpx.post(f"{address}/mcp", json=call, headers=headers).raise_for_status()

    (row,) = keyaudit_recorder.rows
    granted = {"required": ["note:erase"], "outcome": "granted", "cause": "scope", "scopes": ["note:erase"]}
    assert assert_names(row, "loader-2")["decisions"] == [granted]
    denied, allowed = server_spans(keyaudit_recorder)
    assert denied["keyaudit.decision.outcome"] == "denied"
    assert denied["keyaudit.decision.missing"] == ("note:erase",)
    assert allowed["keyaudit.decision.outcome"] == "granted"
    assert keyaudit_recorder.degraded() == {}


@pytest.mark.parametrize(
    "call",
    [
        message("tools/list"),
        message("resources/list"),
        message("resources/templates/list"),
        message("prompts/list"),
        message("tools/call", name="find", arguments={}),
        message("tools/call", name="nowhere", arguments={}),
    ],
    ids=lambda call: call["params"].get("name", call["method"]),
)
def test_list_of_components_is_no_decision(call: dict[str, Any], service: Any, keyaudit_recorder: Recorder) -> None:
    """The server asks about each component, to find out which of them to show; nothing was refused."""
    credential = _credential(service, 1)
    keyaudit_recorder.instrument(presets="fastmcp", audit_targets=["presets.apps.fastmcp_app:record"])

    app = _server(service).http_app(json_response=True, stateless_http=True)
    with serving_asgi(app, keyaudit_recorder, lifespan="on") as address:
        headers = {**ACCEPT, **credential.allowed}
        httpx.post(f"{address}/mcp", json=call, headers=headers).raise_for_status()

    assert keyaudit_recorder.count("keyaudit.decisions") == 0
    assert all("decisions" not in row["request_api_key"] for row in keyaudit_recorder.rows)
