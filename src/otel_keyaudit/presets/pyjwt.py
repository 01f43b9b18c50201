from operator import itemgetter

from otel_keyaudit.presets._claims import KEY_TYPES, RECORDS, claims
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _is_verified(call: Call) -> bool:
    """Return whether the signature is verified. Otherwise, the claims may be forged."""
    options = call.args["options"]
    return options is None or bool(options.get("verify_signature", True))


PRESET = Preset(
    library="PyJWT",
    oldest="2.12",
    records=f"{RECORDS}. Choose it only if the service decodes nothing but the tokens of its callers, because every "
    "verified token is recorded",
    never="the token; the keys that verify it; all other claims; tokens decoded with `verify_signature: False`",
    targets=(AuthTarget("jwt.api_jwt:PyJWT.decode_complete", key=claims(itemgetter("payload")), when=_is_verified),),
    key_types=KEY_TYPES,
)
