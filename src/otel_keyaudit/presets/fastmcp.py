"""fastmcp: HTTP servers, which authenticate with the MCP Python SDK, and the middleware that checks each component."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import mcp
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthzTarget


def _scopes(call: Call) -> list[str]:
    """Return the scopes that the checks of the component require. Some checks require none."""
    checks = call.args["checks"]
    found: list[str] = []
    for check in checks if isinstance(checks, list) else [checks]:
        if _applies(check, call.args["ctx"].component):
            found += sorted(getattr(check, "required_scopes", ()))
    return found


def _applies(check: Any, component: Any) -> bool:
    """Return whether a check applies to a component. ``restrict_tag`` applies to components with its tag."""
    tag = getattr(check, "tag", None)
    return tag is None or tag in component.tags


PRESET = Preset(
    library="fastmcp",
    oldest="4.0",
    records=f"{mcp.PRESET.records}. `name`: `original_client_id`, which the tokens of `MultiAuth` have. The decisions "
    "of `AuthMiddleware` about a tool, resource or prompt, which require the scopes of its checks",
    never=mcp.PRESET.never,
    targets=(
        *mcp.PRESET.targets,
        mcp.refusal("fastmcp.server.auth.middleware:RequireAuthMiddleware._send_auth_error"),
        AuthzTarget(
            "fastmcp.utilities.authorization:run_auth_checks_with_shortfall", required=_scopes, granted="return[0]"
        ),
    ),
    key_types=mcp.PRESET.key_types,
)
