from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="authx",
    oldest="1.7",
    records="`id`: claim `jti`; `owner`: `sub`; `scopes`; `expires_at`: `exp`",
    never="the token, `csrf`, claims of your own",
    targets=(AuthTarget("authx.main:AuthX._auth_required", when=unless_raised("MissingTokenError")),),
    key_types={
        "authx.schema:TokenPayload": KeyType(id="jti", owner="sub", scopes="scopes", expires_at="exp|ts"),
    },
)
