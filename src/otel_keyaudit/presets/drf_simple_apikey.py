from collections.abc import Mapping
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _payload(call: Call) -> Mapping[str, Any]:
    """Return the decrypted content of the key, because its row is only a local variable."""
    payload: Mapping[str, Any] = call.self.key_crypto.decrypt(call.args["key"])
    return payload


PRESET = Preset(
    library="drf-simple-apikey",
    oldest="2.4",
    records="`id`: the primary key in the encrypted key; `owner`: primary key of the entity; `expires_at`: its expiry",
    never="`request.auth` and the parameter `key`, which are the presented key; name and addresses, "
    "which need a database query",
    targets=(
        AuthTarget(
            "drf_simple_apikey.backends:APIKeyAuthentication._authenticate_credentials",
            key=_payload,
            id="_pk",
            owner="return[0].pk",
            expires_at="_exp|ts",
        ),
    ),
)
