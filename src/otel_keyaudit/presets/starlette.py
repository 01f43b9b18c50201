"""Starlette's and FastAPI's ``AuthenticationMiddleware``: the backend that an application gives to it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._override import OverrideTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_source import KeyType


def _user(call: Call) -> Any:
    """Return the user, where it is one and no text, which may be the credential itself."""
    user = None if call.result is None else call.result[1]
    return None if isinstance(user, (str, bytes)) or not getattr(user, "is_authenticated", True) else user


def _first(user: Any, *names: str) -> Any:
    """Return the first attribute that there is: a user need not implement what the base class declares."""
    for name in names:
        with suppress(AttributeError, NotImplementedError):
            return getattr(user, name)
    return None


PRESET = Preset(
    library="starlette",
    oldest="0.46",
    records="what your backend's `authenticate` returns: `id`: the user's `id`, else `identity` or `display_name`; "
    "`name`, else `display_name`; `scopes` of the credentials; `allow_list`",
    never="the connection; a user that is a text",
    targets=(
        OverrideTarget(
            "starlette.middleware.authentication:AuthenticationMiddleware.__call__",
            method="backend.authenticate",
            key=_user,
            scopes="return[0].scopes",
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
