from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _prefix(call: Call) -> str:
    """Return what stands before the point: the primary key of the row, which is a local variable there."""
    prefix: str = call.args["api_key"].partition(".")[0]
    return prefix


PRESET = Preset(
    library="ninja-api-key",
    oldest="2.0",
    records="`id`: the prefix; `owner`: primary key of the user",
    never="the key that was presented, `hashed_key`; label and expiry, for which the database would have to be asked",
    targets=(
        # Nothing presented is False there too, and no denial.
        AuthTarget("ninja_apikey.security:check_apikey", id=_prefix, owner="return.pk", when="args.api_key"),
    ),
)
