"""Litestar: authentication middleware that an application derives from the abstract class, and the JWT middleware."""

from __future__ import annotations

from types import NoneType
from typing import Any

from otel_keyaudit.presets import litestar_jwt
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._override import AuthOverrideTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names

_NO_OVERRIDES = frozenset(
    {
        "litestar.security.jwt.middleware:JWTAuthenticationMiddleware",
        "litestar.security.session_auth.middleware:SessionAuthMiddleware",
    }
)
"""Middleware that has a separate target, which recognizes anonymous requests, or whose session is not a key."""


def _is_own_middleware(call: Call) -> bool:
    return _NO_OVERRIDES.isdisjoint(class_names(type(call.self)))


def _key(call: Call) -> Any:
    """Return ``auth``, else ``user``, if it is an object. A string may be the secret itself."""
    found = () if call.result is None else (call.result.auth, call.result.user)
    return next(filter(_is_key, found), None)


def _is_key(found: Any) -> bool:
    """Return whether an object may be a key. An anonymous user is not authenticated."""
    return not isinstance(found, (str, bytes, NoneType)) and bool(getattr(found, "is_authenticated", True))


PRESET = Preset(
    library="litestar",
    oldest="2.22",
    records="`auth`, else `user`, from the result of your middleware's `authenticate_request`, if it is an object. "
    "The fields are those of the key's library, else `id`, `name`, `scopes`, `allow_list`. Also the tokens of "
    "`litestar-jwt`. A request without a key is denied if the middleware raises for it",
    never="the connection; `auth` or `user` if it is a string; sessions",
    targets=(
        AuthOverrideTarget(
            "litestar.middleware.authentication:AbstractAuthenticationMiddleware.__call__",
            method="authenticate_request",
            key=_key,
            when=_is_own_middleware,
        ),
        *litestar_jwt.PRESET.targets,
    ),
)
