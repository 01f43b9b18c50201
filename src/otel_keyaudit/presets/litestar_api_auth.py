from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_objects.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

PRESET = Preset(
    library="litestar-api-auth",
    oldest="0.1",
    records="`id`: `key_id`; `name`; `scopes`; `expires_at`. The decisions of the guards `require_scope` and "
    "`require_scopes`, which require their scopes",
    never="`key_hash`; the presented key",
    targets=(
        AuthTarget("litestar_api_auth.middleware:APIKeyMiddleware._validate_api_key"),
        AuthzTarget("litestar_api_auth.guards:require_scope.<locals>.guard", required="closure.scope"),
        AuthzTarget(
            "litestar_api_auth.guards:require_scopes.<locals>.guard",
            required="closure.scopes_list",
            any_of="closure.match|is:any",
        ),
    ),
    key_types={
        "litestar_api_auth.types:APIKeyInfo": KeyType(
            id="key_id", name="name", scopes="scopes", expires_at="expires_at"
        ),
    },
)
