from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets.drf import REQUEST_AUTHENTICATION
from otel_keyaudit.presets.drf_api_key import HIDDEN
from otel_keyaudit.targets.key_source import KeyType


def _scopes(key: Any) -> Any:
    """Return the scopes; a key without any is unrestricted there, which is the opposite of none."""
    return key.scopes or ["*"]


PRESET = Preset(
    library="drf-scoped-permissions",
    oldest="0.3",
    records="`id`: `prefix`; `name`; `scopes`, which are `*` for a key without any, as that is unrestricted there; "
    "`expires_at`: `expiry_date`",
    never="`id`, `pk`, `hashed_key`: they hold the hash; the key that was presented",
    targets=(REQUEST_AUTHENTICATION,),
    key_types={
        "drf_scoped_permissions.models:ScopedAPIKey": KeyType(
            hidden=HIDDEN, id="prefix", name="name", scopes=_scopes, expires_at="expiry_date"
        ),
    },
)
