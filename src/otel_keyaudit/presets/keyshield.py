"""keyshield: one method authenticates a key and checks its scopes."""

from __future__ import annotations

from otel_keyaudit.presets._anonymous import unless_raised
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_classes import class_names
from otel_keyaudit.targets.key_objects.key_source import KeyType
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget

_VERIFY = "keyshield.services.base:AbstractApiKeyService.verify_key"


def _has_checked_scopes(call: Call) -> bool:
    """Return whether scopes were checked: they were required, and the key itself was valid."""
    is_refused_key = "keyshield.domain.errors:ApiKeyError" in class_names(type(call.exc)) and not _lacks_scopes(call)
    return bool(call.args["required_scopes"]) and not is_refused_key


def _lacks_scopes(call: Call) -> bool:
    return type(call.exc).__name__ == "InvalidScopes"


PRESET = Preset(
    library="keyshield",
    oldest="2.0",
    records="`id`: `key_id`; `name`; `scopes`; `expires_at`. The decisions of `verify_key`, which require its "
    "`required_scopes`; a refused key is unknown there, so the cause of a denial is too",
    never="`key_secret`, which can be read only once; `key_hash`; the presented key",
    targets=(
        AuthTarget(_VERIFY, when=unless_raised("KeyNotProvided")),
        AuthzTarget(_VERIFY, required="args.required_scopes", denied=_lacks_scopes, when=_has_checked_scopes),
    ),
    key_types={
        "keyshield.domain.entities:ApiKey": KeyType(id="key_id", name="name", scopes="scopes", expires_at="expires_at"),
    },
)
