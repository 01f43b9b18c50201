from typing import Any

from otel_keyaudit.presets._definition import PartTarget, Preset
from otel_keyaudit.presets._override import AuthzOverrideTarget
from otel_keyaudit.presets.drf import PERMISSION_CHECKS, REQUEST_AUTHENTICATION
from otel_keyaudit.presets.drf_api_key import HIDDEN
from otel_keyaudit.targets.key_objects.key_types import KeyType


def _scopes(key: Any) -> Any:
    """Return the scopes, ``*`` for a key without scopes, because the library does not restrict it."""
    return key.scopes or ["*"]


_CHECK = "drf_scoped_permissions.permissions:HasAPIKeyOrGroupScope.has_permission"

PRESET = Preset(
    library="drf-scoped-permissions",
    oldest="0.3",
    records="`id`: `prefix`; `name`; `scopes`, `*` for a key without scopes, because the library does not restrict it; "
    "`expires_at`: `expiry_date`. Decisions as with `drf`, which require the scope that `HasAPIKeyOrGroupScope` "
    "determines",
    never="`id`, `pk`, `hashed_key`, which contain the hash; the presented key",
    targets=(
        REQUEST_AUTHENTICATION,
        *PERMISSION_CHECKS,
        PartTarget(_CHECK, granted="return"),
        AuthzOverrideTarget(_CHECK, method="get_required_scope", required="return"),
    ),
    key_types={
        "drf_scoped_permissions.models:ScopedAPIKey": KeyType(
            hidden=HIDDEN, id="prefix", name="name", scopes=_scopes, expires_at="expiry_date"
        ),
    },
)
