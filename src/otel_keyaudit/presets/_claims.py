"""Read a key from the claims of a JSON Web Token. Each claim but the id may be absent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_objects.key_types import KeyType

RECORDS = (
    "`id`: claim `jti`; `name`: `client_id`; `owner`: `sub`; `scopes`: `scope`, `scp` or `permissions`; "
    "`expires_at`: `exp`"
)


class Claims(dict[str, Any]):
    """The claims of a token. The class has a key type, which plain mappings do not have."""


KEY_TYPES = {
    "otel_keyaudit.presets._claims:Claims": KeyType(
        id="jti",
        name="client_id",
        owner="sub",
        scopes="scope|split ?? scp ?? permissions",
        expires_at="exp|ts",
    )
}


def claims(find: Callable[[Any], Any]) -> Callable[[Call], Claims | None]:
    """Return a ``key`` function that takes the claims from the result of a call."""
    return lambda call: None if call.result is None else Claims(find(call.result))
