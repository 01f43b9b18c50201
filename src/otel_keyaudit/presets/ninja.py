"""Django Ninja: the method that authenticates an operation, if it stores a key object in ``request.auth``."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets import _django
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.target import AuthTarget

_NO_KEYS = _django.USERS | {"builtins:str", "builtins:bytes", "builtins:bool"}
"""Classes that authentication functions often return in place of a key: the secret itself, a bool or the user."""


def _auth(call: Call) -> Any:
    return behind(getattr(call.args["request"], "auth", None))  # a session's user is a lazy object


def _is_key(call: Call) -> bool:
    return _NO_KEYS.isdisjoint(class_names(type(_auth(call))))


_VALID = "return|if:,valid"  # a refusal returns a response

PRESET = Preset(
    library="django-ninja",
    oldest="1.3",
    records="`request.auth`, if it is an object but not a user. The fields are those of the key's library, else `id`, "
    "`name`, `scopes`, `allow_list`. A request without a key is denied if the operation needs one",
    never="a `request.auth` that is a string or a user",
    targets=tuple(
        AuthTarget(f"ninja.operation:{operation}._run_authentication", key=_auth, valid=_VALID, when=_is_key)
        for operation in ("Operation", "AsyncOperation")
    ),
)
