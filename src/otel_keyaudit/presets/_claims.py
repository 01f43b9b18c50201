"""The claims of a JSON Web Token that say who it is and what it may do; any of them may be absent, but for the id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.key_source import KeyType

RECORDS = (
    "`id`: claim `jti`; `name`: `client_id`; `owner`: `sub`; `scopes`: `scope`, `scp` or `permissions`; "
    "`expires_at`: `exp`"
)


class Claims(dict[str, Any]):
    """Claims, told by this class from any other mapping."""


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
    """Return a ``key`` that finds the claims in a result, if there is one."""
    return lambda call: None if call.result is None else Claims(find(call.result))
