"""Starlette and FastAPI: the application's backend in ``AuthenticationMiddleware``, and the check inside ``requires``.

The target is the check and not the decorated endpoint, because a failure of the endpoint denies nothing.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.guard.signals import expected
from otel_keyaudit.presets._definition import Preset, never
from otel_keyaudit.presets._override import AuthOverrideTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthzTarget


def _user(call: Call) -> Any:
    """Return the authenticated user. A string is skipped, because it may be the secret itself."""
    user = None if call.result is None else call.result[1]
    return None if isinstance(user, (str, bytes)) or not getattr(user, "is_authenticated", True) else user


def _first(user: Any, *names: str) -> Any:
    """Return the first existing attribute, because a user need not implement all that the base class declares."""
    for name in names:
        with expected(AttributeError, NotImplementedError):
            return getattr(user, name)
    return None


PRESET = Preset(
    library="starlette",
    oldest="0.46",
    records="the user that your backend's `authenticate` returns: `id`, else `identity` or `display_name`; `name`, "
    "else `display_name`; `scopes` of the credentials; `allow_list`. Decisions of `requires`, which require its "
    "scopes",
    never="the connection; a user that is a string",
    targets=(
        AuthOverrideTarget(
            "starlette.middleware.authentication:AuthenticationMiddleware.__call__",
            method="backend.authenticate",
            key=_user,
            scopes="return[0].scopes",
        ),
        AuthzTarget(
            "starlette.authentication:has_required_scope", required="args.scopes", granted="return", denied=never
        ),
    ),
    key_types={
        "starlette.authentication:BaseUser": KeyType(
            id=lambda user: _first(user, "id", "identity", "display_name"),
            name=lambda user: _first(user, "name", "token_name", "display_name"),
            scopes="scopes",
            allow_list="allow_list",
        ),
    },
)
