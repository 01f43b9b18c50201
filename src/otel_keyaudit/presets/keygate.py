from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget


def _is_presented(call: Call) -> bool:
    return bool(call.self._extract(call.args["request"]))


PRESET = Preset(
    library="fastapi-keygate",
    oldest="0.5",
    records="`id`; `name`; `scopes`; `owner`: `owner_id`; `expires_at`",
    never="the presented key; `key_hash`",
    targets=(AuthTarget("keygate.gate:KeyGate.require", when=_is_presented),),
    key_types={
        "keygate.schemas:ApiKey": KeyType(
            id="id", name="name", scopes="scopes", owner="owner_id", expires_at="expires_at"
        ),
    },
)
