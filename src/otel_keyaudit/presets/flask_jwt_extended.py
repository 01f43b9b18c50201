from operator import itemgetter

from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._claims import KEY_TYPES, RECORDS, claims
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.target import AuthTarget

PRESET = Preset(
    library="Flask-JWT-Extended",
    oldest="4.6",
    records=RECORDS,
    never="the token; `csrf`; all other claims",
    targets=(
        AuthTarget(
            "flask_jwt_extended.view_decorators:verify_jwt_in_request",
            key=claims(itemgetter(1)),
            when=unless_raised("NoAuthorizationError"),
        ),
    ),
    key_types=KEY_TYPES,
)
