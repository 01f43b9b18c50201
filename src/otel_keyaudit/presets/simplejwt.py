from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets.drf import REQUEST_AUTHENTICATION
from otel_keyaudit.targets.key_objects.key_types import KeyType

PRESET = Preset(
    library="djangorestframework-simplejwt",
    oldest="5.3",
    records="`id`: claim `jti`; `owner`: `user_id`, else `sub`; `scopes`: `scope`, `scp` or `permissions`; "
    "`expires_at`: `exp`",
    never="`token`, `str()`, which are the token itself",
    targets=(REQUEST_AUTHENTICATION,),
    key_types={
        "rest_framework_simplejwt.tokens:Token": KeyType(
            id="payload.jti",
            owner="payload.user_id ?? payload.sub",
            scopes="payload.scope|split ?? payload.scp ?? payload.permissions",
            expires_at="payload.exp|ts",
        ),
    },
)
