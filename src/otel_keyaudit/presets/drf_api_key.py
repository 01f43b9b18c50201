from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._override import AuthOverrideTarget
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget

HIDDEN = ("pk", "id")
"""Both contain the hash after the prefix."""

_MANAGER = "rest_framework_api_key.models:BaseAPIKeyManager"
_VALID = "has_expired|if:,valid"  # `get_from_key` also returns expired keys, which its caller refuses

PRESET = Preset(
    library="djangorestframework-api-key",
    oldest="3.0",
    records="`id`: `prefix`; `name`; `expires_at`: `expiry_date`; `scopes` and `allow_list` if the model has them",
    never="`id`, `pk`, `hashed_key`, which contain the hash; the presented key",
    targets=(
        AuthTarget(f"{_MANAGER}.get_from_key", valid=_VALID),
        AuthOverrideTarget(f"{_MANAGER}.is_valid", method="get_from_key", valid=_VALID),
    ),
    key_types={
        "rest_framework_api_key.models:AbstractAPIKey": KeyType(
            hidden=HIDDEN,
            id="prefix",
            name="name",
            scopes="scopes",
            allow_list="allow_list",
            expires_at="expiry_date",
        ),
    },
)
