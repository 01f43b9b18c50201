"""litestar-api-auth: its middleware stores the key of a request, and refuses keys in two methods.

The middleware checks a key a second time after it has updated the time of its last use, so only the stored key counts.
"""

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

_MIDDLEWARE = "litestar_api_auth.middleware:APIKeyMiddleware"


def _no_key(_: Call) -> None:
    """Return no key: the call only denies unknown keys, and presents the credential, in whatever header it is."""


def _is_answered(call: Call) -> bool:
    """Return whether the store has answered, and the key was not refused in the other method."""
    return call.exc is None or type(call.exc).__name__ == "APIKeyNotFoundError"


PRESET = Preset(
    library="litestar-api-auth",
    oldest="0.1.1",
    records="`id`: `key_id`; `name`; `scopes`; `expires_at`; also the id of a refused key. The decisions of the guards "
    "`require_scope` and `require_scopes`, which require their scopes",
    never="`key_hash`; the presented key",
    targets=(
        AuthTarget(f"{_MIDDLEWARE}.__call__", key="args.scope['state']['api_key']"),
        AuthTarget(f"{_MIDDLEWARE}._validate_api_key", key=_no_key, when=_is_answered),
        AuthTarget(f"{_MIDDLEWARE}._check_key_info_is_valid", key="args.key_info ?? exc", when="exc"),
        AuthzTarget("litestar_api_auth.guards:require_scope.<locals>.guard", required="closure.scope"),
        AuthzTarget(
            "litestar_api_auth.guards:require_scopes.<locals>.guard",
            required="closure.scopes_list",
            any_of="closure.match|is:any",
        ),
    ),
    key_types={
        "litestar_api_auth.types:APIKeyInfo": KeyType(
            id="key_id", name="name", scopes="scopes", expires_at="expires_at"
        ),
    },
)
