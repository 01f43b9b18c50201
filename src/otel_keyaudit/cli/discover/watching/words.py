"""The names by which functions, parameters and members are recognized."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

IDS: Final = ("id", "key_id", "api_key_id", "token_id", "client_id", "jti", "uuid", "pk", "sub", "kid", "prefix")
"""Members that can be the id of a key, the likeliest first."""

KEY_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("name", "token_name", "label", "title", "display_name", "description"),
    "scopes": ("scopes", "scope", "permissions", "grants", "abilities", "roles", "scp"),
    "allow_list": ("allow_list", "allowlist", "allowed", "allowed_resources", "resources", "workspaces", "projects"),
}
"""Members of a key by the field that they are, the default first."""

OTHER_KEY_MEMBERS: Final = frozenset(
    {"owner", "owner_id", "expires_at", "expires", "revoked", "is_active", "last_used"}
)
"""Members that only a key or a token is likely to have."""

PLACES: Final = (
    "additional_fields", "extra", "details", "detail", "metadata", "meta", "additional_data", "additional_info",
    "attributes", "context", "properties", "payload", "data", "fields", "changes", "info", "extras", "event_data",
)  # fmt: skip
"""Parameters and members that can be the additional fields, the likeliest first."""

EVENT_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "action": ("action", "verb", "operation", "event", "event_type", "event_name", "action_type", "activity"),
    "resource_type": ("resource_type", "object_type", "entity_type", "target_type", "entity"),
    "resource_id": ("resource_id", "object_id", "entity_id", "target_id"),
    "outcome": ("outcome", "status", "result", "success"),
}
"""Parameters of an audit writer by the field that they are, the default first."""

_AUDIT_WORDS = {
    "audit": 4, "auditlog": 4, "audits": 4, "auditing": 4, "journal": 4, "trail": 4, "activity": 3, "history": 3,
    "event": 2, "events": 2, "log": 2, "logs": 2,
}  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def audit_weight(name: str) -> int:
    """Return how much the name of a function or a module speaks of an audit log, from 0 to 4."""
    words = [word.lower() for word in _WORD.findall(name)]
    return max((_AUDIT_WORDS.get(word, 0) for word in words), default=0)


def first_of(candidates: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the first candidate that is among some names."""
    present = set(names)
    return next((candidate for candidate in candidates if candidate in present), None)
