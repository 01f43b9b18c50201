"""The application under measurement: only a function that authenticates and a function that writes an audit row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from otel_keyaudit import ApiKey

CREDENTIAL = "kq_0f9a71c4d27be3855f61c09e"  # long enough to be searched for in everything that is written


@dataclass
class Key:
    """An API key of the application.

    Attributes:
        digest: Known beforehand, so that code by hand does not compute it for each row.
    """

    id: str
    name: str
    scopes: list[str]
    allow_list: list[str]
    digest: str
    secret: str = "not-for-anybody"  # noqa: S105 - nothing may read it


def make_key(number: int = 0, *, scopes: int = 6, allowed: int = 4) -> Key:
    """Return a key.

    Args:
        number: Distinguishes it from others.
        scopes: The number of its scopes.
        allowed: The number of entries in its allow list.
    """
    scope_list = [f"workspace:action_{index}" for index in range(scopes)]
    allow_list = [f"workspace:{number:04x}{index:04x}" for index in range(allowed)]
    snapshot = ApiKey(f"k_{number}", f"ci-bot-{number}", scope_list, allow_list)
    return Key(snapshot.id, f"ci-bot-{number}", scope_list, allow_list, snapshot.digest)


FIELDS = {f"field_{index}": f"value {index} of the row's" for index in range(9)}
"""Additional fields of about 300 bytes."""

TEXT = json.dumps(FIELDS)

_KEYS: dict[str, Key] = {}


def present(key: Key) -> None:
    """Return this key for every credential from now on."""
    _KEYS["current"] = key


def verify(api_key: str) -> Key | None:
    """Return the key of a credential: the authentication target."""
    return _KEYS["current"] if api_key else None


def require(permission: str, resource_type: str, resource_id: str) -> None:
    """Grant a permission for a resource: the authorization target."""


def record(action: str, resource_type: str, resource_id: str, additional_fields: Any = None) -> Any:
    """Write an audit row: the audit target. It returns the additional fields instead of storing them."""
    return additional_fields
