"""PyCasbin: enforcers, which decide by the application's policy."""

from __future__ import annotations

from otel_keyaudit.key.canonical import as_string
from otel_keyaudit.presets._definition import Preset, never
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthzTarget


def _required(call: Call) -> str | None:
    """Return ``object:action`` of a request, ``None`` if the model does not define both as strings."""
    values = list(call.args["rvals"])
    definition = "r"
    if values and type(values[0]).__name__ == "EnforceContext":
        definition = values.pop(0).rtype
    tokens = call.self.model["r"][definition].tokens
    request = {token.partition("_")[2]: value for token, value in zip(tokens, values, strict=False)}
    checked, action = request.get("obj"), request.get("act")
    if not (isinstance(checked, str) and isinstance(action, str)):
        return None
    return f"{as_string(checked)}:{as_string(action)}"  # a member of an enumeration counts as its value


PRESET = Preset(
    library="pycasbin",
    former_library="casbin",
    oldest="1.43",
    records="the decisions of `enforce`, `enforce_ex` and `batch_enforce` of every enforcer (also `AsyncEnforcer`), "
    "which require `object:action` if the request of the model has `obj` and `act` and both are strings",
    never="the subject; policies",
    targets=(
        AuthzTarget("casbin.core_enforcer:CoreEnforcer.enforce", required=_required, granted="return", denied=never),
        AuthzTarget(
            "casbin.core_enforcer:CoreEnforcer.enforce_ex", required=_required, granted="return[0]", denied=never
        ),
    ),
)
