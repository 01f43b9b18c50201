from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._definition import Preset, never
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

PRESET = Preset(
    library="authx",
    oldest="1.7",
    records="`id`: claim `jti`; `owner`: `sub`; `scopes`; `expires_at`: `exp`. Decisions of `scopes_required`, "
    "`has_scopes` and `PolicyEngine.evaluate`, which require their scopes",
    never="the token; `csrf`; your own claims",
    targets=(
        *(
            AuthTarget(f"authx.main:AuthX.{method}", when=unless_raised("MissingTokenError"))
            for method in ("_auth_required", "_ws_auth_required")  # of HTTP and of WebSockets
        ),
        AuthzTarget(
            "authx._internal._scopes:has_required_scopes",
            required="args.required",
            any_of="args.all_required|if:,any",
            granted="return",
            denied=never,
        ),
        # A rule whose scopes are missing does not match, which denies nothing; another rule may allow.
        AuthzTarget("authx.policy:PolicyEngine.evaluate", granted="return.allowed"),
    ),
    key_types={
        "authx.schema:TokenPayload": KeyType(id="jti", owner="sub", scopes="scopes", expires_at="exp|ts"),
    },
)
