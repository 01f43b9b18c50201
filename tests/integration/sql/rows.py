"""Audit rows as the library writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from integration.sql.databases import Row
from otel_keyaudit import ApiKey

SCOPES = [f"crate:{name}" for name in ("create", "read", "update", "delete", "list")]


def row(fields: Any, resource_type: str = "crate") -> Row:
    """Return a row with additional fields as a JSON string or an object."""
    text = fields if isinstance(fields, str | None) else json.dumps(fields)
    return ("2026-11-23T16:00:00Z", "dana", "create", resource_type, "c_1", "ok", text)


def member(key: ApiKey, *, full: bool = True, **more: Any) -> dict[str, Any]:
    """Return the member that the library writes for a key."""
    found: dict[str, Any] = {
        "id": key.id,
        "name": key.name,
        "digest": key.digest,
        "detail": "full" if full else "minimal",
    }
    if full:
        lists = {"scopes": key.scopes, "allow_list": key.allow_list}
        found |= {name: list(value) for name, value in lists.items() if value is not None}
    return found | more


def many(number: int, keys: int) -> Iterator[Row]:
    """Return rows of many keys that change twice; few have no key, are ambiguous or about a key."""
    for count in range(number):
        key = ApiKey(f"k_{count % keys}", "bot", SCOPES[: 1 + 3 * count // number])
        if count % 200 == 0:
            yield row({"via": "session"})
        elif count % 500 == 7:
            yield row({"request_api_key": {"ambiguous": True, "ids": ["k_1", "k_2"]}})
        elif count % 100 == 3:
            yield row({"request_api_key": member(key, full=False), "api_key": member(key)}, "api_key")
        else:
            yield row({"request_api_key": member(key, full=count % 20 < 3)})
