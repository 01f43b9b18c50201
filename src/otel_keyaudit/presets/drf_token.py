from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets.drf import REQUEST_AUTHENTICATION
from otel_keyaudit.targets.key_objects.key_types import KeyType

PRESET = Preset(
    library="djangorestframework",
    oldest="3.15",
    records="`id`: 16 hex digits of the SHA-256 of the token, because it has no public id; `owner`: `user_id`",
    never="`key`, `pk`, `str()`, which are the token itself",
    targets=(REQUEST_AUTHENTICATION,),
    key_types={
        "rest_framework.authtoken.models:Token": KeyType(hidden=("pk", "id"), id="key|sha256:16", owner="user_id"),
    },
)
