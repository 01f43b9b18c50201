"""The MCP Python SDK, and fastmcp, which authenticates with it.

The SDK compares scopes inside a middleware that then calls the application. A target on the middleware would count
failures of the application as decisions, and hide the checks inside the application. So the functions that the
middleware calls after the comparison are the targets: one sends the refusal, the others serve an allowed request.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._definition import DecidedTarget, Preset, never
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget

_TOKEN = {
    "id": "client_id",
    "name": "original_client_id",  # of fastmcp, whose `MultiAuth` makes the client_id unique among its sources
    "owner": "subject",
    "scopes": "scopes",
    "allow_list": "resource",
    "expires_at": "expires_at|ts",
}
"""The fields of a token. An authenticated user has the token in ``access_token``."""


def _is_presented(call: Call) -> bool:
    authorization: str = call.args["conn"].headers.get("authorization", "")
    return authorization.lower().startswith("bearer ")


def _is_about_scopes(call: Call) -> bool:
    """Return whether a valid token lacks a scope. Status 401 is a failed authentication."""
    return bool(call.args["status_code"] == 403)


def refusal(path: str) -> DecidedTarget:
    """Return the target for a method that sends refusals."""
    return DecidedTarget(path, required="self.required_scopes", granted=never, when=_is_about_scopes)


_MIDDLEWARE = "mcp.server.auth.middleware.bearer_auth:RequireAuthMiddleware"


def _required_scopes(call: Call) -> Any:
    """Return the scopes that the middleware of the route required, ``None`` if the route has no such middleware."""
    endpoint = call.args["scope"].get("endpoint")
    return endpoint.required_scopes if _MIDDLEWARE in class_names(type(endpoint)) else None


def _allowed(path: str) -> DecidedTarget:
    """Return the target for a method that serves the requests that the middleware allowed."""
    return DecidedTarget(path, required=_required_scopes, when=_required_scopes)


PRESET = Preset(
    library="mcp",
    oldest="2.0",
    records="`id`: `client_id`; `owner`: `subject`; `scopes`; `allow_list`: `resource`; `expires_at`. The decision of "
    "the server about each request, which requires its `required_scopes`",
    never="`token`; `claims`",
    targets=(
        AuthTarget(
            "mcp.server.auth.middleware.bearer_auth:BearerAuthBackend.authenticate",
            key="return[1].access_token",
            valid="return",
            when=_is_presented,
        ),
        refusal(f"{_MIDDLEWARE}._send_auth_error"),
        _allowed("mcp.server.streamable_http_manager:StreamableHTTPSessionManager._handle_request"),
        _allowed("mcp.server.sse:SseServerTransport.handle_post_message"),
    ),
    key_types={
        "mcp.server.auth.provider:AccessToken": KeyType(**_TOKEN),
        "mcp.server.auth.middleware.bearer_auth:AuthenticatedUser": KeyType(
            **{name: f"access_token.{expression}" for name, expression in _TOKEN.items()}
        ),
    },
)
