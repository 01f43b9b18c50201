from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="keyshield",
    oldest="2.0",
    records="`id`: `key_id`; `name`; `scopes`; `expires_at`",
    never="`key_secret`, which is gone once it was read; `key_hash`; the key that was presented",
    targets=(
        AuthTarget("keyshield.services.base:AbstractApiKeyService.verify_key", when=unless_raised("KeyNotProvided")),
    ),
    key_types={
        "keyshield.domain.entities:ApiKey": KeyType(id="key_id", name="name", scopes="scopes", expires_at="expires_at"),
    },
)
