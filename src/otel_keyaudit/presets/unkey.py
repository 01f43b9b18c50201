from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="unkey-py",
    oldest="3.2",
    records="`id`: `key_id`; `name`; `scopes`: `permissions`; `owner`: the identity's `external_id`; "
    "`expires_at`: `expires`; also the id of a refused key",
    never="the presented key; `meta`",
    targets=tuple(
        AuthTarget(
            f"unkey.py.keys:Keys.{method}",
            key="return.data",
            id="key_id",
            name="name",
            scopes="permissions",
            owner="identity.external_id",
            expires_at="expires|ts:ms",
            valid="valid",  # the service also answers 200 for a refused key
        )
        for method in ("verify_key", "verify_key_async")
    ),
)
