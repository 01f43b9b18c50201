from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="litestar-api-auth",
    oldest="0.1",
    records="`id`: `key_id`; `name`; `scopes`; `expires_at`",
    never="`key_hash`, the key that was presented",
    targets=(AuthTarget("litestar_api_auth.middleware:APIKeyMiddleware._validate_api_key"),),
    key_types={
        "litestar_api_auth.types:APIKeyInfo": KeyType(
            id="key_id", name="name", scopes="scopes", expires_at="expires_at"
        ),
    },
)
