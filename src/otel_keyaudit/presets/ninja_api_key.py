from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _prefix(call: Call) -> str:
    """Return the prefix of the presented key: the primary key of the row, which is only a local variable."""
    prefix: str = call.args["api_key"].partition(".")[0]
    return prefix


PRESET = Preset(
    library="ninja-api-key",
    oldest="2.0",
    records="`id`: the prefix; `owner`: primary key of the user",
    never="the presented key; `hashed_key`; label and expiry, which need a database query",
    targets=(
        # Without a key it also returns False, which is not a denial.
        AuthTarget("ninja_apikey.security:check_apikey", id=_prefix, owner="return.pk", when="args.api_key"),
    ),
)
