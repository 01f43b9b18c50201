from collections.abc import Mapping
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _payload(call: Call) -> Mapping[str, Any]:
    """Return what the key says of itself when it is decrypted: the row that it names is a local variable there."""
    payload: Mapping[str, Any] = call.self.key_crypto.decrypt(call.args["key"])
    return payload


PRESET = Preset(
    library="drf-simple-apikey",
    oldest="2.4",
    records="`id`: the primary key in the encrypted key; `owner`: primary key of the entity; `expires_at`: its expiry",
    never="`request.auth`, the parameter `key`: both are the key that was presented; name and addresses, "
    "for which the database would have to be asked",
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
