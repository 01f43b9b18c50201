"""keyshield: one method authenticates a key and checks its scopes."""

from __future__ import annotations

from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.request.context import current_key
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.key_objects.key_types import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

_VERIFY = "keyshield.services.base:AbstractApiKeyService.verify_key"


def _has_checked_scopes(call: Call) -> bool:
    """Return whether scopes of the request's key were checked: they were required, and the key itself was valid."""
    is_refused_key = "keyshield.domain.errors:ApiKeyError" in class_names(type(call.exc)) and not _lacks_scopes(call)
    return bool(call.args["required_scopes"]) and not is_refused_key and not _is_about_another_key(call)


def _is_about_another_key(call: Call) -> bool:
    """Return whether the caller asks about a key that is not its own, as in the management API of the library."""
    key = current_key()
    return key is not None and key.id not in call.args["api_key"]


def _lacks_scopes(call: Call) -> bool:
    return type(call.exc).__name__ == "InvalidScopes"


PRESET = Preset(
    library="keyshield",
    oldest="2.0",
    records="`id`: `key_id`; `name`; `scopes`; `expires_at`. The decisions of `verify_key`, which require its "
    "`required_scopes`; a refused key is unknown there, so the cause of a denial is too. Every verified key counts as "
    "the caller's, so a request that asks the management API of the library about another key is ambiguous",
    never="`key_secret`, which can be read only once; `key_hash`; the presented key",
    targets=(
        AuthTarget(_VERIFY, when=unless_raised("KeyNotProvided")),
        AuthzTarget(_VERIFY, required="args.required_scopes", denied=_lacks_scopes, when=_has_checked_scopes),
    ),
    key_types={
        "keyshield.domain.entities:ApiKey": KeyType(id="key_id", name="name", scopes="scopes", expires_at="expires_at"),
    },
)
