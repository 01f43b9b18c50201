"""The MCP Python SDK, and fastmcp, which authenticates with it."""

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget

_TOKEN = {
    "id": "client_id",
    "owner": "subject",
    "scopes": "scopes",
    "allow_list": "resource",
    "expires_at": "expires_at|ts",
}
"""The fields of a token; an authenticated user holds one."""


def _is_presented(call: Call) -> bool:
    authorization: str = call.args["conn"].headers.get("authorization", "")
    return authorization.lower().startswith("bearer ")


PRESET = Preset(
    library="mcp",
    oldest="2.0",
    records="`id`: `client_id`; `owner`: `subject`; `scopes`; `allow_list`: `resource`; `expires_at`",
    never="`token`, `claims`",
    targets=(
        AuthTarget(
            "mcp.server.auth.middleware.bearer_auth:BearerAuthBackend.authenticate",
            key="return[1].access_token",
            valid="return",
            when=_is_presented,
        ),
    ),
    key_types={
        "mcp.server.auth.provider:AccessToken": KeyType(**_TOKEN),
        "mcp.server.auth.middleware.bearer_auth:AuthenticatedUser": KeyType(
            **{name: f"access_token.{expression}" for name, expression in _TOKEN.items()}
        ),
    },
)
