"""fastmcp: HTTP servers, which authenticate with the MCP Python SDK, and the checks of each component."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import mcp
from otel_keyaudit.presets._definition import PartTarget, Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.target import AuthzTarget

_CHECKS = "fastmcp.utilities.authorization"


def _scopes(call: Call) -> list[str]:
    """Return the scopes that the checks of the component require. Functions of the application require none."""
    checks = call.args["checks"]
    found: list[str] = []
    for check in checks if isinstance(checks, list) else [checks]:
        if _requires_scopes(check, call.args["ctx"].component):
            found += sorted(check.required_scopes)
    return found


def _requires_scopes(check: Any, component: Any) -> bool:
    """Return whether a check requires scopes of a component. ``restrict_tag`` does so if the component has its tag."""
    names = set(class_names(type(check)))
    if f"{_CHECKS}:_RestrictTag" in names:
        return check.tag in component.tags
    return f"{_CHECKS}:_RequireScopes" in names


def _is_refusal(call: Call) -> bool:
    """Return whether a check has refused with a message. Any other exception is a failure of the server."""
    return "fastmcp.exceptions:AuthorizationError" in class_names(type(call.exc))


def _has_inner(check: Any) -> bool:
    """Return whether the component, or a version of it, has its own checks."""
    return bool(check.has_inner)


def _lookup(method: str, granted: str = "return") -> AuthzTarget:
    """Return the target for a method that looks up a component. It finds none if its ``auth`` refuses the request."""
    return AuthzTarget(f"fastmcp.server.server:FastMCP.{method}", granted=granted, denied=_is_refusal, when=_has_inner)


PRESET = Preset(
    library="fastmcp",
    oldest="4.0",
    records=f"{mcp.PRESET.records}. `name`: `original_client_id`, which the tokens of `MultiAuth` have. The decisions "
    "about a tool, resource or prompt, of its own `auth` and of `AuthMiddleware`, which require the scopes of the "
    "checks. A list of components is no decision. A check that fails counts as a denial, because fastmcp refuses then",
    never=mcp.PRESET.never,
    targets=(
        *mcp.PRESET.targets,
        mcp.refusal("fastmcp.server.auth.middleware:RequireAuthMiddleware._send_auth_error"),
        AuthzTarget(
            f"{_CHECKS}:run_auth_checks_with_shortfall", required=_scopes, granted="return[0]", denied=_is_refusal
        ),
        PartTarget(f"{_CHECKS}:run_auth_checks", required=_scopes, granted="return", denied=_is_refusal),
        *map(_lookup, ("get_tool", "get_resource", "get_resource_template", "get_prompt")),
    ),
    optional_targets={"fastmcp 4.1": (_lookup("_lookup_resource", "return[0]"),)},
    key_types=mcp.PRESET.key_types,
)
