"""The MCP Python SDK, and fastmcp, which authenticates with it.

The SDK compares scopes inside a middleware that then calls the application. Only refusals are observed, because a
target on the middleware would count failures of the application as decisions, and hide the checks inside the
application.
"""

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

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


def refusal(path: str) -> AuthzTarget:
    """Return the target for a method that sends refusals."""
    return AuthzTarget(path, required="self.required_scopes", granted=lambda _: False, when=_is_about_scopes)


PRESET = Preset(
    library="mcp",
    oldest="2.0",
    records="`id`: `client_id`; `owner`: `subject`; `scopes`; `allow_list`: `resource`; `expires_at`. Each refusal "
    "for a missing scope, as a denied decision that requires the server's `required_scopes`",
    never="`token`; `claims`; granted checks of `required_scopes`, because the SDK compares the scopes inside the "
    "middleware that then runs the application",
    targets=(
        AuthTarget(
            "mcp.server.auth.middleware.bearer_auth:BearerAuthBackend.authenticate",
            key="return[1].access_token",
            valid="return",
            when=_is_presented,
        ),
        refusal("mcp.server.auth.middleware.bearer_auth:RequireAuthMiddleware._send_auth_error"),
    ),
    key_types={
        "mcp.server.auth.provider:AccessToken": KeyType(**_TOKEN),
        "mcp.server.auth.middleware.bearer_auth:AuthenticatedUser": KeyType(
            **{name: f"access_token.{expression}" for name, expression in _TOKEN.items()}
        ),
    },
)
