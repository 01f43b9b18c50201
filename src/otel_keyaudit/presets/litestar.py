"""Litestar: the authentication middleware that an application derives from its abstract one, and its own for JWT."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import litestar_jwt
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.presets._override import AuthOverrideTarget
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_classes import class_names

_ITS_OWN = frozenset(
    {
        "litestar.security.jwt.middleware:JWTAuthenticationMiddleware",
        "litestar.security.session_auth.middleware:SessionAuthMiddleware",
    }
)
"""The one has a target of its own, which tells when no token was presented; a session is no key."""


def _is_the_applications(call: Call) -> bool:
    return _ITS_OWN.isdisjoint(class_names(type(call.self)))


def _key(call: Call) -> Any:
    """Return what there is of ``auth`` and ``user``; a text may be the credential itself."""
    found = () if call.result is None else (call.result.auth, call.result.user)
    return next((one for one in found if one is not None and not isinstance(one, (str, bytes))), None)


PRESET = Preset(
    library="litestar",
    oldest="2.22",
    records="`auth`, else `user` of what your middleware's `authenticate_request` returns, where it is an object: "
    "the fields of the library that it comes from, else `id`, `name`, `scopes`, `allow_list`; the tokens of "
    "`litestar-jwt`. A middleware that raises when nothing was presented denies such a request",
    never="the connection; `auth` or `user` where it is a text; sessions",
    targets=(
        AuthOverrideTarget(
            "litestar.middleware.authentication:AbstractAuthenticationMiddleware.__call__",
            method="authenticate_request",
            key=_key,
            when=_is_the_applications,
        ),
        *litestar_jwt.PRESET.targets,
    ),
)
