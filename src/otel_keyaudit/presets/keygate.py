from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget


def _is_presented(call: Call) -> bool:
    return bool(call.self._extract(call.args["request"]))


def _targets(gate: str) -> tuple[Target, ...]:
    """Return the targets for a class of gates."""
    return (
        AuthTarget(f"{gate}.require", when=_is_presented),
        AuthzTarget(f"{gate}.require_scopes.<locals>.dependency", required="closure.needed"),
    )


PRESET = Preset(
    library="fastapi-keygate",
    oldest="0.5",
    records="`id`; `name`; `scopes`; `owner`: `owner_id`; `expires_at`. "
    "The decisions of `require_scopes`, which require its scopes. Both of `KeyGate` and `AsyncKeyGate`",
    never="the presented key; `key_hash`",
    targets=_targets("keygate.gate:KeyGate"),
    optional_targets={"greenlet": _targets("keygate.async_gate:AsyncKeyGate")},  # its engines need that
    key_types={
        "keygate.schemas:ApiKey": KeyType(
            id="id", name="name", scopes="scopes", owner="owner_id", expires_at="expires_at"
        ),
    },
)
