from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="litestar",
    oldest="2.22",
    records="`id`: claim `jti`; `owner`: `sub`; `scopes`: `scope`, `scp` or `permissions` of the further claims; "
    "`expires_at`: `exp`",
    never="the token; all other claims",
    targets=(
        AuthTarget(
            "litestar.security.jwt.middleware:JWTAuthenticationMiddleware.authenticate_token", key="return.auth"
        ),
    ),
    key_types={
        "litestar.security.jwt.token:Token": KeyType(
            id="jti",
            owner="sub",
            scopes="extras.scope|split ?? extras.scp ?? extras.permissions",
            expires_at="exp",
        ),
    },
)
