"""The application under measurement: one function that authenticates, one that writes an audit row, nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from otel_keyaudit import ApiKey

SCOPES = 6
ALLOWED = 4

CREDENTIAL = "kq_0f9a71c4d27be3855f61c09e"  # as long as one is, since the library looks for it in what it writes


@dataclass
class Key:
    """An API key as an application has it.

    Attributes:
        digest: Known beforehand, so that code written by hand need not work it out for each row.
    """

    id: str
    name: str
    scopes: list[str]
    allow_list: list[str]
    digest: str
    secret: str = "not-for-anybody"  # noqa: S105 - bait: nothing may read it


def make_key(times: int = 1, number: int = 0) -> Key:
    """Return a key with six scopes and an allow list of four, or several times as many."""
    scopes = [f"workspace:action_{index}" for index in range(SCOPES * times)]
    allow_list = [f"workspace:{number:04x}{index:04x}" for index in range(ALLOWED * times)]
    key = ApiKey(f"k_{number}", f"ci-bot-{number}", scopes, allow_list)
    return Key(key.id, f"ci-bot-{number}", scopes, allow_list, key.digest)


FIELDS = {f"field_{index}": f"value {index} of the row's" for index in range(9)}
"""Additional fields of about 300 bytes."""

TEXT = json.dumps(FIELDS)

_KEYS: dict[str, Key] = {}


def present(key: Key) -> None:
    """Make this the key that every credential stands for."""
    _KEYS["current"] = key


def verify(api_key: str) -> Key | None:
    """Return the key of a credential: the authentication target."""
    return _KEYS["current"] if api_key else None


def record(action: str, resource_type: str, resource_id: str, additional_fields: Any = None) -> Any:
    """Write an audit row: the audit target. It returns what it would have written."""
    return additional_fields
