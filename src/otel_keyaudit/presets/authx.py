from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.key_objects.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

PRESET = Preset(
    library="authx",
    oldest="1.7",
    records="`id`: claim `jti`; `owner`: `sub`; `scopes`; `expires_at`: `exp`. Decisions of `scopes_required`, "
    "`has_scopes` and policies, which require their scopes",
    never="the token; `csrf`; your own claims",
    targets=(
        AuthTarget("authx.main:AuthX._auth_required", when=unless_raised("MissingTokenError")),
        AuthzTarget(
            "authx._internal._scopes:has_required_scopes",
            required="args.required",
            any_of="args.all_required|if:,any",
            granted="return",
        ),
    ),
    key_types={
        "authx.schema:TokenPayload": KeyType(id="jti", owner="sub", scopes="scopes", expires_at="exp|ts"),
    },
)
