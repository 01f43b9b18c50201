from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets.drf import REQUEST_AUTHENTICATION
from otel_keyaudit.targets.key_objects.key_types import KeyType

PRESET = Preset(
    library="django-rest-knox",
    oldest="5.0",
    records="`id`: 16 hex digits of the SHA-256 of `digest`; `owner`: `user_id`; `expires_at`: `expiry`",
    never="`digest`, `pk`, `str()`, which contain the hash of the token; `token_key`, the beginning of the token",
    targets=(REQUEST_AUTHENTICATION,),
    key_types={
        "knox.models:AbstractAuthToken": KeyType(
            hidden=("pk", "id", "token_key"), id="digest|sha256:16", owner="user_id", expires_at="expiry"
        ),
    },
)
