"""Django REST framework: the method that authenticates every request, and the two methods that check permissions.

The parts of ``A | B`` and ``A & B`` are checked inside these methods, so they are not decisions of their own. Presets
with permission classes use ``PartTarget``, because the browsable API asks the classes, too, which forms to show.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

_NO_KEYS = _django.USERS | {"builtins:str"}
_REFUSALS = frozenset({"django.core.exceptions:PermissionDenied", "django.http.response:Http404"})
_API_EXCEPTION = "rest_framework.exceptions:APIException"


def _has_object(call: Call) -> bool:
    """Return whether the credential is an object. A string would be the secret itself."""
    return not isinstance(call.self._auth, (str, bytes))


def _key(call: Call) -> Any:
    """Return ``request.auth``, or the user if an authentication class returned ``(key, None)``.

    A request that no class has authenticated may have a user and a token, too, by the settings of the application.
    """
    request = call.self
    if request._authenticator is None:
        return None
    if request._auth is not None:
        return request._auth
    user = behind(getattr(request, "_user", None))  # a session's user is a lazy object
    return user if _NO_KEYS.isdisjoint(class_names(type(user))) else None


REQUEST_AUTHENTICATION = AuthTarget(
    # Private attributes, because `request.auth` would authenticate a request that is not authenticated yet.
    "rest_framework.request:Request._authenticate",
    key=_key,
    when=_has_object,
)


_IS_DECISION = "args.request.__dict__['method']|if:,yes"
"""Whether the request itself is checked. The browsable API checks copies with a method of their own, to choose the
forms to show. An expression of arguments is read before the call, so that rows inside such a question show no check.
"""


def _is_refusal(call: Call) -> bool:
    """Return whether the exception is a refusal. Django's ``Http404`` hides an object that must not be seen.

    The framework answers any other exception with status 500, even if it has the status of another service's answer.
    """
    names = set(class_names(type(call.exc)))
    if _API_EXCEPTION in names:
        return bool(400 <= call.exc.status_code < 500)  # type: ignore[union-attr]
    return not _REFUSALS.isdisjoint(names)


def _object_type(call: Call) -> str | None:
    checked = call.args["obj"]
    return _django.type_of(checked) if hasattr(checked, "_meta") else None


def _object_id(call: Call) -> str | None:
    checked = call.args["obj"]
    return _django.id_of(type(checked), checked.pk) if hasattr(checked, "_meta") else None


PERMISSION_CHECKS = (
    AuthzTarget("rest_framework.views:APIView.check_permissions", denied=_is_refusal, when=_IS_DECISION),
    AuthzTarget(
        "rest_framework.views:APIView.check_object_permissions",
        resource_type=_object_type,
        resource_id=_object_id,
        denied=_is_refusal,
        when=_IS_DECISION,
    ),
)

PRESET = Preset(
    library="djangorestframework",
    oldest="3.15",
    records="`request.auth`, or the user if an authentication class of your own returns `(key, None)` and the key "
    "is not a Django user. The fields are those of the key's library, else `id`, `name`, `scopes`, `allow_list`. "
    "Decisions of `check_permissions` and `check_object_permissions`, with type and id of a model's object; with "
    "`oauth-toolkit` or `drf-scoped-permissions`, also the required permissions",
    never="a `request.auth` that is a string; the id of an object whose primary key is a secret",
    targets=(REQUEST_AUTHENTICATION, *PERMISSION_CHECKS),
)
