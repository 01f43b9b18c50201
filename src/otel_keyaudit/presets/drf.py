"""Django REST framework: whatever authenticates a request there, seen in the one method through which it all goes."""

from __future__ import annotations

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuthTarget


def _is_an_object(call: Call) -> bool:
    """Say whether the credential is an object that tells its id; a text is the credential itself."""
    return not isinstance(call.self._auth, (str, bytes))


# With the underscore: `auth` of a request that is not authenticated yet authenticates it.
REQUEST_AUTHENTICATION = AuthTarget(
    "rest_framework.request:Request._authenticate", key="self._auth", when=_is_an_object
)

PRESET = Preset(
    library="djangorestframework",
    oldest="3.15",
    records="`request.auth`, where it is an object: the fields of the library that it comes from, "
    "else `id`, `name`, `scopes`, `allow_list`",
    never="`request.auth` where it is a text",
    targets=(REQUEST_AUTHENTICATION,),
)
