from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._claims import KEY_TYPES, RECORDS, Claims
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget


def _expires_at(token: Any) -> Any:
    """Compute the expiry of a token from its time of issue and its lifetime; return ``None`` without a lifetime."""
    lifetime = getattr(token, "expires_in", None)
    return datetime.fromtimestamp(token.issued_at + lifetime, timezone.utc) if lifetime else None


def _key(call: Call) -> Any:
    """Return the token. A validator of JSON Web Tokens or of introspected tokens returns claims in place of a model."""
    token = call.result
    has_claims = isinstance(token, Mapping) and not hasattr(token, "get_scope")
    return Claims(token) if has_claims else token


PRESET = Preset(
    library="Authlib",
    oldest="1.6",
    records="`id`; `name`: `client_id`, else `name`; `scopes`: `get_scope()`; `owner`: `user_id`; `expires_at`: "
    f"`issued_at` and `expires_in`. Of a JSON Web Token or an introspected token, the claims: {RECORDS}",
    never="`access_token`, `refresh_token`",
    targets=(
        AuthTarget(
            "authlib.oauth2.rfc6749.resource_protector:ResourceProtector.validate_request",
            key=_key,
            when=unless_raised("MissingAuthorizationError"),
        ),
    ),
    key_types={
        **KEY_TYPES,
        "authlib.oauth2.rfc6749.models:TokenMixin": KeyType(
            id="id", name="client_id ?? name", scopes="get_scope()|split", owner="user_id", expires_at=_expires_at
        ),
    },
)
