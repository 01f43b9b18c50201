from operator import itemgetter

from otel_keyaudit.presets._claims import KEY_TYPES, RECORDS, claims
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="PyJWT",
    oldest="2.12",
    records=f"{RECORDS}. Choose it only if the service decodes nothing but the tokens of its callers, because every "
    "decoded token is recorded",
    never="the token; the keys that verify it; all other claims",
    targets=(AuthTarget("jwt.api_jwt:PyJWT.decode_complete", key=claims(itemgetter("payload"))),),
    key_types=KEY_TYPES,
)
