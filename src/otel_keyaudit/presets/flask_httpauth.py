from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _object(call: Call) -> Any:
    """Return the result of the application's function if it is an object. A string may be the secret itself."""
    return None if isinstance(call.result, (bool, str, bytes)) else call.result


PRESET = Preset(
    library="Flask-HTTPAuth",
    oldest="4.8",
    records="the result of your `verify_token`, if it is an object: `id`, `name`, `scopes`, `allow_list`",
    never="`auth.token`; a string that `verify_token` returns",
    targets=(
        AuthTarget("flask_httpauth:HTTPTokenAuth.authenticate", key=_object, valid="return", when="args.auth.token"),
    ),
)
